/*
 * log_build.c - writes a sound log by the real code, as the input says.
 */
#include "log_build.h"

static const struct paxos_id store = {{7, 7}};

enum plog_code build_open(struct memory_disk *disk, const struct plog_options *options, struct plog **log,
						  struct plog_state *state)
{
	struct plog_error error = {0};
	enum plog_code code;

	disk_restart(disk);
	code = plog_open(log, "/log", &disk->ops, options, &store, state, &error);
	MUST((code == PLOG_OK) == (*log != NULL));
	if (code != PLOG_OK)
		MUST(error.code == code && error.message[0] != '\0');
	return code;
}

static void fill(uint8_t *bytes, uint32_t length, uint32_t salt)
{
	for (uint32_t i = 0; i < length; i++)
		bytes[i] = (uint8_t) (salt * 31 + i);
}

/* Entries of one write; each slot's checksum is kept. */
static void make_entries(struct build *b, struct paxos_entry *entries, uint64_t first_slot, uint32_t n,
						 uint32_t length)
{
	static uint8_t bytes[4][8192];

	for (uint32_t i = 0; i < n; i++)
	{
		fill(bytes[i], length, ++b->salt);
		entries[i] = (struct paxos_entry){bytes[i], length};
		if (first_slot + i < BUILD_SLOTS)
			b->crc[first_slot + i] = plog_crc32c(0, bytes[i], length);
	}
}

static void write_it(struct build *b, struct paxos_write *write)
{
	struct plog_error error;

	write->id = ++b->id;
	write->epoch = 1;
	MUST(plog_write(b->log, write, &error) == PLOG_OK);
}

void build_append(struct build *b, uint32_t n, uint32_t length)
{
	struct paxos_entry entries[4];
	struct paxos_write write = {.type = PAXOS_WRITE_APPEND,
								.ballot = b->accepted,
								.first_slot = b->end + 1,
								.n_entries = n,
								.entries = entries};

	make_entries(b, entries, b->end + 1, n, length);
	write_it(b, &write);
	b->written += n * length;
	b->end += n;
}

void build_install(struct build *b, uint64_t base, uint32_t n, uint32_t length)
{
	struct paxos_entry entries[4];
	struct paxos_write write = {.type = PAXOS_WRITE_STAGE,
								.ballot = {b->highest.round + 1, 0, 2},
								.base = base,
								.first_slot = base + 1,
								.n_entries = n,
								.entries = entries};

	b->highest = b->promised = b->accepted = write.ballot;
	make_entries(b, entries, base + 1, n, length);
	if (n > 0)
		write_it(b, &write);
	write.type = PAXOS_WRITE_INSTALL;
	write.end = base + n;
	write.n_entries = 0;
	write_it(b, &write);
	b->written += n * length;
	b->end = base + n;
	b->installed = true;
}

static void promise(struct build *b)
{
	struct paxos_write write = {.type = PAXOS_WRITE_PROMISE, .ballot = {b->highest.round + 1, 0, 3}};

	b->highest = b->promised = write.ballot;
	write_it(b, &write);
}

void build_sync(struct build *b)
{
	struct plog_error error;
	uint64_t durable;

	MUST(plog_sync(b->log, &durable, &error) == PLOG_OK && durable == b->id);
	b->synced_end = b->end;
	b->synced_accepted = b->accepted;
	b->synced_promise = b->promised;
	b->installed = false;
}

static void trim(struct build *b, uint64_t slots)
{
	struct plog_error error;
	uint64_t first = b->first_slot + slots;

	if (first > b->end)
		return;
	build_sync(b);
	MUST(plog_trim(b->log, first, &error) == PLOG_OK);
	b->first_slot = first;
}

/* What is there is what the next judgement rests on. */
static void read_back(struct build *b)
{
	for (uint64_t slot = b->first_slot; slot <= b->end && slot < BUILD_SLOTS; slot++)
	{
		struct paxos_entry entry;
		struct plog_error error;
		uint32_t crc;

		MUST(plog_read(b->log, slot, &entry, &error) == PLOG_OK);
		crc = plog_crc32c(0, entry.bytes, entry.length);
		MUST(b->installed || crc == b->crc[slot]);
		b->crc[slot] = crc;
		plog_release_reads(b->log);
	}
}

/* Ends this life, closed in order or killed, and begins the next one: nothing that was synced may be gone. */
static void restart(struct build *b)
{
	plog_close(b->log);
	MUST(build_open(b->disk, &b->options, &b->log, &b->state) == PLOG_OK);
	MUST(!b->state.paxos.damage.damaged);
	MUST(b->installed || b->state.paxos.end >= b->synced_end);
	MUST(paxos_ballot_compare(b->state.paxos.promise, b->synced_promise) >= 0);
	b->id = 0;
	b->end = b->state.paxos.end;
	b->first_slot = b->state.paxos.first_slot;
	b->accepted = b->state.paxos.accepted;
	read_back(b);
	b->synced_end = b->end;
	b->synced_accepted = b->accepted;
	b->synced_promise = b->promised = b->state.paxos.promise;
	b->installed = false;
}

static void remember(struct build *b)
{
	disk_clear(b->old);
	for (int i = 0; i < DISK_FILES; i++)
		if (b->disk->files[i].name[0] != '\0')
			disk_put(b->old, b->disk->files[i].name, b->disk->files[i].bytes, b->disk->files[i].size);
}

static void build_step(struct build *b, struct input *in)
{
	static const uint32_t lengths[4] = {48, 100, 700, 6000};
	struct plog_error error;
	uint8_t what = take_u8(in);
	uint32_t length = lengths[what / 16 % 4];

	switch (what % 16)
	{
		case 1:
		case 2:
		case 3:
			build_append(b, 1 + what / 64, length);
			break;
		case 4:
			promise(b);
			break;
		case 5:
			build_install(b, b->end - (b->end + 1 - b->first_slot) * (what / 16) / 16, what / 64, length);
			break;
		case 6:
			if (plog_wants_completion(b->log))
				MUST(plog_write_completion(b->log, &error) == PLOG_OK);
			break;
		case 7:
			trim(b, what / 16);
			break;
		case 8:
			MUST(plog_set_config(b->log, &what, what / 128, &error) == PLOG_OK);
			break;
		case 9:
			MUST(plog_prepare_segments("/log", &b->disk->ops, &b->options, &error) == PLOG_OK);
			break;
		case 10:
		case 11:
			restart(b);
			break;
		case 12:
			remember(b);
			break;
		default:
			build_sync(b);
	}
}

void build_log(struct build *b, struct memory_disk *disk, struct memory_disk *old, struct input *in)
{
	uint8_t shape = take_u8(in);
	uint32_t steps = take_u8(in) % 64;

	memset(b, 0, sizeof(*b));
	b->disk = disk;
	b->old = old;
	b->options = (struct plog_options){.segment_bytes = PLOG_SEGMENT_MIN,
									   .cache_bytes = shape & 1 ? 0 : 1000,
									   .min_free_segments = shape >> 1 & 3};
	b->first_slot = 1;
	MUST(build_open(disk, &b->options, &b->log, &b->state) == PLOG_OK);
	while (steps-- > 0 && !input_ended(in) && b->written < BUILD_BYTES)
		build_step(b, in);
	plog_close(b->log);
	b->log = NULL;
	disk_restart(disk);
}
