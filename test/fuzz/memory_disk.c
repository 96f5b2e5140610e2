/*
 * memory_disk.c - see memory_disk.h.
 */
#include "memory_disk.h"

#include <errno.h>

#include "fuzz.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

struct disk_file *disk_find(struct memory_disk *disk, const char *name)
{
	for (int i = 0; i < DISK_FILES; i++)
		if (disk->files[i].name[0] != '\0' && strcmp(disk->files[i].name, name) == 0)
			return &disk->files[i];
	return NULL;
}

static struct disk_file *new_file(struct memory_disk *disk, const char *name)
{
	for (int i = 0; i < DISK_FILES; i++)
	{
		struct disk_file *file = &disk->files[i];

		if (file->name[0] != '\0' || file->bytes != NULL)
			continue;
		snprintf(file->name, DISK_NAME, "%s", name);
		return file;
	}
	return NULL;
}

/* A file that lost its name lives on while a handle holds it, as everywhere. */
static bool is_held(const struct memory_disk *disk, const struct disk_file *file)
{
	for (size_t i = 0; i < sizeof(disk->handles) / sizeof(disk->handles[0]); i++)
		if (disk->handles[i] == file - disk->files + 1)
			return true;
	return false;
}

static void free_bytes(struct disk_file *file)
{
	free(file->bytes);
	*file = (struct disk_file){0};
}

void disk_remove(struct disk_file *file)
{
	free_bytes(file);
}

static void make_room(struct disk_file *file, uint64_t size)
{
	uint64_t room = (size + 8191) / 8192 * 8192;

	MUST(size <= DISK_BYTES_MAX); /* a small log never needs more */
	if (room > file->room)
	{
		file->bytes = realloc(file->bytes, room);
		MUST(file->bytes != NULL);
		file->room = room;
	}
	if (size > file->size)
		memset(file->bytes + file->size, 0, size - file->size);
	file->size = size > file->size ? size : file->size;
}

struct disk_file *disk_put(struct memory_disk *disk, const char *name, const uint8_t *bytes, uint64_t size)
{
	struct disk_file *file = disk_find(disk, name);

	if (file == NULL)
		file = new_file(disk, name);
	if (file == NULL)
		return NULL;
	make_room(file, size + 1);
	file->size = size;
	memmove(file->bytes, bytes, size);
	return file;
}

/* ---------------------------------------------------------------- the calls */

static void count(struct memory_disk *disk)
{
	MUST(++disk->calls < DISK_CALLS_MAX);
}

static struct disk_file *file_of(struct memory_disk *disk, int handle)
{
	MUST(handle >= 0 && handle < 128 && disk->handles[handle] > 0);
	return &disk->files[disk->handles[handle] - 1];
}

static int disk_open(void *context, const char *path, bool create, bool read_only)
{
	struct memory_disk *disk = context;
	struct disk_file *file = disk_find(disk, base_name(path));

	count(disk);
	if (file == NULL && !create)
		return -ENOENT;
	if (file == NULL)
		file = new_file(disk, base_name(path));
	if (file == NULL)
		return -ENOSPC;
	for (int i = 0; i < 128; i++)
		if (disk->handles[i] == 0)
		{
			disk->handles[i] = (int) (file - disk->files) + 1;
			return i;
		}
	MUST(!"descriptors are bounded");
}

static int disk_close(void *context, int handle)
{
	struct memory_disk *disk = context;
	struct disk_file *file = file_of(disk, handle);

	disk->handles[handle] = 0;
	if (file->name[0] == '\0' && !is_held(disk, file))
		free_bytes(file);
	return 0;
}

static int64_t disk_pread(void *context, int handle, void *buffer, size_t length, uint64_t offset)
{
	struct memory_disk *disk = context;
	struct disk_file *file = file_of(disk, handle);

	count(disk);
	if (offset > INT64_MAX)
		return -EINVAL;
	if (offset >= file->size)
		return 0;
	if (length > file->size - offset)
		length = file->size - offset;
	if (disk->unreadable[0] != '\0' && strcmp(disk->unreadable, file->name) == 0 &&
		offset < disk->unreadable_at + 4096 && offset + length > disk->unreadable_at)
		return -EIO;
	memcpy(buffer, file->bytes + offset, length);
	disk->bytes_read += length;
	MUST(disk->bytes_read < DISK_BYTES_READ_MAX);
	return (int64_t) length;
}

static int64_t disk_pwrite(void *context, int handle, const void *buffer, size_t length, uint64_t offset)
{
	struct memory_disk *disk = context;
	struct disk_file *file = file_of(disk, handle);

	count(disk);
	if (offset > INT64_MAX)
		return -EINVAL;
	make_room(file, offset + length);
	memcpy(file->bytes + offset, buffer, length);
	/* a bad block that is written to is mapped elsewhere by the drive */
	if (strcmp(disk->unreadable, file->name) == 0 && offset < disk->unreadable_at + 4096 &&
		offset + length > disk->unreadable_at)
		disk->unreadable[0] = '\0';
	return (int64_t) length;
}

static int disk_sync(void *context, int handle)
{
	file_of(context, handle);
	count(context);
	return 0;
}

static int disk_sync_directory(void *context, const char *path)
{
	count(context);
	return 0;
}

static int64_t disk_size(void *context, int handle)
{
	count(context);
	return (int64_t) file_of(context, handle)->size;
}

static void drop_name(struct memory_disk *disk, struct disk_file *file)
{
	file->name[0] = '\0';
	if (!is_held(disk, file))
		free_bytes(file);
}

static int disk_rename(void *context, const char *from, const char *to)
{
	struct memory_disk *disk = context;
	struct disk_file *file = disk_find(disk, base_name(from));
	struct disk_file *old = disk_find(disk, base_name(to));

	count(disk);
	if (file == NULL)
		return -ENOENT;
	if (old != NULL && old != file)
		drop_name(disk, old);
	snprintf(file->name, DISK_NAME, "%s", base_name(to));
	return 0;
}

static int disk_unlink(void *context, const char *path)
{
	struct memory_disk *disk = context;
	struct disk_file *file = disk_find(disk, base_name(path));

	count(disk);
	if (file == NULL)
		return -ENOENT;
	drop_name(disk, file);
	return 0;
}

static int disk_make_directory(void *context, const char *path)
{
	return 0;
}

static int disk_list(void *context, const char *path, void (*each)(void *argument, const char *name),
					 void *argument)
{
	struct memory_disk *disk = context;

	count(disk);
	for (int i = 0; i < DISK_FILES; i++)
		if (disk->files[i].name[0] != '\0')
			each(argument, disk->files[i].name);
	return 0;
}

static int disk_lock(void *context, int handle)
{
	return 0;
}

/* ---------------------------------------------------------------- lives */

void disk_init(struct memory_disk *disk)
{
	memset(disk, 0, sizeof(*disk));
	disk->ops = (struct file_ops){
		.context = disk,
		.open = disk_open,
		.close = disk_close,
		.pread = disk_pread,
		.pwrite = disk_pwrite,
		.sync = disk_sync,
		.sync_directory = disk_sync_directory,
		.size = disk_size,
		.rename = disk_rename,
		.unlink = disk_unlink,
		.make_directory = disk_make_directory,
		.list = disk_list,
		.lock = disk_lock,
	};
}

void disk_restart(struct memory_disk *disk)
{
	memset(disk->handles, 0, sizeof(disk->handles));
	for (int i = 0; i < DISK_FILES; i++)
		if (disk->files[i].name[0] == '\0' && disk->files[i].bytes != NULL)
			free_bytes(&disk->files[i]);
	disk->calls = disk->bytes_read = 0;
}

void disk_clear(struct memory_disk *disk)
{
	for (int i = 0; i < DISK_FILES; i++)
		free_bytes(&disk->files[i]);
	disk_restart(disk);
	disk->unreadable[0] = '\0';
}
