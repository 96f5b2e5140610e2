/*
 * client_verify.c - T3, a backend's half: asks a question on the board, waits for the nodes' answers, judges them.
 *
 * A node agrees if its rows are what it applied (its own recount), and what it applied is what a majority did (at a slot
 * that all of them keep).  The first names the node whose rows were changed, whatever the others' are.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/timestamp.h"

#include "pg_compat.h"
#include "worker/client.h"
#include "worker/client_request.h"
#include "worker/settings.h"

/* A copy of what is on the board, and what follows from it. */
typedef struct View
{
	int n;
	NodeState nodes[PAXOS_MAX_MEMBERS]; /* this node's points are filled in */
	uint64 question;
	uint64 target;
	uint64 slot; /* the common one; 0: there is none */
} View;

/* ---------------------------------------------------------------- asking */

static uint64 chosen_here(uint64 slot)
{
	uint64 chosen =
		Max(pg_atomic_read_u64(&paxos_shared->chosen_slot), pg_atomic_read_u64(&paxos_shared->applied_slot));

	if (slot > chosen)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("slot %llu is not known to be chosen", (unsigned long long) slot),
						errdetail("This node knows of slots through %llu.", (unsigned long long) chosen),
						errhint("paxos_wait() waits for the slot of a write made on another node.")));
	return slot == 0 ? chosen : slot;
}

static uint64 ask(uint64 slot, TimestampTz until)
{
	StateBoard *board = &paxos_shared->state;
	TimestampTz now = GetCurrentTimestamp();
	uint64 question;

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	if (board->question_until < now)
		board->question_slot = 0;
	/* Of the clock, so that it rises beyond this server's memory, too. */
	question = board->question = Max(board->question + 1, (uint64) now);
	board->question_slot = Max(board->question_slot, slot);
	board->question_until = Max(board->question_until, until);
	LWLockRelease(paxos_shared->status_lock);
	pg_atomic_fetch_add_u64(&board->changes, 1);
	shmem_wake_consensus();
	return question;
}

/* All is said; a later question than this one stands. */
static void end_question(uint64 question)
{
	StateBoard *board = &paxos_shared->state;

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	if (board->question == question)
		board->question_until = 0;
	LWLockRelease(paxos_shared->status_lock);
	pg_atomic_fetch_add_u64(&board->changes, 1);
	shmem_wake_consensus();
}

/* ---------------------------------------------------------------- waiting */

static bool has_answered(const View *view, int i)
{
	return view->nodes[i].answered >= view->question;
}

static void look(View *view)
{
	const StateBoard *board = &paxos_shared->state;
	const struct state_points *points[PAXOS_MAX_MEMBERS];
	uint32 n = 0;

	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	view->n = board->n_nodes;
	memcpy(view->nodes, board->nodes, sizeof(view->nodes));
	for (int i = 0; i < view->n; i++)
		if (view->nodes[i].node_id == (uint32) paxoskv_node_id)
			view->nodes[i].points = board->points;
	LWLockRelease(paxos_shared->status_lock);
	for (int i = 0; i < view->n; i++)
		if (has_answered(view, i))
			points[n++] = &view->nodes[i].points;
	view->slot = state_common_slot(points, n, Max(view->target, 1));
}

/* Whether no more is to be expected: a node that is not connected is not waited for, nor one that has stopped. */
static bool is_complete(const View *view)
{
	for (int i = 0; i < view->n; i++)
	{
		const NodeState *node = &view->nodes[i];

		if (!has_answered(view, i))
		{
			if (node->connected)
				return false;
		}
		else if (!node->diverged && view->target > 0 && state_points_find(&node->points, view->slot) == NULL)
			return false;
	}
	return view->n > 0;
}

static void wait_for_answers(View *view, TimestampTz until)
{
	ConditionVariable *heard = &paxos_shared->state.heard_cv;

	ConditionVariablePrepareToSleep(heard);
	for (;;)
	{
		long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), until);

		look(view);
		if (is_complete(view) || left <= 0)
			break;
		(void) ConditionVariableTimedSleep(heard, left, compat_wait_event("PaxoskvVerify"));
	}
	ConditionVariableCancelSleep();
	if (is_complete(view))
		end_question(view->question);
}

/* ---------------------------------------------------------------- judging */

static void judge(const View *view, int i, ClientVerified *verified)
{
	const NodeState *node = &view->nodes[i];
	const struct state_point *own = state_points_find(&node->points, view->slot);
	const struct state_point *voters[PAXOS_MAX_MEMBERS];
	enum state_verdict verdict = STATE_UNDECIDED;
	uint32 n_voters = 0;
	uint32 n_lost = 0;

	verified->state = own != NULL ? state_recounted(own, &node->recount) : node->recount.found;
	for (int k = 0; k < view->n; k++)
	{
		if (!view->nodes[k].voter)
			continue;
		voters[n_voters] =
			has_answered(view, k) ? state_points_find(&view->nodes[k].points, view->slot) : NULL;
		n_lost += voters[n_voters] == NULL && state_is_lost(&view->nodes[k], view->slot);
		n_voters++;
	}
	if (own != NULL)
		verdict = state_judge(own, voters, n_voters, n_lost);
	else if (view->n == 1)
		verdict = STATE_AGREES;
	verified->agrees = verdict == STATE_AGREES && !node->recount.differs && !node->diverged;
	verified->judged = verified->agrees || node->recount.differs || node->diverged ||
					   verdict == STATE_MINORITY || verdict == STATE_NO_MAJORITY;
}

int client_verify(uint64 slot, ClientVerified nodes[PAXOS_MAX_MEMBERS])
{
	View *view = palloc0(sizeof(View));
	TimestampTz until;
	int n;

	require_preloaded();
	client_require_database();
	client_require_primary();
	request_check_answered(REFUSED_READ);
	view->target = chosen_here(slot);
	until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) paxoskv_commit_timeout);
	view->question = ask(view->target, until);
	wait_for_answers(view, until);
	n = view->n;
	if (n == 0) /* the consensus worker has not looked at the question */
		refuse_late(REFUSED_READ);
	for (int i = 0; i < n; i++)
	{
		nodes[i] = (ClientVerified){.node_id = view->nodes[i].node_id,
									.connected = view->nodes[i].connected,
									.answered = has_answered(view, i)};
		if (nodes[i].answered)
			judge(view, i, &nodes[i]);
	}
	pfree(view);
	return n;
}
