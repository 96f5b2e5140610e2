/*
 * segment_file.c - one segment file as it lies on disk (segment_file.h).
 */
#include "segment_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "complain.h"

static void note_number(void *argument, const char *name)
{
	struct segment_numbers *numbers = argument;
	char expected[SEGMENT_NAME_MAX];
	uint64_t number;

	if (sscanf(name, "segment.%16" SCNx64, &number) != 1)
		return;
	snprintf(expected, sizeof expected, "segment.%016" PRIx64, number);
	if (strcmp(name, expected) != 0)
		return;
	numbers->numbers = realloc(numbers->numbers, (numbers->count + 1) * sizeof *numbers->numbers);
	if (numbers->numbers == NULL)
		complain("out of memory");
	numbers->numbers[numbers->count++] = number;
}

static int compare_numbers(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *) a;
	uint64_t right = *(const uint64_t *) b;

	return (left > right) - (left < right);
}

void segment_numbers_list(struct segment_numbers *numbers, const char *directory)
{
	const struct file_ops *disk = file_ops_posix();
	int result;

	memset(numbers, 0, sizeof *numbers);
	result = disk->list(disk->context, directory, note_number, numbers);
	if (result < 0)
		complain("could not read directory \"%s\": %s", directory, strerror(-result));
	if (numbers->count > 0)
		qsort(numbers->numbers, numbers->count, sizeof *numbers->numbers, compare_numbers);
}

/* The good copy, or the better one of two: of a version that is known. */
static void read_header(struct segment_file *file)
{
	file->known = true;
	for (int copy = 0; copy < 2; copy++)
	{
		struct plog_segment_header header;
		enum format_verdict verdict = FORMAT_BAD;

		if (file->size >= (uint64_t) (copy + 1) * PLOG_BLOCK)
			verdict = format_get_header(file->bytes + copy * PLOG_BLOCK, &header);
		file->copy_good[copy] = verdict == FORMAT_GOOD;
		if (verdict == FORMAT_GOOD)
			file->header = header;
		else if (verdict == FORMAT_UNKNOWN)
			file->known = false;
	}
}

void segment_file_read(struct segment_file *file, const char *directory, uint64_t number)
{
	const struct file_ops *disk = file_ops_posix();
	char path[2048];
	struct stat status;
	int64_t got;
	int handle;

	memset(file, 0, sizeof *file);
	file->number = number;
	snprintf(path, sizeof path, "%s/segment.%016" PRIx64, directory, number);
	if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
		complain("\"%s\" is not a file", path);
	handle = disk->open(disk->context, path, false, true);
	if (handle < 0)
		complain("could not open file \"%s\": %s", path, strerror(-handle));
	got = disk->size(disk->context, handle);
	file->bytes = got < 0 ? NULL : malloc((size_t) got + 1);
	if (got >= 0 && file->bytes == NULL)
		complain("out of memory");
	file->size = got < 0 ? 0 : (uint64_t) got;
	/* block by block, so that one that can't be read is bad and not all */
	for (uint64_t at = 0; at < file->size; at += PLOG_BLOCK)
	{
		size_t part = file->size - at < PLOG_BLOCK ? (size_t) (file->size - at) : PLOG_BLOCK;

		if (disk->pread(disk->context, handle, file->bytes + at, part, at) != (int64_t) part)
			memset(file->bytes + at, 0, part);
	}
	disk->close(disk->context, handle);
	if (got < 0)
		complain("could not read file \"%s\": %s", path, strerror((int) -got));
	read_header(file);
}

void segment_file_free(struct segment_file *file)
{
	free(file->bytes);
	file->bytes = NULL;
}

bool segment_file_usable(const struct segment_file *file)
{
	return (file->copy_good[0] || file->copy_good[1]) && file->known &&
		   file->header.data_offset <= file->size;
}

const uint8_t *segment_file_next(const struct segment_file *file, uint64_t limit, uint64_t *offset,
								 struct plog_record *record)
{
	const uint8_t *bytes = file->bytes + *offset;

	if (limit > file->size)
		limit = file->size;
	if (*offset > limit || limit - *offset < PLOG_RECORD_HEADER)
		return NULL;
	format_get_record(bytes, record);
	if (!format_length_possible(record->length, limit - *offset) ||
		!format_record_good(bytes, record->length, &file->header.identity, *offset))
		return NULL;
	*offset += format_padded(record->length);
	return bytes;
}

uint32_t segment_file_markers(const struct segment_file *file, struct plog_marker *newest)
{
	uint32_t capacity = format_marker_capacity(file->header.data_offset);
	uint32_t found = 0;

	for (uint32_t i = 0; i < capacity; i++)
	{
		uint64_t offset = format_marker_offset(i);
		struct plog_marker marker;

		if (!format_get_marker(file->bytes + offset, &marker, &file->header.identity, offset, false))
			continue;
		if (found++ == 0 || marker.run > newest->run ||
			(marker.run == newest->run && marker.sync > newest->sync))
			*newest = marker;
	}
	return found;
}
