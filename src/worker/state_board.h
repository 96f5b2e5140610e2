/*
 * state_board.h - T3 in shared memory: whose state is what, who asks for a recount, and whether this node has stopped.
 *
 *	 the apply worker	points of its own state; stops when "diverged" is set
 *	 a recount worker	what it counted
 *	 consensus worker	asks, tells and hears (consensus_state.c), and sets "diverged"
 *	 a backend			asks a question, waits for answers (client_verify.c)
 */
#ifndef PAXOSKV_STATE_BOARD_H
#define PAXOSKV_STATE_BOARD_H

#include "postgres.h"

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"

#include "paxos/paxos.h"
#include "paxos/state_compare.h"
#include "worker/recount.h"

/* Why a node's state is not the cluster's, in a sentence or two. */
#define DIVERGENCE_MAX 512

/* A member, as it was heard last. */
typedef struct NodeState
{
	uint32 node_id;
	bool voter;
	bool connected;
	bool diverged;
	struct state_points points; /* of this node itself: see StateBoard */
	uint64 answered;            /* the last question of this node's that it answered, 0: none */
	struct state_recount recount;
} NodeState;

/* All of it under status_lock, but for the atomics. */
typedef struct StateBoard
{
	pg_atomic_uint64 changes;   /* whoever wrote something that the consensus worker is to look at adds one */
	ConditionVariable heard_cv; /* broadcast when the nodes' part changed */

	/* the apply worker */
	struct state_points points;

	/* backends: a question that rises; the slot that has to be applied before the recount; until when it is asked */
	uint64 question;
	uint64 question_slot;
	TimestampTz question_until;

	/* the consensus worker numbers the recount workers; each leaves what it counted, and its number */
	uint32 counting;
	uint32 counted;
	Recount recount;

	/* the consensus worker, by what it finds, or the apply worker, by what it stored; it never goes back */
	pg_atomic_uint32 diverged;
	char divergence[DIVERGENCE_MAX];

	/* the consensus worker */
	int n_nodes;
	NodeState nodes[PAXOS_MAX_MEMBERS];
} StateBoard;

/*
 * Whether a member that is not known to have a state at that slot never will.  One that has stopped behind it had one,
 * and only tells no more of it, as after a restart.
 */
static inline bool state_is_lost(const NodeState *node, uint64 slot)
{
	return node->diverged && state_points_last(&node->points) < slot;
}

#endif /* PAXOSKV_STATE_BOARD_H */
