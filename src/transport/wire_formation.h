/*
 * wire_formation.h - what wire.c and wire_formation.c share.
 */
#ifndef TRANSPORT_WIRE_FORMATION_H
#define TRANSPORT_WIRE_FORMATION_H

#include <protobuf-c/protobuf-c.h>

#include "transport/wire.h"

/* Ids are 16 bytes, or none where they are zero. */
ProtobufCBinaryData wire_put_id(const struct paxos_id *id);
bool wire_get_id(struct paxos_id *id, const ProtobufCBinaryData *data);

/* Writes the fixed head of a message whose protobuf part takes "packed" bytes.  False: too large. */
bool wire_put_fixed(struct wire_encoded *out, enum wire_kind kind, uint32_t n_entries, size_t packed);

/* Reads a formation message's protobuf part into d->formation. */
enum wire_result wire_decode_formation(const uint8_t *bytes, uint32_t length, struct wire_decoded *d);

#endif /* TRANSPORT_WIRE_FORMATION_H */
