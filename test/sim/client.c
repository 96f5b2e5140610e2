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
static void encode_command(struct world *w, struct client *c, struct request *request)
{
	static const char partitions[SIM_PARTITIONS][3] = {"p0", "p1"};
	struct operation operations[SIM_BATCH_KEYS];
	char keys[SIM_BATCH_KEYS][4];
	uint32_t most = rng_chance(&c->rng, 30) ? w->config.big_value_bytes : w->config.value_bytes;
	uint32_t value_length = w->config.scripted ? most : (uint32_t) rng_between(&c->rng, 0, most);
	char *value = malloc(value_length + 1);

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
	request->length = (uint32_t) command_size(0, operations, request->n_rows);
	request->bytes = malloc(request->length);
	request->written_at = (int64_t) (((uint64_t) node_wall_clock_us(w, &w->nodes[request->node]) >>
									  SIM_REQUEST_BITS << SIM_REQUEST_BITS) |
									 request->id);
	command_encode(request->bytes, request->node, 0, request->written_at, NULL, 0, operations,
				   request->n_rows);
	request->body_digest =
		bytes_digest(request->bytes + ENTRY_HEADER_BYTES, request->length - ENTRY_HEADER_BYTES);
	free(value);
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
		default:
			return "not confirmed";
	}
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
	if (outcome == REQUEST_DONE)
	{
		if (request->kind < REQUEST_GET)
		{
			model_check_write_result(w, request);
			c->local_life = request->life;
			c->last_local_applied = request->slot;
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

static void read_table(struct world *w, struct node *n, struct request *request)
{
	struct client *c = &w->clients[request->client];
	const struct table *table = &n->database.table;

	/* At whatever level, and after an own write too. */
	if (c->local_life == n->life && table->applied < c->last_local_applied)
		world_fail(w, "S16", "client %u reads slot %u at n%u after slot %u on one connection", c->id,
				   (unsigned) table->applied, n->id, (unsigned) c->last_local_applied);
	c->local_life = n->life;
	c->last_local_applied = table->applied;
	model_check_read(w, request, table);
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

static void submit(struct world *w, struct client *c)
{
	struct node *n = &w->nodes[c->node];
	struct request *request = new_request(w, c);

	draw_kind(w, c, request);
	if (request->kind < REQUEST_GET)
		encode_command(w, c, request);
	c->request = request;
	TRACE(&w->trace, "client %u request %u at n%u: kind %u, level %u, row %u, %u bytes", c->id, request->id,
		  n->id, request->kind, request->level, request->rows[0], request->length);
	if (request->kind == REQUEST_GET && request->level == READ_LOCAL)
		read_table(w, n, request);
	else
		enter_ring(w, c, request);
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
	request->slot = event->slot;
	TRACE(&w->trace, "n%u resolves s%u-%u in slot %u, effect %u", n->id, n->session, event->number,
		  event->slot, event->ok);
	if (event->ok && request->applied != event->slot)
		world_fail(w, "X5", "n%u says that s%u-%u took effect in slot %u; it did in %u", n->id,
				   (unsigned) n->session, (unsigned) event->number, (unsigned) event->slot,
				   (unsigned) request->applied);
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
		if (result->removed != request->removed)
			world_fail(w, "S8", "n%u: request %u removed %u rows, the chosen log says %u", n->id,
					   (unsigned) request->id, (unsigned) result->removed, (unsigned) request->removed);
		request->slot = result->slot;
		request_answer(w, request, REQUEST_DONE);
	}
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
