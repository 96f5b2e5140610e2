/*
 * entry.c - an entry's header to bytes and back.
 */
#include "paxos/entry.h"

#include "paxos/bytes.h"

/* Offsets of the header's fields, as entry.h lists them. */
enum
{
	AT_VERSION = 0,
	AT_KIND = 1,
	AT_FEATURES = 2,
	AT_BODY_LENGTH = 4,
	AT_SESSION = 8,
	AT_NUMBER = 16,
	AT_STAMP = 24,
	AT_ORIGIN_TIME = 32,
	AT_NODE_ID = 40,
	AT_ZERO = 44
};

_Static_assert(AT_ZERO + 4 == ENTRY_HEADER_BYTES, "the header's fields fill it");

void entry_encode_header(uint8_t *bytes, const struct entry_header *header)
{
	bytes[AT_VERSION] = header->version;
	bytes[AT_KIND] = header->kind;
	put_u16(bytes + AT_FEATURES, header->features);
	put_u32(bytes + AT_BODY_LENGTH, header->body_length);
	put_u64(bytes + AT_SESSION, header->session);
	put_u64(bytes + AT_NUMBER, header->number);
	put_u64(bytes + AT_STAMP, header->stamp);
	put_u64(bytes + AT_ORIGIN_TIME, (uint64_t) header->origin_time_us);
	put_u32(bytes + AT_NODE_ID, header->node_id);
	put_u32(bytes + AT_ZERO, 0);
}

bool entry_decode_header(const struct paxos_entry *entry, struct entry_header *header)
{
	const uint8_t *bytes = entry->bytes;

	if (bytes == NULL || entry->length < ENTRY_HEADER_BYTES || entry->length > PAXOS_MAX_ENTRY_BYTES)
		return false;
	header->version = bytes[AT_VERSION];
	header->kind = bytes[AT_KIND];
	header->features = get_u16(bytes + AT_FEATURES);
	header->body_length = get_u32(bytes + AT_BODY_LENGTH);
	header->session = get_u64(bytes + AT_SESSION);
	header->number = get_u64(bytes + AT_NUMBER);
	header->stamp = get_u64(bytes + AT_STAMP);
	header->origin_time_us = (int64_t) get_u64(bytes + AT_ORIGIN_TIME);
	header->node_id = get_u32(bytes + AT_NODE_ID);
	return header->body_length == entry->length - ENTRY_HEADER_BYTES;
}

void entry_set_number(uint8_t *bytes, uint64_t session, uint64_t number)
{
	put_u64(bytes + AT_SESSION, session);
	put_u64(bytes + AT_NUMBER, number);
}
