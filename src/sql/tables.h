/*
 * tables.h - the extension's own tables, as the install script makes them.
 */
#ifndef PAXOSKV_SQL_TABLES_H
#define PAXOSKV_SQL_TABLES_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "storage/lockdefs.h"
#include "utils/relcache.h"

#define PAXOSKV_EXTENSION "paxoskv"
#define PAXOSKV_SCHEMA "paxoskv"

/* Columns of paxoskv.kv that reads use. */
enum
{
	KV_PARTITION = 1,
	KV_KEY,
	KV_VALUE,
	KV_VALUE_KIND,
	KV_REVISION,
	KV_CREATE_REVISION,
	KV_WRITTEN_AT
};

/* Columns of paxoskv.state that paxos_status() shows. */
enum
{
	STATE_APPLIED_SLOT = 3,
	STATE_HASH = 4,
	STATE_ROW_COUNT = 5
};

/* Opens paxoskv.<name> for reading; 55000 where the extension is not created as it should be. */
extern Relation open_table(const char *name);

#endif /* PAXOSKV_SQL_TABLES_H */
