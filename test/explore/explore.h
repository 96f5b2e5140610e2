/*
 * explore.h - bounded exhaustive exploration of a small world: three nodes of the real core, every order of
 * messages, syncs, elections and crashes within a budget.
 *
 * A node is a value: its core's state, its log and what a judge must remember of it are interned, so that a
 * node is a number, and so is a message.  A world is three nodes and the messages in flight.  What an input
 * does to a node depends on nothing else, so it is computed once by the real core and then looked up.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "paxos/internal.h"

#define NODES 3
#define SLOTS 16 /* slots 1 .. 15 */
#define PENDING 12
#define WRITE_ENTRIES 12
#define BALLOTS 8 /* met by one node's log, or taken by it, on one path */
#define FLIGHT 32 /* messages in flight */
#define OUTPUTS 24

/* ---------------------------------------------------------------- pool.c: interned byte strings */

struct pool;

struct pool *pool_new(void);
uint32_t pool_intern(struct pool *pool, const void *bytes, uint32_t length);
const void *pool_get(const struct pool *pool, uint32_t id, uint32_t *length);
uint32_t pool_count(const struct pool *pool);
void pool_free(struct pool *pool); /* NULL: nothing */
uint64_t hash_bytes(const void *bytes, size_t length);

/* ---------------------------------------------------------------- disk.c: a node's log */

/* (round, node id) in one number, in the order of ballots; priorities are all zero here. */
typedef uint16_t ballot;

ballot ballot_pack(struct paxos_ballot b);
struct paxos_ballot ballot_unpack(ballot b);
#define BALLOT_ROUND(b) ((b) >> 2)
#define BALLOT_NODE(b) ((b) &3)

/* A write handed out; entries are ids of values. */
struct write
{
	uint8_t type;
	uint8_t first;
	uint8_t base;
	uint8_t end;
	uint8_t n;
	uint8_t values[WRITE_ENTRIES];
	ballot ballot;
};

/* What a log holds. */
struct image
{
	ballot promise;
	ballot accepted;
	ballot staged_ballot;
	uint8_t end;
	uint8_t log[SLOTS];
	uint8_t staged[SLOTS]; /* 0: none */
};

/* NULL, or what is wrong with the write. */
const char *image_apply(struct image *image, const struct write *w);

/* ---------------------------------------------------------------- what a judge remembers of a node */

/* The longest log that a node ever held at a ballot. */
struct held
{
	ballot ballot;
	uint8_t taken_end;   /* handed to its log */
	uint8_t durable_end; /* said or seen to be durable */
	bool adopted;        /* by the owner of the ballot, as its leader's log (P1) */
	uint8_t values[SLOTS];
};

/* All of it survives crashes: the judge forgets nothing. */
struct face
{
	uint8_t n_held;
	uint8_t applied_end; /* through what the core called chosen, and what its log held there */
	uint8_t claimed;     /* the highest chosen index ever sent by it as a leader */
	uint8_t applied[SLOTS];
	uint8_t end; /* what is durable now */
	uint8_t log[SLOTS];
	struct held held[BALLOTS];
};

struct own_ballot
{
	ballot ballot;
	uint8_t run;
	bool used; /* a message at it has left */
};

/* ---------------------------------------------------------------- node.c: the core as a value */

struct node
{
	uint32_t face_id;
	uint8_t id;
	uint8_t run;
	uint8_t role;
	uint8_t n_pending;
	uint8_t n_own;
	bool can_propose;
	bool can_read;
	struct image taken;
	struct image durable;
	struct write pending[PENDING];
	struct own_ballot own[BALLOTS];
	struct face face;
	/* followed by the core's bytes */
};

enum input_type
{
	OP_DELIVER = 1, /* a: message; b: see OP_BEAT */
	OP_DURABLE,     /* a: how many pending writes */
	OP_ELECT,       /* a, b: answers to its heartbeat, or 0 */
	OP_BEAT,        /* a: to whom; b: tells whether it is a ready leader; out[0] is the heartbeat */
	OP_TICK,        /* short: what got no answer is asked again */
	OP_LONG_TICK,   /* an election timeout passes */
	OP_PROPOSE,     /* a: which proposal */
	OP_READ,
	OP_CRASH, /* a: how many pending writes survive; b: and all promises; connected to the nodes of mask >> 8 */
	OP_CONNECT,   /* a: to whom */
	OP_DISCONNECT /* a: from whom */
};

struct input
{
	uint32_t node;
	uint32_t type;
	uint32_t a;
	uint32_t b;
};

/* What came of an operation. */
struct result
{
	uint32_t node;
	uint32_t violation; /* id of a text, 0: none */
	int16_t read_index; /* -1: no read was answered */
	bool enabled;       /* false: the operation is not possible there */
	bool unchanged;     /* and nothing was sent */
	uint8_t n_out;
	uint32_t reply; /* a heartbeat's answer, or 0 */
	uint32_t out[OUTPUTS];
};

extern struct pool *values, *messages, *nodes, *faces, *texts;

/* A message as a value: entries are ids. */
struct flying
{
	struct paxos_message m; /* n_entries; entries NULL */
	uint8_t entries[WRITE_ENTRIES];
};

void nodes_start(void); /* forgets all nodes, messages and values */
uint32_t node_fresh(uint32_t id);
const struct node *node_get(uint32_t node_id);
const struct flying *message_get(uint32_t message_id);
const struct result *node_operate(uint32_t index, const struct input *op);
uint64_t operations_run(void);
/* The same inputs go to twins, cores that are never made canonical; dies where one behaves differently. */
void twins_begin(const uint32_t *node_ids);
void twins_follow(bool follow);
uint64_t twins_compared(void);
uint32_t node_core_bytes(void);

/* canon.c: makes states that behave alike equal, in place */
void canonicalize(struct paxos *p);
void forget_election(struct paxos *p); /* a part of it */
extern bool followers_forward;         /* set before all: whether heartbeats will tell of ready leaders */

/* ---------------------------------------------------------------- judge.c */

/* NULL, or what a node did wrong by its own. */
const char *judge_write(struct node *n, uint32_t id, const struct write *w);
const char *judge_durable(struct node *n);
const char *judge_message(struct node *n, uint32_t id, const struct paxos_message *m);
const char *judge_chosen(struct node *n, uint64_t slot);

/* S1, S2, S5 to S7 over the faces of all nodes.  NULL: fine. */
const char *judge_world(const uint32_t *face_ids);
void judge_start(void); /* forgets what was judged */

/* ---------------------------------------------------------------- world.c */

/* What may still happen. */
struct budget
{
	uint8_t elections;
	uint8_t ticks;
	uint8_t proposals;
	uint8_t crashes;
	uint8_t cuts;
	uint8_t duplicates;
	uint8_t reads;
	uint8_t beats;
	/*
	 * 0: any order.  Else 1 + how often the one who is next may be passed over: disks and messages take their
	 * turn, the oldest first, but for so many that are held back and come at any time, or never.
	 */
	uint8_t delays;
};

struct world
{
	uint32_t node[NODES];
	struct budget left;
	uint8_t cut;        /* the node whose links are cut, 0: none */
	uint8_t read_floor; /* S11: 1 + what the read's index must reach; 0: no read is open */
	uint8_t reader;
	uint8_t stalled; /* delays: nodes whose disk is held back, a bit each */
	uint8_t held;    /* of those in flight */
	uint8_t n;
	uint32_t flight[FLIGHT]; /* messages: those held, by rising id; the others by age */
};

enum action_type
{
	DELIVER = 1,
	DUPLICATE, /* deliver, and keep a copy in flight */
	DURABLE,
	ELECT,
	BEAT,
	TICK,
	LONG_TICK,
	PROPOSE,
	READ,
	CRASH,
	CUT,
	HEAL,
	HOLD, /* the oldest message is passed over */
	STALL /* a node's disk is */
};

struct action
{
	uint8_t type;
	uint8_t node; /* 1 .. */
	uint16_t arg; /* DELIVER: index in flight.  DURABLE: writes.  CRASH: writes * 2 + promises too */
};

#define ACTIONS 256
uint32_t world_actions(const struct world *w, struct action *actions);
/* False: not possible, or without any effect.  *violation: what broke, or NULL. */
bool world_step(const struct world *w, struct action action, struct world *next, const char **violation);
size_t world_size(const struct world *w);
uint64_t world_truncated(void); /* steps left out because too many messages were in flight */

/* print.c */
void print_action(const struct world *w, struct action action);
void print_world(const struct world *w);

/* ---------------------------------------------------------------- starts.c, search.c */

struct start
{
	const char *name;
	const char *what;
	void (*make)(struct world *w);
};

extern const struct start starts[];
extern const uint32_t n_starts;

struct limits
{
	double seconds;
	uint32_t depth;
	uint64_t states;
};

struct findings
{
	uint32_t depth; /* all of it explored */
	bool complete;  /* nothing is left within the budget */
	uint64_t states;
	uint64_t transitions;
	double seconds;
	bool violated;
};

void walk(const struct world *start, uint64_t seed); /* one random path, with twins */
void search(const struct world *start, const struct limits *limits, struct findings *findings);

/* A bug of the explorer itself, or a bound that is too small. */
_Noreturn void die(const char *format, ...);

#endif /* EXPLORE_H */
