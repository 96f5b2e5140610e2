/*
 * memory_disk.h - a directory of files in memory for fuzz_log: small and quick, without faults of its own.  The
 * target does the damage (test/unit/fake_disk.h loses what was not synced; here that is one of the mutations).
 *
 * It stops the process where the log makes more calls or bytes than anything could need.
 */
#ifndef MEMORY_DISK_H
#define MEMORY_DISK_H

#include "log/file_ops.h"

#define DISK_FILES 64
#define DISK_NAME 64

struct disk_file
{
	char name[DISK_NAME]; /* without the directory; "": no file */
	uint8_t *bytes;
	uint64_t size;
	uint64_t room;
};

struct memory_disk
{
	struct file_ops ops;
	struct disk_file files[DISK_FILES];
	int handles[128]; /* index of a file + 1; 0: free */
	uint64_t calls;   /* since disk_restart() */
	uint64_t bytes_read;
	char unreadable[DISK_NAME]; /* of that file, the block of 4,096 bytes at ... reads as EIO; "": none */
	uint64_t unreadable_at;
};

/* What one life may do to a small log. */
#define DISK_CALLS_MAX 200000
#define DISK_BYTES_READ_MAX (512ull << 20)
#define DISK_BYTES_MAX (64ull << 20)

void disk_init(struct memory_disk *disk);
/* Ends a process: handles and locks go. */
void disk_restart(struct memory_disk *disk);
void disk_clear(struct memory_disk *disk);

struct disk_file *disk_find(struct memory_disk *disk, const char *name);
/* Makes or replaces a file.  NULL: no room for another. */
struct disk_file *disk_put(struct memory_disk *disk, const char *name, const uint8_t *bytes, uint64_t size);
void disk_remove(struct disk_file *file);

#endif /* MEMORY_DISK_H */
