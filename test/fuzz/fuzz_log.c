/*
 * fuzz_log.c - recovery of a log whose files are the input's bytes, or a sound log's that were then damaged.
 *
 * Recovery must end, within bounds; refuse, or hand out a log that is consistent with itself: every slot that
 * it says it holds can be read, or damage is reported; a second start finds the same; what is written to it
 * after that is there after a third.  And where no more than one block rotted, nothing that was synced is lost
 * silently (D5 to D7), no promise falls (B4), and it starts.
 */
#include "fuzz.h"
#include "log_build.h"

/* A small log never needs more memory at once. */
#define MEMORY_MAX (160u << 20)

static struct memory_disk disk;
static struct memory_disk old;

/* ---------------------------------------------------------------- bounds */

static size_t allocated;

/* Large buffers of the same size are used again: taking them anew would be most of the time. */
#define LARGE (128u << 10)
#define LARGE_KEPT 4
static size_t *large[LARGE_KEPT];

/* The size lies before the bytes. */
static size_t *take_large(size_t size)
{
	for (int i = 0; i < LARGE_KEPT; i++)
		if (large[i] != NULL && large[i][0] == size)
		{
			size_t *memory = large[i];

			large[i] = NULL;
			memset(memory + 2, 0xa5, 4096);
			return memory;
		}
	return NULL;
}

static void *bounded_allocate(void *before, size_t size)
{
	size_t *memory = before == NULL ? NULL : (size_t *) before - 2;

	if (memory != NULL)
		allocated -= memory[0];
	allocated += size;
	MUST(size < MEMORY_MAX && allocated < MEMORY_MAX);
	if (memory == NULL && size >= LARGE)
		memory = take_large(size);
	if (memory == NULL || memory[0] != size)
		memory = realloc(memory, size + 2 * sizeof(size_t));
	MUST(memory != NULL);
	memory[0] = size;
	return memory + 2;
}

static void bounded_free(void *bytes)
{
	size_t *memory = (size_t *) bytes - 2;

	allocated -= memory[0];
	for (int i = 0; i < LARGE_KEPT && memory[0] >= LARGE && memory[0] <= 2u << 20; i++)
		if (large[i] == NULL)
		{
			large[i] = memory;
			return;
		}
	free(memory);
}

/* ---------------------------------------------------------------- what is found */

/* What one start hands out, for comparison with the next. */
struct found
{
	struct plog_state state;
	uint32_t crc; /* of all entries and their ballots */
};

/* Whatever bytes there were: what the core may rely on (paxos_create()). */
static void check_state(const struct plog_state *s)
{
	const struct paxos_durable_state *p = &s->paxos;

	MUST(s->run > 0);
	MUST(p->first_slot >= 1 && p->end + 1 >= p->first_slot && p->end < UINT64_MAX);
	MUST(paxos_ballot_compare(p->accepted, p->promise) <= 0);
	MUST(s->config_length <= PLOG_CONFIG_MAX);
	MUST(memchr(s->damage_place, '\0', sizeof(s->damage_place)) != NULL);
	MUST(p->damage.damaged == (s->damage_place[0] != '\0'));
	MUST(!p->damage.damaged || p->damage.lowest_written >= 1);
	MUST(p->damage.damaged || !p->damage.doubtful);
}

static void read_all(struct plog *log, struct found *found)
{
	const struct paxos_durable_state *p = &found->state.paxos;

	/* each slot has a record of its own */
	MUST(p->end + 1 - p->first_slot <= DISK_BYTES_MAX / PLOG_RECORD_HEADER);
	found->crc = 0;
	for (uint64_t slot = p->first_slot; slot <= p->end; slot++)
	{
		struct paxos_entry entry;
		struct paxos_ballot ballot = {0};
		uint64_t epoch;
		struct plog_error error;

		MUST(plog_read(log, slot, &entry, &error) == PLOG_OK);
		found->crc = plog_crc32c(found->crc, entry.bytes, entry.length);
		MUST(plog_read_ballot(log, slot, &epoch, &ballot, &error) == PLOG_OK);
		MUST(paxos_ballot_compare(ballot, p->promise) <= 0);
		found->crc = plog_crc32c(found->crc, &ballot.round, sizeof(ballot.round));
		plog_release_reads(log);
	}
}

/* All that a start decides is decided for good. */
static void check_same(const struct found *a, const struct found *b)
{
	const struct paxos_durable_state *p = &a->state.paxos;
	const struct paxos_durable_state *q = &b->state.paxos;

	MUST(b->state.run > a->state.run);
	MUST(memcmp(&a->state.store_id, &b->state.store_id, sizeof(a->state.store_id)) == 0);
	MUST(paxos_ballot_compare(p->promise, q->promise) == 0);
	MUST(paxos_ballot_compare(p->accepted, q->accepted) == 0);
	MUST(p->first_slot == q->first_slot && p->end == q->end && a->crc == b->crc);
	MUST(p->damage.damaged == q->damage.damaged && p->damage.doubtful == q->damage.doubtful);
	MUST(paxos_ballot_compare(p->damage.named_ballot, q->damage.named_ballot) == 0);
	MUST(p->damage.named_slot == q->damage.named_slot);
	MUST(p->damage.lowest_written == q->damage.lowest_written);
	MUST(strcmp(a->state.damage_place, b->state.damage_place) == 0);
	MUST(a->state.config_length == b->state.config_length);
	MUST(memcmp(a->state.config, b->state.config, a->state.config_length) == 0);
}

static enum plog_code start(const struct plog_options *options, struct plog **log, struct found *found)
{
	enum plog_code code = build_open(&disk, options, log, &found->state);

	if (code != PLOG_OK)
		return code;
	check_state(&found->state);
	read_all(*log, found);
	return PLOG_OK;
}

/* ---------------------------------------------------------------- what must be there */

static bool copy_good(const char *name)
{
	static struct plog_metadata metadata;
	struct disk_file *file = disk_find(&disk, name);

	if (file == NULL || file->size < PLOG_BLOCK ||
		(disk.unreadable_at == 0 && strcmp(disk.unreadable, name) == 0))
		return false;
	return format_get_metadata(file->bytes, &metadata) == FORMAT_GOOD;
}

/* B4: without a good copy there is no start, but in an empty directory. */
static bool must_refuse(void)
{
	bool any = disk_find(&disk, "metadata.1") != NULL || disk_find(&disk, "metadata.2") != NULL;

	for (int i = 0; i < DISK_FILES; i++)
	{
		struct disk_file *file = &disk.files[i];

		any = any || (strncmp(file->name, "segment.", 8) == 0 && strlen(file->name) == 24 &&
					  strspn(file->name + 8, "0123456789abcdef") == 16);
	}
	return any && !copy_good("metadata.1") && !copy_good("metadata.2");
}

/* One block rotted, or none: it starts, and nothing is lost but with a word about it. */
static void check_kept(const struct build *b, const struct damage *done, enum plog_code code,
					   struct plog *log, const struct found *found)
{
	const struct paxos_durable_state *p = &found->state.paxos;

	MUST(code == PLOG_OK);
	MUST(paxos_ballot_compare(p->promise, b->synced_promise) >= 0);
	MUST(done->n > 0 || !p->damage.damaged);
	if (b->installed || p->damage.damaged)
		return;
	MUST(p->end >= b->synced_end && paxos_ballot_compare(p->accepted, b->synced_accepted) >= 0);
	for (uint64_t slot = p->first_slot; slot <= p->end && slot < BUILD_SLOTS; slot++)
	{
		struct paxos_entry entry;
		struct plog_error error;

		MUST(plog_read(log, slot, &entry, &error) == PLOG_OK);
		MUST(plog_crc32c(0, entry.bytes, entry.length) == b->crc[slot]);
		plog_release_reads(log);
	}
}

/* The log goes on: appended to, or healed (D7); and a start later it is all there. */
static void go_on(const struct plog_options *options, struct plog *log, struct found *found)
{
	static struct build b;
	struct paxos_durable_state *p = &found->state.paxos;
	struct found next;
	uint64_t end;

	b = (struct build){.disk = &disk,
					   .log = log,
					   .highest = p->promise,
					   .first_slot = p->first_slot,
					   .end = p->end,
					   .accepted = p->accepted};
	if (p->promise.round == UINT64_MAX || p->end > UINT64_MAX / 2)
	{
		plog_close(log);
		return;
	}
	if (p->damage.damaged)
		build_install(&b, p->end, 2, 100);
	build_append(&b, 2, 100);
	build_sync(&b);
	build_append(&b, 1, 6000);
	build_append(&b, 3, 6000);
	build_sync(&b);
	end = b.end;
	plog_close(log);
	MUST(start(options, &log, &next) == PLOG_OK);
	MUST(next.state.paxos.end == end && !next.state.paxos.damage.damaged);
	plog_close(log);
}

static void judge(const struct build *b, const struct plog_options *options, const struct damage *done,
				  bool raw)
{
	bool refuse = must_refuse();
	struct plog *log;
	static struct found first;
	static struct found second;
	enum plog_code code = start(options, &log, &first);

	MUST(code != PLOG_MEMORY && code != PLOG_NO_SPACE && code != PLOG_LOCKED);
	MUST(!refuse || code != PLOG_OK);
	if (!raw && (done->n == 0 || (done->n == 1 && done->n_rot == 1)))
		check_kept(b, done, code, log, &first);
	if (code != PLOG_OK)
		return;
	plog_close(log);
	/* Starts are counted up to a limit that only a lie comes near. */
	if (first.state.run >= UINT32_MAX / 2)
		return;
	MUST(start(options, &log, &second) == PLOG_OK);
	check_same(&first, &second);
	go_on(options, log, &second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct build b;
	struct input in = {data, size};
	struct damage done = {0};
	bool raw = take_u8(&in) % 8 == 7;

	disk_init(&disk);
	disk_init(&old);
	plog_set_allocator(bounded_allocate, bounded_free);
	b.options = (struct plog_options){.segment_bytes = PLOG_SEGMENT_MIN, .cache_bytes = 1000};
	if (raw)
		damage_raw(&disk, &in);
	else
	{
		build_log(&b, &disk, &old, &in);
		damage_files(&disk, &old, &in, &done);
	}
	judge(&b, &b.options, &done, raw);
	MUST(allocated == 0);
	disk_clear(&disk);
	disk_clear(&old);
	return 0;
}
