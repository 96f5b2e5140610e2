/*
 * apply_base.c - F5: what the table holds before its cluster's first command: rows that a superuser copied in, from a
 * dump for example.  The cluster begins with them as if they had been chosen, up to the highest revision among them.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "worker/apply_base.h"
#include "worker/shmem.h"
#include "worker/store_tables.h"
#include "worker/store_values.h"

/* The highest revision; an error where one is none that a cluster could have given. */
static uint64 highest_revision(Relation table)
{
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	int64 highest = 0;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		int64 revision;
		int64 created;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(slot);
		revision = DatumGetInt64(slot->tts_values[KV_REVISION - 1]);
		created = DatumGetInt64(slot->tts_values[KV_CREATE_REVISION - 1]);
		if (created < 1 || created > revision || revision > (int64) PAXOS_BASE_SLOT_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("rows were copied in that cannot be part of the state: revisions %lld and %lld",
							(long long) created, (long long) revision)));
		highest = Max(highest, revision);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return (uint64) highest;
}

/* What belongs to one cluster and its sessions is nothing to begin another one with. */
static void check_empty(const char *name)
{
	Relation table = store_open_table(name);
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, AccessShareLock);
	if (found)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("rows were copied in that cannot be part of the state: paxoskv.%s is not empty", name)));
}

void base_read(struct paxos_base *base, Recount *recount, uint64 *loads)
{
	Relation table = store_open_table("kv");

	/* Who loads counts itself when it has its own lock: all that are counted now have ended. */
	LockRelationOid(RelationGetRelid(table), ShareLock);
	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	*loads = paxos_shared->loads;
	LWLockRelease(paxos_shared->status_lock);
	/* A snapshot of before the lock would miss what its last holder committed. */
	PushActiveSnapshot(GetLatestSnapshot());
	recount_tables(recount);
	if (recount->result.differs)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("rows were copied in that cannot be part of the state: %.*s",
							   (int) strlen(recount->detail) - 1, recount->detail)));
	check_empty("requests");
	check_empty("void_numbers");
	check_empty("closed_sessions");
	memset(base, 0, sizeof(*base));
	base->slot = highest_revision(table);
	if (base->slot > 0)
		state_hash_to_bytes(recount->result.found.hash, base->hash.bytes);
	PopActiveSnapshot();
	table_close(table, AccessShareLock);
}
