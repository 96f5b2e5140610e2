/*
 * adopted.c - S5, S6, S9: a new leader's log against what its quorum reported; and that what is chosen is
 * held where any quorum would find it.
 *
 * check_adopted() in oracle.c asks whether anything chosen is missing.  Here it is asked at once whether the
 * choice was right: a log that lost nothing by luck is wrong, too.
 */
#include "oracle.h"

static int compare_positions(struct paxos_ballot a, uint64_t a_slot, struct paxos_ballot b, uint64_t b_slot)
{
	int order = paxos_ballot_compare(a, b);

	return order != 0 ? order : (a_slot > b_slot) - (a_slot < b_slot);
}

static void add_report(struct ballot_record *record, const struct report *report)
{
	uint32_t of_node = 0;

	for (uint32_t i = 0; i < record->n_reports; i++)
	{
		const struct report *known = &record->reports[i];

		if (known->node_id != report->node_id)
			continue;
		if (++of_node == REPORTS)
			return;
		if (known->damaged == report->damaged && known->doubtful == report->doubtful &&
			compare_positions(known->accepted, known->end, report->accepted, report->end) == 0)
			return;
	}
	record->reports[record->n_reports++] = *report;
}

void adopted_report(struct world *w, const struct paxos_message *m)
{
	struct report report = {.node_id = m->from,
							.damaged = m->damage.damaged,
							.doubtful = m->damage.doubtful,
							.accepted = m->accepted,
							.end = m->end,
							.named_ballot = m->damage.damaged ? m->damage.named_ballot : m->accepted,
							.named_slot = m->damage.damaged ? m->damage.named_slot : m->end};

	add_report(oracle_ballot(w, m->ballot), &report);
}

/* D7: those whose report does not go beyond this one; each node once. */
static uint32_t count_covered(const struct world *w, const struct ballot_record *record,
							  const struct report *by)
{
	uint32_t covered = 0;

	for (uint32_t node = 1; node <= w->config.n_nodes; node++)
		for (uint32_t i = 0; i < record->n_reports; i++)
			if (record->reports[i].node_id == node &&
				compare_positions(record->reports[i].named_ballot, record->reports[i].named_slot,
								  by->accepted, by->end) <= 0)
			{
				covered++;
				break;
			}
	return covered;
}

/* D8: the best intact log of all voters, if all that is bad is doubtful. */
static bool best_of_all(const struct world *w, const struct ballot_record *record, const struct report *by)
{
	for (uint32_t node = 1; node <= w->config.n_nodes; node++)
	{
		bool fits = false;

		for (uint32_t i = 0; i < record->n_reports && !fits; i++)
			fits = record->reports[i].node_id == node &&
				   (!record->reports[i].damaged || record->reports[i].doubtful) &&
				   compare_positions(record->reports[i].accepted, record->reports[i].end, by->accepted,
									 by->end) <= 0;
		if (!fits)
			return false;
	}
	return true;
}

/* Whether the log installed is the one reported; below its base it is the leader's own. */
static bool is_log_of(struct world *w, const struct report *report, const struct image *own,
					  const struct pending *install)
{
	const struct ballot_record *record;

	if (report->end != install->end)
		return false;
	if (report->end == 0)
		return true;
	record = oracle_ballot(w, report->accepted);
	for (uint64_t slot = 1; slot <= install->end; slot++)
		if (slots_get(slot <= install->base ? &own->log : &own->stage, slot) !=
				slots_get(&record->log, slot) &&
			slot > own->before) /* what its table holds is chosen, whoever put it there */
			return false;
	return true;
}

void adopted_check(struct world *w, const struct node *n, const struct image *own,
				   const struct pending *install)
{
	struct ballot_record *record = oracle_ballot(w, install->ballot);
	struct report self = {.node_id = n->node_id,
						  .damaged = own->damaged,
						  .doubtful = own->doubtful,
						  .accepted = own->accepted,
						  .end = own->end,
						  .named_ballot = own->damaged ? own->damage.named_ballot : own->accepted,
						  .named_slot = own->damaged ? own->damage.named_slot : own->end};

	add_report(record, &self);
	for (uint32_t i = 0; i < record->n_reports; i++)
	{
		const struct report *report = &record->reports[i];

		if (!is_log_of(w, report, own, install))
			continue;
		if (!report->damaged && count_covered(w, record, report) >= world_quorum(w))
			return;
		if (best_of_all(w, record, report))
			return;
	}
	world_fail(w, "S6", "n%u adopts a log through %u at ballot %u.%u that is not the best of any quorum",
			   n->id, (unsigned) install->end, (unsigned) install->ballot.round, install->ballot.node_id);
}

void adopted_check_copies(struct world *w, const struct node *n, uint64_t from)
{
	if (w->oracle->witnesses[n->id].durable.damaged || n->id > w->config.n_nodes || world_lost(w, n->id))
		return;
	for (uint64_t slot = from; slot <= w->oracle->chosen_through; slot++)
	{
		uint32_t without = 0;

		if (oracle_holds(w, n->id, slot))
			continue;
		for (uint32_t i = 1; i <= w->config.n_nodes; i++)
			without += !world_lost(w, i) && !oracle_damaged(w, i) && !oracle_holds(w, i, slot);
		if (without >= world_quorum(w))
			world_fail(w, "S9", "n%u lacks chosen slot %u, and so does a whole quorum of intact logs", n->id,
					   (unsigned) slot);
	}
}
