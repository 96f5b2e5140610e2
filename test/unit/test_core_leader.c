/*
 * test_core_leader.c - a core that stands and leads, message by message: whose Promise, Accepted and round answer
 * counts, which are refused, and what learners are not asked.
 */
#include "lone_core.h"
#include "unit.h"

/* ---------------------------------------------------------------- phase 1 */

static void test_promises(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = stand();
	m = promise_of(2, ballot);
	m.first_slot = 0;
	ok(refused(&m), "a Promise of a log that begins before slot 1 is refused");
	m = promise_of(2, ballot);
	m.first_slot = 9;
	m.end = 7;
	ok(refused(&m), "one that ends before it begins");
	m = promise_of(2, ballot);
	m.accepted = (struct paxos_ballot){ballot.round + 1, 0, 3};
	ok(refused(&m), "one that has accepted more than it promises");
	m = promise_of(2, (struct paxos_ballot){ballot.round - 1, 0, 1});
	ok(receive(&m) && status().role == PAXOS_CANDIDATE, "one of an earlier ballot does not count");
	m = promise_of(2, ballot);
	ok(receive(&m) && status().role == PAXOS_LEADER, "a sound one, with our own, makes a quorum of three");
}

/* D7: a Promise of an earlier run says nothing of this one. */
static void test_promise_of_an_earlier_run(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = stand();
	m = promise_of(2, ballot);
	m.named_run = 4;
	m.damage = (struct paxos_damage){
		.damaged = true, .named_ballot = {1, 0, 3}, .named_slot = 1, .lowest_written = 1};
	receive(&m);
	m = promise_of(2, ballot);
	m.named_run = 3;
	ok(receive(&m) && status().role == PAXOS_CANDIDATE,
	   "a late Promise of an earlier, undamaged run is not taken");
	m.named_run = 5;
	ok(receive(&m) && status().role == PAXOS_LEADER, "one of a later run is");
}

static void test_refusals_of_a_ballot(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = stand();
	m = from_follower(PAXOS_REFUSE, 2, ballot, 0);
	m.followed = ballot;
	ok(receive(&m) && status().role == PAXOS_CANDIDATE, "a refusal that names no higher ballot ends nothing");
	m.ballot.round--;
	m.followed.round = ballot.round + 5;
	ok(receive(&m) && status().role == PAXOS_CANDIDATE, "nor does one of an earlier ballot");
	m.ballot = ballot;
	ok(receive(&m) && status().role == PAXOS_FOLLOWER, "a higher promise does (B5)");
	ok(stand().round == ballot.round + 6, "and the next ballot is above it (E5)");
}

/* S6: what this node knows chosen is in the log of every quorum. */
static void test_a_lie_about_the_best_log(void)
{
	struct paxos_durable_state state = {
		.promise = {5, 0, 3}, .accepted = {1, 0, 3}, .first_slot = 1, .end = 3, .applied = 3};
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&state);
	ballot = stand();
	m = promise_of(2, ballot);
	m.accepted = (struct paxos_ballot){2, 0, 2};
	m.end = 1;
	receive(&m);
	ok(status().role == PAXOS_FOLLOWER && status().messages_refused == 1,
	   "a best log that lacks what is chosen here is not adopted");
	ok(status().end == 3 && status().accepted.round == 1, "and nothing is cut off");
}

static bool not_staged(const struct paxos_message *m)
{
	int writes = disk.n_writes;

	return receive(m) && disk.n_writes == writes;
}

static void test_chunks(void)
{
	struct paxos_entry entries[4] = {noop(), noop(), noop(), noop()};
	struct paxos_ballot ballot = pull_from_two(3);
	struct paxos_message good = from_follower(PAXOS_CHUNK, 2, ballot, 0);
	struct paxos_message m;

	ok(next(PAXOS_PULL, &m) && m.to == 2 && m.slot == 0, "what is missing of the best log is pulled (P1)");
	good.accepted = (struct paxos_ballot){2, 0, 2};
	good.entries = entries;
	good.n_entries = 2;
	m = good;
	m.from = 3;
	ok(not_staged(&m), "a chunk of another node is not taken");
	m = good;
	m.ballot.round--;
	ok(not_staged(&m), "nor one for an earlier ballot");
	m = good;
	m.accepted.round--;
	ok(not_staged(&m), "nor of another log than was promised (P1)");
	m = good;
	m.slot = 1;
	ok(not_staged(&m), "nor one behind a hole");
	m = good;
	m.n_entries = 0;
	ok(not_staged(&m), "nor an empty one");
	m = good;
	m.n_entries = 4;
	ok(refused(&m), "one that is longer than the log is refused");
	ok(receive(&good) && disk.last.type == PAXOS_WRITE_STAGE && disk.last.n_entries == 2,
	   "a good one is staged");
	ok(not_staged(&good), "its copy is not");
	ok(next(PAXOS_PULL, &m) && m.slot == 2, "the rest is asked for");
	tick(now_ms() + 150);
	ok(!next(PAXOS_PULL, &m), "once,");
	tick(now_ms() + 100);
	ok(next(PAXOS_PULL, &m) && m.slot == 2, "and again when nothing came for a while");
	good.slot = 2;
	good.n_entries = 1;
	receive(&good);
	is_u64(status().role, PAXOS_CANDIDATE, "nobody leads before all of it is durable");
	sync_disk();
	ok(status().role == PAXOS_LEADER && disk.slots[4].length == ENTRY_HEADER_BYTES,
	   "then the log is installed and the no-op behind it (P3)");
	ok(not_staged(&good), "a chunk that comes later is passed over");
}

/* Prepares of another end the pull; the chunk that was under way finds a follower. */
static void test_chunk_after_step_down(void)
{
	struct paxos_entry e = noop();
	struct paxos_ballot ballot = pull_from_two(3);
	struct paxos_message m = message(PAXOS_PREPARE, 3, ballot.round + 1);

	receive(&m);
	is_u64(status().role, PAXOS_FOLLOWER, "a higher Prepare ends a candidacy (B5)");
	m = from_follower(PAXOS_CHUNK, 2, ballot, 0);
	m.accepted = (struct paxos_ballot){2, 0, 2};
	m.n_entries = 1;
	m.entries = &e;
	ok(not_staged(&m), "and what it pulled is nobody's");
}

/* E6: it is there, and answers all but that. */
static void test_source_is_silent(void)
{
	struct paxos_ballot ballot = pull_from_two(3);
	struct paxos_message m;
	int rounds = 0;

	ok(next(PAXOS_PULL, &m) && m.to == 2, "a source is asked for its log");
	while (rounds < 30 && paxos_ballot_compare(status().ballot, ballot) == 0)
	{
		end_round();
		rounds++;
	}
	sync_all();
	ok(rounds > 1 && rounds < 30,
	   "nothing comes for an election timeout: a higher ballot asks all again (E6)");
}

/* D7: single records were put back; its log ends where it did. */
static void test_follower_is_whole_again(void)
{
	struct paxos_ballot ballot = lead();
	struct paxos_message m = promise_of(3, ballot);

	m.damage = (struct paxos_damage){.damaged = true, .lowest_written = 1};
	receive(&m);
	ok(next_to(PAXOS_SYNC, 3, &m) && m.named_run != 0, "a damaged follower's Sync names its run");
	m = promise_of(3, ballot);
	receive(&m);
	ok(next_to(PAXOS_SYNC, 3, &m) && m.named_run == 0, "made whole, it gets another, which heals nothing");
}

/* S6: what is told chosen while a log is pulled must be in it. */
static void test_chosen_while_pulling(void)
{
	struct paxos_durable_state state = {
		.promise = {5, 0, 3}, .accepted = {5, 0, 3}, .first_slot = 1, .end = 3};
	struct paxos_entry e = noop();
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&state);
	ballot = stand();
	m = promise_of(2, ballot);
	m.accepted = (struct paxos_ballot){5, 1, 2};
	m.end = 1;
	receive(&m);
	m = message(PAXOS_HEARTBEAT, 3, 5);
	m.ready = true;
	m.chosen = 3;
	receive(&m);
	is_u64(status().chosen, 3,
		   "the leader before tells what it chose, while its successor pulls another log");
	m = from_follower(PAXOS_CHUNK, 2, ballot, 0);
	m.accepted = (struct paxos_ballot){5, 1, 2};
	m.entries = &e;
	m.n_entries = 1;
	receive(&m);
	sync_all();
	ok(status().role == PAXOS_FOLLOWER && status().end == 3 && status().accepted.priority == 0,
	   "a log that lacks it is not installed: somebody lied");
}

/* ---------------------------------------------------------------- phase 2 */

static void test_accepted(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = lead();
	m = from_follower(PAXOS_ACCEPTED, 2, ballot, 3);
	ok(receive(&m), "an Accepted of what was never sent");
	is_u64(status().chosen, 0, "chooses nothing");
	m = from_follower(PAXOS_ACCEPTED, 2, (struct paxos_ballot){ballot.round - 1, 0, 1}, 1);
	ok(receive(&m) && status().chosen == 0, "one of an earlier ballot counts for nothing (A4)");
	accepted(2, ballot, 1);
	is_u64(status().chosen, 1, "one at our ballot, with our own sync, is a quorum");
	m = from_follower(PAXOS_GAP, 2, ballot, 3);
	ok(refused(&m), "a gap behind our log's end is refused");
	drop_messages();
	m = from_follower(PAXOS_GAP, 2, ballot, 0);
	ok(receive(&m) && !next(PAXOS_ACCEPT, &m), "one below what it has accepted is late");
	m = from_follower(PAXOS_GAP, 3, ballot, 0);
	ok(receive(&m) && !next_to(PAXOS_ACCEPT, 3, &m), "one of a node that was not synced, too");
}

static void test_sync_progress(void)
{
	static const struct
	{
		uint64_t base, end, slot;
		const char *what;
	} wrong[] = {{1, 1, 0, "another base"}, {0, 2, 0, "another end"}, {0, 1, 2, "more than there is"}};
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = lead();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		m = from_follower(PAXOS_SYNC_PROGRESS, 2, ballot, wrong[i].slot);
		m.base = wrong[i].base;
		m.end = wrong[i].end;
		ok(receive(&m) && !next_to(PAXOS_SYNC, 2, &m), "progress of a Sync with %s sends nothing again",
		   wrong[i].what);
	}
	tick(now_ms() + 250);
	ok(next_to(PAXOS_SYNC, 2, &m) && m.slot == 1 && m.end == 1 && m.n_entries == 0,
	   "nor moves it: it is only asked where it stands");
	m = from_follower(PAXOS_SYNC_PROGRESS, 2, ballot, 0);
	m.end = 1;
	ok(receive(&m) && next_to(PAXOS_SYNC, 2, &m) && m.slot == 0 && m.n_entries == 1,
	   "\"send from slot 0 on again\" does");
	accepted(2, ballot, 1);
	m = from_follower(PAXOS_SYNC_PROGRESS, 2, ballot, 0);
	m.end = 1;
	ok(receive(&m) && !next_to(PAXOS_SYNC, 2, &m), "late, when it is installed, nothing more");
}

/* Syncs and Accepts are read from the log; what can't be read is not sent. */
static void test_log_that_cannot_be_read(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = lead();
	m = promise_of(3, ballot);
	receive(&m);
	disk.unreadable = true;
	ok(!next(PAXOS_SYNC, &m), "no Sync of entries that can't be read");
	accepted(2, ballot, 0);
	ok(!next(PAXOS_ACCEPT, &m), "no Accept of them either");
	disk.unreadable = false;
	ok(next(PAXOS_ACCEPT, &m) && m.slot == 0 && m.n_entries == 2, "with the log readable it goes");
}

/* B3: own entries, synced when a higher promise was taken meanwhile, count for nothing. */
static void test_own_sync_after_a_higher_promise(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = stand();
	m = promise_of(2, ballot);
	receive(&m);
	accepted(2, ballot, 1);
	is_u64(status().chosen, 0, "a follower was quicker than our own disk: not chosen yet");
	m = message(PAXOS_PREPARE, 3, ballot.round + 1);
	receive(&m);
	sync_all();
	ok(status().chosen == 0 && status().durable_end == 2, "the sync after a higher Prepare is no acceptance");
}

static void test_log_trimmed_below_a_base(void)
{
	struct paxos_durable_state state = {
		.promise = {1, 0, 3}, .accepted = {1, 0, 3}, .first_slot = 5, .end = 6, .applied = 6};
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&state);
	for (uint64_t slot = 1; slot <= 6; slot++) /* whatever the host could still read */
		disk.slots[slot] = noop();
	ballot = stand();
	m = promise_of(2, ballot);
	receive(&m);
	sync_all();
	ok(status().role == PAXOS_LEADER && !next(PAXOS_SYNC, &m),
	   "a follower behind the retained log gets no Sync: it needs the table first");
}

/* ---------------------------------------------------------------- reads */

static void test_read_rounds(void)
{
	struct paxos_event event;
	struct paxos_ballot ballot;
	struct paxos_message m;
	uint64_t round;

	make_node(&fresh);
	ballot = lead();
	accepted(2, ballot, 1);
	paxos_read(core, false);
	ok(next(PAXOS_READ_ROUND, &m), "a linearizable read asks a quorum (R1)");
	round = m.sequence;
	m = from_follower(PAXOS_READ_ROUND_REPLY, 2, ballot, 0);
	m.followed = ballot;
	m.sequence = round + 1;
	ok(refused(&m), "an answer to a round not sent is refused");
	m.sequence = round - 1;
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "one to an earlier round confirms nothing");
	m.sequence = round;
	m.followed = (struct paxos_ballot){ballot.round + 1, 0, 3};
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "nor one of a node that promised more (R1)");
	m.followed = ballot;
	m.ballot.round--;
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "nor one at an earlier ballot");
	m.ballot = ballot;
	ok(receive(&m) && next_event(PAXOS_EVENT_READ, &event) && event.slot == 1, "a quorum's answer does");
}

static void test_read_requests_to_no_leader(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = lead();
	m = from_follower(PAXOS_READ_REQUEST, 2, ballot, 0);
	m.leader_only = true;
	m.sequence = 9;
	receive(&m);
	ok(!next(PAXOS_READ_REPLY, &m), "no read index before the own no-op is chosen (R1)");
	accepted(2, ballot, 1);
	ok(next(PAXOS_READ_REPLY, &m) && m.slot == 1 && m.sequence == 9, "then it is answered");
	m = from_follower(PAXOS_READ_REQUEST, 2, (struct paxos_ballot){ballot.round - 1, 0, 1}, 0);
	ok(receive(&m) && !next(PAXOS_READ_REPLY, &m), "a request for an earlier ballot is not");
}

/* As follower of node 2, which is ready: what may answer a read (R2). */
static void test_read_replies(void)
{
	struct paxos_event event;
	struct paxos_message good;
	struct paxos_message m;

	follow_leader();
	m = message(PAXOS_HEARTBEAT, 2, 3);
	m.ready = true;
	receive(&m);
	paxos_read(core, false);
	ok(next(PAXOS_READ_REQUEST, &m) && m.to == 2, "a read is asked of the leader");
	good = message(PAXOS_READ_REPLY, 2, 3);
	good.sequence = m.sequence;
	good.named_run = LONE_RUN;
	good.ready = true;
	good.slot = 1;
	m = good;
	m.named_run = LONE_RUN - 1;
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "an answer to an earlier run answers nothing");
	m = good;
	m.sequence--;
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "nor one to an earlier request");
	m = good;
	m.ballot.round--;
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "nor one of an earlier ballot");
	m = good;
	m.from = 3;
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "nor one of another node");
	m = good;
	m.ready = false;
	ok(receive(&m) && !next_event(PAXOS_EVENT_READ, &event), "nor one that says not ready");
	ok(receive(&good) && next_event(PAXOS_EVENT_READ, &event) && event.slot == 1, "the leader's does");
	ok(receive(&good) && !next_event(PAXOS_EVENT_READ, &event), "once");
}

/* ---------------------------------------------------------------- learners */

static void test_learner(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node_with_learner(&fresh);
	ballot = stand();
	m = promise_of(4, ballot);
	ok(receive(&m) && status().role == PAXOS_CANDIDATE, "a learner's Promise makes no quorum");
	m = promise_of(2, ballot);
	receive(&m);
	sync_all();
	is_u64(status().role, PAXOS_LEADER, "a voter's does");
	accepted(2, ballot, 1);
	is_u64(status().chosen, 1, "two of three voters are a quorum, whatever a learner has (A4)");
	make_node_with_learner(&fresh);
	ballot = lead();
	accepted(4, ballot, 1);
	is_u64(status().chosen, 0, "a learner's Accepted chooses nothing");
	accepted(2, ballot, 1);
	paxos_read(core, false);
	drop_messages();
	tick(now_ms() + 200);
	paxos_read(core, false);
	while (next(PAXOS_READ_ROUND, &m))
		ok(m.to != 4, "no read round goes to a learner");
}

/* E1, E5: who has no vote never stands, however discontent all are. */
static void test_learner_never_stands(void)
{
	make_learner(&fresh);
	for (int rounds = 0; rounds < 4; rounds++)
		end_round();
	ok(status().role == PAXOS_FOLLOWER && status().elections == 0, "a learner takes no ballot");
}

int main(void)
{
	test_promises();
	test_promise_of_an_earlier_run();
	test_refusals_of_a_ballot();
	test_a_lie_about_the_best_log();
	test_chunks();
	test_chunk_after_step_down();
	test_source_is_silent();
	test_follower_is_whole_again();
	test_chosen_while_pulling();
	test_accepted();
	test_sync_progress();
	test_log_that_cannot_be_read();
	test_own_sync_after_a_higher_promise();
	test_log_trimmed_below_a_base();
	test_read_rounds();
	test_read_requests_to_no_leader();
	test_read_replies();
	test_learner();
	test_learner_never_stands();
	free_node();
	return done();
}
