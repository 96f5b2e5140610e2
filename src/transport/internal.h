/*
 * internal.h - what the files of the transport share: its state and who may call whom.
 *
 *	 transport.c   life, poll, sending and status
 *	 peers.c       the table of peers: dialing, membership, what the host is told
 *	 listener.c    bound addresses and accepting
 *	 admission.c   the handshake of a connection, step by step (X1, F1)
 *	 connection.c  one socket: queues, frames out, frames in
 *	 stream.c      the connections that carry a table (T5), beside the peers' own
 *
 * A connection that is closed stays in memory as CONNECTION_DEAD until the end of the poll, so that
 * nothing on the stack points into freed memory.
 */
#ifndef TRANSPORT_INTERNAL_H
#define TRANSPORT_INTERNAL_H

#include "transport/address.h"
#include "transport/frame.h"
#include "transport/handshake.h"
#include "transport/log_limit.h"
#include "transport/resolver.h"
#include "transport/transport.h"
#include "transport/wire.h"

#define TRANSPORT_NEVER UINT64_MAX
/* Slots of the table: some may be of peers gone of which the host is still to be told. */
#define PEER_SLOTS (2 * TRANSPORT_MAX_PEERS)
/* Control messages queued for one peer, at most. */
#define CONTROL_QUEUE_BYTES (1u << 20)
#define BACKOFF_FIRST_MS 50
#define BACKOFF_LAST_MS 1000
/* How long the lower id waits for the higher one to dial. */
#define LOWER_DIALS_AFTER_MS 2000
/* How long a name may be asked for before the addresses known from last time are tried. */
#define RESOLVE_PATIENCE_MS 2000
/* How long a refused connection stays half-open so that the refusal arrives. */
#define LINGER_MS 1000
#define LISTEN_RETRY_MS 1000

enum lane
{
	LANE_CONTROL,
	LANE_BULK,
	N_LANES
};

/* A message's frames on their way out. */
struct out_message
{
	struct out_message *next;
	uint64_t release_ms; /* not before (faults.delay_ms) */
	uint64_t total;
	uint64_t sent;
	uint8_t bytes[];
};

struct out_queue
{
	struct out_message *head;
	struct out_message *tail;
	uint64_t bytes; /* not yet sent */
};

/* What an epoll event points to; first in each of the structs below. */
enum source
{
	SOURCE_RESOLVER,
	SOURCE_LISTENER,
	SOURCE_CONNECTION
};

enum connection_state
{
	CONNECTION_CONNECTING, /* dialed: TCP not yet up */
	CONNECTION_HELLO,      /* waits for the other side's hello */
	CONNECTION_PROOF,      /* waits for its proof */
	CONNECTION_OPEN,
	CONNECTION_CLOSING, /* refused; lingers until the refusal is out */
	CONNECTION_DEAD     /* closed; freed at the end of the poll */
};

/* Bytes that an unauthenticated connection may have waiting to be read. */
#define CONNECTION_SMALL_BYTES (FRAME_HEADER_BYTES + HANDSHAKE_PAYLOAD_MAX)

struct connection
{
	enum source source;
	enum connection_state state;
	struct connection *next;
	struct transport *t;
	struct peer *peer;     /* dialed, or open; else NULL */
	struct stream *stream; /* likewise, of a stream: it has no peer; NULL: it carries messages */
	int fd;
	bool dialed;
	bool wants_write; /* EPOLLOUT is asked for */
	bool paused;      /* a stream whose host has no room: nothing is read */
	bool limited;     /* accepted, counts as unauthenticated */
	uint64_t serial;  /* X1: when its challenge left */
	uint64_t began_ms;
	uint64_t deadline_ms; /* of all states but OPEN */
	uint64_t received_ms;
	uint64_t sent_ms;
	char where[64]; /* the other end's address */
	struct handshake handshake;
	uint8_t *in; /* "small" until it is open */
	size_t in_length;
	size_t in_capacity;
	struct frame_assembly assembly;
	struct out_queue lanes[N_LANES];
	uint8_t small[CONNECTION_SMALL_BYTES];
};

struct peer
{
	bool used;
	uint32_t node_id;
	char address[PAXOS_ADDRESS_MAX + 1];
	struct connection *open;
	struct connection *dialing;

	/* dialing */
	uint64_t dial_at_ms;
	uint32_t backoff_ms;
	bool resolved; /* addresses are of this attempt */
	bool resolving;
	uint64_t resolve_token;
	uint64_t resolve_patience_ms;
	uint32_t next_address;
	struct address_list addresses; /* kept for when the next resolution fails */

	/* F1 */
	struct paxos_id member_store; /* the configuration's; valid with t->have_members */
	bool announced;               /* on_connected was called last */
	bool lost;                    /* since then its connection was lost */
	bool reset;                   /* how the last connection ended */

	/* X1: of run_store, in this process's memory */
	struct paxos_id run_store;
	uint64_t highest_run;
	uint64_t highest_nonce;
	uint64_t met_serial;
	bool fence_pending; /* the highest run must be told that another one is alive */

	struct transport_peer_status status; /* counters and last error */

	/* Lines of the log: that it was lost or is back, attempts to reach it that fail, refusals. */
	struct log_limit changes;
	struct log_limit errors;
	struct log_limit refusals;
	uint32_t refusals_said; /* bits of the codes said since it was last connected for long */
	uint64_t away_since_ms; /* not connected */
};

struct listener
{
	enum source source;
	bool bound;
	bool resolving;
	uint64_t resolve_token;
	uint64_t retry_at_ms;
	uint32_t n_fds;
	int fds[ADDRESS_LIST_MAX];
	char address[PAXOS_ADDRESS_MAX + 1];
	char error[TRANSPORT_ERROR_MAX];
	struct log_limit limit;
};

/* A stream's side at this node.  What has ended is told the host, unless it ended it. */
struct stream
{
	struct connection *connection; /* NULL: there is none */
	uint32_t node_id;
	bool opened; /* to be told the host */
	bool ended;  /* likewise; why: */
	bool resume; /* the host has room again */
	char reason[TRANSPORT_ERROR_MAX];
	/* the address of the node to dial is asked for */
	bool resolving;
	uint64_t resolve_token;
	uint64_t resolve_deadline_ms;
};

struct transport
{
	enum source resolver_source;
	struct transport_options options; /* secret: own copy; defaults filled in */
	struct handshake_self self;
	bool started; /* polled at least once */
	bool have_members;
	uint64_t epoch;
	int epoll_fd;
	struct resolver *resolver;
	uint64_t now_ms;
	uint64_t serial; /* orders challenges and meetings (X1) */
	uint64_t next_token;
	uint64_t random;
	bool announce;                               /* someone is to be announced with the next poll */
	const struct transport_callbacks *callbacks; /* inside transport_poll() only */
	bool in_callback;                            /* nothing more is announced until it returns */
	uint32_t n_listeners;
	struct listener listeners[TRANSPORT_MAX_LISTEN];
	struct peer peers[PEER_SLOTS];
	struct connection *connections;
	struct stream streams[TRANSPORT_STREAMS];
	uint32_t unauthenticated;
	uint64_t refused;
	struct log_limit strangers;
	struct wire_encoded encoded;
	struct wire_decoded decoded;
};

/* ---------------------------------------------------------------- transport.c */

void transport_log(struct transport *t, enum transport_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same, as often as the limit lets it through. */
void transport_log_limited(struct transport *t, struct log_limit *limit, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* xorshift: 0 .. bound - 1. */
uint64_t transport_random(struct transport *t, uint64_t bound);

/* Whether something that happens at that rate happens now. */
bool transport_chance(struct transport *t, double rate);

/* Queues an encoded message and its entries.  False: no room, or no memory. */
bool transport_queue_encoded(struct connection *c, uint8_t flags, const struct paxos_entry *entries,
							 uint32_t n_entries);

/* X1: tells the node behind c that two of its runs are alive. */
void transport_send_fence(struct connection *c, uint32_t node_id);

/* A whole message of an open connection. */
void transport_dispatch(struct connection *c, const uint8_t *bytes, uint64_t length);

/* ---------------------------------------------------------------- peers.c */

struct peer *peer_find(const struct transport *t, uint32_t node_id);
bool peer_is_member(const struct peer *p, const struct transport *t);

/* Notes what is wrong with a peer, for status and (limited) the log: with its connection, or its handshake. */
void peer_error(struct transport *t, struct peer *p, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void peer_refusal(struct transport *t, struct peer *p, uint32_t code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The same for its open connection, which ends now. */
void peer_says_lost(struct transport *t, struct peer *p, const char *reason);

/* The connection was admitted; an older one makes way. */
void peer_opened(struct peer *p, struct connection *c);

/* A connection of this peer (open, or being dialed) is gone. */
void peer_lost(struct peer *p, struct connection *c, bool reset);

/* Tells the host who became reachable, or no longer is. */
void peers_announce(struct transport *t);
void peers_tick(struct transport *t);
void peers_answer(struct transport *t, const struct resolver_answer *answer);
uint64_t peer_deadline(const struct peer *p);

/* ---------------------------------------------------------------- stream.c */

/* The connection proved itself as that peer's and wants to be a stream: it is made one, or refused. */
enum handshake_refusal stream_admit(struct connection *c, struct peer *p);
void stream_opened(struct connection *c);
/* Its connection is gone.  reason may be NULL. */
void stream_lost(struct connection *c, const char *reason);
/* A frame's payload.  False: there is no room for it now, it must be given again. */
bool stream_take(struct connection *c, const uint8_t *bytes, uint32_t length);
void streams_answer(struct transport *t, const struct resolver_answer *answer);
void streams_tick(struct transport *t);
/* Tells the host what opened and what ended. */
void streams_announce(struct transport *t);
uint64_t streams_deadline(const struct transport *t);

/* ---------------------------------------------------------------- listener.c */

void listener_init(struct listener *l, const char *address);
void listener_tick(struct transport *t, struct listener *l);
void listener_answer(struct transport *t, struct listener *l, const struct resolver_answer *answer);
void listener_accept(struct transport *t, struct listener *l);
void listener_close(struct listener *l);

/* ---------------------------------------------------------------- admission.c */

/* A dialed connection is up: says hello. */
void admission_begin(struct connection *c);

/* A frame of the handshake. */
void admission_frame(struct connection *c, const struct frame *frame);

/* ---------------------------------------------------------------- connection.c */

/* Takes the descriptor (closed on failure).  NULL: no memory or no room in epoll. */
struct connection *connection_new(struct transport *t, int fd, bool dialed, const char *where);

/* Closes at once.  reset: the other end closed it.  The reason goes to the peer's last error; NULL: none. */
void connection_close(struct connection *c, bool reset, const char *reason);

/* Sends what is queued, then closes; until then it belongs to no peer. */
void connection_linger(struct connection *c);

/* Frees the dead ones. */
void connections_reap(struct transport *t);

/* Makes room for ordinary frames, once it is authenticated.  False: no memory. */
bool connection_grow(struct connection *c);

/* Queues a message made of parts.  False: no memory. */
bool connection_queue(struct connection *c, uint8_t flags, const struct frame_part *parts, uint32_t n_parts,
					  uint64_t release_ms);

/* Goes on with what a paused stream left. */
void connection_resume(struct connection *c);

void connection_flush(struct connection *c);
void connection_event(struct connection *c, uint32_t events);
void connection_tick(struct connection *c);
uint64_t connection_deadline(const struct connection *c);

#endif /* TRANSPORT_INTERNAL_H */
