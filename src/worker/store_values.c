/*
 * store_values.c - values as the store's tables hold them: bytes, hashes, the table of sessions.
 */
#include "postgres.h"

#include "fmgr.h"

#include "paxos/bytes.h"
#include "pg_compat.h"
#include "worker/store_values.h"

Datum store_bytes_datum(const void *bytes, Size length)
{
	bytea *result = palloc(VARHDRSZ + length);

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return PointerGetDatum(result);
}

Datum store_hash_datum(struct state_hash hash)
{
	uint8_t bytes[16];

	state_hash_to_bytes(hash, bytes);
	return store_bytes_datum(bytes, sizeof(bytes));
}

struct state_hash store_hash_of(Datum datum)
{
	bytea *bytes = DatumGetByteaPP(datum);

	if (VARSIZE_ANY_EXHDR(bytes) != 16)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("a hash in the store's tables has not 16 bytes")));
	return state_hash_from_bytes((uint8_t *) VARDATA_ANY(bytes));
}

/* ---------------------------------------------------------------- sessions as bytes */

#define SESSION_BYTES 54
#define SESSIONS_VERSION 2

/* 1 version, 4 number of sessions, each: 4 node id, 16 store id, 8 run, 8 nonce, 8 session, 8 last number, 1 open,
 * 1 has void numbers */
Datum store_sessions_datum(const struct session_table *table)
{
	uint8 bytes[5 + SESSION_TABLE_MAX * SESSION_BYTES];
	uint8 *p = bytes + 5;

	bytes[0] = SESSIONS_VERSION;
	put_u32(bytes + 1, table->n);
	for (uint32 i = 0; i < table->n; i++, p += SESSION_BYTES)
	{
		const struct session *session = &table->sessions[i];

		put_u32(p, session->node_id);
		memcpy(p + 4, session->store_id.bytes, 16);
		put_u64(p + 20, session->run);
		put_u64(p + 28, session->nonce);
		put_u64(p + 36, session->session);
		put_u64(p + 44, session->last_number);
		p[52] = session->open ? 1 : 0;
		p[53] = session->has_void ? 1 : 0;
	}
	return store_bytes_datum(bytes, (Size) (p - bytes));
}

void store_sessions_of(struct session_table *table, Datum datum)
{
	bytea *value = DatumGetByteaPP(datum);
	const uint8 *p = (uint8 *) VARDATA_ANY(value);
	Size length = VARSIZE_ANY_EXHDR(value);

	memset(table, 0, sizeof(*table));
	if (length < 5 || p[0] != SESSIONS_VERSION || get_u32(p + 1) > SESSION_TABLE_MAX ||
		length != 5 + (Size) get_u32(p + 1) * SESSION_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("paxoskv.state has sessions that cannot be read")));
	table->n = get_u32(p + 1);
	p += 5;
	for (uint32 i = 0; i < table->n; i++, p += SESSION_BYTES)
	{
		struct session *session = &table->sessions[i];

		session->node_id = get_u32(p);
		memcpy(session->store_id.bytes, p + 4, 16);
		session->run = get_u64(p + 20);
		session->nonce = get_u64(p + 28);
		session->session = get_u64(p + 36);
		session->last_number = get_u64(p + 44);
		session->open = p[52] != 0;
		session->has_void = p[53] != 0;
	}
}
