/*
 * bounds.c - L6: windows, rings and staged data stay bounded, judged by what goes in and out; the log, by its files.
 */
#include "oracle.h"

/* Segments that are not full, or that hold a slot of those that stay. */
#define SEGMENTS_MORE 3

static uint64_t bytes_of(const struct world *w, const struct slots *log, uint64_t after, uint64_t through)
{
	uint64_t bytes = 0;

	for (uint64_t slot = after + 1; slot <= through; slot++)
	{
		uint32_t id = slots_get(log, slot);

		bytes += id == 0 ? 0 : w->oracle->names[id - 1].length;
	}
	return bytes;
}

/*
 * A6: what is taken by Accepts, chosen, durable and unapplied here.  A node counts whole messages: of the last
 * one, in the middle of which the chosen index may lie, it counts nothing.
 */
static void check_append(struct world *w, const struct node *n, const struct paxos_write *write)
{
	const struct witness *witness = &w->oracle->witnesses[n->id];
	uint64_t after = n->database.table.applied;
	uint64_t through = n->chosen;
	if (write->ballot.node_id == n->node_id)
		return;
	if (after < witness->accepts_from)
		after = witness->accepts_from;
	if (bytes_of(w, &witness->taken.log, after, through) >
		w->config.unapplied_bytes_max + witness->largest_append)
		world_fail(w, "L6", "n%u takes slot %u by an Accept, and more than A6's limit is unapplied behind %u",
				   n->id, (unsigned) write->first_slot, (unsigned) after);
}

/*
 * Y1: within what is staged at one ballot each slot is written once; what is sent again is dropped before.  A log that was
 * put back in this life may be synced anew, up to another end.
 */
static void check_stage(struct world *w, const struct node *n, const struct paxos_write *write)
{
	const struct image *taken = &w->oracle->witnesses[n->id].taken;

	if (write->first_slot <= write->base)
		world_fail(w, "L6", "n%u stages slot %u, at or before the base %u", n->id,
				   (unsigned) write->first_slot, (unsigned) write->base);
	if (paxos_ballot_compare(taken->stage_ballot, write->ballot) == 0 && taken->stage_base == write->base &&
		write->first_slot <= taken->stage.end && !n->log_state.paxos.damage.damaged)
		world_fail(w, "L6", "n%u stages slot %u again", n->id, (unsigned) write->first_slot);
}

void bounds_write(struct world *w, const struct node *n, const struct paxos_write *write)
{
	struct witness *witness = &w->oracle->witnesses[n->id];
	uint64_t bytes = 0;

	if (write->type == PAXOS_WRITE_APPEND)
	{
		check_append(w, n, write);
		for (uint32_t i = 0; i < write->n_entries; i++)
			bytes += write->entries[i].length;
		if (bytes > witness->largest_append)
			witness->largest_append = bytes;
	}
	else if (write->type == PAXOS_WRITE_STAGE)
		check_stage(w, n, write);
}

void oracle_delivered(struct world *w, const struct node *n, const struct paxos_message *m)
{
	struct flow *flow = &w->oracle->flows[n->id][m->from];
	bool promise = m->type == PAXOS_PROMISE && paxos_ballot_compare(m->accepted, m->ballot) == 0;
	uint64_t through = promise ? m->end : m->slot;

	if ((m->type != PAXOS_ACCEPTED && m->type != PAXOS_GAP && !promise) || m->ballot.node_id != n->node_id)
		return;
	if (paxos_ballot_compare(flow->ballot, m->ballot) < 0)
		*flow = (struct flow){.ballot = m->ballot};
	if (paxos_ballot_compare(flow->ballot, m->ballot) == 0 && through > flow->acknowledged)
		flow->acknowledged = through;
}

/* A3: a further message leaves only while less than a window is under way. */
void bounds_message(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct flow *flow = &w->oracle->flows[n->id][m->to];

	if (m->type != PAXOS_ACCEPT || m->n_entries == 0 || m->slot <= flow->acknowledged ||
		paxos_ballot_compare(flow->ballot, m->ballot) != 0)
		return;
	if (bytes_of(w, &oracle_ballot(w, m->ballot)->log, flow->acknowledged, m->slot) >= w->config.window_bytes)
		world_fail(w, "L6", "n%u sends n%u slots behind %u; acknowledged is %u, and a window is full", n->id,
				   m->to, (unsigned) m->slot, (unsigned) flow->acknowledged);
}

/* Everything is applied, durably, and nothing is under way: what stays is what the retention keeps, and a constant. */
void bounds_log(struct world *w, const struct node *n)
{
	uint64_t largest = w->config.segment_bytes;
	uint64_t bytes = disk_bytes(&n->disk, "/segment.", &largest);

	if (w->config.trim_us == 0 || w->config.retain_slots)
		return;
	if (bytes > w->config.retention_bytes + SEGMENTS_MORE * largest)
		world_fail(w, "L6", "n%u keeps a log of %u bytes, the retention is %u", n->id, (unsigned) bytes,
				   (unsigned) w->config.retention_bytes);
}
