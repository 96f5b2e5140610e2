/*
 * log_build.h - for fuzz_log: a sound log, written by the real code as the input says; and damage to its files.
 */
#ifndef LOG_BUILD_H
#define LOG_BUILD_H

#include "fuzz.h"
#include "log/format.h"
#include "log/log.h"
#include "memory_disk.h"

#define BUILD_SLOTS 1024
/* Some segments' worth. */
#define BUILD_BYTES 200000

/* What was written, and what of it is known durable. */
struct build
{
	struct memory_disk *disk;
	struct memory_disk *old; /* the files as they were at some time before */
	struct plog *log;
	struct plog_options options;
	struct plog_state state;
	uint64_t id;
	struct paxos_ballot highest; /* ever used, lost ones too */
	struct paxos_ballot promised;
	uint64_t first_slot;
	uint64_t end;
	struct paxos_ballot accepted;
	uint64_t synced_end;
	struct paxos_ballot synced_accepted;
	struct paxos_ballot synced_promise;
	uint32_t crc[BUILD_SLOTS]; /* of each slot's bytes */
	bool installed;            /* since the last sync */
	uint32_t salt;
	uint64_t written; /* bytes of entries */
};

void build_log(struct build *b, struct memory_disk *disk, struct memory_disk *old, struct input *in);
/* Opens with the real code; the log, its state, or why not. */
enum plog_code build_open(struct memory_disk *disk, const struct plog_options *options, struct plog **log,
						  struct plog_state *state);

void build_append(struct build *b, uint32_t n, uint32_t length);
void build_install(struct build *b, uint64_t base, uint32_t n, uint32_t length);
void build_sync(struct build *b);

/* How the files were hurt. */
struct damage
{
	uint32_t n;       /* mutations that changed anything */
	uint32_t n_rot;   /* ... that changed bytes within one block of 4,096, checksums left alone */
	bool names_files; /* ... or which files there are */
};

/* The old files may come back as a mutation. */
void damage_files(struct memory_disk *disk, struct memory_disk *old, struct input *in, struct damage *done);
/* A directory of nothing but the input's bytes. */
void damage_raw(struct memory_disk *disk, struct input *in);

#endif /* LOG_BUILD_H */
