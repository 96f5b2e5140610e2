/*
 * write.c - from plog_write() to the disk: records wait, get their place, are written, and one fdatasync
 * makes them and the marker that says so durable (D4, D5).
 */
#include "log/internal.h"

#include <string.h>

/* ---------------------------------------------------------------- taking */

static bool changes_old_slots(const struct plog_record *record)
{
	return record->type == PLOG_RECORD_INSTALL || record->type == PLOG_RECORD_REPAIRED;
}

void log_pending_push(struct plog *log, struct log_item *item)
{
	item->references++;
	item->next_pending = NULL;
	if (log->pending_last != NULL)
		log->pending_last->next_pending = item;
	else
		log->pending_first = item;
	log->pending_last = item;
	log->pending_bytes += format_padded(item->record.length);
	if (changes_old_slots(&item->record))
		log->pending_installs++;
}

/* The logical half of a record: state and cache.  Places in the windows are reserved. */
static bool take_item(struct plog *log, struct log_item *item)
{
	const struct plog_record *record = &item->record;
	bool restarts = log_state_stage_restarts(&log->state, record);
	bool installs = log->state.staging && paxos_ballot_compare(log->state.staged, record->ballot) == 0;

	if (!log_state_apply(&log->state, record))
		return false;
	switch ((enum plog_record_type) record->type)
	{
		case PLOG_RECORD_ENTRY:
			log_window_clear(&log->staged_cache);
			log_window_push(&log->cache, item);
			break;
		case PLOG_RECORD_STAGE:
			if (restarts)
				log_window_clear(&log->staged_cache);
			log_window_cut(&log->staged_cache, record->slot - 1);
			log_window_push(&log->staged_cache, item);
			break;
		case PLOG_RECORD_INSTALL:
			log_window_cut(&log->cache, record->base);
			for (size_t i = 0; installs && i < log->staged_cache.count; i++)
			{
				struct log_item *staged =
					log_window_find(&log->staged_cache, log->staged_cache.first_slot + i);

				if (staged->record.slot > record->base && staged->record.slot <= record->end)
					log_window_push(&log->cache, staged);
			}
			log_window_clear(&log->staged_cache);
			break;
		case PLOG_RECORD_DAMAGED:
		case PLOG_RECORD_FORGIVEN:
		case PLOG_RECORD_BEGIN:
		case PLOG_RECORD_RESTORING:
		case PLOG_RECORD_REPAIRED: /* not among the newest */
			break;
	}
	log_pending_push(log, item);
	return true;
}

enum plog_code log_take_record(struct plog *log, const struct plog_record *record, const void *payload,
							   uint32_t length, struct plog_error *error)
{
	struct log_item *item = log_item_make(record, payload, length);
	bool taken;

	if (item == NULL || !log_window_reserve(&log->cache, log->staged_cache.count + 1) ||
		!log_window_reserve(&log->staged_cache, 1))
	{
		if (item != NULL)
			log_item_release(item);
		return log_fail_memory(error);
	}
	taken = take_item(log, item);
	log_item_release(item);
	plog_assert(taken);
	return PLOG_OK;
}

static struct plog_record record_of_write(const struct paxos_write *write, uint32_t i)
{
	struct plog_record record = {.epoch = write->epoch, .ballot = write->ballot};

	switch (write->type)
	{
		case PAXOS_WRITE_APPEND:
			record.type = PLOG_RECORD_ENTRY;
			record.slot = write->first_slot + i;
			break;
		case PAXOS_WRITE_STAGE:
			record.type = PLOG_RECORD_STAGE;
			record.slot = write->first_slot + i;
			record.base = write->base;
			break;
		case PAXOS_WRITE_INSTALL:
			record.type = PLOG_RECORD_INSTALL;
			record.base = write->base;
			record.end = write->end;
			break;
		case PAXOS_WRITE_REPAIR:
			record.type = PLOG_RECORD_REPAIRED;
			record.slot = write->first_slot + i;
			break;
		case PAXOS_WRITE_PROMISE:
			plog_assert(false);
	}
	return record;
}

static void take_promise(struct plog *log, const struct paxos_write *write)
{
	if (write->epoch > log->metadata.promise_epoch ||
		(write->epoch == log->metadata.promise_epoch &&
		 paxos_ballot_compare(write->ballot, log->metadata.promise) > 0))
	{
		log->metadata.promise = write->ballot;
		log->metadata.promise_epoch = write->epoch;
	}
	log->metadata_dirty = true;
}

/* Makes all items of a write before any is taken, so that a lack of memory changes nothing. */
static enum plog_code take_records(struct plog *log, const struct paxos_write *write,
								   struct plog_error *error)
{
	struct log_item *items[PAXOS_MAX_BATCH];
	uint32_t count = write->type == PAXOS_WRITE_INSTALL ? 1 : write->n_entries;
	uint32_t made = 0;
	bool taken = true;

	plog_assert(count <= PAXOS_MAX_BATCH);
	for (; made < count; made++)
	{
		struct plog_record record = record_of_write(write, made);
		bool bare = write->type == PAXOS_WRITE_INSTALL;

		items[made] = log_item_make(&record, bare ? NULL : write->entries[made].bytes,
									bare ? 0 : write->entries[made].length);
		if (items[made] == NULL)
			break;
		items[made]->write_id = write->id;
	}
	if (made < count || !log_window_reserve(&log->cache, count + log->staged_cache.count) ||
		!log_window_reserve(&log->staged_cache, count))
	{
		while (made > 0)
			log_item_release(items[--made]);
		return log_fail_memory(error);
	}
	for (uint32_t i = 0; i < count; i++)
	{
		plog_assert(write->type != PAXOS_WRITE_INSTALL || log_state_staged(&log->state, &items[i]->record));
		taken = taken && take_item(log, items[i]);
		log_item_release(items[i]);
	}
	plog_assert(taken);
	return PLOG_OK;
}

enum plog_code plog_write(struct plog *log, const struct paxos_write *write, struct plog_error *error)
{
	enum plog_code code = PLOG_OK;

	if (log->dead)
		return log_fail(error, PLOG_IO, 0, "the log in directory \"%s\" is closed after an earlier failure",
						log->directory);
	plog_assert(log->last_id == 0 || write->id == log->last_id + 1);
	if (write->type == PAXOS_WRITE_PROMISE)
		take_promise(log, write);
	else
		code = take_records(log, write, error);
	if (code != PLOG_OK)
		return code;
	log->last_id = write->id;
	if (log->pending_bytes > PLOG_PENDING_BYTES)
	{
		code = log_place_pending(log, error);
		if (code == PLOG_OK)
			code = log_write_out(log, error);
		/* A full disk or a lack of memory keeps them here; plog_sync() says so. */
		if (code == PLOG_NO_SPACE || code == PLOG_MEMORY)
			code = PLOG_OK;
	}
	return code;
}

/* ---------------------------------------------------------------- placing */

bool log_placed_reserve(struct plog *log, const struct plog_record *record)
{
	size_t more = record->type == PLOG_RECORD_INSTALL ? log->staged_index.count + 1 : 1;

	return log_index_reserve(&log->index, more) && log_index_reserve(&log->staged_index, 1);
}

/* D7: in a hole, or in one whose segment is gone since: there is no other record of that slot. */
static bool is_missing(const struct plog *log, uint64_t slot)
{
	const struct log_state *placed = &log->placed;

	if (holes_find(&placed->holes, slot) != NULL)
		return true;
	return slot >= placed->at.first_slot && slot <= placed->at.end &&
		   log_index_find(&log->index, slot) == NULL;
}

bool log_placed_apply(struct plog *log, const struct plog_record *record, struct plog_position place)
{
	bool restarts = log_state_stage_restarts(&log->placed, record);
	bool installs = log->placed.staging && paxos_ballot_compare(log->placed.staged, record->ballot) == 0;
	bool repairs = record->type == PLOG_RECORD_REPAIRED && is_missing(log, record->slot);

	if (!log_state_apply(&log->placed, record))
		return false;
	switch ((enum plog_record_type) record->type)
	{
		case PLOG_RECORD_ENTRY:
			log_index_cut(&log->staged_index, 0); /* or its segments would be kept for ever */
			log_index_add(&log->index, record->slot, record->type, place);
			break;
		case PLOG_RECORD_STAGE:
			log_index_cut(&log->staged_index, restarts ? 0 : record->slot - 1);
			log_index_add(&log->staged_index, record->slot, record->type, place);
			break;
		case PLOG_RECORD_INSTALL:
			log_index_cut(&log->index, record->base);
			log_index_trim(&log->index, log->placed.at.first_slot);
			log_index_take(&log->index, &log->staged_index, record->base, installs ? record->end : 0);
			log->cursor.slot = 0;
			break;
		case PLOG_RECORD_BEGIN:
			log_index_trim(&log->index, log->placed.at.first_slot);
			break;
		case PLOG_RECORD_REPAIRED:
			if (repairs)
				log_index_insert(&log->index, record->slot, record->type, place);
			break;
		case PLOG_RECORD_DAMAGED:
		case PLOG_RECORD_FORGIVEN:
		case PLOG_RECORD_RESTORING:
			break;
	}
	return true;
}

enum plog_code log_write_out(struct plog *log, struct plog_error *error)
{
	struct log_segment *segment = log_current(log);
	int64_t result;

	if (log->out_length == 0)
		return PLOG_OK;
	result = log->ops->pwrite(log->ops->context, segment->handle, log->out, log->out_length,
							  log->write_offset - log->out_length);
	if (result < 0)
		return log_fail_io(log, error, result, "write", segment->name);
	log->out_length = 0;
	return PLOG_OK;
}

/* Puts the record's bytes at write_offset: into the buffer, or past it where it is large. */
static enum plog_code put_bytes(struct plog *log, struct log_item *item, struct plog_error *error)
{
	struct log_segment *segment = log_current(log);
	uint64_t length = format_padded(item->record.length);
	int64_t result;

	format_put_record(item->bytes, &item->record, &segment->header.identity, log->write_offset);
	if (log->out_length + length > PLOG_OUT_BYTES)
	{
		enum plog_code code = log_write_out(log, error);

		if (code != PLOG_OK)
			return code;
	}
	if (length > PLOG_OUT_BYTES)
	{
		result = log->ops->pwrite(log->ops->context, segment->handle, item->bytes, length, log->write_offset);
		if (result < 0)
			return log_fail_io(log, error, result, "write", segment->name);
	}
	else
	{
		memcpy(log->out + log->out_length, item->bytes, length);
		log->out_length += length;
	}
	log->write_offset += length;
	return PLOG_OK;
}

/* T5: a table is to take, or takes, the place of what the log holds up to there, which need not be what was chosen. */
static bool replaces_old_slots(const struct plog *log, const struct plog_record *record)
{
	if (record->type == PLOG_RECORD_RESTORING)
		return record->slot != 0;
	return record->type == PLOG_RECORD_BEGIN && log->placed.restoring != 0;
}

/* D7: the slots that what the next marker covers wrote.  Before the record is applied. */
static void note_slots(struct plog *log, const struct plog_record *record)
{
	uint64_t lowest = record->slot;
	uint64_t highest = record->slot;

	log->sync_kinds |= 1u << record->type;
	if (replaces_old_slots(log, record))
		lowest = log->placed.at.first_slot;
	else if (record->type == PLOG_RECORD_DAMAGED || record->type == PLOG_RECORD_FORGIVEN ||
			 record->type == PLOG_RECORD_BEGIN || record->type == PLOG_RECORD_RESTORING)
		return;
	if (record->type == PLOG_RECORD_INSTALL)
	{
		lowest = record->base + 1;
		highest = record->end;
	}
	if (lowest < log->sync_lowest)
		log->sync_lowest = lowest;
	if (highest > log->sync_highest)
		log->sync_highest = highest;
}

/* Ends the current segment, synced, and goes on in a new one with room for "need" bytes. */
static enum plog_code roll(struct plog *log, uint64_t need, struct plog_error *error)
{
	struct plog_position here = {log_current(log)->header.identity.segment, log->write_offset};
	struct log_segment *segment;
	enum plog_code code = log_sync_segment(log, error);

	if (code == PLOG_OK && !log_chain_reserve(log))
		code = log_fail_memory(error);
	if (code == PLOG_OK)
		code = log_segment_make(log, need, here, &segment, error);
	if (code != PLOG_OK)
		return code;
	code = log_segment_publish(log, segment, error);
	if (code != PLOG_OK)
	{
		log_segment_free(log, segment);
		return code;
	}
	log_segment_use(log, segment);
	/* Its header exists only because all before it is durable. */
	log->synced = (struct plog_position){segment->header.identity.segment, segment->header.data_offset};
	log->completed = log->synced;
	return PLOG_OK;
}

static enum plog_code place_item(struct plog *log, struct log_item *item, struct plog_error *error)
{
	uint64_t length = format_padded(item->record.length);
	const struct plog_segment_header *header = &log_current(log)->header;
	struct plog_position place;
	bool fits;
	enum plog_code code;

	if (!log_placed_reserve(log, &item->record))
		return log_fail_memory(error);
	if (log->write_offset + length > header->size ||
		log->next_marker + 2 > format_marker_capacity(header->data_offset))
	{
		code = roll(log, length, error);
		if (code != PLOG_OK)
			return code;
	}
	place = (struct plog_position){log_current(log)->header.identity.segment, log->write_offset};
	code = put_bytes(log, item, error);
	if (code != PLOG_OK)
		return code;
	note_slots(log, &item->record);
	fits = log_placed_apply(log, &item->record, place);
	plog_assert(fits);
	return PLOG_OK;
}

enum plog_code log_place_pending(struct plog *log, struct plog_error *error)
{
	while (log->pending_first != NULL)
	{
		struct log_item *item = log->pending_first;
		enum plog_code code = place_item(log, item, error);

		if (code != PLOG_OK)
			return code;
		item->placed = true;
		log->pending_first = item->next_pending;
		if (log->pending_first == NULL)
			log->pending_last = NULL;
		log->pending_bytes -= format_padded(item->record.length);
		if (changes_old_slots(&item->record))
			log->pending_installs--;
		log_item_release(item);
	}
	log_window_evict(&log->cache, log->options.cache_bytes);
	log_window_evict(&log->staged_cache, log->options.cache_bytes);
	return PLOG_OK;
}

/* ---------------------------------------------------------------- markers and syncs */

enum plog_code log_write_marker(struct plog *log, bool covering, struct plog_error *error)
{
	struct log_segment *segment = log_current(log);
	uint64_t offset = format_marker_offset(log->next_marker);
	uint8_t bytes[PLOG_MARKER_BYTES];
	struct plog_marker marker = {
		.run = log->metadata.run,
		.sync = ++log->sync_number,
		.from = covering ? log->sync_from : log->write_offset,
		.to = log->write_offset,
		.lowest = covering ? log->sync_lowest : UINT64_MAX,
		.highest = covering ? log->sync_highest : 0,
		.accepted = log->placed.at.accepted,
		.end = log->placed.at.end,
		.completed = log->synced,
		.kinds = covering ? log->sync_kinds : 0,
	};
	int64_t result;

	plog_assert(log->next_marker < format_marker_capacity(segment->header.data_offset));
	format_put_marker(bytes, &marker, &segment->header.identity, offset);
	result = log->ops->pwrite(log->ops->context, segment->handle, bytes, sizeof bytes, offset);
	if (result < 0)
		return log_fail_io(log, error, result, "write", segment->name);
	log->next_marker++;
	return PLOG_OK;
}

static enum plog_code sync_file(struct plog *log, struct plog_error *error)
{
	int64_t result = log->ops->sync(log->ops->context, log_current(log)->handle);

	if (result < 0)
		return log_fail_io(log, error, result, "sync", log_current(log)->name);
	return PLOG_OK;
}

enum plog_code log_sync_segment(struct plog *log, struct plog_error *error)
{
	enum plog_code code = log_write_out(log, error);

	if (code != PLOG_OK || log->sync_from == log->write_offset)
		return code;
	code = log_write_marker(log, true, error);
	if (code == PLOG_OK)
		code = sync_file(log, error);
	if (code != PLOG_OK)
		return code;
	log->completed = log->synced;
	log->synced = (struct plog_position){log_current(log)->header.identity.segment, log->write_offset};
	log->sync_from = log->write_offset;
	log->sync_lowest = UINT64_MAX;
	log->sync_highest = 0;
	log->sync_kinds = 0;
	return PLOG_OK;
}

enum plog_code plog_sync(struct plog *log, uint64_t *durable_id, struct plog_error *error)
{
	enum plog_code code = PLOG_OK;
	enum plog_code placing;

	*durable_id = log->reported_id;
	if (log->dead)
		return log_fail(error, PLOG_IO, 0, "the log in directory \"%s\" is closed after an earlier failure",
						log->directory);
	if (log->metadata_dirty)
		code = log_metadata_write(log, error);
	if (code != PLOG_OK)
		return code;
	/* Without room or memory for the rest, what has its place is made durable all the same. */
	placing = log_place_pending(log, error);
	if (placing != PLOG_IO)
		code = log_sync_segment(log, log->dead || placing != PLOG_OK ? NULL : error);
	if (placing == PLOG_IO || code != PLOG_OK)
		return PLOG_IO;
	log->reported_id = log->last_id;
	for (struct log_item *item = log->pending_first; item != NULL; item = item->next_pending)
	{
		if (item->write_id != 0)
		{
			log->reported_id = item->write_id - 1;
			break;
		}
	}
	*durable_id = log->reported_id;
	return placing;
}

bool plog_dirty(const struct plog *log)
{
	return log->metadata_dirty || log->pending_first != NULL || log->sync_from != log->write_offset ||
		   log->reported_id != log->last_id;
}

bool plog_wants_completion(const struct plog *log)
{
	return plog_position_compare(log->completed, log->synced) != 0;
}

enum plog_code plog_write_completion(struct plog *log, struct plog_error *error)
{
	enum plog_code code;

	if (log->dead)
		return log_fail(error, PLOG_IO, 0, "the log in directory \"%s\" is closed after an earlier failure",
						log->directory);
	/* Where records wait for a sync, that sync says it. */
	if (!plog_wants_completion(log) || log->sync_from != log->write_offset)
		return PLOG_OK;
	/* A new segment says it by being there. */
	if (log->next_marker >= format_marker_capacity(log_current(log)->header.data_offset))
		return roll(log, 0, error);
	code = log_write_marker(log, false, error);
	if (code == PLOG_OK)
		code = sync_file(log, error);
	if (code == PLOG_OK)
		log->completed = log->synced;
	return code;
}
