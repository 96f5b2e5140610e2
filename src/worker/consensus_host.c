/*
 * consensus_host.c - the host of the core: its writes go to the log, its messages to the transport, its
 * events to requests and apply.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "worker/consensus.h"
#include "worker/settings.h"

/* How long after a sync its completion is said by itself (D5). */
#define COMPLETION_DELAY_MS 40
/* How long to wait with a full disk before the next try. */
#define FULL_DISK_RETRY_MS 500
/* How long entries that no client of this node waits for may gather. */
#define GATHER_MS 2
/* A3, X4: bytes in flight to each follower. */
#define WINDOW_BYTES PAXOS_MAX_WINDOW_BYTES
/* A6: far above the sum of all windows. */
#define UNAPPLIED_BYTES_MAX (UINT64CONST(256) << 20)

/* ---------------------------------------------------------------- the core's host */

void host_note_input(const char *name)
{
	consensus.last_inputs[consensus.n_inputs++ % lengthof(consensus.last_inputs)] = name;
}

static bool read_entry(void *context, uint64_t slot, struct paxos_entry *entry)
{
	static struct log_limit limit;
	struct plog_error error;

	/* It was told where the log begins, so that would be a mistake; what it was making can wait. */
	if (slot < plog_first_slot(consensus.log))
	{
		if (log_limit_pass(&limit, consensus.now_ms, NULL))
			elog(WARNING, "paxoskv: slot %llu was asked for, the log begins at slot %llu",
				 (unsigned long long) slot, (unsigned long long) plog_first_slot(consensus.log));
		return false;
	}
	if (plog_read(consensus.log, slot, entry, &error) == PLOG_OK)
		return true;
	consensus_log_failed(&error);
}

/* DESIGN section 2: never abort(), which would restart every backend of the server. */
void host_assert_failed(const char *condition, const char *file, int line)
{
	char inputs[256] = "";
	char why[300];

	/* What the log's memory holds can't be trusted now; the process' end closes its files. */
	consensus.log = NULL;
	for (uint32 i = 0; i < Min(consensus.n_inputs, lengthof(consensus.last_inputs)); i++)
	{
		strlcat(inputs, i == 0 ? "" : ", ", sizeof(inputs));
		strlcat(inputs, consensus.last_inputs[(consensus.n_inputs - 1 - i) % lengthof(consensus.last_inputs)],
				sizeof(inputs));
	}
	snprintf(why, sizeof(why), "condition \"%s\" does not hold (%s:%d)", condition, file, line);
	shmem_count_fatal_exit(why);
	ereport(LOG, (errcode(ERRCODE_INTERNAL_ERROR),
				  errmsg("paxoskv consensus worker: condition \"%s\" does not hold (%s:%d)", condition, file,
						 line),
				  errdetail("Last inputs, newest first: %s.", inputs),
				  errhint("The worker ends without sending anything and starts again.")));
	proc_exit(1);
}

static void assert_failed(void *context, const char *condition, const char *file, int line)
{
	host_assert_failed(condition, file, line);
}

void host_create_core(uint64 applied)
{
	struct paxos_options options = {
		.node_id = (uint32_t) paxoskv_node_id,
		.priority = (uint32_t) paxoskv_priority,
		.run = consensus.state.run,
		.nonce = consensus.nonce,
		.seed = consensus.seed,
		.election_timeout_ms = (uint32_t) paxoskv_election_timeout,
		.heartbeat_interval_ms = (uint32_t) paxoskv_heartbeat_interval,
		.window_bytes = WINDOW_BYTES,
		.unapplied_bytes_max = UNAPPLIED_BYTES_MAX,
	};
	struct paxos_host host = {
		.context = &consensus, .read_entry = read_entry, .assert_failed = assert_failed};
	size_t size = paxos_memory_size(&consensus.config, &options);
	void *memory = MemoryContextAllocHuge(TopMemoryContext, size);

	consensus.applied = applied;
	consensus.state.paxos.applied = consensus.applied;
	consensus.chosen = consensus.applied;
	host_note_input("create");
	consensus.core =
		paxos_create(memory, &consensus.config, &options, &host, &consensus.state.paxos, consensus.now_ms);
	host_pump_writes();
	if (consensus.transport != NULL)
		transport_set_members(consensus.transport, &consensus.config);
}

/* ---------------------------------------------------------------- writes and syncs */

static void set_log_full(const struct plog_error *error)
{
	if (!consensus.log_full)
		ereport(LOG, (errcode(ERRCODE_DISK_FULL), errmsg("paxoskv log has no space: %s", error->message),
					  errdetail("This node accepts nothing until there is space again.")));
	consensus.log_full = true;
	consensus.retry_sync_ms = consensus.now_ms + FULL_DISK_RETRY_MS;
	host_note_input("accepting off");
	paxos_set_accepting(consensus.core, false);
}

void host_pump_writes(void)
{
	struct paxos_write write;
	struct plog_error error;

	while (paxos_next_write(consensus.core, &write))
	{
		enum plog_code code = plog_write(consensus.log, &write, &error);

		if (code != PLOG_OK && code != PLOG_NO_SPACE)
			consensus_log_failed(&error);
	}
}

static void log_has_space_again(void)
{
	ereport(LOG, (errmsg("paxoskv log has space again")));
	consensus.log_full = false;
	host_note_input("accepting on");
	paxos_set_accepting(consensus.core, true);
	host_pump_writes();
}

/* E1, E7: while it lasts nothing is heard and nothing said; on a leader somebody else takes over. */
static void warn_of_slow_sync(uint64 took_ms)
{
	uint64 round_ms = (uint64) paxoskv_election_timeout / 5;

	if (took_ms <= round_ms || !log_limit_pass(&consensus.slow_syncs, consensus.now_ms, NULL))
		return;
	ereport(WARNING,
			(errmsg("paxoskv: a write to the log's disk took %llu ms", (unsigned long long) took_ms),
			 errdetail(
				 "Above %llu ms (a fifth of paxoskv.election_timeout) this node can't keep in touch with the "
				 "others.",
				 (unsigned long long) round_ms),
			 errhint("Look after the disk of paxoskv.log_directory.")));
}

void host_sync(void)
{
	struct plog_error error;
	uint64_t durable = 0;
	enum plog_code code;
	instr_time begun;
	instr_time took;

	/* With a full disk whatever waits: a record of the log's own may find its place by another way. */
	if (consensus.log_full ? consensus.now_ms < consensus.retry_sync_ms : !plog_dirty(consensus.log))
		return;
	INSTR_TIME_SET_CURRENT(begun);
	code = plog_sync(consensus.log, &durable, &error);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begun);
	warn_of_slow_sync((uint64) INSTR_TIME_GET_MILLISEC(took));
	if (code != PLOG_OK && code != PLOG_NO_SPACE)
		consensus_log_failed(&error);
	pg_atomic_fetch_add_u64(&paxos_shared->syncs, 1);
	consensus.completion_ms = consensus.now_ms + COMPLETION_DELAY_MS;
	if (durable > 0)
	{
		host_note_input("durable");
		paxos_durable(consensus.core, durable);
		host_pump_writes();
	}
	if (code == PLOG_NO_SPACE)
		set_log_full(&error);
	else if (consensus.log_full)
		log_has_space_again();
}

void host_complete_sync_when_idle(void)
{
	struct plog_error error;

	if (consensus.completion_ms == 0 || consensus.now_ms < consensus.completion_ms ||
		plog_dirty(consensus.log))
		return;
	consensus.completion_ms = 0;
	if (plog_wants_completion(consensus.log) && plog_write_completion(consensus.log, &error) == PLOG_IO)
		consensus_log_failed(&error);
}

/* ---------------------------------------------------------------- a table in place of entries */

void host_restored(const struct paxos_restored *restored)
{
	host_note_input("restored");
	paxos_restored(consensus.core, restored);
	host_pump_writes();
}

void host_give_up_restore(void)
{
	struct plog_error error;
	enum plog_code code = plog_begin_restore(consensus.log, 0, &error);

	/* Without space it is overwritten by the next one, or at the next start. */
	if (code != PLOG_OK && code != PLOG_NO_SPACE)
		consensus_log_failed(&error);
}

/* ---------------------------------------------------------------- messages */

void host_pump_messages(void)
{
	struct paxos_message message;

	while (paxos_next_message(consensus.core, &message))
		if (consensus.transport != NULL)
			transport_send(consensus.transport, &message);
	if (consensus.transport != NULL)
		transport_flush(consensus.transport);
}

static bool on_message(void *context, const struct paxos_message *message)
{
	bool taken;

	if (consensus.core == NULL)
		return true;
	host_note_input("message");
	taken = paxos_recv(consensus.core, message);
	host_pump_writes();
	return taken;
}

static bool on_formation(void *context, const struct formation_message *message)
{
	return formation_recv(&consensus.formation, message);
}

static void on_connected(void *context, uint32_t node_id)
{
	consensus.status_due = true;
	if (consensus.core == NULL)
		return;
	host_note_input("connected");
	paxos_connected(consensus.core, node_id);
	host_pump_writes();
}

static void on_disconnected(void *context, uint32_t node_id, bool reset)
{
	consensus.status_due = true;
	if (consensus.core == NULL)
		return;
	host_note_input("disconnected");
	paxos_disconnected(consensus.core, node_id, reset);
	host_pump_writes();
}

static void on_state(void *context, const struct state_message *message)
{
	state_heard(message);
}

static void on_stream_open(void *context, enum transport_stream which, uint32_t node_id)
{
	snapshot_stream_open(which, node_id);
}

static bool on_stream_bytes(void *context, enum transport_stream which, const uint8_t *bytes, uint32_t length)
{
	return snapshot_stream_bytes(which, bytes, length);
}

static void on_stream_end(void *context, enum transport_stream which, const char *reason)
{
	snapshot_stream_end(which, reason);
}

const struct transport_callbacks host_transport_callbacks = {
	.context = &consensus,
	.on_message = on_message,
	.on_formation = on_formation,
	.on_connected = on_connected,
	.on_disconnected = on_disconnected,
	.on_state = on_state,
	.on_stream_open = on_stream_open,
	.on_stream_bytes = on_stream_bytes,
	.on_stream_end = on_stream_end,
};

/* ---------------------------------------------------------------- events */

static void on_fenced(void)
{
	consensus_stay_dormant("fenced", ADMIT_FENCED, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						   "another run of this node is alive",
						   "Two servers use the same node id and log, one of them a copy of the other.",
						   "Stop both, keep neither log, and let new nodes with new ids take their place.");
}

static void on_unrecoverable(uint64 slot)
{
	char place[PLOG_PLACE_MAX];
	char detail[300];

	if (plog_place(consensus.log, slot, place))
		snprintf(detail, sizeof(detail), "Slot %llu is damaged on every node that held it, here in %s.",
				 (unsigned long long) slot, place);
	else
		snprintf(detail, sizeof(detail), "Slot %llu is damaged on every node that held it.",
				 (unsigned long long) slot);
	consensus_stay_dormant("damaged", ADMIT_DORMANT, ERRCODE_DATA_CORRUPTED,
						   "the cluster's log cannot be recovered", detail,
						   "Restore the nodes' log directories, or form a new cluster from the table.");
}

static void on_event(const struct paxos_event *event)
{
	switch (event->type)
	{
		case PAXOS_EVENT_CHOSEN:
			consensus.chosen = event->slot;
			/* A5: this life began at the applied index; what the last one published does not fall. */
			if (event->slot > pg_atomic_read_u64(&paxos_shared->chosen_slot))
				pg_atomic_write_u64(&paxos_shared->chosen_slot, event->slot);
			break;
		case PAXOS_EVENT_READ:
			requests_read_answered(event->number, event->ok, event->slot);
			break;
		case PAXOS_EVENT_SESSION:
			consensus.session = event->number;
			consensus.last_number = 0;
			break;
		case PAXOS_EVENT_RESOLVED:
			consensus.awaited_slot = Max(consensus.awaited_slot, event->slot);
			requests_resolved(event->number, event->slot, event->ok, paxos_may_be_void(consensus.core));
			break;
		case PAXOS_EVENT_ROLE:
			status_refresh(true);
			status_publish(true);
			break;
		case PAXOS_EVENT_FENCED:
			on_fenced();
			break;
		case PAXOS_EVENT_BEHIND: /* status_refresh() takes it from the core's status */
			break;
		case PAXOS_EVENT_UNRECOVERABLE:
			on_unrecoverable(event->slot);
			break;
	}
	consensus.status_due = true;
}

void host_pump_events(void)
{
	struct paxos_event event;

	while (paxos_next_event(consensus.core, &event))
		on_event(&event);
}

/* ---------------------------------------------------------------- chosen entries */

/*
 * Entries for which a client of this node waits go on at once.  Others gather for a moment, so that the
 * nodes that a command did not come from apply in fewer, larger transactions.
 */
static void wake_apply(bool at_once)
{
	if (at_once || consensus.awaited_slot > pg_atomic_read_u64(&paxos_shared->applied_slot))
	{
		consensus.wake_apply_ms = 0;
		shmem_wake_apply();
	}
	else if (consensus.wake_apply_ms == 0)
		consensus.wake_apply_ms = consensus.now_ms + GATHER_MS;
}

void host_pump_feed(void)
{
	FeedWriter *feed = &consensus.feed;
	uint64 last = consensus.chosen;
	bool wrote = false;
	bool full = false;

	if (feed_writer_accept(feed))
		formation_check_database();
	/* A table that is older than the log waits for another node's (T5); after that apply asks anew. */
	if (!feed->active || feed->next_slot < plog_first_slot(consensus.log))
	{
		consensus.wake_apply_ms = 0;
		return;
	}
	if (consensus.status.damage.damaged) /* its log may end before what it has applied */
		last = Min(last, consensus.status.durable_end);
	while (feed->next_slot <= last)
	{
		struct paxos_entry entry;
		struct plog_error error;

		if (plog_read(consensus.log, feed->next_slot, &entry, &error) != PLOG_OK)
			consensus_log_failed(&error);
		wrote = true;
		full = !feed_write(feed, &entry);
		if (full)
			break;
		plog_release_reads(consensus.log);
	}
	if (wrote || consensus.wake_apply_ms != 0)
		wake_apply(full || (consensus.wake_apply_ms != 0 && consensus.now_ms >= consensus.wake_apply_ms));
}
