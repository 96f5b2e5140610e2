/*
 * walk.c - random paths on which the canonical cores are compared with twins that are left as they are: the test
 * of canon.c.
 */
#include "explore.h"

#define STEPS 80

static uint64_t next_random(uint64_t *state)
{
	*state += 0x9e3779b97f4a7c15u;
	return hash_bytes(state, sizeof(*state));
}

void walk(const struct world *start, uint64_t seed)
{
	struct world w = *start;
	struct action actions[ACTIONS];

	twins_begin(w.node);
	for (uint32_t steps = 0; steps < STEPS; steps++)
	{
		struct world next;
		const char *violation;
		uint32_t n = world_actions(&w, actions);
		struct action action;

		if (n == 0)
			return;
		action = actions[next_random(&seed) % n];
		if (!world_step(&w, action, &next, &violation)) /* tried without twins: it may be impossible */
			continue;
		twins_follow(true);
		world_step(&w, action, &next, &violation);
		twins_follow(false);
		if (violation != NULL)
			die("broken: %s", violation);
		w = next;
	}
}
