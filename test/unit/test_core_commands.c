/*
 * test_core_commands.c - commands and sessions as one core sees them: what a leader takes into its log from others,
 * when this node may propose, and which chosen entries tell it that a copy of it is alive (X).
 */
#include <string.h>

#include "lone_core.h"
#include "unit.h"

static struct paxos_message forward_of(uint32_t from, struct paxos_ballot ballot,
									   const struct paxos_entry *entries, uint32_t n_entries)
{
	struct paxos_message m = message(PAXOS_FORWARD, from, 0);

	m.ballot = ballot;
	m.sequence = 1;
	m.entries = entries;
	m.n_entries = n_entries;
	return m;
}

/* An OpenSession of node 1, kept until the fourth call after. */
static struct paxos_entry open_of(uint64_t run, uint64_t nonce, uint8_t store)
{
	static uint8_t bytes[4][OPEN_SESSION_ENTRY_BYTES];
	static unsigned calls;
	uint8_t *at = bytes[calls++ % 4];
	struct open_session open = {.node_id = 1, .store_id = {{store}}, .run = run, .nonce = nonce};

	open_session_encode(at, &open, 0);
	return (struct paxos_entry){at, OPEN_SESSION_ENTRY_BYTES};
}

/* ---------------------------------------------------------------- what a leader takes */

static bool refused_forward(struct paxos_ballot ballot, struct paxos_entry entry)
{
	struct paxos_message m = forward_of(2, ballot, &entry, 1);
	uint64_t end = status().end;

	return !receive(&m) && status().end == end;
}

static void test_what_an_origin_may_forward(void)
{
	struct paxos_ballot ballot;
	struct paxos_entry entry;
	struct paxos_message m;

	make_node(&fresh);
	ballot = lead();
	ok(refused_forward(ballot, command_of(3, 7, 1)), "a command of a third node is refused");
	ok(refused_forward(ballot, noop()), "a no-op, which is a leader's own");
	ok(refused_forward(ballot, command_of(2, 0, 1)), "a command without a session");
	ok(refused_forward(ballot, command_of(2, 7, 0)), "one without a number");
	entry = command_of(2, 7, 1);
	entry.length--;
	ok(refused_forward(ballot, entry), "one whose lengths don't agree");
	entry = command_of(2, 7, 1);
	m = forward_of(2, ballot, &entry, 1);
	ok(receive(&m) && status().end == 3 && disk.slots[3].length == entry.length,
	   "a sound one goes into the log");
	ok(next(PAXOS_FORWARD_REPLY, &m) && m.ready && m.to == 2, "and its origin is told its window (X4)");
}

static void test_forward_counts(void)
{
	struct paxos_ballot ballot;
	struct paxos_entry entry = command_of(2, 7, 1);
	struct paxos_message m;
	uint64_t granted;

	make_node(&fresh);
	ballot = lead();
	m = forward_of(2, ballot, NULL, 0);
	ok(receive(&m) && next(PAXOS_FORWARD_REPLY, &m), "a Forward without commands asks for the window");
	granted = m.bytes;
	is_u64(status().end, 2, "and appends nothing");
	m = forward_of(2, ballot, &entry, 1);
	receive(&m);
	m = forward_of(2, ballot, &entry, 1);
	ok(receive(&m) && status().end == 3, "a late copy is passed over: its bytes were received");
	m.bytes = 5000;
	receive(&m);
	m = forward_of(2, ballot, NULL, 0);
	m.sequence = 2;
	ok(receive(&m) && next(PAXOS_FORWARD_REPLY, &m) && m.sequence == 2, "a resend begins the counts anew");
	ok(m.bytes >= granted, "a grant never falls within one connection and ballot (X4)");
	m = forward_of(2, (struct paxos_ballot){ballot.round - 1, 0, 1}, &entry, 1);
	m.sequence = 3;
	ok(receive(&m) && next(PAXOS_FORWARD_REPLY, &m) && !m.ready, "at another ballot: not leader (X3)");
}

/* ---------------------------------------------------------------- whether this node may propose */

static void test_when_to_propose(void)
{
	static uint8_t bytes[200][LONE_ENTRY_MAX];
	struct paxos_event event;
	struct paxos_ballot ballot;
	struct paxos_message m;
	uint32_t proposed = 0;

	make_node(&fresh);
	ok(!paxos_can_propose(core, 100), "without a leader nothing can be proposed");
	ballot = lead();
	ok(!paxos_can_propose(core, 100), "nor before the session is open (X2)");
	accepted(2, ballot, 2);
	ok(next_event(PAXOS_EVENT_SESSION, &event) && event.number == 2, "its OpenSession is chosen in slot 2");
	for (; proposed < 100 && paxos_can_propose(core, ENTRY_HEADER_BYTES + 40); proposed++)
	{
		struct paxos_entry e = command_of(1, 0, 0);

		memcpy(bytes[proposed], e.bytes, e.length);
		paxos_propose(core, bytes[proposed], e.length);
		drain();
	}
	ok(proposed > 1 && proposed < 100, "a window bounds what is in flight (%u commands, X4)", proposed);
	paxos_abandon(core, proposed);
	m = from_follower(PAXOS_ACCEPTED, 2, ballot, status().end);
	sync_all();
	receive(&m);
	for (uint32_t i = 1; i <= proposed; i++)
		if (!next_event(PAXOS_EVENT_RESOLVED, &event) || event.number != i)
			proposed = 0;
	ok(proposed > 0, "all of them are resolved in order, an abandoned one too (X2)");
	ok(paxos_can_propose(core, 100), "which frees the window");
}

/* A fence on a number of this node's session, from another node: what is chosen after it may have no effect. */
static void test_number_given_up(void)
{
	static uint8_t commands[2][LONE_ENTRY_MAX];
	uint8_t bytes[LONE_ENTRY_MAX];
	struct fence fence = {.session = 2, .number = 2};
	struct paxos_entry entry = {bytes, (uint32_t) fence_size(0)};
	struct paxos_event event;
	struct paxos_ballot ballot;
	struct paxos_message m;

	make_node(&fresh);
	ballot = lead();
	accepted(2, ballot, 2);
	ok(next_event(PAXOS_EVENT_SESSION, &event) && event.number == 2, "this node's session is 2");
	for (int i = 0; i < 2; i++)
	{
		struct paxos_entry e = command_of(1, 0, 0);

		memcpy(commands[i], e.bytes, e.length);
		paxos_propose(core, commands[i], e.length);
		drain();
		if (i == 0)
		{
			fence_encode(bytes, 2, 0, &fence);
			entry_set_number(bytes, 9, 1);
			m = forward_of(2, ballot, &entry, 1);
			receive(&m);
		}
	}
	sync_all();
	m = from_follower(PAXOS_ACCEPTED, 2, ballot, status().end);
	is_u64(m.slot, 5, "a command, a fence on the next number, and that command");
	receive(&m);
	ok(next_event(PAXOS_EVENT_RESOLVED, &event) && event.number == 1 && !paxos_may_be_void(core),
	   "what is chosen before the fence takes effect");
	ok(next_event(PAXOS_EVENT_RESOLVED, &event) && event.number == 2 && paxos_may_be_void(core),
	   "what is chosen behind it may have none (O4)");
}

static void test_host_that_does_not_drain(void)
{
	static uint8_t bytes[20][LONE_ENTRY_MAX];
	struct paxos_event event;
	struct paxos_entry e = command_of(1, 0, 0);
	uint32_t proposed = 0;

	make_node(&fresh);
	accepted(2, lead(), 2);
	next_event(PAXOS_EVENT_SESSION, &event);
	for (; proposed < 20 && paxos_can_propose(core, e.length); proposed++)
	{
		memcpy(bytes[proposed], e.bytes, e.length);
		paxos_propose(core, bytes[proposed], e.length);
	}
	ok(proposed > 0 && proposed < 16, "with the outbox full nothing is proposed (%u commands)", proposed);
	drain();
	ok(disk.end == 2 + (uint64_t) proposed && paxos_can_propose(core, e.length), "drained, it goes on");
}

/* ---------------------------------------------------------------- what is chosen */

/* As follower of node 2, with these entries from slot 2 on chosen. */
static void chosen_behind(const struct paxos_entry *entries, uint32_t n_entries)
{
	struct paxos_message m;

	follow_leader();
	m = accept_of(1, entries, n_entries);
	m.chosen = 1 + n_entries;
	receive(&m);
	sync_all();
	drop_messages();
}

static bool fenced(void)
{
	struct paxos_event event;

	return next_event(PAXOS_EVENT_FENCED, &event) && status().role == PAXOS_FENCED;
}

static void test_sessions_of_copies(void)
{
	struct paxos_event event;
	struct paxos_entry entry = open_of(LONE_RUN + 1, 1, 1);

	chosen_behind(&entry, 1);
	ok(fenced(), "a later run of this node, chosen, fences it (X1)");
	entry = open_of(LONE_RUN, LONE_NONCE + 1, 1);
	chosen_behind(&entry, 1);
	ok(fenced(), "so does another nonce of its own run");
	entry = open_of(LONE_RUN + 1, 1, 9);
	chosen_behind(&entry, 1);
	ok(!fenced(), "another store under its number does not: that is another node");
	entry = open_of(LONE_RUN - 1, 1, 1);
	chosen_behind(&entry, 1);
	ok(!fenced() && status().session == 0, "an earlier life's session is not this one's");
	entry.length -= 4;
	chosen_behind(&entry, 1);
	ok(!fenced() && status().session == 0, "nor is what only looks like an OpenSession");
	entry = open_of(LONE_RUN + 1, 1, 1);
	entry_set_number((uint8_t *) entry.bytes, 0, 5);
	chosen_behind(&entry, 1);
	ok(!fenced() && status().session == 0, "nor one that is numbered, which none is");
	entry = open_of(LONE_RUN + 1, 1, 1);
	((uint8_t *) entry.bytes)[ENTRY_HEADER_BYTES] = 2;
	chosen_behind(&entry, 1);
	ok(!fenced() && status().session == 0, "nor one whose body is another node's");
	entry = open_of(LONE_RUN, LONE_NONCE, 1);
	chosen_behind(&entry, 1);
	ok(next_event(PAXOS_EVENT_SESSION, &event) && event.number == 2,
	   "its own opens the session, named by the slot");
}

static void test_commands_of_copies(void)
{
	struct paxos_entry entries[3] = {open_of(LONE_RUN, LONE_NONCE, 1), command_of(1, 1, 4),
									 command_of(1, 2, 4)};
	struct paxos_event event;

	chosen_behind(entries, 2);
	ok(!fenced() && status().session == 2, "a command of another session of this node is passed over");
	chosen_behind(entries, 3);
	ok(fenced(), "a number of its own session that this run never gave fences it");
	entries[1] = open_of(LONE_RUN, LONE_NONCE, 1);
	chosen_behind(entries, 2);
	ok(next_event(PAXOS_EVENT_SESSION, &event) && event.number == 2 && !fenced() && status().session == 2,
	   "its OpenSession again, a duplicate, changes nothing");
}

/* X1 while it leads: the role ends with it. */
static void test_fenced_leader(void)
{
	struct paxos_ballot ballot;
	struct paxos_message m = message(PAXOS_FENCE, 2, 0);

	make_node(&fresh);
	ballot = lead();
	m.named_run = LONE_RUN;
	receive(&m);
	ok(fenced() && !paxos_next_message(core, &m) && status().leader_id == 0,
	   "a fenced leader leads no more and sends nothing");
	accepted(2, ballot, 1);
	is_u64(status().chosen, 0, "and chooses nothing");
}

/* Where the database is behind the log's first slot, the table that comes will hold those slots. */
static void test_scan_begins_with_the_log(void)
{
	struct paxos_durable_state state = {
		.promise = {3, 0, 2}, .accepted = {3, 0, 2}, .first_slot = 5, .end = 5, .applied = 2};
	struct paxos_event event;
	struct paxos_message m;

	make_node(&state);
	disk.slots[5] = open_of(LONE_RUN, LONE_NONCE, 1);
	m = accept_of(5, NULL, 0);
	m.chosen = 5;
	receive(&m);
	ok(next_event(PAXOS_EVENT_SESSION, &event) && event.number == 5,
	   "slots before the log's first are passed over, its own are folded");
}

int main(void)
{
	test_what_an_origin_may_forward();
	test_forward_counts();
	test_when_to_propose();
	test_number_given_up();
	test_host_that_does_not_drain();
	test_sessions_of_copies();
	test_commands_of_copies();
	test_fenced_leader();
	test_scan_begins_with_the_log();
	free_node();
	return done();
}
