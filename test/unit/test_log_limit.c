/*
 * test_log_limit.c - a repeating line comes at once, after a minute, then ever more rarely; never is it lost for good.
 */
#include "transport/log_limit.h"

#include <stdint.h>
#include <string.h>

#include "unit.h"

#define HOUR_MS 3600000u
#define MINUTE_MS 60000u

/* One occasion a second for so long from *now_ms on; the number of lines. */
static unsigned lines_in(struct log_limit *limit, uint64_t *now_ms, uint64_t ms)
{
	unsigned lines = 0;

	for (uint64_t end = *now_ms + ms; *now_ms < end; *now_ms += 1000)
		lines += log_limit_pass(limit, *now_ms, NULL);
	return lines;
}

static void goes_on(void)
{
	struct log_limit limit = {0};
	uint64_t now = 12345;
	uint32_t suppressed = 99;

	ok(log_limit_pass(&limit, now, &suppressed) && suppressed == 0, "the first line comes at once");
	now += 1000;
	ok(lines_in(&limit, &now, MINUTE_MS - 1000) == 0, "none for a minute");
	ok(log_limit_pass(&limit, now, &suppressed) && suppressed == 59, "then one, which counts those between");
	now += 1000;
	ok(lines_in(&limit, &now, 4 * MINUTE_MS - 1000) == 0, "none for four more");
	ok(lines_in(&limit, &now, 1000) == 1, "then one");
	ok(lines_in(&limit, &now, HOUR_MS - 5 * MINUTE_MS) == 1, "a third one in the first hour");
	ok(lines_in(&limit, &now, 24 * HOUR_MS) >= 23 && lines_in(&limit, &now, 24 * HOUR_MS) <= 25,
	   "later one an hour");
}

static void begins_anew(void)
{
	struct log_limit limit = {0};
	uint64_t now = 0;

	(void) lines_in(&limit, &now, 2 * HOUR_MS);
	now += LOG_LIMIT_QUIET_MS;
	ok(lines_in(&limit, &now, 2000) == 1, "after ten quiet minutes the next one comes at once");
	limit = (struct log_limit){0};
	log_limit_begin(&limit, now);
	ok(lines_in(&limit, &now, MINUTE_MS) == 0 && lines_in(&limit, &now, 1000) == 1,
	   "begun with another line, the first one comes a minute later");
}

static void burst(void)
{
	struct log_limit limit = {.burst = 4};
	uint64_t now = 0;

	ok(lines_in(&limit, &now, 10000) == 5, "a burst is let through, and no more");
	ok(lines_in(&limit, &now, MINUTE_MS) == 1, "then it is a line a minute");
	ok(lines_in(&limit, &now, 3 * MINUTE_MS) == 0, "... and less");
	now += LOG_LIMIT_QUIET_MS;
	ok(lines_in(&limit, &now, 10000) == 5, "after ten quiet minutes there is a burst again");
}

static void durations(void)
{
	char text[LOG_LIMIT_TEXT_MAX];

	log_limit_duration(119999, text);
	ok(strcmp(text, "119 s") == 0, "119 s");
	log_limit_duration(120000, text);
	ok(strcmp(text, "2 min") == 0, "2 min");
	log_limit_duration(7200000, text);
	ok(strcmp(text, "2 h") == 0, "2 h");
}

int main(void)
{
	goes_on();
	begins_anew();
	burst();
	durations();
	return done();
}
