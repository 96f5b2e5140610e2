/*
 * outcome.h - O1 to O5: what is remembered of request ids and given-up numbers, and what follows from it.
 *
 * Pure: who applies entries (the apply worker, the simulator) keeps the memory, part of the replicated state, and asks
 * here.  All nodes fold the same entries over the same memory, so their verdicts are the same.
 *
 * A numbered command that is next in its session (X5) comes here:
 *	 its number is void -> consumed, no effect
 *	 it has a request id -> request_judge()
 *	 else, and on REQUEST_EXECUTE, it is executed; with a request id its result is remembered
 * A command whose id keeps it from effect makes its number void, but for a repeated one (O4).
 */
#ifndef PAXOS_OUTCOME_H
#define PAXOS_OUTCOME_H

#include "paxos/command.h"
#include "paxos/state_hash.h"

/* Details of a result (what the command's gets read) up to this size are remembered with it. */
#define REMEMBERED_DETAILS_MAX 8192
/* O4: closed sessions that are kept, with their void numbers. */
#define CLOSED_SESSIONS_KEPT 10000

enum remembered_kind
{
	REMEMBERED_COMMAND = 1,
	REMEMBERED_GIVEN_UP = 2,        /* a fence: not applied */
	REMEMBERED_GIVEN_UP_UNKNOWN = 3 /* a fence, but ids had been dropped before it: unknown (O5) */
};

/* O2: one id.  All of it is replicated. */
struct remembered
{
	const char *request_id;
	uint32_t request_id_length;
	enum remembered_kind kind;
	uint64_t slot;
	struct state_hash digest; /* command_digest(); of a fence all zero */
	/* the result of a command */
	bool succeeded;
	bool details_lost; /* too large to be remembered */
	uint64_t rows_removed;
	const char *details;
	uint32_t details_length;
};

enum request_verdict
{
	REQUEST_EXECUTE,  /* new: execute and remember it */
	REQUEST_REPEATED, /* O2: no effect, the first result is its result */
	REQUEST_CONFLICT, /* O1: remembered with another command */
	REQUEST_GIVEN_UP, /* O4: fenced */
	REQUEST_TOO_OLD   /* O3: looked up before the newest id that was dropped */
};

/*
 * Judges a command with a request id.  remembered: what is remembered of the id, NULL: nothing.  stamp: of the
 * command's header.  newest_dropped: slot of the newest id that was dropped, 0: none was.
 */
enum request_verdict request_judge(const struct remembered *remembered, struct state_hash digest,
								   uint64_t stamp, uint64_t newest_dropped);

/* O4: whether a command with that verdict leaves its number void. */
bool request_voids_number(enum request_verdict verdict);

/* What a command does: its operations, whoever sent it and whenever.  The entry must be a command. */
struct state_hash command_digest(const struct paxos_entry *entry);

/* What a fence on an id leaves behind, if nothing is remembered of that id. */
enum remembered_kind fence_kind(uint64_t newest_dropped);

/* O1: "s<session>-<number>", both from 1 and written as that function writes them. */
#define COMMAND_NAME_MAX 43
void command_name(uint64_t session, uint64_t number, char name[COMMAND_NAME_MAX]);
bool parse_command_name(const char *name, uint32_t length, uint64_t *session, uint64_t *number);

/* Parts of the state hash. */
struct state_hash remembered_hash(const struct remembered *remembered);
struct state_hash void_number_hash(uint64_t session, uint64_t number);
struct state_hash closed_session_hash(uint64_t session, uint32_t node_id, uint64_t last_number);

#endif /* PAXOS_OUTCOME_H */
