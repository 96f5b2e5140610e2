/*
 * store_plan.h - a statement of the apply worker: prepared once, kept, run through SPI.
 */
#ifndef PAXOSKV_STORE_PLAN_H
#define PAXOSKV_STORE_PLAN_H

#include "postgres.h"

#include "executor/spi.h"

#define STORE_PLAN_ARGUMENTS_MAX 9

typedef struct StorePlan
{
	const char *text; /* search_path is empty */
	Oid types[STORE_PLAN_ARGUMENTS_MAX];
	SPIPlanPtr plan; /* NULL until it is prepared */
} StorePlan;

/* With SPI connected. */
extern void store_plan_prepare(StorePlan *plan);

/* Likewise.  nulls: as SPI takes them, or NULL.  Returns the rows processed; anything but "expected" is an error. */
extern uint64 store_plan_run(const StorePlan *plan, Datum *values, const char *nulls, int expected);

#endif /* PAXOSKV_STORE_PLAN_H */
