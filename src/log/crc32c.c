/*
 * crc32c.c - CRC-32C (Castagnoli), by SSE4.2 where the processor has it, else by tables of 8 bytes a step.
 */
#include "log/log.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u

static uint32_t tables[8][256];
static bool tables_made;

static void make_tables(void)
{
	for (uint32_t i = 0; i < 256; i++)
	{
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) ? POLYNOMIAL : 0);
		tables[0][i] = crc;
	}
	for (uint32_t i = 0; i < 256; i++)
	{
		for (int t = 1; t < 8; t++)
			tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xff];
	}
	tables_made = true;
}

static uint32_t crc_by_tables(uint32_t crc, const uint8_t *p, size_t length)
{
	if (!tables_made)
		make_tables();
	for (; length >= 8; p += 8, length -= 8)
	{
		uint32_t low =
			crc ^ ((uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16 | (uint32_t) p[3] << 24);

		crc = tables[7][low & 0xff] ^ tables[6][(low >> 8) & 0xff] ^ tables[5][(low >> 16) & 0xff] ^
			  tables[4][low >> 24] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^ tables[0][p[7]];
	}
	for (; length > 0; p++, length--)
		crc = (crc >> 8) ^ tables[0][(crc ^ *p) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_by_hardware(uint32_t crc, const uint8_t *p,
																  size_t length)
{
	uint64_t wide = crc;

	for (; length >= 8; p += 8, length -= 8)
	{
		uint64_t word;

		memcpy(&word, p, 8);
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t) wide;
	for (; length > 0; p++, length--)
		crc = __builtin_ia32_crc32qi(crc, *p);
	return crc;
}
#endif

uint32_t plog_crc32c_portable(uint32_t crc, const void *data, size_t length)
{
	return ~crc_by_tables(~crc, data, length);
}

uint32_t plog_crc32c(uint32_t crc, const void *data, size_t length)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_by_hardware(~crc, data, length);
#endif
	return plog_crc32c_portable(crc, data, length);
}
