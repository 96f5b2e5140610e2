/*
 * test_handshake.c - hellos and proofs of two sides: who is let in, who is refused and why.
 */
#include "transport/handshake.h"

#include <string.h>

#include "unit.h"

static const uint8_t challenge_a[HANDSHAKE_CHALLENGE_BYTES] = {1};
static const uint8_t challenge_b[HANDSHAKE_CHALLENGE_BYTES] = {2};

static struct handshake_self node(uint32_t node_id, const char *secret)
{
	struct handshake_self self = {.node_id = node_id, .cluster_name = "fruit", .run = 7, .nonce = 8};

	self.store_id.bytes[0] = (uint8_t) node_id;
	self.secret = (const uint8_t *) secret;
	self.secret_length = secret != NULL ? (uint32_t) strlen(secret) : 0;
	return self;
}

/* Dialer a calls node "dialed" and reaches b.  The first refusal on the way. */
static enum handshake_refusal shake(const struct handshake_self *a, uint32_t dialed,
									const struct handshake_self *b)
{
	struct handshake da;
	struct handshake db;
	uint8_t proof[1 + HANDSHAKE_PROOF_BYTES];
	enum handshake_refusal refusal;

	handshake_begin(&da, a, dialed, PURPOSE_MESSAGES, challenge_a);
	handshake_begin(&db, b, 0, PURPOSE_MESSAGES, challenge_b);
	refusal = handshake_take_hello(&db, b, da.mine, da.mine_length);
	if (refusal == REFUSE_NOT)
		refusal = handshake_take_hello(&da, a, db.mine, db.mine_length);
	if (refusal != REFUSE_NOT)
		return refusal;
	handshake_make_proof(&da, a, proof);
	refusal = handshake_take_proof(&db, b, proof, sizeof(proof));
	if (refusal != REFUSE_NOT)
		return refusal;
	handshake_make_proof(&db, b, proof);
	return handshake_take_proof(&da, a, proof, sizeof(proof));
}

static void who_is_let_in(void)
{
	struct handshake_self a = node(1, "pear");
	struct handshake_self b = node(2, "pear");
	struct handshake_self c = node(2, "peer");
	struct handshake_self open_a = node(1, NULL);
	struct handshake_self open_b = node(2, NULL);

	is_u64(shake(&a, 2, &b), REFUSE_NOT, "equal secrets");
	is_u64(shake(&open_a, 2, &open_b), REFUSE_NOT, "no secrets");
	is_u64(shake(&a, 2, &c), REFUSE_SECRET_WRONG, "other secret");
	is_u64(shake(&a, 2, &open_b), REFUSE_SECRET_UNEXPECTED, "only the dialer has one");
	is_u64(shake(&open_a, 2, &b), REFUSE_SECRET_MISSING, "only the dialed has one");
	is_u64(shake(&a, 3, &b), REFUSE_OTHER_NODE, "another node than dialed");
	is_u64(shake(&b, 2, &b), REFUSE_OWN_ID, "itself");
	strcpy(b.cluster_name, "fruits");
	is_u64(shake(&a, 2, &b), REFUSE_CLUSTER_NAME, "another cluster's name");
	strcpy(b.cluster_name, "fruit");
	b.cluster_id.bytes[3] = 1;
	is_u64(shake(&a, 2, &b), REFUSE_NOT, "one side is not formed yet");
	a.cluster_id.bytes[3] = 1;
	is_u64(shake(&a, 2, &b), REFUSE_NOT, "one cluster");
	a.cluster_id.bytes[3] = 2;
	is_u64(shake(&a, 2, &b), REFUSE_CLUSTER_ID, "another cluster of that name");
}

static void what_a_hello_says(void)
{
	struct handshake_self a = node(1, "pear");
	struct handshake_self b = node(2, "pear");
	struct handshake da;
	struct handshake db;
	unsigned taken = 0;

	handshake_begin(&da, &a, 2, PURPOSE_MESSAGES, challenge_a);
	handshake_begin(&db, &b, 0, PURPOSE_MESSAGES, challenge_b);
	handshake_take_hello(&db, &b, da.mine, da.mine_length);
	ok(db.hello.node_id == 1 && db.hello.run == 7 && db.hello.nonce == 8 && db.hello.to_node_id == 2 &&
		   db.hello.has_secret && strcmp(db.hello.cluster_name, "fruit") == 0 &&
		   db.hello.store_id.bytes[0] == 1,
	   "all of it is read");
	is_u64(handshake_take_hello(&db, &b, da.mine, da.mine_length), REFUSE_MALFORMED,
		   "a second hello is refused");
	for (uint32_t length = 0; length < da.mine_length; length++)
	{
		handshake_begin(&db, &b, 0, PURPOSE_MESSAGES, challenge_b);
		taken += handshake_take_hello(&db, &b, da.mine, length) == REFUSE_NOT;
	}
	is_u64(taken, 1, "cut off anywhere it is refused, but where an older version's ends");
	memset(a.cluster_name, 'x', sizeof(a.cluster_name) - 1);
	memset(&a.store_id, 0xFF, sizeof(a.store_id));
	memset(&a.cluster_id, 0xFF, sizeof(a.cluster_id));
	a.run = a.nonce = UINT64_MAX;
	a.node_id = UINT32_MAX;
	handshake_begin(&da, &a, UINT32_MAX - 1, PURPOSE_MESSAGES, challenge_a);
	ok(da.mine_length < HANDSHAKE_PAYLOAD_MAX / 2, "the longest hello leaves room for later fields");
	a.store_id = (struct paxos_id){{0}};
	handshake_begin(&da, &a, 2, PURPOSE_MESSAGES, challenge_a);
	handshake_begin(&db, &b, 0, PURPOSE_MESSAGES, challenge_b);
	is_u64(handshake_take_hello(&db, &b, da.mine, da.mine_length), REFUSE_MALFORMED, "a node has a store id");
}

/* Reflection and replay, and changes on the way. */
static void attacks(void)
{
	struct handshake_self a = node(1, "pear");
	struct handshake_self b = node(2, "pear");
	struct handshake da;
	struct handshake db;
	struct handshake again;
	uint8_t proof[1 + HANDSHAKE_PROOF_BYTES];
	static const uint8_t challenge_c[HANDSHAKE_CHALLENGE_BYTES] = {3};

	handshake_begin(&da, &a, 2, PURPOSE_MESSAGES, challenge_a);
	handshake_begin(&db, &b, 0, PURPOSE_MESSAGES, challenge_b);
	handshake_take_hello(&db, &b, da.mine, da.mine_length);
	handshake_take_hello(&da, &a, db.mine, db.mine_length);
	handshake_make_proof(&db, &b, proof);
	is_u64(handshake_take_proof(&db, &b, proof, sizeof(proof)), REFUSE_SECRET_WRONG,
		   "a side's own proof, reflected");
	handshake_make_proof(&da, &a, proof);
	is_u64(handshake_take_proof(&db, &b, proof, sizeof(proof)), REFUSE_NOT, "a true proof");
	handshake_begin(&again, &b, 0, PURPOSE_MESSAGES, challenge_c);
	handshake_take_hello(&again, &b, da.mine, da.mine_length);
	is_u64(handshake_take_proof(&again, &b, proof, sizeof(proof)), REFUSE_SECRET_WRONG,
		   "replayed in a later handshake");
	proof[HANDSHAKE_PROOF_BYTES] ^= 1;
	is_u64(handshake_take_proof(&db, &b, proof, sizeof(proof)), REFUSE_SECRET_WRONG, "one bit changed");
	proof[HANDSHAKE_PROOF_BYTES] ^= 1;
	is_u64(handshake_take_proof(&db, &b, proof, sizeof(proof) - 1), REFUSE_MALFORMED, "a byte too short");
	db.theirs[db.theirs_length - 1] ^= 1;
	is_u64(handshake_take_proof(&db, &b, proof, sizeof(proof)), REFUSE_SECRET_WRONG,
		   "a hello changed on the way");
}

static void rejects(void)
{
	uint8_t payload[HANDSHAKE_PAYLOAD_MAX];
	char text[HANDSHAKE_TEXT_MAX + 1];
	uint32_t code = 0;
	unsigned good = 0;

	for (int r = 1; r < REFUSE_MAX; r++)
	{
		uint32_t length = handshake_make_reject((enum handshake_refusal) r, payload);

		good += handshake_take_reject(payload, length, &code, text) && code == (uint32_t) r &&
				strcmp(text, handshake_reject_text((enum handshake_refusal) r)) == 0;
	}
	is_u64(good, REFUSE_MAX - 1, "every refusal comes back in its words");
	memcpy(payload, "R\x12\x05\x1b[2J\n", 8);
	ok(handshake_take_reject(payload, 8, &code, text) && strcmp(text, "?[2J?") == 0,
	   "control characters are not passed on");
	ok(!handshake_take_reject((const uint8_t *) "R\x12\x7F", 3, &code, text), "a refusal that ends early");
}

/* A stream is asked for of who knows what that is. */
static void purposes(void)
{
	struct handshake_self a = node(1, "pear");
	struct handshake_self b = node(2, "pear");
	struct handshake da;
	struct handshake db;

	handshake_begin(&da, &a, 2, PURPOSE_STREAM, challenge_a);
	handshake_begin(&db, &b, 0, PURPOSE_MESSAGES, challenge_b);
	is_u64(handshake_take_hello(&db, &b, da.mine, da.mine_length), REFUSE_NOT, "a stream is known");
	is_u64(db.hello.purpose, PURPOSE_STREAM, "as one");
	is_u64(handshake_take_hello(&da, &a, db.mine, db.mine_length), REFUSE_NOT, "on both sides");
	/* The hello of a version that knows of none ends with the challenge. */
	handshake_begin(&da, &a, 2, PURPOSE_STREAM, challenge_a);
	is_u64(db.mine[db.mine_length - 2], 13 << 3, "the last field says so");
	is_u64(handshake_take_hello(&da, &a, db.mine, db.mine_length - 2u), REFUSE_NO_STREAM,
		   "an older node is spared");
	handshake_begin(&da, &a, 2, PURPOSE_MESSAGES, challenge_a);
	is_u64(handshake_take_hello(&da, &a, db.mine, db.mine_length - 2u), REFUSE_NOT, "but for messages");
	handshake_begin(&da, &a, 2, (enum handshake_purpose) 2, challenge_a);
	handshake_begin(&db, &b, 0, PURPOSE_MESSAGES, challenge_b);
	is_u64(handshake_take_hello(&db, &b, da.mine, da.mine_length), REFUSE_NO_STREAM,
		   "a later purpose is refused");
}

int main(void)
{
	who_is_let_in();
	what_a_hello_says();
	attacks();
	rejects();
	purposes();
	return done();
}
