/*
 * consensus_worker.c - the consensus worker: owns sockets, log files and the Paxos state.
 *
 * It is bound to no database and takes no heavyweight lock, so nothing that a user does in SQL can stop its
 * heartbeats.  One turn of the loop: take what came (sockets, requests, time), send what vouches for
 * nothing, sync the log once for all of it, send what the sync allows, tell apply and clients.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "pg_compat.h"
#include "worker/consensus.h"
#include "worker/settings.h"
#include "worker/workers.h"

#define CACHE_BYTES (UINT64CONST(16) << 20)
#define MIN_FREE_SEGMENTS 2
/* So many files go in one turn of the loop, when the log is trimmed. */
#define TRIM_FILES 2

ConsensusWorker consensus;

static WaitEventSet *wait_set;
static bool wait_set_has_transport;

/* ---------------------------------------------------------------- small things */

static uint64 monotonic_ms(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MILLISEC(now) + 1;
}

void consensus_random(void *bytes, size_t length)
{
	if (!pg_strong_random(bytes, length))
		ereport(FATAL, (errmsg("could not generate random bytes")));
}

static void detach(int code, Datum arg)
{
	pg_atomic_write_u32(&paxos_shared->consensus_procno, (uint32) NO_PROC);
	pg_atomic_write_u32(&paxos_shared->admission, ADMIT_STARTING); /* until the next life has come up */
	plog_close(consensus.log);
	consensus.log = NULL;
}

static void attach(void)
{
	PaxosShared *shared = paxos_shared;

	before_shmem_exit(detach, (Datum) 0);
	pg_atomic_write_u32(&shared->consensus_procno, (uint32) compat_my_procno());
	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	strlcpy(shared->status.role, "starting", sizeof(shared->status.role));
	shared->status.detail[0] = '\0';
	shared->hint[0] = '\0';
	LWLockRelease(shared->status_lock);
}

static void reload_if_asked(void)
{
	struct transport_faults faults;

	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	faults.drop_rate = paxoskv_drop_rate;
	faults.fail_rate = paxoskv_fail_rate;
	faults.delay_ms = (uint32_t) paxoskv_delay;
	if (consensus.transport != NULL)
		transport_set_faults(consensus.transport, &faults);
}

/* ---------------------------------------------------------------- dormant */

/* As a sentence begins: a setting's name stays as it is. */
static void capitalize(char *text)
{
	if (strncmp(text, "paxoskv", 7) != 0)
		text[0] = pg_toupper((unsigned char) text[0]);
}

static void publish_dormant(const char *role, Admission admission, const char *message, const char *detail,
							const char *hint)
{
	PaxosShared *shared = paxos_shared;

	consensus.admission = admission;
	pg_atomic_write_u32(&shared->admission, admission);
	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	strlcpy(shared->status.role, role, sizeof(shared->status.role));
	snprintf(shared->status.detail, sizeof(shared->status.detail), "%s. %s", message, detail);
	capitalize(shared->status.detail);
	strlcpy(shared->hint, hint == NULL ? "" : hint, sizeof(shared->hint));
	shared->status.leader_id = 0;
	shared->status.quorum = false;
	shared->status.run = consensus.state.run;
	shared->status.store_id = consensus.state.store_id;
	LWLockRelease(shared->status_lock);
}

void consensus_stay_dormant(const char *role, Admission admission, int sqlstate, const char *message,
							const char *detail, const char *hint)
{
	ereport(LOG, (errcode(sqlstate), errmsg("paxoskv consensus worker is dormant: %s", message),
				  errdetail("%s", detail), hint ? errhint("%s", hint) : 0));
	transport_destroy(consensus.transport);
	consensus.transport = NULL;
	snapshot_abandon();
	publish_dormant(role, admission, message, detail, hint);
	consensus.core = NULL;
	if (consensus.commands.items == NULL)
		requests_start();
	else
		requests_give_up_numbered();
	for (;;)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		requests_take();
		requests_refuse_waiting();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1,
						 compat_wait_event("PaxoskvDormant"));
	}
}

static void log_error_dormant(const struct plog_error *error, int sqlstate, const char *hint)
{
	char detail[sizeof(error->message) + 2];

	snprintf(detail, sizeof(detail), "%s.", error->message);
	capitalize(detail);
	consensus_stay_dormant("dormant", ADMIT_DORMANT, sqlstate, "the log cannot be used", detail, hint);
}

void consensus_log_rotted(const struct plog_error *error)
{
	ereport(LOG, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("paxoskv log failed: %s", error->message),
				  errdetail("The worker ends; when it starts again it looks through the whole log and has "
							"the other nodes replace what is damaged.")));
	proc_exit(1);
}

void consensus_log_failed(const struct plog_error *error)
{
	shmem_count_fatal_exit(error->message);
	if (error->code == PLOG_CORRUPT)
		consensus_log_rotted(error);
	ereport(LOG, (errcode(ERRCODE_IO_ERROR), errmsg("paxoskv log failed: %s", error->message),
				  errdetail(
					  "Nothing is retried after a failed write or sync; the worker ends and recovers the log "
					  "when it starts again.")));
	proc_exit(1);
}

/* ---------------------------------------------------------------- start */

/* paxoskv.secret_file, without a line end; nobody but the server's user may read it. */
uint32 consensus_read_secret(char secret[TRANSPORT_SECRET_MAX + 1])
{
	struct stat st;
	FILE *file;
	size_t length = 0;
	const char *trouble = NULL;

	if (paxoskv_secret_file[0] == '\0')
		return 0;
	file = AllocateFile(paxoskv_secret_file, "r");
	if (file == NULL || fstat(fileno(file), &st) != 0)
		trouble = strerror(errno);
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		trouble = "others than its owner may read or write it (chmod 600)";
	else
		length = fread(secret, 1, TRANSPORT_SECRET_MAX + 1, file);
	if (file != NULL)
		FreeFile(file);
	while (length > 0 && (secret[length - 1] == '\n' || secret[length - 1] == '\r'))
		length--;
	if (trouble == NULL && length == 0)
		trouble = "it is empty";
	if (trouble == NULL && length > TRANSPORT_SECRET_MAX)
		trouble = "it is too long";
	if (trouble != NULL)
	{
		char *detail = psprintf("File \"%s\": %s.", paxoskv_secret_file, trouble);

		consensus_stay_dormant("dormant", ADMIT_DORMANT, ERRCODE_CONFIG_FILE_ERROR,
							   "paxoskv.secret_file cannot be used", detail, NULL);
	}
	return (uint32) length;
}

static void make_parent_directory(void)
{
	char parent[MAXPGPATH];

	if (paxoskv_log_directory[0] != '\0')
	{
		strlcpy(consensus.log_directory, paxoskv_log_directory, sizeof(consensus.log_directory));
		return;
	}
	snprintf(parent, sizeof(parent), "%s/paxoskv", DataDir);
	if (MakePGDirectory(parent) != 0 && errno != EEXIST)
	{
		char *detail = psprintf("Could not create directory \"%s\": %s.", parent, strerror(errno));

		consensus_stay_dormant("dormant", ADMIT_DORMANT, ERRCODE_IO_ERROR, "there is no log directory",
							   detail, "Mend the cause and restart the server.");
	}
	snprintf(consensus.log_directory, sizeof(consensus.log_directory), "%s/pgsql_tmp_log", parent);
}

/* Before the log is open: tells everybody so, and lets a second pass. */
static void wait_for_space(const struct plog_error *error)
{
	static struct log_limit limit;

	consensus.now_ms = monotonic_ms();
	if (log_limit_pass(&limit, consensus.now_ms, NULL))
		ereport(LOG, (errcode(ERRCODE_DISK_FULL), errmsg("paxoskv log has no space: %s", error->message),
					  errdetail("The log is opened once there is space again.")));
	consensus.admission = ADMIT_DISK_FULL;
	pg_atomic_write_u32(&paxos_shared->admission, ADMIT_DISK_FULL);
	requests_take();
	requests_refuse_waiting();
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT, 1000,
					 compat_wait_event("PaxoskvStart"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	reload_if_asked();
}

static void open_log(void)
{
	struct plog_error error;
	struct paxos_id store_id;
	enum plog_code code;

	consensus.log_options.segment_bytes = (uint64) paxoskv_segment_size;
	consensus.log_options.cache_bytes = CACHE_BYTES;
	consensus.log_options.min_free_segments = MIN_FREE_SEGMENTS;
	consensus.log_options.trim_files_max = TRIM_FILES;
	consensus_random(&store_id, sizeof(store_id));
	while ((code = plog_open(&consensus.log, consensus.log_directory, file_ops_posix(),
							 &consensus.log_options, &store_id, &consensus.state, &error)) == PLOG_NO_SPACE)
		wait_for_space(&error);
	consensus.admission = ADMIT_STARTING;
	pg_atomic_write_u32(&paxos_shared->admission, ADMIT_STARTING);
	if (code == PLOG_IO)
		consensus_log_failed(&error);
	if (code == PLOG_MEMORY)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"), errdetail("%s.", error.message)));
	if (code == PLOG_LOCKED)
		log_error_dormant(&error, ERRCODE_OBJECT_IN_USE,
						  "Stop the other server that uses this log directory.");
	if (code == PLOG_CORRUPT)
		log_error_dormant(
			&error, ERRCODE_DATA_CORRUPTED,
			"Put the right log directory back, or let this server join as a new node, under a new "
			"paxoskv.node_id.");
	if (code != PLOG_OK)
		log_error_dormant(&error, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, NULL);
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	paxos_shared->store_id = consensus.state.store_id;
	LWLockRelease(paxos_shared->status_lock);
	if (consensus.state.tail_bytes_cut > 0)
		ereport(LOG, (errmsg("paxoskv log: %llu torn bytes cut off behind slot %llu",
							 (unsigned long long) consensus.state.tail_bytes_cut,
							 (unsigned long long) consensus.state.paxos.end)));
}

/* The apply worker knows where the database stands; chosen begins there (A5). */
static void wait_for_apply_report(void)
{
	DatabaseState state;

	for (;;)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		reload_if_asked();
		LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
		state = paxos_shared->report.database;
		LWLockRelease(paxos_shared->status_lock);
		if (state != DATABASE_UNKNOWN)
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1, compat_wait_event("PaxoskvStart"));
	}
}

/* D7: the next leader's Sync heals it; status_refresh() says when. */
static void report_damage(void)
{
	const struct paxos_damage *damage = &consensus.state.paxos.damage;
	const struct paxos_holes *holes = &consensus.state.paxos.holes;

	consensus.damage_reported = true;
	if (holes->n > 0)
	{
		uint64 missing = 0;

		for (uint32 i = 0; i < holes->n; i++)
			missing += holes->at[i].last - holes->at[i].first + 1;
		ereport(
			LOG,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("paxoskv log is damaged in %s", consensus.state.damage_place),
			 errdetail("Entries that cannot be read: %llu, the first in slot %llu, the last in slot %llu.  "
					   "All else is whole through slot %llu.",
					   (unsigned long long) missing, (unsigned long long) holes->at[0].first,
					   (unsigned long long) holes->at[holes->n - 1].last, (unsigned long long) holes->end),
			 errhint("They are fetched from the other nodes; look after this server's disk.")));
		return;
	}
	ereport(LOG, (errcode(ERRCODE_DATA_CORRUPTED),
				  errmsg("paxoskv log is damaged in %s", consensus.state.damage_place),
				  errdetail("It is whole through slot %llu; written was up to slot %llu.",
							(unsigned long long) consensus.state.paxos.end,
							(unsigned long long) Max(damage->named_slot, consensus.state.paxos.end)),
				  errhint("The other nodes replace what is missing; look after this server's disk.")));
}

/* D7: known slots alone, all of which are applied. */
static bool table_holds_what_is_missing(uint64 applied)
{
	const struct paxos_holes *holes = &consensus.state.paxos.holes;

	return holes->n > 0 && holes->at[holes->n - 1].last <= applied;
}

/* D6: a cluster of one cuts off what is doubtful, unless the database has applied it; others are healed by peers. */
static void settle_damage(void)
{
	const struct paxos_damage *damage = &consensus.state.paxos.damage;
	uint64 applied = pg_atomic_read_u64(&paxos_shared->applied_slot);
	uint64 end = consensus.state.paxos.end;
	struct plog_error error;
	char detail[384];

	if (!damage->damaged)
		return;
	/* T2: what the table holds durably the log may begin behind (consensus_trim.c). */
	if (!formation_alone() || table_holds_what_is_missing(applied))
	{
		report_damage();
		return;
	}
	if (damage->doubtful && applied <= end)
	{
		if (plog_forgive_doubt(consensus.log, &consensus.state, &error) != PLOG_OK)
			consensus_log_failed(&error);
		ereport(LOG, (errmsg("paxoskv log: a tail whose sync had not completed is cut off behind slot %llu",
							 (unsigned long long) end)));
		return;
	}
	snprintf(
		detail, sizeof(detail),
		"The log is intact through slot %llu; slot %llu was written and cannot be read, in %s.",
		(unsigned long long) end,
		(unsigned long long) (consensus.state.paxos.holes.n > 0 ? end + 1 : Max(damage->named_slot, end + 1)),
		consensus.state.damage_place);
	consensus_stay_dormant(
		"damaged", ADMIT_DORMANT, ERRCODE_DATA_CORRUPTED, "the log is damaged", detail,
		"No other node has a copy. Restore the log directory, or drop and create the extension "
		"with a new one and load the table again.");
}

/* DESIGN section 2: three lives that ended so are no accident. */
static void stop_if_it_fails_again_and_again(void)
{
	char why[512];
	char detail[sizeof(why) + 40];

	if (!shmem_too_many_fatal_exits(why, sizeof(why)))
		return;
	snprintf(detail, sizeof(detail), "The last time: %s.", why);
	consensus_stay_dormant("dormant", ADMIT_DORMANT, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						   "it failed three times within ten minutes", detail,
						   "Mend the cause and restart the server.");
}

static void start(void)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, SIG_IGN); /* it runs no statement that a cancel could be meant for */
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	memset(&consensus, 0, sizeof(consensus));
	consensus.admission = ADMIT_STARTING;
	consensus.now_ms = monotonic_ms();
	consensus_random(&consensus.nonce, sizeof(consensus.nonce));
	consensus_random(&consensus.seed, sizeof(consensus.seed));
	plog_set_assert_handler(host_assert_failed);
	attach();
	requests_start();
	stop_if_it_fails_again_and_again();
	make_parent_directory();
	open_log();
	snapshot_start();
	wait_for_apply_report();
	consensus.now_ms = monotonic_ms();
	formation_start();
	formation_check_database();
	settle_damage();
	state_start();
	scrub_start();
	feed_writer_start(&consensus.feed);
	consensus.status_due = true;
}

/* ---------------------------------------------------------------- loop */

static void take_inputs(void)
{
	consensus.now_ms = monotonic_ms();
	if (consensus.core != NULL)
	{
		uint64 applied = pg_atomic_read_u64(&paxos_shared->applied_slot);

		host_note_input("tick");
		paxos_tick(consensus.core, consensus.now_ms);
		host_pump_writes();
		if (applied > consensus.applied)
		{
			consensus.applied = applied;
			host_note_input("applied");
			paxos_applied(consensus.core, applied);
			host_pump_writes();
			consensus.status_due = true;
		}
	}
	if (consensus.transport != NULL)
		transport_poll(consensus.transport, consensus.now_ms, &host_transport_callbacks);
	formation_step();
	requests_take();
	requests_advance();
}

static void give_outputs(void)
{
	if (consensus.core != NULL)
	{
		/* what is chosen already goes to apply before anything that takes time */
		host_pump_events();
		host_pump_feed();
		host_pump_messages();
		host_sync();
		host_pump_events();
		requests_advance();
		host_pump_messages();
		host_pump_feed();
		plog_release_reads(consensus.log);
		host_complete_sync_when_idle();
	}
	else if (consensus.transport != NULL)
		transport_flush(consensus.transport);
	snapshot_step();
	state_step();
	status_refresh(false);
	trim_step();
	scrub_step();
	status_publish(false);
}

static uint64 next_deadline(void)
{
	uint64 deadline = UINT64_MAX;

	if (consensus.transport != NULL)
		deadline = transport_next_deadline(consensus.transport);
	if (consensus.core == NULL && !formation_alone())
		deadline = Min(deadline, consensus.now_ms + 100);
	if (consensus.core != NULL)
	{
		deadline = Min(deadline, paxos_next_deadline(consensus.core));
		deadline = Min(deadline, requests_next_deadline());
		/* The next sync says what completed before, too. */
		if (consensus.log_full)
			deadline = Min(deadline, consensus.retry_sync_ms);
		else if (plog_dirty(consensus.log))
			deadline = 0;
		else if (consensus.completion_ms != 0)
			deadline = Min(deadline, consensus.completion_ms);
		if (consensus.wake_apply_ms != 0)
			deadline = Min(deadline, consensus.wake_apply_ms);
	}
	/* What a command waits for that is not an event: a window that opens, an admission that changes. */
	if (requests_commands_wait() || consensus.refresh_skipped)
		deadline = Min(deadline, consensus.admission_checked_ms + 20);
	if (consensus.no_quorum_since_ms != 0)
		deadline = Min(deadline, consensus.now_ms + 100);
	deadline = Min(deadline, state_next_deadline());
	deadline = Min(deadline, trim_next_deadline());
	deadline = Min(deadline, scrub_next_deadline());
	deadline = Min(deadline, snapshot_next_deadline());
	if (consensus.status_due && !consensus.refresh_skipped)
		deadline = Min(deadline, consensus.status_published_ms + 100);
	return deadline;
}

static void prepare_wait_set(void)
{
	if (wait_set != NULL && wait_set_has_transport == (consensus.transport != NULL))
		return;
	if (wait_set != NULL)
		FreeWaitEventSet(wait_set);
	wait_set = compat_create_wait_event_set(3);
	AddWaitEventToSet(wait_set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wait_set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	wait_set_has_transport = consensus.transport != NULL;
	if (wait_set_has_transport)
		AddWaitEventToSet(wait_set, WL_SOCKET_READABLE, transport_fd(consensus.transport), NULL, NULL);
}

static void wait_for_something(void)
{
	uint64 deadline = next_deadline();
	uint64 now = monotonic_ms();
	long timeout = -1;
	WaitEvent event;

	if (deadline != UINT64_MAX)
		timeout = deadline <= now ? 0 : (long) Min(deadline - now, 60000);
	prepare_wait_set();
	if (WaitEventSetWait(wait_set, timeout, &event, 1, compat_wait_event("PaxoskvConsensus")) > 0 &&
		(event.events & WL_LATCH_SET) != 0)
		ResetLatch(MyLatch);
}

void paxoskv_consensus_main(Datum arg)
{
	MemoryContext loop_context;

	start();
	loop_context = AllocSetContextCreate(TopMemoryContext, "paxoskv consensus loop", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		reload_if_asked();
		take_inputs();
		give_outputs();
		MemoryContextReset(loop_context);
		wait_for_something();
	}
}
