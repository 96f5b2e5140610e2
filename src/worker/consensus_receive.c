/*
 * consensus_receive.c - T5 in the consensus worker: when this node needs another's table, whose it takes, and the steps
 * by which it becomes this node's.  Whatever ends them before the commit leaves the old table, and it begins anew:
 *
 *	 the apply worker stands still -> a stream is dialed and a worker started -> it has loaded and verified the table
 *	 -> the log says "installing as of that slot", durably -> the worker commits, durably -> the log begins behind the
 *	 slot, the core is told -> the apply worker reads what there is now and goes on
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "worker/consensus_snapshot.h"
#include "worker/settings.h"
#include "worker/snapshot_format.h"

/* A source that gives nothing for so long is dropped. */
#define STALL_MS 30000
/* How long to look for a node that can send its table before somebody who asked is told that there is none. */
#define PATIENCE_MS 5000
/* How long to look for one that does not lead: a lost connection is there again by then, in the ordinary case. */
#define FOLLOWER_WAIT_MS 2000
/* After a failure, at most; a node that failed is passed over as long where there is another. */
#define RETRY_MAX_MS 10000

typedef enum Receiving
{
	RECEIVE_IDLE,
	RECEIVE_HOLDING,   /* the apply worker is asked to stand still */
	RECEIVE_DIALING,   /* ... does, and a source is chosen */
	RECEIVE_LOADING,   /* its bytes come, and a worker takes them */
	RECEIVE_RESTORING, /* the log says so: the worker may commit */
	RECEIVE_TRIMMING,  /* it has */
	RECEIVE_RELEASING  /* the apply worker goes on, with one table or the other */
} Receiving;

static struct
{
	Receiving step;
	uint32 source;
	uint64 wanted;
	uint64 since_ms;    /* when this step began */
	uint64 progress_ms; /* when bytes came last */
	uint64 progress_at; /* ... so many */
	bool replace; /* merging with this node's own tables failed because of them: they are replaced unread */
	bool waited;  /* for a better source than there is */
	bool loaded;
	bool ended; /* its stream; "reason" says why */
	uint64 retry_ms;
	uint64 pause_ms;
	BackgroundWorkerHandle *worker;
	struct
	{
		uint32 node_id;
		uint64 since_ms;
		uint64 until_ms;
	} failed[PAXOS_MAX_MEMBERS]; /* passed over */
	char reason[2 * SNAPSHOT_TEXT_MAX];
	uint64 answering; /* what was asked when this began */
	uint64 asked_ms;  /* when somebody first asked for what is not answered */
	struct log_limit troubles;
} receive;

static const char no_source[] =
	"No other node is connected that has applied as much, and whose rows are not in doubt.";

/* ---------------------------------------------------------------- whoever asked for it */

static void answer_asked(bool ok, const char *refusal)
{
	SnapshotShared *shared = shared_snapshot();

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	shared->answered = receive.answering;
	if (ok)
	{
		shared->answered_ok = receive.answering;
		shared->answered_slot = side_of(SNAPSHOT_RECEIVING)->restored.slot;
	}
	strlcpy(shared->refusal, refusal, sizeof(shared->refusal));
	LWLockRelease(paxos_shared->status_lock);
	ConditionVariableBroadcast(&shared->answered_cv);
	receive.asked_ms = 0;
	receive.waited = false;
}

/* Whether somebody waits for a table that none is known to need. */
static bool is_asked(void)
{
	SnapshotShared *shared = shared_snapshot();
	bool asked;

	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	asked = shared->asked != shared->answered;
	receive.answering = shared->asked;
	LWLockRelease(paxos_shared->status_lock);
	if (asked && receive.asked_ms == 0)
		receive.asked_ms = consensus.now_ms;
	return asked;
}

/* ---------------------------------------------------------------- whose table */

/* Or, where somebody waits, since he asked: each node is tried once for him, however long that takes. */
static bool has_failed_lately(uint32 node_id)
{
	for (int i = 0; i < PAXOS_MAX_MEMBERS; i++)
		if (receive.failed[i].node_id == node_id &&
			(consensus.now_ms < receive.failed[i].until_ms ||
			 (receive.asked_ms != 0 && receive.failed[i].since_ms >= receive.asked_ms)))
			return true;
	return false;
}

static void note_failure(uint32 node_id)
{
	int place = 0;

	for (int i = 0; i < PAXOS_MAX_MEMBERS; i++)
	{
		if (receive.failed[i].node_id == node_id)
		{
			place = i;
			break;
		}
		if (receive.failed[i].until_ms < receive.failed[place].until_ms)
			place = i;
	}
	receive.failed[place].node_id = node_id;
	receive.failed[place].since_ms = consensus.now_ms;
	receive.failed[place].until_ms = consensus.now_ms + RETRY_MAX_MS;
}

/*
 * The best node to take a table from: one that has not failed lately, then one whose log is whole (its table is as good
 * as any, and verified, but it has enough to do), then a follower, then who has applied most.
 */
static uint32 choose_source(uint64 wanted)
{
	const struct paxos_peer_status *best = NULL;
	int best_rank = -1;

	for (uint32 i = 0; i < consensus.status.n_peers; i++)
	{
		const struct paxos_peer_status *peer = &consensus.status.peers[i];
		int rank = (has_failed_lately(peer->node_id) ? 0 : 4) + (peer->damaged ? 0 : 2) +
				   (peer->node_id != consensus.status.leader_id ? 1 : 0);

		if (peer->node_id == (uint32) paxoskv_node_id || !peer->connected || state_diverged(peer->node_id) ||
			peer->applied < wanted || peer->applied == 0)
			continue;
		if (rank < best_rank || (rank == best_rank && peer->applied <= best->applied))
			continue;
		best = peer;
		best_rank = rank;
	}
	return best == NULL ? 0 : best->node_id;
}

/*
 * Whether a follower may be there in a moment: one that is not connected yet, or has not said that it has applied as
 * much.  Who was connected first would send its table otherwise, and that is the leader as often as not.
 */
static bool is_worth_a_wait(uint32 source, uint64 wanted)
{
	uint32 leader_id = consensus.status.leader_id;

	if (leader_id != 0 && source != leader_id)
		return false;
	for (uint32 i = 0; i < consensus.status.n_peers; i++)
	{
		const struct paxos_peer_status *peer = &consensus.status.peers[i];

		if (peer->node_id == (uint32) paxoskv_node_id || peer->node_id == source || peer->damaged ||
			state_diverged(peer->node_id) || has_failed_lately(peer->node_id))
			continue;
		if (leader_id == 0 || !peer->connected || peer->applied < wanted)
			return true;
	}
	return false;
}

/* No older table is of use. */
static uint64 wanted_slot(void)
{
	uint64 wanted = Max(pg_atomic_read_u64(&paxos_shared->applied_slot), consensus.status.behind);

	return Max(wanted, consensus.status.first_slot - 1);
}

/* ---------------------------------------------------------------- receiving: ending it */

static void go_to(Receiving step)
{
	receive.step = step;
	receive.since_ms = receive.progress_ms = consensus.now_ms;
	receive.progress_at = 0;
	receive.ended = false;
	consensus.status_due = true;
}

/* The apply worker reads its state anew before it goes on. */
static void release(bool loaded)
{
	receive.loaded = loaded;
	pg_atomic_write_u32(&shared_snapshot()->hold, 0);
	shmem_wake_apply();
	go_to(RECEIVE_RELEASING);
}

/* Nothing was committed: the old table stays. */
static void fail(const char *reason)
{
	SnapshotSide *side = side_of(SNAPSHOT_RECEIVING);
	bool own_fault = side->unfit && !receive.replace;

	if (reason != receive.reason)
		strlcpy(receive.reason, reason, sizeof(receive.reason));
	if (log_limit_pass(&receive.troubles, consensus.now_ms, NULL))
		ereport(LOG, (errmsg("paxoskv could not load the rows of node %u: %s", receive.source, reason),
					  own_fault ? errdetail("The next attempt reads nothing of this node's own rows.") : 0));
	transport_stream_close(consensus.transport, STREAM_DIALED);
	snapshot_end_job(side);
	/* It did not commit, after the log had said that it would; while that is there the log is not trimmed. */
	if (plog_restoring(consensus.log) != 0)
		host_give_up_restore();
	if (!own_fault)
		note_failure(receive.source);
	receive.replace |= own_fault;
	receive.pause_ms = Min(Max(2 * receive.pause_ms, SNAPSHOT_RETRY_MS), RETRY_MAX_MS);
	receive.retry_ms = consensus.now_ms + receive.pause_ms;
	release(false);
}

/* Who asked is told when each node that could do it has failed. */
static void answer_failure(void)
{
	char refusal[sizeof(receive.reason) + 40];

	if (choose_source(wanted_slot()) != 0 && !has_failed_lately(choose_source(wanted_slot())))
		return;
	snprintf(refusal, sizeof(refusal), "Node %u: %s.", receive.source, receive.reason);
	answer_asked(false, refusal);
}

/* ---------------------------------------------------------------- receiving: step by step */

static void begin_holding(void)
{
	pg_atomic_write_u32(&shared_snapshot()->hold, snapshot_number());
	shmem_wake_apply();
	go_to(RECEIVE_HOLDING);
}

static void consider(void)
{
	bool asked = is_asked();

	if ((!asked && consensus.status.behind == 0) || consensus.state.restoring != 0 ||
		consensus.now_ms < receive.retry_ms)
		return;
	if (!snapshot_is_free(SNAPSHOT_RECEIVING, &receive.worker))
		return;
	if (snapshot_database_is_ready() && choose_source(wanted_slot()) != 0)
		begin_holding();
	else if (asked && consensus.now_ms >= receive.asked_ms + PATIENCE_MS)
		answer_asked(false, no_source);
}

/* There was a source, and there is none any more. */
static void give_up_looking(void)
{
	if (receive.asked_ms != 0)
		answer_asked(false, no_source);
	receive.retry_ms = consensus.now_ms + SNAPSHOT_RETRY_MS;
	release(false);
}

static bool is_held(void)
{
	SnapshotShared *shared = shared_snapshot();

	return pg_atomic_read_u32(&shared->held) == pg_atomic_read_u32(&shared->hold);
}

/* Now this node's table does not get newer by itself. */
static void dial(void)
{
	uint32 source;

	if (!is_held())
	{
		receive.since_ms = consensus.now_ms;
		return;
	}
	receive.wanted = wanted_slot();
	source = choose_source(receive.wanted);
	if (source == 0)
	{
		if (consensus.now_ms >= receive.since_ms + PATIENCE_MS)
			give_up_looking();
		return;
	}
	if (!receive.waited && is_worth_a_wait(source, receive.wanted) &&
		consensus.now_ms < receive.since_ms + FOLLOWER_WAIT_MS)
		return;
	receive.waited = true;
	receive.source = source;
	snapshot_begin_job(side_of(SNAPSHOT_RECEIVING), source, SNAPSHOT_CONNECTING);
	side_of(SNAPSHOT_RECEIVING)->wanted = receive.wanted;
	side_of(SNAPSHOT_RECEIVING)->replace = receive.replace;
	go_to(RECEIVE_DIALING);
	if (!transport_stream_dial(consensus.transport, source))
		fail("it is not connected any more");
}

void receive_stream_open(void)
{
	uint8 request[SNAPSHOT_REQUEST_BYTES];

	if (receive.step != RECEIVE_DIALING)
		return;
	snapshot_put_request(request, receive.wanted);
	pg_atomic_write_u32(&side_of(SNAPSHOT_RECEIVING)->phase, SNAPSHOT_STARTING);
	go_to(RECEIVE_LOADING);
	if (!transport_stream_send(consensus.transport, STREAM_DIALED, request, sizeof(request)))
		fail("it could not be asked");
	else if (!snapshot_start_worker(SNAPSHOT_RECEIVING, &receive.worker))
		fail("all background workers are in use on this node");
}

static void announce_loading(void)
{
	const SnapshotSide *side = side_of(SNAPSHOT_RECEIVING);

	ereport(LOG,
			(errmsg("paxoskv has loaded the rows of node %u as of slot %llu", receive.source,
					(unsigned long long) side->restored.slot),
			 errdetail("%llu rows came, in %.1f seconds.",
					   (unsigned long long) pg_atomic_read_u64(&unconstify(SnapshotSide *, side)->rows_done),
					   (double) (GetCurrentTimestamp() - side->started) / 1000000)));
}

/* T5: the table is committed, durably. */
static void finish_restore(void)
{
	const struct paxos_restored *restored = &side_of(SNAPSHOT_RECEIVING)->restored;
	struct plog_error error;
	enum plog_code code;

	if (consensus.now_ms < consensus.retry_sync_ms)
		return;
	host_pump_writes();
	code = plog_trim(consensus.log, restored->slot + 1, &error);
	if (code == PLOG_NO_SPACE)
	{
		consensus.retry_sync_ms = consensus.now_ms + SNAPSHOT_RETRY_MS;
		return;
	}
	if (code != PLOG_OK)
		consensus_log_failed(&error);
	host_restored(restored);
	host_pump_events();
	consensus.applied = Max(consensus.applied, restored->slot);
	consensus.chosen = Max(consensus.chosen, restored->slot);
	if (restored->slot > pg_atomic_read_u64(&paxos_shared->chosen_slot))
		pg_atomic_write_u64(&paxos_shared->chosen_slot, restored->slot);
	status_refresh(true);
	state_forget_recount();
	announce_loading();
	memset(receive.failed, 0, sizeof(receive.failed));
	receive.replace = receive.waited = false;
	receive.pause_ms = 0;
	snapshot_end_job(side_of(SNAPSHOT_RECEIVING));
	release(true);
}

/* The worker has verified the table. */
static void grant(void)
{
	SnapshotSide *side = side_of(SNAPSHOT_RECEIVING);
	struct plog_error error;
	enum plog_code code;

	if (consensus.now_ms < consensus.retry_sync_ms)
		return;
	host_pump_writes();
	code = plog_begin_restore(consensus.log, side->restored.slot, &error);
	if (code == PLOG_NO_SPACE)
	{
		consensus.retry_sync_ms = consensus.now_ms + SNAPSHOT_RETRY_MS;
		return;
	}
	if (code != PLOG_OK)
		consensus_log_failed(&error);
	go_to(RECEIVE_RESTORING);
	pg_write_barrier();
	pg_atomic_write_u32(&side->step, STEP_GRANTED);
	snapshot_wake_worker(side);
}

static void lost_worker(void)
{
	if (receive.step != RECEIVE_RESTORING)
	{
		fail("the worker that loaded them was ended");
		return;
	}
	/* Committed or not: the next life finds out by what the apply worker reads. */
	ereport(LOG, (errmsg("paxoskv consensus worker starts anew: a worker was ended while it committed")));
	proc_exit(1);
}

static void check_progress(SnapshotSide *side)
{
	uint64 come = pg_atomic_read_u64(&side->ring.written);
	bool working = snapshot_ring_filled(&side->ring) > 0 || step_of(side) != STEP_WORKING;

	/* Where the worker has what it has not looked at, it is not the source that is slow. */
	if (receive.ended && !working)
		fail(receive.reason);
	else if (come != receive.progress_at || working)
	{
		receive.progress_at = come;
		receive.progress_ms = consensus.now_ms;
	}
	else if (consensus.now_ms >= receive.progress_ms + STALL_MS)
		fail("nothing came for half a minute");
}

static void watch_worker(void)
{
	SnapshotSide *side = side_of(SNAPSHOT_RECEIVING);
	bool stopped = snapshot_has_stopped(receive.worker); /* before its last word is looked at */
	SnapshotStep step = step_of(side);

	if (snapshot_ring_room(&side->ring) >= SNAPSHOT_RING_BYTES / 2)
		transport_stream_resume(consensus.transport, STREAM_DIALED);
	if (step == STEP_COMMITTED)
	{
		go_to(RECEIVE_TRIMMING);
		finish_restore();
	}
	else if (step == STEP_FAILED)
		fail(side->error);
	else if (stopped)
		lost_worker();
	else if (receive.step == RECEIVE_LOADING && step >= STEP_RECEIVED)
	{
		transport_stream_close(consensus.transport, STREAM_DIALED);
		if (step == STEP_READY)
			grant();
	}
	else if (receive.step == RECEIVE_LOADING)
		check_progress(side);
}

static void finish_release(void)
{
	if (pg_atomic_read_u32(&shared_snapshot()->held) != 0)
		return;
	if (receive.answering != 0 && receive.asked_ms != 0)
	{
		if (receive.loaded)
			answer_asked(true, "");
		else
			answer_failure();
	}
	go_to(RECEIVE_IDLE);
}

static void take_step(void)
{
	switch (receive.step)
	{
		case RECEIVE_IDLE:
			consider();
			break;
		case RECEIVE_HOLDING:
			dial();
			break;
		case RECEIVE_DIALING: /* the transport goes on with it: receive_stream_open() */
			break;
		case RECEIVE_LOADING:
		case RECEIVE_RESTORING:
			watch_worker();
			break;
		case RECEIVE_TRIMMING:
			finish_restore();
			break;
		case RECEIVE_RELEASING:
			finish_release();
			break;
	}
}

/* ---------------------------------------------------------------- receiving: the stream */

bool receive_stream_bytes(const uint8 *bytes, uint32 length)
{
	SnapshotSide *side = side_of(SNAPSHOT_RECEIVING);

	if (receive.step != RECEIVE_LOADING)
		return true;
	if (length > snapshot_ring_room(&side->ring))
		return false;
	snapshot_ring_put(&side->ring, bytes, length);
	snapshot_wake_worker(side);
	return true;
}

void receive_stream_end(const char *reason)
{
	SnapshotSide *side = side_of(SNAPSHOT_RECEIVING);
	bool loading = receive.step == RECEIVE_LOADING && step_of(side) == STEP_WORKING;

	if (loading && snapshot_ring_filled(&side->ring) > 0) /* what came may say more */
	{
		receive.ended = true;
		strlcpy(receive.reason, reason, sizeof(receive.reason));
	}
	else if (loading || receive.step == RECEIVE_DIALING)
		fail(reason);
}

/* ---------------------------------------------------------------- receiving: the loop */

void receive_start(void)
{
	memset(&receive, 0, sizeof(receive));
}

void receive_step(bool connected)
{
	if (connected)
		take_step();
	else if (is_asked())
		answer_asked(false,
					 formation_alone() ? "This cluster has no other node." : "The cluster has not formed.");
}

uint64 receive_next_deadline(void)
{
	if (receive.step != RECEIVE_IDLE)
		return consensus.now_ms + SNAPSHOT_POLL_MS;
	if (consensus.status.behind != 0 || receive.asked_ms != 0)
		return Max(receive.retry_ms, consensus.now_ms + SNAPSHOT_POLL_MS);
	return UINT64_MAX;
}

bool snapshot_loads(void)
{
	return receive.step != RECEIVE_IDLE;
}

void snapshot_describe(char *text, size_t size)
{
	if (receive.step == RECEIVE_DIALING || receive.step == RECEIVE_LOADING)
		snprintf(text, size, "The rows of node %u are being loaded.", receive.source);
	else if (receive.step == RECEIVE_IDLE && consensus.status.behind != 0)
		snprintf(text, size, "This node lacks what the other nodes' logs no longer hold, up to slot %llu.",
				 (unsigned long long) consensus.status.behind);
}
