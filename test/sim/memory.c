/*
 * memory.c - what a node's database remembers of request ids, void numbers and closed sessions (O1 to O5), as the
 * apply worker keeps it, and what a backend reads from it.
 */
#include "sim.h"

#include <string.h>

/* Ids are "i1", "i2", ...: the intent of a client. */
uint32_t request_id_text(uint32_t intent, char text[SIM_ID_TEXT])
{
	char digits[12];
	uint32_t n = 0;
	uint32_t length = 0;

	do
		digits[n++] = (char) ('0' + intent % 10);
	while ((intent /= 10) > 0);
	text[length++] = 'i';
	while (n > 0)
		text[length++] = digits[--n];
	return length;
}

static uint32_t intent_of(const char *text, uint32_t length)
{
	uint32_t intent = 0;

	for (uint32_t i = 1; i < length; i++)
		intent = intent * 10 + (uint32_t) (text[i] - '0');
	return intent;
}

const struct remembered_id *memory_find(const struct memory *memory, uint32_t intent)
{
	for (uint32_t i = 0; i < memory->n_ids; i++)
		if (memory->ids[i].intent == intent)
			return &memory->ids[i];
	return NULL;
}

bool memory_is_void(const struct memory *memory, uint64_t session, uint64_t number)
{
	for (uint32_t i = 0; i < memory->n_voids; i++)
		if (memory->voids[i].session == session && memory->voids[i].number == number)
			return true;
	return false;
}

static struct remembered to_remembered(const struct remembered_id *id, char text[SIM_ID_TEXT])
{
	return (struct remembered){
		.request_id = text,
		.request_id_length = request_id_text(id->intent, text),
		.kind = id->kind,
		.slot = id->slot,
		.digest = id->digest,
		.succeeded = id->succeeded,
		.rows_removed = id->removed,
	};
}

struct state_hash remembered_id_hash(const struct remembered_id *id)
{
	char text[SIM_ID_TEXT];
	struct remembered remembered = to_remembered(id, text);

	return remembered_hash(&remembered);
}

struct state_hash memory_state_hash(const struct memory *memory)
{
	struct state_hash sum = {0, 0};

	for (uint32_t i = 0; i < memory->n_ids; i++)
		sum = state_hash_add(sum, remembered_id_hash(&memory->ids[i]));
	for (uint32_t i = 0; i < memory->n_voids; i++)
		sum = state_hash_add(sum, void_number_hash(memory->voids[i].session, memory->voids[i].number));
	for (uint32_t i = 0; i < memory->n_closed; i++)
		sum = state_hash_add(sum, closed_session_hash(memory->closed[i].session, memory->closed[i].node_id,
													  memory->closed[i].last_number));
	return sum;
}

/* ---------------------------------------------------------------- as the apply worker changes it */

static void add_hash(struct table *table, struct state_hash hash)
{
	table->hash = state_hash_add(table->hash, hash);
}

static void subtract_hash(struct table *table, struct state_hash hash)
{
	table->hash = state_hash_subtract(table->hash, hash);
}

static void remember(struct world *w, struct table *table, const struct remembered_id *id)
{
	struct memory *memory = &table->memory;

	memory->ids[memory->n_ids++] = *id;
	add_hash(table, remembered_id_hash(id));
	while (memory->n_ids > w->config.ids_kept)
	{
		memory->newest_dropped = memory->ids[0].slot;
		subtract_hash(table, remembered_id_hash(&memory->ids[0]));
		memmove(memory->ids, memory->ids + 1, --memory->n_ids * sizeof(memory->ids[0]));
	}
}

static void add_void(struct world *w, struct table *table, uint64_t session, uint64_t number)
{
	struct memory *memory = &table->memory;

	if (memory_is_void(memory, session, number))
		return;
	if (memory->n_voids == SIM_VOIDS)
		world_fail(w, "world", "more void numbers than a seed may have");
	memory->voids[memory->n_voids++] = (struct void_number){session, number};
	add_hash(table, void_number_hash(session, number));
}

static void drop_voids(struct table *table, uint64_t session)
{
	struct memory *memory = &table->memory;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < memory->n_voids; i++)
	{
		struct void_number number = memory->voids[i];

		if (number.session == session)
			subtract_hash(table, void_number_hash(number.session, number.number));
		else
			memory->voids[kept++] = number;
	}
	memory->n_voids = kept;
}

void memory_keep_closed(struct world *w, struct table *table)
{
	struct memory *memory = &table->memory;
	struct session closed;

	while (session_take_closed(&table->sessions, &closed))
	{
		memory->closed[memory->n_closed++] =
			(struct closed_session){closed.session, closed.node_id, closed.last_number};
		add_hash(table, closed_session_hash(closed.session, closed.node_id, closed.last_number));
		if (memory->n_closed <= w->config.closed_kept)
			continue;
		subtract_hash(table, closed_session_hash(memory->closed[0].session, memory->closed[0].node_id,
												 memory->closed[0].last_number));
		drop_voids(table, memory->closed[0].session);
		memmove(memory->closed, memory->closed + 1, --memory->n_closed * sizeof(memory->closed[0]));
	}
}

static void consume_without_effect(struct world *w, struct table *table, const struct entry_header *header)
{
	add_void(w, table, header->session, header->number);
	session_mark_void(&table->sessions, header->session);
}

bool memory_admits(struct world *w, struct table *table, const struct command_reader *reader,
				   const struct paxos_entry *entry, struct apply_result *result)
{
	const struct entry_header *header = &reader->header;
	const struct remembered_id *found;
	struct remembered remembered;
	char text[SIM_ID_TEXT];

	if (session_find(&table->sessions, header->session)->has_void &&
		memory_is_void(&table->memory, header->session, header->number))
	{
		result->request = REQUEST_GIVEN_UP;
		return false;
	}
	if (reader->request_id_length == 0)
		return true;
	found = memory_find(&table->memory, intent_of(reader->request_id, reader->request_id_length));
	if (found != NULL)
		remembered = to_remembered(found, text);
	result->request = request_judge(found == NULL ? NULL : &remembered, command_digest(entry), header->stamp,
									table->memory.newest_dropped);
	if (request_voids_number(result->request))
		consume_without_effect(w, table, header);
	if (result->request == REQUEST_REPEATED)
	{
		result->slot_of_effect = found->slot;
		result->removed = found->removed;
		result->succeeded = found->succeeded;
	}
	return result->request == REQUEST_EXECUTE;
}

void memory_remember_result(struct world *w, struct table *table, const struct command_reader *reader,
							const struct paxos_entry *entry, const struct apply_result *result)
{
	if (reader->request_id_length > 0)
		remember(w, table,
				 &(struct remembered_id){
					 .intent = intent_of(reader->request_id, reader->request_id_length),
					 .kind = REMEMBERED_COMMAND,
					 .slot = result->slot,
					 .digest = command_digest(entry),
					 .succeeded = result->succeeded,
					 .removed = result->removed,
				 });
}

void memory_fence(struct world *w, struct table *table, const struct paxos_entry *entry, uint64_t slot)
{
	struct entry_header header;
	struct fence fence;
	uint32_t intent;

	if (fence_decode(entry, &fence) != DECODE_OK || !entry_decode_header(entry, &header))
		world_fail(w, "T4", "a fence in slot %u can't be read", (unsigned) slot);
	if (memory_is_void(&table->memory, header.session, header.number))
		return;
	if (fence.session != 0)
	{
		if (session_void_number(&table->sessions, fence.session, fence.number))
			add_void(w, table, fence.session, fence.number);
		return;
	}
	intent = intent_of(fence.request_id, fence.request_id_length);
	if (memory_find(&table->memory, intent) == NULL)
		remember(w, table,
				 &(struct remembered_id){
					 .intent = intent, .kind = fence_kind(table->memory.newest_dropped), .slot = slot});
}

/* ---------------------------------------------------------------- as a backend reads it: O5 */

static enum sim_outcome number_outcome(const struct table *table, uint64_t session, uint64_t number)
{
	const struct session *found = session_find(&table->sessions, session);

	if (memory_is_void(&table->memory, session, number))
		return OUTCOME_NOT_APPLIED;
	if (found != NULL && found->open)
		return number <= found->last_number ? OUTCOME_APPLIED : OUTCOME_UNKNOWN;
	if (found != NULL)
		return number <= found->last_number ? OUTCOME_APPLIED : OUTCOME_NOT_APPLIED;
	for (uint32_t i = 0; i < table->memory.n_closed; i++)
		if (table->memory.closed[i].session == session)
			return number <= table->memory.closed[i].last_number ? OUTCOME_APPLIED : OUTCOME_NOT_APPLIED;
	return OUTCOME_UNKNOWN;
}

enum sim_outcome memory_outcome(const struct table *table, const struct request *target, bool by_number,
								uint64_t *slot)
{
	const struct remembered_id *found;

	*slot = 0;
	if (by_number)
		return number_outcome(table, target->session, target->number);
	found = memory_find(&table->memory, target->intent);
	if (found == NULL || found->kind == REMEMBERED_GIVEN_UP_UNKNOWN)
		return OUTCOME_UNKNOWN;
	if (found->kind == REMEMBERED_GIVEN_UP)
		return OUTCOME_NOT_APPLIED;
	*slot = found->slot;
	return OUTCOME_APPLIED;
}
