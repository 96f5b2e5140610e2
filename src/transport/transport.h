/*
 * transport.h - messages between nodes: the one public header of src/transport/.
 *
 * A transport owns the sockets of one node: it listens, dials, shakes hands, and carries struct
 * paxos_message, struct formation_message and struct state_message to and from its peers.  docs/wire.md describes the bytes.  It
 * never blocks: its host waits for transport_fd() to be readable (or for transport_next_deadline()) and
 * calls transport_poll(), which does what can be done now.
 *
 * Messages may be lost (a full queue, a broken connection, drop_rate) but are never changed, doubled or
 * given to a node that did not prove that it belongs.  Two lanes: control (heartbeats, promises, answers,
 * formation, state) and bulk (Accept, Sync, Chunk, Forward).  Each is in order; control overtakes bulk, between
 * two frames of one large message too.
 *
 * A pair of nodes has one connection, for both directions.  The node with the higher id dials; the other
 * one dials too after two seconds without a connection.  A newer connection replaces an older one.
 *
 * Beside these a node can have two *streams*: connections for the bytes of a table (T5), each to one member, with
 * the same handshake.  They carry no messages and take no message's place.
 *
 * Not thread-safe.  Memory is malloc's, every allocation checked: out of memory costs a message or a
 * connection, nothing else.  Callbacks run inside transport_poll() only; they may call anything here but
 * transport_poll() and transport_destroy(), and must not longjmp.
 */
#ifndef TRANSPORT_H
#define TRANSPORT_H

#include "paxos/formation.h"
#include "paxos/paxos.h"
#include "transport/state_message.h"

/* Nodes that a transport speaks with, at most. */
#define TRANSPORT_MAX_PEERS PAXOS_MAX_MEMBERS
#define TRANSPORT_MAX_LISTEN 4
/* The longest secret, in bytes; a longer one is refused. */
#define TRANSPORT_SECRET_MAX 1024
#define TRANSPORT_ERROR_MAX 256
/* The largest message, all its entries together; a larger one is not sent. */
#define TRANSPORT_MAX_MESSAGE_BYTES (PAXOS_MAX_ENTRY_BYTES + (16u << 20))

enum transport_level
{
	TRANSPORT_DEBUG = 1,
	TRANSPORT_LOG,
	TRANSPORT_WARNING
};

/* Whom to speak with: a node id and its "host:port". */
struct transport_peer
{
	uint32_t node_id;
	char address[PAXOS_ADDRESS_MAX + 1];
};

/* For tests and demonstrations (paxoskv.drop_rate, delay, fail_rate).  All zero: none. */
struct transport_faults
{
	double drop_rate; /* 0 .. 1: outgoing paxos and state messages that vanish */
	double
		fail_rate; /* 0 .. 1: incoming Prepare, Pull, Sync and Accept ignored, as if the acceptor had failed */
	uint32_t delay_ms; /* every outgoing message leaves so much later, in order */
};

/* The streams of a node. */
enum transport_stream
{
	STREAM_DIALED,   /* by this node: it receives a table */
	STREAM_ACCEPTED, /* it sends one */
	TRANSPORT_STREAMS
};

/* What is sent at once on a stream, at most. */
#define TRANSPORT_STREAM_PIECE (64u << 10)

struct transport_callbacks
{
	void *context;

	/*
	 * A message from a member at its configured store id; "from" is who the handshake proved, "to" this
	 * node.  It and its entries are valid until the callback returns.  False: malformed or impossible
	 * (paxos_recv() said so), the connection is dropped.
	 */
	bool (*on_message)(void *context, const struct paxos_message *message);

	/* A formation message, from any peer, outsiders (F1) included.  False: as above. */
	bool (*on_formation)(void *context, const struct formation_message *message);

	/*
	 * A member (transport_set_members(): same node id and store id) can be spoken with, or no longer.
	 * Comes alternately for each node.  Before transport_set_members() there are no members.  reset: its
	 * end was closed (its process died or gave up), as opposed to a time-out or a decision of this side.
	 */
	void (*on_connected)(void *context, uint32_t node_id);
	void (*on_disconnected)(void *context, uint32_t node_id, bool reset);

	/* A state message, from a member.  NULL: not wanted. */
	void (*on_state)(void *context, const struct state_message *message);

	/*
	 * A stream with that member is open; bytes of it, in order; it ended, and not by transport_stream_close().
	 * on_stream_bytes false: there is no room, the same bytes come again after transport_stream_resume().  NULL, all
	 * of them: no stream is accepted.
	 */
	void (*on_stream_open)(void *context, enum transport_stream which, uint32_t node_id);
	bool (*on_stream_bytes)(void *context, enum transport_stream which, const uint8_t *bytes,
							uint32_t length);
	void (*on_stream_end)(void *context, enum transport_stream which, const char *reason);
};

struct transport_options
{
	uint32_t node_id;
	struct paxos_id store_id;
	char cluster_name[64];
	uint64_t run;   /* X1: durable before transport_create() */
	uint64_t nonce; /* X1: random, of this run */

	/* "host:port", "[::1]:port" or "*:port"; copied.  None: nothing listens. */
	uint32_t n_listen;
	char listen[TRANSPORT_MAX_LISTEN][PAXOS_ADDRESS_MAX + 1];

	/* NULL: none.  Copied; never sent. */
	const uint8_t *secret;
	uint32_t secret_length;

	uint32_t n_peers; /* as for transport_set_peers() */
	struct transport_peer peers[TRANSPORT_MAX_PEERS];

	struct transport_faults faults;
	uint64_t seed; /* of jitter and faults */

	/* 0: the default. */
	uint32_t connect_timeout_ms;   /* 2,000 */
	uint32_t handshake_timeout_ms; /* 5,000: what an unauthenticated connection may last */
	uint32_t idle_timeout_ms;      /* 10,000 without a byte from the peer (or acknowledged by it) */
	uint32_t max_unauthenticated;  /* 32 accepted connections at once */
	uint32_t max_queue_bytes;      /* bulk queued for one peer beyond one message of any size; 64 MB */

	/* Where log lines go (one sentence each, no newline); what goes on is said ever more rarely (log_limit.h). */
	void *log_context;
	void (*log)(void *context, enum transport_level level, const char *text);
};

/* One peer, for status. */
struct transport_peer_status
{
	uint32_t node_id;
	char address[PAXOS_ADDRESS_MAX + 1];
	bool connected;           /* handshake done */
	bool member;              /* ... and the peer is a member at its configured store id */
	bool dialed;              /* ... by this side */
	struct paxos_id store_id; /* of the last handshake; zero: none yet */
	uint64_t run;
	uint64_t connected_since_ms; /* transport_poll()'s clock */
	uint64_t connections;        /* handshakes done so far */
	uint64_t bytes_sent;
	uint64_t bytes_received;
	uint64_t bytes_queued;
	uint64_t messages_sent;
	uint64_t messages_received;
	uint64_t messages_dropped;            /* queue full, too large, not connected, out of memory, drop_rate */
	uint64_t messages_refused;            /* received: malformed, unknown, of an outsider, another cluster */
	uint64_t refusals;                    /* handshakes that failed, at either side's word */
	char last_error[TRANSPORT_ERROR_MAX]; /* empty: none; kept after it is over */
	uint64_t last_error_ms;
};

struct transport_status
{
	uint32_t n_listening;                   /* addresses bound */
	char listen_error[TRANSPORT_ERROR_MAX]; /* why not all of them are; empty: they are */
	uint32_t unauthenticated;               /* accepted connections not yet authenticated */
	uint64_t refused;                       /* accepted connections refused, of whomever */
	uint32_t n_peers;
	struct transport_peer_status peers[TRANSPORT_MAX_PEERS];
};

struct transport;

/*
 * Makes a transport.  options are copied.  Listening and dialing begin with the first transport_poll(); an
 * address that can't be bound is tried again every second (status and log say so), and one beyond
 * loopback is never bound without a secret.  NULL: *error says why (bad options, no memory or descriptors).
 */
struct transport *transport_create(const struct transport_options *options, char error[TRANSPORT_ERROR_MAX]);

/* Closes everything; no callback is called.  NULL is allowed. */
void transport_destroy(struct transport *t);

/*
 * Whom to dial and listen to before formation (this node itself is passed over).  Connections of nodes no
 * longer named are closed; one whose address changed is dialed there next time.
 */
void transport_set_peers(struct transport *t, const struct transport_peer *peers, uint32_t n_peers);

/*
 * The cluster is formed, or changed: its members become the peers; handshakes and messages must name its
 * cluster id.  on_connected comes for members already connected with the next transport_poll().  A peer
 * whose store id is not the configuration's (F1) is an outsider: formation messages go to and fro, all
 * others are refused.
 */
void transport_set_members(struct transport *t, const struct paxos_config *config);

void transport_set_faults(struct transport *t, const struct transport_faults *faults);

/* Readable when transport_poll() has something to do; the same descriptor for the transport's life. */
int transport_fd(const struct transport *t);

/* Does what can be done without blocking.  now_ms: monotonic, as for paxos_tick(). */
void transport_poll(struct transport *t, uint64_t now_ms, const struct transport_callbacks *callbacks);

/*
 * When transport_poll() must be called again at the latest, in the clock of transport_poll(); UINT64_MAX:
 * only when the descriptor is readable.
 */
uint64_t transport_next_deadline(const struct transport *t);

/*
 * Queues a message for message->to; all its bytes are copied.  It leaves with transport_flush().  False:
 * it was dropped (not a connected member, queue full, too large, no memory, by a fault).
 */
bool transport_send(struct transport *t, const struct paxos_message *message);

/* The same for formation messages, which go to outsiders too. */
bool transport_send_formation(struct transport *t, const struct formation_message *message);

/* The same for state messages. */
bool transport_send_state(struct transport *t, const struct state_message *message);

/*
 * Dials a stream to a connected member; on_stream_open or on_stream_end follows.  False: it is not one, or there is
 * such a stream already.
 */
bool transport_stream_dial(struct transport *t, uint32_t node_id);

/* Queues bytes, TRANSPORT_STREAM_PIECE at most; copied.  False: the stream is not open, or has enough queued. */
bool transport_stream_send(struct transport *t, enum transport_stream which, const uint8_t *bytes,
						   uint32_t length);

/* Whether transport_stream_send() takes something. */
bool transport_stream_has_room(const struct transport *t, enum transport_stream which);

/* Whether all that was queued is sent. */
bool transport_stream_is_sent(const struct transport *t, enum transport_stream which);

/* There is room again: goes on with what on_stream_bytes refused, at the next transport_poll() at the latest. */
void transport_stream_resume(struct transport *t, enum transport_stream which);

/* Ends it, if there is one; no callback comes.  The other side hears of it. */
void transport_stream_close(struct transport *t, enum transport_stream which);

/* Sends what is queued, one writev a peer, as far as the sockets take it; transport_poll() goes on. */
void transport_flush(struct transport *t);

void transport_status(const struct transport *t, struct transport_status *status);

/* Whether a handshake with that node is done (member or not). */
bool transport_connected(const struct transport *t, uint32_t node_id);

/* What ended the last connection, or attempt, to a node that is not connected.  False: it is, or nothing did. */
bool transport_peer_error(const struct transport *t, uint32_t node_id, char error[TRANSPORT_ERROR_MAX]);

/* The store id that node proved in its last handshake.  False: there was none. */
bool transport_peer_store(const struct transport *t, uint32_t node_id, struct paxos_id *store_id);

/*
 * Whether "host:port" names loopback only: 127.0.0.0/8, ::1 or localhost.  What localhost turns out to be
 * is looked at again before it is bound.
 */
bool transport_is_loopback(const char *address);

/* Whether it is a well-formed "host:port", "[ipv6]:port" or, where any_host, "*:port". */
bool transport_address_valid(const char *address, bool any_host);

#endif /* TRANSPORT_H */
