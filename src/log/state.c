/*
 * state.c - what each record does to the log's state.  Live writes and replay go through the same function,
 * so that a start always finds what the last life believed.
 */
#include "log/internal.h"

bool log_state_stage_restarts(const struct log_state *state, const struct plog_record *record)
{
	return !state->staging || paxos_ballot_compare(state->staged, record->ballot) != 0 ||
		   state->staged_base != record->base || record->slot > state->staged_end + 1 ||
		   record->slot <= state->staged_first;
}

static void apply_stage(struct log_state *state, const struct plog_record *record)
{
	if (log_state_stage_restarts(state, record))
	{
		state->staging = true;
		state->staged = record->ballot;
		state->staged_base = record->base;
		state->staged_first = record->slot;
	}
	state->staged_end = record->slot;
}

bool log_state_staged(const struct log_state *state, const struct plog_record *install)
{
	return install->end == install->base ||
		   (state->staging && paxos_ballot_compare(state->staged, install->ballot) == 0 &&
			state->staged_first <= install->base + 1 && state->staged_end >= install->end);
}

/*
 * Y1: cut behind base, take the staged ones over, and the damage is healed (D7).  Replay does not ask for all
 * staged ones: those since trimmed may be gone with their segments, and what is missing is judged at the end.
 */
static bool apply_install(struct log_state *state, const struct plog_record *record)
{
	if (record->end < record->base)
		return false;
	if (record->base > state->at.end || record->base + 1 < state->at.first_slot)
		state->at.first_slot = record->base + 1;
	holes_cut(&state->holes, record->base);
	holes_trim(&state->holes, state->at.first_slot);
	state->at.end = record->end;
	state->at.accepted = record->ballot;
	state->at.epoch = record->epoch;
	state->damage = (struct paxos_damage){0};
	state->staging = false;
	return true;
}

/*
 * T2, T5: what was before is chosen and in the table, so that it is all the same what bad records wrote there (D7).  Where
 * recovery itself begins a log behind what it misses, the record of that damage comes after this one.
 */
static void apply_begin(struct log_state *state, uint64_t slot)
{
	if (slot > state->at.first_slot)
		state->at.first_slot = slot;
	if (state->at.end + 1 < state->at.first_slot)
		state->at.end = state->at.first_slot - 1;
	if (state->damage.damaged && state->damage.lowest_written < slot)
		state->damage.lowest_written = slot;
	holes_trim(&state->holes, state->at.first_slot);
	if (slot > state->restoring)
		state->restoring = 0;
}

bool log_state_apply(struct log_state *state, const struct plog_record *record)
{
	switch ((enum plog_record_type) record->type)
	{
		case PLOG_RECORD_ENTRY:
			if (record->slot != state->at.end + 1)
				return false;
			state->at.end = record->slot;
			state->at.accepted = record->ballot;
			state->at.epoch = record->epoch;
			state->staging = false; /* A1: who takes Accepts is not being synced any more */
			break;
		case PLOG_RECORD_STAGE:
			if (record->slot == 0)
				return false;
			apply_stage(state, record);
			break;
		case PLOG_RECORD_INSTALL:
			if (!apply_install(state, record))
				return false;
			break;
		case PLOG_RECORD_DAMAGED:
			if (record->slot == 0)
				return false;
			state->damage.damaged = true;
			state->damage.doubtful = (record->flags & PLOG_FLAG_DOUBTFUL) != 0;
			state->damage.named_ballot = record->ballot;
			state->damage.named_slot = record->end;
			state->damage.lowest_written = record->slot;
			break;
		case PLOG_RECORD_FORGIVEN:
			state->damage = (struct paxos_damage){0};
			break;
		case PLOG_RECORD_BEGIN:
			apply_begin(state, record->slot);
			break;
		case PLOG_RECORD_RESTORING:
			state->restoring = record->slot;
			break;
		case PLOG_RECORD_REPAIRED:
			if (paxos_ballot_compare(record->ballot, state->at.accepted) != 0 ||
				!holes_fill(&state->holes, record->slot))
				return false;
			break;
	}
	if (paxos_ballot_compare(record->ballot, state->highest) > 0)
		state->highest = record->ballot;
	return true;
}
