/*
 * snapshot_rewrite.c - new files for the store's tables (T5), where what is in the old ones can't be used: as REFRESH
 * MATERIALIZED VIEW does it.
 *
 * Nothing of the old files is read, whatever is in them, and the indexes are made from the new rows.  Queries go on with
 * the old rows meanwhile; they wait while the indexes are made and the rows are recounted, from when this has the tables'
 * locks until it commits, or gives up.
 */
#include "postgres.h"

#include "access/multixact.h"
#include "access/table.h"
#include "commands/cluster.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "worker/snapshot_table.h"

/* For so long it waits until nobody has a lock at all; then it queues, and who comes later waits behind it. */
#define PATIENCE_MS 10000
/* The tables of rows and that of the state. */
#define REWRITES_MAX (SNAPSHOT_TABLES + 1)

static struct
{
	Oid table;
	Oid files; /* a table by itself, until they change places */
	char persistence;
} rewrites[REWRITES_MAX];
static int n_rewrites = 0;

Relation snapshot_rewrite_begin(Relation table)
{
	Form_pg_class class = table->rd_rel;
	Oid files = make_new_heap(RelationGetRelid(table), class->reltablespace, class->relam,
							  class->relpersistence, ShareUpdateExclusiveLock);

	Assert(n_rewrites < REWRITES_MAX);
	rewrites[n_rewrites].table = RelationGetRelid(table);
	rewrites[n_rewrites].files = files;
	rewrites[n_rewrites].persistence = class->relpersistence;
	n_rewrites++;
	return table_open(files, AccessExclusiveLock);
}

/* All of them or none: who reads several does not meet some that are locked. */
static bool try_to_lock(void)
{
	for (int i = 0; i < n_rewrites; i++)
	{
		if (ConditionalLockRelationOid(rewrites[i].table, AccessExclusiveLock))
			continue;
		while (--i >= 0)
			UnlockRelationOid(rewrites[i].table, AccessExclusiveLock);
		return false;
	}
	return true;
}

static void lock_tables(void (*wait)(void))
{
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), PATIENCE_MS);

	while (GetCurrentTimestamp() < until)
	{
		if (try_to_lock())
			return;
		wait();
	}
	for (int i = 0; i < n_rewrites; i++)
		LockRelationOid(rewrites[i].table, AccessExclusiveLock);
}

void snapshot_rewrite_finish(void (*wait)(void))
{
	lock_tables(wait);
	for (int i = 0; i < n_rewrites; i++)
	{
		CHECK_FOR_INTERRUPTS();
		finish_heap_swap(rewrites[i].table, rewrites[i].files, false, false, true, true, RecentXmin,
						 ReadNextMultiXactId(), rewrites[i].persistence);
	}
	n_rewrites = 0;
}
