/*
 * store_tables.c - finds the extension's tables, and opens them for reading.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"

#include "worker/store_tables.h"

/* InvalidOid: it is not there. */
static Oid find_relation(const char *name)
{
	Oid schema = get_namespace_oid(PAXOSKV_SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

Oid store_relation_id(const char *name)
{
	Oid relation = find_relation(name);

	if (!OidIsValid(relation))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation \"paxoskv.%s\" does not exist", name)));
	return relation;
}

Relation store_open_table(const char *name)
{
	Oid table = find_relation(name);

	if (!OidIsValid(table) || get_rel_relkind(table) != RELKIND_RELATION)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table \"%s.%s\" does not exist in this database", PAXOSKV_SCHEMA, name),
						errhint("Create it with CREATE EXTENSION %s.", PAXOSKV_EXTENSION)));
	return table_open(table, AccessShareLock);
}
