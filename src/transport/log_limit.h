/*
 * log_limit.h - how often a line of the log that repeats is let through: at once, after a minute, then ever
 * more rarely while it goes on.
 *
 * A struct of zeros is ready for use.  No clock of its own: now_ms is any that rises.
 */
#ifndef TRANSPORT_LOG_LIMIT_H
#define TRANSPORT_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_LIMIT_FIRST_MS 60000u
/* Each pause is so many times as long as the last one, up to LOG_LIMIT_LONGEST_MS. */
#define LOG_LIMIT_GROWTH 4
#define LOG_LIMIT_LONGEST_MS 3600000u
/* After so long without an occasion the next one is the first again. */
#define LOG_LIMIT_QUIET_MS 600000u
#define LOG_LIMIT_TEXT_MAX 32

struct log_limit
{
	uint32_t burst;      /* set by its owner: lines let through before the pauses begin, beside the first */
	uint32_t passed;     /* of the burst */
	uint32_t pause_ms;   /* 0: there was no occasion yet */
	uint32_t suppressed; /* since the last line */
	uint64_t last_ms;    /* when a line was let through */
	uint64_t seen_ms;    /* the last occasion */
};

/*
 * There is an occasion for a line.  True: write it; *suppressed (if it is wanted) says how many were kept
 * back since the last one.
 */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint32_t *suppressed);

/* As if a line had been written now: the next one comes a minute later.  The burst is kept. */
void log_limit_begin(struct log_limit *limit, uint64_t now_ms);

/* "35 s", "12 min", "3 h", for lines that say how long something has lasted. */
void log_limit_duration(uint64_t ms, char text[LOG_LIMIT_TEXT_MAX]);

#endif /* TRANSPORT_LOG_LIMIT_H */
