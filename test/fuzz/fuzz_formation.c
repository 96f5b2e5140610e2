/*
 * fuzz_formation.c - how a cluster comes into being, beside one that lies: three real nodes form, messages of the
 * third are altered or made up, nodes restart from their blobs.
 *
 * Nothing may be read or written outside; what is activated is a configuration that can be one, is never another
 * later, also after a restart, and names the node itself; nothing is sent while the blob is not written.  As
 * long as nobody lied, whoever is activated is so in one cluster.
 */
#include "fuzz.h"
#include "paxos/formation.h"

#define NODES 3
#define LIAR 2 /* index */
#define QUEUE 32

struct forming
{
	struct formation_options options;
	struct formation f;
	uint8_t blob[FORMATION_BLOB_MAX]; /* durable */
	uint32_t blob_length;
	bool activated;
	struct paxos_config config;
	uint64_t now_ms;
};

static struct forming nodes[NODES];
static struct formation_message queue[QUEUE];
static uint32_t n_queue;
static bool lied;

static void check_activated(struct forming *n)
{
	const struct paxos_config *config = formation_activated(&n->f);
	int at;

	MUST(config != NULL || !n->activated);
	if (config == NULL)
		return;
	MUST(config_valid(config));
	at = config_find(config, n->options.node_id);
	MUST(at >= 0 && memcmp(&config->members[at].store_id, &n->options.store_id, 16) == 0);
	if (n->activated)
		MUST(memcmp(config, &n->config, sizeof(*config)) == 0);
	n->activated = true;
	n->config = *config;
	for (int i = 0; i < NODES && !lied; i++)
		if (nodes[i].activated)
			MUST(memcmp(&nodes[i].config.cluster_id, &n->config.cluster_id, 16) == 0);
}

/* Before this a crash forgets; after it nothing may be forgotten. */
static void write_blob(struct forming *n)
{
	if (!formation_dirty(&n->f))
		return;
	n->blob_length = formation_blob(&n->f, n->blob);
	MUST(n->blob_length > 0 && n->blob_length <= FORMATION_BLOB_MAX);
	formation_durable(&n->f);
}

static void pump(struct forming *n, bool crash)
{
	struct formation_message message;
	uint32_t count = 0;

	if (formation_dirty(&n->f))
		MUST(!formation_next_message(&n->f, &message));
	if (crash)
		return;
	write_blob(n);
	while (formation_next_message(&n->f, &message))
	{
		MUST(++count < 100);
		MUST(message.from == n->options.node_id && message.to != message.from);
		if (n_queue < QUEUE)
			queue[n_queue++] = message;
	}
	check_activated(n);
}

static void begin(struct forming *n)
{
	MUST(formation_init(&n->f, &n->options, n->blob, n->blob_length, n->now_ms));
	pump(n, false);
}

static struct forming *node_of(uint32_t id)
{
	return id >= 1 && id <= NODES ? &nodes[id - 1] : NULL;
}

static void give(struct formation_message *m, bool crash)
{
	struct forming *n = node_of(m->to);

	if (n == NULL)
		return;
	formation_recv(&n->f, m);
	pump(n, crash);
	if (crash)
		begin(n);
}

static void make_id(struct paxos_id *id, struct input *in)
{
	memset(id, 0, sizeof(*id));
	id->bytes[0] = take_u8(in) % 8;
}

static void alter_config(struct paxos_config *c, struct input *in)
{
	uint8_t what = take_u8(in);
	uint32_t i = take_below(in, PAXOS_MAX_MEMBERS);

	if (what % 8 == 0)
		*c = nodes[take_below(in, NODES)].f.proposal;
	else if (what % 8 == 1)
		c->n_members = what / 8;
	else if (what % 8 == 2)
		c->epoch = take_u8(in) % 3;
	else if (what % 8 == 3)
		make_id(&c->cluster_id, in);
	else if (what % 8 == 4)
		c->members[i].node_id = take_u8(in) % 6;
	else if (what % 8 == 5)
		make_id(&c->members[i].store_id, in);
	else if (what % 8 == 6)
		memset(c->members[i].address, 'a', sizeof(c->members[i].address) - (what / 8 & 1));
	else
		c->members[i].learner = !c->members[i].learner;
}

static void alter_acks(struct formation_message *m, struct input *in)
{
	uint32_t i = take_below(in, PAXOS_MAX_MEMBERS);
	uint8_t what = take_u8(in);

	if (what % 4 == 0)
		m->n_acks = what / 4 % 16;
	else if (what % 4 == 1)
		m->acks[i].node_id = what / 4 % 5;
	else if (what % 4 == 2)
		make_id(&m->acks[i].store_id, in);
	else
		m->acks[i].proposal_hash = config_hash(&m->proposal);
}

static void alter(struct formation_message *m, struct input *in)
{
	uint8_t what = take_u8(in);

	switch (what % 8)
	{
		case 0:
			m->type = (enum formation_message_type)(what / 8 % 7);
			break;
		case 1:
			make_id(&m->store_id, in);
			break;
		case 2:
			m->activated = !m->activated;
			break;
		case 3:
			m->n_peers = what / 8 % 12;
			break;
		case 4:
			m->peers[what / 8 % PAXOS_MAX_MEMBERS].node_id = take_u8(in) % 6;
			break;
		case 5:
			alter_config(&m->proposal, in);
			break;
		case 6:
			alter_acks(m, in);
			break;
		default:
			m->features = what;
	}
}

static void lie(struct input *in)
{
	struct formation_message m = {.from = LIAR + 1, .to = 1 + take_below(in, LIAR)};
	uint8_t base = take_u8(in);

	lied = true;
	if (base & 1 && n_queue > 0)
		m = queue[base / 2 % n_queue];
	else
	{
		const struct formation *f = &nodes[base / 2 % NODES].f;

		m.type = 1 + base / 8 % 4;
		m.store_id = nodes[LIAR].options.store_id;
		m.n_peers = NODES;
		memcpy(m.peers, nodes[LIAR].options.peers, sizeof(m.peers));
		m.proposal = f->proposal;
		m.n_acks = f->n_acks;
		memcpy(m.acks, f->acks, sizeof(m.acks));
	}
	if (node_of(m.from) != &nodes[LIAR])
		return;
	for (uint32_t n = take_below(in, 6); n > 0; n--)
		alter(&m, in);
	if (m.n_peers > PAXOS_MAX_MEMBERS || m.n_acks > PAXOS_MAX_MEMBERS ||
		m.proposal.n_members > PAXOS_MAX_MEMBERS)
		return; /* the decoder lets none through */
	give(&m, false);
}

static void deliver(uint32_t at, bool lose, bool crash)
{
	struct formation_message m;

	if (n_queue == 0)
		return;
	m = queue[at % n_queue];
	memmove(&queue[at % n_queue], &queue[at % n_queue + 1], (n_queue - at % n_queue - 1) * sizeof(m));
	n_queue--;
	if (!lose)
		give(&m, crash);
}

static void step(struct input *in)
{
	uint8_t what = take_u8(in);
	struct forming *n = &nodes[what / 64 % NODES];

	switch (what % 8)
	{
		case 0:
		case 1:
			n->now_ms += 100u * (what / 8 % 8);
			formation_tick(&n->f, n->now_ms);
			pump(n, false);
			break;
		case 2:
			while (n_queue > 0 && what / 8 > 0)
			{
				deliver(0, false, false);
				what -= 8;
			}
			break;
		case 3:
			deliver(what / 8, false, false);
			break;
		case 4:
			deliver(what / 8, what & 32, what & 16);
			break;
		case 5:
			begin(n);
			break;
		default:
			lie(in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	n_queue = 0;
	lied = false;
	memset(nodes, 0, sizeof(nodes));
	for (uint32_t i = 0; i < NODES; i++)
	{
		struct formation_options *o = &nodes[i].options;

		*o = (struct formation_options){.node_id = i + 1,
										.store_id = {{(uint8_t) (i + 1)}},
										.new_cluster_id = {{9, (uint8_t) i}},
										.cluster_name = "fuzz",
										.n_peers = NODES,
										.retry_ms = 100};
		for (uint32_t k = 0; k < NODES; k++)
			o->peers[k] = (struct formation_peer){k + 1, {'h', (char) ('1' + k), ':', '1'}};
		begin(&nodes[i]);
	}
	for (int i = 0; i < 400 && !input_ended(&in); i++)
		step(&in);
	return 0;
}
