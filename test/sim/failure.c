/*
 * failure.c - how a world ends that broke a rule: in words, and with the command that replays it.
 */
#include "run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static struct world *watched;
static struct outcome *watched_outcome;

/* ---------------------------------------------------------------- in words */

static const struct
{
	const char *rule;
	const char *words;
} rules[] = {
	{"S1", "one chosen value per slot, forever"},
	{"S2", "one value per ballot and slot, across crashes"},
	{"S3", "a proposer's ballots are its own, unique, and rise across restarts"},
	{"S4",
	 "a promise never falls; nothing is told before it is durable; nothing is accepted below the promise"},
	{"S5", "a new leader proposes the value of the highest accepted ballot in a quorum"},
	{"S6", "a new leader's log holds everything chosen below its ballot"},
	{"S7", "applied <= chosen index known <= what is chosen; equal tables at equal applied index"},
	{"S8", "the table is the fold of the chosen log"},
	{"S11", "a linearizable read sees every write answered before it began"},
	{"S12", "a command takes effect at most once"},
	{"S13", "OK means chosen; 'certainly not applied' is never chosen"},
	{"S14", "one configuration at a time; outsiders are ignored"},
	{"S15", "a damaged node answers nothing that it can't prove; corrupt bytes never leave it"},
	{"S16", "reads return an applied prefix, and never go back on one connection"},
	{"L1", "with a quorum whole and connected, a leader is elected and all that is pending gets done"},
	{"L2", "then elections cease"},
	{"L3", "one node that reaches a quorum is enough for a leader"},
	{"L4", "all nodes converge, damaged ones are healed"},
	{"L5", "every request ends"},
	{"L6", "logs and queues stay bounded"},
	{"B1", "a Prepare leaves only after the proposer's own promise is durable"},
	{"B2", "a proposer never goes on with a ballot that it gave up"},
	{"B3", "a Promise reports all taken before it; then nothing of a lower ballot is answered or credited"},
	{"B4", "after recovery the promise is the highest of the metadata's copies and the log's ballots"},
	{"E2", "a node whose disk is full or stalled says so, and is not content to lead"},
	{"E7", "a leader that reaches no quorum steps down"},
	{"P3", "a leader announces itself only behind an entry of its own"},
	{"Y1", "what is installed was staged, and durable, before"},
	{"S9", "every quorum of whole logs holds what is chosen"},
	{"E3", "a node follows no ballot below its promise or the one it followed"},
	{"P1", "chunks come from an undamaged acceptor, at the candidate's ballot, of the log that it promised"},
	{"A1", "an Accept is taken only at the accepted ballot"},
	{"A2", "a log has no gaps"},
	{"A5", "apply gets only what is chosen and durable here"},
	{"X1", "sessions are opened by members; two runs of one node never both live on"},
	{"X2", "a numbered command is kept until it is resolved"},
	{"X3", "what is unresolved is sent again, in order"},
	{"X5", "only a session's next number takes effect"},
	{"D3", "the database is never ahead of the log"},
	{"D6", "torn tails are cut off, damage never is"},
	{"D7", "a damaged node says so, and what it may have held"},
	{"F", "formation messages of honest nodes are well formed"},
	{"F1", "a store that votes is a member; one that is not, never"},
	{"F2", "a cluster forms once"},
	{"T4", "what is chosen can be applied"},
	{"assertion", "what core and log state about themselves holds"},
	{"validation", "an honest node's message is never refused as impossible"},
	{"write", "what the core hands to its log follows from what was there"},
	{"log", "the log fails only where its disk did, and recovers what was durable"},
	{"signal", "the program does not crash"},
	{"watchdog", "every run ends"},
};

const char *failure_rule_in_words(const char *rule)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(rules[i].rule, rule) == 0)
			return rules[i].words;
	return NULL;
}

/* ---------------------------------------------------------------- how to see it again */

void failure_print_options(FILE *out, uint64_t seed, const struct sim_overrides *o)
{
	if (o->scenario != NULL)
	{
		fprintf(out, "--scenario %s --case %" PRIu64, o->scenario, o->scenario_case);
		return;
	}
	fprintf(out, "--seed %" PRIu64, seed);
	for (uint32_t i = 0; i < o->n_left_out; i++)
		fprintf(out, "%s%" PRIu32, i == 0 ? " --without " : ",", o->left_out[i]);
	if (o->limit_faults)
		fprintf(out, " --faults %" PRIu32, o->max_faults);
	if (o->n_clients > 0)
		fprintf(out, " --clients %" PRIu32, o->n_clients);
	if (o->chaos_ms > 0)
		fprintf(out, " --chaos %" PRIu64, o->chaos_ms);
	fprintf(out, "%s%s%s", o->not_lossy ? " --not-lossy" : "", o->final_whole ? " --final-whole" : "",
			o->no_delays ? " --no-delays" : "");
	if (o->variant > 0)
		fprintf(out, " --variant %" PRIu32, o->variant);
}

static void note_outcome(const struct world *w, const char *rule)
{
	struct outcome *outcome = watched_outcome;
	uint32_t begun = w->n_faults;

	if (outcome == NULL)
		return;
	snprintf(outcome->rule, sizeof(outcome->rule), "%s", rule);
	outcome->events = w->dispatched;
	outcome->at = w->now;
	if (w->overrides.limit_faults && w->overrides.max_faults < begun)
		begun = w->overrides.max_faults;
	outcome->faults = begun;
	for (uint32_t i = 0; i < w->overrides.n_left_out; i++)
		outcome->faults -= w->overrides.left_out[i] < begun;
	outcome->failed = true;
}

void failure_end(struct world *w, const char *rule)
{
	const char *words = failure_rule_in_words(rule);

	if (words != NULL)
		printf("%s says: %s\n", rule, words);
	printf("replay: build/sim/sim ");
	failure_print_options(stdout, w->seed, &w->overrides);
	printf(" --trace%s\n",
		   w->overrides.scenario == NULL ? "        a shorter schedule: --shrink instead of --trace" : "");
	fflush(stdout);
	note_outcome(w, rule);
	_Exit(1);
}

/* ---------------------------------------------------------------- signals, and assertions of the log */

/* Printing from a handler may hang; then whoever started the process ends it, and names the seed. */
static void on_signal(int number)
{
	signal(number, SIG_DFL);
	if (watched == NULL)
		raise(number);
	else if (number == SIGUSR1)
		world_fail(watched, "watchdog", "the run takes too long");
	else
		world_fail(watched, "signal", "%s", strsignal(number));
}

static void on_log_assertion(const char *condition, const char *file, int line)
{
	if (watched == NULL)
		abort();
	world_fail(watched, "assertion", "log: %s (%s:%d)", condition, file, line);
}

void failure_watch(struct world *w, struct outcome *outcome)
{
	static const int signals[] = {SIGABRT, SIGFPE, SIGUSR1, SIGSEGV, SIGBUS, SIGILL};
	size_t n = sizeof(signals) / sizeof(signals[0]);

#if defined(__SANITIZE_ADDRESS__)
	n = 3; /* the sanitizer has more to say about the others */
#endif
	watched = w;
	watched_outcome = outcome;
	plog_set_assert_handler(w != NULL ? on_log_assertion : NULL);
	for (size_t i = 0; i < n; i++)
		signal(signals[i], w != NULL ? on_signal : SIG_DFL);
}
