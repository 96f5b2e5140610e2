/*
 * test_command.c - entries to bytes and back: the format as documented, every limit, every refusal (T4).
 */
#include "paxos/command.h"

#include <stdlib.h>
#include <string.h>

#include "paxos/bytes.h"
#include "unit.h"

#define OP_START (ENTRY_HEADER_BYTES + 3) /* the first operation, without a request id */

static uint8_t buffer[1 << 20];

static struct operation operation_of(uint8_t kind, const char *partition, const char *key, const char *value)
{
	struct operation operation = {
		.kind = kind,
		.value_kind = value ? VALUE_TEXT : VALUE_NONE,
		.partition_length = (uint16_t) strlen(partition),
		.key_length = (uint32_t) strlen(key),
		.value_length = value ? (uint32_t) strlen(value) : 0,
		.partition = partition,
		.key = key,
		.value = value,
	};

	return operation;
}

static struct paxos_entry command_of(const struct operation *operations, uint32_t n, const char *request_id)
{
	uint32_t id_length = (uint32_t) strlen(request_id);
	struct paxos_entry entry = {buffer, (uint32_t) command_size(id_length, operations, n)};

	command_encode(buffer, 3, 77, 1700000000000000, request_id, id_length, operations, n);
	return entry;
}

static struct paxos_entry put_command(void)
{
	struct operation put = operation_of(OPERATION_PUT, "p", "key", "value");

	return command_of(&put, 1, "");
}

static bool equals(const char *bytes, uint32_t length, const char *expected)
{
	return length == strlen(expected) && memcmp(bytes, expected, length) == 0;
}

static void test_header(void)
{
	struct entry_header header = {ENTRY_VERSION, ENTRY_NOOP, 0x1234, 0, 5, 6, 7, -8, 9}, back;
	uint8_t bytes[ENTRY_HEADER_BYTES + 1] = {0};
	struct paxos_entry entry = {bytes, ENTRY_HEADER_BYTES};

	entry_encode_header(bytes, &header);
	ok(entry_decode_header(&entry, &back), "a header decodes");
	ok(back.version == 1 && back.kind == ENTRY_NOOP && back.features == 0x1234 && back.session == 5 &&
		   back.number == 6 && back.stamp == 7 && back.origin_time_us == -8 && back.node_id == 9,
	   "with every field");
	ok(bytes[2] == 0x34 && bytes[3] == 0x12 && bytes[8] == 5 && bytes[40] == 9,
	   "little-endian, where documented");
	entry_set_number(bytes, UINT64_C(0x0102030405060708), 10);
	ok(entry_decode_header(&entry, &back) && back.session == UINT64_C(0x0102030405060708) &&
		   back.number == 10 && back.stamp == 7,
	   "numbering changes session and number only");
	entry.length = ENTRY_HEADER_BYTES - 1;
	ok(!entry_decode_header(&entry, &back), "too short for a header");
	entry.length = ENTRY_HEADER_BYTES + 1;
	ok(!entry_decode_header(&entry, &back), "longer than its header says");
	entry = (struct paxos_entry){NULL, 0};
	ok(!entry_decode_header(&entry, &back), "nothing at all");
	entry = (struct paxos_entry){bytes, PAXOS_MAX_ENTRY_BYTES + 1};
	ok(!entry_decode_header(&entry, &back), "longer than any entry may be");
}

static void test_round_trip(void)
{
	struct operation operations[] = {
		operation_of(OPERATION_PUT, "part", "one", "first"),
		operation_of(OPERATION_PUT, "", "two", ""),
		operation_of(OPERATION_DELETE, "part", "three", NULL),
		operation_of(OPERATION_CLEAR, "part", "", NULL),
		operation_of(OPERATION_CLEAR_ALL, "", "cluster", NULL),
	};
	struct paxos_entry entry = command_of(operations, 5, "request");
	struct command_reader reader;
	struct operation operation;
	const char *what;

	is_u64(entry_check(&entry, &what), DECODE_OK, "a command of every kind of operation passes the check");
	is_u64(command_open(&reader, &entry), DECODE_OK, "and opens");
	is_u64(reader.n_operations, 5, "with its number of operations");
	ok(equals(reader.request_id, reader.request_id_length, "request"), "with its request id");
	ok(reader.header.node_id == 3 && reader.header.stamp == 77 && reader.header.session == 0 &&
		   reader.header.origin_time_us == 1700000000000000,
	   "with its header");
	for (int i = 0; i < 5; i++)
	{
		ok(command_next(&reader, &operation) == DECODE_OK && operation.kind == operations[i].kind &&
			   operation.value_kind == operations[i].value_kind &&
			   operation.partition_length == operations[i].partition_length &&
			   memcmp(operation.partition, operations[i].partition, operation.partition_length) == 0 &&
			   equals(operation.key, operation.key_length, operations[i].key) &&
			   equals(operation.value, operation.value_length,
					  operations[i].value ? operations[i].value : ""),
		   "operation %d comes back", i + 1);
	}
	is_u64(command_next(&reader, &operation), DECODE_END, "then the end");
	is_u64(command_next(&reader, &operation), DECODE_END, "and again the end");
	command_of(operations, 5, "");
	is_u64(get_u64(buffer + 24), 0, "without a request id there is no stamp");
}

static void test_sizes(void)
{
	struct operation put = operation_of(OPERATION_PUT, "", "", "");
	static struct operation many[COMMAND_OPERATIONS_MAX];

	is_u64(command_size(0, &put, 1), ENTRY_HEADER_BYTES + 3 + 22, "an empty put");
	is_u64(command_size(255, &put, 1), ENTRY_HEADER_BYTES + 3 + 255 + 22, "the longest request id");
	is_u64(command_size(256, &put, 1), 0, "one byte more is refused");
	is_u64(command_size(0, &put, 0), 0, "no operations are refused");
	for (int i = 0; i < COMMAND_OPERATIONS_MAX; i++)
		many[i] = put;
	is_u64(command_size(0, many, COMMAND_OPERATIONS_MAX), ENTRY_HEADER_BYTES + 3 + 22 * 65535,
		   "most operations");
	is_u64(command_size(0, many, COMMAND_OPERATIONS_MAX + 1), 0, "one more is refused");
	put.partition_length = 24;
	put.key_length = 1000;
	ok(command_size(0, &put, 1) > 0, "partition and key of 1024 bytes");
	put.key_length++;
	is_u64(command_size(0, &put, 1), 0, "one byte more is refused");
	put.key_length = UINT32_MAX;
	is_u64(command_size(0, &put, 1), 0, "a key of 2^32 - 1 bytes is refused");
	put = operation_of(OPERATION_PUT, "", "", "");
	put.value_length = PAXOS_MAX_ENTRY_BYTES - ENTRY_HEADER_BYTES - 3 - 22;
	is_u64(command_size(0, &put, 1), PAXOS_MAX_ENTRY_BYTES, "the largest entry");
	put.value_length++;
	is_u64(command_size(0, &put, 1), 0, "one byte more is refused");
	many[0].value_length = many[1].value_length = many[2].value_length = many[3].value_length = UINT32_MAX;
	is_u64(command_size(0, many, 4), 0, "sums beyond 32 bits are refused");
}

/* Expects what entry_check() and the reader say of the bytes. */
static void expect(struct paxos_entry entry, enum decode_result expected, const char *story)
{
	struct command_reader reader;
	struct operation operation;
	enum decode_result by_reader;
	const char *what = NULL;
	enum decode_result by_check = entry_check(&entry, &what);

	ok(by_check == expected && what != NULL && (expected == DECODE_OK || strlen(what) > 10), "%s: %s", story,
	   what);
	if (entry.length < ENTRY_HEADER_BYTES || entry.bytes[1] != ENTRY_COMMAND)
		return;
	by_reader = command_open(&reader, &entry);
	while (by_reader == DECODE_OK)
		by_reader = command_next(&reader, &operation);
	ok((by_reader == DECODE_END ? DECODE_OK : by_reader) == expected, "%s: by the reader too", story);
	ok(command_next(&reader, &operation) != DECODE_OK, "%s: and the reader goes no further", story);
}

static void expect_byte(uint32_t at, uint8_t value, enum decode_result expected, const char *story)
{
	struct paxos_entry entry = put_command();

	buffer[at] = value;
	expect(entry, expected, story);
}

static void test_unknown(void)
{
	expect(put_command(), DECODE_OK, "a put");
	expect_byte(0, 2, DECODE_UNKNOWN, "version 2");
	expect_byte(0, 0, DECODE_UNKNOWN, "version 0");
	expect_byte(2, 1, DECODE_UNKNOWN, "feature bit 0");
	expect_byte(3, 0x80, DECODE_UNKNOWN, "feature bit 15");
	expect_byte(44, 1, DECODE_UNKNOWN, "a field where zero is");
	expect_byte(1, 0, DECODE_UNKNOWN, "entry kind 0");
	expect_byte(1, 6, DECODE_UNKNOWN, "entry kind 6");
	expect_byte(1, ENTRY_STOP_SIGN, DECODE_UNKNOWN, "a stop sign");
	expect_byte(1, ENTRY_FENCE, DECODE_MALFORMED, "a fence that is none");
	expect_byte(OP_START + 4, 0, DECODE_UNKNOWN, "operation kind 0");
	expect_byte(OP_START + 4, 7, DECODE_UNKNOWN, "operation kind 7");
	expect_byte(OP_START + 5, 2, DECODE_UNKNOWN, "value kind 2");
	expect_byte(OP_START + 6, 6, DECODE_UNKNOWN, "precondition 6");
	expect_byte(OP_START + 7, 3, DECODE_UNKNOWN, "branch 3");
}

static void test_malformed(void)
{
	struct paxos_entry entry;
	struct operation operation;

	expect_byte(ENTRY_HEADER_BYTES, 255, DECODE_MALFORMED, "a request id longer than the entry");
	expect_byte(ENTRY_HEADER_BYTES + 1, 0, DECODE_MALFORMED, "no operations");
	expect_byte(ENTRY_HEADER_BYTES + 1, 2, DECODE_MALFORMED, "fewer operations than announced");
	expect_byte(OP_START, 26, DECODE_MALFORMED, "an operation shorter than its parts");
	expect_byte(OP_START, 28, DECODE_MALFORMED, "an operation longer than the entry");
	expect_byte(OP_START + 3, 255, DECODE_MALFORMED, "an operation of 4 GB");
	expect_byte(OP_START + 13, 255, DECODE_MALFORMED, "a key of 4 GB");
	expect_byte(OP_START + 17, 255, DECODE_MALFORMED, "a value of 4 GB");
	expect_byte(OP_START + 21, 255, DECODE_MALFORMED, "an operand of 4 GB");
	expect_byte(OP_START + 5, VALUE_NONE, DECODE_MALFORMED, "a put without a value");

	/* The four lengths wrap around 2^32 to what would fit: partition 1, key 3 + 2^31, value 5 + 2^31. */
	entry = put_command();
	put_u32(buffer + OP_START + 10, 3u + 0x80000000u);
	put_u32(buffer + OP_START + 14, 5u + 0x80000000u);
	expect(entry, DECODE_MALFORMED, "lengths whose sum wraps");

	entry = put_command();
	buffer[entry.length++] = 0;
	put_u32(buffer + 4, entry.length - ENTRY_HEADER_BYTES);
	expect(entry, DECODE_MALFORMED, "a byte behind the last operation");
	entry = put_command();
	entry.length--;
	expect(entry, DECODE_MALFORMED, "a header that says one byte more");
	put_u32(buffer + 4, entry.length - ENTRY_HEADER_BYTES);
	expect(entry, DECODE_MALFORMED, "an entry cut off in its last operation");
	entry.length = ENTRY_HEADER_BYTES + 2;
	put_u32(buffer + 4, 2);
	expect(entry, DECODE_MALFORMED, "a body of two bytes");
	entry.length = ENTRY_HEADER_BYTES;
	put_u32(buffer + 4, 0);
	expect(entry, DECODE_MALFORMED, "a command without a body");

	operation = operation_of(OPERATION_DELETE, "p", "k", "value");
	expect(command_of(&operation, 1, ""), DECODE_MALFORMED, "a delete with a value");
	operation.value_kind = VALUE_NONE;
	expect(command_of(&operation, 1, ""), DECODE_MALFORMED, "a delete with a value's bytes");
	operation = operation_of(OPERATION_CLEAR, "p", "k", NULL);
	expect(command_of(&operation, 1, ""), DECODE_MALFORMED, "a clear with a key");
	operation = operation_of(OPERATION_CLEAR_ALL, "p", "cluster", NULL);
	expect(command_of(&operation, 1, ""), DECODE_MALFORMED, "a clear of all with a partition");
	operation = operation_of(OPERATION_PUT, "p", "k", "v");
	operation.operand = "1";
	operation.operand_length = 1;
	expect(command_of(&operation, 1, ""), DECODE_MALFORMED, "an operand without a precondition");
}

/* A partition and key of 1025 bytes, which command_size() would not have let be made. */
static void test_long_key(void)
{
	static char key[COMMAND_KEY_BYTES_MAX + 1];
	struct operation put = operation_of(OPERATION_PUT, "p", "", "v");
	struct paxos_entry entry;

	memset(key, 'k', sizeof(key));
	put.key = key;
	put.key_length = COMMAND_KEY_BYTES_MAX - 1;
	entry = command_of(&put, 1, "");
	expect(entry, DECODE_OK, "a key as long as may be");
	put.key_length++;
	command_encode(buffer, 3, 0, 0, NULL, 0, &put, 1);
	entry.length++;
	expect(entry, DECODE_MALFORMED, "a key one byte longer");
}

static void test_other_kinds(void)
{
	struct open_session open = {7, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}}, 21, 22}, back;
	struct paxos_entry entry = {buffer, OPEN_SESSION_ENTRY_BYTES};
	struct command_reader reader;

	open_session_encode(buffer, &open, 5);
	expect(entry, DECODE_OK, "an OpenSession");
	ok(open_session_decode(&entry, &back) == DECODE_OK && back.node_id == 7 && back.run == 21 &&
		   back.nonce == 22 && memcmp(&back.store_id, &open.store_id, sizeof(back.store_id)) == 0,
	   "it comes back");
	is_u64(command_open(&reader, &entry), DECODE_UNKNOWN, "it is no command");
	entry_set_number(buffer, 1, 1);
	expect(entry, DECODE_MALFORMED, "a numbered OpenSession");
	open_session_encode(buffer, &open, 5);
	entry.length--;
	put_u32(buffer + 4, entry.length - ENTRY_HEADER_BYTES);
	expect(entry, DECODE_MALFORMED, "an OpenSession cut short");
	entry = put_command();
	is_u64(open_session_decode(&entry, &back), DECODE_UNKNOWN, "a command opens no session");

	noop_encode(buffer, 4);
	entry.length = ENTRY_HEADER_BYTES;
	expect(entry, DECODE_OK, "a no-op");
	put_u32(buffer + 4, 1);
	entry.length++;
	expect(entry, DECODE_MALFORMED, "a no-op with a body");
}

/* Every prefix and every changed byte of a command must be read within its bounds: for the sanitizers. */
static void test_bounds(void)
{
	struct operation operations[] = {operation_of(OPERATION_PUT, "p", "k", "v"),
									 operation_of(OPERATION_DELETE, "p", "k", NULL)};
	struct paxos_entry whole = command_of(operations, 2, "id");
	unsigned passed = 0, tried = 0;

	for (uint32_t length = 0; length <= whole.length; length++)
	{
		for (uint32_t at = 0; at < length; at++)
		{
			for (unsigned bit = 0; bit < 8; bit++)
			{
				uint8_t *copy = malloc(length);
				struct paxos_entry entry = {copy, length};
				const char *what;

				memcpy(copy, buffer, length);
				if (length >= ENTRY_HEADER_BYTES && (at < 4 || at > 7))
					put_u32(copy + 4, length - ENTRY_HEADER_BYTES);
				copy[at] ^= (uint8_t) (1u << bit);
				passed += entry_check(&entry, &what) == DECODE_OK;
				tried++;
				free(copy);
			}
		}
	}
	ok(passed < tried / 50, "%u of %u changed or cut commands pass: those changed in texts and numbers",
	   passed, tried);
}

int main(void)
{
	test_header();
	test_round_trip();
	test_sizes();
	test_unknown();
	test_malformed();
	test_long_key();
	test_other_kinds();
	test_bounds();
	return done();
}
