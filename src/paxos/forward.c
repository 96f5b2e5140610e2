/*
 * forward.c - commands on their way from their origin to the leader's log (PROTOCOL section X).
 *
 * The origin numbers a command when it sends it (X2), keeps it until it is resolved (X3), and stays within
 * the window that the leader grants (X4).  A leader is its own origin under the same rules.
 */
#include <string.h>

#include "paxos/internal.h"

/* X4: what a command takes of a window: its bytes, and enough that a window bounds their number. */
uint32_t command_cost(uint32_t length)
{
	uint32_t cost = length + COMMAND_COST_EXTRA;

	return cost < COMMAND_COST_MIN ? COMMAND_COST_MIN : cost;
}

/* ---------------------------------------------------------------- leader: origins and their windows */

void origin_reset(struct origin *origin)
{
	memset(origin, 0, sizeof(*origin));
}

/* X4: granted since the connection and the ballot began. */
static uint64_t granted_to(const struct paxos *p, const struct origin *origin)
{
	return origin->freed + p->options.window_bytes;
}

/* X4: windows are freed when commands are chosen. */
void origins_chosen(struct paxos *p, uint64_t chosen)
{
	while (p->n_unchosen > 0 && p->unchosen[p->unchosen_head].slot <= chosen)
	{
		const struct unchosen *u = &p->unchosen[p->unchosen_head];
		struct origin *origin = &p->peers[u->origin].origin;

		origin->freed = min_u64(origin->freed + u->cost, origin->received);
		p->unchosen_head = (p->unchosen_head + 1) % p->unchosen_capacity;
		p->n_unchosen--;
		if (granted_to(p, origin) - origin->told >= p->options.window_bytes / 4)
			origin->owe_reply = true;
	}
}

/* Appends one origin's entries and notes what they cost its window. */
static void append_commands(struct paxos *p, uint32_t from, const struct paxos_entry *entries,
							uint32_t n_entries)
{
	struct origin *origin = &p->peers[from].origin;

	PAXOS_ASSERT(p, p->role == PAXOS_LEADER);
	PAXOS_ASSERT(p, p->n_unchosen + n_entries <= p->unchosen_capacity);
	for (uint32_t i = 0; i < n_entries; i++)
	{
		uint32_t cost = command_cost(entries[i].length);

		p->unchosen[(p->unchosen_head + p->n_unchosen) % p->unchosen_capacity] =
			(struct unchosen){p->end + 1 + i, cost, from};
		p->n_unchosen++;
		origin->received += cost;
	}
	write_append(p, entries, n_entries);
}

/* What an origin may put into the log: its own commands and OpenSessions, of a size every node takes. */
static bool forwardable(const struct peer *peer, const struct paxos_entry *entry)
{
	struct entry_header header;

	if (entry->length > PAXOS_MAX_ENTRY_BYTES || !entry_decode_header(entry, &header))
		return false;
	if (header.node_id != peer->member.node_id)
		return false;
	if (header.kind == ENTRY_OPEN_SESSION)
		return true;
	return entry_is_numbered(header.kind) && header.session != 0 && header.number != 0;
}

/*
 * X3: commands of another node, in order.  m->bytes says what was sent before these: more than what was
 * received means that some were lost on the way (the origin will find the gap); less, under the same
 * sequence, is a late copy.
 */
bool recv_forward(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct origin *origin = &peer->origin;

	for (uint32_t i = 0; i < m->n_entries; i++)
		if (!forwardable(peer, &m->entries[i]))
			return false;
	origin->owe_reply |= m->sequence != origin->sequence || origin->told == 0;
	if (p->role != PAXOS_LEADER || !ballot_equal(m->ballot, p->own))
	{
		origin->owe_reply = origin->refuse = true;
		origin->sequence = m->sequence;
		return true;
	}
	if (m->sequence < origin->sequence || (m->sequence == origin->sequence && m->bytes < origin->received))
		return true;
	if (p->n_unchosen + m->n_entries > p->unchosen_capacity || !writes_have_room(p, m->n_entries))
		return true; /* as if lost: the origin sends again */
	if (m->bytes > origin->received)
		origin->freed += m->bytes - origin->received;
	else if (m->bytes < origin->received)
		origin->freed = m->bytes;
	origin->received = m->bytes;
	origin->sequence = m->sequence;
	origin->refuse = false;
	if (m->n_entries > 0)
		append_commands(p, (uint32_t) (peer - p->peers), m->entries, m->n_entries);
	return true;
}

bool send_forward_reply(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	struct origin *origin = &peer->origin;
	bool leads = p->role == PAXOS_LEADER;

	if (!origin->owe_reply)
		return false;
	origin->owe_reply = false;
	m->type = PAXOS_FORWARD_REPLY;
	m->ballot = leads ? p->own : p->followed;
	m->sequence = origin->sequence;
	m->ready = leads && !origin->refuse;
	m->end = p->end;
	if (m->ready)
		m->bytes = origin->told = granted_to(p, origin);
	origin->refuse = false;
	return true;
}

/* ---------------------------------------------------------------- origin */

/* X3: everything unresolved goes again, in order.  Gaps up to the leader's log end of then mean nothing. */
void proposer_resend(struct paxos *p)
{
	struct proposer *o = &p->proposer;

	o->next_to_send = o->first_unresolved;
	o->sequence++;
	o->barrier_known = p->role == PAXOS_LEADER;
	o->barrier = p->end;
	o->moved_ms = p->now_ms;
}

/* X3: looks who leads; a change of leader, ballot or connection starts the counts anew. */
void proposer_check_leader(struct paxos *p)
{
	struct proposer *o = &p->proposer;
	struct paxos_ballot target = no_ballot;

	if (p->role == PAXOS_LEADER)
		target = p->own;
	else if (p->role == PAXOS_FOLLOWER)
		for (uint32_t i = 0; i < p->n_peers; i++)
		{
			const struct peer *peer = &p->peers[i];

			if (i != p->self && peer->connected && peer->ready && ballot_equal(peer->own, p->followed))
				target = peer->own;
		}
	if (ballot_equal(target, o->ballot))
		return;
	o->ballot = target;
	o->usable = !ballot_none(target);
	o->bytes_sent = o->granted = 0;
	o->owe_open = o->session == 0;
	p->owe_role_event = true;
	proposer_resend(p);
	proposer_pump(p);
}

/* X4: whether the next command of that size fits the window. */
static bool window_has_room(const struct paxos *p, uint32_t length)
{
	const struct proposer *o = &p->proposer;
	uint64_t granted = p->role == PAXOS_LEADER ? granted_to(p, &p->peers[p->self].origin) : o->granted;
	uint64_t sent = p->role == PAXOS_LEADER ? p->peers[p->self].origin.received : o->bytes_sent;

	if (o->next_to_send == o->first_unresolved) /* one may always be in flight */
		return true;
	return sent + command_cost(length) <= granted;
}

/* A leader's own commands and OpenSession go straight into its log. */
void proposer_pump(struct paxos *p)
{
	struct proposer *o = &p->proposer;

	if (p->role != PAXOS_LEADER || !o->usable)
		return;
	if (o->owe_open && o->session == 0 && writes_have_room(p, 1) && p->n_unchosen < p->unchosen_capacity)
	{
		struct paxos_entry open = {o->open_bytes, OPEN_SESSION_ENTRY_BYTES};

		o->owe_open = false;
		append_commands(p, p->self, &open, 1);
	}
	while (o->session != 0 && o->next_to_send <= o->last_number && p->n_unchosen < p->unchosen_capacity)
	{
		const struct command *c = &o->commands[o->next_to_send % o->capacity];
		struct paxos_entry entry = {c->bytes, c->length};

		if (!window_has_room(p, c->length) || !writes_have_room(p, 1))
			break;
		o->next_to_send++;
		append_commands(p, p->self, &entry, 1);
	}
}

bool paxos_can_propose(const struct paxos *p, uint32_t length)
{
	const struct proposer *o = &p->proposer;

	if (p->role == PAXOS_FENCED || o->session == 0 || !o->usable)
		return false;
	if (o->last_number - o->first_unresolved + 1 >= o->capacity || o->next_to_send <= o->last_number)
		return false;
	if (p->role == PAXOS_LEADER && (p->n_unchosen == p->unchosen_capacity || !writes_have_room(p, 1)))
		return false;
	return window_has_room(p, length);
}

uint64_t paxos_propose(struct paxos *p, uint8_t *bytes, uint32_t length)
{
	struct proposer *o = &p->proposer;

	PAXOS_ASSERT(p, paxos_can_propose(p, length));
	PAXOS_ASSERT(p, length >= ENTRY_HEADER_BYTES && length <= PAXOS_MAX_ENTRY_BYTES);
	if (o->first_unresolved > o->last_number)
		o->moved_ms = p->now_ms;
	o->last_number++;
	entry_set_number(bytes, o->session, o->last_number);
	o->commands[o->last_number % o->capacity] = (struct command){bytes, length};
	proposer_pump(p);
	return o->last_number;
}

/* X2: a numbered command is kept until it is resolved, whether anybody waits for it or not. */
void paxos_abandon(struct paxos *p, uint64_t number)
{
	PAXOS_ASSERT(p, number <= p->proposer.last_number);
}

/* X3: what was sent and is unresolved for long goes again; a lost OpenSession, too. */
void proposer_tick(struct paxos *p)
{
	struct proposer *o = &p->proposer;
	uint64_t patience = p->options.election_timeout_ms / 2;

	if (!o->usable)
		return;
	if (o->session == 0 && p->role != PAXOS_LEADER && p->now_ms - o->open_ms >= patience)
		o->owe_open = true;
	if (p->role != PAXOS_LEADER && o->next_to_send > o->first_unresolved &&
		p->now_ms - o->moved_ms >= patience)
		proposer_resend(p);
	proposer_pump(p);
}

/* X4: the window; or "not leader". */
bool recv_forward_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct proposer *o = &p->proposer;

	if (!m->ready)
	{
		meet_ballot(p, m->ballot);
		if (m->sequence == o->sequence && peer->member.node_id == o->ballot.node_id)
		{
			peer->ready = false; /* until its next heartbeat */
			proposer_check_leader(p);
		}
		return true;
	}
	if (!o->usable || !ballot_equal(m->ballot, o->ballot) || p->role == PAXOS_LEADER)
		return true;
	if (m->sequence != o->sequence)
		return true;
	if (m->bytes > o->granted)
		o->granted = m->bytes;
	if (!o->barrier_known)
	{
		o->barrier_known = true;
		o->barrier = m->end;
	}
	return true;
}

/* X3: the next commands for the leader, or the OpenSession. */
bool send_forward(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	struct proposer *o = &p->proposer;
	uint32_t n = 0;
	uint32_t bytes = 0;
	uint64_t cost = 0;

	if (!o->usable || p->role != PAXOS_FOLLOWER || peer->member.node_id != o->ballot.node_id)
		return false;
	m->bytes = o->bytes_sent;
	if (o->owe_open && o->session == 0)
	{
		o->owe_open = false;
		o->open_ms = p->now_ms;
		p->message_entries[n++] = (struct paxos_entry){o->open_bytes, OPEN_SESSION_ENTRY_BYTES};
		cost = command_cost(OPEN_SESSION_ENTRY_BYTES);
	}
	while (o->session != 0 && o->next_to_send <= o->last_number && n < PAXOS_MAX_BATCH)
	{
		const struct command *c = &o->commands[o->next_to_send % o->capacity];
		bool fits = o->next_to_send == o->first_unresolved ||
					o->bytes_sent + cost + command_cost(c->length) <= o->granted;

		if (!fits || (n > 0 && bytes + c->length > MESSAGE_BYTES_MAX))
			break;
		p->message_entries[n++] = (struct paxos_entry){c->bytes, c->length};
		bytes += c->length;
		cost += command_cost(c->length);
		o->next_to_send++;
	}
	if (n == 0)
		return false;
	o->bytes_sent += cost;
	m->type = PAXOS_FORWARD;
	m->ballot = o->ballot;
	m->sequence = o->sequence;
	m->entries = p->message_entries;
	m->n_entries = n;
	return true;
}

/* ---------------------------------------------------------------- what became of this node's commands */

/* X1: the log shows that another copy of this node is alive. */
static bool fenced_event(struct paxos *p, struct paxos_event *event)
{
	fence(p);
	p->owe_fenced_event = false;
	*event = (struct paxos_event){.type = PAXOS_EVENT_FENCED};
	return true;
}

/* X1: an OpenSession of this node is chosen. */
static bool scan_open_session(struct paxos *p, uint64_t slot, const struct paxos_entry *entry,
							  struct paxos_event *event)
{
	struct proposer *o = &p->proposer;
	const struct paxos_member *self = &p->peers[p->self].member;
	struct open_session open;

	if (open_session_decode(entry, &open) != DECODE_OK || open.node_id != self->node_id ||
		memcmp(&open.store_id, &self->store_id, sizeof(open.store_id)) != 0)
		return false;
	if (open.run > p->options.run || (open.run == p->options.run && open.nonce != p->options.nonce))
		return fenced_event(p, event);
	if (open.run < p->options.run || o->session != 0)
		return false; /* an earlier life, or a duplicate */
	o->session = slot;
	o->owe_open = false;
	*event = (struct paxos_event){.type = PAXOS_EVENT_SESSION, .ok = true, .slot = slot, .number = slot};
	return true;
}

/* X5, as apply will judge it: only the next number takes effect. */
static bool scan_command(struct paxos *p, uint64_t slot, const struct entry_header *header,
						 struct paxos_event *event)
{
	struct proposer *o = &p->proposer;

	if (o->session == 0 || header->session != o->session || header->number < o->first_unresolved)
		return false;
	if (header->number > o->last_number) /* a number that this run never gave */
		return fenced_event(p, event);
	if (header->number > o->first_unresolved) /* X3: a gap causes one resend */
	{
		if (o->barrier_known && slot > o->barrier)
			proposer_resend(p);
		return false;
	}
	*event = (struct paxos_event){
		.type = PAXOS_EVENT_RESOLVED, .ok = true, .slot = slot, .number = o->first_unresolved};
	o->first_unresolved++;
	o->next_to_send = max_u64(o->next_to_send, o->first_unresolved);
	o->moved_ms = p->now_ms;
	return true;
}

/* O4: whether its number was ahead of the session then, apply tells. */
static void scan_fence(struct proposer *o, const struct paxos_entry *entry)
{
	struct fence fence;

	if (o->session != 0 && fence_decode(entry, &fence) == DECODE_OK && fence.session == o->session)
		o->has_fence = true;
}

bool paxos_may_be_void(const struct paxos *p)
{
	return p->proposer.has_fence;
}

/*
 * X3, T5: the state that a snapshot brought says what became of the own session in the slots that it jumped over: what
 * it has counted is resolved, or the session is there that this run asked for.  A state that no longer knows the
 * session, or more numbers of it than were given, tells of another copy (X1).
 */
void proposer_restored(struct paxos *p, const struct paxos_restored *restored)
{
	struct proposer *o = &p->proposer;

	if (restored->slot <= p->scanned)
		return;
	p->scanned = restored->slot;
	if (o->session == 0 && restored->session != 0)
	{
		o->session = restored->session;
		o->owe_open = false;
		o->owe_session_event = true;
	}
	if (o->session == 0 || o->session > restored->slot)
		return;
	if (restored->session != o->session || restored->last_number > o->last_number)
	{
		fence(p);
		return;
	}
	o->has_fence = true; /* there may have been one */
	o->jumped = restored->last_number;
}

/* What a snapshot said of the own session, one event at a time. */
static bool tell_restored(struct paxos *p, struct paxos_event *event)
{
	struct proposer *o = &p->proposer;

	if (o->owe_session_event)
	{
		o->owe_session_event = false;
		*event = (struct paxos_event){
			.type = PAXOS_EVENT_SESSION, .ok = true, .slot = o->session, .number = o->session};
		return true;
	}
	if (o->jumped < o->first_unresolved)
		return false;
	*event = (struct paxos_event){.type = PAXOS_EVENT_RESOLVED, .number = o->first_unresolved};
	o->first_unresolved++;
	o->next_to_send = max_u64(o->next_to_send, o->first_unresolved);
	o->moved_ms = p->now_ms;
	return true;
}

/* Folds newly chosen entries into this node's own session.  True: *event says what was found. */
bool proposer_scan(struct paxos *p, struct paxos_event *event)
{
	if (tell_restored(p, event))
		return true;
	while (p->scanned < p->chosen)
	{
		uint64_t slot = p->scanned + 1;
		struct paxos_entry entry;
		struct entry_header header;

		if (slot < p->first_slot) /* the table holds it */
		{
			p->scanned = p->first_slot - 1;
			continue;
		}
		if (!p->host.read_entry(p->host.context, slot, &entry))
			return false;
		p->scanned = slot;
		scan_fence(&p->proposer, &entry);
		if (!entry_decode_header(&entry, &header) || header.node_id != p->options.node_id)
			continue;
		if (header.kind == ENTRY_OPEN_SESSION && scan_open_session(p, slot, &entry, event))
			return true;
		if (entry_is_numbered(header.kind) && scan_command(p, slot, &header, event))
			return true;
	}
	return false;
}
