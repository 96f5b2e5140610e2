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
	uint64_t executed_capacity;
	const struct request **executed; /* by slot; NULL: nothing */
	uint64_t floor;                  /* the newest slot that a write or linearizable read was answered with */
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

/* O4: a session that ended, and the oldest one's end. */
static void keep_closed(struct world *w, struct model *m, const struct session *s)
{
	struct memory *memory = &m->table.memory;
	uint64_t dropped;

	memory->closed[memory->n_closed++] = (struct closed_session){s->session, s->node_id, s->last_number};
	if (memory->n_closed <= w->config.closed_kept)
		return;
	dropped = memory->closed[0].session;
	memory->n_closed--;
	for (uint32_t i = 0; i < memory->n_closed; i++)
		memory->closed[i] = memory->closed[i + 1];
	for (uint32_t i = memory->n_voids; i > 0; i--)
		if (memory->voids[i - 1].session == dropped)
			memory->voids[i - 1] = memory->voids[--memory->n_voids];
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
	else
		keep_closed(w, m, s);
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
	o->operand = o->value + o->value_length;
	return next;
}

static bool compares(uint8_t comparison, uint64_t a, uint64_t b)
{
	return comparison == 1 ? a == b : comparison == 2 ? a != b : comparison == 3 ? a < b : a > b;
}

/* Clients use no other preconditions than these. */
static bool holds(struct world *w, const struct model *m, const struct operation *o)
{
	const struct table_row *row;
	uint64_t number;

	if (o->precondition == 0)
		return true;
	row = &m->table.rows[row_of(w, o)];
	if (o->precondition <= 2)
		return row->present == (o->precondition == 2);
	number = o->precondition == 4 ? row->revision : row->create_revision;
	return compares((uint8_t) o->operand[0], row->present ? number : 0,
					get((const uint8_t *) o->operand + 1, 8));
}

static uint64_t execute(struct world *w, struct model *m, uint64_t slot, const uint8_t *bytes,
						bool *succeeded)
{
	int64_t written_at_us = (int64_t) get(bytes + 32, 8);
	const uint8_t *p = bytes + ENTRY_HEADER_BYTES;
	uint32_t n_operations;
	uint64_t removed = 0;
	struct operation o;

	p += 1 + p[0];
	n_operations = (uint32_t) get(p, 2);
	p += 2;
	parse_operation(p, &o); /* only the first one may have a precondition here */
	*succeeded = holds(w, m, &o);
	for (uint32_t i = 0; *succeeded && i < n_operations; i++)
	{
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

/* ---------------------------------------------------------------- request ids, void numbers: O */

static bool number_is_void(const struct model *m, uint64_t session, uint64_t number)
{
	for (uint32_t i = 0; i < m->table.memory.n_voids; i++)
		if (m->table.memory.voids[i].session == session && m->table.memory.voids[i].number == number)
			return true;
	return false;
}

static void void_number(struct model *m, uint64_t session, uint64_t number)
{
	if (!number_is_void(m, session, number))
		m->table.memory.voids[m->table.memory.n_voids++] = (struct void_number){session, number};
}

static struct remembered_id *find_id(struct model *m, uint32_t intent)
{
	for (uint32_t i = 0; i < m->table.memory.n_ids; i++)
		if (m->table.memory.ids[i].intent == intent)
			return &m->table.memory.ids[i];
	return NULL;
}

static void remember_id(struct world *w, struct model *m, struct remembered_id id)
{
	struct memory *memory = &m->table.memory;

	memory->ids[memory->n_ids++] = id;
	if (memory->n_ids <= w->config.ids_kept)
		return;
	memory->newest_dropped = memory->ids[0].slot;
	memory->n_ids--;
	for (uint32_t i = 0; i < memory->n_ids; i++)
		memory->ids[i] = memory->ids[i + 1];
}

/* O2 to O4: whether a command with an id is executed. */
static bool id_admits(struct model *m, const struct request *request, const uint8_t *bytes)
{
	const struct remembered_id *found = find_id(m, request->intent);
	const struct request *first;

	if (found == NULL && get(bytes + 24, 8) >= m->table.memory.newest_dropped)
		return true;
	first = found != NULL && found->kind == REMEMBERED_COMMAND ? m->executed[found->slot] : NULL;
	if (first == NULL || first->body_digest != request->body_digest)
		void_number(m, request->session, request->number);
	return false;
}

/* O4: a number is void from its fence on.  None was ever handed out that is further ahead than X4 lets it. */
static void fence_number(struct world *w, struct model *m, const struct request *target)
{
	for (uint32_t i = 0; i < m->table.sessions.n; i++)
	{
		const struct session *s = &m->table.sessions.sessions[i];

		if (s->session != target->session || s->last_number >= target->number)
			continue;
		if (target->number - s->last_number > w->config.window_bytes / 256 + 2)
			world_fail(w, "O4", "s%u-%u was handed out; the session was not beyond %u when it was given up",
					   (unsigned) target->session, (unsigned) target->number, (unsigned) s->last_number);
		void_number(m, target->session, target->number);
	}
}

static void fold_fence(struct world *w, struct model *m, uint64_t slot, const struct request *request)
{
	const struct request *target = request->target;

	if (!request->by_number)
	{
		if (find_id(m, target->intent) == NULL)
			remember_id(w, m,
						(struct remembered_id){.intent = target->intent,
											   .kind = m->table.memory.newest_dropped > 0
														   ? REMEMBERED_GIVEN_UP_UNKNOWN
														   : REMEMBERED_GIVEN_UP,
											   .slot = slot});
		return;
	}
	fence_number(w, m, target);
}

/* ---------------------------------------------------------------- the fold */

/* What is executed: once, after all that was answered before, and not what somebody was told is not applied. */
static void fold_effect(struct world *w, struct model *m, uint64_t slot, const uint8_t *bytes,
						struct request *request)
{
	struct request *original = request->intent != 0 ? request->original : request;

	if (request->applied != 0)
		world_fail(w, "S12", "request %u takes effect in slot %u and in slot %u", (unsigned) request->id,
				   (unsigned) request->applied, (unsigned) slot);
	if (original->effect > request->stamp && request->intent != 0)
		world_fail(w, "S12",
				   "request %u of intent %u takes effect in slot %u, looked up before another did in %u",
				   (unsigned) request->id, request->intent, (unsigned) slot, (unsigned) original->effect);
	if (request->never || original->never || request->state == REQUEST_VOID)
		world_fail(w, "S13", "request %u takes effect in slot %u; somebody was told that it would not",
				   (unsigned) request->id, (unsigned) slot);
	if (slot <= request->floor)
		world_fail(w, "S11", "request %u takes effect in slot %u, submitted after %u was answered",
				   (unsigned) request->id, (unsigned) slot, (unsigned) request->floor);
	request->applied = original->effect = slot;
	request->removed = execute(w, m, slot, bytes, &request->effect_succeeded);
	m->executed[slot] = request;
	if (request->intent != 0)
		remember_id(w, m,
					(struct remembered_id){.intent = request->intent,
										   .kind = REMEMBERED_COMMAND,
										   .slot = slot,
										   .digest = command_digest(&(struct paxos_entry){
											   bytes, (uint32_t) get(bytes + 4, 4) + ENTRY_HEADER_BYTES}),
										   .succeeded = request->effect_succeeded,
										   .removed = request->removed});
}

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
	request->consumed = slot;
	if (number_is_void(m, session, number))
		return;
	if (bytes[1] == ENTRY_FENCE)
		fold_fence(w, m, slot, request);
	else if (request->intent == 0 || id_admits(m, request, bytes))
		fold_effect(w, m, slot, bytes, request);
}

static void make_room(struct model *m, uint64_t slot)
{
	uint64_t before = m->executed_capacity;

	if (slot < before)
		return;
	m->executed_capacity = 2 * slot + 256;
	m->executed = realloc(m->executed, m->executed_capacity * sizeof(*m->executed));
	memset(m->executed + before, 0, (m->executed_capacity - before) * sizeof(*m->executed));
}

static void remember(struct model *m, uint64_t slot)
{
	if (slot >= m->capacity)
	{
		m->capacity = m->capacity == 0 ? 256 : m->capacity * 2;
		m->digests = realloc(m->digests, m->capacity * sizeof(*m->digests));
		m->hashes = realloc(m->hashes, m->capacity * sizeof(*m->hashes));
	}
	m->table.hash = memory_state_hash(&m->table.memory);
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
	make_room(m, slot);
	if (bytes[1] == ENTRY_COMMAND || bytes[1] == ENTRY_FENCE)
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
	free(m->executed);
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

	const struct request *executed = model_executed(m, request->slot);

	if (request->kind == REQUEST_FENCE)
	{
		if (request->consumed != request->slot)
			world_fail(w, "S13", "fence %u is answered OK with slot %u; it is chosen in %u",
					   (unsigned) request->id, (unsigned) request->slot, (unsigned) request->consumed);
	}
	else if (executed == NULL || (request->intent == 0 && executed != request) ||
			 (request->intent != 0 && executed->body_digest != request->body_digest) ||
			 executed->effect_succeeded != request->succeeded)
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

const struct request *model_executed(const struct model *m, uint64_t slot)
{
	return slot < m->executed_capacity ? m->executed[slot] : NULL;
}

void model_check_void(struct world *w, const struct request *request)
{
	if (request->applied != 0)
		world_fail(w, "S13", "request %u is answered without effect; it was executed in slot %u",
				   (unsigned) request->id, (unsigned) request->applied);
}

void model_check_outcome(struct world *w, const struct request *question, enum sim_outcome outcome,
						 uint64_t slot, const struct table *table)
{
	struct request *target = question->target;
	struct request *original = target->intent != 0 ? target->original : target;
	bool done = question->by_number ? target->applied != 0 || original->effect != 0 : original->effect != 0;

	if (outcome == OUTCOME_APPLIED && question->by_number && target->kind == REQUEST_FENCE)
		return;
	/* By id it may be another's command, where two used one id. */
	if (outcome == OUTCOME_APPLIED && question->by_number && (!done || target->consumed == 0))
		world_fail(w, "S13", "request %u is said to be applied by slot %u, and never was",
				   (unsigned) target->id, (unsigned) table->applied);
	if (outcome == OUTCOME_APPLIED && !question->by_number &&
		(model_executed(oracle_model(w), slot) == NULL ||
		 model_executed(oracle_model(w), slot)->intent != target->intent))
		world_fail(w, "S13", "intent %u is said to be applied in slot %u", target->intent, (unsigned) slot);
	if (outcome != OUTCOME_NOT_APPLIED)
		return;
	if (question->by_number ? target->applied != 0 : original->effect != 0)
		world_fail(w, "S13", "request %u is said not to be applied; it was in slot %u", (unsigned) target->id,
				   (unsigned) original->effect);
	if (question->by_number)
		target->never = true;
	else
		original->never = true;
}
