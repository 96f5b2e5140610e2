/*
 * log.h - the durable log of one node: segment files, metadata, recovery (PROTOCOL section D).
 *
 * One process holds the directory's lock and writes; everything that it is given by plog_write() becomes
 * durable, in order, with the next plog_sync().  docs/disk-format.md describes the bytes.
 *
 * Memory: records that wait for plog_sync() (beyond 4 MiB they are written early), two caches of cache_bytes
 * (entries, staged entries), what readers hold, a write buffer of 1 MiB, and 40 bytes of index for up to 64
 * slots.
 *
 * Not thread-safe.  Errors are values; after PLOG_IO the log is dead: nothing is retried (D4), the process
 * is expected to end this life and recover by a new plog_open().
 */
#ifndef PLOG_H
#define PLOG_H

#include "log/file_ops.h"
#include "paxos/paxos.h"

enum plog_code
{
	PLOG_OK = 0,
	PLOG_IO,       /* a read, write or sync failed: end this life */
	PLOG_NO_SPACE, /* ENOSPC while preallocating: not accepting until a later plog_sync() succeeds (D4) */
	PLOG_LOCKED,   /* another process holds the directory (55006) */
	PLOG_CORRUPT,  /* both metadata copies bad, or what can't be recovered (XX001) */
	PLOG_UNKNOWN,  /* a format version or record type that this code does not know */
	PLOG_MEMORY,   /* out of memory */
	PLOG_NOT_EMPTY /* create: the directory holds something else */
};

/* What went wrong, for people: one sentence, no trailing period, names the file. */
struct plog_error
{
	enum plog_code code;
	int saved_errno; /* 0 if none */
	char message[512];
};

struct plog_options
{
	uint64_t segment_bytes; /* of a new segment, 32 KiB at least; a larger record gets one of its own size */
	uint64_t cache_bytes;   /* newest entries kept in memory for readers */
	uint64_t min_free_segments; /* prepared files plog_prepare_segments() keeps ready */
	uint64_t trim_files_max;    /* that one plog_trim() lets go; 0: any number */
};

/* The largest configuration blob kept in the metadata. */
#define PLOG_CONFIG_MAX 3584

/* "segment.0000000000000001, offset 8192" */
#define PLOG_PLACE_MAX 96

/* What the directory holds, after recovery; all durable. */
struct plog_state
{
	struct paxos_id store_id;
	uint64_t run;                      /* of this life: already raised and durable in both copies (B4, X1) */
	struct paxos_durable_state paxos;  /* "applied" is 0; the host fills it in */
	uint64_t log_bytes;                /* of all segment files */
	uint64_t tail_bytes_cut;           /* D6: torn bytes cut off by this recovery */
	uint64_t restoring;                /* T5: a snapshot as of that slot was being installed; 0: none */
	char damage_place[PLOG_PLACE_MAX]; /* file and offset of the first bad record, while damaged; else "" */
	uint32_t config_length;
	uint8_t config[PLOG_CONFIG_MAX]; /* opaque: formation and configuration (formation.h) */
};

struct plog;

/*
 * Opens the log in "directory", making directory and log if there is none ("store_id" then names it: F1),
 * takes the lock for the life of the handle, recovers (D4 to D7), raises the run counter and writes both
 * metadata copies.  Recovery's copy of the tail is durable when this returns.  "ops" must outlive the log.
 * *log is freed with plog_close().  On failure *log is NULL and *error says why.
 */
enum plog_code plog_open(struct plog **log, const char *directory, const struct file_ops *ops,
						 const struct plog_options *options, const struct paxos_id *new_store_id,
						 struct plog_state *state, struct plog_error *error);

/* Ends it; what was not synced may be lost.  NULL is allowed. */
void plog_close(struct plog *log);

/*
 * D6: a cluster of one cuts its doubtful tail off, after its host saw that the database has not applied
 * beyond the intact end.  Durable when it returns; state is as after a clean recovery.  Only for a damaged
 * and doubtful log.
 */
enum plog_code plog_forgive_doubt(struct plog *log, struct plog_state *state, struct plog_error *error);

/*
 * Takes one write of the core (all types).  The bytes are copied; nothing is durable yet, but plog_read()
 * sees it.  Write ids must rise by one.
 */
enum plog_code plog_write(struct plog *log, const struct paxos_write *write, struct plog_error *error);

/*
 * Makes all that plog_write() took durable, by one fdatasync of the segment and, if promises were among
 * them, both metadata copies one after the other.  *durable_id: the last write covered.  With
 * PLOG_NO_SPACE everything is kept for a later call (promises were written nevertheless; *durable_id says how far).
 */
enum plog_code plog_sync(struct plog *log, uint64_t *durable_id, struct plog_error *error);

/* Whether writes wait for plog_sync(). */
bool plog_dirty(const struct plog *log);

/*
 * D5: says durably that the last sync completed, when no later sync has said so.  To be called within
 * 50 ms of a sync when idle, off the path of commands.  plog_wants_completion(): whether there is need.
 */
bool plog_wants_completion(const struct plog *log);
enum plog_code plog_write_completion(struct plog *log, struct plog_error *error);

/*
 * Reads the entry at slot (first_slot .. end).  From the cache or from disk; the bytes stay valid until
 * plog_release_reads().  PLOG_CORRUPT: its checksum fails (the error names file and slot).
 */
enum plog_code plog_read(struct plog *log, uint64_t slot, struct paxos_entry *entry,
						 struct plog_error *error);

/* The ballot and epoch of the record that holds slot. */
enum plog_code plog_read_ballot(struct plog *log, uint64_t slot, uint64_t *epoch, struct paxos_ballot *ballot,
								struct plog_error *error);

/* Where the bad record of a slot is that D7's holes hold.  False: the slot is in none. */
bool plog_place(const struct plog *log, uint64_t slot, char text[PLOG_PLACE_MAX]);

/* Frees what plog_read() brought from disk. */
void plog_release_reads(struct plog *log);

/*
 * Reads records of old segments again, from *slot on, until some "bytes" were read; *slot: where to go on, 0: all were.
 * PLOG_CORRUPT: one is damaged (the error names file and slot); a new plog_open() finds out what can be done.  Not for a
 * damaged log.
 */
enum plog_code plog_scrub(struct plog *log, uint64_t *slot, uint64_t bytes, struct plog_error *error);

/* Keeps "config" (opaque) in the metadata: durable in both copies when it returns. */
enum plog_code plog_set_config(struct plog *log, const uint8_t *config, uint32_t length,
							   struct plog_error *error);

/*
 * Drops whole segments whose every record is before first_slot or dead; the log then begins at first_slot.
 * The files are recycled.  Durable order: the trim record first, then the files.  While a snapshot is being installed
 * (plog_begin_restore()), only what begins the log behind that does anything.
 */
enum plog_code plog_trim(struct plog *log, uint64_t first_slot, struct plog_error *error);

/*
 * T5: says durably that the database is about to hold a snapshot as of slot, before it does; 0: it will not.  Until
 * plog_trim() begins the log behind the slot, or it is given up, nothing is dropped.
 */
enum plog_code plog_begin_restore(struct plog *log, uint64_t slot, struct plog_error *error);

/* What plog_open() would say now of what was taken; "applied" and "tail_bytes_cut" stay.  For a start that trims. */
void plog_refresh_state(const struct plog *log, struct plog_state *state);

/* Whether plog_trim(), called again, would let more files go; by the index, so not for every turn of a loop. */
bool plog_has_dead_segments(const struct plog *log);

/* T5: the slot of plog_begin_restore() that is neither finished nor given up; 0: none. */
uint64_t plog_restoring(const struct plog *log);

uint64_t plog_bytes(const struct plog *log);

/* From the entry of slot on, within some entries' length; 0: it is not in the log's files (yet). */
uint64_t plog_bytes_from(const struct plog *log, uint64_t slot);

/* Of all that plog_write() and plog_trim() took: what is before it can't be read. */
uint64_t plog_first_slot(const struct plog *log);

/* What plog_trim() may begin the log with so that at least the newest "bytes" of segment files stay. */
uint64_t plog_retained_from(const struct plog *log, uint64_t bytes);

/*
 * Keeps options->min_free_segments prepared files, zeroed and synced, under temporary names, which the
 * holder of the lock renames into its log (D1).  For another process, which needs no lock: it touches
 * only files of its own making.
 */
enum plog_code plog_prepare_segments(const char *directory, const struct file_ops *ops,
									 const struct plog_options *options, struct plog_error *error);

/*
 * For hosts: what a failed assertion calls (default: a line on stderr and abort()); it must not return.
 * For tests: where memory comes from (default: realloc and free).  Both hold for the whole process.
 */
void plog_set_assert_handler(void (*failed)(const char *condition, const char *file, int line));
void plog_set_allocator(void *(*reallocate)(void *old, size_t size), void (*release)(void *memory));

/* CRC-32C (Castagnoli), by hardware where there is one.  crc: 0 or the result so far. */
uint32_t plog_crc32c(uint32_t crc, const void *data, size_t length);
uint32_t plog_crc32c_portable(uint32_t crc, const void *data, size_t length);

#endif /* PLOG_H */
