/*
 * scenario_formation.c - words that reach a member while its cluster forms, and that it must not take: another
 * proposal after it acknowledged one, and an acknowledgement under a store that the proposal does not name.
 *
 * Honest nodes hardly ever say them: the proposer must have lost its store within a few milliseconds.
 */
#include "scenario.h"

#include <stdio.h>

#define VARIATIONS 20

static struct world *start(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(3, start);
	struct sim_overrides overrides = {
		.config = &config, .scenario = play->scenario->name, .scenario_case = play->next_case};

	return world_new(start, play->trace, &overrides);
}

static bool has_acknowledged(struct world *w, uint64_t node)
{
	const struct formation *f = &w->nodes[node].formation;

	return w->nodes[node].state == NODE_FORMING && f->have_proposal && !formation_dirty(f);
}

static struct formation_message word_of(const struct world *w, enum formation_message_type type,
										uint32_t from)
{
	return (struct formation_message){
		.type = type, .from = from, .to = 2, .store_id = w->nodes[from].log_state.store_id, .n_acks = 1};
}

/* From a store that took the place of the proposer's, and is gone, too. */
static struct formation_message second_proposal(const struct world *w)
{
	struct formation_message m = word_of(w, FORMATION_PROPOSAL, 1);

	m.proposal = w->nodes[1].formation.proposal;
	m.proposal.cluster_id.bytes[0] ^= 1;
	m.store_id.bytes[0] ^= 1;
	m.proposal.members[0].store_id = m.store_id;
	m.acks[0] = (struct formation_ack){1, m.store_id, config_hash(&m.proposal)};
	return m;
}

static struct formation_message another_store(const struct world *w)
{
	struct formation_message m = word_of(w, FORMATION_ACK, 3);

	m.store_id.bytes[0] ^= 1;
	m.acks[0] = (struct formation_ack){3, m.store_id, w->nodes[2].formation.proposal_hash};
	return m;
}

static uint64_t count(struct world *w)
{
	return 2;
}

/* n3 sleeps, and hears of nothing yet. */
static void play(struct world *w, uint64_t which, struct measured *m)
{
	struct formation_message word;
	struct packet packet = {.to = 2, .formation = true, .formation_message = &word};

	expect(w, until(w, has_acknowledged, 1, 60), "F2", "n1 proposes nothing");
	w->nodes[3].frozen_until = w->now + timeouts(w, 8);
	expect(w, until(w, has_acknowledged, 2, 4), "F3", "n2 acknowledges nothing");
	word = which == 0 ? second_proposal(w) : another_store(w);
	packet.from = word.from;
	TRACE(&w->trace, "---- n2 hears what it must not take");
	node_receive(w, &w->nodes[2], &packet);
	pass(w, 2);
	expect(w, !w->formed, "F3", "the cluster formed without n3");
	expect(w, until(w, at_rest, 0, 60), "L1", "the cluster does not form");
	expect_recovery(w);
}

static void report(const struct measured *all, uint64_t n)
{
	printf("  all formed afterwards\n");
}

const struct scenario scenario_formation = {
	.name = "formation",
	.shows = "3 nodes form; one hears a second proposal, or an acknowledgement under another store",
	.n_starts = VARIATIONS,
	.start = start,
	.count = count,
	.play = play,
	.report = report,
};
