/*
 * sim.h - the simulated world: what its parts know of each other.
 *
 *	 world.c	 virtual time, event queue, phases of a run, the seed's configuration
 *	 net.c		 connections and what becomes of messages
 *	 disk.c		 one node's disk
 *	 node.c		 one node's worker: hosts the core and the log as the PostgreSQL worker does
 *	 apply.c	 one node's database: applies chosen entries, loses a suffix in a crash
 *	 client.c	 clients, and the request ring's states
 *	 faults.c	 what goes wrong, and when
 *	 copies.c	 disks that are wiped, restored from an old copy, or run twice (F1, X1)
 *	 trim.c		 logs are trimmed behind what their database holds durably (T2)
 *	 snapshot.c	 a node that is behind fetches another's table (T5)
 *	 oracle.c	 S1 to S7 from durable state; model.c: the chosen log's own fold (S8, S11 to S13);
 *	 liveness.c	 L1 to L5, once faults have stopped
 *
 * Everything is drawn from the seed: the same seed gives the same trace hash on every machine.
 */
#ifndef SIM_H
#define SIM_H

#include "disk.h"
#include "log/log.h"
#include "paxos/command.h"
#include "paxos/condition.h"
#include "paxos/formation.h"
#include "paxos/outcome.h"
#include "paxos/paxos.h"
#include "paxos/session.h"
#include "paxos/state_hash.h"
#include "rng.h"
#include "trace.h"

#define SIM_NODES 7
/* A node may run twice: the copy is one machine more. */
#define SIM_MACHINES (SIM_NODES + 1)
#define SIM_CLIENTS 8
#define SIM_PARTITIONS 2
#define SIM_KEYS 12
#define SIM_ROWS (SIM_PARTITIONS * SIM_KEYS)
#define SIM_BATCH_KEYS 4
#define SIM_COMMITS 8
#define SIM_IDS 32
#define SIM_VOIDS 256
#define SIM_CLOSED 16
#define SIM_ID_TEXT 16
/* After so many requests with an id, and fences, a seed makes no more: void numbers are kept. */
#define SIM_ID_REQUESTS 200
/* After that many requests clients are slower, so that no seed takes long. */
#define SIM_BUSY_REQUESTS 1500

/* A command carries its request's id in the lowest bits of its origin's clock. */
#define SIM_REQUEST_BITS 20

/* Virtual microseconds. */
typedef uint64_t sim_time;
#define SIM_MS 1000u

struct world;

/* ---------------------------------------------------------------- configuration of a seed */

enum fault
{
	FAULT_POWER_LOSS = 0,
	FAULT_PROCESS_DIES,
	FAULT_ALL_LOSE_POWER,
	FAULT_PARTITION,
	FAULT_ISOLATE,
	FAULT_ONE_WAY,
	FAULT_RESET,
	FAULT_SLOW_NETWORK,
	FAULT_FREEZE,
	FAULT_SLOW_DISK,
	FAULT_DISK_FULL,
	FAULT_IO_ERROR,
	FAULT_ROT,
	FAULT_APPLY_STALLS,
	FAULT_SHAPE,
	FAULT_SLOW_LINKS,
	FAULT_CLOCK,    /* a clock jumps */
	FAULT_FLAPPING, /* a link is cut and heals again and again */
	FAULT_GRAPH,    /* each direction of each link is there or not, for a long time */
	FAULT_WIPE,     /* log gone, and the database mostly */
	FAULT_RESTORE,  /* a machine is set back to an old copy of its disk */
	FAULT_CLONE,    /* such a copy runs beside the original */
	FAULT_LEADER,   /* one of the above, at the leader */
	FAULT_DATABASE, /* emptied, or an old copy of it put back, beside the log as it is */
	FAULTS
};

enum final_shape
{
	FINAL_WHOLE = 0,   /* everything is healed */
	FINAL_MINORITY,    /* a minority stays down */
	FINAL_QUORUM_LOSS, /* one node reaches all, the others only it */
	FINAL_CONSTRAINED, /* the old leader is cut off, one node reaches a quorum that has no other */
	FINAL_CHAINED,     /* a - b - c */
	FINAL_SOURCE_DIES, /* the leader goes, and then whom the next one pulls its log from (E6) */
	FINAL_SHAPES
};

struct sim_config
{
	uint32_t n_nodes;
	uint32_t n_clients;
	uint32_t election_timeout_ms;
	uint32_t heartbeat_ms;
	bool priorities; /* nodes differ in priority */
	uint32_t window_bytes;
	uint64_t unapplied_bytes_max;
	bool tight_apply; /* apply may fall behind A6's limit in ordinary work */
	uint64_t segment_bytes;
	uint64_t cache_bytes;
	uint64_t min_free_segments;

	bool lossy;           /* drop, duplicate and reorder within a connection */
	uint32_t drop;        /* per mille, lossy only */
	uint32_t duplicate;   /* per mille, lossy only */
	uint32_t delay_us;    /* of a message, at most */
	uint32_t late;        /* per mille of messages that are much later, lossy only */
	uint32_t sync_us;     /* of a sync, at most */
	uint32_t tell_us;     /* from the sync's end until the core hears of it, at most */
	uint32_t send_us;     /* from an input until messages are pulled, at most */
	uint32_t apply_us;    /* from chosen to the apply transaction, at most */
	uint32_t apply_batch; /* entries a transaction, at most */

	uint32_t value_bytes;     /* mostly at most */
	uint32_t big_value_bytes; /* now and then */
	uint32_t think_us;        /* a client's pause */
	uint32_t deadline_ms;     /* of a request */
	uint32_t read_share;      /* per mille of requests */
	uint32_t id_share;        /* per mille of writes that have a request id, or are settled by a fence */
	uint32_t condition_share; /* per mille of puts with a precondition */
	uint32_t trim_us;         /* between two trims, at most; 0: nothing is trimmed */
	bool retain_slots;        /* of the log its newest slots stay, else bytes of it */
	uint64_t retention_slots;
	uint64_t retention_bytes;
	uint32_t trim_files_max;  /* one trim lets so many files go at most; 0: all */
	uint32_t chunk_rows;      /* of a snapshot */
	uint32_t spoiled_chunks;  /* per mille of their rows that arrive with a flipped bit */
	uint32_t snapshot_faults; /* per mille: one is interrupted, or its node dies, before a step */
	uint32_t ids_kept;        /* O2 */
	uint32_t closed_kept;     /* O4 */
	bool scripted;            /* clients ask only what a scenario tells them */

	uint64_t chaos_ms;
	uint32_t fault_gap_ms; /* between faults, at most; 0: none at all */
	uint32_t fault_weights[FAULTS];
	uint32_t crash_in_call; /* per mille: a crash happens inside a file call */
	bool rot_anywhere;      /* bits flip on a majority, too */
	bool core_checks_runs;  /* the handshake does not: the core alone refuses lower runs (X1) */
	bool early_faults;      /* some strike while the cluster forms */
	bool power_storms;      /* all lose power again and again, in the middle of large syncs (D8) */
	enum final_shape final;
};

/* What is changed of a seed's draw, to find out what its failure needs.  All zero: nothing. */
struct sim_overrides
{
	const uint32_t *left_out; /* indexes of faults that do not happen, in any order; the caller's */
	uint32_t n_left_out;
	bool limit_faults; /* none from index max_faults on */
	uint32_t max_faults;
	uint32_t n_clients;              /* 0: as drawn; never more than drawn */
	uint64_t chaos_ms;               /* 0: as drawn; never more than drawn */
	bool not_lossy;                  /* messages are lost only with their connection */
	bool final_whole;                /* no partial shape at the end */
	bool no_delays;                  /* of telling the core, of sending, of applying */
	uint32_t variant;                /* 0: as drawn; else all draws but configuration and faults are others */
	const struct sim_config *config; /* instead of what the seed draws; the caller's */
	const char *scenario;            /* NULL: none; else its name */
	uint64_t scenario_case;
};

/* ---------------------------------------------------------------- events */

enum event_kind
{
	EVENT_DELIVER = 1, /* data: struct packet */
	EVENT_TICK,
	EVENT_PULL, /* messages leave the core */
	EVENT_SYNC,
	EVENT_SYNCED, /* a: durable id */
	EVENT_COMPLETION,
	EVENT_APPLY,
	EVENT_DRAIN, /* the worker looks into its ring */
	EVENT_START,
	EVENT_HANDSHAKE, /* data: struct handshake */
	EVENT_FENCE,     /* node, a: of that machine; b: named run; c: its run */
	EVENT_WATCH,     /* is there a leader by now (L3)? */
	EVENT_ADMIN,     /* looks whether a cluster that can't form is to be wiped (F4) */
	EVENT_CONNECT,   /* node, a: peer */
	EVENT_LOSE,      /* node, a: peer, b: generation, c: reset */
	EVENT_CLIENT,    /* a: client */
	EVENT_DEADLINE,  /* a: request */
	EVENT_FAULT,     /* a: its index */
	EVENT_HEAL_LINK, /* a, b */
	EVENT_HEAL_ALL,
	EVENT_FLAP,        /* a, b, c: both ways */
	EVENT_OVERDUE,     /* a sync takes too long (E2) */
	EVENT_UNSTALL,     /* the disk is fast again, or apply goes on */
	EVENT_FULL_ENDS,   /* the disk has room again */
	EVENT_ABANDON,     /* a: request */
	EVENT_SOURCE_DIES, /* a: node */
	EVENT_TRIM,
	EVENT_FETCH,    /* a node that is behind looks for a source */
	EVENT_SNAPSHOT, /* a: serial: the next step of that one */
	EVENT_PHASE
};

struct event
{
	sim_time at;
	uint64_t sequence;
	enum event_kind kind;
	uint32_t node; /* 0: of the world.  A frozen node's events wait. */
	uint64_t life; /* the node's life it belongs to; 0: any */
	uint64_t a;
	uint64_t b;
	uint64_t c;
	void *data;
};

/* ---------------------------------------------------------------- requests */

enum request_kind
{
	REQUEST_PUT = 1,
	REQUEST_DELETE,
	REQUEST_BATCH,
	REQUEST_CLEAR,
	REQUEST_CLEAR_ALL,
	REQUEST_FENCE, /* O4 */
	REQUEST_GET    /* the last: reads are >= it */
};

enum read_level
{
	READ_LINEARIZABLE = 1,
	READ_LEADER,
	READ_LOCAL
};

enum request_state
{
	REQUEST_SUBMITTED = 1,
	REQUEST_NUMBERED,
	REQUEST_DONE,      /* answered OK */
	REQUEST_WITHDRAWN, /* certainly not applied */
	REQUEST_UNKNOWN,   /* abandoned after numbering, or its node died */
	REQUEST_VOID,      /* answered: it had no effect (O) */
	REQUEST_FAILED     /* a read that was not confirmed: no effect */
};

struct request
{
	uint64_t id;        /* from 1; the low bits of its origin's clock in a command */
	int64_t written_at; /* the origin's clock, with the id in it */
	enum request_kind kind;
	enum read_level level;
	enum request_state state;
	uint32_t client;
	uint32_t node;
	uint64_t life;
	sim_time submitted;
	uint32_t n_rows;
	uint32_t rows[SIM_BATCH_KEYS]; /* partition * SIM_KEYS + key; CLEAR: partition * SIM_KEYS */
	uint8_t *bytes;                /* the command, until it is resolved or its node dies (X2) */
	uint32_t length;
	uint64_t session;
	uint64_t number;
	uint64_t token;      /* reads */
	bool read_confirmed; /* "slot" is the read index */
	uint64_t slot;       /* of the command, or the read index */
	bool resolved;
	bool succeeded; /* the result: its precondition held */
	/* O: attempts of one command share its intent, the number in its request id (0: it has none) */
	uint32_t intent;
	struct request *original; /* the first attempt */
	uint64_t stamp;
	uint8_t *kept; /* the original's: the command, for further attempts */
	uint32_t kept_length;
	/* a fence, or a question what became of a request: by its number or its id */
	struct request *target;
	bool by_number;
	/* the oracle's */
	uint64_t floor;        /* nothing older than this slot may be read or written over (S11) */
	uint64_t applied;      /* slot where the chosen log executed it; 0: not */
	uint64_t consumed;     /* slot where its number was consumed, with or without effect */
	uint64_t effect;       /* the original's: slot where one of its attempts was executed last */
	bool never;            /* somebody was told that it is not applied */
	bool effect_succeeded; /* its preconditions held where it was executed */
	uint64_t removed;      /* rows removed there: the result of delete and clear */
	bool in_log;           /* it lies chosen in some slot, with or without effect */
	uint64_t body_digest;
};

/* ---------------------------------------------------------------- the database of a node */

struct table_row
{
	bool present;
	uint64_t revision;
	uint64_t create_revision;
	int64_t written_at_us;
	uint32_t value_length;
	uint64_t value_digest;
	struct state_hash hash;
};

/* O: what is remembered besides rows and sessions. */
struct remembered_id
{
	uint32_t intent;
	enum remembered_kind kind;
	uint64_t slot;
	struct state_hash digest;
	bool succeeded;
	uint64_t removed;
};

struct void_number
{
	uint64_t session;
	uint64_t number;
};

struct closed_session
{
	uint64_t session;
	uint32_t node_id;
	uint64_t last_number;
};

struct memory
{
	uint64_t newest_dropped;
	uint32_t n_ids; /* in the order of their slots */
	uint32_t n_voids;
	uint32_t n_closed;
	struct remembered_id ids[SIM_IDS + 1];
	struct void_number voids[SIM_VOIDS];
	struct closed_session closed[SIM_CLOSED + 1];
};

enum sim_outcome
{
	OUTCOME_APPLIED,
	OUTCOME_NOT_APPLIED,
	OUTCOME_UNKNOWN
};

/* T5: the next step of a fetch. */
enum snapshot_step
{
	STEP_NONE = 0,
	STEP_READ, /* the source begins its transaction */
	STEP_CHUNK,
	STEP_VERIFY,
	STEP_BEGIN, /* the log says that a table is being installed */
	STEP_COMMIT,
	STEP_TRIM
};

/* What one transaction leaves behind. */
struct table
{
	uint64_t applied;
	struct state_hash hash;
	struct table_row rows[SIM_ROWS];
	struct session_table sessions;
	struct memory memory;
};

/* What apply found out about one entry. */
struct apply_result
{
	uint64_t slot;
	uint64_t session;
	uint64_t number;
	enum session_verdict verdict;
	enum request_verdict request;
	uint64_t slot_of_effect; /* the first result's, where its id was repeated */
	bool succeeded;
	uint64_t removed;
};

struct database
{
	struct table table; /* as committed last */
	/* asynchronous commits that a crash may lose: oldest first, each the state after it */
	uint32_t n_unflushed;
	struct table *unflushed[SIM_COMMITS];
	struct table flushed;
	uint64_t lost_through; /* the schedule took what was durable through that slot */
	bool diverged;         /* a row was changed behind the node's back, and the state hash shows it (T3) */
};

/* ---------------------------------------------------------------- nodes */

enum node_state
{
	NODE_DOWN = 0,
	NODE_FORMING,
	NODE_RUNNING,
	NODE_BROKEN /* it refused to start for damage that no copy here can heal */
};

struct node
{
	uint32_t id;      /* of the machine: 1 .., the place in world.nodes */
	uint32_t node_id; /* what it calls itself; only a clone's differs */
	enum node_state state;
	uint64_t life; /* counts starts */
	sim_time frozen_until;
	int64_t clock_offset_ms;
	uint32_t clock_rate;    /* per mille of the world's */
	int64_t wall_offset_us; /* of the clock that commands carry */

	struct disk disk;
	struct plog *log;
	struct plog_state log_state;
	struct formation formation;
	struct paxos_config config;
	void *core_memory;
	struct paxos *core;

	sim_time tick_at; /* 0: none scheduled */
	bool pull_scheduled;
	bool sync_scheduled;
	bool overdue;        /* the sync takes too long: not accepting */
	sim_time told_at;    /* when the core hears of the last sync */
	sim_time slow_disk;  /* added to every sync */
	sim_time down_until; /* power is off everywhere until then */
	bool held_down;      /* stays down in the final shape */
	bool completion_scheduled;
	bool apply_scheduled;
	bool drain_scheduled;
	bool no_space; /* the log said so: not accepting */
	sim_time not_accepting_since;
	bool dying;                   /* this life ends as soon as the present call is left */
	bool wiped;                   /* it lost the log that it began with */
	bool copy;                    /* it runs on an old copy of a log; lives but once */
	bool fenced;                  /* X1 */
	struct paxos_id acknowledged; /* F3: the proposal; none: none yet */
	uint64_t nonce;

	struct database database;
	struct table *old_table; /* a copy of it, some time ago; NULL: none */
	uint64_t first_slot;     /* of the log, as this host trimmed it */
	struct fetch *fetch;     /* of another's table; NULL: none */
	uint64_t fetches;
	bool fetch_scheduled;
	enum snapshot_step dies_before; /* a scenario's */
	bool dies_alone;
	bool apply_stalled;
	uint64_t chosen;              /* as PAXOS_EVENT_CHOSEN said in this life */
	struct paxos_ballot followed; /* as its heartbeats said last */
	uint32_t priority;
	uint64_t session;

	/* the ring, oldest first: ids of requests submitted and not numbered */
	uint32_t n_ring;
	uint64_t ring[64];
	/* numbered in this life, by number - 1 */
	uint32_t n_numbered;
	uint32_t n_unresolved;
	uint32_t numbered_capacity;
	struct request **numbered;
	/* reads that wait */
	uint32_t n_reads;
	struct request *reads[64];
};

/* ---------------------------------------------------------------- the network */

enum lane
{
	LANE_CONTROL = 0,
	LANE_BULK,
	LANES
};

struct direction
{
	uint64_t generation;           /* connection that the sending end believes in; 0: none */
	uint64_t poisoned;             /* generation in which something was lost: all behind it is lost too */
	sim_time last_delivery[LANES]; /* each is in order; control overtakes bulk */
	bool told;                     /* its core: the other end is a member */
	bool cut;
	sim_time held_until; /* heals not before */
	sim_time flap_until;
	sim_time flap_us; /* longest time between two changes */
	uint32_t slow_us; /* added to every delay */
	uint32_t byte_ns; /* what a byte takes; a scenario's, else 0 */
	sim_time busy_until[LANES];
};

/* X1: the highest run of a node that a process has met; it forgets with its life. */
struct met
{
	struct paxos_id store_id;
	uint64_t run;
	uint64_t nonce;
	uint64_t serial;    /* handshakes begun before */
	uint64_t run_heard; /* by its core, in messages */
	bool fence_pending; /* that run is to be told that another is alive */
};

/* What one end of a connection says of itself, and when the other asked. */
struct hello
{
	uint32_t machine;
	uint32_t node_id;
	uint64_t life;
	struct paxos_id store_id;
	uint64_t run;
	uint64_t nonce;
	uint64_t serial; /* of this end's own challenge */
};

struct handshake
{
	struct hello ends[2];
};

struct network
{
	struct rng rng;
	uint64_t generations;
	uint64_t serials;
	struct direction directions[SIM_MACHINES + 1][SIM_MACHINES + 1];
	bool connect_scheduled[SIM_MACHINES + 1][SIM_MACHINES + 1]; /* lower id first */
	struct met met[SIM_MACHINES + 1][SIM_NODES + 1];            /* by machine and node id (X1) */
	uint32_t slow_us;                                           /* added to every delay while it is slow */
	uint64_t sent;
	uint64_t delivered;
};

/* A message on its way: a deep copy. */
struct packet
{
	uint32_t from;
	uint32_t to;
	uint64_t generation;
	bool formation;
	struct formation_message *formation_message;
	struct paxos_message message;
	struct paxos_entry entries[];
};

/* ---------------------------------------------------------------- clients */

struct client
{
	uint32_t id;
	struct rng rng;
	uint32_t node; /* where it is connected */
	struct request *request;
	uint64_t last_local_applied; /* S16: on this connection */
	uint64_t local_life;
	uint64_t ok;
	uint64_t ok_in_phase;
	bool unlucky;              /* its last request failed: likely to try another node */
	struct request *unsettled; /* a write that it will try again under its id, give up, or ask about */
	bool ask;                  /* it gave that up, and asks now */
};

/* ---------------------------------------------------------------- the world */

enum phase
{
	PHASE_CHAOS = 1,
	PHASE_PARTIAL,  /* faults stopped, but for the final shape */
	PHASE_HEALED,   /* everything is up and connected */
	PHASE_STEADY,   /* a leader must be there: no more elections */
	PHASE_CONVERGE, /* clients have stopped */
	PHASE_END
};

struct oracle;

struct world
{
	uint64_t seed;
	uint64_t draws;   /* seeds everything but configuration and faults */
	uint64_t n_seeds; /* of its batch so far, itself included */
	struct sim_config config;
	struct trace trace;
	struct rng rng; /* events */
	struct sim_overrides overrides;
	struct rng fault_rng; /* of the fault being inflicted */
	uint32_t n_faults;    /* begun so far, those left out too */
	sim_time now;
	enum phase phase;
	bool finished;

	struct event *heap;
	uint32_t n_events;
	uint32_t heap_capacity;
	uint64_t next_sequence;
	uint64_t dispatched;

	struct network network;
	struct node nodes[SIM_MACHINES + 1]; /* by id; 0 is not used */
	uint32_t n_machines;                 /* the configuration's, and one more once a node was cloned */
	bool formed;
	struct paxos_config members; /* of the first node that activated */
	struct backup *backup;
	struct client clients[SIM_CLIENTS];
	struct request **requests; /* by id - 1 */
	uint64_t n_requests;
	uint64_t requests_capacity;
	uint32_t n_intents;
	struct request **intents; /* by number - 1: the first attempt */

	struct oracle *oracle;
	bool kill_source;    /* the next node that is pulled from dies */
	uint32_t rotten;     /* bit per node: bits flipped there, and no recovery since found all intact */
	bool stopped_safely; /* damage beyond D7 and D8: no progress is right */
	uint64_t elections;  /* seen when the steady phase began */
	uint64_t n_damaged;  /* recoveries that found damage */
	uint64_t n_repaired; /* records that came back from other nodes */
	uint64_t n_doubtful; /* ... all of it under unfinished markers */
	uint64_t n_of_all;   /* chunks that a doubtful node served (D8) */
	uint64_t n_wiped;
	uint64_t n_copies; /* restored or cloned */
	uint64_t n_fenced;
	uint64_t n_trims;
	uint64_t n_restored;    /* tables of other nodes that were installed */
	uint64_t n_interrupted; /* ... that were not */
	uint64_t n_databases;   /* emptied, or old copies, or changed */
	sim_time phase_began;
	sim_time disturbed_at; /* when last something changed that an election depends on */
	sim_time fit_since;    /* when a node was first seen that reaches a quorum of whole ones; 0: none was */
	bool healed_judged;
	uint64_t step_input; /* 0 or the node whose input is being worked on: assertions name it */
};

/* world.c */
/* overrides: NULL for none; copied, but for its array. */
struct world *world_new(uint64_t seed, bool print_trace, const struct sim_overrides *overrides);
void world_run(struct world *w);
/* One event. */
void world_step(struct world *w);
void world_free(struct world *w);
void world_schedule(struct world *w, sim_time delay, struct event event);
void world_enter_phase(struct world *w, enum phase phase);
/* Prints the tail of the trace, the seed and what broke, and ends the process. */
_Noreturn void world_fail(struct world *w, const char *rule, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
uint32_t world_quorum(const struct world *w);
/* The node that leads with the highest ballot, or says so; "ready": only one that a quorum follows.  0: none. */
uint32_t world_leader(const struct world *w, bool ready);
/* The log that this voter began with is gone for good, or may not be used any more (F1, X1, XX001). */
bool world_lost(const struct world *w, uint32_t node);
uint32_t world_n_lost(const struct world *w);

/* failure.c: the rest of what world_fail() prints. */
_Noreturn void failure_end(struct world *w, const char *rule);

/* net.c */
void net_init(struct world *w);
/* from: the machine. */
void net_send_message(struct world *w, uint32_t from, const struct paxos_message *message);
void net_send_formation(struct world *w, uint32_t from, const struct formation_message *message);
void net_deliver(struct world *w, struct packet *packet);
void net_free_packet(struct packet *packet);
void net_try_connect(struct world *w, uint32_t a, uint32_t b);
void net_lose(struct world *w, uint32_t node, uint32_t peer, uint64_t generation, bool reset);
/* Both ends notice, each at its own time. */
void net_reset_pair(struct world *w, uint32_t a, uint32_t b);
void net_node_died(struct world *w, uint32_t node, bool power);
void net_cut(struct world *w, uint32_t from, uint32_t to, bool cut);
/* Cuts and heals it again and again, at most "every" apart. */
void net_flap(struct world *w, uint32_t from, uint32_t to, bool both, sim_time every, sim_time until);
void net_flap_event(struct world *w, uint32_t from, uint32_t to, bool both);
/* The cut lasts until then, whatever else heals. */
void net_hold_cut(struct world *w, uint32_t from, uint32_t to, sim_time until);
/* All but what is held or flaps; "at_once": that too. */
void net_heal_all(struct world *w, bool at_once);
void net_handshake(struct world *w, struct handshake *handshake);
/* X1: that life of the machine is gone, and what it remembered of the others. */
void net_forget(struct world *w, uint32_t machine);
void net_add_machine(struct world *w, uint32_t machine);
/* Whether a member of that id, at its store id, is connected with the machine (F1). */
bool net_connected(const struct world *w, uint32_t node, uint32_t peer_id);
const char *message_name(enum paxos_message_type type);

/* node.c */
void node_init(struct world *w, uint32_t id);
void node_free(struct world *w, struct node *n);
void node_start(struct world *w, struct node *n);
void node_die(struct world *w, struct node *n, bool power);
/* It dies, and is not started again. */
void node_out(struct world *w, struct node *n);
/* Whether clients find it ready to be asked. */
bool node_serves(const struct node *n);
void node_event(struct world *w, struct node *n, const struct event *event);
void node_receive(struct world *w, struct node *n, const struct packet *packet);
void node_peer_up(struct world *w, struct node *n, uint32_t peer);
void node_peer_down(struct world *w, struct node *n, uint32_t peer, bool reset);
/* Syncs what waits, and the marker that says that it completed. */
void node_settle(struct world *w, struct node *n);
uint64_t node_clock_ms(const struct world *w, const struct node *n);
/* What its commands carry (T4); may jump both ways. */
int64_t node_wall_clock_us(const struct world *w, const struct node *n);
void node_clock_jumps(struct world *w, struct node *n, uint64_t ms);
/* After every input to the core: writes, events, then messages now or a little later. */
void node_pump(struct world *w, struct node *n);
/* Hands the core's writes to the log. */
void node_drain_writes(struct world *w, struct node *n);
/* D4: a call of the log failed; or a file call was the machine's last. */
void node_log_failed(struct world *w, struct node *n, enum plog_code code, const struct plog_error *error);

/* copies.c */
void copies_wipe(struct world *w, struct node *n, bool database_too);
/* X1: sets the node back, or runs an old copy beside it, if its peers know better; else prepares for that. */
void copies_restore(struct world *w, struct node *n);
void copies_clone(struct world *w, struct node *n);
/* Old copies are found and taken away; fenced nodes stay out. */
void copies_end(struct world *w);
void copies_free(struct world *w);
/* F4: wipes everybody where formation says that this is the way. */
void copies_admin(struct world *w);

/* trim.c */
void trim_schedule(struct world *w, struct node *n);
void trim_run(struct world *w, struct node *n);

/* snapshot.c */
/* The core says that logs can't bring it on. */
void snapshot_behind(struct world *w, struct node *n, uint64_t slot);
/* paxos_resync(): whether it needs it or not. */
void snapshot_resync(struct world *w, struct node *n);
/* Looks for a source. */
void snapshot_look(struct world *w, struct node *n);
void snapshot_step(struct world *w, struct node *n, uint64_t serial);
/* This life is over. */
void snapshot_forget(struct node *n);
enum snapshot_step snapshot_next_step(const struct node *n);
/* Apply waits. */
bool snapshot_is_loading(const struct node *n);
/* The log says so, or is about to. */
bool snapshot_is_installing(const struct node *n);
/* Whether n may fetch that node's table. */
bool snapshot_source_fits(const struct world *w, const struct node *n, const struct node *source);
/* T5: after a crash between commit and trim.  False: this life ends. */
bool snapshot_finish_at_start(struct world *w, struct node *n);

/* apply.c */
void apply_schedule(struct world *w, struct node *n);
/* What is committed is durable. */
void database_flush(struct database *database);
/* Faults: somebody changes a row; the node stops applying until it has another's table. */
void database_diverge(struct world *w, struct node *n);
/* A copy of what is durable, which may be put back some time. */
void database_back_up(struct node *n);
/* Faults: it is emptied, or an old copy of it is put back. */
void database_lose(struct world *w, struct node *n, bool all);
void apply_run(struct world *w, struct node *n);
void database_init(struct database *database);
void database_crash(struct world *w, struct node *n);
void database_free(struct database *database);
void database_clear(struct database *database);
void database_copy(struct database *to, const struct database *from);
/* Digest of rows and open sessions. */
uint64_t table_digest(const struct table *table);
uint32_t row_of(struct world *w, const struct operation *operation);
uint64_t bytes_digest(const void *bytes, size_t length);

/* memory.c */
uint32_t request_id_text(uint32_t intent, char text[SIM_ID_TEXT]);
const struct remembered_id *memory_find(const struct memory *memory, uint32_t intent);
bool memory_is_void(const struct memory *memory, uint64_t session, uint64_t number);
struct state_hash remembered_id_hash(const struct remembered_id *id);
/* What all of it adds to the state hash. */
struct state_hash memory_state_hash(const struct memory *memory);
void memory_keep_closed(struct world *w, struct table *table);
/* Whether a command that is next in its session is to be executed; if not, the result says what it is. */
bool memory_admits(struct world *w, struct table *table, const struct command_reader *reader,
				   const struct paxos_entry *entry, struct apply_result *result);
void memory_remember_result(struct world *w, struct table *table, const struct command_reader *reader,
							const struct paxos_entry *entry, const struct apply_result *result);
void memory_fence(struct world *w, struct table *table, const struct paxos_entry *entry, uint64_t slot);
/* O5, as a backend reads it from its table; *slot: of an id that was applied. */
enum sim_outcome memory_outcome(const struct table *table, const struct request *target, bool by_number,
								uint64_t *slot);

/* client.c */
void client_init(struct world *w, uint32_t id);
void client_event(struct world *w, uint32_t id);
/* A scenario's: that client, which has no other request, asks that node about that row. */
struct request *client_ask(struct world *w, uint32_t client, uint32_t node, enum request_kind kind,
						   uint32_t row);
void client_deadline(struct world *w, struct request *request);
void request_answer(struct world *w, struct request *request, enum request_state outcome);
/* The ring of a node: number and propose what the core takes. */
void ring_drain(struct world *w, struct node *n);
void ring_resolved(struct world *w, struct node *n, const struct paxos_event *event);
/* After a commit: answers commands and reads that waited for it. */
void ring_applied(struct world *w, struct node *n, const struct apply_result *results, uint32_t n_results);
/* X6: a snapshot jumped over the slots of own numbers through that one. */
void ring_restored(struct world *w, struct node *n, uint64_t last_number);
void ring_reads_confirmed(struct world *w, struct node *n, const struct paxos_event *event);
void ring_node_died(struct world *w, struct node *n);
struct request *request_of_command(struct world *w, const struct entry_header *header);

/* faults.c */
void faults_init(struct world *w);
void faults_next(struct world *w, uint32_t index);
void faults_stop(struct world *w);
void faults_final_shape(struct world *w);
/* Nodes but for this one whose log is not, or will not be, what it was. */
uint32_t faults_impaired(const struct world *w, const struct node *n);
/* A candidate pulls from that node. */
void faults_pulled(struct world *w, uint32_t source);
void faults_source_dies(struct world *w, uint32_t source);

/* liveness.c */
void liveness_phase_ends(struct world *w);
/* Faults have stopped, and now and then: L3. */
void liveness_watch(struct world *w);

/* bounds.c: L6, at the end */
void bounds_log(struct world *w, const struct node *n);

/* oracle.c: what is durable, and what was sent */
struct oracle *oracle_new(struct world *w);
void oracle_free(struct oracle *o);
void oracle_written(struct world *w, struct node *n, const struct paxos_write *write);
void oracle_durable(struct world *w, struct node *n, uint64_t id);
/* The core is about to hear that writes through id are durable. */
void oracle_told(struct world *w, const struct node *n, uint64_t id);
void oracle_recovered(struct world *w, struct node *n);
void oracle_forgiven(struct world *w, struct node *n);
void oracle_message(struct world *w, struct node *n, const struct paxos_message *message);
void oracle_delivered(struct world *w, const struct node *n, const struct paxos_message *message);
void oracle_chosen_event(struct world *w, struct node *n, uint64_t slot);
/* The machine's disk is empty, or holds what it held when the copy was made. */
struct witness;
void oracle_wiped(struct world *w, const struct node *n);
struct witness *oracle_backup(struct world *w, const struct node *n);
void oracle_restored(struct world *w, const struct node *n, const struct witness *backup);
void oracle_free_backup(struct witness *backup);
/* oracle_table.c: S9, S10.  The log is about to begin there; it does now. */
void oracle_trims(struct world *w, struct node *n, uint64_t first_slot);
void oracle_trimmed(struct world *w, struct node *n, uint64_t first_slot);
/* Everything that the core handed out is durable, though it has not heard of it. */
void oracle_log_synced(struct world *w, struct node *n);
/* S10: that table is about to take the place of the node's. */
void oracle_installs(struct world *w, const struct node *n, const struct table *table);
/* T5: the log begins behind that slot; and the core knows. */
void oracle_restored_to(struct world *w, struct node *n, uint64_t slot);
void oracle_check_restored(struct world *w, const struct node *n, const struct paxos_status *before,
						   uint64_t slot);
/* The slots before that one are in the table alone. */
uint64_t oracle_first_slot(const struct world *w, uint32_t node);
uint64_t oracle_chosen(const struct world *w);
/* Whether something of that ballot's leader is chosen. */
bool oracle_led(struct world *w, struct paxos_ballot ballot);
bool oracle_damaged(const struct world *w, uint32_t node);
bool oracle_doubtful(const struct world *w, uint32_t node);
/* Voters whose log is whole, as far as their last recovery and what they made durable since say. */
uint32_t oracle_undamaged(const struct world *w);
/* Whether D7 and D8 must let the cluster go on once every node that can start is up. */
bool oracle_recoverable(const struct world *w);

/* model.c: the fold of the chosen log, by code of its own */
struct model;
struct model *model_new(void);
void model_free(struct model *m);
void model_fold(struct world *w, struct model *m, uint64_t slot, const uint8_t *bytes, uint32_t length);
void model_check_table(struct world *w, const struct node *n, const struct table *table);
void model_check_write_result(struct world *w, const struct request *request);
void model_check_read(struct world *w, const struct request *request, const struct table *table);
void model_check_withdrawn(struct world *w, const struct request *request);
void model_check_void(struct world *w, const struct request *request);
/* O5: an answer to what became of a request, true of the chosen log through the table's slot, and for good. */
void model_check_outcome(struct world *w, const struct request *question, enum sim_outcome outcome,
						 uint64_t slot, const struct table *table);
uint64_t model_floor(const struct model *m);
/* The request that was executed in that slot; NULL: none was. */
const struct request *model_executed(const struct model *m, uint64_t slot);
struct model *oracle_model(struct world *w);

#endif /* SIM_H */
