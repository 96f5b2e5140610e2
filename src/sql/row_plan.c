/*
 * row_plan.c - a plan node that takes the place of paxos_get_many(), paxos_range() and paxos_prefix() in FROM.
 *
 * PostgreSQL's own node for a function in FROM collects all rows in a tuplestore before it gives the first: a LIMIT or
 * a cursor saves nothing then, and a million rows go through a temporary file.  This one walks the index as rows are
 * asked for.  Rows, errors and rights are the same: the function is looked up and the right to execute it checked as
 * for any call, its arguments are evaluated once, and a join that wants the rows again gets the same ones.
 *
 * Not for UPDATE, DELETE, MERGE and FOR UPDATE, which may have to join a row again by itself (EvalPlanQual), nor WITH
 * ORDINALITY or ROWS FROM: there the functions are called as any others.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "nodes/bitmapset.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "sql/key_value.h"
#include "sql/row_scan.h"

static set_rel_pathlist_hook_type previous_hook = NULL;

/* ---------------------------------------------------------------- execution */

typedef struct RowScanState
{
	CustomScanState custom;
	SetExprState *call;        /* the function and its arguments */
	RowQueryReader read_query; /* of that function */
	Bitmapset *parameters;     /* that the arguments depend on */
	bool depends_on_any;       /* they have subqueries: on any that changes */
	int n_columns;             /* of a row: ours, and null ones that somebody added to the type */
	TupleDesc row_type;        /* where whole rows are wanted, too */
	MemoryContext memory;      /* of "scan" */
	RowScan *scan;             /* NULL: not called yet */
} RowScanState;

static const RowFunction *find_function(PGFunction function)
{
	for (int i = 0; i < ROW_FUNCTIONS; i++)
		if (row_functions[i].function == function)
			return &row_functions[i];
	return NULL;
}

static bool note_parameters(Node *node, void *context)
{
	RowScanState *state = context;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		state->parameters = bms_add_member(state->parameters, ((Param *) node)->paramid);
	if (IsA(node, SubPlan) || IsA(node, AlternativeSubPlan))
		state->depends_on_any = true;
	return expression_tree_walker(node, note_parameters, context);
}

static void begin_row_scan(CustomScanState *node, EState *estate, int flags)
{
	RowScanState *state = (RowScanState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	Expr *call = linitial(plan->custom_exprs);
	const RowFunction *function;

	state->call = ExecInitFunctionResultSet(call, node->ss.ps.ps_ExprContext, &node->ss.ps);
	function = find_function(state->call->func.fn_addr);
	if (function == NULL)
		elog(ERROR, "function %u is none that gives rows of the store", state->call->func.fn_oid);
	state->read_query = function->read_query;
	(void) note_parameters((Node *) call, state);
	state->n_columns = list_length(plan->custom_scan_tlist);
	if (linitial_int(plan->custom_private))
	{
		state->n_columns--;
		state->row_type = lookup_rowtype_tupdesc_copy(exprType((Node *) call), -1);
		state->row_type = BlessTupleDesc(state->row_type);
		check_key_value(state->row_type);
	}
	state->memory = AllocSetContextCreate(estate->es_query_cxt, "paxoskv rows", ALLOCSET_DEFAULT_SIZES);
}

static void call_function(RowScanState *state)
{
	FunctionCallInfo call = state->call->fcinfo;
	MemoryContext caller = MemoryContextSwitchTo(state->memory);
	ListCell *cell;
	int i = 0;

	foreach (cell, state->call->args)
	{
		call->args[i].value =
			ExecEvalExpr(lfirst(cell), state->custom.ss.ps.ps_ExprContext, &call->args[i].isnull);
		i++;
	}
	state->scan = row_scan_begin(call, state->read_query);
	MemoryContextSwitchTo(caller);
}

/* Columns that somebody added to the type are null. */
static Datum whole_row(TupleDesc type, const Datum *values, const bool *nulls)
{
	Datum *all_values = palloc0(type->natts * sizeof(Datum));
	bool *all_nulls = palloc(type->natts * sizeof(bool));

	memset(all_nulls, true, type->natts * sizeof(bool));
	memcpy(all_values, values, KEY_VALUE_COLUMNS * sizeof(Datum));
	memcpy(all_nulls, nulls, KEY_VALUE_COLUMNS * sizeof(bool));
	return HeapTupleGetDatum(heap_form_tuple(type, all_values, all_nulls));
}

static TupleTableSlot *next_row(ScanState *node)
{
	RowScanState *state = (RowScanState *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	MemoryContext caller;
	bool found;

	ExecClearTuple(slot);
	if (state->scan == NULL)
		call_function(state);
	caller = MemoryContextSwitchTo(node->ps.ps_ExprContext->ecxt_per_tuple_memory);
	found = row_scan_next(state->scan, slot->tts_values, slot->tts_isnull);
	for (int i = KEY_VALUE_COLUMNS; i < state->n_columns; i++)
		slot->tts_isnull[i] = true;
	if (found && state->row_type != NULL)
	{
		slot->tts_values[state->n_columns] = whole_row(state->row_type, slot->tts_values, slot->tts_isnull);
		slot->tts_isnull[state->n_columns] = false;
	}
	MemoryContextSwitchTo(caller);
	return found ? ExecStoreVirtualTuple(slot) : slot;
}

/* Only EvalPlanQual asks. */
static bool recheck_row(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

static TupleTableSlot *execute_row_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck_row);
}

static void end_call(RowScanState *state)
{
	if (state->scan != NULL)
		row_scan_end(state->scan);
	state->scan = NULL;
	MemoryContextReset(state->memory);
}

static void end_row_scan(CustomScanState *node)
{
	end_call((RowScanState *) node);
}

/* Other arguments mean another call; the same ones, the same rows. */
static void rescan_rows(CustomScanState *node)
{
	RowScanState *state = (RowScanState *) node;
	Bitmapset *changed = node->ss.ps.chgParam;

	if ((state->depends_on_any && changed != NULL) || bms_overlap(changed, state->parameters))
		end_call(state);
	else if (state->scan != NULL)
		row_scan_restart(state->scan);
	ExecScanReScan(&node->ss);
}

static const CustomExecMethods exec_methods = {
	.CustomName = "paxoskv rows",
	.BeginCustomScan = begin_row_scan,
	.ExecCustomScan = execute_row_scan,
	.EndCustomScan = end_row_scan,
	.ReScanCustomScan = rescan_rows,
};

static Node *make_scan_state(CustomScan *plan)
{
	RowScanState *state = (RowScanState *) newNode(sizeof(RowScanState), T_CustomScanState);

	state->custom.methods = &exec_methods;
	return (Node *) state;
}

/* ---------------------------------------------------------------- planning */

/* By function, so that EXPLAIN shows its name. */
static CustomScanMethods scan_methods[ROW_FUNCTIONS];

/* Which of row_functions the only function of a FROM item is, -1 for none that can be planned here. */
static int plannable_function(PlannerInfo *root, const RangeTblEntry *entry)
{
	FuncExpr *call;
	FmgrInfo info;
	char *name;

	if (entry->rtekind != RTE_FUNCTION || list_length(entry->functions) != 1 || entry->funcordinality)
		return -1;
	if (root->rowMarks != NIL ||
		(root->parse->commandType != CMD_SELECT && root->parse->commandType != CMD_INSERT))
		return -1;
	call = (FuncExpr *) linitial_node(RangeTblFunction, entry->functions)->funcexpr;
	if (!IsA(call, FuncExpr) || !call->funcretset)
		return -1;
	name = get_func_name(call->funcid);
	for (int i = 0; name != NULL && i < ROW_FUNCTIONS; i++)
	{
		if (strcmp(name, row_functions[i].name) != 0)
			continue;
		/* Another address: somebody else's, or one that was altered to be called in a special way. */
		fmgr_info(call->funcid, &info);
		return info.fn_addr == row_functions[i].function ? i : -1;
	}
	return -1;
}

static Oid row_type(const RangeTblEntry *entry)
{
	return exprType(linitial_node(RangeTblFunction, entry->functions)->funcexpr);
}

/* Whether the type has the columns that the extension made; if not, a call finds out what to do about it. */
static bool has_our_columns(const RangeTblEntry *entry)
{
	TupleDesc descriptor = lookup_rowtype_tupdesc(row_type(entry), -1);
	bool same = is_key_value(descriptor);

	ReleaseTupleDesc(descriptor);
	return same;
}

static bool wants_whole_row(Index relation, List *targets, List *clauses)
{
	Bitmapset *columns = NULL;

	pull_varattnos((Node *) targets, relation, &columns);
	pull_varattnos((Node *) clauses, relation, &columns);
	return bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns);
}

/* What the node gives: the type's columns, then the whole row if that is wanted. */
static List *scan_targets(RangeTblEntry *entry, Index relation, bool with_whole_row)
{
	TupleDesc descriptor = lookup_rowtype_tupdesc(row_type(entry), -1);
	List *targets = NIL;

	for (int i = 0; i < descriptor->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(descriptor, i);
		Var *variable = makeVar(relation, (AttrNumber) (i + 1), column->atttypid, column->atttypmod,
								column->attcollation, 0);

		if (!column->attisdropped)
			targets = lappend(targets, makeTargetEntry((Expr *) variable,
													   (AttrNumber) (list_length(targets) + 1), NULL, false));
	}
	ReleaseTupleDesc(descriptor);
	if (with_whole_row)
		targets = lappend(targets, makeTargetEntry((Expr *) makeWholeRowVar(entry, relation, 0, false),
												   (AttrNumber) (list_length(targets) + 1), NULL, false));
	return targets;
}

static Plan *plan_row_scan(PlannerInfo *root, RelOptInfo *relation, CustomPath *path, List *targets,
						   List *clauses, List *plans)
{
	RangeTblEntry *entry = planner_rt_fetch(relation->relid, root);
	CustomScan *plan = makeNode(CustomScan);
	bool with_whole_row;

	plan->scan.plan.targetlist = targets;
	plan->scan.plan.qual = extract_actual_clauses(clauses, false);
	plan->scan.scanrelid = 0; /* it reads no table that the range table knows */
	plan->flags = path->flags;
	plan->custom_exprs = list_make1(linitial_node(RangeTblFunction, entry->functions)->funcexpr);
	/* Not "targets", which the planner may yet replace. */
	with_whole_row = wants_whole_row(relation->relid, relation->reltarget->exprs, plan->scan.plan.qual);
	plan->custom_scan_tlist = scan_targets(entry, relation->relid, with_whole_row);
	plan->custom_private = list_make1_int(with_whole_row);
	plan->methods = &scan_methods[linitial_int(path->custom_private)];
	return &plan->scan.plan;
}

static const CustomPathMethods path_methods = {.CustomName = "paxoskv rows", .PlanCustomPath = plan_row_scan};

static void plan_functions(PlannerInfo *root, RelOptInfo *relation, Index index, RangeTblEntry *entry)
{
	int function = plannable_function(root, entry);
	CustomPath *path;
	Path *usual;

	if (previous_hook != NULL)
		previous_hook(root, relation, index, entry);
	if (function < 0 || list_length(relation->pathlist) != 1 || !has_our_columns(entry))
		return;
	usual = linitial(relation->pathlist);
	if (usual->pathtype != T_FunctionScan)
		return;
	path = makeNode(CustomPath);
	path->path = *usual;
	path->path.type = T_CustomPath;
	path->path.pathtype = T_CustomScan;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_private = list_make1_int(function);
	path->methods = &path_methods;
	relation->pathlist = list_make1(path);
}

void sql_install_row_plans(void)
{
	for (int i = 0; i < ROW_FUNCTIONS; i++)
	{
		scan_methods[i].CustomName = row_functions[i].name;
		scan_methods[i].CreateCustomScanState = make_scan_state;
		RegisterCustomScanMethods(&scan_methods[i]);
	}
	previous_hook = set_rel_pathlist_hook;
	set_rel_pathlist_hook = plan_functions;
}
