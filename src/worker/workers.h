/*
 * workers.h - the background workers: their registration and their mains.
 */
#ifndef PAXOSKV_WORKERS_H
#define PAXOSKV_WORKERS_H

#include "postgres.h"

/* Registers both workers; in _PG_init while preloading. */
extern void workers_register(void);

extern PGDLLEXPORT void paxoskv_consensus_main(Datum arg);
extern PGDLLEXPORT void paxoskv_apply_main(Datum arg);

#endif /* PAXOSKV_WORKERS_H */
