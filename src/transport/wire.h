/*
 * wire.h - the messages of the core, of formation and of state comparison as bytes, and back (docs/wire.md).
 *
 * A message is a fixed head of 8 bytes, a protobuf part, and the entries as raw bytes, which are neither
 * copied nor looked into here.  Pure; decoding uses only the memory that it is given, whatever it reads.
 */
#ifndef TRANSPORT_WIRE_H
#define TRANSPORT_WIRE_H

#include "paxos/formation.h"
#include "paxos/paxos.h"
#include "transport/state_message.h"

#define WIRE_FIXED_BYTES 8
/* The largest protobuf part that is made or taken. */
#define WIRE_PROTOBUF_MAX (16u << 10)
#define WIRE_HEAD_MAX (WIRE_FIXED_BYTES + WIRE_PROTOBUF_MAX + PAXOS_MAX_BATCH * 4)
/* What unpacking may use; a part with too many unknown fields doesn't fit and is malformed. */
#define WIRE_ARENA_BYTES (64u << 10)

enum wire_kind
{
	WIRE_MESSAGE = 1,
	WIRE_FORMATION = 2,
	WIRE_STATE = 3
};

enum wire_result
{
	WIRE_OK,
	WIRE_MALFORMED,
	WIRE_UNKNOWN /* a kind or type that a later version may have: the message is passed over */
};

/* An encoded message: the head, then the bytes of all entries, one after the other. */
struct wire_encoded
{
	uint32_t head_length;
	uint64_t length; /* all of it */
	uint8_t head[WIRE_HEAD_MAX];
};

/* A decoded message, and the memory that it lies in beside the bytes that it was read from. */
struct wire_decoded
{
	enum wire_kind kind;
	struct paxos_id cluster_id; /* WIRE_MESSAGE, WIRE_STATE */
	struct paxos_message message;
	struct formation_message formation;
	struct state_message state;
	struct paxos_entry entries[PAXOS_MAX_BATCH];
	_Alignas(16) uint8_t arena[WIRE_ARENA_BYTES];
};

bool wire_id_is_zero(const struct paxos_id *id);
bool wire_id_equal(const struct paxos_id *a, const struct paxos_id *b);

/*
 * Encodes all but the entries' bytes.  False: not a message that can be sent (type, too many entries, an
 * entry above PAXOS_MAX_ENTRY_BYTES).
 */
bool wire_encode_message(const struct paxos_message *message, const struct paxos_id *cluster_id,
						 struct wire_encoded *out);
bool wire_encode_formation(const struct formation_message *message, struct wire_encoded *out);
bool wire_encode_state(const struct state_message *message, const struct paxos_id *cluster_id,
					   struct wire_encoded *out);

/* Decodes a whole message; d->message.entries point into bytes. */
enum wire_result wire_decode(const uint8_t *bytes, uint64_t length, struct wire_decoded *d);

#endif /* TRANSPORT_WIRE_H */
