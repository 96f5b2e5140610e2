/*
 * segment.c - the segment files: made or taken from the prepared ones, published, recycled.
 *
 * A file is called "segment.<number>" only when its header is durable in it.  What is being made has another
 * name, so a crash leaves nothing that could be taken for a part of the log.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "log/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ZERO_BYTES (256u << 10)
/* Files of the chain that are open at once: a long log must not take all of the process' descriptors. */
#define SEGMENTS_OPEN_MAX 32
/* Prepared files looked at when one is wanted. */
#define CANDIDATES 32

static const uint8_t zeros[ZERO_BYTES];

void log_segment_name(uint64_t number, char name[PLOG_NAME_MAX])
{
	snprintf(name, PLOG_NAME_MAX, "segment.%016" PRIx64, number);
}

/* ---------------------------------------------------------------- the directory */

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t length = strlen(name);

	return length >= strlen(suffix) && strcmp(name + length - strlen(suffix), suffix) == 0;
}

static bool parse_segment_name(const char *name, uint64_t *number)
{
	char expected[PLOG_NAME_MAX];

	if (!has_prefix(name, "segment."))
		return false;
	*number = strtoull(name + strlen("segment."), NULL, 16);
	log_segment_name(*number, expected);
	return strcmp(name, expected) == 0;
}

static void note_name(void *argument, const char *name)
{
	struct log_names *names = argument;
	uint64_t number;
	size_t at;

	if (!parse_segment_name(name, &number))
	{
		if (strcmp(name, "lock") != 0 && strcmp(name, "README") != 0 && !has_prefix(name, "metadata.") &&
			!has_prefix(name, "prepared.") && !has_prefix(name, "preparing.") &&
			!has_prefix(name, "segment."))
			names->strange = true;
		return;
	}
	if (names->count == names->capacity)
	{
		size_t capacity = names->capacity == 0 ? 64 : names->capacity * 2;
		uint64_t *numbers = plog_reallocate(names->numbers, capacity * sizeof *numbers);

		if (numbers == NULL)
		{
			names->failed = true;
			return;
		}
		names->numbers = numbers;
		names->capacity = capacity;
	}
	for (at = names->count; at > 0 && names->numbers[at - 1] > number; at--)
		names->numbers[at] = names->numbers[at - 1];
	names->numbers[at] = number;
	names->count++;
}

enum plog_code log_list(struct plog *log, struct log_names *names, struct plog_error *error)
{
	int result;

	memset(names, 0, sizeof *names);
	result = log->ops->list(log->ops->context, log->directory, note_name, names);
	if (result < 0)
		return log_fail_io(log, error, result, "list", "");
	if (names->failed)
		return log_fail_memory(error);
	return PLOG_OK;
}

struct name_list
{
	const char *prefix;
	const char *suffix;
	size_t count;
	char names[CANDIDATES][PLOG_NAME_MAX];
};

static void collect_name(void *argument, const char *name)
{
	struct name_list *list = argument;

	if (list->count < CANDIDATES && strlen(name) < PLOG_NAME_MAX && has_prefix(name, list->prefix) &&
		has_suffix(name, list->suffix))
		snprintf(list->names[list->count++], PLOG_NAME_MAX, "%s", name);
}

static enum plog_code remove_matching(struct plog *log, const char *prefix, const char *suffix,
									  struct plog_error *error)
{
	struct name_list list;

	do
	{
		int result;

		list = (struct name_list){.prefix = prefix, .suffix = suffix};
		result = log->ops->list(log->ops->context, log->directory, collect_name, &list);
		if (result < 0)
			return log_fail_io(log, error, result, "list", "");
		for (size_t i = 0; i < list.count; i++)
		{
			char path[PLOG_PATH_MAX + PLOG_NAME_MAX];

			log_path(log, list.names[i], path);
			result = log->ops->unlink(log->ops->context, path);
			if (result < 0 && result != -ENOENT)
				return log_fail_io(log, error, result, "remove", list.names[i]);
		}
	} while (list.count == CANDIDATES);
	return PLOG_OK;
}

/* Prepared files of another size, since paxoskv.segment_size was changed. */
static enum plog_code remove_unfit_prepared(struct plog *log, struct plog_error *error)
{
	struct name_list list = {.prefix = "prepared.", .suffix = ""};
	int64_t wanted = (int64_t) format_segment_size(log->options.segment_bytes, 0);
	int result = log->ops->list(log->ops->context, log->directory, collect_name, &list);

	if (result < 0)
		return log_fail_io(log, error, result, "list", "");
	for (size_t i = 0; i < list.count; i++)
	{
		char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
		int64_t size;

		log_path(log, list.names[i], path);
		result = log->ops->open(log->ops->context, path, false, true);
		if (result < 0)
			continue;
		size = log->ops->size(log->ops->context, result);
		log->ops->close(log->ops->context, result);
		if (size == wanted)
			continue;
		result = log->ops->unlink(log->ops->context, path);
		if (result < 0)
			return log_fail_io(log, error, result, "remove", list.names[i]);
	}
	return PLOG_OK;
}

enum plog_code log_remove_leftovers(struct plog *log, struct plog_error *error)
{
	enum plog_code code = remove_matching(log, "segment.", ".new", error);

	if (code == PLOG_OK)
		code = remove_matching(log, "metadata.", ".new", error);
	if (code == PLOG_OK)
		code = remove_matching(log, "preparing.", "", error);
	if (code == PLOG_OK)
		code = remove_unfit_prepared(log, error);
	return code;
}

enum plog_code log_remove_recycled(struct plog *log, struct plog_error *error)
{
	return remove_matching(log, "prepared.recycled.", "", error);
}

/* ---------------------------------------------------------------- opening */

void log_segment_free(struct plog *log, struct log_segment *segment)
{
	if (segment == NULL)
		return;
	if (segment->handle >= 0)
		log->ops->close(log->ops->context, segment->handle);
	plog_free(segment);
}

static void close_segment(struct plog *log, struct log_segment *segment)
{
	log->ops->close(log->ops->context, segment->handle);
	segment->handle = -1;
}

/* Closes the oldest files of the chain while too many are open; neither "keep" nor the newest. */
static void close_old_segments(struct plog *log, const struct log_segment *keep)
{
	size_t n_open = 0;

	for (size_t i = 0; i < log->chain_length; i++)
		n_open += log->chain[i]->handle >= 0;
	for (size_t i = 0; i + 1 < log->chain_length && n_open > SEGMENTS_OPEN_MAX; i++)
	{
		if (log->chain[i] == keep || log->chain[i]->handle < 0)
			continue;
		close_segment(log, log->chain[i]);
		n_open--;
	}
}

enum plog_code log_segment_ready(struct plog *log, struct log_segment *segment, struct plog_error *error)
{
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	int handle;

	if (segment->handle >= 0)
		return PLOG_OK;
	log_path(log, segment->name, path);
	handle = log->ops->open(log->ops->context, path, false, true);
	if (handle < 0)
		return log_fail_io(log, error, handle, "open", segment->name);
	segment->handle = handle;
	close_old_segments(log, segment);
	return PLOG_OK;
}

/* Either copy of the header will do; neither: segment->bad, with what size and name tell. */
static enum plog_code read_header(struct plog *log, struct log_segment *segment, uint64_t number,
								  struct plog_error *error)
{
	uint8_t block[PLOG_BLOCK];
	int64_t size = log->ops->size(log->ops->context, segment->handle);

	if (size < 0)
		return log_fail_io(log, error, size, "measure", segment->name);
	for (int copy = 0; copy < 2; copy++)
	{
		int64_t got =
			log_read_tolerant(log, segment->handle, block, PLOG_BLOCK, (uint64_t) copy * PLOG_BLOCK);
		enum format_verdict verdict;

		if (got < 0)
			return log_fail_io(log, error, got, "read", segment->name);
		verdict = got == PLOG_BLOCK ? format_get_header(block, &segment->header) : FORMAT_BAD;
		if (verdict == FORMAT_UNKNOWN)
			return log_fail(error, PLOG_UNKNOWN, 0,
							"file \"%s/%s\" has a format version that this release does not know",
							log->directory, segment->name);
		if (verdict == FORMAT_BAD || segment->header.identity.segment != number)
			continue;
		if (memcmp(&segment->header.identity.store_id, &log->metadata.store_id, sizeof(struct paxos_id)) != 0)
			return log_fail(error, PLOG_CORRUPT, 0, "file \"%s/%s\" belongs to the log of another store",
							log->directory, segment->name);
		return PLOG_OK;
	}
	segment->bad = true;
	memset(&segment->header, 0, sizeof segment->header);
	segment->header.identity.store_id = log->metadata.store_id;
	segment->header.identity.segment = number;
	segment->header.size = (uint64_t) size;
	segment->header.data_offset = format_data_offset((uint64_t) size);
	if (segment->header.data_offset > (uint64_t) size)
		segment->header.data_offset = (uint64_t) size;
	return PLOG_OK;
}

enum plog_code log_segment_open(struct plog *log, uint64_t number, struct log_segment **segment,
								struct plog_error *error)
{
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	struct log_segment *made = plog_allocate(sizeof *made);
	enum plog_code code;
	int handle;

	*segment = NULL;
	if (made == NULL)
		return log_fail_memory(error);
	memset(made, 0, sizeof *made);
	made->handle = -1;
	log_segment_name(number, made->name);
	log_path(log, made->name, path);
	handle = log->ops->open(log->ops->context, path, false, false);
	if (handle < 0)
	{
		code = log_fail_io(log, error, handle, "open", made->name);
		log_segment_free(log, made);
		return code;
	}
	made->handle = handle;
	code = read_header(log, made, number, error);
	if (code != PLOG_OK)
	{
		log_segment_free(log, made);
		return code;
	}
	close_old_segments(log, made);
	*segment = made;
	return PLOG_OK;
}

struct log_segment *log_segment_find(const struct plog *log, uint64_t number)
{
	for (size_t i = log->chain_length; i > 0; i--)
	{
		if (log->chain[i - 1]->header.identity.segment == number)
			return log->chain[i - 1];
	}
	return NULL;
}

/* ---------------------------------------------------------------- making */

static bool is_no_space(int64_t result)
{
	return result == -ENOSPC || result == -EDQUOT;
}

/* "size" zeros, synced.  0 or -errno. */
static int64_t fill_with_zeros(const struct file_ops *ops, int handle, uint64_t size)
{
	for (uint64_t at = 0; at < size;)
	{
		size_t length = size - at < ZERO_BYTES ? (size_t) (size - at) : ZERO_BYTES;
		int64_t result = ops->pwrite(ops->context, handle, zeros, length, at);

		if (result < 0)
			return result;
		at += length;
	}
	return ops->sync(ops->context, handle);
}

/* A prepared file of just that size, if there is one: its handle, or -1. */
static int take_prepared(struct plog *log, uint64_t size, char name[PLOG_NAME_MAX])
{
	struct name_list list = {.prefix = "prepared.", .suffix = ""};

	if (log->ops->list(log->ops->context, log->directory, collect_name, &list) < 0)
		return -1;
	for (size_t i = 0; i < list.count; i++)
	{
		char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
		int handle;

		log_path(log, list.names[i], path);
		handle = log->ops->open(log->ops->context, path, false, false);
		if (handle < 0)
			continue;
		if (log->ops->size(log->ops->context, handle) == (int64_t) size)
		{
			memcpy(name, list.names[i], PLOG_NAME_MAX);
			return handle;
		}
		log->ops->close(log->ops->context, handle);
	}
	return -1;
}

/* A zeroed file under a temporary name. */
static enum plog_code make_file(struct plog *log, uint64_t size, struct log_segment *segment,
								struct plog_error *error)
{
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	int64_t result;

	snprintf(segment->name, PLOG_NAME_MAX, "segment.%016" PRIx64 ".new", segment->header.identity.segment);
	log_path(log, segment->name, path);
	result = log->ops->unlink(log->ops->context, path);
	if (result < 0 && result != -ENOENT)
		return log_fail_io(log, error, result, "remove", segment->name);
	result = log->ops->open(log->ops->context, path, true, false);
	if (result >= 0)
	{
		segment->handle = (int) result;
		result = fill_with_zeros(log->ops, segment->handle, size);
	}
	if (result >= 0)
		return PLOG_OK;
	if (is_no_space(result))
	{
		log->ops->unlink(log->ops->context, path);
		return log_fail(error, PLOG_NO_SPACE, (int) -result,
						"could not make a log segment of %" PRIu64
						" bytes in directory \"%s\": no space left",
						size, log->directory);
	}
	return log_fail_io(log, error, result, "make", segment->name);
}

static enum plog_code write_headers(struct plog *log, struct log_segment *segment, struct plog_error *error)
{
	uint8_t block[PLOG_BLOCK];

	format_put_header(block, &segment->header);
	for (int copy = 0; copy < 2; copy++)
	{
		int64_t result = log->ops->pwrite(log->ops->context, segment->handle, block, PLOG_BLOCK,
										  (uint64_t) copy * PLOG_BLOCK);

		if (result < 0)
			return log_fail_io(log, error, result, "write", segment->name);
	}
	return PLOG_OK;
}

enum plog_code log_segment_make(struct plog *log, uint64_t need, struct plog_position previous,
								struct log_segment **segment, struct plog_error *error)
{
	uint64_t size = format_segment_size(log->options.segment_bytes, need);
	struct log_segment *made = plog_allocate(sizeof *made);
	enum plog_code code = PLOG_OK;

	*segment = NULL;
	if (made == NULL)
		return log_fail_memory(error);
	memset(made, 0, sizeof *made);
	made->header.identity.store_id = log->metadata.store_id;
	made->header.identity.segment = log->next_number;
	made->header.identity.run = log->metadata.run;
	made->header.size = size;
	made->header.data_offset = format_data_offset(size);
	made->header.previous = previous;
	made->header.begin = log->placed.at;
	made->handle = take_prepared(log, size, made->name);
	made->header.recycled = made->handle >= 0 && has_prefix(made->name, "prepared.recycled.");
	if (made->handle < 0)
		code = make_file(log, size, made, error);
	if (code == PLOG_OK)
		code = write_headers(log, made, error);
	if (code != PLOG_OK)
	{
		log_segment_free(log, made);
		return code;
	}
	*segment = made;
	return PLOG_OK;
}

enum plog_code log_segment_publish(struct plog *log, struct log_segment *segment, struct plog_error *error)
{
	char from[PLOG_PATH_MAX + PLOG_NAME_MAX];
	char to[PLOG_PATH_MAX + PLOG_NAME_MAX];
	int64_t result = log->ops->sync(log->ops->context, segment->handle);

	if (result < 0)
		return log_fail_io(log, error, result, "sync", segment->name);
	log_path(log, segment->name, from);
	log_segment_name(segment->header.identity.segment, segment->name);
	log_path(log, segment->name, to);
	result = log->ops->rename(log->ops->context, from, to);
	if (result < 0)
		return log_fail_io(log, error, result, "rename", segment->name);
	log->next_number = segment->header.identity.segment + 1;
	return log_sync_directory(log, error);
}

bool log_chain_reserve(struct plog *log)
{
	size_t capacity = log->chain_capacity == 0 ? 16 : log->chain_capacity * 2;
	struct log_segment **chain;

	if (log->chain_length < log->chain_capacity)
		return true;
	chain = plog_reallocate(log->chain, capacity * sizeof *chain);
	if (chain == NULL)
		return false;
	log->chain = chain;
	log->chain_capacity = capacity;
	return true;
}

void log_segment_use(struct plog *log, struct log_segment *segment)
{
	plog_assert(log->chain_length < log->chain_capacity);
	plog_assert(log->out_length == 0);
	log->chain[log->chain_length++] = segment;
	log->write_offset = segment->header.data_offset;
	log->sync_from = segment->header.data_offset;
	log->sync_lowest = UINT64_MAX;
	log->sync_highest = 0;
	log->sync_kinds = 0;
	log->next_marker = 0;
	close_old_segments(log, segment);
}

/* ---------------------------------------------------------------- recycling and preparing */

static void count_name(void *argument, const char *name)
{
	if (has_prefix(name, "prepared."))
		++*(uint64_t *) argument;
}

enum plog_code log_segment_recycle(struct plog *log, uint64_t number, struct plog_error *error)
{
	char name[PLOG_NAME_MAX];
	char target[PLOG_NAME_MAX];
	char from[PLOG_PATH_MAX + PLOG_NAME_MAX];
	char to[PLOG_PATH_MAX + PLOG_NAME_MAX];
	uint64_t prepared = 0;
	int64_t result;
	int64_t size = -1;

	log_segment_name(number, name);
	log_path(log, name, from);
	snprintf(target, sizeof target, "prepared.recycled.%016" PRIx64, number);
	log_path(log, target, to);
	result = log->ops->open(log->ops->context, from, false, true);
	if (result >= 0)
	{
		size = log->ops->size(log->ops->context, (int) result);
		log->ops->close(log->ops->context, (int) result);
	}
	log->ops->list(log->ops->context, log->directory, count_name, &prepared);
	if (prepared < log->options.min_free_segments &&
		size == (int64_t) format_segment_size(log->options.segment_bytes, 0))
		result = log->ops->rename(log->ops->context, from, to);
	else
		result = log->ops->unlink(log->ops->context, from);
	if (result < 0)
		return log_fail_io(log, error, result, "recycle", name);
	/* Before it can be written to under its new name: a crash must not bring the old name back then. */
	return log_sync_directory(log, error);
}

/* A number that no prepared file has: a rename over one would pull it from under a log that just took it. */
static uint64_t free_number(const char *directory, const struct file_ops *ops)
{
	for (uint64_t n = 0;; n++)
	{
		char name[PLOG_NAME_MAX];
		char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
		int handle;

		snprintf(name, sizeof name, "prepared.%ld.%" PRIu64, (long) getpid(), n);
		log_path_in(directory, name, path);
		handle = ops->open(ops->context, path, false, true);
		if (handle < 0)
			return n;
		ops->close(ops->context, handle);
	}
}

/* One file "preparing.<pid>.<n>", then "prepared.<pid>.<n>". */
static enum plog_code prepare_one(const char *directory, const struct file_ops *ops, uint64_t size,
								  struct plog_error *error)
{
	char name[PLOG_NAME_MAX];
	char temporary[PLOG_PATH_MAX + PLOG_NAME_MAX];
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	uint64_t n = free_number(directory, ops);
	int64_t result;
	int handle;

	snprintf(name, sizeof name, "preparing.%ld.%" PRIu64, (long) getpid(), n);
	log_path_in(directory, name, temporary);
	snprintf(name, sizeof name, "prepared.%ld.%" PRIu64, (long) getpid(), n);
	log_path_in(directory, name, path);
	ops->unlink(ops->context, temporary);
	handle = ops->open(ops->context, temporary, true, false);
	if (handle < 0)
		return log_fail(error, is_no_space(handle) ? PLOG_NO_SPACE : PLOG_IO, -handle,
						"could not create file \"%s\": %s", temporary, strerror(-handle));
	result = fill_with_zeros(ops, handle, size);
	ops->close(ops->context, handle);
	if (result >= 0)
		result = ops->rename(ops->context, temporary, path);
	/* A starting log may have removed it as a leftover: the next call makes another. */
	if (result == -ENOENT)
		return PLOG_OK;
	if (result >= 0)
		result = ops->sync_directory(ops->context, directory);
	if (result >= 0)
		return PLOG_OK;
	ops->unlink(ops->context, temporary);
	return log_fail(error, is_no_space(result) ? PLOG_NO_SPACE : PLOG_IO, (int) -result,
					"could not prepare file \"%s\": %s", path, strerror((int) -result));
}

enum plog_code plog_prepare_segments(const char *directory, const struct file_ops *ops,
									 const struct plog_options *options, struct plog_error *error)
{
	uint64_t prepared = 0;
	uint64_t size = format_segment_size(options->segment_bytes, 0);
	int result = ops->list(ops->context, directory, count_name, &prepared);

	/* No directory yet: the log's holder makes it. */
	if (result == -ENOENT)
		return PLOG_OK;
	if (result < 0)
		return log_fail(error, PLOG_IO, -result, "could not list directory \"%s\": %s", directory,
						strerror(-result));
	for (; prepared < options->min_free_segments; prepared++)
	{
		enum plog_code code = prepare_one(directory, ops, size, error);

		if (code != PLOG_OK)
			return code;
	}
	return PLOG_OK;
}
