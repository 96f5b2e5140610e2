/*
 * bytes.h - little-endian integers in bytes, at any alignment.
 *
 * The compiler turns each of these into one load or store where the machine allows it.
 */
#ifndef PAXOS_BYTES_H
#define PAXOS_BYTES_H

#include <stdint.h>

static inline void put_u16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t) value;
	bytes[1] = (uint8_t) (value >> 8);
}

static inline void put_u32(uint8_t *bytes, uint32_t value)
{
	put_u16(bytes, (uint16_t) value);
	put_u16(bytes + 2, (uint16_t) (value >> 16));
}

static inline void put_u64(uint8_t *bytes, uint64_t value)
{
	put_u32(bytes, (uint32_t) value);
	put_u32(bytes + 4, (uint32_t) (value >> 32));
}

static inline uint16_t get_u16(const uint8_t *bytes)
{
	return (uint16_t) (bytes[0] | (uint16_t) bytes[1] << 8);
}

static inline uint32_t get_u32(const uint8_t *bytes)
{
	return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 |
		   (uint32_t) bytes[3] << 24;
}

static inline uint64_t get_u64(const uint8_t *bytes)
{
	return (uint64_t) bytes[0] | (uint64_t) bytes[1] << 8 | (uint64_t) bytes[2] << 16 |
		   (uint64_t) bytes[3] << 24 | (uint64_t) bytes[4] << 32 | (uint64_t) bytes[5] << 40 |
		   (uint64_t) bytes[6] << 48 | (uint64_t) bytes[7] << 56;
}

#endif /* PAXOS_BYTES_H */
