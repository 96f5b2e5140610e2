/*
 * test_core_liar.c - what fuzzing found that one lying peer could make the core do (test/fuzz/fuzz_core.c).
 */
#include "lone_core.h"
#include "unit.h"

/* What is chosen rises while a liar's Promise, of a log that ends before it, is on its way. */
static void test_short_log(void)
{
	struct paxos_ballot own;
	struct paxos_status status;
	struct paxos_message m;

	follow_leader();
	own = stand();
	ok(own.node_id == 1, "the node prepares");
	m = message(PAXOS_CHOSEN, 2, 3);
	m.chosen = 1;
	ok(receive(&m), "the former leader says what is chosen");
	m = promise_of(3, own);
	m.accepted = (struct paxos_ballot){own.round - 1, 0, 3};
	receive(&m);
	paxos_status(core, &status);
	is_u64(status.chosen, 1, "slot 1 is chosen");
	is_u64(status.end, 1, "a log that ends before it is not adopted (S6)");
	is_u64(status.role, PAXOS_FOLLOWER, "and the candidate steps down");
}

int main(void)
{
	test_short_log();
	free_node();
	return done();
}
