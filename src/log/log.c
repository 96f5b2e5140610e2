/*
 * log.c - opening and closing, and what is neither writing nor reading: configuration, trim, forgiveness.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "log/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char readme[] =
	"This directory is the durable log of one node of a paxoskv cluster: what the node has promised to and\n"
	"accepted from the others.  The node's database alone can't replace it.\n"
	"\n"
	"Do not delete, edit, copy or restore anything here, not even while the server is down.  A node that "
	"has\n"
	"lost its log, or runs with an older copy of it, has forgotten its promises; it can make the cluster "
	"lose\n"
	"acknowledged writes.  A node whose log is lost is replaced by a new node with a new id.\n";

/* ---------------------------------------------------------------- the directory and its lock */

/* The directory and, where missing, the one above; made durably. */
static enum plog_code make_directories(struct plog *log, struct plog_error *error)
{
	char parent[PLOG_PATH_MAX];
	char *slash;
	int result;

	memcpy(parent, log->directory, sizeof parent);
	slash = strrchr(parent, '/');
	result = log->ops->make_directory(log->ops->context, log->directory);
	if (result == -ENOENT && slash != NULL && slash != parent)
	{
		*slash = '\0';
		result = log->ops->make_directory(log->ops->context, parent);
		if (result == 0)
			result = log->ops->make_directory(log->ops->context, log->directory);
	}
	if (result < 0)
		return log_fail(error, PLOG_IO, -result, "could not create directory \"%s\": %s", log->directory,
						strerror(-result));
	return PLOG_OK;
}

/* So that a log directory just made lasts; the one above may be another's, who may forbid it. */
static void sync_parents(struct plog *log)
{
	char parent[PLOG_PATH_MAX];
	char *slash;

	memcpy(parent, log->directory, sizeof parent);
	for (int level = 0; level < 2; level++)
	{
		slash = strrchr(parent, '/');
		if (slash == NULL || slash == parent)
			return;
		*slash = '\0';
		log->ops->sync_directory(log->ops->context, parent);
	}
}

/* F1: one holder at a time; its process id is in the file for whoever comes second. */
static enum plog_code take_lock(struct plog *log, struct plog_error *error)
{
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	char holder[24] = "";
	int64_t result;

	log_path(log, "lock", path);
	result = log->ops->open(log->ops->context, path, true, false);
	if (result < 0)
		return log_fail_io(log, error, result, "open", "lock");
	log->lock_handle = (int) result;
	result = log->ops->lock(log->ops->context, log->lock_handle);
	if (result == -EWOULDBLOCK)
	{
		result = log->ops->pread(log->ops->context, log->lock_handle, holder, sizeof holder - 1, 0);
		holder[result > 0 ? result : 0] = '\0';
		holder[strcspn(holder, " \n")] = '\0';
		return log_fail(error, PLOG_LOCKED, EWOULDBLOCK,
						"log directory \"%s\" is in use by another process (PID %s)", log->directory,
						holder[0] != '\0' ? holder : "unknown");
	}
	if (result < 0)
		return log_fail_io(log, error, result, "lock", "lock");
	snprintf(holder, sizeof holder, "%-20ld\n", (long) getpid());
	result = log->ops->pwrite(log->ops->context, log->lock_handle, holder, strlen(holder), 0);
	/* A full disk is no reason not to start: the name of the holder is a courtesy. */
	if (result < 0 && result != -ENOSPC && result != -EDQUOT)
		return log_fail_io(log, error, result, "write", "lock");
	return PLOG_OK;
}

static enum plog_code write_readme(struct plog *log, struct plog_error *error)
{
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	int64_t result;
	int handle;

	log_path(log, "README", path);
	handle = log->ops->open(log->ops->context, path, true, false);
	if (handle < 0)
		return log_fail_io(log, error, handle, "create", "README");
	result = log->ops->pwrite(log->ops->context, handle, readme, sizeof readme - 1, 0);
	log->ops->close(log->ops->context, handle);
	if (result == -ENOSPC || result == -EDQUOT)
		return log_fail(error, PLOG_NO_SPACE, (int) -result, "could not write file \"%s\": no space left",
						path);
	return result < 0 ? log_fail_io(log, error, result, "write", "README") : PLOG_OK;
}

/* ---------------------------------------------------------------- opening */

/*
 * Metadata of run 0 say that nothing was ever told to anyone.  Beside a log that was written to they are an old
 * copy that came back, and the only good one: begun again, that log would forget its promises.
 */
static enum plog_code check_unused(struct plog *log, const struct log_names *names, struct plog_error *error)
{
	uint8_t bytes[PLOG_MARKER_BYTES];
	uint64_t offset = format_marker_offset(0);
	struct plog_marker marker;
	struct log_segment *segment;
	bool used = names->count > 1 || (names->count == 1 && names->numbers[0] != 1);

	if (names->count == 1 && !used)
	{
		enum plog_code code = log_segment_open(log, 1, &segment, error);
		int64_t got;

		if (code != PLOG_OK)
			return code;
		got = log_read_tolerant(log, segment->handle, bytes, sizeof bytes, offset);
		used = segment->bad || (got == (int64_t) sizeof bytes &&
								format_get_marker(bytes, &marker, &segment->header.identity, offset, false));
		log_segment_free(log, segment);
		if (got < 0)
			return log_fail_io(log, error, got, "read", "segment 1");
	}
	if (used)
		return log_fail(error, PLOG_CORRUPT, 0,
						"directory \"%s\" holds a log that was written to, and metadata of before that",
						log->directory);
	return PLOG_OK;
}

/*
 * A new log: metadata of run 0, the first segment, metadata of run 1.  Until the last is durable nothing was
 * told to anyone, and the next start begins again, with the store id that is there.
 */
static enum plog_code create(struct plog *log, const struct log_names *names, struct plog_error *error)
{
	struct log_segment *segment;
	enum plog_code code = check_unused(log, names, error);

	if (code == PLOG_OK)
		code = write_readme(log, error);
	for (size_t i = 0; i < names->count && code == PLOG_OK; i++)
		code = log_segment_recycle(log, names->numbers[i], error);
	/* Numbers and runs begin again: checksums would not tell the old bytes from new ones. */
	if (code == PLOG_OK)
		code = log_remove_recycled(log, error);
	if (code == PLOG_OK)
		code = log_metadata_write(log, error);
	if (code != PLOG_OK)
		return code;
	sync_parents(log);
	log->metadata.run = 1;
	log->next_number = 1;
	log->placed.at.first_slot = 1;
	log->state = log->placed;
	if (!log_chain_reserve(log))
		return log_fail_memory(error);
	code = log_segment_make(log, 0, (struct plog_position){0}, &segment, error);
	if (code != PLOG_OK)
		return code;
	log_segment_use(log, segment);
	log->synced = (struct plog_position){1, segment->header.data_offset};
	log->completed = log->synced;
	code = log_segment_publish(log, segment, error);
	if (code == PLOG_OK)
		code = log_metadata_write(log, error);
	return code;
}

/* Segments that are not of the chain any more; kept while damaged, for people to look at. */
static enum plog_code drop_dead_segments(struct plog *log, const struct log_names *names,
										 struct plog_error *error)
{
	enum plog_code code = PLOG_OK;

	for (size_t i = 0; i < names->count && code == PLOG_OK && !log_state_damaged(&log->state); i++)
	{
		if (log_segment_find(log, names->numbers[i]) == NULL)
			code = log_segment_recycle(log, names->numbers[i], error);
	}
	log->dead_segments = log_state_damaged(&log->state);
	return code;
}

static enum plog_code recover_existing(struct plog *log, const struct log_names *names, uint64_t *cut,
									   struct plog_error *error)
{
	enum plog_code code;

	if (names->count == 0)
		return log_fail(error, PLOG_CORRUPT, 0,
						"directory \"%s\" holds the metadata of a log, but no segment file", log->directory);
	/* First, so that the new segment's checksums are bound to a run that no other attempt had. */
	log->metadata.run++;
	code = log_metadata_write(log, error);
	if (code == PLOG_OK)
		code = log_recover(log, names, cut, error);
	if (code != PLOG_OK)
		return code;
	if (paxos_ballot_compare(log->state.highest, log->metadata.promise) > 0)
	{
		log->metadata.promise = log->state.highest;
		if (log->state.at.epoch > log->metadata.promise_epoch)
			log->metadata.promise_epoch = log->state.at.epoch;
		code = log_metadata_write(log, error);
	}
	if (code == PLOG_OK)
		code = drop_dead_segments(log, names, error);
	return code;
}

static enum plog_code find_or_create(struct plog *log, const struct paxos_id *new_store_id, uint64_t *cut,
									 struct plog_error *error)
{
	struct log_names names;
	bool found = false;
	enum plog_code code = log_list(log, &names, error);

	if (code == PLOG_OK)
		code = log_metadata_read(log, &found, error);
	if (code == PLOG_OK && !found && names.count > 0)
		code = log_fail(
			error, PLOG_CORRUPT, 0,
			"directory \"%s\" holds segments of a log, but \"metadata.1\" and \"metadata.2\" are missing",
			log->directory);
	if (code == PLOG_OK && !found && names.strange)
		code = log_fail(error, PLOG_NOT_EMPTY, 0, "directory \"%s\" holds something else than a log",
						log->directory);
	if (code == PLOG_OK)
		code = log_remove_leftovers(log, error);
	if (code == PLOG_OK && !found)
		log->metadata.store_id = *new_store_id;
	if (code == PLOG_OK && log->metadata.run == 0)
		code = create(log, &names, error);
	else if (code == PLOG_OK)
		code = recover_existing(log, &names, cut, error);
	plog_free(names.numbers);
	return code;
}

static void put_place(struct plog_position place, char text[PLOG_PLACE_MAX])
{
	snprintf(text, PLOG_PLACE_MAX, "segment.%016" PRIx64 ", offset %" PRIu64, place.segment, place.offset);
}

/* D7: whole but for the holes; intact is what is before the first.  With damage of another kind they don't help. */
static void fill_holes(const struct plog *log, struct paxos_durable_state *state)
{
	const struct paxos_holes *holes = &log->state.holes;

	state->end = holes->at[0].first - 1;
	if (state->damage.damaged)
	{
		if (state->damage.lowest_written > holes->at[0].first)
			state->damage.lowest_written = holes->at[0].first;
		return;
	}
	state->holes = *holes;
	state->holes.end = log->state.at.end;
	state->damage = (struct paxos_damage){.damaged = true,
										  .named_ballot = log->state.at.accepted,
										  .named_slot = log->state.at.end,
										  .lowest_written = holes->at[0].first};
}

bool plog_place(const struct plog *log, uint64_t slot, char text[PLOG_PLACE_MAX])
{
	if (holes_find(&log->state.holes, slot) == NULL)
		return false;
	put_place(log_lost_place(log, slot), text);
	return true;
}

static void fill_state(const struct plog *log, uint64_t cut, struct plog_state *state)
{
	memset(state, 0, sizeof *state);
	state->store_id = log->metadata.store_id;
	state->run = log->metadata.run;
	state->paxos.promise = log->metadata.promise;
	state->paxos.accepted = log->state.at.accepted;
	state->paxos.first_slot = log->state.at.first_slot;
	state->paxos.end = log->state.at.end;
	state->paxos.damage = log->state.damage;
	if (log->state.holes.n > 0)
		fill_holes(log, &state->paxos);
	state->restoring = log->state.restoring;
	state->log_bytes = plog_bytes(log);
	state->tail_bytes_cut = cut;
	if (log->state.damage.damaged)
		put_place(log->damage_place, state->damage_place);
	else if (log->state.holes.n > 0)
		put_place(log_lost_place(log, log->state.holes.at[0].first), state->damage_place);
	state->config_length = log->metadata.config_length;
	memcpy(state->config, log->metadata.config, log->metadata.config_length);
}

void plog_refresh_state(const struct plog *log, struct plog_state *state)
{
	uint64_t applied = state->paxos.applied;

	fill_state(log, state->tail_bytes_cut, state);
	state->paxos.applied = applied;
}

enum plog_code plog_open(struct plog **log, const char *directory, const struct file_ops *ops,
						 const struct plog_options *options, const struct paxos_id *new_store_id,
						 struct plog_state *state, struct plog_error *error)
{
	struct plog *made;
	uint64_t cut = 0;
	enum plog_code code;

	*log = NULL;
	if (strlen(directory) >= PLOG_PATH_MAX)
		return log_fail(error, PLOG_IO, ENAMETOOLONG, "log directory \"%.200s...\" has too long a name",
						directory);
	made = plog_allocate(sizeof *made);
	if (made == NULL)
		return log_fail_memory(error);
	memset(made, 0, sizeof *made);
	made->ops = ops;
	made->options = *options;
	made->lock_handle = made->metadata_handles[0] = made->metadata_handles[1] = -1;
	made->sync_lowest = UINT64_MAX;
	snprintf(made->directory, sizeof made->directory, "%s", directory);
	made->out = plog_allocate(PLOG_OUT_BYTES);
	code = made->out == NULL ? log_fail_memory(error) : make_directories(made, error);
	if (code == PLOG_OK)
		code = take_lock(made, error);
	if (code == PLOG_OK)
		code = find_or_create(made, new_store_id, &cut, error);
	if (code != PLOG_OK)
	{
		plog_close(made);
		return code;
	}
	fill_state(made, cut, state);
	*log = made;
	return PLOG_OK;
}

void plog_close(struct plog *log)
{
	if (log == NULL)
		return;
	plog_release_reads(log);
	while (log->pending_first != NULL)
	{
		struct log_item *item = log->pending_first;

		log->pending_first = item->next_pending;
		log_item_release(item);
	}
	log_window_free(&log->cache);
	log_window_free(&log->staged_cache);
	log_index_free(&log->index);
	log_index_free(&log->staged_index);
	while (log->chain_length > 0)
		log_segment_free(log, log->chain[--log->chain_length]);
	plog_free(log->chain);
	for (int which = 0; which < 2; which++)
	{
		if (log->metadata_handles[which] >= 0)
			log->ops->close(log->ops->context, log->metadata_handles[which]);
	}
	/* Last: with it the directory is free for another. */
	if (log->lock_handle >= 0)
		log->ops->close(log->ops->context, log->lock_handle);
	plog_free(log->out);
	plog_free(log);
}

/* ---------------------------------------------------------------- the rest */

/* A record of the log's own (or none), durable with all that waited. */
static enum plog_code write_own(struct plog *log, const struct plog_record *record, struct plog_error *error)
{
	enum plog_code code = PLOG_OK;

	if (log->dead)
		return log_fail(error, PLOG_IO, 0, "the log in directory \"%s\" is closed after an earlier failure",
						log->directory);
	if (record != NULL)
		code = log_take_record(log, record, NULL, 0, error);
	if (code == PLOG_OK)
		code = log_place_pending(log, error);
	if (code == PLOG_OK)
		code = log_sync_segment(log, error);
	return code;
}

enum plog_code plog_forgive_doubt(struct plog *log, struct plog_state *state, struct plog_error *error)
{
	struct plog_record record = {.type = PLOG_RECORD_FORGIVEN};
	enum plog_code code;

	plog_assert(log->state.damage.damaged && log->state.damage.doubtful);
	code = write_own(log, &record, error);
	if (code == PLOG_OK)
		fill_state(log, 0, state);
	return code;
}

enum plog_code plog_set_config(struct plog *log, const uint8_t *config, uint32_t length,
							   struct plog_error *error)
{
	plog_assert(length <= PLOG_CONFIG_MAX);
	if (log->dead)
		return log_fail(error, PLOG_IO, 0, "the log in directory \"%s\" is closed after an earlier failure",
						log->directory);
	memset(log->metadata.config, 0, sizeof log->metadata.config);
	memcpy(log->metadata.config, config, length);
	log->metadata.config_length = length;
	return log_metadata_write(log, error);
}

static bool index_needs(const struct log_index *index, uint64_t number)
{
	for (size_t i = 0; i < index->count; i++)
	{
		if (index->extents[i].segment == number)
			return true;
	}
	return false;
}

/* Whether a BEGIN record changes anything: where the log begins, or that what is before it is in the table. */
static bool begins_anew(const struct plog *log, uint64_t first_slot)
{
	const struct log_state *state = &log->state;

	return first_slot > state->at.first_slot || state->restoring != 0 ||
		   (state->damage.damaged && state->damage.lowest_written < first_slot);
}

/* What a damaged start left on the disk, once it is healed. */
static enum plog_code drop_healed_segments(struct plog *log, struct plog_error *error)
{
	struct log_names names;
	enum plog_code code = log_list(log, &names, error);

	if (code == PLOG_OK)
		code = drop_dead_segments(log, &names, error);
	plog_free(names.numbers);
	return code;
}

/* Whether nothing of the log is in its oldest segment. */
static bool oldest_is_dead(const struct plog *log)
{
	uint64_t oldest = log->chain[0]->header.identity.segment;

	/* What damage left is for people to look at. */
	return log->chain_length > 1 && !log_state_damaged(&log->state) && !index_needs(&log->index, oldest) &&
		   !index_needs(&log->staged_index, oldest);
}

bool plog_has_dead_segments(const struct plog *log)
{
	return oldest_is_dead(log) || (log->dead_segments && !log_state_damaged(&log->state));
}

uint64_t plog_restoring(const struct plog *log)
{
	return log->state.restoring;
}

enum plog_code plog_trim(struct plog *log, uint64_t first_slot, struct plog_error *error)
{
	struct plog_record record = {.type = PLOG_RECORD_BEGIN, .slot = first_slot};
	uint64_t n_files = 0;
	enum plog_code code;

	if (first_slot <= log->state.restoring)
		return PLOG_OK;
	/* Also without a record of its own: an install that makes a segment useless must be durable first. */
	code = write_own(log, begins_anew(log, first_slot) ? &record : NULL, error);
	if (code == PLOG_OK && log->dead_segments && !log_state_damaged(&log->state))
		code = drop_healed_segments(log, error);

	while (code == PLOG_OK && oldest_is_dead(log) &&
		   (log->options.trim_files_max == 0 || n_files++ < log->options.trim_files_max))
	{
		uint64_t number = log->chain[0]->header.identity.segment;

		log_segment_free(log, log->chain[0]);
		log->chain_length--;
		memmove(log->chain, log->chain + 1, log->chain_length * sizeof *log->chain);
		log->cursor.slot = 0;
		code = log_segment_recycle(log, number, error);
	}
	return code;
}

enum plog_code plog_begin_restore(struct plog *log, uint64_t slot, struct plog_error *error)
{
	struct plog_record record = {.type = PLOG_RECORD_RESTORING, .slot = slot};

	return write_own(log, slot != log->state.restoring ? &record : NULL, error);
}

uint64_t plog_retained_from(const struct plog *log, uint64_t bytes)
{
	uint64_t from = log->placed.at.first_slot;
	uint64_t kept = 0;
	uint64_t oldest = UINT64_MAX;

	for (size_t i = log->chain_length; i > 0 && kept < bytes; i--)
	{
		kept += log->chain[i - 1]->header.size;
		oldest = log->chain[i - 1]->header.identity.segment;
	}
	for (size_t i = 0; i < log->index.count && kept >= bytes; i++)
	{
		const struct log_extent *extent = &log->index.extents[i];

		if (extent->segment < oldest && extent->slot + extent->count > from)
			from = extent->slot + extent->count;
	}
	return from;
}

uint64_t plog_bytes_from(const struct plog *log, uint64_t slot)
{
	const struct log_extent *extent = log_index_find(&log->index, slot);
	uint64_t bytes = log->write_offset;

	if (extent == NULL)
		return 0;
	for (size_t i = log->chain_length - 1; log->chain[i]->header.identity.segment != extent->segment; i--)
	{
		plog_assert(i > 0);
		bytes += log->chain[i - 1]->header.size;
	}
	return bytes - extent->offset;
}

uint64_t plog_first_slot(const struct plog *log)
{
	return log->state.at.first_slot;
}

uint64_t plog_bytes(const struct plog *log)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < log->chain_length; i++)
		bytes += log->chain[i]->header.size;
	return bytes;
}
