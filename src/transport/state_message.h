/*
 * state_message.h - T3: what nodes tell each other of their tables.
 *
 * Each tells all it knows, again and again: a lost message costs time and nothing else.
 */
#ifndef TRANSPORT_STATE_MESSAGE_H
#define TRANSPORT_STATE_MESSAGE_H

#include "paxos/state_compare.h"

struct state_message
{
	uint32_t from;
	uint32_t to;
	uint64_t epoch;
	bool
		diverged; /* the sender's table is not a majority's, or not what its log makes of it: it has stopped */
	struct state_points points; /* the sender's */

	/* The sender wants the reader's state recomputed when it has applied through a slot; a number of the sender's,
	 * 0: no. */
	uint64_t asked;
	uint64_t asked_slot;

	/* The sender recomputed its own, for the reader's number "answered"; 0: it did not. */
	uint64_t answered;
	struct state_recount recount;
};

#endif /* TRANSPORT_STATE_MESSAGE_H */
