/*
 * log_model.c - see log_model.h.
 */
#include "log_model.h"

#include "fake_disk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t payloads[PAXOS_MAX_BATCH][MODEL_PAYLOAD_MAX];

static uint64_t dice(struct model *model, uint64_t sides)
{
	return fake_disk_random(&model->random) % sides;
}

void model_fill(uint8_t *bytes, uint32_t length, uint64_t content)
{
	uint64_t state = content;

	for (uint32_t i = 0; i < length; i += 8)
	{
		uint64_t word = fake_disk_random(&state);

		memcpy(bytes + i, &word, length - i < 8 ? length - i : 8);
	}
}

struct model *model_new(uint64_t seed, uint64_t segment_bytes, uint64_t cache_bytes)
{
	struct model *model = calloc(1, sizeof *model);

	model->random = seed * 7919 + 1;
	model->options = (struct plog_options){
		.segment_bytes = segment_bytes, .cache_bytes = cache_bytes, .min_free_segments = 1};
	model->after[0].first_slot = 1;
	return model;
}

void model_free(struct model *model)
{
	model_close(model);
	free(model);
}

enum plog_code model_open(struct model *model, const struct file_ops *ops)
{
	struct paxos_id id = {{1, 2, 3}};

	return plog_open(&model->log, "/log", ops, &model->options, &id, &model->state, &model->error);
}

void model_close(struct model *model)
{
	plog_close(model->log);
	model->log = NULL;
}

/* The next snapshot, as the last one was. */
static struct model_log *next_snapshot(struct model *model)
{
	struct model_log *next;

	model->last++;
	if (model->last >= MODEL_STEPS)
		abort();
	next = &model->after[model->last];
	*next = model->after[model->last - 1];
	return next;
}

static void note_ballot(struct model *model, struct paxos_ballot ballot)
{
	if (paxos_ballot_compare(ballot, model->highest) > 0)
		model->highest = ballot;
}

/* Gives the write its id, which ends at the last snapshot. */
static enum plog_code write_it(struct model *model, struct paxos_write *write)
{
	write->id = ++model->id;
	model->step_of[write->id] = model->last;
	note_ballot(model, write->ballot);
	return plog_write(model->log, write, &model->error);
}

enum plog_code model_append(struct model *model, struct paxos_ballot ballot, uint32_t count, uint32_t length)
{
	struct paxos_entry entries[PAXOS_MAX_BATCH];
	struct paxos_write write = {.type = PAXOS_WRITE_APPEND,
								.epoch = 1,
								.ballot = ballot,
								.first_slot = model->after[model->last].end + 1,
								.n_entries = count,
								.entries = entries};

	for (uint32_t i = 0; i < count; i++)
	{
		struct model_log *next = next_snapshot(model);

		model_fill(payloads[i], length, ++model->contents);
		entries[i] = (struct paxos_entry){payloads[i], length};
		next->entries[++next->end] = (struct model_entry){model->contents, length, ballot};
		next->accepted = ballot;
	}
	return write_it(model, &write);
}

enum plog_code model_promise(struct model *model, struct paxos_ballot ballot)
{
	struct paxos_write write = {.type = PAXOS_WRITE_PROMISE, .epoch = 1, .ballot = ballot};
	struct model_log *next = next_snapshot(model);

	if (paxos_ballot_compare(ballot, next->promise) > 0)
		next->promise = ballot;
	return write_it(model, &write);
}

/* STAGE of a chunk; what it holds goes to "staged". */
static enum plog_code stage(struct model *model, struct paxos_ballot ballot, uint64_t base, uint64_t first,
							uint32_t count, struct model_entry *staged)
{
	struct paxos_entry entries[PAXOS_MAX_BATCH];
	struct paxos_write write = {.type = PAXOS_WRITE_STAGE,
								.epoch = 1,
								.ballot = ballot,
								.base = base,
								.first_slot = first,
								.n_entries = count,
								.entries = entries};

	next_snapshot(model);
	for (uint32_t i = 0; i < count; i++)
	{
		uint32_t length = 48 + (uint32_t) dice(model, 200);

		model_fill(payloads[i], length, ++model->contents);
		entries[i] = (struct paxos_entry){payloads[i], length};
		staged[first + i] = (struct model_entry){model->contents, length, ballot};
	}
	return write_it(model, &write);
}

enum plog_code model_install(struct model *model, struct paxos_ballot ballot, uint64_t base, uint64_t end,
							 bool syncs)
{
	static struct model_entry staged[MODEL_SLOTS];
	struct paxos_write write = {
		.type = PAXOS_WRITE_INSTALL, .epoch = 1, .ballot = ballot, .base = base, .end = end};
	enum plog_code code = PLOG_OK;
	struct model_log *next;

	for (uint64_t at = base + 1; at <= end && code == PLOG_OK;)
	{
		uint32_t count = 1 + (uint32_t) dice(model, 4);

		if (count > end - at + 1)
			count = (uint32_t) (end - at + 1);
		code = stage(model, ballot, base, at, count, staged);
		at += count;
		if (code == PLOG_OK && syncs && dice(model, 2) == 0)
			code = model_sync(model);
	}
	if (code != PLOG_OK)
		return code;
	next = next_snapshot(model);
	if (base > next->end || base + 1 < next->first_slot)
		next->first_slot = base + 1;
	for (uint64_t slot = base + 1; slot <= end; slot++)
		next->entries[slot] = staged[slot];
	next->end = end;
	next->accepted = ballot;
	return write_it(model, &write);
}

enum plog_code model_sync(struct model *model)
{
	uint64_t durable = 0;
	enum plog_code code = plog_sync(model->log, &durable, &model->error);

	if (durable > model->id)
		abort();
	if (model->step_of[durable] > model->durable)
		model->durable = model->step_of[durable];
	return code;
}

enum plog_code model_trim(struct model *model, uint64_t first_slot)
{
	enum plog_code code;

	if (first_slot > model->trimmed)
		model->trimmed = first_slot;
	code = plog_trim(model->log, first_slot, &model->error);
	if (code == PLOG_OK && model->after[model->last].first_slot < first_slot)
		model->after[model->last].first_slot = first_slot;
	return code;
}

static enum plog_code random_append(struct model *model, const struct model_log *now)
{
	uint32_t length = 48 + (uint32_t) dice(model, 150);

	if (now->end + 4 >= MODEL_SLOTS)
		return PLOG_OK;
	if (dice(model, 8) == 0)
		length = 3000 + (uint32_t) dice(model, 3000);
	if (dice(model, 40) == 0)
		length = 30000;
	return model_append(model, now->accepted, 1 + (uint32_t) dice(model, 4), length);
}

static enum plog_code random_install(struct model *model, const struct model_log *now)
{
	struct paxos_ballot ballot = model->highest;
	uint64_t base = now->first_slot - 1 + dice(model, now->end - now->first_slot + 2);
	uint64_t end = base + dice(model, 9);

	ballot.round++;
	if (end + 4 >= MODEL_SLOTS)
		return PLOG_OK;
	return model_install(model, ballot, base, end, true);
}

static enum plog_code random_read(struct model *model, const struct model_log *now)
{
	struct paxos_entry entry;
	uint64_t slot = now->first_slot + dice(model, now->end - now->first_slot + 1);
	uint8_t expected[MODEL_PAYLOAD_MAX];
	enum plog_code code = plog_read(model->log, slot, &entry, &model->error);

	if (code != PLOG_OK)
		return code;
	model_fill(expected, now->entries[slot].length, now->entries[slot].content);
	if (entry.length != now->entries[slot].length || memcmp(entry.bytes, expected, entry.length) != 0)
		abort();
	if (dice(model, 3) == 0)
		plog_release_reads(model->log);
	return PLOG_OK;
}

enum plog_code model_random_step(struct model *model)
{
	const struct model_log *now = &model->after[model->last];
	struct paxos_ballot ballot = model->highest;

	switch (dice(model, 12))
	{
		case 0:
			ballot.round++;
			return model_promise(model, ballot);
		case 1:
			return dice(model, 3) == 0 ? random_install(model, now) : PLOG_OK;
		case 2:
			if (plog_wants_completion(model->log))
				return plog_write_completion(model->log, &model->error);
			return PLOG_OK;
		case 3:
			if (dice(model, 4) == 0 && now->end > now->first_slot)
				return model_trim(model, now->first_slot + dice(model, now->end - now->first_slot));
			return PLOG_OK;
		case 4:
			return now->end >= now->first_slot ? random_read(model, now) : PLOG_OK;
		case 5:
		case 6:
		case 7:
			return model_sync(model);
		default:
			return random_append(model, now);
	}
}

/* ---------------------------------------------------------------- judging */

bool model_reads_back(struct model *model, const struct model_log *expected)
{
	static uint8_t bytes[MODEL_PAYLOAD_MAX];

	for (uint64_t slot = expected->first_slot; slot <= expected->end; slot++)
	{
		const struct model_entry *entry = &expected->entries[slot];
		struct paxos_entry got;
		struct paxos_ballot ballot;
		uint64_t epoch;
		enum plog_code code = plog_read(model->log, slot, &got, &model->error);

		if (code == PLOG_OK)
			code = plog_read_ballot(model->log, slot, &epoch, &ballot, &model->error);
		if (code != PLOG_OK)
		{
			printf("# slot %" PRIu64 ": code %d, %s\n", slot, code, model->error.message);
			return false;
		}
		model_fill(bytes, entry->length, entry->content);
		if (got.length != entry->length || memcmp(got.bytes, bytes, got.length) != 0 ||
			paxos_ballot_compare(ballot, entry->ballot) != 0)
			return false;
		plog_release_reads(model->log);
	}
	return true;
}

static bool same_head(const struct model *model, const struct model_log *snapshot)
{
	const struct paxos_durable_state *got = &model->state.paxos;

	return got->end == snapshot->end && paxos_ballot_compare(got->accepted, snapshot->accepted) == 0 &&
		   (got->first_slot == snapshot->first_slot ||
			(got->first_slot > snapshot->first_slot && got->first_slot <= model->trimmed));
}

static bool complain(const char *what)
{
	printf("# recovered log: %s\n", what);
	return false;
}

static bool check_promise(const struct model *model)
{
	struct paxos_ballot promise = model->state.paxos.promise;

	if (paxos_ballot_compare(promise, model->after[model->durable].promise) < 0)
		return complain("the promise fell");
	if (paxos_ballot_compare(promise, model->state.paxos.accepted) < 0)
		return complain("the promise is below the accepted ballot");
	if (paxos_ballot_compare(promise, model->highest) > 0)
		return complain("a promise that was never written");
	if (model->state.run <= model->run)
		return complain("the run did not rise");
	return true;
}

static bool check_damage(const struct model *model, const struct model_log *durable)
{
	const struct paxos_damage *damage = &model->state.paxos.damage;
	int order;

	if (!damage->damaged)
		return true;
	order = paxos_ballot_compare(damage->named_ballot, durable->accepted);
	if (!damage->doubtful)
	{
		printf("# run %" PRIu64 ", %s\n", model->state.run, model->state.damage_place);
		return complain("damage without rot");
	}
	if (order < 0 || (order == 0 && damage->named_slot < durable->end))
		return complain("the damage names less than was durable");
	return true;
}

bool model_check_recovered(struct model *model, bool rot)
{
	uint64_t step = model->durable;
	struct model_log found;

	if (!check_promise(model) || (!rot && !check_damage(model, &model->after[model->durable])))
		return false;
	for (;; step++)
	{
		if (step > model->last)
		{
			const struct paxos_durable_state *got = &model->state.paxos;

			printf("# run %" PRIu64 ": slots %" PRIu64 " to %" PRIu64 ", accepted %" PRIu64 ", damaged %d\n",
				   model->state.run, got->first_slot, got->end, got->accepted.round, got->damage.damaged);
			for (step = model->durable; step <= model->last; step++)
				printf("#   after step %" PRIu64 ": slots %" PRIu64 " to %" PRIu64 ", accepted %" PRIu64 "\n",
					   step, model->after[step].first_slot, model->after[step].end,
					   model->after[step].accepted.round);
			return complain("no state since the last reported one is like it");
		}
		found = model->after[step];
		if (!same_head(model, &found))
			continue;
		found.first_slot = model->state.paxos.first_slot;
		if (model_reads_back(model, &found))
			break;
	}
	found.promise = model->state.paxos.promise;
	model->after[0] = found;
	model->last = model->durable = model->id = 0;
	model->run = model->state.run;
	return true;
}
