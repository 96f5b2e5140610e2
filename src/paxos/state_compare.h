/*
 * state_compare.h - T3: state hashes of several nodes side by side: pure, table-tested.
 *
 * A node keeps the hash of its state at some of the slots that it has applied (struct state_points) and tells them to
 * the others.  Nodes have different ones, as they apply in batches of their own; but all of them keep those of the
 * *fixed slots*, multiples of FIXED_SLOTS, the last few of each of several distances.  So two nodes have one in common
 * whether there is one command a minute or a million, and also where one is a little behind.
 */
#ifndef PAXOS_STATE_COMPARE_H
#define PAXOS_STATE_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "paxos/state_hash.h"

#define FIXED_SLOTS 64
/* Ends of batches; multiples of FIXED_SLOTS; of its square; of its cube. */
#define STATE_LEVELS 4
#define STATE_LEVEL_POINTS 16
#define STATE_POINTS_MAX (STATE_LEVELS * STATE_LEVEL_POINTS)

/* The state when exactly the entries through a slot were applied. */
struct state_point
{
	uint64_t slot; /* 0: no point */
	uint64_t rows;
	struct state_hash hash;
};

/* The last STATE_LEVEL_POINTS of each level, in any order.  All zero: none. */
struct state_points
{
	struct state_point points[STATE_POINTS_MAX];
	uint32_t next[STATE_LEVELS];
};

static inline bool is_fixed_slot(uint64_t slot)
{
	return slot % FIXED_SLOTS == 0;
}

/* Adds a point, in place of the oldest of its level.  A slot that is there already stays as it is. */
void state_points_add(struct state_points *points, struct state_point point);

/* NULL: there is none at that slot. */
const struct state_point *state_points_find(const struct state_points *points, uint64_t slot);

/* The highest slot that there is a point at; 0: there is none. */
uint64_t state_points_last(const struct state_points *points);

/* Of the slots from "from" on, the one that most of n nodes have a point at, the highest of equals; 0: there is none. */
uint64_t state_common_slot(const struct state_points *const *nodes, uint32_t n, uint64_t from);

/* Whether rows and hash are the same; the slots are the caller's business. */
bool state_same(const struct state_point *a, const struct state_point *b);

/* The state recomputed from the tables themselves, beside the one kept with every transaction, in one snapshot. */
struct state_recount
{
	struct state_point kept;
	struct state_point found; /* at the same slot */
	bool differs;             /* in hash or rows, or a row has not the hash that is stored with it */
};

/* The point as the node has it that counted so: what it keeps, and the difference that was found. */
struct state_point state_recounted(const struct state_point *point, const struct state_recount *recount);

enum state_verdict
{
	STATE_AGREES,     /* this node's state is a majority's, or nobody's is known to differ */
	STATE_UNDECIDED,  /* somebody's differs; who is wrong depends on nodes not heard of */
	STATE_MINORITY,   /* a majority of the voters has another state than this node */
	STATE_NO_MAJORITY /* no state can have a majority, whatever the others say */
};

/*
 * Judges one node's point by those that the voters have at its slot; those[i] NULL: not known, which is no difference.
 * A voter's own point is among them.  n_lost of those not known never will be: they have stopped before that slot.
 */
enum state_verdict state_judge(const struct state_point *own, const struct state_point *const *those,
							   uint32_t n_voters, uint32_t n_lost);

#endif /* PAXOS_STATE_COMPARE_H */
