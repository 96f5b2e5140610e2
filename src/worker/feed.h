/*
 * feed.h - the stream of chosen entries from the consensus worker to the apply worker, over the byte ring
 * of shared memory (struct Feed).
 *
 * The reader asks for a stream that begins at a slot; the writer begins it anew, from its log.  So an apply
 * worker that restarts catches up by the same path by which it lives.
 */
#ifndef PAXOSKV_FEED_H
#define PAXOSKV_FEED_H

#include "postgres.h"

#include "worker/shmem.h"

/* ---- the consensus worker's half */

typedef struct FeedWriter
{
	bool active;        /* a stream was asked for in this life */
	uint64 generation;  /* the last one served */
	uint64 next_slot;   /* to be written, or being written */
	uint64 next_offset; /* bytes of its record (header, entry, padding) already written */
} FeedWriter;

/* Begins a new life of the writer: what the reader has is broken off. */
extern void feed_writer_start(FeedWriter *writer);

/* Begins the stream that the reader asked for, if it asked for another one.  True: it did. */
extern bool feed_writer_accept(FeedWriter *writer);

/*
 * Writes as much of the entry of next_slot as there is room for.  True: all of it is written and next_slot
 * is one higher; false: the ring is full (the reader will wake the writer).
 */
extern bool feed_write(FeedWriter *writer, const struct paxos_entry *entry);

/* ---- the apply worker's half */

typedef struct FeedReader
{
	uint64 generation; /* asked for */
	uint64 life;       /* of the writer when it was asked for */
	uint64 next_slot;
	/* the entry that is coming in */
	bool have_header;
	uint64 slot;
	uint64 length;
	uint64 received;
	uint8 *bytes; /* palloc'd in "memory" */
	MemoryContext memory;
} FeedReader;

/* Asks for a stream that begins at slot; forgets what came in.  Entries will be palloc'd in memory. */
extern void feed_reader_ask(FeedReader *reader, uint64 slot, MemoryContext memory);

/* Whether the writer began a new life, so that the stream must be asked for again. */
extern bool feed_reader_broken(const FeedReader *reader);

/*
 * Takes the next entry, if all of it is there; its bytes are the caller's.  False: nothing (more) now; the
 * writer wakes the reader.
 */
extern bool feed_read(FeedReader *reader, uint64 *slot, struct paxos_entry *entry);

#endif /* PAXOSKV_FEED_H */
