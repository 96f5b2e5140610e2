/*
 * model.c - the fold of the chosen log, by code of its own: what every table must be (S8), which command
 * took effect where (S12, S13), and how old a read may be (S11).
 *
 * It reads an entry's bytes by the offsets that entry.h and command.h promise, not with their functions,
 * so that a mistake in those shows as a difference.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct model
{
	struct table table; /* its session table is filled by this file's own rules */
	uint64_t capacity;  /* of the arrays, by slot */
	uint64_t *digests;  /* of rows and open sessions */
	struct state_hash *hashes;
	uint64_t floor; /* the newest slot that a write or linearizable read was answered with */
};

/* ---------------------------------------------------------------- little-endian bytes */

static uint64_t get(const uint8_t *p, int n)
{
	uint64_t value = 0;

	for (int i = 0; i < n; i++)
		value |= (uint64_t) p[i] << (8 * i);
	return value;
}

/* ---------------------------------------------------------------- sessions: X1, X5 */

static bool is_member(const struct world *w, uint64_t node_id, const uint8_t *store_id)
{
	int place = config_find(&w->members, (uint32_t) node_id);

	return place >= 0 && memcmp(w->members.members[place].store_id.bytes, store_id, 16) == 0;
}

static void open_session(struct world *w, struct model *m, uint64_t slot, const uint8_t *body)
{
	struct session_table *sessions = &m->table.sessions;
	uint64_t node_id = get(body, 4);
	uint64_t run = get(body + 20, 8);
	struct session *s = NULL;

	if (!is_member(w, node_id, body + 4))
		world_fail(w, "X1", "slot %u opens a session for n%u under a store id that is not its",
				   (unsigned) slot, (unsigned) node_id);
	for (uint32_t i = 0; i < sessions->n; i++)
		if (sessions->sessions[i].node_id == node_id)
			s = &sessions->sessions[i];
	if (s == NULL)
	{
		s = &sessions->sessions[sessions->n++];
		memset(s, 0, sizeof(*s));
	}
	else if (run <= s->run)
		return;
	s->node_id = (uint32_t) node_id;
	memcpy(s->store_id.bytes, body + 4, 16);
	s->run = run;
	s->nonce = get(body + 28, 8);
	s->session = slot;
	s->last_number = 0;
	s->open = true;
}

/* Whether the command takes effect; consumes its number if so. */
static bool consume_number(struct model *m, uint64_t session, uint64_t number)
{
	for (uint32_t i = 0; i < m->table.sessions.n; i++)
	{
		struct session *s = &m->table.sessions.sessions[i];

		if (s->session != session || s->last_number + 1 != number)
			continue;
		s->last_number = number;
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- rows */

static void put(struct model *m, uint64_t slot, const struct operation *o, uint32_t i, int64_t written_at_us)
{
	struct table_row *row = &m->table.rows[i];
	struct hashed_row hashed = {o->partition,    o->partition_length, o->key, o->key_length, o->value,
								o->value_length, o->value_kind,       slot,   slot,          written_at_us};

	if (row->present)
		hashed.create_revision = row->create_revision;
	*row = (struct table_row){true,
							  slot,
							  hashed.create_revision,
							  written_at_us,
							  o->value_length,
							  bytes_digest(o->value, o->value_length),
							  state_hash_row(&hashed)};
}

static uint64_t clear(struct model *m, uint32_t first, uint32_t n)
{
	uint64_t removed = 0;

	for (uint32_t i = first; i < first + n; i++)
	{
		removed += m->table.rows[i].present;
		m->table.rows[i].present = false;
	}
	return removed;
}

static const uint8_t *parse_operation(const uint8_t *p, struct operation *o)
{
	const uint8_t *next = p + 4 + get(p, 4);

	memset(o, 0, sizeof(*o));
	o->kind = p[4];
	o->value_kind = p[5];
	o->precondition = p[6];
	o->partition_length = (uint16_t) get(p + 8, 2);
	o->key_length = (uint32_t) get(p + 10, 4);
	o->value_length = (uint32_t) get(p + 14, 4);
	o->operand_length = (uint32_t) get(p + 18, 4);
	o->partition = (const char *) p + 22;
	o->key = o->partition + o->partition_length;
	o->value = o->key + o->key_length;
	return next;
}

static uint64_t execute(struct world *w, struct model *m, uint64_t slot, const uint8_t *bytes)
{
	int64_t written_at_us = (int64_t) get(bytes + 32, 8);
	const uint8_t *p = bytes + ENTRY_HEADER_BYTES;
	uint32_t n_operations;
	uint64_t removed = 0;

	p += 1 + p[0];
	n_operations = (uint32_t) get(p, 2);
	p += 2;
	for (uint32_t i = 0; i < n_operations; i++)
	{
		struct operation o;

		p = parse_operation(p, &o);
		if (o.kind == OPERATION_CLEAR_ALL)
			removed += clear(m, 0, SIM_ROWS);
		else if (o.kind == OPERATION_CLEAR)
			removed += clear(m, row_of(w, &o), SIM_KEYS);
		else if (o.kind == OPERATION_DELETE)
			removed += clear(m, row_of(w, &o), 1);
		else
			put(m, slot, &o, row_of(w, &o), written_at_us);
	}
	return removed;
}

/* ---------------------------------------------------------------- the fold */

static void fold_command(struct world *w, struct model *m, uint64_t slot, const uint8_t *bytes,
						 uint32_t length)
{
	struct entry_header header = {.origin_time_us = (int64_t) get(bytes + 32, 8)};
	uint64_t session = get(bytes + 8, 8);
	uint64_t number = get(bytes + 16, 8);
	struct request *request = request_of_command(w, &header);

	if (request == NULL)
		world_fail(w, "S13", "slot %u holds a command that no client sent", (unsigned) slot);
	if (request->state == REQUEST_WITHDRAWN || request->number == 0)
		world_fail(w, "S13", "slot %u holds request %u, which was certainly not applied", (unsigned) slot,
				   (unsigned) request->id);
	if (request->session != session || request->number != number ||
		request->written_at != header.origin_time_us ||
		bytes_digest(bytes + ENTRY_HEADER_BYTES, length - ENTRY_HEADER_BYTES) != request->body_digest)
		world_fail(w, "S13", "slot %u holds request %u with other bytes than its client gave",
				   (unsigned) slot, (unsigned) request->id);
	request->in_log = true;
	if (!consume_number(m, session, number))
		return;
	if (request->applied != 0)
		world_fail(w, "S12", "request %u takes effect in slot %u and in slot %u", (unsigned) request->id,
				   (unsigned) request->applied, (unsigned) slot);
	if (slot <= request->floor)
		world_fail(w, "S11", "request %u takes effect in slot %u, submitted after %u was answered",
				   (unsigned) request->id, (unsigned) slot, (unsigned) request->floor);
	request->applied = slot;
	request->removed = execute(w, m, slot, bytes);
}

static void remember(struct model *m, uint64_t slot)
{
	if (slot >= m->capacity)
	{
		m->capacity = m->capacity == 0 ? 256 : m->capacity * 2;
		m->digests = realloc(m->digests, m->capacity * sizeof(*m->digests));
		m->hashes = realloc(m->hashes, m->capacity * sizeof(*m->hashes));
	}
	m->table.hash = (struct state_hash){0, 0};
	for (uint32_t i = 0; i < SIM_ROWS; i++)
		if (m->table.rows[i].present)
			m->table.hash = state_hash_add(m->table.hash, m->table.rows[i].hash);
	m->digests[slot] = table_digest(&m->table);
	m->hashes[slot] = m->table.hash;
}

void model_fold(struct world *w, struct model *m, uint64_t slot, const uint8_t *bytes, uint32_t length)
{
	if (length < ENTRY_HEADER_BYTES || get(bytes + 4, 4) != length - ENTRY_HEADER_BYTES)
		world_fail(w, "S1", "slot %u is chosen with bytes that are no entry", (unsigned) slot);
	m->table.applied = slot;
	if (bytes[1] == ENTRY_COMMAND)
		fold_command(w, m, slot, bytes, length);
	else if (bytes[1] == ENTRY_OPEN_SESSION)
		open_session(w, m, slot, bytes + ENTRY_HEADER_BYTES);
	else if (bytes[1] != ENTRY_NOOP)
		world_fail(w, "S13", "slot %u holds an entry of kind %u, which nobody sent", (unsigned) slot,
				   bytes[1]);
	remember(m, slot);
}

struct model *model_new(void)
{
	struct model *m = calloc(1, sizeof(*m));

	remember(m, 0);
	return m;
}

void model_free(struct model *m)
{
	free(m->digests);
	free(m->hashes);
	free(m);
}

/* ---------------------------------------------------------------- checks */

void model_check_table(struct world *w, const struct node *n, const struct table *table)
{
	const struct model *m = oracle_model(w);

	if (table->applied > m->table.applied)
		world_fail(w, "S7", "n%u has applied slot %u, chosen is %u", n->id, (unsigned) table->applied,
				   (unsigned) m->table.applied);
	if (table->hash.low != m->hashes[table->applied].low ||
		table->hash.high != m->hashes[table->applied].high)
		world_fail(w, "S7", "n%u: state hash at slot %u is not that of the chosen log", n->id,
				   (unsigned) table->applied);
	if (table_digest(table) != m->digests[table->applied])
		world_fail(w, "S8", "n%u: rows or sessions at slot %u are not the fold of the chosen log", n->id,
				   (unsigned) table->applied);
}

uint64_t model_floor(const struct model *m)
{
	return m->floor;
}

void model_check_write_result(struct world *w, const struct request *request)
{
	struct model *m = oracle_model(w);

	if (request->applied == 0 || request->applied != request->slot)
		world_fail(w, "S13", "request %u is answered OK with slot %u; the chosen log executed it in %u",
				   (unsigned) request->id, (unsigned) request->slot, (unsigned) request->applied);
	if (request->slot > m->floor)
		m->floor = request->slot;
}

void model_check_withdrawn(struct world *w, const struct request *request)
{
	if (request->in_log)
		world_fail(w, "S13", "request %u is answered certainly not applied and is chosen",
				   (unsigned) request->id);
}

void model_check_read(struct world *w, const struct request *request, const struct table *table)
{
	struct model *m = oracle_model(w);

	if (table->applied > m->table.applied)
		world_fail(w, "S16", "request %u reads slot %u, which is not chosen", (unsigned) request->id,
				   (unsigned) table->applied);
	if (request->level == READ_LOCAL)
		return;
	if (request->slot > m->table.applied)
		world_fail(w, "S11", "request %u has read index %u, chosen is %u", (unsigned) request->id,
				   (unsigned) request->slot, (unsigned) m->table.applied);
	if (request->level != READ_LINEARIZABLE)
		return;
	if (request->slot < request->floor)
		world_fail(w, "S11", "request %u has read index %u, but slot %u was answered before it began",
				   (unsigned) request->id, (unsigned) request->slot, (unsigned) request->floor);
	if (table->applied > m->floor)
		m->floor = table->applied;
}
