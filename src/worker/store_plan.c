/*
 * store_plan.c - a statement of the apply worker: prepared once, kept, run through SPI.
 */
#include "postgres.h"

#include "worker/store_plan.h"

void store_plan_prepare(StorePlan *plan)
{
	int n = 0;

	while (n < STORE_PLAN_ARGUMENTS_MAX && OidIsValid(plan->types[n]))
		n++;
	if (plan->plan != NULL)
		return;
	plan->plan = SPI_prepare(plan->text, n, plan->types);
	if (plan->plan == NULL || SPI_keepplan(plan->plan) != 0)
		elog(ERROR, "could not prepare \"%s\": %s", plan->text, SPI_result_code_string(SPI_result));
}

uint64 store_plan_run(const StorePlan *plan, Datum *values, const char *nulls, int expected)
{
	int result = SPI_execute_plan(plan->plan, values, nulls, false, 0);

	if (result != expected)
		elog(ERROR, "could not run \"%s\": %s", plan->text, SPI_result_code_string(result));
	return SPI_processed;
}
