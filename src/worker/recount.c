/*
 * recount.c - T3: the state recomputed from the tables, row by row, beside the hash that is kept incrementally.
 *
 * What it reads may be anything: somebody changed it past all protection, or a disk did.  A row that has not the hash
 * that is stored with it is named; one that was removed, or added with a hash of its own, shows in the sum.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "paxos/outcome.h"
#include "pg_compat.h"
#include "worker/recount.h"
#include "worker/store_tables.h"

/* A row's part of the state's hash.  False: it can't be what apply wrote. */
typedef bool (*RowReader)(TupleTableSlot *slot, struct state_hash *hash);

static bool has_nulls(TupleTableSlot *slot, int except)
{
	slot_getallattrs(slot);
	for (int i = 0; i < slot->tts_nvalid; i++)
		if (slot->tts_isnull[i] && i + 1 != except)
			return true;
	return false;
}

static Datum column(TupleTableSlot *slot, int number)
{
	return slot->tts_values[number - 1];
}

/* A text or bytea as bytes, or nothing where it is null. */
static const char *bytes_of(TupleTableSlot *slot, int number, uint32 *length)
{
	text *value;

	*length = 0;
	if (slot->tts_isnull[number - 1])
		return NULL;
	value = DatumGetTextPP(column(slot, number));
	*length = (uint32) VARSIZE_ANY_EXHDR(value);
	return VARDATA_ANY(value);
}

static bool is_stored_hash(TupleTableSlot *slot, int number, struct state_hash hash)
{
	uint8 bytes[16];
	uint32 length;
	const char *stored = bytes_of(slot, number, &length);

	state_hash_to_bytes(hash, bytes);
	return length == sizeof(bytes) && memcmp(stored, bytes, sizeof(bytes)) == 0;
}

/* ---------------------------------------------------------------- rows */

static bool read_kv(TupleTableSlot *slot, struct state_hash *hash)
{
	struct hashed_row row = {0};

	if (has_nulls(slot, KV_VALUE))
		return false;
	row.partition = bytes_of(slot, KV_PARTITION, &row.partition_length);
	row.key = bytes_of(slot, KV_KEY, &row.key_length);
	row.value = bytes_of(slot, KV_VALUE, &row.value_length);
	row.value_kind = (uint8) DatumGetInt16(column(slot, KV_VALUE_KIND));
	row.revision = (uint64) DatumGetInt64(column(slot, KV_REVISION));
	row.create_revision = (uint64) DatumGetInt64(column(slot, KV_CREATE_REVISION));
	row.written_at_us = DatumGetTimestampTz(column(slot, KV_WRITTEN_AT)) +
						(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	*hash = state_hash_row(&row);
	return is_stored_hash(slot, KV_HASH, *hash);
}

static bool read_request(TupleTableSlot *slot, struct state_hash *hash)
{
	struct remembered remembered = {0};
	uint32 digest_length;
	const char *digest;

	if (has_nulls(slot, REQUEST_DETAILS))
		return false;
	digest = bytes_of(slot, REQUEST_DIGEST, &digest_length);
	remembered.request_id = bytes_of(slot, REQUEST_ID, &remembered.request_id_length);
	if (digest_length != 16 || remembered.request_id_length > COMMAND_REQUEST_ID_MAX)
		return false;
	remembered.digest = state_hash_from_bytes((const uint8 *) digest);
	remembered.kind = (enum remembered_kind) DatumGetInt16(column(slot, REQUEST_KIND));
	remembered.slot = (uint64) DatumGetInt64(column(slot, REQUEST_SLOT));
	remembered.succeeded = DatumGetBool(column(slot, REQUEST_SUCCEEDED));
	remembered.rows_removed = (uint64) DatumGetInt64(column(slot, REQUEST_ROWS_REMOVED));
	remembered.details_lost = DatumGetBool(column(slot, REQUEST_DETAILS_LOST));
	remembered.details = bytes_of(slot, REQUEST_DETAILS, &remembered.details_length);
	*hash = remembered_hash(&remembered);
	return is_stored_hash(slot, REQUEST_HASH, *hash);
}

static bool read_void(TupleTableSlot *slot, struct state_hash *hash)
{
	if (has_nulls(slot, 0))
		return false;
	*hash = void_number_hash((uint64) DatumGetInt64(column(slot, VOID_SESSION)),
							 (uint64) DatumGetInt64(column(slot, VOID_NUMBER)));
	return true;
}

static bool read_closed(TupleTableSlot *slot, struct state_hash *hash)
{
	if (has_nulls(slot, 0))
		return false;
	*hash = closed_session_hash((uint64) DatumGetInt64(column(slot, CLOSED_SESSION)),
								(uint32) DatumGetInt32(column(slot, CLOSED_NODE_ID)),
								(uint64) DatumGetInt64(column(slot, CLOSED_LAST_NUMBER)));
	return true;
}

/* ---------------------------------------------------------------- tables */

/* The first one only; its first columns tell which row it is. */
static void note_bad_row(Recount *recount, TupleTableSlot *slot, const char *table, int n_columns)
{
	char *detail = recount->detail;
	size_t used;

	recount->result.differs = true;
	if (detail[0] != '\0')
		return;
	used =
		(size_t) snprintf(detail, RECOUNT_DETAIL_MAX, "A row of paxoskv.%s is not as it was written:", table);
	for (int i = 1; i <= n_columns && !slot->tts_isnull[i - 1] && used < RECOUNT_DETAIL_MAX - 120; i++)
	{
		uint32 length;
		const char *bytes = bytes_of(slot, i, &length);

		used += (size_t) snprintf(detail + used, RECOUNT_DETAIL_MAX - used, " \"%.*s\"",
								  pg_mbcliplen(bytes, (int) length, 80), bytes);
	}
	strlcat(detail, ".", RECOUNT_DETAIL_MAX);
}

/* Adds a table's rows to the sum; n_names: its first columns, texts, are a row's name.  Returns their number. */
static uint64 recount_table(Recount *recount, const char *name, int n_columns, int n_names, RowReader reader)
{
	Relation table = store_open_table(name);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	MemoryContext row_context =
		AllocSetContextCreate(CurrentMemoryContext, "paxoskv row", ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = CurrentMemoryContext;
	uint64 rows = 0;

	if (RelationGetDescr(table)->natts != n_columns)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("table \"paxoskv.%s\" does not have the columns it was made with", name)));
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		struct state_hash hash = {0, 0};

		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(row_context);
		if (!reader(slot, &hash))
			note_bad_row(recount, slot, name, n_names);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(row_context);
		recount->result.found.hash = state_hash_add(recount->result.found.hash, hash);
		rows++;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row_context);
	table_close(table, AccessShareLock);
	return rows;
}

/* What is kept with the rows, in the same snapshot.  False: nothing was applied yet. */
static bool read_kept(struct state_point *kept)
{
	Relation table = store_open_table("state");
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

	if (found)
	{
		slot_getallattrs(slot);
		kept->slot = (uint64) DatumGetInt64(column(slot, STATE_APPLIED_SLOT));
		kept->rows = (uint64) DatumGetInt64(column(slot, STATE_ROW_COUNT));
		kept->hash = store_hash_of(column(slot, STATE_HASH));
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, AccessShareLock);
	return found;
}

void recount_tables(Recount *recount)
{
	struct state_point *kept = &recount->result.kept;
	struct state_point *found = &recount->result.found;

	memset(recount, 0, sizeof(*recount));
	found->rows = recount_table(recount, "kv", KV_COLUMNS, 2, read_kv);
	recount_table(recount, "requests", REQUEST_COLUMNS, 1, read_request);
	recount_table(recount, "void_numbers", VOID_COLUMNS, 0, read_void);
	recount_table(recount, "closed_sessions", CLOSED_COLUMNS, 0, read_closed);
	if (!read_kept(kept))
		*kept = *found;
	found->slot = kept->slot;
	if (!state_same(found, kept))
		recount->result.differs = true;
}
