/*
 * snapshot_format.h - a table as bytes (T5), version 1.  All integers are little-endian.
 *
 * The receiver says once what it wants:
 *
 *	 8 "pxsnapsh", 4 version, 4 zero, 8 the oldest slot that will do
 *
 * and gets chunks, each {1 kind, 1 table, 2 zero, 4 CRC-32C of the rest, 8 length, payload}:
 *
 *	 'H' once, first: 4 version, 8 slot, 16 state hash, 8 rows of paxoskv.kv, 8 request ids, 8 slot of the newest id that
 *		 was dropped, 8 bytes on the sender's disk, 4 length and bytes of the configuration (formation.h), 4 length and
 *		 bytes of the sessions (store_values.c)
 *	 'R' any number: rows of the table with that number (snapshot_table.c has them in their order), one after the other
 *		 in the order of the keys; a chunk ends with the row that makes it larger than 48 kB.  A text or bytea is 4 length
 *		 (2^32 - 1: null) and
 *		 its bytes; a number, a boolean or a time is 8.
 *	 'E' once, last: 8 number of rows of each table
 *	 'X' instead of any of them: a text that says why there is no more
 *
 * What is sent is read in one snapshot of the database, at exactly that slot; the receiver believes the state hash only
 * when it has found it in its own table.
 */
#ifndef PAXOSKV_SNAPSHOT_FORMAT_H
#define PAXOSKV_SNAPSHOT_FORMAT_H

#include "postgres.h"

#include "paxos/formation.h"
#include "paxos/state_hash.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_REQUEST_BYTES 24
#define SNAPSHOT_CHUNK_HEADER_BYTES 16
/* Rows are gathered up to about this. */
#define SNAPSHOT_CHUNK_BYTES (48u << 10)
/* The largest row, its value an entry's, with some room for the rest. */
#define SNAPSHOT_CHUNK_MAX (PAXOS_MAX_ENTRY_BYTES + (1u << 20))
#define SNAPSHOT_SESSIONS_MAX 8192

typedef enum SnapshotChunkKind
{
	CHUNK_HEADER = 'H',
	CHUNK_ROWS = 'R',
	CHUNK_END = 'E',
	CHUNK_ERROR = 'X'
} SnapshotChunkKind;

typedef struct SnapshotChunk
{
	SnapshotChunkKind kind;
	uint8 table;
	uint32 crc;
	uint64 length;
} SnapshotChunk;

typedef struct SnapshotHeader
{
	uint64 slot;
	struct state_hash hash;
	uint64 rows;
	uint64 request_count;
	uint64 newest_dropped;
	uint64 disk_bytes;
	const uint8 *config;
	uint32 config_length;
	const uint8 *sessions;
	uint32 sessions_length;
} SnapshotHeader;

#define SNAPSHOT_HEADER_MAX (72 + FORMATION_BLOB_MAX + SNAPSHOT_SESSIONS_MAX)

extern void snapshot_put_request(uint8 bytes[SNAPSHOT_REQUEST_BYTES], uint64 slot);
/* False: it is none, or of another version. */
extern bool snapshot_get_request(const uint8 *bytes, uint64 length, uint64 *slot);

/* The chunk's header before its payload. */
extern void snapshot_put_chunk(uint8 bytes[SNAPSHOT_CHUNK_HEADER_BYTES], SnapshotChunkKind kind, uint8 table,
							   const void *payload, uint64 length);
/* False: it can be no chunk.  Its length is at most SNAPSHOT_CHUNK_MAX. */
extern bool snapshot_get_chunk(const uint8 bytes[SNAPSHOT_CHUNK_HEADER_BYTES], SnapshotChunk *chunk);
/* Whether the payload is the one that was sent. */
extern bool snapshot_chunk_is_whole(const SnapshotChunk *chunk, const uint8 *payload);

/* Returns the length. */
extern uint32 snapshot_put_header(uint8 bytes[SNAPSHOT_HEADER_MAX], const SnapshotHeader *header);
/* Points into the bytes.  False: it is none, or of another version. */
extern bool snapshot_get_header(const uint8 *bytes, uint64 length, SnapshotHeader *header);

#endif /* PAXOSKV_SNAPSHOT_FORMAT_H */
