/*
 * state_compare.c - T3: which states differ, and who is in the minority.
 */
#include "paxos/state_compare.h"

#include "paxos/quorum.h"

/* ---------------------------------------------------------------- points */

static uint32_t level_of(uint64_t slot)
{
	uint32_t level = 0;

	for (; level < STATE_LEVELS - 1 && is_fixed_slot(slot); slot /= FIXED_SLOTS)
		level++;
	return level;
}

void state_points_add(struct state_points *points, struct state_point point)
{
	uint32_t level = level_of(point.slot);

	if (point.slot == 0 || state_points_find(points, point.slot) != NULL)
		return;
	points->points[level * STATE_LEVEL_POINTS + points->next[level]] = point;
	points->next[level] = (points->next[level] + 1) % STATE_LEVEL_POINTS;
}

const struct state_point *state_points_find(const struct state_points *points, uint64_t slot)
{
	for (uint32_t i = 0; i < STATE_POINTS_MAX; i++)
	{
		if (points->points[i].slot == slot && slot != 0)
			return &points->points[i];
	}
	return NULL;
}

uint64_t state_points_last(const struct state_points *points)
{
	uint64_t last = 0;

	for (uint32_t i = 0; i < STATE_POINTS_MAX; i++)
		last = points->points[i].slot > last ? points->points[i].slot : last;
	return last;
}

uint64_t state_common_slot(const struct state_points *const *nodes, uint32_t n, uint64_t from)
{
	uint64_t best = 0;
	uint32_t best_holders = 0;

	for (uint32_t i = 0; i < n * STATE_POINTS_MAX; i++)
	{
		uint64_t slot = nodes[i / STATE_POINTS_MAX]->points[i % STATE_POINTS_MAX].slot;
		uint32_t holders = 0;

		if (slot == 0 || slot < from)
			continue;
		for (uint32_t k = 0; k < n; k++)
			holders += state_points_find(nodes[k], slot) != NULL;
		if (holders > best_holders || (holders == best_holders && slot > best))
		{
			best = slot;
			best_holders = holders;
		}
	}
	return best;
}

bool state_same(const struct state_point *a, const struct state_point *b)
{
	return a->rows == b->rows && a->hash.low == b->hash.low && a->hash.high == b->hash.high;
}

/* The hash is a sum: what one row adds to it or takes from it does so at every slot. */
struct state_point state_recounted(const struct state_point *point, const struct state_recount *recount)
{
	struct state_hash difference = state_hash_subtract(recount->found.hash, recount->kept.hash);

	return (struct state_point){.slot = point->slot,
								.rows = point->rows + recount->found.rows - recount->kept.rows,
								.hash = state_hash_add(point->hash, difference)};
}

/* ---------------------------------------------------------------- verdict */

/* How many voters are known to have that state. */
static uint32_t holders_of(const struct state_point *state, const struct state_point *const *those,
						   uint32_t n_voters)
{
	uint32_t holders = 0;

	for (uint32_t i = 0; i < n_voters; i++)
		holders += those[i] != NULL && state_same(those[i], state);
	return holders;
}

enum state_verdict state_judge(const struct state_point *own, const struct state_point *const *those,
							   uint32_t n_voters, uint32_t n_lost)
{
	uint32_t majority = quorum_phase2_size(n_voters);
	uint32_t known = 0;
	uint32_t most = 0;
	bool differs = false;

	if (holders_of(own, those, n_voters) >= majority)
		return STATE_AGREES;
	for (uint32_t i = 0; i < n_voters; i++)
	{
		uint32_t holders = those[i] == NULL ? 0 : holders_of(those[i], those, n_voters);

		known += those[i] != NULL;
		most = holders > most ? holders : most;
		differs = differs || (those[i] != NULL && !state_same(those[i], own));
	}
	if (!differs)
		return STATE_AGREES;
	if (most >= majority)
		return STATE_MINORITY;
	return most + (n_voters - known - n_lost) < majority ? STATE_NO_MAJORITY : STATE_UNDECIDED;
}
