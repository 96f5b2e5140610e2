/*
 * handshake.h - who may speak: hello, proof and refusal (docs/wire.md, DESIGN section 7).
 *
 * Both sides send a hello with a fresh challenge; then the dialing side proves over both hellos that it
 * holds the secret, then the other.  Without a secret the proofs are made with an empty key: they then
 * show only that the hellos arrived unchanged and that the other side lives.  Pure but for OpenSSL.
 */
#ifndef TRANSPORT_HANDSHAKE_H
#define TRANSPORT_HANDSHAKE_H

#include "paxos/paxos.h"

/* Protocol versions that this code speaks. */
#define HANDSHAKE_VERSION_MIN 1
#define HANDSHAKE_VERSION_MAX 1

#define HANDSHAKE_CHALLENGE_BYTES 32
#define HANDSHAKE_PROOF_BYTES 32
/* The largest payload of a handshake's frame. */
#define HANDSHAKE_PAYLOAD_MAX 512
#define HANDSHAKE_TEXT_MAX 160
#define HANDSHAKE_NAME_MAX 63

/* First byte of a handshake's frame. */
enum handshake_kind
{
	HANDSHAKE_HELLO = 'H',
	HANDSHAKE_PROOF = 'P',
	HANDSHAKE_REJECT = 'R'
};

/* Why a side refuses.  On the wire: values stay. */
enum handshake_refusal
{
	REFUSE_NOT = 0,
	REFUSE_MALFORMED = 1,
	REFUSE_VERSION = 2,
	REFUSE_CLUSTER_NAME = 3,
	REFUSE_CLUSTER_ID = 4,
	REFUSE_SECRET_MISSING = 5,    /* the refused side has none */
	REFUSE_SECRET_UNEXPECTED = 6, /* the refusing side has none */
	REFUSE_SECRET_WRONG = 7,
	REFUSE_OTHER_NODE = 8, /* dialed one node, reached another */
	REFUSE_OWN_ID = 9,     /* the peer has the refusing side's node id */
	REFUSE_UNKNOWN_NODE = 10,
	REFUSE_OLDER_RUN = 11,   /* X1 */
	REFUSE_OTHER_STORE = 12, /* F1: a member of that id, at its configured store id, is connected */
	REFUSE_DUPLICATE = 13,   /* two connections at once; the other one stays */
	REFUSE_NO_STREAM = 14,   /* it knows of no streams, or of no such purpose, or is no member yet */
	REFUSE_BUSY = 15,        /* it sends a stream to another node already */
	REFUSE_MAX
};

/* What a connection is for.  On the wire: values stay. */
enum handshake_purpose
{
	PURPOSE_MESSAGES = 0,
	PURPOSE_STREAM = 1
};

/* What one side knows of itself. */
struct handshake_self
{
	uint32_t node_id;
	struct paxos_id store_id;
	struct paxos_id cluster_id; /* zero: not formed */
	char cluster_name[HANDSHAKE_NAME_MAX + 1];
	uint64_t run;
	uint64_t nonce;
	const uint8_t *secret; /* NULL: none */
	uint32_t secret_length;
};

/* What the other side's hello says. */
struct handshake_hello
{
	uint32_t version_min;
	uint32_t version_max;
	char cluster_name[HANDSHAKE_NAME_MAX + 1];
	struct paxos_id cluster_id;
	uint32_t node_id;
	uint32_t to_node_id; /* whom it dialed; 0 from the dialed side */
	struct paxos_id store_id;
	uint64_t run;
	uint64_t nonce;
	bool has_secret;
	uint32_t purpose;   /* of the dialer; 0 from the dialed side */
	bool takes_streams; /* it knows what a purpose is */
};

struct handshake
{
	bool dialer;
	uint32_t expected_node_id; /* dialer: whom it dialed ... */
	uint32_t purpose;          /* ... and what for */
	/* Payloads of both hellos, the kind's byte included. */
	uint16_t mine_length;
	uint16_t theirs_length;
	uint8_t mine[HANDSHAKE_PAYLOAD_MAX];
	uint8_t theirs[HANDSHAKE_PAYLOAD_MAX];
	struct handshake_hello hello; /* theirs */
};

/*
 * Begins one side's handshake: h->mine is to be sent (by the dialed side once the other's hello was
 * taken).  challenge: fresh random bytes.  node_id: whom the dialer dials, 0 for the dialed side.  purpose: the
 * dialer's.
 */
void handshake_begin(struct handshake *h, const struct handshake_self *self, uint32_t node_id,
					 enum handshake_purpose purpose, const uint8_t challenge[HANDSHAKE_CHALLENGE_BYTES]);

/* Takes and checks the other side's hello (a payload whose first byte is HANDSHAKE_HELLO). */
enum handshake_refusal handshake_take_hello(struct handshake *h, const struct handshake_self *self,
											const uint8_t *payload, uint32_t length);

/* Makes this side's proof, as a payload.  False: OpenSSL failed. */
bool handshake_make_proof(const struct handshake *h, const struct handshake_self *self,
						  uint8_t payload[1 + HANDSHAKE_PROOF_BYTES]);

/* Checks the other side's. */
enum handshake_refusal handshake_take_proof(const struct handshake *h, const struct handshake_self *self,
											const uint8_t *payload, uint32_t length);

/* Makes a refusal, as a payload; returns its length. */
uint32_t handshake_make_reject(enum handshake_refusal refusal, uint8_t payload[HANDSHAKE_PAYLOAD_MAX]);

/*
 * Reads a refusal: what the other side said, made printable.  False: malformed.
 */
bool handshake_take_reject(const uint8_t *payload, uint32_t length, uint32_t *code,
						   char text[HANDSHAKE_TEXT_MAX + 1]);

/* In words of the refusing side ("its cluster name differs"), and as it tells the refused one. */
const char *handshake_refusal_text(enum handshake_refusal refusal);
const char *handshake_reject_text(enum handshake_refusal refusal);

#endif /* TRANSPORT_HANDSHAKE_H */
