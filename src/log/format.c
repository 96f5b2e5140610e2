/*
 * format.c - structs to bytes and back.  docs/disk-format.md has the tables; the static asserts keep the
 * two together.
 */
#include "log/format.h"

#include <string.h>

#define SEGMENT_MAGIC "PXKVSEG\n"
#define METADATA_MAGIC "PXKVMETA"
#define MARKER_MAGIC 0x4d4b5650u /* "PVKM" */
#define RECORD_VERSION 1
#define MARKER_VERSION 1
#define METADATA_HEADER 80

_Static_assert(PLOG_MARKERS_PER_PAIR == 64, "two blocks of 32 markers");
_Static_assert(METADATA_HEADER + PLOG_CONFIG_MAX <= PLOG_BLOCK, "the metadata fit one block");

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t) v;
	p[1] = (uint8_t) (v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t) v);
	put16(p + 2, (uint16_t) (v >> 16));
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t) v);
	put32(p + 4, (uint32_t) (v >> 32));
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t) (p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t) get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t) get32(p + 4) << 32;
}

static void put_ballot(uint8_t *p, struct paxos_ballot ballot)
{
	put64(p, ballot.round);
	put32(p + 8, ballot.priority);
	put32(p + 12, ballot.node_id);
}

static struct paxos_ballot get_ballot(const uint8_t *p)
{
	return (struct paxos_ballot){.round = get64(p), .priority = get32(p + 8), .node_id = get32(p + 12)};
}

int plog_position_compare(struct plog_position a, struct plog_position b)
{
	if (a.segment != b.segment)
		return a.segment < b.segment ? -1 : 1;
	if (a.offset != b.offset)
		return a.offset < b.offset ? -1 : 1;
	return 0;
}

/* ---------------------------------------------------------------- geometry */

uint64_t format_data_offset(uint64_t size)
{
	uint64_t pair = 2 * PLOG_BLOCK;
	uint64_t markers = size / 8 / pair * pair;

	return PLOG_MARKERS_OFFSET + (markers < pair ? pair : markers);
}

uint64_t format_segment_size(uint64_t wanted, uint64_t need)
{
	uint64_t pair = 2 * PLOG_BLOCK;
	uint64_t size = wanted < PLOG_SEGMENT_MIN ? PLOG_SEGMENT_MIN : wanted;

	size = (size + pair - 1) / pair * pair;
	if (size - format_data_offset(size) < need)
		size = ((need + need / 7 + PLOG_SEGMENT_MIN) / pair + 1) * pair;
	return size;
}

uint32_t format_marker_capacity(uint64_t data_offset)
{
	return (uint32_t) ((data_offset - PLOG_MARKERS_OFFSET) / PLOG_MARKER_BYTES);
}

uint64_t format_marker_offset(uint32_t number)
{
	uint64_t pair = number / PLOG_MARKERS_PER_PAIR;
	uint64_t within = number % PLOG_MARKERS_PER_PAIR;

	return PLOG_MARKERS_OFFSET + pair * 2 * PLOG_BLOCK + (within % 2) * PLOG_BLOCK +
		   within / 2 * PLOG_MARKER_BYTES;
}

uint64_t format_padded(uint32_t length)
{
	return ((uint64_t) length + 7) / 8 * 8;
}

/* ---------------------------------------------------------------- segment header */

void format_put_header(uint8_t block[PLOG_BLOCK], const struct plog_segment_header *header)
{
	memset(block, 0, PLOG_BLOCK);
	memcpy(block, SEGMENT_MAGIC, 8);
	put32(block + 12, PLOG_FORMAT_VERSION);
	memcpy(block + 16, header->identity.store_id.bytes, 16);
	put64(block + 32, header->identity.segment);
	put64(block + 40, header->identity.run);
	put64(block + 48, header->size);
	put64(block + 56, header->data_offset);
	put64(block + 64, header->previous.segment);
	put64(block + 72, header->previous.offset);
	put64(block + 80, header->begin.first_slot);
	put64(block + 88, header->begin.end);
	put_ballot(block + 96, header->begin.accepted);
	put64(block + 112, header->begin.epoch);
	put32(block + 120, header->recycled ? 1 : 0);
	put32(block + 8, plog_crc32c(0, block + 12, PLOG_BLOCK - 12));
}

enum format_verdict format_get_header(const uint8_t block[PLOG_BLOCK], struct plog_segment_header *header)
{
	if (memcmp(block, SEGMENT_MAGIC, 8) != 0 ||
		get32(block + 8) != plog_crc32c(0, block + 12, PLOG_BLOCK - 12))
		return FORMAT_BAD;
	if (get32(block + 12) != PLOG_FORMAT_VERSION)
		return FORMAT_UNKNOWN;
	memcpy(header->identity.store_id.bytes, block + 16, 16);
	header->identity.segment = get64(block + 32);
	header->identity.run = get64(block + 40);
	header->size = get64(block + 48);
	header->data_offset = get64(block + 56);
	header->previous.segment = get64(block + 64);
	header->previous.offset = get64(block + 72);
	header->begin.first_slot = get64(block + 80);
	header->begin.end = get64(block + 88);
	header->begin.accepted = get_ballot(block + 96);
	header->begin.epoch = get64(block + 112);
	header->recycled = get32(block + 120) != 0;
	if (header->data_offset < PLOG_MARKERS_OFFSET + 2 * PLOG_BLOCK || header->data_offset > header->size ||
		header->data_offset % (2 * PLOG_BLOCK) != 0)
		return FORMAT_BAD;
	return FORMAT_GOOD;
}

/* ---------------------------------------------------------------- records */

static uint32_t identity_crc(const struct plog_identity *identity, uint64_t offset)
{
	uint8_t bytes[40];

	memcpy(bytes, identity->store_id.bytes, 16);
	put64(bytes + 16, identity->segment);
	put64(bytes + 24, identity->run);
	put64(bytes + 32, offset);
	return plog_crc32c(0, bytes, sizeof bytes);
}

void format_put_record(uint8_t *bytes, const struct plog_record *record, const struct plog_identity *identity,
					   uint64_t offset)
{
	put32(bytes + 4, record->length);
	put16(bytes + 8, record->type);
	put16(bytes + 10, RECORD_VERSION);
	put32(bytes + 12, record->flags);
	put64(bytes + 16, record->epoch);
	put_ballot(bytes + 24, record->ballot);
	put64(bytes + 40, record->slot);
	put64(bytes + 48, record->base);
	put64(bytes + 56, record->end);
	put32(bytes, plog_crc32c(identity_crc(identity, offset), bytes + 4, record->length - 4));
}

void format_get_record(const uint8_t *bytes, struct plog_record *record)
{
	record->length = get32(bytes + 4);
	record->type = get16(bytes + 8);
	record->version = get16(bytes + 10);
	record->flags = get32(bytes + 12);
	record->epoch = get64(bytes + 16);
	record->ballot = get_ballot(bytes + 24);
	record->slot = get64(bytes + 40);
	record->base = get64(bytes + 48);
	record->end = get64(bytes + 56);
}

bool format_length_possible(uint32_t length, uint64_t room)
{
	return length >= PLOG_RECORD_HEADER && length <= PLOG_RECORD_MAX && format_padded(length) <= room;
}

bool format_record_good(const uint8_t *bytes, uint32_t length, const struct plog_identity *identity,
						uint64_t offset)
{
	return get32(bytes) == plog_crc32c(identity_crc(identity, offset), bytes + 4, length - 4);
}

void format_put_place(uint8_t bytes[FORMAT_PLACE_BYTES], struct plog_position place)
{
	put64(bytes, place.segment);
	put64(bytes + 8, place.offset);
}

struct plog_position format_get_place(const uint8_t bytes[FORMAT_PLACE_BYTES])
{
	return (struct plog_position){get64(bytes), get64(bytes + 8)};
}

/* ---------------------------------------------------------------- markers */

void format_put_marker(uint8_t bytes[PLOG_MARKER_BYTES], const struct plog_marker *marker,
					   const struct plog_identity *identity, uint64_t offset)
{
	memset(bytes, 0, PLOG_MARKER_BYTES);
	put32(bytes + 4, MARKER_MAGIC);
	put16(bytes + 8, MARKER_VERSION);
	put64(bytes + 16, identity->segment);
	put64(bytes + 24, marker->run);
	put64(bytes + 32, marker->sync);
	put64(bytes + 40, marker->from);
	put64(bytes + 48, marker->to);
	put64(bytes + 56, marker->lowest);
	put64(bytes + 64, marker->highest);
	put_ballot(bytes + 72, marker->accepted);
	put64(bytes + 88, marker->end);
	put64(bytes + 96, marker->completed.segment);
	put64(bytes + 104, marker->completed.offset);
	put32(bytes + 112, marker->kinds);
	put32(bytes, plog_crc32c(identity_crc(identity, offset), bytes + 4, PLOG_MARKER_BYTES - 4));
}

bool format_get_marker(const uint8_t bytes[PLOG_MARKER_BYTES], struct plog_marker *marker,
					   const struct plog_identity *identity, uint64_t offset, bool any_run)
{
	struct plog_identity used = *identity;

	if (get32(bytes + 4) != MARKER_MAGIC || get16(bytes + 8) != MARKER_VERSION ||
		get64(bytes + 16) != identity->segment)
		return false;
	if (any_run)
		used.run = get64(bytes + 24);
	if (get32(bytes) != plog_crc32c(identity_crc(&used, offset), bytes + 4, PLOG_MARKER_BYTES - 4))
		return false;
	if (get64(bytes + 56) == 0) /* there is no slot 0 */
		return false;
	marker->run = get64(bytes + 24);
	marker->sync = get64(bytes + 32);
	marker->from = get64(bytes + 40);
	marker->to = get64(bytes + 48);
	marker->lowest = get64(bytes + 56);
	marker->highest = get64(bytes + 64);
	marker->accepted = get_ballot(bytes + 72);
	marker->end = get64(bytes + 88);
	marker->completed.segment = get64(bytes + 96);
	marker->completed.offset = get64(bytes + 104);
	marker->kinds = get32(bytes + 112);
	return true;
}

/* ---------------------------------------------------------------- metadata */

/* The core makes sequences of a run's upper half (paxos.c). */
#define METADATA_RUN_MAX (UINT32_MAX / 2)

void format_put_metadata(uint8_t block[PLOG_BLOCK], const struct plog_metadata *metadata)
{
	memset(block, 0, PLOG_BLOCK);
	memcpy(block, METADATA_MAGIC, 8);
	put32(block + 12, PLOG_FORMAT_VERSION);
	put64(block + 16, metadata->sequence);
	memcpy(block + 24, metadata->store_id.bytes, 16);
	put64(block + 40, metadata->run);
	put_ballot(block + 48, metadata->promise);
	put64(block + 64, metadata->promise_epoch);
	put32(block + 72, metadata->config_length);
	memcpy(block + METADATA_HEADER, metadata->config, metadata->config_length);
	put32(block + 8, plog_crc32c(0, block + 12, PLOG_BLOCK - 12));
}

enum format_verdict format_get_metadata(const uint8_t block[PLOG_BLOCK], struct plog_metadata *metadata)
{
	if (memcmp(block, METADATA_MAGIC, 8) != 0 ||
		get32(block + 8) != plog_crc32c(0, block + 12, PLOG_BLOCK - 12))
		return FORMAT_BAD;
	if (get32(block + 12) != PLOG_FORMAT_VERSION)
		return FORMAT_UNKNOWN;
	metadata->sequence = get64(block + 16);
	memcpy(metadata->store_id.bytes, block + 24, 16);
	metadata->run = get64(block + 40);
	metadata->promise = get_ballot(block + 48);
	metadata->promise_epoch = get64(block + 64);
	metadata->config_length = get32(block + 72);
	/* A run that no number of starts can reach would wrap. */
	if (metadata->config_length > PLOG_CONFIG_MAX || metadata->run > METADATA_RUN_MAX)
		return FORMAT_BAD;
	memset(metadata->config, 0, PLOG_CONFIG_MAX);
	memcpy(metadata->config, block + METADATA_HEADER, metadata->config_length);
	return FORMAT_GOOD;
}
