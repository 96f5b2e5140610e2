/*
 * consensus_state.c - T3: tells the other members what this node's state is, hears theirs, compares, and has it
 * recounted when somebody asks, and now and then.
 *
 * Beside the core and not part of it: nothing here changes what is chosen.  A node whose state is found not to be the
 * cluster's stops applying (apply_diverged.c); it goes on voting, as its log is as good as before.
 */
#include "postgres.h"

#include "postmaster/bgworker.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/consensus.h"
#include "worker/settings.h"
#include "worker/workers.h"

#define TELL_MS 1000
/* While a recount is asked for. */
#define TELL_SOON_MS 100
/* After a recount that could not be done; by itself each time twice as long, as what prevents it may stay. */
#define RETRY_MS 1000
#define RETRY_MAX_MS 600000
#define WARNING_INTERVAL_MS 60000

/* A member's question, this node's own too. */
typedef struct Asker
{
	uint64 asked; /* 0: it asks nothing */
	uint64 asked_slot;
	uint64 counting; /* what the present recount will answer, 0: nothing */
	uint64 answered;
} Asker;

static struct
{
	uint64 seen_changes;
	uint64 due_ms;
	Asker askers[PAXOS_MAX_MEMBERS]; /* by place in the configuration */
	struct state_recount recount;    /* the last one */
	uint64 recounted_ms;
	double interval_part; /* of paxoskv.verify_interval, until the next one by itself */
	uint32 counting;      /* the recount under way, 0: none */
	BackgroundWorkerHandle *worker;
	uint64 retry_ms;
	uint64 pause_ms;
	uint64 own_retry_ms;
	uint64 warned_ms;
	bool difference_warned;
	bool stale; /* what is being counted are other tables than there are now */
} local;

/* ---------------------------------------------------------------- members */

/* A cluster of one has its member before it has formed. */
static int n_members(void)
{
	if (consensus.config.n_members == 0)
		return formation_alone() ? 1 : 0;
	return (int) consensus.config.n_members;
}

static uint32 member_id(int i)
{
	return consensus.config.n_members == 0 ? (uint32) paxoskv_node_id : consensus.config.members[i].node_id;
}

static bool is_self(int i)
{
	return member_id(i) == (uint32) paxoskv_node_id;
}

static bool is_connected(int i)
{
	return is_self(i) ||
		   (consensus.transport != NULL && transport_connected(consensus.transport, member_id(i)));
}

/* What of the board is known without being told; this node's own question with it. */
static void publish_members(void)
{
	StateBoard *board = &paxos_shared->state;

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	board->n_nodes = n_members();
	for (int i = 0; i < board->n_nodes; i++)
	{
		NodeState *node = &board->nodes[i];
		bool asks = board->question_until > GetCurrentTimestamp();

		if (node->node_id != member_id(i))
			memset(node, 0, sizeof(*node));
		node->node_id = member_id(i);
		node->voter = consensus.config.n_members == 0 || !consensus.config.members[i].learner;
		node->connected = is_connected(i);
		if (is_self(i))
		{
			node->diverged = pg_atomic_read_u32(&board->diverged) != 0;
			local.askers[i].asked = asks ? board->question : 0;
			local.askers[i].asked_slot = board->question_slot;
		}
		else if (!node->connected)
			local.askers[i].asked = 0;
	}
	LWLockRelease(paxos_shared->status_lock);
}

bool state_diverged(uint32 node_id)
{
	const StateBoard *board = &paxos_shared->state;

	/* Without the lock: nobody but this worker writes what is read here. */
	for (int i = 0; i < board->n_nodes; i++)
		if (board->nodes[i].node_id == node_id)
			return board->nodes[i].diverged;
	return false;
}

/* ---------------------------------------------------------------- stopping */

static void append(char *text, size_t size, const char *format, ...) pg_attribute_printf(3, 4);

static void append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text + used, size - used, format, arguments);
	va_end(arguments);
}

static void append_state(char *text, size_t size, const struct state_point *state)
{
	append(text, size, "state hash %016llx%016llx with %llu rows", (unsigned long long) state->hash.high,
		   (unsigned long long) state->hash.low, (unsigned long long) state->rows);
}

/* Tells the apply worker to stop; it says so in the log and remembers it. */
static void diverge(const char *why)
{
	StateBoard *board = &paxos_shared->state;

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u32(&board->diverged) == 0)
	{
		strlcpy(board->divergence, why, sizeof(board->divergence));
		pg_atomic_write_u32(&board->diverged, 1);
	}
	LWLockRelease(paxos_shared->status_lock);
	consensus.status_due = true;
	shmem_wake_apply();
}

static void diverge_by_recount(const Recount *recount)
{
	char why[DIVERGENCE_MAX] = "";

	append(why, sizeof(why), "The rows were changed behind the log's back: at slot %llu they have ",
		   (unsigned long long) recount->result.kept.slot);
	append_state(why, sizeof(why), &recount->result.found);
	append(why, sizeof(why), ", what was applied has ");
	append_state(why, sizeof(why), &recount->result.kept);
	append(why, sizeof(why), ".%s%s", recount->detail[0] != '\0' ? " " : "", recount->detail);
	diverge(why);
}

/* ---------------------------------------------------------------- comparing */

/* Who has which state at that slot, as a sentence. */
static void describe(char *text, size_t size, uint64 slot, const struct state_point *const *those)
{
	append(text, size, "At slot %llu", (unsigned long long) slot);
	for (int i = 0, n = 0; i < n_members(); i++)
	{
		if (those[i] == NULL)
			continue;
		append(text, size, "%s node %u has ", n++ > 0 ? "," : "", member_id(i));
		append_state(text, size, those[i]);
	}
	append(text, size, ".");
}

/* status_lock is held.  *text says what differs, if the verdict is not STATE_AGREES. */
static enum state_verdict judge(const struct state_point *own, char *text, size_t size)
{
	const StateBoard *board = &paxos_shared->state;
	const struct state_point *those[PAXOS_MAX_MEMBERS];
	const struct state_point *voters[PAXOS_MAX_MEMBERS];
	uint32 n_voters = 0;
	uint32 n_lost = 0;
	enum state_verdict verdict;

	for (int i = 0; i < board->n_nodes; i++)
	{
		those[i] = is_self(i) ? own : state_points_find(&board->nodes[i].points, own->slot);
		if (!board->nodes[i].voter)
			continue;
		voters[n_voters++] = those[i];
		n_lost += those[i] == NULL && state_is_lost(&board->nodes[i], own->slot);
	}
	verdict = state_judge(own, voters, n_voters, n_lost);
	text[0] = '\0';
	if (verdict == STATE_MINORITY)
		append(text, size, "A majority of the nodes has another state than this one. ");
	if (verdict == STATE_NO_MAJORITY)
		append(text, size, "No state can have a majority of the nodes. ");
	if (verdict != STATE_AGREES)
		describe(text, size, own->slot, those);
	return verdict;
}

/* At all slots that this node keeps; the first verdict that stops it counts. */
static void compare(void)
{
	const StateBoard *board = &paxos_shared->state;
	enum state_verdict worst = STATE_AGREES;
	char why[DIVERGENCE_MAX] = "";
	char text[DIVERGENCE_MAX];

	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	for (int i = 0; i < STATE_POINTS_MAX && worst < STATE_MINORITY; i++)
	{
		const struct state_point *own = &board->points.points[i];
		enum state_verdict verdict = own->slot == 0 ? STATE_AGREES : judge(own, text, sizeof(text));

		if (verdict <= worst)
			continue;
		worst = verdict;
		strlcpy(why, text, sizeof(why));
	}
	LWLockRelease(paxos_shared->status_lock);
	if (worst >= STATE_MINORITY)
		diverge(why);
	if (worst == STATE_UNDECIDED && !local.difference_warned)
		ereport(WARNING, (errmsg("paxoskv: the states of two nodes differ"), errdetail("%s", why),
						  errhint("Which of them is wrong is known once more nodes are heard of.")));
	local.difference_warned = worst == STATE_UNDECIDED;
}

/* ---------------------------------------------------------------- recounting */

/* Who is answered by a recount that begins now; false: nobody has to be. */
static bool someone_waits(uint64 *slot)
{
	bool waits = false;

	*slot = 0;
	for (int i = 0; i < n_members(); i++)
	{
		Asker *asker = &local.askers[i];

		asker->counting = asker->asked != asker->answered ? asker->asked : 0;
		if (asker->counting == 0)
			continue;
		waits = true;
		*slot = Max(*slot, asker->asked_slot);
	}
	return waits;
}

/* A node that has stopped won't get further. */
static bool is_applied(uint64 slot)
{
	PaxosShared *shared = paxos_shared;
	bool ready;
	bool stopped;

	LWLockAcquire(shared->status_lock, LW_SHARED);
	ready = shared->report.database == DATABASE_READY;
	stopped = shared->report.stopped;
	LWLockRelease(shared->status_lock);
	return ready && (stopped || pg_atomic_read_u64(&shared->applied_slot) >= slot);
}

static bool is_recount_due(void)
{
	double interval_ms = (double) paxoskv_verify_interval * 1000 * local.interval_part;

	return paxoskv_verify_interval > 0 && consensus.now_ms >= local.own_retry_ms &&
		   consensus.now_ms - local.recounted_ms >= (uint64) interval_ms;
}

/* Something prevents it now. */
static void put_recount_off(void)
{
	local.stale = false;
	local.counting = 0;
	local.pause_ms = Min(Max(2 * local.pause_ms, RETRY_MS), RETRY_MAX_MS);
	local.own_retry_ms = consensus.now_ms + local.pause_ms;
	local.retry_ms = consensus.now_ms + RETRY_MS;
}

static void start_recount(void)
{
	StateBoard *board = &paxos_shared->state;
	MemoryContext context;
	uint64 slot;
	bool waits;

	if (local.counting != 0 || consensus.now_ms < local.retry_ms)
		return;
	waits = someone_waits(&slot);
	if (!waits && !is_recount_due())
		return;
	if (!is_applied(slot))
		return;
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	local.counting = ++board->counting;
	LWLockRelease(paxos_shared->status_lock);
	context = MemoryContextSwitchTo(TopMemoryContext);
	local.worker = workers_start_recount(local.counting);
	MemoryContextSwitchTo(context);
	if (local.worker != NULL)
		return;
	put_recount_off();
	if (local.warned_ms != 0 && consensus.now_ms < local.warned_ms + WARNING_INTERVAL_MS)
		return;
	local.warned_ms = consensus.now_ms;
	ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("paxoskv cannot recount its rows now: all background workers are in use"),
					  errhint("A higher max_worker_processes makes room.")));
}

/* Its answers go out with the next message, to this node's own backends at once. */
static void take_result(const Recount *recount)
{
	StateBoard *board = &paxos_shared->state;

	local.recount = recount->result;
	local.recounted_ms = consensus.now_ms;
	local.interval_part = 1;
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	for (int i = 0; i < n_members(); i++)
	{
		if (local.askers[i].counting == 0)
			continue;
		local.askers[i].answered = local.askers[i].counting;
		if (!is_self(i))
			continue;
		board->nodes[i].answered = local.askers[i].answered;
		board->nodes[i].recount = recount->result;
	}
	LWLockRelease(paxos_shared->status_lock);
	if (recount->result.differs)
		diverge_by_recount(recount);
}

static void finish_recount(void)
{
	StateBoard *board = &paxos_shared->state;
	Recount recount;
	bool stopped;
	bool done;
	pid_t pid;

	if (local.counting == 0)
		return;
	stopped = GetBackgroundWorkerPid(local.worker, &pid) == BGWH_STOPPED;
	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	done = board->counted == local.counting;
	recount = board->recount;
	LWLockRelease(paxos_shared->status_lock);
	if (!done && !stopped)
		return;
	pfree(local.worker);
	if (!done) /* its error is in the log */
	{
		put_recount_off();
		return;
	}
	if (local.stale)
	{
		local.stale = false;
		local.counting = 0; /* begun anew at once */
		return;
	}
	local.counting = 0;
	local.pause_ms = local.own_retry_ms = 0;
	take_result(&recount);
}

/* ---------------------------------------------------------------- telling and hearing */

static void tell(int i)
{
	static struct state_message message; /* too large for comfort on the stack */
	StateBoard *board = &paxos_shared->state;
	const Asker *asker = &local.askers[i];

	memset(&message, 0, sizeof(message));
	message.from = (uint32) paxoskv_node_id;
	message.to = member_id(i);
	message.epoch = consensus.config.epoch;
	message.diverged = pg_atomic_read_u32(&board->diverged) != 0;
	message.answered = asker->answered;
	message.recount = local.recount;
	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	message.points = board->points;
	if (board->question_until > GetCurrentTimestamp())
	{
		message.asked = board->question;
		message.asked_slot = board->question_slot;
	}
	LWLockRelease(paxos_shared->status_lock);
	(void) transport_send_state(consensus.transport, &message);
}

static void tell_all(void)
{
	if (consensus.transport == NULL || consensus.core == NULL)
		return;
	for (int i = 0; i < n_members(); i++)
		if (!is_self(i) && is_connected(i))
			tell(i);
	transport_flush(consensus.transport);
}

void state_heard(const struct state_message *message)
{
	StateBoard *board = &paxos_shared->state;
	int i = 0;

	while (i < board->n_nodes && board->nodes[i].node_id != message->from)
		i++;
	if (i >= n_members() || i >= board->n_nodes || message->epoch != consensus.config.epoch)
		return;
	if (message->asked != 0 && message->asked != local.askers[i].asked)
		local.due_ms = consensus.now_ms;
	local.askers[i].asked = message->asked;
	local.askers[i].asked_slot = message->asked_slot;
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	if (board->nodes[i].diverged != message->diverged)
		consensus.status_due = true;
	board->nodes[i].diverged = message->diverged;
	board->nodes[i].points = message->points;
	/* One of an earlier life's question is not this one's. */
	if (message->answered > board->nodes[i].answered && message->answered <= board->question)
	{
		board->nodes[i].answered = message->answered;
		board->nodes[i].recount = message->recount;
	}
	LWLockRelease(paxos_shared->status_lock);
	ConditionVariableBroadcast(&board->heard_cv);
}

/* ---------------------------------------------------------------- step */

static bool someone_asks(void)
{
	for (int i = 0; i < n_members(); i++)
		if (local.askers[i].asked != 0)
			return true;
	return false;
}

void state_step(void)
{
	StateBoard *board = &paxos_shared->state;
	uint64 changes = pg_atomic_read_u64(&board->changes);

	if (n_members() == 0 || (changes == local.seen_changes && consensus.now_ms < local.due_ms))
		return;
	pg_memory_barrier();
	local.seen_changes = changes;
	publish_members();
	finish_recount();
	start_recount();
	if (pg_atomic_read_u32(&board->diverged) == 0)
		compare();
	tell_all();
	ConditionVariableBroadcast(&board->heard_cv);
	local.due_ms = consensus.now_ms + (someone_asks() ? TELL_SOON_MS : TELL_MS);
}

void state_forget_recount(void)
{
	local.stale = local.counting != 0;
	local.recount = (struct state_recount){0};
}

uint64 state_next_deadline(void)
{
	return n_members() == 0 ? UINT64_MAX : local.due_ms;
}

/* The first recount by itself comes after a random part of the interval, not at the same time on all nodes. */
void state_start(void)
{
	uint32 part;

	memset(&local, 0, sizeof(local));
	consensus_random(&part, sizeof(part));
	local.recounted_ms = consensus.now_ms;
	local.interval_part = (double) part / UINT32_MAX;
}
