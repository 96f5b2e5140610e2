/*
 * search.c - breadth first, so that the first violation found is one of the shortest.
 *
 * Of a world explored only a 64-bit fingerprint, its parent's number and the step from there remain; whole
 * worlds are kept of the last level alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"

/* Worlds one behind the other, each as long as it needs. */
struct level
{
	uint8_t *bytes;
	size_t used;
	size_t capacity;
	uint32_t first; /* number of its first world */
};

/* How a world was reached. */
struct trace
{
	uint32_t parent;
	uint32_t action;
};

static struct
{
	uint64_t *fingerprints; /* 0: free */
	uint64_t mask;
	uint64_t n;
	struct trace *traces;
	uint64_t traces_capacity;
	struct level levels[2];
	const struct world *start;
	uint64_t transitions;
} s;

/* Of this process, so that a busy machine explores no less. */
static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void *or_die(void *memory)
{
	if (memory == NULL)
		die("out of memory");
	return memory;
}

static void grow_fingerprints(void)
{
	uint64_t *old = s.fingerprints;
	uint64_t n = old == NULL ? 0 : s.mask + 1;

	s.mask = n == 0 ? (1u << 20) - 1 : n * 2 - 1;
	s.fingerprints = or_die(calloc(s.mask + 1, sizeof(*s.fingerprints)));
	for (uint64_t i = 0; i < n; i++)
		if (old[i] != 0)
		{
			uint64_t at = old[i] & s.mask;

			while (s.fingerprints[at] != 0)
				at = (at + 1) & s.mask;
			s.fingerprints[at] = old[i];
		}
	free(old);
}

/* True: the world is new. */
static bool remember(const struct world *w)
{
	uint64_t fingerprint = hash_bytes(w, world_size(w)) | 1;
	uint64_t at;

	if (s.n * 4 >= s.mask * 3)
		grow_fingerprints();
	at = (fingerprint >> 1) & s.mask;
	for (; s.fingerprints[at] != 0; at = (at + 1) & s.mask)
		if (s.fingerprints[at] == fingerprint)
			return false;
	s.fingerprints[at] = fingerprint;
	s.n++;
	return true;
}

static void append(struct level *level, const struct world *w)
{
	size_t size = world_size(w);

	if (level->used + size > level->capacity)
	{
		level->capacity = level->capacity == 0 ? 1 << 20 : level->capacity * 2;
		level->bytes = or_die(realloc(level->bytes, level->capacity));
	}
	memcpy(level->bytes + level->used, w, size);
	level->used += size;
}

static void add_trace(uint32_t parent, struct action action)
{
	if (s.n > s.traces_capacity)
	{
		s.traces_capacity = s.traces_capacity == 0 ? 1 << 20 : s.traces_capacity * 2;
		s.traces = or_die(realloc(s.traces, s.traces_capacity * sizeof(*s.traces)));
	}
	s.traces[s.n - 1].parent = parent;
	s.traces[s.n - 1].action = (uint32_t) action.type << 24 | (uint32_t) action.node << 16 | action.arg;
}

/* ---------------------------------------------------------------- a path */

static void print_path(uint32_t number, struct action last, const char *violation)
{
	struct action path[256];
	uint32_t n = 0;
	struct world w;
	struct world next;

	path[n++] = last;
	for (; number != 0; number = s.traces[number].parent)
	{
		uint32_t a = s.traces[number].action;

		if (n == sizeof(path) / sizeof(path[0]))
			die("a path is too long to print");
		path[n++] = (struct action){(uint8_t) (a >> 24), (uint8_t) (a >> 16), (uint16_t) a};
	}
	printf("broken: %s\nafter %u steps from:\n", violation, n);
	print_world(s.start);
	memcpy(&w, s.start, sizeof(w));
	for (uint32_t i = n; i-- > 0;)
	{
		printf("%4u  ", n - i);
		print_action(&w, path[i]);
		world_step(&w, path[i], &next, &violation);
		memcpy(&w, &next, sizeof(w));
	}
	printf("then:\n");
	print_world(&w);
}

/* ---------------------------------------------------------------- the search */

/* All that may happen to one world.  False: something broke. */
static bool expand(const struct world *w, uint32_t number, struct level *to)
{
	struct action actions[ACTIONS];
	uint32_t n = world_actions(w, actions);

	for (uint32_t i = 0; i < n; i++)
	{
		struct world next;
		const char *violation;

		if (!world_step(w, actions[i], &next, &violation))
			continue;
		s.transitions++;
		if (violation != NULL)
		{
			print_path(number, actions[i], violation);
			return false;
		}
		if (!remember(&next))
			continue;
		add_trace(number, actions[i]);
		append(to, &next);
	}
	return true;
}

enum outcome
{
	LEVEL_DONE,
	LEVEL_LIMIT,
	LEVEL_VIOLATION
};

static enum outcome expand_level(const struct level *from, struct level *to, const struct limits *limits,
								 double deadline)
{
	uint32_t number = from->first;
	size_t at = 0;

	to->used = 0;
	to->first = (uint32_t) s.n;
	while (at < from->used)
	{
		struct world w;
		const struct world *stored = (const struct world *) (from->bytes + at);

		if ((number & 255) == 0 && (s.n >= limits->states || seconds_now() > deadline))
			return LEVEL_LIMIT;
		memcpy(&w, stored, world_size(stored));
		if (!expand(&w, number, to))
			return LEVEL_VIOLATION;
		at += world_size(&w);
		number++;
	}
	return LEVEL_DONE;
}

static void forget(void)
{
	free(s.fingerprints);
	free(s.traces);
	free(s.levels[0].bytes);
	free(s.levels[1].bytes);
	memset(&s, 0, sizeof(s));
}

void search(const struct world *start, const struct limits *limits, struct findings *findings)
{
	double began = seconds_now();
	enum outcome outcome = LEVEL_DONE;

	s.start = start;
	grow_fingerprints();
	remember(start);
	add_trace(0, (struct action){0});
	append(&s.levels[0], start);
	*findings = (struct findings){0};
	while (findings->depth < limits->depth && outcome == LEVEL_DONE)
	{
		struct level *from = &s.levels[findings->depth % 2];

		outcome = expand_level(from, &s.levels[(findings->depth + 1) % 2], limits, began + limits->seconds);
		findings->depth += outcome == LEVEL_DONE;
		findings->complete = outcome == LEVEL_DONE && s.levels[findings->depth % 2].used == 0;
		if (findings->complete)
			break;
	}
	findings->violated = outcome == LEVEL_VIOLATION;
	findings->states = s.n;
	findings->transitions = s.transitions;
	findings->seconds = seconds_now() - began;
	forget();
}
