/*
 * trace.h - what happened, one line an event: a hash over all of it, and a ring of the last lines.
 *
 * Lines are kept as format and numbers and made into text only when somebody looks, because making text
 * would cost more than the simulation.  Formats know %u (decimal), %x (hex), %s (a string that lasts) and
 * %b (a ballot: two numbers, round and node id).
 */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define TRACE_ARGUMENTS 12

struct trace_line
{
	uint64_t at_us;
	const char *format;
	uint64_t arguments[TRACE_ARGUMENTS];
};

#define TRACE_LINES 512

struct trace
{
	bool print; /* every line to stdout at once */
	uint64_t hash;
	uint64_t count;
	uint64_t now_us; /* the world's clock, for the lines' times */
	struct trace_line ring[TRACE_LINES];
};

void trace_init(struct trace *t, bool print);
void trace_add(struct trace *t, const char *format, const uint64_t *arguments, unsigned n);
/* The last lines, at most "lines". */
void trace_print_tail(const struct trace *t, FILE *out, unsigned lines);

#define TRACE(t, format, ...)                                                                                \
	trace_add((t), (format), (const uint64_t[]){__VA_ARGS__},                                                \
			  (unsigned) (sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t)))
#define TRACE_STRING(s) ((uint64_t) (uintptr_t) (s))
#define TRACE_BALLOT(b) (b).round, (b).node_id

#endif /* SIM_TRACE_H */
