/*
 * outcome.c - O1 to O5: what becomes of a command with a request id, and the hashes of what is remembered.
 */
#include "paxos/outcome.h"

#include <string.h>

#include "paxos/bytes.h"

/* Kinds of hashed bytes; on disk by way of the state hash, so they never change. */
enum
{
	HASH_COMMAND = 1,
	HASH_REMEMBERED,
	HASH_REMEMBERED_DETAILS,
	HASH_VOID_NUMBER,
	HASH_CLOSED_SESSION
};

enum request_verdict request_judge(const struct remembered *remembered, struct state_hash digest,
								   uint64_t stamp, uint64_t newest_dropped)
{
	if (remembered == NULL)
		return stamp < newest_dropped ? REQUEST_TOO_OLD : REQUEST_EXECUTE;
	if (remembered->kind != REMEMBERED_COMMAND)
		return REQUEST_GIVEN_UP;
	if (remembered->digest.low != digest.low || remembered->digest.high != digest.high)
		return REQUEST_CONFLICT;
	return REQUEST_REPEATED;
}

bool request_voids_number(enum request_verdict verdict)
{
	return verdict != REQUEST_EXECUTE && verdict != REQUEST_REPEATED;
}

struct state_hash command_digest(const struct paxos_entry *entry)
{
	/* behind the request id: the number of operations and the operations */
	uint32_t skip = ENTRY_HEADER_BYTES + 1 + entry->bytes[ENTRY_HEADER_BYTES];

	return state_hash_bytes(HASH_COMMAND, entry->bytes + skip, entry->length - skip);
}

enum remembered_kind fence_kind(uint64_t newest_dropped)
{
	return newest_dropped > 0 ? REMEMBERED_GIVEN_UP_UNKNOWN : REMEMBERED_GIVEN_UP;
}

/* ---------------------------------------------------------------- names of commands */

static char *write_number(char *at, uint64_t number)
{
	char digits[20];
	int n = 0;

	do
		digits[n++] = (char) ('0' + number % 10);
	while ((number /= 10) > 0);
	while (n > 0)
		*at++ = digits[--n];
	return at;
}

void command_name(uint64_t session, uint64_t number, char name[COMMAND_NAME_MAX])
{
	char *at = name;

	*at++ = 's';
	at = write_number(at, session);
	*at++ = '-';
	at = write_number(at, number);
	*at = '\0';
}

static const char *read_number(const char *at, const char *end, uint64_t *number)
{
	const char *begin = at;

	*number = 0;
	for (; at < end && *at >= '0' && *at <= '9'; at++)
	{
		uint64_t digit = (uint64_t) (*at - '0');

		if (*number > (UINT64_MAX - digit) / 10)
			return NULL;
		*number = *number * 10 + digit;
	}
	return at == begin || *begin == '0' ? NULL : at;
}

bool parse_command_name(const char *name, uint32_t length, uint64_t *session, uint64_t *number)
{
	const char *end = name + length;
	const char *at;

	if (length == 0 || name[0] != 's')
		return false;
	at = read_number(name + 1, end, session);
	if (at == NULL || at == end || *at != '-')
		return false;
	return read_number(at + 1, end, number) == end;
}

/* ---------------------------------------------------------------- hashes */

struct state_hash remembered_hash(const struct remembered *remembered)
{
	uint8_t bytes[64 + COMMAND_REQUEST_ID_MAX];
	struct state_hash hash;

	bytes[0] = (uint8_t) remembered->kind;
	bytes[1] = (uint8_t) (remembered->succeeded | remembered->details_lost << 1);
	put_u64(bytes + 2, remembered->slot);
	put_u64(bytes + 10, remembered->digest.low);
	put_u64(bytes + 18, remembered->digest.high);
	put_u64(bytes + 26, remembered->rows_removed);
	put_u32(bytes + 34, remembered->details_length);
	memcpy(bytes + 38, remembered->request_id, remembered->request_id_length);
	hash = state_hash_bytes(HASH_REMEMBERED, bytes, 38 + remembered->request_id_length);
	/* told apart from those of other ids by the slot */
	if (remembered->details_length > 0)
		hash = state_hash_add(hash, state_hash_bytes(HASH_REMEMBERED_DETAILS ^ remembered->slot << 8,
													 remembered->details, remembered->details_length));
	return hash;
}

struct state_hash void_number_hash(uint64_t session, uint64_t number)
{
	uint8_t bytes[16];

	put_u64(bytes, session);
	put_u64(bytes + 8, number);
	return state_hash_bytes(HASH_VOID_NUMBER, bytes, sizeof(bytes));
}

struct state_hash closed_session_hash(uint64_t session, uint32_t node_id, uint64_t last_number)
{
	uint8_t bytes[20];

	put_u64(bytes, session);
	put_u64(bytes + 8, last_number);
	put_u32(bytes + 16, node_id);
	return state_hash_bytes(HASH_CLOSED_SESSION, bytes, sizeof(bytes));
}
