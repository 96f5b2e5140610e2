/*
 * fuzz_wire.c - any bytes as a stream from a peer: frames, messages, and an unauthenticated stranger's
 * hello, proof and refusal.  Nothing may be read outside of them, memory stays bounded, and a message that
 * is taken must be the same after it was encoded and read again.
 *
 * The first byte chooses: a stream of frames as it is; the same with its CRCs made right, so that mutations
 * get behind them; one message; a handshake's payload.
 */
#include <stdlib.h>
#include <string.h>

#include "log/log.h"
#include "paxos/bytes.h"
#include "transport/frame.h"
#include "transport/handshake.h"
#include "transport/wire.h"

/* A stream's messages are joined up to so much here. */
#define MAX_MESSAGE (1u << 20)

/* Not assert(): it must hold in every build. */
#define MUST(condition)                                                                                      \
	do                                                                                                       \
	{                                                                                                        \
		if (!(condition))                                                                                    \
			__builtin_trap();                                                                                \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct wire_decoded first;
static struct wire_decoded second;
static struct wire_encoded encoded;

/* A sink that the optimizer can't see through: each byte is read. */
static volatile uint8_t seen;

static void read_entries(const struct paxos_message *m)
{
	for (uint32_t i = 0; i < m->n_entries; i++)
	{
		for (uint32_t k = 0; k < m->entries[i].length; k++)
			seen ^= m->entries[i].bytes[k];
	}
}

/* Encodes what "first" holds into one piece of memory. */
static uint8_t *encode_again(uint64_t *length)
{
	uint8_t *bytes;
	uint64_t at;

	if (first.kind == WIRE_FORMATION)
		MUST(wire_encode_formation(&first.formation, &encoded));
	else if (first.kind == WIRE_STATE)
		MUST(wire_encode_state(&first.state, &first.cluster_id, &encoded));
	else
		MUST(wire_encode_message(&first.message, &first.cluster_id, &encoded));
	bytes = malloc(encoded.length);
	MUST(bytes != NULL);
	memcpy(bytes, encoded.head, encoded.head_length);
	at = encoded.head_length;
	for (uint32_t i = 0; first.kind == WIRE_MESSAGE && i < first.message.n_entries; i++)
	{
		memcpy(bytes + at, first.message.entries[i].bytes, first.message.entries[i].length);
		at += first.message.entries[i].length;
	}
	MUST(at == encoded.length);
	*length = at;
	return bytes;
}

static void take_message(const uint8_t *bytes, uint64_t length)
{
	uint8_t *again;
	uint64_t again_length;

	if (wire_decode(bytes, length, &first) != WIRE_OK)
		return;
	if (first.kind == WIRE_MESSAGE)
		read_entries(&first.message);
	again = encode_again(&again_length);
	MUST(wire_decode(again, again_length, &second) == WIRE_OK && second.kind == first.kind);
	if (first.kind == WIRE_FORMATION)
		MUST(memcmp(&first.formation, &second.formation, sizeof(first.formation)) == 0);
	else if (first.kind == WIRE_STATE)
		MUST(memcmp(&first.state, &second.state, sizeof(first.state)) == 0);
	else
	{
		second.message.entries = first.message.entries;
		MUST(memcmp(&first.message, &second.message, sizeof(first.message)) == 0);
		for (uint32_t i = 0; i < first.message.n_entries; i++)
			MUST(first.entries[i].length == second.entries[i].length &&
				 memcmp(first.entries[i].bytes, second.entries[i].bytes, first.entries[i].length) == 0);
	}
	free(again);
}

/* Makes the CRC at the head of bytes right, where a whole frame stands there. */
static void mend_crc(uint8_t *bytes, size_t size)
{
	uint32_t length;

	if (size < FRAME_HEADER_BYTES)
		return;
	bytes[0] = FRAME_MAGIC;
	bytes[1] = FRAME_VERSION;
	bytes[3] = 0;
	length = get_u32(bytes + 4);
	if (length > size - FRAME_HEADER_BYTES)
	{
		length = (uint32_t) (size - FRAME_HEADER_BYTES);
		put_u32(bytes + 4, length);
	}
	put_u32(bytes + 8, plog_crc32c(plog_crc32c(0, bytes, 8), bytes + FRAME_HEADER_BYTES, length));
}

static void take_stream(uint8_t *bytes, size_t size, bool mend)
{
	struct frame_assembly assembly = {0};
	size_t at = 0;

	while (at < size)
	{
		struct frame frame;
		size_t total;
		const uint8_t *message;
		uint64_t length;
		enum frame_result result;

		if (mend)
			mend_crc(bytes + at, size - at);
		if (frame_parse(bytes + at, size - at, FRAME_PAYLOAD_MAX, &frame, &total) != FRAME_OK)
			break;
		MUST(total <= size - at && frame.length == total - FRAME_HEADER_BYTES);
		at += total;
		if (frame.flags & (FRAME_PING | FRAME_HANDSHAKE))
			continue;
		if (!(frame.flags & FRAME_BULK))
		{
			take_message(frame.payload, frame.length);
			continue;
		}
		result = frame_assemble(&assembly, &frame, MAX_MESSAGE, &message, &length);
		MUST(assembly.capacity <= MAX_MESSAGE);
		if (result == FRAME_OK)
			take_message(message, length);
		else if (result == FRAME_BAD)
			break;
	}
	frame_assembly_clear(&assembly);
}

/* A stranger's payload, to a node with a secret that it doesn't know. */
static void take_handshake(const uint8_t *bytes, size_t size)
{
	static const uint8_t secret[] = {4, 8, 15, 16, 23, 42};
	static const uint8_t challenge[HANDSHAKE_CHALLENGE_BYTES] = {1};
	struct handshake_self self = {
		.node_id = 2, .cluster_name = "fruit", .run = 1, .secret = secret, .secret_length = 6};
	struct handshake h;
	uint8_t proof[1 + HANDSHAKE_PROOF_BYTES];
	char text[HANDSHAKE_TEXT_MAX + 1];
	uint32_t code;
	uint32_t length = size < HANDSHAKE_PAYLOAD_MAX + 8 ? (uint32_t) size : HANDSHAKE_PAYLOAD_MAX + 8;

	handshake_begin(&h, &self, 0, PURPOSE_MESSAGES, challenge);
	if (handshake_take_hello(&h, &self, bytes, length) == REFUSE_NOT)
	{
		MUST(strcmp(h.hello.cluster_name, "fruit") == 0 && h.hello.to_node_id == 2 && h.hello.has_secret);
		/* Its proof: the input's end. */
		memset(proof, 0, sizeof(proof));
		memcpy(proof, bytes + (length > sizeof(proof) ? length - sizeof(proof) : 0),
			   length < sizeof(proof) ? length : sizeof(proof));
		proof[0] = HANDSHAKE_PROOF;
		MUST(handshake_take_proof(&h, &self, proof, sizeof(proof)) == REFUSE_SECRET_WRONG);
	}
	MUST(handshake_take_proof(&h, &self, bytes, length) != REFUSE_NOT);
	if (handshake_take_reject(bytes, length, &code, text))
	{
		for (const char *c = text; *c != '\0'; c++)
			MUST(*c >= ' ' && *c <= '~');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 1)
		return 0;
	/* Of its own exact size, so that a read beyond it is seen. */
	copy = malloc(size - 1 > 0 ? size - 1 : 1);
	MUST(copy != NULL);
	memcpy(copy, data + 1, size - 1);
	switch (data[0] % 4)
	{
		case 0:
			take_stream(copy, size - 1, false);
			break;
		case 1:
			take_stream(copy, size - 1, true);
			break;
		case 2:
			take_message(copy, size - 1);
			break;
		case 3:
			take_handshake(copy, size - 1);
			break;
	}
	free(copy);
	return 0;
}
