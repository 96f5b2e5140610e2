/* disk.c - see disk.h. */
#include "disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum sector_state
{
	SECTOR_CLEAN = 0,
	SECTOR_DIRTY,
	SECTOR_LYING /* believed clean after a failed sync, but not on the platter */
};

struct inode
{
	struct inode *next;
	bool directory;
	bool locked;
	bool marked;
	uint8_t *current;
	uint8_t *synced;
	uint8_t *sectors; /* enum sector_state of each */
	uint64_t size;
	uint64_t synced_size;
	uint64_t capacity;
	uint64_t dirty_low; /* sectors that may be not clean: low .. high - 1 */
	uint64_t dirty_high;
};

/* ---------------------------------------------------------------- names */

static struct disk_name *find_name(struct disk_names *names, const char *path)
{
	for (uint32_t i = 0; i < names->n; i++)
		if (strcmp(names->names[i].path, path) == 0)
			return &names->names[i];
	return NULL;
}

static void set_name(struct disk_names *names, const char *path, struct inode *inode)
{
	struct disk_name *name = find_name(names, path);

	if (name == NULL)
	{
		if (names->n == DISK_NAMES || strlen(path) >= DISK_PATH)
			abort();
		name = &names->names[names->n++];
		strcpy(name->path, path);
	}
	name->inode = inode;
}

static void remove_name(struct disk_names *names, const char *path)
{
	struct disk_name *name = find_name(names, path);

	if (name != NULL)
		*name = names->names[--names->n];
}

static void apply_change(struct disk_names *names, const struct disk_change *change)
{
	switch (change->kind)
	{
		case DISK_CREATE:
			set_name(names, change->path, change->inode);
			break;
		case DISK_RENAME:
			remove_name(names, change->path);
			set_name(names, change->to, change->inode);
			break;
		case DISK_UNLINK:
			remove_name(names, change->path);
			break;
	}
}

/* Whether path is a name directly in directory. */
static bool in_directory(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return strncmp(path, directory, length) == 0 && path[length] == '/' &&
		   strchr(path + length + 1, '/') == NULL;
}

static void note_change(struct disk *d, enum disk_change_kind kind, const char *path, const char *to,
						struct inode *inode)
{
	struct disk_change *change;

	/* A kernel commits its journal some time: the oldest change lasts. */
	if (d->n_changes == DISK_CHANGES)
	{
		apply_change(&d->synced, &d->changes[0]);
		memmove(d->changes, d->changes + 1, --d->n_changes * sizeof(d->changes[0]));
	}
	change = &d->changes[d->n_changes++];
	memset(change, 0, sizeof(*change));
	change->kind = kind;
	change->inode = inode;
	strcpy(change->path, path);
	if (to != NULL)
		strcpy(change->to, to);
	apply_change(&d->current, change);
}

/* ---------------------------------------------------------------- inodes */

static struct inode *new_inode(struct disk *d, bool directory)
{
	struct inode *inode = calloc(1, sizeof(*inode));

	inode->directory = directory;
	inode->next = d->inodes;
	d->inodes = inode;
	return inode;
}

static void free_inode(struct inode *inode)
{
	free(inode->current);
	free(inode->synced);
	free(inode->sectors);
	free(inode);
}

/* Frees what no name, change or handle knows. */
static void collect(struct disk *d)
{
	for (struct inode *i = d->inodes; i != NULL; i = i->next)
		i->marked = false;
	for (uint32_t i = 0; i < d->current.n; i++)
		d->current.names[i].inode->marked = true;
	for (uint32_t i = 0; i < d->synced.n; i++)
		d->synced.names[i].inode->marked = true;
	for (uint32_t i = 0; i < d->n_changes; i++)
		if (d->changes[i].inode != NULL)
			d->changes[i].inode->marked = true;
	for (uint32_t i = 0; i < DISK_HANDLES; i++)
		if (d->handles[i].inode != NULL)
			d->handles[i].inode->marked = true;
	for (struct inode **link = &d->inodes; *link != NULL;)
	{
		struct inode *inode = *link;

		if (inode->marked)
			link = &inode->next;
		else
		{
			*link = inode->next;
			free_inode(inode);
		}
	}
}

static void grow(struct inode *inode, uint64_t size)
{
	uint64_t capacity = inode->capacity == 0 ? 8 * DISK_SECTOR : inode->capacity;

	if (size <= inode->capacity)
		return;
	while (capacity < size)
		capacity *= 2;
	inode->current = realloc(inode->current, capacity);
	inode->synced = realloc(inode->synced, capacity);
	inode->sectors = realloc(inode->sectors, capacity / DISK_SECTOR);
	memset(inode->current + inode->capacity, 0, capacity - inode->capacity);
	memset(inode->synced + inode->capacity, 0, capacity - inode->capacity);
	memset(inode->sectors + inode->capacity / DISK_SECTOR, SECTOR_CLEAN,
		   (capacity - inode->capacity) / DISK_SECTOR);
	inode->capacity = capacity;
}

static void note_dirty(struct inode *inode, uint64_t first, uint64_t last)
{
	memset(inode->sectors + first, SECTOR_DIRTY, last - first + 1);
	if (inode->dirty_low >= inode->dirty_high)
	{
		inode->dirty_low = first;
		inode->dirty_high = last + 1;
		return;
	}
	if (first < inode->dirty_low)
		inode->dirty_low = first;
	if (last + 1 > inode->dirty_high)
		inode->dirty_high = last + 1;
}

static void persist_sector(struct inode *inode, uint64_t sector)
{
	memcpy(inode->synced + sector * DISK_SECTOR, inode->current + sector * DISK_SECTOR, DISK_SECTOR);
	inode->sectors[sector] = SECTOR_CLEAN;
}

/* ---------------------------------------------------------------- faults */

/* The gate of every call.  False: the machine is dead, or dies now. */
static bool alive(struct disk *d)
{
	d->calls++;
	if (!d->dead && d->crash_in > 0 && --d->crash_in == 0)
	{
		d->dead = true;
		TRACE(d->trace, "n%u machine dies inside a file call", d->node);
	}
	return !d->dead;
}

static bool fails_now(struct disk *d)
{
	if (d->fail_in == 0 || --d->fail_in > 0)
		return false;
	d->failed = true;
	return true;
}

/* The kernel writes some dirty sectors back on its own: older contents of one may so reach the platter. */
static void write_back_some(struct disk *d, struct inode *inode)
{
	for (uint64_t s = inode->dirty_low; s < inode->dirty_high; s++)
		if (inode->sectors[s] == SECTOR_DIRTY && rng_chance(&d->rng, 300))
			persist_sector(inode, s);
}

/* D4: of a failed sync some sectors arrived; of the rest the kernel forgets that they are dirty. */
static void fail_sync(struct disk *d, struct inode *inode)
{
	for (uint64_t s = inode->dirty_low; s < inode->dirty_high; s++)
	{
		if (inode->sectors[s] != SECTOR_DIRTY)
			continue;
		if (rng_chance(&d->rng, 500))
			persist_sector(inode, s);
		else
			inode->sectors[s] = SECTOR_LYING;
	}
	TRACE(d->trace, "n%u sync fails with EIO", d->node);
}

static void tear_sector(struct disk *d, struct inode *inode, uint64_t sector)
{
	uint8_t *old = inode->synced + sector * DISK_SECTOR;
	uint8_t *new = inode->current + sector *DISK_SECTOR;
	uint64_t cut = rng_below(&d->rng, DISK_SECTOR + 1);

	if (rng_chance(&d->rng, 500))
		memcpy(old, new, cut);
	else
		memcpy(old + cut, new + cut, DISK_SECTOR - cut);
}

/* Of the next unsynced sector. */
static enum disk_fate draw_fate(struct disk *d, uint32_t keep)
{
	uint32_t turn = d->unsynced++;

	if (d->fates != NULL)
		return turn < d->n_fates ? (enum disk_fate) d->fates[turn] : FATE_LOST;
	if (rng_chance(&d->rng, keep))
		return FATE_KEPT;
	return rng_chance(&d->rng, 200) ? FATE_TORN : FATE_LOST;
}

static void lose_power(struct disk *d, struct inode *inode)
{
	static const uint32_t keeps[] = {0, 400, 550, 700}; /* sometimes all are lost, mostly a mixture */
	uint32_t keep = keeps[rng_below(&d->rng, 4)];
	uint64_t size = inode->synced_size;

	for (uint64_t s = inode->dirty_low; s < inode->dirty_high; s++)
	{
		if (inode->sectors[s] == SECTOR_DIRTY)
		{
			enum disk_fate fate = draw_fate(d, keep);

			if (fate == FATE_KEPT)
				persist_sector(inode, s);
			else if (fate == FATE_TORN)
				tear_sector(d, inode, s);
		}
		inode->sectors[s] = SECTOR_CLEAN;
	}
	if (inode->size > size)
		size = rng_chance(&d->rng, 500) ? inode->size : rng_between(&d->rng, size, inode->size);
	inode->dirty_low = inode->dirty_high = 0;
	if (inode->capacity > 0)
	{
		memset(inode->synced + size, 0, inode->capacity - size);
		memcpy(inode->current, inode->synced, inode->capacity);
	}
	inode->size = inode->synced_size = size;
}

void disk_end_life(struct disk *d, bool power)
{
	for (uint32_t i = 0; i < DISK_HANDLES; i++)
		d->handles[i].inode = NULL;
	for (struct inode *i = d->inodes; i != NULL; i = i->next)
		i->locked = false;
	if (power)
	{
		uint32_t lasting = (uint32_t) rng_between(&d->rng, 0, d->n_changes);

		for (uint32_t i = 0; i < lasting; i++)
			apply_change(&d->synced, &d->changes[i]);
		d->n_changes = 0;
		d->unsynced = 0;
		for (struct inode *i = d->inodes; i != NULL; i = i->next)
			if (!i->directory)
				lose_power(d, i);
		d->current = d->synced;
		d->fates = NULL;
	}
	collect(d);
	d->dead = false;
	d->alone = false;
	d->failed = false;
	d->crash_at_sync = 0;
	d->crash_in = 0;
	d->fail_in = 0;
}

/* A byte that is not zero, mostly of a segment. */
bool disk_rot(struct disk *d, struct rng *rng)
{
	for (int attempt = 0; attempt < 200; attempt++)
	{
		struct disk_name *name;
		struct inode *inode;
		uint64_t offset;
		uint64_t sector;
		bool segment;

		if (d->synced.n == 0)
			return false;
		name = &d->synced.names[rng_below(rng, d->synced.n)];
		inode = name->inode;
		segment = strstr(name->path, "segment.") != NULL;
		if (inode->directory || inode->synced_size == 0 ||
			(!segment && (strstr(name->path, "prepar") != NULL || !rng_chance(rng, 100))))
			continue;
		/* Headers more often than their size would have it. */
		offset = rng_below(rng, rng_chance(rng, 100) ? DISK_SECTOR : inode->synced_size);
		if (offset >= inode->synced_size)
			continue;
		sector = offset / DISK_SECTOR;
		if (inode->synced[offset] == 0 || inode->sectors[sector] != SECTOR_CLEAN)
			continue;
		if (rng_chance(rng, 250))
		{
			memset(inode->synced + sector * DISK_SECTOR, 0, DISK_SECTOR);
			memset(inode->current + sector * DISK_SECTOR, 0, DISK_SECTOR);
			TRACE(d->trace, "n%u a sector is lost at rest, %s at %u", d->node,
				  TRACE_STRING(strrchr(name->path, '/') + 1), sector * DISK_SECTOR);
			return true;
		}
		inode->synced[offset] ^= (uint8_t) (1u << rng_below(rng, 8));
		inode->current[offset] = inode->synced[offset];
		TRACE(d->trace, "n%u a bit flips at rest, %s at %u", d->node,
			  TRACE_STRING(strrchr(name->path, '/') + 1), offset);
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- at rest, for scenarios */

uint64_t disk_bytes(const struct disk *d, const char *part, uint64_t *largest)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < d->current.n; i++)
	{
		uint64_t size = d->current.names[i].inode->size;

		if (strstr(d->current.names[i].path, part) == NULL)
			continue;
		bytes += size;
		if (size > *largest)
			*largest = size;
	}
	return bytes;
}

uint32_t disk_unsynced(const struct disk *d)
{
	uint32_t n = 0;

	for (const struct inode *i = d->inodes; i != NULL; i = i->next)
		for (uint64_t s = i->dirty_low; s < i->dirty_high; s++)
			n += i->sectors[s] == SECTOR_DIRTY;
	return n;
}

const uint8_t *disk_platter(const struct disk *d, const char *path, uint64_t *size)
{
	for (uint32_t i = 0; i < d->synced.n; i++)
		if (strcmp(d->synced.names[i].path, path) == 0)
		{
			*size = d->synced.names[i].inode->synced_size;
			return d->synced.names[i].inode->synced;
		}
	return NULL;
}

void disk_spoil(struct disk *d, const char *path, uint64_t offset, uint64_t length, bool lost)
{
	struct inode *inode = find_name(&d->synced, path)->inode;

	if (lost)
		memset(inode->synced + offset, 0, length);
	else
		inode->synced[offset + length / 2] ^= 0x10;
	memcpy(inode->current + offset, inode->synced + offset, length);
	TRACE(d->trace, "n%u at rest: %s at %u, %u bytes", d->node, TRACE_STRING(lost ? "zeroes" : "a bit flips"),
		  offset, length);
}

/* ---------------------------------------------------------------- the table of calls */

static struct inode *of_handle(struct disk *d, int handle)
{
	if (handle < 0 || handle >= DISK_HANDLES || d->handles[handle].inode == NULL)
		abort();
	return d->handles[handle].inode;
}

static int sim_open(void *context, const char *path, bool create, bool read_only)
{
	struct disk *d = context;
	struct disk_name *name;
	struct inode *inode;

	if (!alive(d))
		return -EIO;
	name = find_name(&d->current, path);
	if (name == NULL && !create)
		return -ENOENT;
	if (name != NULL && name->inode->directory)
		return -EISDIR;
	if (name == NULL && d->full)
		return -ENOSPC;
	if (name != NULL)
		inode = name->inode;
	else
	{
		inode = new_inode(d, false);
		note_change(d, DISK_CREATE, path, NULL, inode);
	}
	for (int i = 0; i < DISK_HANDLES; i++)
		if (d->handles[i].inode == NULL)
		{
			d->handles[i].inode = inode;
			d->handles[i].read_only = read_only;
			return i;
		}
	return -EMFILE;
}

static int sim_close(void *context, int handle)
{
	struct disk *d = context;
	struct inode *inode = of_handle(d, handle);

	d->handles[handle].inode = NULL;
	for (int i = 0; i < DISK_HANDLES; i++)
		if (d->handles[i].inode == inode)
			return 0;
	inode->locked = false;
	return 0;
}

static int64_t sim_pread(void *context, int handle, void *buffer, size_t length, uint64_t offset)
{
	struct disk *d = context;
	struct inode *inode = of_handle(d, handle);

	if (!alive(d))
		return -EIO;
	if (offset >= inode->size)
		return 0;
	if (length > inode->size - offset)
		length = inode->size - offset;
	memcpy(buffer, inode->current + offset, length);
	return (int64_t) length;
}

static int64_t sim_pwrite(void *context, int handle, const void *buffer, size_t length, uint64_t offset)
{
	struct disk *d = context;
	struct inode *inode = of_handle(d, handle);
	bool was_dead = d->dead;
	bool up = alive(d);

	/* The write at which the machine dies may have begun. */
	if (!up && (was_dead || rng_chance(&d->rng, 500)))
		return -EIO;
	if (d->handles[handle].read_only)
		return -EBADF;
	if (up && d->full && offset + length > inode->size)
		return -ENOSPC;
	if (up && fails_now(d))
	{
		TRACE(d->trace, "n%u write fails with EIO", d->node);
		length = rng_below(&d->rng, length + 1);
		up = false;
	}
	if (length > 0)
	{
		grow(inode, offset + length);
		memcpy(inode->current + offset, buffer, length);
		if (offset + length > inode->size)
			inode->size = offset + length;
		note_dirty(inode, offset / DISK_SECTOR, (offset + length - 1) / DISK_SECTOR);
	}
	if (rng_chance(&d->rng, d->write_back))
		write_back_some(d, inode);
	return up ? (int64_t) length : -EIO;
}

static int sim_sync(void *context, int handle)
{
	struct disk *d = context;
	struct inode *inode = of_handle(d, handle);
	bool lying = false;

	if (d->crash_at_sync > 0 && --d->crash_at_sync == 0)
		d->crash_in = 1;

	if (!alive(d))
		return -EIO;
	if (fails_now(d))
	{
		fail_sync(d, inode);
		return -EIO;
	}
	d->syncs++;
	for (uint64_t s = inode->dirty_low; s < inode->dirty_high; s++)
	{
		if (inode->sectors[s] == SECTOR_DIRTY)
			persist_sector(inode, s);
		lying |= inode->sectors[s] == SECTOR_LYING;
	}
	if (!lying)
		inode->dirty_low = inode->dirty_high = 0;
	inode->synced_size = inode->size;
	return 0;
}

static int sim_sync_directory(void *context, const char *path)
{
	struct disk *d = context;
	uint32_t kept = 0;

	if (!alive(d))
		return -EIO;
	for (uint32_t i = 0; i < d->n_changes; i++)
	{
		if (in_directory(d->changes[i].path, path))
			apply_change(&d->synced, &d->changes[i]);
		else
			d->changes[kept++] = d->changes[i];
	}
	d->n_changes = kept;
	return 0;
}

static int64_t sim_size(void *context, int handle)
{
	struct disk *d = context;

	if (!alive(d))
		return -EIO;
	return (int64_t) of_handle(d, handle)->size;
}

static int sim_rename(void *context, const char *from, const char *to)
{
	struct disk *d = context;
	struct disk_name *name;

	if (!alive(d))
		return -EIO;
	name = find_name(&d->current, from);
	if (name == NULL)
		return -ENOENT;
	note_change(d, DISK_RENAME, from, to, name->inode);
	return 0;
}

static int sim_unlink(void *context, const char *path)
{
	struct disk *d = context;

	if (!alive(d))
		return -EIO;
	if (find_name(&d->current, path) == NULL)
		return -ENOENT;
	note_change(d, DISK_UNLINK, path, NULL, NULL);
	return 0;
}

static int sim_make_directory(void *context, const char *path)
{
	struct disk *d = context;

	if (!alive(d))
		return -EIO;
	if (find_name(&d->current, path) != NULL)
		return 0;
	note_change(d, DISK_CREATE, path, NULL, new_inode(d, true));
	return 0;
}

static int sim_list(void *context, const char *path, void (*each)(void *argument, const char *name),
					void *argument)
{
	struct disk *d = context;
	struct disk_names *names;

	if (!alive(d))
		return -EIO;
	if (find_name(&d->current, path) == NULL)
		return -ENOENT;
	/* A copy: each() may rename. */
	names = malloc(sizeof(*names));
	names->n = d->current.n;
	memcpy(names->names, d->current.names, names->n * sizeof(names->names[0]));
	for (uint32_t i = 0; i < names->n; i++)
		if (in_directory(names->names[i].path, path))
			each(argument, strrchr(names->names[i].path, '/') + 1);
	free(names);
	return 0;
}

static int sim_lock(void *context, int handle)
{
	struct disk *d = context;
	struct inode *inode = of_handle(d, handle);

	if (!alive(d))
		return -EIO;
	if (inode->locked)
		return -EWOULDBLOCK;
	inode->locked = true;
	return 0;
}

/* ---------------------------------------------------------------- making and freeing */

void disk_init(struct disk *d, uint32_t node, uint64_t seed, struct trace *trace, const char *directory)
{
	struct inode *root;

	memset(d, 0, sizeof(*d));
	d->node = node;
	d->trace = trace;
	rng_seed(&d->rng, seed, 1000 + node);
	d->ops = (struct file_ops){
		.context = d,
		.open = sim_open,
		.close = sim_close,
		.pread = sim_pread,
		.pwrite = sim_pwrite,
		.sync = sim_sync,
		.sync_directory = sim_sync_directory,
		.size = sim_size,
		.rename = sim_rename,
		.unlink = sim_unlink,
		.make_directory = sim_make_directory,
		.list = sim_list,
		.lock = sim_lock,
	};
	root = new_inode(d, true);
	set_name(&d->current, directory, root);
	set_name(&d->synced, directory, root);
}

static void free_inodes(struct disk *d)
{
	while (d->inodes != NULL)
	{
		struct inode *next = d->inodes->next;

		free_inode(d->inodes);
		d->inodes = next;
	}
}

void disk_wipe(struct disk *d)
{
	char path[DISK_PATH];
	struct inode *root;

	strcpy(path, d->synced.names[0].path); /* the root is never renamed or removed */
	free_inodes(d);
	d->n_changes = 0;
	d->current.n = d->synced.n = 0;
	memset(d->handles, 0, sizeof(d->handles));
	root = new_inode(d, true);
	set_name(&d->current, path, root);
	set_name(&d->synced, path, root);
}

static uint8_t *duplicate(const uint8_t *bytes, uint64_t size)
{
	uint8_t *copy = size == 0 ? NULL : malloc(size);

	if (copy != NULL)
		memcpy(copy, bytes, size);
	return copy;
}

/* The copy of an inode stands where the original stands in its list. */
static struct inode *counterpart(const struct disk *to, const struct disk *from, const struct inode *inode)
{
	struct inode *copy = to->inodes;

	for (const struct inode *i = from->inodes; i != NULL; i = i->next, copy = copy->next)
		if (i == inode)
			return copy;
	return NULL;
}

static void copy_names(struct disk *to, struct disk_names *names, const struct disk *from,
					   const struct disk_names *original)
{
	names->n = original->n;
	for (uint32_t i = 0; i < names->n; i++)
	{
		names->names[i] = original->names[i];
		names->names[i].inode = counterpart(to, from, original->names[i].inode);
	}
}

void disk_copy(struct disk *to, const struct disk *from)
{
	struct inode **link = &to->inodes;

	free_inodes(to);
	for (const struct inode *i = from->inodes; i != NULL; i = i->next)
	{
		struct inode *copy = malloc(sizeof(*copy));

		*copy = *i;
		copy->current = duplicate(i->current, i->capacity);
		copy->synced = duplicate(i->synced, i->capacity);
		copy->sectors = duplicate(i->sectors, i->capacity / DISK_SECTOR);
		copy->next = NULL;
		*link = copy;
		link = &copy->next;
	}
	copy_names(to, &to->current, from, &from->current);
	copy_names(to, &to->synced, from, &from->synced);
	to->n_changes = from->n_changes;
	for (uint32_t i = 0; i < from->n_changes; i++)
	{
		to->changes[i] = from->changes[i];
		to->changes[i].inode = counterpart(to, from, from->changes[i].inode);
	}
	to->full = from->full;
	disk_end_life(to, true);
}

void disk_free(struct disk *d)
{
	free_inodes(d);
}
