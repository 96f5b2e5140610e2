/*
 * hooks.c - where the protection of the replicated table is hooked in, and the truth about late cancels.
 *
 * Hooks and not a trigger: they hold for superusers, for DDL and for locks, and no ALTER TABLE turns them off.
 */
#include "postgres.h"

#include "catalog/objectaccess.h"
#include "executor/executor.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"

#include "pg_compat.h"
#include "sql/hooks.h"
#include "sql/protect.h"
#include "worker/client.h"

static object_access_hook_type next_object_access = NULL;
/* The server's own functions where there is no other extension's hook. */
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
	next_executor_start(query, flags);
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
	uint64 applied = client_commands_applied();
	MemoryContext context = CurrentMemoryContext;

	nesting++;
	PG_TRY();
	{
		next_executor_run(query, direction, count COMPAT_EXECUTE_ONCE_ARGUMENT);
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

/* ---------------------------------------------------------------- definitions and commands */

static void on_object_access(ObjectAccessType access, Oid catalog, Oid object, int column, void *argument)
{
	if (next_object_access)
		next_object_access(access, catalog, object, column, argument);
	if (access == OAT_TRUNCATE && is_protected(object))
		refuse_rows(object);
	if (access == OAT_POST_CREATE || access == OAT_POST_ALTER || access == OAT_DROP)
		check_definition(access, catalog, object, column, argument);
}

static void on_utility(PlannedStmt *statement, const char *text, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo parameters, QueryEnvironment *environment,
					   DestReceiver *receiver, QueryCompletion *completion)
{
	bool is_top_level = context == PROCESS_UTILITY_TOPLEVEL;
	/* Asked before: the statement may be freed by running it. */
	bool subscribes = changes_subscription(statement);
	uint64 applied = client_commands_applied();
	MemoryContext memory = CurrentMemoryContext;
	Waiver outer;

	check_utility(statement, is_top_level);
	outer = begin_waiver(statement, is_top_level);
	nesting++;
	PG_TRY();
	{
		next_utility(statement, text, read_only_tree, context, parameters, environment, receiver, completion);
	}
	PG_CATCH();
	{
		nesting--;
		end_waiver(outer);
		correct_cancel(applied, memory);
		PG_RE_THROW();
	}
	PG_END_TRY();
	nesting--;
	end_waiver(outer);
	if (subscribes)
		check_subscriptions();
}

void sql_install_hooks(void)
{
	next_object_access = object_access_hook;
	object_access_hook = on_object_access;
	next_executor_start = ExecutorStart_hook ? ExecutorStart_hook : standard_ExecutorStart;
	ExecutorStart_hook = on_executor_start;
	next_executor_run = ExecutorRun_hook ? ExecutorRun_hook : standard_ExecutorRun;
	ExecutorRun_hook = on_executor_run;
	next_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = on_utility;
}
