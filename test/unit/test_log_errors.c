/*
 * test_log_errors.c - one file call that fails, each in its turn and with each kind of error: the log says so, never
 * tries again (D4), and the next life has everything that was called durable.
 */
#include "unit.h"

#include "fake_disk.h"
#include "log_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log/format.h"

static const struct paxos_ballot one = {1, 0, 1};
static const struct paxos_ballot two = {2, 0, 2};

enum call
{
	CALL_OPEN,
	CALL_PREAD,
	CALL_PWRITE,
	CALL_SYNC,
	CALL_SYNC_DIRECTORY,
	CALL_SIZE,
	CALL_RENAME,
	CALL_UNLINK,
	CALL_MAKE_DIRECTORY,
	CALL_LIST,
	CALL_LOCK,
	CALLS
};

static const char *const names[CALLS] = {"open",           "pread", "pwrite", "sync",
										 "sync_directory", "size",  "rename", "unlink",
										 "make_directory", "list",  "lock"};

/* The fake disk's calls, of which one fails without being made. */
static const struct file_ops *under;
static enum call failing;
static uint64_t fail_at; /* counted from 1; 0: never */
static int fail_with;
static uint64_t counted;
static bool failed;

static bool fails(enum call call)
{
	if (call != failing || ++counted != fail_at)
		return false;
	failed = true;
	return true;
}

static int over_open(void *context, const char *path, bool create, bool read_only)
{
	return fails(CALL_OPEN) ? -fail_with : under->open(context, path, create, read_only);
}

static int over_close(void *context, int handle)
{
	return under->close(context, handle);
}

static int64_t over_pread(void *context, int handle, void *buffer, size_t length, uint64_t offset)
{
	return fails(CALL_PREAD) ? -fail_with : under->pread(context, handle, buffer, length, offset);
}

static int64_t over_pwrite(void *context, int handle, const void *buffer, size_t length, uint64_t offset)
{
	return fails(CALL_PWRITE) ? -fail_with : under->pwrite(context, handle, buffer, length, offset);
}

static int over_sync(void *context, int handle)
{
	return fails(CALL_SYNC) ? -fail_with : under->sync(context, handle);
}

static int over_sync_directory(void *context, const char *path)
{
	return fails(CALL_SYNC_DIRECTORY) ? -fail_with : under->sync_directory(context, path);
}

static int64_t over_size(void *context, int handle)
{
	return fails(CALL_SIZE) ? -fail_with : under->size(context, handle);
}

static int over_rename(void *context, const char *from, const char *to)
{
	return fails(CALL_RENAME) ? -fail_with : under->rename(context, from, to);
}

static int over_unlink(void *context, const char *path)
{
	return fails(CALL_UNLINK) ? -fail_with : under->unlink(context, path);
}

static int over_make_directory(void *context, const char *path)
{
	return fails(CALL_MAKE_DIRECTORY) ? -fail_with : under->make_directory(context, path);
}

static int over_list(void *context, const char *path, void (*each)(void *argument, const char *name),
					 void *argument)
{
	return fails(CALL_LIST) ? -fail_with : under->list(context, path, each, argument);
}

static int over_lock(void *context, int handle)
{
	return fails(CALL_LOCK) ? -fail_with : under->lock(context, handle);
}

static struct file_ops failing_ops(struct fake_disk *disk, enum call call, uint64_t at, int with)
{
	under = fake_disk_ops(disk);
	failing = call;
	fail_at = at;
	fail_with = with;
	counted = 0;
	failed = false;
	return (struct file_ops){
		.context = under->context,
		.open = over_open,
		.close = over_close,
		.pread = over_pread,
		.pwrite = over_pwrite,
		.sync = over_sync,
		.sync_directory = over_sync_directory,
		.size = over_size,
		.rename = over_rename,
		.unlink = over_unlink,
		.make_directory = over_make_directory,
		.list = over_list,
		.lock = over_lock,
	};
}

/* ---------------------------------------------------------------- every call in its turn */

/* What is in the directory before: nothing, a log of several segments, one with a damaged record. */
enum past
{
	PAST_NONE,
	PAST_LOG,
	PAST_DAMAGED,
	PASTS
};

static const char *const pasts[PASTS] = {"a new log", "a log", "a damaged log"};

static enum plog_code write_some(struct model *model, unsigned count)
{
	enum plog_code code = PLOG_OK;

	for (unsigned i = 0; i < count && code == PLOG_OK; i++)
	{
		code = model_append(model, one, 1, 2500);
		if (code == PLOG_OK)
			code = model_sync(model);
	}
	return code;
}

static struct fake_disk *disk_with(enum past past)
{
	struct fake_disk *disk = fake_disk_new(1);
	struct model *model = model_new(1, 32768, 0);

	if (past == PAST_NONE)
	{
		model_free(model);
		return disk;
	}
	if (model_open(model, fake_disk_ops(disk)) != PLOG_OK || !model_check_recovered(model, false) ||
		write_some(model, 12) != PLOG_OK)
		abort();
	model_free(model);
	fake_disk_kill(disk);
	if (past == PAST_DAMAGED)
		fake_disk_flip(disk, "/log/segment.0000000000000001", format_data_offset(32768) + 6000, 1);
	return disk;
}

/* A life: start, promise, entries over a roll, a Sync, reads from disk, trim, configuration, prepared files. */
static enum plog_code live(struct model *model, const struct file_ops *ops, uint64_t *durable_end)
{
	enum plog_code code = model_open(model, ops);
	struct paxos_damage *damage = &model->state.paxos.damage;
	uint64_t first;

	if (code != PLOG_OK)
		return code;
	if (damage->damaged)
		return plog_prepare_segments("/log", ops, &model->options, &model->error);
	model->after[0].first_slot = model->state.paxos.first_slot;
	model->after[0].end = model->state.paxos.end;
	*durable_end = model->state.paxos.end;
	code = model_promise(model, two);
	for (unsigned i = 0; i < 12 && code == PLOG_OK; i++)
	{
		code = write_some(model, 1);
		if (code == PLOG_OK)
			*durable_end = model->after[model->last].end;
	}
	first = model->after[model->last].end - 10;
	for (uint64_t slot = first; slot < first + 10 && code == PLOG_OK; slot++)
	{
		struct paxos_entry entry;

		code = plog_read(model->log, slot, &entry, &model->error);
		plog_release_reads(model->log);
	}
	if (code == PLOG_OK)
		code = plog_write_completion(model->log, &model->error);
	if (code == PLOG_OK)
		code = model_trim(model, first + 8);
	if (code == PLOG_OK)
		code = plog_set_config(model->log, (const uint8_t *) "c", 1, &model->error);
	if (code == PLOG_OK)
		code = plog_prepare_segments("/log", ops, &model->options, &model->error);
	return code;
}

/* The log that failed once takes nothing more. */
static bool stays_dead(struct model *model)
{
	struct paxos_write write = {
		.id = model->id + 1, .type = PAXOS_WRITE_PROMISE, .epoch = 1, .ballot = {9, 0, 1}};
	struct paxos_entry entry;
	uint64_t durable;

	return plog_write(model->log, &write, NULL) == PLOG_IO &&
		   plog_sync(model->log, &durable, NULL) == PLOG_IO &&
		   plog_read(model->log, model->after[model->last].end, &entry, NULL) == PLOG_IO &&
		   plog_write_completion(model->log, NULL) == PLOG_IO && plog_trim(model->log, 1, NULL) == PLOG_IO &&
		   plog_set_config(model->log, NULL, 0, NULL) == PLOG_IO;
}

static bool next_life_right(struct fake_disk *disk, struct model *model, bool damaged, uint64_t durable_end)
{
	enum plog_code code;

	model_close(model);
	fake_disk_kill(disk);
	code = model_open(model, fake_disk_ops(disk));
	if (code != PLOG_OK || model->state.paxos.damage.damaged != damaged ||
		(!damaged && model->state.paxos.end < durable_end))
	{
		printf("# next life: code %d, damaged %d, end %" PRIu64 " of %" PRIu64 ", %s\n", code,
			   model->state.paxos.damage.damaged, model->state.paxos.end, durable_end, model->error.message);
		return false;
	}
	return true;
}

/* Whether that code may be the answer to such an error. */
static bool code_fits(int with, enum plog_code code, const char *message)
{
	if (code == PLOG_IO)
		return true;
	/* A courtesy or a try that may fail, or a block that can't be read and so is taken for bad. */
	if (code == PLOG_OK)
		return true;
	/* No room is nobody's death, as long as it is for a file that is still being made. */
	return (with == ENOSPC || with == EDQUOT) && code == PLOG_NO_SPACE &&
		   (strstr(message, "make a log segment") != NULL || strstr(message, "prepar") != NULL ||
			strstr(message, "README") != NULL);
}

struct tally
{
	unsigned tried;
	unsigned told;
	unsigned wrong;
};

/* The n-th of these calls fails.  False: there are not so many. */
static bool one_failure(enum past past, enum call call, uint64_t n, int with, struct tally *tally)
{
	struct fake_disk *disk = disk_with(past);
	struct model *model = model_new(1, 32768, 0);
	struct file_ops ops = failing_ops(disk, call, n, with);
	uint64_t durable_end = past == PAST_LOG ? 12 : 0;
	enum plog_code code = live(model, &ops, &durable_end);
	bool reached = failed;
	bool right = code_fits(with, code, model->error.message);
	bool damaged = past == PAST_DAMAGED;

	if (reached)
	{
		tally->tried++;
		tally->told += code != PLOG_OK;
		if (code != PLOG_OK && strstr(model->error.message, "/log") == NULL)
			right = false;
		/* What prepares files is another process, whose failures are not the log's. */
		if (code == PLOG_IO && model->log != NULL && strstr(model->error.message, "prepar") == NULL &&
			strstr(model->error.message, "list directory") == NULL)
			right = right && stays_dead(model);
		fail_at = 0;
		/* A block that could not be read was taken for damage (D6), for good. */
		if (call == CALL_PREAD && with == EIO)
			model_close(model);
		else
			right = next_life_right(disk, model, damaged, durable_end) && right;
		if (!right)
		{
			printf("# %s, %s number %" PRIu64 " fails with %s: code %d, %s\n", pasts[past], names[call], n,
				   strerror(with), code, model->error.message);
			tally->wrong++;
		}
	}
	model_free(model);
	fake_disk_free(disk);
	return reached;
}

static void every_call(enum past past, int with)
{
	struct tally tally = {0};

	for (enum call call = 0; call < CALLS; call++)
		for (uint64_t n = 1; tally.wrong < 5 && one_failure(past, call, n, with, &tally); n++)
			;
	ok(tally.wrong == 0 && tally.tried > 40, "%s, %u calls that fail with %s in their turn", pasts[past],
	   tally.tried, strerror(with));
	ok(tally.told > tally.tried / 2, "most are told (%u); the rest does not matter", tally.told);
}

int main(void)
{
	for (enum past past = 0; past < PASTS; past++)
	{
		every_call(past, EIO);
		every_call(past, EACCES);
		every_call(past, ENOSPC);
		every_call(past, EDQUOT);
	}
	return done();
}
