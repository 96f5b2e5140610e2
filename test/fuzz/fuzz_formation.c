/*
 * fuzz_formation.c - how a cluster comes into being, beside one that lies: three real nodes form, messages are
 * lost, doubled and late, nodes crash before and after their word is durable, lose their stores; one of them
 * besides makes messages up.
 *
 * An input is a beginning (who lies, whether lists differ) and then steps, one of the verbs below each.  The
 * lies are whole sentences of the protocol with one thing wrong, such as an acknowledgement under a store that
 * the proposal does not name; one more verb changes any field of any message.  formation_world.c judges.
 */
#include "formation_world.h"

static struct forming_world world;

/* ---------------------------------------------------------------- sentences of the liar */

static struct paxos_id pick_store(uint8_t node_id, uint32_t how)
{
	const struct former *n = &world.nodes[node_id - 1];

	if (how % 4 == 2)
		return forming_store(node_id, (uint8_t) (n->stores + 1)); /* not there yet */
	if (how % 4 == 3)
		return forming_store(node_id, 0); /* maybe lost since */
	return n->options.store_id;
}

/* The own acknowledgement, mostly under the own store. */
static void add_own(struct formation_message *m, const struct paxos_id *hash, uint32_t how)
{
	m->store_id = pick_store((uint8_t) world.liar, how);
	m->acks[m->n_acks++] =
		(struct formation_ack){.node_id = world.liar, .store_id = m->store_id, .proposal_hash = *hash};
}

/* What a proposal could be: somebody's, or a new one with stores that are, were or will be. */
static void make_config(struct paxos_config *config, struct input *in)
{
	uint8_t how = take_u8(in);
	uint8_t stores;

	if (how % 4 != 0 && world.nodes[how / 4 % FORMERS].f.have_proposal)
	{
		*config = world.nodes[how / 4 % FORMERS].f.proposal;
		return;
	}
	stores = take_u8(in);
	*config = (struct paxos_config){.epoch = 1,
									.cluster_id = {{9, (uint8_t) (world.liar), how}},
									.request_ids_kept = FORMATION_REQUEST_IDS_KEPT,
									.n_members = FORMERS};
	for (uint8_t i = 0; i < FORMERS; i++)
	{
		config->members[i].node_id = i + 1u;
		config->members[i].store_id = pick_store(i + 1, stores >> (2 * i));
		memcpy(config->members[i].address, world.nodes[0].options.peers[i].address, 5);
	}
}

static struct formation_message sentence(enum formation_message_type type, uint32_t to)
{
	return (struct formation_message){
		.type = type, .from = world.liar, .to = to, .store_id = world.nodes[world.liar - 1].options.store_id};
}

static void say_hello(struct formation_message *m, struct input *in)
{
	uint8_t how = take_u8(in);

	m->activated = how & 1;
	m->store_id = pick_store((uint8_t) world.liar, how >> 1);
	m->n_peers = FORMERS;
	memcpy(m->peers, world.nodes[how >> 3 & 1 ? world.liar - 1 : 0].options.peers, sizeof(m->peers));
	if (how & 16)
		m->peers[how >> 5 & 1].address[3] = '7';
	if (how & 64)
		m->n_peers--;
}

/* A proposal, an acknowledgement or the news of a cluster: all that was truly said of it, and the own word. */
static void say_config(struct formation_message *m, struct input *in)
{
	uint8_t how = take_u8(in);
	struct paxos_config config;
	struct paxos_id hash;

	make_config(&config, in);
	hash = config_hash(&config);
	add_own(m, &hash, how);
	if (how & 4)
		forming_tell_said(&world, m, &hash);
	m->activated = m->type == FORMATION_ACTIVE || (how & 24) == 8;
	if (m->type != FORMATION_ACK)
		m->proposal = config;
}

/* ---------------------------------------------------------------- any field of any message */

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
		*c = world.nodes[i % FORMERS].f.proposal;
	else if (what % 8 == 1)
		c->n_members = what / 8;
	else if (what % 8 == 2)
		c->epoch = take_u8(in) % 3, c->base.slot = what / 8 & 1;
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
	else if (m->proposal.n_members <= PAXOS_MAX_MEMBERS)
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
			m->not_ready = what & 64;
			m->base.slot = what >> 7;
	}
}

/* One that it said, or is about to say. */
static bool pick_altered(struct formation_message *m, uint32_t to, struct input *in)
{
	uint8_t base = take_u8(in);

	*m = sentence(1 + base / 2 % 4, to);
	if (base & 1 && world.n_queue > 0)
		*m = world.messages[world.queue[base / 2 % world.n_queue]];
	if (m->from != world.liar)
		return false;
	for (uint32_t n = take_below(in, 6); n > 0; n--)
		alter(m, in);
	/* the decoder lets none through */
	return m->n_peers <= PAXOS_MAX_MEMBERS && m->n_acks <= PAXOS_MAX_MEMBERS &&
		   m->proposal.n_members <= PAXOS_MAX_MEMBERS;
}

/* ---------------------------------------------------------------- steps */

static void lie(uint32_t verb, uint32_t to, struct input *in)
{
	static const enum formation_message_type types[] = {FORMATION_HELLO, FORMATION_PROPOSAL, FORMATION_ACK,
														FORMATION_ACTIVE};
	struct formation_message m;

	if (world.liar == 0 || to == world.liar)
		return;
	if (verb < 4)
	{
		m = sentence(types[verb], to);
		if (verb == 0)
			say_hello(&m, in);
		else
			say_config(&m, in);
	}
	else if (!pick_altered(&m, to, in))
		return;
	world.lied = true;
	forming_give(&world, &m, false);
}

static void step(struct input *in)
{
	uint8_t what = take_u8(in);
	uint32_t which = what >> 4;
	struct former *n = &world.nodes[which % FORMERS];

	switch (what & 15)
	{
		case 0:
		case 1:
			forming_deliver(&world, which, false, false);
			break;
		case 2:
			for (uint32_t i = 0; i <= which; i++)
				forming_deliver(&world, 0, false, false);
			break;
		case 3:
			world.now_ms += FORMING_RETRY_MS * (which / FORMERS);
			forming_tick(&world, n);
			break;
		case 4:
			forming_round(&world);
			break;
		case 5:
			forming_restart(&world, n);
			break;
		case 6:
			forming_deliver(&world, which, false, true);
			break;
		case 7:
			forming_drop(&world, which);
			break;
		case 8:
			forming_deliver(&world, which, true, false);
			break;
		case 9:
			if (n->stores < 5)
				forming_wipe(&world, n);
			break;
		default:
			lie((what & 15) - 10, 1 + which % FORMERS, in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint8_t beginning = take_u8(&in);

	forming_begin(&world, beginning % (FORMERS + 1), (beginning & 0xf0) == 0xf0);
	for (int i = 0; i < 60 && !input_ended(&in); i++)
		step(&in);
	forming_end(&world);
	return 0;
}
