/*
 * apply_memory.c - O1 to O5: what the store remembers of request ids, void numbers and closed sessions, stored
 * with the rows and part of the state hash.
 *
 * By statements: they are for commands with a request id, and for a session's end.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "worker/apply.h"
#include "worker/store_plan.h"

enum
{
	FIND_REQUEST,
	INSERT_REQUEST,
	DROP_OLDEST_REQUEST,
	FIND_VOID,
	INSERT_VOID,
	INSERT_CLOSED,
	DROP_CLOSED,
	DROP_VOIDS,
	N_STATEMENTS
};

/* Ids are dropped in the order of their slots; what lies below the last one dropped is dead and not looked at. */
static StorePlan plans[N_STATEMENTS] = {
	[FIND_REQUEST] = {"SELECT kind, slot, digest, succeeded, rows_removed, details, details_lost "
					  "FROM paxoskv.requests WHERE request_id OPERATOR(pg_catalog.=) $1",
					  {TEXTOID}},
	[INSERT_REQUEST] =
		{"INSERT INTO paxoskv.requests (request_id, kind, slot, digest, succeeded, rows_removed, "
		 "details, details_lost, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		 {TEXTOID, INT2OID, INT8OID, BYTEAOID, BOOLOID, INT8OID, BYTEAOID, BOOLOID, BYTEAOID}},
	[DROP_OLDEST_REQUEST] =
		{"DELETE FROM paxoskv.requests WHERE slot OPERATOR(pg_catalog.=) "
		 "(SELECT r.slot FROM paxoskv.requests AS r WHERE r.slot OPERATOR(pg_catalog.>) $1 "
		 "ORDER BY r.slot LIMIT 1) RETURNING slot, hash",
		 {INT8OID}},
	[FIND_VOID] = {"SELECT FROM paxoskv.void_numbers "
				   "WHERE session OPERATOR(pg_catalog.=) $1 AND number OPERATOR(pg_catalog.=) $2",
				   {INT8OID, INT8OID}},
	[INSERT_VOID] =
		{"INSERT INTO paxoskv.void_numbers (session, number) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		 {INT8OID, INT8OID}},
	[INSERT_CLOSED] =
		{"INSERT INTO paxoskv.closed_sessions (session, node_id, last_number) VALUES ($1, $2, $3)",
		 {INT8OID, INT4OID, INT8OID}},
	[DROP_CLOSED] =
		{"DELETE FROM paxoskv.closed_sessions WHERE session OPERATOR(pg_catalog.<=) "
		 "(SELECT c.session FROM paxoskv.closed_sessions AS c ORDER BY c.session DESC OFFSET $1 LIMIT 1) "
		 "RETURNING session, node_id, last_number",
		 {INT8OID}},
	[DROP_VOIDS] =
		{"DELETE FROM paxoskv.void_numbers WHERE session OPERATOR(pg_catalog.=) $1 RETURNING number",
		 {INT8OID}},
};

void memory_prepare(void)
{
	for (int i = 0; i < N_STATEMENTS; i++)
		store_plan_prepare(&plans[i]);
}

static Datum column(uint64 row, int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, is_null);
}

static Datum present(uint64 row, int number)
{
	bool is_null;
	Datum value = column(row, number, &is_null);

	if (is_null)
		elog(ERROR, "column %d of what the store remembers is null", number);
	return value;
}

static void add_hash(ApplyState *state, struct state_hash hash)
{
	state->hash = state_hash_add(state->hash, hash);
}

static void subtract_hash(ApplyState *state, struct state_hash hash)
{
	state->hash = state_hash_subtract(state->hash, hash);
}

/* ---------------------------------------------------------------- request ids */

/* Copied into the context, since SPI's own ends with SPI_finish(). */
static void read_request(struct remembered *remembered, MemoryContext context)
{
	bool no_details;
	Datum details = column(0, 6, &no_details);

	memset(remembered, 0, sizeof(*remembered));
	remembered->kind = (enum remembered_kind) DatumGetInt16(present(0, 1));
	remembered->slot = (uint64) DatumGetInt64(present(0, 2));
	remembered->digest = store_hash_of(present(0, 3));
	remembered->succeeded = DatumGetBool(present(0, 4));
	remembered->rows_removed = (uint64) DatumGetInt64(present(0, 5));
	remembered->details_lost = DatumGetBool(present(0, 7));
	if (!no_details)
	{
		bytea *bytes = DatumGetByteaPP(details);

		remembered->details_length = (uint32) VARSIZE_ANY_EXHDR(bytes);
		remembered->details = MemoryContextAlloc(context, remembered->details_length + 1);
		memcpy(unconstify(char *, remembered->details), VARDATA_ANY(bytes), remembered->details_length);
	}
}

bool memory_find_request(const char *request_id, uint32 length, struct remembered *remembered,
						 MemoryContext context)
{
	Datum values[1];
	bool found;

	SPI_connect();
	values[0] = PointerGetDatum(cstring_to_text_with_len(request_id, (int) length));
	found = store_plan_run(&plans[FIND_REQUEST], values, NULL, SPI_OK_SELECT) > 0;
	if (found)
		read_request(remembered, context);
	SPI_finish();
	return found;
}

static void drop_oldest_request(ApplyState *state)
{
	Datum values[1] = {Int64GetDatum((int64) state->newest_dropped)};

	if (store_plan_run(&plans[DROP_OLDEST_REQUEST], values, NULL, SPI_OK_DELETE_RETURNING) != 1)
		elog(ERROR, "the store remembers fewer request ids than it counts");
	state->newest_dropped = (uint64) DatumGetInt64(present(0, 1));
	subtract_hash(state, store_hash_of(present(0, 2)));
	state->request_count--;
}

void memory_remember(ApplyState *state, const struct remembered *remembered, uint32 kept)
{
	struct state_hash hash = remembered_hash(remembered);
	char nulls[] = "         ";
	Datum values[9];

	SPI_connect();
	values[0] = PointerGetDatum(
		cstring_to_text_with_len(remembered->request_id, (int) remembered->request_id_length));
	values[1] = Int16GetDatum((int16) remembered->kind);
	values[2] = Int64GetDatum((int64) remembered->slot);
	values[3] = store_hash_datum(remembered->digest);
	values[4] = BoolGetDatum(remembered->succeeded);
	values[5] = Int64GetDatum((int64) remembered->rows_removed);
	values[6] = store_bytes_datum(remembered->details, remembered->details_length);
	nulls[6] = remembered->details_length == 0 ? 'n' : ' ';
	values[7] = BoolGetDatum(remembered->details_lost);
	values[8] = store_hash_datum(hash);
	store_plan_run(&plans[INSERT_REQUEST], values, nulls, SPI_OK_INSERT);
	add_hash(state, hash);
	state->request_count++;
	while (state->request_count > kept)
		drop_oldest_request(state);
	SPI_finish();
}

/* ---------------------------------------------------------------- void numbers */

bool memory_is_void(uint64 session, uint64 number)
{
	Datum values[2] = {Int64GetDatum((int64) session), Int64GetDatum((int64) number)};
	bool found;

	SPI_connect();
	found = store_plan_run(&plans[FIND_VOID], values, NULL, SPI_OK_SELECT) > 0;
	SPI_finish();
	return found;
}

void memory_void(ApplyState *state, uint64 session, uint64 number)
{
	Datum values[2] = {Int64GetDatum((int64) session), Int64GetDatum((int64) number)};

	SPI_connect();
	if (store_plan_run(&plans[INSERT_VOID], values, NULL, SPI_OK_INSERT) == 1)
		add_hash(state, void_number_hash(session, number));
	SPI_finish();
}

/* ---------------------------------------------------------------- closed sessions */

static void drop_voids(ApplyState *state, uint64 session)
{
	Datum values[1] = {Int64GetDatum((int64) session)};
	uint64 n = store_plan_run(&plans[DROP_VOIDS], values, NULL, SPI_OK_DELETE_RETURNING);

	for (uint64 i = 0; i < n; i++)
		subtract_hash(state, void_number_hash(session, (uint64) DatumGetInt64(present(i, 1))));
}

/* Those beyond the last CLOSED_SESSIONS_KEPT, with their void numbers: one at a time, as they come. */
static void drop_closed(ApplyState *state)
{
	Datum values[1] = {Int64GetDatum(CLOSED_SESSIONS_KEPT)};
	uint64 n = store_plan_run(&plans[DROP_CLOSED], values, NULL, SPI_OK_DELETE_RETURNING);
	SPITupleTable *dropped = SPI_tuptable;

	for (uint64 i = 0; i < n; i++)
	{
		uint64 session;

		SPI_tuptable = dropped;
		session = (uint64) DatumGetInt64(present(i, 1));
		subtract_hash(state, closed_session_hash(session, (uint32) DatumGetInt32(present(i, 2)),
												 (uint64) DatumGetInt64(present(i, 3))));
		drop_voids(state, session);
	}
}

void memory_keep_closed(ApplyState *state, const struct session *session)
{
	Datum values[3] = {Int64GetDatum((int64) session->session), Int32GetDatum((int32) session->node_id),
					   Int64GetDatum((int64) session->last_number)};

	SPI_connect();
	store_plan_run(&plans[INSERT_CLOSED], values, NULL, SPI_OK_INSERT);
	add_hash(state, closed_session_hash(session->session, session->node_id, session->last_number));
	drop_closed(state);
	SPI_finish();
}
