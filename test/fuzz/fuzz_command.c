/*
 * fuzz_command.c - any bytes as an entry, a configuration or a formation blob: nothing may be read outside of
 * them, and what is accepted must be the bytes that encoding it again gives.
 *
 * The first byte chooses what the rest is: such bytes, or places and bytes to put into a sound one.
 */
#include "paxos/command.h"
#include "paxos/formation.h"
#include "paxos/session.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Not assert(): it must hold in every build. */
#define MUST(condition)                                                                                      \
	do                                                                                                       \
	{                                                                                                        \
		if (!(condition))                                                                                    \
			__builtin_trap();                                                                                \
	} while (0)

#define OPERATIONS_MAX 64

/* A command that is accepted is the one that command_encode() makes of its parts. */
static void command_again(const struct paxos_entry *entry)
{
	static struct operation operations[OPERATIONS_MAX];
	struct command_reader reader;
	uint32_t n = 0;
	uint8_t *bytes;

	MUST(command_open(&reader, entry) == DECODE_OK);
	if (reader.n_operations > OPERATIONS_MAX)
		return;
	while (n < reader.n_operations)
		MUST(command_next(&reader, &operations[n++]) == DECODE_OK);
	MUST(command_next(&reader, &operations[0]) == DECODE_END);
	MUST(command_size(reader.request_id_length, operations, n) == entry->length);
	bytes = malloc(entry->length);
	MUST(bytes != NULL);
	command_encode(bytes, reader.header.node_id, reader.header.stamp, reader.header.origin_time_us,
				   reader.request_id, reader.request_id_length, operations, n);
	entry_set_number(bytes, reader.header.session, reader.header.number);
	/* Without a request id no stamp is encoded, while any is accepted. */
	if (reader.request_id_length > 0 || reader.header.stamp == 0)
		MUST(memcmp(bytes, entry->bytes, entry->length) == 0);
	free(bytes);
}

static void try_entry(const uint8_t *data, size_t size)
{
	struct paxos_entry entry = {data, (uint32_t) size};
	struct paxos_config config = {.n_members = 1, .members = {{.node_id = 1}}};
	struct session_table table = {.n = 1, .sessions = {{.node_id = 1, .session = 1, .open = true}}};
	struct entry_header header;
	struct open_session open;
	struct command_reader reader;
	struct operation operation;
	const char *what;

	/* The reader alone, on what the check may refuse. */
	if (command_open(&reader, &entry) == DECODE_OK)
	{
		while (command_next(&reader, &operation) == DECODE_OK)
			;
	}
	open_session_decode(&entry, &open);
	if (entry_check(&entry, &what) != DECODE_OK)
		return;
	MUST(entry_decode_header(&entry, &header));
	if (header.kind == ENTRY_COMMAND)
		command_again(&entry);
	session_fold(&table, &config, 2, &entry);
	MUST(table.n <= 2);
}

/* Random bytes hardly ever agree on their length: here the header is put right first. */
static void try_entry_of_right_length(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	uint32_t body = (uint32_t) (size - ENTRY_HEADER_BYTES);

	if (size < ENTRY_HEADER_BYTES)
		return;
	copy = malloc(size);
	MUST(copy != NULL);
	memcpy(copy, data, size);
	for (int i = 0; i < 4; i++)
		copy[4 + i] = (uint8_t) (body >> (8 * i));
	try_entry(copy, size);
	free(copy);
}

static void try_config(const uint8_t *data, size_t size)
{
	struct paxos_config config;
	uint8_t bytes[CONFIG_BYTES_MAX];

	if (!config_decode(&config, data, (uint32_t) size))
		return;
	MUST(config_valid(&config));
	MUST(config_encode(&config, bytes, sizeof(bytes)) == size && memcmp(bytes, data, size) == 0);
}

static void try_blob(const uint8_t *data, size_t size)
{
	struct formation_options options = {.node_id = 1, .store_id = {{1}}, .n_peers = 0};
	struct formation f;
	uint8_t blob[FORMATION_BLOB_MAX];

	if (size == 0 || !formation_init(&f, &options, data, (uint32_t) size, 0))
		return;
	MUST(size <= FORMATION_BLOB_MAX);
	MUST(formation_blob(&f, blob) == size && memcmp(blob, data, size) == 0);
}

/* Puts bytes into a sound original: three of the data for each (place, byte); the last may cut it short. */
static size_t patch(uint8_t *original, size_t length, const uint8_t *data, size_t size)
{
	for (; size >= 3; size -= 3, data += 3)
		original[(data[0] | data[1] << 8) % length] = data[2];
	return size == 1 && data[0] < length ? length - data[0] : length;
}

static void try_patched_command(const uint8_t *data, size_t size)
{
	struct operation operations[] = {
		{.kind = OPERATION_PUT,
		 .value_kind = VALUE_TEXT,
		 .partition = "part",
		 .key = "key",
		 .value = "value"},
		{.kind = OPERATION_DELETE, .partition = "", .key = "key"},
		{.kind = OPERATION_CLEAR, .partition = "part", .key = ""},
		{.kind = OPERATION_CLEAR_ALL, .partition = "", .key = "cluster"},
	};
	uint8_t bytes[512];
	size_t length;

	for (int i = 0; i < 4; i++)
	{
		operations[i].partition_length = (uint16_t) strlen(operations[i].partition);
		operations[i].key_length = (uint32_t) strlen(operations[i].key);
		operations[i].value_length = operations[i].value ? (uint32_t) strlen(operations[i].value) : 0;
	}
	length = command_size(2, operations, 4);
	command_encode(bytes, 1, 5, 6, "id", 2, operations, 4);
	length = patch(bytes, length, data, size);
	try_entry_of_right_length(bytes, length);
}

static struct paxos_config sound_config(void)
{
	return (struct paxos_config){
		.epoch = 1,
		.cluster_id = {{9}},
		.n_members = 3,
		.members = {{.node_id = 1, .store_id = {{1}}, .address = "one:1"},
					{.node_id = 2, .store_id = {{2}}, .address = "two:2"},
					{.node_id = 3, .store_id = {{3}}, .address = "three:3"}},
	};
}

static void try_patched_config(const uint8_t *data, size_t size)
{
	struct paxos_config config = sound_config();
	uint8_t bytes[CONFIG_BYTES_MAX];
	uint32_t length = config_encode(&config, bytes, sizeof(bytes));

	try_config(bytes, patch(bytes, length, data, size));
}

static void try_patched_blob(const uint8_t *data, size_t size)
{
	struct formation f = {.have_proposal = true, .proposal = sound_config(), .n_acks = 3};
	uint8_t blob[FORMATION_BLOB_MAX];
	uint32_t length;

	for (uint32_t i = 0; i < 3; i++)
	{
		f.acks[i].node_id = f.proposal.members[i].node_id;
		f.acks[i].store_id = f.proposal.members[i].store_id;
	}
	length = formation_blob(&f, blob);
	try_blob(blob, patch(blob, length, data, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const ways[])(const uint8_t *, size_t) = {
		try_entry, try_entry_of_right_length, try_patched_command, try_config, try_patched_config,
		try_blob,  try_patched_blob,
	};

	if (size > 0)
		ways[data[0] % (sizeof(ways) / sizeof(ways[0]))](data + 1, size - 1);
	return 0;
}
