/*
 * test_core_refusals.c - what a core does not believe: messages that no sound peer makes are refused and change
 * nothing, and what comes late, early or at the wrong ballot is answered or passed over as the rules say.
 */
#include <string.h>

#include "lone_core.h"
#include "unit.h"

static const struct paxos_ballot three_of_two = {3, 0, 2};

/* ---------------------------------------------------------------- any type */

static void test_implausible(void)
{
	static uint8_t bytes[ENTRY_HEADER_BYTES];
	struct paxos_entry huge = {bytes, PAXOS_MAX_ENTRY_BYTES + 1};
	struct paxos_message m = message(PAXOS_PREPARE, 2, 3);

	make_node(&fresh);
	m.to = 3;
	ok(refused(&m), "a message to another node is refused");
	m = message(PAXOS_PREPARE, 2, UINT64_MAX / 2);
	ok(refused(&m), "a ballot's round of which none higher could follow");
	m = message(PAXOS_HEARTBEAT, 2, 3);
	m.followed.round = UINT64_MAX / 2;
	ok(refused(&m), "one that is followed, too (E5 goes above every ballot met)");
	m = message(PAXOS_GAP, 2, 3);
	m.slot = UINT64_MAX / 2 + 1;
	ok(refused(&m), "a slot beyond all logs");
	m = message(PAXOS_PROMISE, 2, 3);
	m.first_slot = 1;
	m.end = UINT64_MAX / 2 + 1;
	ok(refused(&m), "a log's end beyond all logs");
	m = message(PAXOS_PROMISE, 2, 3);
	m.first_slot = 1;
	m.damage.damaged = true;
	ok(refused(&m), "damage from slot 0 on: there is none (Y2 begins below)");
	m = message(PAXOS_ACCEPT, 2, 3);
	m.n_entries = PAXOS_MAX_BATCH + 1;
	ok(refused(&m), "more entries than a message holds");
	m = accept_of(0, &huge, 1);
	ok(refused(&m), "an entry longer than any");
}

/* Only its own node proposes at a ballot. */
static void test_ballot_of_another(void)
{
	static const struct
	{
		enum paxos_message_type type;
		const char *name;
	} types[] = {{PAXOS_PREPARE, "Prepare"}, {PAXOS_SYNC, "Sync"},     {PAXOS_ACCEPT, "Accept"},
				 {PAXOS_PULL, "Pull"},       {PAXOS_CHOSEN, "Chosen"}, {PAXOS_READ_ROUND, "read round"}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
	{
		struct paxos_message m = message(types[i].type, 3, 3);

		follow_leader();
		m.ballot = three_of_two;
		m.slot = m.chosen = 1;
		m.end = m.base = 1;
		ok(refused(&m) && status().chosen == 0,
		   "a %s of node 3 at node 2's ballot is refused and tells nothing", types[i].name);
	}
}

/* E1: a heartbeat carries its sender's own ballot, or none. */
static void test_heartbeat_of_another(void)
{
	struct paxos_message m = message(PAXOS_HEARTBEAT, 3, 3);

	follow_leader();
	m.ballot = three_of_two;
	m.ready = true;
	m.chosen = 1;
	ok(refused(&m) && status().chosen == 0,
	   "a heartbeat of node 3 at node 2's ballot is refused, and tells nothing");
	m.type = PAXOS_HEARTBEAT_REPLY;
	m.sequence = (uint64_t) LONE_RUN << 32;
	ok(refused(&m) && status().chosen == 0, "so is an answer");
	m = message(PAXOS_HEARTBEAT, 2, 0);
	m.ballot = (struct paxos_ballot){0};
	m.ready = true;
	m.chosen = 1;
	ok(receive(&m) && status().chosen == 0, "one without a ballot chooses nothing");
	m = message(PAXOS_HEARTBEAT, 2, 3);
	m.ready = true;
	m.chosen = 1;
	ok(receive(&m) && status().chosen == 1, "the leader's own tells what is chosen (A5)");
}

/* Outbox full: the host drains after each input, one that does not loses messages, never a write. */
static void test_host_that_does_not_drain(void)
{
	struct paxos_write w;
	uint64_t round = 3;
	int written = 0;

	make_node(&fresh);
	for (; round < 30; round++)
	{
		struct paxos_message m = message(PAXOS_PREPARE, 2, round);

		if (!paxos_recv(core, &m))
			break;
	}
	is_u64(round, 30, "Prepares that find no room are no fault of their sender");
	for (; paxos_next_write(core, &w); written++)
		round = w.ballot.round;
	ok(written > 1 && round == 3 + (uint64_t) written - 1,
	   "the first %d were promised, in order; the others are as if lost", written);
	paxos_durable(core, w.id);
	is_u64(status().promise.round, round, "and no more than that is promised");
}

/* ---------------------------------------------------------------- Sync */

static void test_malformed_sync(void)
{
	struct paxos_entry entries[3] = {noop(), noop(), noop()};
	struct paxos_message good = message(PAXOS_SYNC, 2, 3);
	struct paxos_message m;

	make_node(&fresh);
	m = message(PAXOS_PREPARE, 2, 3);
	receive(&m);
	sync_all();
	good.end = 3;
	good.n_entries = 2;
	good.entries = entries;
	m = good;
	m.base = 4;
	m.slot = 4;
	ok(refused(&m), "a Sync that ends before its base is refused");
	m = good;
	m.base = 1;
	ok(refused(&m), "a chunk before the base");
	m = good;
	m.slot = 4;
	m.n_entries = 0;
	ok(refused(&m), "a chunk behind the end");
	m = good;
	m.slot = 2;
	ok(refused(&m), "a chunk that reaches beyond the end");
	ok(receive(&good) && disk.last.type == PAXOS_WRITE_STAGE && disk.last.n_entries == 2,
	   "a sound one is staged");
}

static void test_sync_above_the_promise(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m = message(PAXOS_SYNC, 3, 9);

	follow_leader();
	m.end = 2;
	m.slot = 1;
	m.base = 1;
	m.n_entries = 1;
	m.entries = &e;
	receive(&m);
	ok(disk.last.type == PAXOS_WRITE_PROMISE && disk.last.ballot.round == 9,
	   "a Sync above the promise raises it (B0)");
	ok(!next(PAXOS_PROMISE, &m), "what it asks for in return waits for the disk (B3)");
	sync_all();
	ok(next(PAXOS_PROMISE, &m) && m.ballot.round == 9 && m.accepted.round == 3 && m.end == 1,
	   "its base rests on no Promise of this log, so it gets one and nothing is staged (Y2)");
	is_u64(disk.end, 1, "the log is as it was");
}

static void test_sync_never_cuts_the_chosen(void)
{
	struct paxos_message m = accept_of(1, NULL, 0);

	follow_leader();
	m.chosen = 1;
	receive(&m);
	is_u64(status().chosen, 1, "slot 1 is chosen");
	m = message(PAXOS_PREPARE, 3, 4);
	receive(&m);
	sync_all();
	m = message(PAXOS_SYNC, 3, 4);
	ok(refused(&m), "a Sync of an empty log is refused then: no leader's log ends before what is chosen");
	is_u64(disk.end, 1, "and cuts nothing off");
}

/* Asked for a Sync again by a Promise, and nothing staged. */
static bool promised_again(const struct paxos_message *m)
{
	int writes = disk.n_writes;
	struct paxos_message answer;

	drop_messages();
	return receive(m) && disk.n_writes == writes && next(PAXOS_PROMISE, &answer) && answer.to == m->from &&
		   answer.end == status().end;
}

static void test_sync_on_what_is_not_there(void)
{
	struct paxos_durable_state state = {
		.promise = {3, 0, 2}, .accepted = {1, 0, 3}, .first_slot = 5, .end = 8, .applied = 4};
	struct paxos_entry e = noop();
	struct paxos_message good = message(PAXOS_SYNC, 2, 3);
	struct paxos_message m;

	make_node(&state);
	good.base = good.slot = 8;
	good.end = 9;
	good.n_entries = 1;
	good.entries = &e;
	m = good;
	m.base = m.slot = 9;
	m.end = 10;
	ok(promised_again(&m), "a base behind the log's end gets a Promise that says where it ends");
	m = good;
	m.base = m.slot = 3;
	ok(promised_again(&m), "and so does one before its first slot");
	m = good;
	m.named_run = LONE_RUN - 1;
	ok(promised_again(&m), "a Sync that was to heal an earlier run does not reach this one (D7)");
	m.named_run = LONE_RUN;
	ok(promised_again(&m), "nor does one of this run reach a log that has been made whole meanwhile");
	ok(receive(&good) && disk.last.type == PAXOS_WRITE_STAGE, "one that fits is staged");
}

static void test_damaged_below_the_base(void)
{
	struct paxos_durable_state state = {
		.promise = {3, 0, 2},
		.accepted = {3, 0, 2},
		.first_slot = 1,
		.end = 6,
		.damage = {.damaged = true, .named_ballot = {3, 0, 2}, .named_slot = 8, .lowest_written = 4}};
	struct paxos_entry e = noop();
	struct paxos_message m = message(PAXOS_SYNC, 2, 3);

	make_node(&state);
	m.base = m.slot = 4;
	m.end = 5;
	m.named_run = LONE_RUN;
	m.n_entries = 1;
	m.entries = &e;
	ok(promised_again(&m), "a base at a slot that a bad record wrote is not taken (Y2, D7)");
	m.base = m.slot = 3;
	m.end = 4;
	ok(receive(&m) && disk.last.type == PAXOS_WRITE_STAGE, "one below all of them is");
}

static void test_staging_in_order(void)
{
	struct paxos_entry entries[2] = {noop(), noop()};
	struct paxos_message m = message(PAXOS_PREPARE, 2, 3);
	struct paxos_message chunk = message(PAXOS_SYNC, 2, 3);
	struct paxos_message answer;

	make_node(&fresh);
	receive(&m);
	sync_all();
	chunk.end = 6;
	chunk.entries = entries;
	chunk.n_entries = 2;
	chunk.slot = 2;
	ok(receive(&chunk) && next(PAXOS_SYNC_PROGRESS, &answer) && !answer.ready && answer.slot == 0,
	   "a chunk behind a hole is answered with \"send from slot 0 on again\"");
	chunk.slot = 0;
	ok(receive(&chunk) && next(PAXOS_SYNC_PROGRESS, &answer) && answer.ready && answer.slot == 2,
	   "the first is staged");
	ok(receive(&chunk) && next(PAXOS_SYNC_PROGRESS, &answer) && answer.ready && answer.slot == 2,
	   "a late copy of it is only answered");
	chunk.end = 4;
	ok(receive(&chunk) && next(PAXOS_SYNC_PROGRESS, &answer) && answer.end == 4 && answer.slot == 2 &&
		   disk.last.first_slot == 1,
	   "a Sync with another end starts anew");
	chunk.slot = 2;
	receive(&chunk);
	ok(disk.last.type == PAXOS_WRITE_STAGE, "the last chunk is staged");
	sync_disk();
	ok(disk.last.type == PAXOS_WRITE_INSTALL && disk.last.end == 4,
	   "and installed when it is durable, not before (Y1)");
}

/* ---------------------------------------------------------------- Pull */

static void test_pull(void)
{
	struct paxos_message good = message(PAXOS_PULL, 3, 4);
	struct paxos_message m = message(PAXOS_PREPARE, 3, 4);

	follow_leader();
	receive(&m);
	good.accepted = three_of_two;
	ok(passed_over(&good), "nothing is served before the promise is durable (P1)");
	sync_all();
	m = good;
	m.slot = 1;
	ok(passed_over(&m), "nor from behind the log's end");
	m = good;
	m.accepted.round = 2;
	ok(passed_over(&m), "nor of a log at another accepted ballot");
	m = message(PAXOS_PULL, 2, 3);
	m.accepted = three_of_two;
	ok(receive(&m) && next(PAXOS_REFUSE, &m) && m.followed.round == 4, "a lower ballot is refused (B0)");
	m = good;
	m.ballot.round = 5;
	ok(passed_over(&m), "a higher one has no promise");
	ok(receive(&good) && next(PAXOS_CHUNK, &m) && m.slot == 0 && m.n_entries == 1 && m.accepted.round == 3,
	   "the candidate that was promised to gets the log");
	receive(&good);
	m = message(PAXOS_PREPARE, 2, 6);
	receive(&m);
	ok(!next(PAXOS_CHUNK, &m), "but no more of it once another is promised");
}

static void test_pull_below_the_first_slot(void)
{
	struct paxos_durable_state state = {
		.promise = {4, 0, 3}, .accepted = three_of_two, .first_slot = 5, .end = 8, .applied = 4};
	struct paxos_message m = message(PAXOS_PULL, 3, 4);

	make_node(&state);
	disk.slots[4] = noop(); /* whatever the host could still read */
	m.accepted = three_of_two;
	m.slot = 3;
	ok(passed_over(&m), "slots that are trimmed can't be served");
}

static void test_pull_from_the_damaged(void)
{
	struct paxos_durable_state state = {
		.promise = {4, 0, 3},
		.accepted = {3, 0, 2},
		.first_slot = 1,
		.end = 1,
		.damage = {.damaged = true, .named_ballot = {3, 0, 2}, .named_slot = 2, .lowest_written = 2}};
	struct paxos_entry e = noop();
	struct paxos_message m = message(PAXOS_PULL, 3, 4);

	m.accepted = three_of_two;
	m.all_voters = true;
	make_node(&state);
	disk.slots[1] = e;
	ok(passed_over(&m), "a damaged log is not served, not for D8 either");
	state.damage.doubtful = true;
	make_node(&state);
	disk.slots[1] = e;
	m.all_voters = false;
	ok(passed_over(&m), "a doubtful one not without D8");
	m.all_voters = true;
	ok(receive(&m) && next(PAXOS_CHUNK, &m) && m.n_entries == 1, "under D8 it serves its intact prefix");
}

/* ---------------------------------------------------------------- Accept, Chosen */

static void test_overlap(void)
{
	struct paxos_durable_state state = {
		.promise = {3, 0, 2}, .accepted = {3, 0, 2}, .first_slot = 5, .end = 5, .applied = 4};
	struct paxos_entry held = command_of(2, 1, 1);
	struct paxos_entry other = noop();
	struct paxos_entry entries[3] = {other, other, other};
	struct paxos_message m;

	make_node(&state);
	disk.slots[4] = disk.slots[5] = held;
	m = accept_of(4, &other, 1);
	ok(refused(&m), "another length at the same ballot and slot is refused (A2)");
	entries[1] = held;
	m = accept_of(3, entries, 3);
	ok(receive(&m) && disk.end == 6,
	   "an overlap that reaches into what is trimmed is compared from there on");
	is_u64(disk.last.first_slot, 6, "and only what is new is written");
}

static void test_log_that_cannot_be_read(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m = accept_of(0, &e, 1);

	follow_leader();
	disk.unreadable = true;
	ok(receive(&m) && disk.end == 1, "an overlap that can't be read is no proof against the sender");
	m = message(PAXOS_PREPARE, 3, 4);
	receive(&m);
	sync_all();
	m = message(PAXOS_PULL, 3, 4);
	m.accepted = three_of_two;
	receive(&m);
	ok(!next(PAXOS_CHUNK, &m), "and a log that can't be read is not served");
}

static void test_room_for_accepts(void)
{
	struct paxos_entry e = noop();
	struct paxos_message m = accept_of(1, &e, 1);

	follow_leader();
	paxos_set_accepting(core, false);
	ok(receive(&m) && disk.end == 1 && !next(PAXOS_ACCEPTED, &m), "no room: an Accept is as if lost");
	paxos_set_accepting(core, true);
	m = accept_of(1, &e, 1);
	ok(receive(&m) && disk.end == 2, "and taken when it comes again");
}

/* ---------------------------------------------------------------- lives of this node and others */

static void test_lower_runs(void)
{
	struct paxos_message m = message(PAXOS_HEARTBEAT, 2, 0);
	uint64_t round;

	make_node(&fresh);
	next_to(PAXOS_HEARTBEAT, 2, &m);
	round = m.sequence;
	m = message(PAXOS_HEARTBEAT, 2, 0);
	m.run = 7;
	receive(&m);
	m = message(PAXOS_HEARTBEAT_REPLY, 2, 0);
	m.run = 6;
	m.sequence = round;
	ok(receive(&m) && !next(PAXOS_FENCE, &m),
	   "an answer of a lower run to an earlier question fences nobody");
	m = message(PAXOS_HEARTBEAT_REPLY, 2, 0);
	m.run = 6;
	m.sequence = round + 5;
	ok(receive(&m) && !next(PAXOS_FENCE, &m), "nor does one to a question never asked");
	m = message(PAXOS_FENCE, 2, 0);
	m.run = 7;
	m.named_run = LONE_RUN - 1;
	ok(receive(&m) && status().role == PAXOS_FOLLOWER, "a fence for an earlier run is not this one's");
}

static void test_fenced(void)
{
	struct paxos_message m = message(PAXOS_FENCE, 2, 0);
	struct paxos_event event;
	int writes;

	follow_leader();
	m.named_run = LONE_RUN;
	receive(&m);
	ok(next_event(PAXOS_EVENT_FENCED, &event), "the host is told once that its node is fenced");
	receive(&m);
	ok(!next_event(PAXOS_EVENT_FENCED, &event), "and only once");
	writes = disk.n_writes;
	m = message(PAXOS_PREPARE, 3, 9);
	ok(receive(&m), "what comes then is not the peers' fault");
	tick(9000);
	paxos_durable(core, disk.last_id);
	paxos_disconnected(core, 2, true);
	paxos_connected(core, 2);
	ok(disk.n_writes == writes && !paxos_next_message(core, &m) && !paxos_can_propose(core, 100),
	   "nothing is written, promised, sent or proposed any more (X1)");
	is_u64(status().role, PAXOS_FENCED, "for good");
}

static void test_strange_calls(void)
{
	struct paxos_status before;
	struct paxos_event event;

	follow_leader();
	before = status();
	paxos_connected(core, 9);
	paxos_connected(core, 1);
	paxos_disconnected(core, 9, true);
	paxos_disconnected(core, 1, true);
	ok(status().peers[1].connected && status().peers[2].connected && status().n_peers == before.n_peers,
	   "connections of strangers and to itself are passed over");
	paxos_applied(core, 1);
	paxos_applied(core, 0);
	is_u64(status().applied, 1, "the applied index never falls");
	ok(!next_event(PAXOS_EVENT_CHOSEN, &event), "and applying chooses nothing");
}

int main(void)
{
	test_implausible();
	test_ballot_of_another();
	test_heartbeat_of_another();
	test_host_that_does_not_drain();
	test_malformed_sync();
	test_sync_above_the_promise();
	test_sync_never_cuts_the_chosen();
	test_sync_on_what_is_not_there();
	test_damaged_below_the_base();
	test_staging_in_order();
	test_pull();
	test_pull_below_the_first_slot();
	test_pull_from_the_damaged();
	test_overlap();
	test_log_that_cannot_be_read();
	test_room_for_accepts();
	test_lower_runs();
	test_fenced();
	test_strange_calls();
	free_node();
	return done();
}
