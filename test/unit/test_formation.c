/*
 * test_formation.c - PROTOCOL F, message by message, and the bytes of configurations and blobs.
 */
#include "paxos/formation.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

#define RETRY_MS 100

/* Nodes by their id; place 0 is not used. */
static struct formation nodes[5];
static uint8_t blobs[5][FORMATION_BLOB_MAX];
static uint32_t blob_lengths[5];
static uint64_t now_ms;

static struct paxos_id id_of(uint8_t a, uint8_t b)
{
	return (struct paxos_id){{a, b}};
}

static struct formation_options options_of(uint32_t node_id, uint8_t store, uint32_t n_peers)
{
	struct formation_options options = {
		.node_id = node_id,
		.store_id = id_of((uint8_t) node_id, store),
		.new_cluster_id = id_of(77, (uint8_t) (10 * node_id + store)),
		.features = 100 + node_id,
		.n_peers = n_peers,
		.retry_ms = RETRY_MS,
	};

	for (uint32_t i = 0; i < n_peers; i++)
	{
		options.peers[i].node_id = i + 1;
		snprintf(options.peers[i].address, sizeof(options.peers[i].address), "host%u:7000", i + 1);
	}
	return options;
}

static bool start_with(const struct formation_options *options, bool keep_blob)
{
	uint32_t id = options->node_id;

	if (!keep_blob)
		blob_lengths[id] = 0;
	return formation_init(&nodes[id], options, blobs[id], blob_lengths[id], now_ms);
}

static void start(uint32_t id, uint8_t store, uint32_t n_peers, bool keep_blob)
{
	struct formation_options options = options_of(id, store, n_peers);

	start_with(&options, keep_blob);
}

static void start_three(void)
{
	now_ms = 1000;
	for (uint32_t id = 1; id <= 3; id++)
		start(id, 1, 3, false);
}

/* Writes what must be durable.  Whether there was anything. */
static bool persist(uint32_t id)
{
	if (!formation_dirty(&nodes[id]))
		return false;
	blob_lengths[id] = formation_blob(&nodes[id], blobs[id]);
	formation_durable(&nodes[id]);
	return true;
}

/* Pulls all messages of a node; the last one to "to" goes to *m.  Whether there was one. */
static bool sent(uint32_t id, uint32_t to, struct formation_message *m)
{
	struct formation_message next;
	bool found = false;

	while (formation_next_message(&nodes[id], &next))
	{
		if (next.to == to)
		{
			*m = next;
			found = true;
		}
	}
	return found;
}

/* One retry: all in "ids" tick, write, and exchange messages until nobody has any. */
static void exchange(const char *ids)
{
	now_ms += RETRY_MS;
	for (const char *id = ids; *id; id++)
		formation_tick(&nodes[*id - '0'], now_ms);
	for (int turn = 0; turn < 20; turn++)
	{
		for (const char *id = ids; *id; id++)
		{
			struct formation_message m;

			persist((uint32_t) (*id - '0'));
			while (formation_next_message(&nodes[*id - '0'], &m))
			{
				if (strchr(ids, '0' + (int) m.to) != NULL)
					formation_recv(&nodes[m.to], &m);
			}
		}
	}
}

static bool states(enum formation_state one, enum formation_state two, enum formation_state three)
{
	return nodes[1].state == one && nodes[2].state == two && nodes[3].state == three;
}

/* ---------------------------------------------------------------- F2, F3: the ordinary way */

static void test_step_by_step(void)
{
	struct formation_message m, proposal, ack;

	start_three();
	ok(sent(2, 1, &m) && m.type == FORMATION_HELLO && m.n_peers == 3 && m.from == 2 && !m.activated,
	   "a new node says HELLO with its list");
	ok(!sent(2, 1, &m), "once");
	formation_tick(&nodes[2], now_ms + RETRY_MS);
	ok(sent(2, 1, &m), "and again after retry_ms");
	is_u64(formation_next_deadline(&nodes[2]), now_ms + 2 * RETRY_MS, "the next deadline is the next retry");
	ok(formation_recv(&nodes[1], &m), "node 1 hears node 2");
	ok(!formation_dirty(&nodes[1]), "and does not propose before it hears node 3");
	is_u64(nodes[1].peers[2].trouble, FORMATION_NOT_HEARD, "which it says");
	ok(formation_activated(&nodes[1]) == NULL, "nothing is activated");
	sent(3, 1, &m);
	formation_recv(&nodes[1], &m);
	ok(formation_dirty(&nodes[1]) && nodes[1].state == FORMATION_PROPOSED,
	   "with node 3 it acknowledges its own");
	ok(!sent(1, 2, &m), "and says nothing before that is durable");
	persist(1);
	ok(sent(1, 2, &proposal) && proposal.type == FORMATION_PROPOSAL, "then it proposes");
	ok(proposal.proposal.n_members == 3 && proposal.proposal.epoch == 1 &&
		   proposal.proposal.members[1].store_id.bytes[0] == 2 &&
		   proposal.proposal.members[2].features == 103 &&
		   proposal.proposal.request_ids_kept == FORMATION_REQUEST_IDS_KEPT &&
		   strcmp(proposal.proposal.members[2].address, "host3:7000") == 0,
	   "ids, stores, addresses and features of all");
	is_u64(proposal.n_acks, 1, "with its own acknowledgement");

	ok(formation_recv(&nodes[2], &proposal) && formation_dirty(&nodes[2]), "node 2 writes down its own");
	ok(!sent(2, 1, &m), "and says nothing before it is durable");
	persist(2);
	ok(sent(2, 3, &ack) && ack.type == FORMATION_ACK && ack.n_acks == 2,
	   "then passes on what it holds, to all");
	ack.to = 1;
	formation_recv(&nodes[1], &ack);
	persist(1);
	ok(formation_activated(&nodes[1]) == NULL, "two of three activate nothing");
	proposal.to = 3;
	formation_recv(&nodes[3], &proposal);
	formation_recv(&nodes[3], &proposal);
	ack.to = 3;
	formation_recv(&nodes[3], &ack);
	is_u64(nodes[3].state, FORMATION_ACTIVATED, "node 3 holds all three");
	ok(formation_activated(&nodes[3]) == NULL, "which counts when it is durable");
	persist(3);
	ok(formation_activated(&nodes[3]) != NULL, "then it is activated");
	ok(sent(3, 1, &m) && m.type == FORMATION_ACTIVE && m.activated && m.n_acks == 3, "and tells the others");
	ok(!sent(3, 1, &m), "once");
	formation_recv(&nodes[1], &m);
	persist(1);
	ok(formation_activated(&nodes[1]) != NULL, "who are activated by that");
	formation_tick(&nodes[2], now_ms + 5 * RETRY_MS);
	sent(2, 3, &m);
	formation_recv(&nodes[3], &m);
	ok(sent(3, 2, &m) && m.type == FORMATION_ACTIVE, "an activated one answers whoever asks");
	formation_recv(&nodes[2], &m);
	persist(2);
	sent(2, 3, &m);
	formation_recv(&nodes[3], &m);
	ok(!sent(3, 2, &m), "but not who is activated too");
	is_u64(formation_next_deadline(&nodes[3]), UINT64_MAX, "and has nothing to repeat");
}

static void test_restart(void)
{
	struct paxos_config before;
	struct formation_message m;

	start_three();
	exchange("123");
	ok(states(FORMATION_ACTIVATED, FORMATION_ACTIVATED, FORMATION_ACTIVATED),
	   "three nodes form in one exchange");
	before = *formation_activated(&nodes[2]);
	start(2, 1, 3, true);
	ok(formation_activated(&nodes[2]) != NULL &&
		   memcmp(formation_activated(&nodes[2]), &before, sizeof(before)) == 0,
	   "a restarted node is activated as it was");
	is_u64(nodes[2].peers[0].trouble, FORMATION_FINE, "and misses nobody");
	ok(!formation_dirty(&nodes[2]) && !sent(2, 1, &m), "and has nothing to say");

	/* A proposer that restarts before anyone acknowledged proposes the same. */
	start_three();
	for (uint32_t id = 2; id <= 3; id++)
	{
		sent(id, 1, &m);
		formation_recv(&nodes[1], &m);
	}
	persist(1);
	before = nodes[1].proposal;
	start(1, 1, 3, true);
	ok(sent(1, 2, &m) && m.type == FORMATION_PROPOSAL && memcmp(&m.proposal, &before, sizeof(before)) == 0,
	   "a proposer that restarts proposes the same again");
	/* One that had not yet written it proposes anew. */
	start(1, 1, 3, false);
	ok(sent(1, 2, &m) && m.type == FORMATION_HELLO, "one that had written nothing starts over");

	/* F3's story: an acknowledgement's maker is gone, another holds it. */
	start_three();
	for (uint32_t id = 2; id <= 3; id++)
	{
		sent(id, 1, &m);
		formation_recv(&nodes[1], &m);
	}
	persist(1);
	sent(1, 2, &m);
	formation_recv(&nodes[2], &m);
	m.to = 3;
	formation_recv(&nodes[3], &m);
	persist(2);
	persist(3);
	sent(2, 1, &m);
	formation_recv(&nodes[1], &m);
	persist(1);
	exchange("13");
	ok(nodes[3].state == FORMATION_ACTIVATED && nodes[2].state == FORMATION_PROPOSED,
	   "a member learns of an acknowledgement whose maker is gone");
}

/* ---------------------------------------------------------------- F4: lists */

static void test_lists(void)
{
	struct formation_options other = options_of(3, 1, 3);
	struct formation_message m;

	start_three();
	strcpy(other.peers[1].address, "elsewhere:7000");
	start_with(&other, false);
	exchange("123");
	exchange("123");
	ok(states(FORMATION_WAITING, FORMATION_WAITING, FORMATION_WAITING), "lists that differ don't form");
	is_u64(nodes[1].peers[2].trouble, FORMATION_LISTS_DIFFER, "node 1 says that node 3's differs");
	ok(nodes[1].peers[2].n_their_peers == 3 &&
		   strcmp(nodes[1].peers[2].their_peers[1].address, "elsewhere:7000") == 0,
	   "and how");
	is_u64(nodes[3].peers[0].trouble, FORMATION_LISTS_DIFFER, "node 3 says it of node 1");
	is_u64(nodes[1].peers[1].trouble, FORMATION_FINE, "node 2 is fine");
	ok(!formation_wiping_helps(&nodes[1]), "wiping would not help");
	start(3, 1, 3, false);
	exchange("123");
	exchange("123");
	ok(states(FORMATION_ACTIVATED, FORMATION_ACTIVATED, FORMATION_ACTIVATED),
	   "once it is put right they form");

	/* A list is changed between HELLO and PROPOSAL. */
	start_three();
	exchange("12");
	sent(3, 1, &m);
	formation_recv(&nodes[1], &m);
	other.n_peers = 2;
	other.peers[1] = other.peers[2];
	start_with(&other, false);
	exchange("123");
	is_u64(nodes[3].state, FORMATION_WAITING, "a proposal of another list is not acknowledged");
	is_u64(nodes[3].peers[0].trouble, FORMATION_LISTS_DIFFER, "and the node says why");
	is_u64(nodes[3].peers[0].n_their_peers, 3, "with the proposer's list");
	start(3, 1, 3, false);
	exchange("123");
	ok(states(FORMATION_ACTIVATED, FORMATION_ACTIVATED, FORMATION_ACTIVATED),
	   "with the list as it was, it is");
}

static void test_silence(void)
{
	start_three();
	exchange("13");
	for (int i = 0; i < 6; i++)
		exchange("1");
	is_u64(nodes[1].peers[2].trouble, FORMATION_NOT_HEARD, "a peer that falls silent is not there");
	exchange("12");
	is_u64(nodes[1].state, FORMATION_WAITING, "and nothing is proposed without it (F2)");
	exchange("123");
	exchange("123");
	is_u64(nodes[1].state, FORMATION_ACTIVATED, "until it is back");
}

static void test_cluster_of_one(void)
{
	struct formation_options none = options_of(1, 1, 0);
	struct formation_message m;
	struct formation before;

	start_with(&none, false);
	formation_tick(&nodes[1], now_ms + 10000);
	ok(!formation_dirty(&nodes[1]) && !sent(1, 1, &m), "a node without peers does nothing by itself");
	formation_first_command(&nodes[1]);
	ok(formation_dirty(&nodes[1]) && formation_activated(&nodes[1]) == NULL,
	   "its first command makes it write");
	persist(1);
	ok(formation_activated(&nodes[1]) != NULL && formation_activated(&nodes[1])->n_members == 1,
	   "then it is a cluster of one");
	before = nodes[1];
	formation_first_command(&nodes[1]);
	ok(memcmp(&before, &nodes[1], sizeof(before)) == 0, "the second command changes nothing");
	start_with(&none, true);
	ok(formation_activated(&nodes[1]) != NULL && !formation_peers_mismatch(&nodes[1]), "it stays one");
	start(1, 1, 3, true);
	ok(formation_activated(&nodes[1])->n_members == 1, "peers given later set no voters (F4)");
	ok(formation_peers_mismatch(&nodes[1]), "but that they differ is known");
	start(1, 1, 1, true);
	ok(!formation_peers_mismatch(&nodes[1]), "itself as its only peer is no difference");

	start_three();
	formation_first_command(&nodes[1]);
	ok(!formation_dirty(&nodes[1]), "with peers a command forms nothing");
	none = options_of(4, 1, 3);
	ok(!start_with(&none, false), "a list without the node itself is refused");
}

/* ---------------------------------------------------------------- F1: stores */

static void test_wiped(void)
{
	struct formation_message m;

	start_three();
	exchange("123");
	start(2, 2, 3, false);
	exchange("123");
	is_u64(nodes[2].state, FORMATION_OUTSIDER, "a wiped member is an outsider");
	ok(formation_activated(&nodes[2]) == NULL && !formation_dirty(&nodes[2]),
	   "with nothing activated or written");
	is_u64(nodes[1].peers[1].trouble, FORMATION_OTHER_STORE, "the others see its other store");
	formation_tick(&nodes[2], now_ms + 10000);
	ok(!sent(2, 1, &m), "an outsider says nothing more");
	start(1, 2, 3, false);
	exchange("123");
	exchange("123");
	ok(states(FORMATION_OUTSIDER, FORMATION_OUTSIDER, FORMATION_ACTIVATED),
	   "a wiped pair forms no cluster under the third's feet");

	/* The log directory of another node. */
	start_three();
	exchange("123");
	start(3, 9, 3, true);
	is_u64(nodes[3].state, FORMATION_OUTSIDER,
		   "a configuration that doesn't name the own store makes an outsider");

	/* A store that acknowledged, by what the others hold, but has forgotten it. */
	start(3, 1, 3, false);
	exchange("123");
	is_u64(nodes[3].state, FORMATION_OUTSIDER, "and so does a store whose acknowledgement is forgotten");
}

static void test_wiped_early(void)
{
	struct formation_message m, hello;

	/* The proposer is wiped after node 2 acknowledged. */
	start_three();
	sent(3, 1, &hello);
	formation_recv(&nodes[1], &hello);
	exchange("12");
	is_u64(nodes[2].state, FORMATION_PROPOSED, "node 2 acknowledged");
	start(1, 2, 3, false);
	exchange("123");
	exchange("123");
	ok(states(FORMATION_WAITING, FORMATION_PROPOSED, FORMATION_WAITING),
	   "a wiped proposer proposes nothing else");
	is_u64(nodes[1].peers[1].trouble, FORMATION_ACKNOWLEDGED_ANOTHER, "as node 2 acknowledged another");
	is_u64(nodes[2].peers[0].trouble, FORMATION_OTHER_STORE, "node 2 sees the proposer's other store");
	ok(formation_wiping_helps(&nodes[1]) && formation_wiping_helps(&nodes[2]), "both say that wiping helps");
	start(2, 2, 3, false);
	exchange("123");
	exchange("123");
	ok(states(FORMATION_ACTIVATED, FORMATION_ACTIVATED, FORMATION_ACTIVATED), "which it does");

	/* Node 3 is wiped after it was proposed. */
	start_three();
	sent(3, 1, &hello);
	formation_recv(&nodes[1], &hello);
	exchange("12");
	start(3, 2, 3, false);
	exchange("123");
	ok(states(FORMATION_PROPOSED, FORMATION_PROPOSED, FORMATION_WAITING),
	   "a proposal of a store that is gone");
	is_u64(nodes[3].peers[0].trouble, FORMATION_OTHER_STORE, "node 3 knows why it can't acknowledge");
	ok(formation_wiping_helps(&nodes[1]) && formation_wiping_helps(&nodes[3]), "wiping helps here too");
	exchange("23");
	for (int i = 0; i < 6; i++)
		exchange("23");
	ok(!formation_wiping_helps(&nodes[2]), "but is not suggested while a member does not answer (F4)");

	/* Node 2 acknowledged one proposal; another of the same proposer's node id comes. */
	formation_tick(&nodes[1], now_ms + RETRY_MS);
	ok(sent(1, 2, &m) && m.type == FORMATION_PROPOSAL, "the proposal is repeated");
	m.store_id = id_of(1, 7);
	m.proposal.members[0].store_id = m.store_id;
	m.acks[0].store_id = m.store_id;
	m.acks[0].proposal_hash = config_hash(&m.proposal);
	m.n_acks = 1;
	persist(2);
	ok(formation_recv(&nodes[2], &m) && !formation_dirty(&nodes[2]),
	   "a second proposal is never acknowledged");
	ok(sent(2, 1, &m) && m.type == FORMATION_ACK, "its proposer is told of the first");
}

/* ---------------------------------------------------------------- what is refused */

static void test_refused(void)
{
	struct formation_message active, m;

	start_three();
	exchange("123");
	start(3, 1, 3, true);
	sent(3, 1, &m);
	m = (struct formation_message){.type = FORMATION_HELLO, .from = 2, .to = 1, .store_id = id_of(2, 1)};
	m.n_peers = 3;
	memcpy(m.peers, nodes[1].options.peers, sizeof(m.peers));
	formation_recv(&nodes[1], &m);
	sent(1, 2, &active);

	start(2, 1, 3, false);
	m = active;
	m.n_acks = 2;
	ok(!formation_recv(&nodes[2], &m), "ACTIVE that lacks an acknowledgement");
	m = active;
	m.proposal.request_ids_kept++;
	ok(!formation_recv(&nodes[2], &m), "ACTIVE with acknowledgements of another configuration");
	m = active;
	m.proposal.n_members = PAXOS_MAX_MEMBERS + 1;
	ok(!formation_recv(&nodes[2], &m), "more members than there can be");
	m = active;
	m.n_acks = PAXOS_MAX_MEMBERS + 1;
	ok(!formation_recv(&nodes[2], &m), "more acknowledgements than there can be");
	m = active;
	m.to = 3;
	ok(!formation_recv(&nodes[2], &m), "a message to another node");
	m = active;
	m.from = 2;
	ok(!formation_recv(&nodes[2], &m), "a message of this node itself");
	m = active;
	m.type = (enum formation_message_type) 9;
	ok(!formation_recv(&nodes[2], &m), "an unknown type");
	m = active;
	memset(&m.store_id, 0, sizeof(m.store_id));
	ok(!formation_recv(&nodes[2], &m), "a sender without a store");
	m = active;
	m.type = FORMATION_PROPOSAL;
	m.from = 3;
	m.store_id = id_of(3, 1);
	ok(!formation_recv(&nodes[2], &m), "a proposal that the lowest id did not make");
	m = active;
	m.type = FORMATION_PROPOSAL;
	m.n_acks = 0;
	ok(!formation_recv(&nodes[2], &m), "a proposal without its proposer's acknowledgement");
	m = active;
	m.type = FORMATION_ACK;
	m.acks[0].node_id = 3;
	m.acks[1].node_id = 3;
	ok(!formation_recv(&nodes[2], &m), "an ACK without its sender's");
	m = (struct formation_message){.type = FORMATION_HELLO, .from = 1, .to = 2, .store_id = id_of(1, 1)};
	ok(!formation_recv(&nodes[2], &m), "a HELLO without a list");
	m.n_peers = 2;
	m.peers[0].node_id = 2;
	m.peers[1].node_id = 1;
	ok(!formation_recv(&nodes[2], &m), "a list out of order");
	m.peers[0].node_id = 1;
	m.peers[1].node_id = 2;
	memset(m.peers[1].address, 'x', sizeof(m.peers[1].address));
	ok(!formation_recv(&nodes[2], &m), "an address without an end");
	m = active;
	m.from = 4;
	ok(formation_recv(&nodes[2], &m), "who is no peer is passed over");
	ok(nodes[2].state == FORMATION_WAITING && !formation_dirty(&nodes[2]), "none of them changed anything");
}

static void test_foreign_cluster(void)
{
	struct formation_message active;

	start_three();
	exchange("123");
	start(2, 1, 3, true);
	formation_recv(&nodes[1], &(struct formation_message){.type = FORMATION_HELLO,
														  .from = 2,
														  .to = 1,
														  .store_id = id_of(2, 1),
														  .n_peers = 1,
														  .peers = {{.node_id = 2}}});
	ok(sent(1, 2, &active) && active.type == FORMATION_ACTIVE,
	   "a member with another list now is answered too (F4)");
	start(4, 1, 4, false);
	active.to = 4;
	ok(formation_recv(&nodes[4], &active), "ACTIVE comes to a node that is no member");
	is_u64(nodes[4].peers[0].trouble, FORMATION_OTHER_CLUSTER, "which says so");
	is_u64(nodes[4].state, FORMATION_WAITING, "and waits");
}

/* ---------------------------------------------------------------- bytes */

static struct paxos_config largest_config(void)
{
	struct paxos_config config = {.epoch = 1u << 20, .cluster_id = id_of(1, 2), .request_ids_kept = 5};

	config.n_members = PAXOS_MAX_MEMBERS;
	for (uint32_t i = 0; i < PAXOS_MAX_MEMBERS; i++)
	{
		config.members[i] = (struct paxos_member){.node_id = 0xfffffff0u + i,
												  .learner = i % 2 == 1,
												  .store_id = id_of((uint8_t) i, 1),
												  .features = UINT64_MAX - i};
		memset(config.members[i].address, 'a' + (int) i, PAXOS_ADDRESS_MAX);
	}
	return config;
}

static void test_config_bytes(void)
{
	struct paxos_config config = largest_config(), back;
	uint8_t bytes[CONFIG_BYTES_MAX + 1];
	uint32_t length = config_encode(&config, bytes, sizeof(bytes));
	unsigned accepted = 0;

	is_u64(length, CONFIG_BYTES_MAX - CONFIG_BASE_BYTES,
		   "the largest configuration has the most bytes, but for a base");
	ok(config_decode(&back, bytes, length) && memcmp(&back, &config, sizeof(config)) == 0, "it comes back");
	is_u64(config_encode(&config, bytes, length - 1), 0, "a buffer too small is told");
	for (uint32_t n = 0; n < length; n++)
		accepted += config_decode(&back, bytes, n);
	is_u64(accepted, 0, "no part of it is a configuration");
	ok(!config_decode(&back, bytes, length + 1), "nor with a byte behind it");
	bytes[0] = 2;
	ok(!config_decode(&back, bytes, length), "nor in another version");
	bytes[0] = 1;
	bytes[CONFIG_FIXED_BYTES + 4] = 2;
	ok(!config_decode(&back, bytes, length), "nor with an unknown flag");
	bytes[CONFIG_FIXED_BYTES + 4] = 0;
	bytes[CONFIG_FIXED_BYTES + CONFIG_MEMBER_BYTES + 3] = 0;
	ok(!config_decode(&back, bytes, length), "nor with a zero in an address");
	config.members[3].node_id = config.members[2].node_id;
	ok(!config_valid(&config), "two members of one id are no configuration");
	config = largest_config();
	memset(&config.members[8].store_id, 0, 16);
	ok(!config_valid(&config), "nor is a member without a store");
	config = largest_config();
	config.members[0].address[PAXOS_ADDRESS_MAX] = 'x';
	ok(!config_valid(&config), "nor an address without an end");
	config = largest_config();
	config.epoch = 0;
	ok(!config_valid(&config), "nor one without an epoch");
	config = largest_config();
	back = config;
	back.members[8].features--;
	ok(memcmp(config_hash(&config).bytes, config_hash(&back).bytes, 16) != 0, "the hash tells two apart");
}

/* F5: what the nodes begin with is the same on all, or they don't begin. */
static void test_bases(void)
{
	struct paxos_base base = {42, id_of(5, 5)};
	struct paxos_base other = {42, id_of(5, 6)};
	struct formation_message m;

	start_three();
	for (uint32_t id = 1; id <= 3; id++)
		formation_set_base(&nodes[id], id == 3 ? NULL : &base);
	exchange("123123");
	ok(states(FORMATION_WAITING, FORMATION_WAITING, FORMATION_WAITING),
	   "a node that can't tell its table is waited for");
	is_u64(nodes[1].peers[2].trouble, FORMATION_NOT_READY, "the others say so");
	is_u64(nodes[1].peers[1].trouble, FORMATION_FINE, "of that one alone");
	formation_set_base(&nodes[3], &other);
	exchange("123123");
	ok(states(FORMATION_WAITING, FORMATION_WAITING, FORMATION_WAITING), "tables that differ form no cluster");
	is_u64(nodes[1].peers[2].trouble, FORMATION_BASES_DIFFER, "and each says which");
	is_u64(nodes[3].peers[0].trouble, FORMATION_BASES_DIFFER, "on either side");
	formation_set_base(&nodes[3], &base);
	exchange("123123");
	ok(states(FORMATION_ACTIVATED, FORMATION_ACTIVATED, FORMATION_ACTIVATED),
	   "the same table on all: they form");
	ok(base_same(&formation_activated(&nodes[3])->base, &base), "it stands in the configuration");
	start(2, 1, 3, true);
	ok(base_same(&formation_activated(&nodes[2])->base, &base), "and is found again after a restart");

	start_three();
	for (uint32_t id = 2; id <= 3; id++)
	{
		sent(id, 1, &m);
		formation_recv(&nodes[1], &m);
	}
	persist(1);
	formation_set_base(&nodes[2], &base);
	sent(1, 2, &m);
	is_u64(m.type, FORMATION_PROPOSAL, "a table changes while the proposal is on its way");
	formation_recv(&nodes[2], &m);
	ok(!formation_dirty(&nodes[2]) && nodes[2].state == FORMATION_WAITING, "it is not acknowledged");
	is_u64(nodes[2].peers[0].trouble, FORMATION_BASES_DIFFER, "and the reason is known");
	formation_set_base(&nodes[2], NULL);
	formation_recv(&nodes[2], &m);
	ok(nodes[2].state == FORMATION_WAITING, "nor where the table can't be told");
	formation_set_base(&nodes[2], &(struct paxos_base){0});
	formation_recv(&nodes[2], &m);
	is_u64(nodes[2].state, FORMATION_PROPOSED, "until the table is as it was");

	start(1, 1, 1, false);
	formation_set_base(&nodes[1], NULL);
	formation_first_command(&nodes[1]);
	ok(!formation_dirty(&nodes[1]), "a cluster of one waits for its table, too");
	formation_set_base(&nodes[1], &base);
	ok(formation_dirty(&nodes[1]) && nodes[1].proposal.base.slot == 42, "and begins with it");
}

static void test_base_bytes(void)
{
	struct paxos_config config = largest_config();
	struct paxos_config back;
	uint8_t bytes[CONFIG_BYTES_MAX + 1];
	uint32_t length;
	unsigned accepted = 0;

	config.base = (struct paxos_base){PAXOS_BASE_SLOT_MAX, id_of(7, 8)};
	length = config_encode(&config, bytes, sizeof(bytes));
	is_u64(length, CONFIG_BYTES_MAX, "the largest configuration has a base");
	ok(config_decode(&back, bytes, length) && memcmp(&back, &config, sizeof(back)) == 0,
	   "which is read as written");
	for (uint32_t n = 0; n < length; n++)
		accepted += config_decode(&back, bytes, n);
	is_u64(accepted, 0, "no part of it is");
	memset(bytes + length - CONFIG_BASE_BYTES, 0, 8);
	ok(!config_decode(&back, bytes, length), "nor a base of slot 0");
	config.base.slot++;
	ok(!config_valid(&config), "nor one beyond all slots");
	config.base.slot = 0;
	ok(!config_valid(&config), "an empty table has no hash");
}

static void test_blob(void)
{
	struct formation_options options = options_of(1, 1, 3);
	struct formation f;
	uint8_t blob[FORMATION_BLOB_MAX];
	unsigned accepted = 0;
	uint32_t length;

	start(1, 1, 3, false);
	length = formation_blob(&nodes[1], blob);
	ok(length > 0 && formation_init(&f, &options, blob, length, 0) && f.state == FORMATION_WAITING,
	   "a blob of nothing acknowledged is read again");
	start_three();
	exchange("123");
	length = formation_blob(&nodes[1], blob);
	ok(formation_init(&f, &options, blob, length, 0) && f.state == FORMATION_ACTIVATED && f.n_acks == 3,
	   "and one of a cluster formed");
	for (uint32_t n = 1; n < length; n++)
		accepted += formation_init(&f, &options, blob, n, 0);
	is_u64(accepted, 0, "but no part of one");
	blob[0] = 2;
	ok(!formation_init(&f, &options, blob, length, 0), "nor one of another version");
	blob[0] = 1;
	blob[length - 20] = 9;
	ok(!formation_init(&f, &options, blob, length, 0), "nor one with a stranger's acknowledgement");
}

int main(void)
{
	test_step_by_step();
	test_restart();
	test_lists();
	test_silence();
	test_cluster_of_one();
	test_wiped();
	test_wiped_early();
	test_refused();
	test_foreign_cluster();
	test_config_bytes();
	test_bases();
	test_base_bytes();
	test_blob();
	return done();
}
