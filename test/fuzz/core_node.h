/*
 * core_node.h - a host of the core for fuzz_core: the log is a list of entries in memory, links are short queues,
 * and everything that a core writes, sends or reports is held against what its own log says.
 *
 * Simpler than the simulator's nodes (test/sim/), and quick: no log files, no formation, no faults of the disk but
 * the loss of what was not durable.
 */
#ifndef CORE_NODE_H
#define CORE_NODE_H

#include "paxos/command.h"
#include "paxos/paxos.h"

#define WORLD_NODES_MAX 5
#define WORLD_ROUND_MS 21
#define LINK_MAX 48

struct log_entry
{
	uint8_t *bytes;
	uint32_t length;
	struct paxos_ballot ballot;
};

/* What a list of writes makes. */
struct node_log
{
	struct paxos_ballot promise;
	struct paxos_ballot accepted;
	uint64_t first_slot;
	uint64_t end;
	bool damaged;
	struct log_entry *entries; /* first_slot .. end; bytes belong to the writes */
	size_t capacity;
};

const struct log_entry *log_find(const struct node_log *log, uint64_t slot);

/* A copy of one write, bytes and all. */
struct kept_write
{
	struct paxos_write write;
	struct kept_write *next;
	struct kept_write *next_queued;
	struct paxos_entry entries[];
};

struct core_node
{
	uint32_t id;
	struct paxos *core;
	void *memory;
	size_t memory_size;
	uint64_t run;
	uint64_t now_ms;
	bool accepting;
	uint8_t read_fails; /* n: the n-th read from now on fails, and with it the life */
	bool must_restart;

	struct node_log taken;
	struct node_log durable;
	struct kept_write *writes; /* all of all lives, newest first: both logs point at their bytes */
	struct kept_write *queue;  /* not durable, oldest first; linked by next_queued */
	struct kept_write *queue_end;
	uint64_t last_id;
	uint64_t durable_id;
	struct paxos_ballot staged; /* ... staged_base + 1 .. staged_end, none: nothing */
	uint64_t staged_base;
	uint64_t staged_end;

	uint8_t **commands; /* of this life */
	size_t n_commands;

	struct paxos_ballot start_promise; /* durable when this life began (B2) */
	uint64_t start_end;
	uint64_t chosen; /* last event */
	uint64_t applied;
	struct paxos_status status; /* as of the last check */
	uint64_t last_sequence;     /* seen in a message of its own */
	uint64_t start_applied;
};

/* A message on its way; the entries' bytes are its own. */
struct carried
{
	struct paxos_message message;
	struct paxos_entry *entries;
	uint32_t n_entries;
};

struct link
{
	struct carried queue[LINK_MAX];
	uint32_t head;
	uint32_t n;
	bool up;
	struct carried last; /* the last one delivered */
};

struct fuzz_world
{
	uint32_t n_nodes;
	bool lied; /* agreement can't be asked for any more */
	struct paxos_config config;
	struct core_node nodes[WORLD_NODES_MAX + 1]; /* by id */
	struct link links[WORLD_NODES_MAX + 1][WORLD_NODES_MAX + 1];
	struct log_entry *chosen; /* S1: by slot - 1 */
	size_t n_chosen;
	size_t chosen_capacity;
};

/* What a disk lost beside what was not durable: so many slots from the end. */
struct rot
{
	uint64_t cut;
	bool doubtful;
	uint64_t lowest_written;
};

extern const struct rot no_rot;

void world_begin(struct fuzz_world *w, uint8_t shape, uint8_t seed);
void world_end(struct fuzz_world *w);
void world_check(struct fuzz_world *w);
void world_connect(struct fuzz_world *w, uint32_t a, uint32_t b, uint8_t how);
void world_deliver(struct fuzz_world *w, uint32_t from, uint32_t to);
/* Everything on its way, but what comes from nodes that the bits of "without" name. */
void world_deliver_all(struct fuzz_world *w, uint8_t without);
void world_durable_all(struct fuzz_world *w);
void world_tick_all(struct fuzz_world *w, uint64_t ms);
/* Gives a message to a node's core. */
void world_give(struct fuzz_world *w, struct core_node *n, struct carried *c);

void node_tick(struct fuzz_world *w, struct core_node *n, uint64_t ms);
void node_durable(struct fuzz_world *w, struct core_node *n, uint64_t ids);
void node_propose(struct fuzz_world *w, struct core_node *n, uint32_t body);
void node_read(struct fuzz_world *w, struct core_node *n, bool leader_only);
void node_apply(struct fuzz_world *w, struct core_node *n, uint64_t slots);
/* Trims up to so many slots of what is applied. */
void node_trim(struct fuzz_world *w, struct core_node *n, uint64_t slots);
/* Takes the other's table, if it is not older than its own (T5). */
void node_restore(struct fuzz_world *w, struct core_node *n, const struct core_node *source);
/* Crashes and starts again: "kept" of the writes that were not durable survive. */
void node_restart(struct fuzz_world *w, struct core_node *n, uint64_t kept, struct rot rot);

struct carried *link_peek(struct link *link);
void link_drop(struct link *link);

void carry_entry(struct carried *c, const uint8_t *bytes, uint32_t length);
/* An entry of that header and length; salt: what its body holds, for an OpenSession the run and nonce. */
void carry_made(struct carried *c, const struct entry_header *header, uint32_t length,
				const struct core_node *victim, uint8_t salt);
void carried_drop_entries(struct carried *c);
/* Makes the message point at its own entries. */
void carried_point(struct carried *c);
void carried_free(struct carried *c);

#endif /* CORE_NODE_H */
