/*
 * quorum.c - quorum arithmetic.
 */
#include "paxos/quorum.h"

uint32_t quorum_phase1_size(uint32_t n_voters)
{
	return n_voters / 2 + 1;
}

uint32_t quorum_phase2_size(uint32_t n_voters)
{
	return n_voters / 2 + 1;
}

uint64_t quorum_chosen(uint64_t *match, uint32_t n_voters)
{
	for (uint32_t i = 1; i < n_voters; i++) /* insertion sort, falling */
	{
		uint64_t value = match[i];
		uint32_t j = i;

		for (; j > 0 && match[j - 1] < value; j--)
			match[j] = match[j - 1];
		match[j] = value;
	}
	return match[quorum_phase2_size(n_voters) - 1];
}

/* Logs in order, by accepted ballot, then length. */
static int compare_logs(struct paxos_ballot ballot_a, uint64_t slot_a, struct paxos_ballot ballot_b,
						uint64_t slot_b)
{
	int order = paxos_ballot_compare(ballot_a, ballot_b);

	if (order != 0)
		return order;
	return slot_a < slot_b ? -1 : slot_a > slot_b;
}

bool quorum_vouched(const struct quorum_vote *votes, uint32_t n_voters, const struct quorum_vote *damaged)
{
	for (uint32_t i = 0; i < n_voters; i++)
	{
		const struct quorum_vote *v = &votes[i];

		if (v->answered && !v->damaged &&
			compare_logs(v->ballot, v->slot, damaged->named_ballot, damaged->named_slot) >= 0)
			return true;
	}
	return false;
}

/* The best log among those that answered, of undamaged voters only or of all. */
static uint32_t best_log(const struct quorum_vote *votes, uint32_t n_voters, uint32_t preferred,
						 bool undamaged_only)
{
	uint32_t best = n_voters;

	for (uint32_t i = 0; i < n_voters; i++)
	{
		const struct quorum_vote *v = &votes[i];
		int order;

		if (!v->answered || (undamaged_only && v->damaged))
			continue;
		order = best == n_voters ? 1 : compare_logs(v->ballot, v->slot, votes[best].ballot, votes[best].slot);
		if (order > 0 || (order == 0 && (i == preferred || (best != preferred && votes[best].damaged))))
			best = i;
	}
	return best;
}

enum quorum_verdict quorum_phase1(const struct quorum_vote *votes, uint32_t n_voters, uint32_t preferred,
								  uint32_t *source)
{
	uint32_t n_answered = 0;
	uint32_t n_counted = 0;
	bool only_doubt = true;

	for (uint32_t i = 0; i < n_voters; i++)
	{
		const struct quorum_vote *v = &votes[i];

		if (!v->answered)
			continue;
		n_answered++;
		if (!v->damaged || quorum_vouched(votes, n_voters, v))
			n_counted++;
		if (v->damaged && !v->doubtful)
			only_doubt = false;
	}
	if (n_counted >= quorum_phase1_size(n_voters))
	{
		*source = best_log(votes, n_voters, preferred, true);
		return QUORUM_ADOPT;
	}
	if (n_answered < n_voters)
		return QUORUM_NOT_YET;
	*source = best_log(votes, n_voters, preferred, false);
	return only_doubt ? QUORUM_ADOPT_OF_ALL : QUORUM_UNRECOVERABLE;
}
