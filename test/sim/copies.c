/*
 * copies.c - logs that are gone, and logs that are there twice: wiped, restored and cloned machines.
 *
 * A wiped machine gets a new store id and must end as an outsider (F1).  A restored or cloned one runs on an
 * old copy of a log: it has forgotten promises, and nothing can make that safe where nobody knows better.  So
 * it is inflicted only where every other voter has met a run that the copy does not exceed, and the copy ends
 * with its first death, or when one of those who know dies (X1: an admin took it away in time).
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

/* A disk as it was some time ago, and what the oracle knows of it. */
struct backup
{
	uint32_t of; /* 0: none */
	uint64_t run;
	struct disk disk;
	struct database database;
	struct witness *witness;
	struct paxos_config config;
};

/* ---------------------------------------------------------------- wiped */

static void forget_log(struct world *w, struct node *n)
{
	disk_wipe(&n->disk);
	oracle_wiped(w, n);
	memset(&n->log_state, 0, sizeof(n->log_state));
	memset(&n->config, 0, sizeof(n->config));
	w->rotten &= ~(1u << n->id);
	memset(&n->acknowledged, 0, sizeof(n->acknowledged));
	n->wiped = true;
}

void copies_wipe(struct world *w, struct node *n, bool database_too)
{
	/* Nothing is lost before it is there. */
	if (n->life == 0)
		return;
	node_die(w, n, true);
	forget_log(w, n);
	if (database_too)
		database_clear(&n->database);
	TRACE(&w->trace, "n%u is wiped, its database %u", n->id, database_too);
	w->n_wiped++;
}

static bool can_not_form(const struct world *w)
{
	bool helps = false;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		if (w->nodes[i].state != NODE_FORMING)
			return false;
		helps |= formation_wiping_helps(&w->nodes[i].formation);
	}
	return helps;
}

/* What is suggested must lose nothing: no node of a cluster that formed is there. */
void copies_admin(struct world *w)
{
	if (w->phase >= PHASE_STEADY || w->formed)
		return;
	world_schedule(w, 500 * SIM_MS, (struct event){.kind = EVENT_ADMIN});
	if (!can_not_form(w))
		return;
	TRACE(&w->trace, "---- the cluster can't form: all are wiped");
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		copies_wipe(w, &w->nodes[i], true);
}

/* ---------------------------------------------------------------- copies */

static void free_backup(struct backup *b)
{
	if (b->of == 0)
		return;
	disk_free(&b->disk);
	database_free(&b->database);
	oracle_free_backup(b->witness);
	b->of = 0;
}

void copies_free(struct world *w)
{
	if (w->backup != NULL)
		free_backup(w->backup);
	free(w->backup);
}

/* Of a log with nothing wrong, as of now. */
static void take_backup(struct world *w, struct node *n)
{
	struct backup *b;

	if (w->backup == NULL)
		w->backup = calloc(1, sizeof(*w->backup));
	b = w->backup;
	if (n->state != NODE_RUNNING || world_lost(w, n->id) || (w->rotten & (1u << n->id)) != 0 ||
		oracle_damaged(w, n->id) || n->disk.failed || n->disk.dead || n->database.diverged)
		return;
	free_backup(b);
	disk_init(&b->disk, n->id, w->seed + 77, &w->trace, "/data");
	disk_copy(&b->disk, &n->disk);
	database_init(&b->database);
	database_copy(&b->database, &n->database);
	b->witness = oracle_backup(w, n);
	b->run = n->log_state.run;
	b->config = n->config;
	b->of = n->id;
	TRACE(&w->trace, "n%u disk is copied, run %u", n->id, b->run);
}

/* X1: every other voter is up and has met a run that the copy's next one does not exceed. */
static bool peers_know_better(const struct world *w, const struct backup *b)
{
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		const struct met *met = &w->network.met[i][b->of];
		uint64_t run = w->config.core_checks_runs ? met->run_heard : met->run + 1;

		if (i == b->of || world_lost(w, i))
			continue;
		if (w->nodes[i].state != NODE_RUNNING || w->nodes[i].dying || run <= b->run + 1)
			return false;
	}
	return true;
}

/* Whether the copy may be let loose now.  If not, what is missing is brought about for the next time. */
static bool ready(struct world *w, struct node *n)
{
	struct node *original;

	if (w->config.n_nodes < 3 || w->n_machines > w->config.n_nodes)
		return false;
	if (w->backup == NULL || w->backup->of == 0 || world_lost(w, w->backup->of))
	{
		take_backup(w, n);
		return false;
	}
	original = &w->nodes[w->backup->of];
	if (faults_impaired(w, original) >= (w->config.n_nodes - 1) / 2)
		return false;
	if (original->state == NODE_RUNNING &&
		original->log_state.run <= w->backup->run + w->config.core_checks_runs)
	{
		node_die(w, original, false); /* it starts again, with a higher run */
		return false;
	}
	return peers_know_better(w, w->backup);
}

static void put_back(struct world *w, struct node *n)
{
	struct backup *b = w->backup;

	disk_copy(&n->disk, &b->disk);
	database_copy(&n->database, &b->database);
	database_crash(w, n);
	oracle_restored(w, n, b->witness);
	n->config = b->config;
	n->copy = true;
	w->n_copies++;
}

void copies_restore(struct world *w, struct node *n)
{
	struct node *original;

	if (!ready(w, n))
		return;
	original = &w->nodes[w->backup->of];
	node_die(w, original, true);
	w->rotten &= ~(1u << original->id);
	TRACE(&w->trace, "n%u is restored from an old copy, which had run %u", original->id, w->backup->run);
	put_back(w, original);
}

void copies_clone(struct world *w, struct node *n)
{
	struct node *clone = &w->nodes[w->config.n_nodes + 1];

	if (!ready(w, n))
		return;
	w->n_machines = w->config.n_nodes + 1;
	node_init(w, w->n_machines);
	clone->node_id = w->backup->of;
	TRACE(&w->trace, "n%u is a copy of n%u, which had run %u", clone->id, clone->node_id, w->backup->run);
	put_back(w, clone);
	net_add_machine(w, clone->id);
}

void copies_end(struct world *w)
{
	for (uint32_t i = 1; i <= w->n_machines; i++)
		if (w->nodes[i].copy || w->nodes[i].fenced)
			node_out(w, &w->nodes[i]);
}
