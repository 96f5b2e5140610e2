/*
 * store_values.h - the store's tables as the install script declares them: their columns, and values as they hold them.
 */
#ifndef PAXOSKV_STORE_VALUES_H
#define PAXOSKV_STORE_VALUES_H

#include "postgres.h"

#include "paxos/session.h"
#include "paxos/state_hash.h"

/* Columns of paxoskv.kv. */
enum
{
	KV_PARTITION = 1,
	KV_KEY,
	KV_VALUE,
	KV_VALUE_KIND,
	KV_REVISION,
	KV_CREATE_REVISION,
	KV_WRITTEN_AT,
	KV_HASH,
	KV_COLUMNS = KV_HASH
};

/* Columns of paxoskv.state. */
enum
{
	STATE_ONLY_ROW = 1,
	STATE_STORE_ID,
	STATE_APPLIED_SLOT,
	STATE_HASH,
	STATE_ROW_COUNT,
	STATE_CONFIG,
	STATE_SESSIONS,
	STATE_REQUEST_COUNT,
	STATE_NEWEST_DROPPED,
	STATE_DIVERGED,
	STATE_COLUMNS = STATE_DIVERGED
};

/* Columns of paxoskv.requests. */
enum
{
	REQUEST_ID = 1,
	REQUEST_KIND,
	REQUEST_SLOT,
	REQUEST_DIGEST,
	REQUEST_SUCCEEDED,
	REQUEST_ROWS_REMOVED,
	REQUEST_DETAILS,
	REQUEST_DETAILS_LOST,
	REQUEST_HASH,
	REQUEST_COLUMNS = REQUEST_HASH
};

/* Columns of paxoskv.void_numbers. */
enum
{
	VOID_SESSION = 1,
	VOID_NUMBER,
	VOID_COLUMNS = VOID_NUMBER
};

/* Columns of paxoskv.closed_sessions. */
enum
{
	CLOSED_SESSION = 1,
	CLOSED_NODE_ID,
	CLOSED_LAST_NUMBER,
	CLOSED_COLUMNS = CLOSED_LAST_NUMBER
};

/* Bytes as a bytea, palloc'd. */
extern Datum store_bytes_datum(const void *bytes, Size length);

/* A hash as a bytea, palloc'd; and back: XX001 unless it is one. */
extern Datum store_hash_datum(struct state_hash hash);
extern struct state_hash store_hash_of(Datum datum);

/* Column "sessions" of paxoskv.state, likewise. */
extern Datum store_sessions_datum(const struct session_table *table);
extern void store_sessions_of(struct session_table *table, Datum datum);

#endif /* PAXOSKV_STORE_VALUES_H */
