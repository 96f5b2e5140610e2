/*
 * test_log_damage.c - bad bytes and what recovery makes of them: torn tails are cut off, what was
 * acknowledged and is bad makes the node say "damaged", with what D7 and Y2 need (D5 to D7).
 */
#include "unit.h"

#include "log_scene.h"

#include <stdlib.h>
#include <string.h>

#include "log/format.h"

static const struct paxos_ballot one = {1, 0, 1};
static const struct paxos_ballot two = {2, 0, 2};

static char newest[128]; /* path of the segment with the highest number */

static void find_newest(const struct fake_disk *disk)
{
	newest[0] = '\0';
	for (size_t i = 0; fake_disk_name(disk, i) != NULL; i++)
	{
		const char *name = fake_disk_name(disk, i);

		if (strncmp(name, "/log/segment.", 13) == 0 && strcmp(name, newest) > 0)
			snprintf(newest, sizeof newest, "%s", name);
	}
}

/* Offset of the n-th record from 0 in the newest segment, or its end. */
static uint64_t record_offset(const struct fake_disk *disk, unsigned n)
{
	uint64_t offset = format_data_offset((uint64_t) fake_disk_size(disk, newest));

	while (n-- > 0)
	{
		uint8_t header[PLOG_RECORD_HEADER];
		struct plog_record record;

		fake_disk_get(disk, newest, offset, header, sizeof header);
		format_get_record(header, &record);
		if (record.length == 0)
			break;
		offset += format_padded(record.length);
	}
	return offset;
}

/* Three syncs of two entries each at ballot 1, all known completed if asked for. */
static struct scene six_entries(bool completed)
{
	struct scene scene = open_scene(1, 65536, 0);

	for (int i = 0; i < 3; i++)
	{
		if (model_append(scene.model, one, 2, 200) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	}
	if (completed && plog_write_completion(scene.model->log, &scene.model->error) != PLOG_OK)
		abort();
	model_close(scene.model);
	fake_disk_crash(scene.disk);
	find_newest(scene.disk);
	return scene;
}

/* ---------------------------------------------------------------- torn */

/* The last record, written but not synced, is there up to each of its bytes. */
static void torn_at_every_byte(void)
{
	struct scene scene = six_entries(true);
	uint64_t from = record_offset(scene.disk, 6);
	struct plog_identity identity = {.segment = 1, .run = 1};
	uint8_t bytes[PLOG_RECORD_HEADER + 100] = {0};
	struct plog_record record = {.length = sizeof bytes, .type = PLOG_RECORD_ENTRY, .ballot = one, .slot = 7};
	struct paxos_id id = {{1, 2, 3}};
	unsigned wrong = 0;

	identity.store_id = id;
	memset(bytes + PLOG_RECORD_HEADER, 0x5a, 100);
	format_put_record(bytes, &record, &identity, from);
	for (size_t kept = 0; kept <= sizeof bytes; kept++)
	{
		struct scene torn = {fake_disk_clone(scene.disk, kept), scene.model};
		uint64_t end = kept == sizeof bytes ? 7 : 6;

		fake_disk_put(torn.disk, newest, from, bytes, kept);
		if (reopen_killed(&torn) != PLOG_OK || torn.model->state.paxos.damage.damaged ||
			torn.model->state.paxos.end != end ||
			(torn.model->state.tail_bytes_cut != 0) != (kept > 4 && kept < sizeof bytes))
		{
			printf("# %zu bytes: end %" PRIu64 ", cut %" PRIu64 "\n", kept, torn.model->state.paxos.end,
				   torn.model->state.tail_bytes_cut);
			wrong++;
		}
		model_close(torn.model);
		fake_disk_free(torn.disk);
	}
	ok(wrong == 0, "a record torn at each of its %zu bytes is cut off, whole it is kept", sizeof bytes);
	close_scene(&scene);
}

/* ---------------------------------------------------------------- rot */

/* Each bit place of a record that a completed sync covers. */
static void rot_of_acknowledged(void)
{
	struct scene scene = six_entries(true);
	uint64_t from = record_offset(scene.disk, 3);
	uint64_t to = record_offset(scene.disk, 4);
	unsigned wrong = 0;

	for (uint64_t at = from; at < to; at++)
	{
		struct scene rotten = {fake_disk_clone(scene.disk, at), scene.model};
		const struct paxos_durable_state *got = &rotten.model->state.paxos;

		fake_disk_flip(rotten.disk, newest, at, (uint8_t) (1u << at % 8));
		if (reopen_killed(&rotten) != PLOG_OK || !got->damage.damaged || got->damage.doubtful ||
			got->end != 3 || got->damage.lowest_written != 4 || got->damage.named_slot != 6 ||
			got->holes.n != 1 || got->holes.at[0].first != 4 || got->holes.at[0].last != 4 ||
			paxos_ballot_compare(got->damage.named_ballot, one) != 0)
			wrong++;
		model_close(rotten.model);
		fake_disk_free(rotten.disk);
	}
	ok(wrong == 0, "each of %" PRIu64 " flipped bits in an acknowledged record is damage", to - from);
	close_scene(&scene);
}

static void doubt_and_forgiveness(void)
{
	struct scene scene = six_entries(false);
	struct paxos_durable_state *got = &scene.model->state.paxos;

	fake_disk_flip(scene.disk, newest, record_offset(scene.disk, 5) + 70, 4);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && got->damage.doubtful,
	   "a bad record under the marker of a sync that nothing says completed is doubtful");
	is_u64(got->end, 5, "the intact prefix ends before it");
	is_u64(got->damage.lowest_written, 5, "the sync wrote slot 5 and up");
	is_u64(got->damage.named_slot, 6, "and names slot 6");
	ok(strstr(scene.model->state.damage_place, "segment.0000000000000001, offset ") != NULL,
	   "the place is named: %s", scene.model->state.damage_place);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && got->damage.doubtful &&
		   got->damage.named_slot == 6,
	   "the doubt outlives a restart");
	ok(strstr(scene.model->state.damage_place, "segment.0000000000000001, offset ") != NULL,
	   "and so does its place");
	ok(plog_forgive_doubt(scene.model->log, &scene.model->state, &scene.model->error) == PLOG_OK &&
		   !got->damage.damaged && got->end == 5,
	   "a cluster of one cuts it off");
	ok(reopen_killed(&scene) == PLOG_OK && !got->damage.damaged && got->end == 5, "for good");
	close_scene(&scene);
}

static void doubt_on_a_broken_disk(void)
{
	struct scene scene = six_entries(false);
	struct paxos_durable_state *got = &scene.model->state.paxos;

	fake_disk_flip(scene.disk, newest, record_offset(scene.disk, 5) + 70, 4);
	if (reopen_killed(&scene) != PLOG_OK || !got->damage.doubtful)
		abort();
	fake_disk_fail_sync(scene.disk, 1);
	ok(plog_forgive_doubt(scene.model->log, &scene.model->state, &scene.model->error) == PLOG_IO &&
		   got->damage.damaged,
	   "a doubt that can't be given up durably stays");
	close_scene(&scene);
}

static void healed_by_install(void)
{
	struct scene scene = six_entries(true);
	struct paxos_durable_state *got = &scene.model->state.paxos;

	fake_disk_flip(scene.disk, newest, record_offset(scene.disk, 2) + 8, 1);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && got->end == 2 &&
		   got->damage.lowest_written == 3,
	   "damage in the middle");
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && got->end == 2 &&
		   got->damage.named_slot == 6,
	   "stays through a restart");
	scene.model->after[0].end = 2;
	scene.model->after[0].accepted = one;
	scene.model->last = scene.model->durable = scene.model->id = 0;
	ok(model_install(scene.model, two, 2, 9, false) == PLOG_OK && model_sync(scene.model) == PLOG_OK,
	   "a Sync");
	ok(reopen_killed(&scene) == PLOG_OK && !got->damage.damaged && got->end == 9 &&
		   paxos_ballot_compare(got->accepted, two) == 0 && got->promise.round == 2,
	   "heals it durably");
	close_scene(&scene);
}

/* What stands in a segment before the newest is completed by that one's being there. */
static void rot_in_older_segment(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct paxos_durable_state *got = &scene.model->state.paxos;
	uint64_t at;

	for (int i = 0; i < 12; i++)
	{
		if (model_append(scene.model, one, 1, 3000) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	}
	model_close(scene.model);
	snprintf(newest, sizeof newest, "/log/segment.0000000000000001");
	at = record_offset(scene.disk, 1) + 2000;
	fake_disk_flip(scene.disk, newest, at, 1);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && !got->damage.doubtful && got->end == 1,
	   "a bad record in an older segment is damage");
	is_u64(got->damage.lowest_written, 2, "its marker tells the lowest slot");
	is_u64(got->damage.named_slot, 12, "the newest marker the highest");
	close_scene(&scene);
}

/* A lost block of markers takes no neighbours with it: what they covered is still known completed. */
static void lost_markers(void)
{
	struct scene scene = six_entries(true);
	struct paxos_durable_state *got = &scene.model->state.paxos;
	uint8_t zeros[PLOG_BLOCK] = {0};

	/* Markers 0 and 2 lie in the first block, 1 and the completion in the second. */
	fake_disk_put(scene.disk, newest, PLOG_MARKERS_OFFSET, zeros, sizeof zeros);
	fake_disk_flip(scene.disk, newest, record_offset(scene.disk, 4) + 80, 1);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && !got->damage.doubtful && got->end == 4,
	   "a bad record whose own marker is lost is damage, by the next marker");
	is_u64(got->damage.lowest_written, 1, "what it wrote is not known");
	is_u64(got->damage.named_slot, 6, "what was accepted is, by the next marker");
	close_scene(&scene);
}

static void headers(void)
{
	struct scene scene = six_entries(true);
	struct paxos_durable_state *got = &scene.model->state.paxos;
	struct fake_disk *both;
	struct scene lost;

	fake_disk_flip(scene.disk, newest, 40, 1);
	both = fake_disk_clone(scene.disk, 1);
	ok(reopen_killed(&scene) == PLOG_OK && !got->damage.damaged && got->end == 6,
	   "one copy of a header may be lost");
	lost = (struct scene){both, scene.model};
	fake_disk_flip(lost.disk, newest, PLOG_BLOCK + 40, 1);
	ok(reopen_killed(&lost) == PLOG_OK && got->damage.damaged && !got->damage.doubtful && got->end == 0 &&
		   got->damage.lowest_written == 1 && got->damage.named_slot == 6,
	   "with both lost the segment is damaged, and its markers still name");
	model_close(lost.model);
	fake_disk_free(lost.disk);
	close_scene(&scene);
}

static void unreadable_block(void)
{
	struct scene scene = six_entries(true);
	struct paxos_durable_state *got = &scene.model->state.paxos;

	model_close(scene.model);
	fake_disk_kill(scene.disk);
	fake_disk_unreadable(scene.disk, newest, record_offset(scene.disk, 0));
	ok(model_open(scene.model, fake_disk_ops(scene.disk)) == PLOG_OK && got->damage.damaged &&
		   got->end == 0 && got->damage.named_slot == 6,
	   "a block that can't be read is damage, not a node that never starts");
	close_scene(&scene);
}

/* Found by fuzzing: a read that went beyond its record met the bad block, and the log was dead. */
static void unreadable_neighbour(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct paxos_durable_state *got = &scene.model->state.paxos;
	struct paxos_entry entry;
	unsigned n_read = 0;

	for (int i = 0; i < 40; i++)
	{
		if (model_append(scene.model, one, 1, 1000) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	}
	model_close(scene.model);
	fake_disk_kill(scene.disk);
	fake_disk_unreadable(scene.disk, "/log/segment.0000000000000001", format_data_offset(32768) + PLOG_BLOCK);
	ok(model_open(scene.model, fake_disk_ops(scene.disk)) == PLOG_OK && got->damage.damaged && got->end == 3,
	   "the records before a block that can't be read are there");
	for (uint64_t slot = 1; slot <= got->end; slot++)
		n_read += plog_read(scene.model->log, slot, &entry, &scene.model->error) == PLOG_OK;
	is_u64(n_read, 3, "and can be read");
	close_scene(&scene);
}

static void missing_segment(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct paxos_durable_state *got = &scene.model->state.paxos;

	for (int i = 0; i < 12; i++)
	{
		if (model_append(scene.model, one, 1, 3000) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	}
	model_close(scene.model);
	fake_disk_remove(scene.disk, "/log/segment.0000000000000001");
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && !got->damage.doubtful &&
		   got->first_slot > 1 && got->end == 12 && got->damage.lowest_written == 1,
	   "a segment file that is missing is damage");
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && got->end == 12, "also the next time");
	close_scene(&scene);
}

/* Two entries of a Sync are staged, synced, and the second goes bad before anything says that the sync completed. */
static void rot_what_is_staged(struct scene *scene)
{
	uint8_t bytes[100] = {1};
	struct paxos_entry entries[2] = {{bytes, sizeof bytes}, {bytes, sizeof bytes}};
	struct paxos_write stage = {.id = 1,
								.type = PAXOS_WRITE_STAGE,
								.epoch = 1,
								.ballot = two,
								.base = 7,
								.first_slot = 8,
								.n_entries = 2,
								.entries = entries};
	uint64_t durable;
	uint64_t last = 0;

	if (plog_write(scene->model->log, &stage, NULL) != PLOG_OK ||
		plog_sync(scene->model->log, &durable, NULL) != PLOG_OK)
		abort();
	model_close(scene->model);
	find_newest(scene->disk);
	for (unsigned n = 0; record_offset(scene->disk, n) < record_offset(scene->disk, n + 1); n++)
		last = record_offset(scene->disk, n);
	fake_disk_flip(scene->disk, newest, last + 70, 1);
}

static unsigned segments_of(const struct fake_disk *disk)
{
	unsigned count = 0;

	for (size_t i = 0; fake_disk_name(disk, i) != NULL; i++)
		count += strncmp(fake_disk_name(disk, i), "/log/segment.", 13) == 0;
	return count;
}

/* While damaged they are for people to look at; after that they would only fill the disk. */
static void dead_segments_go(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *model = scene.model;
	unsigned before;

	for (int i = 0; i < 40; i++)
	{
		if (model_append(model, one, 1, 3000) != PLOG_OK || model_sync(model) != PLOG_OK)
			abort();
	}
	model_close(model);
	fake_disk_remove(scene.disk, "/log/segment.0000000000000002");
	if (reopen_killed(&scene) != PLOG_OK || !model->state.paxos.damage.damaged)
		abort();
	before = segments_of(scene.disk);
	ok(plog_trim(model->log, 1, &model->error) == PLOG_OK && segments_of(scene.disk) == before && before > 3,
	   "segments that damage cut off stay while the log is damaged");
	model->after[0].first_slot = model->state.paxos.first_slot;
	model->after[0].end = model->state.paxos.end;
	model->after[0].accepted = one;
	model->last = model->durable = model->id = 0;
	ok(model_install(model, two, model->state.paxos.end, model->state.paxos.end + 3, false) == PLOG_OK &&
		   model_sync(model) == PLOG_OK && plog_trim(model->log, 1, &model->error) == PLOG_OK &&
		   segments_of(scene.disk) < before,
	   "once it is healed a trim drops them");
	ok(reopen_killed(&scene) == PLOG_OK && !model->state.paxos.damage.damaged, "and what is left is whole");
	close_scene(&scene);
}

/* All of the old segments in pieces; the slot at which it ends, 0: all were read. */
static enum plog_code scrub_all(struct model *model, uint64_t *slot, unsigned *pieces)
{
	enum plog_code code;

	*slot = 1;
	*pieces = 0;
	do
	{
		code = plog_scrub(model->log, slot, 4000, &model->error);
		++*pieces;
	} while (code == PLOG_OK && *slot != 0);
	return code;
}

static void rot_that_nobody_reads(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *model = scene.model;
	uint64_t slot;
	unsigned pieces;

	ok(scrub_all(model, &slot, &pieces) == PLOG_OK && pieces == 1, "an empty log is read at once");
	for (int i = 0; i < 40; i++)
	{
		if (model_append(model, one, 1, 3000) != PLOG_OK || model_sync(model) != PLOG_OK)
			abort();
	}
	ok(scrub_all(model, &slot, &pieces) == PLOG_OK && pieces >= 15 && pieces <= 25,
	   "old records are read again, a few at a time");
	fake_disk_flip(scene.disk, "/log/segment.0000000000000002",
				   format_data_offset(32768) + PLOG_RECORD_HEADER + 100, 1);
	ok(scrub_all(model, &slot, &pieces) == PLOG_CORRUPT && slot > 1 && slot < 20 &&
		   strstr(model->error.message, "segment.0000000000000002") != NULL,
	   "rot in them is found: %s", model->error.message);
	ok(plog_trim(model->log, 20, &model->error) == PLOG_OK && scrub_all(model, &slot, &pieces) == PLOG_OK &&
		   pieces < 15,
	   "what is trimmed is not read");
	close_scene(&scene);
}

/* Damage found in two lives: what is known of both is kept (D7). */
static void damage_upon_damage(void)
{
	struct scene scene = six_entries(true);
	struct paxos_durable_state *got = &scene.model->state.paxos;
	uint8_t zeros[PLOG_BLOCK] = {0};

	fake_disk_put(scene.disk, newest, PLOG_MARKERS_OFFSET, zeros, sizeof zeros);
	fake_disk_flip(scene.disk, newest, record_offset(scene.disk, 4) + 80, 1);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && !got->damage.doubtful && got->end == 4 &&
		   got->damage.lowest_written == 1,
	   "damage that may have been written over any slot");
	rot_what_is_staged(&scene);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.damaged && got->end == 4,
	   "later what is staged goes bad, too");
	is_u64(got->damage.lowest_written, 1, "the lower of the lowest slots counts");
	is_u64(got->damage.named_slot, 6, "and the highest that was named");
	ok(!got->damage.doubtful, "doubt about the second does not excuse the first");
	close_scene(&scene);

	scene = six_entries(false);
	got = &scene.model->state.paxos;
	fake_disk_flip(scene.disk, newest, record_offset(scene.disk, 5) + 70, 4);
	if (reopen_killed(&scene) != PLOG_OK || !got->damage.doubtful)
		abort();
	rot_what_is_staged(&scene);
	ok(reopen_killed(&scene) == PLOG_OK && got->damage.doubtful && got->end == 5 &&
		   got->damage.lowest_written == 5,
	   "doubt upon doubt is doubt");
	close_scene(&scene);
}

/* Each bit place of a record's header, while the log is open: a reader is told, never given another record. */
static void rot_under_a_reader(void)
{
	unsigned wrong = 0;

	for (uint64_t at = 0; at < PLOG_RECORD_HEADER; at++)
	{
		struct scene scene = open_scene(1, 65536, 0);
		struct paxos_entry entry;

		for (int i = 0; i < 3; i++)
			if (model_append(scene.model, one, 1, 200) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
				abort();
		find_newest(scene.disk);
		fake_disk_flip(scene.disk, newest, record_offset(scene.disk, 1) + at, 0x80);
		wrong += plog_read(scene.model->log, 2, &entry, &scene.model->error) != PLOG_CORRUPT ||
				 strstr(scene.model->error.message, "slot 2") == NULL;
		wrong += plog_read(scene.model->log, 1, &entry, NULL) != PLOG_OK;
		close_scene(&scene);
	}
	ok(wrong == 0, "a reader is told of a flipped bit in each of %d bytes of a header", PLOG_RECORD_HEADER);
}

/* ---------------------------------------------------------------- by seeds */

/*
 * One bit anywhere in a segment of a log that is durable throughout: either nothing changed, or the node is
 * damaged, the intact prefix is a prefix below lowest_written, and what was accepted is named.
 */
static bool safe_after_rot(const struct model *model, const struct model_log *truth)
{
	const struct paxos_durable_state *got = &model->state.paxos;
	int order = paxos_ballot_compare(got->damage.named_ballot, truth->accepted);

	if (!got->damage.damaged)
		return got->end == truth->end && paxos_ballot_compare(got->accepted, truth->accepted) == 0;
	if (order < 0 || (order == 0 && got->damage.named_slot < truth->end))
		return false;
	if (got->damage.lowest_written == 0 || got->damage.lowest_written > truth->end + 1)
		return got->damage.lowest_written == got->end + 1;
	return true;
}

/* Slots below lowest_written, which a Sync's base may keep (Y2), are the true ones. */
static bool keeps_the_truth(struct model *model, const struct model_log *truth)
{
	static struct model_log kept;
	const struct paxos_durable_state *got = &model->state.paxos;

	kept = *truth;
	kept.first_slot = got->first_slot > truth->first_slot ? got->first_slot : truth->first_slot;
	kept.end = got->end < truth->end ? got->end : truth->end;
	if (got->damage.damaged && kept.end >= got->damage.lowest_written)
		kept.end = got->damage.lowest_written - 1;
	return model_reads_back(model, &kept);
}

static bool one_flip(uint64_t seed, unsigned *damages)
{
	struct scene scene = {fake_disk_new(seed), model_new(seed, 32768, 0)};
	const char *names[64];
	size_t count = 0;
	bool good = model_open(scene.model, fake_disk_ops(scene.disk)) == PLOG_OK &&
				model_check_recovered(scene.model, false);
	uint64_t at;

	for (int step = 0; step < 60 && good; step++)
		good = model_random_step(scene.model) == PLOG_OK;
	good = good && model_sync(scene.model) == PLOG_OK &&
		   plog_write_completion(scene.model->log, &scene.model->error) == PLOG_OK;
	for (size_t i = 0; fake_disk_name(scene.disk, i) != NULL; i++)
	{
		if (strncmp(fake_disk_name(scene.disk, i), "/log/segment.", 13) == 0)
			names[count++] = fake_disk_name(scene.disk, i);
	}
	at = fake_disk_random(&scene.model->random);
	fake_disk_flip(scene.disk, names[at % count], (at >> 8) % 32768, (uint8_t) (1u << (at >> 40) % 8));
	good = good && reopen_killed(&scene) == PLOG_OK &&
		   safe_after_rot(scene.model, &scene.model->after[scene.model->last]) &&
		   keeps_the_truth(scene.model, &scene.model->after[scene.model->last]);
	if (scene.model->state.paxos.damage.damaged)
		++*damages;
	if (!good)
		printf("# seed %" PRIu64 ": end %" PRIu64 " of %" PRIu64 ", damaged %d, lowest %" PRIu64 ", %s\n",
			   seed, scene.model->state.paxos.end, scene.model->after[scene.model->last].end,
			   scene.model->state.paxos.damage.damaged, scene.model->state.paxos.damage.lowest_written,
			   scene.model->error.message);
	close_scene(&scene);
	return good;
}

static void random_flips(uint64_t first, uint64_t count)
{
	unsigned damages = 0;
	unsigned wrong = 0;

	for (uint64_t seed = first; seed < first + count && wrong < 5; seed++)
	{
		if (!one_flip(seed, &damages))
			wrong++;
	}
	ok(wrong == 0, "one flipped bit anywhere, %" PRIu64 " seeds", count);
	ok(damages > count / 20, "some of them hit (%u)", damages);
}

/* Found by fuzzing: its number's successor is 0. */
/* T5: what the log held before a snapshot's slot may have been another's than what was chosen there. */
static void rot_of_a_restore(void)
{
	for (unsigned bad = 6; bad <= 7; bad++)
	{
		struct scene scene = six_entries(true);
		struct model *model = scene.model;

		model->id = 0;
		if (reopen_killed(&scene) != PLOG_OK || plog_begin_restore(model->log, 4, NULL) != PLOG_OK ||
			plog_trim(model->log, 5, NULL) != PLOG_OK || model_append(model, one, 2, 100) != PLOG_OK ||
			model_sync(model) != PLOG_OK || plog_write_completion(model->log, NULL) != PLOG_OK)
			abort();
		find_newest(scene.disk);
		fake_disk_flip(scene.disk, newest, record_offset(scene.disk, bad), 1);
		ok(reopen_killed(&scene) == PLOG_OK && model->state.paxos.damage.damaged &&
			   model->state.paxos.end == 6 && model->state.paxos.damage.lowest_written == 1,
		   "%s: nothing is sure to be what was chosen",
		   bad == 6 ? "that a snapshot is being installed rotted" : "that it was installed rotted");
		ok(plog_trim(model->log, 5, NULL) == PLOG_OK && reopen_killed(&scene) == PLOG_OK &&
			   model->state.paxos.damage.lowest_written == 5,
		   "but what is behind the table");
		close_scene(&scene);
	}
}

static void stray_number(void)
{
	static const char name[] = "/log/segment.fffffffffffffffe";
	struct scene scene = six_entries(true);
	const struct file_ops *ops = fake_disk_ops(scene.disk);

	ops->close(ops->context, ops->open(ops->context, name, true, false));
	ok(reopen_killed(&scene) == PLOG_CORRUPT, "a stray file with the highest segment number is refused");
	fake_disk_remove(scene.disk, name);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.end == 6,
	   "and does no harm once it is gone");
	close_scene(&scene);
}

/* Found by fuzzing: run 0 made a start take the directory for one that was never used. */
static void metadata_of_before(void)
{
	struct scene scene = six_entries(true);
	struct plog_metadata metadata;
	uint8_t block[PLOG_BLOCK];

	fake_disk_get(scene.disk, "/log/metadata.1", 0, block, sizeof block);
	format_get_metadata(block, &metadata);
	metadata.run = 0;
	format_put_metadata(block, &metadata);
	fake_disk_put(scene.disk, "/log/metadata.1", 0, block, sizeof block);
	fake_disk_flip(scene.disk, "/log/metadata.2", 100, 1);
	ok(reopen_killed(&scene) == PLOG_CORRUPT, "a log that was written to is not begun again (B4)");
	close_scene(&scene);
}

int main(int argc, char **argv)
{
	if (argc == 3)
	{
		random_flips(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
		return done();
	}
	torn_at_every_byte();
	rot_of_acknowledged();
	doubt_and_forgiveness();
	doubt_on_a_broken_disk();
	healed_by_install();
	rot_in_older_segment();
	lost_markers();
	headers();
	unreadable_block();
	unreadable_neighbour();
	missing_segment();
	dead_segments_go();
	rot_that_nobody_reads();
	damage_upon_damage();
	rot_under_a_reader();
	rot_of_a_restore();
	stray_number();
	metadata_of_before();
	random_flips(1, 1000);
	return done();
}
