/* trace.c - see trace.h. */
#include "trace.h"

#include <inttypes.h>
#include <string.h>

void trace_init(struct trace *t, bool print)
{
	memset(t, 0, sizeof(*t));
	t->print = print;
	t->hash = 0xcbf29ce484222325u;
}

static void mix(struct trace *t, uint64_t value)
{
	t->hash = (t->hash ^ value) * 0x9e3779b97f4a7c15u;
	t->hash ^= t->hash >> 29;
}

/* Addresses of strings differ between runs: their characters go into the hash. */
static void mix_string(struct trace *t, const char *s)
{
	for (; *s != '\0'; s++)
		mix(t, (uint8_t) *s);
}

static const uint64_t *print_one(FILE *out, char conversion, const uint64_t *argument)
{
	switch (conversion)
	{
		case 'u':
			fprintf(out, "%" PRIu64, *argument++);
			break;
		case 'x':
			fprintf(out, "%" PRIx64, *argument++);
			break;
		case 's':
			fputs((const char *) (uintptr_t) *argument++, out);
			break;
		case 'b':
			fprintf(out, "%" PRIu64 ".%" PRIu64, argument[0], argument[1]);
			argument += 2;
			break;
		default:
			fputc(conversion, out);
	}
	return argument;
}

static void print_line(FILE *out, const struct trace_line *line)
{
	const uint64_t *argument = line->arguments;

	fprintf(out, "%6" PRIu64 ".%03" PRIu64 " ms  ", line->at_us / 1000, line->at_us % 1000);
	for (const char *f = line->format; *f != '\0'; f++)
	{
		if (*f == '%' && f[1] != '\0')
			argument = print_one(out, *++f, argument);
		else
			fputc(*f, out);
	}
	fputc('\n', out);
}

void trace_add(struct trace *t, const char *format, const uint64_t *arguments, unsigned n)
{
	struct trace_line *line = &t->ring[t->count++ % TRACE_LINES];
	unsigned next = 0;

	line->at_us = t->now_us;
	line->format = format;
	for (unsigned i = 0; i < n && i < TRACE_ARGUMENTS; i++)
		line->arguments[i] = arguments[i];
	mix(t, t->now_us);
	for (const char *f = format; *f != '\0'; f++)
	{
		if (*f != '%' || next >= n)
			continue;
		f++;
		if (*f == 's')
			mix_string(t, (const char *) (uintptr_t) arguments[next++]);
		else
		{
			mix(t, arguments[next++]);
			if (*f == 'b')
				mix(t, arguments[next++]);
		}
	}
	if (t->print)
		print_line(stdout, line);
}

void trace_print_tail(const struct trace *t, FILE *out, unsigned lines)
{
	uint64_t from = 0;

	if (lines > TRACE_LINES)
		lines = TRACE_LINES;
	if (t->count > lines)
		from = t->count - lines;
	for (uint64_t i = from; i < t->count; i++)
		print_line(out, &t->ring[i % TRACE_LINES]);
}
