/*
 * log_limit.c - lets a repeating line of the log through at growing distances.
 */
#include "transport/log_limit.h"

#include <inttypes.h>
#include <stdio.h>

static uint32_t longer(uint32_t pause_ms)
{
	if (pause_ms >= LOG_LIMIT_LONGEST_MS / LOG_LIMIT_GROWTH)
		return LOG_LIMIT_LONGEST_MS;
	return pause_ms * LOG_LIMIT_GROWTH;
}

void log_limit_begin(struct log_limit *limit, uint64_t now_ms)
{
	limit->pause_ms = LOG_LIMIT_FIRST_MS;
	limit->suppressed = 0;
	limit->last_ms = limit->seen_ms = now_ms;
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ms, uint32_t *suppressed)
{
	bool first = limit->pause_ms == 0 || now_ms - limit->seen_ms >= LOG_LIMIT_QUIET_MS;

	limit->seen_ms = now_ms;
	if (suppressed != NULL)
		*suppressed = limit->suppressed;
	if (first)
	{
		limit->passed = 0;
		log_limit_begin(limit, now_ms);
		return true;
	}
	if (limit->passed < limit->burst)
	{
		limit->passed++;
		log_limit_begin(limit, now_ms);
		return true;
	}
	if (now_ms - limit->last_ms < limit->pause_ms)
	{
		limit->suppressed++;
		return false;
	}
	limit->last_ms = now_ms;
	limit->pause_ms = longer(limit->pause_ms);
	limit->suppressed = 0;
	return true;
}

void log_limit_duration(uint64_t ms, char text[LOG_LIMIT_TEXT_MAX])
{
	uint64_t seconds = ms / 1000;

	if (seconds < 120)
		snprintf(text, LOG_LIMIT_TEXT_MAX, "%" PRIu64 " s", seconds);
	else if (seconds < 7200)
		snprintf(text, LOG_LIMIT_TEXT_MAX, "%" PRIu64 " min", seconds / 60);
	else
		snprintf(text, LOG_LIMIT_TEXT_MAX, "%" PRIu64 " h", seconds / 3600);
}
