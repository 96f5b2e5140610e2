/*
 * oracle_table.c - S9, S10: logs that begin behind slot 1, and tables that hold what was before.
 *
 * What a log dropped counts as held only while the node's database holds it durably.
 */
#include "oracle.h"

uint64_t oracle_first_slot(const struct world *w, uint32_t node)
{
	return w->oracle->witnesses[node].durable.before + 1;
}

/* What the schedule took from the database is not the fault of who trimmed. */
static uint64_t table_through(const struct node *n)
{
	const struct database *db = &n->database;

	return db->flushed.applied > db->lost_through ? db->flushed.applied : db->lost_through;
}

bool oracle_holds(const struct world *w, uint32_t node, uint64_t slot)
{
	const struct image *image = &w->oracle->witnesses[node].durable;

	if (slot <= image->before)
		return slot <= table_through(&w->nodes[node]);
	return slot <= image->end && slots_get(&image->log, slot) == slots_get(&w->oracle->chosen, slot);
}

/* ---------------------------------------------------------------- S9: trimming */

void oracle_trims(struct world *w, struct node *n, uint64_t first_slot)
{
	struct witness *witness = &w->oracle->witnesses[n->id];

	if (first_slot > n->database.flushed.applied + 1)
		world_fail(w, "S9", "n%u trims its log up to slot %u; its table is durable through %u", n->id,
				   (unsigned) first_slot, (unsigned) n->database.flushed.applied);
	if (first_slot > witness->trims)
		witness->trims = first_slot;
	if (first_slot > witness->restores)
		witness->restores = first_slot - 1;
}

void oracle_trimmed(struct world *w, struct node *n, uint64_t first_slot)
{
	struct witness *witness = &w->oracle->witnesses[n->id];
	uint64_t from = witness->durable.before + 1;

	oracle_restored_to(w, n, first_slot - 1);
	adopted_check_copies(w, n, from);
}

/* From the disk alone: nothing is gone that the table does not hold. */
void oracle_check_first_slot(struct world *w, const struct node *n)
{
	const struct paxos_durable_state *state = &n->log_state.paxos;

	if (state->damage.damaged)
		return;
	if (state->first_slot > 1 && state->first_slot > w->oracle->witnesses[n->id].trims &&
		state->first_slot - 1 != w->oracle->witnesses[n->id].durable.before)
		world_fail(w, "S9", "n%u recovers a log that begins at %u; it was never trimmed that far", n->id,
				   (unsigned) state->first_slot);
	if (state->first_slot - 1 > table_through(n))
		world_fail(w, "S9", "n%u recovers a log that begins at %u, and a table of slot %u", n->id,
				   (unsigned) state->first_slot, (unsigned) n->database.flushed.applied);
}

/* ---------------------------------------------------------------- S10: a table of another node */

/* Verified, whole, newer than what it replaces; as old, where that is known to be wrong. */
void oracle_installs(struct world *w, const struct node *n, const struct table *table)
{
	if (table->applied < n->database.table.applied + !n->database.diverged)
		world_fail(w, "S10", "n%u installs a table of slot %u over one of %u", n->id,
				   (unsigned) table->applied, (unsigned) n->database.table.applied);
	model_check_table(w, n, table);
}

void image_restore(struct world *w, struct image *image, uint64_t slot)
{
	for (uint64_t i = 1; i <= slot; i++)
		slots_set(&image->log, i, slots_get(&w->oracle->chosen, i));
	if (image->before < slot)
		image->before = slot;
	if (image->end < slot)
		image->end = slot;
	if (image->damaged && image->damage.lowest_written <= slot)
		image->damage.lowest_written = slot + 1;
	if (!image->damaged || image->holes.n == 0)
		return;
	holes_trim(&image->holes, slot + 1);
	if (image->holes.n > 0)
		return;
	image->damaged = false;
	if (image->end < image->holes.end)
		image->end = image->holes.end;
}

void oracle_restored_to(struct world *w, struct node *n, uint64_t slot)
{
	struct witness *witness = &w->oracle->witnesses[n->id];

	image_restore(w, &witness->durable, slot);
	image_restore(w, &witness->taken, slot);
	if (witness->told.end < slot)
		witness->told.end = slot;
	for (uint32_t i = 0; i < witness->n_untold; i++)
		if (witness->untold[i].end < slot)
			witness->untold[i].end = slot;
	/* D7: what was missing lies before it, and nothing that was put back is still to be heard of, as other writes may be. */
	if (witness->told.damaged && !witness->taken.damaged && witness->taken.repaired_by <= witness->told.id)
	{
		witness->told = image_told(&witness->durable, witness->told.id);
		for (uint32_t i = 0; i < witness->n_untold; i++)
			witness->untold[i] = image_told(&witness->durable, witness->untold[i].id);
	}
	witness->restores = 0;
	oracle_count(w, n);
}

void oracle_check_restored(struct world *w, const struct node *n, const struct paxos_status *before,
						   uint64_t slot)
{
	struct paxos_status after;
	uint64_t end = before->end > slot ? before->end : slot;

	if (n->fenced)
		return;
	paxos_status(n->core, &after);
	if (paxos_ballot_compare(after.promise, before->promise) < 0)
		world_fail(w, "S10", "n%u installs a table, and its promise falls", n->id);
	if (paxos_ballot_compare(after.accepted, before->accepted) != 0 ||
		(after.end != end && !(before->damage.damaged && !after.damage.damaged)))
		world_fail(w, "S10", "n%u installs a table of slot %u, and its log through %u becomes one through %u",
				   n->id, (unsigned) slot, (unsigned) before->end, (unsigned) after.end);
	if (after.chosen < before->chosen || after.chosen < slot || after.applied != slot)
		world_fail(w, "S10", "n%u installs a table of slot %u: chosen %u, applied %u", n->id, (unsigned) slot,
				   (unsigned) after.chosen, (unsigned) after.applied);
}
