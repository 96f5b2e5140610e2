/*
 * test_core.c - the core message by message: what one node answers, what it refuses, and what waits for its
 * disk.  The stories of several nodes are in test/scenario.
 */
#include "lone_core.h"
#include "unit.h"

static void test_promise_waits(void)
{
	struct paxos_message m = message(PAXOS_PREPARE, 2, 3);

	make_node(&fresh);
	ok(receive(&m), "a Prepare is taken");
	is_u64(disk.last.type, PAXOS_WRITE_PROMISE, "the promise is handed to the log");
	ok(!next(PAXOS_PROMISE, &m), "no Promise before it is durable (S4)");
	sync_disk();
	ok(next(PAXOS_PROMISE, &m) && m.ballot.round == 3 && m.end == 0, "then it leaves");
	m = message(PAXOS_PREPARE, 3, 2);
	receive(&m);
	ok(next(PAXOS_REFUSE, &m) && m.followed.round == 3,
	   "a lower Prepare is refused with the promise (B0, B5)");
	m = message(PAXOS_PREPARE, 2, 3);
	receive(&m);
	is_u64(disk.n_writes, 1, "a repeated Prepare writes nothing");
	ok(next(PAXOS_PROMISE, &m), "and is answered again (P2)");
}

static void test_accepts(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m;

	follow_leader();
	is_u64(disk.end, 1, "a Sync installs its entries");
	m = message(PAXOS_ACCEPT, 2, 3);
	m.slot = 1;
	m.n_entries = 1;
	m.entries = &e;
	ok(receive(&m), "an Accept behind the log's end is taken");
	ok(!next(PAXOS_ACCEPTED, &m), "no Accepted before it is durable");
	sync_disk();
	ok(next(PAXOS_ACCEPTED, &m) && m.slot == 2, "then it names the log's end (A3)");

	m = message(PAXOS_ACCEPT, 2, 3);
	m.slot = 5;
	receive(&m);
	ok(next(PAXOS_GAP, &m) && m.slot == 2, "a gap is answered with the log's end (A2)");

	m = message(PAXOS_ACCEPT, 2, 3);
	m.slot = 1;
	m.n_entries = 1;
	m.entries = &e;
	ok(receive(&m) && disk.end == 2, "an equal overlap changes nothing");
	disk.bytes[disk.n_bytes - 1][40] ^= 1;
	ok(!receive(&m), "another value at the same ballot and slot is refused (A2)");
}

static void test_accept_needs_sync(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m = message(PAXOS_ACCEPT, 2, 3);

	make_node(&fresh);
	m.n_entries = 1;
	m.entries = &e;
	receive(&m);
	is_u64(disk.end, 0, "an Accept without a Sync is not taken (A1)");
	sync_disk();
	ok(next(PAXOS_PROMISE, &m), "it is answered with a Promise, which asks for one (Y2)");

	follow_leader();
	m = message(PAXOS_SYNC, 2, 3);
	m.n_entries = 0;
	receive(&m);
	sync_disk();
	is_u64(disk.end, 1, "a late copy of a Sync cuts nothing off (Y3)");
	ok(next(PAXOS_ACCEPTED, &m) && m.slot == 1, "and is answered with Accepted");
}

static void test_lower_accepted_is_withheld(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m;

	follow_leader();
	m = message(PAXOS_ACCEPT, 2, 3);
	m.slot = 1;
	m.n_entries = 1;
	m.entries = &e;
	receive(&m);
	m = message(PAXOS_PREPARE, 3, 4);
	receive(&m);
	ok(!next(PAXOS_PROMISE, &m), "a Promise waits for the entries taken before it (B3)");
	m = message(PAXOS_PREPARE, 3, 4);
	receive(&m);
	sync_disk();
	ok(next(PAXOS_PROMISE, &m) && m.end == 2,
	   "and reports them, though they were not synced when it was asked");
	ok(!next(PAXOS_ACCEPTED, &m), "no Accepted of the lower ballot leaves any more (B3)");
}

static void test_strangers(void)
{
	struct paxos_message m = message(PAXOS_PREPARE, 9, 3);
	struct paxos_entry short_entry = {(const uint8_t *) "x", 1};

	make_node(&fresh);
	ok(!receive(&m), "a message of no member is refused");
	m = message(PAXOS_PREPARE, 1, 3);
	ok(!receive(&m), "one that claims to be our own, too");
	m = message(PAXOS_PREPARE, 2, 3);
	m.ballot.node_id = 3;
	ok(!receive(&m), "a Prepare with somebody else's ballot");
	m = message(PAXOS_ACCEPT, 2, 3);
	m.n_entries = 1;
	m.entries = &short_entry;
	ok(!receive(&m), "an entry shorter than its header");
	m = message(PAXOS_PREPARE, 2, 3);
	m.epoch = 2;
	receive(&m);
	is_u64(disk.n_writes, 0, "another epoch's Prepare promises nothing (C1)");
	m = message(PAXOS_PREPARE, 2, 3);
	m.run = 7;
	receive(&m);
	m = message(PAXOS_PREPARE, 2, 8);
	m.run = 6;
	receive(&m);
	is_u64(disk.n_writes, 1, "an earlier run of a node is not heard (X1)");
	m = message(99, 2, 3);
	m.run = 7;
	ok(!receive(&m), "an unknown type is refused");
}

static void test_two_runs_fence(void)
{
	struct paxos_message m = message(PAXOS_HEARTBEAT, 2, 0);
	uint64_t round;

	make_node(&fresh);
	m.run = 7;
	receive(&m);
	paxos_tick(core, 1400);
	drain();
	while (paxos_next_message(core, &m) && !(m.type == PAXOS_HEARTBEAT && m.to == 2))
		;
	round = m.sequence;
	m = message(PAXOS_HEARTBEAT_REPLY, 2, 0);
	m.run = 6;
	m.sequence = round;
	receive(&m);
	ok(next(PAXOS_FENCE, &m) && m.named_run == 6, "a lower run that answers a later question is fenced (X1)");
	ok(next(PAXOS_FENCE, &m) && m.named_run == 7, "and so is the higher");
	m = message(PAXOS_HEARTBEAT, 2, 0);
	m.run = 7;
	receive(&m);
	ok(next(PAXOS_FENCE, &m) && m.named_run == 7,
	   "again once it is heard: the connection may be the lower's");
	m = message(PAXOS_FENCE, 2, 0);
	m.run = 7;
	m.named_run = 5;
	receive(&m);
	ok(!paxos_next_message(core, &m), "a fenced node sends nothing more");
}

static void test_damaged(void)
{
	struct paxos_durable_state state = {
		.promise = {3, 0, 2},
		.accepted = {3, 0, 2},
		.first_slot = 1,
		.end = 0,
		.damage = {.damaged = true, .named_ballot = {3, 0, 2}, .named_slot = 4, .lowest_written = 1}};
	struct paxos_entry e = noop();
	struct paxos_message m = message(PAXOS_ACCEPT, 2, 3);

	make_node(&state);
	receive(&m);
	sync_disk();
	ok(next(PAXOS_PROMISE, &m) && m.damage.damaged && m.named_run == 5, "a damaged node says so (D7)");
	m = message(PAXOS_SYNC, 2, 3);
	m.end = 1;
	m.n_entries = 1;
	m.entries = &e;
	m.named_run = 4;
	receive(&m);
	sync_disk();
	is_u64(disk.end, 0, "a Sync that names an earlier run does not heal it");
	ok(!next(PAXOS_ACCEPTED, &m), "and it sends no Accepted");
	m = message(PAXOS_SYNC, 2, 3);
	m.end = 1;
	m.n_entries = 1;
	m.entries = &e;
	m.named_run = 5;
	receive(&m);
	sync_disk();
	sync_disk();
	ok(next(PAXOS_ACCEPTED, &m) && m.slot == 1, "one that names this run does");
	m = message(PAXOS_PULL, 2, 3);
	m.accepted = (struct paxos_ballot){3, 0, 2};
	make_node(&state);
	receive(&m);
	ok(!next(PAXOS_CHUNK, &m), "a damaged acceptor serves no chunks (P1)");
}

static void test_not_accepting(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m;

	follow_leader();
	paxos_set_accepting(core, false);
	m = message(PAXOS_ACCEPT, 2, 3);
	m.slot = 1;
	m.n_entries = 1;
	m.entries = &e;
	receive(&m);
	is_u64(disk.end, 1, "a full disk takes no Accept (E2)");
	m = message(PAXOS_PREPARE, 3, 4);
	receive(&m);
	sync_disk();
	ok(next(PAXOS_PROMISE, &m), "but still promises (A6)");
}

int main(void)
{
	test_promise_waits();
	test_accepts();
	test_accept_needs_sync();
	test_lower_accepted_is_withheld();
	test_strangers();
	test_two_runs_fence();
	test_damaged();
	test_not_accepting();
	free_node();
	return done();
}
