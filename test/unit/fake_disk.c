/*
 * fake_disk.c - see fake_disk.h.
 */
#include "fake_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512
#define FILES_MAX 256
#define HANDLES_MAX 256
#define JOURNAL_MAX 4096
#define NAME_BYTES 128

enum sector_state
{
	SECTOR_SYNCED, /* seen and held are equal */
	SECTOR_DIRTY,
	SECTOR_FORGOTTEN /* a failed sync gave it up: seen, not held, and no later sync writes it */
};

struct node
{
	uint8_t *seen;
	uint8_t *held;
	uint8_t *sectors;
	uint64_t size;      /* seen */
	uint64_t held_size; /* on the platter */
	uint64_t room;
	bool used;
	bool locked;
};

struct name
{
	char path[NAME_BYTES];
	int node; /* -1: free */
};

enum journal_kind
{
	JOURNAL_CREATE,
	JOURNAL_RENAME,
	JOURNAL_UNLINK
};

struct journal_entry
{
	enum journal_kind kind;
	char path[NAME_BYTES];
	char to[NAME_BYTES];
	int node;
};

struct handle
{
	int node; /* -1: free */
	bool locked;
};

struct fake_disk
{
	struct file_ops ops;
	uint64_t random;
	struct node nodes[FILES_MAX];
	struct name names[FILES_MAX]; /* as seen */
	struct name held[FILES_MAX];  /* as on the platter */
	struct journal_entry *journal;
	size_t journal_length;
	struct handle handles[HANDLES_MAX];
	uint64_t calls;
	uint64_t stop_after;
	bool suspended;
	uint64_t fail_sync;
	uint64_t capacity;
	int unreadable_node;
	uint64_t unreadable_offset;
};

uint64_t fake_disk_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* ---------------------------------------------------------------- names */

static struct name *find_name(const struct name *names, const char *path)
{
	for (int i = 0; i < FILES_MAX; i++)
	{
		if (names[i].node >= 0 && strcmp(names[i].path, path) == 0)
			return (struct name *) &names[i];
	}
	return NULL;
}

static void add_name(struct name *names, const char *path, int node)
{
	for (int i = 0; i < FILES_MAX; i++)
	{
		if (names[i].node < 0)
		{
			snprintf(names[i].path, NAME_BYTES, "%s", path);
			names[i].node = node;
			return;
		}
	}
	abort();
}

static void apply_journal(struct name *names, const struct journal_entry *entry)
{
	struct name *old = find_name(names, entry->kind == JOURNAL_RENAME ? entry->to : entry->path);

	if (old != NULL)
		old->node = -1;
	switch (entry->kind)
	{
		case JOURNAL_CREATE:
			add_name(names, entry->path, entry->node);
			break;
		case JOURNAL_RENAME:
			old = find_name(names, entry->path);
			if (old != NULL)
				old->node = -1;
			add_name(names, entry->to, entry->node);
			break;
		case JOURNAL_UNLINK:
			break;
	}
}

static void change_names(struct fake_disk *disk, enum journal_kind kind, const char *path, const char *to,
						 int node)
{
	struct journal_entry *entry;

	if (disk->journal_length == JOURNAL_MAX)
		abort();
	entry = &disk->journal[disk->journal_length++];
	entry->kind = kind;
	entry->node = node;
	snprintf(entry->path, NAME_BYTES, "%s", path);
	snprintf(entry->to, NAME_BYTES, "%s", to);
	apply_journal(disk->names, entry);
}

static bool node_wanted(const struct fake_disk *disk, int node)
{
	for (int i = 0; i < FILES_MAX; i++)
	{
		if (disk->names[i].node == node || disk->held[i].node == node)
			return true;
	}
	for (int i = 0; i < HANDLES_MAX; i++)
	{
		if (disk->handles[i].node == node)
			return true;
	}
	for (size_t i = 0; i < disk->journal_length; i++)
	{
		if (disk->journal[i].node == node)
			return true;
	}
	return false;
}

static void free_unwanted(struct fake_disk *disk)
{
	for (int i = 0; i < FILES_MAX; i++)
	{
		struct node *node = &disk->nodes[i];

		if (!node->used || node_wanted(disk, i))
			continue;
		free(node->seen);
		free(node->held);
		free(node->sectors);
		memset(node, 0, sizeof *node);
	}
}

/* ---------------------------------------------------------------- bytes */

static void make_room(struct node *node, uint64_t size)
{
	uint64_t room = (size + 65535) / 65536 * 65536;

	if (room <= node->room)
		return;
	node->seen = realloc(node->seen, room);
	node->held = realloc(node->held, room);
	node->sectors = realloc(node->sectors, room / SECTOR);
	if (node->seen == NULL || node->held == NULL || node->sectors == NULL)
		abort();
	memset(node->seen + node->room, 0, room - node->room);
	memset(node->held + node->room, 0, room - node->room);
	memset(node->sectors + node->room / SECTOR, SECTOR_SYNCED, (room - node->room) / SECTOR);
	node->room = room;
}

static uint64_t bytes_used(const struct fake_disk *disk)
{
	uint64_t bytes = 0;

	for (int i = 0; i < FILES_MAX; i++)
		bytes += disk->nodes[i].used ? disk->nodes[i].size : 0;
	return bytes;
}

/* Counts a call; false: the disk is stopped. */
static bool enter(struct fake_disk *disk)
{
	if (disk->suspended)
		return true;
	if (disk->calls >= disk->stop_after)
		return false;
	disk->calls++;
	return true;
}

static struct node *node_of(struct fake_disk *disk, int handle)
{
	if (handle < 0 || handle >= HANDLES_MAX || disk->handles[handle].node < 0)
		abort();
	return &disk->nodes[disk->handles[handle].node];
}

/* ---------------------------------------------------------------- the calls */

static int fake_open(void *context, const char *path, bool create, bool read_only)
{
	struct fake_disk *disk = context;
	struct name *name;
	int handle = 0;
	int node = 0;

	if (!enter(disk))
		return -EIO;
	name = find_name(disk->names, path);
	if (name == NULL && !create)
		return -ENOENT;
	if (name == NULL)
	{
		free_unwanted(disk);
		while (node < FILES_MAX && disk->nodes[node].used)
			node++;
		if (node == FILES_MAX)
			abort();
		disk->nodes[node].used = true;
		change_names(disk, JOURNAL_CREATE, path, "", node);
	}
	else
		node = name->node;
	while (handle < HANDLES_MAX && disk->handles[handle].node >= 0)
		handle++;
	if (handle == HANDLES_MAX)
		abort();
	disk->handles[handle].node = node;
	return handle;
}

static int fake_close(void *context, int handle)
{
	struct fake_disk *disk = context;

	if (disk->handles[handle].locked)
		node_of(disk, handle)->locked = false;
	disk->handles[handle] = (struct handle){.node = -1};
	return 0;
}

static int64_t fake_pread(void *context, int handle, void *buffer, size_t length, uint64_t offset)
{
	struct fake_disk *disk = context;
	struct node *node = node_of(disk, handle);

	if (!enter(disk))
		return -EIO;
	if (offset >= node->size)
		return 0;
	if (length > node->size - offset)
		length = node->size - offset;
	if (node == &disk->nodes[disk->unreadable_node] && disk->unreadable_offset != UINT64_MAX &&
		offset < disk->unreadable_offset + 4096 && offset + length > disk->unreadable_offset)
		return -EIO;
	memcpy(buffer, node->seen + offset, length);
	return (int64_t) length;
}

static int64_t fake_pwrite(void *context, int handle, const void *buffer, size_t length, uint64_t offset)
{
	struct fake_disk *disk = context;
	struct node *node = node_of(disk, handle);
	uint64_t end = offset + length;

	if (!enter(disk))
		return -EIO;
	if (end > node->size && bytes_used(disk) + end - node->size > disk->capacity)
		return -ENOSPC;
	make_room(node, end);
	if (end > node->size)
		node->size = end;
	memcpy(node->seen + offset, buffer, length);
	for (uint64_t i = offset / SECTOR; i * SECTOR < end; i++)
		node->sectors[i] = SECTOR_DIRTY;
	return (int64_t) length;
}

static int fake_sync(void *context, int handle)
{
	struct fake_disk *disk = context;
	struct node *node = node_of(disk, handle);
	bool fails;

	if (!enter(disk))
		return -EIO;
	fails = disk->fail_sync > 0 && --disk->fail_sync == 0;
	for (uint64_t i = 0; i < node->room / SECTOR; i++)
	{
		if (node->sectors[i] != SECTOR_DIRTY)
			continue;
		node->sectors[i] = fails ? SECTOR_FORGOTTEN : SECTOR_SYNCED;
		if (!fails)
			memcpy(node->held + i * SECTOR, node->seen + i * SECTOR, SECTOR);
	}
	if (fails)
		return -EIO;
	node->held_size = node->size;
	return 0;
}

static int fake_sync_directory(void *context, const char *path)
{
	struct fake_disk *disk = context;

	if (!enter(disk))
		return -EIO;
	memcpy(disk->held, disk->names, sizeof disk->held);
	disk->journal_length = 0;
	return 0;
}

static int64_t fake_size(void *context, int handle)
{
	struct fake_disk *disk = context;

	return enter(disk) ? (int64_t) node_of(disk, handle)->size : -EIO;
}

static int fake_rename(void *context, const char *from, const char *to)
{
	struct fake_disk *disk = context;
	struct name *name = find_name(disk->names, from);

	if (!enter(disk))
		return -EIO;
	if (name == NULL)
		return -ENOENT;
	change_names(disk, JOURNAL_RENAME, from, to, name->node);
	return 0;
}

static int fake_unlink(void *context, const char *path)
{
	struct fake_disk *disk = context;
	struct name *name = find_name(disk->names, path);

	if (!enter(disk))
		return -EIO;
	if (name == NULL)
		return -ENOENT;
	change_names(disk, JOURNAL_UNLINK, path, "", name->node);
	return 0;
}

static int fake_make_directory(void *context, const char *path)
{
	return enter(context) ? 0 : -EIO;
}

static int fake_list(void *context, const char *path, void (*each)(void *argument, const char *name),
					 void *argument)
{
	struct fake_disk *disk = context;
	size_t length = strlen(path);

	if (!enter(disk))
		return -EIO;
	for (int i = 0; i < FILES_MAX; i++)
	{
		const char *name = disk->names[i].path;

		if (disk->names[i].node >= 0 && strncmp(name, path, length) == 0 && name[length] == '/')
			each(argument, name + length + 1);
	}
	return 0;
}

static int fake_lock(void *context, int handle)
{
	struct fake_disk *disk = context;
	struct node *node = node_of(disk, handle);

	if (!enter(disk))
		return -EIO;
	if (node->locked)
		return -EWOULDBLOCK;
	node->locked = true;
	disk->handles[handle].locked = true;
	return 0;
}

/* ---------------------------------------------------------------- lives and deaths */

struct fake_disk *fake_disk_new(uint64_t seed)
{
	struct fake_disk *disk = calloc(1, sizeof *disk);

	disk->ops = (struct file_ops){
		.context = disk,
		.open = fake_open,
		.close = fake_close,
		.pread = fake_pread,
		.pwrite = fake_pwrite,
		.sync = fake_sync,
		.sync_directory = fake_sync_directory,
		.size = fake_size,
		.rename = fake_rename,
		.unlink = fake_unlink,
		.make_directory = fake_make_directory,
		.list = fake_list,
		.lock = fake_lock,
	};
	disk->random = seed;
	disk->journal = calloc(JOURNAL_MAX, sizeof *disk->journal);
	disk->capacity = UINT64_MAX / 2;
	for (int i = 0; i < FILES_MAX; i++)
		disk->names[i].node = disk->held[i].node = -1;
	fake_disk_kill(disk);
	return disk;
}

void fake_disk_free(struct fake_disk *disk)
{
	for (int i = 0; i < FILES_MAX; i++)
	{
		free(disk->nodes[i].seen);
		free(disk->nodes[i].held);
		free(disk->nodes[i].sectors);
	}
	free(disk->journal);
	free(disk);
}

const struct file_ops *fake_disk_ops(struct fake_disk *disk)
{
	return &disk->ops;
}

static void *copy_of(const void *bytes, size_t length)
{
	void *copy = malloc(length + 1);

	memcpy(copy, bytes, length);
	return copy;
}

struct fake_disk *fake_disk_clone(const struct fake_disk *disk, uint64_t seed)
{
	struct fake_disk *clone = copy_of(disk, sizeof *disk);

	for (int i = 0; i < FILES_MAX; i++)
	{
		struct node *node = &clone->nodes[i];

		if (node->room == 0)
			continue;
		node->seen = copy_of(node->seen, node->room);
		node->held = copy_of(node->held, node->room);
		node->sectors = copy_of(node->sectors, node->room / SECTOR);
	}
	clone->journal = copy_of(disk->journal, JOURNAL_MAX * sizeof *disk->journal);
	clone->ops.context = clone;
	clone->random = seed;
	fake_disk_kill(clone);
	return clone;
}

void fake_disk_kill(struct fake_disk *disk)
{
	for (int i = 0; i < HANDLES_MAX; i++)
		disk->handles[i] = (struct handle){.node = -1};
	for (int i = 0; i < FILES_MAX; i++)
		disk->nodes[i].locked = false;
	disk->stop_after = UINT64_MAX;
	disk->fail_sync = 0;
	disk->unreadable_offset = UINT64_MAX;
	free_unwanted(disk);
}

/* What the platter holds of one sector after the power came back. */
static void settle_sector(struct fake_disk *disk, struct node *node, uint64_t sector)
{
	uint8_t *seen = node->seen + sector * SECTOR;
	uint8_t *held = node->held + sector * SECTOR;
	uint64_t dice = fake_disk_random(&disk->random);

	if (node->sectors[sector] == SECTOR_DIRTY)
	{
		size_t part = (size_t) (dice >> 32) % SECTOR;

		if (dice % 16 < 7)
			memcpy(held, seen, SECTOR);
		else if (dice % 16 == 7)
			memcpy(held, seen, part);
		else if (dice % 16 == 8)
			memcpy(held + part, seen + part, SECTOR - part);
	}
	memcpy(seen, held, SECTOR);
	node->sectors[sector] = SECTOR_SYNCED;
}

void fake_disk_crash(struct fake_disk *disk)
{
	size_t kept = (size_t) (fake_disk_random(&disk->random) % (disk->journal_length + 1));

	for (size_t i = 0; i < kept; i++)
		apply_journal(disk->held, &disk->journal[i]);
	disk->journal_length = 0;
	memcpy(disk->names, disk->held, sizeof disk->names);
	fake_disk_kill(disk);
	for (int i = 0; i < FILES_MAX; i++)
	{
		struct node *node = &disk->nodes[i];

		if (!node->used)
			continue;
		if (node->size != node->held_size && fake_disk_random(&disk->random) % 2 == 0)
			node->held_size = node->size;
		node->size = node->held_size;
		for (uint64_t sector = 0; sector < node->room / SECTOR; sector++)
		{
			if (node->sectors[sector] != SECTOR_SYNCED)
				settle_sector(disk, node, sector);
		}
		for (uint64_t at = node->size; at < node->room; at++)
			node->seen[at] = node->held[at] = 0;
	}
}

void fake_disk_stop_after(struct fake_disk *disk, uint64_t n)
{
	disk->stop_after = n == UINT64_MAX ? UINT64_MAX : disk->calls + n;
}

void fake_disk_suspend(struct fake_disk *disk, bool suspended)
{
	disk->suspended = suspended;
}

bool fake_disk_stopped(const struct fake_disk *disk)
{
	return disk->calls >= disk->stop_after;
}

uint64_t fake_disk_calls(const struct fake_disk *disk)
{
	return disk->calls;
}

void fake_disk_fail_sync(struct fake_disk *disk, uint64_t n)
{
	disk->fail_sync = n;
}

void fake_disk_set_capacity(struct fake_disk *disk, uint64_t bytes)
{
	disk->capacity = bytes;
}

/* ---------------------------------------------------------------- for tests */

static struct node *node_at(const struct fake_disk *disk, const char *path)
{
	struct name *name = find_name(disk->names, path);

	return name == NULL ? NULL : (struct node *) &disk->nodes[name->node];
}

int64_t fake_disk_size(const struct fake_disk *disk, const char *path)
{
	struct node *node = node_at(disk, path);

	return node == NULL ? -1 : (int64_t) node->size;
}

bool fake_disk_flip(struct fake_disk *disk, const char *path, uint64_t offset, uint8_t mask)
{
	struct node *node = node_at(disk, path);

	if (node == NULL || offset >= node->size)
		return false;
	node->seen[offset] ^= mask;
	node->held[offset] = node->seen[offset];
	return true;
}

void fake_disk_put(struct fake_disk *disk, const char *path, uint64_t offset, const void *bytes,
				   size_t length)
{
	struct node *node = node_at(disk, path);

	if (node == NULL || offset + length > node->size)
		abort();
	memcpy(node->seen + offset, bytes, length);
	memcpy(node->held + offset, bytes, length);
}

void fake_disk_get(const struct fake_disk *disk, const char *path, uint64_t offset, void *bytes,
				   size_t length)
{
	struct node *node = node_at(disk, path);

	if (node == NULL || offset + length > node->size)
		abort();
	memcpy(bytes, node->seen + offset, length);
}

void fake_disk_remove(struct fake_disk *disk, const char *path)
{
	fake_unlink(disk, path);
	fake_sync_directory(disk, "");
}

void fake_disk_unreadable(struct fake_disk *disk, const char *path, uint64_t offset)
{
	struct node *node = node_at(disk, path);

	disk->unreadable_offset = node == NULL ? UINT64_MAX : offset;
	disk->unreadable_node = node == NULL ? 0 : (int) (node - disk->nodes);
}

const char *fake_disk_name(const struct fake_disk *disk, size_t n)
{
	for (int i = 0; i < FILES_MAX; i++)
	{
		if (disk->names[i].node >= 0 && n-- == 0)
			return disk->names[i].path;
	}
	return NULL;
}
