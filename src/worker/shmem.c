/*
 * shmem.c - shared memory: layout, start-up, the pool of requests, the arena for large commands.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "pg_compat.h"
#include "worker/settings.h"
#include "worker/shmem.h"

#define FEED_BYTES (8u << 20)
#define ARENA_MIN_BYTES (16u << 20)
#define TRANCHE_NAME "paxoskv"
#define N_LWLOCKS 3

PaxosShared *paxos_shared = NULL;

/* The parts behind the struct. */
static Request *requests;
static uint32 *number_map;
static uint8 *arena_map; /* a page each: 1 taken */
static uint8 *arena;
static uint8 *feed_bytes;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

StaticAssertDecl(sizeof(uint8) * FORMATION_BLOB_MAX <= 4096, "a configuration fits PaxosShared.config");

/* ---------------------------------------------------------------- layout and start-up */

static uint32 map_size(void)
{
	uint32 size = 1;

	while (size < 2u * (uint32) paxoskv_queue_size)
		size *= 2;
	return size;
}

/* Room for a few of the largest commands, so that one does not shut the others out. */
static uint32 arena_pages(void)
{
	uint64 bytes = Max((uint64) ARENA_MIN_BYTES, 3 * (uint64) paxoskv_max_command_size);

	return (uint32) ((bytes + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES);
}

static Size shared_size(void)
{
	Size size = MAXALIGN(sizeof(PaxosShared));

	size = add_size(size, MAXALIGN(mul_size(paxoskv_queue_size, sizeof(Request))));
	size = add_size(size, MAXALIGN(mul_size(map_size(), sizeof(uint32))));
	size = add_size(size, MAXALIGN(arena_pages()));
	size = add_size(size, mul_size(arena_pages(), ARENA_PAGE_BYTES));
	return add_size(size, FEED_BYTES);
}

static void request_shmem(void)
{
	if (previous_request_hook)
		previous_request_hook();
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche(TRANCHE_NAME, N_LWLOCKS);
}

/* Finds the parts behind the struct; the same in every process. */
static void locate_parts(void)
{
	char *p = (char *) paxos_shared + MAXALIGN(sizeof(PaxosShared));

	requests = (Request *) p;
	p += MAXALIGN(paxoskv_queue_size * sizeof(Request));
	number_map = (uint32 *) p;
	p += MAXALIGN(map_size() * sizeof(uint32));
	arena_map = (uint8 *) p;
	p += MAXALIGN(arena_pages());
	arena = (uint8 *) p;
	p += (Size) arena_pages() * ARENA_PAGE_BYTES;
	feed_bytes = (uint8 *) p;
}

static void init_pool(PaxosShared *shared)
{
	shared->n_requests = (uint32) paxoskv_queue_size;
	shared->map_size = map_size();
	shared->arena_n_pages = arena_pages();
	SpinLockInit(&shared->queue_lock);
	ConditionVariableInit(&shared->request_cv);
	ConditionVariableInit(&shared->arena_cv);
	ConditionVariableInit(&shared->applied_cv);
	shared->queue_head = shared->queue_tail = NO_REQUEST;
	shared->free_head = 0;
	for (uint32 i = 0; i < shared->n_requests; i++)
	{
		pg_atomic_init_u32(&requests[i].state, REQUEST_FREE);
		pg_atomic_init_u32(&requests[i].holds, 0);
		pg_atomic_init_u64(&requests[i].chosen_slot, 0);
		requests[i].next = i + 1 < shared->n_requests ? i + 1 : NO_REQUEST;
	}
	memset(number_map, 0, shared->map_size * sizeof(uint32));
	memset(arena_map, 0, shared->arena_n_pages);
}

static void init_shared(PaxosShared *shared)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE_NAME);

	memset(shared, 0, sizeof(*shared));
	init_pool(shared);
	shared->map_lock = &locks[0].lock;
	shared->arena_lock = &locks[1].lock;
	shared->status_lock = &locks[2].lock;
	pg_atomic_init_u32(&shared->consensus_procno, (uint32) NO_PROC);
	pg_atomic_init_u32(&shared->apply_procno, (uint32) NO_PROC);
	pg_atomic_init_u32(&shared->admission, ADMIT_STARTING);
	pg_atomic_init_u64(&shared->chosen_slot, 0);
	pg_atomic_init_u64(&shared->log_bytes, 0);
	pg_atomic_init_u64(&shared->commands, 0);
	pg_atomic_init_u64(&shared->syncs, 0);
	pg_atomic_init_u32(&shared->flush_asked, 0);
	pg_atomic_init_u64(&shared->applied_slot, 0);
	pg_atomic_init_u64(&shared->flushed_slot, 0);
	pg_atomic_init_u32(&shared->fsync_was_off, 0);
	pg_atomic_init_u64(&shared->state.changes, 0);
	pg_atomic_init_u32(&shared->state.diverged, 0);
	ConditionVariableInit(&shared->state.heard_cv);
	snapshot_shmem_init(&shared->snapshot);
	shared->feed.size = FEED_BYTES;
	pg_atomic_init_u64(&shared->feed.asked, 0);
	pg_atomic_init_u64(&shared->feed.served, 0);
	pg_atomic_init_u64(&shared->feed.life, 0);
	pg_atomic_init_u64(&shared->feed.written, 0);
	pg_atomic_init_u64(&shared->feed.consumed, 0);
	pg_atomic_init_u32(&shared->feed.writer_waiting, 0);
	strlcpy(shared->status.role, "starting", sizeof(shared->status.role));
	strlcpy(shared->status.cluster_name, paxoskv_cluster_name, sizeof(shared->status.cluster_name));
	shared->status.node_id = (uint32) paxoskv_node_id;
}

static void startup_shmem(void)
{
	bool found;

	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	paxos_shared = ShmemInitStruct("paxoskv", shared_size(), &found);
	locate_parts();
	if (!found)
		init_shared(paxos_shared);
	LWLockRelease(AddinShmemInitLock);
}

void shmem_install_hooks(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* ---------------------------------------------------------------- places */

Request *shmem_request(uint32 index)
{
	Assert(index < paxos_shared->n_requests);
	return &requests[index];
}

uint32 shmem_request_index(const Request *request)
{
	return (uint32) (request - requests);
}

uint8 *shmem_request_data(Request *request)
{
	if (request->arena_pages == 0)
		return (uint8 *) request->data;
	return arena + (Size) request->arena_page * ARENA_PAGE_BYTES;
}

uint32 *shmem_map_entry(uint64 number)
{
	return &number_map[number & (paxos_shared->map_size - 1)];
}

uint8 *shmem_feed_bytes(void)
{
	return feed_bytes;
}

uint64 shmem_arena_bytes(void)
{
	return (uint64) paxos_shared->arena_n_pages * ARENA_PAGE_BYTES;
}

/* ---------------------------------------------------------------- arena */

/* First fit of n pages in [from, to), or UINT32_MAX. */
static uint32 arena_find(uint32 from, uint32 to, uint32 n)
{
	uint32 run = 0;

	for (uint32 page = from; page < to; page++)
	{
		run = arena_map[page] ? 0 : run + 1;
		if (run == n)
			return page + 1 - n;
	}
	return UINT32_MAX;
}

/* Takes n contiguous pages, behind the last ones taken if they fit there.  False: no room now. */
static bool arena_take(uint32 n, uint32 *first)
{
	PaxosShared *shared = paxos_shared;
	uint32 page;

	LWLockAcquire(shared->arena_lock, LW_EXCLUSIVE);
	page = arena_find(shared->arena_cursor, shared->arena_n_pages, n);
	if (page == UINT32_MAX)
		page = arena_find(0, shared->arena_n_pages, n);
	if (page != UINT32_MAX)
	{
		memset(arena_map + page, 1, n);
		shared->arena_cursor = page + n < shared->arena_n_pages ? page + n : 0;
	}
	LWLockRelease(shared->arena_lock);
	*first = page;
	return page != UINT32_MAX;
}

static void arena_give_back(uint32 first, uint32 n)
{
	LWLockAcquire(paxos_shared->arena_lock, LW_EXCLUSIVE);
	memset(arena_map + first, 0, n);
	LWLockRelease(paxos_shared->arena_lock);
	ConditionVariableBroadcast(&paxos_shared->arena_cv);
}

/* ---------------------------------------------------------------- requests */

Request *shmem_request_allocate(uint32 length, ConditionVariable **full)
{
	PaxosShared *shared = paxos_shared;
	uint32 pages = 0;
	uint32 first = 0;
	uint32 index;
	Request *request;

	if (length > REQUEST_INLINE_BYTES)
	{
		pages = (length + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES;
		*full = &shared->arena_cv;
		if (!arena_take(pages, &first))
			return NULL;
	}
	SpinLockAcquire(&shared->queue_lock);
	index = shared->free_head;
	if (index != NO_REQUEST)
		shared->free_head = requests[index].next;
	SpinLockRelease(&shared->queue_lock);
	if (index == NO_REQUEST)
	{
		if (pages > 0)
			arena_give_back(first, pages);
		*full = &shared->request_cv;
		return NULL;
	}
	request = &requests[index];
	pg_atomic_write_u32(&request->holds, HOLD_CLIENT);
	pg_atomic_write_u64(&request->chosen_slot, 0);
	request->procno = compat_my_procno();
	request->length = length;
	request->arena_page = first;
	request->arena_pages = pages;
	request->session = request->number = 0;
	request->outcome = OUTCOME_NONE;
	request->admission = ADMIT;
	request->slot = 0;
	request->rows_removed = 0;
	request->succeeded = false;
	request->details_lost = false;
	request->has_request_id = false;
	request->may_be_void = false;
	request->details_length = 0;
	request->details_segment = DSM_HANDLE_INVALID;
	return request;
}

/*
 * State and queue change together, so that a consensus worker that starts finds every SUBMITTED request
 * on the queue or in the pool, never half way.
 */
void shmem_request_submit(Request *request)
{
	PaxosShared *shared = paxos_shared;
	uint32 index = shmem_request_index(request);

	pg_atomic_fetch_or_u32(&request->holds, HOLD_CONSENSUS);
	request->next = NO_REQUEST;
	SpinLockAcquire(&shared->queue_lock);
	pg_atomic_write_u32(&request->state, REQUEST_SUBMITTED);
	if (shared->queue_tail == NO_REQUEST)
		shared->queue_head = index;
	else
		requests[shared->queue_tail].next = index;
	shared->queue_tail = index;
	SpinLockRelease(&shared->queue_lock);
	shmem_wake_consensus();
}

void shmem_request_drop(Request *request, uint32 hold)
{
	PaxosShared *shared = paxos_shared;
	uint32 before = pg_atomic_fetch_and_u32(&request->holds, ~hold);

	if ((before & hold) == 0 || (before & ~hold) != 0)
		return;
	if (request->arena_pages > 0)
		arena_give_back(request->arena_page, request->arena_pages);
	request->arena_pages = 0;
	if (request->details_segment != DSM_HANDLE_INVALID)
		dsm_unpin_segment(request->details_segment);
	request->details_segment = DSM_HANDLE_INVALID;
	pg_atomic_write_u32(&request->state, REQUEST_FREE);
	SpinLockAcquire(&shared->queue_lock);
	request->next = shared->free_head;
	shared->free_head = shmem_request_index(request);
	SpinLockRelease(&shared->queue_lock);
	ConditionVariableSignal(&shared->request_cv);
}

uint32 shmem_queue_take(void)
{
	PaxosShared *shared = paxos_shared;
	uint32 head;

	SpinLockAcquire(&shared->queue_lock);
	head = shared->queue_head;
	shared->queue_head = shared->queue_tail = NO_REQUEST;
	SpinLockRelease(&shared->queue_lock);
	return head;
}

bool shmem_request_move(Request *request, RequestState from, RequestState to)
{
	uint32 expected = from;

	return pg_atomic_compare_exchange_u32(&request->state, &expected, to);
}

RequestState shmem_request_state(Request *request)
{
	RequestState state = (RequestState) pg_atomic_read_u32(&request->state);

	pg_read_barrier();
	return state;
}

/* ---------------------------------------------------------------- waking */

/* The latch of a process that ended meanwhile belongs to nobody or to another one: a spurious wake only. */
void shmem_wake_proc(int procno)
{
	if (procno != NO_PROC)
		SetLatch(compat_proc_latch(procno));
}

void shmem_wake_consensus(void)
{
	shmem_wake_proc((int) pg_atomic_read_u32(&paxos_shared->consensus_procno));
}

void shmem_wake_apply(void)
{
	shmem_wake_proc((int) pg_atomic_read_u32(&paxos_shared->apply_procno));
}

/* ---------------------------------------------------------------- fatal exits */

void shmem_count_fatal_exit(const char *why)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	memmove(&shared->fatal_exits[1], &shared->fatal_exits[0], (FATAL_EXITS_KEPT - 1) * sizeof(TimestampTz));
	shared->fatal_exits[0] = GetCurrentTimestamp();
	strlcpy(shared->fatal_reason, why, sizeof(shared->fatal_reason));
	LWLockRelease(shared->status_lock);
}

bool shmem_too_many_fatal_exits(char *why, size_t size)
{
	PaxosShared *shared = paxos_shared;
	TimestampTz oldest;

	LWLockAcquire(shared->status_lock, LW_SHARED);
	oldest = shared->fatal_exits[FATAL_EXITS_KEPT - 1];
	strlcpy(why, shared->fatal_reason, size);
	LWLockRelease(shared->status_lock);
	return oldest != 0 && !TimestampDifferenceExceeds(oldest, GetCurrentTimestamp(), 10 * 60 * 1000);
}
