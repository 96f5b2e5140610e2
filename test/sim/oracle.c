/*
 * oracle.c - what is durable where, what is chosen by that, and S1 to S7.
 *
 * It is fed with what each core handed out and with what each log said is synced, and never asks a node.
 * A slot is chosen when a quorum durably held it at one ballot; since logs have no holes, that is the
 * quorum-th longest log ever durable at the ballot.
 *
 * Which of FAULTS' invariants is judged where:
 *
 *	 S1	 choose()						 S2	 oracle_put()
 *	 S3	 take_ballot(), check_owner()	 S4	 image_apply(), check_promise(), check_accepted(), recovered.c
 *	 S5, S6	 adopted.c; check_adopted() against all that is chosen below
 *	 S7	 oracle_chosen_event(), oracle_message(), model_check_table()
 *	 S8	 model_check_table(), ring_applied()
 *	 S9	 adopted_check_copies(), oracle_table.c	 S10 oracle_table.c
 *	 S11	 model_check_read(), fold_command(), check_read_reply()
 *	 S12	 fold_command(), ring_applied()	 S13 fold_command(), model_check_write_result() and _withdrawn()
 *	 S14	 check_sender(), join_cluster()	 S15 check_promise(), check_chunk(), check_proposals(), recovered.c
 *	 S16	 read_table()
 *	 L1 to L5	 liveness.c					 L6	 bounds.c
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- making, freeing, asking */

struct oracle *oracle_new(struct world *w)
{
	struct oracle *o = calloc(1, sizeof(*o));

	o->model = model_new();
	return o;
}

static void forget_pending(struct witness *witness)
{
	for (uint32_t i = 0; i < witness->n_pending; i++)
		free(witness->pending[i].ids);
	witness->n_pending = 0;
}

static void free_witness(struct witness *witness)
{
	forget_pending(witness);
	free(witness->pending);
	free(witness->untold);
	image_free(&witness->taken);
	image_free(&witness->durable);
}

static void copy_witness(struct witness *to, const struct witness *from)
{
	memset(to, 0, sizeof(*to));
	image_copy(&to->taken, &from->taken);
	image_copy(&to->durable, &from->durable);
	to->told = from->told;
	to->n_untold = to->untold_capacity = from->n_untold;
	to->untold = calloc(from->n_untold + 1, sizeof(*to->untold));
	if (from->n_untold > 0)
		memcpy(to->untold, from->untold, from->n_untold * sizeof(*to->untold));
	to->n_pending = to->pending_capacity = from->n_pending;
	to->pending = calloc(from->n_pending + 1, sizeof(*to->pending));
	for (uint32_t i = 0; i < from->n_pending; i++)
	{
		struct pending *pending = &to->pending[i];

		*pending = from->pending[i];
		if (pending->n == 0)
			continue;
		pending->ids = malloc(pending->n * sizeof(*pending->ids));
		memcpy(pending->ids, from->pending[i].ids, pending->n * sizeof(*pending->ids));
	}
}

/* What it held before stays counted: it was durable then. */
void oracle_wiped(struct world *w, const struct node *n)
{
	free_witness(&w->oracle->witnesses[n->id]);
	memset(&w->oracle->witnesses[n->id], 0, sizeof(struct witness));
}

struct witness *oracle_backup(struct world *w, const struct node *n)
{
	struct witness *backup = malloc(sizeof(*backup));

	copy_witness(backup, &w->oracle->witnesses[n->id]);
	return backup;
}

void oracle_restored(struct world *w, const struct node *n, const struct witness *backup)
{
	free_witness(&w->oracle->witnesses[n->id]);
	copy_witness(&w->oracle->witnesses[n->id], backup);
}

void oracle_free_backup(struct witness *backup)
{
	free_witness(backup);
	free(backup);
}

void oracle_free(struct oracle *o)
{
	for (uint32_t i = 0; i <= SIM_MACHINES; i++)
		free_witness(&o->witnesses[i]);
	for (uint32_t i = 0; i < o->n_ballots; i++)
	{
		free(o->ballots[i]->log.ids);
		free(o->ballots[i]);
	}
	free(o->chosen.ids);
	free(o->chosen_at.ids);
	oracle_names_free(o);
	model_free(o->model);
	free(o);
}

struct model *oracle_model(struct world *w)
{
	return w->oracle->model;
}

uint64_t oracle_chosen(const struct world *w)
{
	return w->oracle->chosen_through;
}

bool oracle_led(struct world *w, struct paxos_ballot ballot)
{
	const struct ballot_record *record = oracle_ballot(w, ballot);

	return record->established && record->chosen_through > record->adopted_end;
}

bool oracle_damaged(const struct world *w, uint32_t node)
{
	return w->oracle->witnesses[node].durable.damaged;
}

bool oracle_doubtful(const struct world *w, uint32_t node)
{
	return w->oracle->witnesses[node].durable.doubtful;
}

uint32_t oracle_undamaged(const struct world *w)
{
	uint32_t n = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		n += !world_lost(w, i) && !oracle_damaged(w, i);
	return n;
}

static int compare_positions(struct paxos_ballot a, uint64_t a_slot, struct paxos_ballot b, uint64_t b_slot)
{
	int order = paxos_ballot_compare(a, b);

	return order != 0 ? order : (a_slot > b_slot) - (a_slot < b_slot);
}

/* Whether node i surely holds what node "of" held in that slot. */
static bool has_copy(const struct world *w, uint32_t i, uint32_t of, uint64_t slot)
{
	const struct image *own = &w->oracle->witnesses[of].durable;
	const struct image *image = &w->oracle->witnesses[i].durable;
	bool holes = image->damaged && image->holes.n > 0;

	if (i == of || world_lost(w, i) || slot > (holes ? image->holes.end : image->end) ||
		slot < oracle_first_slot(w, i) || (holes && holes_find(&image->holes, slot) != NULL))
		return false;
	return paxos_ballot_compare(image->accepted, own->accepted) == 0;
}

/* D7: whole, or all that it lacks lies on the others. */
static bool whole_in_time(const struct world *w, uint32_t node)
{
	const struct image *image = &w->oracle->witnesses[node].durable;

	if (!image->damaged)
		return true;
	for (uint64_t slot = holes_next(&image->holes, 1); slot != 0; slot = holes_next(&image->holes, slot + 1))
	{
		bool found = false;

		for (uint32_t i = 1; i <= w->config.n_nodes; i++)
			found |= has_copy(w, i, node, slot);
		if (!found)
			return false;
	}
	return image->holes.n > 0;
}

/* D7: whole logs, and damaged ones that name nothing beyond the best of the whole ones. */
static uint32_t count_for_quorum(const struct world *w)
{
	const struct image *best = NULL;
	uint64_t best_end = 0;
	uint32_t count = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		const struct image *image = &w->oracle->witnesses[i].durable;
		uint64_t end = image->damaged ? image->holes.end : image->end;

		if (!world_lost(w, i) && whole_in_time(w, i) &&
			(best == NULL || compare_positions(image->accepted, end, best->accepted, best_end) > 0))
		{
			best = image;
			best_end = end;
		}
	}
	for (uint32_t i = 1; i <= w->config.n_nodes && best != NULL; i++)
	{
		const struct image *image = &w->oracle->witnesses[i].durable;

		count += !world_lost(w, i) && (whole_in_time(w, i) ||
									   compare_positions(image->damage.named_ballot, image->damage.named_slot,
														 best->accepted, best_end) <= 0);
	}
	return count;
}

/* D8: all voters answer, no bad copy is of something that was surely synced, and the best log lacks nothing chosen. */
bool oracle_recoverable(const struct world *w)
{
	const struct image *best = &w->oracle->witnesses[1].durable;

	if (count_for_quorum(w) >= world_quorum(w))
		return true;
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		const struct image *image = &w->oracle->witnesses[i].durable;

		if (world_lost(w, i) || (image->damaged && !image->doubtful))
			return false;
		if (compare_positions(image->accepted, image->end, best->accepted, best->end) > 0)
			best = image;
	}
	return best->end >= w->oracle->chosen_through;
}

/* ---------------------------------------------------------------- ballots */

struct ballot_record *oracle_ballot(struct world *w, struct paxos_ballot ballot)
{
	struct oracle *o = w->oracle;
	struct ballot_record *record;

	if (o->n_ballots > 0 && paxos_ballot_compare(o->ballots[o->last_ballot]->ballot, ballot) == 0)
		return o->ballots[o->last_ballot];
	for (uint32_t i = o->n_ballots; i-- > 0;)
		if (paxos_ballot_compare(o->ballots[i]->ballot, ballot) == 0)
		{
			o->last_ballot = i;
			return o->ballots[i];
		}
	if (o->n_ballots == sizeof(o->ballots) / sizeof(o->ballots[0]))
		world_fail(w, "L2", "%u ballots: elections never end", o->n_ballots);
	record = calloc(1, sizeof(*record));
	record->ballot = ballot;
	o->last_ballot = o->n_ballots;
	o->ballots[o->n_ballots++] = record;
	return record;
}

void oracle_put(struct world *w, struct ballot_record *record, uint64_t slot, uint32_t id,
				const struct node *n)
{
	uint32_t known = slots_get(&record->log, slot);

	if (known == 0)
		slots_set(&record->log, slot, id);
	else if (known != id)
		world_fail(w, "S2", "n%u has another value for slot %u at ballot %u.%u than was there before", n->id,
				   (unsigned) slot, (unsigned) record->ballot.round, record->ballot.node_id);
}

/* S3, B2: a ballot belongs to one run; one whose Prepare left is never taken again. */
static void take_ballot(struct world *w, const struct node *n, struct paxos_ballot ballot)
{
	struct ballot_record *record = oracle_ballot(w, ballot);

	if (record->prepared && record->owner_run != n->log_state.run)
		world_fail(w, "S3", "n%u takes ballot %u.%u again, which an earlier run of it used", n->id,
				   (unsigned) ballot.round, ballot.node_id);
	record->owner_run = n->log_state.run;
}

static void check_owner(struct world *w, const struct node *n, struct paxos_ballot ballot, const char *what)
{
	if (ballot.node_id != n->node_id || oracle_ballot(w, ballot)->owner_run != n->log_state.run)
		world_fail(w, "S3", "n%u sends %s at ballot %u.%u, which it did not take in this run", n->id, what,
				   (unsigned) ballot.round, ballot.node_id);
}

/* S5, S6: what a higher ballot's leader adopted holds everything chosen below. */
static void check_adopted(struct world *w, const struct ballot_record *record, uint64_t slot)
{
	if (slots_get(&record->log, slot) != slots_get(&w->oracle->chosen, slot))
		world_fail(w, "S6", "slot %u is chosen, and the log that leader %u.%u adopted does not have it",
				   (unsigned) slot, (unsigned) record->ballot.round, record->ballot.node_id);
}

/* The lowest ballot at which the slot was chosen: only leaders above that one must have it. */
static struct paxos_ballot chosen_at(const struct oracle *o, uint64_t slot)
{
	return o->ballots[slots_get(&o->chosen_at, slot) - 1]->ballot;
}

static void establish(struct world *w, struct ballot_record *record, uint64_t end)
{
	record->established = true;
	record->adopted_end = end;
	for (uint64_t slot = 1; slot <= w->oracle->chosen_through; slot++)
		if (paxos_ballot_compare(chosen_at(w->oracle, slot), record->ballot) < 0)
			check_adopted(w, record, slot);
}

/* ---------------------------------------------------------------- chosen */

static void choose(struct world *w, uint32_t by, uint64_t slot)
{
	struct oracle *o = w->oracle;
	struct paxos_ballot ballot = o->ballots[by]->ballot;
	uint32_t id = slots_get(&o->ballots[by]->log, slot);
	bool again = slot <= o->chosen_through;

	if (again && slots_get(&o->chosen, slot) != id)
		world_fail(w, "S1", "slot %u is chosen twice: ballot %u.%u has another value", (unsigned) slot,
				   (unsigned) ballot.round, ballot.node_id);
	if (again && paxos_ballot_compare(chosen_at(o, slot), ballot) <= 0)
		return;
	if (id == 0)
		world_fail(w, "oracle", "slot %u is chosen at a ballot that never had it", (unsigned) slot);
	slots_set(&o->chosen, slot, id);
	slots_set(&o->chosen_at, slot, by + 1);
	for (uint32_t i = 0; i < o->n_ballots; i++)
		if (o->ballots[i]->established && paxos_ballot_compare(o->ballots[i]->ballot, ballot) > 0)
			check_adopted(w, o->ballots[i], slot);
	if (again)
		return;
	o->chosen_through = slot;
	model_fold(w, o->model, slot, o->names[id - 1].bytes, o->names[id - 1].length);
}

static uint64_t quorum_through(const struct world *w, const struct ballot_record *record)
{
	uint64_t best = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		uint32_t as_long = 0;

		for (uint32_t j = 1; j <= w->config.n_nodes; j++)
			as_long += record->through[j] >= record->through[i];
		if (as_long >= world_quorum(w) && record->through[i] > best)
			best = record->through[i];
	}
	return best;
}

void oracle_count(struct world *w, const struct node *n)
{
	const struct image *image = &w->oracle->witnesses[n->id].durable;
	struct ballot_record *record;
	uint64_t through;
	uint64_t end;

	/* A copy held all this before, under its first run; it must add nothing (X1). */
	if (image->damaged || image->accepted.round == 0 || n->copy)
		return;
	/* Behind a table of others nothing was accepted that had not been before (T5). */
	if (image->end == image->before && paxos_ballot_compare(image->promise, image->accepted) > 0)
		return;
	record = oracle_ballot(w, image->accepted);
	/* A table that was installed may reach further than that leader ever did. */
	end = image->end < record->log.end ? image->end : record->log.end;
	if (end > record->through[n->id])
		record->through[n->id] = end;
	through = quorum_through(w, record);
	if (through <= record->chosen_through)
		return;
	for (uint64_t slot = record->chosen_through + 1; slot <= through; slot++)
		choose(w, w->oracle->last_ballot, slot);
	record->chosen_through = through;
	TRACE(&w->trace, "oracle: chosen through %u at ballot %b", w->oracle->chosen_through,
		  TRACE_BALLOT(record->ballot));
}

/* ---------------------------------------------------------------- writes */

static struct pending copy_write(struct world *w, const struct paxos_write *write)
{
	struct pending pending = {write->id,         write->type, write->ballot,
							  write->first_slot, write->base, write->end,
							  write->n_entries,  NULL,        false};

	if (write->n_entries > 0)
		pending.ids = malloc(write->n_entries * sizeof(*pending.ids));
	for (uint32_t i = 0; i < write->n_entries; i++)
		pending.ids[i] = oracle_name(w->oracle, &write->entries[i]);
	return pending;
}

/* Y1: the record that installs is written after what it installs is durable. */
static void check_staged(struct world *w, const struct node *n, const struct witness *witness)
{
	const struct pending *install = &witness->pending[witness->n_pending - 1];

	for (const struct pending *p = witness->pending; p < install; p++)
		if (p->type == PAXOS_WRITE_STAGE && paxos_ballot_compare(p->ballot, install->ballot) == 0)
			world_fail(w, "Y1", "n%u installs a log of which slot %u is staged and not durable", n->id,
					   (unsigned) p->first_slot);
}

static void check_installed(struct world *w, const struct node *n, const struct image *image)
{
	struct ballot_record *record = oracle_ballot(w, image->accepted);

	for (uint64_t slot = 1; slot <= image->end; slot++)
		oracle_put(w, record, slot, slots_get(&image->log, slot), n);
	if (image->accepted.node_id == n->node_id && !record->established)
	{
		check_owner(w, n, image->accepted, "itself a log");
		establish(w, record, image->end);
	}
}

/* S15: what was there, and nothing else; a slot alone tells nothing. */
static void check_repaired(struct world *w, const struct node *n, const struct pending *repair)
{
	const struct ballot_record *record = oracle_ballot(w, repair->ballot);

	for (uint32_t i = 0; i < repair->n; i++)
		if (slots_get(&record->log, repair->first_slot + i) != repair->ids[i])
			world_fail(w, "S15", "n%u repairs slot %u with what was not there at ballot %u.%u", n->id,
					   (unsigned) repair->first_slot + i, (unsigned) repair->ballot.round,
					   repair->ballot.node_id);
	w->n_repaired += repair->n;
}

void oracle_written(struct world *w, struct node *n, const struct paxos_write *write)
{
	struct witness *witness = &w->oracle->witnesses[n->id];
	struct pending pending = copy_write(w, write);
	const char *wrong;

	if (n->fenced)
		world_fail(w, "X1", "n%u is fenced and writes", n->id);
	if (witness->n_pending == witness->pending_capacity)
	{
		witness->pending_capacity = witness->pending_capacity == 0 ? 16 : witness->pending_capacity * 2;
		witness->pending = realloc(witness->pending, witness->pending_capacity * sizeof(pending));
	}
	witness->pending[witness->n_pending++] = pending;
	bounds_write(w, n, write);
	if (write->type == PAXOS_WRITE_INSTALL && write->ballot.node_id == n->node_id)
		adopted_check(w, n, &witness->taken, &pending);
	wrong = image_apply(&witness->taken, &pending, pending.n);
	if (wrong != NULL)
		world_fail(w, "write", "n%u: %s", n->id, wrong);
	if (write->type == PAXOS_WRITE_PROMISE && write->ballot.node_id == n->node_id)
		take_ballot(w, n, write->ballot);
	if (write->type == PAXOS_WRITE_INSTALL)
	{
		check_staged(w, n, witness);
		witness->accepts_from = witness->taken.end;
		check_installed(w, n, &witness->taken);
	}
	if (write->type == PAXOS_WRITE_APPEND)
		for (uint32_t i = 0; i < pending.n; i++)
			oracle_put(w, oracle_ballot(w, write->ballot), write->first_slot + i, pending.ids[i], n);
	if (write->type == PAXOS_WRITE_REPAIR)
		check_repaired(w, n, &pending);
}

static void add_untold(struct witness *witness, uint64_t id)
{
	if (witness->n_untold == witness->untold_capacity)
	{
		witness->untold_capacity = witness->untold_capacity == 0 ? 16 : witness->untold_capacity * 2;
		witness->untold = realloc(witness->untold, witness->untold_capacity * sizeof(*witness->untold));
	}
	witness->untold[witness->n_untold++] = image_told(&witness->durable, id);
}

static void now_durable(struct world *w, struct node *n, struct pending *write)
{
	struct image *durable = &w->oracle->witnesses[n->id].durable;
	bool exceeded =
		write->type == PAXOS_WRITE_PROMISE && paxos_ballot_compare(write->ballot, durable->promise) < 0;
	const char *wrong;

	if (write->synced || exceeded)
		return;
	write->synced = true;
	wrong = image_apply(durable, write, write->n);
	if (wrong != NULL)
		world_fail(w, "oracle", "n%u: durable state differs from what was written: %s", n->id, wrong);
	oracle_count(w, n);
	if (write->type == PAXOS_WRITE_INSTALL)
		adopted_check_copies(w, n, write->base + 1);
	if (write->type == PAXOS_WRITE_REPAIR)
		adopted_check_copies(w, n, 1);
}

/* What a trim syncs besides its own record: all but promises, which are not in segments. */
void oracle_log_synced(struct world *w, struct node *n)
{
	struct witness *witness = &w->oracle->witnesses[n->id];

	for (uint32_t i = 0; i < witness->n_pending; i++)
		if (witness->pending[i].type != PAXOS_WRITE_PROMISE)
			now_durable(w, n, &witness->pending[i]);
}

void oracle_durable(struct world *w, struct node *n, uint64_t id)
{
	struct witness *witness = &w->oracle->witnesses[n->id];
	uint64_t last = 0;
	uint32_t done = 0;

	while (done < witness->n_pending && witness->pending[done].id <= id)
	{
		now_durable(w, n, &witness->pending[done]);
		last = witness->pending[done].id;
		free(witness->pending[done++].ids);
	}
	if (done == 0)
		return;
	add_untold(witness, last);
	witness->n_pending -= done;
	memmove(witness->pending, witness->pending + done, witness->n_pending * sizeof(*witness->pending));
}

void oracle_told(struct world *w, const struct node *n, uint64_t id)
{
	struct witness *witness = &w->oracle->witnesses[n->id];
	uint32_t told = 0;

	while (told < witness->n_untold && witness->untold[told].id <= id)
		witness->told = witness->untold[told++];
	if (told == 0)
		return;
	witness->n_untold -= told;
	memmove(witness->untold, witness->untold + told, witness->n_untold * sizeof(*witness->untold));
}

/* ---------------------------------------------------------------- messages: S3, S4, S7, S15 */

/*
 * A Promise tells the durable log as far as the core has heard of it, neither more (S4) nor less (P2: what it would get
 * now).  And nothing was taken before the promise that is not in it (B3): what may be missing was taken at that very
 * ballot, from the leader whom it is for.
 */
static void check_promise(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct image *durable = &w->oracle->witnesses[n->id].durable;
	const struct image *taken = &w->oracle->witnesses[n->id].taken;
	const struct told *told = &w->oracle->witnesses[n->id].told;

	if (paxos_ballot_compare(durable->promise, m->ballot) < 0)
		world_fail(w, "S4", "n%u sends a Promise that is not durable", n->id);
	if (paxos_ballot_compare(taken->promise, m->ballot) > 0)
		world_fail(w, "B3", "n%u sends a Promise below what it has promised", n->id);
	if (m->damage.damaged != told->damaged)
		world_fail(w, "D7", "n%u says in a Promise that it is damaged: %u", n->id, m->damage.damaged);
	if (paxos_ballot_compare(m->accepted, told->accepted) != 0 || m->end != told->end)
		world_fail(w, "S4", "n%u promises with accepted ballot %u.%u through %u; durable is %u.%u through %u",
				   n->id, (unsigned) m->accepted.round, m->accepted.node_id, (unsigned) m->end,
				   (unsigned) told->accepted.round, told->accepted.node_id, (unsigned) told->end);
	/* D7: what is under way to make a log whole again was accepted long ago. */
	if (paxos_ballot_compare(m->accepted, taken->accepted) != 0 ||
		(m->end != taken->end && !told->damaged && paxos_ballot_compare(m->accepted, m->ballot) != 0))
		world_fail(w, "B3", "n%u promises with log end %u and has taken through %u", n->id, (unsigned) m->end,
				   (unsigned) taken->end);
	adopted_report(w, m);
}

/* P1: a leader that lacks what a follower needs. */
static void check_trimmed(struct world *w, const struct node *n, const struct paxos_message *m)
{
	check_owner(w, n, m->ballot, "TRIMMED");
	if (m->first_slot != w->oracle->witnesses[n->id].durable.before + 1)
		world_fail(w, "S15", "n%u says that its log begins at %u; it does at %u", n->id,
				   (unsigned) m->first_slot, (unsigned) w->oracle->witnesses[n->id].durable.before + 1);
}

static void check_accepted(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct image *durable = &w->oracle->witnesses[n->id].durable;
	const struct image *taken = &w->oracle->witnesses[n->id].taken;

	if (durable->damaged)
		world_fail(w, "D7", "n%u is damaged and sends Accepted", n->id);
	if (paxos_ballot_compare(durable->accepted, m->ballot) != 0 || m->slot > durable->end)
		world_fail(w, "S4", "n%u sends Accepted through %u at ballot %u.%u; durable is through %u at %u.%u",
				   n->id, (unsigned) m->slot, (unsigned) m->ballot.round, m->ballot.node_id,
				   (unsigned) durable->end, (unsigned) durable->accepted.round, durable->accepted.node_id);
	if (paxos_ballot_compare(taken->promise, m->ballot) > 0)
		world_fail(w, "B3", "n%u sends Accepted at ballot %u.%u after it took a higher one", n->id,
				   (unsigned) m->ballot.round, m->ballot.node_id);
}

static void check_chunk(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct image *durable = &w->oracle->witnesses[n->id].durable;
	const struct image *taken = &w->oracle->witnesses[n->id].taken;

	bool late = oracle_ballot(w, m->ballot)->established; /* that candidate leads, and takes no chunks */

	if (paxos_ballot_compare(taken->promise, m->ballot) != 0 ||
		paxos_ballot_compare(durable->promise, m->ballot) < 0)
		world_fail(w, "P1", "n%u serves a chunk to a candidate whose ballot is not its promise", n->id);
	if (durable->damaged && (!durable->doubtful || (!late && oracle_undamaged(w) >= world_quorum(w))))
		world_fail(w, "P1", "n%u is damaged and serves a chunk", n->id);
	w->n_of_all += durable->damaged;
	if (paxos_ballot_compare(m->accepted, taken->accepted) != 0)
		world_fail(w, "P1", "n%u serves a chunk under an accepted ballot that it does not have", n->id);
	for (uint32_t i = 0; i < m->n_entries; i++)
		if (oracle_name(w->oracle, &m->entries[i]) != slots_get(&taken->log, m->slot + 1 + i) ||
			m->slot + 1 + i > taken->end)
			world_fail(w, "S15", "n%u serves another entry for slot %u than its log holds", n->id,
					   (unsigned) (m->slot + 1 + i));
}

/* S15, D7: what the asking log held there, at the ballot that it names. */
static void check_offered(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct ballot_record *record = oracle_ballot(w, m->accepted);

	for (uint32_t i = 0; i < m->n_entries; i++)
		if (oracle_name(w->oracle, &m->entries[i]) != slots_get(&record->log, m->slot + 1 + i))
			world_fail(w, "S15", "n%u offers for slot %u what n%u never held there at ballot %u.%u", n->id,
					   (unsigned) (m->slot + 1 + i), m->to, (unsigned) m->accepted.round,
					   m->accepted.node_id);
}

/* S11, P3: an index is given only by a leader of which an entry of its own is chosen. */
static void check_read_reply(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct ballot_record *record = oracle_ballot(w, m->ballot);

	if (m->slot > w->oracle->chosen_through)
		world_fail(w, "S11", "n%u gives read index %u; chosen is %u", n->id, (unsigned) m->slot,
				   (unsigned) w->oracle->chosen_through);
	if (!record->established || record->chosen_through <= record->adopted_end)
		world_fail(w, "S11", "n%u gives a read index and has nothing of its own chosen", n->id);
}

/* Accepts and Syncs: proposals of the sender's ballot. */
static void check_proposals(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct image *taken = &w->oracle->witnesses[n->id].taken;
	struct ballot_record *record = oracle_ballot(w, m->ballot);

	check_owner(w, n, m->ballot, message_name(m->type));
	for (uint32_t i = 0; i < m->n_entries; i++)
	{
		uint64_t slot = m->slot + 1 + i;
		uint32_t id = oracle_name(w->oracle, &m->entries[i]);

		oracle_put(w, record, slot, id, n);
		if (paxos_ballot_compare(taken->accepted, m->ballot) == 0 && slots_get(&taken->log, slot) != id)
			world_fail(w, "S15", "n%u proposes for slot %u what its own log does not hold", n->id,
					   (unsigned) slot);
	}
}

static void check_prepare(struct world *w, const struct node *n, const struct paxos_message *m)
{
	struct ballot_record *record = oracle_ballot(w, m->ballot);

	check_owner(w, n, m->ballot, "Prepare");
	if (paxos_ballot_compare(w->oracle->witnesses[n->id].durable.promise, m->ballot) < 0)
		world_fail(w, "B1", "n%u sends a Prepare before its own promise is durable", n->id);
	record->prepared = true;
}

/* E3: never a ballot below the promise, nor below one followed before. */
static void check_followed(struct world *w, struct node *n, const struct paxos_message *m)
{
	if (paxos_ballot_compare(m->followed, w->oracle->witnesses[n->id].durable.promise) < 0)
		world_fail(w, "E3", "n%u follows a ballot below its promise", n->id);
	if (paxos_ballot_compare(m->followed, n->followed) < 0)
		world_fail(w, "E3", "n%u follows a lower ballot than before", n->id);
	n->followed = m->followed;
}

/* X1: only of a node that runs twice. */
static void check_fence(struct world *w, const struct node *n, const struct paxos_message *m)
{
	for (uint32_t i = 1; i <= w->n_machines; i++)
		if (w->nodes[i].copy && w->nodes[i].node_id == m->to)
			return;
	world_fail(w, "X1", "n%u fences n%u, which does not run twice", n->id, m->to);
}

/* F1, S14, X1: who may speak at all. */
static void check_sender(struct world *w, const struct node *n)
{
	const struct paxos_member *member = &w->members.members[config_find(&w->members, n->node_id)];

	if (n->fenced)
		world_fail(w, "X1", "n%u is fenced and sends", n->id);
	if (memcmp(&member->store_id, &n->log_state.store_id, sizeof(member->store_id)) != 0)
		world_fail(w, "S14", "n%u sends, and its store is none of the configuration's", n->id);
}

void oracle_message(struct world *w, struct node *n, const struct paxos_message *m)
{
	check_sender(w, n);
	bounds_message(w, n, m);
	if (m->chosen > w->oracle->chosen_through)
		world_fail(w, "S7", "n%u says in %s that %u is chosen; it is through %u", n->id,
				   message_name(m->type), (unsigned) m->chosen, (unsigned) w->oracle->chosen_through);
	switch (m->type)
	{
		case PAXOS_HEARTBEAT:
		case PAXOS_HEARTBEAT_REPLY:
			if (m->ballot.round != 0)
				check_owner(w, n, m->ballot, "a heartbeat");
			oracle_check_heartbeat(w, n, m);
			check_followed(w, n, m);
			break;
		case PAXOS_PREPARE:
			check_prepare(w, n, m);
			break;
		case PAXOS_PROMISE:
			check_promise(w, n, m);
			break;
		case PAXOS_ACCEPTED:
			check_accepted(w, n, m);
			break;
		case PAXOS_CHUNK:
			check_chunk(w, n, m);
			break;
		case PAXOS_REPAIR:
			check_offered(w, n, m);
			break;
		case PAXOS_SYNC:
		case PAXOS_ACCEPT:
			check_proposals(w, n, m);
			break;
		case PAXOS_TRIMMED:
			check_trimmed(w, n, m);
			break;
		case PAXOS_READ_REPLY:
			check_read_reply(w, n, m);
			break;
		case PAXOS_FENCE:
			check_fence(w, n, m);
			break;
		default:
			break;
	}
}

void oracle_chosen_event(struct world *w, struct node *n, uint64_t slot)
{
	const struct image *durable = &w->oracle->witnesses[n->id].durable;

	if (slot < n->chosen)
		world_fail(w, "S7", "n%u: the chosen index falls from %u to %u", n->id, (unsigned) n->chosen,
				   (unsigned) slot);
	if (slot > w->oracle->chosen_through)
		world_fail(w, "S7", "n%u may apply through %u; chosen is %u", n->id, (unsigned) slot,
				   (unsigned) w->oracle->chosen_through);
	if (slot > durable->end)
		world_fail(w, "A5", "n%u may apply through %u; durable there is %u", n->id, (unsigned) slot,
				   (unsigned) durable->end);
	for (uint64_t s = n->chosen + 1; s <= slot; s++)
		if (slots_get(&durable->log, s) != slots_get(&w->oracle->chosen, s))
			world_fail(w, "A5", "n%u may apply slot %u, where it holds what is not chosen", n->id,
					   (unsigned) s);
}
