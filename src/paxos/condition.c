/*
 * condition.c - which operations of a conditional command take effect.
 */
#include "paxos/condition.h"

#include <string.h>

#include "paxos/bytes.h"

static int compare_bytes(const char *a, uint32_t a_length, const char *b, uint32_t b_length)
{
	uint32_t common = a_length < b_length ? a_length : b_length;
	int order = common > 0 ? memcmp(a, b, common) : 0;

	if (order != 0)
		return order;
	return a_length < b_length ? -1 : a_length > b_length;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* "order" is that of the row's side to the operand's. */
static bool comparison_holds(uint8_t comparison, int order)
{
	switch (comparison)
	{
		case COMPARE_EQUAL:
			return order == 0;
		case COMPARE_NOT_EQUAL:
			return order != 0;
		case COMPARE_LESS:
			return order < 0;
		default:
			return order > 0;
	}
}

bool condition_holds(const struct operation *operation, const struct condition_row *row)
{
	const char *operand = operation->operand;
	uint64_t number;

	switch (operation->precondition)
	{
		case PRECONDITION_NONE:
			return true;
		case PRECONDITION_ABSENT:
			return !row->exists;
		case PRECONDITION_EXISTS:
			return row->exists;
		case PRECONDITION_VALUE:
			return row->exists && comparison_holds((uint8_t) operand[0],
												   compare_bytes(row->value, row->value_length, operand + 1,
																 operation->operand_length - 1));
		case PRECONDITION_REVISION:
			number = row->exists ? row->revision : 0;
			break;
		default:
			number = row->exists ? row->create_revision : 0;
			break;
	}
	return comparison_holds((uint8_t) operand[0],
							compare_numbers(number, get_u64((const uint8_t *) operand + 1)));
}

bool operation_is_done(const struct operation *operation, bool succeeds)
{
	if (operation->kind == OPERATION_CHECK)
		return false;
	return (operation->branch != BRANCH_ELSE) == succeeds;
}

void condition_set_number(struct operation *operation, enum operation_precondition precondition,
						  enum operation_comparison comparison, uint64_t number, char *bytes)
{
	bytes[0] = (char) comparison;
	put_u64((uint8_t *) bytes + 1, number);
	operation->precondition = (uint8_t) precondition;
	operation->operand = bytes;
	operation->operand_length = PRECONDITION_NUMBER_BYTES;
}

void condition_set_value(struct operation *operation, enum operation_comparison comparison, const char *value,
						 uint32_t length, char *bytes)
{
	bytes[0] = (char) comparison;
	if (length > 0)
		memcpy(bytes + 1, value, length);
	operation->precondition = PRECONDITION_VALUE;
	operation->operand = bytes;
	operation->operand_length = length + 1;
}
