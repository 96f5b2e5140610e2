/*
 * run.h - around the worlds: batches of them, what a failure prints, the search for a shorter schedule.
 */
#ifndef SIM_RUN_H
#define SIM_RUN_H

#include "sim.h"

#define JOBS_MAX 64
/* Faults whose index is above that can't be named to be left out. */
#define FAULTS_MAX 4096

/* How a run ended that broke something. */
struct outcome
{
	bool failed; /* and was told */
	char rule[32];
	uint64_t events;
	uint32_t faults; /* inflicted, those left out not counted */
	sim_time at;
};

/* What a batch has to tell in which nothing broke. */
struct totals
{
	uint64_t seeds;
	uint64_t events;
	uint64_t slots;
	uint64_t stopped_safely;
	uint64_t damaged;
	uint64_t doubtful;
	uint64_t repaired;
	uint64_t of_all;
	uint64_t wiped;
	uint64_t copies;
	uint64_t fenced;
	uint64_t trims;
	uint64_t restored;
	uint64_t interrupted;
	uint64_t databases;
};

/* ---------------------------------------------------------------- failure.c */

/*
 * From now on a signal, or an assertion of the log, ends the process with what world_fail() prints of this
 * world; NULL: as if never called.  *outcome (or NULL) then says what broke.
 */
void failure_watch(struct world *w, struct outcome *outcome);
/* A rule's meaning in a few words, or NULL. */
const char *failure_rule_in_words(const char *rule);
/* The options that replay a seed under these overrides. */
void failure_print_options(FILE *out, uint64_t seed, const struct sim_overrides *overrides);

/* ---------------------------------------------------------------- batch.c */

/*
 * Runs all seeds over "jobs" processes; the first that fails ends the batch, and names its seed.  A seed that
 * takes more than "patience_s" seconds of real time fails.  The exit code.
 */
int batch_run(const uint64_t *seeds, uint64_t n_seeds, uint32_t jobs, double patience_s);
double real_seconds(void);

/* ---------------------------------------------------------------- shrink.c */

/* Looks for less that still breaks the same rule.  The exit code. */
int shrink_run(uint64_t seed, const struct sim_overrides *overrides, uint32_t jobs, double budget_s);

#endif /* SIM_RUN_H */
