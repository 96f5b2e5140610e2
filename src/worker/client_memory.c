/*
 * client_memory.c - what a backend looks up of request ids and numbers: before it submits a command (O3), and to say what
 * became of one (O5).
 *
 * All of one look-up is read in one snapshot of this node's tables, taken after whatever wait its caller needed.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "worker/client_memory.h"
#include "worker/store_tables.h"
#include "worker/store_values.h"

/* One row of a table, found by its primary key. */
typedef struct Lookup
{
	Relation table;
	SysScanDesc scan;
	HeapTuple tuple; /* NULL: there is none */
} Lookup;

static Lookup look_up(const char *name, ScanKey keys, int n)
{
	Lookup lookup;

	lookup.table = store_open_table(name);
	lookup.scan = systable_beginscan(lookup.table, RelationGetReplicaIndex(lookup.table), true,
									 GetActiveSnapshot(), n, keys);
	lookup.tuple = systable_getnext(lookup.scan);
	return lookup;
}

static void end_lookup(Lookup *lookup)
{
	systable_endscan(lookup->scan);
	table_close(lookup->table, AccessShareLock);
}

static Datum attribute(const Lookup *lookup, int number, bool *is_null)
{
	return heap_getattr(lookup->tuple, number, RelationGetDescr(lookup->table), is_null);
}

static Datum present(const Lookup *lookup, int number)
{
	bool is_null;
	Datum value = attribute(lookup, number, &is_null);

	if (is_null)
		elog(ERROR, "column %d of \"%s\" is null", number, RelationGetRelationName(lookup->table));
	return value;
}

static void int8_key(ScanKey key, AttrNumber column, uint64 value)
{
	ScanKeyInit(key, column, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum((int64) value));
}

/* ---------------------------------------------------------------- single facts */

static void copy_details(struct remembered *remembered, const Lookup *lookup)
{
	bool is_null;
	Datum details = attribute(lookup, REQUEST_DETAILS, &is_null);
	bytea *bytes;

	if (is_null)
		return;
	bytes = DatumGetByteaPCopy(details);
	remembered->details = VARDATA(bytes);
	remembered->details_length = (uint32) (VARSIZE(bytes) - VARHDRSZ);
}

static bool find_request(const char *request_id, uint32 length, struct remembered *remembered)
{
	ScanKeyData key;
	Lookup lookup;
	bool found;

	ScanKeyEntryInitialize(&key, 0, REQUEST_ID, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ,
						   PointerGetDatum(cstring_to_text_with_len(request_id, (int) length)));
	lookup = look_up("requests", &key, 1);
	found = HeapTupleIsValid(lookup.tuple);
	memset(remembered, 0, sizeof(*remembered));
	if (found)
	{
		remembered->kind = (enum remembered_kind) DatumGetInt16(present(&lookup, REQUEST_KIND));
		remembered->slot = (uint64) DatumGetInt64(present(&lookup, REQUEST_SLOT));
		remembered->digest = store_hash_of(present(&lookup, REQUEST_DIGEST));
		remembered->succeeded = DatumGetBool(present(&lookup, REQUEST_SUCCEEDED));
		remembered->rows_removed = (uint64) DatumGetInt64(present(&lookup, REQUEST_ROWS_REMOVED));
		remembered->details_lost = DatumGetBool(present(&lookup, REQUEST_DETAILS_LOST));
		copy_details(remembered, &lookup);
	}
	end_lookup(&lookup);
	return found;
}

/* The open sessions and the applied slot; nothing before the first batch. */
static uint64 read_state(struct session_table *sessions)
{
	uint64 applied = 0;
	ScanKeyData key;
	Lookup lookup;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_BOOLEQ, BoolGetDatum(true));
	lookup = look_up("state", &key, 1);
	sessions->n = 0;
	if (HeapTupleIsValid(lookup.tuple))
	{
		applied = (uint64) DatumGetInt64(present(&lookup, STATE_APPLIED_SLOT));
		store_sessions_of(sessions, present(&lookup, STATE_SESSIONS));
	}
	end_lookup(&lookup);
	return applied;
}

static bool is_void(uint64 session, uint64 number)
{
	ScanKeyData keys[2];
	Lookup lookup;
	bool found;

	int8_key(&keys[0], 1, session);
	int8_key(&keys[1], 2, number);
	lookup = look_up("void_numbers", keys, 2);
	found = HeapTupleIsValid(lookup.tuple);
	end_lookup(&lookup);
	return found;
}

/* False: not a closed session that is kept. */
static bool find_closed(uint64 session, uint64 *last_number)
{
	ScanKeyData key;
	Lookup lookup;
	bool found;

	int8_key(&key, 1, session);
	lookup = look_up("closed_sessions", &key, 1);
	found = HeapTupleIsValid(lookup.tuple);
	if (found)
		*last_number = (uint64) DatumGetInt64(present(&lookup, CLOSED_LAST_NUMBER));
	end_lookup(&lookup);
	return found;
}

/* ---------------------------------------------------------------- look-ups */

bool client_look_up_request(const char *request_id, uint32 length, struct remembered *remembered,
							uint64 *applied)
{
	struct session_table *sessions = palloc(sizeof(struct session_table));
	bool found;

	PushActiveSnapshot(GetLatestSnapshot());
	found = find_request(request_id, length, remembered);
	*applied = read_state(sessions);
	PopActiveSnapshot();
	pfree(sessions);
	return found;
}

/* O5, by number. */
static ClientOutcome number_outcome(uint64 session, uint64 number)
{
	struct session_table *sessions = palloc(sizeof(struct session_table));
	const struct session *open;
	uint64 last_number = 0;

	(void) read_state(sessions);
	if (is_void(session, number))
		return CLIENT_NOT_APPLIED;
	open = session_find(sessions, session);
	if (open != NULL && open->open)
		return number <= open->last_number ? CLIENT_APPLIED : CLIENT_UNKNOWN;
	if (open != NULL)
		last_number = open->last_number;
	else if (!find_closed(session, &last_number))
		return CLIENT_UNKNOWN;
	return number <= last_number ? CLIENT_APPLIED : CLIENT_NOT_APPLIED;
}

/* O5, by id. */
static ClientOutcome request_outcome(const char *request_id, uint32 length, uint64 *revision)
{
	struct remembered remembered;

	if (!find_request(request_id, length, &remembered))
		return CLIENT_UNKNOWN;
	if (remembered.kind == REMEMBERED_COMMAND)
	{
		*revision = remembered.slot;
		return CLIENT_APPLIED;
	}
	return remembered.kind == REMEMBERED_GIVEN_UP ? CLIENT_NOT_APPLIED : CLIENT_UNKNOWN;
}

ClientOutcome client_outcome(const char *request_id, uint32 length, uint64 *revision)
{
	ClientOutcome outcome;
	uint64 session;
	uint64 number;

	*revision = 0;
	PushActiveSnapshot(GetLatestSnapshot());
	if (parse_command_name(request_id, length, &session, &number))
		outcome = number_outcome(session, number);
	else
		outcome = request_outcome(request_id, length, revision);
	PopActiveSnapshot();
	return outcome;
}
