/*
 * test_log_limits.c - the log at its limits: records larger than the buffers, more waiting than memory should hold,
 * markers used up, memory that runs out at any allocation, an assertion that fails; and real files' errors.
 */
#include "unit.h"

#include "fake_disk.h"
#include "log_model.h"
#include "short_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log/format.h"

#define MEBIBYTE (1u << 20)

static const struct paxos_ballot one = {1, 0, 1};
static const struct paxos_ballot two = {2, 0, 2};

struct scene
{
	struct fake_disk *disk;
	struct plog *log;
	struct plog_options options;
	struct plog_state state;
	struct plog_error error;
	uint64_t id;
	uint64_t end;
};

static enum plog_code start(struct scene *scene)
{
	struct paxos_id id = {{7}};
	enum plog_code code;

	plog_close(scene->log);
	fake_disk_kill(scene->disk);
	code = plog_open(&scene->log, "/log", fake_disk_ops(scene->disk), &scene->options, &id, &scene->state,
					 &scene->error);
	scene->id = 0;
	scene->end = scene->state.paxos.end;
	return code;
}

static struct scene open_scene(uint64_t segment_bytes)
{
	struct scene scene = {.disk = fake_disk_new(1), .options = {.segment_bytes = segment_bytes}};

	if (start(&scene) != PLOG_OK)
		abort();
	return scene;
}

static void close_scene(struct scene *scene)
{
	plog_close(scene->log);
	fake_disk_free(scene->disk);
}

/* The bytes of a slot in these tests. */
static struct paxos_entry entry_of(uint64_t slot, uint32_t length)
{
	static uint8_t bytes[3 * MEBIBYTE];

	model_fill(bytes, length, slot);
	return (struct paxos_entry){bytes, length};
}

static enum plog_code append(struct scene *scene, uint32_t length)
{
	struct paxos_entry entry = entry_of(scene->end + 1, length);
	struct paxos_write write = {.id = scene->id + 1,
								.type = PAXOS_WRITE_APPEND,
								.epoch = 1,
								.ballot = one,
								.first_slot = scene->end + 1,
								.n_entries = 1,
								.entries = &entry};
	enum plog_code code = plog_write(scene->log, &write, &scene->error);

	if (code == PLOG_OK)
	{
		scene->id++;
		scene->end++;
	}
	return code;
}

static enum plog_code sync_all(struct scene *scene)
{
	uint64_t durable;

	return plog_sync(scene->log, &durable, &scene->error);
}

static bool reads_back(struct scene *scene, uint64_t slot, uint32_t length)
{
	struct paxos_entry got;
	struct paxos_entry expected = entry_of(slot, length);
	bool same = plog_read(scene->log, slot, &got, &scene->error) == PLOG_OK && got.length == length &&
				memcmp(got.bytes, expected.bytes, length) == 0;

	plog_release_reads(scene->log);
	return same;
}

/* ---------------------------------------------------------------- large */

static void records_larger_than_the_buffer(void)
{
	struct scene scene = open_scene(16 * MEBIBYTE);
	static const uint32_t lengths[] = {1000, 2 * MEBIBYTE, 700 * 1024, 700 * 1024, 3 * MEBIBYTE, 50};
	bool right = true;

	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		right = right && append(&scene, lengths[i]) == PLOG_OK;
	ok(right && sync_all(&scene) == PLOG_OK, "records around and above the write buffer's size in one sync");
	ok(start(&scene) == PLOG_OK && scene.end == 6 && !scene.state.paxos.damage.damaged,
	   "are there after a restart");
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
		right = right && reads_back(&scene, i + 1, lengths[i]);
	ok(right, "and as they were");
	close_scene(&scene);
}

/* Beyond 4 MiB what waits is written early; that alone makes nothing durable. */
static void much_that_waits(void)
{
	struct scene scene = open_scene(16 * MEBIBYTE);
	const char *name = "/log/segment.0000000000000001";
	uint8_t written[64];
	uint8_t nothing[64] = {0};
	uint64_t data = format_data_offset(16 * MEBIBYTE);

	append(&scene, MEBIBYTE);
	append(&scene, MEBIBYTE);
	fake_disk_get(scene.disk, name, data, written, sizeof written);
	ok(memcmp(written, nothing, sizeof written) == 0, "a little waits in memory for its sync");
	append(&scene, MEBIBYTE);
	append(&scene, MEBIBYTE);
	fake_disk_get(scene.disk, name, data, written, sizeof written);
	ok(memcmp(written, nothing, sizeof written) != 0 && plog_dirty(scene.log),
	   "more than 4 MiB is written early, and still waits for its sync");
	ok(sync_all(&scene) == PLOG_OK && !plog_dirty(scene.log) && start(&scene) == PLOG_OK && scene.end == 4 &&
		   reads_back(&scene, 2, MEBIBYTE),
	   "which makes it durable");
	fake_disk_set_capacity(scene.disk, 0);
	for (int i = 0; i < 20; i++)
		append(&scene, MEBIBYTE);
	ok(scene.end == 24, "without room for a segment more is taken all the same");
	ok(sync_all(&scene) == PLOG_NO_SPACE, "and the sync says so (%s)", scene.error.message);
	close_scene(&scene);
}

/* Each file call in its turn is the last that works, while large and small records are written. */
static void large_records_and_failures(void)
{
	static const uint32_t lengths[] = {1000, 700 * 1024, 700 * 1024, 2 * MEBIBYTE, 50};
	unsigned wrong = 0;
	uint64_t n = 0;
	bool through = false;

	for (; !through && n < 100; n++)
	{
		struct scene scene = open_scene(8 * MEBIBYTE);
		enum plog_code code = PLOG_OK;

		fake_disk_stop_after(scene.disk, n);
		for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
			append(&scene, lengths[i]);
		code = sync_all(&scene);
		through = code == PLOG_OK;
		wrong += code != PLOG_OK && code != PLOG_IO;
		if (start(&scene) != PLOG_OK || scene.state.paxos.damage.damaged || (through && scene.end != 5))
			wrong++;
		for (uint64_t slot = 1; slot <= scene.end; slot++)
			wrong += !reads_back(&scene, slot, lengths[slot - 1]);
		close_scene(&scene);
	}
	ok(wrong == 0 && through && n > 4,
	   "large records, a disk that stops after each of %u calls: none in part", (unsigned) n);
}

/* ---------------------------------------------------------------- markers */

/* A sync and its completion take a marker each; when they run out a new segment goes on. */
static void markers_used_up(void)
{
	struct scene scene = open_scene(32768);
	bool right = true;
	unsigned n = 0;

	for (; n < 100 && right; n++)
		right = append(&scene, 50) == PLOG_OK && sync_all(&scene) == PLOG_OK &&
				plog_write_completion(scene.log, &scene.error) == PLOG_OK &&
				!plog_wants_completion(scene.log);
	ok(right && fake_disk_size(scene.disk, "/log/segment.0000000000000002") > 0,
	   "a hundred syncs, each said completed, need a second segment for their markers");
	ok(start(&scene) == PLOG_OK && scene.end == n && !scene.state.paxos.damage.damaged &&
		   reads_back(&scene, 60, 50),
	   "and lose nothing");
	close_scene(&scene);
}

/* Each record leaves a marker for its sync and one for the completion (place_item()). */
static void completion_at_the_last_markers(void)
{
	struct scene scene = open_scene(32768);
	uint64_t before;
	bool right = true;

	for (uint32_t i = 0; i < format_marker_capacity(format_data_offset(32768)) - 1; i++)
		right = right && append(&scene, 50) == PLOG_OK && sync_all(&scene) == PLOG_OK;
	before = plog_bytes(scene.log);
	ok(right && plog_wants_completion(scene.log), "syncs until the markers of a segment are nearly used up");
	for (int i = 0; i < 3 && right; i++)
		right = append(&scene, 50) == PLOG_OK && sync_all(&scene) == PLOG_OK &&
				plog_write_completion(scene.log, &scene.error) == PLOG_OK &&
				!plog_wants_completion(scene.log);
	ok(right && plog_bytes(scene.log) > before,
	   "then a new segment says that they completed, by being there (D5)");
	ok(start(&scene) == PLOG_OK && scene.end == 66 && !scene.state.paxos.damage.damaged, "%s %d",
	   "and nothing is lost", (int) scene.end);
	close_scene(&scene);
}

/* ---------------------------------------------------------------- memory */

/* A log of several segments with a large record, a Sync staged and damage; small caches. */
static struct scene long_log(void)
{
	struct scene scene = open_scene(32768);

	for (int i = 0; i < 12; i++)
	{
		if (append(&scene, i == 5 ? MEBIBYTE : 3000) != PLOG_OK || sync_all(&scene) != PLOG_OK)
			abort();
	}
	return scene;
}

static void no_memory_at_a_start(void)
{
	struct scene scene = long_log();
	unsigned refused = 0;
	unsigned wrong = 0;
	enum plog_code code = PLOG_MEMORY;

	for (uint64_t allowed = 0; code == PLOG_MEMORY && allowed < 500; allowed++)
	{
		allocations_left = allowed;
		plog_set_allocator(short_of_memory, free);
		code = start(&scene);
		plog_set_allocator(realloc, free);
		refused += code == PLOG_MEMORY;
		wrong += code != PLOG_MEMORY && code != PLOG_OK;
	}
	ok(wrong == 0 && refused > 10, "a start without memory for one of its %u allocations says so", refused);
	ok(code == PLOG_OK && scene.state.paxos.end == 12 && !scene.state.paxos.damage.damaged &&
		   reads_back(&scene, 6, MEBIBYTE),
	   "with memory again all is there");
	close_scene(&scene);
}

static void no_memory_for_a_new_log(void)
{
	unsigned refused = 0;
	enum plog_code code = PLOG_MEMORY;
	struct scene scene = {.disk = fake_disk_new(1), .options = {.segment_bytes = 32768}};

	for (uint64_t allowed = 0; code == PLOG_MEMORY && allowed < 100; allowed++)
	{
		allocations_left = allowed;
		plog_set_allocator(short_of_memory, free);
		code = start(&scene);
		plog_set_allocator(realloc, free);
		refused += code == PLOG_MEMORY;
	}
	ok(code == PLOG_OK && refused >= 4 && scene.state.run == 1,
	   "a log that could not be made for lack of memory (%u times) is made later", refused);
	close_scene(&scene);
}

/* At any allocation of a life of many segments: told, and nothing durable is lost. */
static void no_memory_over_many_segments(void)
{
	unsigned refused = 0;
	unsigned wrong = 0;

	for (uint64_t allowed = 0; allowed < 120; allowed++)
	{
		struct scene scene = open_scene(32768);
		enum plog_code code = PLOG_OK;
		uint64_t durable = 0;

		allocations_left = allowed;
		plog_set_allocator(short_of_memory, free);
		for (int i = 0; i < 40 && code == PLOG_OK; i++)
		{
			code = append(&scene, 12000);
			if (code == PLOG_OK)
				code = plog_sync(scene.log, &durable, &scene.error);
		}
		plog_set_allocator(realloc, free);
		refused += code == PLOG_MEMORY;
		wrong += code != PLOG_MEMORY && code != PLOG_OK;
		wrong += start(&scene) != PLOG_OK || scene.state.paxos.damage.damaged || scene.end < durable;
		close_scene(&scene);
	}
	ok(wrong == 0 && refused > 40,
	   "a lack of memory at any place of a long life (%u times) is told and loses nothing", refused);
}

static void no_memory_for_a_read(void)
{
	struct scene scene = long_log();
	struct paxos_entry entry;
	struct paxos_ballot ballot;
	uint64_t epoch;

	if (start(&scene) != PLOG_OK)
		abort();
	allocations_left = 0;
	plog_set_allocator(short_of_memory, free);
	ok(plog_read(scene.log, 3, &entry, &scene.error) == PLOG_MEMORY, "a read without memory says so");
	ok(plog_read_ballot(scene.log, 3, &epoch, &ballot, &scene.error) == PLOG_MEMORY,
	   "so does one of a ballot");
	plog_set_allocator(realloc, free);
	ok(reads_back(&scene, 3, 3000), "and later finds what is there");
	ok(plog_read(scene.log, 0, &entry, &scene.error) == PLOG_CORRUPT &&
		   plog_read_ballot(scene.log, 13, &epoch, &ballot, &scene.error) == PLOG_CORRUPT,
	   "slots before the first and behind the last are not there");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- assertions */

static jmp_buf back;
static const char *broken;

static void note_assertion(const char *condition, const char *file, int line)
{
	broken = condition;
	longjmp(back, 1);
}

/* The host's handler hears of it; here it leaves by a jump, as PostgreSQL's does. */
static void failed_assertion(void)
{
	struct scene scene = open_scene(32768);
	struct paxos_write write = {.id = 9, .type = PAXOS_WRITE_PROMISE, .epoch = 1, .ballot = two};

	append(&scene, 100);
	plog_set_assert_handler(note_assertion);
	if (setjmp(back) == 0)
		plog_write(scene.log, &write, &scene.error);
	plog_set_assert_handler(NULL);
	ok(broken != NULL && strstr(broken, "last_id") != NULL, "a write out of order fails an assertion: %s",
	   broken == NULL ? "none" : broken);
	ok(sync_all(&scene) == PLOG_OK && start(&scene) == PLOG_OK && scene.state.paxos.promise.round == 1,
	   "and promises nothing");
	close_scene(&scene);
}

/* ---------------------------------------------------------------- real files */

static void errors_of_real_files(void)
{
	const struct file_ops *ops = file_ops_posix();
	const char *nowhere = "/nonexistent/paxoskv";
	uint8_t byte = 1;
	int full = ops->open(NULL, "/dev/full", false, false);

	is_u64((uint64_t) -ops->open(NULL, nowhere, false, true), ENOENT, "open says what is wrong");
	is_u64((uint64_t) -ops->open(NULL, nowhere, true, false), ENOENT, "also where it would make the file");
	is_u64((uint64_t) -ops->close(NULL, -1), EBADF, "close");
	is_u64((uint64_t) -ops->pread(NULL, -1, &byte, 1, 0), EBADF, "pread");
	is_u64((uint64_t) -ops->pwrite(NULL, -1, &byte, 1, 0), EBADF, "pwrite");
	is_u64((uint64_t) -ops->sync(NULL, -1), EBADF, "sync");
	is_u64((uint64_t) -ops->size(NULL, -1), EBADF, "size");
	is_u64((uint64_t) -ops->lock(NULL, -1), EBADF, "lock");
	is_u64((uint64_t) -ops->sync_directory(NULL, nowhere), ENOENT, "sync of a directory");
	is_u64((uint64_t) -ops->rename(NULL, nowhere, nowhere), ENOENT, "rename");
	is_u64((uint64_t) -ops->unlink(NULL, nowhere), ENOENT, "unlink");
	is_u64((uint64_t) -ops->list(NULL, nowhere, NULL, NULL), ENOENT, "list");
	is_u64((uint64_t) -ops->make_directory(NULL, nowhere), ENOENT, "making of a directory");
	is_u64((uint64_t) -ops->pwrite(NULL, full, &byte, 1, 0), ENOSPC, "no room is ENOSPC");
	is_u64((uint64_t) ops->pread(NULL, full, &byte, 1, 0), 1, "a read is whole");
	ops->close(NULL, full);
}

static void a_real_file(void)
{
	const struct file_ops *ops = file_ops_posix();
	char top[] = "/tmp/paxoskv-file-XXXXXX";
	char path[64];
	uint8_t bytes[10] = {0};
	int handle;

	if (mkdtemp(top) == NULL)
		abort();
	snprintf(path, sizeof path, "%s/file", top);
	handle = ops->open(NULL, path, true, false);
	ok(handle >= 0 && ops->pwrite(NULL, handle, "abcdef", 6, 2) == 6 && ops->size(NULL, handle) == 8,
	   "a file is written at an offset");
	ok(ops->pread(NULL, handle, bytes, sizeof bytes, 4) == 4 && memcmp(bytes, "cdef", 4) == 0,
	   "and read up to its end");
	ops->close(NULL, handle);
	ok(ops->make_directory(NULL, top) == 0, "a directory that is there already is no error");
	ok(ops->unlink(NULL, path) == 0 && ops->open(NULL, path, false, true) == -ENOENT,
	   "a removed file is gone");
	rmdir(top);
}

int main(void)
{
	records_larger_than_the_buffer();
	large_records_and_failures();
	much_that_waits();
	markers_used_up();
	completion_at_the_last_markers();
	no_memory_at_a_start();
	no_memory_for_a_new_log();
	no_memory_over_many_segments();
	no_memory_for_a_read();
	failed_assertion();
	errors_of_real_files();
	a_real_file();
	return done();
}
