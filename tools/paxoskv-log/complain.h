/*
 * complain.h - how this program gives up.
 */
#ifndef COMPLAIN_H
#define COMPLAIN_H

/* What the program exits with. */
enum exit_status
{
	EXIT_GOOD = 0,
	EXIT_DAMAGED = 1, /* the log is not whole */
	EXIT_TROUBLE = 2  /* it could not be examined */
};

/* Says so on stderr and exits with EXIT_TROUBLE. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif /* COMPLAIN_H */
