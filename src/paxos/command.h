/*
 * command.h - the bodies of entries: a command's operations, OpenSession, stop sign, fence.
 *
 * All integers are little-endian.
 *
 * ENTRY_COMMAND:
 *	 1	length of the request id (0: none), then its bytes
 *	 2	number of operations (>= 1), each:
 *		 4	length of what follows of this operation
 *		 1	kind (enum operation_kind)
 *		 1	value kind (enum operation_value_kind)
 *		 1	precondition kind (enum operation_precondition)
 *		 1	branch (enum operation_branch)
 *		 2	length of the partition	  4  length of the key	  4  length of the value
 *		 4	length of the precondition's operand
 *		 partition, key, value, operand
 *
 * ENTRY_OPEN_SESSION: 4 node id, 16 store id, 8 run, 8 nonce (X1)
 * ENTRY_STOP_SIGN:	   an encoded configuration (formation.h), the next one (C1)
 * ENTRY_FENCE:		   8 session, 8 number, 1 length of a request id, its bytes (O4): a number or an id
 * ENTRY_NOOP:		   nothing
 *
 * Decoding checks every length before it is believed.  An unknown kind of anything is DECODE_UNKNOWN:
 * apply stops there with a message and never skips it (T4).
 */
#ifndef PAXOS_COMMAND_H
#define PAXOS_COMMAND_H

#include "paxos/entry.h"

enum operation_kind
{
	OPERATION_PUT = 1,
	OPERATION_DELETE = 2,
	OPERATION_CLEAR = 3,     /* one partition; the key is empty */
	OPERATION_CLEAR_ALL = 4, /* all; no partition, the key is the cluster's name, which the origin checked */
	OPERATION_GET = 5,       /* the row goes into the command's result */
	OPERATION_CHECK = 6      /* its precondition alone */
};

enum operation_value_kind
{
	VALUE_NONE = 0, /* no value: delete, clear */
	VALUE_TEXT = 1
};

/* condition.h says when one holds. */
enum operation_precondition
{
	PRECONDITION_NONE = 0,
	PRECONDITION_ABSENT = 1,         /* no operand */
	PRECONDITION_EXISTS = 2,         /* no operand */
	PRECONDITION_VALUE = 3,          /* operand: 1 comparison, then the bytes compared with */
	PRECONDITION_REVISION = 4,       /* operand: 1 comparison, 8 number */
	PRECONDITION_CREATE_REVISION = 5 /* likewise */
};

enum operation_comparison
{
	COMPARE_EQUAL = 1,
	COMPARE_NOT_EQUAL = 2,
	COMPARE_LESS = 3,
	COMPARE_GREATER = 4
};

/* A command succeeds if all preconditions of its operations hold before it; they stand in branch 0 only. */
enum operation_branch
{
	BRANCH_ALWAYS = 0, /* with no precondition anywhere, always; else if the command succeeds */
	BRANCH_THEN = 1,   /* if it succeeds */
	BRANCH_ELSE = 2    /* if it does not */
};

#define PRECONDITION_NUMBER_BYTES 9

/* Partition and key together. */
#define COMMAND_KEY_BYTES_MAX 1024
#define COMMAND_REQUEST_ID_MAX 255
#define COMMAND_OPERATIONS_MAX 65535

/* One operation; its pointers lie in the caller's or the entry's bytes. */
struct operation
{
	uint8_t kind;
	uint8_t value_kind;
	uint8_t precondition;
	uint8_t branch;
	uint16_t partition_length;
	uint32_t key_length;
	uint32_t value_length;
	uint32_t operand_length;
	const char *partition;
	const char *key;
	const char *value;
	const char *operand;
};

enum decode_result
{
	DECODE_OK = 0,
	DECODE_END,       /* no more operations */
	DECODE_MALFORMED, /* lengths that can't be */
	DECODE_UNKNOWN    /* a version, kind, feature or precondition this code does not know */
};

/* Bytes that a command needs, header included; 0: more than PAXOS_MAX_ENTRY_BYTES or another limit. */
size_t command_size(uint32_t request_id_length, const struct operation *operations, uint32_t n_operations);

/*
 * Encodes a command, header and body, into bytes (command_size() of them).  Session and number are left 0;
 * entry_set_number() fills them in.
 */
void command_encode(uint8_t *bytes, uint32_t node_id, uint64_t stamp, int64_t origin_time_us,
					const char *request_id, uint32_t request_id_length, const struct operation *operations,
					uint32_t n_operations);

/* Walks the operations of a command. */
struct command_reader
{
	struct entry_header header;
	const char *request_id; /* not terminated */
	uint32_t request_id_length;
	uint32_t n_operations;
	/* private */
	const uint8_t *next;
	const uint8_t *end;
	uint32_t remaining;
};

/* DECODE_OK and a reader at the first operation; also checks version, kind (COMMAND) and features. */
enum decode_result command_open(struct command_reader *reader, const struct paxos_entry *entry);
enum decode_result command_next(struct command_reader *reader, struct operation *operation);

/* T4: checks a whole entry of any kind, as apply would; *what says in words what is wrong or unknown. */
enum decode_result entry_check(const struct paxos_entry *entry, const char **what);

struct open_session
{
	uint32_t node_id;
	struct paxos_id store_id;
	uint64_t run;
	uint64_t nonce;
};

#define OPEN_SESSION_ENTRY_BYTES (ENTRY_HEADER_BYTES + 36)
void open_session_encode(uint8_t *bytes, const struct open_session *open, int64_t origin_time_us);
enum decode_result open_session_decode(const struct paxos_entry *entry, struct open_session *open);

/* O4: gives up a number of a session, or, where the session is 0, a request id. */
struct fence
{
	uint64_t session;
	uint64_t number;
	const char *request_id; /* not terminated; the caller's or the entry's bytes */
	uint32_t request_id_length;
};

/* Bytes that a fence needs, header included. */
size_t fence_size(uint32_t request_id_length);
/* Session and number of the header are left 0; entry_set_number() fills them in. */
void fence_encode(uint8_t *bytes, uint32_t node_id, int64_t origin_time_us, const struct fence *fence);
enum decode_result fence_decode(const struct paxos_entry *entry, struct fence *fence);

/* A no-op of a new leader (P3): a header alone. */
void noop_encode(uint8_t *bytes, uint32_t node_id);

#endif /* PAXOS_COMMAND_H */
