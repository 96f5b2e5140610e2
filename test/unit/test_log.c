/*
 * test_log.c - the log without power losses: what is written is read back, over restarts, rolls and trims;
 * metadata, lock, full disks, failed syncs, lack of memory.  Last, the same on real files.
 */
#include "unit.h"

#include "log_scene.h"
#include "short_memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log/format.h"

static const struct paxos_ballot one = {1, 0, 1};
static const struct paxos_ballot two = {2, 0, 2};
static const struct paxos_ballot three = {3, 0, 1};

/* Reopened, and all as it was. */
static bool reopened_right(struct scene *scene)
{
	return reopen_crashed(scene) == PLOG_OK && model_check_recovered(scene->model, false) &&
		   !scene->model->state.paxos.damage.damaged;
}

static unsigned files_with(const struct fake_disk *disk, const char *prefix)
{
	unsigned count = 0;

	for (size_t i = 0; fake_disk_name(disk, i) != NULL; i++)
		count += strncmp(fake_disk_name(disk, i), prefix, strlen(prefix)) == 0;
	return count;
}

static void remove_first(struct fake_disk *disk, const char *prefix)
{
	for (size_t i = 0; fake_disk_name(disk, i) != NULL; i++)
	{
		if (strncmp(fake_disk_name(disk, i), prefix, strlen(prefix)) == 0)
		{
			fake_disk_remove(disk, fake_disk_name(disk, i));
			return;
		}
	}
}

/* ---------------------------------------------------------------- formats */

static void checksums(void)
{
	uint8_t bytes[300];
	bool same = true;

	model_fill(bytes, sizeof bytes, 5);
	ok(plog_crc32c(0, "123456789", 9) == 0xe3069283, "CRC-32C of the usual nine digits");
	ok(plog_crc32c_portable(0, "123456789", 9) == 0xe3069283, "without hardware too");
	for (size_t length = 0; length < 200; length++)
		same = same && plog_crc32c(7, bytes + length % 9, length) ==
						   plog_crc32c_portable(7, bytes + length % 9, length);
	ok(same, "both agree at every length and alignment");
	ok(plog_crc32c(plog_crc32c(0, bytes, 100), bytes + 100, 200) == plog_crc32c(0, bytes, 300),
	   "in parts as at once");
}

static void geometry(void)
{
	bool apart = true;
	bool inside = true;

	for (uint64_t size = PLOG_SEGMENT_MIN; size < (1u << 20); size += 2 * PLOG_BLOCK)
	{
		uint64_t data = format_data_offset(size);
		uint32_t capacity = format_marker_capacity(data);

		for (uint32_t i = 0; i < capacity; i++)
		{
			uint64_t at = format_marker_offset(i);

			inside = inside && at >= PLOG_MARKERS_OFFSET && at + PLOG_MARKER_BYTES <= data;
			apart = apart && (i == 0 || at / PLOG_BLOCK != format_marker_offset(i - 1) / PLOG_BLOCK);
		}
		inside = inside && data % PLOG_BLOCK == 0 && data < size;
	}
	ok(apart, "consecutive markers never share a block");
	ok(inside, "markers lie between header and data");
	ok(format_segment_size(1, 0) == PLOG_SEGMENT_MIN, "a least size");
	ok(format_segment_size(65536, 40u << 20) - format_data_offset(format_segment_size(65536, 40u << 20)) >=
		   40u << 20,
	   "a segment for one large record has room for it");
}

static void record_is_bound_to_its_place(void)
{
	struct plog_identity here = {.store_id = {{1}}, .segment = 3, .run = 4};
	struct plog_identity other = here;
	struct plog_record record = {.length = PLOG_RECORD_HEADER + 8,
								 .type = PLOG_RECORD_STAGE,
								 .flags = 1,
								 .epoch = 2,
								 .ballot = two,
								 .slot = 9,
								 .base = 8,
								 .end = 7};
	struct plog_record got;
	uint8_t bytes[PLOG_RECORD_HEADER + 8] = {0};

	format_put_record(bytes, &record, &here, 4096);
	format_get_record(bytes, &got);
	ok(got.length == record.length && got.type == record.type && got.flags == 1 && got.epoch == 2 &&
		   paxos_ballot_compare(got.ballot, two) == 0 && got.slot == 9 && got.base == 8 && got.end == 7,
	   "a record's fields come back");
	ok(format_record_good(bytes, record.length, &here, 4096), "its checksum is good where it was written");
	ok(!format_record_good(bytes, record.length, &here, 4104), "not at another offset");
	other.segment = 5;
	ok(!format_record_good(bytes, record.length, &other, 4096), "not in another segment");
	other = here;
	other.run = 5;
	ok(!format_record_good(bytes, record.length, &other, 4096), "not in another attempt at the same segment");
	other = here;
	other.store_id.bytes[15] = 1;
	ok(!format_record_good(bytes, record.length, &other, 4096), "not in another store");
}

/* ---------------------------------------------------------------- round trips */

static void every_write_comes_back(void)
{
	struct scene scene = open_scene(1, 65536, 0);
	struct model *model = scene.model;
	bool written = model_promise(model, one) == PLOG_OK && model_append(model, one, 5, 300) == PLOG_OK;

	ok(written && plog_dirty(model->log), "a promise and entries are taken");
	ok(model_reads_back(model, &model->after[model->last]), "and can be read before they are durable");
	ok(model_sync(model) == PLOG_OK && !plog_dirty(model->log) && model->durable == model->last,
	   "and synced");
	ok(plog_wants_completion(model->log) && plog_write_completion(model->log, NULL) == PLOG_OK &&
		   !plog_wants_completion(model->log),
	   "that the sync completed is said once");
	ok(reopened_right(&scene) && model->state.paxos.promise.round == 1 && model->state.run == 2,
	   "over a restart");
	ok(model_install(model, two, 3, 8, false) == PLOG_OK &&
		   model_reads_back(model, &model->after[model->last]),
	   "a Sync cuts and installs at once for readers");
	ok(model_sync(model) == PLOG_OK && reopened_right(&scene) && model->state.paxos.end == 8,
	   "over a restart");
	ok(model->state.paxos.promise.round == 2, "the promise is not below a ballot in the log");
	ok(model_install(model, three, 8, 8, false) == PLOG_OK && model_sync(model) == PLOG_OK &&
		   reopened_right(&scene) && model->state.paxos.accepted.round == 3,
	   "a Sync without entries raises the accepted ballot");
	ok(model_install(model, (struct paxos_ballot){4, 0, 1}, 20, 24, false) == PLOG_OK &&
		   model_sync(model) == PLOG_OK && reopened_right(&scene) && model->state.paxos.first_slot == 21 &&
		   model->state.paxos.end == 24,
	   "a log that begins behind its old end");
	close_scene(&scene);
}

/* What is staged and not installed does not count, and is staged again from its begin. */
static void staging_over_restart(void)
{
	struct scene scene = open_scene(1, 65536, 1000);
	struct model *model = scene.model;
	struct paxos_entry entries[4];
	uint8_t bytes[100] = {1};
	struct paxos_write stage = {.id = 2,
								.type = PAXOS_WRITE_STAGE,
								.epoch = 1,
								.ballot = two,
								.base = 1,
								.first_slot = 2,
								.n_entries = 4,
								.entries = entries};
	uint64_t durable;

	for (int i = 0; i < 4; i++)
		entries[i] = (struct paxos_entry){bytes, sizeof bytes};
	ok(model_append(model, one, 3, 100) == PLOG_OK && plog_write(model->log, &stage, NULL) == PLOG_OK &&
		   plog_sync(model->log, &durable, NULL) == PLOG_OK && durable == 2,
	   "entries, then staged ones");
	ok(reopen_crashed(&scene) == PLOG_OK && model->state.paxos.end == 3 &&
		   model->state.paxos.accepted.round == 1 && model->state.paxos.promise.round == 2,
	   "staged entries are not part of the log, their ballot is promised");
	model->durable = model->last;
	model->highest = two;
	ok(model_check_recovered(model, false), "the log is as before");
	ok(model_install(model, two, 1, 6, true) == PLOG_OK && model_sync(model) == PLOG_OK &&
		   reopened_right(&scene) && model->state.paxos.end == 6,
	   "staged again and installed");
	close_scene(&scene);
}

static void large_records(void)
{
	static uint8_t bytes[300000];
	struct scene scene = open_scene(1, 32768, 0);
	struct paxos_entry entry = {bytes, sizeof bytes};
	struct paxos_entry got;
	struct paxos_write write = {.id = 1,
								.type = PAXOS_WRITE_APPEND,
								.epoch = 1,
								.ballot = one,
								.first_slot = 1,
								.n_entries = 1,
								.entries = &entry};
	uint64_t durable;

	model_fill(bytes, sizeof bytes, 77);
	ok(plog_write(scene.model->log, &write, NULL) == PLOG_OK &&
		   plog_sync(scene.model->log, &durable, NULL) == PLOG_OK && durable == 1,
	   "a record larger than a segment gets one of its own size");
	ok(reopen_crashed(&scene) == PLOG_OK && scene.model->state.paxos.end == 1 &&
		   plog_read(scene.model->log, 1, &got, NULL) == PLOG_OK && got.length == sizeof bytes &&
		   memcmp(got.bytes, bytes, sizeof bytes) == 0,
	   "and comes back");
	close_scene(&scene);
}

static void many_small_lives(void)
{
	struct scene scene = open_scene(1, 65536, 0);
	bool right = true;
	uint64_t bytes;

	for (int life = 0; life < 30 && right; life++)
		right = model_append(scene.model, one, 1, 60) == PLOG_OK && model_sync(scene.model) == PLOG_OK &&
				reopened_right(&scene);
	bytes = plog_bytes(scene.model->log);
	ok(right && scene.model->state.paxos.end == 30, "thirty short lives");
	ok(bytes <= 2 * 65536, "don't leave a segment each (%" PRIu64 " bytes)", bytes);
	close_scene(&scene);
}

static void trim_and_recycle(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *model = scene.model;
	bool written = true;
	uint64_t before;

	for (int i = 0; i < 40 && written; i++)
		written = model_append(model, one, 1, 2000) == PLOG_OK && model_sync(model) == PLOG_OK;
	before = plog_bytes(model->log);
	ok(written && files_with(scene.disk, "/log/segment.") >= 5, "several segments");
	ok(model_trim(model, 38) == PLOG_OK && plog_bytes(model->log) < before / 2, "trim drops whole segments");
	is_u64(files_with(scene.disk, "/log/prepared."), 1, "one is kept prepared, as wanted");
	ok(model_reads_back(model, &model->after[model->last]), "the rest can be read");
	ok(reopened_right(&scene) && model->state.paxos.first_slot == 38, "over a restart");
	for (int i = 0; i < 20 && written; i++)
		written = model_append(model, one, 1, 2000) == PLOG_OK && model_sync(model) == PLOG_OK;
	ok(written && reopened_right(&scene) && model->state.paxos.end == 60,
	   "old bytes of recycled files are not taken for records");
	close_scene(&scene);
}

static void prepared_segments(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct plog_options three_files = scene.model->options;
	bool written = true;

	three_files.min_free_segments = 3;
	ok(plog_prepare_segments("/log", fake_disk_ops(scene.disk), &three_files, NULL) == PLOG_OK &&
		   files_with(scene.disk, "/log/prepared.") == 3,
	   "files are prepared without the lock");
	ok(plog_prepare_segments("/log", fake_disk_ops(scene.disk), &three_files, NULL) == PLOG_OK &&
		   files_with(scene.disk, "/log/prepared.") == 3,
	   "no more than wanted");
	for (int i = 0; i < 16 && written; i++)
		written = model_append(scene.model, one, 1, 2000) == PLOG_OK && model_sync(scene.model) == PLOG_OK;
	ok(written && files_with(scene.disk, "/log/prepared.") < 3, "the log takes them when it rolls");
	ok(reopened_right(&scene), "over a restart");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- metadata, lock, creation */

static void metadata_copies(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *model = scene.model;

	ok(plog_set_config(model->log, (const uint8_t *) "members", 7, NULL) == PLOG_OK &&
		   model_promise(model, two) == PLOG_OK && model_sync(model) == PLOG_OK,
	   "configuration and promise");
	model_close(model);
	fake_disk_flip(scene.disk, "/log/metadata.1", 50, 1);
	ok(reopened_right(&scene) && model->state.paxos.promise.round == 2 && model->state.config_length == 7 &&
		   memcmp(model->state.config, "members", 7) == 0,
	   "one bad copy is repaired from the other");
	model_close(model);
	fake_disk_flip(scene.disk, "/log/metadata.2", 50, 1);
	ok(reopened_right(&scene) && model->state.paxos.promise.round == 2, "whichever it is");
	model_close(model);
	fake_disk_remove(scene.disk, "/log/metadata.2");
	ok(reopened_right(&scene) && fake_disk_size(scene.disk, "/log/metadata.2") == PLOG_BLOCK,
	   "a missing one too");
	model_close(model);
	fake_disk_flip(scene.disk, "/log/metadata.1", 50, 1);
	fake_disk_flip(scene.disk, "/log/metadata.2", 50, 1);
	ok(reopen_crashed(&scene) == PLOG_CORRUPT && strstr(model->error.message, "metadata.1") != NULL &&
		   strstr(model->error.message, "metadata.2") != NULL,
	   "both bad: %s", model->error.message);
	fake_disk_remove(scene.disk, "/log/metadata.1");
	fake_disk_remove(scene.disk, "/log/metadata.2");
	ok(reopen_crashed(&scene) == PLOG_CORRUPT, "both missing, with a log there: %s", model->error.message);
	close_scene(&scene);
}

static void lock_and_strangers(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *second = model_new(2, 32768, 0);
	char pid[32];
	int handle;

	snprintf(pid, sizeof pid, "(PID %ld)", (long) getpid());
	ok(model_open(second, fake_disk_ops(scene.disk)) == PLOG_LOCKED &&
		   strstr(second->error.message, pid) != NULL,
	   "a second opener is told who holds it: %s", second->error.message);
	model_close(scene.model);
	ok(model_open(second, fake_disk_ops(scene.disk)) == PLOG_OK, "closing gives it free");
	model_free(second);
	close_scene(&scene);

	scene.disk = fake_disk_new(1);
	scene.model = model_new(1, 32768, 0);
	handle = fake_disk_ops(scene.disk)->open(scene.disk, "/log/PG_VERSION", true, false);
	fake_disk_ops(scene.disk)->close(scene.disk, handle);
	ok(model_open(scene.model, fake_disk_ops(scene.disk)) == PLOG_NOT_EMPTY,
	   "a directory of something else is left alone");
	close_scene(&scene);
}

static void foreign_and_unknown(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct scene other = {fake_disk_new(2), model_new(2, 32768, 0)};
	struct paxos_id id = {{9}};
	uint8_t block[PLOG_BLOCK];
	struct plog_segment_header header;
	struct plog_record record = {.length = PLOG_RECORD_HEADER, .type = 99};

	if (plog_open(&other.model->log, "/log", fake_disk_ops(other.disk), &other.model->options, &id,
				  &other.model->state, &other.model->error) != PLOG_OK)
		abort();
	model_close(other.model);
	model_close(scene.model);
	fake_disk_get(scene.disk, "/log/segment.0000000000000001", 0, block, sizeof block);
	ok(format_get_header(block, &header) == FORMAT_GOOD, "the header of the first segment");
	format_put_record(block, &record, &header.identity, header.data_offset);
	fake_disk_put(scene.disk, "/log/segment.0000000000000001", header.data_offset, block, PLOG_RECORD_HEADER);
	ok(reopen_crashed(&scene) == PLOG_UNKNOWN, "a record type not known stops the start: %s",
	   scene.model->error.message);
	fake_disk_get(scene.disk, "/log/segment.0000000000000001", 0, block, sizeof block);
	fake_disk_put(other.disk, "/log/segment.0000000000000001", 0, block, sizeof block);
	ok(reopen_crashed(&other) == PLOG_CORRUPT, "a segment of another store too: %s",
	   other.model->error.message);
	close_scene(&other);
	close_scene(&scene);
}

/* ---------------------------------------------------------------- failures */

static void full_disk(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *model = scene.model;
	enum plog_code code = PLOG_OK;
	uint64_t last;

	fake_disk_set_capacity(scene.disk, 32768 + 3 * PLOG_BLOCK);
	for (int i = 0; i < 20 && code == PLOG_OK; i++)
	{
		code = model_append(model, one, 1, 2000);
		if (code == PLOG_OK)
			code = model_sync(model);
	}
	ok(code == PLOG_NO_SPACE && model->durable == model->last - 1,
	   "no room for a segment: what has room is durable, the rest waits (%s)", model->error.message);
	last = model->last;
	ok(model_append(model, one, 1, 2000) == PLOG_OK && model_reads_back(model, &model->after[model->last]),
	   "more is taken and can be read");
	ok(model_promise(model, two) == PLOG_OK && model_sync(model) == PLOG_NO_SPACE &&
		   model->durable == last - 1 && files_with(scene.disk, "/log/segment.") == 1,
	   "promises are written nevertheless");
	fake_disk_set_capacity(scene.disk, 1u << 30);
	ok(model_sync(model) == PLOG_OK && model->durable == model->last && !plog_dirty(model->log),
	   "with room again all of it is durable");
	ok(reopened_right(&scene), "over a restart");
	model_close(model);
	while (files_with(scene.disk, "/log/prepared.") > 0)
		remove_first(scene.disk, "/log/prepared.");
	fake_disk_set_capacity(scene.disk, 0);
	ok(reopen_crashed(&scene) == PLOG_NO_SPACE, "a start needs room for a segment");
	fake_disk_set_capacity(scene.disk, 1u << 30);
	ok(reopened_right(&scene), "and with it goes on");
	close_scene(&scene);
}

/* What waits behind a full disk is read from memory, what lies before from its place: a read needs no room. */
static void full_disk_is_read(void)
{
	unsigned full = 0;
	bool right = true;

	for (int filled = 9; filled < 16 && right; filled++)
	{
		struct scene scene = open_scene(1, 32768, 0);
		struct model *model = scene.model;

		fake_disk_set_capacity(scene.disk, 32768 + 3 * PLOG_BLOCK);
		for (int i = 0; i < filled; i++)
			right = right && model_append(model, one, 1, 1000) == PLOG_OK && model_sync(model) != PLOG_IO;
		for (uint32_t round = 2; round <= 6; round++)
		{
			struct paxos_ballot ballot = {round, 0, round % 3 + 1};
			uint64_t end = round % 2 == 0 ? 9 : round;

			right = right && model_install(model, ballot, round, end, false) == PLOG_OK &&
					model_reads_back(model, &model->after[model->last]);
			full += model_sync(model) == PLOG_NO_SPACE;
			right = right && model_append(model, ballot, 2, 1000) == PLOG_OK &&
					model_reads_back(model, &model->after[model->last]);
		}
		full += model_sync(model) == PLOG_NO_SPACE;
		right = right && model_reads_back(model, &model->after[model->last]);
		fake_disk_set_capacity(scene.disk, 1u << 30);
		right = right && model_sync(model) == PLOG_OK && reopened_right(&scene);
		close_scene(&scene);
	}
	ok(right && full > 20, "whatever was taken on a full disk (%u times) can be read, installs and all",
	   full);
}

static void full_disk_keeps_promises(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *model = scene.model;
	enum plog_code code = PLOG_OK;

	fake_disk_set_capacity(scene.disk, 32768 + 3 * PLOG_BLOCK);
	for (int i = 0; i < 20 && code == PLOG_OK; i++)
	{
		code = model_append(model, one, 1, 2000);
		if (code == PLOG_OK)
			code = model_sync(model);
	}
	ok(code == PLOG_NO_SPACE && model_promise(model, two) == PLOG_OK && model_sync(model) == PLOG_NO_SPACE,
	   "a promise on a full disk");
	fake_disk_set_capacity(scene.disk, 1u << 30);
	ok(reopened_right(&scene) && model->state.paxos.promise.round == 2, "is there after a restart");
	close_scene(&scene);
}

static void failed_sync(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct model *model = scene.model;
	uint64_t durable;

	if (model_append(model, one, 1, 100) != PLOG_OK || model_sync(model) != PLOG_OK)
		abort();
	fake_disk_fail_sync(scene.disk, 1);
	ok(model_append(model, one, 1, 100) == PLOG_OK && model_sync(model) == PLOG_IO, "a sync that fails: %s",
	   model->error.message);
	ok(plog_sync(model->log, &durable, &model->error) == PLOG_IO && durable == 1, "is never tried again");
	model_close(model);
	fake_disk_kill(scene.disk);
	ok(model_open(model, fake_disk_ops(scene.disk)) == PLOG_OK && model->state.paxos.end == 2,
	   "the next life finds what the page cache shows");
	ok(reopen_crashed(&scene) == PLOG_OK && model->state.paxos.end == 2,
	   "and has made it durable before it said so: it survives the power loss after it");
	close_scene(&scene);
}

static void rot_while_running(void)
{
	struct scene scene = open_scene(1, 65536, 0);
	struct paxos_entry entry;

	if (model_append(scene.model, one, 3, 500) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
		abort();
	fake_disk_flip(scene.disk, "/log/segment.0000000000000001", format_data_offset(65536) + 564 + 300, 1);
	ok(plog_read(scene.model->log, 1, &entry, &scene.model->error) == PLOG_OK, "a good record");
	ok(plog_read(scene.model->log, 2, &entry, &scene.model->error) == PLOG_CORRUPT &&
		   strstr(scene.model->error.message, "slot 2") != NULL &&
		   strstr(scene.model->error.message, "segment.0000000000000001") != NULL,
	   "a bad one is told: %s", scene.model->error.message);
	ok(plog_read(scene.model->log, 4, &entry, &scene.model->error) == PLOG_CORRUPT,
	   "a slot that is not there too");
	close_scene(&scene);
}

static void lack_of_memory(void)
{
	unsigned refused = 0;
	unsigned wrong = 0;

	for (uint64_t allowed = 0; allowed < 60; allowed++)
	{
		struct scene scene = open_scene(1, 32768, 0);
		struct model *model = scene.model;
		struct paxos_write write = {
			.id = 1, .type = PAXOS_WRITE_APPEND, .epoch = 1, .ballot = one, .first_slot = 1};
		struct paxos_entry entries[4];
		uint8_t bytes[3000] = {0};
		uint64_t durable = 0;
		enum plog_code code;

		for (int i = 0; i < 4; i++)
			entries[i] = (struct paxos_entry){bytes, sizeof bytes};
		write.entries = entries;
		write.n_entries = 4;
		allocations_left = allowed;
		plog_set_allocator(short_of_memory, free);
		do
		{
			code = plog_write(model->log, &write, &model->error);
			if (code == PLOG_OK)
				code = plog_sync(model->log, &durable, &model->error);
			write.first_slot += 4;
			write.id++;
		} while (code == PLOG_OK && write.id < 6);
		refused += code == PLOG_MEMORY;
		wrong += code != PLOG_MEMORY && code != PLOG_OK;
		model_close(model);
		code = reopen_crashed(&scene);
		refused += code == PLOG_MEMORY;
		wrong += code != PLOG_MEMORY && code != PLOG_OK;
		plog_set_allocator(realloc, free);
		wrong += reopen_crashed(&scene) != PLOG_OK || model->state.paxos.damage.damaged ||
				 model->state.paxos.end < durable * 4;
		close_scene(&scene);
	}
	ok(refused > 20, "a lack of memory is PLOG_MEMORY (%u times)", refused);
	ok(wrong == 0, "and loses nothing (%u wrong)", wrong);
}

/* ---------------------------------------------------------------- real files */

static void remove_all(const char *directory)
{
	char command[256];

	snprintf(command, sizeof command, "rm -rf '%s'", directory);
	if (system(command) != 0)
		abort();
}

static void real_files(void)
{
	char top[] = "/tmp/paxoskv-log-XXXXXX";
	char path[128];
	struct plog_options options = {.segment_bytes = 65536, .cache_bytes = 1000, .min_free_segments = 1};
	struct paxos_id id = {{4}};
	struct plog_state state;
	struct plog_error error = {0};
	struct plog *log;
	struct plog *second;
	uint8_t bytes[20000] = {0};
	struct paxos_entry entry = {bytes, sizeof bytes};
	uint64_t durable;
	bool written = true;

	if (mkdtemp(top) == NULL)
		abort();
	snprintf(path, sizeof path, "%s/a/b", top);
	ok(plog_open(&log, path, file_ops_posix(), &options, &id, &state, &error) == PLOG_OK && state.run == 1,
	   "a log in a new directory two levels down %s", error.message);
	ok(plog_open(&second, path, file_ops_posix(), &options, &id, &state, &error) == PLOG_LOCKED, "is locked");
	for (uint64_t i = 1; i <= 10 && written; i++)
	{
		struct paxos_write write = {.id = i,
									.type = PAXOS_WRITE_APPEND,
									.epoch = 1,
									.ballot = one,
									.first_slot = i,
									.n_entries = 1,
									.entries = &entry};

		bytes[48] = (uint8_t) i;
		written = plog_write(log, &write, &error) == PLOG_OK && plog_sync(log, &durable, &error) == PLOG_OK;
	}
	ok(written && durable == 10, "written and synced");
	ok(plog_prepare_segments(path, file_ops_posix(), &options, &error) == PLOG_OK, "a segment prepared");
	plog_close(log);
	ok(plog_open(&log, path, file_ops_posix(), &options, &id, &state, &error) == PLOG_OK && state.run == 2 &&
		   state.paxos.end == 10 && !state.paxos.damage.damaged,
	   "opened again");
	for (uint64_t i = 1; i <= 10 && written; i++)
	{
		written = plog_read(log, i, &entry, &error) == PLOG_OK && entry.length == sizeof bytes &&
				  entry.bytes[48] == i;
		plog_release_reads(log);
	}
	ok(written, "read back");
	plog_close(log);
	remove_all(top);
}

int main(void)
{
	checksums();
	geometry();
	record_is_bound_to_its_place();
	every_write_comes_back();
	staging_over_restart();
	large_records();
	many_small_lives();
	trim_and_recycle();
	prepared_segments();
	metadata_copies();
	lock_and_strangers();
	foreign_and_unknown();
	full_disk();
	full_disk_is_read();
	full_disk_keeps_promises();
	failed_sync();
	rot_while_running();
	lack_of_memory();
	real_files();
	return done();
}
