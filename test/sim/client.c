/*
 * client.c - clients, and the request ring between backends and a node's worker (X2, X6, R2, R3).
 *
 * A command is SUBMITTED until the core numbers it; until then a client that gives up withdraws it:
 * certainly not applied.  Afterwards it is abandoned, its outcome unknown, and its bytes stay until the
 * core says RESOLVED or the node dies.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* The least that a command costs of a window. */
#define COMMAND_COST 256

/* ---------------------------------------------------------------- making requests */

static struct request *new_request(struct world *w, struct client *c)
{
	struct request *request = calloc(1, sizeof(*request));

	if (w->n_requests == w->requests_capacity)
	{
		w->requests_capacity = w->requests_capacity == 0 ? 256 : w->requests_capacity * 2;
		w->requests = realloc(w->requests, w->requests_capacity * sizeof(*w->requests));
	}
	w->requests[w->n_requests++] = request;
	request->id = w->n_requests;
	request->client = c->id;
	request->node = c->node;
	request->life = w->nodes[c->node].life;
	request->submitted = w->now;
	request->state = REQUEST_SUBMITTED;
	request->floor = model_floor(oracle_model(w));
	return request;
}

static void draw_rows(struct client *c, struct request *request)
{
	request->n_rows = request->kind == REQUEST_BATCH ? (uint32_t) rng_between(&c->rng, 1, SIM_BATCH_KEYS) : 1;
	for (uint32_t i = 0; i < request->n_rows; i++)
		request->rows[i] = (uint32_t) rng_below(&c->rng, SIM_ROWS);
	if (request->kind == REQUEST_CLEAR)
		request->rows[0] -= request->rows[0] % SIM_KEYS;
}

static void draw_kind(struct world *w, struct client *c, struct request *request)
{
	uint64_t die = rng_below(&c->rng, 100);

	if (rng_chance(&c->rng, w->config.read_share))
	{
		request->kind = REQUEST_GET;
		request->level = die < 60 ? READ_LINEARIZABLE : die < 80 ? READ_LEADER : READ_LOCAL;
	}
	else if (die < 70)
		request->kind = REQUEST_PUT;
	else if (die < 82)
		request->kind = REQUEST_DELETE;
	else if (die < 95)
		request->kind = REQUEST_BATCH;
	else
		request->kind = die < 98 ? REQUEST_CLEAR : REQUEST_CLEAR_ALL;
	draw_rows(c, request);
}

static enum operation_kind operation_of(enum request_kind kind)
{
	switch (kind)
	{
		case REQUEST_DELETE:
			return OPERATION_DELETE;
		case REQUEST_CLEAR:
			return OPERATION_CLEAR;
		case REQUEST_CLEAR_ALL:
			return OPERATION_CLEAR_ALL;
		default:
			return OPERATION_PUT;
	}
}

/* The request's id lies in its origin's clock: so the oracle knows a command wherever it appears. */
static int64_t written_at(struct world *w, const struct request *request)
{
	uint64_t clock = (uint64_t) node_wall_clock_us(w, &w->nodes[request->node]);

	return (int64_t) ((clock >> SIM_REQUEST_BITS << SIM_REQUEST_BITS) | request->id);
}

static void finish_bytes(struct request *request)
{
	request->body_digest =
		bytes_digest(request->bytes + ENTRY_HEADER_BYTES, request->length - ENTRY_HEADER_BYTES);
}

/* As insert, update and cas_revision make them; the revision is what the client sees at its node, or nearly. */
static void draw_precondition(struct world *w, struct client *c, const struct request *request,
							  struct operation *operation, char *operand)
{
	const struct table_row *row = &w->nodes[request->node].database.table.rows[request->rows[0]];
	uint64_t die = rng_below(&c->rng, 4);

	if (die == 0)
		operation->precondition = PRECONDITION_ABSENT;
	else if (die == 1)
		operation->precondition = PRECONDITION_EXISTS;
	else
	{
		/* One draw a statement: compilers differ in the order of arguments. */
		uint64_t number = row->present ? row->revision + rng_below(&c->rng, 2) : 0;
		uint64_t comparison = rng_between(&c->rng, COMPARE_EQUAL, COMPARE_GREATER);

		condition_set_number(operation, die == 2 ? PRECONDITION_REVISION : PRECONDITION_CREATE_REVISION,
							 (enum operation_comparison) comparison, number, operand);
	}
}

static void encode_command(struct world *w, struct client *c, struct request *request)
{
	static const char partitions[SIM_PARTITIONS][3] = {"p0", "p1"};
	struct operation operations[SIM_BATCH_KEYS];
	char keys[SIM_BATCH_KEYS][4];
	uint32_t most = rng_chance(&c->rng, 30) ? w->config.big_value_bytes : w->config.value_bytes;
	uint32_t value_length = w->config.scripted ? most : (uint32_t) rng_between(&c->rng, 0, most);
	char *value = malloc(value_length + 1);
	char operand[PRECONDITION_NUMBER_BYTES];
	char id[SIM_ID_TEXT];
	uint32_t id_length;

	rng_bytes(&c->rng, value, value_length);
	memset(operations, 0, sizeof(operations));
	for (uint32_t i = 0; i < request->n_rows; i++)
	{
		struct operation *o = &operations[i];
		uint32_t key = request->rows[i] % SIM_KEYS;

		o->kind = (uint8_t) operation_of(request->kind);
		o->partition = partitions[request->rows[i] / SIM_KEYS];
		o->partition_length = 2;
		keys[i][0] = 'k';
		keys[i][1] = (char) ('0' + key / 10);
		keys[i][2] = (char) ('0' + key % 10);
		if (o->kind == OPERATION_PUT || o->kind == OPERATION_DELETE)
		{
			o->key = keys[i];
			o->key_length = 3;
		}
		if (o->kind == OPERATION_CLEAR_ALL)
		{
			o->key = "sim";
			o->key_length = 3;
			o->partition_length = 0;
		}
		if (o->kind == OPERATION_PUT)
		{
			o->value_kind = VALUE_TEXT;
			o->value = value;
			o->value_length = value_length;
		}
	}
	if (request->kind == REQUEST_PUT && rng_chance(&c->rng, w->config.condition_share))
		draw_precondition(w, c, request, &operations[0], operand);
	id_length = request->intent != 0 ? request_id_text(request->intent, id) : 0;
	request->length = (uint32_t) command_size(id_length, operations, request->n_rows);
	request->bytes = malloc(request->length);
	request->written_at = written_at(w, request);
	command_encode(request->bytes, request->node, request->stamp, request->written_at, id, id_length,
				   operations, request->n_rows);
	finish_bytes(request);
	free(value);
}

/* Another attempt: the same command from another node, or at another time. */
static void encode_again(struct world *w, struct request *request)
{
	const struct request *original = request->original;
	struct entry_header header = {
		.version = ENTRY_VERSION,
		.kind = ENTRY_COMMAND,
		.body_length = original->kept_length - ENTRY_HEADER_BYTES,
		.stamp = request->stamp,
		.node_id = request->node,
	};

	request->length = original->kept_length;
	request->bytes = malloc(request->length);
	memcpy(request->bytes, original->kept, request->length);
	header.origin_time_us = request->written_at = written_at(w, request);
	entry_encode_header(request->bytes, &header);
	finish_bytes(request);
}

static void encode_fence(struct world *w, struct request *request)
{
	const struct request *target = request->target;
	char id[SIM_ID_TEXT];
	struct fence fence = {0};

	if (request->by_number)
	{
		fence.session = target->session;
		fence.number = target->number;
	}
	else
	{
		fence.request_id = id;
		fence.request_id_length = request_id_text(target->intent, id);
	}
	request->length = (uint32_t) fence_size(fence.request_id_length);
	request->bytes = malloc(request->length);
	request->written_at = written_at(w, request);
	fence_encode(request->bytes, request->node, request->written_at, &fence);
	finish_bytes(request);
}

struct request *request_of_command(struct world *w, const struct entry_header *header)
{
	uint64_t id = (uint64_t) header->origin_time_us & ((1u << SIM_REQUEST_BITS) - 1);

	return id >= 1 && id <= w->n_requests ? w->requests[id - 1] : NULL;
}

/* ---------------------------------------------------------------- answers */

static const char *outcome_name(enum request_state state)
{
	switch (state)
	{
		case REQUEST_DONE:
			return "done";
		case REQUEST_WITHDRAWN:
			return "certainly not applied";
		case REQUEST_UNKNOWN:
			return "unknown";
		case REQUEST_VOID:
			return "without effect";
		default:
			return "not confirmed";
	}
}

/* O: what a client may do next about a write whose outcome it wants settled, or repeats although it is known. */
static void settle_later(struct world *w, struct client *c, struct request *request)
{
	bool unknown = request->state == REQUEST_UNKNOWN;

	if (w->config.id_share == 0 || w->n_intents >= SIM_ID_REQUESTS)
		return;
	if (request->intent != 0 && w->intents[request->intent - 1] != request->original)
		return; /* it used another's id: what becomes of that is not its business */
	if (request->kind == REQUEST_FENCE)
	{
		c->unsettled = request->target;
		c->ask = true;
	}
	else if (request->kind < REQUEST_GET && (request->intent != 0 || unknown) &&
			 rng_chance(&c->rng, unknown ? 800 : 200))
		c->unsettled = request;
}

/* The client hears of it, the oracle checks it, the client goes on. */
void request_answer(struct world *w, struct request *request, enum request_state outcome)
{
	struct client *c = &w->clients[request->client];
	sim_time pause = rng_skewed(&c->rng, 10, w->config.think_us + 10);

	if (w->n_requests > SIM_BUSY_REQUESTS)
		pause += 100 * SIM_MS;
	request->state = outcome;
	TRACE(&w->trace, "client %u request %u at n%u: %s, slot %u", request->client, request->id, request->node,
		  TRACE_STRING(outcome_name(outcome)), request->slot);
	c->unlucky = outcome != REQUEST_DONE;
	if (outcome == REQUEST_WITHDRAWN)
		model_check_withdrawn(w, request);
	if (outcome == REQUEST_VOID)
		model_check_void(w, request);
	if (outcome != REQUEST_FAILED)
		settle_later(w, c, request);
	if (outcome == REQUEST_DONE)
	{
		if (request->kind < REQUEST_GET)
		{
			model_check_write_result(w, request);
			if (c->local_life != request->life || request->slot > c->last_local_applied)
				c->last_local_applied = request->slot;
			c->local_life = request->life;
		}
		c->ok++;
		c->ok_in_phase++;
	}
	if (c->request == request)
	{
		c->request = NULL;
		world_schedule(w, pause, (struct event){.kind = EVENT_CLIENT, .a = c->id});
	}
}

/* O5. */
static void answer_question(struct world *w, const struct request *question, const struct table *table)
{
	uint64_t slot;
	enum sim_outcome outcome = memory_outcome(table, question->target, question->by_number, &slot);

	TRACE(&w->trace, "client %u learns of request %u: outcome %u, slot %u", question->client,
		  question->target->id, outcome, slot);
	model_check_outcome(w, question, outcome, slot, table);
}

static void read_table(struct world *w, struct node *n, struct request *request)
{
	struct client *c = &w->clients[request->client];
	const struct table *table = &n->database.table;

	/* At whatever level, and after an own write too. */
	if (c->local_life == n->life && table->applied < c->last_local_applied)
		world_fail(w, "S16", "client %u reads slot %u at n%u after slot %u on one connection", c->id,
				   (unsigned) table->applied, n->id, (unsigned) c->last_local_applied);
	/* R3 */
	if (request->level != READ_LOCAL && table->applied < request->slot)
		world_fail(w, "S11", "request %u has read index %u, and n%u reads its table of slot %u",
				   (unsigned) request->id, (unsigned) request->slot, n->id, (unsigned) table->applied);
	c->local_life = n->life;
	c->last_local_applied = table->applied;
	model_check_read(w, request, table);
	if (request->target != NULL)
		answer_question(w, request, table);
	request_answer(w, request, REQUEST_DONE);
}

/* ---------------------------------------------------------------- clients */

/* The request waits for the node's worker, until the client gives up. */
static void enter_ring(struct world *w, struct client *c, struct request *request)
{
	struct node *n = &w->nodes[c->node];
	sim_time deadline = w->config.deadline_ms * SIM_MS;

	if (n->n_ring == sizeof(n->ring) / sizeof(n->ring[0]))
	{
		request_answer(w, request, request->kind < REQUEST_GET ? REQUEST_WITHDRAWN : REQUEST_FAILED);
		return;
	}
	n->ring[n->n_ring++] = request->id;
	if (!w->config.scripted && rng_chance(&c->rng, 50))
		deadline = rng_below(&c->rng, deadline); /* a cancel */
	world_schedule(w, deadline, (struct event){.kind = EVENT_DEADLINE, .a = request->id});
	if (!n->drain_scheduled)
	{
		n->drain_scheduled = true;
		world_schedule(w, rng_below(&c->rng, 300),
					   (struct event){.kind = EVENT_DRAIN, .node = n->id, .life = n->life});
	}
}

/* The first attempt of a command with a request id; now and then the id is one that another command has. */
static void draw_intent(struct world *w, struct client *c, struct request *request)
{
	if (!rng_chance(&c->rng, w->config.id_share) || w->n_intents >= SIM_ID_REQUESTS)
		return;
	request->original = request;
	if (w->n_intents > 0 && rng_chance(&c->rng, 20))
	{
		request->intent = 1 + (uint32_t) rng_below(&c->rng, w->n_intents);
		return;
	}
	if (w->intents == NULL)
		w->intents = calloc(SIM_ID_REQUESTS, sizeof(*w->intents));
	w->intents[w->n_intents] = request;
	request->intent = ++w->n_intents;
}

static void keep_bytes(struct request *request)
{
	request->kept_length = request->length;
	request->kept = malloc(request->length);
	memcpy(request->kept, request->bytes, request->length);
}

/* O3: what the backend finds remembered of the id.  True: that is the answer. */
static bool is_remembered(struct world *w, struct request *request)
{
	const struct memory *memory = &w->nodes[request->node].database.table.memory;
	const struct remembered_id *found = memory_find(memory, request->intent);
	struct paxos_entry entry = {request->bytes, request->length};
	struct remembered remembered;

	if (found == NULL)
		return false;
	remembered = (struct remembered){.kind = found->kind, .digest = found->digest};
	request->slot = found->slot;
	request->succeeded = found->succeeded;
	if (request_judge(&remembered, command_digest(&entry), 0, 0) == REQUEST_REPEATED)
		request_answer(w, request, REQUEST_DONE);
	else
		request_answer(w, request, REQUEST_VOID);
	return true;
}

static void submit_write(struct world *w, struct client *c, struct request *request)
{
	c->request = request;
	request->stamp = w->nodes[request->node].database.table.applied;
	if (request->kind == REQUEST_FENCE)
		encode_fence(w, request);
	else if (request->original != NULL && request->original != request)
		encode_again(w, request);
	else
	{
		encode_command(w, c, request);
		if (request->intent != 0)
			keep_bytes(request);
	}
	TRACE(&w->trace, "client %u request %u at n%u: kind %u, row %u, %u bytes, intent %u", c->id, request->id,
		  request->node, request->kind, request->rows[0], request->length, request->intent);
	if (request->intent == 0 || !is_remembered(w, request))
		enter_ring(w, c, request);
}

static void submit_read(struct world *w, struct client *c, struct request *request)
{
	c->request = request;
	TRACE(&w->trace, "client %u request %u at n%u: reads at level %u", c->id, request->id, request->node,
		  request->level);
	if (request->level == READ_LOCAL)
		read_table(w, &w->nodes[request->node], request);
	else
		enter_ring(w, c, request);
}

static void submit(struct world *w, struct client *c)
{
	struct request *request = new_request(w, c);

	draw_kind(w, c, request);
	if (request->kind == REQUEST_GET)
	{
		submit_read(w, c, request);
		return;
	}
	draw_intent(w, c, request);
	submit_write(w, c, request);
}

/* O: tries a write again under its id, gives it up, or asks what became of it. */
static void settle(struct world *w, struct client *c)
{
	struct request *target = c->unsettled;
	struct request *request = new_request(w, c);
	bool ask = c->ask || rng_chance(&c->rng, 200);
	bool repeat = !ask && target->intent != 0 && rng_chance(&c->rng, 600);

	c->unsettled = NULL;
	c->ask = false;
	request->target = repeat ? NULL : target;
	request->by_number = target->intent == 0 || (target->number != 0 && rng_chance(&c->rng, 400));
	request->n_rows = target->n_rows;
	memcpy(request->rows, target->rows, sizeof(request->rows));
	if (ask)
	{
		request->kind = REQUEST_GET;
		request->level = READ_LINEARIZABLE;
		submit_read(w, c, request);
		return;
	}
	request->kind = repeat ? target->kind : REQUEST_FENCE;
	request->original = repeat ? target->original : NULL;
	request->intent = repeat ? target->intent : 0;
	submit_write(w, c, request);
}

void client_event(struct world *w, uint32_t id)
{
	struct client *c = &w->clients[id];

	if (c->request != NULL || w->phase >= PHASE_CONVERGE || w->config.scripted)
		return;
	if (rng_chance(&c->rng, c->unlucky ? 500 : 100) || !node_serves(&w->nodes[c->node]))
	{
		c->node = 1 + (uint32_t) rng_below(&c->rng, w->config.n_nodes);
		c->local_life = 0;
	}
	if (!node_serves(&w->nodes[c->node]))
	{
		world_schedule(w, rng_between(&c->rng, 5 * SIM_MS, 50 * SIM_MS),
					   (struct event){.kind = EVENT_CLIENT, .a = id});
		return;
	}
	if (c->unsettled != NULL)
		settle(w, c);
	else
		submit(w, c);
}

struct request *client_ask(struct world *w, uint32_t client, uint32_t node, enum request_kind kind,
						   uint32_t row)
{
	struct client *c = &w->clients[client];
	struct request *request;

	if (c->node != node)
		c->local_life = 0; /* another connection (S16) */
	c->node = node;
	request = new_request(w, c);
	request->kind = kind;
	request->level = kind == REQUEST_GET ? READ_LINEARIZABLE : 0;
	request->n_rows = 1;
	request->rows[0] = row;
	if (kind < REQUEST_GET)
		encode_command(w, c, request);
	c->request = request;
	TRACE(&w->trace, "client %u request %u at n%u: kind %u, row %u", c->id, request->id, node, kind, row);
	enter_ring(w, c, request);
	return request;
}

static void forget_in_ring(struct node *n, const struct request *request)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n->n_ring; i++)
		if (n->ring[i] != request->id)
			n->ring[kept++] = n->ring[i];
	n->n_ring = kept;
}

static void forget_read(struct node *n, const struct request *request)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n->n_reads; i++)
		if (n->reads[i] != request)
			n->reads[kept++] = n->reads[i];
	n->n_reads = kept;
}

/* The client gives up, frozen worker or not: it needs only the ring in shared memory. */
void client_deadline(struct world *w, struct request *request)
{
	struct node *n = &w->nodes[request->node];

	if (request->state != REQUEST_SUBMITTED && request->state != REQUEST_NUMBERED)
		return;
	forget_in_ring(n, request);
	forget_read(n, request);
	if (request->kind == REQUEST_GET)
		request_answer(w, request, REQUEST_FAILED);
	else if (request->state == REQUEST_SUBMITTED)
	{
		free(request->bytes);
		request->bytes = NULL;
		request_answer(w, request, REQUEST_WITHDRAWN);
	}
	else
	{
		world_schedule(
			w, 0, (struct event){.kind = EVENT_ABANDON, .node = n->id, .life = n->life, .a = request->id});
		request_answer(w, request, REQUEST_UNKNOWN);
	}
}

void client_init(struct world *w, uint32_t id)
{
	struct client *c = &w->clients[id];

	c->id = id;
	rng_seed(&c->rng, w->draws, 100 + id);
	c->node = 1 + (uint32_t) rng_below(&c->rng, w->config.n_nodes);
	world_schedule(w, rng_below(&c->rng, 200 * SIM_MS), (struct event){.kind = EVENT_CLIENT, .a = id});
}

/* ---------------------------------------------------------------- the worker's side of the ring */

static void number_command(struct world *w, struct node *n, struct request *request)
{
	request->number = paxos_propose(n->core, request->bytes, request->length);
	request->session = n->session;
	request->state = REQUEST_NUMBERED;
	TRACE(&w->trace, "n%u numbers request %u: s%u-%u", n->id, request->id, request->session, request->number);
	if (request->number != n->n_numbered + 1)
		world_fail(w, "X2", "n%u numbers %u after %u", n->id, (unsigned) request->number, n->n_numbered);
	if (n->n_numbered == n->numbered_capacity)
	{
		n->numbered_capacity = n->numbered_capacity == 0 ? 64 : n->numbered_capacity * 2;
		n->numbered = realloc(n->numbered, n->numbered_capacity * sizeof(*n->numbered));
	}
	n->numbered[n->n_numbered++] = request;
	/* X4: a window full of the smallest commands, and the one that may always be in flight. */
	if (++n->n_unresolved > w->config.window_bytes / COMMAND_COST + 2)
		world_fail(w, "L6", "n%u has numbered %u commands that are not resolved", n->id, n->n_unresolved);
}

static void begin_read(struct world *w, struct node *n, struct request *request)
{
	request->token = paxos_read(n->core, request->level == READ_LEADER);
	request->state = REQUEST_NUMBERED;
	n->reads[n->n_reads++] = request;
	TRACE(&w->trace, "n%u asks a read index for request %u, token %u", n->id, request->id, request->token);
}

/* Commands in order, as far as the core takes them; reads pass them. */
void ring_drain(struct world *w, struct node *n)
{
	bool blocked = false;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n->n_ring; i++)
	{
		struct request *request = w->requests[n->ring[i] - 1];
		bool reads_full = n->n_reads == sizeof(n->reads) / sizeof(n->reads[0]);

		if (request->kind == REQUEST_GET && !reads_full)
			begin_read(w, n, request);
		else if (request->kind < REQUEST_GET && !blocked && paxos_can_propose(n->core, request->length))
			number_command(w, n, request);
		else
		{
			blocked |= request->kind < REQUEST_GET;
			n->ring[kept++] = n->ring[i];
			continue;
		}
		node_drain_writes(w, n);
	}
	n->n_ring = kept;
}

void ring_resolved(struct world *w, struct node *n, const struct paxos_event *event)
{
	struct request *request;

	if (event->number < 1 || event->number > n->n_numbered)
		world_fail(w, "X3", "n%u resolves number %u, which it never gave", n->id, (unsigned) event->number);
	request = n->numbered[event->number - 1];
	if (request->resolved)
		world_fail(w, "X3", "n%u resolves number %u twice", n->id, (unsigned) event->number);
	request->resolved = true;
	n->n_unresolved--;
	if (event->slot != 0)
		request->slot = event->slot;
	else if (event->ok || request->consumed == 0 || request->consumed > n->database.table.applied)
		world_fail(w, "X6", "n%u says that a snapshot of slot %u jumped over s%u-%u, which lies in %u", n->id,
				   (unsigned) n->database.table.applied, (unsigned) n->session, (unsigned) event->number,
				   (unsigned) request->consumed);
	TRACE(&w->trace, "n%u resolves s%u-%u in slot %u, effect %u", n->id, n->session, event->number,
		  event->slot, event->ok);
	if (event->ok && request->consumed != event->slot)
		world_fail(w, "X5", "n%u says that s%u-%u was next in slot %u; it was in %u", n->id,
				   (unsigned) n->session, (unsigned) event->number, (unsigned) event->slot,
				   (unsigned) request->consumed);
	/* X2: whoever still uses the bytes finds them gone. */
	memset(request->bytes, 0xdb, request->length);
	free(request->bytes);
	request->bytes = NULL;
}

static void answer_reads(struct world *w, struct node *n)
{
	for (uint32_t i = 0; i < n->n_reads;)
	{
		struct request *request = n->reads[i];

		if (!request->read_confirmed || request->slot > n->database.table.applied)
		{
			i++;
			continue;
		}
		forget_read(n, request);
		read_table(w, n, request);
	}
}

/* The first result of its command, as the chosen log has it. */
static void check_result(struct world *w, const struct node *n, const struct request *request,
						 const struct apply_result *result)
{
	const struct request *first = request;

	if (result->request == REQUEST_REPEATED)
		first = model_executed(oracle_model(w), result->slot_of_effect);
	if (first == NULL || result->removed != first->removed ||
		(request->kind != REQUEST_FENCE && result->succeeded != first->effect_succeeded))
		world_fail(w, "S8", "n%u: request %u has another result than the chosen log says (%u rows removed)",
				   n->id, (unsigned) request->id, (unsigned) result->removed);
}

void ring_applied(struct world *w, struct node *n, const struct apply_result *results, uint32_t n_results)
{
	for (uint32_t i = 0; i < n_results; i++)
	{
		const struct apply_result *result = &results[i];
		struct request *request;

		if (result->verdict != SESSION_APPLY || result->session != n->session || n->session == 0)
			continue;
		if (result->number > n->n_numbered)
			world_fail(w, "X5", "n%u applies s%u-%u, which it never gave", n->id, (unsigned) n->session,
					   (unsigned) result->number);
		request = n->numbered[result->number - 1];
		if (request->state != REQUEST_NUMBERED)
			continue;
		request->slot = result->request == REQUEST_REPEATED ? result->slot_of_effect : result->slot;
		request->succeeded = result->succeeded;
		if (request_voids_number(result->request))
			request_answer(w, request, REQUEST_VOID);
		else
		{
			check_result(w, n, request, result);
			request_answer(w, request, REQUEST_DONE);
		}
	}
	answer_reads(w, n);
}

void ring_restored(struct world *w, struct node *n, uint64_t last_number)
{
	for (uint32_t i = 0; i < n->n_numbered && i < last_number; i++)
		if (n->numbered[i]->state == REQUEST_NUMBERED)
			request_answer(w, n->numbered[i], REQUEST_UNKNOWN);
	answer_reads(w, n);
}

/* R2: all reads up to the token; one that is not confirmed is asked again. */
void ring_reads_confirmed(struct world *w, struct node *n, const struct paxos_event *event)
{
	TRACE(&w->trace, "n%u reads through token %u: ok %u, index %u", n->id, event->number, event->ok,
		  event->slot);
	for (uint32_t i = 0; i < n->n_reads; i++)
	{
		struct request *request = n->reads[i];

		if (request->read_confirmed || request->token > event->number)
			continue;
		if (event->ok)
		{
			request->read_confirmed = true;
			request->slot = event->slot;
		}
		else
		{
			request->token = paxos_read(n->core, request->level == READ_LEADER);
			node_drain_writes(w, n);
		}
	}
	answer_reads(w, n);
}

/* X6: of what was numbered nobody knows; what was not is certainly not applied. */
void ring_node_died(struct world *w, struct node *n)
{
	uint32_t lost = 0;

	for (uint32_t i = 0; i < w->config.n_clients; i++)
	{
		struct request *request = w->clients[i].request;

		if (request == NULL || request->node != n->id || request->life != n->life)
			continue;
		if (request->kind == REQUEST_GET)
			request_answer(w, request, REQUEST_FAILED);
		else if (request->state == REQUEST_NUMBERED)
			request_answer(w, request, REQUEST_UNKNOWN);
		else
			request_answer(w, request, REQUEST_WITHDRAWN);
		lost++;
	}
	n->n_ring = n->n_numbered = n->n_reads = 0;
	TRACE(&w->trace, "n%u takes %u requests with it", n->id, lost);
}
