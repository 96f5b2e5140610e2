/*
 * apply.h - the apply worker's own files among themselves.
 *
 *	 apply_worker.c	 life: start, batches, loop; apply_worker.h has the files it is made of
 *	 apply_errors.c	 what an error says of another try
 *	 apply_batch.c	 T3: folds a batch of entries in memory, in slot order
 *	 apply_table.c	 the tables' rows, found and written one by one
 *	 apply_memory.c	 request ids, void numbers and closed sessions (O)
 *	 apply_store.c	 what needs a statement: the first state, a clear; values as the tables hold them
 *
 * The tables it relies on (the install script makes them):
 *
 *	 paxoskv.kv	   (partition text, key text, value text, value_kind smallint, revision bigint,
 *					create_revision bigint, written_at timestamptz, hash bytea)
 *	 paxoskv.state (only_row boolean, store_id bytea, applied_slot bigint, state_hash bytea, row_count bigint,
 *					config bytea, sessions bytea, request_count bigint, newest_dropped bigint, diverged text):
 *					no row until the first batch
 *	 paxoskv.requests, paxoskv.void_numbers, paxoskv.closed_sessions: see apply_memory.c
 */
#ifndef PAXOSKV_APPLY_H
#define PAXOSKV_APPLY_H

#include "postgres.h"

#include "storage/dsm.h"
#include "storage/itemptr.h"

#include "datatype/timestamp.h"

#include "paxos/outcome.h"
#include "paxos/session.h"
#include "paxos/state_compare.h"
#include "worker/state_board.h"
#include "worker/store_values.h"

/* What is stored together with the rows (T1).  A batch works on a copy, adopted after its commit (X5). */
typedef struct ApplyState
{
	bool stored;           /* the table has its row ... */
	ItemPointerData place; /* ... here */
	struct paxos_id store_id;
	char diverged[DIVERGENCE_MAX]; /* T3: why nothing more is applied; "": it goes on */
	uint64 applied;
	struct state_hash hash;
	int64 rows;
	struct session_table sessions;
	struct state_points points; /* T3; not stored */
	int64 request_count;        /* ids remembered (O2) ... */
	uint64 newest_dropped; /* ... and the slot of the newest one that no longer is; 0: none was dropped */
} ApplyState;

typedef struct ApplyEntry
{
	uint64 slot;
	struct paxos_entry entry;
} ApplyEntry;

/* paxoskv.kv, open in a transaction. */
typedef struct StoreRows StoreRows;

typedef enum ApplyOutcome
{
	APPLY_DONE,     /* executed, or its id was remembered: the result is the first one's */
	APPLY_CONFLICT, /* O1: no effect, another command has its id */
	APPLY_GIVEN_UP, /* O4: no effect, its number or its id is fenced */
	APPLY_TOO_OLD   /* O3: no effect */
} ApplyOutcome;

/* What a command did, for its client. */
typedef struct ApplyResult
{
	ApplyOutcome outcome;
	uint64 session;
	uint64 number;
	uint64 slot;
	int64 rows_removed;
	bool succeeded;    /* its preconditions held */
	bool details_lost; /* they are too large to be handed over */
	char *
		details; /* what each operation did (client.h); NULL where the command has neither gets nor branches */
	uint32 details_length;
	dsm_handle segment; /* the publisher's: large details on their way to a client */
} ApplyResult;

/* One key of a batch: as the table has it, and as it will be. */
typedef struct ApplyRow
{
	/* the key: the hash table's; pointers into entries */
	const char *partition;
	const char *key;
	uint32 partition_length;
	uint32 key_length;
	/* in the table */
	bool stored;
	ItemPointerData place;
	/* in the state's hash */
	bool counted;
	struct state_hash counted_hash;
	/* folded; at first as the table has it, without the value: store_read_value() */
	bool dirty;     /* since it was written */
	bool uncounted; /* since it was counted */
	bool exists;
	const char *value; /* NULL: as the table has it */
	uint32 value_length;
	uint8 value_kind;
	uint64 revision;
	uint64 create_revision;
	int64 written_at_us;
	struct state_hash hash;
} ApplyRow;

/* ---- apply_errors.c */

typedef enum ApplyErrorKind
{
	APPLY_ERROR_PASSES,   /* trouble of the surroundings, which another try may not meet */
	APPLY_ERROR_DOUBTFUL, /* it may pass or stay: to be tried again, but not for ever */
	APPLY_ERROR_STAYS     /* every other try would meet it */
} ApplyErrorKind;

extern ApplyErrorKind apply_judge_error(int sqlstate);

/* ---- apply_batch.c */

/*
 * How many of the n entries can be applied: all, or those before the first that this version can't apply
 * (T4); then *what says why.
 */
extern int apply_check(const ApplyEntry *entries, int n, const char **what);

/*
 * Folds n checked entries into the tables and into *state, in the transaction that runs; or fewer, where what
 * they read gets large: state->applied tells.  Results of commands that took effect are put into results (n of
 * them at most), into details_context the details of those in this node's own session; returns their number.
 */
extern int apply_fold(ApplyEntry *entries, int n, const struct paxos_config *config, uint64 own_session,
					  ApplyState *state, ApplyResult *results, MemoryContext details_context);

/* ---- apply_table.c; all in a transaction with a snapshot */

/* Opens paxoskv.kv until store_close_rows() or the transaction's abort.  Errors: the table is gone or locked. */
extern StoreRows *store_open_rows(void);
extern void store_close_rows(StoreRows *open);
/* Fills in what the table has of n rows. */
extern void store_read_rows(StoreRows *open, ApplyRow **rows, int n);
/* The value of a stored row that was not folded yet; palloc'd. */
extern const char *store_read_value(StoreRows *open, const ApplyRow *row, uint32 *length);
/* Puts the rows that exist in their places, and deletes those that do not; sets their places. */
extern void store_write_rows(StoreRows *open, ApplyRow **rows, int n);
/* Writes applied, hash, rows and sessions of a state that is stored.  Error if its row is not there any more. */
extern void store_update_state(ApplyState *state, Datum sessions);

/* ---- apply_store.c; likewise */

extern void store_prepare(void);
/* False: the table has no row; *state is that of an empty store. */
extern bool store_read_state(ApplyState *state);
/* Error if the row is not there any more. */
extern void store_write_state(ApplyState *state, const struct paxos_config *config);
/* Stores why nothing more is applied, durably when the transaction has committed. */
extern void store_write_diverged(const char *why);
/* Deletes a partition, or all of them (NULL).  Returns the rows deleted and the sum of their hashes. */
extern int64 store_clear(const char *partition, uint32 partition_length, struct state_hash *sum);

/* ---- apply_memory.c; likewise */

extern void memory_prepare(void);
/* False: nothing is remembered of that id.  Details lie in the context; the id is not filled in. */
extern bool memory_find_request(const char *request_id, uint32 length, struct remembered *remembered,
								MemoryContext context);
/* O2: remembers an id, and drops the oldest ones beyond "kept". */
extern void memory_remember(ApplyState *state, const struct remembered *remembered, uint32 kept);
/* O4. */
extern bool memory_is_void(uint64 session, uint64 number);
extern void memory_void(ApplyState *state, uint64 session, uint64 number);
/* Keeps a session that was taken out of the table; forgets those beyond CLOSED_SESSIONS_KEPT. */
extern void memory_keep_closed(ApplyState *state, const struct session *session);

#endif /* PAXOSKV_APPLY_H */
