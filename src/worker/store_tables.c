/*
 * store_tables.c - opens the extension's tables for reading.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "utils/lsyscache.h"

#include "worker/store_tables.h"

Relation store_open_table(const char *name)
{
	Oid schema = get_namespace_oid(PAXOSKV_SCHEMA, true);
	Oid table = OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;

	if (!OidIsValid(table) || get_rel_relkind(table) != RELKIND_RELATION)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("table \"%s.%s\" does not exist in this database", PAXOSKV_SCHEMA, name),
						errhint("Create it with CREATE EXTENSION %s.", PAXOSKV_EXTENSION)));
	return table_open(table, AccessShareLock);
}
