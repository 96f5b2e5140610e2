/*
 * recovered.c - what a recovery may find: everything that was durable, and of what was written behind it
 * any beginning; or damage, where there is a reason for it.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

/*
 * D7: what is behind the first hole is there, too, but for what is said to be missing; that is taken from what was there
 * at the ballot, so that the whole can be judged.
 */
static void read_behind_holes(struct world *w, struct node *n, struct slots *found)
{
	const struct paxos_durable_state *state = &n->log_state.paxos;
	struct paxos_entry entry;
	struct plog_error error;

	for (uint64_t slot = state->end + 1; state->holes.n > 0 && slot <= state->holes.end; slot++)
	{
		enum plog_code code = plog_read(n->log, slot, &entry, &error);

		if ((code == PLOG_OK) != (holes_find(&state->holes, slot) == NULL))
			world_fail(w, "S15", "n%u recovers with holes, and slot %u: code %u", n->id, (unsigned) slot,
					   code);
		slots_set(found, slot,
				  code == PLOG_OK ? oracle_name(w->oracle, &entry)
								  : slots_get(&oracle_ballot(w, state->accepted)->log, slot));
		plog_release_reads(n->log);
	}
}

/* Reads the whole log as recovery left it; no crash strikes meanwhile. */
static void read_log(struct world *w, struct node *n, struct slots *found)
{
	uint64_t crash_in = n->disk.crash_in;
	uint64_t fail_in = n->disk.fail_in;
	struct paxos_entry entry;
	struct plog_error error;

	n->disk.crash_in = n->disk.fail_in = 0;
	/* What is before the log is in the table as it is chosen. */
	slots_copy(found, &w->oracle->chosen, n->log_state.paxos.first_slot - 1);
	for (uint64_t slot = n->log_state.paxos.first_slot; slot <= n->log_state.paxos.end; slot++)
	{
		if (plog_read(n->log, slot, &entry, &error) != PLOG_OK)
			world_fail(w, "S15", "n%u recovers with end %u and can't read slot %u: %s", n->id,
					   (unsigned) n->log_state.paxos.end, (unsigned) slot, error.message);
		slots_set(found, slot, oracle_name(w->oracle, &entry));
		plog_release_reads(n->log);
	}
	read_behind_holes(w, n, found);
	n->disk.crash_in = crash_in;
	n->disk.fail_in = fail_in;
}

static bool matches(const struct image *image, const struct paxos_durable_state *state,
					const struct slots *found)
{
	if (image->damaged || image->end != state->end ||
		paxos_ballot_compare(image->accepted, state->accepted) != 0)
		return false;
	for (uint64_t slot = 1; slot <= image->end; slot++)
		if (slots_get(&image->log, slot) != slots_get(found, slot))
			return false;
	return true;
}

/* Whether the log is the durable one with some beginning of what was written behind it. */
static bool is_possible(struct world *w, const struct witness *witness,
						const struct paxos_durable_state *state, const struct slots *found)
{
	struct image image;
	bool possible;

	memset(&image, 0, sizeof(image));
	image_copy(&image, &witness->durable);
	possible = matches(&image, state, found);
	for (uint32_t i = 0; i < witness->n_pending && !possible; i++)
	{
		const struct pending *write = &witness->pending[i];

		if (write->synced)
			continue;
		if (write->type == PAXOS_WRITE_APPEND)
			for (uint32_t take = 1; take < write->n && !possible; take++)
			{
				struct image partly;

				memset(&partly, 0, sizeof(partly));
				image_copy(&partly, &image);
				image_apply(&partly, write, take);
				possible = matches(&partly, state, found);
				image_free(&partly);
			}
		image_apply(&image, write, write->n);
		possible = possible || matches(&image, state, found);
	}
	/* T5: the record that the log begins behind the table was written last. */
	if (!possible && witness->restores > 0)
	{
		image_restore(w, &image, witness->restores);
		possible = matches(&image, state, found);
	}
	image_free(&image);
	return possible;
}

/* The promise is at least the durable one, and nothing that was never written. */
static void check_promise(struct world *w, const struct node *n)
{
	const struct witness *witness = &w->oracle->witnesses[n->id];
	struct paxos_ballot promise = n->log_state.paxos.promise;

	if (paxos_ballot_compare(promise, witness->durable.promise) < 0)
		world_fail(w, "S4", "n%u recovers with promise %u.%u; %u.%u was durable", n->id,
				   (unsigned) promise.round, promise.node_id, (unsigned) witness->durable.promise.round,
				   witness->durable.promise.node_id);
	if (paxos_ballot_compare(promise, n->log_state.paxos.accepted) < 0)
		world_fail(w, "B4", "n%u recovers with a promise below a ballot in its log", n->id);
	if (paxos_ballot_compare(promise, witness->taken.promise) > 0)
		world_fail(w, "S4", "n%u recovers with promise %u.%u, which it never gave", n->id,
				   (unsigned) promise.round, promise.node_id);
}

static void check_damage(struct world *w, const struct node *n, const struct slots *found)
{
	const struct image *durable = &w->oracle->witnesses[n->id].durable;
	const struct paxos_durable_state *state = &n->log_state.paxos;
	const struct paxos_damage *damage = &state->damage;
	int order = paxos_ballot_compare(damage->named_ballot, durable->accepted);
	struct ballot_record *record;

	if (!damage->doubtful && (w->rotten & (1u << n->id)) == 0 && !durable->damaged)
		world_fail(w, "D6", "n%u recovers damaged beyond doubt, and nothing rotted there", n->id);
	if (!durable->damaged && (order < 0 || (order == 0 && damage->named_slot < durable->end)))
		world_fail(w, "D7", "n%u names ballot %u.%u slot %u in its damage; %u.%u through %u was durable",
				   n->id, (unsigned) damage->named_ballot.round, damage->named_ballot.node_id,
				   (unsigned) damage->named_slot, (unsigned) durable->accepted.round,
				   durable->accepted.node_id, (unsigned) durable->end);
	if (state->end == 0)
		return;
	record = oracle_ballot(w, state->accepted);
	for (uint64_t slot = state->first_slot; slot <= state->end; slot++)
		if (slots_get(&record->log, slot) != slots_get(found, slot))
			world_fail(w, "S15", "n%u calls slot %u intact, and it never held that there at that ballot",
					   n->id, (unsigned) slot);
}

/* D7: with what is missing put back it would be what was durable, with some beginning of what was written behind. */
static void check_holes(struct world *w, const struct node *n, const struct slots *found)
{
	const struct witness *witness = &w->oracle->witnesses[n->id];
	struct paxos_durable_state whole = n->log_state.paxos;

	if (whole.holes.n == 0)
		return;
	whole.end = whole.holes.end;
	if (witness->durable.damaged ? witness->durable.holes.n == 0 || witness->durable.holes.end != whole.end ||
									   paxos_ballot_compare(witness->durable.accepted, whole.accepted) != 0
								 : !is_possible(w, witness, &whole, found))
		world_fail(w, "D7", "n%u says that %u.%u through %u is all but what it misses, and that is not so",
				   n->id, (unsigned) whole.accepted.round, whole.accepted.node_id, (unsigned) whole.end);
}

static void adopt(struct world *w, struct node *n, struct slots *found)
{
	struct witness *witness = &w->oracle->witnesses[n->id];
	const struct paxos_durable_state *state = &n->log_state.paxos;

	for (uint32_t i = 0; i < witness->n_pending; i++)
		free(witness->pending[i].ids);
	witness->n_pending = 0;
	witness->durable.promise = state->promise;
	witness->durable.accepted = state->accepted;
	witness->durable.before = state->first_slot - 1;
	witness->durable.end = state->end;
	witness->durable.damaged = state->damage.damaged;
	witness->durable.doubtful = state->damage.doubtful;
	witness->durable.damage = state->damage;
	witness->durable.holes = state->holes;
	witness->durable.repaired_by = 0;
	witness->accepts_from = state->end;
	witness->restores = 0;
	witness->durable.stage_ballot = (struct paxos_ballot){0, 0, 0};
	witness->durable.stage_base = 0;
	witness->durable.stage.end = 0;
	slots_copy(&witness->durable.log, found, state->holes.n > 0 ? state->holes.end : state->end);
	image_copy(&witness->taken, &witness->durable);
	witness->told = image_told(&witness->durable, 0);
	witness->n_untold = 0;
	if (!state->damage.damaged)
		w->rotten &= ~(1u << n->id);
	oracle_count(w, n);
	adopted_check_copies(w, n, 1);
}

static void recovered(struct world *w, struct node *n, bool was_damaged)
{
	struct witness *witness = &w->oracle->witnesses[n->id];
	const struct paxos_durable_state *state = &n->log_state.paxos;
	struct slots found = {NULL, 0, 0};

	/* A crash in the middle of forgiving may leave it done. */
	was_damaged |= w->config.n_nodes == 1 && witness->durable.damaged;
	TRACE(&w->trace, "n%u recovers: promise %b, accepted %b through %u, damaged %u doubtful %u, cut %u bytes",
		  n->id, TRACE_BALLOT(state->promise), TRACE_BALLOT(state->accepted), state->end,
		  state->damage.damaged, state->damage.doubtful, n->log_state.tail_bytes_cut);
	read_log(w, n, &found);
	check_promise(w, n);
	oracle_check_first_slot(w, n);
	w->n_damaged += state->damage.damaged;
	w->n_doubtful += state->damage.damaged && state->damage.doubtful;
	check_holes(w, n, &found);
	if (state->damage.damaged)
		check_damage(w, n, &found);
	else if (was_damaged && state->end < w->oracle->chosen_through)
		world_fail(w, "D6", "n%u forgives doubt and loses slot %u", n->id, (unsigned) state->end + 1);
	else if (!was_damaged && !is_possible(w, witness, state, &found))
		world_fail(w, witness->durable.damaged ? "D7" : "log",
				   "n%u recovers whole, %u.%u through %u; durable was %u.%u through %u, %u writes pending",
				   n->id, (unsigned) state->accepted.round, state->accepted.node_id, (unsigned) state->end,
				   (unsigned) witness->durable.accepted.round, witness->durable.accepted.node_id,
				   (unsigned) witness->durable.end, witness->n_pending);
	adopt(w, n, &found);
	free(found.ids);
}

void oracle_recovered(struct world *w, struct node *n)
{
	recovered(w, n, false);
}

void oracle_forgiven(struct world *w, struct node *n)
{
	recovered(w, n, true);
}
