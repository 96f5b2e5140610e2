/*
 * config.c - a configuration's bytes, hash and soundness.  formation.h describes the bytes.
 */
#include "paxos/formation.h"

#include <string.h>

#include "paxos/bytes.h"
#include "paxos/state_hash.h"

#define CONFIG_VERSION 1
#define CONFIG_VERSION_BASE 2 /* ends with a base */
#define MEMBER_LEARNER 1

_Static_assert(PAXOS_ADDRESS_MAX <= UINT8_MAX, "an address' length fits its byte");

static bool id_is_none(const struct paxos_id *id)
{
	static const struct paxos_id none;

	return memcmp(id, &none, sizeof(none)) == 0;
}

bool base_valid(const struct paxos_base *base)
{
	return base->slot <= PAXOS_BASE_SLOT_MAX && (base->slot > 0 || id_is_none(&base->hash));
}

bool base_same(const struct paxos_base *a, const struct paxos_base *b)
{
	return a->slot == b->slot && memcmp(&a->hash, &b->hash, sizeof(a->hash)) == 0;
}

bool config_valid(const struct paxos_config *config)
{
	uint32_t last = 0;

	if (config->epoch == 0 || id_is_none(&config->cluster_id))
		return false;
	if (config->n_members == 0 || config->n_members > PAXOS_MAX_MEMBERS || !base_valid(&config->base))
		return false;
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		const struct paxos_member *member = &config->members[i];

		if (member->node_id <= last || id_is_none(&member->store_id))
			return false;
		if (memchr(member->address, '\0', sizeof(member->address)) == NULL)
			return false;
		last = member->node_id;
	}
	return true;
}

int config_find(const struct paxos_config *config, uint32_t node_id)
{
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		if (config->members[i].node_id == node_id)
			return (int) i;
	}
	return -1;
}

struct paxos_id config_hash(const struct paxos_config *config)
{
	uint8_t bytes[CONFIG_BYTES_MAX];
	struct hashed_row row = {
		.value = (const char *) bytes,
		.value_length = config_encode(config, bytes, sizeof(bytes)),
	};
	struct paxos_id hash;

	/* The mixing of state_hash.h serves any bytes; a row with a value alone is just those. */
	state_hash_to_bytes(state_hash_row(&row), hash.bytes);
	return hash;
}

static size_t member_bytes(const struct paxos_member *member)
{
	return CONFIG_MEMBER_BYTES + strlen(member->address);
}

uint32_t config_encode(const struct paxos_config *config, uint8_t *bytes, uint32_t capacity)
{
	size_t length = CONFIG_FIXED_BYTES;
	uint8_t *at = bytes;

	for (uint32_t i = 0; i < config->n_members; i++)
		length += member_bytes(&config->members[i]);
	if (config->base.slot > 0)
		length += CONFIG_BASE_BYTES;
	if (length > capacity)
		return 0;
	at[0] = config->base.slot > 0 ? CONFIG_VERSION_BASE : CONFIG_VERSION;
	put_u64(at + 1, config->epoch);
	memcpy(at + 9, config->cluster_id.bytes, 16);
	put_u32(at + 25, config->request_ids_kept);
	at[29] = (uint8_t) config->n_members;
	at += CONFIG_FIXED_BYTES;
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		const struct paxos_member *member = &config->members[i];
		size_t address_length = strlen(member->address);

		put_u32(at, member->node_id);
		at[4] = member->learner ? MEMBER_LEARNER : 0;
		memcpy(at + 5, member->store_id.bytes, 16);
		put_u64(at + 21, member->features);
		at[29] = (uint8_t) address_length;
		memcpy(at + CONFIG_MEMBER_BYTES, member->address, address_length);
		at += CONFIG_MEMBER_BYTES + address_length;
	}
	if (config->base.slot > 0)
	{
		put_u64(at, config->base.slot);
		memcpy(at + 8, config->base.hash.bytes, 16);
	}
	return (uint32_t) length;
}

/* Reads one member from what is left; the number of bytes it took, 0: it is none. */
static uint32_t get_member(struct paxos_member *member, const uint8_t *at, uint32_t left)
{
	uint32_t address_length;

	if (left < CONFIG_MEMBER_BYTES)
		return 0;
	address_length = at[29];
	if (left - CONFIG_MEMBER_BYTES < address_length || (at[4] & ~MEMBER_LEARNER) != 0)
		return 0;
	if (memchr(at + CONFIG_MEMBER_BYTES, '\0', address_length) != NULL)
		return 0;
	member->node_id = get_u32(at);
	member->learner = at[4] == MEMBER_LEARNER;
	memcpy(member->store_id.bytes, at + 5, 16);
	member->features = get_u64(at + 21);
	memcpy(member->address, at + CONFIG_MEMBER_BYTES, address_length);
	member->address[address_length] = '\0';
	return CONFIG_MEMBER_BYTES + address_length;
}

bool config_decode(struct paxos_config *config, const uint8_t *bytes, uint32_t length)
{
	uint32_t done = CONFIG_FIXED_BYTES;

	memset(config, 0, sizeof(*config));
	if (length < CONFIG_FIXED_BYTES || (bytes[0] != CONFIG_VERSION && bytes[0] != CONFIG_VERSION_BASE) ||
		bytes[29] > PAXOS_MAX_MEMBERS)
		return false;
	config->epoch = get_u64(bytes + 1);
	memcpy(config->cluster_id.bytes, bytes + 9, 16);
	config->request_ids_kept = get_u32(bytes + 25);
	config->n_members = bytes[29];
	for (uint32_t i = 0; i < config->n_members; i++)
	{
		uint32_t taken = get_member(&config->members[i], bytes + done, length - done);

		if (taken == 0)
			return false;
		done += taken;
	}
	if (bytes[0] == CONFIG_VERSION_BASE)
	{
		if (length - done != CONFIG_BASE_BYTES || get_u64(bytes + done) == 0)
			return false;
		config->base.slot = get_u64(bytes + done);
		memcpy(config->base.hash.bytes, bytes + done + 8, 16);
		done += CONFIG_BASE_BYTES;
	}
	return done == length && config_valid(config);
}
