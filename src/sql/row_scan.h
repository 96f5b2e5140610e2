/*
 * row_scan.h - a walk over many rows of the store in bytewise key order, all as one snapshot shows them.
 *
 * read_rows.c's SQL functions are made of it, and the plan node in row_plan.c that takes their place in FROM.
 */
#ifndef PAXOSKV_SQL_ROW_SCAN_H
#define PAXOSKV_SQL_ROW_SCAN_H

#include "postgres.h"

#include "access/genam.h"
#include "access/skey.h"
#include "fmgr.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "sql/arguments.h"

/* Partition, and two bounds or a list of keys. */
#define ROW_CONDITIONS_MAX 3

/* Which rows are wanted. */
typedef struct RowQuery
{
	ReadLevel level;
	bool limited;
	uint64 max_rows; /* if limited */
	int n_conditions;
	ScanKeyData conditions[ROW_CONDITIONS_MAX]; /* their arguments are palloc'd with the query */
} RowQuery;

/* Reads the arguments of a call into a query, which is zero until then. */
typedef void (*RowQueryReader)(FunctionCallInfo fcinfo, RowQuery *query);

/* An SQL function that gives rows of type key_value. */
typedef struct RowFunction
{
	const char *name;
	PGFunction function;
	RowQueryReader read_query;
} RowFunction;

#define ROW_FUNCTIONS 3
extern const RowFunction row_functions[ROW_FUNCTIONS];

/* A walk in progress. */
typedef struct RowScan
{
	MemoryContext memory; /* of all that it points to */
	RowQuery query;
	uint64 n_rows; /* given since it began */
	Relation table;
	Relation index;
	Snapshot snapshot;
	SysScanDesc scan;
	Datum *columns; /* of the row in hand */
	bool *column_nulls;
} RowScan;

/*
 * Reads a call's arguments, waits until this node has applied what the call must see (R1 to R3), and begins before
 * the first row.  The walk lives in the current memory context; its locks, pins and snapshot belong to the current
 * resource owner, which gives them back after an error.
 */
extern RowScan *row_scan_begin(FunctionCallInfo fcinfo, RowQueryReader read_query);

/*
 * Fills the columns of key_value with the next row; false when there is none.  They point into the table's page, where
 * they stay until the next row is asked for.  What is stored out of line is left there, as in a scan of the table: the
 * snapshot of the caller's query, which is no newer than the walk's, keeps it for as long as that query may want it.
 */
extern bool row_scan_next(RowScan *scan, Datum *values, bool *nulls);

/* Goes back before the first row; the rows are the same. */
extern void row_scan_restart(RowScan *scan);

extern void row_scan_end(RowScan *scan);

/* In _PG_init: rows of these functions are taken one by one in FROM, too. */
extern void sql_install_row_plans(void);

#endif /* PAXOSKV_SQL_ROW_SCAN_H */
