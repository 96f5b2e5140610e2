/*
 * verify.c - paxos_verify(): whether all nodes hold the same rows, recomputed from the rows themselves (T3).
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"

#include "sql/arguments.h"
#include "sql/show.h"

PG_FUNCTION_INFO_V1(paxos_verify);

#define VERIFY_COLUMNS 5

static uint64 slot_argument(FunctionCallInfo fcinfo)
{
	int64 slot;

	if (PG_ARGISNULL(0))
		return 0;
	slot = PG_GETARG_INT64(0);
	if (slot < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("slot must be at least 1"),
						errhint("Without a slot the nodes are compared as they are now.")));
	return (uint64) slot;
}

static void warn_of_silence(const ClientVerified *node)
{
	ereport(WARNING,
			(errmsg("node %u has not said what its rows are", node->node_id),
			 node->connected ? errdetail("It did not answer within paxoskv.commit_timeout.")
							 : errdetail("It is not connected."),
			 node->connected ? errhint("With many rows it takes longer: SET paxoskv.commit_timeout to more. "
									   "If that does not help, its server's log says why.")
							 : 0));
}

static void add_node(RowBuilder *row, const ClientVerified *node)
{
	uint8 hash[16];

	row_add_int32(row, node->node_id);
	if (!node->answered)
	{
		for (int i = 1; i < VERIFY_COLUMNS; i++)
			row_add_null(row);
		return;
	}
	state_hash_to_bytes(node->state.hash, hash);
	row_add_int64(row, node->state.slot);
	row_add_hex(row, hash, sizeof(hash));
	row_add_int64(row, node->state.rows);
	if (node->judged)
		row_add_bool(row, node->agrees);
	else
		row_add_null(row);
}

Datum paxos_verify(PG_FUNCTION_ARGS)
{
	uint64 slot = slot_argument(fcinfo);
	ClientVerified nodes[PAXOS_MAX_MEMBERS];
	ReturnSetInfo *result;
	int n;

	check_database();
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	n = client_verify(slot, nodes);
	for (int i = 0; i < n; i++)
	{
		Datum values[VERIFY_COLUMNS];
		bool nulls[VERIFY_COLUMNS];
		RowBuilder row = {values, nulls, 0};

		if (!nodes[i].answered)
			warn_of_silence(&nodes[i]);
		add_node(&row, &nodes[i]);
		Assert(row.n == VERIFY_COLUMNS);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
