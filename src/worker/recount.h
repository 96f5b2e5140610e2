/*
 * recount.h - T3: the state recomputed from the tables, which shows what was changed behind the hash's back.
 */
#ifndef PAXOSKV_RECOUNT_H
#define PAXOSKV_RECOUNT_H

#include "postgres.h"

#include "paxos/state_compare.h"

#define RECOUNT_DETAIL_MAX 300

typedef struct Recount
{
	struct state_recount result;
	char detail
		[RECOUNT_DETAIL_MAX]; /* the first row that is not as it was written, as a sentence; "": none is known */
} Recount;

/* Reads all of the replicated tables with the active snapshot, in constant memory. */
extern void recount_tables(Recount *recount);

#endif /* PAXOSKV_RECOUNT_H */
