/*
 * explore.c - the command line.
 *
 *	explore [--short] [--start NAME] [--seconds S] [--depth N] [--states N] [--list]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

struct settings
{
	const char *start;
	double seconds; /* of all starts */
	uint32_t depth;
	uint64_t states; /* of one start */
};

static void usage(void)
{
	die("usage: explore [--short] [--start NAME] [--seconds S] [--depth N] [--states N] [--list]");
}

static void list(void)
{
	for (uint32_t i = 0; i < n_starts; i++)
		printf("%-10s %s\n", starts[i].name, starts[i].what);
	exit(0);
}

static void parse(int n, char **argument, struct settings *settings)
{
	for (int i = 1; i < n; i++)
	{
		const char *name = argument[i];

		if (strcmp(name, "--list") == 0)
			list();
		if (strcmp(name, "--short") == 0)
		{
			settings->seconds = 15;
			continue;
		}
		if (i + 1 == n)
			usage();
		i++;
		if (strcmp(name, "--start") == 0)
			settings->start = argument[i];
		else if (strcmp(name, "--seconds") == 0)
			settings->seconds = atof(argument[i]);
		else if (strcmp(name, "--depth") == 0)
			settings->depth = (uint32_t) atoi(argument[i]);
		else if (strcmp(name, "--states") == 0)
			settings->states = strtoull(argument[i], NULL, 10);
		else
			usage();
	}
}

static bool wanted(const struct settings *settings, const struct start *start)
{
	return settings->start == NULL || strcmp(settings->start, start->name) == 0;
}

/* Explores from one start; false: something broke. */
static bool explore(const struct start *start, const struct limits *limits, struct findings *total)
{
	struct findings f;
	struct world w;

	start->make(&w);
	w.left = start->budget;
	search(&w, limits, &f);
	printf("%-10s depth %2u%-9s %10llu states %11llu transitions %6.1f s  %.2f M/s\n", start->name, f.depth,
		   f.complete ? " (all)" : "", (unsigned long long) f.states, (unsigned long long) f.transitions,
		   f.seconds, (double) f.transitions / 1e6 / f.seconds);
	fflush(stdout);
	total->states += f.states;
	total->transitions += f.transitions;
	total->seconds += f.seconds;
	return !f.violated;
}

int main(int n, char **argument)
{
	struct settings settings = {.seconds = 240, .depth = 200, .states = 60000000};
	struct findings total = {0};
	uint32_t weight = 0;

	parse(n, argument, &settings);
	for (uint32_t i = 0; i < n_starts; i++)
		weight += wanted(&settings, &starts[i]) ? starts[i].weight : 0;
	if (weight == 0)
		usage();
	nodes_start();
	for (uint32_t i = 0; i < n_starts; i++)
	{
		struct limits limits = {.seconds = settings.seconds * starts[i].weight / weight,
								.depth = settings.depth,
								.states = settings.states};

		if (wanted(&settings, &starts[i]) && !explore(&starts[i], &limits, &total))
			return 1;
	}
	printf("%llu distinct states, %llu transitions in %.0f s; nothing broke\n", (unsigned long long) total.states,
		   (unsigned long long) total.transitions, total.seconds);
	printf("(%u states of a node, %u messages, %llu inputs run by the core of %u bytes; %llu steps left out)\n",
		   pool_count(nodes), pool_count(messages), (unsigned long long) operations_run(), node_core_bytes(),
		   (unsigned long long) world_truncated());
	return 0;
}
