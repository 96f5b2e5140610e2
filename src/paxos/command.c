/*
 * command.c - the bodies of entries to bytes and back, and the full check of an entry (T4).
 *
 * What decodes here is what apply executes: every length is compared with what is left before it is used,
 * sums are made in 64 bits, and every byte of an entry is accounted for.
 */
#include "paxos/command.h"

#include <string.h>

#include "paxos/bytes.h"

/* An operation's fixed part: its length, then kinds and lengths of its four strings. */
#define OPERATION_LENGTH_BYTES 4
#define OPERATION_FIXED_BYTES 18
/* A command's fixed part: length of the request id, number of operations. */
#define COMMAND_FIXED_BYTES 3
#define OPEN_SESSION_BODY_BYTES (OPEN_SESSION_ENTRY_BYTES - ENTRY_HEADER_BYTES)

_Static_assert(OPEN_SESSION_BODY_BYTES == 4 + 16 + 8 + 8, "an OpenSession's fields fill its body");

/* ---------------------------------------------------------------- making a command */

static uint64_t operation_bytes(const struct operation *operation)
{
	return (uint64_t) OPERATION_FIXED_BYTES + operation->partition_length + operation->key_length +
		   operation->value_length + operation->operand_length;
}

size_t command_size(uint32_t request_id_length, const struct operation *operations, uint32_t n_operations)
{
	uint64_t size = ENTRY_HEADER_BYTES + COMMAND_FIXED_BYTES + (uint64_t) request_id_length;

	if (request_id_length > COMMAND_REQUEST_ID_MAX)
		return 0;
	if (n_operations == 0 || n_operations > COMMAND_OPERATIONS_MAX)
		return 0;
	for (uint32_t i = 0; i < n_operations; i++)
	{
		const struct operation *operation = &operations[i];

		if ((uint64_t) operation->partition_length + operation->key_length > COMMAND_KEY_BYTES_MAX)
			return 0;
		/* At most 2^16 operations of less than 2^34 bytes each: this can't overflow. */
		size += OPERATION_LENGTH_BYTES + operation_bytes(operation);
	}
	return size > PAXOS_MAX_ENTRY_BYTES ? 0 : (size_t) size;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, uint32_t length)
{
	if (length > 0)
		memcpy(at, bytes, length);
	return at + length;
}

static uint8_t *put_operation(uint8_t *at, const struct operation *operation)
{
	put_u32(at, (uint32_t) operation_bytes(operation));
	at[4] = operation->kind;
	at[5] = operation->value_kind;
	at[6] = operation->precondition;
	at[7] = operation->branch;
	put_u16(at + 8, operation->partition_length);
	put_u32(at + 10, operation->key_length);
	put_u32(at + 14, operation->value_length);
	put_u32(at + 18, operation->operand_length);
	at += OPERATION_LENGTH_BYTES + OPERATION_FIXED_BYTES;
	at = put_bytes(at, operation->partition, operation->partition_length);
	at = put_bytes(at, operation->key, operation->key_length);
	at = put_bytes(at, operation->value, operation->value_length);
	return put_bytes(at, operation->operand, operation->operand_length);
}

void command_encode(uint8_t *bytes, uint32_t node_id, uint64_t stamp, int64_t origin_time_us,
					const char *request_id, uint32_t request_id_length, const struct operation *operations,
					uint32_t n_operations)
{
	struct entry_header header = {
		.version = ENTRY_VERSION,
		.kind = ENTRY_COMMAND,
		.stamp = request_id_length > 0 ? stamp : 0,
		.origin_time_us = origin_time_us,
		.node_id = node_id,
	};
	uint8_t *at = bytes + ENTRY_HEADER_BYTES;

	*at++ = (uint8_t) request_id_length;
	at = put_bytes(at, request_id, request_id_length);
	put_u16(at, (uint16_t) n_operations);
	at += 2;
	for (uint32_t i = 0; i < n_operations; i++)
		at = put_operation(at, &operations[i]);
	header.body_length = (uint32_t) (at - bytes - ENTRY_HEADER_BYTES);
	entry_encode_header(bytes, &header);
}

/* ---------------------------------------------------------------- reading one */

static enum decode_result malformed(const char **what, const char *words)
{
	*what = words;
	return DECODE_MALFORMED;
}

static enum decode_result unknown(const char **what, const char *words)
{
	*what = words;
	return DECODE_UNKNOWN;
}

/* Header, version and features, which are the same for every kind of entry. */
static enum decode_result header_check(const struct paxos_entry *entry, struct entry_header *header,
									   const char **what)
{
	if (!entry_decode_header(entry, header))
		return malformed(what, "the entry's length does not agree with its header");
	if (header->version != ENTRY_VERSION)
		return unknown(what, "the entry has a version that this version of paxoskv does not know");
	if (header->features != 0)
		return unknown(what, "the entry needs a feature that this version of paxoskv does not have");
	if (get_u32(entry->bytes + ENTRY_HEADER_BYTES - 4) != 0)
		return unknown(what, "the entry's header has a field that this version of paxoskv does not know");
	return DECODE_OK;
}

static enum decode_result reader_open(struct command_reader *reader, const struct paxos_entry *entry,
									  const char **what)
{
	enum decode_result result;
	const uint8_t *body = NULL;
	uint32_t length;

	memset(reader, 0, sizeof(*reader));
	result = header_check(entry, &reader->header, what);
	if (result != DECODE_OK)
		return result;
	if (reader->header.kind != ENTRY_COMMAND)
		return unknown(what, "the entry is not a command");

	body = entry->bytes + ENTRY_HEADER_BYTES;
	length = reader->header.body_length;
	if (length < COMMAND_FIXED_BYTES || length - COMMAND_FIXED_BYTES < body[0])
		return malformed(what, "the command is shorter than its request id");
	reader->request_id_length = body[0];
	reader->request_id = (const char *) body + 1;
	reader->n_operations = get_u16(body + 1 + reader->request_id_length);
	if (reader->n_operations == 0)
		return malformed(what, "the command has no operations");
	reader->remaining = reader->n_operations;
	reader->next = body + COMMAND_FIXED_BYTES + reader->request_id_length;
	reader->end = body + length;
	return DECODE_OK;
}

/* What a precondition needs, and where one may stand. */
static enum decode_result precondition_check(const struct operation *operation, const char **what)
{
	bool compares = operation->precondition >= PRECONDITION_VALUE;

	if (operation->precondition > PRECONDITION_CREATE_REVISION)
		return unknown(what, "the command has a precondition that this version of paxoskv does not know");
	if (compares && operation->operand_length == 0)
		return malformed(what, "a precondition has nothing to compare with");
	if (compares && ((uint8_t) operation->operand[0] < COMPARE_EQUAL ||
					 (uint8_t) operation->operand[0] > COMPARE_GREATER))
		return unknown(what, "the command has a comparison that this version of paxoskv does not know");
	if (operation->precondition > PRECONDITION_VALUE &&
		operation->operand_length != PRECONDITION_NUMBER_BYTES)
		return malformed(what, "a precondition's number has the wrong length");
	if (!compares && operation->operand_length != 0)
		return malformed(what, "an operation has an operand but nothing to compare it with");
	if (operation->precondition != PRECONDITION_NONE && operation->branch != BRANCH_ALWAYS)
		return malformed(what, "an operation of a branch has a precondition");
	if (operation->precondition != PRECONDITION_NONE &&
		(operation->kind == OPERATION_CLEAR || operation->kind == OPERATION_CLEAR_ALL))
		return malformed(what, "an operation without a key has a precondition");
	if (operation->kind == OPERATION_CHECK && operation->precondition == PRECONDITION_NONE)
		return malformed(what, "a check has no precondition");
	return DECODE_OK;
}

/* Whether an operation means something that apply can do. */
static enum decode_result operation_check(const struct operation *operation, const char **what)
{
	if (operation->kind < OPERATION_PUT || operation->kind > OPERATION_CHECK)
		return unknown(what,
					   "the command has a kind of operation that this version of paxoskv does not know");
	if (operation->value_kind > VALUE_TEXT)
		return unknown(what, "the command has a kind of value that this version of paxoskv does not know");
	if (operation->branch > BRANCH_ELSE)
		return unknown(what, "the command has a branch that this version of paxoskv does not know");

	if ((uint32_t) operation->partition_length + operation->key_length > COMMAND_KEY_BYTES_MAX)
		return malformed(what, "an operation's partition and key are too long");
	if (operation->kind == OPERATION_PUT && operation->value_kind != VALUE_TEXT)
		return malformed(what, "a put has no value");
	if (operation->kind != OPERATION_PUT && operation->value_kind != VALUE_NONE)
		return malformed(what, "an operation other than a put has a value");
	if (operation->value_kind == VALUE_NONE && operation->value_length != 0)
		return malformed(what, "an operation has the bytes of a value but no value");
	if (operation->kind == OPERATION_CLEAR && operation->key_length != 0)
		return malformed(what, "the clearing of a partition has a key");
	if (operation->kind == OPERATION_CLEAR_ALL && operation->partition_length != 0)
		return malformed(what, "the clearing of everything has a partition");
	return precondition_check(operation, what);
}

/* Reads the operation at reader->next, whose length was checked, without judging it. */
static bool get_operation(const struct command_reader *reader, struct operation *operation, uint32_t *length)
{
	const uint8_t *at = reader->next;
	size_t left = (size_t) (reader->end - at);

	if (left < OPERATION_LENGTH_BYTES + OPERATION_FIXED_BYTES)
		return false;
	*length = get_u32(at);
	if (*length > left - OPERATION_LENGTH_BYTES)
		return false;
	operation->kind = at[4];
	operation->value_kind = at[5];
	operation->precondition = at[6];
	operation->branch = at[7];
	operation->partition_length = get_u16(at + 8);
	operation->key_length = get_u32(at + 10);
	operation->value_length = get_u32(at + 14);
	operation->operand_length = get_u32(at + 18);
	if (operation_bytes(operation) != *length)
		return false;
	operation->partition = (const char *) at + OPERATION_LENGTH_BYTES + OPERATION_FIXED_BYTES;
	operation->key = operation->partition + operation->partition_length;
	operation->value = operation->key + operation->key_length;
	operation->operand = operation->value + operation->value_length;
	return true;
}

static enum decode_result reader_next(struct command_reader *reader, struct operation *operation,
									  const char **what)
{
	enum decode_result result;
	uint32_t length;

	if (reader->remaining == 0)
	{
		if (reader->next != reader->end)
			return malformed(what, "the command has bytes behind its last operation");
		return DECODE_END;
	}
	if (!get_operation(reader, operation, &length))
		return malformed(what, "an operation's lengths do not agree with the command's");
	result = operation_check(operation, what);
	if (result != DECODE_OK)
		return result;
	reader->next += OPERATION_LENGTH_BYTES + length;
	reader->remaining--;
	return DECODE_OK;
}

enum decode_result command_open(struct command_reader *reader, const struct paxos_entry *entry)
{
	const char *what;

	return reader_open(reader, entry, &what);
}

enum decode_result command_next(struct command_reader *reader, struct operation *operation)
{
	const char *what;

	return reader_next(reader, operation, &what);
}

static enum decode_result command_check(const struct paxos_entry *entry, const char **what)
{
	struct command_reader reader;
	struct operation operation;
	enum decode_result result = reader_open(&reader, entry, what);

	while (result == DECODE_OK)
		result = reader_next(&reader, &operation, what);
	return result == DECODE_END ? DECODE_OK : result;
}

/* ---------------------------------------------------------------- the other kinds */

void open_session_encode(uint8_t *bytes, const struct open_session *open, int64_t origin_time_us)
{
	struct entry_header header = {
		.version = ENTRY_VERSION,
		.kind = ENTRY_OPEN_SESSION,
		.body_length = OPEN_SESSION_BODY_BYTES,
		.origin_time_us = origin_time_us,
		.node_id = open->node_id,
	};
	uint8_t *body = bytes + ENTRY_HEADER_BYTES;

	entry_encode_header(bytes, &header);
	put_u32(body, open->node_id);
	memcpy(body + 4, open->store_id.bytes, sizeof(open->store_id.bytes));
	put_u64(body + 20, open->run);
	put_u64(body + 28, open->nonce);
}

static enum decode_result open_session_get(const struct paxos_entry *entry, struct open_session *open,
										   const char **what)
{
	struct entry_header header;
	const uint8_t *body = NULL;
	enum decode_result result = header_check(entry, &header, what);

	if (result != DECODE_OK)
		return result;
	if (header.kind != ENTRY_OPEN_SESSION)
		return unknown(what, "the entry does not open a session");
	if (header.body_length != OPEN_SESSION_BODY_BYTES)
		return malformed(what, "the opening of a session has the wrong length");
	if (header.session != 0 || header.number != 0)
		return malformed(what, "the opening of a session is numbered in a session");
	body = entry->bytes + ENTRY_HEADER_BYTES;
	open->node_id = get_u32(body);
	memcpy(open->store_id.bytes, body + 4, sizeof(open->store_id.bytes));
	open->run = get_u64(body + 20);
	open->nonce = get_u64(body + 28);
	return DECODE_OK;
}

enum decode_result open_session_decode(const struct paxos_entry *entry, struct open_session *open)
{
	const char *what;

	return open_session_get(entry, open, &what);
}

#define FENCE_FIXED_BYTES 17

size_t fence_size(uint32_t request_id_length)
{
	return (size_t) ENTRY_HEADER_BYTES + FENCE_FIXED_BYTES + request_id_length;
}

void fence_encode(uint8_t *bytes, uint32_t node_id, int64_t origin_time_us, const struct fence *fence)
{
	struct entry_header header = {
		.version = ENTRY_VERSION,
		.kind = ENTRY_FENCE,
		.body_length = FENCE_FIXED_BYTES + fence->request_id_length,
		.origin_time_us = origin_time_us,
		.node_id = node_id,
	};
	uint8_t *body = bytes + ENTRY_HEADER_BYTES;

	entry_encode_header(bytes, &header);
	put_u64(body, fence->session);
	put_u64(body + 8, fence->number);
	body[16] = (uint8_t) fence->request_id_length;
	put_bytes(body + FENCE_FIXED_BYTES, fence->request_id, fence->request_id_length);
}

static enum decode_result fence_get(const struct paxos_entry *entry, struct fence *fence, const char **what)
{
	struct entry_header header;
	const uint8_t *body = NULL;
	enum decode_result result = header_check(entry, &header, what);

	if (result != DECODE_OK)
		return result;
	if (header.kind != ENTRY_FENCE)
		return unknown(what, "the entry is not a fence");
	body = entry->bytes + ENTRY_HEADER_BYTES;
	if (header.body_length < FENCE_FIXED_BYTES || header.body_length - FENCE_FIXED_BYTES != body[16])
		return malformed(what, "the fence's length does not agree with its request id");
	fence->session = get_u64(body);
	fence->number = get_u64(body + 8);
	fence->request_id = (const char *) body + FENCE_FIXED_BYTES;
	fence->request_id_length = body[16];
	if ((fence->session != 0) == (fence->request_id_length != 0) ||
		(fence->session != 0) != (fence->number != 0))
		return malformed(what, "the fence names neither a number nor a request id, or both");
	return DECODE_OK;
}

enum decode_result fence_decode(const struct paxos_entry *entry, struct fence *fence)
{
	const char *what;

	return fence_get(entry, fence, &what);
}

void noop_encode(uint8_t *bytes, uint32_t node_id)
{
	struct entry_header header = {
		.version = ENTRY_VERSION,
		.kind = ENTRY_NOOP,
		.node_id = node_id,
	};

	entry_encode_header(bytes, &header);
}

enum decode_result entry_check(const struct paxos_entry *entry, const char **what)
{
	struct entry_header header;
	struct open_session open;
	struct fence fence;
	enum decode_result result;

	*what = "";
	result = header_check(entry, &header, what);
	if (result != DECODE_OK)
		return result;
	switch (header.kind)
	{
		case ENTRY_NOOP:
			if (header.body_length != 0 || header.session != 0 || header.number != 0)
				return malformed(what, "a no-op has a body or a number");
			return DECODE_OK;
		case ENTRY_COMMAND:
			return command_check(entry, what);
		case ENTRY_OPEN_SESSION:
			return open_session_get(entry, &open, what);
		case ENTRY_STOP_SIGN:
			return unknown(what, "this version of paxoskv does not execute stop signs");
		case ENTRY_FENCE:
			return fence_get(entry, &fence, what);
		default:
			return unknown(what, "the entry is of a kind that this version of paxoskv does not know");
	}
}
