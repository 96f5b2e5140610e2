/*
 * scrub.c - the old records of the log, read again now and then, so that rot is found while others still have a copy.
 */
#include "log/internal.h"

/* The first slot of the placed log from "slot" on whose record does not lie in the segment that is written to; 0: none. */
static uint64_t next_old_slot(const struct plog *log, uint64_t slot, const struct log_extent **extent)
{
	if (slot < log->placed.at.first_slot)
		slot = log->placed.at.first_slot;
	for (;;)
	{
		*extent = log_index_find(&log->index, slot);
		if (*extent == NULL)
			return 0;
		if ((*extent)->segment != log_current(log)->header.identity.segment)
			return slot;
		slot = (*extent)->slot + (*extent)->count;
	}
}

enum plog_code plog_scrub(struct plog *log, uint64_t *slot, uint64_t bytes, struct plog_error *error)
{
	struct log_cursor cursor = log->cursor; /* whoever reads to send goes on where it was */
	enum plog_code code = PLOG_OK;
	uint64_t done = 0;

	plog_assert(!log_state_damaged(&log->state));
	if (log->dead)
		return log_fail(error, PLOG_IO, 0, "the log in directory \"%s\" is closed after an earlier failure",
						log->directory);
	log->cursor.slot = 0;
	while (code == PLOG_OK && done < bytes)
	{
		const struct log_extent *extent;
		struct log_item *item;

		*slot = next_old_slot(log, *slot, &extent);
		if (*slot == 0)
			break;
		code = log_scan_extent(log, extent, *slot, &item, error);
		if (code != PLOG_OK)
			break;
		done += item->record.length;
		log_item_release(item);
		(*slot)++;
	}
	log->cursor = cursor;
	return code;
}
