/*
 * file_posix.c - the file calls that production uses.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "log/file_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int posix_open(void *context, const char *path, bool create, bool read_only)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | (create ? O_CREAT : 0);
	int handle = open(path, flags, 0600);

	return handle < 0 ? -errno : handle;
}

static int posix_close(void *context, int handle)
{
	return close(handle) < 0 ? -errno : 0;
}

static int64_t posix_pread(void *context, int handle, void *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length)
	{
		ssize_t got = pread(handle, (char *) buffer + done, length - done, (off_t) (offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		done += (size_t) got;
	}
	return (int64_t) done;
}

static int64_t posix_pwrite(void *context, int handle, const void *buffer, size_t length, uint64_t offset)
{
	size_t done = 0;

	while (done < length)
	{
		ssize_t put = pwrite(handle, (const char *) buffer + done, length - done, (off_t) (offset + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		if (put == 0)
			return -ENOSPC;
		done += (size_t) put;
	}
	return (int64_t) done;
}

/* Never repeated after EINTR or any other failure: what a failed sync left behind is not known (D4). */
static int posix_sync(void *context, int handle)
{
	return fdatasync(handle) < 0 ? -errno : 0;
}

static int posix_sync_directory(void *context, const char *path)
{
	int handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result;

	if (handle < 0)
		return -errno;
	result = fsync(handle) < 0 ? -errno : 0;
	close(handle);
	return result;
}

static int64_t posix_size(void *context, int handle)
{
	struct stat status;

	return fstat(handle, &status) < 0 ? -errno : (int64_t) status.st_size;
}

static int posix_rename(void *context, const char *from, const char *to)
{
	return rename(from, to) < 0 ? -errno : 0;
}

static int posix_unlink(void *context, const char *path)
{
	return unlink(path) < 0 ? -errno : 0;
}

static int posix_make_directory(void *context, const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int posix_list(void *context, const char *path, void (*each)(void *argument, const char *name),
					  void *argument)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	int result;

	if (directory == NULL)
		return -errno;
	while (errno = 0, (entry = readdir(directory)) != NULL)
	{
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			each(argument, entry->d_name);
	}
	result = -errno;
	closedir(directory);
	return result;
}

static int posix_lock(void *context, int handle)
{
	return flock(handle, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
}

const struct file_ops *file_ops_posix(void)
{
	static const struct file_ops ops = {
		.open = posix_open,
		.close = posix_close,
		.pread = posix_pread,
		.pwrite = posix_pwrite,
		.sync = posix_sync,
		.sync_directory = posix_sync_directory,
		.size = posix_size,
		.rename = posix_rename,
		.unlink = posix_unlink,
		.make_directory = posix_make_directory,
		.list = posix_list,
		.lock = posix_lock,
	};

	return &ops;
}
