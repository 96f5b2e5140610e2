/*
 * internal.h - the core's own state and the calls between its files.
 *
 * Volatile and durable values are separate: "taken" is what this node has handed to its log, "durable" what
 * the host has said is on disk.  Only durable values leave the node in a message that vouches for them.
 */
#ifndef PAXOS_INTERNAL_H
#define PAXOS_INTERNAL_H

#include "paxos/command.h"
#include "paxos/holes.h"
#include "paxos/paxos.h"
#include "paxos/quorum.h"

/* States a condition that must hold.  The host's handler does not return. */
#define PAXOS_ASSERT(p, condition)                                                                           \
	do                                                                                                       \
	{                                                                                                        \
		if (!(condition))                                                                                    \
			(p)->host.assert_failed((p)->host.context, #condition, __FILE__, __LINE__);                      \
	} while (0)

/*
 * Bytes of entries in one message, unless a single entry is larger: no more than a window, but not so few
 * that a small window makes a Sync slow.
 */
#define MESSAGE_BYTES_MAX (512u * 1024)
#define MESSAGE_BYTES_MIN (16u * 1024)
/* Messages in flight to one follower. */
#define FLIGHT_MAX 256
/* Writes handed out and not drained, and their entries: what one input can cause at most. */
#define OUTBOX_WRITES 8
#define OUTBOX_ENTRIES (2 * PAXOS_MAX_BATCH + 8)
/* Writes drained and not durable; later ones merge into the newest when full. */
#define PENDING_MAX 1024
/* X4: what the smallest command costs in the window, so that a window bounds commands, too. */
#define COMMAND_COST_EXTRA 208
#define COMMAND_COST_MIN 256
/* A6: marks of cumulative bytes by slot. */
#define BYTE_MARKS 2048

/* Where a log ends: what P1 and D7 compare. */
struct log_position
{
	struct paxos_ballot ballot;
	uint64_t slot;
};

/* A write the host has and has not yet called durable; what becomes durable with it. */
struct pending_write
{
	uint64_t id;
	struct paxos_ballot promise;  /* none: unchanged */
	struct paxos_ballot accepted; /* none: log unchanged */
	uint64_t end;
	bool heals; /* an INSTALL: damage is gone with it (D7) */
};

/* One message in flight to a follower: through which slot, and its bytes. */
struct flight
{
	uint64_t through;
	uint32_t bytes;
};

/* What a proposer knows of an acceptor's log, by its Promise at the proposer's ballot. */
struct promise_info
{
	bool valid;
	struct paxos_ballot accepted;
	uint64_t first_slot;
	uint64_t end;
	uint64_t chosen;
	uint64_t run;
	struct paxos_damage damage;
};

/* What is owed to one peer and leaves once writes through "after" are durable. */
struct owed
{
	bool owed;
	struct paxos_ballot ballot;
	uint64_t after;
};

enum progress
{
	PROGRESS_NONE = 0, /* no Promise at our ballot yet */
	PROGRESS_SYNC,     /* Y1: its log is being made ours */
	PROGRESS_ACCEPT    /* A1: its accepted ballot is ours */
};

/* What a follower that catches up is sent at a time (catch_up.c). */
struct burst
{
	uint64_t bytes;
	uint64_t begun_ms;
	bool sent;              /* all of it: answers are awaited, or it rests */
	uint64_t rest_until_ms; /* 0: not all answered */
	uint64_t log_bytes;     /* bytes_taken when the burst before was sent */
};

/* The leader's view of one follower.  Meaningful while this node proposes; cleared with its role. */
struct follower
{
	bool owe_prepare;
	struct promise_info promise;
	enum progress progress;
	uint64_t base;     /* SYNC: base slot */
	uint64_t sync_end; /* SYNC: its last slot */
	uint64_t next;     /* next slot to send */
	uint64_t match;    /* durable there at our ballot; only rises within one ballot */
	bool owe_probe;    /* nothing came back for a while: ask where it stands */
	uint64_t moved_ms; /* last progress, or last probe */
	uint64_t gap_slot; /* last GAP acted on, and when: a flight lost as a whole causes one resend */
	uint64_t gap_ms;
	uint64_t chosen_sent; /* A5: chosen index last sent */
	uint32_t flight_head;
	uint32_t n_flights;
	uint32_t flight_bytes;
	struct flight flights[FLIGHT_MAX];
	struct burst burst;
};

/* Leader: one origin of commands (X4), itself included.  Cleared by connection and ballot. */
struct origin
{
	uint64_t received; /* cost of commands received or known lost */
	uint64_t freed;    /* ... of those chosen or lost */
	uint64_t told;     /* grant last told; 0: none */
	bool owe_reply;
	bool refuse; /* the reply says "not leader" */
	uint64_t sequence;
};

/* D7, as the one that lacks something: what this peer was asked. */
struct asked
{
	uint64_t cursor; /* the next slot to ask for */
	uint64_t sequence;
	uint64_t slot; /* slot .. end are asked for */
	uint64_t end;
	uint64_t asked_ms;
	bool waits;
	bool passed; /* it was asked for all that is missing, since it is connected */
	uint64_t passed_ms;
};

/* D7, as one that may have it. */
struct repair_owed
{
	bool owed;
	struct paxos_ballot accepted;
	uint64_t slot;
	uint64_t end;
	uint64_t chosen;
	uint64_t sequence;
};

struct peer
{
	struct paxos_member member;
	bool connected;

	/* X1: the highest run met, and the first heartbeat round asked after meeting it */
	uint64_t run_met;
	uint64_t run_met_round;
	uint64_t fence_run; /* tell it that this run is fenced; 0: nothing to tell */
	bool fence_both;
	bool fence_heard; /* ... and the highest once it is heard: the connection may be with the lower one */

	/* E: what its last answer said */
	bool owe_heartbeat;
	bool owe_heartbeat_reply;
	uint64_t reply_round;
	uint64_t answered_round;
	struct paxos_ballot own;
	struct paxos_ballot followed;
	struct log_position log;
	struct paxos_damage damage;
	bool content;
	bool accepting;
	bool ready;
	uint64_t round_sent_ms;
	uint64_t heard_ms;
	uint64_t applied;

	/* as acceptor, to this proposer */
	struct owed promise;
	struct owed refuse;
	struct owed accepted;
	uint64_t accepted_told; /* highest Accepted given out at the present ballot */
	bool owe_gap;
	bool owe_sync_progress;
	bool sync_resend; /* the progress says "send from there again" */
	bool owe_chunk;   /* P1: this candidate pulls our log ... */
	struct paxos_ballot chunk_ballot;
	struct paxos_ballot chunk_accepted; /* the accepted ballot that was promised */
	uint64_t chunk_slot;                /* ... behind this slot */

	struct asked asked;
	struct repair_owed repair_owed;

	struct follower follower;
	struct origin origin;

	/* R: as leader, a read request of this node, and its part in the quorum round */
	bool read_waiting;
	bool read_leader_only;
	uint64_t read_sequence;
	uint64_t read_round; /* the round that must be confirmed */
	bool owe_read_reply;
	uint64_t read_reply_index;
	bool owe_round;
	uint64_t round_acked;
	/* as acceptor */
	bool owe_round_reply;
	struct paxos_ballot round_reply_ballot;
	uint64_t round_reply;
};

/* Y1: a Sync being staged; "ballot" none: none. */
struct staging
{
	struct paxos_ballot ballot;
	uint64_t base;
	uint64_t end;
	uint64_t through; /* staged so far */
	uint64_t after;   /* id of the last stage write */
};

/* D7: this node's log lacks slots, and gets them back. */
struct repair
{
	bool active;
	struct paxos_holes holes; /* what is missing and not yet handed to the log */
	uint64_t after;           /* id of the last REPAIR write */
	uint64_t since_ms;
	bool nowhere; /* whoever can be asked was asked for all of it, in vain */
};

/* P1: the log this candidate adopts. */
struct adoption
{
	bool active;
	uint32_t source; /* index in peers */
	bool all_voters; /* D8 */
	struct paxos_ballot accepted;
	uint64_t base;
	uint64_t end;
	uint64_t through;
	uint64_t after; /* id of the last stage write */
	bool owe_pull;
	uint64_t asked_ms;
};

/* X2: a numbered command of this node; its bytes are the host's. */
struct command
{
	const uint8_t *bytes;
	uint32_t length;
};

/* This node as an origin: its session and its unresolved commands, first .. last. */
struct proposer
{
	uint64_t session; /* 0: not open */
	uint64_t first_unresolved;
	uint64_t last_number;
	uint64_t next_to_send;
	bool owe_session_event;
	bool has_fence;    /* O4: a fence on one of its numbers is chosen */
	uint64_t jumped;   /* X3: a snapshot says that numbers through this one are resolved */
	uint32_t capacity; /* of the ring, by number % capacity */
	struct command *commands;
	/* X3, X4: since this connection and ballot */
	struct paxos_ballot ballot; /* the leader's, whom it sends to */
	bool usable;                /* ... and that leader is ready and reachable */
	uint64_t bytes_sent;
	uint64_t granted;
	uint64_t sequence;  /* of resends */
	bool barrier_known; /* gaps in slots up to barrier cause no resend */
	uint64_t barrier;
	uint64_t moved_ms;
	bool owe_open; /* send or append the OpenSession */
	uint64_t open_ms;
	uint8_t open_bytes[OPEN_SESSION_ENTRY_BYTES];
};

/* Leader: the commands in its log that are not chosen, for X4's windows. */
struct unchosen
{
	uint64_t slot;
	uint32_t cost;
	uint32_t origin; /* index in peers */
};

/* This node as a reader (R2), one request under way. */
struct reader
{
	uint64_t last_token;
	uint64_t answered_token;
	uint64_t linearizable_token; /* highest token of that level */
	bool asked;
	bool owe_request;
	struct paxos_ballot ballot; /* whom it asked */
	uint64_t sequence;
	uint64_t token; /* the request serves tokens up to this one */
	bool leader_only;
	uint64_t asked_ms;
	bool owe_event;
	uint64_t event_token;
	uint64_t event_index;
};

struct byte_mark
{
	uint64_t slot;
	uint64_t bytes; /* taken by Accepts through slot */
};

struct paxos
{
	struct paxos_config config;
	struct paxos_options options;
	struct paxos_host host;
	uint32_t self; /* index in peers */
	uint32_t n_peers;
	uint32_t n_voters;
	uint64_t now_ms;
	uint64_t random;

	/* handed to the log, durable or not */
	struct paxos_ballot promise;
	struct paxos_ballot accepted;
	uint64_t end;
	uint64_t first_slot;
	struct paxos_damage damage;
	/* said by the host to be on disk */
	struct
	{
		uint64_t id;
		struct paxos_ballot promise;
		struct paxos_ballot accepted;
		uint64_t end;
		struct paxos_damage damage;
	} durable;
	uint64_t last_write_id;
	struct pending_write pending[PENDING_MAX];
	uint32_t pending_head;
	uint32_t n_pending;

	/* role */
	enum paxos_role role;
	struct paxos_ballot own; /* none unless candidate or leader, of this run (B2) */
	struct paxos_ballot followed;
	struct paxos_ballot highest_met; /* E5 */
	struct adoption adoption;
	struct log_position adopted; /* leader: the log it adopted, without what it appended (Y2) */
	uint64_t noop_slot;          /* leader: P3 */
	uint64_t progress_ms;        /* E6 */
	uint64_t connected_ms;       /* E7: last round in which it was quorum-connected */
	struct staging staging;
	struct repair repair;

	/* election */
	uint64_t round;
	uint64_t round_end_ms;
	bool round_seen; /* a round has ended in this run */
	bool content;
	uint32_t grace_rounds; /* E4 */
	bool host_accepting;
	bool quorum_connected;
	struct paxos_ballot reset_round; /* E7: ballot whose owner's reset already began a round */

	/* chosen */
	struct paxos_ballot leader_chosen_ballot;
	uint64_t leader_chosen; /* A5: as told at leader_chosen_ballot */
	uint64_t chosen;        /* chosen and durable here */
	uint64_t scanned;       /* own session folded through */
	uint64_t applied;
	struct byte_mark marks[BYTE_MARKS];
	uint32_t mark_head;
	uint32_t n_marks;
	uint64_t bytes_taken;
	uint64_t bytes_applied;

	/* T5: this node's log ends before another's begins, as peers[behind_source] said; 0: it doesn't */
	uint64_t behind;
	uint32_t behind_source;
	uint64_t behind_told; /* the slot of the last BEHIND event */

	/* reads, as leader */
	uint64_t read_round_sent;
	uint64_t read_round_confirmed;
	uint64_t read_round_ms;

	struct reader reader;
	struct proposer proposer;
	struct unchosen *unchosen;
	uint32_t unchosen_capacity;
	uint32_t unchosen_head;
	uint32_t n_unchosen;

	/* what the host has not drained yet */
	struct paxos_write writes[OUTBOX_WRITES];
	uint32_t write_head;
	uint32_t n_writes;
	struct paxos_entry write_entries[OUTBOX_ENTRIES];
	uint32_t n_write_entries;
	struct paxos_entry message_entries[PAXOS_MAX_BATCH];
	uint8_t noop_bytes[ENTRY_HEADER_BYTES];
	uint64_t event_chosen; /* last CHOSEN event given out */
	bool owe_role_event;
	bool owe_fenced_event;
	uint64_t unrecoverable_slot; /* owe the event; 0: not */

	uint64_t elections;
	uint64_t refused;
	uint64_t round_trip_max_ms;

	struct peer peers[PAXOS_MAX_MEMBERS];
};

/* ballots */
static inline bool ballot_none(struct paxos_ballot b)
{
	return b.round == 0 && b.node_id == 0;
}

static inline bool ballot_equal(struct paxos_ballot a, struct paxos_ballot b)
{
	return paxos_ballot_compare(a, b) == 0;
}

static inline bool ballot_above(struct paxos_ballot a, struct paxos_ballot b)
{
	return paxos_ballot_compare(a, b) > 0;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline bool is_proposing(const struct paxos *p)
{
	return p->role == PAXOS_CANDIDATE || p->role == PAXOS_LEADER;
}

extern const struct paxos_ballot no_ballot;

/* paxos.c */
struct peer *find_peer(struct paxos *p, uint32_t node_id);

/* writes.c: hands writes to the host, and learns that they are durable */
bool writes_have_room(const struct paxos *p, uint32_t n_entries);
void write_promise(struct paxos *p, struct paxos_ballot ballot);
void write_append(struct paxos *p, const struct paxos_entry *entries, uint32_t n_entries);
void write_stage(struct paxos *p, struct paxos_ballot ballot, uint64_t base, uint64_t first_slot,
				 const struct paxos_entry *entries, uint32_t n_entries);
void write_install(struct paxos *p, struct paxos_ballot ballot, uint64_t base, uint64_t end);
void write_repair(struct paxos *p, uint64_t first_slot, const struct paxos_entry *entries,
				  uint32_t n_entries);
void writes_durable(struct paxos *p, uint64_t id);
bool over_unapplied_limit(const struct paxos *p);
void forget_applied_bytes(struct paxos *p);

/* role.c */
void take_over(struct paxos *p);
void become_leader(struct paxos *p);
void step_down(struct paxos *p);
void take_promise(struct paxos *p, struct paxos_ballot ballot);
void fence(struct paxos *p);

/* election.c */
void meet_ballot(struct paxos *p, struct paxos_ballot ballot);
void hear_own_ballot(struct paxos *p, struct paxos_ballot ballot);
void follow(struct paxos *p, struct paxos_ballot ballot);
void begin_round(struct paxos *p);
void election_tick(struct paxos *p);
bool self_accepting(const struct paxos *p);
void recv_heartbeat(struct paxos *p, struct peer *peer, const struct paxos_message *m);
void recv_heartbeat_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m);
void send_heartbeat(struct paxos *p, struct peer *peer, bool reply, struct paxos_message *m);

/* phase1.c: Prepare, Promise, and the adoption of a log */
bool recv_prepare(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_promise(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_refuse(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_pull(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_chunk(struct paxos *p, struct peer *peer, const struct paxos_message *m);
void phase1_durable(struct paxos *p);
void phase1_tick(struct paxos *p);
void phase1_repaired(struct paxos *p);
void owe_promise(struct paxos *p, struct peer *peer, struct paxos_ballot ballot);
void owe_refuse(struct paxos *p, struct peer *peer, struct paxos_ballot ballot);
bool send_phase1(struct paxos *p, struct peer *peer, struct paxos_message *m);
bool send_chunk(struct paxos *p, struct peer *peer, struct paxos_message *m);

/* sync.c */
uint64_t sync_base(const struct promise_info *promise, struct log_position adopted);
void start_follower(struct paxos *p, struct peer *peer);
bool recv_sync(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_sync_progress(struct paxos *p, struct peer *peer, const struct paxos_message *m);
void staging_durable(struct paxos *p);
bool send_sync(struct paxos *p, struct peer *peer, struct paxos_message *m);
bool send_sync_progress(struct paxos *p, struct peer *peer, struct paxos_message *m);

/* repair.c: D7, single records from peers */
void repair_create(struct paxos *p, const struct paxos_holes *holes);
void repair_durable(struct paxos *p);
void repair_trimmed(struct paxos *p, uint64_t first_slot);
void repair_forget_peer(struct peer *peer);
void repair_tick(struct paxos *p);
bool recv_repair_ask(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_repair(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool send_repair_ask(struct paxos *p, struct peer *peer, struct paxos_message *m);
bool send_repair(struct paxos *p, struct peer *peer, struct paxos_message *m);

/* phase2.c */
bool recv_accept(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_accepted(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_gap(struct paxos *p, struct peer *peer, const struct paxos_message *m);
void hear_chosen(struct paxos *p, struct paxos_ballot ballot, uint64_t chosen);
void advance_chosen(struct paxos *p);
void followers_tick(struct paxos *p);
void flights_clear(struct follower *f);
void flight_add(struct paxos *p, struct follower *f, uint64_t through, uint32_t bytes);
void flights_done(struct follower *f, uint64_t through);
bool flights_full(const struct paxos *p, const struct follower *f);
bool load_entries(struct paxos *p, uint64_t first_slot, uint64_t last_slot, struct paxos_message *m,
				  uint32_t *bytes);
bool send_accept(struct paxos *p, struct peer *peer, struct paxos_message *m);
bool send_accepted(struct paxos *p, struct peer *peer, struct paxos_message *m);

/* catch_up.c: at what pace */
bool catch_up_rests(const struct paxos *p, struct follower *f);
void catch_up_sends(const struct paxos *p, struct follower *f, uint32_t bytes);
void catch_up_answered(const struct paxos *p, struct follower *f);
uint64_t catch_up_deadline(const struct paxos *p);

/* behind.c: logs that are trimmed, tables that are restored */
uint64_t proven_first_slot(const struct paxos *p);
uint64_t table_needed(const struct paxos *p);
void fall_behind(struct paxos *p, const struct peer *peer, uint64_t slot);
void behind_tick(struct paxos *p);
bool lacks_trimmed(const struct paxos *p, const struct follower *f);
bool send_trimmed(struct paxos *p, struct peer *peer, struct paxos_message *m);
bool recv_trimmed(struct paxos *p, struct peer *peer, const struct paxos_message *m);

/* reads.c */
void reads_reset_leader(struct paxos *p);
void reads_tick(struct paxos *p);
void reads_pump(struct paxos *p);
void reader_ask(struct paxos *p);
bool recv_read_request(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_read_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_read_round(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_read_round_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool send_reads(struct paxos *p, struct peer *peer, struct paxos_message *m);

/* forward.c: commands, from their origin to the leader's log */
uint32_t command_cost(uint32_t length);
void origin_reset(struct origin *origin);
void origins_chosen(struct paxos *p, uint64_t chosen);
void proposer_check_leader(struct paxos *p);
void proposer_resend(struct paxos *p);
void proposer_pump(struct paxos *p);
void proposer_tick(struct paxos *p);
bool proposer_scan(struct paxos *p, struct paxos_event *event);
void proposer_restored(struct paxos *p, const struct paxos_restored *restored);
bool recv_forward(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool recv_forward_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m);
bool send_forward(struct paxos *p, struct peer *peer, struct paxos_message *m);
bool send_forward_reply(struct paxos *p, struct peer *peer, struct paxos_message *m);

#endif /* PAXOS_INTERNAL_H */
