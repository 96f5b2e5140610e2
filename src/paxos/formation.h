/*
 * formation.h - PROTOCOL F: how a cluster comes into being, and the bytes of a configuration.
 *
 * Pure, like the core.  A node that holds no activated configuration runs a struct formation; once
 * formation_activated() gives a configuration, the host makes the core with it (paxos_create()).  What a
 * node must not forget lies in one blob that the host keeps in the log's metadata (plog_set_config()), both
 * copies durable before anything that vouches for it is sent.  An activated node keeps its struct formation,
 * to hand acknowledgements to members that missed them (F3).
 *
 * How it goes: all say HELLO to all.  The lowest id, once it has heard every peer with its own list and none
 * activated, writes down the PROPOSAL with its own acknowledgement and sends it; each writes down its own and
 * sends ACKs, with all it holds, to all.  Who holds all is activated and answers whoever is not with ACTIVE.
 *
 * How a host drives it: formation_tick() now and then (formation_next_deadline()), formation_recv(); after
 * either, if formation_dirty(): formation_blob(), write it, formation_durable(), with no other call in
 * between; then formation_next_message() until it is false, and formation_activated().
 *
 * Bytes of a configuration, all integers little-endian:
 *	 1	version (1)		 8	epoch	 16	 cluster id		4  request ids kept	   1  number of members, each:
 *		 4	node id		 1	flags (1: learner)	   16  store id	   8  features	   1  length of the address
 *		 address
 *	 version 2 only: 8	base slot, not 0	 16	 base hash
 *
 * Bytes of the blob:
 *	 1	version (1)		 2	length of the configuration, 0: nothing acknowledged	   the configuration
 *	 1	number of acknowledgements of it, each: 4 node id, 16 store id
 * The members acknowledged the configuration in the blob and no other, so its hash is not written again.
 */
#ifndef PAXOS_FORMATION_H
#define PAXOS_FORMATION_H

#include "paxos/paxos.h"

/* O2: what a new cluster begins with. */
#define FORMATION_REQUEST_IDS_KEPT 100000

/* F5: the highest revision that rows may have which are loaded before there is a cluster. */
#define PAXOS_BASE_SLOT_MAX (UINT64_C(1) << 62)

/* One entry of paxoskv.peers: the first configuration only (F4). */
struct formation_peer
{
	uint32_t node_id;
	char address[PAXOS_ADDRESS_MAX + 1];
};

struct formation_options
{
	uint32_t node_id;
	struct paxos_id store_id;
	struct paxos_id new_cluster_id; /* random; used if this node proposes (F2) */
	char cluster_name[64];
	uint64_t features;
	uint32_t n_peers; /* this node among them, by rising node id; 0: paxoskv.peers is not set */
	struct formation_peer peers[PAXOS_MAX_MEMBERS];
	uint32_t retry_ms;
};

enum formation_message_type
{
	FORMATION_HELLO = 1, /* who I am, and my list; asks for what the receiver has */
	FORMATION_PROPOSAL,  /* F2: lowest id to all: the configuration */
	FORMATION_ACK,   /* F3: "these acknowledged the proposal with this hash", durable; passed on by anyone */
	FORMATION_ACTIVE /* the configuration, and every member's acknowledgement */
};

struct formation_ack
{
	uint32_t node_id;
	struct paxos_id store_id;
	struct paxos_id proposal_hash;
};

struct formation_message
{
	enum formation_message_type type;
	uint32_t from;
	uint32_t to;
	struct paxos_id store_id; /* sender's */
	bool activated;           /* sender's state */
	uint64_t features;        /* HELLO: X7, what the sender can do */
	bool not_ready;           /* HELLO: F5, its table can't be told yet */
	struct paxos_base base;   /* HELLO: F5, what it would begin with */
	uint32_t n_peers;         /* HELLO */
	struct formation_peer peers[PAXOS_MAX_MEMBERS];
	struct paxos_config proposal; /* PROPOSAL, ACTIVE */
	uint32_t n_acks;              /* PROPOSAL, ACK, ACTIVE */
	struct formation_ack acks[PAXOS_MAX_MEMBERS];
};

enum formation_state
{
	FORMATION_WAITING,  /* not every member is heard, or lists differ */
	FORMATION_PROPOSED, /* acknowledged a proposal, acknowledgements missing */
	FORMATION_ACTIVATED,
	FORMATION_OUTSIDER /* F1: the cluster formed with another store id under this node id */
};

/* What one member is to this one, for status and messages. */
enum formation_trouble
{
	FORMATION_FINE = 0,
	FORMATION_NOT_HEARD,    /* not lately */
	FORMATION_LISTS_DIFFER, /* F4: peers[].their_peers is its list */
	FORMATION_OTHER_STORE,  /* F1: it has, or says that this node has, another store than was proposed */
	FORMATION_ACKNOWLEDGED_ANOTHER, /* F3: another proposal than this node's */
	FORMATION_OTHER_CLUSTER,        /* activated in a cluster that has no member of this node's id */
	FORMATION_NOT_READY,            /* F5: its database can't be read yet */
	FORMATION_BASES_DIFFER          /* F5: peers[].base is what its table holds */
};

struct formation
{
	struct formation_options options; /* peers: once there is a proposal, its members (F4) */
	enum formation_state state;
	/* durable once formation_durable() has said so */
	bool have_proposal;
	struct paxos_config proposal;
	uint32_t n_acks;
	struct formation_ack acks[PAXOS_MAX_MEMBERS];
	struct paxos_id proposal_hash;
	bool dirty; /* the blob must be written before anything more is sent */
	/* volatile, by index in options.peers */
	uint64_t now_ms;
	struct
	{
		bool heard;
		bool activated;
		uint64_t heard_ms;
		struct paxos_id store_id;
		uint64_t features;
		bool not_ready;
		struct paxos_base base;
		enum formation_trouble trouble;
		uint32_t n_their_peers; /* LISTS_DIFFER: theirs */
		struct formation_peer their_peers[PAXOS_MAX_MEMBERS];
		uint64_t next_send_ms;
		bool owe_reply;
	} peers[PAXOS_MAX_MEMBERS];
	bool base_known; /* F5; true until the host says otherwise */
	struct paxos_base base;
	bool first_command;  /* F4: a cluster of one forms at its first command */
	bool peers_mismatch; /* paxoskv.peers names others than the configuration found at the start */
};

/* A configuration's bytes: the fixed part, that of each member, all at most. */
#define CONFIG_FIXED_BYTES (1 + 8 + 16 + 4 + 1)
#define CONFIG_MEMBER_BYTES (4 + 1 + 16 + 8 + 1)
#define CONFIG_BASE_BYTES (8 + 16)
#define CONFIG_BYTES_MAX                                                                                     \
	(CONFIG_FIXED_BYTES + PAXOS_MAX_MEMBERS * (CONFIG_MEMBER_BYTES + PAXOS_ADDRESS_MAX) + CONFIG_BASE_BYTES)

/* The blob's bytes at most; PLOG_CONFIG_MAX bounds them. */
#define FORMATION_BLOB_MAX 3584

/*
 * Begins, from the blob found in the metadata (length 0: none).  False: the blob is of an unknown version
 * or does not decode; or, without a blob, the peers are given without this node or out of order.  A blob
 * that does not name this node's id and store id makes it an outsider (F1: its node_id was changed, or the
 * directory is a copy).
 */
bool formation_init(struct formation *f, const struct formation_options *options, const uint8_t *blob,
					uint32_t blob_length, uint64_t now_ms);

/* Encodes what must be durable.  Returns its length. */
uint32_t formation_blob(const struct formation *f, uint8_t blob[FORMATION_BLOB_MAX]);

/* Whether the blob changed; formation_durable() after it was written.  Nothing is sent before that. */
bool formation_dirty(const struct formation *f);
void formation_durable(struct formation *f);

void formation_tick(struct formation *f, uint64_t now_ms);

/* When formation_tick() must be called again at the latest; UINT64_MAX: not before a message comes. */
uint64_t formation_next_deadline(const struct formation *f);

/*
 * F5: what this node's table holds now, or NULL while that can't be told; then it proposes nothing and acknowledges
 * nothing.  Until the first call it is an empty table.
 */
void formation_set_base(struct formation *f, const struct paxos_base *base);

/* F4: a command came.  Where there are no other peers the cluster is formed, once durable; else no effect. */
void formation_first_command(struct formation *f);

/*
 * False: malformed or impossible, the peer should be disconnected.  Also answers members after activation
 * (F3).  Who is no peer is passed over.
 */
bool formation_recv(struct formation *f, const struct formation_message *message);

/* What is to be sent now, one at a time; false: nothing. */
bool formation_next_message(struct formation *f, struct formation_message *message);

/* The configuration, once it is activated and durable; else NULL. */
const struct paxos_config *formation_activated(const struct formation *f);

/*
 * F4: paxoskv.peers as given to formation_init() names other node ids than the configuration that this node
 * had already activated or acknowledged, a cluster of one for example.  The configuration stays.
 */
bool formation_peers_mismatch(const struct formation *f);

/*
 * F4: the cluster can't form as things are, since a member lost its store or two acknowledged different
 * proposals; every member answers and none has activated, so wiping all of them loses nothing.
 */
bool formation_wiping_helps(const struct formation *f);

bool base_valid(const struct paxos_base *base);
bool base_same(const struct paxos_base *a, const struct paxos_base *b);

/* Whether it can be one: members by rising id, ids and store ids set, addresses terminated. */
bool config_valid(const struct paxos_config *config);

/* The place of a node id among its members, or -1. */
int config_find(const struct paxos_config *config, uint32_t node_id);

/* F3: what acknowledgements name.  128 bits over config_encode()'s bytes; not cryptographic. */
struct paxos_id config_hash(const struct paxos_config *config);

/* Bytes of a configuration (also a stop sign's body).  Returns its length; 0: buffer too small. */
uint32_t config_encode(const struct paxos_config *config, uint8_t *bytes, uint32_t capacity);
/* False: another version, lengths that don't agree, or not config_valid(). */
bool config_decode(struct paxos_config *config, const uint8_t *bytes, uint32_t length);

#endif /* PAXOS_FORMATION_H */
