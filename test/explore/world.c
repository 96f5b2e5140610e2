/*
 * world.c - three nodes and the messages in flight: what may happen next, and what comes of it.
 */
#include <string.h>

#include "explore.h"

static uint64_t truncated;

uint64_t world_truncated(void)
{
	return truncated;
}

size_t world_size(const struct world *w)
{
	return offsetof(struct world, flight) + w->n * sizeof(w->flight[0]);
}

/* ---------------------------------------------------------------- messages in flight */

static void remove_message(struct world *w, uint32_t at)
{
	w->n--;
	w->held -= at < w->held;
	memmove(&w->flight[at], &w->flight[at + 1], (w->n - at) * sizeof(w->flight[0]));
}

/* Among those held, which come in any order. */
static void hold_message(struct world *w, uint32_t message)
{
	uint32_t at = w->held;

	memmove(&w->flight[at + 1], &w->flight[at], (w->n - at) * sizeof(w->flight[0]));
	while (at > 0 && w->flight[at - 1] > message)
	{
		w->flight[at] = w->flight[at - 1];
		at--;
	}
	w->flight[at] = message;
	w->held++;
	w->n++;
}

static bool add_message(struct world *w, uint32_t message)
{
	if (w->n == FLIGHT)
		return false;
	if (w->left.delays == 0)
		hold_message(w, message);
	else
		w->flight[w->n++] = message;
	return true;
}

static bool reachable(const struct world *w, uint32_t a, uint32_t b)
{
	return w->cut == 0 || (w->cut != a && w->cut != b);
}

/* ---------------------------------------------------------------- one operation of one node */

/* S11: the read's index reaches what was known to be chosen, anywhere, when it was asked for. */
static const char *judge_read(struct world *w, const struct result *r)
{
	bool late = r->read_index + 1 < w->read_floor;

	if (r->read_index < 0 || w->read_floor == 0)
		return NULL;
	w->read_floor = 0;
	return late ? "S11: a read's index lies below what was called chosen before the read began" : NULL;
}

/* Does it, and puts what was sent in flight.  NULL: not enabled, or broken. */
static const struct result *do_operation(struct world *w, uint32_t id, uint32_t type, uint32_t a, uint32_t b,
										 const char **violation)
{
	struct input op = {.type = type, .a = a, .b = b};
	const struct result *r = node_operate(w->node[id - 1], &op);

	if (!r->enabled)
		return NULL;
	w->node[id - 1] = r->node;
	if (r->violation != 0)
	{
		*violation = pool_get(texts, r->violation, NULL);
		return NULL;
	}
	if (type != OP_BEAT)
		for (uint32_t i = 0; i < r->n_out; i++)
			if (!add_message(w, r->out[i]))
			{
				truncated++;
				return NULL;
			}
	if (w->reader == id)
		*violation = judge_read(w, r);
	return *violation == NULL ? r : NULL;
}

/* A heartbeat from "id" to "peer", and its answer: the id of it, 0 if there is none. */
static uint32_t heartbeat(struct world *w, uint32_t id, uint32_t peer, bool tells, const char **violation)
{
	const struct result *r;
	uint32_t question;

	if (!reachable(w, id, peer))
		return 0;
	r = do_operation(w, id, OP_BEAT, peer, tells, violation);
	if (r == NULL)
		return 0;
	question = r->out[0];
	r = do_operation(w, peer, OP_DELIVER, question, tells, violation);
	return r == NULL ? 0 : r->reply;
}

/* ---------------------------------------------------------------- actions */

static bool deliver(struct world *w, uint32_t at, bool keep, const char **violation)
{
	uint32_t message = w->flight[at];
	const struct paxos_message *m = &message_get(message)->m;
	const struct result *r;
	bool its_turn = at >= w->held;

	if (at >= w->n)
		return false;
	remove_message(w, at);
	if (!reachable(w, m->from, m->to)) /* lost with its connection, unless it is held */
		return its_turn;
	if (keep)
		hold_message(w, message);
	r = do_operation(w, m->to, OP_DELIVER, message, 0, violation);
	/* what does nothing now might as well be delivered later, or never: the state before covers this one */
	return r != NULL && (its_turn || !r->unchanged);
}

static bool make_durable(struct world *w, uint32_t id, uint32_t writes, const char **violation)
{
	if (do_operation(w, id, OP_DURABLE, writes, 0, violation) == NULL)
		return false;
	if (node_get(w->node[id - 1])->n_pending == 0)
		w->stalled &= (uint8_t) ~(1u << id);
	return true;
}

/* Both others are asked, if they can be; the answers say discontent. */
static bool elect(struct world *w, uint32_t id, const char **violation)
{
	uint32_t answer[2];
	uint32_t n = 0;

	for (uint32_t peer = 1; peer <= NODES; peer++)
		if (peer != id)
		{
			answer[n++] = heartbeat(w, id, peer, false, violation);
			if (*violation != NULL)
				return false;
		}
	if (answer[0] == 0 && answer[1] == 0)
		return false;
	return do_operation(w, id, OP_ELECT, answer[0], answer[1], violation) != NULL;
}

/* A leader's round of heartbeats: the others learn that it is ready, and what is chosen (A5). */
static bool beat(struct world *w, uint32_t id, const char **violation)
{
	struct world before = *w;

	for (uint32_t peer = 1; peer <= NODES; peer++)
	{
		uint32_t answer;

		if (peer == id)
			continue;
		answer = heartbeat(w, id, peer, true, violation);
		if (*violation != NULL)
			return false;
		if (answer != 0 && do_operation(w, id, OP_DELIVER, answer, 0, violation) == NULL)
			return false;
	}
	return memcmp(before.node, w->node, sizeof(before.node)) != 0 || before.n != w->n;
}

/* The others see their connections to it break, and come back. */
static bool crash(struct world *w, uint32_t id, uint32_t arg, const char **violation)
{
	uint32_t connected = 0;

	for (uint32_t peer = 1; peer <= NODES; peer++)
		if (peer != id && reachable(w, id, peer))
			connected |= 1u << peer;
	if (w->reader == id)
		w->read_floor = w->reader = 0;
	w->stalled &= (uint8_t) ~(1u << id);
	if (do_operation(w, id, OP_CRASH, arg >> 1, (arg & 1) | connected << 8, violation) == NULL)
		return false;
	for (uint32_t peer = 1; peer <= NODES; peer++)
		if ((connected & (1u << peer)) && (do_operation(w, peer, OP_DISCONNECT, id, 0, violation) == NULL ||
										   do_operation(w, peer, OP_CONNECT, id, 0, violation) == NULL))
			return false;
	return true;
}

/* Cuts or heals both links of a node. */
static bool turn(struct world *w, uint32_t id, uint32_t operation, const char **violation)
{
	w->cut = operation == OP_CONNECT ? 0 : (uint8_t) id;
	for (uint32_t peer = 1; peer <= NODES; peer++)
		if (peer != id && (do_operation(w, id, operation, peer, 0, violation) == NULL ||
						   do_operation(w, peer, operation, id, 0, violation) == NULL))
			return false;
	return true;
}

static bool begin_read(struct world *w, uint32_t id, const char **violation)
{
	w->reader = (uint8_t) id;
	w->read_floor = 1;
	for (uint32_t i = 0; i < NODES; i++)
	{
		uint8_t applied = node_get(w->node[i])->face.applied_end;

		if (applied + 1 > w->read_floor)
			w->read_floor = applied + 1;
	}
	return do_operation(w, id, OP_READ, 0, 0, violation) != NULL;
}

static bool spend(uint8_t *left)
{
	if (*left == 0)
		return false;
	(*left)--;
	return true;
}

static bool hold_oldest(struct world *w)
{
	uint32_t message = w->flight[w->held];

	w->left.delays--;
	remove_message(w, w->held);
	hold_message(w, message);
	return true;
}

static bool act(struct world *w, struct action a, const char **violation)
{
	uint32_t id = a.node;

	switch (a.type)
	{
		case DELIVER:
			return deliver(w, a.arg, false, violation);
		case DUPLICATE:
			return spend(&w->left.duplicates) && deliver(w, a.arg, true, violation);
		case DURABLE:
			return make_durable(w, id, a.arg, violation);
		case ELECT:
			return spend(&w->left.elections) && elect(w, id, violation);
		case BEAT:
			return spend(&w->left.beats) && beat(w, id, violation);
		case TICK:
			return spend(&w->left.ticks) && do_operation(w, id, OP_TICK, 0, 0, violation) != NULL;
		case LONG_TICK:
			return spend(&w->left.ticks) && do_operation(w, id, OP_LONG_TICK, 0, 0, violation) != NULL;
		case PROPOSE:
			return spend(&w->left.proposals) &&
				   do_operation(w, id, OP_PROPOSE, w->left.proposals, 0, violation) != NULL;
		case READ:
			return spend(&w->left.reads) && begin_read(w, id, violation);
		case CRASH:
			return spend(&w->left.crashes) && crash(w, id, a.arg, violation);
		case CUT:
			return spend(&w->left.cuts) && turn(w, id, OP_DISCONNECT, violation);
		case HEAL:
			return w->cut == id && turn(w, id, OP_CONNECT, violation);
		case HOLD:
			return hold_oldest(w);
		case STALL:
			w->left.delays--;
			w->stalled |= (uint8_t) (1u << id);
			return true;
	}
	return false;
}

bool world_step(const struct world *w, struct action action, struct world *next, const char **violation)
{
	uint32_t before[NODES];
	uint32_t after[NODES];

	memcpy(next, w, world_size(w));
	*violation = NULL;
	if (!act(next, action, violation))
		return *violation != NULL;
	for (uint32_t i = 0; i < NODES; i++)
	{
		before[i] = node_get(w->node[i])->face_id;
		after[i] = node_get(next->node[i])->face_id;
	}
	if (memcmp(before, after, sizeof(after)) != 0)
		*violation = judge_world(after);
	return true;
}

/* ---------------------------------------------------------------- what may happen */

static void put(struct action *actions, uint32_t *n, uint8_t type, uint32_t node, uint32_t arg)
{
	if (*n == ACTIONS)
		die("more than %d actions", ACTIONS);
	actions[(*n)++] = (struct action){type, (uint8_t) node, (uint16_t) arg};
}

static void node_actions(const struct world *w, uint32_t id, struct action *actions, uint32_t *count)
{
	const struct node *n = node_get(w->node[id - 1]);

	if (w->left.elections > 0)
		put(actions, count, ELECT, id, 0);
	if (w->left.beats > 0 && n->role == PAXOS_LEADER)
		put(actions, count, BEAT, id, 0);
	if (w->left.ticks > 0)
		put(actions, count, TICK, id, 0);
	if (w->left.ticks > 0 && n->role != PAXOS_FOLLOWER)
		put(actions, count, LONG_TICK, id, 0);
	if (w->left.proposals > 0 && n->can_propose)
		put(actions, count, PROPOSE, id, 0);
	if (w->left.reads > 0 && (w->read_floor == 0 || w->reader == id) && n->can_read)
		put(actions, count, READ, id, 0);
	if (w->left.crashes > 0)
		for (uint32_t arg = 0; arg < 2 * n->n_pending + 1u; arg++)
			put(actions, count, CRASH, id, arg);
	if (w->left.cuts > 0 && w->cut == 0)
		put(actions, count, CUT, id, 0);
	if (w->cut == id)
		put(actions, count, HEAL, id, 0);
}

/* What may come at any time: messages that are held, and the disks. */
static void free_actions(const struct world *w, struct action *actions, uint32_t *n)
{
	for (uint32_t i = 0; i < w->held; i++)
	{
		if (i > 0 && w->flight[i] == w->flight[i - 1])
			continue;
		put(actions, n, DELIVER, message_get(w->flight[i])->m.to, i);
		if (w->left.duplicates > 0)
			put(actions, n, DUPLICATE, message_get(w->flight[i])->m.to, i);
	}
	for (uint32_t id = 1; id <= NODES; id++)
		if (w->left.delays == 0 || (w->stalled & (1u << id)))
			for (uint32_t writes = 1; writes <= node_get(w->node[id - 1])->n_pending; writes++)
				put(actions, n, DURABLE, id, writes);
}

/* Whose turn it is: a disk's, or else the oldest message's; or it is passed over. */
static void next_action(const struct world *w, struct action *actions, uint32_t *n)
{
	bool may_delay = w->left.delays > 1;

	for (uint32_t id = 1; id <= NODES; id++)
	{
		uint32_t writes = node_get(w->node[id - 1])->n_pending;

		if (writes == 0 || (w->stalled & (1u << id)))
			continue;
		put(actions, n, DURABLE, id, writes);
		if (may_delay)
			put(actions, n, STALL, id, 0);
		return;
	}
	if (w->held == w->n)
		return;
	put(actions, n, DELIVER, message_get(w->flight[w->held])->m.to, w->held);
	if (w->left.duplicates > 0)
		put(actions, n, DUPLICATE, message_get(w->flight[w->held])->m.to, w->held);
	if (may_delay)
		put(actions, n, HOLD, message_get(w->flight[w->held])->m.to, 0);
}

uint32_t world_actions(const struct world *w, struct action *actions)
{
	uint32_t n = 0;

	free_actions(w, actions, &n);
	if (w->left.delays > 0)
		next_action(w, actions, &n);
	for (uint32_t id = 1; id <= NODES; id++)
		node_actions(w, id, actions, &n);
	return n;
}
