/*
 * test_core_catch_up.c - a leader that brings a follower up from its log, message by message: in bursts with rests in
 * between while others suffice to choose, and without a rest where they don't, or where the log grows as fast.
 */
#include "lone_core.h"
#include "unit.h"

#define SLOTS 600 /* of its log before it leads: several bursts */

static struct paxos_ballot ballot;
static uint64_t log_end; /* when it began to lead */

/* It leads, node 2 has all that is chosen, and node 3, whose log is empty, has been sent the first chunk. */
static struct paxos_message first_chunk(void)
{
	static uint8_t bytes[100];
	struct paxos_durable_state state = {
		.promise = {5, 0, 3}, .accepted = {5, 0, 3}, .first_slot = 1, .end = SLOTS};
	struct paxos_message m;

	ballot = lead_with(&state, (struct paxos_entry){bytes, sizeof(bytes)}, 2);
	is_u64(status().role, PAXOS_LEADER, "it leads");
	log_end = status().end;
	accepted(2, ballot, log_end);
	is_u64(status().chosen, log_end, "and its log is chosen");
	drop_messages();
	m = promise_of(3, ballot);
	receive(&m);
	ok(next_to(PAXOS_SYNC, 3, &m) && m.n_entries > 0 && m.slot == 0, "node 3 is sent the beginning");
	ok(!next_to(PAXOS_SYNC, 3, &m) || m.n_entries == 0, "as much as the window holds");
	return m;
}

/* After so long node 3 has staged it. */
static void progress(uint64_t after_ms, uint64_t through)
{
	struct paxos_message m;

	tick(now_ms() + after_ms);
	drop_messages();
	m = from_follower(PAXOS_SYNC_PROGRESS, 3, ballot, through);
	m.end = log_end;
	m.ready = true;
	receive(&m);
}

static uint64_t sent_through(void)
{
	struct paxos_message m;

	return next_to(PAXOS_SYNC, 3, &m) && m.n_entries > 0 ? m.slot + m.n_entries : 0;
}

/* The length of a chunk in entries, none of which was answered yet. */
static uint64_t chunk(void)
{
	struct paxos_message m;

	first_chunk();
	m = from_follower(PAXOS_SYNC_PROGRESS, 3, ballot, 0); /* all of it again */
	m.end = log_end;
	receive(&m);
	return sent_through();
}

static void test_rests(void)
{
	uint64_t length = chunk();
	uint64_t rest_ms;

	progress(5, length);
	is_u64(sent_through(), 0, "what took 5 ms is followed by a rest");
	rest_ms = paxos_next_deadline(core) - now_ms();
	ok(rest_ms >= 5 && rest_ms <= 100, "which is longer, not as long as 100 ms, and the next deadline");
	tick(now_ms() + rest_ms - 1);
	is_u64(sent_through(), 0, "a moment before its end nothing is sent");
	tick(now_ms() + 1);
	is_u64(sent_through(), 2 * length, "then the next chunk is");
	progress(90, 2 * length);
	is_u64(sent_through(), 0, "after one that took long");
	tick(now_ms() + 100);
	is_u64(sent_through(), 3 * length, "it rests no longer than 100 ms");
}

static void test_needed(void)
{
	uint64_t length = chunk();

	paxos_disconnected(core, 2, true);
	progress(5, length);
	is_u64(sent_through(), 2 * length, "with node 2 gone node 3 is waited for, and does not rest");
}

/* ... nor may a rest that has begun go on then. */
static void test_needed_while_it_rests(void)
{
	uint64_t length = chunk();

	progress(5, length);
	is_u64(sent_through(), 0, "node 3 rests");
	paxos_disconnected(core, 2, true);
	tick(now_ms() + 1);
	is_u64(sent_through(), 2 * length, "until node 2 is gone");
}

/* The round under way, as a node answers it that follows this one. */
static void heartbeat_reply(uint32_t node_id, bool accepting)
{
	struct paxos_message question;
	struct paxos_message m = from_follower(PAXOS_HEARTBEAT_REPLY, node_id, ballot, 0);

	if (!next_to(PAXOS_HEARTBEAT, node_id, &question))
		return;
	m.sequence = question.sequence;
	m.ballot = (struct paxos_ballot){0};
	m.followed = ballot;
	m.content = true;
	m.accepting = accepting;
	receive(&m);
}

/* Its log's disk is full: the next command waits for node 3. */
static void test_needed_because_another_accepts_nothing(void)
{
	uint64_t length = chunk();

	tick(now_ms() + 250);
	heartbeat_reply(2, false);
	progress(5, length);
	is_u64(sent_through(), 2 * length, "with node 2 not accepting node 3 is waited for");
}

/* ... though its connection is there still. */
static void test_needed_because_another_is_silent(void)
{
	uint64_t length = chunk();

	for (int rounds = 0; rounds < 5; rounds++)
	{
		tick(now_ms() + 250);
		heartbeat_reply(3, true);
	}
	is_u64(status().role, PAXOS_LEADER, "with node 3 it still has a quorum");
	progress(5, length);
	is_u64(sent_through(), 2 * length, "with node 2 silent node 3 is waited for");
}

/* Nobody looked between the end of the burst and its answer. */
static void test_answered_at_once(void)
{
	uint64_t length = chunk();
	struct paxos_message m = from_follower(PAXOS_SYNC_PROGRESS, 3, ballot, length);

	m.end = log_end;
	m.ready = true;
	receive(&m);
	is_u64(sent_through(), 0, "a burst that was answered before it was known to be one");
	is_u64(sent_through(), 0, "is followed by a rest, too");
}

static void test_log_that_grows(void)
{
	uint64_t length = chunk();
	struct paxos_message m;
	struct paxos_entry command;

	/* far more than a chunk has */
	for (uint64_t number = 1; number <= 200; number++)
	{
		m = from_follower(PAXOS_FORWARD, 2, ballot, 0);
		m.sequence = number;
		command = command_of(2, 1, number);
		m.entries = &command;
		m.n_entries = 1;
		receive(&m);
		sync_all();
		accepted(2, ballot, status().end);
	}
	ok(status().chosen >= log_end + 200, "the log grows meanwhile");
	progress(5, length);
	is_u64(sent_through(), 2 * length, "node 3 does not rest before it has been sent more than that");
}

/* A host that is told to call again at once, for ever, uses up a processor. */
static void deadline_is_ahead(const char *what)
{
	drop_messages();
	ok(paxos_next_deadline(core) > now_ms(), what);
}

static void test_trimmed_while_it_rests(void)
{
	uint64_t length = chunk();

	progress(5, length);
	is_u64(sent_through(), 0, "node 3 rests");
	paxos_applied(core, log_end);
	paxos_trimmed(core, log_end);
	ok(status().peers[2].behind, "what it lacks is trimmed meanwhile");
	tick(now_ms() + 100);
	deadline_is_ahead("when the rest is over there is nothing to send, and something to wait for");
}

/* Answers to an earlier connection were lost, and a part of what it has was sent again. */
static void test_answer_beyond_what_was_sent(void)
{
	uint64_t length = chunk();

	accepted(3, ballot, length);
	drop_messages();
	accepted(3, ballot, log_end);
	tick(now_ms() + 100);
	deadline_is_ahead("who turns out to have all is waited for no more");
}

int main(void)
{
	test_rests();
	test_trimmed_while_it_rests();
	test_answer_beyond_what_was_sent();
	test_needed();
	test_needed_while_it_rests();
	test_needed_because_another_accepts_nothing();
	test_needed_because_another_is_silent();
	test_answered_at_once();
	test_log_that_grows();
	free_node();
	return done();
}
