/*
 * test_quorum.c - quorum arithmetic, as tables (A4, P1, D7, D8).
 */
#include <string.h>

#include "paxos/quorum.h"
#include "unit.h"

static void test_sizes(void)
{
	static const uint32_t sizes[][2] = {{1, 1}, {2, 2}, {3, 2}, {4, 3}, {5, 3}, {7, 4}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		is_u64(quorum_phase1_size(sizes[i][0]), sizes[i][1], "size of a phase-1 quorum");
		is_u64(quorum_phase2_size(sizes[i][0]), sizes[i][1], "size of a phase-2 quorum");
		ok(quorum_phase1_size(sizes[i][0]) + quorum_phase2_size(sizes[i][0]) > sizes[i][0],
		   "quorums of the two phases meet");
	}
}

static void test_chosen(void)
{
	static const struct
	{
		uint32_t n;
		uint64_t match[5];
		uint64_t chosen;
	} rows[] = {{1, {7}, 7},
				{3, {0, 0, 9}, 0},
				{3, {9, 0, 5}, 5},
				{3, {4, 4, 4}, 4},
				{5, {1, 2, 3, 4, 5}, 3},
				{5, {9, 9, 1, 1, 1}, 1},
				{5, {9, 9, 9, 0, 0}, 9},
				{2, {3, 8}, 3}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		uint64_t match[5];

		memcpy(match, rows[i].match, sizeof(match));
		is_u64(quorum_chosen(match, rows[i].n), rows[i].chosen, "slot held by a majority");
	}
}

/* A voter: "-" did not answer; or round of the accepted ballot, end, and of damage. */
struct vote_row
{
	bool answered;
	uint64_t round, end;
	bool damaged, doubtful;
	uint64_t named_round, named_slot;
};

#define SILENT                                                                                               \
	{                                                                                                        \
		false, 0, 0, false, false, 0, 0                                                                      \
	}
#define INTACT(round, end)                                                                                   \
	{                                                                                                        \
		true, round, end, false, false, 0, 0                                                                 \
	}
#define BAD(round, end, doubtful, named_round, named_slot)                                                   \
	{                                                                                                        \
		true, round, end, true, doubtful, named_round, named_slot                                            \
	}

static struct quorum_vote vote(const struct vote_row *row)
{
	return (struct quorum_vote){.answered = row->answered,
								.damaged = row->damaged,
								.doubtful = row->doubtful,
								.ballot = {row->round, 0, 1},
								.slot = row->end,
								.named_ballot = {row->named_round, 0, 1},
								.named_slot = row->named_slot};
}

static void test_phase1(void)
{
	static const struct
	{
		const char *what;
		struct vote_row votes[3];
		enum quorum_verdict verdict;
		uint32_t source;
	} rows[] = {
		{"one of three is no quorum", {INTACT(1, 5), SILENT, SILENT}, QUORUM_NOT_YET, 0},
		{"the higher ballot wins over the longer log", {INTACT(1, 9), INTACT(2, 3), SILENT}, QUORUM_ADOPT, 1},
		{"then the longer log", {INTACT(2, 3), INTACT(2, 4), SILENT}, QUORUM_ADOPT, 1},
		{"the own log among equals", {INTACT(2, 4), INTACT(2, 4), SILENT}, QUORUM_ADOPT, 0},
		{"a damaged voter does not make a quorum (D7)",
		 {INTACT(1, 5), BAD(1, 2, false, 1, 6), SILENT},
		 QUORUM_NOT_YET,
		 0},
		{"unless an undamaged one covers all that it names",
		 {INTACT(1, 6), BAD(1, 2, false, 1, 6), SILENT},
		 QUORUM_ADOPT,
		 0},
		{"a higher ballot covers it, however short the log",
		 {INTACT(2, 1), BAD(1, 2, false, 1, 6), SILENT},
		 QUORUM_ADOPT,
		 0},
		{"the log adopted is an undamaged one's",
		 {INTACT(2, 4), BAD(3, 9, false, 2, 4), SILENT},
		 QUORUM_ADOPT,
		 0},
		{"all doubtful: the best intact log of all (D8)",
		 {BAD(1, 4, true, 1, 6), BAD(1, 5, true, 1, 6), BAD(1, 3, true, 1, 6)},
		 QUORUM_ADOPT_OF_ALL,
		 1},
		{"two doubtful and one silent: wait",
		 {BAD(1, 4, true, 1, 6), BAD(1, 5, true, 1, 6), SILENT},
		 QUORUM_NOT_YET,
		 0},
		{"one of them surely damaged: the cluster stops",
		 {BAD(1, 4, false, 1, 6), BAD(1, 5, true, 1, 6), INTACT(1, 5)},
		 QUORUM_UNRECOVERABLE,
		 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
	{
		struct quorum_vote votes[3];
		uint32_t source = 99;
		enum quorum_verdict verdict;

		for (int v = 0; v < 3; v++)
			votes[v] = vote(&rows[i].votes[v]);
		verdict = quorum_phase1(votes, 3, 0, &source);
		is_u64(verdict, rows[i].verdict, rows[i].what);
		if (verdict == QUORUM_ADOPT || verdict == QUORUM_ADOPT_OF_ALL)
			is_u64(source, rows[i].source, rows[i].what);
	}
}

int main(void)
{
	test_sizes();
	test_chosen();
	test_phase1();
	return done();
}
