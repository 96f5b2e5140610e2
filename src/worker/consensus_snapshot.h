/*
 * consensus_snapshot.h - T5: the consensus worker's files for tables on their way, among themselves.
 *
 *	 consensus_snapshot.c	 jobs and their workers; the turn of the loop; what an earlier life left
 *	 consensus_receive.c	 a table for this node
 *	 consensus_send.c		 this node's for another one
 */
#ifndef PAXOSKV_CONSENSUS_SNAPSHOT_H
#define PAXOSKV_CONSENSUS_SNAPSHOT_H

#include "worker/consensus.h"

#include "postmaster/bgworker.h"

#define SNAPSHOT_POLL_MS 50
#define SNAPSHOT_RETRY_MS 500

/* ---- consensus_snapshot.c */

static inline SnapshotShared *shared_snapshot(void)
{
	return &paxos_shared->snapshot;
}

static inline SnapshotSide *side_of(SnapshotRole role)
{
	return &paxos_shared->snapshot.sides[role];
}

static inline SnapshotStep step_of(SnapshotSide *side)
{
	SnapshotStep step = (SnapshotStep) pg_atomic_read_u32(&side->step);

	pg_read_barrier();
	return step;
}

/* Rises, over all lives' jobs and holds; never 0. */
extern uint32 snapshot_number(void);
extern void snapshot_begin_job(SnapshotSide *side, uint32 peer, SnapshotPhase phase);
extern void snapshot_end_job(SnapshotSide *side);
extern void snapshot_wake_worker(SnapshotSide *side);
/* For the side's job.  False, and said now and then: there is no place for one. */
extern bool snapshot_start_worker(SnapshotRole role, BackgroundWorkerHandle **worker);
extern bool snapshot_has_stopped(BackgroundWorkerHandle *worker);
/* Whether the side's worker is gone, so that its ring is free; forgets it. */
extern bool snapshot_is_free(SnapshotRole role, BackgroundWorkerHandle **worker);
/* Whether the database could be read, or written. */
extern bool snapshot_database_is_ready(void);

/* ---- consensus_receive.c */

extern void receive_start(void);
/* connected: there are others, and a core. */
extern void receive_step(bool connected);
extern uint64 receive_next_deadline(void);
extern void receive_stream_open(void);
extern bool receive_stream_bytes(const uint8 *bytes, uint32 length);
extern void receive_stream_end(const char *reason);

/* ---- consensus_send.c */

extern void send_start(void);
extern void send_step(void);
extern uint64 send_next_deadline(void);
extern void send_stream_open(uint32 node_id);
extern void send_stream_bytes(const uint8 *bytes, uint32 length);
extern void send_stream_end(const char *reason);

#endif /* PAXOSKV_CONSENSUS_SNAPSHOT_H */
