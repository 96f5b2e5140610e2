/*
 * test_formation_limits.c - formation's rarer conflicts, and configurations and blobs that decode but can't be.
 */
#include "paxos/formation.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static struct formation node;
static uint64_t now_ms = 1000;

static struct paxos_id id_of(uint8_t a, uint8_t b)
{
	return (struct paxos_id){{a, b}};
}

static struct formation_options options_of(uint32_t node_id, uint32_t n_peers)
{
	struct formation_options options = {.node_id = node_id,
										.store_id = id_of((uint8_t) node_id, 1),
										.new_cluster_id = id_of(77, (uint8_t) node_id),
										.n_peers = n_peers,
										.retry_ms = 100};

	for (uint32_t i = 0; i < n_peers && i < PAXOS_MAX_MEMBERS; i++)
	{
		options.peers[i].node_id = i + 1;
		snprintf(options.peers[i].address, sizeof(options.peers[i].address), "host%u:7000", i + 1);
	}
	return options;
}

static struct paxos_config config_of(uint32_t n_members, uint8_t cluster)
{
	struct paxos_config config = {.epoch = 1, .cluster_id = id_of(77, cluster), .n_members = n_members};

	for (uint32_t i = 0; i < n_members; i++)
	{
		config.members[i].node_id = i + 1;
		config.members[i].store_id = id_of((uint8_t) (i + 1), 1);
		snprintf(config.members[i].address, sizeof(config.members[i].address), "host%u:7000", i + 1);
	}
	return config;
}

static void start(uint32_t node_id)
{
	struct formation_options options = options_of(node_id, 3);

	formation_init(&node, &options, NULL, 0, now_ms);
}

static struct formation_message message(enum formation_message_type type, uint32_t from, uint32_t to)
{
	return (struct formation_message){
		.type = type, .from = from, .to = to, .store_id = id_of((uint8_t) from, 1)};
}

/* Node 1's proposal of that cluster id to node 2. */
static struct formation_message proposal_of(uint8_t cluster)
{
	struct formation_message m = message(FORMATION_PROPOSAL, 1, 2);

	m.proposal = config_of(3, cluster);
	m.n_acks = 1;
	m.acks[0] = (struct formation_ack){1, id_of(1, 1), config_hash(&m.proposal)};
	return m;
}

static void persist(void)
{
	static uint8_t blob[FORMATION_BLOB_MAX];

	formation_blob(&node, blob);
	formation_durable(&node);
}

/* ---------------------------------------------------------------- proposals that conflict */

static void test_malformed_proposals(void)
{
	struct formation_message m = proposal_of(1);

	start(2);
	m.proposal.members[1].node_id = 1;
	ok(!formation_recv(&node, &m), "a proposal that is no configuration is refused");
	m = proposal_of(1);
	m.proposal.epoch = 2;
	m.acks[0].proposal_hash = config_hash(&m.proposal);
	ok(!formation_recv(&node, &m), "a first configuration of epoch 2");
	m = proposal_of(1);
	m.store_id = id_of(1, 9);
	ok(!formation_recv(&node, &m), "one that names another store for its proposer");
	m = message(FORMATION_ACTIVE, 1, 2);
	m.proposal = config_of(3, 1);
	m.proposal.epoch = 0;
	ok(!formation_recv(&node, &m), "an active cluster without a configuration");
	ok(node.state == FORMATION_WAITING && !formation_dirty(&node), "none of them binds the node");
}

static void test_second_proposal(void)
{
	struct formation_message m = proposal_of(1);
	struct formation_message answer;

	start(2);
	ok(formation_recv(&node, &m) && formation_dirty(&node), "a proposal is acknowledged");
	persist();
	while (formation_next_message(&node, &answer))
		;
	m = proposal_of(2);
	ok(formation_recv(&node, &m) && !formation_dirty(&node) &&
		   node.peers[0].trouble == FORMATION_ACKNOWLEDGED_ANOTHER,
	   "another by the same store never is (F3)");
	ok(formation_next_message(&node, &answer) && answer.type == FORMATION_ACK && answer.to == 1,
	   "its proposer is told of the first");
	m = proposal_of(1);
	ok(formation_recv(&node, &m) && node.state == FORMATION_PROPOSED, "the first still stands");
}

/* A list that differed and no longer does, as an ACK for this node's own proposal shows. */
static void test_list_that_came_right(void)
{
	struct formation_message m = proposal_of(1);
	struct formation_options two = options_of(3, 2);

	start(2);
	two.peers[1].node_id = 3;
	formation_recv(&node, &m);
	persist();
	m = message(FORMATION_HELLO, 3, 2);
	m.n_peers = 2;
	memcpy(m.peers, two.peers, sizeof(two.peers));
	ok(formation_recv(&node, &m) && node.peers[2].trouble == FORMATION_LISTS_DIFFER,
	   "a list that differs is kept, under a proposal too");
	m = message(FORMATION_ACK, 3, 2);
	m.n_acks = 1;
	m.acks[0] = (struct formation_ack){3, id_of(3, 1), node.proposal_hash};
	ok(formation_recv(&node, &m) && node.peers[2].trouble == FORMATION_FINE,
	   "until its node acknowledges the same proposal");
	is_u64(node.state, FORMATION_ACTIVATED, "with that all have");
}

static void test_addresses_count(void)
{
	struct formation_message m = message(FORMATION_HELLO, 3, 2);
	struct formation_options other = options_of(3, 3);

	start(2);
	snprintf(other.peers[0].address, sizeof(other.peers[0].address), "elsewhere:7000");
	m.n_peers = 3;
	memcpy(m.peers, other.peers, sizeof(other.peers));
	ok(formation_recv(&node, &m) && node.peers[2].trouble == FORMATION_LISTS_DIFFER,
	   "lists with the same ids and another address differ");
	m.n_peers = PAXOS_MAX_MEMBERS + 1;
	ok(!formation_recv(&node, &m), "a list longer than a cluster is refused");
}

/* ---------------------------------------------------------------- what is read */

static void test_options(void)
{
	struct formation_options options = options_of(1, PAXOS_MAX_MEMBERS + 1);
	struct formation_message m;

	ok(!formation_init(&node, &options, NULL, 0, now_ms), "more peers than a cluster has are refused");
	options = options_of(1, 3);
	options.retry_ms = 0;
	ok(formation_init(&node, &options, NULL, 0, now_ms), "a retry of 0 ms");
	while (formation_next_message(&node, &m))
		;
	ok(formation_next_deadline(&node) > now_ms, "is one of at least 1: nothing is due at once");
}

/* The blob of a node that acknowledged a proposal of three. */
static uint32_t acknowledged_blob(uint8_t blob[FORMATION_BLOB_MAX])
{
	struct formation_message m = proposal_of(1);

	start(2);
	formation_recv(&node, &m);
	return formation_blob(&node, blob);
}

static void test_blobs(void)
{
	uint8_t blob[FORMATION_BLOB_MAX];
	uint32_t length = acknowledged_blob(blob);
	struct formation_options options = options_of(2, 3);

	ok(formation_init(&node, &options, blob, length, now_ms) && node.state == FORMATION_PROPOSED,
	   "a blob is taken up");
	blob[3] ^= 0xff;
	ok(!formation_init(&node, &options, blob, length, now_ms),
	   "one whose configuration does not decode is not");
	blob[3] ^= 0xff;
	options.peers[2].node_id = 4;
	ok(formation_init(&node, &options, blob, length, now_ms) && formation_peers_mismatch(&node),
	   "as many peers, but other ids: that they differ is known (F4)");
	ok(node.options.peers[2].node_id == 3, "and the acknowledged ones stay");
}

static void test_configurations(void)
{
	uint8_t bytes[CONFIG_BYTES_MAX];
	struct paxos_config config = config_of(3, 1);
	struct paxos_config back;
	uint32_t length = config_encode(&config, bytes, sizeof(bytes));

	ok(config_decode(&back, bytes, length) && config_valid(&back), "a configuration comes back");
	for (uint32_t shorter = 0; shorter < length; shorter++)
		if (config_decode(&back, bytes, shorter))
			length = 0;
	ok(length > 0, "no shorter one does");
	bytes[29] = PAXOS_MAX_MEMBERS + 1;
	ok(!config_decode(&back, bytes, length), "nor one of more members than there can be");
	config.members[2].node_id = 2;
	length = config_encode(&config, bytes, sizeof(bytes));
	ok(!config_decode(&back, bytes, length), "nor one of sound lengths that is no configuration");
	config = config_of(0, 1);
	ok(!config_valid(&config), "nobody is no configuration");
	config = config_of(3, 1);
	config.n_members = PAXOS_MAX_MEMBERS + 1;
	ok(!config_valid(&config), "nor are too many");
	config = config_of(3, 1);
	config.cluster_id = (struct paxos_id){{0}};
	ok(!config_valid(&config), "nor one without a cluster id");
}

int main(void)
{
	test_malformed_proposals();
	test_second_proposal();
	test_list_that_came_right();
	test_addresses_count();
	test_options();
	test_blobs();
	test_configurations();
	return done();
}
