/*
 * sim.c - the program: one seed, or many of them over several processes.
 *
 *	 sim --seed N [--trace] [CHANGES]	 what is changed of the seed's draw
 *	 sim --seed N --shrink [--jobs J]	 looks for less that still breaks the same rule
 *	 sim --seeds FROM:COUNT [--jobs J]
 *	 sim --kept FILE [--jobs J]			 the seeds that a list names
 *	 sim --hashes FROM:COUNT			 the trace hash of each, to compare builds
 *	 sim --scenario NAME|all|list [--case K] [--trace]
 */
#include "run.h"
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Real time that one seed may take; sanitizers and a busy machine included. */
#define PATIENCE_S 120
#define SHRINK_S 120

struct command_line
{
	bool one;
	bool trace;
	bool shrink;
	bool hashes;
	uint64_t seed;
	uint64_t count;
	const char *kept;
	const char *scenario;
	bool one_case;
	uint64_t scenario_case;
	uint32_t jobs;
	double patience_s;
	double budget_s;
	struct sim_overrides overrides;
	uint32_t left_out[FAULTS_MAX];
};

static int usage(void)
{
	fputs("usage: sim --seed N [--trace] [CHANGES]\n"
		  "       sim --seed N --shrink [--jobs J] [--budget SECONDS] [CHANGES]\n"
		  "       sim --seeds FROM:COUNT [--jobs J] [--patience SECONDS]\n"
		  "       sim --kept FILE [--jobs J]\n"
		  "       sim --hashes FROM:COUNT\n"
		  "       sim --scenario NAME|all|list [--case K] [--trace]\n"
		  "CHANGES: --without I,J,... (faults by index)  --faults N  --clients N  --chaos MS  --not-lossy\n"
		  "         --final-whole  --no-delays  --variant N\n",
		  stderr);
	return 2;
}

/* ---------------------------------------------------------------- what it does */

static int run_one(const struct command_line *c)
{
	struct world *w = world_new(c->seed, c->trace, &c->overrides);

	w->n_seeds = 1;
	failure_watch(w, NULL);
	world_run(w);
	failure_watch(NULL, NULL);
	printf("seed %" PRIu64 " passed%s: %" PRIu64 " events, %" PRIu64 " slots chosen, trace hash %016" PRIx64
		   "\n",
		   c->seed, w->stopped_safely ? " (stopped safely)" : "", w->dispatched, oracle_chosen(w),
		   w->trace.hash);
	world_free(w);
	return 0;
}

static int run_range(const struct command_line *c)
{
	uint64_t *seeds = malloc(c->count * sizeof(*seeds));
	int code;

	for (uint64_t i = 0; i < c->count; i++)
		seeds[i] = c->seed + i;
	code = batch_run(seeds, c->count, c->jobs, c->patience_s);
	free(seeds);
	return code;
}

/* The second word of each line is a seed; "-" stands for none. */
static int run_kept(const struct command_line *c)
{
	FILE *file = fopen(c->kept, "r");
	uint64_t *seeds = NULL;
	uint64_t n = 0;
	char line[1024];
	int code = 0;

	if (file == NULL)
	{
		perror(c->kept);
		return 2;
	}
	while (fgets(line, sizeof(line), file) != NULL)
	{
		uint64_t seed;

		if (line[0] == '#' || sscanf(line, "%*s %" SCNu64, &seed) != 1)
			continue;
		seeds = realloc(seeds, (n + 1) * sizeof(*seeds));
		seeds[n++] = seed;
	}
	fclose(file);
	if (n > 0)
		code = batch_run(seeds, n, c->jobs, c->patience_s);
	free(seeds);
	return code;
}

static int print_hashes(const struct command_line *c)
{
	for (uint64_t i = 0; i < c->count; i++)
	{
		struct world *w = world_new(c->seed + i, false, NULL);

		failure_watch(w, NULL);
		world_run(w);
		failure_watch(NULL, NULL);
		printf("%" PRIu64 " %016" PRIx64 "\n", w->seed, w->trace.hash);
		world_free(w);
	}
	return 0;
}

/* ---------------------------------------------------------------- the command line */

static bool parse_left_out(struct command_line *c, const char *list)
{
	uint32_t n = 0;

	while (*list != '\0' && n < FAULTS_MAX)
	{
		char *end;

		c->left_out[n++] = (uint32_t) strtoul(list, &end, 10);
		if (end == list || (*end != ',' && *end != '\0'))
			return false;
		list = *end == ',' ? end + 1 : end;
	}
	c->overrides.left_out = c->left_out;
	c->overrides.n_left_out = n;
	return *list == '\0';
}

static bool parse_flag(struct command_line *c, const char *name)
{
	if (strcmp(name, "--trace") == 0)
		c->trace = true;
	else if (strcmp(name, "--shrink") == 0)
		c->shrink = true;
	else if (strcmp(name, "--not-lossy") == 0)
		c->overrides.not_lossy = true;
	else if (strcmp(name, "--final-whole") == 0)
		c->overrides.final_whole = true;
	else if (strcmp(name, "--no-delays") == 0)
		c->overrides.no_delays = true;
	else
		return false;
	return true;
}

static bool parse_change(struct command_line *c, const char *name, const char *value)
{
	if (strcmp(name, "--without") == 0)
		return parse_left_out(c, value);
	if (strcmp(name, "--faults") == 0)
	{
		c->overrides.limit_faults = true;
		c->overrides.max_faults = (uint32_t) strtoul(value, NULL, 10);
	}
	else if (strcmp(name, "--clients") == 0)
		c->overrides.n_clients = (uint32_t) strtoul(value, NULL, 10);
	else if (strcmp(name, "--chaos") == 0)
		c->overrides.chaos_ms = strtoull(value, NULL, 10);
	else if (strcmp(name, "--variant") == 0)
		c->overrides.variant = (uint32_t) strtoul(value, NULL, 10);
	else
		return false;
	return true;
}

static bool parse_option(struct command_line *c, const char *name, const char *value)
{
	if (strcmp(name, "--scenario") == 0)
		c->scenario = value;
	else if (strcmp(name, "--case") == 0)
	{
		c->one_case = true;
		c->scenario_case = strtoull(value, NULL, 10);
	}
	else if (strcmp(name, "--seed") == 0)
	{
		c->one = true;
		c->seed = strtoull(value, NULL, 10);
	}
	else if (strcmp(name, "--seeds") == 0 || strcmp(name, "--hashes") == 0)
	{
		c->hashes = strcmp(name, "--hashes") == 0;
		return sscanf(value, "%" SCNu64 ":%" SCNu64, &c->seed, &c->count) == 2 && c->count > 0;
	}
	else if (strcmp(name, "--kept") == 0)
		c->kept = value;
	else if (strcmp(name, "--jobs") == 0)
		c->jobs = (uint32_t) strtoul(value, NULL, 10);
	else if (strcmp(name, "--patience") == 0)
		c->patience_s = strtod(value, NULL);
	else if (strcmp(name, "--budget") == 0)
		c->budget_s = strtod(value, NULL);
	else
		return parse_change(c, name, value);
	return true;
}

int main(int argc, char **argv)
{
	static struct command_line c = {.jobs = 1, .patience_s = PATIENCE_S, .budget_s = SHRINK_S};

	for (int i = 1; i < argc; i++)
	{
		if (parse_flag(&c, argv[i]))
			continue;
		if (i + 1 == argc || !parse_option(&c, argv[i], argv[i + 1]))
			return usage();
		i++;
	}
	if (c.scenario != NULL)
		return scenario_run(c.scenario, c.one_case ? &c.scenario_case : NULL, c.trace);
	if (c.jobs < 1 || c.jobs > JOBS_MAX || c.one + (c.count > 0) + (c.kept != NULL) != 1)
		return usage();
	if (c.kept != NULL)
		return run_kept(&c);
	if (!c.one)
		return c.hashes ? print_hashes(&c) : run_range(&c);
	return c.shrink ? shrink_run(c.seed, &c.overrides, c.jobs, c.budget_s) : run_one(&c);
}
