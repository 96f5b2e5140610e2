/*
 * test_outcome.c - O1 to O5: verdicts on request ids, fences, names of commands, what counts in the state hash.
 */
#include "paxos/outcome.h"

#include <stdio.h>
#include <string.h>

#include "paxos/session.h"
#include "unit.h"

static const struct state_hash one = {1, 1};
static const struct state_hash two = {1, 2};

static void test_verdicts(void)
{
	struct remembered command = {.kind = REMEMBERED_COMMAND, .slot = 90, .digest = one};
	struct remembered given_up = {.kind = REMEMBERED_GIVEN_UP};
	struct remembered unknown = {.kind = REMEMBERED_GIVEN_UP_UNKNOWN};

	is_u64(request_judge(NULL, one, 0, 0), REQUEST_EXECUTE, "a new id");
	is_u64(request_judge(NULL, one, 80, 80), REQUEST_EXECUTE, "looked up when the newest was dropped");
	is_u64(request_judge(NULL, one, 79, 80), REQUEST_TOO_OLD, "looked up before that (O3)");
	is_u64(request_judge(&command, one, 0, 0), REQUEST_REPEATED, "the same command again");
	is_u64(request_judge(&command, one, 79, 80), REQUEST_REPEATED, "however old it is");
	is_u64(request_judge(&command, two, 0, 0), REQUEST_CONFLICT, "another command under it (O1)");
	is_u64(request_judge(&given_up, one, 0, 0), REQUEST_GIVEN_UP, "a fenced one (O4)");
	is_u64(request_judge(&unknown, one, 0, 0), REQUEST_GIVEN_UP, "one fenced when some had been dropped");
	ok(!request_voids_number(REQUEST_EXECUTE) && !request_voids_number(REQUEST_REPEATED) &&
		   request_voids_number(REQUEST_CONFLICT) && request_voids_number(REQUEST_GIVEN_UP) &&
		   request_voids_number(REQUEST_TOO_OLD),
	   "which of them leave their number void");
	is_u64(fence_kind(0), REMEMBERED_GIVEN_UP, "nothing was dropped: not applied");
	is_u64(fence_kind(1), REMEMBERED_GIVEN_UP_UNKNOWN, "something was: unknown (O5)");
}

static bool parses(const char *name, uint64_t session, uint64_t number)
{
	uint64_t s;
	uint64_t n;

	return parse_command_name(name, (uint32_t) strlen(name), &s, &n) && s == session && n == number;
}

static bool is_no_name(const char *name)
{
	uint64_t s;
	uint64_t n;

	return !parse_command_name(name, (uint32_t) strlen(name), &s, &n);
}

static void test_names(void)
{
	static const char *const others[] = {
		"",     "s",     "s1",    "s1-",   "s-1",   "S1-2",  "s1-2 ",
		"s0-1", "s1-0",  "s01-2", "s1-02", "1-2",   "s1_2",  "s1-2-3",
		"x",    "s1 -2", "s+1-2", "s1--2", "s1-2x", "sx1-2", "s18446744073709551616-1"};
	char name[COMMAND_NAME_MAX];

	command_name(12, 345, name);
	ok(strcmp(name, "s12-345") == 0, "a name");
	ok(parses(name, 12, 345), "comes back");
	command_name(UINT64_MAX, UINT64_MAX, name);
	ok(strcmp(name, "s18446744073709551615-18446744073709551615") == 0, "the longest");
	ok(parses(name, UINT64_MAX, UINT64_MAX), "comes back");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ok(is_no_name(others[i]), "\"%s\" is none", others[i]);
}

static struct paxos_entry put(uint8_t *bytes, const char *request_id, const char *value, int64_t clock)
{
	struct operation operation = {.kind = OPERATION_PUT,
								  .value_kind = VALUE_TEXT,
								  .partition = "p",
								  .partition_length = 1,
								  .key = "k",
								  .key_length = 1,
								  .value = value,
								  .value_length = (uint32_t) strlen(value)};
	uint32_t length = (uint32_t) strlen(request_id);

	command_encode(bytes, (uint32_t) clock, (uint64_t) clock, clock, request_id, length, &operation, 1);
	return (struct paxos_entry){bytes, (uint32_t) command_size(length, &operation, 1)};
}

static bool same_hash(struct state_hash a, struct state_hash b)
{
	return a.low == b.low && a.high == b.high;
}

static void test_digest(void)
{
	uint8_t a[256];
	uint8_t b[256];
	struct paxos_entry first = put(a, "id", "green", 1);
	struct paxos_entry again = put(b, "id", "green", 2);

	ok(same_hash(command_digest(&first), command_digest(&again)),
	   "the same from another node, at another time");
	again = put(b, "other id", "green", 1);
	ok(same_hash(command_digest(&first), command_digest(&again)), "and under another id");
	again = put(b, "id", "greem", 1);
	ok(!same_hash(command_digest(&first), command_digest(&again)), "another value is another command");
}

static void test_hashes(void)
{
	struct remembered r = {.request_id = "id",
						   .request_id_length = 2,
						   .kind = REMEMBERED_COMMAND,
						   .slot = 5,
						   .digest = one,
						   .details = "abc",
						   .details_length = 3};
	struct state_hash hash = remembered_hash(&r);
	struct remembered other = r;

	other.slot = 6;
	ok(!same_hash(hash, remembered_hash(&other)), "a slot counts");
	other = r;
	other.kind = REMEMBERED_GIVEN_UP;
	ok(!same_hash(hash, remembered_hash(&other)), "a kind");
	other = r;
	other.digest = two;
	ok(!same_hash(hash, remembered_hash(&other)), "a digest");
	other = r;
	other.succeeded = true;
	ok(!same_hash(hash, remembered_hash(&other)), "a verdict");
	other = r;
	other.details_lost = true;
	ok(!same_hash(hash, remembered_hash(&other)), "that details were lost");
	other = r;
	other.rows_removed = 1;
	ok(!same_hash(hash, remembered_hash(&other)), "a count");
	other = r;
	other.details = "abd";
	ok(!same_hash(hash, remembered_hash(&other)), "details");
	other = r;
	other.request_id = "ie";
	ok(!same_hash(hash, remembered_hash(&other)), "an id");
	ok(!same_hash(void_number_hash(1, 2), void_number_hash(2, 1)), "void numbers");
	ok(!same_hash(closed_session_hash(1, 2, 3), closed_session_hash(1, 3, 2)), "closed sessions");
	ok(!same_hash(void_number_hash(1, 2), state_hash_bytes(9, "", 0)), "kinds of bytes");
}

static void test_fence_entries(void)
{
	uint8_t bytes[512];
	struct fence fence = {.session = 7, .number = 9};
	struct paxos_entry entry = {bytes, (uint32_t) fence_size(0)};
	struct fence back;
	const char *what;

	fence_encode(bytes, 3, 44, &fence);
	is_u64(entry_check(&entry, &what), DECODE_OK, "a fence of a number");
	ok(fence_decode(&entry, &back) == DECODE_OK && back.session == 7 && back.number == 9 &&
		   back.request_id_length == 0,
	   "comes back");
	bytes[ENTRY_HEADER_BYTES + 8] = 0;
	is_u64(entry_check(&entry, &what), DECODE_MALFORMED, "number 0");
	fence = (struct fence){.request_id = "mine", .request_id_length = 4};
	entry.length = (uint32_t) fence_size(4);
	fence_encode(bytes, 3, 44, &fence);
	ok(fence_decode(&entry, &back) == DECODE_OK && back.session == 0 && back.request_id_length == 4 &&
		   memcmp(back.request_id, "mine", 4) == 0,
	   "a fence of an id");
	bytes[ENTRY_HEADER_BYTES] = 1;
	is_u64(entry_check(&entry, &what), DECODE_MALFORMED, "both");
	fence = (struct fence){.session = 0};
	entry.length = (uint32_t) fence_size(0);
	fence_encode(bytes, 3, 44, &fence);
	is_u64(entry_check(&entry, &what), DECODE_MALFORMED, "neither");
	bytes[ENTRY_HEADER_BYTES + 16] = 1;
	is_u64(entry_check(&entry, &what), DECODE_MALFORMED, "an id beyond its end");
	noop_encode(bytes, 1);
	entry.length = ENTRY_HEADER_BYTES;
	is_u64(fence_decode(&entry, &back), DECODE_UNKNOWN, "another entry");
}

/* ---------------------------------------------------------------- O4 in the table of sessions */

static struct paxos_config config = {.epoch = 1, .n_members = 1, .members = {{.node_id = 1}}};

static enum session_verdict open_run(struct session_table *table, uint64_t slot, uint64_t run)
{
	uint8_t bytes[OPEN_SESSION_ENTRY_BYTES];
	struct open_session open = {.node_id = 1, .run = run, .nonce = run};
	struct paxos_entry entry = {bytes, sizeof(bytes)};

	open_session_encode(bytes, &open, 0);
	return session_fold(table, &config, slot, &entry);
}

static enum session_verdict fence_numbered(struct session_table *table, uint64_t session, uint64_t number)
{
	uint8_t bytes[512];
	struct fence fence = {.session = 1000, .number = 1};
	struct paxos_entry entry = {bytes, (uint32_t) fence_size(0)};

	fence_encode(bytes, 1, 0, &fence);
	entry_set_number(bytes, session, number);
	return session_fold(table, &config, 50, &entry);
}

static void test_sessions(void)
{
	struct session_table table = {0};
	struct session closed;

	open_run(&table, 10, 1);
	is_u64(fence_numbered(&table, 10, 1), SESSION_APPLY, "a fence has a number of its own");
	is_u64(session_find(&table, 10)->last_number, 1, "which it consumes");
	ok(!session_void_number(&table, 10, 1), "a number consumed can't be given up");
	ok(!session_find(&table, 10)->has_void, "... and nothing is void");
	ok(session_void_number(&table, 10, 3), "a later one can");
	ok(session_find(&table, 10)->has_void, "... the session has void numbers");
	is_u64(session_find(&table, 10)->last_number, 1, "... and its last number did not move");
	ok(!session_void_number(&table, 11, 3), "none of an unknown session");
	ok(session_void_number(&table, 10, 1 + SESSION_UNRESOLVED_MAX),
	   "the last one that can have been handed out");
	ok(!session_void_number(&table, 10, 2 + SESSION_UNRESOLVED_MAX), "none further ahead");
	ok(!session_void_number(&table, 10, UINT64_MAX), "... however far");
	ok(!session_take_closed(&table, &closed), "nothing is closed");
	open_run(&table, 20, 2);
	ok(!session_void_number(&table, 10, 9), "none of a closed one");
	ok(session_take_closed(&table, &closed) && closed.session == 10 && closed.last_number == 1,
	   "a closed session is taken");
	ok(table.n == 1 && session_find(&table, 20)->open, "the open one stays");
	ok(!session_take_closed(&table, &closed), "and that was all");
	session_mark_void(&table, 20);
	ok(session_find(&table, 20)->has_void, "a number without effect is void");
}

int main(void)
{
	test_verdicts();
	test_names();
	test_digest();
	test_hashes();
	test_fence_entries();
	test_sessions();
	return done();
}
