/*
 * apply_flush.h - T2: through which slot the database would have its rows after a crash.
 *
 * The apply worker commits with synchronous_commit = off; a commit counts here once the server has flushed its WAL.
 * What is published (PaxosShared.flushed_slot) is at most what is applied, and begins anew with each life: a database
 * that was put back to an older state is taken for what it is.
 */
#ifndef PAXOSKV_APPLY_FLUSH_H
#define PAXOSKV_APPLY_FLUSH_H

#include "postgres.h"

/* Nothing is known to be flushed: before the tables are read. */
extern void flush_forget(void);

/* The tables were read and hold everything through that slot: flushes what they came from, and publishes it. */
extern void flush_begin(uint64 applied);

/* The transaction that has just committed brought the tables to that slot. */
extern void flush_note(uint64 applied);

/* Publishes what was flushed meanwhile; flushes itself if the consensus worker asked for it. */
extern void flush_publish(void);

/* Whether something noted is not flushed yet, so that flush_publish() is due in a moment. */
extern bool flush_is_awaited(void);

#endif /* PAXOSKV_APPLY_FLUSH_H */
