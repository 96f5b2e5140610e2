/*
 * test_log_bytes.c - files that are whole, checksum and all, but not what this log may hold: of a later version,
 * of another store, with fields that can't be; metadata copies that disagree; files that come and go.
 */
#include "unit.h"

#include "log_scene.h"

#include <stdlib.h>
#include <string.h>

#include "log/format.h"

static const struct paxos_ballot one = {1, 0, 1};
static const struct paxos_ballot two = {2, 0, 2};

static const char first_segment[] = "/log/segment.0000000000000001";

static bool says(const struct scene *scene, const char *text)
{
	return strstr(scene->model->error.message, text) != NULL;
}

static void append_and_sync(struct scene *scene, unsigned count)
{
	while (count-- > 0)
		if (model_append(scene->model, one, 1, 200) != PLOG_OK || model_sync(scene->model) != PLOG_OK)
			abort();
}

/* ---------------------------------------------------------------- a checksum for what was changed */

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t) (v >> 8 * i);
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t) v);
	put32(p + 4, (uint32_t) (v >> 32));
}

/* A header block or a copy of the metadata, whose checksum is over all behind it. */
static void sign_block(uint8_t block[PLOG_BLOCK])
{
	put32(block + 8, plog_crc32c(0, block + 12, PLOG_BLOCK - 12));
}

/* One field of both copies of a block of 4,096 bytes, at two places. */
static void change_field(struct fake_disk *disk, const char *path, uint64_t place, size_t at, uint64_t value,
						 size_t bytes)
{
	uint8_t block[PLOG_BLOCK];

	fake_disk_get(disk, path, place, block, sizeof block);
	if (bytes == 8)
		put64(block + at, value);
	else
		put32(block + at, (uint32_t) value);
	sign_block(block);
	fake_disk_put(disk, path, place, block, sizeof block);
}

static void change_header(struct scene *scene, size_t at, uint64_t value, size_t bytes)
{
	model_close(scene->model);
	change_field(scene->disk, first_segment, 0, at, value, bytes);
	change_field(scene->disk, first_segment, PLOG_BLOCK, at, value, bytes);
}

/* ---------------------------------------------------------------- segment headers */

enum
{
	HEADER_VERSION = 12,
	HEADER_SEGMENT = 32,
	HEADER_SIZE = 48,
	HEADER_DATA = 56,
	HEADER_PREVIOUS = 64
};

static void later_version(void)
{
	struct scene scene = open_scene(1, 32768, 0);

	change_header(&scene, HEADER_VERSION, PLOG_FORMAT_VERSION + 1, 4);
	ok(reopen_killed(&scene) == PLOG_UNKNOWN && says(&scene, first_segment + 5),
	   "a segment of a later version stops the start: %s", scene.model->error.message);
	close_scene(&scene);
}

static void impossible_data_offset(void)
{
	static const uint64_t offsets[] = {PLOG_MARKERS_OFFSET, 32768 + 2 * PLOG_BLOCK,
									   PLOG_MARKERS_OFFSET + 3 * PLOG_BLOCK};

	for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
	{
		struct scene scene = open_scene(1, 32768, 0);

		append_and_sync(&scene, 3);
		change_header(&scene, HEADER_DATA, offsets[i], 8);
		ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.damage.damaged &&
			   scene.model->state.paxos.end == 0,
		   "a header whose data begin at %u is no header", (unsigned) offsets[i]);
		close_scene(&scene);
	}
}

static void header_of_another_number(void)
{
	struct scene scene = open_scene(1, 32768, 0);

	append_and_sync(&scene, 3);
	model_close(scene.model);
	change_field(scene.disk, first_segment, 0, HEADER_SEGMENT, 7, 8);
	ok(reopen_killed(&scene) == PLOG_OK && !scene.model->state.paxos.damage.damaged &&
		   scene.model->state.paxos.end == 3,
	   "a first copy of the header that belongs to another segment is passed over for the second");
	close_scene(&scene);
}

static void chain_that_runs_backwards(void)
{
	struct scene scene = open_scene(1, 32768, 0);

	change_header(&scene, HEADER_PREVIOUS, 1, 8);
	ok(reopen_killed(&scene) == PLOG_CORRUPT && says(&scene, "not before it"),
	   "a segment that continues from itself: %s", scene.model->error.message);
	close_scene(&scene);
}

/* Shorter than any segment, so that not even its markers are there. */
static void stub_of_a_segment(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	const struct file_ops *ops = fake_disk_ops(scene.disk);
	uint8_t bytes[100] = {1};
	int handle;

	append_and_sync(&scene, 2);
	model_close(scene.model);
	handle = ops->open(ops->context, "/log/segment.0000000000000002", true, false);
	ops->pwrite(ops->context, handle, bytes, sizeof bytes, 0);
	ops->close(ops->context, handle);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.damage.damaged &&
		   scene.model->state.paxos.end == 2 && scene.model->state.paxos.damage.lowest_written == 1,
	   "a segment cut down to a stub is damage; what lies before it is kept");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- records */

/* Writes a good record at the log's end, as if an earlier life had. */
static void add_record(struct scene *scene, struct plog_record record, unsigned after)
{
	struct plog_segment_header header;
	uint8_t block[PLOG_BLOCK];
	uint8_t bytes[PLOG_RECORD_HEADER + 16] = {0};
	uint64_t offset;

	fake_disk_get(scene->disk, first_segment, 0, block, sizeof block);
	if (format_get_header(block, &header) != FORMAT_GOOD)
		abort();
	offset = header.data_offset + after * format_padded(PLOG_RECORD_HEADER + 200);
	format_put_record(bytes, &record, &header.identity, offset);
	fake_disk_put(scene->disk, first_segment, offset, bytes, sizeof bytes);
}

static void records_that_do_not_fit(void)
{
	static const struct
	{
		struct plog_record record;
		const char *what;
	} records[] = {
		{{.length = PLOG_RECORD_HEADER, .type = PLOG_RECORD_ENTRY, .ballot = {1, 0, 1}, .slot = 7},
		 "an entry that is not of the next slot"},
		{{.length = PLOG_RECORD_HEADER, .type = PLOG_RECORD_STAGE, .ballot = {2, 0, 2}, .slot = 0},
		 "a staged entry of slot 0"},
		{{.length = PLOG_RECORD_HEADER,
		  .type = PLOG_RECORD_INSTALL,
		  .ballot = {2, 0, 2},
		  .base = 3,
		  .end = 2},
		 "an install that ends before its base"},
	};

	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++)
	{
		struct scene scene = open_scene(1, 32768, 0);

		append_and_sync(&scene, 2);
		model_close(scene.model);
		add_record(&scene, records[i].record, 2);
		ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.end == 2 &&
			   scene.model->state.paxos.promise.round == 1 && !scene.model->state.paxos.damage.damaged,
		   "%s, not covered by a marker, is cut off", records[i].what);
		close_scene(&scene);
	}
}

/* The same where a marker of a completed sync covers it: then it is damage. */
static void covered_record_that_does_not_fit(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct plog_record record = {
		.length = PLOG_RECORD_HEADER + 200, .type = PLOG_RECORD_ENTRY, .ballot = one, .slot = 9};
	uint8_t bytes[PLOG_RECORD_HEADER + 200];
	struct plog_segment_header header;
	uint8_t block[PLOG_BLOCK];

	append_and_sync(&scene, 3);
	if (plog_write_completion(scene.model->log, NULL) != PLOG_OK)
		abort();
	model_close(scene.model);
	fake_disk_get(scene.disk, first_segment, 0, block, sizeof block);
	format_get_header(block, &header);
	fake_disk_get(scene.disk, first_segment, header.data_offset, bytes, sizeof bytes);
	format_put_record(bytes, &record, &header.identity, header.data_offset);
	fake_disk_put(scene.disk, first_segment, header.data_offset, bytes, sizeof bytes);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.damage.damaged &&
		   scene.model->state.paxos.end == 0 && scene.model->state.paxos.damage.named_slot == 3,
	   "a good record that does not fit is damage where a completed sync covers it");
	close_scene(&scene);
}

static void record_of_a_later_version(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct plog_segment_header header;
	uint8_t block[PLOG_BLOCK];
	uint8_t bytes[PLOG_RECORD_HEADER] = {0};
	struct plog_identity identity;
	uint8_t bound[40];

	model_close(scene.model);
	fake_disk_get(scene.disk, first_segment, 0, block, sizeof block);
	format_get_header(block, &header);
	identity = header.identity;
	format_put_record(
		bytes, &(struct plog_record){.length = PLOG_RECORD_HEADER, .type = PLOG_RECORD_ENTRY, .slot = 1},
		&identity, header.data_offset);
	bytes[10] = 2; /* its version, and the checksum anew */
	memcpy(bound, identity.store_id.bytes, 16);
	put64(bound + 16, identity.segment);
	put64(bound + 24, identity.run);
	put64(bound + 32, header.data_offset);
	put32(bytes, plog_crc32c(plog_crc32c(0, bound, sizeof bound), bytes + 4, sizeof bytes - 4));
	fake_disk_put(scene.disk, first_segment, header.data_offset, bytes, sizeof bytes);
	ok(reopen_killed(&scene) == PLOG_UNKNOWN && says(&scene, "version 2"),
	   "a record of a later version stops the start: %s", scene.model->error.message);
	close_scene(&scene);
}

/* ---------------------------------------------------------------- metadata */

enum
{
	METADATA_VERSION = 12,
	METADATA_SEQUENCE = 16,
	METADATA_STORE = 24,
	METADATA_RUN = 40,
	METADATA_PROMISE = 48,
	METADATA_PROMISE_EPOCH = 64,
	METADATA_CONFIG_LENGTH = 72
};

static void metadata_of_later_version(void)
{
	struct scene scene = open_scene(1, 32768, 0);

	model_close(scene.model);
	change_field(scene.disk, "/log/metadata.2", 0, METADATA_VERSION, PLOG_FORMAT_VERSION + 1, 4);
	ok(reopen_killed(&scene) == PLOG_UNKNOWN && says(&scene, "metadata.2"),
	   "metadata of a later version stop the start: %s", scene.model->error.message);
	close_scene(&scene);
}

static void metadata_that_cannot_be(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	uint8_t zeros[8] = {0};

	if (model_promise(scene.model, two) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
		abort();
	model_close(scene.model);
	change_field(scene.disk, "/log/metadata.1", 0, METADATA_CONFIG_LENGTH, PLOG_CONFIG_MAX + 1, 4);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.promise.round == 2 &&
		   scene.model->state.config_length == 0,
	   "a copy whose configuration can't fit is a bad copy; the other serves");
	model_close(scene.model);
	change_field(scene.disk, "/log/metadata.1", 0, METADATA_STORE, 99, 8);
	ok(reopen_killed(&scene) == PLOG_CORRUPT && says(&scene, "different stores"), "copies of two stores: %s",
	   scene.model->error.message);
	fake_disk_put(scene.disk, "/log/metadata.1", 0, zeros, sizeof zeros);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.promise.round == 2,
	   "with one of them bad, the other");
	close_scene(&scene);
}

/* B4: the highest promise and run of both copies, whichever is the newer. */
static void copies_that_disagree(void)
{
	for (int higher = 1; higher <= 2; higher++)
	{
		for (int newer = 1; newer <= 2; newer++)
		{
			struct scene scene = open_scene(1, 32768, 0);
			const char *copy = higher == 1 ? "/log/metadata.1" : "/log/metadata.2";
			const char *newest = newer == 1 ? "/log/metadata.1" : "/log/metadata.2";

			model_close(scene.model);
			change_field(scene.disk, copy, 0, METADATA_PROMISE, 9, 8);
			change_field(scene.disk, copy, 0, METADATA_RUN, 40, 8);
			change_field(scene.disk, newest, 0, METADATA_SEQUENCE, 1000, 8);
			ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.promise.round == 9 &&
				   scene.model->state.run == 41,
			   "copy %d has promised and run more, copy %d is the newer: neither falls (B4)", higher, newer);
			close_scene(&scene);
		}
	}
}

/* A promise of a later epoch counts more than a higher one of an earlier. */
static void promises_of_two_epochs(void)
{
	struct scene scene = open_scene(1, 32768, 0);

	model_close(scene.model);
	change_field(scene.disk, "/log/metadata.1", 0, METADATA_PROMISE, 9, 8);
	change_field(scene.disk, "/log/metadata.1", 0, METADATA_PROMISE_EPOCH, 1, 8);
	change_field(scene.disk, "/log/metadata.2", 0, METADATA_PROMISE, 3, 8);
	change_field(scene.disk, "/log/metadata.2", 0, METADATA_PROMISE_EPOCH, 2, 8);
	change_field(scene.disk, "/log/metadata.1", 0, METADATA_SEQUENCE, 1000, 8);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.promise.round == 3,
	   "the promise of the later epoch is kept, though the other copy is newer");
	close_scene(&scene);
}

static void short_metadata(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	const struct file_ops *ops = fake_disk_ops(scene.disk);
	uint8_t bytes[100] = {0};
	int handle;

	if (model_promise(scene.model, two) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
		abort();
	model_close(scene.model);
	fake_disk_remove(scene.disk, "/log/metadata.1");
	handle = ops->open(ops->context, "/log/metadata.1", true, false);
	ops->pwrite(ops->context, handle, bytes, sizeof bytes, 0);
	ops->close(ops->context, handle);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.promise.round == 2 &&
		   fake_disk_size(scene.disk, "/log/metadata.1") == PLOG_BLOCK,
	   "a copy that is too short is made whole from the other");
	close_scene(&scene);
}

/* A promise of a later epoch replaces one of an earlier; a lower one of the same epoch does not. */
static void promises_taken(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct paxos_write write = {.id = 1, .type = PAXOS_WRITE_PROMISE, .epoch = 1, .ballot = {5, 0, 1}};
	uint64_t durable;

	plog_write(scene.model->log, &write, NULL);
	write.id = 2;
	write.ballot.round = 4;
	plog_write(scene.model->log, &write, NULL);
	plog_sync(scene.model->log, &durable, NULL);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.promise.round == 5,
	   "a promise never falls (S4)");
	write.id = 1;
	write.epoch = 2;
	write.ballot.round = 2;
	plog_write(scene.model->log, &write, NULL);
	plog_sync(scene.model->log, &durable, NULL);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.promise.round == 2,
	   "but a later epoch has its own");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- files that are missing or too many */

/* T5: behind a snapshot the log begins where no entry is yet. */
static void trimmed_beyond_the_end(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct paxos_durable_state *got = &scene.model->state.paxos;

	append_and_sync(&scene, 3);
	ok(plog_trim(scene.model->log, 9, &scene.model->error) == PLOG_OK && reopen_killed(&scene) == PLOG_OK &&
		   got->first_slot == 9 && got->end == 8 && !got->damage.damaged,
	   "a log of 3 entries that is to begin at slot 9 is empty there");
	ok(plog_trim(scene.model->log, 5, &scene.model->error) == PLOG_OK && reopen_killed(&scene) == PLOG_OK &&
		   got->first_slot == 9,
	   "and never begins earlier again");
	close_scene(&scene);
}

/* T5: that a snapshot is being installed lasts, and keeps what it may yet need, until it is or is given up. */
static void restoring(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct plog_error *error = &scene.model->error;
	uint64_t before;

	append_and_sync(&scene, 40);
	before = plog_bytes(scene.model->log);
	ok(plog_begin_restore(scene.model->log, 90, error) == PLOG_OK && reopen_killed(&scene) == PLOG_OK &&
		   scene.model->state.restoring == 90 && scene.model->state.paxos.end == 40,
	   "that a snapshot is being installed is known after a restart");
	ok(plog_trim(scene.model->log, 30, error) == PLOG_OK && plog_bytes(scene.model->log) >= before &&
		   reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.first_slot == 1 &&
		   scene.model->state.restoring == 90,
	   "until it is there nothing is trimmed");
	ok(plog_begin_restore(scene.model->log, 0, error) == PLOG_OK && reopen_killed(&scene) == PLOG_OK &&
		   scene.model->state.restoring == 0 && scene.model->state.paxos.first_slot == 1,
	   "it may be given up");
	ok(plog_begin_restore(scene.model->log, 90, error) == PLOG_OK &&
		   plog_trim(scene.model->log, 91, error) == PLOG_OK && reopen_killed(&scene) == PLOG_OK &&
		   scene.model->state.restoring == 0 && scene.model->state.paxos.first_slot == 91 &&
		   scene.model->state.paxos.end == 90,
	   "once it is there the log goes on behind it");
	ok(plog_begin_restore(scene.model->log, 80, error) == PLOG_OK &&
		   plog_trim(scene.model->log, 81, error) == PLOG_OK && reopen_killed(&scene) == PLOG_OK &&
		   scene.model->state.restoring == 0 && scene.model->state.paxos.first_slot == 91,
	   "one as of an earlier slot ends, too, and moves nothing");
	close_scene(&scene);
}

/* What a retention keeps: whole segments, the newest ones. */
static void retained(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct plog *log = scene.model->log;
	uint64_t all;
	uint64_t from;

	for (int i = 0; i < 60; i++)
		if (model_append(scene.model, one, 1, 2000) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	all = plog_bytes(log);
	is_u64(plog_retained_from(log, all), 1, "what is retained whole begins where it begins");
	is_u64(plog_retained_from(log, all + 1), 1, "so does what is less than the retention");
	from = plog_retained_from(log, all / 2);
	ok(from > 10 && from < 50, "half of the bytes begin in the middle");
	ok(plog_trim(log, from, &scene.model->error) == PLOG_OK && plog_bytes(log) >= all / 2 &&
		   plog_bytes(log) < all / 2 + 2 * 32768,
	   "trimmed there, so many stay, and no whole segment more");
	is_u64(plog_retained_from(log, plog_bytes(log)), from, "then the log begins there");
	from = plog_retained_from(log, 1);
	ok(from > 40 && from <= 60, "next to no retention keeps the segment that is written to");
	is_u64(plog_retained_from(log, 0), 61, "none keeps nothing");
	close_scene(&scene);
}

/* A long log is trimmed at once; its files go a few at a time, as the host has it. */
static void trim_by_and_by(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	struct plog *log;
	uint64_t before;
	int calls = 1;

	scene.model->options.trim_files_max = 2;
	if (reopen_killed(&scene) != PLOG_OK)
		abort();
	for (int i = 0; i < 120; i++)
		if (model_append(scene.model, one, 1, 2000) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	log = scene.model->log;
	before = plog_bytes(log);
	ok(plog_first_slot(log) == 1 && !plog_has_dead_segments(log), "nothing is trimmed");
	ok(plog_bytes_from(log, 1) > 120 * 2000 && plog_bytes_from(log, 1) <= before,
	   "from the first slot on, that is the bytes of all");
	ok(plog_bytes_from(log, 61) > 60 * 2000 && plog_bytes_from(log, 61) <= before / 2 + 32768,
	   "from the middle on, half of them");
	is_u64(plog_bytes_from(log, 121), 0, "from behind the end on, none");
	ok(plog_trim(log, 121, &scene.model->error) == PLOG_OK && plog_first_slot(log) == 121, "all is");
	is_u64(plog_bytes(log), before - 2 * 32768, "two files are gone");
	ok(plog_has_dead_segments(log), "and others are to go");
	for (; plog_has_dead_segments(log) && calls < 100; calls++)
		if (plog_trim(log, 121, &scene.model->error) != PLOG_OK)
			abort();
	is_u64((uint64_t) calls, (before / 32768 - 1 + 1) / 2, "by calls of two files each");
	is_u64(plog_bytes(log), 32768, "what is written to stays");
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.first_slot == 121 &&
		   scene.model->state.paxos.end == 120,
	   "an empty log comes back as one");
	close_scene(&scene);
}

/* A damaged log may be made whole by repair while it is synced: what was staged keeps no segment from being dropped. */
static void staged_for_nothing(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	static uint8_t bytes[100];
	struct paxos_entry entry = {bytes, sizeof bytes};
	struct paxos_write stage = {.type = PAXOS_WRITE_STAGE,
								.epoch = 1,
								.ballot = one,
								.base = 1,
								.first_slot = 2,
								.n_entries = 1,
								.entries = &entry};
	struct plog *log = scene.model->log;

	if (model_append(scene.model, one, 3, 100) != PLOG_OK)
		abort();
	stage.id = ++scene.model->id;
	ok(plog_write(log, &stage, &scene.model->error) == PLOG_OK && model_sync(scene.model) == PLOG_OK,
	   "an entry is staged");
	for (int i = 0; i < 60; i++)
		if (model_append(scene.model, one, 1, 2000) != PLOG_OK || model_sync(scene.model) != PLOG_OK)
			abort();
	ok(plog_trim(log, 64, &scene.model->error) == PLOG_OK && !plog_has_dead_segments(log), "all is trimmed");
	is_u64(plog_bytes(log), 32768, "what is written to stays, and no more");
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.first_slot == 64 &&
		   scene.model->state.paxos.end == 63,
	   "an empty log comes back as one");
	close_scene(&scene);
}

/* A trim that waits for room is a record of the log's own, which no write id names. */
static void trim_without_room(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	uint64_t durable = 0;
	enum plog_code code = PLOG_OK;

	fake_disk_set_capacity(scene.disk, 32768 + 3 * PLOG_BLOCK);
	for (int i = 0; i < 20 && code == PLOG_OK; i++)
	{
		code = model_append(scene.model, one, 1, 2000);
		if (code == PLOG_OK)
			code = model_sync(scene.model);
	}
	ok(code == PLOG_NO_SPACE && plog_trim(scene.model->log, 2, &scene.model->error) == PLOG_NO_SPACE,
	   "a full disk can't even note a trim");
	ok(plog_sync(scene.model->log, &durable, &scene.model->error) == PLOG_NO_SPACE &&
		   durable == scene.model->id - 1,
	   "what is durable is said as before");
	fake_disk_set_capacity(scene.disk, 1u << 30);
	ok(plog_sync(scene.model->log, &durable, &scene.model->error) == PLOG_OK && durable == scene.model->id,
	   "with room all is");
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.first_slot == 2 &&
		   !scene.model->state.paxos.damage.damaged,
	   "the trim too");
	close_scene(&scene);
}

/* Both copies of the metadata brought back from before the log was written to. */
static void metadata_of_before_the_log(void)
{
	struct scene scene = open_scene(1, 32768, 0);

	append_and_sync(&scene, 1);
	model_close(scene.model);
	change_field(scene.disk, "/log/metadata.1", 0, METADATA_RUN, 0, 8);
	change_field(scene.disk, "/log/metadata.2", 0, METADATA_RUN, 0, 8);
	ok(reopen_killed(&scene) == PLOG_CORRUPT && says(&scene, "written to"), "metadata older than the log: %s",
	   scene.model->error.message);
	change_header(&scene, HEADER_DATA, 1, 8);
	ok(reopen_killed(&scene) == PLOG_CORRUPT, "also where the log's header is lost");
	change_header(&scene, HEADER_VERSION, 2, 4);
	ok(reopen_killed(&scene) == PLOG_UNKNOWN, "or of a later version");
	close_scene(&scene);
}

static void nothing_to_prepare_in(void)
{
	const struct file_ops *real = file_ops_posix();
	struct plog_options options = {.segment_bytes = 32768, .min_free_segments = 1};
	struct plog_error error;

	ok(plog_prepare_segments("/nonexistent/paxoskv", real, &options, &error) == PLOG_OK,
	   "no directory yet: nothing is prepared, which is no error");
	ok(plog_prepare_segments("/dev/null", real, &options, &error) == PLOG_IO &&
		   strstr(error.message, "/dev/null") != NULL,
	   "what is no directory is: %s", error.message);
}

static void no_segments(void)
{
	struct scene scene = open_scene(1, 32768, 0);

	append_and_sync(&scene, 1);
	model_close(scene.model);
	fake_disk_remove(scene.disk, first_segment);
	ok(reopen_killed(&scene) == PLOG_CORRUPT && says(&scene, "no segment file"),
	   "metadata without a segment: %s", scene.model->error.message);
	close_scene(&scene);
}

/* Between taking the lock and writing its number into it, a holder has none yet. */
static void lock_without_a_holder(void)
{
	struct scene scene = {fake_disk_new(1), model_new(1, 32768, 0)};
	const struct file_ops *ops = fake_disk_ops(scene.disk);
	int handle = ops->open(ops->context, "/log/lock", true, false);

	ops->lock(ops->context, handle);
	ok(model_open(scene.model, ops) == PLOG_LOCKED && says(&scene, "PID unknown"), "%s",
	   scene.model->error.message);
	ops->close(ops->context, handle);
	ok(model_open(scene.model, ops) == PLOG_OK, "free again, it is taken");
	close_scene(&scene);
}

static void directory_that_cannot_be_made(void)
{
	struct plog_options options = {.segment_bytes = 32768};
	struct paxos_id id = {{1}};
	struct plog_state state;
	struct plog_error error;
	struct plog *log;

	ok(plog_open(&log, "/proc/paxoskv/log", file_ops_posix(), &options, &id, &state, &error) == PLOG_IO &&
		   log == NULL && strstr(error.message, "/proc/paxoskv") != NULL,
	   "a directory whose parent can't be made: %s", error.message);
}

static void long_directory_name(void)
{
	struct fake_disk *disk = fake_disk_new(1);
	struct plog_options options = {.segment_bytes = 32768};
	struct paxos_id id = {{1}};
	struct plog_state state;
	struct plog_error error;
	struct plog *log;
	char name[2000];

	memset(name, 'x', sizeof name - 1);
	name[0] = '/';
	name[sizeof name - 1] = '\0';
	ok(plog_open(&log, name, fake_disk_ops(disk), &options, &id, &state, &error) == PLOG_IO && log == NULL &&
		   strstr(error.message, "too long") != NULL,
	   "a directory with too long a name is refused");
	fake_disk_free(disk);
}

static void many_leftovers(void)
{
	struct scene scene = open_scene(1, 32768, 0);
	const struct file_ops *ops = fake_disk_ops(scene.disk);
	unsigned left = 0;

	model_close(scene.model);
	for (int i = 0; i < 70; i++)
	{
		char path[64];

		snprintf(path, sizeof path, "/log/%s.%d", i % 2 == 0 ? "preparing" : "prepared", i);
		ops->close(ops->context, ops->open(ops->context, path, true, false));
	}
	ok(reopen_killed(&scene) == PLOG_OK, "a start over seventy files of earlier lives, none of them of use");
	for (size_t i = 0; fake_disk_name(scene.disk, i) != NULL; i++)
		left += strncmp(fake_disk_name(scene.disk, i), "/log/preparing.", 15) == 0;
	is_u64(left, 0, "those that were being prepared are gone, however many");
	append_and_sync(&scene, 1);
	ok(reopen_killed(&scene) == PLOG_OK && scene.model->state.paxos.end == 1,
	   "and none of the others was taken for a segment");
	close_scene(&scene);
}

int main(void)
{
	later_version();
	impossible_data_offset();
	header_of_another_number();
	chain_that_runs_backwards();
	stub_of_a_segment();
	records_that_do_not_fit();
	covered_record_that_does_not_fit();
	record_of_a_later_version();
	metadata_of_later_version();
	metadata_that_cannot_be();
	copies_that_disagree();
	promises_of_two_epochs();
	short_metadata();
	promises_taken();
	trimmed_beyond_the_end();
	restoring();
	retained();
	trim_by_and_by();
	staged_for_nothing();
	trim_without_room();
	metadata_of_before_the_log();
	nothing_to_prepare_in();
	no_segments();
	lock_without_a_holder();
	directory_that_cannot_be_made();
	long_directory_name();
	many_leftovers();
	return done();
}
