/*
 * show.h - how slots, ballots and ids look in SQL.
 */
#ifndef PAXOSKV_SQL_SHOW_H
#define PAXOSKV_SQL_SHOW_H

#include "postgres.h"

#include "worker/client.h"

/* A row being filled, column by column. */
typedef struct RowBuilder
{
	Datum *values;
	bool *nulls;
	int n; /* columns filled */
} RowBuilder;

extern void row_add_null(RowBuilder *row);
extern void row_add_bool(RowBuilder *row, bool value);
extern void row_add_int32(RowBuilder *row, uint32 value);
extern void row_add_int64(RowBuilder *row, uint64 value);
/* NULL where the value is 0: none. */
extern void row_add_int32_or_null(RowBuilder *row, uint32 value);
extern void row_add_int64_or_null(RowBuilder *row, uint64 value);
/* NULL where the text is empty. */
extern void row_add_text_or_null(RowBuilder *row, const char *value);
extern void row_add_bytes_as_text(RowBuilder *row, const char *bytes, uint32 length);
/* 'round.priority.node', which sorts by eye; NULL for none. */
extern void row_add_ballot(RowBuilder *row, struct paxos_ballot ballot);
/* 32 hexadecimal digits; NULL where all bytes are zero. */
extern void row_add_id(RowBuilder *row, struct paxos_id id);
extern void row_add_hex(RowBuilder *row, const uint8 *bytes, int n);

#endif /* PAXOSKV_SQL_SHOW_H */
