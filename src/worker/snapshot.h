/*
 * snapshot.h - T5 in shared memory: a table on its way out of this node, or into it.
 *
 * The bytes cross the consensus worker, which owns the sockets, and are made or taken by a short-lived worker that is
 * connected to the database.  Between the two lies a ring of bytes in shared memory for each direction: one writer, one
 * reader, both of which do a bounded piece at a time, so that neither commands nor heartbeats wait for a table.
 *
 *	 consensus_snapshot.h  who gets a table from whom, and when; bytes between sockets and rings
 *	 snapshot_send.c	   the worker that reads the table
 *	 snapshot_load.c	   the worker that makes this node's table that one
 *	 snapshot_table.c	   rows there and back: as bytes, and in a table, in the order of its keys
 *	 snapshot_rewrite.c	   new files for tables whose own can't be used
 *	 snapshot_format.c	   the bytes
 *
 * While a table is loaded the apply worker stands still ("hold"); it begins again with what is there then.
 */
#ifndef PAXOSKV_SNAPSHOT_H
#define PAXOSKV_SNAPSHOT_H

#include "postgres.h"

#include "pg_compat.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"

#include "paxos/paxos.h"

#define SNAPSHOT_RING_BYTES (512u << 10)
#define SNAPSHOT_TEXT_MAX 256

typedef enum SnapshotRole
{
	SNAPSHOT_RECEIVING,
	SNAPSHOT_SENDING,
	SNAPSHOT_ROLES
} SnapshotRole;

/* For people. */
typedef enum SnapshotPhase
{
	SNAPSHOT_NONE = 0,
	SNAPSHOT_CONNECTING,
	SNAPSHOT_STARTING,
	SNAPSHOT_WAITING, /* for the apply worker to stand still */
	SNAPSHOT_COPYING,
	SNAPSHOT_LOCKING, /* the rows are in new files: waits for transactions that have read or locked the table */
	SNAPSHOT_VERIFYING,
	SNAPSHOT_COMMITTING,
	SNAPSHOT_ENDING
} SnapshotPhase;

/* Where the worker is; it and the consensus worker go on in turn. */
typedef enum SnapshotStep
{
	STEP_WORKING = 0,
	STEP_RECEIVED, /* the loading worker: all bytes have come */
	STEP_READY,    /* it could commit: "restored" says what */
	STEP_GRANTED,  /* the consensus worker: the log says so durably, it may */
	STEP_COMMITTED,
	STEP_SENT,  /* the sending worker: all bytes are in the ring */
	STEP_FAILED /* either: "error" says why; nothing was committed */
} SnapshotStep;

/* Bytes: positions only rise. */
typedef struct SnapshotRing
{
	pg_atomic_uint64 written;
	pg_atomic_uint64 consumed;
	uint8 bytes[SNAPSHOT_RING_BYTES];
} SnapshotRing;

typedef struct SnapshotSide
{
	/* the consensus worker: the number of what is under way, 0: nothing.  A worker that has another one ends. */
	pg_atomic_uint32 job;
	/* that worker: a PGPROC's number, NO_PROC: there is none */
	pg_atomic_uint32 procno;
	pg_atomic_uint32 step; /* as above */

	/* the consensus worker, before it starts the worker */
	uint32 peer;
	uint64 wanted; /* receiving: no older table will do */
	bool replace;  /* likewise: nothing that is there is to be read */
	struct paxos_id store_id;
	uint64 run;
	uint64 nonce;

	/* the worker, before STEP_READY or STEP_FAILED */
	struct paxos_restored restored;
	char error[SNAPSHOT_TEXT_MAX];
	bool unfit; /* receiving: it failed because of what this node's tables are */

	/* progress: who is named in each line, without lock, but for "started", which is written before the job */
	TimestampTz started;          /* the consensus worker */
	pg_atomic_uint32 phase;       /* either */
	pg_atomic_uint32 pid;         /* the worker, whose place this is while it is not 0 */
	pg_atomic_uint64 slot;        /* the worker, as the next ones */
	pg_atomic_uint64 rows_total;  /* of paxoskv.kv */
	pg_atomic_uint64 rows_done;   /* likewise */
	pg_atomic_uint64 bytes_total; /* of the table, as the sender's disk has it: an estimate of ... */
	pg_atomic_uint64 bytes_done;  /* bytes made, or taken */

	SnapshotRing ring;
} SnapshotSide;

typedef struct SnapshotShared
{
	SnapshotSide sides[SNAPSHOT_ROLES];

	/* the consensus worker: the hold that it wants, 0: none; the apply worker: the one that it keeps */
	pg_atomic_uint32 hold;
	pg_atomic_uint32 held;
	/* tables that were loaded since the server started: those that are committed, says who did it; and those that the
	 * apply worker knows of */
	pg_atomic_uint64 loads;
	pg_atomic_uint64 loads_seen;

	/* paxos_resync(): a backend adds one to "asked"; the consensus worker says which were done, how.  status_lock */
	uint64 asked;
	uint64 answered;
	uint64 answered_ok; /* those up to here well, by a table as of ... */
	uint64 answered_slot;
	char refusal[2 * SNAPSHOT_TEXT_MAX];
	ConditionVariable answered_cv;
} SnapshotShared;

/* ---- snapshot_worker.c: what both workers are made of */

extern void snapshot_shmem_init(SnapshotShared *shared);

/* The side that this process works for, and whether it is still wanted. */
typedef struct SnapshotWorker
{
	SnapshotSide *side;
	uint32 job;
} SnapshotWorker;

/* Connects to the database, with settings that fit; ends with its process. */
extern void snapshot_worker_start(SnapshotWorker *worker, SnapshotRole role, uint32 job);
/* Lets the other side know. */
extern void snapshot_worker_step(SnapshotWorker *worker, SnapshotStep step);
/* Waits for a latch, or that long; ends the process where its job is over. */
extern void snapshot_worker_wait(SnapshotWorker *worker, long timeout_ms);
/* In a PG_CATCH block: ends the transaction, says why it failed, ends the process. */
pg_noreturn extern void snapshot_worker_failed(SnapshotWorker *worker);

/* However long it takes. */
extern void snapshot_write(SnapshotWorker *worker, const void *bytes, uint64 length);
extern void snapshot_read(SnapshotWorker *worker, void *bytes, uint64 length);

/* Whether this process loads a table, which may change the store's tables then. */
extern bool am_snapshot_loader(void);

/* What the ring has; what it takes. */
static inline uint64 snapshot_ring_filled(SnapshotRing *ring)
{
	return pg_atomic_read_u64(&ring->written) - pg_atomic_read_u64(&ring->consumed);
}

static inline uint64 snapshot_ring_room(SnapshotRing *ring)
{
	return SNAPSHOT_RING_BYTES - snapshot_ring_filled(ring);
}

/* Moves as much as there is (room for) now; returns how much. */
extern uint64 snapshot_ring_put(SnapshotRing *ring, const void *bytes, uint64 length);
extern uint64 snapshot_ring_get(SnapshotRing *ring, void *bytes, uint64 length);

#endif /* PAXOSKV_SNAPSHOT_H */
