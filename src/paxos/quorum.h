/*
 * quorum.h - quorum arithmetic: pure, table-tested.
 *
 * C3: the two quorum sizes are two functions, so that they may become flexible.
 */
#ifndef PAXOS_QUORUM_H
#define PAXOS_QUORUM_H

#include "paxos/paxos.h"

uint32_t quorum_phase1_size(uint32_t n_voters);
uint32_t quorum_phase2_size(uint32_t n_voters);

/* A4: the highest slot that a phase-2 quorum holds, from each voter's match.  Sorts "match". */
uint64_t quorum_chosen(uint64_t *match, uint32_t n_voters);

/* One voter's answer to a Prepare. */
struct quorum_vote
{
	bool answered;
	bool damaged;
	bool doubtful;
	struct paxos_ballot ballot; /* accepted ballot and end of its (intact) log */
	uint64_t slot;
	struct paxos_ballot named_ballot; /* D7 */
	uint64_t named_slot;
};

enum quorum_verdict
{
	QUORUM_NOT_YET,
	QUORUM_ADOPT,        /* P1: the best log of a quorum of undamaged voters (D7) */
	QUORUM_ADOPT_OF_ALL, /* D8: the best intact log of all voters */
	QUORUM_UNRECOVERABLE /* D8: all answered, and the log can't be had */
};

/*
 * P1, D7, D8: whether the votes suffice, and whose log to adopt (*source; the lowest index of equals,
 * "preferred" before all).
 */
enum quorum_verdict quorum_phase1(const struct quorum_vote *votes, uint32_t n_voters, uint32_t preferred,
								  uint32_t *source);

/* D7: whether a damaged voter counts together with the undamaged ones among votes. */
bool quorum_vouched(const struct quorum_vote *votes, uint32_t n_voters, const struct quorum_vote *damaged);

#endif /* PAXOS_QUORUM_H */
