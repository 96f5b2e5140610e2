/*
 * lone_core.h - one core on a host whose disk is an array that syncs when it is told to: for tests that go
 * message by message.  The node is number 1; its epoch is 1, its run 5, its nonce 77.
 */
#ifndef LONE_CORE_H
#define LONE_CORE_H

#include "paxos/command.h"
#include "paxos/paxos.h"

#define LONE_SLOTS 1200
#define LONE_RUN 5
#define LONE_NONCE 77
#define LONE_ENTRY_MAX 160

struct host_log
{
	struct paxos_entry slots[LONE_SLOTS];
	struct paxos_entry staged[LONE_SLOTS];
	uint8_t bytes[LONE_SLOTS * 2][LONE_ENTRY_MAX];
	int n_bytes;
	uint64_t end;
	uint64_t last_id;
	struct paxos_write last;
	int n_writes;
	bool unreadable; /* reads fail from now on */
};

extern struct host_log disk;
extern struct paxos *core;

/* Node 1 of three, connected to both others; at 1,000 ms. */
void make_node(const struct paxos_durable_state *state);
/* The same with a fourth member that is a learner. */
void make_node_with_learner(const struct paxos_durable_state *state);
/* Node 1 as the learner of four, whose other three vote. */
void make_learner(const struct paxos_durable_state *state);
void free_node(void);
/* A6's limit for nodes made from now on; 0: one that is never reached. */
void limit_unapplied(uint64_t bytes);

extern const struct paxos_durable_state fresh;

/* A message to node 1 in run 1 of its sender, at the sender's ballot of that round. */
struct paxos_message message(enum paxos_message_type type, uint32_t from, uint64_t round);
/* Takes what the core wants written; what it answered to a message or a tick. */
void drain(void);
bool receive(const struct paxos_message *m);
/* Received and refused, and neither written nor answered; and taken as sound, and nothing comes of it. */
bool refused(const struct paxos_message *m);
bool passed_over(const struct paxos_message *m);
void tick(uint64_t at_ms);
uint64_t now_ms(void);
/* All that was written is durable, and what follows from that is written, not yet durable. */
void sync_disk(void);
/* Until nothing more is written. */
void sync_all(void);

/* The next message of that type, others thrown away; false: none. */
bool next(enum paxos_message_type type, struct paxos_message *m);
/* The same of those to one peer. */
bool next_to(enum paxos_message_type type, uint32_t to, struct paxos_message *m);
bool next_event(enum paxos_event_type type, struct paxos_event *event);
void drop_messages(void);

/* A no-op of node 2. */
struct paxos_entry noop(void);
/* A command of that node, of that session and number; kept until the fourth call after. */
struct paxos_entry command_of(uint32_t node_id, uint64_t session, uint64_t number);

/* Brings the node under leader 2 at round 3, with one entry, all durable. */
void follow_leader(void);
/* An Accept of leader 2 at round 3 behind the slot. */
struct paxos_message accept_of(uint64_t slot, const struct paxos_entry *entries, uint32_t n_entries);
/* Both others answer the round under way, discontent, and it ends; or one of them does. */
void end_round(void);
void end_round_alone(uint32_t node_id);
/* Lets the node take over: its own ballot is durable, its Prepares are out.  Gives that ballot. */
struct paxos_ballot stand(void);
/* A Promise of an undamaged, empty log at the ballot. */
struct paxos_message promise_of(uint32_t from, struct paxos_ballot ballot);
/* A candidate that has met round 5, and whose quorum's best log lies at node 2: slots 1 to end, of ballot 2. */
struct paxos_ballot pull_from_two(uint64_t end);
/* Makes it leader, with node 2's Promise; its own no-op is durable, nothing is chosen. */
struct paxos_ballot lead(void);
/* The same of a node made with that state, whose log has the entry in each slot, with the Promise of a node with the same log. */
struct paxos_ballot lead_with(const struct paxos_durable_state *state, struct paxos_entry entry,
							  uint32_t from);
/* A message of that node at the leader's ballot about that slot; and an Accepted, received. */
struct paxos_message from_follower(enum paxos_message_type type, uint32_t from, struct paxos_ballot ballot,
								   uint64_t slot);
void accepted(uint32_t from, struct paxos_ballot ballot, uint64_t slot);

struct paxos_status status(void);

#endif /* LONE_CORE_H */
