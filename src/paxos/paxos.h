/*
 * paxos.h - the consensus core: the one public header of src/paxos/'s protocol.
 *
 * The core is one node of a Multi-Paxos cluster, stepped by its host.  It is pure: no I/O, no clock, no
 * allocation after paxos_create(), no PostgreSQL.  The PostgreSQL worker and the simulator host the very
 * same code.  Rules are cited by name (B3, X2, D7); docs/protocol.md has them.
 *
 * How a host drives it:
 *
 *	 paxos_tick(p, now)				time is an input; call it before feeding a batch
 *	 paxos_recv / _propose / _read / ...	feed inputs
 *	 while (paxos_next_write(p, &w))	after EACH input: hand every write to the log, in order
 *	 while (paxos_next_message(p, &m))	after any number of inputs: send
 *	 while (paxos_next_event(p, &e))	... and learn what happened
 *	 (sync the log)  paxos_durable(p, id)	every write up to id is durable; then messages and events again
 *
 * Nothing is promised, accepted or counted before it is durable: a message that vouches for state is given
 * out by paxos_next_message() only after paxos_durable() covered that state.  Accepts and Syncs vouch for
 * nothing and leave at once, so that followers write while the leader does.
 *
 * Messages are made when they are pulled, from state, not queued: what is owed to a peer is at most one of
 * each kind, so memory is bounded (paxos_create() allocates all of it) whatever peers do or fail to do.
 *
 * Ownership: bytes passed in (entries of a message, a command) must stay valid until paxos_next_write()
 * has returned false; a command's bytes until PAXOS_EVENT_RESOLVED or the core is destroyed (X2).  What a
 * call gives out is valid until the next call of the same function.
 */
#ifndef PAXOS_H
#define PAXOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Voters and learners of one configuration, at most. */
#define PAXOS_MAX_MEMBERS 9
/* The longest "host:port". */
#define PAXOS_ADDRESS_MAX 255
/* Entries in one message or write, at most. */
#define PAXOS_MAX_BATCH 256
/* Every node accepts entries up to this size, header included, whatever its own clients may submit. */
#define PAXOS_MAX_ENTRY_BYTES (64u << 20)
/* The largest paxos_options.window_bytes. */
#define PAXOS_MAX_WINDOW_BYTES (4u << 20)

/* ---------------------------------------------------------------- words */

/* B1: totally ordered by round, then priority, then node id.  All zero: none. */
struct paxos_ballot
{
	uint64_t round;
	uint32_t priority;
	uint32_t node_id;
};

/* Cluster id, store id: 128 random bits.  All zero: none. */
struct paxos_id
{
	uint8_t bytes[16];
};

/*
 * An entry: what a slot holds.  Its bytes are encoded once, by the node that makes it (entry.h), and are
 * opaque to everything below apply but for the header.
 */
struct paxos_entry
{
	const uint8_t *bytes;
	uint32_t length; /* bytes, header included */
};

/* F1: a voter is a (node id, store id) pair. */
struct paxos_member
{
	uint32_t node_id; /* 1 .. */
	bool learner;     /* receives the log, does not vote */
	struct paxos_id store_id;
	uint64_t features;                   /* X7: entry kinds and feature bits it announced */
	char address[PAXOS_ADDRESS_MAX + 1]; /* host:port */
};

/* F5: the table that a cluster begins with, as if all of it had been chosen up to that slot; slot 0: an empty one. */
struct paxos_base
{
	uint64_t slot;
	struct paxos_id hash; /* of its rows; none where it is empty */
};

/* C1: one configuration; its epoch starts at 1 and each stop sign adds one. */
struct paxos_config
{
	uint64_t epoch;
	struct paxos_id cluster_id;
	uint32_t request_ids_kept; /* O2: part of the replicated configuration */
	uint32_t n_members;
	struct paxos_member members[PAXOS_MAX_MEMBERS]; /* by rising node id */
	struct paxos_base base;                         /* of epoch 1: the log begins behind it */
};

/*
 * D7: what a damaged node knows of its own damage.  "Named" is the highest (ballot, slot) that its markers
 * and its intact prefix name; lowest_written is the lowest slot that any bad record, or any record behind
 * the first bad one, wrote (by its marker; 1 where that is not known).
 */
struct paxos_damage
{
	bool damaged;
	bool doubtful; /* D6: every bad copy lies under the marker of an unfinished sync only */
	struct paxos_ballot named_ballot;
	uint64_t named_slot;
	uint64_t lowest_written;
	bool repairing;     /* what is missing is known (struct paxos_holes), and some node may have it */
	uint64_t lost_slot; /* ... or every voter has said that it lacks this one, too; 0: not so */
};

/* Ranges of slots that holes.h deals with; more is not told apart. */
#define PAXOS_MAX_HOLES 64

/* first .. last */
struct paxos_slots
{
	uint64_t first;
	uint64_t last;
};

/*
 * D7: records that rotted in a log of which all else is known: the log ends at "end", at the accepted ballot, and lacks
 * these slots, by rising slot.  None: damage of another kind, or no damage.
 */
struct paxos_holes
{
	uint64_t end;
	uint32_t n;
	struct paxos_slots at[PAXOS_MAX_HOLES];
};

/* What recovery found; all of it durable. */
struct paxos_durable_state
{
	struct paxos_ballot promise;
	struct paxos_ballot accepted; /* the ballot of the last Sync, adoption or Accept in the log */
	uint64_t first_slot;          /* the log holds first_slot .. end; the table what is before; 1 at first */
	uint64_t end;                 /* last slot of the (intact) log; first_slot - 1 when empty */
	uint64_t applied; /* slots the database has applied, durably or not; where chosen begins.  Below
					   * first_slot - 1: the database is older than the log and needs another's table (T5) */
	struct paxos_damage damage;
	struct paxos_holes
		holes; /* while damaged: what, put back, makes the log whole; "end" above is before the first */
};

/* ---------------------------------------------------------------- messages */

enum paxos_message_type
{
	PAXOS_HEARTBEAT = 1, /* E1: one to each voter a round */
	PAXOS_HEARTBEAT_REPLY,
	PAXOS_PREPARE,       /* P1 */
	PAXOS_PROMISE,       /* P1, and "I need a Sync" (Y2) */
	PAXOS_PULL,          /* P1: the candidate asks for the log it adopts */
	PAXOS_CHUNK,         /* P1: a part of it */
	PAXOS_SYNC,          /* Y1: a chunk of the leader's log from a base on */
	PAXOS_SYNC_PROGRESS, /* Y1: staged so far, to resume and to pace */
	PAXOS_ACCEPT,        /* A1 */
	PAXOS_ACCEPTED,      /* A3, cumulative */
	PAXOS_GAP,           /* A2: the log's end */
	PAXOS_CHOSEN,        /* A5, when there is nothing to accept */
	PAXOS_REFUSE,        /* B5 */
	PAXOS_FORWARD,       /* X3: commands, in order, to the leader */
	PAXOS_FORWARD_REPLY, /* X4: the window; or "not leader" */
	PAXOS_READ_REQUEST,  /* R1 */
	PAXOS_READ_REPLY,
	PAXOS_READ_ROUND, /* R1: the quorum round */
	PAXOS_READ_ROUND_REPLY,
	PAXOS_FENCE,      /* X1: two runs of one node are alive */
	PAXOS_TRIMMED,    /* P1: what the follower lacks is before the leader's first slot: it needs the table */
	PAXOS_REPAIR_ASK, /* D7: what slots slot + 1 .. end held, under that accepted ballot, or chosen */
	PAXOS_REPAIR /* ... the first of these that the sender has, and those behind it; none: it has none of them */
};

#define PAXOS_MESSAGE_TYPES (PAXOS_REPAIR + 1)

/*
 * One message.  The head is in every one; "ballot" is the ballot that the message is about.  Which other
 * fields a type carries stands beside them; the rest are zero.  src/transport/ turns it into bytes.
 */
struct paxos_message
{
	enum paxos_message_type type;
	uint32_t from;
	uint32_t to;
	uint64_t epoch;
	uint64_t run; /* X1: the sender's run */

	struct paxos_ballot ballot;   /* HEARTBEAT*: the sender's own ballot (E1), none if it leads nothing */
	struct paxos_ballot followed; /* HEARTBEAT*: ballot followed.  REFUSE, READ_ROUND_REPLY: the promise */
	struct paxos_ballot
		accepted;      /* PROMISE, PULL, CHUNK, REPAIR*: the accepted ballot meant.  HEARTBEAT*: sender's */
	uint64_t sequence; /* HEARTBEAT*: round.  READ_*, REPAIR*: request or round.  FORWARD*: resend count */
	uint64_t
		slot; /* ACCEPT, CHUNK, SYNC, REPAIR: slot before the first entry.  PULL, REPAIR_ASK: before the wanted.
								   * ACCEPTED, GAP, SYNC_PROGRESS: through.  READ_REPLY: the read index */
	uint64_t base; /* SYNC, SYNC_PROGRESS: the Sync's base slot */
	uint64_t
		end; /* PROMISE, CHUNK, SYNC, FORWARD_REPLY, HEARTBEAT*: end of the log meant.  REPAIR*: the last wanted */
	uint64_t first_slot; /* PROMISE, TRIMMED: first slot retained */
	uint64_t chosen;  /* HEARTBEAT*, PROMISE, ACCEPT, SYNC, CHOSEN, TRIMMED, REPAIR_ASK: chosen index (A5) */
	uint64_t applied; /* HEARTBEAT*: applied here; for status only */
	uint64_t bytes;   /* FORWARD: bytes sent before these.  FORWARD_REPLY: bytes granted (X4) */
	uint64_t named_run; /* SYNC: run of the damaged acceptor it heals (D7), else 0.  PROMISE: run */
	bool content;       /* HEARTBEAT* (E1) */
	bool accepting;     /* HEARTBEAT* (E2), damage left aside */
	bool ready; /* HEARTBEAT*: leads, and its own no-op is in its log (P3).  FORWARD_REPLY: not refused */
	bool leader_only;           /* READ_REQUEST: level "leader", no quorum round */
	bool all_voters;            /* PULL: D8 applies, a doubtful source may serve its intact prefix */
	struct paxos_damage damage; /* PROMISE, HEARTBEAT* */

	uint32_t n_entries; /* ACCEPT, SYNC, CHUNK, FORWARD, REPAIR */
	const struct paxos_entry *entries;
};

/* ---------------------------------------------------------------- what the host is given */

enum paxos_write_type
{
	PAXOS_WRITE_PROMISE = 1, /* both metadata copies (B4) */
	PAXOS_WRITE_APPEND,      /* entries first_slot .. at the accepted ballot */
	PAXOS_WRITE_STAGE,       /* Y1: entries of a Sync or adoption at "ballot", not yet part of the log */
	PAXOS_WRITE_INSTALL,     /* Y1: one record: cut the log behind base, install the staged entries
							  * base + 1 .. end of "ballot", the accepted ballot is "ballot"; heals damage (D7) */
	PAXOS_WRITE_REPAIR       /* D7: what slots first_slot .. held, in holes; "ballot" is the accepted one */
};

struct paxos_write
{
	uint64_t id; /* rises by one; paxos_durable() names it */
	enum paxos_write_type type;
	uint64_t epoch;
	struct paxos_ballot ballot;
	uint64_t first_slot; /* APPEND, STAGE, REPAIR */
	uint64_t base;       /* STAGE, INSTALL */
	uint64_t end;        /* INSTALL */
	uint32_t n_entries;  /* APPEND, STAGE, REPAIR */
	const struct paxos_entry *entries;
};

enum paxos_event_type
{
	PAXOS_EVENT_CHOSEN = 1, /* apply may run through "slot" (A5: chosen and durable here); only rises */
	PAXOS_EVENT_READ, /* reads up to token: "slot" is their index, or ok is false: not confirmed, ask again */
	PAXOS_EVENT_SESSION, /* this run's session is open; "number" is its name, the slot of its OpenSession */
	PAXOS_EVENT_RESOLVED, /* own command "number" lies chosen in "slot"; ok: it was next there and took effect (X5).
						   * Slot 0, not ok: a snapshot jumped over it, its result is not known here (X6) */
	PAXOS_EVENT_ROLE,         /* role, leader or ballot changed: see paxos_status() */
	PAXOS_EVENT_FENCED,       /* X1: another run of this node is alive; nothing more is sent */
	PAXOS_EVENT_BEHIND,       /* T5: logs can't bring this node on; it needs a table as of "slot" or later */
	PAXOS_EVENT_UNRECOVERABLE /* D8: the log can't be recovered; "slot" is the first that is lost */
};

struct paxos_event
{
	enum paxos_event_type type;
	bool ok;
	uint64_t slot;
	uint64_t number; /* RESOLVED: number.  READ: token.  SESSION: session */
};

/* T5: the state that a snapshot brought.  What it says of this run's session, X3 needs. */
struct paxos_restored
{
	uint64_t slot;        /* the state is as of this slot */
	uint64_t session;     /* the session that this run opened; 0: none in that state */
	uint64_t last_number; /* the last number of that session */
};

/* The host's half.  Both must be set. */
struct paxos_host
{
	void *context;

	/*
	 * Gives the entry that the log holds for slot (first_slot <= slot <= end of all writes handed out,
	 * durable or not).  Its bytes stay valid until the next paxos_next_message() or input.  False: it
	 * can't be read; the core gives up what it was making and the host is expected to end this life.
	 */
	bool (*read_entry)(void *context, uint64_t slot, struct paxos_entry *entry);

	/* An assertion failed.  Must not return. */
	void (*assert_failed)(void *context, const char *condition, const char *file, int line);
};

struct paxos_options
{
	uint32_t node_id;
	uint32_t priority;
	uint64_t run;   /* X1: rises with each start of the worker; durable before paxos_create() */
	uint64_t nonce; /* X1: random, of this run */
	uint64_t seed;  /* of jitter; equal seeds and inputs give equal outputs */
	uint32_t election_timeout_ms;
	uint32_t heartbeat_interval_ms;
	uint32_t window_bytes;        /* A3: in flight to each follower; X4: granted to each origin */
	uint64_t unapplied_bytes_max; /* A6 */
};

enum paxos_role
{
	PAXOS_FOLLOWER = 1,
	PAXOS_CANDIDATE, /* phase 1: collecting promises or adopting a log */
	PAXOS_LEADER,    /* its ballot is installed in its own log, its no-op appended */
	PAXOS_FENCED     /* X1 */
};

struct paxos_peer_status
{
	uint32_t node_id;
	bool connected;
	uint64_t last_heard_ms; /* the tick's clock; 0: never in this run */
	uint64_t end;
	uint64_t applied;
	uint64_t bytes_behind; /* leader only: window bytes in flight */
	bool damaged;
	bool behind; /* leader only: what it lacks is trimmed here */
};

struct paxos_status
{
	enum paxos_role role;
	uint32_t leader_id;         /* 0: none known, or not ready */
	bool quorum;                /* a majority answered the last heartbeat round */
	bool forming_view;          /* no heartbeat round has ended yet */
	struct paxos_ballot ballot; /* followed, or own */
	struct paxos_ballot promise;
	struct paxos_ballot accepted;
	uint64_t epoch;
	uint64_t session; /* 0: not open */
	uint64_t first_slot;
	uint64_t end; /* taken */
	uint64_t durable_end;
	uint64_t chosen; /* known chosen and durable here, as PAXOS_EVENT_CHOSEN */
	uint64_t applied;
	uint64_t
		missing_from; /* D7: what of the log is missing lies in these slots; 0: nothing, or it is not known */
	uint64_t missing_through;
	bool missing_everywhere; /* whoever can be asked was asked for it, in vain */
	uint64_t behind;         /* T5: a table as of this slot or later is needed; 0: none is */
	struct paxos_damage damage;
	uint64_t elections;         /* ballots this node took */
	uint64_t messages_refused;  /* malformed, of strangers, other epochs */
	uint64_t round_trip_max_ms; /* slowest answer to a heartbeat lately (E1) */
	uint32_t n_peers;
	struct paxos_peer_status peers[PAXOS_MAX_MEMBERS];
};

struct paxos;

/* ---------------------------------------------------------------- calls */

/* Bytes that paxos_create() will ask of its memory: all that the core ever uses. */
size_t paxos_memory_size(const struct paxos_config *config, const struct paxos_options *options);

/*
 * Makes a node in "memory" (paxos_memory_size() bytes, aligned for any type, owned by the caller and freed
 * by it after the last call).  config, options and state are copied.  The node must be a member of the
 * configuration; options->run must be durable (B4).
 */
struct paxos *paxos_create(void *memory, const struct paxos_config *config,
						   const struct paxos_options *options, const struct paxos_host *host,
						   const struct paxos_durable_state *state, uint64_t now_ms);

/* Time passes.  now_ms is monotonic, from any origin. */
void paxos_tick(struct paxos *p, uint64_t now_ms);

/* When paxos_tick() must be called again at the latest. */
uint64_t paxos_next_deadline(const struct paxos *p);

/* A connection to that peer is up (its handshake done), or gone (E7: reset by its process' death or not). */
void paxos_connected(struct paxos *p, uint32_t node_id);
void paxos_disconnected(struct paxos *p, uint32_t node_id, bool reset);

/*
 * A message came.  It is validated; what a peer can make false is never an assertion.  False: malformed or
 * impossible, the peer should be disconnected.
 */
bool paxos_recv(struct paxos *p, const struct paxos_message *message);

/* Every write up to id is durable. */
void paxos_durable(struct paxos *p, uint64_t id);

/* The database has applied through slot (only rises). */
void paxos_applied(struct paxos *p, uint64_t slot);

/*
 * T2: the log begins at first_slot now; all before it is applied, and durably so.  The slots before it are not
 * read again.
 */
void paxos_trimmed(struct paxos *p, uint64_t first_slot);

/*
 * T5: another's table is installed, durably, and the log begins behind it: its entries up to that slot are gone, what
 * was accepted behind it, the accepted ballot and the promise stay.  Not before what was applied here.
 */
void paxos_restored(struct paxos *p, const struct paxos_restored *restored);

/* E2: the host can (not) take writes: log disk full, a sync overdue. */
void paxos_set_accepting(struct paxos *p, bool accepting);

/*
 * X2, X4: whether a command of that many bytes would be numbered and sent now: the session is open, a
 * ready leader is known and the window has room.
 */
bool paxos_can_propose(const struct paxos *p, uint32_t length);

/*
 * Numbers and sends a command: paxos_can_propose() holds.  "bytes" has its header (entry.h) filled in by
 * this call, session and number among it, and stays valid and unchanged until PAXOS_EVENT_RESOLVED (X2).
 * Returns the number.
 */
uint64_t paxos_propose(struct paxos *p, uint8_t *bytes, uint32_t length);

/*
 * O4: whether a command that PAXOS_EVENT_RESOLVED has just told of may have no effect, because numbers of this
 * node's session were given up before it.
 */
bool paxos_may_be_void(const struct paxos *p);

/* The client of a numbered command gave up.  The command stays (X2); nothing is freed. */
void paxos_abandon(struct paxos *p, uint64_t number);

/*
 * Asks for a read index (R1).  Tokens rise by one from 1 over both levels; PAXOS_EVENT_READ answers all
 * up to one.  leader_only: level "leader".
 */
uint64_t paxos_read(struct paxos *p, bool leader_only);

bool paxos_next_write(struct paxos *p, struct paxos_write *write);
bool paxos_next_message(struct paxos *p, struct paxos_message *message);
bool paxos_next_event(struct paxos *p, struct paxos_event *event);

void paxos_status(const struct paxos *p, struct paxos_status *status);

/* Ballots in order: < 0, 0, > 0. */
int paxos_ballot_compare(struct paxos_ballot a, struct paxos_ballot b);

#endif /* PAXOS_H */
