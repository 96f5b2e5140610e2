/*
 * apply_batch.c - T3: folds a batch of chosen entries in memory, in slot order, over the old rows that it
 * needs; then the final rows are written at once.  A clear is a barrier: what was folded so far is written
 * before it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/apply.h"

typedef struct Fold
{
	HTAB *table; /* of ApplyRow* by key */
	ApplyRow **rows;
	int n_rows;
	int room;
	StoreRows *store; /* NULL until there are rows */
	ApplyState *state;
} Fold;

/* The hash table's entry; the row itself does not move. */
typedef struct RowSlot
{
	const ApplyRow *key;
	ApplyRow *row;
} RowSlot;

/* ---------------------------------------------------------------- the table of rows */

static uint32 row_hash(const void *key, Size size)
{
	const ApplyRow *row = *(const ApplyRow *const *) key;
	uint32 partition = hash_bytes((const unsigned char *) row->partition, (int) row->partition_length);

	return hash_combine(partition, hash_bytes((const unsigned char *) row->key, (int) row->key_length));
}

static int row_compare(const void *a, const void *b, Size size)
{
	const ApplyRow *left = *(const ApplyRow *const *) a;
	const ApplyRow *right = *(const ApplyRow *const *) b;

	if (left->partition_length != right->partition_length || left->key_length != right->key_length)
		return 1;
	return memcmp(left->partition, right->partition, left->partition_length) != 0 ||
		   memcmp(left->key, right->key, left->key_length) != 0;
}

static void fold_init(Fold *fold, ApplyState *state)
{
	HASHCTL control = {0};

	control.keysize = sizeof(const ApplyRow *);
	control.entrysize = sizeof(RowSlot);
	control.hash = row_hash;
	control.match = row_compare;
	control.hcxt = CurrentMemoryContext;
	fold->table =
		hash_create("paxoskv batch", 256, &control, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	fold->room = 256;
	fold->rows = palloc(fold->room * sizeof(ApplyRow *));
	fold->n_rows = 0;
	fold->store = NULL;
	fold->state = state;
}

static ApplyRow *find_row(Fold *fold, const struct operation *operation)
{
	ApplyRow probe = {.partition = operation->partition,
					  .partition_length = operation->partition_length,
					  .key = operation->key,
					  .key_length = operation->key_length};
	const ApplyRow *key = &probe;
	bool found;
	RowSlot *slot = hash_search(fold->table, &key, HASH_ENTER, &found);

	if (found)
		return slot->row;
	slot->row = palloc(sizeof(ApplyRow));
	*slot->row = probe;
	slot->key = slot->row;
	if (fold->n_rows == fold->room)
	{
		fold->room *= 2;
		fold->rows = repalloc_huge(fold->rows, fold->room * sizeof(ApplyRow *));
	}
	fold->rows[fold->n_rows++] = slot->row;
	return slot->row;
}

/* ---------------------------------------------------------------- checks (T4) */

/* What PostgreSQL itself asks of the values, beyond the encoding of the entry. */
static const char *check_operations(const struct paxos_entry *entry)
{
	struct command_reader reader;
	struct operation operation;

	if (command_open(&reader, entry) != DECODE_OK)
		return "the command cannot be decoded";
	if (!IS_VALID_TIMESTAMP(reader.header.origin_time_us -
							(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY))
		return "its time is out of range";
	while (command_next(&reader, &operation) == DECODE_OK)
		if (!pg_verify_mbstr(PG_UTF8, operation.partition, operation.partition_length, true) ||
			!pg_verify_mbstr(PG_UTF8, operation.key, (int) operation.key_length, true) ||
			!pg_verify_mbstr(PG_UTF8, operation.value, (int) operation.value_length, true))
			return "a partition, key or value is not valid UTF8";
	return NULL;
}

static const char *check_entry(const struct paxos_entry *entry)
{
	struct entry_header header;
	const char *what = "unknown entry";

	if (entry_check(entry, &what) != DECODE_OK || !entry_decode_header(entry, &header))
		return what;
	if (header.kind == ENTRY_NOOP || header.kind == ENTRY_OPEN_SESSION)
		return NULL;
	if (header.kind == ENTRY_COMMAND)
		return check_operations(entry);
	return header.kind == ENTRY_STOP_SIGN ? "it ends a configuration, which this version cannot do"
										  : "it is of a kind that this version does not execute";
}

int apply_check(const ApplyEntry *entries, int n, const char **what)
{
	for (int i = 0; i < n; i++)
	{
		*what = check_entry(&entries[i].entry);
		if (*what != NULL)
			return i;
	}
	return n;
}

/* ---------------------------------------------------------------- writing */

static void hash_row(ApplyRow *row)
{
	struct hashed_row columns = {
		.partition = row->partition,
		.partition_length = row->partition_length,
		.key = row->key,
		.key_length = row->key_length,
		.value = row->value,
		.value_length = row->value_length,
		.value_kind = row->value_kind,
		.revision = row->revision,
		.create_revision = row->create_revision,
		.written_at_us = row->written_at_us,
	};

	row->hash = state_hash_row(&columns);
}

/* After it was written the table has it as folded. */
static void settle_row(ApplyState *state, ApplyRow *row)
{
	if (row->stored)
	{
		state->hash = state_hash_subtract(state->hash, row->stored_hash);
		state->rows--;
	}
	if (row->exists)
	{
		state->hash = state_hash_add(state->hash, row->hash);
		state->rows++;
	}
	row->stored = row->exists;
	row->stored_hash = row->hash;
	row->stored_create_revision = row->create_revision;
	row->dirty = false;
}

static void write_rows(Fold *fold)
{
	ApplyRow **changed = palloc((fold->n_rows + 1) * sizeof(ApplyRow *));
	int n = 0;

	for (int i = 0; i < fold->n_rows; i++)
	{
		ApplyRow *row = fold->rows[i];

		if (!row->dirty || (!row->exists && !row->stored))
			continue;
		if (row->exists)
			hash_row(row);
		changed[n++] = row;
	}
	if (n > 0)
		store_write_rows(fold->store, changed, n);
	for (int i = 0; i < n; i++)
		settle_row(fold->state, changed[i]);
	pfree(changed);
}

/* ---------------------------------------------------------------- folding */

static void fold_put(Fold *fold, const ApplyEntry *entry, const struct entry_header *header,
					 const struct operation *operation)
{
	ApplyRow *row = find_row(fold, operation);

	if (!row->exists)
		row->create_revision = entry->slot;
	row->exists = row->dirty = true;
	row->value = operation->value;
	row->value_length = operation->value_length;
	row->value_kind = operation->value_kind;
	row->revision = entry->slot;
	row->written_at_us = header->origin_time_us;
}

static int64 fold_delete(Fold *fold, const struct operation *operation)
{
	ApplyRow *row = find_row(fold, operation);
	int64 removed = row->exists ? 1 : 0;

	row->exists = false;
	row->dirty = true;
	return removed;
}

static int64 fold_clear(Fold *fold, const struct operation *operation)
{
	bool all = operation->kind == OPERATION_CLEAR_ALL;
	struct state_hash sum;
	int64 removed;

	write_rows(fold);
	removed = store_clear(all ? NULL : operation->partition, operation->partition_length, &sum);
	fold->state->hash = state_hash_subtract(fold->state->hash, sum);
	fold->state->rows -= removed;
	for (int i = 0; i < fold->n_rows; i++)
	{
		ApplyRow *row = fold->rows[i];

		if (all || (row->partition_length == operation->partition_length &&
					memcmp(row->partition, operation->partition, row->partition_length) == 0))
			row->stored = row->exists = false;
	}
	return removed;
}

static int64 fold_command(Fold *fold, const ApplyEntry *entry)
{
	struct command_reader reader;
	struct operation operation;
	int64 removed = 0;

	if (command_open(&reader, &entry->entry) != DECODE_OK)
		elog(ERROR, "entry of slot %llu cannot be decoded", (unsigned long long) entry->slot);
	while (command_next(&reader, &operation) == DECODE_OK)
	{
		switch (operation.kind)
		{
			case OPERATION_PUT:
				fold_put(fold, entry, &reader.header, &operation);
				break;
			case OPERATION_DELETE:
				removed += fold_delete(fold, &operation);
				break;
			case OPERATION_CLEAR:
			case OPERATION_CLEAR_ALL:
				removed += fold_clear(fold, &operation);
				break;
			default:
				elog(ERROR, "entry of slot %llu has an operation of unknown kind %d",
					 (unsigned long long) entry->slot, operation.kind);
		}
	}
	return removed;
}

/* The rows that the batch puts or deletes, with what the table has of them. */
static void load_rows(Fold *fold, const ApplyEntry *entries, int n)
{
	for (int i = 0; i < n; i++)
	{
		struct command_reader reader;
		struct operation operation;

		if (entries[i].verdict != SESSION_APPLY || command_open(&reader, &entries[i].entry) != DECODE_OK)
			continue;
		while (command_next(&reader, &operation) == DECODE_OK)
			if (operation.kind == OPERATION_PUT || operation.kind == OPERATION_DELETE)
				(void) find_row(fold, &operation);
	}
	if (fold->n_rows > 0)
	{
		fold->store = store_open_rows();
		store_read_rows(fold->store, fold->rows, fold->n_rows);
	}
	for (int i = 0; i < fold->n_rows; i++)
	{
		ApplyRow *row = fold->rows[i];

		row->exists = row->stored;
		row->create_revision = row->stored_create_revision;
	}
}

int apply_fold(ApplyEntry *entries, int n, const struct paxos_config *config, ApplyState *state,
			   ApplyResult *results)
{
	Fold fold;
	int n_results = 0;

	fold_init(&fold, state);
	for (int i = 0; i < n; i++)
		entries[i].verdict = session_fold(&state->sessions, config, entries[i].slot, &entries[i].entry);
	load_rows(&fold, entries, n);
	for (int i = 0; i < n; i++)
	{
		struct entry_header header;
		ApplyResult *result = &results[n_results];

		if (entries[i].verdict != SESSION_APPLY || !entry_decode_header(&entries[i].entry, &header) ||
			header.kind != ENTRY_COMMAND)
			continue;
		result->session = header.session;
		result->number = header.number;
		result->slot = entries[i].slot;
		result->rows_removed = fold_command(&fold, &entries[i]);
		n_results++;
	}
	write_rows(&fold);
	if (fold.store != NULL)
		store_close_rows(fold.store);
	state->applied = entries[n - 1].slot;
	return n_results;
}
