/*
 * test_session.c - X1 and X5: which commands take effect.
 */
#include "paxos/session.h"

#include <string.h>

#include "unit.h"

static struct paxos_config config;
static struct session_table table;

/* Members: 1 and 2 voters, 3 a learner; node n has store n. */
static void start(void)
{
	memset(&table, 0, sizeof(table));
	memset(&config, 0, sizeof(config));
	config.epoch = 1;
	config.n_members = 3;
	for (uint32_t i = 0; i < 3; i++)
	{
		config.members[i].node_id = i + 1;
		config.members[i].store_id.bytes[0] = (uint8_t) (i + 1);
	}
	config.members[2].learner = true;
}

static enum session_verdict open_at(uint64_t slot, uint32_t node_id, uint8_t store, uint64_t run,
									uint64_t nonce)
{
	struct open_session open = {node_id, {{store}}, run, nonce};
	uint8_t bytes[OPEN_SESSION_ENTRY_BYTES];
	struct paxos_entry entry = {bytes, sizeof(bytes)};

	open_session_encode(bytes, &open, 0);
	return session_fold(&table, &config, slot, &entry);
}

static enum session_verdict command_at(uint64_t slot, uint64_t session, uint64_t number)
{
	struct operation put = {
		.kind = OPERATION_PUT, .value_kind = VALUE_TEXT, .partition = "", .key = "", .value = ""};
	uint8_t bytes[128];
	struct paxos_entry entry = {bytes, (uint32_t) command_size(0, &put, 1)};

	command_encode(bytes, 1, 0, 0, NULL, 0, &put, 1);
	entry_set_number(bytes, session, number);
	return session_fold(&table, &config, slot, &entry);
}

static void test_numbers(void)
{
	start();
	is_u64(command_at(1, 10, 1), SESSION_CLOSED, "a command of a session that nobody opened has no effect");
	is_u64(open_at(10, 1, 1, 1, 99), SESSION_OPENED, "a member opens a session");
	is_u64(command_at(11, 10, 2), SESSION_GAP, "its second command without the first is a gap");
	is_u64(command_at(12, 10, 1), SESSION_APPLY, "the first is executed");
	is_u64(command_at(13, 10, 1), SESSION_DUPLICATE, "once");
	is_u64(command_at(14, 10, 2), SESSION_APPLY, "then the second");
	is_u64(command_at(15, 10, 1), SESSION_DUPLICATE, "the first is still a duplicate");
	is_u64(command_at(16, 10, 4), SESSION_GAP, "the fourth is a gap");
	is_u64(command_at(17, 10, UINT64_MAX), SESSION_GAP, "so is the last that there can be");
	is_u64(command_at(18, 10, 0), SESSION_DUPLICATE, "a number 0 has no effect");
	is_u64(session_find(&table, 10)->last_number, 2, "gaps and duplicates consume nothing");
	table.sessions[0].last_number = UINT64_MAX;
	is_u64(command_at(19, 10, UINT64_MAX), SESSION_DUPLICATE, "numbers don't wrap");
	is_u64(command_at(20, 10, 0), SESSION_DUPLICATE, "nor at zero");
}

static void test_runs(void)
{
	start();
	is_u64(open_at(5, 1, 1, 3, 7), SESSION_OPENED, "run 3 opens");
	is_u64(command_at(6, 5, 1), SESSION_APPLY, "and writes");
	is_u64(open_at(7, 1, 1, 3, 7), SESSION_IGNORED, "the same run and nonce is a duplicate");
	ok(session_find(&table, 5)->open && session_find(&table, 5)->last_number == 1, "which changes nothing");
	is_u64(open_at(8, 1, 1, 3, 8), SESSION_IGNORED, "another nonce of the run has no effect");
	is_u64(open_at(9, 1, 1, 2, 9), SESSION_IGNORED, "nor has an earlier run");
	is_u64(open_at(10, 1, 1, 4, 10), SESSION_OPENED, "a later run opens");
	ok(!session_find(&table, 5)->open, "and closes the earlier session");
	is_u64(command_at(11, 5, 2), SESSION_CLOSED, "whose commands have no effect any more");
	is_u64(command_at(12, 10, 1), SESSION_APPLY, "while the later one starts at 1");
	is_u64(session_find(&table, 5)->last_number, 1, "the closed session still tells its last number");
	is_u64(open_at(13, 1, 1, 3, 7), SESSION_IGNORED, "a late copy of the earlier opening has no effect");
}

static void test_members(void)
{
	start();
	is_u64(open_at(1, 3, 3, 1, 1), SESSION_OPENED, "a learner opens a session");
	is_u64(open_at(2, 4, 4, 1, 1), SESSION_IGNORED, "a stranger does not");
	is_u64(open_at(3, 1, 9, 1, 1), SESSION_IGNORED, "nor does another store under a member's id");
	is_u64(open_at(4, 2, 1, 1, 1), SESSION_IGNORED, "nor a member's store under another id");
	is_u64(open_at(5, 1, 1, 1, 1), SESSION_OPENED, "a voter does");
	ok(session_find(&table, 1)->open, "and another member's session stays open");
	is_u64(table.n, 2, "what has no effect is not kept");
	config.members[0].store_id.bytes[0] = 9;
	is_u64(open_at(6, 1, 9, 1, 1), SESSION_OPENED, "a new pair has runs of its own");
	ok(session_find(&table, 5)->open, "and closes no other pair's session");
}

static void test_full(void)
{
	uint64_t slot = 1;
	bool in_order = true;

	start();
	open_at(slot++, 2, 2, 1, 1);
	for (uint64_t run = 1; run < SESSION_TABLE_MAX; run++)
		open_at(slot++, 1, 1, run, run);
	is_u64(table.n, SESSION_TABLE_MAX, "the table is full");
	is_u64(open_at(slot, 1, 1, 1000, 1), SESSION_OPENED, "one more opens");
	is_u64(table.n, SESSION_TABLE_MAX, "in the place of one");
	ok(session_find(&table, 2) == NULL, "the oldest closed one, which is forgotten");
	ok(session_find(&table, 1) != NULL && session_find(&table, 1)->open, "not the open one before it");
	ok(session_find(&table, 3) != NULL, "nor the next");
	ok(session_find(&table, slot)->run == 1000 && session_find(&table, slot)->last_number == 0,
	   "the new one is there");
	is_u64(command_at(slot + 1, 2, 1), SESSION_CLOSED, "a forgotten session's command has no effect");
	for (uint32_t i = 1; i < table.n; i++)
		in_order = in_order && table.sessions[i - 1].session < table.sessions[i].session;
	ok(in_order, "sessions lie in the order of their slots");

	/* Pairs that are members no more and never closed their sessions. */
	start();
	for (slot = 1; slot <= SESSION_TABLE_MAX; slot++)
	{
		config.members[0].store_id.bytes[0] = (uint8_t) (100 + slot);
		open_at(slot, 1, (uint8_t) (100 + slot), 1, 1);
	}
	config.members[0].store_id.bytes[0] = 101;
	is_u64(open_at(slot, 2, 2, 1, 1), SESSION_OPENED, "a table full of open sessions takes one more");
	ok(session_find(&table, 1) != NULL && session_find(&table, 2) == NULL,
	   "in the place of the oldest that is no member's latest");
}

static void test_others(void)
{
	uint8_t bytes[ENTRY_HEADER_BYTES];
	struct paxos_entry entry = {bytes, sizeof(bytes)};
	struct session_table before;

	start();
	open_at(1, 1, 1, 1, 1);
	before = table;
	noop_encode(bytes, 1);
	is_u64(session_fold(&table, &config, 2, &entry), SESSION_IGNORED, "a no-op changes nothing");
	entry.length = 3;
	is_u64(session_fold(&table, &config, 3, &entry), SESSION_IGNORED, "nor do bytes that are no entry");
	ok(memcmp(&before, &table, sizeof(table)) == 0, "nothing at all");
}

int main(void)
{
	test_numbers();
	test_runs();
	test_members();
	test_full();
	test_others();
	return done();
}
