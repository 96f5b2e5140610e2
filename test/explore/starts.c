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
		w->held--;
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
	w->n = w->held = 0;
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

/*
 * Leader 1 has commands that nobody else has; then node 2 leads, with the Promise of 3, and has appended its
 * no-op and its session: two entries.  Its Syncs are in flight to 3.
 */
static void make_two_tails(struct world *w, uint32_t n_commands)
{
	make_stable(w);
	w->left = (struct budget){.elections = 1, .proposals = (uint8_t) (n_commands + 1)};
	for (uint32_t i = 0; i < n_commands; i++)
		step(w, PROPOSE, 1, 0);
	sync_disk(w, 1);
	lose_all(w);
	step(w, ELECT, 2, 0);
	sync_disk(w, 2);
	deliver(w, PAXOS_PREPARE, 3);
	sync_disk(w, 3);
	deliver(w, PAXOS_PROMISE, 2);
	sync_disk(w, 2);
}

/* Both leaders died: their logs are equally long and differ; 3 has neither. */
static void make_diverged(struct world *w)
{
	make_two_tails(w, 2);
	lose_all(w);
}

/* The dead leader's log is longer than what 2 and 3 have chosen since. */
static void make_outlived(struct world *w)
{
	make_two_tails(w, 3);
	settle(w, 2, 3);
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

/* A copy of the Sync that node 3 has installed is still in flight, and so is an Accept that follows it. */
static void make_late_sync(struct world *w)
{
	make_two_tails(w, 1);
	w->left = (struct budget){.duplicates = 1};
	for (uint16_t i = 0; i < w->n; i++)
	{
		const struct paxos_message *m = &message_get(w->flight[i])->m;

		if (m->type == PAXOS_SYNC && m->to == 3)
		{
			step(w, DUPLICATE, 3, i);
			break;
		}
	}
	sync_disk(w, 3);
	deliver(w, PAXOS_ACCEPTED, 2);
}

/* Only leader 1 knows that a command is chosen, and it is cut off. */
static void make_unheard(struct world *w)
{
	make_fresh(w);
	w->left = (struct budget){.elections = 1, .proposals = 1, .cuts = 1};
	step(w, ELECT, 1, 0);
	settle(w, 0, 0);
	step(w, PROPOSE, 1, 0);
	sync_disk(w, 1);
	deliver(w, PAXOS_ACCEPT, 2);
	sync_disk(w, 2);
	deliver(w, PAXOS_ACCEPTED, 1);
	lose_all(w);
	step(w, CUT, 1, 0);
}

/*
 * Leader 1 has heard nothing of leader 2, whose no-op 2 and 3 have chosen; an answer to a read round that it
 * began before is in flight.
 */
static void make_deposed(struct world *w)
{
	make_stable(w);
	w->left = (struct budget){.elections = 1, .reads = 1};
	step(w, READ, 1, 0);
	deliver(w, PAXOS_READ_ROUND, 3);
	step(w, ELECT, 2, 0);
	sync_disk(w, 2);
	settle(w, 2, 3);
	for (uint32_t i = w->n; i-- > 0;)
		if (message_get(w->flight[i])->m.type != PAXOS_READ_ROUND_REPLY)
		{
			w->n--;
			w->held--;
			memmove(&w->flight[i], &w->flight[i + 1], (w->n - i) * sizeof(w->flight[0]));
		}
}

const struct start starts[] = {
	{"fresh", "three nodes that have just formed their cluster", make_fresh},
	{"stable", "a leader, one command chosen, all know it", make_stable},
	{"diverged", "two dead leaders' logs are equally long and differ", make_diverged},
	{"outlived", "a dead leader's log is longer than what was chosen since", make_outlived},
	{"syncs", "a new leader's Syncs and an Accept of the old one are in flight", make_syncs},
	{"latesync", "a copy of an installed Sync is in flight, and an Accept that follows it", make_late_sync},
	{"unheard", "only a leader that is cut off knows what is chosen", make_unheard},
	{"deposed", "a leader that does not know it; an answer to its read round is in flight", make_deposed},
};
const uint32_t n_starts = sizeof(starts) / sizeof(starts[0]);
