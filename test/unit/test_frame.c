/*
 * test_frame.c - frames: made, read, split, joined, and what is refused.
 */
#include "transport/frame.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* Builds the frames of a message of "length" bytes that count up. */
static uint8_t *build(uint64_t length, uint8_t flags, uint8_t **message)
{
	uint8_t *out = malloc(frame_total_bytes(length));
	uint8_t *bytes = malloc(length + 1);
	/* In odd parts, so that they cross the frames' ends. */
	struct frame_part parts[3] = {
		{bytes, length / 3}, {bytes + length / 3, 0}, {bytes + length / 3, length - length / 3}};

	for (uint64_t i = 0; i < length; i++)
		bytes[i] = (uint8_t) (i * 7 + i / 251);
	frame_build(out, flags, parts, 3);
	*message = bytes;
	return out;
}

/* Takes the frames apart again, checks each one's end, and compares. */
static void round_trip(uint64_t length, uint64_t frames)
{
	uint8_t *expected;
	uint8_t *bytes = build(length, FRAME_BULK, &expected);
	uint64_t total = frame_total_bytes(length);
	struct frame_assembly assembly = {0};
	const uint8_t *message = NULL;
	uint64_t got = 0;
	uint64_t n = 0;
	bool ends = true;
	enum frame_result result = FRAME_INCOMPLETE;

	for (uint64_t at = 0; at < total && result == FRAME_INCOMPLETE; n++)
	{
		struct frame frame;
		size_t size;

		if (frame_parse(bytes + at, total - at, FRAME_PAYLOAD_MAX, &frame, &size) != FRAME_OK)
			break;
		ends =
			ends && frame_end_at(total, at) == at + size && frame_end_at(total, at + size - 1) == at + size;
		result = frame_assemble(&assembly, &frame, length, &message, &got);
		at += size;
	}
	ok(result == FRAME_OK && got == length && memcmp(message, expected, length) == 0, "%lu bytes come back",
	   (unsigned long) length);
	is_u64(n, frames, "in so many frames");
	ok(ends, "frame_end_at() agrees with the frames");
	frame_assembly_clear(&assembly);
	free(bytes);
	free(expected);
}

static enum frame_result parse_changed(const uint8_t *bytes, size_t total, size_t at, uint8_t change)
{
	uint8_t *copy = malloc(total);
	struct frame frame;
	size_t size;
	enum frame_result result;

	memcpy(copy, bytes, total);
	copy[at] ^= change;
	result = frame_parse(copy, total, FRAME_PAYLOAD_MAX, &frame, &size);
	free(copy);
	return result;
}

static void damage(void)
{
	uint8_t *message;
	uint8_t *bytes = build(100, 0, &message);
	size_t total = frame_total_bytes(100);
	unsigned good = 0;
	unsigned waiting = 0;
	struct frame frame;
	size_t size;

	for (size_t at = 0; at < total; at++)
	{
		for (int bit = 0; bit < 8; bit++)
			good += parse_changed(bytes, total, at, (uint8_t) (1 << bit)) == FRAME_OK;
	}
	is_u64(good, 0, "no frame with a flipped bit is taken");
	for (size_t n = 0; n < total; n++)
		waiting += frame_parse(bytes, n, FRAME_PAYLOAD_MAX, &frame, &size) == FRAME_INCOMPLETE;
	is_u64(waiting, total, "every part of a frame waits for the rest");
	ok(frame_parse(bytes, total, 99, &frame, &size) == FRAME_BAD,
	   "a payload above the caller's limit is refused");
	ok(frame_parse(bytes, FRAME_HEADER_BYTES, 99, &frame, &size) == FRAME_BAD, "... by its header alone");
	ok(frame_parse((const uint8_t *) "GET", 3, 99, &frame, &size) == FRAME_BAD,
	   "garbage is refused by its first byte");
	free(bytes);
	free(message);
}

/* What frame_parse() says of a frame with these flags and a payload of that length. */
static bool flags_taken(uint8_t flags, uint32_t length)
{
	uint8_t bytes[FRAME_HEADER_BYTES + 8] = {0};
	uint8_t payload[8] = {0};
	struct frame_part part = {payload, length};
	struct frame frame;
	size_t size;

	frame_build(bytes, flags, &part, 1);
	return frame_parse(bytes, sizeof(bytes), 8, &frame, &size) == FRAME_OK;
}

static void flags(void)
{
	ok(flags_taken(0, 8) && flags_taken(FRAME_BULK, 8) && flags_taken(FRAME_HANDSHAKE, 8),
	   "the three kinds of message");
	ok(flags_taken(FRAME_PING, 0) && !flags_taken(FRAME_PING, 8), "a ping has no payload");
	ok(!flags_taken(0, 0) && !flags_taken(FRAME_BULK, 0), "others have one");
	ok(!flags_taken(FRAME_HANDSHAKE | FRAME_BULK, 8) && !flags_taken(32, 8), "flags that don't go together");
}

static void turns(void)
{
	uint8_t payload[64] = {0};
	struct frame first = {FRAME_BULK | FRAME_FIRST, 64, payload};
	struct frame middle = {FRAME_BULK, 64, payload};
	struct frame whole = {FRAME_BULK | FRAME_WHOLE, 64, payload};
	struct frame_assembly a = {0};
	const uint8_t *message;
	uint64_t length;

	ok(frame_assemble(&a, &middle, 1000, &message, &length) == FRAME_BAD, "a middle frame without a first");
	ok(frame_assemble(&a, &first, 1000, &message, &length) == FRAME_INCOMPLETE, "a first frame");
	ok(frame_assemble(&a, &first, 1000, &message, &length) == FRAME_BAD, "a second first one");
	ok(frame_assemble(&a, &whole, 1000, &message, &length) == FRAME_BAD, "a whole one in between");
	ok(frame_assemble(&a, &middle, 1000, &message, &length) == FRAME_INCOMPLETE, "the next");
	ok(frame_assemble(&a, &middle, 191, &message, &length) == FRAME_BAD, "one byte above the limit");
	frame_assembly_clear(&a);
	ok(frame_assemble(&a, &whole, 1000, &message, &length) == FRAME_OK && message == payload,
	   "a message of one frame is not copied");
	frame_assembly_clear(&a);
}

int main(void)
{
	round_trip(1, 1);
	round_trip(FRAME_SPLIT_BYTES - 1, 1);
	round_trip(FRAME_SPLIT_BYTES, 1);
	round_trip(FRAME_SPLIT_BYTES + 1, 2);
	round_trip(3 * FRAME_SPLIT_BYTES, 3);
	round_trip((5u << 20) + 17, 81);
	damage();
	flags();
	turns();
	return done();
}
