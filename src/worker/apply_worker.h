/*
 * apply_worker.h - the apply worker's own state and life, shared by these files and by nobody else; apply.h has what it
 * applies with.
 *
 *	 apply_worker.c	   start, batches, loop
 *	 apply_begin.c	   what the tables have, and what the cluster begins with (F5)
 *	 apply_database.c  the way to the tables: database and extension
 *	 apply_diverged.c  rows that are not the cluster's (T3)
 *	 apply_results.c   the backends whose commands were applied
 *	 apply_wait.c	   waiting, and saying what for
 */
#ifndef PAXOSKV_APPLY_WORKER_H
#define PAXOSKV_APPLY_WORKER_H

#include "postgres.h"

#include "paxos/formation.h"
#include "transport/log_limit.h"
#include "worker/apply.h"
#include "worker/feed.h"
#include "worker/shmem.h"

#define APPLY_BATCH_ENTRIES 1024
#define APPLY_RETRY_FIRST_MS 50
#define APPLY_RETRY_MAX_MS 2000
#define APPLY_MISSING_POLL_MS 250

typedef struct ApplyWorker
{
	ApplyState state; /* as committed */
	struct paxos_config config;
	bool base_known; /* F5 */
	struct paxos_base base;
	uint64 base_loads;
	FeedReader feed;
	MemoryContext batch_context;
	MemoryContext details_context; /* of the results of one transaction */
	Oid extension;                 /* whose tables this life has begun with */
	ApplyEntry entries[APPLY_BATCH_ENTRIES];
	ApplyResult results[APPLY_BATCH_ENTRIES];
	int n_entries;
	bool stale;               /* "state" was read while another's rows were being loaded (T5) */
	bool waits;               /* for its surroundings, and says so in the status */
	struct log_limit waiting; /* what goes on */
	struct log_limit over;    /* and is over: the next one is said at once, unless it comes and goes */
	struct log_limit preparing;
	uint64 prepared_at_log_bytes; /* log size when segments were last prepared */
	bool prepared;
} ApplyWorker;

extern ApplyWorker apply_worker;

/* ---- apply_wait.c */

/* What everybody may know of the database, and of what is in the way; detail: a sentence, "" if nothing is. */
extern void apply_report(DatabaseState database, bool stopped, const char *detail);
/* Notes that it waits for its surroundings; whether the log is to be told, again. */
extern bool apply_is_reminder_due(void);
extern void apply_no_longer_waits(void);
/* By a clock that nobody sets; never 0. */
extern uint64 apply_clock_ms(void);
/* A cancel is meant for a statement; where none runs it must not end the worker. */
extern void apply_check_interrupts(void);
/* Waits for the latch, interruptibly; -1: for as long as it takes, or until there is a flush to be told of. */
extern void apply_wait(long timeout_ms);
extern void apply_reload_if_asked(void);
/* T5: the consensus worker wants the tables for another's rows. */
extern bool apply_is_hold_asked(void);
/* In a PG_CATCH block: ends the transaction, and returns its error in the context. */
extern ErrorData *apply_take_error(MemoryContext context);

/* ---- apply_database.c */

/*
 * Connects by name if that was not tried, by the OID that the last life found, or looks for the database.
 * What is tried is noted before, so that a failure (which ends this life) leads to the look-up.
 */
extern void apply_connect(void);
/* Whatever ALTER DATABASE or ALTER ROLE set. */
extern void apply_override_settings(void);
extern Oid apply_find_extension(void);
extern void apply_wait_for_extension(void);

/* ---- apply_diverged.c */

/* Whether its rows are not the cluster's; then it has stood still until another's were to come. */
extern bool apply_stop_if_diverged(void);
/* Another's rows are there: whatever was wrong with the old ones. */
extern void apply_forget_divergence(void);
/* What an earlier life stored holds in this one. */
extern void apply_publish_divergence(void);

/* ---- apply_begin.c */

/* Reads what the tables have, waits for a cluster, asks for what comes next. */
extern void apply_begin(void);
/* The cluster's configuration, into the worker's state; false: there is none yet. */
extern bool apply_load_config(void);

/* ---- apply_results.c */

extern void apply_publish_points(void);
/* How far the tables are, and what n commands did: first all is marked done, then latches are set, outside of the lock. */
extern void apply_publish_results(ApplyResult *results, int n);
/* What the last life committed and did not say any more: applied, the result is not known (X6). */
extern void apply_publish_lost_results(void);

#endif /* PAXOSKV_APPLY_WORKER_H */
