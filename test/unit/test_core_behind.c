/*
 * test_core_behind.c - logs that begin behind slot 1 (P1, T2, T5): a leader that lacks what a follower needs, a
 * candidate that needs a table first, a table restored, a log trimmed.
 */
#include "lone_core.h"
#include "unit.h"

/* A log that was trimmed; the table has applied some of what it holds. */
static const struct paxos_durable_state trimmed = {
	.promise = {3, 0, 2}, .accepted = {3, 0, 2}, .first_slot = 101, .end = 110, .applied = 105};

static struct paxos_message trimmed_of(uint64_t first_slot)
{
	struct paxos_message m = message(PAXOS_TRIMMED, 2, 3);

	m.first_slot = first_slot;
	m.chosen = first_slot + 10;
	return m;
}

static void restore(uint64_t slot, uint64_t session, uint64_t last_number)
{
	struct paxos_restored restored = {slot, session, last_number};

	if (disk.end < slot)
		disk.end = slot;
	paxos_restored(core, &restored);
	drain();
}

/* ---------------------------------------------------------------- a follower */

static void test_follower_is_told(void)
{
	struct paxos_message m = trimmed_of(101);
	struct paxos_event event;

	follow_leader();
	ok(receive(&m), "a leader says that its log begins at slot 101");
	ok(next_event(PAXOS_EVENT_BEHIND, &event) && event.slot == 100, "a table as of slot 100 is needed");
	is_u64(status().behind, 100, "the status says so, too");
	ok(next_to(PAXOS_PROMISE, 2, &m) && m.end == 1,
	   "the leader gets a Promise, by which it sees progress (E6)");
	m = trimmed_of(101);
	receive(&m);
	ok(!next_event(PAXOS_EVENT_BEHIND, &event), "told again, the host is not");
	m = trimmed_of(121);
	receive(&m);
	ok(next_event(PAXOS_EVENT_BEHIND, &event) && event.slot == 120, "but when more is trimmed");
	m = trimmed_of(200);
	m.chosen = 198;
	ok(!receive(&m), "a log trimmed behind what is chosen is a lie (T2)");
	m = trimmed_of(0);
	ok(!receive(&m), "so is one that begins at slot 0");
	m = trimmed_of(101);
	m.ballot.round = 2;
	ok(receive(&m) && next_to(PAXOS_REFUSE, 2, &m), "one of a lower ballot is refused (B0)");
}

static void test_restored(void)
{
	struct paxos_message m = trimmed_of(101);
	struct paxos_entry e = noop();
	struct paxos_event event;
	struct paxos_status s;

	follow_leader();
	receive(&m);
	restore(100, 0, 0);
	s = status();
	is_u64(s.behind, 0, "with the table nothing is needed any more");
	ok(s.first_slot == 101 && s.end == 100 && s.durable_end == 100, "the log is empty and begins behind it");
	ok(s.chosen == 100 && s.applied == 100, "all before is chosen and applied");
	ok(s.accepted.round == 3 && s.promise.round == 3, "accepted ballot and promise stay (T5)");
	ok(next_event(PAXOS_EVENT_CHOSEN, &event) && event.slot == 100, "and the host hears that it is chosen");
	ok(next_to(PAXOS_ACCEPTED, 2, &m) && m.slot == 100, "the leader hears how far it has come");
	m = accept_of(100, &e, 1);
	ok(receive(&m) && disk.last.type == PAXOS_WRITE_APPEND && disk.last.first_slot == 101,
	   "and goes on at the next slot, none left out");
	restore(100, 0, 0);
	is_u64(status().end, 101, "the same once more changes nothing");
}

/* paxos_resync(): what was wrong before that slot is another's table now. */
static void test_same_slot_restored(void)
{
	make_node(&trimmed);
	restore(trimmed.applied, 0, 0);
	is_u64(status().first_slot, trimmed.applied + 1,
		   "a table of the slot that is applied already counts, too");
	is_u64(status().end, trimmed.end, "what was accepted behind it stays");
}

/* Sent before the follower was given a table, and late. */
static void test_late_copy_of_a_sync(void)
{
	struct paxos_message m = message(PAXOS_SYNC, 2, 4);

	follow_leader();
	restore(100, 0, 0);
	m.end = 1;
	receive(&m);
	sync_all();
	drop_messages();
	ok(receive(&m), "a late Sync that ends before the table's slot is no lie");
	is_u64(status().end, 100, "it cuts nothing off");
	ok(next_to(PAXOS_PROMISE, 2, &m) && m.end == 100, "the leader hears where this log ends");
}

static void test_later_entries_stay(void)
{
	struct paxos_entry entries[3] = {noop(), noop(), noop()};
	struct paxos_message m = accept_of(1, entries, 3);

	follow_leader();
	receive(&m);
	restore(2, 0, 0);
	ok(status().first_slot == 3 && status().end == 4, "what was accepted behind the slot stays (T5)");
	sync_all();
	is_u64(status().durable_end, 4, "and becomes durable as before");
}

/* A write that was under way while the table came may not bring the durable end down again. */
static void test_late_sync(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m = accept_of(1, &e, 1);

	follow_leader();
	receive(&m);
	restore(100, 0, 0);
	sync_all();
	is_u64(status().durable_end, 100, "a write of before ends behind the table's slot, too");
}

static void test_unfounded_staging(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m = message(PAXOS_SYNC, 2, 4);

	follow_leader();
	m = message(PAXOS_PREPARE, 2, 4);
	receive(&m);
	sync_all();
	m = message(PAXOS_SYNC, 2, 4);
	m.end = 120;
	m.n_entries = 1;
	m.entries = &e;
	ok(receive(&m) && disk.last.type == PAXOS_WRITE_STAGE, "a Sync from slot 1 is under way");
	restore(100, 0, 0);
	sync_all();
	drop_messages();
	m.slot = 1;
	receive(&m);
	ok(next_to(PAXOS_PROMISE, 2, &m) && m.first_slot == 101 && m.end == 100 && m.chosen == 100,
	   "behind a table it can't go on: the leader is told from where");
}

/* The table came from the other side of a partition, where a later leader is that this one has not heard of. */
static void test_accepted_behind_the_end(void)
{
	struct paxos_ballot own;
	struct paxos_message m;

	make_node(&fresh);
	own = lead();
	m = from_follower(PAXOS_ACCEPTED, 3, own, disk.end + 50);
	ok(receive(&m), "who was given a table from behind the leader's log is no liar (T5)");
	is_u64(status().chosen, 0, "but doesn't count");
}

/* ---------------------------------------------------------------- who leads */

static void test_behind_stays_follower(void)
{
	struct paxos_message m = trimmed_of(101);

	follow_leader();
	end_round();
	receive(&m);
	for (int rounds = 0; rounds < 6; rounds++)
		end_round();
	is_u64(status().role, PAXOS_FOLLOWER, "who needs a table doesn't take over");
	is_u64(status().behind, 100, "while he who told it answers");
	for (int rounds = 0; rounds < 6 && status().role == PAXOS_FOLLOWER; rounds++)
		end_round_alone(3);
	is_u64(status().behind, 0, "without him others may hold more");
	is_u64(status().role, PAXOS_CANDIDATE, "and the node stands");
}

static void test_candidate_needs_table(void)
{
	struct paxos_durable_state empty = {.promise = {3, 0, 2}, .first_slot = 1};
	struct paxos_ballot own;
	struct paxos_message m;
	struct paxos_event event;

	make_node(&empty);
	own = stand();
	m = promise_of(2, own);
	m.accepted = (struct paxos_ballot){1, 0, 2};
	m.first_slot = 51;
	m.end = m.chosen = 60;
	receive(&m);
	is_u64(status().role, PAXOS_FOLLOWER,
		   "whose quorum's best log is trimmed leads only with its table (P1)");
	ok(next_event(PAXOS_EVENT_BEHIND, &event) && event.slot == 50, "which is asked for");
	restore(55, 0, 0);
	own = stand();
	m = promise_of(2, own);
	m.accepted = (struct paxos_ballot){1, 0, 2};
	m.first_slot = 51;
	m.end = m.chosen = 60;
	receive(&m);
	ok(next_to(PAXOS_PULL, 2, &m) && m.slot == 55, "then it takes the log from there on");
}

/* ---------------------------------------------------------------- a leader */

static void test_leader_has_trimmed(void)
{
	struct paxos_ballot own = lead_with(&trimmed, noop(), 3);
	struct paxos_message m;

	is_u64(status().role, PAXOS_LEADER, "a node with a trimmed log leads");
	m = promise_of(2, own);
	m.end = m.chosen = 40;
	m.accepted = (struct paxos_ballot){1, 0, 3};
	receive(&m);
	ok(!next_to(PAXOS_SYNC, 2, &m), "a follower that lacks what is trimmed gets no Sync");
	tick(now_ms() + 250);
	ok(next_to(PAXOS_TRIMMED, 2, &m) && m.first_slot == 101, "but is told where the log begins");
	ok(!next_to(PAXOS_TRIMMED, 2, &m), "once");
	ok(status().peers[1].behind && !status().peers[2].behind, "and the status tells who lacks it");
	m = promise_of(2, own);
	m.accepted = (struct paxos_ballot){1, 0, 3};
	m.first_slot = 108;
	m.end = m.chosen = 107;
	receive(&m);
	ok(next_to(PAXOS_SYNC, 2, &m) && m.base == 107 && m.n_entries > 0,
	   "with a table it is synced from there");
}

/* A late word of an earlier leader: the follower has by its own log what this one has trimmed. */
static void test_follower_learns_meanwhile(void)
{
	struct paxos_ballot own = lead_with(&trimmed, noop(), 3);
	struct paxos_message m;

	m = promise_of(2, own);
	m.accepted = (struct paxos_ballot){1, 0, 3};
	m.end = 108;
	m.chosen = 40;
	receive(&m);
	tick(now_ms() + 250);
	ok(next_to(PAXOS_TRIMMED, 2, &m), "a follower lacks what is trimmed");
	m = promise_of(2, own);
	m.accepted = (struct paxos_ballot){1, 0, 3};
	m.end = 108;
	m.chosen = 104;
	receive(&m);
	ok(next_to(PAXOS_SYNC, 2, &m) && m.base == 104, "until more of its own log is known to be chosen");
}

/*
 * What a table holds beyond that may have been chosen at a higher ballot, in place of what followers have at this one:
 * who is given it does not lead on, and calls none of it chosen at its ballot.
 */
static void test_leader_is_given_a_table(void)
{
	struct paxos_durable_state older = trimmed;
	struct paxos_ballot own;
	struct paxos_message m;

	older.applied = 50;
	own = lead_with(&older, noop(), 3);
	is_u64(status().role, PAXOS_LEADER, "a node whose database is older than its log leads");
	restore(100, 0, 0);
	is_u64(status().role, PAXOS_LEADER, "a table of what it knows to be chosen changes nothing");
	drop_messages();
	restore(108, 0, 0);
	is_u64(status().role, PAXOS_FOLLOWER, "given a newer one, it steps down");
	tick(now_ms() + 250);
	while (paxos_next_message(core, &m))
		if (m.ballot.round == own.round && m.chosen > 100)
			break;
	ok(m.ballot.round != own.round || m.chosen <= 100, "and calls nothing of it chosen at that ballot");
}

/* ... while it prepares: what it said of its own log is no longer so. */
static void test_candidate_is_given_a_table(void)
{
	struct paxos_durable_state state = {
		.promise = {3, 0, 2}, .accepted = {3, 0, 2}, .first_slot = 1, .end = 110, .applied = 40};
	struct paxos_ballot own;
	struct paxos_message m;

	make_node(&state);
	stand();
	restore(100, 0, 0);
	is_u64(status().role, PAXOS_FOLLOWER, "a candidate that is given a table steps down, too");

	make_node(&state);
	own = stand();
	m = message(PAXOS_CHOSEN, 2, 3);
	m.chosen = 100;
	receive(&m);
	paxos_applied(core, 100);
	paxos_trimmed(core, 101);
	m = promise_of(2, own);
	m.accepted = (struct paxos_ballot){3, 0, 3};
	m.end = 120;
	m.chosen = 100;
	receive(&m);
	ok(next_to(PAXOS_PULL, 2, &m) && m.slot == 100,
	   "one that trims its log meanwhile adopts from where it begins now");
}

static void test_trimming(void)
{
	struct paxos_message m = message(PAXOS_PREPARE, 2, 4);

	make_node(&trimmed);
	paxos_trimmed(core, 106);
	is_u64(status().first_slot, 106, "what is applied may be trimmed");
	paxos_trimmed(core, 104);
	is_u64(status().first_slot, 106, "and never comes back");
	receive(&m);
	sync_all();
	ok(next_to(PAXOS_PROMISE, 2, &m) && m.first_slot == 106, "a Promise says where the log begins");
	m = message(PAXOS_PULL, 2, 4);
	m.accepted = trimmed.accepted;
	m.slot = 103;
	ok(receive(&m) && !next_to(PAXOS_CHUNK, 2, &m), "what is trimmed can't be pulled");
}

static void test_trimmed_before_chunk_leaves(void)
{
	struct paxos_message m = message(PAXOS_PREPARE, 2, 4);

	make_node(&trimmed);
	receive(&m);
	sync_all();
	drop_messages();
	m = message(PAXOS_PULL, 2, 4);
	m.accepted = trimmed.accepted;
	m.slot = 103;
	receive(&m);
	paxos_trimmed(core, 106);
	ok(!next_to(PAXOS_CHUNK, 2, &m), "nor what is trimmed after it was asked for");
}

/* ---------------------------------------------------------------- databases and logs that don't meet */

static void test_older_database(void)
{
	struct paxos_durable_state old = trimmed;
	struct paxos_event event;

	old.applied = 50;
	make_node(&old);
	ok(next_event(PAXOS_EVENT_BEHIND, &event) && event.slot == 100,
	   "a database older than its log needs a table");
	is_u64(status().chosen, 100, "though all before the log is chosen");
	stand();
	is_u64(status().role, PAXOS_CANDIDATE, "its log is whole, so it may lead");
	restore(104, 0, 0);
	is_u64(status().behind, 0, "until it has one");
	ok(status().first_slot == 105 && status().end == 110, "and the log goes on behind it");
}

/* Where recovery itself began the log behind what it misses, that proves nothing. */
static void test_damaged_log(void)
{
	struct paxos_durable_state damaged = trimmed;
	struct paxos_message m = message(PAXOS_PREPARE, 2, 4);

	damaged.applied = 50;
	damaged.damage = (struct paxos_damage){
		.damaged = true, .named_ballot = {3, 0, 2}, .named_slot = 110, .lowest_written = 1};
	make_node(&damaged);
	is_u64(status().chosen, 50, "a damaged log's begin says nothing of what is chosen (D7)");
	is_u64(status().behind, 0, "so it needs no table yet");
	receive(&m);
	sync_all();
	restore(100, 0, 0);
	ok(status().damage.damaged && status().damage.lowest_written == 101,
	   "a table makes good what bad records wrote before it, and no more");
	drop_messages();
	m = message(PAXOS_SYNC, 2, 4);
	m.base = m.slot = 100;
	m.end = 101;
	m.n_entries = 1;
	m.named_run = LONE_RUN;
	m.entries = (struct paxos_entry[]){noop()};
	receive(&m);
	sync_all();
	is_u64(status().damage.damaged, false, "a Sync from there on heals");
}

/* D7, T2: the host has the log begin where recovery made it begin, and that proves something now. */
static void test_trim_outgrows(void)
{
	struct paxos_durable_state damaged = trimmed;

	damaged.damage = (struct paxos_damage){
		.damaged = true, .named_ballot = {3, 0, 2}, .named_slot = 110, .lowest_written = 1};
	make_node(&damaged);
	paxos_trimmed(core, 101);
	is_u64(status().damage.lowest_written, 101,
		   "what is applied before an unproven begin is as good as there");
	paxos_trimmed(core, 99);
	is_u64(status().damage.lowest_written, 101, "less than that says nothing new");
}

/* Y2: the log that the leader adopted ended before that table. */
static void test_base_behind_a_table(void)
{
	struct paxos_message m;

	make_node(&fresh);
	m = message(PAXOS_PROMISE, 3, 0);
	m.ballot = lead();
	m.first_slot = 2;
	m.end = m.chosen = 1;
	m.named_run = LONE_RUN;
	receive(&m);
	ok(next_to(PAXOS_SYNC, 3, &m) && m.base == 1, "a follower with a table is synced from behind it");
}

/* ---------------------------------------------------------------- the own session */

static void open_own_session(uint64_t number_of_commands)
{
	static uint8_t bytes[8][LONE_ENTRY_MAX];
	struct paxos_ballot own = {0};
	struct paxos_event event;

	make_node(&fresh);
	own = lead();
	for (int i = 0; i < 2; i++) /* the no-op and the OpenSession */
	{
		accepted(2, own, disk.end);
		sync_all();
		while (paxos_next_event(core, &event))
			drain();
	}
	for (uint64_t i = 0; i < number_of_commands; i++)
	{
		struct paxos_entry e = command_of(1, 0, 0);

		for (uint32_t k = 0; k < e.length; k++)
			bytes[i][k] = e.bytes[k];
		paxos_propose(core, bytes[i], e.length);
		drain();
	}
	sync_all();
}

static void test_jumped_commands(void)
{
	struct paxos_event event;
	uint64_t session;

	open_own_session(3);
	session = status().session;
	ok(session != 0, "a session is open, three commands are under way");
	restore(disk.end + 50, session, 2);
	ok(next_event(PAXOS_EVENT_RESOLVED, &event) && event.number == 1 && event.slot == 0 && !event.ok,
	   "a command that the snapshot jumped over is resolved, in a slot that nobody here knows (X3, X6)");
	ok(next_event(PAXOS_EVENT_RESOLVED, &event) && event.number == 2 && event.slot == 0, "so is the next");
	ok(!next_event(PAXOS_EVENT_RESOLVED, &event), "not what it has not counted");
	ok(paxos_may_be_void(core), "any of them may have been given up (O4)");
}

static void test_other_copy_in_snapshot(void)
{
	struct paxos_event event;

	open_own_session(1);
	restore(disk.end + 50, status().session, 2);
	ok(next_event(PAXOS_EVENT_FENCED, &event), "a number that this run never gave is another copy's (X1)");
	open_own_session(1);
	restore(disk.end + 50, 0, 0);
	ok(next_event(PAXOS_EVENT_FENCED, &event), "so is a session that closed this one");
}

static void test_session_in_snapshot(void)
{
	struct paxos_event event;

	follow_leader();
	restore(100, 90, 0);
	ok(next_event(PAXOS_EVENT_SESSION, &event) && event.number == 90,
	   "an OpenSession may be jumped over, too");
	is_u64(status().session, 90, "and the session is used");
}

int main(void)
{
	test_follower_is_told();
	test_restored();
	test_same_slot_restored();
	test_late_copy_of_a_sync();
	test_later_entries_stay();
	test_late_sync();
	test_unfounded_staging();
	test_accepted_behind_the_end();
	test_behind_stays_follower();
	test_candidate_needs_table();
	test_leader_has_trimmed();
	test_follower_learns_meanwhile();
	test_leader_is_given_a_table();
	test_candidate_is_given_a_table();
	test_trimming();
	test_trimmed_before_chunk_leaves();
	test_older_database();
	test_damaged_log();
	test_trim_outgrows();
	test_base_behind_a_table();
	test_jumped_commands();
	test_other_copy_in_snapshot();
	test_session_in_snapshot();
	free_node();
	return done();
}
