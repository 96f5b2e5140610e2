/*
 * workers.h - the background workers: their registration and their mains.
 */
#ifndef PAXOSKV_WORKERS_H
#define PAXOSKV_WORKERS_H

#include "postgres.h"

#include "postmaster/bgworker.h"

#include "worker/snapshot.h"

/* Registers both static workers; in _PG_init while preloading. */
extern void workers_register(void);

extern PGDLLEXPORT void paxoskv_consensus_main(Datum arg);
extern PGDLLEXPORT void paxoskv_apply_main(Datum arg);

/* T3: starts a worker that recounts the state once and ends; its result is to carry that number.  NULL: there is no
 * room for one. */
extern BackgroundWorkerHandle *workers_start_recount(uint32 number);
extern PGDLLEXPORT void paxoskv_recount_main(Datum arg);

/* T5: starts a worker that sends or loads a table once; job: shared memory has it.  NULL: there is no room for one. */
extern BackgroundWorkerHandle *workers_start_snapshot(SnapshotRole role, uint32 job);
extern PGDLLEXPORT void paxoskv_snapshot_send_main(Datum arg);
extern PGDLLEXPORT void paxoskv_snapshot_load_main(Datum arg);

#endif /* PAXOSKV_WORKERS_H */
