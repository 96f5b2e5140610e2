/*
 * frame.c - making, reading and joining frames.
 *
 * The CRC guards against broken links, middleboxes and our own mistakes, not against attackers; who may
 * speak at all is the handshake's business.
 */
#include "transport/frame.h"

#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "paxos/bytes.h"

#define CRC_OFFSET 8
/* Kept between messages; a larger buffer is freed once its message was read. */
#define ASSEMBLY_KEPT_BYTES (1u << 20)
#define ASSEMBLY_FIRST_BYTES (256u << 10)

static uint32_t frame_crc(const uint8_t *header, const uint8_t *payload, uint32_t length)
{
	return plog_crc32c(plog_crc32c(0, header, CRC_OFFSET), payload, length);
}

/* Flags that can stand together; a bulk frame needs a payload, or a peer could send frames for ever. */
static bool frame_flags_valid(uint8_t flags, uint32_t length)
{
	if ((flags & ~FRAME_ALL_FLAGS) != 0)
		return false;
	if (flags & FRAME_PING)
		return flags == (FRAME_PING | FRAME_WHOLE) && length == 0;
	if (length == 0)
		return false;
	if (flags & FRAME_HANDSHAKE)
		return flags == (FRAME_HANDSHAKE | FRAME_WHOLE);
	return (flags & FRAME_BULK) || (flags & FRAME_WHOLE) == FRAME_WHOLE;
}

enum frame_result frame_parse(const uint8_t *bytes, size_t available, uint32_t max_payload,
							  struct frame *frame, size_t *total)
{
	uint32_t length;

	*total = 0;
	/* Garbage is told by its first bytes, without waiting for a whole header. */
	if ((available > 0 && bytes[0] != FRAME_MAGIC) || (available > 1 && bytes[1] != FRAME_VERSION))
		return FRAME_BAD;
	if (available < FRAME_HEADER_BYTES)
		return FRAME_INCOMPLETE;
	length = get_u32(bytes + 4);
	if (length > max_payload || bytes[3] != 0 || !frame_flags_valid(bytes[2], length))
		return FRAME_BAD;
	*total = FRAME_HEADER_BYTES + (size_t) length;
	if (available < *total)
		return FRAME_INCOMPLETE;
	frame->flags = bytes[2];
	frame->length = length;
	frame->payload = bytes + FRAME_HEADER_BYTES;
	if (frame_crc(bytes, frame->payload, length) != get_u32(bytes + CRC_OFFSET))
		return FRAME_BAD;
	return FRAME_OK;
}

uint64_t frame_total_bytes(uint64_t length)
{
	uint64_t frames = length == 0 ? 1 : (length + FRAME_SPLIT_BYTES - 1) / FRAME_SPLIT_BYTES;

	return length + frames * FRAME_HEADER_BYTES;
}

uint64_t frame_end_at(uint64_t total, uint64_t sent)
{
	uint64_t whole = FRAME_HEADER_BYTES + FRAME_SPLIT_BYTES;
	uint64_t end = (sent / whole + 1) * whole;

	return end < total ? end : total;
}

static void frame_finish(uint8_t *header, uint8_t flags, uint32_t length)
{
	header[0] = FRAME_MAGIC;
	header[1] = FRAME_VERSION;
	header[2] = flags;
	header[3] = 0;
	put_u32(header + 4, length);
	put_u32(header + CRC_OFFSET, frame_crc(header, header + FRAME_HEADER_BYTES, length));
}

void frame_build(uint8_t *out, uint8_t flags, const struct frame_part *parts, uint32_t n_parts)
{
	uint8_t *header = out;
	uint32_t length = 0;
	uint8_t place = FRAME_FIRST;

	for (uint32_t i = 0; i < n_parts; i++)
	{
		const uint8_t *from = parts[i].bytes;
		uint64_t left = parts[i].length;

		while (left > 0)
		{
			uint64_t take = FRAME_SPLIT_BYTES - length;

			if (take == 0)
			{
				frame_finish(header, flags | place, length);
				header += FRAME_HEADER_BYTES + length;
				length = 0;
				place = 0;
				continue;
			}
			if (take > left)
				take = left;
			memcpy(header + FRAME_HEADER_BYTES + length, from, take);
			from += take;
			left -= take;
			length += (uint32_t) take;
		}
	}
	frame_finish(header, flags | place | FRAME_LAST, length);
}

static enum frame_result assembly_add(struct frame_assembly *assembly, const struct frame *frame,
									  uint64_t max)
{
	uint64_t needed = assembly->length + frame->length;

	if (needed > max)
		return FRAME_BAD;
	if (needed > assembly->capacity)
	{
		uint64_t capacity = assembly->capacity == 0 ? ASSEMBLY_FIRST_BYTES : assembly->capacity * 2;
		uint8_t *bytes;

		while (capacity < needed)
			capacity *= 2;
		if (capacity > max)
			capacity = max;
		bytes = realloc(assembly->bytes, capacity);
		if (bytes == NULL)
			return FRAME_MEMORY;
		assembly->bytes = bytes;
		assembly->capacity = capacity;
	}
	memcpy(assembly->bytes + assembly->length, frame->payload, frame->length);
	assembly->length = needed;
	return FRAME_OK;
}

enum frame_result frame_assemble(struct frame_assembly *assembly, const struct frame *frame, uint64_t max,
								 const uint8_t **message, uint64_t *length)
{
	enum frame_result result;

	if ((frame->flags & FRAME_FIRST ? true : false) == assembly->open)
		return FRAME_BAD;
	if (frame->flags & FRAME_FIRST)
	{
		if (assembly->capacity > ASSEMBLY_KEPT_BYTES)
			frame_assembly_clear(assembly);
		assembly->length = 0;
		if (frame->flags & FRAME_LAST)
		{
			*message = frame->payload;
			*length = frame->length;
			return FRAME_OK;
		}
		assembly->open = true;
	}
	result = assembly_add(assembly, frame, max);
	if (result != FRAME_OK)
		return result;
	if (!(frame->flags & FRAME_LAST))
		return FRAME_INCOMPLETE;
	assembly->open = false;
	*message = assembly->bytes;
	*length = assembly->length;
	return FRAME_OK;
}

void frame_assembly_clear(struct frame_assembly *assembly)
{
	free(assembly->bytes);
	*assembly = (struct frame_assembly){0};
}
