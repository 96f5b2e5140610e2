/*
 * paxos.c - the door into the core: inputs in, writes, messages and events out.
 */
#include <string.h>

#include "paxos/internal.h"
#include "paxos/session.h"

const struct paxos_ballot no_ballot = {0, 0, 0};

int paxos_ballot_compare(struct paxos_ballot a, struct paxos_ballot b)
{
	if (a.round != b.round)
		return a.round < b.round ? -1 : 1;
	if (a.priority != b.priority)
		return a.priority < b.priority ? -1 : 1;
	return a.node_id < b.node_id ? -1 : a.node_id > b.node_id;
}

/* ---------------------------------------------------------------- creation */

/* Commands of one origin that a window can hold, and the one that may always be in flight. */
static uint32_t window_commands(const struct paxos_options *options)
{
	return options->window_bytes / COMMAND_COST_MIN + 2;
}

_Static_assert(PAXOS_MAX_WINDOW_BYTES / COMMAND_COST_MIN + 2 <= SESSION_UNRESOLVED_MAX,
			   "O4: no number is handed out that a fence does not reach");

static uint32_t unchosen_capacity(const struct paxos_config *config, const struct paxos_options *options)
{
	return (window_commands(options) + PAXOS_MAX_BATCH) * config->n_members;
}

static size_t round_up(size_t size)
{
	return (size + 15) & ~(size_t) 15;
}

size_t paxos_memory_size(const struct paxos_config *config, const struct paxos_options *options)
{
	return round_up(sizeof(struct paxos)) +
		   round_up(sizeof(struct unchosen) * unchosen_capacity(config, options)) +
		   round_up(sizeof(struct command) * window_commands(options));
}

/* Sequences of this run exceed those of earlier ones, so that answers to a past life answer nothing. */
static uint64_t first_sequence(const struct paxos *p)
{
	return p->options.run << 32;
}

static void create_peers(struct paxos *p)
{
	p->self = PAXOS_MAX_MEMBERS;
	p->n_peers = p->config.n_members;
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		p->peers[i].member = p->config.members[i];
		p->n_voters += !p->config.members[i].learner;
		if (p->config.members[i].node_id == p->options.node_id)
			p->self = i;
	}
	PAXOS_ASSERT(p, p->self < PAXOS_MAX_MEMBERS);
	PAXOS_ASSERT(p, p->n_voters >= 1);
}

static void create_proposer(struct paxos *p, uint8_t *memory)
{
	struct proposer *o = &p->proposer;
	const struct paxos_member *self = &p->peers[p->self].member;
	struct open_session open = {.node_id = self->node_id,
								.store_id = self->store_id,
								.run = p->options.run,
								.nonce = p->options.nonce};

	p->unchosen = (struct unchosen *) memory;
	p->unchosen_capacity = unchosen_capacity(&p->config, &p->options);
	memory += round_up(sizeof(struct unchosen) * p->unchosen_capacity);
	o->commands = (struct command *) memory;
	o->capacity = window_commands(&p->options);
	o->first_unresolved = 1;
	o->next_to_send = 1;
	o->sequence = first_sequence(p);
	open_session_encode(o->open_bytes, &open, 0);
	p->reader.sequence = first_sequence(p);
}

struct paxos *paxos_create(void *memory, const struct paxos_config *config,
						   const struct paxos_options *options, const struct paxos_host *host,
						   const struct paxos_durable_state *state, uint64_t now_ms)
{
	struct paxos *p = memory;

	memset(p, 0, sizeof(*p));
	p->config = *config;
	p->options = *options;
	p->host = *host;
	p->now_ms = now_ms;
	p->random = options->seed;
	PAXOS_ASSERT(p, config->n_members >= 1 && config->n_members <= PAXOS_MAX_MEMBERS);
	PAXOS_ASSERT(p, options->window_bytes >= COMMAND_COST_MIN && options->election_timeout_ms >= 5);
	PAXOS_ASSERT(p, options->window_bytes <= PAXOS_MAX_WINDOW_BYTES);
	PAXOS_ASSERT(p, state->first_slot >= 1 && state->end + 1 >= state->first_slot);
	PAXOS_ASSERT(p, paxos_ballot_compare(state->accepted, state->promise) <= 0);
	create_peers(p);
	create_proposer(p, (uint8_t *) memory + round_up(sizeof(*p)));
	p->promise = p->durable.promise = p->followed = p->highest_met = state->promise;
	p->accepted = p->durable.accepted = state->accepted;
	p->end = p->durable.end = state->end;
	p->first_slot = state->first_slot;
	p->damage = p->durable.damage = state->damage;
	repair_create(p, &state->holes);
	p->applied = state->applied;
	/* A5; and all before a trimmed log */
	p->chosen = p->scanned = p->event_chosen = max_u64(state->applied, proven_first_slot(p) - 1);
	p->role = PAXOS_FOLLOWER;
	p->host_accepting = true;
	p->round = first_sequence(p);
	p->read_round_sent = p->read_round_confirmed = first_sequence(p);
	p->owe_role_event = true;
	begin_round(p);
	return p;
}

struct peer *find_peer(struct paxos *p, uint32_t node_id)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
		if (p->peers[i].member.node_id == node_id)
			return &p->peers[i];
	return NULL;
}

/* ---------------------------------------------------------------- inputs */

void paxos_tick(struct paxos *p, uint64_t now_ms)
{
	if (now_ms > p->now_ms)
		p->now_ms = now_ms;
	if (p->role == PAXOS_FENCED)
		return;
	election_tick(p);
	phase1_tick(p);
	staging_durable(p);
	repair_tick(p);
	followers_tick(p);
	proposer_tick(p);
	reads_tick(p);
}

/* Everything that waits for an answer is looked at once a heartbeat interval. */
uint64_t paxos_next_deadline(const struct paxos *p)
{
	uint64_t deadline = min_u64(p->round_end_ms, p->now_ms + p->options.heartbeat_interval_ms);

	return min_u64(deadline, catch_up_deadline(p));
}

void paxos_connected(struct paxos *p, uint32_t node_id)
{
	struct peer *peer = find_peer(p, node_id);

	if (peer == NULL || peer == &p->peers[p->self])
		return;
	peer->connected = true;
	peer->owe_heartbeat = true;
	peer->round_sent_ms = p->now_ms;
	peer->accepted_told = 0;
	origin_reset(&peer->origin);
	peer->follower.owe_probe = peer->follower.progress != PROGRESS_NONE;
	if (is_proposing(p) && !peer->follower.promise.valid)
		peer->follower.owe_prepare = true;
	proposer_check_leader(p);
}

void paxos_disconnected(struct paxos *p, uint32_t node_id, bool reset)
{
	struct peer *peer = find_peer(p, node_id);

	if (peer == NULL || peer == &p->peers[p->self])
		return;
	peer->connected = false;
	peer->ready = false;
	peer->owe_heartbeat_reply = false;
	peer->promise.owed = peer->refuse.owed = peer->accepted.owed = false;
	peer->owe_gap = peer->owe_sync_progress = peer->owe_chunk = false;
	peer->owe_round_reply = peer->owe_read_reply = false;
	repair_forget_peer(peer);
	if (peer->follower.progress == PROGRESS_ACCEPT)
		peer->follower.next = peer->follower.match + 1;
	else if (peer->follower.progress == PROGRESS_SYNC)
		peer->follower.next = peer->follower.base + 1;
	flights_clear(&peer->follower);
	origin_reset(&peer->origin);
	proposer_check_leader(p);
	/* E7: the leader's process died; once for each leader */
	if (reset && p->followed.node_id == node_id && !ballot_equal(p->reset_round, p->followed) &&
		p->role != PAXOS_FENCED)
	{
		p->reset_round = p->followed;
		begin_round(p);
	}
}

/*
 * X1: the sender's run.  Only the highest met is heard.  An answer of a lower run to a question asked after
 * meeting the higher one means that two copies of one log are alive: both are told.
 */
static bool check_run(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	if (m->run > peer->run_met)
	{
		peer->run_met = m->run;
		peer->run_met_round = p->round + 1;
		peer->fence_heard = false;
	}
	if (m->run == peer->run_met)
	{
		if (peer->fence_heard) /* until it is silent: a connection may have taken what was said */
			peer->fence_run = m->run;
		return true;
	}
	if (m->type == PAXOS_HEARTBEAT_REPLY && m->sequence >= peer->run_met_round && m->sequence <= p->round)
	{
		peer->fence_run = m->run;
		peer->fence_both = peer->fence_heard = true;
	}
	return false;
}

static bool recv_fence(struct paxos *p, const struct paxos_message *m)
{
	if (m->named_run == p->options.run)
		fence(p);
	return true;
}

static bool dispatch(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	switch (m->type)
	{
		case PAXOS_HEARTBEAT:
			recv_heartbeat(p, peer, m);
			return true;
		case PAXOS_HEARTBEAT_REPLY:
			recv_heartbeat_reply(p, peer, m);
			return true;
		case PAXOS_PREPARE:
			return recv_prepare(p, peer, m);
		case PAXOS_PROMISE:
			return recv_promise(p, peer, m);
		case PAXOS_PULL:
			return recv_pull(p, peer, m);
		case PAXOS_CHUNK:
			return recv_chunk(p, peer, m);
		case PAXOS_SYNC:
			return recv_sync(p, peer, m);
		case PAXOS_SYNC_PROGRESS:
			return recv_sync_progress(p, peer, m);
		case PAXOS_ACCEPT:
			return recv_accept(p, peer, m);
		case PAXOS_ACCEPTED:
			return recv_accepted(p, peer, m);
		case PAXOS_GAP:
			return recv_gap(p, peer, m);
		case PAXOS_CHOSEN:
			if (m->ballot.node_id != peer->member.node_id)
				return false;
			hear_chosen(p, m->ballot, m->chosen);
			return true;
		case PAXOS_REFUSE:
			return recv_refuse(p, peer, m);
		case PAXOS_FORWARD:
			return recv_forward(p, peer, m);
		case PAXOS_FORWARD_REPLY:
			return recv_forward_reply(p, peer, m);
		case PAXOS_READ_REQUEST:
			return recv_read_request(p, peer, m);
		case PAXOS_READ_REPLY:
			return recv_read_reply(p, peer, m);
		case PAXOS_READ_ROUND:
			return recv_read_round(p, peer, m);
		case PAXOS_READ_ROUND_REPLY:
			return recv_read_round_reply(p, peer, m);
		case PAXOS_FENCE:
			return recv_fence(p, m);
		case PAXOS_REPAIR_ASK:
			return recv_repair_ask(p, peer, m);
		case PAXOS_REPAIR:
			return recv_repair(p, peer, m);
		case PAXOS_TRIMMED:
			return recv_trimmed(p, peer, m);
	}
	return false;
}

/* What no message may claim, whatever its type. */
static bool plausible(const struct paxos *p, const struct peer *peer, const struct paxos_message *m)
{
	if (peer == NULL || peer == &p->peers[p->self] || m->to != p->options.node_id)
		return false;
	if (m->n_entries > PAXOS_MAX_BATCH || m->slot > UINT64_MAX / 2 || m->end > UINT64_MAX / 2 ||
		m->first_slot > UINT64_MAX / 2)
		return false;
	for (uint32_t i = 0; i < m->n_entries; i++)
		if (m->entries[i].length < ENTRY_HEADER_BYTES || m->entries[i].length > PAXOS_MAX_ENTRY_BYTES)
			return false;
	if ((m->type == PAXOS_HEARTBEAT || m->type == PAXOS_HEARTBEAT_REPLY) && !ballot_none(m->ballot) &&
		m->ballot.node_id != peer->member.node_id)
		return false; /* E1: its own, or none */
	return m->ballot.round < UINT64_MAX / 2 && m->followed.round < UINT64_MAX / 2;
}

bool paxos_recv(struct paxos *p, const struct paxos_message *m)
{
	struct peer *peer = find_peer(p, m->from);

	if (p->role == PAXOS_FENCED)
		return true;
	if (!plausible(p, peer, m))
	{
		p->refused++;
		return false;
	}
	if (m->epoch != p->config.epoch || !check_run(p, peer, m))
	{
		p->refused++;
		return true; /* C1: another configuration's, or X1: an earlier run's */
	}
	if (!writes_have_room(p, 1))
		return true; /* the host drains after each input; as if lost */
	peer->heard_ms = p->now_ms;
	if (!dispatch(p, peer, m))
	{
		p->refused++;
		return false;
	}
	advance_chosen(p);
	return true;
}

void paxos_durable(struct paxos *p, uint64_t id)
{
	if (p->role == PAXOS_FENCED)
		return;
	writes_durable(p, id);
	repair_durable(p);
	if (p->n_voters == 1)
		p->progress_ms = p->now_ms;
	phase1_durable(p);
	staging_durable(p);
	advance_chosen(p);
}

void paxos_applied(struct paxos *p, uint64_t slot)
{
	if (slot <= p->applied)
		return;
	p->applied = slot;
	forget_applied_bytes(p);
}

void paxos_set_accepting(struct paxos *p, bool accepting)
{
	p->host_accepting = accepting;
}

/* ---------------------------------------------------------------- outputs */

bool paxos_next_write(struct paxos *p, struct paxos_write *write)
{
	if (p->n_writes == 0)
	{
		p->n_write_entries = 0;
		return false;
	}
	*write = p->writes[p->write_head];
	p->write_head = (p->write_head + 1) % OUTBOX_WRITES;
	p->n_writes--;
	return true;
}

/* Control messages to one peer: small, they may overtake the others. */
static bool next_control(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	if (peer->fence_run != 0)
	{
		m->type = PAXOS_FENCE;
		m->named_run = peer->fence_run;
		peer->fence_run = peer->fence_both ? peer->run_met : 0;
		peer->fence_both = false;
		return true;
	}
	if (peer->owe_heartbeat_reply)
	{
		peer->owe_heartbeat_reply = false;
		send_heartbeat(p, peer, true, m);
		return true;
	}
	if (peer->owe_heartbeat)
	{
		peer->owe_heartbeat = false;
		send_heartbeat(p, peer, false, m);
		return true;
	}
	return send_phase1(p, peer, m) || send_repair_ask(p, peer, m) || send_accepted(p, peer, m) ||
		   send_sync_progress(p, peer, m) || send_trimmed(p, peer, m) || send_reads(p, peer, m) ||
		   send_forward_reply(p, peer, m);
}

static bool next_bulk(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	return send_forward(p, peer, m) || send_accept(p, peer, m) || send_sync(p, peer, m) ||
		   send_chunk(p, peer, m) || send_repair(p, peer, m);
}

/* A message without content yet; the makers fill in their own fields. */
static void begin_message(const struct paxos *p, const struct peer *peer, struct paxos_message *m)
{
	memset(m, 0, sizeof(*m));
	m->from = p->options.node_id;
	m->to = peer->member.node_id;
	m->epoch = p->config.epoch;
	m->run = p->options.run;
}

bool paxos_next_message(struct paxos *p, struct paxos_message *message)
{
	PAXOS_ASSERT(p, p->n_writes == 0); /* entries are read from what the host was handed */
	if (p->role == PAXOS_FENCED)
		return false;
	reader_ask(p); /* R2: after the reads that came in */
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		struct peer *peer = &p->peers[i];

		if (i == p->self || !peer->connected)
			continue;
		begin_message(p, peer, message);
		if (next_control(p, peer, message))
			return true;
		begin_message(p, peer, message);
		if (next_bulk(p, peer, message))
			return true;
	}
	return false;
}

bool paxos_next_event(struct paxos *p, struct paxos_event *event)
{
	struct reader *r = &p->reader;

	PAXOS_ASSERT(p, p->n_writes == 0);
	*event = (struct paxos_event){0};
	if (p->owe_fenced_event)
	{
		p->owe_fenced_event = false;
		event->type = PAXOS_EVENT_FENCED;
		return true;
	}
	if (p->unrecoverable_slot != 0)
	{
		event->type = PAXOS_EVENT_UNRECOVERABLE;
		event->slot = p->unrecoverable_slot;
		p->unrecoverable_slot = 0;
		return true;
	}
	if (table_needed(p) > p->behind_told)
	{
		event->type = PAXOS_EVENT_BEHIND;
		event->slot = p->behind_told = table_needed(p);
		return true;
	}
	if (p->event_chosen < p->chosen)
	{
		event->type = PAXOS_EVENT_CHOSEN;
		event->ok = true;
		event->slot = p->event_chosen = p->chosen;
		return true;
	}
	if (proposer_scan(p, event))
		return true;
	if (r->owe_event)
	{
		r->owe_event = false;
		r->answered_token = r->event_token;
		*event = (struct paxos_event){
			.type = PAXOS_EVENT_READ, .ok = true, .slot = r->event_index, .number = r->event_token};
		return true;
	}
	if (p->owe_role_event)
	{
		p->owe_role_event = false;
		event->type = PAXOS_EVENT_ROLE;
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- status */

static void fill_peer_status(const struct paxos *p, uint32_t i, struct paxos_peer_status *status)
{
	const struct peer *peer = &p->peers[i];
	bool self = i == p->self;

	*status =
		(struct paxos_peer_status){.node_id = peer->member.node_id,
								   .connected = self || peer->connected,
								   .last_heard_ms = self ? p->now_ms : peer->heard_ms,
								   .end = self ? p->durable.end : peer->log.slot,
								   .applied = self ? p->applied : peer->applied,
								   .bytes_behind = peer->follower.flight_bytes,
								   .damaged = self ? p->durable.damage.damaged : peer->damage.damaged,
								   .behind = p->role == PAXOS_LEADER && lacks_trimmed(p, &peer->follower)};
}

void paxos_status(const struct paxos *p, struct paxos_status *status)
{
	*status = (struct paxos_status){.role = p->role,
									.leader_id = p->proposer.usable ? p->proposer.ballot.node_id : 0,
									.quorum = p->quorum_connected,
									.forming_view = !p->round_seen,
									.ballot = is_proposing(p) ? p->own : p->followed,
									.promise = p->durable.promise,
									.accepted = p->durable.accepted,
									.epoch = p->config.epoch,
									.session = p->proposer.session,
									.first_slot = p->first_slot,
									.end = p->end,
									.durable_end = p->durable.end,
									.chosen = p->chosen,
									.applied = p->applied,
									.behind = table_needed(p),
									.damage = p->durable.damage,
									.elections = p->elections,
									.messages_refused = p->refused,
									.round_trip_max_ms = p->round_trip_max_ms,
									.n_peers = p->n_peers};
	if (p->repair.active && p->repair.holes.n > 0)
	{
		status->missing_from = p->repair.holes.at[0].first;
		status->missing_through = p->repair.holes.at[p->repair.holes.n - 1].last;
		status->missing_everywhere = p->repair.nowhere;
	}
	for (uint32_t i = 0; i < p->n_peers; i++)
		fill_peer_status(p, i, &status->peers[i]);
}
