/*
 * disk_faults.c - preloaded into the servers of TAP tests: writes and syncs of some of their files fail or take long.
 *
 * The file that PAXOSKV_DISK_FAULTS names has a line for each fault that is on; it is read at each call, so that a
 * test changes it while the server runs:
 *
 *	 sync EIO TEXT      fsync and fdatasync fail for files whose path has that text in it
 *	 write EIO TEXT     so does writing
 *	 grow ENOSPC TEXT   writing fails where the file would have to grow, as on a disk that is full
 *	 sync 2000 TEXT     these calls take so many milliseconds longer (write and grow likewise)
 *	 sync hold TEXT     these calls do not begin until the line is gone (likewise)
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 4096
#define HOLD_LOOK_MS 10

/* The control file as it is now, by system calls that are not ours. */
static bool read_faults(char faults[FAULTS_MAX])
{
	const char *name = getenv("PAXOSKV_DISK_FAULTS");
	int handle = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (handle < 0)
		return false;
	got = read(handle, faults, FAULTS_MAX - 1);
	close(handle);
	faults[got > 0 ? got : 0] = '\0';
	return got > 0;
}

static bool path_of(int handle, char *path, size_t size)
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", handle);
	length = readlink(link, path, size - 1);
	if (length < 0)
		return false;
	path[length] = '\0';
	return true;
}

static void pause_ms(long ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* What such a call of that file is to end with: 0 as ever, or an errno; waits where it is to take long. */
static int fault_now(const char *call, const char *path, bool *held)
{
	char faults[FAULTS_MAX];
	char *rest = faults;
	int result = 0;

	*held = false;
	if (!read_faults(faults))
		return 0;
	for (char *line; (line = strsep(&rest, "\n")) != NULL;)
	{
		char *kind = strsep(&line, " ");
		char *action = strsep(&line, " ");

		if (strcmp(kind, call) != 0 || action == NULL || line == NULL || strstr(path, line) == NULL)
			continue;
		if (strcmp(action, "EIO") == 0)
			result = EIO;
		else if (strcmp(action, "ENOSPC") == 0)
			result = ENOSPC;
		else if (strcmp(action, "hold") == 0)
			*held = true;
		else
			pause_ms(strtol(action, NULL, 10));
	}
	return result;
}

static int fault_of(const char *call, int handle)
{
	int saved = errno;
	int result = 0;
	bool held = false;
	char path[4096];

	if (path_of(handle, path, sizeof(path)))
		while (result = fault_now(call, path, &held), held)
			pause_ms(HOLD_LOOK_MS);
	errno = saved;
	return result;
}

static int write_fault(int handle, off_t end)
{
	struct stat status;
	int result = fault_of("write", handle);

	if (result == 0 && fstat(handle, &status) == 0 && S_ISREG(status.st_mode) && end > status.st_size)
		result = fault_of("grow", handle);
	return result;
}

static off_t bytes_of(const struct iovec *parts, int n)
{
	off_t bytes = 0;

	for (int i = 0; i < n; i++)
		bytes += (off_t) parts[i].iov_len;
	return bytes;
}

#define CALL_REAL(name, ...)                                                                                 \
	do                                                                                                       \
	{                                                                                                        \
		static __typeof__(name) *real;                                                                       \
		if (real == NULL)                                                                                    \
			real = (__typeof__(name) *) dlsym(RTLD_NEXT, #name);                                             \
		return real(__VA_ARGS__);                                                                            \
	} while (0)

#define FAIL_WITH(fault)                                                                                     \
	do                                                                                                       \
	{                                                                                                        \
		int error = (fault);                                                                                 \
		if (error != 0)                                                                                      \
		{                                                                                                    \
			errno = error;                                                                                   \
			return -1;                                                                                       \
		}                                                                                                    \
	} while (0)

ssize_t write(int handle, const void *bytes, size_t length)
{
	FAIL_WITH(write_fault(handle, lseek(handle, 0, SEEK_CUR) + (off_t) length));
	CALL_REAL(write, handle, bytes, length);
}

ssize_t pwrite(int handle, const void *bytes, size_t length, off_t offset)
{
	FAIL_WITH(write_fault(handle, offset + (off_t) length));
	CALL_REAL(pwrite, handle, bytes, length, offset);
}

ssize_t pwrite64(int handle, const void *bytes, size_t length, off64_t offset)
{
	FAIL_WITH(write_fault(handle, offset + (off_t) length));
	CALL_REAL(pwrite64, handle, bytes, length, offset);
}

ssize_t pwritev(int handle, const struct iovec *parts, int n, off_t offset)
{
	FAIL_WITH(write_fault(handle, offset + bytes_of(parts, n)));
	CALL_REAL(pwritev, handle, parts, n, offset);
}

ssize_t pwritev64(int handle, const struct iovec *parts, int n, off64_t offset)
{
	FAIL_WITH(write_fault(handle, offset + bytes_of(parts, n)));
	CALL_REAL(pwritev64, handle, parts, n, offset);
}

/* These give the error back. */
int posix_fallocate(int handle, off_t offset, off_t length)
{
	int error = write_fault(handle, offset + length);

	if (error != 0)
		return error;
	CALL_REAL(posix_fallocate, handle, offset, length);
}

int posix_fallocate64(int handle, off64_t offset, off64_t length)
{
	int error = write_fault(handle, offset + length);

	if (error != 0)
		return error;
	CALL_REAL(posix_fallocate64, handle, offset, length);
}

int fsync(int handle)
{
	FAIL_WITH(fault_of("sync", handle));
	CALL_REAL(fsync, handle);
}

int fdatasync(int handle)
{
	FAIL_WITH(fault_of("sync", handle));
	CALL_REAL(fdatasync, handle);
}
