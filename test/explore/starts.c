/*
 * starts.c - the worlds that exploration starts from: each a short history, so that a bounded depth reaches
 * what is worth reaching.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

/* ---------------------------------------------------------------- a history */

/* One step; it must be possible.  A history that breaks a rule is reported like any other. */
static void step(struct world *w, uint8_t type, uint8_t node, uint16_t arg)
{
	struct world next;
	struct action action = {type, node, arg};
	const char *violation;
	bool done = world_step(w, action, &next, &violation);

	if (violation != NULL)
	{
		printf("broken: %s\nwhile the start was made, after:\n", violation);
		print_world(w);
		printf("  then ");
		print_action(w, action);
		exit(1);
	}
	if (!done && (type == DELIVER || type == DUPLICATE)) /* of no effect: it is gone */
	{
		w->n--;
		memmove(&w->flight[arg], &w->flight[arg + 1], (w->n - arg) * sizeof(w->flight[0]));
		return;
	}
	if (!done)
		die("a start takes a step that is not possible: %u of n%u", type, node);
	memcpy(w, &next, world_size(&next));
}

static void sync_disk(struct world *w, uint8_t node)
{
	while (node_get(w->node[node - 1])->n_pending > 0)
		step(w, DURABLE, node, node_get(w->node[node - 1])->n_pending);
}

/* Delivers what is in flight from one node to another (0: any), and what follows, syncs too. */
static void settle(struct world *w, uint32_t a, uint32_t b)
{
	bool again = true;

	while (again)
	{
		again = false;
		for (uint32_t i = 0; i < w->n && !again; i++)
		{
			const struct paxos_message *m = &message_get(w->flight[i])->m;

			again = a == 0 || ((m->from == a || m->to == a) && (m->from == b || m->to == b));
			if (again)
				step(w, DELIVER, (uint8_t) m->to, (uint16_t) i);
		}
		for (uint8_t id = 1; id <= NODES && !again; id++)
			if (node_get(w->node[id - 1])->n_pending > 0)
			{
				sync_disk(w, id);
				again = true;
			}
	}
}

/* Delivers all messages of one type to one node, and nothing that follows. */
static void deliver(struct world *w, enum paxos_message_type type, uint32_t to)
{
	for (uint32_t i = 0; i < w->n; i++)
	{
		const struct paxos_message *m = &message_get(w->flight[i])->m;

		if (m->type != type || m->to != to)
			continue;
		step(w, DELIVER, (uint8_t) to, (uint16_t) i);
		i = UINT32_MAX; /* from the first on */
	}
}

static void lose_all(struct world *w)
{
	w->n = 0;
}

static void make_fresh(struct world *w)
{
	memset(w, 0, sizeof(*w));
	for (uint32_t id = 1; id <= NODES; id++)
		w->node[id - 1] = node_fresh(id);
	settle(w, 0, 0);
}

/* Leader 1, its no-op, its session and one command chosen, as all know. */
static void make_stable(struct world *w)
{
	make_fresh(w);
	w->left = (struct budget){.elections = 1, .proposals = 1};
	step(w, ELECT, 1, 0);
	settle(w, 0, 0);
	step(w, PROPOSE, 1, 0);
	settle(w, 0, 0);
}

/* Leader 1 has a command that nobody else has; leader 2, of 2 and 3, a no-op that nobody else has. */
static void make_diverged(struct world *w)
{
	make_stable(w);
	w->left = (struct budget){.elections = 1, .proposals = 2};
	step(w, PROPOSE, 1, 0);
	sync_disk(w, 1);
	lose_all(w);
	step(w, ELECT, 2, 0);
	sync_disk(w, 2);
	deliver(w, PAXOS_PREPARE, 3);
	sync_disk(w, 3);
	deliver(w, PAXOS_PROMISE, 2);
	sync_disk(w, 2);
	lose_all(w);
}

/* Leader 2 has Promises of both others, and its Syncs are in flight; an Accept of leader 1 is, too. */
static void make_syncs(struct world *w)
{
	make_stable(w);
	w->left = (struct budget){.elections = 1, .proposals = 2};
	step(w, PROPOSE, 1, 0);
	step(w, ELECT, 2, 0);
	sync_disk(w, 2);
	deliver(w, PAXOS_PREPARE, 3);
	sync_disk(w, 3);
	deliver(w, PAXOS_PROMISE, 2);
	deliver(w, PAXOS_PREPARE, 1);
	sync_disk(w, 1);
	deliver(w, PAXOS_PROMISE, 2);
}

/* As at stable, but only leader 1 knows that the command is chosen. */
static void make_unheard(struct world *w)
{
	make_fresh(w);
	w->left = (struct budget){.elections = 1, .proposals = 1};
	step(w, ELECT, 1, 0);
	settle(w, 0, 0);
	step(w, PROPOSE, 1, 0);
	sync_disk(w, 1);
	deliver(w, PAXOS_ACCEPT, 2);
	sync_disk(w, 2);
	deliver(w, PAXOS_ACCEPTED, 1);
	lose_all(w);
}

/* Leader 1 has heard nothing of leader 2, whose no-op 2 and 3 have chosen. */
static void make_deposed(struct world *w)
{
	make_stable(w);
	w->left = (struct budget){.elections = 1};
	step(w, ELECT, 2, 0);
	sync_disk(w, 2);
	settle(w, 2, 3);
	lose_all(w);
}

const struct start starts[] = {
	{"fresh", "three nodes that have just formed their cluster", make_fresh, 2,
	 {.elections = 2, .proposals = 1, .crashes = 1, .duplicates = 1}},
	{"stable", "a leader, one command chosen, all know it", make_stable, 3,
	 {.elections = 2, .proposals = 2, .crashes = 1, .cuts = 1, .duplicates = 1, .ticks = 1}},
	{"diverged", "two dead leaders' logs end differently", make_diverged, 3,
	 {.elections = 2, .crashes = 1, .duplicates = 1}},
	{"syncs", "a new leader's Syncs and an Accept of the old one are in flight", make_syncs, 3,
	 {.elections = 1, .proposals = 1, .crashes = 1, .duplicates = 2, .ticks = 1}},
	{"unheard", "only the leader knows what is chosen; a client reads", make_unheard, 1,
	 {.elections = 1, .proposals = 1, .reads = 1, .crashes = 1, .ticks = 1}},
	{"deposed", "a leader that does not know it; a client reads", make_deposed, 1,
	 {.elections = 1, .proposals = 1, .reads = 1, .duplicates = 1, .ticks = 1}},
};
const uint32_t n_starts = sizeof(starts) / sizeof(starts[0]);
