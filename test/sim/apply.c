/*
 * apply.c - one node's database: applies chosen entries in slot order, many a transaction, as the apply
 * worker does (T1, T3, X5), and loses a suffix of its transactions in a crash.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define RESULTS_MAX 64

/* ---------------------------------------------------------------- digests */

uint64_t bytes_digest(const void *bytes, size_t length)
{
	const uint8_t *p = bytes;
	uint64_t digest = 0xcbf29ce484222325u ^ length;

	for (; length >= 8; length -= 8, p += 8)
	{
		uint64_t word = 0;

		for (int i = 0; i < 8; i++)
			word |= (uint64_t) p[i] << (8 * i);
		digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
		digest ^= digest >> 32;
	}
	for (; length > 0; length--, p++)
		digest = (digest ^ *p) * 0x100000001b3u;
	return digest ^ (digest >> 29);
}

static uint64_t mix(uint64_t digest, uint64_t value)
{
	digest = (digest ^ value) * 0x9e3779b97f4a7c15u;
	return digest ^ (digest >> 31);
}

/* Sums, so that the order in which sessions lie in the table does not matter. */
uint64_t table_digest(const struct table *table)
{
	uint64_t digest = table->applied;

	for (uint32_t i = 0; i < SIM_ROWS; i++)
	{
		const struct table_row *row = &table->rows[i];

		if (!row->present)
			continue;
		digest += mix(mix(mix(mix(i + 1, row->revision), row->create_revision), row->value_digest),
					  (uint64_t) row->written_at_us);
	}
	digest += mix(3, table->memory.newest_dropped);
	for (uint32_t i = 0; i < table->memory.n_ids; i++)
		digest += mix(mix(mix(4, table->memory.ids[i].intent), table->memory.ids[i].kind),
					  table->memory.ids[i].slot);
	for (uint32_t i = 0; i < table->memory.n_voids; i++)
		digest += mix(mix(5, table->memory.voids[i].session), table->memory.voids[i].number);
	for (uint32_t i = 0; i < table->memory.n_closed; i++)
		digest += mix(mix(6, table->memory.closed[i].session), table->memory.closed[i].last_number);
	for (uint32_t i = 0; i < table->sessions.n; i++)
	{
		const struct session *s = &table->sessions.sessions[i];

		if (s->open)
			digest += mix(mix(mix(mix(s->node_id, s->run), s->nonce), s->session), s->last_number);
	}
	return digest;
}

/* ---------------------------------------------------------------- rows */

/* Keys are "kNN" in partitions "pN". */
uint32_t row_of(struct world *w, const struct operation *operation)
{
	uint32_t partition;
	uint32_t key = 0;

	if (operation->partition_length != 2 || operation->partition[0] != 'p')
		world_fail(w, "S8", "an operation with a partition that no client named");
	partition = (uint32_t) (operation->partition[1] - '0');
	if (operation->kind == OPERATION_PUT || operation->kind == OPERATION_DELETE)
	{
		if (operation->key_length != 3 || operation->key[0] != 'k')
			world_fail(w, "S8", "an operation with a key that no client named");
		key = (uint32_t) ((operation->key[1] - '0') * 10 + (operation->key[2] - '0'));
	}
	if (partition >= SIM_PARTITIONS || key >= SIM_KEYS)
		world_fail(w, "S8", "an operation with a partition or key that no client named");
	return partition * SIM_KEYS + key;
}

static void remove_row(struct table *table, uint32_t i, struct apply_result *result)
{
	struct table_row *row = &table->rows[i];

	if (!row->present)
		return;
	table->hash = state_hash_subtract(table->hash, row->hash);
	row->present = false;
	result->removed++;
}

static void put_row(struct table *table, uint32_t i, const struct operation *operation,
					const struct entry_header *header, uint64_t slot)
{
	struct table_row *row = &table->rows[i];
	struct hashed_row hashed = {
		.partition = operation->partition,
		.partition_length = operation->partition_length,
		.key = operation->key,
		.key_length = operation->key_length,
		.value = operation->value,
		.value_length = operation->value_length,
		.value_kind = operation->value_kind,
		.revision = slot,
		.written_at_us = header->origin_time_us,
	};

	if (row->present)
		table->hash = state_hash_subtract(table->hash, row->hash);
	else
		row->create_revision = slot;
	row->present = true;
	row->revision = slot;
	row->written_at_us = header->origin_time_us;
	row->value_length = operation->value_length;
	row->value_digest = bytes_digest(operation->value, operation->value_length);
	hashed.create_revision = row->create_revision;
	row->hash = state_hash_row(&hashed);
	table->hash = state_hash_add(table->hash, row->hash);
}

static void apply_operation(struct world *w, struct table *table, const struct operation *operation,
							const struct entry_header *header, struct apply_result *result)
{
	uint32_t first = 0;
	uint32_t last = SIM_ROWS;

	switch (operation->kind)
	{
		case OPERATION_PUT:
			put_row(table, row_of(w, operation), operation, header, result->slot);
			return;
		case OPERATION_DELETE:
			remove_row(table, row_of(w, operation), result);
			return;
		case OPERATION_CLEAR:
			first = row_of(w, operation);
			last = first + SIM_KEYS;
			break;
		default:
			break;
	}
	for (uint32_t i = first; i < last; i++)
		remove_row(table, i, result);
}

/* Whether the preconditions hold; here they never look at a value. */
static bool command_succeeds(struct world *w, const struct table *table, struct command_reader reader)
{
	struct operation operation;
	bool succeeds = true;

	while (command_next(&reader, &operation) == DECODE_OK)
	{
		const struct table_row *row;

		if (operation.precondition == PRECONDITION_NONE)
			continue;
		row = &table->rows[row_of(w, &operation)];
		succeeds &=
			condition_holds(&operation, &(struct condition_row){.exists = row->present,
																.revision = row->revision,
																.create_revision = row->create_revision});
	}
	return succeeds;
}

static void execute(struct world *w, struct node *n, struct table *table, const struct paxos_entry *entry,
					struct apply_result *result)
{
	struct command_reader reader;
	struct operation operation;

	if (command_open(&reader, entry) != DECODE_OK)
		world_fail(w, "T4", "n%u can't open the command in slot %u", n->id, (unsigned) result->slot);
	if (!memory_admits(w, table, &reader, entry, result))
		return;
	result->succeeded = command_succeeds(w, table, reader);
	while (command_next(&reader, &operation) == DECODE_OK)
		if (operation_is_done(&operation, result->succeeded))
			apply_operation(w, table, &operation, &reader.header, result);
	memory_remember_result(w, table, &reader, entry, result);
}

static void apply_entry(struct world *w, struct node *n, struct table *table, const struct paxos_entry *entry,
						struct apply_result *result)
{
	struct entry_header header;
	const char *what = "";

	if (entry_check(entry, &what) != DECODE_OK || !entry_decode_header(entry, &header))
		world_fail(w, "T4", "n%u can't apply slot %u: %s", n->id, (unsigned) result->slot, what);
	result->session = header.session;
	result->number = header.number;
	result->verdict = session_fold(&table->sessions, &n->config, result->slot, entry);
	table->applied = result->slot;
	if (result->verdict == SESSION_OPENED)
		memory_keep_closed(w, table);
	if (result->verdict != SESSION_APPLY)
		return;
	if (header.kind == ENTRY_FENCE)
		memory_fence(w, table, entry, result->slot);
	else
		execute(w, n, table, entry, result);
}

/* ---------------------------------------------------------------- transactions */

static void commit(struct world *w, struct node *n, const struct table *table)
{
	struct database *db = &n->database;

	db->table = *table;
	if (rng_chance(&w->rng, 200))
	{
		/* The WAL writer came by. */
		database_flush(db);
		return;
	}
	if (db->n_unflushed == SIM_COMMITS)
	{
		struct table *oldest = db->unflushed[0];

		db->flushed = *oldest;
		memmove(db->unflushed, db->unflushed + 1, (SIM_COMMITS - 1) * sizeof(db->unflushed[0]));
		db->unflushed[SIM_COMMITS - 1] = oldest;
		db->n_unflushed--;
	}
	*db->unflushed[db->n_unflushed++] = *table;
}

/* T5: another's table is being loaded, or the log begins behind what the table lacks. */
static bool waits(const struct node *n)
{
	return n->apply_stalled || n->database.diverged || snapshot_is_loading(n) ||
		   n->database.table.applied + 1 < n->first_slot;
}

void apply_schedule(struct world *w, struct node *n)
{
	if (n->apply_scheduled || waits(n) || n->chosen <= n->database.table.applied)
		return;
	n->apply_scheduled = true;
	world_schedule(w, rng_skewed(&w->rng, 0, w->config.apply_us),
				   (struct event){.kind = EVENT_APPLY, .node = n->id, .life = n->life});
}

void apply_run(struct world *w, struct node *n)
{
	struct table table = n->database.table;
	struct apply_result results[RESULTS_MAX];
	uint32_t n_results = 0;
	uint32_t batch = 1 + (uint32_t) rng_below(&w->rng, w->config.apply_batch);

	n->apply_scheduled = false;
	if (waits(n))
		return;
	while (table.applied < n->chosen && n_results < batch && n_results < RESULTS_MAX)
	{
		struct apply_result *result = &results[n_results++];
		struct paxos_entry entry;
		struct plog_error error;
		enum plog_code code;

		memset(result, 0, sizeof(*result));
		result->slot = table.applied + 1;
		code = plog_read(n->log, result->slot, &entry, &error);
		if (code != PLOG_OK)
		{
			node_log_failed(w, n, code, &error);
			return;
		}
		apply_entry(w, n, &table, &entry, result);
	}
	plog_release_reads(n->log);
	model_check_table(w, n, &table);
	commit(w, n, &table);
	TRACE(&w->trace, "n%u applied through %u", n->id, table.applied);
	paxos_applied(n->core, table.applied);
	ring_applied(w, n, results, n_results);
	node_pump(w, n);
	apply_schedule(w, n);
}

/* ---------------------------------------------------------------- crash */

void database_init(struct database *database)
{
	for (uint32_t i = 0; i < SIM_COMMITS; i++)
		database->unflushed[i] = calloc(1, sizeof(struct table));
}

void database_flush(struct database *database)
{
	database->flushed = database->table;
	database->n_unflushed = 0;
}

void database_clear(struct database *database)
{
	memset(&database->table, 0, sizeof(database->table));
	database_flush(database);
	database->lost_through = 0;
	database->diverged = false;
}

/* Not of one that is known to be wrong. */
void database_back_up(struct node *n)
{
	if (n->database.diverged)
		return;
	if (n->old_table == NULL)
		n->old_table = malloc(sizeof(*n->old_table));
	*n->old_table = n->database.flushed;
}

void database_diverge(struct world *w, struct node *n)
{
	struct database *db = &n->database;
	uint32_t row = (uint32_t) rng_below(&w->fault_rng, SIM_ROWS);

	TRACE(&w->trace, "n%u row %u is changed behind its back, at slot %u", n->id, row, db->table.applied);
	db->table.rows[row].present = !db->table.rows[row].present;
	db->diverged = true;
	database_flush(db);
	w->n_databases++;
	snapshot_resync(w, n);
}

/* An old copy: what was durable when a fault struck before; the first one only makes it. */
void database_lose(struct world *w, struct node *n, bool all)
{
	struct database *db = &n->database;
	uint64_t before = db->flushed.applied;
	struct table old = {0};

	if (n->old_table == NULL)
		database_back_up(n);
	if (!all && n->old_table != NULL)
		old = *n->old_table;
	node_die(w, n, true);
	database_back_up(n);
	db->table = old;
	db->diverged = false;
	database_flush(db);
	if (db->lost_through < before)
		db->lost_through = before;
	w->n_databases++;
	TRACE(&w->trace, "n%u database is at slot %u again, it was at %u", n->id, db->table.applied, before);
}

void database_copy(struct database *to, const struct database *from)
{
	to->table = from->table;
	to->flushed = from->flushed;
	to->lost_through = from->lost_through;
	to->diverged = from->diverged;
	to->n_unflushed = from->n_unflushed;
	for (uint32_t i = 0; i < from->n_unflushed; i++)
		*to->unflushed[i] = *from->unflushed[i];
}

void database_free(struct database *database)
{
	for (uint32_t i = 0; i < SIM_COMMITS; i++)
		free(database->unflushed[i]);
}

/* T1: a prefix of the transactions survives. */
void database_crash(struct world *w, struct node *n)
{
	struct database *db = &n->database;
	uint64_t survive = rng_between(&w->rng, 0, db->n_unflushed);

	if (survive > 0)
		db->flushed = *db->unflushed[survive - 1];
	db->table = db->flushed;
	db->n_unflushed = 0;
	TRACE(&w->trace, "n%u database recovers at slot %u", n->id, db->table.applied);
	if (!db->diverged)
		model_check_table(w, n, &db->table);
}
