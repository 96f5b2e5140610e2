/*
 * batch.c - many seeds over several processes.  What each is working on lies in shared memory, so that a
 * seed is named however its process ends, and also when it does not end.
 */
#define _DEFAULT_SOURCE 1 /* MAP_ANONYMOUS */
#include "run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Time to print the trace, once a process was told that it takes too long. */
#define LAST_WORDS_S 5

/* One process.  The parent writes pid and warned, the child the rest. */
struct job
{
	pid_t pid; /* 0: it has ended */
	bool warned;
	struct outcome outcome; /* it printed what broke */
	uint64_t seed;
	double began;
	struct totals totals;
};

struct shared
{
	uint64_t next; /* place in the list of seeds; taken atomically */
	struct job jobs[JOBS_MAX];
};

double real_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* ---------------------------------------------------------------- the children */

static void run_seed(struct job *job, uint64_t seed, uint64_t place)
{
	struct world *w;

	job->seed = seed;
	job->began = real_seconds();
	w = world_new(seed, false, NULL);
	w->n_seeds = place + 1;
	failure_watch(w, &job->outcome);
	world_run(w);
	failure_watch(NULL, NULL);
	job->totals.seeds++;
	job->totals.events += w->dispatched;
	job->totals.slots += oracle_chosen(w);
	job->totals.stopped_safely += w->stopped_safely;
	job->totals.damaged += w->n_damaged;
	job->totals.doubtful += w->n_doubtful;
	job->totals.repaired += w->n_repaired;
	job->totals.of_all += w->n_of_all;
	job->totals.wiped += w->n_wiped;
	job->totals.copies += w->n_copies;
	job->totals.fenced += w->n_fenced;
	job->totals.trims += w->n_trims;
	job->totals.restored += w->n_restored;
	job->totals.interrupted += w->n_interrupted;
	job->totals.databases += w->n_databases;
	world_free(w);
}

static void run_share(struct shared *shared, struct job *job, const uint64_t *seeds, uint64_t n_seeds)
{
	for (;;)
	{
		uint64_t place = __atomic_fetch_add(&shared->next, 1, __ATOMIC_RELAXED);

		if (place >= n_seeds)
			_Exit(0);
		run_seed(job, seeds[place], place);
	}
}

/* ---------------------------------------------------------------- the parent */

/* What the child did not get to say itself. */
static void tell_end(const struct job *job, int status)
{
	if (job->outcome.failed)
		return;
	printf("seed %" PRIu64 " failed\nbroken: ", job->seed);
	if (job->warned)
		printf("watchdog: it takes more than %.0f s\n", real_seconds() - job->began);
	else if (WIFSIGNALED(status))
		printf("signal: its process was ended by signal %d, %s\n", WTERMSIG(status),
			   strsignal(WTERMSIG(status)));
	else
		printf("exit: its process ended with code %d\n", WEXITSTATUS(status));
	printf("replay: build/sim/sim --seed %" PRIu64 " --trace\n", job->seed);
}

/* First a warning, at which it prints its trace; then the end. */
static void watch_patience(struct job *job, double patience_s)
{
	double took = real_seconds() - job->began;

	if (job->began == 0 || took < patience_s)
		return;
	if (!job->warned)
		kill(job->pid, SIGUSR1);
	else if (took > patience_s + LAST_WORDS_S)
		kill(job->pid, SIGKILL);
	job->warned = true;
}

static struct job *find_job(struct shared *shared, uint32_t jobs, pid_t pid)
{
	for (uint32_t i = 0; i < jobs; i++)
		if (shared->jobs[i].pid == pid)
			return &shared->jobs[i];
	return NULL;
}

/* The first process that fails ends the batch. */
static bool wait_for_all(struct shared *shared, uint32_t jobs, double patience_s)
{
	static const struct timespec pause = {0, 2000000};
	uint32_t left = jobs;

	while (left > 0)
	{
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		struct job *job = find_job(shared, jobs, pid);

		if (pid > 0 && job != NULL)
		{
			job->pid = 0;
			left--;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
				continue;
			for (uint32_t i = 0; i < jobs; i++)
				if (shared->jobs[i].pid != 0)
					kill(shared->jobs[i].pid, SIGKILL);
			tell_end(job, status);
			return false;
		}
		for (uint32_t i = 0; i < jobs; i++)
			if (shared->jobs[i].pid != 0)
				watch_patience(&shared->jobs[i], patience_s);
		nanosleep(&pause, NULL);
	}
	return true;
}

static void print_totals(const struct shared *shared, uint32_t jobs, double took)
{
	struct totals sum = {0};

	for (uint32_t i = 0; i < jobs; i++)
	{
		const struct totals *one = &shared->jobs[i].totals;

		sum.seeds += one->seeds;
		sum.events += one->events;
		sum.slots += one->slots;
		sum.stopped_safely += one->stopped_safely;
		sum.damaged += one->damaged;
		sum.doubtful += one->doubtful;
		sum.repaired += one->repaired;
		sum.of_all += one->of_all;
		sum.wiped += one->wiped;
		sum.copies += one->copies;
		sum.fenced += one->fenced;
		sum.trims += one->trims;
		sum.restored += one->restored;
		sum.interrupted += one->interrupted;
		sum.databases += one->databases;
	}
	printf("%" PRIu64 " seeds passed in %.1f s (%.0f a minute): %" PRIu64 " events, %" PRIu64
		   " slots chosen\n",
		   sum.seeds, took, (double) sum.seeds * 60 / took, sum.events, sum.slots);
	printf("%" PRIu64 " recoveries found damage, %" PRIu64 " of them only doubt; %" PRIu64
		   " records put back; %" PRIu64 " chunks of doubtful logs adopted; %" PRIu64
		   " seeds stopped safely for damage beyond repair\n",
		   sum.damaged, sum.doubtful, sum.repaired, sum.of_all, sum.stopped_safely);
	printf("%" PRIu64 " nodes wiped, %" PRIu64 " old copies let loose, %" PRIu64 " nodes fenced\n", sum.wiped,
		   sum.copies, sum.fenced);
	printf("%" PRIu64 " trims; %" PRIu64 " tables fetched, %" PRIu64 " attempts interrupted; %" PRIu64
		   " databases lost or set back\n",
		   sum.trims, sum.restored, sum.interrupted, sum.databases);
}

int batch_run(const uint64_t *seeds, uint64_t n_seeds, uint32_t jobs, double patience_s)
{
	struct shared *shared =
		mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double began = real_seconds();

	if (shared == MAP_FAILED)
		return 1;
	fflush(stdout);
	for (uint32_t i = 0; i < jobs; i++)
	{
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0)
			run_share(shared, &shared->jobs[i], seeds, n_seeds);
		shared->jobs[i].pid = pid;
	}
	if (!wait_for_all(shared, jobs, patience_s))
		return 1;
	print_totals(shared, jobs, real_seconds() - began);
	munmap(shared, sizeof(*shared));
	return 0;
}
