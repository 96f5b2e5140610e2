/*
 * formation.c - PROTOCOL F: one node's part in forming a cluster.
 *
 * A node's durable word is its acknowledgement of one proposal, and the acknowledgements it collected for
 * that (F3).  All else is volatile and repeated by those who say it until it isn't needed any more.  While
 * that word changed and is not durable yet (dirty), nothing is sent.
 */
#include "paxos/formation.h"

#include <string.h>

#include "paxos/bytes.h"

#define BLOB_VERSION 1
#define BLOB_ACK_BYTES (4 + 16)

_Static_assert(3 + CONFIG_BYTES_MAX + 1 + PAXOS_MAX_MEMBERS * BLOB_ACK_BYTES <= FORMATION_BLOB_MAX,
			   "the largest configuration and all acknowledgements of it fit");

/* A peer not heard for that many retries is not there: it repeats itself until it is activated. */
#define HEARD_RETRIES 4

/* ---------------------------------------------------------------- small questions */

static bool same_id(const struct paxos_id *a, const struct paxos_id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool id_is_none(const struct paxos_id *id)
{
	static const struct paxos_id none;

	return same_id(id, &none);
}

/* The place in options.peers, or -1. */
static int find_peer(const struct formation *f, uint32_t node_id)
{
	for (uint32_t i = 0; i < f->options.n_peers; i++)
	{
		if (f->options.peers[i].node_id == node_id)
			return (int) i;
	}
	return -1;
}

/* A list as it must be: by rising id, addresses terminated, that node in it. */
static bool list_valid(const struct formation_peer *peers, uint32_t n_peers, uint32_t node_id)
{
	uint32_t last = 0;
	bool found = false;

	if (n_peers > PAXOS_MAX_MEMBERS)
		return false;
	for (uint32_t i = 0; i < n_peers; i++)
	{
		if (peers[i].node_id <= last || memchr(peers[i].address, '\0', sizeof(peers[i].address)) == NULL)
			return false;
		last = peers[i].node_id;
		found = found || last == node_id;
	}
	return found;
}

static bool lists_equal(const struct formation_peer *a, uint32_t n_a, const struct formation_peer *b,
						uint32_t n_b)
{
	if (n_a != n_b)
		return false;
	for (uint32_t i = 0; i < n_a; i++)
	{
		if (a[i].node_id != b[i].node_id || strcmp(a[i].address, b[i].address) != 0)
			return false;
	}
	return true;
}

/* A configuration's members as a list of peers. */
static uint32_t list_of(const struct paxos_config *config, struct formation_peer peers[PAXOS_MAX_MEMBERS])
{
	memset(peers, 0, PAXOS_MAX_MEMBERS * sizeof(peers[0]));
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		peers[i].node_id = config->members[i].node_id;
		memcpy(peers[i].address, config->members[i].address, sizeof(peers[i].address));
	}
	return config->n_members;
}

/* F1: whether the pair is one of the configuration's. */
static bool is_member(const struct paxos_config *config, uint32_t node_id, const struct paxos_id *store_id)
{
	int place = config_find(config, node_id);

	return place >= 0 && same_id(&config->members[place].store_id, store_id);
}

static bool holds_ack(const struct formation_ack *acks, uint32_t n_acks, uint32_t node_id,
					  const struct paxos_id *store_id, const struct paxos_id *hash)
{
	for (uint32_t i = 0; i < n_acks; i++)
	{
		if (acks[i].node_id == node_id && same_id(&acks[i].store_id, store_id) &&
			same_id(&acks[i].proposal_hash, hash))
			return true;
	}
	return false;
}

/* ---------------------------------------------------------------- the durable word */

/* What is new is to be told to all. */
static void send_to_all(struct formation *f)
{
	for (uint32_t i = 0; i < f->options.n_peers; i++)
		f->peers[i].next_send_ms = f->now_ms;
}

/* F3: holds an acknowledgement for good.  Only of the own proposal, by its members. */
static void add_ack(struct formation *f, const struct formation_ack *ack)
{
	if (!same_id(&ack->proposal_hash, &f->proposal_hash) ||
		!is_member(&f->proposal, ack->node_id, &ack->store_id) ||
		holds_ack(f->acks, f->n_acks, ack->node_id, &ack->store_id, &f->proposal_hash))
		return;
	f->acks[f->n_acks++] = *ack;
	f->dirty = true;
	send_to_all(f);
}

/* F3: who holds all acknowledgements activates, and tells those that may not know. */
static void activate_if_all(struct formation *f)
{
	if (f->state != FORMATION_PROPOSED || f->n_acks < f->proposal.n_members)
		return;
	f->state = FORMATION_ACTIVATED;
	for (uint32_t i = 0; i < f->options.n_peers; i++)
	{
		f->peers[i].owe_reply = !f->peers[i].activated;
		if (f->peers[i].trouble != FORMATION_OTHER_STORE)
			f->peers[i].trouble = FORMATION_FINE;
	}
}

static void take_acks(struct formation *f, const struct formation_message *m)
{
	for (uint32_t i = 0; i < m->n_acks; i++)
		add_ack(f, &m->acks[i]);
	activate_if_all(f);
}

/* F2, F3: acknowledges a proposal; the only place where one becomes this node's. */
static void acknowledge(struct formation *f, const struct paxos_config *proposal)
{
	struct formation_ack own = {.node_id = f->options.node_id, .store_id = f->options.store_id};

	f->have_proposal = true;
	f->proposal = *proposal;
	f->proposal_hash = config_hash(proposal);
	f->state = FORMATION_PROPOSED;
	own.proposal_hash = f->proposal_hash;
	add_ack(f, &own);
}

uint32_t formation_blob(const struct formation *f, uint8_t blob[FORMATION_BLOB_MAX])
{
	uint32_t config_length = 0;
	uint8_t *at;

	if (f->have_proposal)
		config_length = config_encode(&f->proposal, blob + 3, FORMATION_BLOB_MAX - 3);
	blob[0] = BLOB_VERSION;
	put_u16(blob + 1, (uint16_t) config_length);
	at = blob + 3 + config_length;
	*at++ = (uint8_t) f->n_acks;
	for (uint32_t i = 0; i < f->n_acks; i++, at += BLOB_ACK_BYTES)
	{
		put_u32(at, f->acks[i].node_id);
		memcpy(at + 4, f->acks[i].store_id.bytes, 16);
	}
	return (uint32_t) (at - blob);
}

/* Reads proposal and acknowledgements. */
static bool read_blob(struct formation *f, const uint8_t *blob, uint32_t length)
{
	uint32_t config_length, n_acks;
	const uint8_t *at;

	if (length < 4 || blob[0] != BLOB_VERSION)
		return false;
	config_length = get_u16(blob + 1);
	if (length - 4 < config_length)
		return false;
	at = blob + 3 + config_length;
	n_acks = *at++;
	if (length - 4 - config_length != n_acks * BLOB_ACK_BYTES)
		return false;
	if (config_length == 0)
		return n_acks == 0;
	if (!config_decode(&f->proposal, blob + 3, config_length))
		return false;
	f->have_proposal = true;
	f->proposal_hash = config_hash(&f->proposal);
	for (uint32_t i = 0; i < n_acks; i++, at += BLOB_ACK_BYTES)
	{
		struct formation_ack ack = {.node_id = get_u32(at), .proposal_hash = f->proposal_hash};

		memcpy(ack.store_id.bytes, at + 4, 16);
		add_ack(f, &ack);
	}
	f->dirty = false;
	return f->n_acks == n_acks;
}

/* ---------------------------------------------------------------- beginning */

/* Whether paxoskv.peers names other nodes than the configuration (F4). */
static bool peers_differ(const struct formation_options *options, const struct paxos_config *config)
{
	if (options->n_peers == 0)
		return false;
	if (options->n_peers != config->n_members)
		return true;
	for (uint32_t i = 0; i < options->n_peers; i++)
	{
		if (options->peers[i].node_id != config->members[i].node_id)
			return true;
	}
	return false;
}

/* Takes up what was acknowledged before: its members are the peers, whatever paxoskv.peers says (F4). */
static void resume(struct formation *f, const struct formation_options *options)
{
	f->peers_mismatch = peers_differ(options, &f->proposal);
	f->options.n_peers = list_of(&f->proposal, f->options.peers);
	if (!holds_ack(f->acks, f->n_acks, options->node_id, &options->store_id, &f->proposal_hash))
		f->state = FORMATION_OUTSIDER;
	else if (f->n_acks == f->proposal.n_members)
		f->state = FORMATION_ACTIVATED;
	else
		f->state = FORMATION_PROPOSED;
}

bool formation_init(struct formation *f, const struct formation_options *options, const uint8_t *blob,
					uint32_t blob_length, uint64_t now_ms)
{
	memset(f, 0, sizeof(*f));
	f->options = *options;
	if (f->options.retry_ms == 0)
		f->options.retry_ms = 1;
	f->now_ms = now_ms;
	f->state = FORMATION_WAITING;
	f->base_known = true;
	if (blob_length > 0 && !read_blob(f, blob, blob_length))
		return false;
	if (f->have_proposal)
		resume(f, options);
	else if (options->n_peers == 0)
	{
		f->options.n_peers = 1;
		f->options.peers[0] = (struct formation_peer){.node_id = options->node_id};
	}
	else if (!list_valid(options->peers, options->n_peers, options->node_id))
		return false;
	for (uint32_t i = 0; i < f->options.n_peers; i++)
	{
		bool self = f->options.peers[i].node_id == options->node_id;

		/* Activated ones have nothing to say any more. */
		f->peers[i].trouble = self || f->state == FORMATION_ACTIVATED ? FORMATION_FINE : FORMATION_NOT_HEARD;
		f->peers[i].next_send_ms = now_ms;
	}
	return true;
}

/* ---------------------------------------------------------------- proposing */

static void propose(struct formation *f)
{
	struct paxos_config proposal = {
		.epoch = 1,
		.cluster_id = f->options.new_cluster_id,
		.request_ids_kept = FORMATION_REQUEST_IDS_KEPT,
		.n_members = f->options.n_peers,
		.base = f->base,
	};

	for (uint32_t i = 0; i < f->options.n_peers; i++)
	{
		struct paxos_member *member = &proposal.members[i];
		bool self = f->options.peers[i].node_id == f->options.node_id;

		member->node_id = f->options.peers[i].node_id;
		member->store_id = self ? f->options.store_id : f->peers[i].store_id;
		member->features = self ? f->options.features : f->peers[i].features;
		memcpy(member->address, f->options.peers[i].address, sizeof(member->address));
	}
	acknowledge(f, &proposal);
	activate_if_all(f);
}

/* F2: the lowest id proposes when every peer is there, has the same list and is not activated. */
static void propose_if_ready(struct formation *f)
{
	if (f->state != FORMATION_WAITING || !f->base_known || f->options.peers[0].node_id != f->options.node_id)
		return;
	if (f->options.n_peers == 1 && !f->first_command)
		return;
	for (uint32_t i = 1; i < f->options.n_peers; i++)
	{
		if (!f->peers[i].heard || f->peers[i].activated || f->peers[i].trouble != FORMATION_FINE)
			return;
	}
	propose(f);
}

void formation_first_command(struct formation *f)
{
	f->first_command = true;
	propose_if_ready(f);
}

/* F5: judges what peer i said of its table, where nothing worse is known of it. */
static void judge_base(struct formation *f, uint32_t i)
{
	enum formation_trouble *trouble = &f->peers[i].trouble;

	if (*trouble != FORMATION_FINE && *trouble != FORMATION_NOT_READY && *trouble != FORMATION_BASES_DIFFER)
		return;
	*trouble = FORMATION_FINE;
	if (f->peers[i].not_ready)
		*trouble = FORMATION_NOT_READY;
	else if (f->base_known && !base_same(&f->peers[i].base, &f->base))
		*trouble = FORMATION_BASES_DIFFER;
}

void formation_set_base(struct formation *f, const struct paxos_base *base)
{
	f->base_known = base != NULL;
	f->base = base != NULL ? *base : (struct paxos_base){0};
	for (uint32_t i = 0; i < f->options.n_peers && f->state == FORMATION_WAITING; i++)
		if (f->peers[i].heard)
			judge_base(f, i);
	propose_if_ready(f);
}

void formation_tick(struct formation *f, uint64_t now_ms)
{
	uint64_t patience_ms = (uint64_t) HEARD_RETRIES * f->options.retry_ms;

	f->now_ms = now_ms;
	for (uint32_t i = 0; i < f->options.n_peers && f->state < FORMATION_ACTIVATED; i++)
	{
		if (!f->peers[i].heard || now_ms - f->peers[i].heard_ms <= patience_ms)
			continue;
		f->peers[i].heard = false;
		if (f->peers[i].trouble == FORMATION_FINE || f->peers[i].trouble == FORMATION_NOT_READY ||
			f->peers[i].trouble == FORMATION_BASES_DIFFER)
			f->peers[i].trouble = FORMATION_NOT_HEARD;
	}
	propose_if_ready(f);
}

uint64_t formation_next_deadline(const struct formation *f)
{
	uint64_t deadline = UINT64_MAX;

	if (f->state >= FORMATION_ACTIVATED)
		return deadline;
	for (uint32_t i = 0; i < f->options.n_peers; i++)
	{
		if (f->options.peers[i].node_id != f->options.node_id && f->peers[i].next_send_ms < deadline)
			deadline = f->peers[i].next_send_ms;
	}
	return deadline;
}

/* ---------------------------------------------------------------- messages that come */

/* What every message tells of its sender, peer i. */
static void note_sender(struct formation *f, int i, const struct formation_message *m)
{
	bool new_store = !same_id(&f->peers[i].store_id, &m->store_id);

	/* A wiped peer is another one: nothing that its predecessor said holds. */
	if (new_store)
	{
		f->peers[i].trouble = FORMATION_FINE;
		f->peers[i].n_their_peers = 0;
		f->peers[i].features = 0;
	}
	if (f->peers[i].trouble == FORMATION_NOT_HEARD)
		f->peers[i].trouble = FORMATION_FINE;
	f->peers[i].heard = true;
	f->peers[i].heard_ms = f->now_ms;
	f->peers[i].store_id = m->store_id;
	f->peers[i].activated = m->activated;
	if (f->have_proposal && !is_member(&f->proposal, m->from, &m->store_id))
		f->peers[i].trouble = FORMATION_OTHER_STORE;
}

/* F4: judges the list of peer i, from its HELLO or its proposal.  Whether it is this node's. */
static bool judge_list(struct formation *f, int i, const struct formation_peer *peers, uint32_t n_peers)
{
	enum formation_trouble *trouble = &f->peers[i].trouble;
	bool equal = lists_equal(f->options.peers, f->options.n_peers, peers, n_peers);

	if (!equal && (*trouble == FORMATION_FINE || *trouble == FORMATION_LISTS_DIFFER ||
				   *trouble == FORMATION_NOT_READY || *trouble == FORMATION_BASES_DIFFER))
	{
		*trouble = FORMATION_LISTS_DIFFER;
		f->peers[i].n_their_peers = n_peers;
		memcpy(f->peers[i].their_peers, peers, n_peers * sizeof(peers[0]));
	}
	if (equal && *trouble == FORMATION_LISTS_DIFFER)
	{
		*trouble = FORMATION_FINE;
		f->peers[i].n_their_peers = 0;
	}
	return equal;
}

static bool recv_hello(struct formation *f, int i, bool first, const struct formation_message *m)
{
	if (!list_valid(m->peers, m->n_peers, m->from))
		return false;
	if (!base_valid(&m->base))
		return false;
	f->peers[i].features = m->features;
	f->peers[i].not_ready = m->not_ready;
	f->peers[i].base = m->base;
	/* After activation paxoskv.peers means nothing any more (F4). */
	if (f->state != FORMATION_ACTIVATED)
		judge_list(f, i, m->peers, m->n_peers);
	if (f->state == FORMATION_WAITING)
		judge_base(f, (uint32_t) i);
	/* Who waits is answered with what it can't know; another HELLO only once, or two would never stop. */
	if (f->state != FORMATION_WAITING || first)
		f->peers[i].owe_reply = true;
	return true;
}

/* F2, F3. */
static bool recv_proposal(struct formation *f, int i, const struct formation_message *m)
{
	const struct paxos_config *proposal = &m->proposal;
	struct formation_peer list[PAXOS_MAX_MEMBERS];
	struct paxos_id hash;

	if (!config_valid(proposal) || proposal->epoch != 1 || proposal->members[0].node_id != m->from ||
		!same_id(&proposal->members[0].store_id, &m->store_id))
		return false;
	hash = config_hash(proposal);
	/* The proposer's own acknowledgement is durable before it proposes. */
	if (!holds_ack(m->acks, m->n_acks, m->from, &m->store_id, &hash))
		return false;
	if (f->have_proposal)
	{
		if (same_id(&hash, &f->proposal_hash))
			take_acks(f, m);
		else
		{
			/* Never a second one (F3); the proposer gets to know why. */
			if (f->peers[i].trouble != FORMATION_OTHER_STORE)
				f->peers[i].trouble = FORMATION_ACKNOWLEDGED_ANOTHER;
			f->peers[i].owe_reply = true;
		}
		return true;
	}
	if (!judge_list(f, i, list, list_of(proposal, list)))
		return true;
	if (!is_member(proposal, f->options.node_id, &f->options.store_id))
	{
		f->peers[i].trouble = FORMATION_OTHER_STORE;
		return true;
	}
	/* F5: what the others would begin with is not what this one has; or it can't tell yet, and waits */
	if (!f->base_known)
		return true;
	if (!base_same(&proposal->base, &f->base))
	{
		f->peers[i].base = proposal->base;
		f->peers[i].trouble = FORMATION_BASES_DIFFER;
		return true;
	}
	acknowledge(f, proposal);
	take_acks(f, m);
	return true;
}

static bool recv_ack(struct formation *f, int i, const struct formation_message *m)
{
	const struct formation_ack *own = NULL;
	bool another;

	for (uint32_t k = 0; k < m->n_acks; k++)
	{
		if (m->acks[k].node_id == m->from && same_id(&m->acks[k].store_id, &m->store_id))
			own = &m->acks[k];
	}
	if (own == NULL)
		return false;
	if (f->have_proposal)
		take_acks(f, m);
	/*
	 * The sender is bound to a proposal that isn't this node's; nor can one be that this node, the lowest id,
	 * doesn't know of: it was made by a store that is gone.  Else its list and its table were this node's after all.
	 */
	if (f->have_proposal)
		another = !same_id(&own->proposal_hash, &f->proposal_hash);
	else
		another = f->options.peers[0].node_id == f->options.node_id;
	if (another && f->peers[i].trouble != FORMATION_OTHER_STORE)
		f->peers[i].trouble = FORMATION_ACKNOWLEDGED_ANOTHER;
	else if (!another &&
			 (f->peers[i].trouble == FORMATION_LISTS_DIFFER || f->peers[i].trouble == FORMATION_NOT_READY ||
			  f->peers[i].trouble == FORMATION_BASES_DIFFER))
		f->peers[i].trouble = FORMATION_FINE;
	return true;
}

/* F1, F3: the sender's cluster is formed.  Is this node one of it? */
static bool recv_active(struct formation *f, int i, const struct formation_message *m)
{
	const struct paxos_config *config = &m->proposal;
	struct paxos_id hash;

	if (!config_valid(config))
		return false;
	hash = config_hash(config);
	for (uint32_t k = 0; k < config->n_members; k++)
	{
		const struct paxos_member *member = &config->members[k];

		if (!holds_ack(m->acks, m->n_acks, member->node_id, &member->store_id, &hash))
			return false;
	}
	if (f->have_proposal && same_id(&hash, &f->proposal_hash))
		take_acks(f, m);
	else if (f->state == FORMATION_ACTIVATED || config_find(config, f->options.node_id) < 0)
		f->peers[i].trouble = FORMATION_OTHER_CLUSTER;
	else
	{
		/*
		 * Another store under this node's id; or this very one, which then has forgotten its acknowledgement
		 * and who knows what else: a disk rolled back.  Neither may vote.
		 */
		f->state = FORMATION_OUTSIDER;
	}
	return true;
}

static bool dispatch(struct formation *f, int i, bool first, const struct formation_message *m)
{
	switch (m->type)
	{
		case FORMATION_HELLO:
			return recv_hello(f, i, first, m);
		case FORMATION_PROPOSAL:
			return recv_proposal(f, i, m);
		case FORMATION_ACK:
			return recv_ack(f, i, m);
		case FORMATION_ACTIVE:
			return recv_active(f, i, m);
	}
	return false;
}

bool formation_recv(struct formation *f, const struct formation_message *m)
{
	int i;
	bool first;

	if (m->to != f->options.node_id || m->from == f->options.node_id || id_is_none(&m->store_id) ||
		m->n_acks > PAXOS_MAX_MEMBERS)
		return false;
	i = find_peer(f, m->from);
	if (i < 0 || f->state == FORMATION_OUTSIDER)
		return true;
	first = !f->peers[i].heard || !same_id(&f->peers[i].store_id, &m->store_id);
	note_sender(f, i, m);
	if (!dispatch(f, i, first, m))
		return false;
	/* F3: an activated one hands what it holds to every member that lacks it, whatever that came to say. */
	if (f->state == FORMATION_ACTIVATED && !m->activated)
		f->peers[i].owe_reply = true;
	propose_if_ready(f);
	return true;
}

/* ---------------------------------------------------------------- messages that go */

static enum formation_message_type message_type(const struct formation *f)
{
	if (f->state == FORMATION_ACTIVATED)
		return FORMATION_ACTIVE;
	if (f->state == FORMATION_WAITING)
		return FORMATION_HELLO;
	return f->proposal.members[0].node_id == f->options.node_id ? FORMATION_PROPOSAL : FORMATION_ACK;
}

static void make_message(const struct formation *f, int i, struct formation_message *m)
{
	memset(m, 0, sizeof(*m));
	m->type = message_type(f);
	m->from = f->options.node_id;
	m->to = f->options.peers[i].node_id;
	m->store_id = f->options.store_id;
	m->activated = f->state == FORMATION_ACTIVATED;
	if (m->type == FORMATION_HELLO)
	{
		m->features = f->options.features;
		m->not_ready = !f->base_known;
		m->base = f->base;
		m->n_peers = f->options.n_peers;
		memcpy(m->peers, f->options.peers, sizeof(m->peers));
		return;
	}
	if (m->type != FORMATION_ACK)
		m->proposal = f->proposal;
	m->n_acks = f->n_acks;
	memcpy(m->acks, f->acks, sizeof(m->acks));
}

bool formation_next_message(struct formation *f, struct formation_message *message)
{
	if (f->dirty || f->state == FORMATION_OUTSIDER)
		return false;
	for (uint32_t i = 0; i < f->options.n_peers; i++)
	{
		bool due = f->state != FORMATION_ACTIVATED && f->peers[i].next_send_ms <= f->now_ms;

		if (f->options.peers[i].node_id == f->options.node_id || !(due || f->peers[i].owe_reply))
			continue;
		f->peers[i].owe_reply = false;
		f->peers[i].next_send_ms = f->now_ms + f->options.retry_ms;
		make_message(f, (int) i, message);
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- what the host asks */

bool formation_dirty(const struct formation *f)
{
	return f->dirty;
}

void formation_durable(struct formation *f)
{
	f->dirty = false;
}

const struct paxos_config *formation_activated(const struct formation *f)
{
	return f->state == FORMATION_ACTIVATED && !f->dirty ? &f->proposal : NULL;
}

bool formation_peers_mismatch(const struct formation *f)
{
	return f->peers_mismatch;
}

bool formation_wiping_helps(const struct formation *f)
{
	bool stuck = false;

	if (f->state >= FORMATION_ACTIVATED)
		return false;
	for (uint32_t i = 0; i < f->options.n_peers; i++)
	{
		if (f->options.peers[i].node_id == f->options.node_id)
			continue;
		if (!f->peers[i].heard || f->peers[i].activated)
			return false;
		stuck = stuck || f->peers[i].trouble == FORMATION_OTHER_STORE ||
				f->peers[i].trouble == FORMATION_ACKNOWLEDGED_ANOTHER;
	}
	return stuck;
}
