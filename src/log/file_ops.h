/*
 * file_ops.h - the file calls that the log makes, as a table.
 *
 * Production uses file_ops_posix(); the simulator and the unit tests pass tables that tear, lose, lie and
 * fail.  Every call returns a value >= 0, or -errno; none sets errno for its caller.
 */
#ifndef FILE_OPS_H
#define FILE_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file_ops
{
	void *context;

	/* Opens; create: makes it if absent; truncate never happens.  Gives a handle >= 0. */
	int (*open)(void *context, const char *path, bool create, bool read_only);
	int (*close)(void *context, int handle);
	/* Whole reads and writes: fewer bytes than asked come only at the file's end (reads). */
	int64_t (*pread)(void *context, int handle, void *buffer, size_t length, uint64_t offset);
	int64_t (*pwrite)(void *context, int handle, const void *buffer, size_t length, uint64_t offset);
	/* fdatasync: data, and what is needed to read it back. */
	int (*sync)(void *context, int handle);
	/* fsync of a directory, so that creations and renames in it last. */
	int (*sync_directory)(void *context, const char *path);
	int64_t (*size)(void *context, int handle);
	int (*rename)(void *context, const char *from, const char *to);
	int (*unlink)(void *context, const char *path);
	/* 0, also where the directory is there already. */
	int (*make_directory)(void *context, const char *path);
	/* Calls each(argument, name) for every name in the directory but . and .., in any order. */
	int (*list)(void *context, const char *path, void (*each)(void *argument, const char *name),
				void *argument);
	/* An exclusive flock that ends with the handle; -EWOULDBLOCK: someone else holds it. */
	int (*lock)(void *context, int handle);
};

/* The real thing.  A static table; nothing to free. */
const struct file_ops *file_ops_posix(void);

#endif /* FILE_OPS_H */
