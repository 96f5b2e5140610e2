/*
 * test_log_crash.c - the log over a disk whose power fails, or whose process dies, at any call: what was
 * reported durable is there after it, the rest is some state in between, and nothing is taken for rot.
 */
#include "unit.h"

#include "fake_disk.h"
#include "log_model.h"

#include <stdlib.h>
#include <string.h>

/* What the check reads is no part of the story. */
static bool check(struct model *model, struct fake_disk *disk)
{
	bool right;

	fake_disk_suspend(disk, true);
	right = model_check_recovered(model, false);
	fake_disk_suspend(disk, false);
	return right;
}

/* D6: what a cluster of one does with a doubtful tail. */
static enum plog_code forgive(struct model *model)
{
	enum plog_code code = PLOG_OK;

	if (model->state.paxos.damage.damaged)
		code = plog_forgive_doubt(model->log, &model->state, &model->error);
	if (code == PLOG_OK && model->state.paxos.damage.damaged)
		abort();
	return code;
}

/* One life: open, judge, some steps.  Ends by the disk's stop, or after "steps". */
static bool live(struct model *model, struct fake_disk *disk, unsigned steps, unsigned *doubts,
				 enum plog_code *code)
{
	model->options.trim_files_max = fake_disk_random(&model->random) % 3;
	*code = model_open(model, fake_disk_ops(disk));
	if (*code != PLOG_OK)
		return *code == PLOG_IO;
	if (!check(model, disk))
		return false;
	if (model->state.paxos.damage.damaged)
		++*doubts;
	*code = forgive(model);
	if (*code != PLOG_OK)
		return *code == PLOG_IO;
	if (fake_disk_random(&model->random) % 3 == 0)
		plog_prepare_segments("/log", fake_disk_ops(disk), &model->options, NULL);
	while (steps-- > 0 && model->last + 40 < MODEL_STEPS)
	{
		*code = model_random_step(model);
		if (*code != PLOG_OK)
			return *code == PLOG_IO;
	}
	return true;
}

/* A dead log says PLOG_IO whatever is asked of it. */
static bool stays_dead(struct model *model)
{
	uint64_t durable;
	struct paxos_write write = {.id = model->id + 1, .type = PAXOS_WRITE_PROMISE, .epoch = 1};

	return plog_sync(model->log, &durable, &model->error) == PLOG_IO &&
		   plog_write(model->log, &write, &model->error) == PLOG_IO &&
		   plog_write_completion(model->log, &model->error) == PLOG_IO &&
		   plog_set_config(model->log, (const uint8_t *) "x", 1, &model->error) == PLOG_IO &&
		   plog_trim(model->log, 1, &model->error) == PLOG_IO;
}

static bool one_seed(uint64_t seed, unsigned *doubts)
{
	struct fake_disk *disk = fake_disk_new(seed);
	struct model *model = model_new(seed, 32768, seed % 3 * 4000);
	bool good = true;

	for (unsigned life = 0; life < 7 && good; life++)
	{
		uint64_t dice = fake_disk_random(&model->random);
		enum plog_code code;

		if (life < 6 && dice % 4 != 0)
			fake_disk_stop_after(disk, dice % 7 == 0 ? dice / 16 % 40 : 20 + dice / 16 % 120);
		else if (dice % 8 == 0)
			fake_disk_fail_sync(disk, 1 + dice / 16 % 20);
		good = live(model, disk, 40, doubts, &code);
		if (good && model->log != NULL && code == PLOG_IO)
			good = stays_dead(model);
		model_close(model);
		if (fake_disk_random(&model->random) % 3 == 0)
			fake_disk_kill(disk);
		else
			fake_disk_crash(disk);
	}
	if (!good)
		printf("# seed %" PRIu64 ": %s\n", seed, model->error.message);
	model_free(model);
	fake_disk_free(disk);
	return good;
}

static void random_lives(uint64_t first, uint64_t count)
{
	unsigned doubts = 0;
	unsigned failed = 0;

	for (uint64_t seed = first; seed < first + count && failed < 5; seed++)
	{
		if (!one_seed(seed, &doubts))
			failed++;
	}
	ok(failed == 0, "%" PRIu64 " seeds of seven lives each", count);
	ok(doubts > 0, "some of them ended in doubt (%u)", doubts);
}

/* A fixed story, stopped after each of its calls in turn, recovery's and creation's among them. */
static bool story(struct model *model, struct fake_disk *disk)
{
	struct paxos_ballot one = {1, 0, 1};
	struct paxos_ballot two = {2, 0, 2};

	if (model_open(model, fake_disk_ops(disk)) != PLOG_OK || !check(model, disk))
		return false;
	return model_promise(model, one) == PLOG_OK && model_sync(model) == PLOG_OK &&
		   model_append(model, one, 3, 500) == PLOG_OK && model_sync(model) == PLOG_OK &&
		   model_append(model, one, 3, 5000) == PLOG_OK && model_sync(model) == PLOG_OK &&
		   plog_write_completion(model->log, &model->error) == PLOG_OK &&
		   model_promise(model, two) == PLOG_OK && model_install(model, two, 2, 9, true) == PLOG_OK &&
		   model_sync(model) == PLOG_OK && model_append(model, two, 4, 3000) == PLOG_OK &&
		   model_sync(model) == PLOG_OK && model_trim(model, 8) == PLOG_OK;
}

static void every_call(void)
{
	unsigned wrong = 0;
	uint64_t calls = 1;

	for (uint64_t at = 0; at <= calls; at++)
	{
		for (uint64_t seed = 0; seed < 4; seed++)
		{
			struct fake_disk *disk = fake_disk_new(at * 4 + seed);
			struct model *model = model_new(at, 32768, 0);
			bool whole;

			fake_disk_stop_after(disk, at);
			whole = story(model, disk);
			calls = fake_disk_calls(disk) + 1;
			if (!whole && !fake_disk_stopped(disk))
				wrong++;
			model_close(model);
			fake_disk_crash(disk);
			/* And at some call of the recovery after it. */
			fake_disk_stop_after(disk, (at * 7 + seed * 13) % 70);
			if (model_open(model, fake_disk_ops(disk)) == PLOG_OK && !check(model, disk))
				wrong++;
			model_close(model);
			fake_disk_crash(disk);
			if (model_open(model, fake_disk_ops(disk)) != PLOG_OK || !check(model, disk))
				wrong++;
			model_free(model);
			fake_disk_free(disk);
		}
	}
	ok(wrong == 0, "a crash after each of %" PRIu64 " calls of a story (%u wrong)", calls, wrong);
	ok(calls > 60, "the story has calls enough");
}

static bool same_block(const struct fake_disk *a, const struct fake_disk *b, const char *path)
{
	uint8_t x[4096];
	uint8_t y[4096];

	fake_disk_get(a, path, 0, x, sizeof x);
	fake_disk_get(b, path, 0, y, sizeof y);
	return memcmp(x, y, sizeof x) == 0;
}

/* One copy of the metadata is bad: the good one is not touched before the bad one is written again. */
static void bad_copy_first(void)
{
	static const char *const names[2] = {"/log/metadata.1", "/log/metadata.2"};
	unsigned wrong = 0;
	unsigned touched = 0;

	for (uint64_t at = 0; at < 60; at++)
	{
		struct fake_disk *disk = fake_disk_new(at);
		struct model *model = model_new(at, 32768, 0);
		struct fake_disk *before;

		if (model_open(model, fake_disk_ops(disk)) != PLOG_OK)
			abort();
		model_close(model);
		fake_disk_flip(disk, names[at % 2], 100, 1);
		before = fake_disk_clone(disk, at);
		fake_disk_stop_after(disk, at / 2);
		model_open(model, fake_disk_ops(disk));
		model_close(model);
		touched += !same_block(disk, before, names[1 - at % 2]);
		wrong += !same_block(disk, before, names[1 - at % 2]) && same_block(disk, before, names[at % 2]);
		fake_disk_crash(disk);
		wrong += model_open(model, fake_disk_ops(disk)) != PLOG_OK;
		model_free(model);
		fake_disk_free(before);
		fake_disk_free(disk);
	}
	ok(wrong == 0 && touched > 0, "a bad copy of the metadata is repaired first (%u wrong)", wrong);
}

/* A trimmed segment's file in use again, and the crash brings its old name back, if the log lets it. */
static void recycled_and_crash(void)
{
	struct paxos_ballot one = {1, 0, 1};
	unsigned wrong = 0;

	for (uint64_t seed = 0; seed < 400; seed++)
	{
		struct fake_disk *disk = fake_disk_new(seed);
		struct model *model = model_new(seed, 32768, 0);
		bool written = model_open(model, fake_disk_ops(disk)) == PLOG_OK && check(model, disk);

		for (int i = 0; i < 8 && written; i++)
			written = model_append(model, one, 1, 3000) == PLOG_OK && model_sync(model) == PLOG_OK;
		if (!written || model_trim(model, 8) != PLOG_OK)
			abort();
		fake_disk_stop_after(disk, seed % 40);
		for (int i = 0; i < 8 && written; i++)
			written = model_append(model, one, 1, 3000) == PLOG_OK && model_sync(model) == PLOG_OK;
		model_close(model);
		fake_disk_crash(disk);
		wrong += model_open(model, fake_disk_ops(disk)) != PLOG_OK || !check(model, disk);
		model_free(model);
		fake_disk_free(disk);
	}
	ok(wrong == 0, "a crash while a recycled file is taken into use (%u wrong)", wrong);
}

int main(int argc, char **argv)
{
	if (argc == 3)
	{
		random_lives(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
		return done();
	}
	plan(6);
	every_call();
	bad_copy_first();
	recycled_and_crash();
	random_lives(1, 600);
	return done();
}
