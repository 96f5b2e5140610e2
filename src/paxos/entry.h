/*
 * entry.h - the bytes of an entry's header, the same in the log, between nodes and in memory.
 *
 * All integers are little-endian.  An entry is encoded once by the node that makes it and never again (T4).
 *
 *	 offset  size
 *		  0     1  version (1)
 *		  1     1  kind
 *		  2     2  feature bits a reader must know; an unknown one stops apply (T4)
 *		  4     4  length of the body
 *		  8     8  session: slot of its OpenSession; 0 for no-op, OpenSession, stop sign
 *		 16     8  number in its session, from 1; 0 likewise
 *		 24     8  stamp: applied slot when its request id was looked up (O3); 0 without one
 *		 32     8  origin's clock, microseconds since 1970-01-01 UTC (written_at)
 *		 40     4  origin's node id
 *		 44     4  zero
 *		 48        body, by kind (command.h)
 */
#ifndef PAXOS_ENTRY_H
#define PAXOS_ENTRY_H

#include "paxos/paxos.h"

#define ENTRY_VERSION 1
#define ENTRY_HEADER_BYTES 48

enum entry_kind
{
	ENTRY_NOOP = 1,
	ENTRY_COMMAND = 2,
	ENTRY_OPEN_SESSION = 3,
	ENTRY_STOP_SIGN = 4, /* C1 */
	ENTRY_FENCE = 5      /* O4; numbered in its origin's session, as a command is */
};

struct entry_header
{
	uint8_t version;
	uint8_t kind;
	uint16_t features;
	uint32_t body_length;
	uint64_t session;
	uint64_t number;
	uint64_t stamp;
	int64_t origin_time_us;
	uint32_t node_id;
};

/* Writes the header into the first ENTRY_HEADER_BYTES of bytes. */
void entry_encode_header(uint8_t *bytes, const struct entry_header *header);

/*
 * Reads it.  False where the bytes can't be an entry: too short, or lengths that don't agree.  An unknown
 * version, kind or feature is not an error here: consensus carries it, apply stops at it (T4).
 */
bool entry_decode_header(const struct paxos_entry *entry, struct entry_header *header);

/* X2: whether entries of that kind have a number in a session. */
static inline bool entry_is_numbered(uint8_t kind)
{
	return kind == ENTRY_COMMAND || kind == ENTRY_FENCE;
}

/* X2: what numbering changes in the header. */
void entry_set_number(uint8_t *bytes, uint64_t session, uint64_t number);

#endif /* PAXOS_ENTRY_H */
