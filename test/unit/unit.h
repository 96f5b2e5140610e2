/*
 * unit.h - what a unit test needs, in TAP: one program, one plan, a line a check.
 *
 *	 int main(void)
 *	 {
 *		 ok(1 + 1 == 2, "sums");
 *		 is_u64(f(3), 9, "f squares");
 *		 return done();
 *	 }
 *
 * plan(n), if called first, also fails a test that made fewer or more checks.  done() gives the exit code.
 */
#ifndef UNIT_H
#define UNIT_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

static unsigned unit_planned, unit_run, unit_failed;

/* What a program doesn't use of these is no mistake. */
#define UNIT_FUNCTION __attribute__((unused)) static

UNIT_FUNCTION void plan(unsigned n)
{
	unit_planned = n;
	printf("1..%u\n", n);
}

/* One check; "what" is a printf format.  Gives the condition back. */
__attribute__((format(printf, 4, 5))) UNIT_FUNCTION bool unit_ok(bool condition, const char *file, int line,
																 const char *what, ...)
{
	va_list args;

	unit_run++;
	printf("%sok %u - ", condition ? "" : "not ", unit_run);
	va_start(args, what);
	vprintf(what, args);
	va_end(args);
	printf("\n");
	if (!condition)
	{
		unit_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return condition;
}

UNIT_FUNCTION bool unit_is_u64(uint64_t got, uint64_t expected, const char *file, int line, const char *what)
{
	bool same = unit_ok(got == expected, file, line, "%s", what);

	if (!same)
		printf("# got %" PRIu64 ", expected %" PRIu64 "\n", got, expected);
	return same;
}

#define ok(condition, ...) unit_ok((condition), __FILE__, __LINE__, __VA_ARGS__)
#define is_u64(got, expected, what) unit_is_u64((got), (expected), __FILE__, __LINE__, (what))

UNIT_FUNCTION int done(void)
{
	if (unit_planned == 0)
		printf("1..%u\n", unit_run);
	else if (unit_planned != unit_run)
	{
		printf("# planned %u checks, made %u\n", unit_planned, unit_run);
		return 1;
	}
	return unit_failed > 0 || unit_run == 0;
}

#endif /* UNIT_H */
