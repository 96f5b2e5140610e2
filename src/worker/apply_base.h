/*
 * apply_base.h - F5: what the table holds before its cluster's first command.
 */
#ifndef PAXOSKV_APPLY_BASE_H
#define PAXOSKV_APPLY_BASE_H

#include "postgres.h"

#include "paxos/formation.h"
#include "worker/recount.h"

/*
 * Reads it, in a transaction with a snapshot; waits (lock_timeout) until nobody is loading rows.  An error where the
 * rows can't be a part of any state.  loads: how many loads it has in it (shmem.h).
 */
extern void base_read(struct paxos_base *base, Recount *recount, uint64 *loads);

#endif /* PAXOSKV_APPLY_BASE_H */
