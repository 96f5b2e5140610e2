/*
 * explore.c - the command line.
 *
 *	explore --twins N
 *	explore [--short] [--start NAME [--budget B]] [--seconds S] [--depth N] [--states N] [--list]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

/*
 * What is explored, in this order: first what can be finished, then, for each start, everything at once, as deep
 * as time allows.  A budget: see letters[].
 */
static const struct planned
{
	const char *start;
	const char *budget;
	uint32_t weight; /* its share of the time */
	bool is_short;   /* part of the short version, too */
} plan[] = {
	{"fresh", "e1 c1", 3, true},
	{"fresh", "e2 p1 c1 d1", 1, true},
	{"stable", "e1 c1 d2", 1, true},
	{"stable", "e1 p1 c1 d1", 1, true},
	{"diverged", "e1", 2, true},
	{"diverged", "e2 c1 d1", 1, true},
	{"outlived", "e1 c1 d2", 1, true},
	{"syncs", "u1", 1, true},
	{"latesync", "e1 d2", 1, true},
	{"unheard", "e1 r1 d1", 1, true},
	{"deposed", "r1 u1 t1", 1, true},
	{"stable", "e1 c1", 4, false},
	{"stable", "e1 p1", 6, false},
	{"stable", "e2 p1 c1 l1 d1", 4, false},
	{"fresh", "e2 p1 c1 d2", 4, false},
	{"diverged", "e2 c1 d2", 4, false},
	{"syncs", "e1 p1 c1 d2", 4, false},
	{"unheard", "e1 r1 c1 d2", 2, false},
	{"fresh", "e2 p1 c1 u1", 4, false},
	{"stable", "e2 p2 c1 l1 u1 t1", 6, false},
	{"diverged", "e2 c1 u1", 5, false},
	{"outlived", "e2 c1 u1", 4, false},
	{"syncs", "e1 p1 c1 u2 t1", 4, false},
	{"latesync", "e1 p1 c1", 4, false},
	{"unheard", "e1 p1 r1 c1 t1", 3, false},
	{"deposed", "e1 p1 r1 u1 t1", 3, false},
};
#define PLANNED (sizeof(plan) / sizeof(plan[0]))

struct settings
{
	bool is_short;
	uint32_t n_walks; /* of --twins */
	const char *start;
	const char *budget; /* instead of the start's own */
	double seconds;     /* of all starts */
	uint32_t depth;
	uint64_t states; /* of one start */
};

static void usage(void)
{
	die("usage: explore [--short] [--start NAME [--budget B]] [--seconds S] [--depth N] [--states N] "
		"[--list]");
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
			settings->is_short = true;
			settings->seconds = 18;
			continue;
		}
		if (i + 1 == n)
			usage();
		i++;
		if (strcmp(name, "--twins") == 0)
			settings->n_walks = (uint32_t) atoi(argument[i]);
		else if (strcmp(name, "--budget") == 0)
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

static const struct start *find_start(const char *name)
{
	for (uint32_t i = 0; i < n_starts; i++)
		if (strcmp(name, starts[i].name) == 0)
			return &starts[i];
	die("no start %s; see --list", name);
}

static bool wanted(const struct settings *settings, const struct planned *planned)
{
	return (!settings->is_short || planned->is_short) &&
		   (settings->start == NULL || strcmp(settings->start, planned->start) == 0);
}

static struct
{
	uint64_t states;
	uint64_t transitions;
	uint64_t inputs;
	double seconds;
} total;

/* Explores from one start within one budget; false: something broke. */
static bool explore(const struct start *start, const char *budget, const struct limits *limits)
{
	struct findings f;
	struct world w;

	followers_forward = parse_budget(budget).beats > 0;
	nodes_start();
	start->make(&w);
	w.left = parse_budget(budget);
	search(&w, limits, &f);
	printf("%-8s  %-20s depth %3u%-6s %9llu states %10llu transitions %8llu inputs run %6.1f s\n",
		   start->name, budget, f.depth, f.complete ? " (all)" : "", (unsigned long long) f.states,
		   (unsigned long long) f.transitions, (unsigned long long) operations_run(), f.seconds);
	fflush(stdout);
	total.states += f.states;
	total.transitions += f.transitions;
	total.seconds += f.seconds;
	total.inputs += operations_run();
	return !f.violated;
}

static uint32_t weigh(const struct settings *settings, uint32_t from)
{
	uint32_t weight = 0;

	for (uint32_t i = from; i < PLANNED; i++)
		weight += wanted(settings, &plan[i]) ? plan[i].weight : 0;
	return weight;
}

/* Time that one exploration leaves goes to those that follow. */
static bool explore_plan(const struct settings *settings)
{
	for (uint32_t i = 0; i < PLANNED; i++)
	{
		double left = settings->seconds - total.seconds;
		struct limits limits = {.depth = settings->depth, .states = settings->states};

		if (!wanted(settings, &plan[i]))
			continue;
		limits.seconds = left * plan[i].weight / weigh(settings, i);
		if (!explore(find_start(plan[i].start), plan[i].budget, &limits))
			return false;
	}
	return true;
}

/* The test of canon.c: random paths from every start, generous budgets. */
static void compare_twins(uint32_t n_walks)
{
	followers_forward = true;
	for (uint32_t i = 0; i < n_walks; i++)
	{
		struct world w;

		if (i % 64 == 0)
			nodes_start();
		starts[i % n_starts].make(&w);
		w.left = parse_budget("e3 p3 c2 l1 u3 t1 r2 b2");
		walk(&w, i);
	}
	printf("%u random paths, %llu inputs: cores behave as their canonical twins do\n", n_walks,
		   (unsigned long long) twins_compared());
}

int main(int n, char **argument)
{
	struct settings settings = {.seconds = 240, .depth = 200, .states = 100000000};
	struct limits limits;
	bool fine;

	parse(n, argument, &settings);
	if (settings.n_walks > 0)
	{
		compare_twins(settings.n_walks);
		return 0;
	}
	limits = (struct limits){settings.seconds, settings.depth, settings.states};
	if (settings.start != NULL && settings.budget != NULL)
		fine = explore(find_start(settings.start), settings.budget, &limits);
	else
		fine = explore_plan(&settings);
	if (!fine)
		return 1;
	printf("%llu distinct states, %llu transitions (%llu of them computed by the core) in %.0f s; nothing "
		   "broke\n",
		   (unsigned long long) total.states, (unsigned long long) total.transitions,
		   (unsigned long long) total.inputs, total.seconds);
	if (world_truncated() > 0)
		printf("%llu steps left out: too many messages in flight\n", (unsigned long long) world_truncated());
	return 0;
}
