/*
 * session.c - X1 and X5: the replicated table of sessions.
 *
 * The table lies in rising order of session, that is, of the slots that opened them.
 */
#include "paxos/session.h"

#include <string.h>

static bool same_id(const struct paxos_id *a, const struct paxos_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool is_member(const struct paxos_config *config, uint32_t node_id, const struct paxos_id *store_id)
{
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		const struct paxos_member *member = &config->members[i];

		if (member->node_id == node_id && same_id(&member->store_id, store_id))
			return true;
	}
	return false;
}

/* The last session of a pair, open or closed; NULL: it never had one, or it was forgotten. */
static struct session *latest_of(struct session_table *table, uint32_t node_id,
								 const struct paxos_id *store_id)
{
	for (uint32_t i = table->n; i > 0; i--)
	{
		struct session *session = &table->sessions[i - 1];

		if (session->node_id == node_id && same_id(&session->store_id, store_id))
			return session;
	}
	return NULL;
}

/*
 * Makes room for one session: the oldest closed one goes; if all that could go are open, the oldest of
 * these.  A member's latest stays, as it tells which runs are stale (X1); members are far fewer than the
 * table has places, so there is always one to go.
 */
static void evict_one(struct session_table *table, const struct paxos_config *config)
{
	uint32_t victim = table->n;

	for (uint32_t i = 0; i < table->n; i++)
	{
		struct session *session = &table->sessions[i];

		if (is_member(config, session->node_id, &session->store_id) &&
			latest_of(table, session->node_id, &session->store_id) == session)
			continue;
		if (!session->open)
		{
			victim = i;
			break;
		}
		if (victim == table->n)
			victim = i;
	}
	if (victim == table->n)
		victim = 0;
	memmove(&table->sessions[victim], &table->sessions[victim + 1],
			(table->n - victim - 1) * sizeof(table->sessions[0]));
	table->n--;
}

_Static_assert(SESSION_TABLE_MAX > PAXOS_MAX_MEMBERS, "a full table holds a session that may go");

/* X1. */
static enum session_verdict fold_open(struct session_table *table, const struct paxos_config *config,
									  uint64_t slot, const struct paxos_entry *entry)
{
	struct open_session open;
	struct session *earlier;

	if (open_session_decode(entry, &open) != DECODE_OK || !is_member(config, open.node_id, &open.store_id))
		return SESSION_IGNORED;
	earlier = latest_of(table, open.node_id, &open.store_id);
	if (earlier != NULL)
	{
		/* The same run and nonce is a duplicate, another nonce a copy of the node: neither opens. */
		if (open.run <= earlier->run)
			return SESSION_IGNORED;
		earlier->open = false;
	}
	if (table->n == SESSION_TABLE_MAX)
		evict_one(table, config);
	table->sessions[table->n++] = (struct session){
		.node_id = open.node_id,
		.store_id = open.store_id,
		.run = open.run,
		.nonce = open.nonce,
		.session = slot,
		.open = true,
	};
	return SESSION_OPENED;
}

/* X5. */
static enum session_verdict fold_command(struct session_table *table, const struct entry_header *header)
{
	struct session *session = (struct session *) session_find(table, header->session);

	if (session == NULL || !session->open)
		return SESSION_CLOSED;
	if (header->number <= session->last_number)
		return SESSION_DUPLICATE;
	if (header->number - session->last_number > 1)
		return SESSION_GAP;
	session->last_number = header->number;
	return SESSION_APPLY;
}

enum session_verdict session_fold(struct session_table *table, const struct paxos_config *config,
								  uint64_t slot, const struct paxos_entry *entry)
{
	struct entry_header header;

	if (!entry_decode_header(entry, &header))
		return SESSION_IGNORED;
	if (header.kind == ENTRY_OPEN_SESSION)
		return fold_open(table, config, slot, entry);
	if (entry_is_numbered(header.kind))
		return fold_command(table, &header);
	return SESSION_IGNORED;
}

const struct session *session_find(const struct session_table *table, uint64_t session)
{
	for (uint32_t i = table->n; i > 0; i--)
	{
		if (table->sessions[i - 1].session == session)
			return &table->sessions[i - 1];
	}
	return NULL;
}

bool session_void_number(struct session_table *table, uint64_t session, uint64_t number)
{
	struct session *found = (struct session *) session_find(table, session);

	if (found == NULL || !found->open || number <= found->last_number ||
		number - found->last_number > SESSION_UNRESOLVED_MAX)
		return false;
	found->has_void = true;
	return true;
}

void session_mark_void(struct session_table *table, uint64_t session)
{
	struct session *found = (struct session *) session_find(table, session);

	if (found != NULL)
		found->has_void = true;
}

bool session_take_closed(struct session_table *table, struct session *session)
{
	for (uint32_t i = 0; i < table->n; i++)
	{
		struct session *candidate = &table->sessions[i];

		if (candidate->open || latest_of(table, candidate->node_id, &candidate->store_id) == candidate)
			continue;
		*session = *candidate;
		memmove(candidate, candidate + 1, (table->n - i - 1) * sizeof(*candidate));
		table->n--;
		return true;
	}
	return false;
}
