/*
 * log_damage.c - what becomes of a log's files: bytes overwritten, lost, exchanged; files cut, removed, copied,
 * replaced by old ones; fields changed with their checksums made right, so that what is behind these is reached.
 */
#include "log_build.h"

/* One structure of a file that has a checksum. */
struct piece
{
	uint8_t *bytes;
	uint64_t length;
	uint64_t offset;       /* in the file */
	uint32_t covered_from; /* the checksum is over the bytes from here on */
	uint32_t at;           /* ... and lies here */
	bool bound;            /* to the segment's identity and the offset */
};

static struct disk_file *pick_file(struct memory_disk *disk, struct input *in)
{
	uint32_t n = 0;
	uint32_t wanted;

	for (int i = 0; i < DISK_FILES; i++)
		n += disk->files[i].name[0] != '\0';
	wanted = n > 0 ? take_below(in, n) : 0;
	for (int i = 0; i < DISK_FILES; i++)
		if (disk->files[i].name[0] != '\0' && wanted-- == 0)
			return &disk->files[i];
	return NULL;
}

static bool is_segment(const struct disk_file *file)
{
	return strncmp(file->name, "segment.", 8) == 0 && file->size >= PLOG_SEGMENT_MIN;
}

static bool is_metadata(const struct disk_file *file)
{
	return strncmp(file->name, "metadata.", 9) == 0 && file->size >= PLOG_BLOCK;
}

/* ---------------------------------------------------------------- pieces */

/* The n-th record, or as far as lengths can be followed. */
static bool find_record(struct disk_file *file, uint32_t n, struct piece *piece)
{
	uint64_t offset = format_data_offset(file->size);
	bool any = false;

	for (;; n--)
	{
		struct plog_record record;

		if (offset + PLOG_RECORD_HEADER > file->size)
			return any;
		format_get_record(file->bytes + offset, &record);
		if (!format_length_possible(record.length, file->size - offset))
			return any;
		*piece = (struct piece){file->bytes + offset, record.length, offset, 4, 0, true};
		any = true;
		if (n == 0)
			return true;
		offset += format_padded(record.length);
	}
}

static bool find_piece(struct disk_file *file, struct input *in, struct piece *piece)
{
	uint8_t which = take_u8(in);

	if (is_metadata(file))
		*piece = (struct piece){file->bytes, PLOG_BLOCK, 0, 12, 8, false};
	else if (!is_segment(file))
		return false;
	else if (which % 4 == 0)
	{
		uint64_t offset = which & 4 ? PLOG_BLOCK : 0;

		*piece = (struct piece){file->bytes + offset, PLOG_BLOCK, offset, 12, 8, false};
	}
	else if (which % 4 == 1)
	{
		uint64_t offset = format_marker_offset(which / 4);

		*piece = (struct piece){file->bytes + offset, PLOG_MARKER_BYTES, offset, 4, 0, true};
	}
	else
		return find_record(file, which / 4, piece);
	return true;
}

static void put_le(uint8_t *bytes, uint64_t value, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		bytes[i] = (uint8_t) (value >> (8 * i));
}

static uint64_t get_le(const uint8_t *bytes, uint32_t length)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < length; i++)
		value |= (uint64_t) bytes[i] << (8 * i);
	return value;
}

/* Checksums as format.c makes them: store id, segment and run lie in the file's header as they are summed up. */
static void mend(struct disk_file *file, const struct piece *piece)
{
	uint32_t crc = 0;
	uint8_t identity[40];

	if (piece->bound)
	{
		memcpy(identity, file->bytes + 16, 32);
		put_le(identity + 32, piece->offset, 8);
		crc = plog_crc32c(0, identity, sizeof(identity));
	}
	crc = plog_crc32c(crc, piece->bytes + piece->covered_from, piece->length - piece->covered_from);
	put_le(piece->bytes + piece->at, crc, 4);
}

/* ---------------------------------------------------------------- mutations */

static uint64_t pick_value(struct input *in, const struct disk_file *file, const struct piece *piece,
						   uint64_t old)
{
	uint8_t choice = take_u8(in);

	switch (choice % 16)
	{
		case 0:
			return 0;
		case 1:
			return 1;
		case 2:
			return UINT64_MAX;
		case 3:
			return old + 1;
		case 4:
			return old - 1;
		case 5:
			return UINT64_MAX / 2;
		case 6:
			return file->size;
		case 7:
			return old + choice / 16 * 8u;
		case 8:
			return old - choice / 16 * 8u;
		case 9:
			return old ^ 1ull << (choice / 16 * 4);
		case 10:
			return choice / 16;
		case 11:
			return take_u16(in);
		case 12:
			return take_u64(in);
		case 13:
			return format_data_offset(file->size);
		case 14:
			return old + 4096u * (choice / 16);
		default:
			return get_le(piece->bytes + 16 + 8 * (choice / 16 % 13), 8);
	}
}

/* A field becomes another, under a good checksum. */
static bool change_field(struct disk_file *file, struct input *in)
{
	struct piece piece;
	uint8_t field;
	uint32_t at;
	uint32_t length = 8;

	if (!find_piece(file, in, &piece))
		return false;
	field = take_u8(in);
	if (piece.bound && field % 8 == 0) /* type and version, or a length that stays inside */
	{
		at = field & 8 ? 4 : 8;
		length = 2;
	}
	else
	{
		at = piece.bound ? 16 + field % 16 * 8u : 12 + field % 16 * 4u;
		length = field & 128 ? 4 : 8;
	}
	if (at + length > piece.length)
		return false;
	put_le(piece.bytes + at, pick_value(in, file, &piece, get_le(piece.bytes + at, length)), length);
	if (piece.bound && at == 4)
	{
		uint64_t claimed = get_le(piece.bytes + 4, 4);

		piece.length = claimed >= 8 && claimed <= file->size - piece.offset ? claimed : piece.length;
	}
	mend(file, &piece);
	return true;
}

/* Rot: bytes within one block, checksums left alone. */
static bool rot(struct disk_file *file, struct input *in)
{
	uint64_t block = (uint64_t) take_u16(in) * PLOG_BLOCK / 16 % (file->size + 1) / PLOG_BLOCK * PLOG_BLOCK;
	uint32_t how = take_u8(in);
	uint64_t at = block + take_u16(in) % PLOG_BLOCK;
	uint64_t length = how & 8 ? 512 : 1 + how / 16;

	if (how & 4) /* sectors, whole */
	{
		at = at / 512 * 512;
		length = 512 * (1 + how / 16 % 8);
	}
	for (uint64_t i = at; i < at + length && i < block + PLOG_BLOCK && i < file->size; i++)
	{
		if (how % 4 == 0)
			file->bytes[i] = 0;
		else if (how % 4 == 1)
			file->bytes[i] ^= (uint8_t) (1 << (how / 16 % 8));
		else
			file->bytes[i] = take_u8(in);
	}
	return true;
}

static bool swap_sectors(struct disk_file *file, struct input *in)
{
	uint64_t n = file->size / 512;
	uint8_t sector[512];
	uint8_t *a;
	uint8_t *b;

	if (n == 0)
		return false;
	a = file->bytes + take_u16(in) % n * 512;
	b = file->bytes + take_u16(in) % n * 512;
	memcpy(sector, a, 512);
	memmove(a, b, 512);
	memcpy(b, sector, 512);
	return true;
}

static bool change_length(struct memory_disk *disk, struct disk_file *file, struct input *in)
{
	uint64_t size = take_u16(in) * 16u % 0x20000;

	if (size > file->size)
	{
		char name[DISK_NAME];
		uint8_t *bytes = calloc(1, size);

		MUST(bytes != NULL);
		memcpy(bytes, file->bytes, file->size);
		memcpy(name, file->name, sizeof(name));
		disk_put(disk, name, bytes, size);
		free(bytes);
		return true;
	}
	file->size = size;
	return true;
}

/* A copy under another's name, a segment under another number, an old copy of the file. */
static bool copy_file(struct memory_disk *disk, struct memory_disk *old, struct disk_file *file,
					  struct input *in)
{
	uint8_t how = take_u8(in);
	char name[DISK_NAME];
	struct disk_file *other;

	memcpy(name, file->name, sizeof(name));
	if (how % 4 == 0) /* the old one comes back */
		other = disk_find(old, name);
	else if (how % 4 == 1) /* one comes back that is no longer there */
	{
		other = pick_file(old, in);
		if (other != NULL)
			memcpy(name, other->name, sizeof(name));
	}
	else if (how % 4 == 2) /* takes another's place */
		other = pick_file(disk, in);
	else
	{
		static const uint64_t numbers[8] = {0, 1, 2, 3, 5, 100, UINT64_MAX, UINT64_MAX - 1};

		other = file;
		snprintf(name, sizeof(name), "segment.%016llx", (unsigned long long) numbers[how / 4 % 8]);
	}
	return other != NULL && other != disk_find(disk, name) &&
		   disk_put(disk, name, other->bytes, other->size) != NULL;
}

/* A whole segment as another's, checksums and identities and all. */
static bool rename_identity(struct disk_file *file, struct input *in)
{
	struct piece piece;
	uint8_t run = take_u8(in);
	uint32_t n = 0;

	if (!is_segment(file))
		return false;
	for (int copy = 0; copy < 2; copy++)
	{
		piece = (struct piece){file->bytes + copy * PLOG_BLOCK, PLOG_BLOCK, 0, 12, 8, false};
		put_le(piece.bytes + 40, run, 8);
		mend(file, &piece);
	}
	while (n < 256 && find_record(file, n, &piece) && piece.offset < file->size)
	{
		mend(file, &piece);
		n++;
	}
	return true;
}

static void hurt(struct memory_disk *disk, struct memory_disk *old, struct input *in, struct damage *done)
{
	uint8_t how = take_u8(in) % 16;
	struct disk_file *file = pick_file(disk, in);
	bool changed = true;

	if (file == NULL)
		return;
	if (how < 4)
	{
		changed = rot(file, in);
		done->n_rot += changed;
	}
	else if (how < 10)
		changed = change_field(file, in);
	else if (how == 10)
		changed = swap_sectors(file, in);
	else if (how == 11)
		changed = change_length(disk, file, in);
	else if (how == 12)
		disk_remove(file);
	else if (how == 13)
		changed = copy_file(disk, old, file, in);
	else if (how == 14)
		changed = rename_identity(file, in);
	else
	{
		memcpy(disk->unreadable, file->name, DISK_NAME);
		disk->unreadable_at = (uint64_t) take_u8(in) * PLOG_BLOCK;
	}
	done->names_files = done->names_files || how == 12 || how == 13;
	done->n += changed;
}

void damage_files(struct memory_disk *disk, struct memory_disk *old, struct input *in, struct damage *done)
{
	for (int i = 0; i < 16 && !input_ended(in); i++)
		hurt(disk, old, in, done);
}

void damage_raw(struct memory_disk *disk, struct input *in)
{
	static const char *const names[8] = {
		"metadata.1",
		"metadata.2",
		"segment.0000000000000001",
		"segment.0000000000000002",
		"lock",
		"README",
		"prepared.1.0",
		"strange",
	};
	static uint8_t bytes[PLOG_SEGMENT_MIN];

	for (int i = 0; i < 8 && !input_ended(in); i++)
	{
		uint8_t which = take_u8(in);
		struct disk_file *file;
		uint32_t length = take_u16(in) % 600;
		uint64_t size = which & 8 ? length : which & 16 ? PLOG_SEGMENT_MIN : PLOG_BLOCK;

		memset(bytes, 0, sizeof(bytes));
		for (uint32_t k = 0; k < length; k++)
			bytes[k] = take_u8(in);
		if (which & 32) /* a header's or the metadata's magic and version */
		{
			memcpy(bytes, which & 2 ? "PXKVSEG\n" : "PXKVMETA", 8);
			put_le(bytes + 12, 1, 4);
		}
		file = disk_put(disk, names[which % 8], bytes, size);
		if (which & 64 && file->size >= PLOG_BLOCK)
			mend(file, &(struct piece){file->bytes, PLOG_BLOCK, 0, 12, 8, false});
	}
}
