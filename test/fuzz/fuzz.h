/*
 * fuzz.h - what the targets share: conditions, and an input that is read as a sequence of choices.
 *
 * A choice beyond the input's end is 0, so that every input means something and a prefix of one as well.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it must hold in every build. */
#define MUST(condition)                                                                                      \
	do                                                                                                       \
	{                                                                                                        \
		if (!(condition))                                                                                    \
			must_failed(#condition, __FILE__, __LINE__);                                                     \
	} while (0)

__attribute__((unused, noreturn)) static void must_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: \"%s\" does not hold\n", file, line, condition);
	fflush(stderr);
	abort();
}

struct input
{
	const uint8_t *bytes;
	size_t left;
};

__attribute__((unused)) static bool input_ended(const struct input *in)
{
	return in->left == 0;
}

__attribute__((unused)) static uint8_t take_u8(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->bytes++;
}

__attribute__((unused)) static uint32_t take_u16(struct input *in)
{
	uint32_t low = take_u8(in);

	return low | (uint32_t) take_u8(in) << 8;
}

__attribute__((unused)) static uint64_t take_u64(struct input *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t) take_u8(in) << (8 * i);
	return value;
}

/* One of 0 .. n - 1, n at most 256. */
__attribute__((unused)) static uint32_t take_below(struct input *in, uint32_t n)
{
	return take_u8(in) % n;
}

#endif /* FUZZ_H */
