/*
 * scenario_run.c - plays a named scenario: every case in a process forked where it branches off, or one case
 * in this process, with its trace.
 */
#include "run.h"
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct scenario *const scenarios[] = {
	&scenario_quorum_loss,   &scenario_constrained,     &scenario_chained,
	&scenario_one_way,       &scenario_flapping,        &scenario_stalled_disk,
	&scenario_frozen_leader, &scenario_crash_put,       &scenario_crash_leader_change,
	&scenario_sector_loss,   &scenario_sector_loss_one, &scenario_par,
	&scenario_par_tables,    &scenario_par_apart,       &scenario_par3,
	&scenario_clock_jumps,   &scenario_lanes,           &scenario_late_pull,
	&scenario_late_reply,    &scenario_all_flights,     &scenario_many_segments,
	&scenario_formation,     &scenario_two_copies,      &scenario_away,
	&scenario_away_chained,  &scenario_trimmed_past,    &scenario_lost_database,
	&scenario_long_sync,     &scenario_crash_install,
};

#define N_SCENARIOS (sizeof(scenarios) / sizeof(scenarios[0]))

/* ---------------------------------------------------------------- one case */

bool play_apart(struct world *w, void (*play)(struct world *w, uint64_t which, struct measured *m),
				uint64_t which, struct measured *m)
{
	int ends[2];
	int status;
	pid_t child;
	bool whole;

	memset(m, 0, sizeof(*m));
	fflush(stdout);
	if (pipe(ends) != 0 || (child = fork()) < 0)
		return false;
	if (child == 0)
	{
		failure_watch(w, NULL);
		play(w, which, m);
		_Exit(write(ends[1], m, sizeof(*m)) == sizeof(*m) ? 0 : 1);
	}
	close(ends[1]);
	whole = read(ends[0], m, sizeof(*m)) == sizeof(*m);
	close(ends[0]);
	return waitpid(child, &status, 0) == child && status == 0 && whole;
}

static uint64_t count_cases(const struct scenario *s, struct world *w)
{
	return s->count == NULL ? 1 : s->count(w);
}

/* ---------------------------------------------------------------- all cases */

struct played
{
	struct measured *all;
	uint64_t n;
	uint64_t capacity;
};

static bool play_start(struct play *play, uint32_t start, struct played *played)
{
	const struct scenario *s = play->scenario;
	struct world *w;
	uint64_t n;
	bool ok = true;

	play->next_case = played->n;
	w = s->start(play, start);
	n = count_cases(s, w);
	if (played->n + n > played->capacity)
	{
		played->capacity = 2 * (played->n + n);
		played->all = realloc(played->all, played->capacity * sizeof(*played->all));
	}
	for (uint64_t i = 0; i < n && ok; i++)
	{
		w->overrides.scenario_case = played->n;
		ok = play_apart(w, s->play, i, &played->all[played->n]);
		if (!ok)
			printf("%s: case %" PRIu64 " FAILED\n", s->name, played->n);
		played->n++;
	}
	world_free(w);
	return ok;
}

/* Of this process and all that it forked. */
static double processor_seconds(void)
{
	static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
	double seconds = 0;

	for (int i = 0; i < 2; i++)
	{
		struct rusage used;

		getrusage(whose[i], &used);
		seconds += (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
				   (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	}
	return seconds;
}

static bool play_all(const struct scenario *s)
{
	struct play play = {.scenario = s};
	struct played played = {NULL, 0, 0};
	double began = processor_seconds();
	bool ok = true;

	for (uint32_t start = 0; start < s->n_starts && ok; start++)
		ok = play_start(&play, start, &played);
	if (ok)
	{
		printf("%s: %" PRIu64 " cases in %.1f s of processor time: %s\n", s->name, played.n,
			   processor_seconds() - began, s->shows);
		s->report(played.all, played.n);
	}
	free(played.all);
	return ok;
}

/* ---------------------------------------------------------------- one case, here */

static int play_one(const struct scenario *s, uint64_t which, bool trace)
{
	struct play play = {.scenario = s};
	struct measured m = {{0}};

	for (uint32_t start = 0; start < s->n_starts; start++)
	{
		struct world *w = s->start(&play, start);
		uint64_t n = count_cases(s, w);

		world_free(w);
		if (which >= play.next_case + n)
		{
			play.next_case += n;
			continue;
		}
		which -= play.next_case;
		play.next_case += which;
		play.trace = trace;
		w = s->start(&play, start);
		failure_watch(w, NULL);
		s->play(w, which, &m);
		printf("%s: case %" PRIu64 " passed, trace hash %016" PRIx64 "\n", s->name, play.next_case,
			   w->trace.hash);
		failure_watch(NULL, NULL);
		world_free(w);
		return 0;
	}
	fprintf(stderr, "%s has %" PRIu64 " cases\n", s->name, play.next_case);
	return 2;
}

int scenario_run(const char *name, const uint64_t *one_case, bool trace)
{
	bool all = strcmp(name, "all") == 0;
	bool found = false;
	bool ok = true;

	for (size_t i = 0; i < N_SCENARIOS && ok; i++)
	{
		const struct scenario *s = scenarios[i];

		if (strcmp(name, "list") == 0)
		{
			found = true;
			printf("%-20s %s%s\n", s->name, s->shows, s->longer ? " (not among \"all\")" : "");
			continue;
		}
		if (all ? s->longer : strcmp(name, s->name) != 0)
			continue;
		found = true;
		if (one_case != NULL && !all)
			return play_one(s, *one_case, trace);
		ok = play_all(s);
	}
	if (!found)
		fprintf(stderr, "there is no scenario \"%s\"; --scenario list names them\n", name);
	return found ? !ok : 2;
}

/* ---------------------------------------------------------------- reports */

static int compare_values(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *) a;
	uint64_t y = *(const uint64_t *) b;

	return x < y ? -1 : x > y;
}

void report_distribution(const char *what, const struct measured *all, uint64_t n, int value)
{
	uint64_t *values = malloc((n + 1) * sizeof(*values));

	for (uint64_t i = 0; i < n; i++)
		values[i] = all[i].values[value];
	qsort(values, n, sizeof(*values), compare_values);
	printf("  %s: median %.2f, worst %.2f\n", what, (double) values[n / 2] / 1000,
		   (double) values[n - 1] / 1000);
	free(values);
}

uint64_t measured_sum(const struct measured *all, uint64_t n, int value)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < n; i++)
		sum += all[i].values[value];
	return sum;
}

uint64_t measured_most(const struct measured *all, uint64_t n, int value)
{
	uint64_t most = 0;

	for (uint64_t i = 0; i < n; i++)
		if (all[i].values[value] > most)
			most = all[i].values[value];
	return most;
}
