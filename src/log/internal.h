/*
 * internal.h - what the files of src/log/ share: the open log, its parts, and their small functions.
 *
 * format.c     bytes <-> structs           state.c     what a record does to the log's state
 * index.c      slot -> place on disk       window.c    newest records in memory
 * metadata.c   the two small copies        segment.c   files: make, publish, recycle, prepare
 * write.c      placing, markers, syncs     read.c      entries back from memory or disk
 * recovery.c   what a start finds          log.c       open, close, trim, configuration
 * scrub.c      old records read again
 */
#ifndef PLOG_INTERNAL_H
#define PLOG_INTERNAL_H

#include "log/format.h"
#include "log/log.h"
#include "paxos/holes.h"

#define PLOG_NAME_MAX 64
#define PLOG_PATH_MAX 1024

/* Placed but not yet written bytes, at most; one larger record goes straight to the file. */
#define PLOG_OUT_BYTES (1u << 20)
/* plog_write() places and writes what waits when it exceeds this. */
#define PLOG_PENDING_BYTES (4u << 20)
/* Slots that one extent of the index covers, at most. */
#define PLOG_EXTENT_SLOTS 64

/* Kept on in production; the handler (plog_set_assert_handler()) must not return. */
#define plog_assert(condition) ((condition) ? (void) 0 : plog_assert_failed(#condition, __FILE__, __LINE__))
void plog_assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

/* malloc, realloc and free through plog_set_allocator(). */
void *plog_allocate(size_t size);
void *plog_reallocate(void *old, size_t size);
void plog_free(void *memory);

/* ---------------------------------------------------------------- state.c */

/* What the log holds, as a fold over its records. */
struct log_state
{
	struct plog_snapshot at;     /* first slot, end, accepted ballot and epoch */
	struct paxos_ballot highest; /* of all ballots in records, staged ones too (B4) */
	struct paxos_damage damage;
	struct paxos_holes holes; /* D7; "end" is not used: the log's end is at.end */
	uint64_t restoring;       /* T5: a snapshot as of that slot is being installed; 0: none */
	bool staging;             /* Y1: staged_first .. staged_end of "staged", from "staged_base" */
	struct paxos_ballot staged;
	uint64_t staged_base;
	uint64_t staged_first;
	uint64_t staged_end;
};

/* Whether a STAGE record drops what was staged before it. */
bool log_state_stage_restarts(const struct log_state *state, const struct plog_record *record);
/* Whether all that an INSTALL record takes over is staged. */
bool log_state_staged(const struct log_state *state, const struct plog_record *install);
/* D7: something that was accepted can't be read. */
static inline bool log_state_damaged(const struct log_state *state)
{
	return state->damage.damaged || state->holes.n > 0;
}
/* False, and nothing is changed, where the record does not fit what went before it. */
bool log_state_apply(struct log_state *state, const struct plog_record *record);

/* ---------------------------------------------------------------- window.c */

/* One record in memory, as it is or will be on disk. */
struct log_item
{
	unsigned references;
	bool placed;  /* has its place in a segment */
	bool reading; /* on the list of plog_read()'s results */
	struct log_item *next_pending;
	struct log_item *next_read;
	uint64_t write_id; /* 0: not of the core */
	struct plog_record record;
	uint8_t bytes[]; /* PLOG_RECORD_HEADER bytes, payload, zeros up to a multiple of 8 */
};

/* Takes a copy of payload (which may be NULL, filled in by the caller); record->length is set.  NULL: memory. */
struct log_item *log_item_make(const struct plog_record *record, const void *payload, uint32_t length);
void log_item_release(struct log_item *item);

/* Consecutive slots, newest at the back; holds a reference to each. */
struct log_window
{
	struct log_item **ring;
	size_t capacity;
	size_t head;
	size_t count;
	uint64_t first_slot;
	uint64_t bytes;
};

bool log_window_reserve(struct log_window *window, size_t more);
/* The place for it was reserved.  A slot that does not follow drops what was there. */
void log_window_push(struct log_window *window, struct log_item *item);
struct log_item *log_window_find(const struct log_window *window, uint64_t slot);
/* Drops slots behind base. */
void log_window_cut(struct log_window *window, uint64_t base);
/* Drops the oldest placed ones until at most "bytes" are left. */
void log_window_evict(struct log_window *window, uint64_t bytes);
void log_window_clear(struct log_window *window);
void log_window_free(struct log_window *window);

/* ---------------------------------------------------------------- index.c */

/* Records of one type of slots slot .. slot + count - 1, in order, in one segment from offset on. */
struct log_extent
{
	uint64_t slot;
	uint64_t segment;
	uint64_t offset;
	uint32_t count;
	uint16_t type;
	bool closed; /* not to be continued */
};

struct log_index
{
	struct log_extent *extents;
	size_t count;
	size_t capacity;
};

bool log_index_reserve(struct log_index *index, size_t more);
void log_index_add(struct log_index *index, uint64_t slot, uint16_t type, struct plog_position place);
void log_index_cut(struct log_index *index, uint64_t base);
/* Moves slots base + 1 .. end of "from" (emptied) behind those of "index". */
void log_index_take(struct log_index *index, struct log_index *from, uint64_t base, uint64_t end);
/* A slot that was left out.  The place for it was reserved. */
void log_index_insert(struct log_index *index, uint64_t slot, uint16_t type, struct plog_position place);
/* Forgets slots before first_slot. */
void log_index_trim(struct log_index *index, uint64_t first_slot);
const struct log_extent *log_index_find(const struct log_index *index, uint64_t slot);
/* The lowest slot from which on everything through end is there, or in a hole; end + 1: not even end. */
uint64_t log_index_complete_from(const struct log_index *index, uint64_t end,
								 const struct paxos_holes *holes);
void log_index_free(struct log_index *index);

/* ---------------------------------------------------------------- the open log */

struct log_segment
{
	struct plog_segment_header header;
	int handle;               /* -1: closed; log_segment_ready() opens it again */
	bool bad;                 /* neither copy of its header is good */
	char name[PLOG_NAME_MAX]; /* what it is called now */
};

struct log_cursor
{
	uint64_t slot; /* 0: none */
	uint64_t segment;
	uint64_t offset;
};

/* Bad bytes where the records of slots first .. last were. */
struct log_lost
{
	uint64_t first;
	uint64_t last;
	struct plog_position place;
};

struct plog
{
	const struct file_ops *ops;
	struct plog_options options;
	char directory[PLOG_PATH_MAX];
	int lock_handle;
	bool dead;          /* D4 */
	bool dead_segments; /* a damaged start left segments on the disk that are not of the chain */

	struct plog_metadata metadata;
	int metadata_handles[2];
	bool metadata_good[2];
	bool metadata_dirty;

	struct plog_position damage_place;     /* where the first bad record was, while damaged */
	struct log_lost lost[PAXOS_MAX_HOLES]; /* D7: the bad records that replay stepped over */
	uint32_t n_lost;
	struct log_state state;  /* with everything that plog_write() took */
	struct log_state placed; /* with what has its place in a segment */
	struct log_index index;
	struct log_index staged_index;
	struct log_window cache;
	struct log_window staged_cache;

	struct log_segment **chain; /* by rising number; the last one is written to */
	size_t chain_length;
	size_t chain_capacity;
	uint64_t next_number;

	struct log_item *pending_first; /* not yet placed, in order */
	struct log_item *pending_last;
	uint64_t pending_bytes;
	unsigned pending_installs; /* records among them that change what a slot's record is */
	uint64_t last_id;          /* of plog_write() */
	uint64_t reported_id;      /* durable_id of the last sync */

	uint8_t *out; /* placed, not yet written; PLOG_OUT_BYTES */
	size_t out_length;
	uint64_t write_offset; /* where the next record goes; out ends here */

	uint64_t sync_number;
	uint32_t next_marker;
	uint64_t sync_from;             /* what the next marker covers begins here */
	uint64_t sync_lowest;           /* UINT64_MAX: no slot */
	uint64_t sync_highest;          /* 0: no slot */
	uint32_t sync_kinds;            /* types of the records, as bits */
	struct plog_position synced;    /* all before it is durable */
	struct plog_position completed; /* what the disk says of that (D5) */

	struct log_item *reads;
	struct log_cursor cursor;
};

#define log_current(log) ((log)->chain[(log)->chain_length - 1])

/* ---------------------------------------------------------------- log.c */

/* Fills *error (which may be NULL) and returns code. */
enum plog_code log_fail(struct plog_error *error, enum plog_code code, int saved_errno, const char *format,
						...) __attribute__((format(printf, 4, 5)));
/* result is -errno of a file call on name: PLOG_IO, and the log is dead. */
enum plog_code log_fail_io(struct plog *log, struct plog_error *error, int64_t result, const char *what,
						   const char *name);
enum plog_code log_fail_memory(struct plog_error *error);
/* Directory and name. */
void log_path(const struct plog *log, const char *name, char path[PLOG_PATH_MAX + PLOG_NAME_MAX]);
void log_path_in(const char *directory, const char *name, char path[PLOG_PATH_MAX + PLOG_NAME_MAX]);
enum plog_code log_sync_directory(struct plog *log, struct plog_error *error);
/* Where the bad record of a slot in a hole is; as an error, PLOG_CORRUPT. */
struct plog_position log_lost_place(const struct plog *log, uint64_t slot);
enum plog_code log_fail_hole(const struct plog *log, uint64_t slot, struct plog_error *error);
/* pread that takes unreadable blocks (EIO) for zeros, which no checksum passes; bytes read, or -errno. */
int64_t log_read_tolerant(struct plog *log, int handle, uint8_t *buffer, size_t length, uint64_t offset);

/* ---------------------------------------------------------------- metadata.c */

/* The copies that are there, each good or not; *found: any file of that name. */
enum plog_code log_metadata_read(struct plog *log, bool *found, struct plog_error *error);
/* Writes and syncs both, one after the other, a bad one first (B4); makes those that are not there. */
enum plog_code log_metadata_write(struct plog *log, struct plog_error *error);

/* ---------------------------------------------------------------- segment.c */

/* Names of the directory's files, sorted out. */
struct log_names
{
	uint64_t *numbers; /* of segments, rising */
	size_t count;
	size_t capacity;
	bool strange; /* something that is not the log's */
	bool failed;  /* out of memory */
};

enum plog_code log_list(struct plog *log, struct log_names *names, struct plog_error *error);
void log_segment_name(uint64_t number, char name[PLOG_NAME_MAX]);
/* Opens a segment that the directory holds and reads its header. */
enum plog_code log_segment_open(struct plog *log, uint64_t number, struct log_segment **segment,
								struct plog_error *error);
/*
 * Makes the next segment, with room for "need" bytes of records, under a temporary name: prepared if there
 * is one, else here.  PLOG_NO_SPACE leaves nothing behind.
 */
enum plog_code log_segment_make(struct plog *log, uint64_t need, struct plog_position previous,
								struct log_segment **segment, struct plog_error *error);
/* Opens a segment of the chain again for reading, if it was closed meanwhile. */
enum plog_code log_segment_ready(struct plog *log, struct log_segment *segment, struct plog_error *error);
/* Syncs it and gives it its name, durably. */
enum plog_code log_segment_publish(struct plog *log, struct log_segment *segment, struct plog_error *error);
/* Puts it at the chain's end, as the one that is written to.  The place for it was reserved. */
void log_segment_use(struct plog *log, struct log_segment *segment);
bool log_chain_reserve(struct plog *log);
void log_segment_free(struct plog *log, struct log_segment *segment);
struct log_segment *log_segment_find(const struct plog *log, uint64_t number);
/* Makes a prepared file of a segment file that is no longer of the log, or removes it; durable. */
enum plog_code log_segment_recycle(struct plog *log, uint64_t number, struct plog_error *error);
/* Removes the prepared files that hold old bytes. */
enum plog_code log_remove_recycled(struct plog *log, struct plog_error *error);
/* Removes what earlier lives left half made. */
enum plog_code log_remove_leftovers(struct plog *log, struct plog_error *error);

/* ---------------------------------------------------------------- write.c */

void log_pending_push(struct plog *log, struct log_item *item);
/* Gives what waits its place; the bytes may still be in log->out. */
enum plog_code log_place_pending(struct plog *log, struct plog_error *error);
/* Index and placed state for a record that has its place. */
bool log_placed_apply(struct plog *log, const struct plog_record *record, struct plog_position place);
bool log_placed_reserve(struct plog *log, const struct plog_record *record);
enum plog_code log_write_out(struct plog *log, struct plog_error *error);
enum plog_code log_write_marker(struct plog *log, bool covering, struct plog_error *error);
enum plog_code log_sync_segment(struct plog *log, struct plog_error *error);
/* A record of the log's own, taken like a write. */
enum plog_code log_take_record(struct plog *log, const struct plog_record *record, const void *payload,
							   uint32_t length, struct plog_error *error);

/* ---------------------------------------------------------------- read.c */

/* The record of a slot that the extent covers, from the disk, checked; the item is the caller's to release. */
enum plog_code log_scan_extent(struct plog *log, const struct log_extent *extent, uint64_t slot,
							   struct log_item **item, struct plog_error *error);

/* ---------------------------------------------------------------- recovery.c */

/* D4 to D7: from the segments listed to an open log with a new segment. */
enum plog_code log_recover(struct plog *log, const struct log_names *names, uint64_t *tail_bytes_cut,
						   struct plog_error *error);

#endif /* PLOG_INTERNAL_H */
