/*
 * support.c - memory, assertions, errors and paths for the rest of src/log/.
 */
#include "log/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *(*reallocate_function)(void *old, size_t size) = realloc;
static void (*free_function)(void *memory) = free;
static void (*assert_handler)(const char *condition, const char *file, int line);

void plog_set_assert_handler(void (*failed)(const char *condition, const char *file, int line))
{
	assert_handler = failed;
}

void plog_set_allocator(void *(*reallocate)(void *old, size_t size), void (*release)(void *memory))
{
	reallocate_function = reallocate;
	free_function = release;
}

void plog_assert_failed(const char *condition, const char *file, int line)
{
	if (assert_handler != NULL)
		assert_handler(condition, file, line);
	fprintf(stderr, "%s:%d: assertion \"%s\" failed\n", file, line, condition);
	abort();
}

void *plog_allocate(size_t size)
{
	return reallocate_function(NULL, size);
}

void *plog_reallocate(void *old, size_t size)
{
	return reallocate_function(old, size);
}

void plog_free(void *memory)
{
	if (memory != NULL)
		free_function(memory);
}

enum plog_code log_fail(struct plog_error *error, enum plog_code code, int saved_errno, const char *format,
						...)
{
	va_list arguments;

	if (error == NULL)
		return code;
	error->code = code;
	error->saved_errno = saved_errno;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof error->message, format, arguments);
	va_end(arguments);
	return code;
}

enum plog_code log_fail_io(struct plog *log, struct plog_error *error, int64_t result, const char *what,
						   const char *name)
{
	log->dead = true;
	return log_fail(error, PLOG_IO, (int) -result, "could not %s file \"%s/%s\": %s", what, log->directory,
					name, strerror((int) -result));
}

struct plog_position log_lost_place(const struct plog *log, uint64_t slot)
{
	for (uint32_t i = 0; i < log->n_lost; i++)
		if (log->lost[i].first <= slot && slot <= log->lost[i].last)
			return log->lost[i].place;
	return (struct plog_position){0};
}

enum plog_code log_fail_hole(const struct plog *log, uint64_t slot, struct plog_error *error)
{
	struct plog_position place = log_lost_place(log, slot);

	return log_fail(error, PLOG_CORRUPT, 0,
					"the record of slot %" PRIu64 " in file \"%s/segment.%016" PRIx64 "\", offset %" PRIu64
					", is damaged",
					slot, log->directory, place.segment, place.offset);
}

enum plog_code log_fail_memory(struct plog_error *error)
{
	return log_fail(error, PLOG_MEMORY, ENOMEM, "out of memory for the log");
}

void log_path_in(const char *directory, const char *name, char path[PLOG_PATH_MAX + PLOG_NAME_MAX])
{
	snprintf(path, PLOG_PATH_MAX + PLOG_NAME_MAX, "%s/%s", directory, name);
}

void log_path(const struct plog *log, const char *name, char path[PLOG_PATH_MAX + PLOG_NAME_MAX])
{
	log_path_in(log->directory, name, path);
}

enum plog_code log_sync_directory(struct plog *log, struct plog_error *error)
{
	int result = log->ops->sync_directory(log->ops->context, log->directory);

	return result < 0 ? log_fail_io(log, error, result, "sync", "") : PLOG_OK;
}

int64_t log_read_tolerant(struct plog *log, int handle, uint8_t *buffer, size_t length, uint64_t offset)
{
	int64_t got = log->ops->pread(log->ops->context, handle, buffer, length, offset);
	size_t done = 0;

	if (got != -EIO)
		return got;
	while (done < length)
	{
		size_t part = PLOG_BLOCK - (size_t) ((offset + done) % PLOG_BLOCK);

		if (part > length - done)
			part = length - done;
		got = log->ops->pread(log->ops->context, handle, buffer + done, part, offset + done);
		if (got == -EIO)
		{
			memset(buffer + done, 0, part);
			got = (int64_t) part;
		}
		if (got < 0)
			return got;
		done += (size_t) got;
		if ((size_t) got < part)
			break;
	}
	return (int64_t) done;
}
