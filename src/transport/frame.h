/*
 * frame.h - frames: the pieces in which messages cross a socket (docs/wire.md).
 *
 * A frame is a header of 12 bytes {magic, version, flags, zero, length, CRC-32C} and a payload.  A message
 * is one frame or, in the bulk lane, several; frames of the control lane may come between those.  Pure:
 * bytes in, bytes out.
 */
#ifndef TRANSPORT_FRAME_H
#define TRANSPORT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAGIC 0xB7
#define FRAME_VERSION 1
#define FRAME_HEADER_BYTES 12
/* The largest payload that is taken, and the one that messages are split at. */
#define FRAME_PAYLOAD_MAX (256u << 10)
#define FRAME_SPLIT_BYTES (64u << 10)

enum frame_flag
{
	FRAME_BULK = 1,      /* lane: bulk, else control */
	FRAME_FIRST = 2,     /* of a message */
	FRAME_LAST = 4,      /* of a message */
	FRAME_HANDSHAKE = 8, /* control, one frame */
	FRAME_PING = 16      /* no payload: "I live" */
};

#define FRAME_WHOLE (FRAME_FIRST | FRAME_LAST)
#define FRAME_ALL_FLAGS (FRAME_BULK | FRAME_WHOLE | FRAME_HANDSHAKE | FRAME_PING)

/* A frame in someone else's buffer. */
struct frame
{
	uint8_t flags;
	uint32_t length; /* of the payload */
	const uint8_t *payload;
};

enum frame_result
{
	FRAME_OK,
	FRAME_INCOMPLETE, /* more bytes are needed */
	FRAME_BAD,        /* not a frame; nothing behind it can be read */
	FRAME_MEMORY
};

/* A piece of a payload to be sent. */
struct frame_part
{
	const void *bytes;
	uint64_t length;
};

/* A message of the bulk lane as far as it came. */
struct frame_assembly
{
	bool open; /* a first frame came, its last did not */
	uint8_t *bytes;
	uint64_t length;
	uint64_t capacity;
};

/*
 * Reads the frame at the start of bytes, its payload at most max_payload.  *total: header and payload, as
 * soon as the header is there (0 before).
 */
enum frame_result frame_parse(const uint8_t *bytes, size_t available, uint32_t max_payload,
							  struct frame *frame, size_t *total);

/* What a message of that many bytes takes, headers included. */
uint64_t frame_total_bytes(uint64_t length);

/* The end of the frame in which byte "sent" of such a message's frames lies (sent < total). */
uint64_t frame_end_at(uint64_t total, uint64_t sent);

/* Writes the frames of a message made of parts: frame_total_bytes() of the sum of their lengths. */
void frame_build(uint8_t *out, uint8_t flags, const struct frame_part *parts, uint32_t n_parts);

/*
 * Adds a message's frame.  FRAME_OK: *message is whole; it lies in the frame itself, or in the assembly until
 * the next call.  FRAME_INCOMPLETE: more frames must come.  FRAME_BAD: out of turn, or more than max bytes.
 */
enum frame_result frame_assemble(struct frame_assembly *assembly, const struct frame *frame, uint64_t max,
								 const uint8_t **message, uint64_t *length);

/* Frees what the assembly holds; it can be used again. */
void frame_assembly_clear(struct frame_assembly *assembly);

#endif /* TRANSPORT_FRAME_H */
