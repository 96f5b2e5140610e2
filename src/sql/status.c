/*
 * status.c - what this node says of itself and of the others: paxos_status(), view paxoskv.nodes.
 *
 * Both work in every state of the node, also where it can't do anything else.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg_compat.h"
#include "sql/arguments.h"
#include "sql/show.h"
#include "worker/store_tables.h"

PG_FUNCTION_INFO_V1(paxos_status_sql);
PG_FUNCTION_INFO_V1(paxoskv_read_nodes);

#define STATUS_COLUMNS 22
#define NODE_COLUMNS 11

/* What the database has applied, all of one moment. */
typedef struct AppliedState
{
	uint64 applied_slot;
	uint64 row_count;
	uint8 hash[16];
} AppliedState;

/* False until apply has written its first row. */
static bool read_applied_state(AppliedState *state)
{
	Relation table = store_open_table("state");
	TupleDesc descriptor = RelationGetDescr(table);
	SysScanDesc scan;
	HeapTuple tuple;
	bool is_null;

	PushActiveSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(table, InvalidOid, false, GetActiveSnapshot(), 0, NULL);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bytea *hash = DatumGetByteaPP(heap_getattr(tuple, STATE_HASH, descriptor, &is_null));

		state->applied_slot = DatumGetInt64(heap_getattr(tuple, STATE_APPLIED_SLOT, descriptor, &is_null));
		state->row_count = DatumGetInt64(heap_getattr(tuple, STATE_ROW_COUNT, descriptor, &is_null));
		memset(state->hash, 0, sizeof(state->hash));
		memcpy(state->hash, VARDATA_ANY(hash), Min(VARSIZE_ANY_EXHDR(hash), sizeof(state->hash)));
	}
	systable_endscan(scan);
	PopActiveSnapshot();
	table_close(table, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

/* applied_slot, log_bytes, state_hash, row_count: slot and hash belong together. */
static void add_applied(RowBuilder *row, const ClientStatus *status, const AppliedState *state)
{
	row_add_int64(row, state ? state->applied_slot : status->applied_slot);
	row_add_int64(row, status->log_bytes);
	if (state != NULL)
	{
		row_add_hex(row, state->hash, sizeof(state->hash));
		row_add_int64(row, state->row_count);
	}
	else
	{
		row_add_null(row);
		row_add_null(row);
	}
}

static void add_status(RowBuilder *row, const ClientStatus *status, const AppliedState *state)
{
	row_add_int32(row, status->node_id);
	row_add_text_or_null(row, status->role);
	row_add_int32_or_null(row, status->leader_id);
	row_add_ballot(row, status->ballot);
	row_add_int64_or_null(row, status->epoch);
	row_add_int64(row, status->first_slot);
	row_add_int64(row, status->last_slot);
	row_add_int64(row, Max(status->chosen_slot, state ? state->applied_slot : 0));
	add_applied(row, status, state);
	row_add_text_or_null(row, status->cluster_name);
	row_add_id(row, status->cluster_id);
	row_add_id(row, status->store_id);
	row_add_bool(row, status->quorum);
	row_add_int64_or_null(row, status->session);
	row_add_int64_or_null(row, status->run);
	row_add_int64(row, status->elections);
	row_add_int64(row, status->commands);
	row_add_int64(row, status->syncs);
	row_add_text_or_null(row, status->detail);
}

Datum paxos_status_sql(PG_FUNCTION_ARGS)
{
	ClientStatus *status = palloc(sizeof(ClientStatus));
	AppliedState state;
	bool has_state;
	TupleDesc descriptor;
	Datum values[STATUS_COLUMNS];
	bool nulls[STATUS_COLUMNS];
	RowBuilder row = {values, nulls, 0};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	check_database();
	/* The table first: what it has applied was chosen, and published, before. */
	has_state = read_applied_state(&state);
	client_status(status);
	add_status(&row, status, has_state ? &state : NULL);
	Assert(row.n == STATUS_COLUMNS);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}

static void add_node(RowBuilder *row, const ClientNode *node, uint64 chosen_slot)
{
	row_add_int32(row, node->node_id);
	row_add_text_or_null(row, node->address);
	row_add_bool(row, node->voter);
	row_add_bool(row, node->leader);
	row_add_bool(row, node->connected);
	row_add_bool(row, node->self);
	if (node->applied_known)
	{
		row_add_int64(row, node->applied_slot);
		row_add_int64(row, chosen_slot > node->applied_slot ? chosen_slot - node->applied_slot : 0);
	}
	else
	{
		row_add_null(row);
		row_add_null(row);
	}
	if (node->bytes_behind >= 0)
		row_add_int64(row, (uint64) node->bytes_behind);
	else
		row_add_null(row);
	if (node->last_heard_at != 0)
		row_add_int64(row, (uint64) node->last_heard_at); /* a timestamptz is an int64 */
	else
		row_add_null(row);
	row_add_text_or_null(row, node->trouble);
}

/* The rows of view paxoskv.nodes. */
Datum paxoskv_read_nodes(PG_FUNCTION_ARGS)
{
	ClientStatus *status = palloc(sizeof(ClientStatus));
	ReturnSetInfo *result;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	client_status(status);
	for (int i = 0; i < status->n_nodes; i++)
	{
		Datum values[NODE_COLUMNS];
		bool nulls[NODE_COLUMNS];
		RowBuilder row = {values, nulls, 0};

		add_node(&row, &status->nodes[i], status->chosen_slot);
		Assert(row.n == NODE_COLUMNS);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
