/*
 * wire_state.h - what wire.c and wire_state.c share.
 */
#ifndef TRANSPORT_WIRE_STATE_H
#define TRANSPORT_WIRE_STATE_H

#include "transport/wire.h"

/* Reads a state message's protobuf part into d->state and d->cluster_id. */
enum wire_result wire_decode_state(const uint8_t *bytes, uint32_t length, struct wire_decoded *d);

#endif /* TRANSPORT_WIRE_STATE_H */
