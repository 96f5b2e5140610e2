/*
 * feed.c - the stream of chosen entries: one writer, one reader, positions that only rise within a
 * generation.
 */
#include "postgres.h"

#include "worker/feed.h"

#define FEED_HEADER_BYTES 16

/* ---------------------------------------------------------------- the ring */

static void ring_copy_in(uint64 position, const void *bytes, uint64 length)
{
	uint64 size = paxos_shared->feed.size;
	uint64 place = position % size;
	uint64 first = Min(length, size - place);

	memcpy(shmem_feed_bytes() + place, bytes, first);
	memcpy(shmem_feed_bytes(), (const char *) bytes + first, length - first);
}

static void ring_copy_out(uint64 position, void *bytes, uint64 length)
{
	uint64 size = paxos_shared->feed.size;
	uint64 place = position % size;
	uint64 first = Min(length, size - place);

	memcpy(bytes, shmem_feed_bytes() + place, first);
	memcpy((char *) bytes + first, shmem_feed_bytes(), length - first);
}

static uint64 padded(uint64 length)
{
	return (length + 7) & ~UINT64CONST(7);
}

/* ---------------------------------------------------------------- writer */

void feed_writer_start(FeedWriter *writer)
{
	Feed *feed = &paxos_shared->feed;

	memset(writer, 0, sizeof(*writer));
	/* First what was asked, then the new life: whoever sees the life asks once more than that. */
	writer->generation = pg_atomic_read_u64(&feed->asked);
	pg_memory_barrier();
	pg_atomic_fetch_add_u64(&feed->life, 1);
	shmem_wake_apply();
}

bool feed_writer_accept(FeedWriter *writer)
{
	Feed *feed = &paxos_shared->feed;
	uint64 asked = pg_atomic_read_u64(&feed->asked);

	if (asked == writer->generation)
		return false;
	pg_read_barrier();
	writer->active = true;
	writer->generation = asked;
	writer->next_slot = feed->asked_slot;
	writer->next_offset = 0;
	pg_atomic_write_u64(&feed->written, 0);
	pg_atomic_write_u64(&feed->consumed, 0);
	pg_write_barrier();
	pg_atomic_write_u64(&feed->served, asked);
	return true;
}

/* Room in the ring now; where there is less than wanted, asks to be woken, and looks again. */
static uint64 writer_room(uint64 wanted)
{
	Feed *feed = &paxos_shared->feed;
	uint64 written = pg_atomic_read_u64(&feed->written);
	uint64 room = feed->size - (written - pg_atomic_read_u64(&feed->consumed));

	if (room >= wanted)
		return room;
	pg_atomic_write_u32(&feed->writer_waiting, 1);
	pg_memory_barrier();
	return feed->size - (written - pg_atomic_read_u64(&feed->consumed));
}

bool feed_write(FeedWriter *writer, const struct paxos_entry *entry)
{
	Feed *feed = &paxos_shared->feed;
	uint64 total = FEED_HEADER_BYTES + padded(entry->length);
	uint64 written = pg_atomic_read_u64(&feed->written);
	uint64 room = writer_room(total - writer->next_offset);
	uint64 n;

	if (writer->next_offset == 0)
	{
		uint64 header[2] = {writer->next_slot, entry->length};

		if (room < FEED_HEADER_BYTES)
			return false;
		ring_copy_in(written, header, FEED_HEADER_BYTES);
		writer->next_offset = FEED_HEADER_BYTES;
		written += FEED_HEADER_BYTES;
		room -= FEED_HEADER_BYTES;
	}
	n = Min(room, total - writer->next_offset);
	if (n > 0)
	{
		uint64 offset = writer->next_offset - FEED_HEADER_BYTES;
		uint64 data = offset < entry->length ? Min(n, entry->length - offset) : 0;

		if (data > 0)
			ring_copy_in(written, entry->bytes + offset, data);
		writer->next_offset += n;
		written += n; /* what is beyond the data is padding */
	}
	pg_write_barrier();
	pg_atomic_write_u64(&feed->written, written);
	if (writer->next_offset < total)
		return false;
	writer->next_slot++;
	writer->next_offset = 0;
	return true;
}

/* ---------------------------------------------------------------- reader */

void feed_reader_ask(FeedReader *reader, uint64 slot, MemoryContext memory)
{
	Feed *feed = &paxos_shared->feed;

	if (reader->bytes != NULL) /* of an entry that was coming in */
		pfree(reader->bytes);
	memset(reader, 0, sizeof(*reader));
	reader->memory = memory;
	reader->next_slot = slot;
	reader->life = pg_atomic_read_u64(&feed->life);
	pg_memory_barrier();
	feed->asked_slot = slot;
	pg_write_barrier();
	reader->generation = pg_atomic_fetch_add_u64(&feed->asked, 1) + 1;
	shmem_wake_consensus();
}

bool feed_reader_broken(const FeedReader *reader)
{
	return pg_atomic_read_u64(&paxos_shared->feed.life) != reader->life;
}

static void reader_consume(uint64 consumed)
{
	Feed *feed = &paxos_shared->feed;

	pg_memory_barrier();
	pg_atomic_write_u64(&feed->consumed, consumed);
	pg_memory_barrier();
	if (pg_atomic_read_u32(&feed->writer_waiting) != 0)
	{
		pg_atomic_write_u32(&feed->writer_waiting, 0);
		shmem_wake_consensus();
	}
}

/* Takes the header of the next record.  False: it is not there yet. */
static bool reader_begin(FeedReader *reader, uint64 *consumed, uint64 written)
{
	uint64 header[2];

	if (written - *consumed < FEED_HEADER_BYTES)
		return false;
	ring_copy_out(*consumed, header, FEED_HEADER_BYTES);
	*consumed += FEED_HEADER_BYTES;
	reader->slot = header[0];
	reader->length = header[1];
	if (reader->slot != reader->next_slot || reader->length > PAXOS_MAX_ENTRY_BYTES)
		elog(ERROR,
			 "stream of chosen entries is out of step: slot %llu of %llu bytes where slot %llu was due",
			 (unsigned long long) reader->slot, (unsigned long long) reader->length,
			 (unsigned long long) reader->next_slot);
	reader->received = 0;
	reader->bytes = MemoryContextAllocHuge(reader->memory, padded(reader->length) + 8);
	reader->have_header = true;
	return true;
}

bool feed_read(FeedReader *reader, uint64 *slot, struct paxos_entry *entry)
{
	Feed *feed = &paxos_shared->feed;
	uint64 written;
	uint64 consumed;
	uint64 n;

	if (pg_atomic_read_u64(&feed->served) != reader->generation || feed_reader_broken(reader))
		return false;
	pg_read_barrier();
	written = pg_atomic_read_u64(&feed->written);
	consumed = pg_atomic_read_u64(&feed->consumed);
	pg_read_barrier();
	if (!reader->have_header && !reader_begin(reader, &consumed, written))
		return false;
	n = Min(written - consumed, padded(reader->length) - reader->received);
	ring_copy_out(consumed, reader->bytes + reader->received, n);
	reader->received += n;
	reader_consume(consumed + n);
	if (reader->received < padded(reader->length))
		return false;
	*slot = reader->slot;
	entry->bytes = reader->bytes;
	entry->length = (uint32_t) reader->length;
	reader->bytes = NULL;
	reader->have_header = false;
	reader->next_slot++;
	return true;
}
