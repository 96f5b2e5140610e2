/*
 * protect_utility.c - which utility commands are refused, and why.
 *
 * Most changes of a protected table's definition would be caught by the object access hook too; here they are
 * refused before they take a lock, and some that it does not see.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_subscription_rel.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lock.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "sql/protect.h"
#include "worker/client.h"
#include "worker/settings.h"
#include "worker/store_tables.h"

static Oid relation_named(const RangeVar *name)
{
	return name ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
}

static void check_definition_of(const RangeVar *name)
{
	Oid relation = relation_named(name);

	if (is_protected(relation))
		refuse_definition(relation);
}

/* ---------------------------------------------------------------- leaving the cluster */

/* Until its log is read, a server that may be a member counts as one. */
static bool is_starting(void)
{
	ClientStatus status;

	client_status(&status);
	return strcmp(status.role, "starting") == 0;
}

/* What is asked right after the server's start waits for the moments until it is known whether it is a member. */
static void wait_for_start(void)
{
	for (int i = 0; i < 500 && is_starting(); i++)
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(10000);
	}
}

static bool is_member(void)
{
	wait_for_start();
	return client_is_member() || is_starting();
}

/* 55006: what would take the store away under a running member; "what" is the object as a message names it. */
static void refuse_while_member(const char *action, const char *what, const char *name)
{
	if (!client_is_member())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE), errmsg("cannot %s %s \"%s\" yet", action, what, name),
				 errdetail("paxoskv is starting, and does not know whether this server is a member of a "
						   "cluster, which would keep its rows there."),
				 errhint("Try again in a moment. If it goes on, see detail in paxos_status().")));
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_IN_USE), errmsg("cannot %s %s \"%s\"", action, what, name),
		 errdetail("This server is a member of a paxoskv cluster, which keeps its rows there."),
		 errhint("To leave the cluster for good, remove paxoskv from shared_preload_libraries, restart the "
				 "server, and delete its log (paxoskv.log_directory); then repeat the command. The node "
				 "cannot come back under the same node id.")));
}

static void check_database_use(const char *action, const char *name)
{
	if (name != NULL && strcmp(paxoskv_database, name) == 0 && is_member())
		refuse_while_member(action, "database", name);
}

/* 55006 at once, where the server would first wait some seconds for the apply worker to go. */
static void check_database_copy(const char *action, const char *name)
{
	if (name != NULL && strcmp(paxoskv_database, name) == 0 && client_is_member())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE), errmsg("cannot %s database \"%s\"", action, name),
						errdetail("The paxoskv apply worker is connected to it."),
						errhint("Remove paxoskv from shared_preload_libraries and restart the server; then "
								"repeat the command, put paxoskv back, and restart again.")));
}

/* The text of a CREATE or ALTER DATABASE option; NULL: it is not there. */
static const char *option_text(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL && IsA(option->arg, String))
			return strVal(option->arg);
	}
	return NULL;
}

static bool names_extension(const DropStmt *drop)
{
	ListCell *cell;

	if (drop->removeType != OBJECT_EXTENSION)
		return false;
	foreach (cell, drop->objects)
		if (strcmp(strVal(lfirst(cell)), PAXOSKV_EXTENSION) == 0)
			return true;
	return false;
}

bool drops_extension(const Node *command)
{
	return IsA(command, DropStmt) && names_extension((const DropStmt *) command);
}

/* In a database that is not the store's own (a copy of it, perhaps) the extension can always go. */
static bool in_store_database(void)
{
	char *current = get_database_name(MyDatabaseId);

	return current != NULL && strcmp(paxoskv_database, current) == 0;
}

static void check_drop(const DropStmt *drop)
{
	ListCell *cell;

	if (names_extension(drop) && in_store_database() && is_member() &&
		OidIsValid(get_extension_oid(PAXOSKV_EXTENSION, true)))
		refuse_while_member("drop", "extension", PAXOSKV_EXTENSION);
	if (drop->removeType != OBJECT_TABLE && drop->removeType != OBJECT_INDEX)
		return;
	foreach (cell, drop->objects)
	{
		Oid relation = relation_named(makeRangeVarFromNameList(lfirst(cell)));

		if (is_protected(relation) && get_rel_relkind(relation) == RELKIND_RELATION)
			refuse_drop(relation);
		if (is_protected(relation))
			refuse_definition(relation);
	}
}

/* Taking a table out of the extension would take the protection away; so would a new name of the schema. */
static void refuse_extension_change(const char *what, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("cannot change %s \"%s\"", what, name),
			 errdetail("Its tables hold what follows from the replicated log, and are found by name."),
			 errhint("Leave what the extension made as it is; only ALTER EXTENSION ... UPDATE changes it.")));
}

static void check_rename(const RenameStmt *rename)
{
	if (rename->renameType == OBJECT_DATABASE)
		check_database_use("rename", rename->subname);
	else if (rename->renameType == OBJECT_SCHEMA && strcmp(rename->subname, PAXOSKV_SCHEMA) == 0 &&
			 OidIsValid(get_extension_oid(PAXOSKV_EXTENSION, true)))
		refuse_extension_change("schema", PAXOSKV_SCHEMA);
	else
		check_definition_of(rename->relation);
}

/* ---------------------------------------------------------------- rows and locks */

static void check_truncate(const TruncateStmt *truncate)
{
	ListCell *cell;

	foreach (cell, truncate->relations)
	{
		Oid relation = relation_named(lfirst(cell));

		if (is_protected(relation))
			refuse_rows(relation);
	}
}

/* Whether apply has written here: then the rows follow from a log, known to this server or not. */
static bool store_has_state(void)
{
	Relation table = store_open_table("state");
	SysScanDesc scan = systable_beginscan(table, InvalidOid, false, NULL, 0, NULL);
	bool found = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	table_close(table, AccessShareLock);
	return found;
}

/*
 * COPY has no executor start.  A superuser may load a node that belongs to no cluster yet.  The lock is the one
 * that COPY takes first itself, and keeps the name's meaning until then.
 */
static void check_copy(const CopyStmt *copy)
{
	Oid relation;

	if (!copy->is_from)
		return;
	/* without the lock, which the start may need */
	if (superuser() && is_protected(RangeVarGetRelid(copy->relation, NoLock, true)))
		wait_for_start();
	relation = RangeVarGetRelid(copy->relation, RowExclusiveLock, true);
	if (!is_protected(relation) || (superuser() && !is_member() && !store_has_state() && client_begin_load()))
		return;
	refuse_copy(relation);
}

static const char *lock_command(LOCKMODE mode)
{
	switch (mode)
	{
		case ShareLock:
			return "LOCK IN SHARE MODE";
		case ShareRowExclusiveLock:
			return "LOCK IN SHARE ROW EXCLUSIVE MODE";
		case ExclusiveLock:
			return "LOCK IN EXCLUSIVE MODE";
		default:
			return "LOCK IN ACCESS EXCLUSIVE MODE";
	}
}

/* What a LOCK reaches: the relations of a view's query, and of the views in it. */
typedef struct LockWalk
{
	LOCKMODE mode;
	List *views; /* on the way here */
} LockWalk;

static void check_lock_of(Oid relation, LockWalk *walk);

static bool walk_view(Node *node, LockWalk *walk)
{
	ListCell *cell;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		foreach (cell, ((Query *) node)->rtable)
		{
			RangeTblEntry *entry = lfirst(cell);

			if (entry->rtekind == RTE_RELATION)
				check_lock_of(entry->relid, walk);
		}
		return query_tree_walker((Query *) node, walk_view, walk, QTW_IGNORE_JOINALIASES);
	}
	return expression_tree_walker(node, walk_view, walk);
}

static void check_lock_of(Oid relation, LockWalk *walk)
{
	Relation view;

	check_stack_depth();
	if (is_protected(relation))
		refuse_table_lock(relation, lock_command(walk->mode));
	if (get_rel_relkind(relation) != RELKIND_VIEW || list_member_oid(walk->views, relation))
		return;
	walk->views = lappend_oid(walk->views, relation);
	view = try_table_open(relation, AccessShareLock);
	if (view == NULL)
		return;
	if (view->rd_rules != NULL)
		walk_view((Node *) get_view_query(view), walk);
	table_close(view, AccessShareLock);
}

static void check_lock(const LockStmt *lock)
{
	LockWalk walk = {lock->mode, NIL};
	ListCell *cell;

	if (lock->mode < ShareLock)
		return;
	foreach (cell, lock->relations)
		check_lock_of(relation_named(lfirst(cell)), &walk);
}

/* Harmless as commands of their own: the lock goes when they end, which in a client's pipeline is not by itself. */
static void check_rewrite(const RangeVar *name, const char *command, bool is_top_level)
{
	Oid relation = relation_named(name);

	if (!is_protected(relation))
		return;
	if (IsInTransactionBlock(is_top_level))
		refuse_table_lock(relation, command);
	MyXactFlags |= XACT_FLAGS_NEEDIMMEDIATECOMMIT;
}

static void check_alter(const AlterTableStmt *alter, bool is_top_level)
{
	Oid relation = relation_named(alter->relation);

	if (!is_protected(relation))
		return;
	if (!only_adjusts(alter))
		refuse_definition(relation);
	if (IsInTransactionBlock(is_top_level))
		refuse_table_lock(relation, "ALTER TABLE");
}

/* ---------------------------------------------------------------- all */

/* Commands on databases and extensions, rows and locks; false: not one of them. */
static bool check_special(Node *command, bool is_top_level)
{
	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			check_database_use("drop", ((DropdbStmt *) command)->dbname);
			return true;
		case T_AlterDatabaseStmt:
			if (option_text(((AlterDatabaseStmt *) command)->options, "tablespace") != NULL)
				check_database_copy("move", ((AlterDatabaseStmt *) command)->dbname);
			return true;
		case T_CreatedbStmt:
			check_database_copy("copy", option_text(((CreatedbStmt *) command)->options, "template"));
			return true;
		case T_DropStmt:
			check_drop((DropStmt *) command);
			return true;
		case T_RenameStmt:
			check_rename((RenameStmt *) command);
			return true;
		case T_AlterExtensionContentsStmt:
			if (strcmp(((AlterExtensionContentsStmt *) command)->extname, PAXOSKV_EXTENSION) == 0)
				refuse_extension_change("extension", PAXOSKV_EXTENSION);
			return true;
		case T_TruncateStmt:
			check_truncate((TruncateStmt *) command);
			return true;
		case T_CopyStmt:
			check_copy((CopyStmt *) command);
			return true;
		case T_LockStmt:
			check_lock((LockStmt *) command);
			return true;
		case T_ReindexStmt:
			check_rewrite(((ReindexStmt *) command)->relation, "REINDEX", is_top_level);
			return true;
		case T_ClusterStmt:
			check_rewrite(((ClusterStmt *) command)->relation, "CLUSTER", is_top_level);
			return true;
		default:
			return false;
	}
}

void check_utility(PlannedStmt *statement, bool is_top_level)
{
	Node *command = statement->utilityStmt;

	if (check_special(command, is_top_level))
		return;
	switch (nodeTag(command))
	{
		case T_AlterTableStmt:
			check_alter((AlterTableStmt *) command, is_top_level);
			break;
		case T_AlterObjectDependsStmt:
			check_definition_of(((AlterObjectDependsStmt *) command)->relation);
			break;
		case T_AlterObjectSchemaStmt:
			check_definition_of(((AlterObjectSchemaStmt *) command)->relation);
			break;
		case T_CreateTrigStmt:
			check_definition_of(((CreateTrigStmt *) command)->relation);
			break;
		case T_RuleStmt:
			check_definition_of(((RuleStmt *) command)->relation);
			break;
		case T_CreatePolicyStmt:
			check_definition_of(((CreatePolicyStmt *) command)->table);
			break;
		case T_IndexStmt:
			check_definition_of(((IndexStmt *) command)->relation);
			break;
		default:
			break;
	}
}

/* A subscription's worker writes past the executor's hook, and which tables it takes the publisher says. */
static void refuse_subscribed(Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("a subscription cannot write to table \"%s.%s\"", PAXOSKV_SCHEMA, get_rel_name(relation)),
			 errdetail("Its contents follow from the replicated log and must be the same on all nodes."),
			 errhint("Leave the table out of the publication. If CREATE SUBSCRIPTION made a replication slot "
					 "on the publisher, drop it there.")));
}

bool changes_subscription(PlannedStmt *statement)
{
	return IsA(statement->utilityStmt, CreateSubscriptionStmt) ||
		   IsA(statement->utilityStmt, AlterSubscriptionStmt);
}

void check_subscriptions(void)
{
	Relation subscribed;
	ListCell *cell;

	CommandCounterIncrement();
	subscribed = table_open(SubscriptionRelRelationId, AccessShareLock);
	foreach (cell, protected_tables())
	{
		ScanKeyData key;
		SysScanDesc scan;
		bool found;

		ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(lfirst_oid(cell)));
		scan = systable_beginscan(subscribed, SubscriptionRelSrrelidSrsubidIndexId, true, NULL, 1, &key);
		found = HeapTupleIsValid(systable_getnext(scan));
		systable_endscan(scan);
		if (found)
			refuse_subscribed(lfirst_oid(cell));
	}
	table_close(subscribed, AccessShareLock);
}
