/*
 * overlay.c - file calls that read the disk and write to memory (overlay.h).
 *
 * A path that was touched has a file here: its bytes are those of the disk (if it has an origin there) under
 * the blocks that were written.  A path that was removed has one without a name to be found by.
 */
#include "overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 4096

struct file
{
	struct file *next;
	char *path;
	bool removed; /* nothing of that name is there any more, whatever the disk has */
	int origin;   /* handle on the disk; -1: made here */
	uint64_t size;
	uint8_t **blocks; /* NULL: as on the disk, zeros behind its end */
	size_t n_blocks;
};

struct overlay
{
	struct file_ops ops;
	const struct file_ops *disk;
	struct file *files;
	struct file **handles;
	size_t n_handles;
};

static struct file *find(const struct overlay *overlay, const char *path)
{
	for (struct file *file = overlay->files; file != NULL; file = file->next)
	{
		if (strcmp(file->path, path) == 0)
			return file;
	}
	return NULL;
}

static struct file *add(struct overlay *overlay, const char *path, int origin)
{
	struct file *file = calloc(1, sizeof *file);

	if (file == NULL || (file->path = strdup(path)) == NULL)
	{
		free(file);
		return NULL;
	}
	file->origin = origin;
	file->next = overlay->files;
	overlay->files = file;
	return file;
}

/* The file of that path, from the disk if it was not touched yet; NULL: *result says why. */
static struct file *look_up(struct overlay *overlay, const char *path, int *result)
{
	struct file *file = find(overlay, path);
	int64_t size;

	*result = -ENOENT;
	if (file != NULL)
		return file->removed ? NULL : file;
	*result = overlay->disk->open(overlay->disk->context, path, false, true);
	if (*result < 0)
		return NULL;
	size = overlay->disk->size(overlay->disk->context, *result);
	file = size < 0 ? NULL : add(overlay, path, *result);
	if (file == NULL)
	{
		overlay->disk->close(overlay->disk->context, *result);
		*result = size < 0 ? (int) size : -ENOMEM;
		return NULL;
	}
	file->size = (uint64_t) size;
	return file;
}

static void empty(struct overlay *overlay, struct file *file)
{
	for (size_t i = 0; i < file->n_blocks; i++)
		free(file->blocks[i]);
	free(file->blocks);
	if (file->origin >= 0)
		overlay->disk->close(overlay->disk->context, file->origin);
	file->blocks = NULL;
	file->n_blocks = 0;
	file->origin = -1;
	file->size = 0;
}

/* The block to write into, with what is there; NULL: *result says why. */
static uint8_t *block_for_write(struct overlay *overlay, struct file *file, uint64_t number, int64_t *result)
{
	*result = -ENOMEM;
	if (number >= file->n_blocks)
	{
		size_t wanted = (size_t) number * 2 + 16;
		uint8_t **blocks = realloc(file->blocks, wanted * sizeof *blocks);

		if (blocks == NULL)
			return NULL;
		memset(blocks + file->n_blocks, 0, (wanted - file->n_blocks) * sizeof *blocks);
		file->blocks = blocks;
		file->n_blocks = wanted;
	}
	if (file->blocks[number] != NULL)
		return file->blocks[number];
	file->blocks[number] = calloc(1, BLOCK);
	if (file->blocks[number] == NULL || file->origin < 0)
		return file->blocks[number];
	*result = overlay->disk->pread(overlay->disk->context, file->origin, file->blocks[number], BLOCK,
								   number * BLOCK);
	return *result < 0 ? NULL : file->blocks[number];
}

/* ---------------------------------------------------------------- the table */

static int overlay_open(void *context, const char *path, bool create, bool read_only)
{
	struct overlay *overlay = context;
	int result;
	struct file *file = look_up(overlay, path, &result);
	struct file **handles;

	if (file == NULL && result == -ENOENT && create)
	{
		file = find(overlay, path);
		if (file == NULL && (file = add(overlay, path, -1)) == NULL)
			return -ENOMEM;
		file->removed = false;
	}
	if (file == NULL)
		return result;
	handles = realloc(overlay->handles, (overlay->n_handles + 1) * sizeof *handles);
	if (handles == NULL)
		return -ENOMEM;
	overlay->handles = handles;
	handles[overlay->n_handles] = file;
	return (int) overlay->n_handles++;
}

static int overlay_close(void *context, int handle)
{
	return 0;
}

static int64_t overlay_pread(void *context, int handle, void *buffer, size_t length, uint64_t offset)
{
	struct overlay *overlay = context;
	struct file *file = overlay->handles[handle];
	size_t done = 0;

	if (offset >= file->size)
		return 0;
	if (length > file->size - offset)
		length = (size_t) (file->size - offset);
	while (done < length)
	{
		uint64_t at = offset + done;
		size_t within = (size_t) (at % BLOCK);
		size_t part = length - done < BLOCK - within ? length - done : BLOCK - within;
		uint8_t *into = (uint8_t *) buffer + done;
		const uint8_t *block = at / BLOCK < file->n_blocks ? file->blocks[at / BLOCK] : NULL;

		memset(into, 0, part);
		if (block != NULL)
			memcpy(into, block + within, part);
		else if (file->origin >= 0)
		{
			int64_t got = overlay->disk->pread(overlay->disk->context, file->origin, into, part, at);

			if (got < 0)
				return got;
		}
		done += part;
	}
	return (int64_t) length;
}

static int64_t overlay_pwrite(void *context, int handle, const void *buffer, size_t length, uint64_t offset)
{
	struct overlay *overlay = context;
	struct file *file = overlay->handles[handle];
	size_t done = 0;

	while (done < length)
	{
		uint64_t at = offset + done;
		size_t within = (size_t) (at % BLOCK);
		size_t part = length - done < BLOCK - within ? length - done : BLOCK - within;
		int64_t result;
		uint8_t *block = block_for_write(overlay, file, at / BLOCK, &result);

		if (block == NULL)
			return result;
		memcpy(block + within, (const uint8_t *) buffer + done, part);
		done += part;
	}
	if (offset + length > file->size)
		file->size = offset + length;
	return (int64_t) length;
}

static int overlay_sync(void *context, int handle)
{
	return 0;
}

static int overlay_sync_directory(void *context, const char *path)
{
	return 0;
}

static int64_t overlay_size(void *context, int handle)
{
	struct overlay *overlay = context;

	return (int64_t) overlay->handles[handle]->size;
}

static int overlay_unlink(void *context, const char *path)
{
	struct overlay *overlay = context;
	int result;
	struct file *file = look_up(overlay, path, &result);

	if (file == NULL)
		return result;
	empty(overlay, file);
	file->removed = true;
	return 0;
}

/* The file takes the new name; the old one stays behind as removed. */
static int overlay_rename(void *context, const char *from, const char *to)
{
	struct overlay *overlay = context;
	int result;
	struct file *file = look_up(overlay, from, &result);
	struct file *old, *gone;
	char *path;

	if (file == NULL)
		return result;
	old = look_up(overlay, to, &result);
	if (old == NULL && result != -ENOENT)
		return result;
	gone = add(overlay, from, -1);
	path = strdup(to);
	if (gone == NULL || path == NULL)
		return -ENOMEM;
	gone->removed = true;
	if (old != NULL)
		empty(overlay, old);
	/* whoever has the replaced file open goes on with an empty one that has no name */
	if (old != NULL || (old = find(overlay, to)) != NULL)
		old->path[0] = '\0';
	free(file->path);
	file->path = path;
	return 0;
}

static int overlay_make_directory(void *context, const char *path)
{
	return 0;
}

struct listing
{
	struct overlay *overlay;
	const char *directory;
	void (*each)(void *argument, const char *name);
	void *argument;
};

/* Of the disk's names those that nothing here speaks of. */
static void list_untouched(void *argument, const char *name)
{
	struct listing *listing = argument;
	char path[2048];

	snprintf(path, sizeof path, "%s/%s", listing->directory, name);
	if (find(listing->overlay, path) == NULL)
		listing->each(listing->argument, name);
}

static int overlay_list(void *context, const char *path, void (*each)(void *argument, const char *name),
						void *argument)
{
	struct listing listing = {context, path, each, argument};
	size_t length = strlen(path);
	int result = listing.overlay->disk->list(listing.overlay->disk->context, path, list_untouched, &listing);

	for (struct file *file = listing.overlay->files; result >= 0 && file != NULL; file = file->next)
	{
		if (!file->removed && strncmp(file->path, path, length) == 0 && file->path[length] == '/')
			each(argument, file->path + length + 1);
	}
	return result;
}

static int overlay_lock(void *context, int handle)
{
	return 0;
}

struct overlay *overlay_make(void)
{
	struct overlay *overlay = calloc(1, sizeof *overlay);

	if (overlay == NULL)
		return NULL;
	overlay->disk = file_ops_posix();
	overlay->ops = (struct file_ops){
		.context = overlay,
		.open = overlay_open,
		.close = overlay_close,
		.pread = overlay_pread,
		.pwrite = overlay_pwrite,
		.sync = overlay_sync,
		.sync_directory = overlay_sync_directory,
		.size = overlay_size,
		.rename = overlay_rename,
		.unlink = overlay_unlink,
		.make_directory = overlay_make_directory,
		.list = overlay_list,
		.lock = overlay_lock,
	};
	return overlay;
}

void overlay_free(struct overlay *overlay)
{
	while (overlay != NULL && overlay->files != NULL)
	{
		struct file *file = overlay->files;

		overlay->files = file->next;
		empty(overlay, file);
		free(file->path);
		free(file);
	}
	if (overlay != NULL)
		free(overlay->handles);
	free(overlay);
}

const struct file_ops *overlay_ops(const struct overlay *overlay)
{
	return &overlay->ops;
}
