/*
 * formation_world.c - hosts three forming nodes as the worker does, and judges them; see formation_world.h.
 */
#include "formation_world.h"

static bool same(const struct paxos_id *a, const struct paxos_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

struct paxos_id forming_store(uint32_t node_id, uint8_t which)
{
	return (struct paxos_id){{(uint8_t) node_id, (uint8_t) (which + 1)}};
}

/* ---------------------------------------------------------------- what was said */

static bool was_said(const struct forming_world *w, const struct formation_ack *ack)
{
	for (uint32_t i = 0; i < w->n_said; i++)
		if (w->said[i].node_id == ack->node_id && same(&w->said[i].store_id, &ack->store_id) &&
			same(&w->said[i].proposal_hash, &ack->proposal_hash))
			return true;
	return false;
}

/* Beyond what is kept nothing is judged any more. */
static void say(struct forming_world *w, const struct formation_ack *ack)
{
	if (was_said(w, ack))
		return;
	if (w->n_said == FORMING_SAID)
		w->forged = true;
	else
		w->said[w->n_said++] = *ack;
}

void forming_tell_said(const struct forming_world *w, struct formation_message *m,
					   const struct paxos_id *hash)
{
	for (uint32_t i = 0; i < w->n_said && m->n_acks < PAXOS_MAX_MEMBERS; i++)
		if (same(&w->said[i].proposal_hash, hash))
			m->acks[m->n_acks++] = w->said[i];
}

/* The liar's word about itself is its word; what it says in another's name must be that one's. */
static void hear_liar(struct forming_world *w, const struct formation_message *m)
{
	for (uint32_t i = 0; i < m->n_acks && i < PAXOS_MAX_MEMBERS; i++)
		if (m->acks[i].node_id == w->liar)
			say(w, &m->acks[i]);
		else if (!was_said(w, &m->acks[i]))
			w->forged = true;
}

/* ---------------------------------------------------------------- what must hold */

static bool honest(const struct forming_world *w, const struct former *n)
{
	return n->options.node_id != w->liar || !w->lied;
}

/* F3: once its word is durable, a store has no other. */
static void check_bound(struct forming_world *w, struct former *n)
{
	struct formation_ack own = {.node_id = n->options.node_id, .store_id = n->options.store_id};

	MUST(n->f.have_proposal || !n->bound);
	if (!n->f.have_proposal)
		return;
	/* F5: to no other table than its own, which here is empty */
	MUST(base_same(&n->f.proposal.base, &n->f.base));
	own.proposal_hash = config_hash(&n->f.proposal);
	MUST(!n->bound || same(&n->bound_to, &own.proposal_hash));
	n->bound = true;
	n->bound_to = own.proposal_hash;
	say(w, &own);
}

/* F2: two clusters have no honest store in common. */
static void check_apart(const struct forming_world *w, const struct paxos_config *a,
						const struct paxos_config *b)
{
	for (uint32_t i = 0; i < a->n_members; i++)
	{
		int at = config_find(b, a->members[i].node_id);

		if (at >= 0 && (a->members[i].node_id != w->liar || !w->lied))
			MUST(!same(&a->members[i].store_id, &b->members[at].store_id));
	}
}

/*
 * In what they say; a lie may have left bytes behind its last member, which no decoder gives and no blob keeps.
 */
static bool same_config(const struct paxos_config *a, const struct paxos_config *b)
{
	struct paxos_id hash_a = config_hash(a), hash_b = config_hash(b);

	return same(&hash_a, &hash_b);
}

static void check_cluster(struct forming_world *w, const struct paxos_config *config)
{
	struct paxos_id hash = config_hash(config);

	/* F4: who has another list never acknowledges, unless it is the one that lies */
	MUST(!w->lists_differ || (w->lied && w->liar == FORMERS));
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		struct formation_ack ack = {.node_id = config->members[i].node_id,
									.store_id = config->members[i].store_id,
									.proposal_hash = hash};

		MUST(was_said(w, &ack));
	}
	for (uint32_t i = 0; i < w->n_clusters; i++)
	{
		if (same_config(&w->clusters[i], config))
			return;
		check_apart(w, &w->clusters[i], config);
	}
	if (w->n_clusters < FORMING_CLUSTERS)
		w->clusters[w->n_clusters++] = *config;
}

static void check_activated(struct forming_world *w, struct former *n)
{
	const struct paxos_config *config = formation_activated(&n->f);
	int at;

	MUST(config != NULL || !n->activated);
	if (config == NULL)
		return;
	MUST(config_valid(config));
	at = config_find(config, n->options.node_id);
	MUST(at >= 0 && same(&config->members[at].store_id, &n->options.store_id));
	if (n->activated)
		MUST(same_config(config, &n->config));
	else if (!w->forged && honest(w, n))
		check_cluster(w, config);
	n->activated = true;
	n->config = *config;
}

/* F1: only whose id another store has in the cluster. */
static void check_outsider(const struct forming_world *w, const struct former *n)
{
	bool right = false;

	for (uint32_t i = 0; i < w->n_clusters; i++)
	{
		int at = config_find(&w->clusters[i], n->options.node_id);

		right |= at >= 0 && !same(&w->clusters[i].members[at].store_id, &n->options.store_id);
	}
	MUST(right);
}

static void check_node(struct forming_world *w, struct former *n)
{
	check_activated(w, n);
	if (n->f.state == FORMATION_OUTSIDER && !w->lied)
		check_outsider(w, n);
}

static void check_message(const struct forming_world *w, const struct former *n,
						  const struct formation_message *m)
{
	MUST(m->from == n->options.node_id && m->to != m->from);
	MUST(same(&m->store_id, &n->options.store_id));
	MUST(m->activated == (formation_activated(&n->f) != NULL));
	MUST(m->type != FORMATION_ACTIVE || m->activated);
	for (uint32_t i = 0; i < m->n_acks && !w->forged; i++)
		MUST(was_said(w, &m->acks[i]));
}

/* ---------------------------------------------------------------- hosting */

/* Before this a crash forgets; after it nothing may be forgotten. */
static void write_blob(struct former *n)
{
	struct formation_message message;

	if (!formation_dirty(&n->f))
		return;
	MUST(!formation_next_message(&n->f, &message));
	n->blob_length = formation_blob(&n->f, n->blob);
	MUST(n->blob_length > 0 && n->blob_length <= FORMATION_BLOB_MAX);
	formation_durable(&n->f);
}

/* Lost where too many are under way. */
static void send(struct forming_world *w, const struct formation_message *message)
{
	for (uint8_t i = 0; i < FORMING_QUEUE && w->n_queue < FORMING_QUEUE; i++)
		if (!w->used[i])
		{
			w->used[i] = true;
			w->messages[i] = *message;
			w->queue[w->n_queue++] = i;
			return;
		}
}

static void pump(struct forming_world *w, struct former *n)
{
	struct formation_message message;
	uint32_t count = 0;

	write_blob(n);
	check_bound(w, n);
	while (formation_next_message(&n->f, &message))
	{
		MUST(++count < 100);
		check_message(w, n, &message);
		send(w, &message);
	}
	check_node(w, n);
}

void forming_restart(struct forming_world *w, struct former *n)
{
	MUST(formation_init(&n->f, &n->options, n->blob, n->blob_length, w->now_ms));
	pump(w, n);
}

void forming_wipe(struct forming_world *w, struct former *n)
{
	w->wiped = true;
	n->options.store_id = forming_store(n->options.node_id, ++n->stores);
	n->options.new_cluster_id.bytes[2] = n->stores;
	n->blob_length = 0;
	n->bound = n->activated = false;
	forming_restart(w, n);
}

void forming_tick(struct forming_world *w, struct former *n)
{
	formation_tick(&n->f, w->now_ms);
	pump(w, n);
}

void forming_give(struct forming_world *w, const struct formation_message *m, bool crash)
{
	struct former *n = m->to >= 1 && m->to <= FORMERS ? &w->nodes[m->to - 1] : NULL;
	bool taken;

	if (n == NULL)
		return;
	if (m->from == w->liar)
		hear_liar(w, m);
	taken = formation_recv(&n->f, m);
	/* "impossible" is said of no honest message */
	MUST(taken || w->lied);
	if (crash)
		forming_restart(w, n);
	else
		pump(w, n);
}

static uint8_t take_out(struct forming_world *w, uint32_t at)
{
	uint8_t place = w->queue[at % w->n_queue];

	for (uint32_t i = at % w->n_queue; i + 1 < w->n_queue; i++)
		w->queue[i] = w->queue[i + 1];
	w->n_queue--;
	return place;
}

void forming_drop(struct forming_world *w, uint32_t at)
{
	if (w->n_queue > 0)
		w->used[take_out(w, at)] = false;
}

void forming_deliver(struct forming_world *w, uint32_t at, bool keep, bool crash)
{
	uint8_t place;

	if (w->n_queue == 0)
		return;
	place = keep ? w->queue[at % w->n_queue] : take_out(w, at);
	forming_give(w, &w->messages[place], crash);
	if (!keep)
		w->used[place] = false;
}

void forming_round(struct forming_world *w)
{
	w->now_ms += FORMING_RETRY_MS;
	for (uint32_t i = 0; i < FORMERS; i++)
		forming_tick(w, &w->nodes[i]);
	for (uint32_t n = w->n_queue; n > 0; n--)
		forming_deliver(w, 0, false, false);
}

/* ---------------------------------------------------------------- beginning and end */

void forming_begin(struct forming_world *w, uint32_t liar, bool lists_differ)
{
	w->n_queue = w->n_said = w->n_clusters = 0;
	memset(w->used, 0, sizeof(w->used));
	w->now_ms = 1;
	w->liar = liar;
	w->lists_differ = lists_differ;
	w->lied = w->forged = w->wiped = false;
	for (uint32_t i = 0; i < FORMERS; i++)
	{
		struct former *n = &w->nodes[i];
		struct formation_options *o = &n->options;

		n->stores = 0;
		n->blob_length = 0;
		n->bound = n->activated = false;
		*o = (struct formation_options){.node_id = i + 1,
										.store_id = forming_store(i + 1, 0),
										.new_cluster_id = {{9, (uint8_t) (i + 1)}},
										.cluster_name = "fuzz",
										.n_peers = FORMERS,
										.retry_ms = FORMING_RETRY_MS};
		for (uint32_t k = 0; k < FORMERS; k++)
			o->peers[k] = (struct formation_peer){k + 1, {'h', (char) ('1' + k), ':', '1'}};
		if (lists_differ && i == FORMERS - 1)
			o->peers[1].address[3] = '2';
		forming_restart(w, n);
	}
}

void forming_end(struct forming_world *w)
{
	if (w->lied || w->wiped || w->lists_differ)
		return;
	for (int i = 0; i < 10; i++)
		forming_round(w);
	for (uint32_t i = 0; i < FORMERS; i++)
		MUST(w->nodes[i].activated);
}
