/*
 * shmem.h - what backends, consensus worker and apply worker share.
 *
 * One struct in main shared memory, then the pool of requests, the map of numbers, the arena for large
 * commands and the feed of chosen entries.  Each field's comment names who writes it and under which lock.
 *
 * A request is held by up to three parties (HOLD_*); each drops its own hold when it is done with it, and
 * who drops the last one frees it.  So a command outlives its backend as long as the core needs its bytes
 * (X2), and nobody waits for anybody to free it.  Its state moves by compare-and-swap:
 *
 *	 SUBMITTED -> WITHDRAWN   by the client: certainly not applied
 *	 SUBMITTED -> NUMBERED    by the consensus worker, before the first byte leaves (X2)
 *	 SUBMITTED -> DONE        by the consensus worker: refused; or a read, log or trim request answered
 *	 NUMBERED  -> DONE        by the apply worker (its verdict) or the consensus worker (unknown)
 */
#ifndef PAXOSKV_SHMEM_H
#define PAXOSKV_SHMEM_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/dsm.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

#include "worker/client.h"
#include "worker/snapshot.h"
#include "worker/state_board.h"

/* Commands up to this size lie in their request, larger ones in the arena. */
#define REQUEST_INLINE_BYTES 960
#define REQUEST_INLINE_DETAILS 256
#define ARENA_PAGE_BYTES 8192
#define NO_REQUEST UINT32_MAX
#define NO_PROC (-1)

typedef enum RequestKind
{
	REQUEST_COMMAND = 1,
	REQUEST_READ,
	REQUEST_LOG,
	REQUEST_TRIM
} RequestKind;

typedef enum RequestState
{
	REQUEST_FREE = 0, /* or being filled by its client */
	REQUEST_SUBMITTED,
	REQUEST_WITHDRAWN,
	REQUEST_NUMBERED,
	REQUEST_DONE
} RequestState;

#define HOLD_CLIENT 1u
#define HOLD_CONSENSUS 2u
#define HOLD_APPLY 4u

typedef enum RequestOutcome
{
	OUTCOME_NONE = 0,
	OUTCOME_OK,
	OUTCOME_RESULT_LOST, /* applied in "slot"; what it removed was not kept (X6) */
	OUTCOME_UNKNOWN,     /* X6: the worker that numbered it ended */
	OUTCOME_REFUSED,     /* certainly not applied: "admission" says why */
	OUTCOME_CONFLICT,    /* O1: nor this, its request id belongs to another command */
	OUTCOME_GIVEN_UP,    /* O4: nor this */
	OUTCOME_TOO_OLD,     /* O3: nor this copy; an earlier one may have been */
	OUTCOME_BEHIND       /* log request: nothing is known to be chosen there */
} RequestOutcome;

/* Why commands and reads are refused now, as the consensus worker sees it. */
typedef enum Admission
{
	ADMIT = 0,
	ADMIT_STARTING,     /* the worker is coming up: submit and wait */
	ADMIT_NO_QUORUM,    /* 53000 */
	ADMIT_APPLY_BEHIND, /* 53000, commands only */
	ADMIT_DISK_FULL,    /* 53100 */
	ADMIT_UNFORMED,     /* 55000 from here on; the status' detail says more */
	ADMIT_OUTSIDER,
	ADMIT_FENCED,
	ADMIT_APPLY_STOPPED,
	ADMIT_DIVERGED,
	ADMIT_DORMANT
} Admission;

typedef struct Request
{
	pg_atomic_uint32 state; /* see above */
	pg_atomic_uint32 holds;
	uint32 next; /* queue or free list; queue_lock */

	/* written by the client before SUBMITTED */
	RequestKind kind;
	int procno;
	bool leader_only; /* REQUEST_READ */
	bool has_request_id;
	uint32 length;      /* of the command; REQUEST_LOG: capacity of the buffer */
	uint32 arena_page;  /* first page, if arena_pages > 0 */
	uint32 arena_pages; /* 0: inline */
	uint64 log_slot;    /* REQUEST_LOG; 0: the first one */
	uint64 log_offset;

	/* written by the consensus worker before NUMBERED */
	uint64 session;
	uint64 number;
	/* the consensus worker: slot in which it lies chosen and takes effect; 0: not yet known */
	pg_atomic_uint64 chosen_slot;
	bool
		may_be_void; /* the consensus worker, before that: or has no effect, as it may have been given up (O4) */

	/* written by who sets DONE, before it */
	RequestOutcome outcome;
	Admission admission;
	uint64 slot;
	int64 rows_removed;
	bool details_lost;          /* OUTCOME_RESULT_LOST: they are too large */
	bool succeeded;             /* a command's preconditions held */
	uint32 details_length;      /* what its operations did: in "details", or in a segment if there is one */
	dsm_handle details_segment; /* pinned; DSM_HANDLE_INVALID: none */
	uint64 log_total;           /* REQUEST_LOG: the entry's length */
	uint64 log_epoch;
	struct paxos_ballot log_ballot;

	uint64 data[REQUEST_INLINE_BYTES / sizeof(uint64)];
	char details[REQUEST_INLINE_DETAILS];
} Request;

/* What the apply worker knows of the database; written by it under status_lock. */
typedef enum DatabaseState
{
	DATABASE_UNKNOWN = 0, /* not looked yet */
	DATABASE_MISSING,
	EXTENSION_MISSING,
	BASE_UNREADABLE, /* F5 */
	DATABASE_READY
} DatabaseState;

typedef struct ApplyReport
{
	DatabaseState database;
	bool has_state; /* the database follows a log: store_id */
	struct paxos_id store_id;
	bool base_known; /* F5: only before the cluster's first command */
	struct paxos_base base;
	uint64 base_loads; /* what "loads" was then */
	bool stopped;      /* T4: apply can't go on */
	char detail[512];  /* why */
	uint64 life;       /* of the apply worker that reported */
} ApplyReport;

/*
 * The stream of chosen entries: one writer (consensus worker), one reader (apply worker).  A record is
 * {uint64 slot, uint64 length, bytes, padding to 8}; large ones pass through in pieces.
 */
typedef struct Feed
{
	uint64 size; /* bytes, a multiple of 8; constant */
	/* the apply worker: "begin again at asked_slot"; asked_slot first, then the generation */
	uint64 asked_slot;
	pg_atomic_uint64 asked;
	/* the consensus worker: the generation that the bytes belong to */
	pg_atomic_uint64 served;
	/* the consensus worker: its life; a new one breaks off the stream */
	pg_atomic_uint64 life;
	pg_atomic_uint64 written;        /* the consensus worker: bytes since the generation began */
	pg_atomic_uint64 consumed;       /* the apply worker: likewise */
	pg_atomic_uint32 writer_waiting; /* set by the consensus worker, cleared by the apply worker */
} Feed;

#define FATAL_EXITS_KEPT 3

typedef struct PaxosShared
{
	/* constants since startup */
	uint32 n_requests;
	uint32 map_size; /* a power of two, >= 2 n_requests */
	uint32 arena_n_pages;

	/* each worker its own; NO_PROC: not running */
	pg_atomic_uint32 consensus_procno;
	pg_atomic_uint32 apply_procno;

	/* queue and free list; queue_lock */
	slock_t queue_lock;
	uint32 free_head;
	uint32 queue_head;
	uint32 queue_tail;
	ConditionVariable request_cv; /* signalled when a request is freed: one waiter can have it */
	ConditionVariable arena_cv;   /* broadcast when arena pages are freed: they may suit anyone, or nobody */

	LWLock *map_lock;   /* map of numbers, and who may mark NUMBERED requests DONE */
	LWLock *arena_lock; /* the arena's page map */
	LWLock *status_lock;

	uint64 map_session;  /* map_lock; 0: no session */
	uint32 arena_cursor; /* arena_lock */

	/* the consensus worker; read without lock */
	pg_atomic_uint32 admission;
	pg_atomic_uint64 chosen_slot;
	pg_atomic_uint64 log_bytes;
	pg_atomic_uint64 commands;
	pg_atomic_uint64 syncs;
	pg_atomic_uint32 flush_asked; /* set by it, cleared by the apply worker: to flush what it has committed */

	/* the apply worker; read without lock */
	pg_atomic_uint64 applied_slot;
	pg_atomic_uint64
		flushed_slot; /* T2: applied in transactions whose WAL is flushed; 0 where that is not known */
	pg_atomic_uint32 fsync_was_off; /* seen since the server started: nothing counts as flushed */
	ConditionVariable applied_cv;   /* broadcast when it rises */

	/* the consensus worker; status_lock */
	ClientStatus status;
	char hint[256]; /* while dormant: the way out; "" if there is none */
	bool member;    /* of a formed cluster */
	bool agreed; /* F3, F5: to one at least; what it begins with is settled, and nothing is loaded any more */
	/* the configuration, encoded (formation.h); length 0: none.  The consensus worker; status_lock */
	uint32 config_length;
	uint8 config[4096];
	struct paxos_id store_id; /* of the log */
	uint64 loads;             /* COPYs into the tables begun before "agreed"; backends, status_lock */

	/* the apply worker; status_lock */
	ApplyReport report;
	Oid database_oid; /* found by its first life, taken by the next one */
	bool by_name;     /* a life tries to connect by name; still set in the next one: it failed */

	/* either worker; status_lock: when their last fatal exits were (DESIGN section 2) */
	TimestampTz fatal_exits[FATAL_EXITS_KEPT];
	char fatal_reason[512]; /* of the last one */

	StateBoard state;
	SnapshotShared snapshot;

	Feed feed;
} PaxosShared;

/* NULL while the library is not preloaded. */
extern PaxosShared *paxos_shared;

/* Installs the hooks that ask for and initialize the memory; in _PG_init. */
extern void shmem_install_hooks(void);

extern Request *shmem_request(uint32 index);
extern uint32 shmem_request_index(const Request *request);
/* The command's or log request's bytes. */
extern uint8 *shmem_request_data(Request *request);
/* Where the map keeps the request of that number: index + 1, 0: none.  map_lock. */
extern uint32 *shmem_map_entry(uint64 number);
extern uint8 *shmem_feed_bytes(void);

/*
 * Takes a request with room for "length" bytes, its hold the client's.  NULL: the pool or the arena is full
 * now; *full is what tells when to look again.  The caller has seen that length fits the arena at all.
 */
extern Request *shmem_request_allocate(uint32 length, ConditionVariable **full);
/* SUBMITTED, with a hold for the consensus worker, and wakes it. */
extern void shmem_request_submit(Request *request);
/* Drops a hold; frees the request if it was the last one. */
extern void shmem_request_drop(Request *request, uint32 hold);
/* Takes the whole queue; returns its first index, linked by "next". */
extern uint32 shmem_queue_take(void);
/* state from -> to; false: it was another one. */
extern bool shmem_request_move(Request *request, RequestState from, RequestState to);
extern RequestState shmem_request_state(Request *request);
extern uint64 shmem_arena_bytes(void);

extern void shmem_wake_consensus(void);
extern void shmem_wake_apply(void);
extern void shmem_wake_proc(int procno);

/* Remembers that a worker ends because of an assertion or a failed write, and which. */
extern void shmem_count_fatal_exit(const char *why);
/* Whether there were FATAL_EXITS_KEPT of them within ten minutes; why: the last one. */
extern bool shmem_too_many_fatal_exits(char *why, size_t size);

#endif /* PAXOSKV_SHMEM_H */
