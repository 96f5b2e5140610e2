/*
 * state_hash.h - T3: the hash of the replicated rows, equal on all nodes at equal applied slot.
 *
 * The sum modulo 2^128 of a 128-bit hash of each row over all its replicated columns; a sum, so that it can
 * be kept incrementally: add the new row's hash, subtract the old one's.  Not cryptographic.
 */
#ifndef PAXOS_STATE_HASH_H
#define PAXOS_STATE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct state_hash
{
	uint64_t low;
	uint64_t high;
};

/* A row's columns; value may be NULL with length 0 for a value of kind none. */
struct hashed_row
{
	const char *partition;
	uint32_t partition_length;
	const char *key;
	uint32_t key_length;
	const char *value;
	uint32_t value_length;
	uint8_t value_kind;
	uint64_t revision;
	uint64_t create_revision;
	int64_t written_at_us; /* since 1970 */
};

struct state_hash state_hash_row(const struct hashed_row *row);

/* The hash of any other bytes; equal ones of another kind hash differently. */
struct state_hash state_hash_bytes(uint64_t kind, const void *bytes, uint32_t length);

struct state_hash state_hash_add(struct state_hash a, struct state_hash b);
struct state_hash state_hash_subtract(struct state_hash a, struct state_hash b);

/* Big-endian bytes, as the table stores it (bytea, 16). */
void state_hash_to_bytes(struct state_hash hash, uint8_t bytes[16]);
struct state_hash state_hash_from_bytes(const uint8_t bytes[16]);

#endif /* PAXOS_STATE_HASH_H */
