/*
 * session.h - X1, X5: which commands take effect.  The replicated table of sessions, as apply keeps it.
 *
 * Pure and deterministic: every node folds the same entries into the same table.  Used by the apply worker,
 * by the core (for its own session) and by the simulator.  The caller stages changes: it works on a copy or
 * re-reads what it adopted last after an aborted transaction (X5).
 */
#ifndef PAXOS_SESSION_H
#define PAXOS_SESSION_H

#include "paxos/command.h"

struct session
{
	uint32_t node_id;
	struct paxos_id store_id;
	uint64_t run;
	uint64_t nonce;
	uint64_t session;     /* slot of its OpenSession */
	uint64_t last_number; /* last one consumed */
	bool open;
	bool has_void; /* O4: some of its numbers are void */
};

/* One per (node id, store id) that is or was a member; closed ones stay for O4's sake. */
#define SESSION_TABLE_MAX 64

/*
 * O4: more commands of one session are never numbered and not resolved.  Decides what a fence changes, on every node
 * alike: it never changes.
 *
 * So a number n that was handed out before a fence was proposed is at most the session's last number, as of the
 * fence's slot, and that many: when n was handed out, fewer numbers below it were not resolved; resolved ones were
 * chosen by then, and what is chosen before an entry is proposed lies in a lower slot than that entry.
 */
#define SESSION_UNRESOLVED_MAX 16386

struct session_table
{
	uint32_t n;
	struct session sessions[SESSION_TABLE_MAX];
};

enum session_verdict
{
	SESSION_APPLY,     /* the next number: execute it */
	SESSION_DUPLICATE, /* executed before */
	SESSION_GAP,       /* a larger number: no effect */
	SESSION_CLOSED,    /* of a closed or unknown session: no effect */
	SESSION_OPENED,    /* an OpenSession that took effect */
	SESSION_IGNORED    /* an OpenSession without effect, a no-op */
};

/*
 * What the entry in slot does, as a member of "config" or not: folds it into the table.  For a command or a fence it
 * consumes the number where the verdict is SESSION_APPLY.  The entry must have passed entry_check().
 */
enum session_verdict session_fold(struct session_table *table, const struct paxos_config *config,
								  uint64_t slot, const struct paxos_entry *entry);

/* The session named so, open or closed; NULL: not known. */
const struct session *session_find(const struct session_table *table, uint64_t session);

/*
 * O4: a fence of that number.  True: the session is open and has not reached the number, which is void from now on (and
 * the caller remembers it; has_void says that there are such numbers).  False: the fence changes nothing, also where the
 * number is further ahead than any that can have been handed out, so that void numbers stay few.
 */
bool session_void_number(struct session_table *table, uint64_t session, uint64_t number);

/* O4: the session's number, just consumed, had no effect: it is void, too. */
void session_mark_void(struct session_table *table, uint64_t session);

/*
 * Takes a closed session out of the table: its caller keeps it for O5.  The latest of a pair stays (X1).  False: there is
 * none to take.
 */
bool session_take_closed(struct session_table *table, struct session *session);

#endif /* PAXOS_SESSION_H */
