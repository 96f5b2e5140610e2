/*
 * test_core_lost.c - a damaged node that knows more to be chosen than a log it is to adopt holds: by its table, which
 * had applied it.  Whoever offers such a log lies, or has lost its own; or what was chosen is lost everywhere (D7, D8).
 */
#include "lone_core.h"
#include "unit.h"

#define APPLIED 3

/* An empty intact prefix; whether the bad records behind it were ever synced is in doubt. */
static const struct paxos_durable_state damaged = {
	.promise = {3, 0, 2},
	.accepted = {3, 0, 2},
	.first_slot = 1,
	.applied = APPLIED,
	.damage = {
		.damaged = true, .doubtful = true, .named_ballot = {3, 0, 2}, .named_slot = 4, .lowest_written = 1}};

/* All are damaged, say the others' heartbeats, so that a damaged node may take over (E2). */
static struct paxos_ballot stand_damaged(void)
{
	struct paxos_message question;

	for (int rounds = 0; rounds < 4 && status().role == PAXOS_FOLLOWER; rounds++)
	{
		while (next(PAXOS_HEARTBEAT, &question))
		{
			struct paxos_message m = message(PAXOS_HEARTBEAT_REPLY, question.to, 0);

			m.ballot = (struct paxos_ballot){0, 0, 0};
			m.sequence = question.sequence;
			m.accepting = true;
			m.damage = damaged.damage;
			receive(&m);
		}
		tick(now_ms() + 300);
	}
	sync_all();
	return status().ballot;
}

/* A doubtful log's Promise: its intact prefix is empty. */
static struct paxos_message doubtful_promise(uint32_t from, struct paxos_ballot ballot)
{
	struct paxos_message m = promise_of(from, ballot);

	m.damage = damaged.damage;
	return m;
}

static void test_short_log_of_a_quorum(void)
{
	struct paxos_ballot own;
	struct paxos_message m;
	struct paxos_event event;

	make_node(&damaged);
	own = stand_damaged();
	is_u64(status().role, PAXOS_CANDIDATE, "a damaged node stands, since all are damaged");
	m = promise_of(2, own);
	receive(&m);
	m = promise_of(3, own);
	receive(&m);
	is_u64(status().role, PAXOS_FOLLOWER,
		   "a quorum's log that ends before what is applied is not adopted (S6)");
	is_u64(status().damage.damaged, true, "and heals nothing");
	ok(!next_event(PAXOS_EVENT_UNRECOVERABLE, &event), "nor is the cluster's log given up");
}

/* D8, with all voters' logs in doubt, of which one knows that so much is chosen. */
static void stand_in_doubt(const struct paxos_durable_state *state, uint64_t known)
{
	struct paxos_ballot own;
	struct paxos_message m;

	make_node(state);
	own = stand_damaged();
	m = doubtful_promise(2, own);
	receive(&m);
	m = doubtful_promise(3, own);
	m.chosen = known;
	receive(&m);
}

static void test_lost_everywhere(void)
{
	struct paxos_durable_state unapplied = damaged;
	struct paxos_event event;

	unapplied.applied = 0;
	stand_in_doubt(&unapplied, 0);
	is_u64(status().role, PAXOS_LEADER,
		   "where all that is bad is in doubt, the best intact log is adopted (D8)");
	ok(!next_event(PAXOS_EVENT_UNRECOVERABLE, &event), "and the log is recovered");
	stand_in_doubt(&damaged, 0);
	is_u64(status().role, PAXOS_FOLLOWER, "not by a node that has applied what no intact log holds");
	ok(next_event(PAXOS_EVENT_UNRECOVERABLE, &event) && event.slot == 1, "it says which slot is lost");
	stand_in_doubt(&unapplied, 1);
	is_u64(status().role, PAXOS_FOLLOWER, "nor where another voter knows it to be chosen");
	ok(next_event(PAXOS_EVENT_UNRECOVERABLE, &event) && event.slot == 1, "it says which slot is lost, too");
}

static void test_short_sync(void)
{
	struct paxos_entry entries[APPLIED] = {noop(), noop(), noop()};
	struct paxos_message m = message(PAXOS_SYNC, 2, 3);

	make_node(&damaged);
	m.named_run = LONE_RUN;
	m.entries = entries;
	m.end = m.n_entries = APPLIED - 1;
	ok(!receive(&m), "a Sync of a log that ends before what is applied is refused");
	m.end = m.n_entries = APPLIED;
	ok(receive(&m), "one that reaches it");
	sync_all();
	is_u64(status().damage.damaged, false, "heals");
}

int main(void)
{
	test_short_log_of_a_quorum();
	test_lost_everywhere();
	test_short_sync();
	free_node();
	return done();
}
