/*
 * disk.h - one node's simulated disk, behind the log's table of file calls.
 *
 * Every file has what the page cache shows (current) and what the platter holds (synced), by sectors of
 * 512 bytes.  At a power loss each sector that differs is by itself kept, lost or torn, and of the changes
 * to directories that no sync_directory() covered a suffix is lost.  A process that dies alone leaves the
 * page cache as it is.  After a failed sync the kernel believes sectors clean that never reached the
 * platter.  Any call can be the one at which the machine dies: from then on nothing has an effect.
 */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "log/file_ops.h"
#include "rng.h"
#include "trace.h"

#define DISK_SECTOR 512
#define DISK_NAMES 1024
#define DISK_HANDLES 1024
#define DISK_CHANGES 256
#define DISK_PATH 56

struct inode;

struct disk_name
{
	char path[DISK_PATH];
	struct inode *inode;
};

struct disk_names
{
	uint32_t n;
	struct disk_name names[DISK_NAMES];
};

enum disk_change_kind
{
	DISK_CREATE,
	DISK_RENAME,
	DISK_UNLINK
};

/* A change of a directory that is not synced. */
struct disk_change
{
	enum disk_change_kind kind;
	struct inode *inode;
	char path[DISK_PATH];
	char to[DISK_PATH];
};

struct disk
{
	struct file_ops ops;
	struct rng rng;
	struct trace *trace;
	uint32_t node;
	struct disk_names current;
	struct disk_names synced;
	uint32_t n_changes;
	struct disk_change changes[DISK_CHANGES];
	struct
	{
		struct inode *inode;
		bool read_only;
	} handles[DISK_HANDLES];
	struct inode *inodes; /* all of them */

	bool dead;              /* the machine died in the middle of a call */
	uint64_t crash_in;      /* it dies at the n-th call from now; 0: never */
	uint64_t crash_at_sync; /* it dies in the n-th sync from now; 0: never */
	uint64_t fail_in;       /* the n-th write or sync from now fails; 0: never */
	bool failed;            /* one did in this life */
	bool alone;             /* what dies is the process, not the machine */
	bool full;              /* ENOSPC for whatever grows a file or makes one */
	uint32_t write_back;    /* per mille: chance that a write makes the kernel write some sectors back */
	uint64_t calls;
	uint64_t syncs;

	/* A scenario's: the fate of each unsynced sector in turn, newest file first, at the next power loss. */
	const uint8_t *fates;
	uint32_t n_fates;
	uint32_t unsynced; /* sectors at the last power loss */
};

enum disk_fate
{
	FATE_LOST = 0,
	FATE_KEPT,
	FATE_TORN
};

/* "directory" is there from the beginning and lasts. */
void disk_init(struct disk *d, uint32_t node, uint64_t seed, struct trace *trace, const char *directory);
void disk_free(struct disk *d);

/* Nothing is left but the directory that was there from the beginning. */
void disk_wipe(struct disk *d);

/* "to" becomes what "from" would be after a power loss now; both were made by disk_init(). */
void disk_copy(struct disk *to, const struct disk *from);

/* The process is gone; with the machine (power) or alone.  Ready for the next life. */
void disk_end_life(struct disk *d, bool power);

/* Flips one bit in a used, synced part of a file of the log, or zeroes its sector; false: there is none. */
bool disk_rot(struct disk *d, struct rng *rng);

/* Of all files whose path holds that; *largest: raised to the largest of them. */
uint64_t disk_bytes(const struct disk *d, const char *part, uint64_t *largest);

/* Sectors that a power loss could take now. */
uint32_t disk_unsynced(const struct disk *d);

/* What the platter holds of a file; NULL: there is none of that name. */
const uint8_t *disk_platter(const struct disk *d, const char *path, uint64_t *size);

/* That part of a file is lost (zeroes), or one bit in its middle is flipped, in a synced file. */
void disk_spoil(struct disk *d, const char *path, uint64_t offset, uint64_t length, bool lost);

#endif /* SIM_DISK_H */
