/*
 * apply_batch.c - T3: folds a batch of chosen entries in memory, in slot order, over the old rows that it
 * needs; then the final rows are written at once.  A clear is a barrier: what was folded so far is written
 * before it.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "paxos/bytes.h"
#include "paxos/condition.h"
#include "worker/apply.h"
#include "worker/client.h"

typedef struct Fold
{
	HTAB *table; /* of ApplyRow* by key */
	ApplyRow **rows;
	int n_rows;
	int room;
	StoreRows *store; /* NULL until there are rows */
	ApplyState *state;
	uint32 request_ids_kept;
	uint64 own_session; /* of this node: its clients wait for details */
	Size details_bytes; /* kept for them so far */
	MemoryContext details_context;
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
	fold->details_bytes = 0;
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
	if (!pg_verify_mbstr(PG_UTF8, reader.request_id, (int) reader.request_id_length, true))
		return "a request id is not valid UTF8";
	while (command_next(&reader, &operation) == DECODE_OK)
		if (!pg_verify_mbstr(PG_UTF8, operation.partition, operation.partition_length, true) ||
			!pg_verify_mbstr(PG_UTF8, operation.key, (int) operation.key_length, true) ||
			!pg_verify_mbstr(PG_UTF8, operation.value, (int) operation.value_length, true))
			return "a partition, key or value is not valid UTF8";
	return NULL;
}

static const char *check_fence(const struct paxos_entry *entry)
{
	struct fence fence;

	if (fence_decode(entry, &fence) != DECODE_OK)
		return "the fence cannot be decoded";
	if (!pg_verify_mbstr(PG_UTF8, fence.request_id, (int) fence.request_id_length, true))
		return "a request id is not valid UTF8";
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
	if (header.kind == ENTRY_FENCE)
		return check_fence(entry);
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

static void count_row(ApplyState *state, ApplyRow *row)
{
	if (row->counted)
	{
		state->hash = state_hash_subtract(state->hash, row->counted_hash);
		state->rows--;
	}
	if (row->exists)
	{
		hash_row(row);
		state->hash = state_hash_add(state->hash, row->hash);
		state->rows++;
	}
	row->counted = row->exists;
	row->counted_hash = row->hash;
	row->uncounted = false;
}

/* Brings the state's hash and number of rows to what is folded so far. */
static void count_rows(Fold *fold)
{
	for (int i = 0; i < fold->n_rows; i++)
		if (fold->rows[i]->uncounted)
			count_row(fold->state, fold->rows[i]);
}

static void note_point(Fold *fold, uint64 slot)
{
	ApplyState *state = fold->state;

	count_rows(fold);
	state_points_add(&state->points, (struct state_point){slot, (uint64) state->rows, state->hash});
}

static void write_rows(Fold *fold)
{
	ApplyRow **changed = palloc((fold->n_rows + 1) * sizeof(ApplyRow *));
	int n = 0;

	count_rows(fold);
	for (int i = 0; i < fold->n_rows; i++)
	{
		ApplyRow *row = fold->rows[i];

		if (row->dirty && (row->exists || row->stored))
			changed[n++] = row;
	}
	if (n > 0)
		store_write_rows(fold->store, changed, n);
	for (int i = 0; i < n; i++)
	{
		changed[i]->stored = changed[i]->exists;
		changed[i]->dirty = false;
	}
	pfree(changed);
}

/* ---------------------------------------------------------------- folding */

static void fold_put(Fold *fold, const ApplyEntry *entry, const struct entry_header *header,
					 const struct operation *operation)
{
	ApplyRow *row = find_row(fold, operation);

	if (!row->exists)
		row->create_revision = entry->slot;
	row->exists = row->dirty = row->uncounted = true;
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
	row->dirty = row->uncounted = true;
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
			row->stored = row->exists = row->counted = false;
	}
	return removed;
}

static struct command_reader open_command(const ApplyEntry *entry)
{
	struct command_reader reader;

	if (command_open(&reader, &entry->entry) != DECODE_OK)
		elog(ERROR, "entry of slot %llu cannot be decoded", (unsigned long long) entry->slot);
	return reader;
}

/* A row's value for as long as it is looked at. */
typedef struct Value
{
	const char *bytes;
	uint32 length;
	MemoryContext memory; /* NULL: it is in memory anyway */
} Value;

static Value look_at_value(Fold *fold, const ApplyRow *row)
{
	Value value = {row->value, row->value_length, NULL};
	MemoryContext context;

	if (!row->exists || row->value != NULL)
		return value;
	value.memory = AllocSetContextCreate(CurrentMemoryContext, "paxoskv value", ALLOCSET_SMALL_SIZES);
	context = MemoryContextSwitchTo(value.memory);
	value.bytes = store_read_value(fold->store, row, &value.length);
	MemoryContextSwitchTo(context);
	return value;
}

static void forget_value(Value value)
{
	if (value.memory != NULL)
		MemoryContextDelete(value.memory);
}

static bool operation_condition_holds(Fold *fold, const struct operation *operation)
{
	const ApplyRow *row = find_row(fold, operation);
	Value value = {0};
	bool holds;

	if (operation->precondition == PRECONDITION_VALUE)
		value = look_at_value(fold, row);
	holds = condition_holds(operation, &(struct condition_row){
										   .exists = row->exists,
										   .revision = row->revision,
										   .create_revision = row->create_revision,
										   .value = value.bytes,
										   .value_length = value.length,
									   });
	forget_value(value);
	return holds;
}

/* Whether all preconditions hold for the rows as they are now; *detailed: the caller wants to know what each did. */
static bool command_succeeds(Fold *fold, const ApplyEntry *entry, bool *detailed)
{
	struct command_reader reader = open_command(entry);
	struct operation operation;
	bool succeeds = true;

	*detailed = false;
	while (command_next(&reader, &operation) == DECODE_OK)
	{
		*detailed |= operation.kind == OPERATION_GET || operation.branch != BRANCH_ALWAYS;
		if (operation.precondition != PRECONDITION_NONE && succeeds)
			succeeds = operation_condition_holds(fold, &operation);
	}
	return succeeds;
}

/* The details of one command.  What the limit leaves out is lost, all of it. */
typedef struct Details
{
	StringInfoData bytes;
	Size limit;
	bool lost;
} Details;

/* O2 is decided alike on all nodes: beyond what is remembered, only the command's own node keeps anything. */
static void begin_details(Fold *fold, const struct command_reader *reader, Details *details)
{
	MemoryContext context = MemoryContextSwitchTo(fold->details_context);

	initStringInfo(&details->bytes);
	MemoryContextSwitchTo(context);
	details->limit =
		reader->header.session == fold->own_session ? CLIENT_DETAILS_MAX : REMEMBERED_DETAILS_MAX;
}

/* See ClientDetail for the format. */
static void append_detail(Details *details, uint8 kind, uint64 count, const ApplyRow *row, Value value)
{
	uint8 head[CLIENT_DETAIL_BYTES];

	if (value.length + CLIENT_DETAIL_BYTES > details->limit - (Size) details->bytes.len)
	{
		details->lost = true;
		pfree(details->bytes.data);
		details->bytes = (StringInfoData){0};
		return;
	}
	head[0] = kind;
	put_u64(head + 1, count);
	put_u64(head + 9, row == NULL ? 0 : row->revision);
	put_u64(head + 17, row == NULL ? 0 : row->create_revision);
	put_u64(head + 25, row == NULL ? 0 : (uint64) row->written_at_us);
	put_u32(head + 33, value.length);
	appendBinaryStringInfo(&details->bytes, (char *) head, sizeof(head));
	if (value.length > 0)
		appendBinaryStringInfo(&details->bytes, value.bytes, (int) value.length);
}

static void add_detail(Fold *fold, Details *details, const struct operation *operation, int64 count)
{
	const ApplyRow *row = NULL;
	Value value = {0};

	if (details->lost)
		return;
	if (operation->kind == OPERATION_GET && count > 0)
	{
		row = find_row(fold, operation);
		value = look_at_value(fold, row);
	}
	append_detail(details, operation->kind, (uint64) count, row, value);
	forget_value(value);
}

static int64 fold_operation(Fold *fold, const ApplyEntry *entry, const struct entry_header *header,
							const struct operation *operation)
{
	switch (operation->kind)
	{
		case OPERATION_PUT:
			fold_put(fold, entry, header, operation);
			return 0;
		case OPERATION_DELETE:
			return fold_delete(fold, operation);
		case OPERATION_CLEAR:
		case OPERATION_CLEAR_ALL:
			return fold_clear(fold, operation);
		case OPERATION_GET:
			return find_row(fold, operation)->exists ? 1 : 0;
		default:
			elog(ERROR, "entry of slot %llu has an operation of unknown kind %d",
				 (unsigned long long) entry->slot, operation->kind);
	}
}

/* Executes a command: verdict first, from the rows before it, then the operations that follow from it, in order. */
static void fold_command(Fold *fold, const ApplyEntry *entry, ApplyResult *result)
{
	struct command_reader reader = open_command(entry);
	struct operation operation;
	Details details = {0};
	bool detailed;

	result->succeeded = command_succeeds(fold, entry, &detailed);
	if (detailed)
		begin_details(fold, &reader, &details);
	while (command_next(&reader, &operation) == DECODE_OK)
	{
		int64 count;

		if (!operation_is_done(&operation, result->succeeded))
			continue;
		count = fold_operation(fold, entry, &reader.header, &operation);
		if (operation.kind != OPERATION_GET)
			result->rows_removed += count;
		if (detailed)
			add_detail(fold, &details, &operation, count);
	}
	result->details_lost = details.lost;
	result->details = details.bytes.data;
	result->details_length = (uint32) details.bytes.len;
	fold->details_bytes += result->details_length;
}

static bool has_key(const struct operation *operation)
{
	return operation->kind != OPERATION_CLEAR && operation->kind != OPERATION_CLEAR_ALL;
}

/* The rows that the batch names, with what the table has of them. */
static void load_rows(Fold *fold, const ApplyEntry *entries, int n)
{
	for (int i = 0; i < n; i++)
	{
		struct command_reader reader;
		struct operation operation;

		if (command_open(&reader, &entries[i].entry) != DECODE_OK)
			continue;
		while (command_next(&reader, &operation) == DECODE_OK)
			if (has_key(&operation))
				(void) find_row(fold, &operation);
	}
	if (fold->n_rows > 0)
	{
		fold->store = store_open_rows();
		store_read_rows(fold->store, fold->rows, fold->n_rows);
	}
}

/* ---------------------------------------------------------------- request ids and fences: O */

static void void_number(Fold *fold, const struct entry_header *header)
{
	memory_void(fold->state, header->session, header->number);
	session_mark_void(&fold->state->sessions, header->session);
}

/* O2: the first result is the result. */
static void take_remembered(const struct remembered *remembered, ApplyResult *result)
{
	result->slot = remembered->slot;
	result->succeeded = remembered->succeeded;
	result->rows_removed = (int64) remembered->rows_removed;
	result->details = unconstify(char *, remembered->details);
	result->details_length = remembered->details_length;
	result->details_lost = remembered->details_lost;
}

static void remember_result(Fold *fold, const struct command_reader *reader, struct state_hash digest,
							const ApplyResult *result)
{
	bool lost = result->details_lost || result->details_length > REMEMBERED_DETAILS_MAX;
	struct remembered remembered = {
		.request_id = reader->request_id,
		.request_id_length = reader->request_id_length,
		.kind = REMEMBERED_COMMAND,
		.slot = result->slot,
		.digest = digest,
		.succeeded = result->succeeded,
		.rows_removed = (uint64) result->rows_removed,
		.details_lost = lost,
		.details = lost ? NULL : result->details,
		.details_length = lost ? 0 : result->details_length,
	};

	memory_remember(fold->state, &remembered, fold->request_ids_kept);
}

/* A command with a request id, which decides whether it is executed. */
static void fold_request(Fold *fold, const ApplyEntry *entry, const struct command_reader *reader,
						 ApplyResult *result)
{
	struct state_hash digest = command_digest(&entry->entry);
	struct remembered remembered;
	bool found = memory_find_request(reader->request_id, reader->request_id_length, &remembered,
									 fold->details_context);
	enum request_verdict verdict =
		request_judge(found ? &remembered : NULL, digest, reader->header.stamp, fold->state->newest_dropped);

	if (request_voids_number(verdict))
		void_number(fold, &reader->header);
	switch (verdict)
	{
		case REQUEST_EXECUTE:
			fold_command(fold, entry, result);
			remember_result(fold, reader, digest, result);
			break;
		case REQUEST_REPEATED:
			take_remembered(&remembered, result);
			break;
		case REQUEST_CONFLICT:
			result->outcome = APPLY_CONFLICT;
			break;
		case REQUEST_GIVEN_UP:
			result->outcome = APPLY_GIVEN_UP;
			break;
		case REQUEST_TOO_OLD:
			result->outcome = APPLY_TOO_OLD;
			break;
	}
}

/* O4: gives up a number that its session has not reached, or an id of which nothing is remembered. */
static void fold_fence(Fold *fold, const ApplyEntry *entry)
{
	ApplyState *state = fold->state;
	struct remembered remembered;
	struct fence fence;

	if (fence_decode(&entry->entry, &fence) != DECODE_OK)
		elog(ERROR, "entry of slot %llu cannot be decoded", (unsigned long long) entry->slot);
	if (fence.session != 0)
	{
		if (session_void_number(&state->sessions, fence.session, fence.number))
			memory_void(state, fence.session, fence.number);
		return;
	}
	if (memory_find_request(fence.request_id, fence.request_id_length, &remembered, CurrentMemoryContext))
		return;
	remembered = (struct remembered){.request_id = fence.request_id,
									 .request_id_length = fence.request_id_length,
									 .kind = fence_kind(state->newest_dropped),
									 .slot = entry->slot};
	memory_remember(state, &remembered, fold->request_ids_kept);
}

/* An entry that is the next of its session (X5). */
static void fold_numbered(Fold *fold, const ApplyEntry *entry, const struct entry_header *header,
						  ApplyResult *result)
{
	struct command_reader reader;

	memset(result, 0, sizeof(*result));
	result->session = header->session;
	result->number = header->number;
	result->slot = entry->slot;
	if (session_find(&fold->state->sessions, header->session)->has_void &&
		memory_is_void(header->session, header->number))
	{
		result->outcome = APPLY_GIVEN_UP;
		return;
	}
	if (header->kind == ENTRY_FENCE)
	{
		fold_fence(fold, entry);
		return;
	}
	reader = open_command(entry);
	if (reader.request_id_length > 0)
		fold_request(fold, entry, &reader, result);
	else
		fold_command(fold, entry, result);
}

/* Sessions that were closed by one that opened. */
static void keep_closed_sessions(ApplyState *state)
{
	struct session closed;

	while (session_take_closed(&state->sessions, &closed))
		memory_keep_closed(state, &closed);
}

int apply_fold(ApplyEntry *entries, int n, const struct paxos_config *config, uint64 own_session,
			   ApplyState *state, ApplyResult *results, MemoryContext details_context)
{
	Fold fold;
	int n_results = 0;
	int i;

	fold_init(&fold, state);
	fold.request_ids_kept = config->request_ids_kept;
	fold.own_session = own_session;
	fold.details_context = details_context;
	load_rows(&fold, entries, n);
	for (i = 0; i < n && fold.details_bytes < CLIENT_DETAILS_MAX; i++)
	{
		enum session_verdict verdict =
			session_fold(&state->sessions, config, entries[i].slot, &entries[i].entry);
		struct entry_header header;

		if (verdict == SESSION_OPENED)
			keep_closed_sessions(state);
		if (verdict == SESSION_APPLY && entry_decode_header(&entries[i].entry, &header))
			fold_numbered(&fold, &entries[i], &header, &results[n_results++]);
		if (is_fixed_slot(entries[i].slot))
			note_point(&fold, entries[i].slot);
	}
	write_rows(&fold);
	if (fold.store != NULL)
		store_close_rows(fold.store);
	state->applied = entries[i - 1].slot;
	note_point(&fold, state->applied);
	return n_results;
}
