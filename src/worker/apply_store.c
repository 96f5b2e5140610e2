/*
 * apply_store.c - the apply worker's statements: prepared once, kept, run through SPI.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "paxos/bytes.h"
#include "paxos/formation.h"
#include "worker/apply.h"

typedef enum Statement
{
	READ_STATE,
	INSERT_STATE,
	UPDATE_STATE,
	UPDATE_MOVED_STATE,
	READ_ROW,
	READ_ROWS,
	UPSERT_ROW,
	UPSERT_ROWS,
	DELETE_ROWS,
	CLEAR_PARTITION,
	CLEAR_ALL,
	N_STATEMENTS
} Statement;

#define STATE_UPDATE                                                                                         \
	"UPDATE paxoskv.state SET applied_slot = $1, state_hash = $2, row_count = $3, sessions = $4 "
#define ROW_INSERT                                                                                           \
	"INSERT INTO paxoskv.kv (partition, key, value, value_kind, revision, create_revision, written_at, "     \
	"hash) "
#define ROW_UPDATE                                                                                           \
	"ON CONFLICT (partition, key) DO UPDATE SET value = excluded.value, value_kind = excluded.value_kind, "  \
	"revision = excluded.revision, create_revision = excluded.create_revision, "                             \
	"written_at = excluded.written_at, hash = excluded.hash"

/* search_path is empty; unnest of several arrays is known to the parser only by its bare name. */
static const char *const statement_texts[N_STATEMENTS] = {
	[READ_STATE] = "SELECT store_id, applied_slot, state_hash, row_count, sessions, ctid FROM paxoskv.state",
	[INSERT_STATE] =
		"INSERT INTO paxoskv.state (applied_slot, state_hash, row_count, sessions, store_id, config) "
		"VALUES ($1, $2, $3, $4, $5, $6) RETURNING ctid",
	/* By place: while somebody's old snapshot keeps its dead versions, a scan would read all of them. */
	[UPDATE_STATE] = STATE_UPDATE "WHERE ctid OPERATOR(pg_catalog.=) $5 RETURNING ctid",
	[UPDATE_MOVED_STATE] = STATE_UPDATE "RETURNING ctid",
	/* One row, as with one client at a time, is worth statements of its own. */
	[READ_ROW] = "SELECT create_revision, hash FROM paxoskv.kv "
				 "WHERE partition OPERATOR(pg_catalog.=) $1 AND key OPERATOR(pg_catalog.=) $2",
	[READ_ROWS] = "SELECT u.place, kv.create_revision, kv.hash "
				  "FROM unnest($1, $2) WITH ORDINALITY AS u (partition, key, place) "
				  "JOIN paxoskv.kv ON kv.partition OPERATOR(pg_catalog.=) u.partition "
				  "AND kv.key OPERATOR(pg_catalog.=) u.key",
	[UPSERT_ROW] = ROW_INSERT "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) " ROW_UPDATE,
	[UPSERT_ROWS] = ROW_INSERT "SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) " ROW_UPDATE,
	[DELETE_ROWS] = "DELETE FROM paxoskv.kv USING unnest($1, $2) AS u (partition, key) "
					"WHERE kv.partition OPERATOR(pg_catalog.=) u.partition "
					"AND kv.key OPERATOR(pg_catalog.=) u.key",
	[CLEAR_PARTITION] = "DELETE FROM paxoskv.kv WHERE partition OPERATOR(pg_catalog.=) $1 RETURNING hash",
	[CLEAR_ALL] = "DELETE FROM paxoskv.kv RETURNING hash",
};

#define ARGUMENTS_MAX 8
static const Oid statement_types[N_STATEMENTS][ARGUMENTS_MAX] = {
	[INSERT_STATE] = {INT8OID, BYTEAOID, INT8OID, BYTEAOID, BYTEAOID, BYTEAOID},
	[UPDATE_STATE] = {INT8OID, BYTEAOID, INT8OID, BYTEAOID, TIDOID},
	[UPDATE_MOVED_STATE] = {INT8OID, BYTEAOID, INT8OID, BYTEAOID},
	[READ_ROW] = {TEXTOID, TEXTOID},
	[READ_ROWS] = {TEXTARRAYOID, TEXTARRAYOID},
	[UPSERT_ROW] = {TEXTOID, TEXTOID, TEXTOID, INT2OID, INT8OID, INT8OID, TIMESTAMPTZOID, BYTEAOID},
	[UPSERT_ROWS] = {TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, INT2ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
					 TIMESTAMPTZARRAYOID, BYTEAARRAYOID},
	[DELETE_ROWS] = {TEXTARRAYOID, TEXTARRAYOID},
	[CLEAR_PARTITION] = {TEXTOID},
};

static SPIPlanPtr plans[N_STATEMENTS];

/* Rows of a clear that are looked at together. */
#define CLEAR_FETCH 10000

/* ---------------------------------------------------------------- statements */

void store_prepare(void)
{
	for (int i = 0; i < N_STATEMENTS; i++)
	{
		Oid types[ARGUMENTS_MAX];
		int n = 0;

		while (n < ARGUMENTS_MAX && OidIsValid(statement_types[i][n]))
		{
			types[n] = statement_types[i][n];
			n++;
		}
		if (plans[i] != NULL)
			continue;
		plans[i] = SPI_prepare(statement_texts[i], n, types);
		if (plans[i] == NULL || SPI_keepplan(plans[i]) != 0)
			elog(ERROR, "could not prepare \"%s\": %s", statement_texts[i],
				 SPI_result_code_string(SPI_result));
	}
}

/* nulls: as SPI takes them, or NULL. */
static uint64 run_with_nulls(Statement statement, Datum *values, const char *nulls, int expected)
{
	int result = SPI_execute_plan(plans[statement], values, nulls, false, 0);

	if (result != expected)
		elog(ERROR, "could not run \"%s\": %s", statement_texts[statement], SPI_result_code_string(result));
	return SPI_processed;
}

static uint64 run(Statement statement, Datum *values, int expected)
{
	return run_with_nulls(statement, values, NULL, expected);
}

static Datum column(uint64 row, int number)
{
	bool is_null;
	Datum value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &is_null);

	if (is_null)
		elog(ERROR, "column %d of the store's tables is null", number);
	return value;
}

static Datum bytes_datum(const void *bytes, Size length)
{
	bytea *result = palloc(VARHDRSZ + length);

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return PointerGetDatum(result);
}

static Datum hash_datum(struct state_hash hash)
{
	uint8_t bytes[16];

	state_hash_to_bytes(hash, bytes);
	return bytes_datum(bytes, sizeof(bytes));
}

static struct state_hash datum_hash(Datum datum)
{
	bytea *bytes = DatumGetByteaPP(datum);

	if (VARSIZE_ANY_EXHDR(bytes) != 16)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("a hash in the store's tables has not 16 bytes")));
	return state_hash_from_bytes((uint8_t *) VARDATA_ANY(bytes));
}

/* ---------------------------------------------------------------- sessions as bytes */

#define SESSION_BYTES 53
#define SESSIONS_VERSION 1

/* 1 version, 4 number of sessions, each: 4 node id, 16 store id, 8 run, 8 nonce, 8 session, 8 last number, 1 open */
static Datum encode_sessions(const struct session_table *table)
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
	}
	return bytes_datum(bytes, (Size) (p - bytes));
}

static void decode_sessions(struct session_table *table, Datum datum)
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
	}
}

/* ---------------------------------------------------------------- state */

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
	state->hash = datum_hash(column(0, 3));
	state->rows = DatumGetInt64(column(0, 4));
	decode_sessions(&state->sessions, column(0, 5));
	state->place = *(ItemPointer) DatumGetPointer(column(0, 6));
	state->stored = true;
	return true;
}

void store_write_state(ApplyState *state, const struct paxos_config *config)
{
	Datum values[6];
	uint8 bytes[FORMATION_BLOB_MAX];

	values[0] = Int64GetDatum((int64) state->applied);
	values[1] = hash_datum(state->hash);
	values[2] = Int64GetDatum(state->rows);
	values[3] = encode_sessions(&state->sessions);
	if (state->stored)
	{
		values[4] = PointerGetDatum(&state->place);
		/* VACUUM FULL moves it */
		if (run(UPDATE_STATE, values, SPI_OK_UPDATE_RETURNING) != 1 &&
			run(UPDATE_MOVED_STATE, values, SPI_OK_UPDATE_RETURNING) != 1)
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("paxoskv.state has lost its row")));
	}
	else
	{
		values[4] = bytes_datum(&state->store_id, sizeof(state->store_id));
		values[5] = bytes_datum(bytes, config_encode(config, bytes, sizeof(bytes)));
		run(INSERT_STATE, values, SPI_OK_INSERT_RETURNING);
	}
	state->place = *(ItemPointer) DatumGetPointer(column(0, 1));
	SPI_freetuptable(SPI_tuptable);
}

/* ---------------------------------------------------------------- rows */

/* Makes an array of one column of the rows; "make" gives the element. */
static Datum array_of(ApplyRow **rows, int n, Oid type, int16 length, bool by_value, char align,
					  bool (*make)(const ApplyRow *row, Datum *value))
{
	Datum *values = palloc(n * sizeof(Datum));
	bool *nulls = palloc(n * sizeof(bool));
	int lower = 1;

	for (int i = 0; i < n; i++)
		nulls[i] = !make(rows[i], &values[i]);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &n, &lower, type, length, by_value, align));
}

static bool make_partition(const ApplyRow *row, Datum *value)
{
	*value = PointerGetDatum(cstring_to_text_with_len(row->partition, (int) row->partition_length));
	return true;
}

static bool make_key(const ApplyRow *row, Datum *value)
{
	*value = PointerGetDatum(cstring_to_text_with_len(row->key, (int) row->key_length));
	return true;
}

static bool make_value(const ApplyRow *row, Datum *value)
{
	if (row->value_kind == VALUE_NONE)
		return false;
	*value = PointerGetDatum(cstring_to_text_with_len(row->value, (int) row->value_length));
	return true;
}

static bool make_value_kind(const ApplyRow *row, Datum *value)
{
	*value = Int16GetDatum((int16) row->value_kind);
	return true;
}

static bool make_revision(const ApplyRow *row, Datum *value)
{
	*value = Int64GetDatum((int64) row->revision);
	return true;
}

static bool make_create_revision(const ApplyRow *row, Datum *value)
{
	*value = Int64GetDatum((int64) row->create_revision);
	return true;
}

static bool make_written_at(const ApplyRow *row, Datum *value)
{
	*value =
		TimestampTzGetDatum(row->written_at_us - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
	return true;
}

static bool make_hash(const ApplyRow *row, Datum *value)
{
	*value = hash_datum(row->hash);
	return true;
}

static void key_arrays(ApplyRow **rows, int n, Datum *values)
{
	values[0] = array_of(rows, n, TEXTOID, -1, false, TYPALIGN_INT, make_partition);
	values[1] = array_of(rows, n, TEXTOID, -1, false, TYPALIGN_INT, make_key);
}

static void read_row(ApplyRow *row)
{
	Datum values[2];

	(void) make_partition(row, &values[0]);
	(void) make_key(row, &values[1]);
	if (run(READ_ROW, values, SPI_OK_SELECT) > 0)
	{
		row->stored = true;
		row->stored_create_revision = (uint64) DatumGetInt64(column(0, 1));
		row->stored_hash = datum_hash(column(0, 2));
	}
	SPI_freetuptable(SPI_tuptable);
}

void store_read_rows(ApplyRow **rows, int n)
{
	Datum values[2];
	uint64 found;

	if (n == 1)
	{
		read_row(rows[0]);
		return;
	}
	key_arrays(rows, n, values);
	found = run(READ_ROWS, values, SPI_OK_SELECT);
	for (uint64 i = 0; i < found; i++)
	{
		ApplyRow *row = rows[DatumGetInt64(column(i, 1)) - 1];

		row->stored = true;
		row->stored_create_revision = (uint64) DatumGetInt64(column(i, 2));
		row->stored_hash = datum_hash(column(i, 3));
	}
	SPI_freetuptable(SPI_tuptable);
}

static void upsert_row(const ApplyRow *row)
{
	bool (*const make[8])(const ApplyRow *, Datum *) = {make_partition,  make_key,      make_value,
														make_value_kind, make_revision, make_create_revision,
														make_written_at, make_hash};
	Datum values[8] = {0};
	char nulls[8];

	for (int i = 0; i < 8; i++)
		nulls[i] = make[i](row, &values[i]) ? ' ' : 'n';
	run_with_nulls(UPSERT_ROW, values, nulls, SPI_OK_INSERT);
}

void store_upsert(ApplyRow **rows, int n)
{
	Datum values[8];

	if (n == 1)
	{
		upsert_row(rows[0]);
		return;
	}
	key_arrays(rows, n, values);
	values[2] = array_of(rows, n, TEXTOID, -1, false, TYPALIGN_INT, make_value);
	values[3] = array_of(rows, n, INT2OID, 2, true, TYPALIGN_SHORT, make_value_kind);
	values[4] = array_of(rows, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, make_revision);
	values[5] = array_of(rows, n, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, make_create_revision);
	values[6] = array_of(rows, n, TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, make_written_at);
	values[7] = array_of(rows, n, BYTEAOID, -1, false, TYPALIGN_INT, make_hash);
	run(UPSERT_ROWS, values, SPI_OK_INSERT);
}

void store_delete(ApplyRow **rows, int n)
{
	Datum values[2];

	key_arrays(rows, n, values);
	run(DELETE_ROWS, values, SPI_OK_DELETE);
}

int64 store_clear(const char *partition, uint32 partition_length, struct state_hash *sum)
{
	Datum values[1];
	Portal portal;
	int64 removed = 0;

	memset(sum, 0, sizeof(*sum));
	if (partition != NULL)
		values[0] = PointerGetDatum(cstring_to_text_with_len(partition, (int) partition_length));
	portal =
		SPI_cursor_open(NULL, plans[partition != NULL ? CLEAR_PARTITION : CLEAR_ALL], values, NULL, false);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, CLEAR_FETCH);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
			*sum = state_hash_add(*sum, datum_hash(column(i, 1)));
		removed += (int64) SPI_processed;
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	return removed;
}
