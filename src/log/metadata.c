/*
 * metadata.c - promise, run counter, store id and configuration: one block in each of two files (B4).
 *
 * A change is written to both, one after the other, and a bad copy always first, so that at every moment
 * one good copy is there.  Run 0 says that the directory was never used: nothing was told to anyone.
 */
#include "log/internal.h"

#include <errno.h>
#include <string.h>

static const char *const names[2] = {"metadata.1", "metadata.2"};

/* A later epoch's promise, a higher one of the same, a higher run: none of them ever falls (B4). */
static void keep_higher(struct plog_metadata *into, const struct plog_metadata *from)
{
	if (from->promise_epoch > into->promise_epoch || (from->promise_epoch == into->promise_epoch &&
													  paxos_ballot_compare(from->promise, into->promise) > 0))
	{
		into->promise = from->promise;
		into->promise_epoch = from->promise_epoch;
	}
	if (from->run > into->run)
		into->run = from->run;
}

/* Takes over what a good copy says; of two, the newer one's, and the highest promise and run. */
static void merge(struct plog_metadata *into, const struct plog_metadata *copy, bool first)
{
	struct plog_metadata before = *into;

	if (first || copy->sequence > into->sequence)
		*into = *copy;
	if (first)
		return;
	keep_higher(into, &before);
	keep_higher(into, copy);
}

/* One copy; absent or bad leaves metadata_good false. */
static enum plog_code read_copy(struct plog *log, int which, bool *there, struct plog_metadata *copy,
								struct plog_error *error)
{
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	uint8_t block[PLOG_BLOCK];
	enum format_verdict verdict;
	int64_t result;

	*there = false;
	log_path(log, names[which], path);
	result = log->ops->open(log->ops->context, path, false, false);
	if (result == -ENOENT)
		return PLOG_OK;
	if (result < 0)
		return log_fail_io(log, error, result, "open", names[which]);
	*there = true;
	log->metadata_handles[which] = (int) result;
	result = log_read_tolerant(log, log->metadata_handles[which], block, PLOG_BLOCK, 0);
	if (result < 0)
		return log_fail_io(log, error, result, "read", names[which]);
	if (result < PLOG_BLOCK)
		return PLOG_OK;
	verdict = format_get_metadata(block, copy);
	if (verdict == FORMAT_UNKNOWN)
		return log_fail(error, PLOG_UNKNOWN, 0,
						"file \"%s/%s\" has a format version that this release does not know", log->directory,
						names[which]);
	log->metadata_good[which] = verdict == FORMAT_GOOD;
	return PLOG_OK;
}

enum plog_code log_metadata_read(struct plog *log, bool *found, struct plog_error *error)
{
	bool any_good = false;

	*found = false;
	for (int which = 0; which < 2; which++)
	{
		struct plog_metadata copy;
		bool there;
		enum plog_code code = read_copy(log, which, &there, &copy, error);

		if (code != PLOG_OK)
			return code;
		*found = *found || there;
		if (log->metadata_good[which] && any_good &&
			memcmp(copy.store_id.bytes, log->metadata.store_id.bytes, sizeof copy.store_id.bytes) != 0)
			return log_fail(error, PLOG_CORRUPT, 0,
							"files \"%s\" and \"%s\" in directory \"%s\" are of different stores", names[0],
							names[1], log->directory);
		if (log->metadata_good[which])
		{
			merge(&log->metadata, &copy, !any_good);
			any_good = true;
		}
	}
	if (*found && !any_good)
		return log_fail(error, PLOG_CORRUPT, 0,
						"both copies of the metadata, \"%s/%s\" and \"%s/%s\", are damaged", log->directory,
						names[0], log->directory, names[1]);
	return PLOG_OK;
}

/* Under a temporary name first: a copy that is there is whole. */
static enum plog_code create_copy(struct plog *log, int which, const uint8_t block[PLOG_BLOCK],
								  struct plog_error *error)
{
	char temporary[PLOG_PATH_MAX + PLOG_NAME_MAX];
	char path[PLOG_PATH_MAX + PLOG_NAME_MAX];
	int64_t result;

	log_path(log, which == 0 ? "metadata.1.new" : "metadata.2.new", temporary);
	log_path(log, names[which], path);
	result = log->ops->open(log->ops->context, temporary, true, false);
	if (result < 0)
		return log_fail_io(log, error, result, "create", names[which]);
	log->metadata_handles[which] = (int) result;
	result = log->ops->pwrite(log->ops->context, log->metadata_handles[which], block, PLOG_BLOCK, 0);
	if (result >= 0)
		result = log->ops->sync(log->ops->context, log->metadata_handles[which]);
	if (result >= 0)
		result = log->ops->rename(log->ops->context, temporary, path);
	if (result < 0)
		return log_fail_io(log, error, result, "write", names[which]);
	log->metadata_good[which] = true;
	return log_sync_directory(log, error);
}

static enum plog_code write_copy(struct plog *log, int which, const uint8_t block[PLOG_BLOCK],
								 struct plog_error *error)
{
	int64_t result;

	if (log->metadata_handles[which] < 0)
		return create_copy(log, which, block, error);
	log->metadata_good[which] = false;
	result = log->ops->pwrite(log->ops->context, log->metadata_handles[which], block, PLOG_BLOCK, 0);
	if (result < 0)
		return log_fail_io(log, error, result, "write", names[which]);
	result = log->ops->sync(log->ops->context, log->metadata_handles[which]);
	if (result < 0)
		return log_fail_io(log, error, result, "sync", names[which]);
	log->metadata_good[which] = true;
	return PLOG_OK;
}

enum plog_code log_metadata_write(struct plog *log, struct plog_error *error)
{
	uint8_t block[PLOG_BLOCK];
	int first = log->metadata_good[0] && !log->metadata_good[1] ? 1 : 0;
	enum plog_code code;

	log->metadata.sequence++;
	format_put_metadata(block, &log->metadata);
	code = write_copy(log, first, block, error);
	if (code == PLOG_OK)
		code = write_copy(log, 1 - first, block, error);
	if (code == PLOG_OK)
		log->metadata_dirty = false;
	return code;
}
