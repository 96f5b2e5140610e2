/*
 * snapshot_table.h - rows of the store's tables in the order of their keys, as bytes and back (snapshot_format.h), and
 * put into a table in large steps.
 */
#ifndef PAXOSKV_SNAPSHOT_TABLE_H
#define PAXOSKV_SNAPSHOT_TABLE_H

#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "utils/rel.h"

#define SNAPSHOT_COLUMNS_MAX 10
#define SNAPSHOT_BATCH_ROWS 512
#define SNAPSHOT_BATCH_BYTES (256u << 10)

/* Numbers of the tables, on the wire too. */
typedef enum SnapshotTableNumber
{
	SNAPSHOT_KV,
	SNAPSHOT_REQUESTS,
	SNAPSHOT_VOID_NUMBERS,
	SNAPSHOT_CLOSED_SESSIONS,
	SNAPSHOT_TABLES
} SnapshotTableNumber;

typedef struct SnapshotTable
{
	const char *name;
	const char *index; /* whose order it is */
	int n_columns;
	int n_keys;          /* the first columns are the index' */
	const char *columns; /* a letter each: v text or bytea, 2 4 8 integers, b boolean; t timestamp */
	const char *nullable;
} SnapshotTable;

extern const SnapshotTable snapshot_tables[SNAPSHOT_TABLES];

typedef struct SnapshotRow
{
	Datum values[SNAPSHOT_COLUMNS_MAX];
	bool nulls[SNAPSHOT_COLUMNS_MAX];
} SnapshotRow;

/* ---- reading */

typedef struct SnapshotScan
{
	const SnapshotTable *table;
	Relation relation;
	Relation index;
	SysScanDesc scan;
	HeapTuple tuple; /* the present row: good until the next one */
	SnapshotRow row;
} SnapshotScan;

/* With the active snapshot, in the order of the keys. */
extern void snapshot_scan_begin(SnapshotScan *scan, const SnapshotTable *table);
/* False: there are no more. */
extern bool snapshot_scan_next(SnapshotScan *scan);
extern void snapshot_scan_end(SnapshotScan *scan);

/* ---- bytes */

/* Appends the row; long values are fetched, into the current context. */
extern void snapshot_row_append(StringInfo to, const SnapshotTable *table, const SnapshotRow *row);
/* Reads the next row, in the current context; *at moves on.  XX001 where the bytes can be none. */
extern void snapshot_row_read(SnapshotRow *row, const SnapshotTable *table, const uint8 **at,
							  const uint8 *end);
/* By their keys, as the index has them: below, at or above 0. */
extern int snapshot_row_compare(const SnapshotTable *table, const SnapshotRow *a, const SnapshotRow *b);
/* Whether all columns are the same; long values are fetched, into the current context. */
extern bool snapshot_row_equal(const SnapshotTable *table, const SnapshotRow *a, const SnapshotRow *b);

/* ---- writing */

typedef struct SnapshotWriter
{
	const SnapshotTable *table;
	Relation relation;
	EState *executor;
	ResultRelInfo *result;
	BulkInsertState bulk;
	TupleTableSlot *slots[SNAPSHOT_BATCH_ROWS];
	int n_slots; /* filled */
	uint64 bytes;
	MemoryContext batch_context;
	int options; /* of table_multi_insert() */
} SnapshotWriter;

extern void snapshot_writer_begin(SnapshotWriter *writer, const SnapshotTable *table);
/* The same into new files, which are to take the place of the table's: snapshot_rewrite_finish(). */
extern void snapshot_writer_begin_anew(SnapshotWriter *writer, const SnapshotTable *table);
/* The row is copied; it is in the table after the next snapshot_writer_flush() at the latest. */
extern void snapshot_writer_insert(SnapshotWriter *writer, const SnapshotRow *row);
extern void snapshot_writer_flush(SnapshotWriter *writer);
extern void snapshot_writer_delete(SnapshotWriter *writer, ItemPointer place);
/* Flushes. */
extern void snapshot_writer_end(SnapshotWriter *writer);

/* ---- snapshot_rewrite.c: new files in place of a table's */

/* With the table's definition, and no rows; open, and locked.  Nothing of the table's own files is read. */
extern Relation snapshot_rewrite_begin(Relation table);
/*
 * All that were begun, once no writer has them open: the tables are locked, take these files for theirs, and get new
 * indexes.  wait: what to do between two looks whether nobody has the tables locked.
 */
extern void snapshot_rewrite_finish(void (*wait)(void));

#endif /* PAXOSKV_SNAPSHOT_TABLE_H */
