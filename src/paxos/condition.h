/*
 * condition.h - which operations of a conditional command take effect.
 *
 * Decided by apply, in log order, from the rows as they are then: every node comes to the same verdict, and that
 * verdict is what the client gets.  Pure.
 *
 * A command succeeds if every precondition in it holds for the rows as they were before its first operation.  If it
 * does, the operations of BRANCH_ALWAYS and BRANCH_THEN are done, in order; if not, those of BRANCH_ELSE.
 */
#ifndef PAXOS_CONDITION_H
#define PAXOS_CONDITION_H

#include "paxos/command.h"

/* A row as a precondition sees it; where it is absent its revisions count as 0. */
struct condition_row
{
	bool exists;
	uint64_t revision;
	uint64_t create_revision;
	const char *value;
	uint32_t value_length;
};

/*
 * Whether the operation's precondition holds for its row; one without a precondition always does.  Values are
 * compared bytewise; an absent key has no value, so no comparison with it holds, "not equal" neither.
 */
bool condition_holds(const struct operation *operation, const struct condition_row *row);

/* Whether an operation is to be done, given whether its command succeeds.  Never for a check. */
bool operation_is_done(const struct operation *operation, bool succeeds);

/*
 * Writes an operand into bytes (PRECONDITION_NUMBER_BYTES of them) for a precondition on a revision, and sets the
 * operation to it.
 */
void condition_set_number(struct operation *operation, enum operation_precondition precondition,
						  enum operation_comparison comparison, uint64_t number, char *bytes);

/* Likewise for one on the value: bytes has room for length + 1. */
void condition_set_value(struct operation *operation, enum operation_comparison comparison, const char *value,
						 uint32_t length, char *bytes);

#endif /* PAXOS_CONDITION_H */
