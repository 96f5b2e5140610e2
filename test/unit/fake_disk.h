/*
 * fake_disk.h - file_ops.h in memory, with a disk under the page cache that can be lost.
 *
 * Files have what programs see and what the platter holds, by sectors of 512 bytes.  A sync carries the first
 * to the second.  A power loss (fake_disk_crash) loses, keeps or tears each sector that was not synced, by
 * the disk's seed, and keeps some first part of the creations, renames and removals that no
 * sync_directory covered.  A sync that fails throws away what it should have written, while programs go on
 * seeing it, as Linux does.
 */
#ifndef FAKE_DISK_H
#define FAKE_DISK_H

#include "log/file_ops.h"

struct fake_disk;

struct fake_disk *fake_disk_new(uint64_t seed);
void fake_disk_free(struct fake_disk *disk);
/* The calls; valid as long as the disk. */
const struct file_ops *fake_disk_ops(struct fake_disk *disk);
/* A copy, without open handles. */
struct fake_disk *fake_disk_clone(const struct fake_disk *disk, uint64_t seed);

/* The power fails: handles and locks go, so does a part of what was not synced.  Faults set are cleared. */
void fake_disk_crash(struct fake_disk *disk);
/* The process dies: handles and locks go, programs see all that was written.  Faults set are cleared. */
void fake_disk_kill(struct fake_disk *disk);

/* After n more calls every call fails with EIO and changes nothing (a crash at that place); UINT64_MAX: never. */
void fake_disk_stop_after(struct fake_disk *disk, uint64_t n);
/* While suspended, calls neither count nor stop. */
void fake_disk_suspend(struct fake_disk *disk, bool suspended);
bool fake_disk_stopped(const struct fake_disk *disk);
uint64_t fake_disk_calls(const struct fake_disk *disk);
/* The n-th sync of a file from now (1: the next) fails with EIO. */
void fake_disk_fail_sync(struct fake_disk *disk, uint64_t n);
/* Files may not grow beyond that many bytes together. */
void fake_disk_set_capacity(struct fake_disk *disk, uint64_t bytes);

/* All of these take a path; size is -1 where there is no such file. */
int64_t fake_disk_size(const struct fake_disk *disk, const char *path);
bool fake_disk_flip(struct fake_disk *disk, const char *path, uint64_t offset, uint8_t mask);
void fake_disk_put(struct fake_disk *disk, const char *path, uint64_t offset, const void *bytes,
				   size_t length);
void fake_disk_get(const struct fake_disk *disk, const char *path, uint64_t offset, void *bytes,
				   size_t length);
void fake_disk_remove(struct fake_disk *disk, const char *path);
/* From now on that block of 4,096 bytes reads as EIO; offset UINT64_MAX: none. */
void fake_disk_unreadable(struct fake_disk *disk, const char *path, uint64_t offset);
/* Name of the n-th file, or NULL. */
const char *fake_disk_name(const struct fake_disk *disk, size_t n);

/* A small generator of random numbers, also for tests. */
uint64_t fake_disk_random(uint64_t *state);

#endif /* FAKE_DISK_H */
