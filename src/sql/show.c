/*
 * show.c - how slots, ballots and ids look in SQL.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "sql/show.h"

static void row_add(RowBuilder *row, Datum value)
{
	row->values[row->n] = value;
	row->nulls[row->n++] = false;
}

void row_add_null(RowBuilder *row)
{
	row->values[row->n] = (Datum) 0;
	row->nulls[row->n++] = true;
}

void row_add_bool(RowBuilder *row, bool value)
{
	row_add(row, BoolGetDatum(value));
}

void row_add_int32(RowBuilder *row, uint32 value)
{
	row_add(row, Int32GetDatum((int32) value));
}

void row_add_int64(RowBuilder *row, uint64 value)
{
	row_add(row, Int64GetDatum((int64) value));
}

void row_add_int32_or_null(RowBuilder *row, uint32 value)
{
	if (value == 0)
		row_add_null(row);
	else
		row_add_int32(row, value);
}

void row_add_int64_or_null(RowBuilder *row, uint64 value)
{
	if (value == 0)
		row_add_null(row);
	else
		row_add_int64(row, value);
}

void row_add_text_or_null(RowBuilder *row, const char *value)
{
	if (value[0] == '\0')
		row_add_null(row);
	else
		row_add(row, CStringGetTextDatum(value));
}

void row_add_bytes_as_text(RowBuilder *row, const char *bytes, uint32 length)
{
	row_add(row, PointerGetDatum(cstring_to_text_with_len(bytes, (int) length)));
}

void row_add_ballot(RowBuilder *row, struct paxos_ballot ballot)
{
	char text[64];

	if (ballot.round == 0 && ballot.priority == 0 && ballot.node_id == 0)
	{
		row_add_null(row);
		return;
	}
	snprintf(text, sizeof(text), UINT64_FORMAT ".%u.%u", (uint64) ballot.round, ballot.priority,
			 ballot.node_id);
	row_add_text_or_null(row, text);
}

void row_add_hex(RowBuilder *row, const uint8 *bytes, int n)
{
	char *text = palloc(2 * n + 1);

	for (int i = 0; i < n; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	row_add_bytes_as_text(row, text, 2 * n);
	pfree(text);
}

void row_add_id(RowBuilder *row, struct paxos_id id)
{
	static const struct paxos_id none = {{0}};

	if (memcmp(&id, &none, sizeof(id)) == 0)
		row_add_null(row);
	else
		row_add_hex(row, id.bytes, sizeof(id.bytes));
}
