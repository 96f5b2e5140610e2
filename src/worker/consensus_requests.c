/*
 * consensus_requests.c - what backends asked for: commands wait here until the core numbers them, reads
 * until it confirms them; log requests are answered at once.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "worker/consensus.h"
#include "worker/settings.h"

/* Entries of so many bytes, or one, are read for log requests before other work has its turn again. */
#define LOG_READ_BYTES (1u << 20)

/* ---------------------------------------------------------------- queues */

static void queue_init(RequestQueue *queue)
{
	queue->size = paxos_shared->n_requests + 1;
	queue->items = MemoryContextAllocZero(TopMemoryContext, queue->size * sizeof(uint32));
	queue->head = queue->tail = 0;
}

static bool queue_empty(const RequestQueue *queue)
{
	return queue->head == queue->tail;
}

static void queue_push(RequestQueue *queue, uint32 index)
{
	queue->items[queue->tail] = index;
	queue->tail = (queue->tail + 1) % queue->size;
	consensus.queued[index] = true;
	Assert(!queue_empty(queue));
}

static uint32 queue_first(const RequestQueue *queue)
{
	return queue->items[queue->head];
}

static uint32 queue_pop(RequestQueue *queue)
{
	uint32 index = queue_first(queue);

	queue->head = (queue->head + 1) % queue->size;
	consensus.queued[index] = false;
	return index;
}

static uint32 queue_length(const RequestQueue *queue)
{
	return (queue->tail + queue->size - queue->head) % queue->size;
}

/* ---------------------------------------------------------------- answers */

/* Ends a request that is not numbered, unless its client withdrew it; the worker's hold goes either way. */
static void answer(Request *request, RequestOutcome outcome, Admission admission)
{
	int procno = request->procno;

	request->outcome = outcome;
	request->admission = admission;
	if (shmem_request_move(request, REQUEST_SUBMITTED, REQUEST_DONE))
		shmem_wake_proc(procno);
	shmem_request_drop(request, HOLD_CONSENSUS);
}

/* Whether a request of that kind is refused in that state of affairs. */
static bool is_refused(RequestKind kind, Admission admission)
{
	if (admission == ADMIT || admission == ADMIT_STARTING)
		return false;
	if (kind == REQUEST_LOG || kind == REQUEST_TRIM)
		return consensus.core == NULL;
	return kind == REQUEST_COMMAND || (admission != ADMIT_APPLY_BEHIND && admission != ADMIT_DISK_FULL);
}

/* One entry of the log, or a piece of it, into the client's buffer.  Returns the bytes read for it. */
static uint64 answer_log(Request *request)
{
	struct plog_error error;
	struct paxos_entry entry;
	struct paxos_status status;
	uint64 slot;
	uint64 n;

	if (consensus.core == NULL)
	{
		answer(request, OUTCOME_BEHIND, ADMIT);
		return 0;
	}
	paxos_status(consensus.core, &status);
	slot = Max(request->log_slot, Max(status.first_slot, plog_first_slot(consensus.log)));
	/* What a damaged node has applied may be more than its log still holds. */
	if (slot > Min(status.chosen, status.durable_end))
	{
		answer(request, OUTCOME_BEHIND, ADMIT);
		return 0;
	}
	if (plog_read(consensus.log, slot, &entry, &error) != PLOG_OK ||
		plog_read_ballot(consensus.log, slot, &request->log_epoch, &request->log_ballot, &error) != PLOG_OK)
		consensus_log_failed(&error);
	n = request->log_offset < entry.length ? Min(entry.length - request->log_offset, request->length) : 0;
	if (n > 0)
		memcpy(shmem_request_data(request), entry.bytes + request->log_offset, n);
	request->slot = slot;
	request->log_total = entry.length;
	n = entry.length;
	plog_release_reads(consensus.log);
	answer(request, OUTCOME_OK, ADMIT);
	return n;
}

/* Many readers of a log with large entries must not make heartbeats late. */
static void advance_logs(void)
{
	uint64 bytes = 0;

	while (!queue_empty(&consensus.logs) && bytes < LOG_READ_BYTES)
		bytes += answer_log(shmem_request(queue_pop(&consensus.logs)));
}

/* ---------------------------------------------------------------- taking */

static RequestQueue *queue_of(RequestKind kind)
{
	if (kind == REQUEST_LOG)
		return &consensus.logs;
	if (kind == REQUEST_TRIM)
		return &consensus.trims;
	return kind == REQUEST_COMMAND ? &consensus.commands : &consensus.reads;
}

static void take(uint32 index)
{
	Request *request = shmem_request(index);

	if (is_refused(request->kind, consensus.admission))
		answer(request, OUTCOME_REFUSED, consensus.admission);
	else
		queue_push(queue_of(request->kind), index);
}

void requests_take(void)
{
	uint32 index = shmem_queue_take();

	while (index != NO_REQUEST)
	{
		uint32 next = shmem_request(index)->next;

		if (!consensus.queued[index])
			take(index);
		index = next;
	}
}

/* Marks a numbered request unknown and lets go of it.  map_lock is held. */
static void give_up(Request *request)
{
	int procno = request->procno;

	request->outcome = OUTCOME_UNKNOWN;
	if (shmem_request_move(request, REQUEST_NUMBERED, REQUEST_DONE))
		shmem_wake_proc(procno);
	shmem_request_drop(request, HOLD_APPLY);
	shmem_request_drop(request, HOLD_CONSENSUS);
}

void requests_give_up_numbered(void)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->map_lock, LW_EXCLUSIVE);
	shared->map_session = 0;
	memset(shmem_map_entry(0), 0, shared->map_size * sizeof(uint32));
	for (uint32 i = 0; i < shared->n_requests; i++)
	{
		Request *request = shmem_request(i);
		uint32 holds = pg_atomic_read_u32(&request->holds);
		RequestState state = shmem_request_state(request);

		if ((holds & (HOLD_CONSENSUS | HOLD_APPLY)) != 0 &&
			(state == REQUEST_NUMBERED || state == REQUEST_DONE))
			give_up(request);
	}
	LWLockRelease(shared->map_lock);
}

/*
 * What the last life left: numbered commands are unknown (X6), what it had taken and not numbered is taken
 * again.  The pool is looked through before the queue, so what is on both is not taken twice.
 */
void requests_start(void)
{
	PaxosShared *shared = paxos_shared;

	queue_init(&consensus.commands);
	queue_init(&consensus.reads);
	queue_init(&consensus.logs);
	queue_init(&consensus.trims);
	queue_init(&consensus.asked_reads);
	consensus.read_tokens = MemoryContextAllocZero(TopMemoryContext, shared->n_requests * sizeof(uint64));
	consensus.queued = MemoryContextAllocZero(TopMemoryContext, shared->n_requests * sizeof(bool));
	requests_give_up_numbered();
	(void) shmem_queue_take();
	for (uint32 i = 0; i < shared->n_requests; i++)
	{
		Request *request = shmem_request(i);
		RequestState state = shmem_request_state(request);

		if ((pg_atomic_read_u32(&request->holds) & HOLD_CONSENSUS) == 0)
			continue;
		if (state == REQUEST_SUBMITTED || state == REQUEST_WITHDRAWN)
			queue_push(queue_of(request->kind), i);
	}
	requests_take();
}

/* ---------------------------------------------------------------- commands */

/* Puts the request into the map of numbers.  False: the place is still taken, by one 2^k numbers older. */
static bool map_number(Request *request, uint64 number)
{
	PaxosShared *shared = paxos_shared;
	uint32 *entry = shmem_map_entry(number);
	bool free_place;

	LWLockAcquire(shared->map_lock, LW_EXCLUSIVE);
	shared->map_session = consensus.session;
	free_place = *entry == 0;
	if (free_place)
		*entry = shmem_request_index(request) + 1;
	LWLockRelease(shared->map_lock);
	return free_place;
}

static void unmap_number(uint64 number)
{
	LWLockAcquire(paxos_shared->map_lock, LW_EXCLUSIVE);
	*shmem_map_entry(number) = 0;
	LWLockRelease(paxos_shared->map_lock);
}

/* X2: numbers and sends one command.  False: it can't be numbered now. */
static bool propose(Request *request)
{
	uint64 number = consensus.last_number + 1;

	if (!map_number(request, number))
		return false;
	request->session = consensus.session;
	request->number = number;
	pg_atomic_fetch_or_u32(&request->holds, HOLD_APPLY);
	if (!shmem_request_move(request, REQUEST_SUBMITTED, REQUEST_NUMBERED))
	{
		unmap_number(number);
		shmem_request_drop(request, HOLD_APPLY);
		shmem_request_drop(request, HOLD_CONSENSUS);
		return true;
	}
	host_note_input("propose");
	consensus.last_number = paxos_propose(consensus.core, shmem_request_data(request), request->length);
	host_pump_writes();
	if (consensus.last_number != number)
		elog(FATAL, "command was numbered %llu where %llu was next",
			 (unsigned long long) consensus.last_number, (unsigned long long) number);
	pg_atomic_fetch_add_u64(&paxos_shared->commands, 1);
	return true;
}

static void advance_commands(void)
{
	while (!queue_empty(&consensus.commands))
	{
		Request *request = shmem_request(queue_first(&consensus.commands));

		if (shmem_request_state(request) == REQUEST_WITHDRAWN)
		{
			queue_pop(&consensus.commands);
			shmem_request_drop(request, HOLD_CONSENSUS);
			continue;
		}
		if (consensus.admission != ADMIT || consensus.session == 0 ||
			!paxos_can_propose(consensus.core, request->length) || !propose(request))
			return;
		queue_pop(&consensus.commands);
	}
}

void requests_resolved(uint64 number, uint64 slot, bool ok, bool may_be_void)
{
	PaxosShared *shared = paxos_shared;
	uint32 *entry = shmem_map_entry(number);
	Request *request;

	LWLockAcquire(shared->map_lock, LW_EXCLUSIVE);
	request = *entry == 0 ? NULL : shmem_request(*entry - 1);
	if (request != NULL && request->number == number && request->session == consensus.session)
	{
		if (ok)
		{
			request->may_be_void = may_be_void;
			pg_write_barrier();
			pg_atomic_write_u64(&request->chosen_slot, slot);
			shmem_request_drop(request, HOLD_CONSENSUS);
		}
		else
		{
			*entry = 0;
			give_up(request);
		}
	}
	LWLockRelease(shared->map_lock);
}

/* ---------------------------------------------------------------- reads */

/* One request to the core for all waiting reads of a level (R2). */
static void ask_reads_of_level(bool leader_only)
{
	uint32 n = queue_length(&consensus.reads);
	uint64 token = 0;

	while (n-- > 0)
	{
		uint32 index = queue_pop(&consensus.reads);
		Request *request = shmem_request(index);

		if (shmem_request_state(request) == REQUEST_WITHDRAWN)
		{
			shmem_request_drop(request, HOLD_CONSENSUS);
			continue;
		}
		if (request->leader_only != leader_only)
		{
			queue_push(&consensus.reads, index);
			continue;
		}
		if (token == 0)
		{
			host_note_input("read");
			token = paxos_read(consensus.core, leader_only);
			host_pump_writes();
		}
		consensus.read_tokens[index] = token;
		queue_push(&consensus.asked_reads, index);
	}
}

static void advance_reads(void)
{
	if (queue_empty(&consensus.reads) || consensus.now_ms < consensus.ask_reads_again_ms)
		return;
	consensus.ask_reads_again_ms = 0;
	ask_reads_of_level(false);
	ask_reads_of_level(true);
}

void requests_read_answered(uint64 token, bool ok, uint64 slot)
{
	while (!queue_empty(&consensus.asked_reads))
	{
		uint32 index = queue_first(&consensus.asked_reads);
		Request *request = shmem_request(index);

		if (consensus.read_tokens[index] > token)
			return;
		queue_pop(&consensus.asked_reads);
		if (ok)
		{
			request->slot = slot;
			consensus.awaited_slot = Max(consensus.awaited_slot, slot);
			answer(request, OUTCOME_OK, ADMIT);
			continue;
		}
		/* Not confirmed: there is no leader now, or another one; ask again after a heartbeat. */
		queue_push(&consensus.reads, index);
		consensus.ask_reads_again_ms = consensus.now_ms + (uint64) paxoskv_heartbeat_interval;
	}
}

/* ---------------------------------------------------------------- all */

/* F4: a cluster of one forms at its first command; before that there is nothing to read. */
static void advance_unformed(void)
{
	if (!formation_alone() || consensus.admission != ADMIT)
		return;
	if (!queue_empty(&consensus.commands))
		formation_first_command(&consensus.formation);
	while (!queue_empty(&consensus.reads))
	{
		Request *request = shmem_request(queue_pop(&consensus.reads));

		request->slot = 0;
		answer(request, OUTCOME_OK, ADMIT);
	}
}

void requests_advance(void)
{
	advance_logs();
	if (consensus.core == NULL)
	{
		advance_unformed();
		return;
	}
	advance_commands();
	advance_reads();
}

static void refuse_queue(RequestQueue *queue)
{
	uint32 n = queue_length(queue);

	while (n-- > 0)
	{
		uint32 index = queue_pop(queue);
		Request *request = shmem_request(index);

		if (shmem_request_state(request) == REQUEST_WITHDRAWN)
			shmem_request_drop(request, HOLD_CONSENSUS);
		else if (is_refused(request->kind, consensus.admission))
			answer(request, OUTCOME_REFUSED, consensus.admission);
		else
			queue_push(queue, index);
	}
}

void requests_refuse_waiting(void)
{
	refuse_queue(&consensus.commands);
	refuse_queue(&consensus.reads);
	refuse_queue(&consensus.asked_reads);
	refuse_queue(&consensus.logs);
	refuse_queue(&consensus.trims);
}

uint32 requests_trims_waiting(void)
{
	return queue_length(&consensus.trims);
}

void requests_answer_trims(uint32 n, uint64 first_slot)
{
	while (n-- > 0 && !queue_empty(&consensus.trims))
	{
		Request *request = shmem_request(queue_pop(&consensus.trims));

		request->slot = first_slot;
		answer(request, OUTCOME_OK, ADMIT);
	}
}

bool requests_commands_wait(void)
{
	return !queue_empty(&consensus.commands);
}

uint64 requests_next_deadline(void)
{
	if (!queue_empty(&consensus.logs))
		return 0;
	return queue_empty(&consensus.reads) || consensus.core == NULL ? UINT64_MAX
																   : consensus.ask_reads_again_ms;
}
