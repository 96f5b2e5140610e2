/*
 * shrink.c - from a seed that fails to less that still breaks the same rule: fewer faults by delta debugging,
 * then fewer clients, no loss within a connection, no delays, shorter chaos.
 *
 * To leave something out changes when all that follows happens, so that what remains may well fail, but no
 * longer in the one way that was drawn.  Hence each candidate is run in several variants (other delays, other
 * requests, the same faults).  Each run is a process of its own, because world_fail() ends it.
 */
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS */
#include "run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define VARIANTS_MAX 64
/* Real time for one candidate. */
#define ATTEMPT_S 20

/* A schedule: what is left out of the seed's draw.  overrides.left_out is always this array. */
struct schedule
{
	struct sim_overrides overrides;
	uint32_t left_out[FAULTS_MAX];
};

struct shrink
{
	uint64_t seed;
	uint32_t jobs;
	double deadline;
	uint64_t attempts;
	uint32_t clients; /* as drawn */
	struct schedule best;
	struct outcome found;     /* of best */
	struct outcome *outcomes; /* shared memory: by variant */
};

/* ---------------------------------------------------------------- one candidate */

static _Noreturn void run_child(uint64_t seed, const struct sim_overrides *overrides, struct outcome *outcome)
{
	struct world *w;

	if (outcome != NULL && freopen("/dev/null", "w", stdout) == NULL)
		_Exit(2);
	alarm(ATTEMPT_S);
	w = world_new(seed, false, overrides);
	w->n_seeds = 1;
	failure_watch(w, outcome);
	world_run(w);
	_Exit(0);
}

/* The first "n" variants, "jobs" at a time. */
static void run_variants(struct shrink *s, const struct sim_overrides *overrides, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
	{
		struct sim_overrides changed = *overrides;
		pid_t pid;

		changed.variant = i;
		memset(&s->outcomes[i], 0, sizeof(s->outcomes[i]));
		fflush(stdout);
		pid = fork();
		if (pid == 0)
			run_child(s->seed, &changed, &s->outcomes[i]);
	}
	while (wait(NULL) > 0)
		s->attempts++;
}

/* What is the shorter schedule: above all the one with fewer faults, but no fault is worth any length. */
static uint64_t cost(const struct shrink *s, const struct sim_overrides *o, const struct outcome *outcome)
{
	uint64_t clients = o->n_clients > 0 ? o->n_clients : s->clients;

	return outcome->events + (uint64_t) outcome->faults * 2000 + clients * 500 + (o->not_lossy ? 0 : 2000) +
		   (o->final_whole ? 0 : 2000) + (o->no_delays ? 0 : 1000);
}

/* Whether some variant of the candidate breaks the same rule at lower cost; then it is the best. */
static bool try_schedule(struct shrink *s, const struct sim_overrides *candidate, uint32_t variants)
{
	uint64_t lowest = cost(s, &s->best.overrides, &s->found);
	uint32_t chosen = VARIANTS_MAX;

	for (uint32_t i = 0; i < variants && chosen == VARIANTS_MAX && real_seconds() < s->deadline;)
	{
		uint32_t n = s->jobs < variants - i ? s->jobs : variants - i;

		run_variants(s, candidate, i, n);
		for (uint32_t end = i + n; i < end; i++)
		{
			const struct outcome *outcome = &s->outcomes[i];

			if (!outcome->failed || strcmp(outcome->rule, s->found.rule) != 0 ||
				cost(s, candidate, outcome) >= lowest)
				continue;
			lowest = cost(s, candidate, outcome);
			chosen = i;
		}
	}
	if (chosen == VARIANTS_MAX)
		return false;
	s->found = s->outcomes[chosen];
	memmove(s->best.left_out, candidate->left_out, candidate->n_left_out * sizeof(uint32_t));
	s->best.overrides = *candidate;
	s->best.overrides.left_out = s->best.left_out;
	s->best.overrides.variant = chosen;
	printf("  %7" PRIu64 " events, %3" PRIu32 " faults: ", s->found.events, s->found.faults);
	failure_print_options(stdout, s->seed, &s->best.overrides);
	putchar('\n');
	fflush(stdout);
	return true;
}

/* ---------------------------------------------------------------- fewer faults */

static bool is_left_out(const struct sim_overrides *o, uint32_t index)
{
	for (uint32_t i = 0; i < o->n_left_out; i++)
		if (o->left_out[i] == index)
			return true;
	return false;
}

/* Those that the best schedule still inflicts. */
static uint32_t remaining(const struct shrink *s, uint32_t *indexes)
{
	uint32_t n = 0;

	for (uint32_t i = 0; n < s->found.faults && i < FAULTS_MAX; i++)
		if (!is_left_out(&s->best.overrides, i))
			indexes[n++] = i;
	return n;
}

/* None from one on: shorter to say than a list. */
static bool cut_tail(struct shrink *s)
{
	static uint32_t indexes[FAULTS_MAX];
	bool any = false;

	for (uint32_t keep = 0;; keep = keep * 2 + 1)
	{
		struct sim_overrides candidate = s->best.overrides;
		uint32_t n = remaining(s, indexes);

		if (keep >= n)
			return any;
		candidate.limit_faults = true;
		candidate.max_faults = keep == 0 ? 0 : indexes[keep - 1] + 1;
		if (try_schedule(s, &candidate, 8))
			return true;
	}
}

/* Delta debugging: leaves out halves, quarters, ... single ones. */
static bool leave_out(struct shrink *s)
{
	static uint32_t indexes[FAULTS_MAX];
	static uint32_t left_out[2 * FAULTS_MAX];
	uint32_t n = remaining(s, indexes);
	bool any = false;

	for (uint32_t size = (n + 1) / 2; size > 0; size /= 2)
		for (uint32_t from = 0; from < n && real_seconds() < s->deadline;)
		{
			struct sim_overrides candidate = s->best.overrides;
			uint32_t count = size < n - from ? size : n - from;

			memcpy(left_out, candidate.left_out, candidate.n_left_out * sizeof(uint32_t));
			memcpy(left_out + candidate.n_left_out, indexes + from, count * sizeof(uint32_t));
			candidate.left_out = left_out;
			candidate.n_left_out += count;
			if (candidate.n_left_out <= FAULTS_MAX && try_schedule(s, &candidate, size == 1 ? 12 : 6))
			{
				any = true;
				n = remaining(s, indexes);
			}
			else
				from += count;
		}
	return any;
}

/* Left out, but beyond what is inflicted at all: need not be said. */
static void forget_needless(struct shrink *s)
{
	struct sim_overrides *o = &s->best.overrides;
	uint32_t n = 0;

	for (uint32_t i = 0; i < o->n_left_out; i++)
		if (!o->limit_faults || s->best.left_out[i] < o->max_faults)
			s->best.left_out[n++] = s->best.left_out[i];
	o->n_left_out = n;
}

/* ---------------------------------------------------------------- less of the rest */

static bool simplify(struct shrink *s)
{
	bool any = false;

	for (int what = 0; what < 7; what++)
	{
		struct sim_overrides candidate = s->best.overrides;
		uint32_t clients = candidate.n_clients > 0 ? candidate.n_clients : s->clients;
		uint64_t at_ms = s->found.at / 1000;

		candidate.final_whole |= what == 0;
		candidate.not_lossy |= what == 1;
		candidate.no_delays |= what == 2;
		if (what == 3)
			candidate.n_clients = 1;
		if (what == 4 && clients > 2)
			candidate.n_clients = clients / 2;
		if (what == 5)
			candidate.chaos_ms = 1;
		if (what == 6)
			candidate.chaos_ms = (candidate.chaos_ms > 0 ? candidate.chaos_ms : at_ms) / 2 + 1;
		any |= try_schedule(s, &candidate, 8);
	}
	return any;
}

/* ---------------------------------------------------------------- all of it */

/* As drawn: what breaks at all. */
static bool run_original(struct shrink *s)
{
	struct world *w = world_new(s->seed, false, NULL);

	s->clients = w->config.n_clients;
	world_free(w);
	run_variants(s, &s->best.overrides, s->best.overrides.variant, 1);
	s->found = s->outcomes[s->best.overrides.variant];
	return s->found.failed;
}

static void search(struct shrink *s)
{
	bool any = true;

	while (any && real_seconds() < s->deadline)
	{
		any = cut_tail(s);
		forget_needless(s);
		any |= simplify(s);
		any |= leave_out(s);
		if (!any)
			any = try_schedule(s, &s->best.overrides, VARIANTS_MAX);
	}
}

/* Without further ado: its trace and what broke. */
static void show(const struct shrink *s)
{
	fflush(stdout);
	if (fork() == 0)
		run_child(s->seed, &s->best.overrides, NULL);
	wait(NULL);
}

int shrink_run(uint64_t seed, const struct sim_overrides *overrides, uint32_t jobs, double budget_s)
{
	static struct shrink s;
	struct outcome original;
	double began = real_seconds();

	if (overrides->variant >= VARIANTS_MAX)
		return 2;
	s.seed = seed;
	s.jobs = jobs;
	s.deadline = began + budget_s;
	s.best.overrides = *overrides;
	if (overrides->n_left_out > 0)
		memcpy(s.best.left_out, overrides->left_out, overrides->n_left_out * sizeof(uint32_t));
	s.best.overrides.left_out = s.best.left_out;
	s.outcomes = mmap(NULL, VARIANTS_MAX * sizeof(*s.outcomes), PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s.outcomes == MAP_FAILED)
		return 1;
	if (!run_original(&s))
	{
		printf("seed %" PRIu64 " breaks nothing\n", seed);
		return 0;
	}
	original = s.found;
	printf("seed %" PRIu64 " breaks %s after %" PRIu64 " events, %" PRIu32 " faults\n", seed, original.rule,
		   original.events, original.faults);
	search(&s);
	show(&s);
	printf("shortest found: %" PRIu64 " events, %" PRIu32 " faults, of %" PRIu64 " events, %" PRIu32
		   " faults; %" PRIu64 " attempts in %.0f s\n\n    build/sim/sim ",
		   s.found.events, s.found.faults, original.events, original.faults, s.attempts,
		   real_seconds() - began);
	failure_print_options(stdout, seed, &s.best.overrides);
	printf("\n\n");
	return 1;
}
