/*
 * explore.c - the command line.
 *
 *	explore [--short] [--start NAME] [--budget B] [--seconds S] [--depth N] [--states N] [--list]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

struct settings
{
	const char *start;
	const char *budget; /* instead of the start's own */
	double seconds;     /* of all starts */
	uint32_t depth;
	uint64_t states; /* of one start */
};

static void usage(void)
{
	die("usage: explore [--short] [--start NAME] [--budget B] [--seconds S] [--depth N] [--states N] [--list]");
}

/* A budget as "e2 p1 c1": a letter and a number for each. */
static const struct
{
	char letter;
	uint8_t offset;
	const char *what;
} letters[] = {
	{'e', offsetof(struct budget, elections), "elections"},
	{'p', offsetof(struct budget, proposals), "proposals"},
	{'c', offsetof(struct budget, crashes), "crashes"},
	{'l', offsetof(struct budget, cuts), "nodes cut off"},
	{'u', offsetof(struct budget, duplicates), "messages delivered twice"},
	{'t', offsetof(struct budget, ticks), "waits"},
	{'r', offsetof(struct budget, reads), "reads"},
	{'b', offsetof(struct budget, beats), "rounds of heartbeats"},
	{'d', offsetof(struct budget, delays), "1 + delays; none: any order"},
};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

static struct budget parse_budget(const char *text)
{
	struct budget budget = {0};

	for (; *text != '\0'; text++)
	{
		uint32_t i = 0;

		if (*text == ' ')
			continue;
		while (i < LETTERS && letters[i].letter != *text)
			i++;
		if (i == LETTERS || text[1] < '0' || text[1] > '9')
			die("a budget is made of these, each with a digit: e p c l u t r b d");
		((uint8_t *) &budget)[letters[i].offset] = (uint8_t) (*++text - '0');
	}
	return budget;
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
		if (strcmp(name, "--budget") == 0)
			settings->budget = argument[i];
		else if (strcmp(name, "--start") == 0)
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
static bool explore(const struct start *start, const char *budget, const struct limits *limits, struct findings *total)
{
	struct findings f;
	struct world w;

	followers_forward = parse_budget(budget).beats > 0;
	start->make(&w);
	w.left = parse_budget(budget);
	search(&w, limits, &f);
	printf("%-9s %-20s depth %2u%-6s %10llu states %11llu transitions %6.1f s  %.2f M/s\n", start->name, budget,
		   f.depth, f.complete ? " (all)" : "", (unsigned long long) f.states, (unsigned long long) f.transitions,
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

		if (wanted(&settings, &starts[i]) && !explore(&starts[i], settings.budget != NULL ? settings.budget : starts[i].budget, &limits, &total))
			return 1;
	}
	printf("%llu distinct states, %llu transitions in %.0f s; nothing broke\n", (unsigned long long) total.states,
		   (unsigned long long) total.transitions, total.seconds);
	printf("(%u states of a node, %u messages, %llu inputs run by the core of %u bytes; %llu steps left out)\n",
		   pool_count(nodes), pool_count(messages), (unsigned long long) operations_run(), node_core_bytes(),
		   (unsigned long long) world_truncated());
	return 0;
}
