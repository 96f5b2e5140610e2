/*
 * segment_file.h - one segment file, read as it lies on disk and judged by nothing but its checksums.
 */
#ifndef SEGMENT_FILE_H
#define SEGMENT_FILE_H

#include <stdio.h>

#include "log/format.h"

#define SEGMENT_NAME_MAX 64

/* The numbers of a directory's segment files, rising. */
struct segment_numbers
{
	uint64_t *numbers;
	size_t count;
};

/* Exits with a message where the directory can't be read.  numbers->numbers is the caller's to free. */
void segment_numbers_list(struct segment_numbers *numbers, const char *directory);

struct segment_file
{
	uint64_t number;
	uint64_t size;                     /* of the file */
	bool copy_good[2];                 /* of the header */
	bool known;                        /* its format version is one that this program knows */
	struct plog_segment_header header; /* valid if a copy is good and known */
	uint8_t *bytes;                    /* the whole file */
};

/* Reads it; exits with a message where that fails.  Freed by segment_file_free(). */
void segment_file_read(struct segment_file *file, const char *directory, uint64_t number);
void segment_file_free(struct segment_file *file);

/* Whether its header can be used. */
bool segment_file_usable(const struct segment_file *file);

/*
 * The good record at *offset, which then moves behind it; NULL where there is none below "limit".  The payload
 * follows its header of PLOG_RECORD_HEADER bytes.
 */
const uint8_t *segment_file_next(const struct segment_file *file, uint64_t limit, uint64_t *offset,
								 struct plog_record *record);

/* How many good markers it has; *newest is the one of the highest (run, sync), if there is any. */
uint32_t segment_file_markers(const struct segment_file *file, struct plog_marker *newest);

#endif /* SEGMENT_FILE_H */
