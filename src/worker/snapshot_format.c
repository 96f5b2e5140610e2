/*
 * snapshot_format.c - a table as bytes: requests, chunks, the header.
 */
#include "postgres.h"

#include "log/log.h"
#include "paxos/bytes.h"
#include "worker/snapshot_format.h"

static const char magic[8] = {'p', 'x', 's', 'n', 'a', 'p', 's', 'h'};

void snapshot_put_request(uint8 bytes[SNAPSHOT_REQUEST_BYTES], uint64 slot)
{
	memcpy(bytes, magic, sizeof(magic));
	put_u32(bytes + 8, SNAPSHOT_VERSION);
	put_u32(bytes + 12, 0);
	put_u64(bytes + 16, slot);
}

bool snapshot_get_request(const uint8 *bytes, uint64 length, uint64 *slot)
{
	if (length != SNAPSHOT_REQUEST_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0 ||
		get_u32(bytes + 8) != SNAPSHOT_VERSION)
		return false;
	*slot = get_u64(bytes + 16);
	return true;
}

/* ---------------------------------------------------------------- chunks */

/* Of all but the CRC itself. */
static uint32 chunk_crc(SnapshotChunkKind kind, uint8 table, const void *payload, uint64 length)
{
	uint8 head[12] = {(uint8) kind, table};
	uint32 crc;

	put_u64(head + 4, length);
	crc = plog_crc32c(0, head, sizeof(head));
	return plog_crc32c(crc, payload, length);
}

void snapshot_put_chunk(uint8 bytes[SNAPSHOT_CHUNK_HEADER_BYTES], SnapshotChunkKind kind, uint8 table,
						const void *payload, uint64 length)
{
	memset(bytes, 0, SNAPSHOT_CHUNK_HEADER_BYTES);
	bytes[0] = (uint8) kind;
	bytes[1] = table;
	put_u32(bytes + 4, chunk_crc(kind, table, payload, length));
	put_u64(bytes + 8, length);
}

bool snapshot_get_chunk(const uint8 bytes[SNAPSHOT_CHUNK_HEADER_BYTES], SnapshotChunk *chunk)
{
	chunk->kind = (SnapshotChunkKind) bytes[0];
	chunk->table = bytes[1];
	chunk->crc = get_u32(bytes + 4);
	chunk->length = get_u64(bytes + 8);
	return bytes[2] == 0 && bytes[3] == 0 && chunk->length <= SNAPSHOT_CHUNK_MAX &&
		   (chunk->kind == CHUNK_HEADER || chunk->kind == CHUNK_ROWS || chunk->kind == CHUNK_END ||
			chunk->kind == CHUNK_ERROR);
}

bool snapshot_chunk_is_whole(const SnapshotChunk *chunk, const uint8 *payload)
{
	return chunk->crc == chunk_crc(chunk->kind, chunk->table, payload, chunk->length);
}

/* ---------------------------------------------------------------- the header */

#define FIXED_BYTES 60

static uint8 *put_bytes(uint8 *p, const uint8 *bytes, uint32 length)
{
	put_u32(p, length);
	memcpy(p + 4, bytes, length);
	return p + 4 + length;
}

uint32 snapshot_put_header(uint8 bytes[SNAPSHOT_HEADER_MAX], const SnapshotHeader *header)
{
	uint8 *p = bytes + FIXED_BYTES;

	Assert(header->config_length <= FORMATION_BLOB_MAX && header->sessions_length <= SNAPSHOT_SESSIONS_MAX);
	put_u32(bytes, SNAPSHOT_VERSION);
	put_u64(bytes + 4, header->slot);
	state_hash_to_bytes(header->hash, bytes + 12);
	put_u64(bytes + 28, header->rows);
	put_u64(bytes + 36, header->request_count);
	put_u64(bytes + 44, header->newest_dropped);
	put_u64(bytes + 52, header->disk_bytes);
	p = put_bytes(p, header->config, header->config_length);
	p = put_bytes(p, header->sessions, header->sessions_length);
	return (uint32) (p - bytes);
}

static bool get_bytes(const uint8 **p, const uint8 *end, uint32 max, const uint8 **bytes, uint32 *length)
{
	if (end - *p < 4)
		return false;
	*length = get_u32(*p);
	*bytes = *p + 4;
	if (*length > max || (uint64) (end - *bytes) < *length)
		return false;
	*p = *bytes + *length;
	return true;
}

bool snapshot_get_header(const uint8 *bytes, uint64 length, SnapshotHeader *header)
{
	const uint8 *p = bytes + FIXED_BYTES;
	const uint8 *end = bytes + length;

	if (length < FIXED_BYTES || length > SNAPSHOT_HEADER_MAX || get_u32(bytes) != SNAPSHOT_VERSION)
		return false;
	header->slot = get_u64(bytes + 4);
	header->hash = state_hash_from_bytes(bytes + 12);
	header->rows = get_u64(bytes + 28);
	header->request_count = get_u64(bytes + 36);
	header->newest_dropped = get_u64(bytes + 44);
	header->disk_bytes = get_u64(bytes + 52);
	return get_bytes(&p, end, FORMATION_BLOB_MAX, &header->config, &header->config_length) &&
		   get_bytes(&p, end, SNAPSHOT_SESSIONS_MAX, &header->sessions, &header->sessions_length) && p == end;
}
