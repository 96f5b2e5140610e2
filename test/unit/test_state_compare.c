/*
 * test_state_compare.c - T3: which slots nodes have in common, and who stops when their states differ.
 */
#include "paxos/state_compare.h"

#include <string.h>

#include "unit.h"

static struct state_point point(uint64_t slot, uint64_t hash)
{
	return (struct state_point){.slot = slot, .rows = 3, .hash = {hash, 0}};
}

/* ---------------------------------------------------------------- points */

/* What a node keeps that applied slots 1 to "last" in batches of "batch". */
static struct state_points applied(uint64_t last, uint64_t batch)
{
	struct state_points points;

	memset(&points, 0, sizeof(points));
	for (uint64_t slot = 1; slot <= last; slot++)
	{
		if (is_fixed_slot(slot) || slot % batch == 0 || slot == last)
			state_points_add(&points, point(slot, slot));
	}
	return points;
}

static void test_points(void)
{
	struct state_points points = applied(100, 1);

	ok(state_points_find(&points, 100) != NULL && state_points_find(&points, 85) != NULL,
	   "the last ones are there");
	ok(state_points_find(&points, 83) == NULL, "older ones made way");
	ok(state_points_find(&points, 64) != NULL, "but for a fixed slot");
	is_u64(state_points_find(&points, 99)->hash.low, 99, "with its own hash");
	state_points_add(&points, point(99, 7));
	is_u64(state_points_find(&points, 99)->hash.low, 99, "what was there stays");
	ok(state_points_find(&points, 0) == NULL, "slot 0 is none");
	state_points_add(&points, point(0, 7));
	ok(state_points_find(&points, 0) == NULL, "nor can it be added");
	is_u64(state_points_last(&points), 100, "the last one is known");
	is_u64(state_points_last(&(struct state_points){.next = {0}}), 0, "of none there is no last");
	points = applied(300000, 1000);
	ok(state_points_find(&points, 262144) != NULL,
	   "the fixed slots of the largest distance are kept longest");
	ok(state_points_find(&points, 300000 / 4096 * 4096) != NULL, "those of the middle one too");
}

/* Two nodes, the second one behind, each with batches of its own size. */
static const struct common_case
{
	const char *what;
	uint64_t last[2];
	uint64_t batch[2];
	uint64_t from;
	uint64_t expected;
} common_cases[] = {
	{"the same slot", {10, 10}, {1, 3}, 0, 10},
	{"one is a little ahead", {12, 10}, {1, 1}, 0, 10},
	{"batches that never meet", {1000, 990}, {7, 11}, 0, 960},
	{"one is far behind", {100000, 90000}, {1, 1}, 0, 86016},
	{"one is very far behind", {2000000, 300000}, {100, 100}, 0, 262144},
	{"one has just begun", {2000000, 60}, {100, 1}, 0, 2000000},
	{"nothing from there on", {10, 10}, {1, 1}, 11, 0},
	{"from there on the other has nothing", {20, 10}, {1, 1}, 11, 20},
};

static void test_common(void)
{
	struct state_points none;
	const struct state_points *both[2];

	for (size_t i = 0; i < sizeof(common_cases) / sizeof(common_cases[0]); i++)
	{
		const struct common_case *c = &common_cases[i];
		struct state_points a = applied(c->last[0], c->batch[0]);
		struct state_points b = applied(c->last[1], c->batch[1]);

		both[0] = &a;
		both[1] = &b;
		is_u64(state_common_slot(both, 2, c->from), c->expected, c->what);
	}
	memset(&none, 0, sizeof(none));
	both[0] = both[1] = &none;
	is_u64(state_common_slot(both, 2, 0), 0, "nobody has anything");
}

static void test_recounted(void)
{
	struct state_recount recount = {.kept = {10, 3, {5, 1}}, .found = {10, 2, {4, 2}}};
	struct state_point at = {20, 7, {100, 100}};
	struct state_point found = state_recounted(&at, &recount);

	ok(found.slot == 20 && found.rows == 6, "a row less there is one less at any slot");
	ok(found.hash.low == 99 && found.hash.high == 101, "and so is its hash");
}

/* ---------------------------------------------------------------- verdicts */

/*
 * States are letters, in the order of the voters; '-' is not known, '!' has stopped before.  The first voter judges, or
 * a learner.
 */
static const struct judge_case
{
	const char *voters;
	char learner; /* 0: none */
	enum state_verdict expected;
} judge_cases[] = {
	{"a", 0, STATE_AGREES},          {"aaa", 0, STATE_AGREES},        {"aa-", 0, STATE_AGREES},
	{"a--", 0, STATE_AGREES},        {"aab", 0, STATE_AGREES},        {"aabb-", 0, STATE_UNDECIDED},
	{"ab-", 0, STATE_UNDECIDED},     {"abb", 0, STATE_MINORITY},      {"abb--", 0, STATE_UNDECIDED},
	{"abbb-", 0, STATE_MINORITY},    {"aabbb", 0, STATE_MINORITY},    {"ab", 0, STATE_NO_MAJORITY},
	{"abc", 0, STATE_NO_MAJORITY},   {"aabb", 0, STATE_NO_MAJORITY},  {"aabbc", 0, STATE_NO_MAJORITY},
	{"abc-", 0, STATE_NO_MAJORITY},  {"abcd-", 0, STATE_NO_MAJORITY}, {"abc--", 0, STATE_UNDECIDED},
	{"aaabb", 0, STATE_AGREES},      {"aaa", 'a', STATE_AGREES},      {"aa-", 'b', STATE_MINORITY},
	{"a--", 'b', STATE_UNDECIDED},   {"---", 'b', STATE_AGREES},      {"abc", 'a', STATE_NO_MAJORITY},
	{"ab!", 0, STATE_NO_MAJORITY},   {"aa!", 0, STATE_AGREES},        {"a!!", 0, STATE_AGREES},
	{"a-!", 0, STATE_AGREES},        {"aab!-", 0, STATE_UNDECIDED},   {"aabb!", 0, STATE_NO_MAJORITY},
	{"abc!-", 0, STATE_NO_MAJORITY}, {"abbb!", 0, STATE_MINORITY},
};

static const char *const names[] = {"agrees", "undecided", "minority", "no majority"};

static void test_judge(void)
{
	for (size_t i = 0; i < sizeof(judge_cases) / sizeof(judge_cases[0]); i++)
	{
		const struct judge_case *c = &judge_cases[i];
		uint32_t n = (uint32_t) strlen(c->voters);
		struct state_point states[8];
		const struct state_point *those[8];
		struct state_point own = point(64, (uint64_t) (c->learner != 0 ? c->learner : c->voters[0]));
		enum state_verdict verdict;
		uint32_t n_lost = 0;

		for (uint32_t k = 0; k < n; k++)
		{
			states[k] = point(64, (uint64_t) c->voters[k]);
			those[k] = c->voters[k] == '-' || c->voters[k] == '!' ? NULL : &states[k];
			n_lost += c->voters[k] == '!';
		}
		verdict = state_judge(&own, those, n, n_lost);
		ok(verdict == c->expected, "%s%s%c: %s", c->voters, c->learner ? ", learner " : "",
		   c->learner ? c->learner : ' ', names[verdict]);
	}
}

/* All that makes a state another one. */
static void test_difference(void)
{
	struct state_point own = point(64, 1);
	struct state_point other[] = {own, own, own};
	const struct state_point *those[3] = {&own};

	other[0].rows++;
	other[1].hash.low++;
	other[2].hash.high++;
	for (int i = 0; i < 3; i++)
	{
		those[1] = those[2] = &other[i];
		ok(state_judge(&own, those, 3, 0) == STATE_MINORITY, "%s",
		   i == 0   ? "rows"
		   : i == 1 ? "low half"
					: "high half");
	}
}

int main(void)
{
	test_points();
	test_common();
	test_recounted();
	test_judge();
	test_difference();
	return done();
}
