/*
 * client.h - what a backend asks of the workers: submit a command, wait for a read, look at status and log.
 *
 * Every function here waits interruptibly and raises the errors of DESIGN section 5 itself: 53000, 53100,
 * 55000, 57014 (before hand-off), 40003 (after it), 25006.  Callers check only their own arguments.
 *
 * What commands, conditions, names and entries are made of comes with it from the core: data and no more.
 */
#ifndef PAXOSKV_CLIENT_H
#define PAXOSKV_CLIENT_H

#include "postgres.h"

#include "pg_compat.h"

#include "datatype/timestamp.h"

#include "paxos/condition.h"
#include "paxos/outcome.h"
#include "paxos/paxos.h"
#include "paxos/state_compare.h"
#include "worker/snapshot.h"

typedef enum ReadLevel
{
	READ_LINEARIZABLE,
	READ_LEADER,
	READ_LOCAL
} ReadLevel;

/* What apply says of a command that took effect. */
typedef struct ClientResult
{
	uint64 revision;     /* its slot */
	int64 rows_removed;  /* delete, clear: keys that were there */
	bool succeeded;      /* all its preconditions held */
	const char *details; /* what each operation that was done did, in their order; palloc'd, NULL if none */
	uint32 details_length;
} ClientResult;

/*
 * A detail, little-endian: 1 kind of operation, 8 count (delete, clear: keys removed; get: 1 if the key is there),
 * 8 revision, 8 create revision, 8 written at (microseconds since 1970), 4 length of the value, the value: those
 * of a get that found its key, else zero.  Only commands with gets or branches have details.
 */
#define CLIENT_DETAIL_BYTES 37
/* All details of a command, at most; beyond that they are not handed over. */
#define CLIENT_DETAILS_MAX (64u << 20)

typedef struct ClientDetail
{
	uint8 kind;
	uint64 count;
	uint64 revision;
	uint64 create_revision;
	int64 written_at_us;
	const char *value;
	uint32 value_length;
} ClientDetail;

/* Takes the next detail; false: there is none.  *at counts bytes, from 0. */
extern bool client_next_detail(const ClientResult *result, uint32 *at, ClientDetail *detail);

/*
 * Submits one command and waits until this node has applied it.  The operations have been checked.
 * Refuses in a read-only transaction, on a standby, while not preloaded, and where
 * paxoskv.in_transaction = error forbids it.
 *
 * With a request id (length 0: none): if that command is applied already, its first result is returned (O2);
 * 22023 if the id belongs to another command, 55000 if it was given up.
 */
extern ClientResult client_submit(const struct operation *operations, uint32 n_operations,
								  const char *request_id, uint32 request_id_length);

/* O4: submits a fence, likewise; what it changed is told by client_outcome(). */
extern void client_give_up(const struct fence *fence);

typedef enum ClientOutcome
{
	CLIENT_APPLIED,
	CLIENT_NOT_APPLIED, /* and never will be */
	CLIENT_UNKNOWN
} ClientOutcome;

/*
 * O5: what became of a request id, or of a command by its name (s<session>-<number>), as this node's tables have it: wait
 * for a read first.  *revision: its slot where that is kept, else 0.
 */
extern ClientOutcome client_outcome(const char *request_id, uint32 length, uint64 *revision);

/* How many commands of this session were applied so far. */
extern uint64 client_commands_applied(void);

/*
 * In a PG_CATCH block: raises the cancel (57014) that is being handled again as 40003, because it came after
 * a command of the statement was applied; context: one that outlives the block.
 */
pg_noreturn extern void client_raise_cancelled_late(MemoryContext context);

/*
 * Waits until this node has applied whatever a read of that level must see.  Returns the slot reached.
 * Afterwards the caller reads the table with a fresh snapshot (GetLatestSnapshot()).
 */
extern uint64 client_wait_for_read(ReadLevel level);

/* One entry of the log; bytes are palloc'd. */
typedef struct ClientLogEntry
{
	uint64 slot;
	uint64 epoch;
	struct paxos_ballot ballot;
	struct paxos_entry entry;
} ClientLogEntry;

/*
 * Reads the chosen entry in slot from this node's log, or its first one if that comes later (entry->slot says which).
 * False: behind what is known to be chosen here.
 */
extern bool client_read_log(uint64 slot, ClientLogEntry *entry);

/*
 * Has this node's log begin behind what its table holds durably and what connected nodes have applied.  Returns the first
 * slot that it has then.
 */
extern uint64 client_trim(void);

/* One member, as this node sees it. */
typedef struct ClientNode
{
	uint32 node_id;
	char address[PAXOS_ADDRESS_MAX + 1];
	bool voter;
	bool leader;
	bool connected;
	bool self;
	bool applied_known;
	uint64 applied_slot;
	uint64 end_slot;
	int64 bytes_behind;        /* -1: not known here (only the leader knows) */
	TimestampTz last_heard_at; /* 0: never */
	char trouble[256];         /* formation: what is wrong with it, "" if nothing */
} ClientNode;

typedef struct ClientStatus
{
	uint32 node_id;
	char cluster_name[64];
	struct paxos_id cluster_id;
	struct paxos_id store_id;
	char role
		[16]; /* 'leader', 'follower', 'candidate', 'unformed', 'outsider', 'fenced', 'dormant', 'damaged', 'starting' */
	uint32 leader_id; /* 0: none known */
	struct paxos_ballot ballot;
	uint64 epoch;
	uint64 session;
	uint64 run;
	bool quorum;
	uint64 first_slot;
	uint64 last_slot;
	uint64 chosen_slot;
	uint64 applied_slot;
	uint64 log_bytes;
	uint64 scrub_slot;       /* the old log is being read again, from there on; 0: it is not */
	TimestampTz scrubbed_at; /* when all of it was read last; 0: not yet */
	uint64 elections;
	uint64 commands;  /* numbered by this node since the server started */
	uint64 syncs;     /* of the log since then */
	char detail[512]; /* why it is dormant, damaged or unformed; "" if nothing */
	int n_nodes;
	ClientNode nodes[PAXOS_MAX_MEMBERS];
} ClientStatus;

/* Copies the workers' last published status; works in every state, also while dormant. */
extern void client_status(ClientStatus *status);

/* Whether this server is a member of a formed cluster, and its paxoskv.database: for the 55006 refusals. */
extern bool client_is_member(void);
/*
 * F5: rows are about to be loaded into the tables, whose lock is held.  False: this server has agreed to a cluster, and
 * what that begins with is settled.
 */
extern bool client_begin_load(void);

/* Tells the apply worker that its extension was just created, so that it looks at once. */
extern void client_extension_created(void);

/* One node's answer to paxos_verify(). */
typedef struct ClientVerified
{
	uint32 node_id;
	bool connected;
	bool answered; /* the state below is as its rows are */
	struct state_point state;
	bool judged; /* "agrees" is known */
	bool agrees;
} ClientVerified;

/*
 * T3: has all nodes recompute their states from their rows when they have applied through slot (0: through what is known
 * to be chosen now), and compares them.  Waits for paxoskv.commit_timeout at most; who has not answered by then is not
 * known.  Returns their number.  22023 if slot is not known to be chosen.
 */
extern int client_verify(uint64 slot, ClientVerified nodes[PAXOS_MAX_MEMBERS]);

/*
 * T5: has this node take the rows of another one, whatever its own are, and waits until it has; it goes on by itself when
 * the wait is cancelled.  Returns the slot that they are as of.  55000, with what was in the way, where it can't.
 */
extern uint64 client_resync(void);

/* A table on its way: a row of view paxoskv.snapshot_progress.  Totals are 0 while they are not known. */
typedef struct ClientSnapshot
{
	SnapshotRole role;
	uint32 pid; /* 0: its worker has not started yet, or ended */
	uint32 peer;
	SnapshotPhase phase;
	uint64 slot;
	uint64 rows_total;
	uint64 rows_done;
	uint64 bytes_total;
	uint64 bytes_done;
	TimestampTz started;
} ClientSnapshot;

/* Returns their number. */
extern int client_snapshots(ClientSnapshot snapshots[SNAPSHOT_ROLES]);

/* Waits until this node has applied through slot; returns the slot reached.  53000 at paxoskv.commit_timeout. */
extern uint64 client_wait_for_applied(uint64 slot);

/* Whether the library was preloaded, so that there are workers and settings. */
extern bool client_preloaded(void);

/* Whether this process is the apply worker, which alone changes the store's tables. */
extern bool am_apply_worker(void);

#endif /* PAXOSKV_CLIENT_H */
