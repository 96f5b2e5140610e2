/*
 * test_log_index.c - where slots lie: extents that grow, end, are cut, trimmed and taken over; and the small pure
 * functions that places and markers rest on.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "log/internal.h"

static struct log_index index_of(void)
{
	struct log_index index = {0};

	if (!log_index_reserve(&index, 32))
		abort();
	return index;
}

/* Slots first .. last of that type in a segment, 100 bytes each. */
static void add(struct log_index *index, uint64_t first, uint64_t last, uint16_t type, uint64_t segment)
{
	for (uint64_t slot = first; slot <= last; slot++)
		log_index_add(index, slot, type, (struct plog_position){segment, 1000 + 100 * slot});
}

static bool lies_at(const struct log_index *index, uint64_t slot, uint64_t segment, uint64_t first_of_extent)
{
	const struct log_extent *extent = log_index_find(index, slot);

	return extent != NULL && extent->segment == segment && extent->offset == 1000 + 100 * first_of_extent;
}

static void extents_grow_and_end(void)
{
	const struct paxos_holes none = {0};
	struct log_index index = index_of();

	add(&index, 5, 9, PLOG_RECORD_ENTRY, 1);
	is_u64(index.count, 1, "consecutive slots share an extent");
	add(&index, 10, 12, PLOG_RECORD_ENTRY, 2);
	is_u64(index.count, 2, "another segment begins one");
	add(&index, 13, 14, PLOG_RECORD_STAGE, 2);
	is_u64(index.count, 3, "another type, too");
	add(&index, 17, 17, PLOG_RECORD_STAGE, 2);
	is_u64(index.count, 4, "and a hole");
	add(&index, 18, 18 + PLOG_EXTENT_SLOTS, PLOG_RECORD_STAGE, 2);
	is_u64(index.count, 5, "and a full one");
	ok(lies_at(&index, 5, 1, 5) && lies_at(&index, 9, 1, 5) && lies_at(&index, 10, 2, 10) &&
		   lies_at(&index, 14, 2, 13),
	   "each slot is found where its extent begins");
	ok(log_index_find(&index, 4) == NULL, "nothing is found before the first");
	ok(log_index_find(&index, 15) == NULL && log_index_find(&index, 16) == NULL, "nor in a hole");
	ok(log_index_find(&index, 19 + PLOG_EXTENT_SLOTS) == NULL, "nor behind the last");
	is_u64(log_index_complete_from(&index, 18 + PLOG_EXTENT_SLOTS, &none), 17,
		   "complete is what has no hole behind it");
	is_u64(log_index_complete_from(&index, 500, &none), 501, "nothing, where even the end is missing");
	log_index_free(&index);
	ok(log_index_find(&index, 5) == NULL, "an empty one finds nothing");
}

static void cut_and_trimmed(void)
{
	struct log_index index = index_of();

	add(&index, 1, 20, PLOG_RECORD_ENTRY, 1);
	add(&index, 21, 30, PLOG_RECORD_ENTRY, 2);
	log_index_cut(&index, 15);
	ok(lies_at(&index, 15, 1, 1) && log_index_find(&index, 16) == NULL && index.count == 1,
	   "cut behind slot 15");
	add(&index, 16, 16, PLOG_RECORD_ENTRY, 1);
	ok(index.count == 2 && lies_at(&index, 16, 1, 16),
	   "what was cut is not continued: other bytes lie there");
	log_index_trim(&index, 4);
	ok(log_index_find(&index, 3) == NULL && lies_at(&index, 4, 1, 1),
	   "trimmed to slot 4; a reader skips the rest");
	log_index_trim(&index, 16);
	is_u64(index.count, 1, "whole extents go");
	log_index_cut(&index, 0);
	log_index_trim(&index, 9);
	is_u64(index.count, 0, "and all of them may");
	log_index_free(&index);
}

static void taken_over(void)
{
	struct log_index index = index_of();
	struct log_index staged = index_of();

	add(&index, 1, 5, PLOG_RECORD_ENTRY, 1);
	add(&staged, 3, 12, PLOG_RECORD_STAGE, 2);
	log_index_cut(&index, 4);
	log_index_take(&index, &staged, 4, 10);
	ok(staged.count == 0 && lies_at(&index, 4, 1, 1) && lies_at(&index, 5, 2, 3) && lies_at(&index, 10, 2, 3),
	   "an install takes the staged slots behind its base");
	ok(log_index_find(&index, 11) == NULL, "up to its end");
	add(&index, 11, 11, PLOG_RECORD_STAGE, 2);
	is_u64(index.extents[index.count - 1].count, 1, "and what follows begins an extent of its own");
	log_index_free(&index);
	log_index_free(&staged);
}

static void positions(void)
{
	struct plog_position a = {1, 900};
	struct plog_position b = {2, 100};
	struct plog_position c = {2, 101};

	ok(plog_position_compare(a, b) < 0 && plog_position_compare(b, a) > 0, "segments order places");
	ok(plog_position_compare(b, c) < 0 && plog_position_compare(c, b) > 0 && plog_position_compare(c, c) == 0,
	   "then offsets");
}

static void markers(void)
{
	struct plog_identity here = {.store_id = {{1}}, .segment = 3, .run = 4};
	struct plog_identity lost = {.store_id = {{1}}, .segment = 3};
	struct plog_marker marker = {
		.run = 4, .sync = 9, .from = 10, .to = 20, .lowest = 5, .highest = 6, .end = 6};
	struct plog_marker got;
	uint8_t bytes[PLOG_MARKER_BYTES];

	format_put_marker(bytes, &marker, &here, 8192);
	ok(format_get_marker(bytes, &got, &here, 8192, false) && got.from == 10 && got.to == 20 &&
		   got.lowest == 5,
	   "a marker comes back");
	ok(!format_get_marker(bytes, &got, &here, 8320, false), "not from another place");
	ok(!format_get_marker(bytes, &got, &lost, 8192, false) &&
		   format_get_marker(bytes, &got, &lost, 8192, true),
	   "where the header is lost it vouches for its run itself");
	lost.segment = 5;
	ok(!format_get_marker(bytes, &got, &lost, 8192, true), "never for its segment");
	bytes[8] ^= 2;
	ok(!format_get_marker(bytes, &got, &here, 8192, false), "one of another version is none");
}

/* Y1, D: a staged entry that does not follow begins the staging anew. */
static void stagings(void)
{
	static const struct
	{
		struct plog_record record;
		bool restarts;
		const char *what;
	} cases[] = {
		{{.type = PLOG_RECORD_STAGE, .ballot = {2, 0, 2}, .base = 3, .slot = 8},
		 false,
		 "the next slot goes on"},
		{{.type = PLOG_RECORD_STAGE, .ballot = {2, 0, 2}, .base = 3, .slot = 6},
		 false,
		 "one again cuts back to it"},
		{{.type = PLOG_RECORD_STAGE, .ballot = {3, 0, 2}, .base = 3, .slot = 8}, true, "another ballot"},
		{{.type = PLOG_RECORD_STAGE, .ballot = {2, 0, 2}, .base = 2, .slot = 8}, true, "another base"},
		{{.type = PLOG_RECORD_STAGE, .ballot = {2, 0, 2}, .base = 3, .slot = 9}, true, "a hole"},
		{{.type = PLOG_RECORD_STAGE, .ballot = {2, 0, 2}, .base = 3, .slot = 4}, true, "the first again"},
	};
	struct log_state state = {.at = {.first_slot = 1, .end = 3},
							  .staging = true,
							  .staged = {2, 0, 2},
							  .staged_base = 3,
							  .staged_first = 4,
							  .staged_end = 7};
	struct plog_record install = {.type = PLOG_RECORD_INSTALL, .ballot = {2, 0, 2}, .base = 3, .end = 7};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		ok(log_state_stage_restarts(&state, &cases[i].record) == cases[i].restarts, "staging: %s",
		   cases[i].what);
	ok(log_state_staged(&state, &install), "an install finds all of it staged");
	install.end = 8;
	ok(!log_state_staged(&state, &install), "not more than was");
	install.base = install.end = 2;
	ok(log_state_staged(&state, &install), "one without entries needs none");
	install = (struct plog_record){.type = PLOG_RECORD_INSTALL, .ballot = {2, 0, 2}, .base = 2, .end = 7};
	ok(!log_state_staged(&state, &install), "nor less than from its base");
	install.base = 3;
	install.ballot.round = 1;
	ok(!log_state_staged(&state, &install), "nor of another ballot");
	state.staging = false;
	install.ballot.round = 2;
	ok(!log_state_staged(&state, &install), "nor what is staged no more");
}

int main(void)
{
	extents_grow_and_end();
	cut_and_trimmed();
	taken_over();
	positions();
	markers();
	stagings();
	return done();
}
