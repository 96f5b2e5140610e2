/*
 * apply_flush.c - the apply worker's commits whose WAL is not flushed yet, and what may be said of the others.
 *
 * With fsync = off "flushed" means nothing: nothing is published then, and not for as long as the server runs, since
 * what was written meanwhile is not made durable by turning it on again.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"

#include "worker/apply_flush.h"
#include "worker/shmem.h"

/* More commits than these are awaited as one: the last of them. */
#define COMMITS_MAX 64

typedef struct Commit
{
	uint64 applied;
	XLogRecPtr end; /* of its record: it is flushed when that is */
} Commit;

/* The oldest one first; both members rise. */
static Commit commits[COMMITS_MAX];
static int n_commits = 0;

/* ---------------------------------------------------------------- what can be relied on */

static bool is_fsync_reliable(void)
{
	if (!enableFsync)
		pg_atomic_write_u32(&paxos_shared->fsync_was_off, 1);
	return pg_atomic_read_u32(&paxos_shared->fsync_was_off) == 0;
}

/* Where the WAL ends that was inserted so far; behind a page's header the next record begins, and none has ended. */
static XLogRecPtr end_of_wal(void)
{
	XLogRecPtr end = GetXLogInsertRecPtr();

	if (XLogSegmentOffset(end, wal_segment_size) == SizeOfXLogLongPHD)
		return end - SizeOfXLogLongPHD;
	if (end % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		return end - SizeOfXLogShortPHD;
	return end;
}

static void publish(uint64 slot)
{
	pg_atomic_write_u64(&paxos_shared->flushed_slot, slot);
}

/* ---------------------------------------------------------------- commits */

void flush_forget(void)
{
	n_commits = 0;
	publish(0);
}

void flush_begin(uint64 applied)
{
	flush_forget();
	if (!is_fsync_reliable())
		return;
	XLogFlush(end_of_wal());
	publish(applied);
}

void flush_note(uint64 applied)
{
	if (!is_fsync_reliable())
	{
		flush_forget();
		return;
	}
	if (n_commits == COMMITS_MAX)
		n_commits--;
	commits[n_commits++] = (Commit){.applied = applied, .end = XactLastCommitEnd};
}

void flush_publish(void)
{
	XLogRecPtr flushed;
	int n = 0;

	if (n_commits == 0)
		return;
	if (!is_fsync_reliable())
	{
		flush_forget();
		return;
	}
	if (pg_atomic_exchange_u32(&paxos_shared->flush_asked, 0) != 0)
		XLogFlush(commits[n_commits - 1].end);
	flushed = GetFlushRecPtr(NULL);
	while (n < n_commits && commits[n].end <= flushed)
		n++;
	if (n == 0)
		return;
	publish(commits[n - 1].applied);
	n_commits -= n;
	memmove(commits, commits + n, n_commits * sizeof(Commit));
	shmem_wake_consensus();
}

bool flush_is_awaited(void)
{
	return n_commits > 0;
}
