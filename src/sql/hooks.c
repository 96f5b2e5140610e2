/*
 * hooks.c - where the protection of the replicated table is hooked in, and the truth about late cancels.
 *
 * Hooks and not a trigger: they hold for superusers, for DDL and for locks, and no ALTER TABLE turns them off.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "executor/executor.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "pg_compat.h"
#include "sql/hooks.h"
#include "sql/protect.h"
#include "worker/client.h"

static object_access_hook_type next_object_access = NULL;
static ExecutorStart_hook_type next_executor_start = NULL;
static ExecutorRun_hook_type next_executor_run = NULL;
static ProcessUtility_hook_type next_utility = NULL;

/* Statements that run in each other: functions, DO, EXECUTE. */
static int nesting = 0;

/* ---------------------------------------------------------------- rows */

static void check_plan(const PlannedStmt *plan)
{
	ListCell *cell;

	/* Children of an inheritance tree and targets of data-modifying WITH are among the result relations. */
	foreach (cell, plan->resultRelations)
	{
		Oid relation = rt_fetch(lfirst_int(cell), plan->rtable)->relid;

		if (is_protected(relation))
			refuse_rows(relation);
	}
	foreach (cell, plan->rowMarks)
	{
		PlanRowMark *mark = lfirst(cell);
		Oid relation = rt_fetch(mark->rti, plan->rtable)->relid;

		if (RowMarkRequiresRowShareLock(mark->markType) && is_protected(relation))
			refuse_row_locks(relation);
	}
}

static void on_executor_start(QueryDesc *query, int flags)
{
	if ((query->plannedstmt->resultRelations != NIL || query->plannedstmt->rowMarks != NIL) &&
		!(flags & EXEC_FLAG_EXPLAIN_ONLY))
		check_plan(query->plannedstmt);
	if (next_executor_start)
		next_executor_start(query, flags);
	else
		standard_ExecutorStart(query, flags);
}

/* ---------------------------------------------------------------- late cancels */

/*
 * A cancel that comes after a command of the statement was applied must not look like one before its hand-off
 * (57014: certainly not applied).  Only the outermost statement says so: what runs inside is to end as any
 * cancelled statement does, which WHEN OTHERS does not catch.
 */
static void correct_cancel(uint64 applied_before, MemoryContext context)
{
	if (nesting == 0 && geterrcode() == ERRCODE_QUERY_CANCELED && client_commands_applied() != applied_before)
		client_raise_cancelled_late(context);
}

static void on_executor_run(QueryDesc *query, ScanDirection direction,
							uint64 count COMPAT_EXECUTE_ONCE_PARAMETER)
{
	ExecutorRun_hook_type run = next_executor_run ? next_executor_run : standard_ExecutorRun;
	uint64 applied = client_commands_applied();
	MemoryContext context = CurrentMemoryContext;

	nesting++;
	PG_TRY();
	{
		run(query, direction, count COMPAT_EXECUTE_ONCE_ARGUMENT);
	}
	PG_CATCH();
	{
		nesting--;
		correct_cancel(applied, context);
		PG_RE_THROW();
	}
	PG_END_TRY();
	nesting--;
}

/* ---------------------------------------------------------------- definitions */

/* What of an object is a relation: the catalog's index over OIDs, its OID column, the relation's column. */
typedef struct OwningColumn
{
	Oid catalog;
	Oid index;
	AttrNumber oid_column;
	AttrNumber relation_column;
} OwningColumn;

static const OwningColumn owning_columns[] = {
	{TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, Anum_pg_trigger_tgrelid},
	{RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class},
	{PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid, Anum_pg_policy_polrelid},
	{ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid, Anum_pg_constraint_conrelid},
};

/* The relation that a trigger, rule, policy or constraint belongs to, also one made by this command. */
static Oid owning_relation(const OwningColumn *column, Oid object)
{
	Relation catalog = table_open(column->catalog, AccessShareLock);
	Oid relation = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool is_null;

	ScanKeyInit(&key, column->oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, column->index, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		relation = DatumGetObjectId(
			heap_getattr(tuple, column->relation_column, RelationGetDescr(catalog), &is_null));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return relation;
}

/*
 * Rewriting a table (VACUUM FULL, CLUSTER, REINDEX) alters and drops things too, but says that it does so for
 * the server's own ends.
 */
static bool is_internal(ObjectAccessType access, void *argument)
{
	if (argument == NULL)
		return false;
	switch (access)
	{
		case OAT_POST_CREATE:
			return ((ObjectAccessPostCreate *) argument)->is_internal;
		case OAT_POST_ALTER:
			return ((ObjectAccessPostAlter *) argument)->is_internal;
		case OAT_DROP:
			return (((ObjectAccessDrop *) argument)->dropflags & PERFORM_DELETION_INTERNAL) != 0;
		default:
			return false;
	}
}

static void check_inheritance(Oid child, void *argument)
{
	Oid parent = argument ? ((ObjectAccessPostAlter *) argument)->auxiliary_id : InvalidOid;

	if (is_protected(child))
		refuse_definition(child);
	if (is_protected(parent))
		refuse_definition(parent);
}

static void check_definition(ObjectAccessType access, Oid catalog, Oid object, void *argument)
{
	Oid relation = InvalidOid;

	if (catalog == RelationRelationId)
	{
		if (!is_internal(access, argument))
			relation = object;
	}
	else if (catalog == InheritsRelationId)
		check_inheritance(object, argument);
	else
	{
		/* A foreign key's triggers on the table it refers to are internal, and as unwanted. */
		for (size_t i = 0; i < lengthof(owning_columns); i++)
			if (owning_columns[i].catalog == catalog)
				relation = owning_relation(&owning_columns[i], object);
	}
	if (is_protected(relation))
		refuse_definition(relation);
}

static void on_object_access(ObjectAccessType access, Oid catalog, Oid object, int column, void *argument)
{
	if (next_object_access)
		next_object_access(access, catalog, object, column, argument);
	if (access == OAT_TRUNCATE && is_protected(object))
		refuse_rows(object);
	if (access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP)
		check_definition(access, catalog, object, argument);
}

/* ---------------------------------------------------------------- commands */

static void run_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
						ProcessUtilityContext context, ParamListInfo parameters,
						QueryEnvironment *environment, DestReceiver *receiver, QueryCompletion *completion)
{
	ProcessUtility_hook_type run = next_utility ? next_utility : standard_ProcessUtility;
	uint64 applied = client_commands_applied();
	MemoryContext memory = CurrentMemoryContext;

	nesting++;
	PG_TRY();
	{
		run(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
	}
	PG_CATCH();
	{
		nesting--;
		correct_cancel(applied, memory);
		PG_RE_THROW();
	}
	PG_END_TRY();
	nesting--;
}

static void on_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
					   DestReceiver *receiver, QueryCompletion *completion)
{
	/* Asked before: the statement may be freed by running it. */
	bool subscribes = changes_subscription(statement);

	check_utility(statement, context == PROCESS_UTILITY_TOPLEVEL);
	if (!drops_extension(statement))
	{
		run_utility(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
		if (subscribes)
			check_subscriptions();
		return;
	}
	PG_TRY();
	{
		allow_drop(true);
		run_utility(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
	}
	PG_FINALLY();
	{
		allow_drop(false);
	}
	PG_END_TRY();
}

void sql_install_hooks(void)
{
	next_object_access = object_access_hook;
	object_access_hook = on_object_access;
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = on_executor_start;
	next_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = on_executor_run;
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
}
