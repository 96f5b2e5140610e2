/*
 * log_rows.c - paxos_log(): the chosen entries of this node's log as rows, one for each operation.
 *
 * One entry is held at a time.  (In FROM the executor collects all rows first; in a SELECT list it takes them one by
 * one.)
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/memutils.h"

#include "sql/arguments.h"
#include "sql/show.h"

PG_FUNCTION_INFO_V1(paxos_log);

#define LOG_COLUMNS 12

/* A paxos_log() in progress; all of it in the call's multi-call context, the entry's bytes in "memory". */
typedef struct LogCursor
{
	MemoryContext memory; /* reset before each entry */
	uint64 next_slot;     /* 0: the first that the log has */
	bool limited;
	uint64 rows_left; /* if limited */
	ClientLogEntry entry;
	bool in_command; /* "reader" stands in a command's operations */
	struct command_reader reader;
	int32 operation; /* number of the last one shown, from 1 */
} LogCursor;

static void begin_cursor(FunctionCallInfo fcinfo, FuncCallContext *call)
{
	int64 first_slot = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT64(0);
	int64 max_rows = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	MemoryContext caller;
	LogCursor *cursor;

	if (!PG_ARGISNULL(0) && first_slot < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("first_slot must be at least 1"),
				 errhint("Leave it out or pass NULL to begin with the first slot that the log still has.")));
	if (!PG_ARGISNULL(1) && max_rows < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_rows must be at least 1"),
						errhint("Pass NULL for no limit.")));
	check_database();

	caller = MemoryContextSwitchTo(call->multi_call_memory_ctx);
	if (get_call_result_type(fcinfo, NULL, &call->tuple_desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	call->tuple_desc = BlessTupleDesc(call->tuple_desc);
	cursor = palloc0(sizeof(LogCursor));
	cursor->memory = AllocSetContextCreate(CurrentMemoryContext, "paxos_log entry", ALLOCSET_DEFAULT_SIZES);
	cursor->next_slot = (uint64) first_slot;
	cursor->limited = !PG_ARGISNULL(1);
	cursor->rows_left = (uint64) max_rows;
	call->user_fctx = cursor;
	MemoryContextSwitchTo(caller);
}

/* Who asks for slots that are trimmed is told so; who asks for what there is gets just that. */
static void tell_trimmed(uint64 first_slot)
{
	ereport(
		NOTICE,
		(errmsg("this node's log begins at slot %llu", (unsigned long long) first_slot),
		 errdetail("What was before it is applied and trimmed: table paxoskv.kv holds what came of it.")));
}

/* Slots before the log's first one are trimmed: a cursor begins behind them. */
static void skip_trimmed(LogCursor *cursor)
{
	ClientStatus *status = palloc(sizeof(ClientStatus));

	client_status(status);
	if (cursor->next_slot != 0 && cursor->next_slot < status->first_slot)
	{
		cursor->next_slot = status->first_slot;
		tell_trimmed(cursor->next_slot);
	}
	pfree(status);
}

static const char *entry_kind_name(uint8 kind)
{
	switch (kind)
	{
		case ENTRY_NOOP:
			return "noop";
		case ENTRY_COMMAND:
			return "command";
		case ENTRY_OPEN_SESSION:
			return "open_session";
		case ENTRY_STOP_SIGN:
			return "stop_sign";
		case ENTRY_FENCE:
			return "fence";
		default:
			return "unknown";
	}
}

static const char *operation_kind_name(uint8 kind)
{
	switch (kind)
	{
		case OPERATION_PUT:
			return "put";
		case OPERATION_DELETE:
			return "delete";
		case OPERATION_CLEAR:
			return "clear";
		case OPERATION_CLEAR_ALL:
			return "clear_all";
		case OPERATION_GET:
			return "get";
		case OPERATION_CHECK:
			return "check";
		default:
			return "unknown";
	}
}

/* Columns that every row has: slot, epoch, ballot, kind, node_id, session, number. */
static void add_entry(RowBuilder *row, const ClientLogEntry *entry, const struct entry_header *header,
					  const char *kind)
{
	row_add_int64(row, entry->slot);
	row_add_int64(row, entry->epoch);
	row_add_ballot(row, entry->ballot);
	row_add_text_or_null(row, kind);
	row_add_int32_or_null(row, header->node_id);
	row_add_int64_or_null(row, header->session);
	row_add_int64_or_null(row, header->number);
}

static void add_operation(RowBuilder *row, LogCursor *cursor, const struct operation *operation)
{
	bool has_key = operation->kind != OPERATION_CLEAR && operation->kind != OPERATION_CLEAR_ALL;

	add_entry(row, &cursor->entry, &cursor->reader.header, operation_kind_name(operation->kind));
	if (cursor->reader.request_id_length > 0)
		row_add_bytes_as_text(row, cursor->reader.request_id, cursor->reader.request_id_length);
	else
		row_add_null(row);
	row_add_int32(row, (uint32) ++cursor->operation);
	if (operation->kind == OPERATION_CLEAR_ALL)
		row_add_null(row);
	else
		row_add_bytes_as_text(row, operation->partition, operation->partition_length);
	if (has_key)
		row_add_bytes_as_text(row, operation->key, operation->key_length);
	else
		row_add_null(row);
	if (operation->value_kind == VALUE_TEXT)
		row_add_bytes_as_text(row, operation->value, operation->value_length);
	else
		row_add_null(row);
}

/* The row of an entry that has no operations, or none that this version can read. */
static void add_other_entry(RowBuilder *row, const ClientLogEntry *entry)
{
	struct entry_header header;

	if (!entry_decode_header(&entry->entry, &header))
	{
		memset(&header, 0, sizeof(header));
		add_entry(row, entry, &header, "unknown");
	}
	else
		add_entry(row, entry, &header, entry_kind_name(header.kind));
	while (row->n < LOG_COLUMNS)
		row_add_null(row);
}

/* Fills the next row; false when there is none. */
static bool next_row(LogCursor *cursor, RowBuilder *row)
{
	struct operation operation;
	MemoryContext caller;
	bool found;

	if (cursor->in_command && command_next(&cursor->reader, &operation) == DECODE_OK)
	{
		add_operation(row, cursor, &operation);
		return true;
	}
	cursor->in_command = false;
	MemoryContextReset(cursor->memory);
	caller = MemoryContextSwitchTo(cursor->memory);
	found = client_read_log(cursor->next_slot, &cursor->entry);
	MemoryContextSwitchTo(caller);
	if (!found)
		return false;
	if (cursor->next_slot != 0 && cursor->entry.slot > cursor->next_slot) /* trimmed meanwhile */
		tell_trimmed(cursor->entry.slot);
	cursor->next_slot = cursor->entry.slot + 1;
	cursor->operation = 0;
	if (command_open(&cursor->reader, &cursor->entry.entry) == DECODE_OK &&
		command_next(&cursor->reader, &operation) == DECODE_OK)
	{
		cursor->in_command = true;
		add_operation(row, cursor, &operation);
	}
	else
		add_other_entry(row, &cursor->entry);
	return true;
}

Datum paxos_log(PG_FUNCTION_ARGS)
{
	FuncCallContext *call;
	LogCursor *cursor;
	Datum values[LOG_COLUMNS];
	bool nulls[LOG_COLUMNS];
	RowBuilder row = {values, nulls, 0};

	if (SRF_IS_FIRSTCALL())
	{
		call = SRF_FIRSTCALL_INIT();
		begin_cursor(fcinfo, call);
		skip_trimmed(call->user_fctx);
	}
	call = SRF_PERCALL_SETUP();
	cursor = call->user_fctx;
	if ((cursor->limited && cursor->rows_left-- == 0) || !next_row(cursor, &row))
		SRF_RETURN_DONE(call);
	Assert(row.n == LOG_COLUMNS);
	SRF_RETURN_NEXT(call, HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, values, nulls)));
}
