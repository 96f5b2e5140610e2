/*
 * handshake.c - making and checking hellos, proofs and refusals.
 *
 * A proof is HMAC-SHA256(secret, label of the direction, both hellos with their lengths).  The label keeps a
 * side's own proof from being sent back to it, the challenges in the hellos keep an old one from being used
 * again.
 */
#include "transport/handshake.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "transport/arena.h"
#include "paxos/bytes.h"
#include "transport/paxoskv.pb-c.h"
#include "transport/wire_formation.h"

/* Unpacking a payload of HANDSHAKE_PAYLOAD_MAX never takes more in good faith. */
#define ARENA_BYTES (8u << 10)
#define LABEL_BYTES 24

static const struct
{
	const char *local;  /* the other side ... */
	const char *remote; /* to the refused side */
} refusal_texts[REFUSE_MAX] = {
	[REFUSE_NOT] = {"refused for an unknown reason", "refused"},
	[REFUSE_MALFORMED] = {"sent something that is no handshake", "the handshake is malformed"},
	[REFUSE_VERSION] = {"speaks no protocol version that this node speaks", "no protocol version in common"},
	[REFUSE_CLUSTER_NAME] = {"has another paxoskv.cluster_name", "the cluster names differ"},
	[REFUSE_CLUSTER_ID] = {"belongs to another cluster of the same name", "the cluster ids differ"},
	[REFUSE_SECRET_MISSING] = {"has no secret, and this node has one (paxoskv.secret_file)",
							   "a secret is required (paxoskv.secret_file)"},
	[REFUSE_SECRET_UNEXPECTED] = {"has a secret, and this node has none (paxoskv.secret_file)",
								  "the refusing node has no secret (paxoskv.secret_file)"},
	[REFUSE_SECRET_WRONG] = {"has another secret (paxoskv.secret_file)",
							 "the secrets differ (paxoskv.secret_file)"},
	[REFUSE_OTHER_NODE] = {"is not the node that this address should have",
						   "another node was expected at this address"},
	[REFUSE_OWN_ID] = {"has this node's own paxoskv.node_id", "the node ids are the same"},
	[REFUSE_UNKNOWN_NODE] = {"has a node id that is not among this node's peers",
							 "the node id is not among the peers"},
	[REFUSE_OLDER_RUN] = {"has an older run of its log directory than was met before: two copies of one "
						  "directory, or an old one",
						  "a later run of this node's log directory was met: it is a copy, or an old state"},
	[REFUSE_OTHER_STORE] = {"has another log directory than the member of that id, which is connected",
							"the member of this node id, with another log directory, is connected"},
	[REFUSE_DUPLICATE] = {"is connected already", "connected already"},
	[REFUSE_NO_STREAM] = {"cannot send or receive a table now", "no table can be sent now"},
	[REFUSE_BUSY] = {"is to wait, a table is being sent to another node",
					 "a table is being sent to another node"},
};

const char *handshake_refusal_text(enum handshake_refusal refusal)
{
	return refusal_texts[refusal < REFUSE_MAX ? refusal : REFUSE_NOT].local;
}

const char *handshake_reject_text(enum handshake_refusal refusal)
{
	return refusal_texts[refusal < REFUSE_MAX ? refusal : REFUSE_NOT].remote;
}

void handshake_begin(struct handshake *h, const struct handshake_self *self, uint32_t node_id,
					 enum handshake_purpose purpose, const uint8_t challenge[HANDSHAKE_CHALLENGE_BYTES])
{
	Paxoskv__Hello hello = PAXOSKV__HELLO__INIT;

	memset(h, 0, sizeof(*h));
	h->dialer = node_id != 0;
	h->expected_node_id = node_id;
	h->purpose = purpose;
	hello.version_min = HANDSHAKE_VERSION_MIN;
	hello.version_max = HANDSHAKE_VERSION_MAX;
	hello.cluster_name = (char *) self->cluster_name;
	hello.cluster_id = wire_put_id(&self->cluster_id);
	hello.node_id = self->node_id;
	hello.to_node_id = node_id;
	hello.store_id = wire_put_id(&self->store_id);
	hello.run = self->run;
	hello.nonce = self->nonce;
	hello.has_secret = self->secret != NULL;
	hello.challenge.len = HANDSHAKE_CHALLENGE_BYTES;
	hello.challenge.data = (uint8_t *) challenge;
	hello.purpose = purpose;
	hello.takes_streams = true;
	/* At most 250 bytes: every field has a bound. */
	h->mine[0] = HANDSHAKE_HELLO;
	h->mine_length = (uint16_t) (1 + paxoskv__hello__pack(&hello, h->mine + 1));
}

static bool unpack_hello(struct handshake_hello *to, const uint8_t *bytes, uint32_t length)
{
	_Alignas(16) uint8_t memory[ARENA_BYTES];
	struct arena arena;
	Paxoskv__Hello *from;

	arena_init(&arena, memory, sizeof(memory));
	from = paxoskv__hello__unpack(&arena.allocator, length, bytes);
	if (from == NULL || from->challenge.len != HANDSHAKE_CHALLENGE_BYTES ||
		strlen(from->cluster_name) > HANDSHAKE_NAME_MAX || from->node_id == 0 || from->version_min == 0 ||
		from->version_max < from->version_min)
		return false;
	to->version_min = from->version_min;
	to->version_max = from->version_max;
	strcpy(to->cluster_name, from->cluster_name);
	to->node_id = from->node_id;
	to->to_node_id = from->to_node_id;
	to->run = from->run;
	to->nonce = from->nonce;
	to->has_secret = from->has_secret;
	to->purpose = from->purpose;
	to->takes_streams = from->takes_streams;
	return wire_get_id(&to->cluster_id, &from->cluster_id) && wire_get_id(&to->store_id, &from->store_id) &&
		   !wire_id_is_zero(&to->store_id);
}

static enum handshake_refusal check_hello(const struct handshake *h, const struct handshake_self *self)
{
	const struct handshake_hello *hello = &h->hello;

	if (hello->version_min > HANDSHAKE_VERSION_MAX || hello->version_max < HANDSHAKE_VERSION_MIN)
		return REFUSE_VERSION;
	if (strcmp(hello->cluster_name, self->cluster_name) != 0)
		return REFUSE_CLUSTER_NAME;
	if (self->secret != NULL && !hello->has_secret)
		return REFUSE_SECRET_MISSING;
	if (self->secret == NULL && hello->has_secret)
		return REFUSE_SECRET_UNEXPECTED;
	if (hello->node_id == self->node_id)
		return REFUSE_OWN_ID;
	if (h->dialer ? hello->node_id != h->expected_node_id : hello->to_node_id != self->node_id)
		return REFUSE_OTHER_NODE;
	/* A node that knows of no purpose would take a stream for the connection that replaces the present one. */
	if (h->dialer ? h->purpose != PURPOSE_MESSAGES && !hello->takes_streams : hello->purpose > PURPOSE_STREAM)
		return REFUSE_NO_STREAM;
	/* Before formation a side knows no cluster id. */
	if (!wire_id_is_zero(&self->cluster_id) && !wire_id_is_zero(&hello->cluster_id) &&
		!wire_id_equal(&self->cluster_id, &hello->cluster_id))
		return REFUSE_CLUSTER_ID;
	return REFUSE_NOT;
}

enum handshake_refusal handshake_take_hello(struct handshake *h, const struct handshake_self *self,
											const uint8_t *payload, uint32_t length)
{
	if (length < 2 || length > HANDSHAKE_PAYLOAD_MAX || payload[0] != HANDSHAKE_HELLO ||
		h->theirs_length != 0)
		return REFUSE_MALFORMED;
	memcpy(h->theirs, payload, length);
	h->theirs_length = (uint16_t) length;
	if (!unpack_hello(&h->hello, payload + 1, length - 1))
		return REFUSE_MALFORMED;
	return check_hello(h, self);
}

/* The proof of one side: "dialer" says of which, whichever side this one is. */
static bool compute_proof(const struct handshake *h, const struct handshake_self *self, bool dialer,
						  uint8_t proof[HANDSHAKE_PROOF_BYTES])
{
	static const char dialer_label[LABEL_BYTES] = "paxoskv proof: dialer";
	static const char dialed_label[LABEL_BYTES] = "paxoskv proof: dialed";
	uint8_t text[LABEL_BYTES + 2 * (4 + HANDSHAKE_PAYLOAD_MAX)];
	uint32_t length = LABEL_BYTES;
	unsigned int proof_length = 0;

	memcpy(text, dialer ? dialer_label : dialed_label, LABEL_BYTES);
	for (int i = 0; i < 2; i++)
	{
		/* The dialer's hello comes first. */
		bool mine = (i == 0) == h->dialer;
		uint32_t hello_length = mine ? h->mine_length : h->theirs_length;

		put_u32(text + length, hello_length);
		memcpy(text + length + 4, mine ? h->mine : h->theirs, hello_length);
		length += 4 + hello_length;
	}
	return HMAC(EVP_sha256(), self->secret != NULL ? (const void *) self->secret : "",
				self->secret != NULL ? (int) self->secret_length : 0, text, length, proof,
				&proof_length) != NULL &&
		   proof_length == HANDSHAKE_PROOF_BYTES;
}

bool handshake_make_proof(const struct handshake *h, const struct handshake_self *self,
						  uint8_t payload[1 + HANDSHAKE_PROOF_BYTES])
{
	payload[0] = HANDSHAKE_PROOF;
	return compute_proof(h, self, h->dialer, payload + 1);
}

enum handshake_refusal handshake_take_proof(const struct handshake *h, const struct handshake_self *self,
											const uint8_t *payload, uint32_t length)
{
	uint8_t proof[HANDSHAKE_PROOF_BYTES];

	if (length != 1 + HANDSHAKE_PROOF_BYTES || payload[0] != HANDSHAKE_PROOF || h->theirs_length == 0)
		return REFUSE_MALFORMED;
	if (!compute_proof(h, self, !h->dialer, proof) || CRYPTO_memcmp(proof, payload + 1, sizeof(proof)) != 0)
		return REFUSE_SECRET_WRONG;
	return REFUSE_NOT;
}

uint32_t handshake_make_reject(enum handshake_refusal refusal, uint8_t payload[HANDSHAKE_PAYLOAD_MAX])
{
	Paxoskv__Reject reject = PAXOSKV__REJECT__INIT;

	reject.code = (uint32_t) refusal;
	reject.text = (char *) handshake_reject_text(refusal);
	payload[0] = HANDSHAKE_REJECT;
	return 1 + (uint32_t) paxoskv__reject__pack(&reject, payload + 1);
}

bool handshake_take_reject(const uint8_t *payload, uint32_t length, uint32_t *code,
						   char text[HANDSHAKE_TEXT_MAX + 1])
{
	_Alignas(16) uint8_t memory[ARENA_BYTES];
	struct arena arena;
	Paxoskv__Reject *from;
	size_t n;

	if (length < 1 || length > HANDSHAKE_PAYLOAD_MAX || payload[0] != HANDSHAKE_REJECT)
		return false;
	arena_init(&arena, memory, sizeof(memory));
	from = paxoskv__reject__unpack(&arena.allocator, length - 1, payload + 1);
	if (from == NULL)
		return false;
	*code = from->code;
	/* It goes to log and status: nothing but printable ASCII. */
	for (n = 0; from->text[n] != '\0' && n < HANDSHAKE_TEXT_MAX; n++)
		text[n] = from->text[n] >= ' ' && from->text[n] <= '~' ? from->text[n] : '?';
	text[n] = '\0';
	return true;
}
