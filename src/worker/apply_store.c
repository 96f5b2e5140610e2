/*
 * apply_store.c - what the apply worker does by statements: the state's first row, and clears.  Single rows are
 * apply_table.c's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "paxos/formation.h"
#include "worker/apply.h"
#include "worker/store_plan.h"

enum
{
	READ_STATE,
	INSERT_STATE,
	WRITE_DIVERGED,
	CLEAR_PARTITION,
	CLEAR_ALL,
	N_STATEMENTS
};

static StorePlan plans[N_STATEMENTS] = {
	[READ_STATE] =
		{"SELECT store_id, applied_slot, state_hash, row_count, sessions, request_count, newest_dropped, "
		 "ctid, diverged FROM paxoskv.state"},
	[INSERT_STATE] =
		{"INSERT INTO paxoskv.state (applied_slot, state_hash, row_count, sessions, store_id, config, "
		 "request_count, newest_dropped) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ctid",
		 {INT8OID, BYTEAOID, INT8OID, BYTEAOID, BYTEAOID, BYTEAOID, INT8OID, INT8OID}},
	[WRITE_DIVERGED] = {"UPDATE paxoskv.state SET diverged = $1", {TEXTOID}},
	[CLEAR_PARTITION] = {"DELETE FROM paxoskv.kv WHERE partition OPERATOR(pg_catalog.=) $1 RETURNING hash",
						 {TEXTOID}},
	[CLEAR_ALL] = {"DELETE FROM paxoskv.kv RETURNING hash"},
};

/* Rows of a clear that are looked at together. */
#define CLEAR_FETCH 10000

/* ---------------------------------------------------------------- statements */

void store_prepare(void)
{
	for (int i = 0; i < N_STATEMENTS; i++)
		store_plan_prepare(&plans[i]);
	memory_prepare();
}

static uint64 run(int statement, Datum *values, int expected)
{
	return store_plan_run(&plans[statement], values, NULL, expected);
}

static Datum column(uint64 row, int number)
{
	bool is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &is_null);

	if (is_null)
		elog(ERROR, "column %d of the store's tables is null", number);
	return value;
}

/* ---------------------------------------------------------------- state */

static void read_diverged(char *diverged)
{
	char *why = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 9);

	strlcpy(diverged, why == NULL ? "" : why, DIVERGENCE_MAX);
}

bool store_read_state(ApplyState *state)
{
	bytea *store_id;

	memset(state, 0, sizeof(*state));
	if (run(READ_STATE, NULL, SPI_OK_SELECT) == 0)
		return false;
	store_id = DatumGetByteaPP(column(0, 1));
	if (VARSIZE_ANY_EXHDR(store_id) != sizeof(state->store_id))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("paxoskv.state has a store id that cannot be read")));
	memcpy(&state->store_id, VARDATA_ANY(store_id), sizeof(state->store_id));
	state->applied = (uint64) DatumGetInt64(column(0, 2));
	state->hash = store_hash_of(column(0, 3));
	state->rows = DatumGetInt64(column(0, 4));
	store_sessions_of(&state->sessions, column(0, 5));
	state->request_count = DatumGetInt64(column(0, 6));
	state->newest_dropped = (uint64) DatumGetInt64(column(0, 7));
	state->place = *(ItemPointer) DatumGetPointer(column(0, 8));
	read_diverged(state->diverged);
	state_points_add(&state->points, (struct state_point){state->applied, (uint64) state->rows, state->hash});
	state->stored = true;
	return true;
}

static void insert_state(ApplyState *state, const struct paxos_config *config)
{
	uint8 bytes[FORMATION_BLOB_MAX];
	Datum values[8];

	SPI_connect();
	values[0] = Int64GetDatum((int64) state->applied);
	values[1] = store_hash_datum(state->hash);
	values[2] = Int64GetDatum(state->rows);
	values[3] = store_sessions_datum(&state->sessions);
	values[4] = store_bytes_datum(&state->store_id, sizeof(state->store_id));
	values[5] = store_bytes_datum(bytes, config_encode(config, bytes, sizeof(bytes)));
	values[6] = Int64GetDatum(state->request_count);
	values[7] = Int64GetDatum((int64) state->newest_dropped);
	run(INSERT_STATE, values, SPI_OK_INSERT_RETURNING);
	state->place = *(ItemPointer) DatumGetPointer(column(0, 1));
	SPI_finish();
}

void store_write_state(ApplyState *state, const struct paxos_config *config)
{
	if (state->stored)
		store_update_state(state, store_sessions_datum(&state->sessions));
	else
		insert_state(state, config);
}

void store_write_diverged(const char *why)
{
	Datum values[1] = {CStringGetTextDatum(why)};

	SPI_connect();
	if (run(WRITE_DIVERGED, values, SPI_OK_UPDATE) != 1)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("paxoskv.state has lost its row")));
	SPI_finish();
	ForceSyncCommit();
}

/* ---------------------------------------------------------------- clears */

int64 store_clear(const char *partition, uint32 partition_length, struct state_hash *sum)
{
	Datum values[1];
	Portal portal;
	int64 removed = 0;

	memset(sum, 0, sizeof(*sum));
	SPI_connect();
	if (partition != NULL)
		values[0] = PointerGetDatum(cstring_to_text_with_len(partition, (int) partition_length));
	portal = SPI_cursor_open(NULL, plans[partition != NULL ? CLEAR_PARTITION : CLEAR_ALL].plan, values, NULL,
							 false);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, CLEAR_FETCH);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
			*sum = state_hash_add(*sum, store_hash_of(column(i, 1)));
		removed += (int64) SPI_processed;
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
	return removed;
}
