/*
 * store_tables.h - the extension's own tables, as the install script makes them.
 */
#ifndef PAXOSKV_STORE_TABLES_H
#define PAXOSKV_STORE_TABLES_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#include "worker/store_values.h"

#define PAXOSKV_EXTENSION "paxoskv"
#define PAXOSKV_SCHEMA "paxoskv"

/* Of a table or an index, paxoskv.<name>; 42P01 where it is not there. */
extern Oid store_relation_id(const char *name);

/* Opens paxoskv.<name> for reading; 55000 where the extension is not created as it should be. */
extern Relation store_open_table(const char *name);

#endif /* PAXOSKV_STORE_TABLES_H */
