/*
 * test_log_holes.c - acknowledged records that rotted where the markers say exactly what they were (D7): recovery
 * steps over them, all else stays readable, and what slots held can be put back.  Where it is not sure it does as
 * test_log_damage.c says.
 */
#include "unit.h"

#include "log_scene.h"

#include <stdlib.h>
#include <string.h>

#include "log/format.h"
#include "paxos/holes.h"

static const struct paxos_ballot one = {1, 0, 1};
static const struct paxos_ballot two = {2, 0, 2};
/* Of an entry. */
#define PAYLOAD 200

static const char first_segment[] = "/log/segment.0000000000000001";

static enum plog_code reopen(struct scene *scene)
{
	scene->model->id = 0;
	return reopen_killed(scene);
}

/* Syncs of that many entries each at ballot 1, all known completed. */
static struct scene entries(unsigned syncs, unsigned each)
{
	struct scene scene = open_scene(1, 65536, 0);

	for (unsigned i = 0; i < syncs; i++)
		if (model_append(scene.model, one, each, PAYLOAD) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	if (plog_write_completion(scene.model->log, NULL) != PLOG_OK)
		abort();
	return scene;
}

/* All records are of one size. */
static void zero(const struct scene *scene, uint64_t slot)
{
	static const uint8_t zeros[PLOG_RECORD_HEADER + PAYLOAD];
	uint64_t data = format_data_offset((uint64_t) fake_disk_size(scene->disk, first_segment));

	fake_disk_put(scene->disk, first_segment, data + (slot - 1) * sizeof zeros, zeros, sizeof zeros);
}

static bool misses(const struct scene *scene, uint64_t first, uint64_t last, uint64_t end)
{
	const struct paxos_durable_state *got = &scene->model->state.paxos;

	return got->damage.damaged && !got->damage.doubtful && got->holes.n == 1 &&
		   got->holes.at[0].first == first && got->holes.at[0].last == last && got->holes.end == end &&
		   got->end == first - 1 && got->damage.lowest_written == first && got->damage.named_slot == end &&
		   scene->model->state.damage_place[0] != '\0';
}

static bool is_whole(const struct scene *scene, uint64_t end)
{
	const struct paxos_durable_state *got = &scene->model->state.paxos;

	return !got->damage.damaged && got->holes.n == 0 && got->end == end;
}

/* The slot reads as the model says, whatever ballot its record has. */
static bool reads_truly(struct model *model, const struct model_log *truth, uint64_t slot)
{
	static uint8_t bytes[MODEL_PAYLOAD_MAX];
	const struct model_entry *expected = &truth->entries[slot];
	struct paxos_entry got;
	bool same = plog_read(model->log, slot, &got, &model->error) == PLOG_OK && got.length == expected->length;

	model_fill(bytes, expected->length, expected->content);
	same = same && memcmp(got.bytes, bytes, got.length) == 0;
	plog_release_reads(model->log);
	return same;
}

static enum plog_code put_back(struct scene *scene, const struct model_log *truth, uint64_t slot, uint32_t n)
{
	static uint8_t bytes[4][MODEL_PAYLOAD_MAX];
	struct paxos_entry entries[4];
	struct paxos_write write = {.id = ++scene->model->id,
								.type = PAXOS_WRITE_REPAIR,
								.epoch = 1,
								.ballot = scene->model->state.paxos.accepted,
								.first_slot = slot,
								.n_entries = n,
								.entries = entries};

	for (uint32_t i = 0; i < n; i++)
	{
		const struct model_entry *entry = &truth->entries[slot + i];

		model_fill(bytes[i], entry->length, entry->content);
		entries[i] = (struct paxos_entry){bytes[i], entry->length};
	}
	return plog_write(scene->model->log, &write, &scene->model->error);
}

static enum plog_code sync_log(struct scene *scene)
{
	uint64_t durable;

	return plog_sync(scene->model->log, &durable, &scene->model->error);
}

/* ---------------------------------------------------------------- the list */

static void lists(void)
{
	struct paxos_holes h = {0};

	ok(holes_add(&h, 5, 9) && holes_add(&h, 10, 10) && holes_add(&h, 20, 29) && h.n == 2,
	   "neighbours are joined");
	ok(holes_find(&h, 4) == NULL && holes_find(&h, 10) == &h.at[0] && holes_find(&h, 11) == NULL,
	   "and found");
	ok(holes_next(&h, 1) == 5 && holes_next(&h, 7) == 7 && holes_next(&h, 11) == 20 &&
		   holes_next(&h, 30) == 0,
	   "the next one from a slot on");
	ok(holes_fill(&h, 5) && holes_fill(&h, 10) && h.at[0].first == 6 && h.at[0].last == 9,
	   "filled from its ends");
	ok(holes_fill(&h, 25) && h.n == 3 && h.at[1].last == 24 && h.at[2].first == 26,
	   "in the middle it is split");
	ok(holes_fill(&h, 25) && h.n == 3, "what is not missing changes nothing");
	holes_trim(&h, 8);
	ok(h.n == 3 && h.at[0].first == 8, "a log that begins later misses less");
	holes_cut(&h, 26);
	ok(h.n == 3 && h.at[2].last == 26, "one that ends earlier, too");
	holes_cut(&h, 20);
	holes_trim(&h, 10);
	ok(h.n == 1 && h.at[0].first == 20 && h.at[0].last == 20, "whole ranges go");
	ok(holes_fill(&h, 20) && h.n == 0, "and the last slot");
	for (uint64_t i = 0; i < PAXOS_MAX_HOLES; i++)
		holes_add(&h, 10 * i + 1, 10 * i + 5);
	ok(!holes_add(&h, 9001, 9001) && !holes_fill(&h, 3) && h.n == PAXOS_MAX_HOLES, "a full list says so");
}

/* ---------------------------------------------------------------- found */

static void one_record(void)
{
	unsigned wrong = 0;

	/* Before slot 1 no ballot is accepted yet, other than after it. */
	for (uint64_t slot = 2; slot <= 6; slot++)
	{
		struct scene scene = entries(3, 2);
		const struct model_log *truth = &scene.model->after[scene.model->last];
		struct paxos_entry entry;

		zero(&scene, slot);
		wrong += reopen(&scene) != PLOG_OK || !misses(&scene, slot, slot, 6);
		for (uint64_t other = 1; other <= 6; other++)
			wrong += other != slot && !reads_truly(scene.model, truth, other);
		wrong += plog_read(scene.model->log, slot, &entry, &scene.model->error) != PLOG_CORRUPT ||
				 strstr(scene.model->error.message, "segment.0000000000000001\", offset") == NULL;
		wrong += reopen(&scene) != PLOG_OK || !misses(&scene, slot, slot, 6);
		close_scene(&scene);
	}
	ok(wrong == 0,
	   "a record that is zeroed, header and all, is missed; the others are there, a start later, too");
}

static void several(void)
{
	struct scene scene = entries(6, 3);
	const struct model_log *truth = &scene.model->after[scene.model->last];
	const struct paxos_holes *holes = &scene.model->state.paxos.holes;

	for (uint64_t slot = 4; slot <= 9; slot++)
		zero(&scene, slot);
	zero(&scene, 14);
	zero(&scene, 18);
	ok(reopen(&scene) == PLOG_OK && holes->n == 3 && holes->at[0].first == 4 && holes->at[0].last == 9 &&
		   holes->at[1].first == 14 && holes->at[1].last == 14 && holes->at[2].first == 18 &&
		   holes->end == 18,
	   "two syncs as a whole, one record among others, and the last");
	ok(reads_truly(scene.model, truth, 3) && reads_truly(scene.model, truth, 10) &&
		   reads_truly(scene.model, truth, 15) && reads_truly(scene.model, truth, 17),
	   "what is between them is there");
	close_scene(&scene);
}

static void too_many(void)
{
	struct scene scene = open_scene(1, 1u << 20, 0);

	for (int i = 0; i < 140; i++)
		if (model_append(scene.model, one, 1, PAYLOAD) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	plog_write_completion(scene.model->log, NULL);
	for (uint64_t slot = 2; slot <= 2 * PAXOS_MAX_HOLES; slot += 2)
		zero(&scene, slot);
	ok(reopen(&scene) == PLOG_OK && scene.model->state.paxos.holes.n == PAXOS_MAX_HOLES,
	   "%d holes are told apart", PAXOS_MAX_HOLES);
	zero(&scene, 2 * PAXOS_MAX_HOLES + 2);
	ok(reopen(&scene) == PLOG_OK && scene.model->state.paxos.holes.n == 0 &&
		   scene.model->state.paxos.damage.damaged && scene.model->state.paxos.end == 1,
	   "with more the log is whole before the first bad record, and no more");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- not sure */

static void unsure(void)
{
	struct scene scene = entries(3, 2);
	const struct paxos_durable_state *got = &scene.model->state.paxos;

	if (model_append(scene.model, one, 1, PAYLOAD) != PLOG_OK ||
		model_install(scene.model, two, 7, 9, false) != PLOG_OK || model_sync(scene.model) != PLOG_OK ||
		plog_write_completion(scene.model->log, NULL) != PLOG_OK)
		abort();
	zero(&scene, 7);
	ok(reopen(&scene) == PLOG_OK && got->damage.damaged && got->holes.n == 0 && got->end == 6,
	   "with a Sync in the same sync nothing is stepped over");
	close_scene(&scene);

	scene = entries(3, 2);
	got = &scene.model->state.paxos;
	zero(&scene, 3);
	fake_disk_flip(scene.disk, first_segment, format_marker_offset(1) + 20, 1);
	ok(reopen(&scene) == PLOG_OK && got->damage.damaged && got->holes.n == 0 && got->end == 2,
	   "nor where the marker is bad");
	close_scene(&scene);

	scene = entries(3, 2);
	got = &scene.model->state.paxos;
	if (model_append(scene.model, one, 2, PAYLOAD) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
		abort();
	zero(&scene, 8);
	ok(reopen(&scene) == PLOG_OK && got->damage.doubtful && got->holes.n == 0 && got->end == 7,
	   "nor where the sync may not have completed");
	close_scene(&scene);

	scene = entries(3, 2);
	got = &scene.model->state.paxos;
	if (model_append(scene.model, one, 2, PAYLOAD) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
		abort();
	zero(&scene, 3);
	zero(&scene, 8);
	ok(reopen(&scene) == PLOG_OK && got->damage.damaged && !got->damage.doubtful && got->holes.n == 0 &&
		   got->end == 2,
	   "nor an older one, if so");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- put back */

static void repaired(void)
{
	struct scene scene = entries(6, 3);
	const struct model_log *truth = &scene.model->after[scene.model->last];
	bool all = true;

	for (uint64_t slot = 7; slot <= 9; slot++)
		zero(&scene, slot);
	ok(reopen(&scene) == PLOG_OK && misses(&scene, 7, 9, 18), "three are missing");
	ok(put_back(&scene, truth, 7, 2) == PLOG_OK && reads_truly(scene.model, truth, 8),
	   "what is put back can be read at once");
	ok(sync_log(&scene) == PLOG_OK && reads_truly(scene.model, truth, 8), "and from the disk");
	ok(reopen(&scene) == PLOG_OK && misses(&scene, 9, 9, 18), "one is missing after another start");
	ok(put_back(&scene, truth, 9, 1) == PLOG_OK && sync_log(&scene) == PLOG_OK, "it is put back");
	ok(reopen(&scene) == PLOG_OK && is_whole(&scene, 18), "the log is whole");
	for (uint64_t slot = 1; slot <= 18; slot++)
		all = all && reads_truly(scene.model, truth, slot);
	ok(all, "and every slot as it was");
	scene.model->id = 0;
	scene.model->after[0] = *truth;
	scene.model->last = scene.model->durable = 0;
	ok(model_append(scene.model, one, 3, 100) == PLOG_OK && model_sync(scene.model) == PLOG_OK, "it goes on");
	ok(reopen(&scene) == PLOG_OK && is_whole(&scene, 21), "a start later, too");
	for (uint64_t slot = 1; slot <= 21; slot++)
		all = all && reads_truly(scene.model, &scene.model->after[scene.model->last], slot);
	ok(all, "with all that was there");
	close_scene(&scene);
}

static void healed_otherwise(void)
{
	struct scene scene = entries(6, 3);
	struct model *model = scene.model;

	zero(&scene, 8);
	zero(&scene, 15);
	ok(reopen(&scene) == PLOG_OK && model->state.paxos.holes.n == 2, "two are missing");
	model->after[0] = model->after[model->last];
	model->last = model->durable = 0;
	ok(model_install(model, two, 7, 11, false) == PLOG_OK && model_sync(model) == PLOG_OK, "a Sync");
	ok(reopen(&scene) == PLOG_OK && is_whole(&scene, 11), "heals all of it");
	close_scene(&scene);

	scene = entries(6, 3);
	zero(&scene, 8);
	zero(&scene, 15);
	ok(reopen(&scene) == PLOG_OK && plog_trim(scene.model->log, 9, NULL) == PLOG_OK &&
		   reopen(&scene) == PLOG_OK && misses(&scene, 15, 15, 18),
	   "a trim takes what is before it");
	ok(plog_trim(scene.model->log, 16, NULL) == PLOG_OK && reopen(&scene) == PLOG_OK && is_whole(&scene, 18),
	   "behind the last one the log is whole");
	close_scene(&scene);
}

/* T5: a start that finishes installing a snapshot tells the core what the log is then. */
static void restored_at_start(void)
{
	struct scene scene = entries(6, 3);
	struct plog_state *state = &scene.model->state;

	zero(&scene, 8);
	zero(&scene, 15);
	ok(plog_begin_restore(scene.model->log, 9, NULL) == PLOG_OK && reopen(&scene) == PLOG_OK &&
		   state->restoring == 9 && state->paxos.holes.n == 2,
	   "a snapshot was being installed, and two entries are missing");
	state->paxos.applied = 9;
	ok(plog_trim(scene.model->log, 10, NULL) == PLOG_OK, "the database has it");
	plog_refresh_state(scene.model->log, state);
	ok(state->restoring == 0 && state->paxos.first_slot == 10 && state->paxos.applied == 9 &&
		   misses(&scene, 15, 15, 18),
	   "then one is missing");
	ok(plog_begin_restore(scene.model->log, 20, NULL) == PLOG_OK && reopen(&scene) == PLOG_OK &&
		   plog_trim(scene.model->log, 21, NULL) == PLOG_OK,
	   "the same with one from behind the end");
	plog_refresh_state(scene.model->log, state);
	ok(state->paxos.first_slot == 21 && is_whole(&scene, 20), "then nothing is");
	close_scene(&scene);
}

/* The segment that a slot's record rotted in may go before the record that put the slot back. */
static void repaired_and_trimmed(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	const struct paxos_durable_state *got = &scene.model->state.paxos;
	const struct model_log *truth;
	uint64_t room;
	uint64_t last;

	for (int i = 0; i < 40; i++)
		if (model_append(scene.model, one, 2, PAYLOAD) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	plog_write_completion(scene.model->log, NULL);
	truth = &scene.model->after[scene.model->last];
	room = (uint64_t) fake_disk_size(scene.disk, first_segment);
	last = (room - format_data_offset(room)) / (PLOG_RECORD_HEADER + PAYLOAD);
	zero(&scene, last - 1);
	zero(&scene, last);
	ok(reopen(&scene) == PLOG_OK && misses(&scene, last - 1, last, 80), "the last records of a segment");
	ok(put_back(&scene, truth, last - 1, 2) == PLOG_OK && sync_log(&scene) == PLOG_OK &&
		   plog_trim(scene.model->log, last, NULL) == PLOG_OK &&
		   fake_disk_size(scene.disk, first_segment) == -1,
	   "are put back, and the segment is trimmed");
	ok(reopen(&scene) == PLOG_OK && is_whole(&scene, 80) && got->first_slot == last,
	   "the next start finds the log whole");
	ok(reads_truly(scene.model, truth, last) && reads_truly(scene.model, truth, last + 1) &&
		   reads_truly(scene.model, truth, 80),
	   "with the one that was put back");
	ok(reopen(&scene) == PLOG_OK && is_whole(&scene, 80) && reads_truly(scene.model, truth, last),
	   "and so does the one after it");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- by seeds */

/* The path of some segment file, and an offset among its records. */
static void flip_something(struct scene *scene)
{
	const char *names[64];
	size_t n = 0;
	uint64_t dice = fake_disk_random(&scene->model->random);

	for (size_t i = 0; fake_disk_name(scene->disk, i) != NULL && n < 64; i++)
		if (strncmp(fake_disk_name(scene->disk, i), "/log/segment.", 13) == 0)
			names[n++] = fake_disk_name(scene->disk, i);
	fake_disk_flip(scene->disk, names[dice % n], 16384 + (dice >> 8) % 16384,
				   (uint8_t) (1u << (dice >> 40) % 8));
}

/* All that is missing comes back, in pieces, with crashes between. */
static bool repair_all(struct scene *scene, const struct model_log *truth)
{
	const struct paxos_durable_state *got = &scene->model->state.paxos;

	for (int tries = 0; got->damage.damaged && tries < 100; tries++)
	{
		struct paxos_holes missing = got->holes;
		uint64_t dice = fake_disk_random(&scene->model->random);

		if (missing.n == 0)
			return false;
		for (uint64_t slot; (slot = holes_next(&missing, 1)) != 0;)
		{
			uint32_t n = 1 + (uint32_t) (dice % 3);
			uint64_t last = holes_find(&missing, slot)->last;

			if (n > last - slot + 1)
				n = (uint32_t) (last - slot + 1);
			if (put_back(scene, truth, slot, n) != PLOG_OK)
				return false;
			for (uint32_t i = 0; i < n; i++)
				holes_fill(&missing, slot + i);
			dice = fake_disk_random(&scene->model->random);
			if (dice % 4 == 0 && sync_log(scene) != PLOG_OK)
				return false;
			if (dice % 5 == 0)
				break;
		}
		if (dice % 3 != 0 && sync_log(scene) != PLOG_OK)
			return false;
		model_close(scene->model);
		if (dice % 7 == 0)
			fake_disk_crash(scene->disk);
		if (reopen(scene) != PLOG_OK)
			return false;
	}
	return is_whole(scene, truth->end);
}

/* What was put back stays, wherever the log begins later. */
static bool trims_well(struct scene *scene, const struct model_log *truth)
{
	const struct paxos_durable_state *got = &scene->model->state.paxos;
	bool good = true;

	while (good && got->first_slot < truth->end)
	{
		uint64_t left = truth->end - got->first_slot;
		uint64_t first = got->first_slot + 1 + fake_disk_random(&scene->model->random) % (left / 4 + 1);

		good = plog_trim(scene->model->log, first, NULL) == PLOG_OK && reopen(scene) == PLOG_OK &&
			   is_whole(scene, truth->end) && got->first_slot == first;
		for (uint64_t slot = first; slot <= truth->end && good; slot++)
			good = reads_truly(scene->model, truth, slot);
	}
	return good;
}

static bool holes_of_a_random_log(uint64_t seed, unsigned *repairs)
{
	struct scene scene = open_scene(seed, 32768, 0);
	struct model *model = scene.model;
	const struct paxos_durable_state *got = &model->state.paxos;
	static struct model_log truth;
	bool good = true;

	for (int step = 0; step < 80 && good; step++)
		good = model_random_step(model) == PLOG_OK;
	good = good && model_sync(model) == PLOG_OK && plog_write_completion(model->log, NULL) == PLOG_OK;
	truth = model->after[model->last];
	for (uint64_t n = 1 + fake_disk_random(&model->random) % 6; n > 0; n--)
		flip_something(&scene);
	good = good && reopen(&scene) == PLOG_OK;
	if (good && got->holes.n > 0)
	{
		++*repairs;
		good = got->holes.end == truth.end && paxos_ballot_compare(got->accepted, truth.accepted) == 0;
		for (uint64_t slot = got->first_slot; slot <= truth.end && good; slot++)
			good = holes_find(&got->holes, slot) != NULL || reads_truly(model, &truth, slot);
		good = good && repair_all(&scene, &truth);
		for (uint64_t slot = got->first_slot; slot <= truth.end && good; slot++)
			good = reads_truly(model, &truth, slot);
		good = good && trims_well(&scene, &truth);
	}
	if (!good)
		printf("# seed %" PRIu64 ": %s\n", seed, model->error.message);
	close_scene(&scene);
	return good;
}

static void random_holes(uint64_t first, uint64_t count)
{
	unsigned repairs = 0;
	unsigned wrong = 0;

	for (uint64_t seed = first; seed < first + count && wrong < 5; seed++)
		wrong += !holes_of_a_random_log(seed, &repairs);
	ok(wrong == 0, "flipped bits in %" PRIu64 " logs, put back with crashes between", count);
	ok(repairs > count / 20, "%u of them had to be", repairs);
}

int main(int argc, char **argv)
{
	if (argc == 3)
	{
		random_holes(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
		return done();
	}
	lists();
	one_record();
	several();
	too_many();
	unsure();
	repaired();
	healed_otherwise();
	restored_at_start();
	repaired_and_trimmed();
	random_holes(1, 1000);
	return done();
}
