/*
 * protect.c - which tables are protected, and the errors for touching them.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "nodes/pg_list.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "sql/protect.h"
#include "worker/client.h"
#include "worker/snapshot.h"
#include "worker/store_tables.h"

/* The relation that keeps a table's long values; InvalidOid: there is none. */
static Oid toast_of(Oid table)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	Oid toast;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	toast = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;
	ReleaseSysCache(tuple);
	return toast;
}

/* Which of our tables keeps its long values in that relation; InvalidOid: none. */
static Oid toasted_table(Oid toast)
{
	ListCell *cell;

	foreach (cell, protected_tables())
		if (toast_of(lfirst_oid(cell)) == toast)
			return lfirst_oid(cell);
	return InvalidOid;
}

/*
 * The table that an index or a TOAST relation belongs to, the relation itself otherwise; InvalidOid where it
 * is (no longer) visible, and for a TOAST relation of others.
 */
static Oid table_of(Oid relation)
{
	char kind = get_rel_relkind(relation);

	if (kind == RELKIND_INDEX)
	{
		relation = IndexGetRelation(relation, true);
		kind = OidIsValid(relation) ? get_rel_relkind(relation) : '\0';
	}
	if (kind == RELKIND_TOASTVALUE)
		return toasted_table(relation);
	return kind == RELKIND_RELATION ? relation : InvalidOid;
}

bool is_protected(Oid relation)
{
	Oid schema;
	Oid home;
	Oid table;
	Oid extension;

	/* Cheap tests first: this runs for each result relation of every statement of the server. */
	if (!OidIsValid(relation) || am_apply_worker() || am_snapshot_loader())
		return false;
	schema = get_namespace_oid(PAXOSKV_SCHEMA, true);
	home = OidIsValid(schema) ? get_rel_namespace(relation) : InvalidOid;
	if (!OidIsValid(home) || (home != schema && home != PG_TOAST_NAMESPACE))
		return false;
	table = table_of(relation);
	if (!OidIsValid(table))
		return false;
	extension = getExtensionOfObject(RelationRelationId, table);
	if (!OidIsValid(extension) || extension != get_extension_oid(PAXOSKV_EXTENSION, true))
		return false;
	return !(creating_extension && CurrentExtensionObject == extension);
}

List *protected_tables(void)
{
	Oid schema = get_namespace_oid(PAXOSKV_SCHEMA, true);
	List *tables = NIL;
	Relation classes;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;

	if (!OidIsValid(schema))
		return NIL;
	classes = table_open(RelationRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(classes, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class class = (Form_pg_class) GETSTRUCT(tuple);

		if (class->relkind == RELKIND_RELATION && is_protected(class->oid))
			tables = lappend_oid(tables, class->oid);
	}
	systable_endscan(scan);
	table_close(classes, AccessShareLock);
	return tables;
}

/* ---------------------------------------------------------------- errors */

#define WHY_PROTECTED "Its contents follow from the replicated log and must be the same on all nodes."

static char *table_name(Oid relation)
{
	Oid table = table_of(relation);

	return get_rel_name(OidIsValid(table) ? table : relation);
}

void refuse_rows(Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot change rows of table \"%s.%s\"", PAXOSKV_SCHEMA, table_name(relation)),
			 errdetail(WHY_PROTECTED),
			 errhint("Use paxos_put(), paxos_batch(), paxos_delete(), paxos_clear() or paxos_clear_all().")));
}

void refuse_copy(Oid relation)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot change rows of table \"%s.%s\"", PAXOSKV_SCHEMA, table_name(relation)),
			 errdetail("A superuser may load a dump into servers whose cluster has not formed yet. This one "
					   "belongs to a cluster, or has agreed to one."),
			 errhint("Restore the dump on each server of a new cluster before it forms, or copy its rows "
					 "into a table of "
					 "your own and write them with paxos_batch().")));
}

void refuse_row_locks(Oid relation)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot lock rows of table \"%s.%s\"", PAXOSKV_SCHEMA, table_name(relation)),
					errdetail("The apply worker would have to wait, and with it every write on this node."),
					errhint("Leave out FOR UPDATE or FOR SHARE; a foreign key cannot refer to this table.")));
}

void refuse_definition(Oid relation)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot change table \"%s.%s\"", PAXOSKV_SCHEMA, table_name(relation)),
					errdetail(WHY_PROTECTED),
					errhint("Make a table or a view of your own beside it; only ALTER EXTENSION ... UPDATE "
							"changes this one.")));
}

void refuse_drop(Oid relation)
{
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("cannot drop table \"%s.%s\"", PAXOSKV_SCHEMA, table_name(relation)),
					errdetail("The apply worker writes the replicated rows there."),
					errhint("DROP EXTENSION %s drops it, on a server that is not a member of a cluster.",
							PAXOSKV_EXTENSION)));
}

void refuse_table_lock(Oid relation, const char *command)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
		 errmsg("cannot run %s on table \"%s.%s\" here", command, PAXOSKV_SCHEMA, table_name(relation)),
		 errdetail("The apply worker would have to wait for the end of this transaction, and a write in it "
				   "for the apply worker."),
		 strncmp(command, "LOCK", 4) == 0
			 ? errhint("LOCK TABLE up to SHARE UPDATE EXCLUSIVE MODE is allowed.")
			 : errhint("Run it as a command of its own, outside of a transaction block and of functions.")));
}
