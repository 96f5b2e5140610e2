/*
 * read.c - entries back from the log: from memory where they are new, else from disk, checksum and all.
 */
#include "log/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* One read brings a small record's header and payload at once. */
#define FIRST_READ 4096

static void keep_for_reader(struct plog *log, struct log_item *item)
{
	if (item->reading)
		return;
	item->reading = true;
	item->references++;
	item->next_read = log->reads;
	log->reads = item;
}

void plog_release_reads(struct plog *log)
{
	while (log->reads != NULL)
	{
		struct log_item *item = log->reads;

		log->reads = item->next_read;
		item->reading = false;
		log_item_release(item);
	}
}

static enum plog_code unreadable(const struct plog *log, const struct log_segment *segment, uint64_t slot,
								 uint64_t offset, struct plog_error *error)
{
	return log_fail(error, PLOG_CORRUPT, 0,
					"the record of slot %" PRIu64 " in file \"%s/%s\", offset %" PRIu64 ", is damaged", slot,
					log->directory, segment->name, offset);
}

/* The whole record at offset, of which "got" bytes are in "head"; checked, as a new item. */
static enum plog_code load_record(struct plog *log, const struct log_segment *segment, uint64_t slot,
								  uint64_t offset, const uint8_t *head, int64_t got, struct log_item **item,
								  struct plog_error *error)
{
	struct plog_record record;
	struct log_item *made;
	int64_t result;

	format_get_record(head, &record);
	made = log_item_make(&record, NULL, record.length - PLOG_RECORD_HEADER);
	if (made == NULL)
		return log_fail_memory(error);
	if (got >= (int64_t) record.length)
		memcpy(made->bytes, head, record.length);
	else
	{
		result = log->ops->pread(log->ops->context, segment->handle, made->bytes, record.length, offset);
		if (result < 0)
		{
			log_item_release(made);
			return log_fail_io(log, error, result, "read", segment->name);
		}
	}
	if (!format_record_good(made->bytes, record.length, &segment->header.identity, offset))
	{
		log_item_release(made);
		return unreadable(log, segment, slot, offset, error);
	}
	made->placed = true;
	*item = made;
	return PLOG_OK;
}

/* From the extent's begin, or from where the last read ended. */
enum plog_code log_scan_extent(struct plog *log, const struct log_extent *extent, uint64_t slot,
							   struct log_item **item, struct plog_error *error)
{
	struct log_segment *segment = log_segment_find(log, extent->segment);
	uint64_t offset = extent->offset;
	uint8_t head[FIRST_READ];
	bool in_order = extent->type != PLOG_RECORD_REPAIRED; /* these lie behind what was written later */
	enum plog_code ready;

	plog_assert(segment != NULL);
	ready = log_segment_ready(log, segment, error);
	if (ready != PLOG_OK)
		return ready;
	if (in_order && log->cursor.slot != 0 && log->cursor.segment == extent->segment &&
		log->cursor.offset >= offset && log->cursor.slot >= extent->slot && log->cursor.slot <= slot)
		offset = log->cursor.offset;
	for (;;)
	{
		struct plog_record record;
		int64_t got;

		if (offset + PLOG_RECORD_HEADER > segment->header.size)
			return unreadable(log, segment, slot, extent->offset, error);
		got = log->ops->pread(log->ops->context, segment->handle, head, sizeof head, offset);
		/* A block that can't be read behind the record is not this record's damage. */
		if (got == -EIO)
			got = log->ops->pread(log->ops->context, segment->handle, head, PLOG_RECORD_HEADER, offset);
		if (got < 0)
			return log_fail_io(log, error, got, "read", segment->name);
		if (got < PLOG_RECORD_HEADER)
			return unreadable(log, segment, slot, offset, error);
		format_get_record(head, &record);
		if (!format_length_possible(record.length, segment->header.size - offset))
			return unreadable(log, segment, slot, offset, error);
		if (record.type == extent->type && record.slot == slot)
		{
			enum plog_code code = load_record(log, segment, slot, offset, head, got, item, error);

			if (code == PLOG_OK && in_order)
				log->cursor =
					(struct log_cursor){slot + 1, extent->segment, offset + format_padded(record.length)};
			return code;
		}
		offset += format_padded(record.length);
	}
}

/*
 * Where slot lies once what waits has its place: an item that waits, or else, *item NULL, in the index returned.
 * Nothing is placed for that: a full disk must not keep anyone from reading.
 */
static const struct log_index *find_behind_pending(const struct plog *log, uint64_t slot,
												   struct log_item **item)
{
	const struct log_index *index = &log->index;
	const struct log_index *staged_index = &log->staged_index;
	struct log_item *staged = NULL;
	struct log_state state = log->placed;

	*item = NULL;
	/* Only an install makes the cache drop what waits, and a repaired entry is not in it. */
	if (log->pending_installs == 0)
		return index;
	for (struct log_item *next = log->pending_first; next != NULL; next = next->next_pending)
	{
		const struct plog_record *record = &next->record;
		bool fits;

		if (record->type == PLOG_RECORD_ENTRY && record->slot == slot)
		{
			*item = next;
			index = NULL;
		}
		else if (record->type == PLOG_RECORD_STAGE)
		{
			if (log_state_stage_restarts(&state, record))
			{
				staged = NULL;
				staged_index = NULL;
			}
			if (record->slot == slot)
				staged = next;
		}
		else if (record->type == PLOG_RECORD_INSTALL && slot > record->base && slot <= record->end)
		{
			*item = staged;
			index = staged == NULL ? staged_index : NULL;
		}
		else if (record->type == PLOG_RECORD_REPAIRED && record->slot == slot &&
				 holes_find(&state.holes, slot) != NULL)
		{
			*item = next;
			index = NULL;
		}
		fits = log_state_apply(&state, record);
		plog_assert(fits);
	}
	return index;
}

static enum plog_code find_item(struct plog *log, uint64_t slot, struct plog_error *error,
								struct log_item **item)
{
	const struct log_index *index;
	const struct log_extent *extent;
	enum plog_code code;

	if (log->dead)
		return log_fail(error, PLOG_IO, 0, "the log in directory \"%s\" is closed after an earlier failure",
						log->directory);
	if (slot < log->state.at.first_slot || slot > log->state.at.end)
		return log_fail(error, PLOG_CORRUPT, 0, "slot %" PRIu64 " is not in the log", slot);
	*item = log_window_find(&log->cache, slot);
	if (*item != NULL)
	{
		keep_for_reader(log, *item);
		return PLOG_OK;
	}
	index = find_behind_pending(log, slot, item);
	if (*item != NULL)
	{
		keep_for_reader(log, *item);
		return PLOG_OK;
	}
	code = log_write_out(log, error);
	if (code != PLOG_OK)
		return code;
	plog_assert(index != NULL);
	if (holes_find(&log->state.holes, slot) != NULL)
		return log_fail_hole(log, slot, error);
	extent = log_index_find(index, slot);
	plog_assert(extent != NULL);
	code = log_scan_extent(log, extent, slot, item, error);
	if (code != PLOG_OK)
		return code;
	keep_for_reader(log, *item);
	log_item_release(*item);
	return PLOG_OK;
}

enum plog_code plog_read(struct plog *log, uint64_t slot, struct paxos_entry *entry, struct plog_error *error)
{
	struct log_item *item;
	enum plog_code code = find_item(log, slot, error, &item);

	if (code != PLOG_OK)
		return code;
	entry->bytes = item->bytes + PLOG_RECORD_HEADER;
	entry->length = item->record.length - PLOG_RECORD_HEADER;
	return PLOG_OK;
}

enum plog_code plog_read_ballot(struct plog *log, uint64_t slot, uint64_t *epoch, struct paxos_ballot *ballot,
								struct plog_error *error)
{
	struct log_item *item;
	enum plog_code code = find_item(log, slot, error, &item);

	if (code != PLOG_OK)
		return code;
	*epoch = item->record.epoch;
	*ballot = item->record.ballot;
	return PLOG_OK;
}
