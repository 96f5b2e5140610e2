/*
 * protect_definition.c - which changes of a protected table's definition are refused, by whatever command.
 *
 * The server reports each change while it is made, by OID, so that no name or way around can hide it; an error
 * takes it back.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "sql/protect.h"

/* ---------------------------------------------------------------- what may be adjusted */

/* Of these the server's own behaviour on a table depends, and nothing that the rows say. */
static bool adjusts(const AlterTableCmd *command)
{
	ListCell *cell;

	switch (command->subtype)
	{
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
			/* It would let dead rows pile up for a replication slot. */
			foreach (cell, castNode(List, command->def))
				if (strcmp(lfirst_node(DefElem, cell)->defname, "user_catalog_table") == 0)
					return false;
			return true;
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetTableSpace:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_ChangeOwner:
			return true;
		default:
			return false;
	}
}

bool only_adjusts(const AlterTableStmt *alter)
{
	ListCell *cell;

	foreach (cell, alter->cmds)
		if (!adjusts(lfirst_node(AlterTableCmd, cell)))
			return false;
	return true;
}

static Waiver waiver = {false, NULL, false};

static const char *adjusting_command(const Node *command)
{
	switch (nodeTag(command))
	{
		case T_AlterTableStmt:
			return only_adjusts((const AlterTableStmt *) command) ? "ALTER TABLE" : NULL;
		case T_AlterTableMoveAllStmt:
			return "ALTER TABLE ALL IN TABLESPACE";
		case T_ReassignOwnedStmt:
			return "REASSIGN OWNED";
		default:
			return NULL;
	}
}

Waiver begin_waiver(PlannedStmt *statement, bool is_top_level)
{
	Waiver outer = waiver;

	waiver.drop = drops_extension(statement->utilityStmt);
	waiver.adjusting = adjusting_command(statement->utilityStmt);
	waiver.in_block = waiver.adjusting != NULL && IsInTransactionBlock(is_top_level);
	return outer;
}

void end_waiver(Waiver outer)
{
	waiver = outer;
}

/* These lock the table until their transaction ends: that must be at once, also in a client's pipeline. */
static void check_adjustment(Oid relation)
{
	if (waiver.in_block)
		refuse_table_lock(relation, waiver.adjusting);
	MyXactFlags |= XACT_FLAGS_NEEDIMMEDIATECOMMIT;
}

/* ---------------------------------------------------------------- what is touched */

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
	{ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid, Anum_pg_constraint_confrelid},
};

/* The relation that a trigger, rule, policy or constraint belongs or refers to, also one made just now. */
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

static void check_relation(ObjectAccessType access, Oid relation, int column)
{
	if (!is_protected(relation))
		return;
	if (access == OAT_POST_ALTER && waiver.adjusting != NULL)
		check_adjustment(relation);
	else if (access == OAT_DROP && column == 0) /* also of an index, which goes before its table */
		refuse_drop(relation);
	else
		refuse_definition(relation);
}

static void check_inheritance(Oid child, void *argument)
{
	Oid parent = argument ? ((ObjectAccessPostAlter *) argument)->auxiliary_id : InvalidOid;

	if (is_protected(child))
		refuse_definition(child);
	if (is_protected(parent))
		refuse_definition(parent);
}

/* A foreign key's triggers on the table it refers to are internal, and as unwanted. */
static void check_owned(ObjectAccessType access, Oid catalog, Oid object)
{
	for (size_t i = 0; i < lengthof(owning_columns); i++)
	{
		Oid relation;

		if (owning_columns[i].catalog != catalog)
			continue;
		relation = owning_relation(&owning_columns[i], object);
		if (is_protected(relation) && access == OAT_DROP)
			refuse_drop(relation);
		if (is_protected(relation))
			refuse_definition(relation);
	}
}

void check_definition(ObjectAccessType access, Oid catalog, Oid object, int column, void *argument)
{
	if (access == OAT_DROP && waiver.drop)
		return;
	if (catalog == InheritsRelationId)
		check_inheritance(object, argument);
	else if (catalog != RelationRelationId)
		check_owned(access, catalog, object);
	else if (!is_internal(access, argument))
		check_relation(access, object, column);
}
