/*
 * test_formation_model.c - PROTOCOL F under faults: three nodes, messages lost, doubled and late, crashes at
 * every point between a word and its being durable, nodes wiped.
 *
 *	 test_formation_model [seeds [first seed]]
 *
 * One seed gives everything.  First faults, then none.  At all times: whatever is activated is one
 * configuration, acknowledged durably by each of its members; a store acknowledges one proposal only, and says
 * so only when it is durable; only members activate.  At the end: all are activated whose store is a member's,
 * the others are outsiders; or the wipes came too early, which some node says, and wiping all helps.
 */
#include "paxos/formation.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N 3
#define RETRY_MS 100
#define BAG 40
#define STORES 8 /* incarnations of a node's store, at most */

struct node
{
	struct formation f;
	uint8_t store;
	uint8_t blob[FORMATION_BLOB_MAX];
	uint32_t blob_length;
};

static struct node nodes[N];
static struct formation_message bag[BAG];
static unsigned n_bag;
static uint64_t now_ms, random_state, seed;
static bool any_activated;
static struct paxos_id activated_hash;
static struct paxos_config activated_config;
static struct
{
	bool given;
	struct paxos_id hash;
} acknowledged[N][STORES];
static unsigned n_broken, n_formed, n_outsiders, n_stuck;

static uint64_t draw(uint64_t below)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (random_state >> 33) % below;
}

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	if (n_broken++ < 5)
		printf("# seed %" PRIu64 ": %s\n", seed, what);
}

static bool equal(const struct paxos_id *a, const struct paxos_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct paxos_id store_id(unsigned i)
{
	return (struct paxos_id){{(uint8_t) (i + 1), (uint8_t) (nodes[i].store + 1)}};
}

/* ---------------------------------------------------------------- nodes */

static void boot(unsigned i)
{
	struct formation_options options = {
		.node_id = i + 1,
		.store_id = store_id(i),
		.new_cluster_id = {{99, (uint8_t) (i + 1), (uint8_t) draw(256), (uint8_t) draw(256)}},
		.cluster_name = "c",
		.n_peers = N,
		.retry_ms = RETRY_MS,
	};

	for (uint32_t k = 0; k < N; k++)
	{
		options.peers[k].node_id = k + 1;
		strcpy(options.peers[k].address, "h:1");
	}
	must(formation_init(&nodes[i].f, &options, nodes[i].blob, nodes[i].blob_length, now_ms),
		 "the blob is read again");
}

static void wipe(unsigned i)
{
	nodes[i].store++;
	nodes[i].blob_length = 0;
	boot(i);
}

/* What a node holds as activated must be what all hold, and everyone's durable word. */
static void check_activated(unsigned i)
{
	const struct paxos_config *config = formation_activated(&nodes[i].f);
	struct paxos_id hash, own = store_id(i);

	if (config == NULL)
		return;
	must(!formation_dirty(&nodes[i].f), "activated is what is durable");
	hash = config_hash(config);
	if (!any_activated)
	{
		any_activated = true;
		activated_hash = hash;
		activated_config = *config;
	}
	must(equal(&hash, &activated_hash), "all activated configurations are equal");
	must(equal(&config->members[i].store_id, &own), "who activates is a member");
	for (unsigned k = 0; k < N; k++)
	{
		unsigned store = config->members[k].store_id.bytes[1] - 1u;

		must(acknowledged[k][store].given && equal(&acknowledged[k][store].hash, &hash),
			 "every member's acknowledgement was durable");
	}
}

static void check_sent(unsigned i, const struct formation_message *m)
{
	struct paxos_id own = store_id(i);

	for (uint32_t k = 0; k < m->n_acks; k++)
	{
		unsigned node = m->acks[k].node_id - 1, store = m->acks[k].store_id.bytes[1] - 1u;

		must(acknowledged[node][store].given &&
				 equal(&acknowledged[node][store].hash, &m->acks[k].proposal_hash),
			 "only durable acknowledgements are sent");
	}
	must(equal(&m->store_id, &own) && m->from == i + 1, "a node speaks for itself");
}

/* Writes the blob; then, unless the node dies right after, says so and sends. */
static void persist(unsigned i, bool dies)
{
	struct node *node = &nodes[i];

	if (formation_dirty(&node->f))
	{
		node->blob_length = formation_blob(&node->f, node->blob);
		if (acknowledged[i][node->store].given)
			must(equal(&acknowledged[i][node->store].hash, &node->f.proposal_hash),
				 "none acknowledges another");
		acknowledged[i][node->store].given = true;
		acknowledged[i][node->store].hash = node->f.proposal_hash;
		if (dies)
		{
			boot(i);
			return;
		}
		formation_durable(&node->f);
	}
	check_activated(i);
}

static void pull(unsigned i)
{
	struct formation_message *place;

	for (;;)
	{
		if (n_bag < BAG)
			place = &bag[n_bag];
		else
			place = &bag[draw(BAG)];
		if (!formation_next_message(&nodes[i].f, place))
			return;
		check_sent(i, place);
		if (n_bag < BAG)
			n_bag++;
	}
}

static void deliver(unsigned at, bool keep)
{
	unsigned to = bag[at].to - 1;

	must(formation_recv(&nodes[to].f, &bag[at]), "what a node says is well-formed");
	if (!keep && at != --n_bag)
		bag[at] = bag[n_bag];
}

/* ---------------------------------------------------------------- a run */

static void fault_step(unsigned loss, unsigned *wipes_left)
{
	unsigned i = (unsigned) draw(N);
	uint64_t what = draw(100);

	if (what < 20)
	{
		now_ms += draw(RETRY_MS);
		formation_tick(&nodes[i].f, now_ms);
	}
	else if (what < 60)
	{
		if (n_bag == 0)
			return;
		if (draw(100) < loss)
		{
			bag[draw(n_bag)] = bag[n_bag - 1];
			n_bag--;
			return;
		}
		deliver((unsigned) draw(n_bag), draw(5) == 0);
	}
	else if (what < 94)
		persist(i, draw(20) == 0);
	else if (what < 98)
		boot(i);
	else if (*wipes_left > 0)
	{
		(*wipes_left)--;
		wipe(i);
	}
	for (i = 0; i < N; i++)
	{
		check_activated(i);
		pull(i);
	}
}

static void quiet_rounds(int rounds)
{
	while (rounds-- > 0)
	{
		now_ms += RETRY_MS;
		for (unsigned i = 0; i < N; i++)
			formation_tick(&nodes[i].f, now_ms);
		for (int turn = 0; turn < 8; turn++)
		{
			for (unsigned i = 0; i < N; i++)
			{
				persist(i, false);
				pull(i);
			}
			if (n_bag == 0)
				break;
			while (n_bag > 0)
				deliver((unsigned) draw(n_bag), false);
		}
		for (unsigned i = 0; i < N; i++)
			persist(i, false);
	}
}

static unsigned count_state(enum formation_state state)
{
	unsigned n = 0;

	for (unsigned i = 0; i < N; i++)
		n += nodes[i].f.state == state;
	return n;
}

/* Nothing is activated and nothing can be: some node must say so, and a new start must help. */
static void check_stuck(void)
{
	bool said = count_state(FORMATION_OUTSIDER) > 0; /* of what one activated that is wiped itself by now */

	n_stuck++;
	for (unsigned i = 0; i < N; i++)
		said = said || formation_wiping_helps(&nodes[i].f);
	must(said, "if none can form, some node says that wiping helps");
	n_bag = 0;
	any_activated = false;
	for (unsigned i = 0; i < N; i++)
		wipe(i);
	quiet_rounds(4);
	must(count_state(FORMATION_ACTIVATED) == N, "after all were wiped, they form");
}

static void check_end(bool wiped)
{
	if (count_state(FORMATION_ACTIVATED) == 0)
	{
		must(wiped, "without a wipe they form");
		check_stuck();
		return;
	}
	n_formed++;
	for (unsigned i = 0; i < N; i++)
	{
		struct paxos_id own = store_id(i);
		bool member = equal(&activated_config.members[i].store_id, &own);

		must(nodes[i].f.state == (member ? FORMATION_ACTIVATED : FORMATION_OUTSIDER),
			 "members are activated, all others outsiders");
		n_outsiders += !member;
		must(!formation_wiping_helps(&nodes[i].f), "wiping is not suggested in a formed cluster");
	}
}

static void run_seed(void)
{
	unsigned wipes, wipes_left, loss;

	random_state = seed * 2862933555777941757u + 3037000493u;
	memset(acknowledged, 0, sizeof(acknowledged));
	n_bag = 0;
	any_activated = false;
	now_ms = 1000;
	wipes = wipes_left = (unsigned) (draw(2) * draw(3));
	loss = (unsigned) draw(40);
	for (unsigned i = 0; i < N; i++)
	{
		nodes[i].store = 0;
		nodes[i].blob_length = 0;
		boot(i);
	}
	for (uint64_t steps = 20 + draw(150); steps > 0; steps--)
		fault_step(loss, &wipes_left);
	quiet_rounds(6);
	check_end(wipes_left < wipes);
}

int main(int argc, char **argv)
{
	uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

	for (seed = first; seed < first + seeds; seed++)
		run_seed();
	ok(n_broken == 0, "%" PRIu64 " runs, %u formed, %u outsiders, %u stuck: %u rules broken", seeds, n_formed,
	   n_outsiders, n_stuck, n_broken);
	ok(seeds < 10000 || (n_formed > seeds / 2 && n_outsiders > 100 && n_stuck > 100),
	   "every ending was met often");
	return done();
}
