/*
 * sim.c - the program: one seed, or a batch of them over several processes.
 *
 *	 sim --seed N [--trace]
 *	 sim --seeds FROM:COUNT [--jobs J]
 */
#include "sim.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOBS_MAX 64

static int usage(void)
{
	fputs("usage: sim --seed N [--trace]\n"
		  "       sim --seeds FROM:COUNT [--jobs J]\n",
		  stderr);
	return 2;
}

static int run_one(uint64_t seed, bool print_trace)
{
	struct world *w = world_new(seed, print_trace, NULL);

	w->n_seeds = 1;
	world_run(w);
	printf("seed %" PRIu64 " passed%s: %" PRIu64 " events, %" PRIu64 " slots chosen, trace hash %016" PRIx64
		   "\n",
		   seed, w->stopped_safely ? " (stopped safely)" : "", w->dispatched, oracle_chosen(w),
		   w->trace.hash);
	world_free(w);
	return 0;
}

/* What a batch tells when nothing broke. */
struct totals
{
	uint64_t seeds;
	uint64_t events;
	uint64_t slots;
	uint64_t stopped_safely;
	uint64_t damaged;
	uint64_t doubtful;
	uint64_t of_all;
	uint64_t wiped;
	uint64_t copies;
	uint64_t fenced;
};

static void run_share(uint64_t from, uint64_t count, uint32_t job, uint32_t jobs, int out)
{
	struct totals totals = {0};

	for (uint64_t i = job; i < count; i += jobs)
	{
		struct world *w = world_new(from + i, false, NULL);

		w->n_seeds = i + 1;
		world_run(w);
		totals.seeds++;
		totals.events += w->dispatched;
		totals.slots += oracle_chosen(w);
		totals.stopped_safely += w->stopped_safely;
		totals.damaged += w->n_damaged;
		totals.doubtful += w->n_doubtful;
		totals.of_all += w->n_of_all;
		totals.wiped += w->n_wiped;
		totals.copies += w->n_copies;
		totals.fenced += w->n_fenced;
		world_free(w);
	}
	if (write(out, &totals, sizeof(totals)) != sizeof(totals))
		_Exit(1);
	_Exit(0);
}

/* The first process that fails ends the batch; what it printed names the seed. */
static bool wait_for_all(const pid_t *children, uint32_t jobs)
{
	for (uint32_t left = jobs; left > 0; left--)
	{
		int status;
		pid_t child = wait(&status);

		if (child < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
			continue;
		if (WIFSIGNALED(status))
			printf("a process was ended by signal %d; run it with --jobs 1 to find the seed\n",
				   WTERMSIG(status));
		for (uint32_t i = 0; i < jobs; i++)
			if (children[i] != child)
				kill(children[i], SIGKILL);
		return false;
	}
	return true;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static int run_batch(uint64_t from, uint64_t count, uint32_t jobs)
{
	pid_t children[JOBS_MAX];
	struct totals sum = {0};
	struct totals one;
	double began = seconds();
	double took;
	int ends[2];

	if (pipe(ends) != 0)
		return 1;
	fflush(stdout);
	for (uint32_t job = 0; job < jobs; job++)
	{
		children[job] = fork();
		if (children[job] < 0)
			return 1;
		if (children[job] == 0)
			run_share(from, count, job, jobs, ends[1]);
	}
	close(ends[1]);
	if (!wait_for_all(children, jobs))
		return 1;
	while (read(ends[0], &one, sizeof(one)) == sizeof(one))
	{
		sum.seeds += one.seeds;
		sum.events += one.events;
		sum.slots += one.slots;
		sum.stopped_safely += one.stopped_safely;
		sum.damaged += one.damaged;
		sum.doubtful += one.doubtful;
		sum.of_all += one.of_all;
		sum.wiped += one.wiped;
		sum.copies += one.copies;
		sum.fenced += one.fenced;
	}
	took = seconds() - began;
	printf("%" PRIu64 " seeds passed in %.1f s (%.0f a minute): %" PRIu64 " events, %" PRIu64
		   " slots chosen\n",
		   sum.seeds, took, (double) sum.seeds * 60 / took, sum.events, sum.slots);
	printf("%" PRIu64 " recoveries found damage, %" PRIu64 " of them only doubt; %" PRIu64
		   " chunks of doubtful logs adopted; %" PRIu64 " seeds stopped safely for damage beyond repair\n",
		   sum.damaged, sum.doubtful, sum.of_all, sum.stopped_safely);
	printf("%" PRIu64 " nodes wiped, %" PRIu64 " old copies let loose, %" PRIu64 " nodes fenced\n", sum.wiped,
		   sum.copies, sum.fenced);
	return sum.seeds == count ? 0 : 1;
}

int main(int argc, char **argv)
{
	uint64_t seed = 0;
	uint64_t count = 0;
	uint32_t jobs = 1;
	bool one = false;
	bool print_trace = false;

	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--trace") == 0)
			print_trace = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
		{
			one = true;
			seed = strtoull(argv[++i], NULL, 10);
		}
		else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc &&
				 sscanf(argv[i + 1], "%" SCNu64 ":%" SCNu64, &seed, &count) == 2)
			i++;
		else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc)
			jobs = (uint32_t) strtoul(argv[++i], NULL, 10);
		else
			return usage();
	}
	if (jobs < 1 || jobs > JOBS_MAX || one == (count > 0))
		return usage();
	return one ? run_one(seed, print_trace) : run_batch(seed, count, jobs);
}
