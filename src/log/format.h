/*
 * format.h - the bytes of the log's files (docs/disk-format.md).  Pure; little-endian everywhere.
 */
#ifndef PLOG_FORMAT_H
#define PLOG_FORMAT_H

#include "log/log.h"

#define PLOG_FORMAT_VERSION 1
#define PLOG_BLOCK 4096

/* Segment: two copies of the header, markers, records. */
#define PLOG_MARKERS_OFFSET (2 * PLOG_BLOCK)
#define PLOG_MARKER_BYTES 128
#define PLOG_MARKERS_PER_PAIR (2 * PLOG_BLOCK / PLOG_MARKER_BYTES)
#define PLOG_RECORD_HEADER 64
#define PLOG_SEGMENT_MIN (8 * PLOG_BLOCK)
/* The longest record that a reader believes in. */
#define PLOG_RECORD_MAX (PLOG_RECORD_HEADER + PAXOS_MAX_ENTRY_BYTES)

struct plog_position
{
	uint64_t segment; /* 0: none */
	uint64_t offset;
};

/* < 0, 0, > 0. */
int plog_position_compare(struct plog_position a, struct plog_position b);

/* What every checksum of a segment is bound to, so that a recycled file's old bytes never pass. */
struct plog_identity
{
	struct paxos_id store_id;
	uint64_t segment;
	uint64_t run;
};

/* The log's state at one place: where replay can begin. */
struct plog_snapshot
{
	uint64_t first_slot;
	uint64_t end;
	struct paxos_ballot accepted;
	uint64_t epoch;
};

struct plog_segment_header
{
	struct plog_identity identity;
	uint64_t size;
	uint64_t data_offset;
	struct plog_position previous; /* it continues from there; everything before is durable */
	struct plog_snapshot begin;    /* the state there */
	bool recycled;                 /* old bytes lie where nothing was written */
};

enum plog_record_type
{
	PLOG_RECORD_ENTRY = 1,    /* the next slot */
	PLOG_RECORD_STAGE = 2,    /* Y1 */
	PLOG_RECORD_INSTALL = 3,  /* Y1 */
	PLOG_RECORD_DAMAGED = 4,  /* D4: slot lowest written, ballot and end what is named, base the intact end */
	PLOG_RECORD_FORGIVEN = 5, /* D6: a cluster of one gave its doubtful tail up */
	PLOG_RECORD_BEGIN = 6,    /* the log begins at slot: trimmed, or behind a snapshot */
	PLOG_RECORD_RESTORING = 7, /* T5: the database is about to hold a snapshot as of slot; 0: given up */
	PLOG_RECORD_REPAIRED = 8   /* D7: the entry of a slot whose record rotted, at the accepted ballot */
};

#define PLOG_RECORD_TYPES (PLOG_RECORD_REPAIRED + 1)
#define PLOG_FLAG_DOUBTFUL 1u

struct plog_record
{
	uint32_t length; /* header and payload, without padding */
	uint16_t type;
	uint16_t version;
	uint32_t flags;
	uint64_t epoch;
	struct paxos_ballot ballot;
	uint64_t slot;
	uint64_t base;
	uint64_t end;
};

struct plog_marker
{
	uint64_t run;
	uint64_t sync;
	uint64_t from; /* bytes of this segment that it covers; equal: none */
	uint64_t to;
	uint64_t lowest;              /* slot written by what it covers; UINT64_MAX: none */
	uint64_t highest;             /* 0: none */
	struct paxos_ballot accepted; /* of the log with what it covers, and the end of that log (D7: "names") */
	uint64_t end;
	struct plog_position completed; /* every sync of what lies before has completed */
	uint32_t kinds;                 /* types of the records it covers, as bits; 0: not said */
};

struct plog_metadata
{
	uint64_t sequence;
	struct paxos_id store_id;
	uint64_t run; /* 0: the directory is being made */
	struct paxos_ballot promise;
	uint64_t promise_epoch;
	uint32_t config_length;
	uint8_t config[PLOG_CONFIG_MAX];
};

enum format_verdict
{
	FORMAT_GOOD,
	FORMAT_BAD,
	FORMAT_UNKNOWN /* checksum good, version not known */
};

/* Where the data begin in a segment of that size. */
uint64_t format_data_offset(uint64_t size);
/* The size of a segment that is wanted "wanted" bytes large and must hold "need" bytes of records. */
uint64_t format_segment_size(uint64_t wanted, uint64_t need);
uint32_t format_marker_capacity(uint64_t data_offset);
/* Where marker "number" lies: neighbours never in one block. */
uint64_t format_marker_offset(uint32_t number);

void format_put_header(uint8_t block[PLOG_BLOCK], const struct plog_segment_header *header);
enum format_verdict format_get_header(const uint8_t block[PLOG_BLOCK], struct plog_segment_header *header);

/* bytes: header and payload; writes the header, whose checksum is over both. */
void format_put_record(uint8_t *bytes, const struct plog_record *record, const struct plog_identity *identity,
					   uint64_t offset);
/* The header's fields, not checked. */
void format_get_record(const uint8_t *bytes, struct plog_record *record);
/* Whether length can be a record's with "room" bytes left. */
bool format_length_possible(uint32_t length, uint64_t room);
bool format_record_good(const uint8_t *bytes, uint32_t length, const struct plog_identity *identity,
						uint64_t offset);
/* Bytes that a record takes in the file. */
uint64_t format_padded(uint32_t length);

/* A DAMAGED record's payload: the first bad place. */
#define FORMAT_PLACE_BYTES 16
void format_put_place(uint8_t bytes[FORMAT_PLACE_BYTES], struct plog_position place);
struct plog_position format_get_place(const uint8_t bytes[FORMAT_PLACE_BYTES]);

void format_put_marker(uint8_t bytes[PLOG_MARKER_BYTES], const struct plog_marker *marker,
					   const struct plog_identity *identity, uint64_t offset);
/* any_run: the segment's header is lost; believe the marker's own word for its creator's run. */
bool format_get_marker(const uint8_t bytes[PLOG_MARKER_BYTES], struct plog_marker *marker,
					   const struct plog_identity *identity, uint64_t offset, bool any_run);

void format_put_metadata(uint8_t block[PLOG_BLOCK], const struct plog_metadata *metadata);
enum format_verdict format_get_metadata(const uint8_t block[PLOG_BLOCK], struct plog_metadata *metadata);

#endif /* PLOG_FORMAT_H */
