/*
 * test_condition.c - when a precondition holds, and what a command does then.
 */
#include "paxos/condition.h"

#include <string.h>

#include "unit.h"

static const struct condition_row absent = {.exists = false};
static const struct condition_row green = {
	.exists = true, .revision = 7, .create_revision = 5, .value = "green", .value_length = 5};

static struct operation check(uint8_t precondition, const char *operand, uint32_t length)
{
	return (struct operation){
		.kind = OPERATION_CHECK, .precondition = precondition, .operand = operand, .operand_length = length};
}

static bool value_holds(uint8_t comparison, const char *value, const struct condition_row *row)
{
	struct operation operation = {.kind = OPERATION_CHECK};
	char operand[32];

	condition_set_value(&operation, comparison, value, (uint32_t) strlen(value), operand);
	return condition_holds(&operation, row);
}

static bool number_holds(uint8_t precondition, uint8_t comparison, uint64_t number,
						 const struct condition_row *row)
{
	struct operation operation = {.kind = OPERATION_CHECK};
	char bytes[PRECONDITION_NUMBER_BYTES];

	condition_set_number(&operation, precondition, comparison, number, bytes);
	return condition_holds(&operation, row);
}

static void test_presence(void)
{
	struct operation none = {.kind = OPERATION_PUT};
	struct operation is_absent = check(PRECONDITION_ABSENT, NULL, 0);
	struct operation exists = check(PRECONDITION_EXISTS, NULL, 0);

	ok(condition_holds(&none, &absent) && condition_holds(&none, &green), "none always holds");
	ok(condition_holds(&is_absent, &absent) && !condition_holds(&is_absent, &green), "absent");
	ok(!condition_holds(&exists, &absent) && condition_holds(&exists, &green), "exists");
}

static void test_values(void)
{
	ok(value_holds(COMPARE_EQUAL, "green", &green) && !value_holds(COMPARE_EQUAL, "greens", &green) &&
		   !value_holds(COMPARE_EQUAL, "gree", &green) && !value_holds(COMPARE_EQUAL, "", &green),
	   "a value equals itself alone");
	ok(value_holds(COMPARE_NOT_EQUAL, "red", &green) && !value_holds(COMPARE_NOT_EQUAL, "green", &green),
	   "not equal");
	ok(value_holds(COMPARE_LESS, "greens", &green) && value_holds(COMPARE_LESS, "h", &green) &&
		   !value_holds(COMPARE_LESS, "green", &green) && !value_holds(COMPARE_LESS, "gree", &green),
	   "less, bytewise, the shorter first");
	ok(value_holds(COMPARE_GREATER, "", &green) && value_holds(COMPARE_GREATER, "Green", &green) &&
		   !value_holds(COMPARE_GREATER, "\xc3\xa4", &green),
	   "greater, bytes without a sign");
	ok(!value_holds(COMPARE_EQUAL, "", &absent) && !value_holds(COMPARE_NOT_EQUAL, "x", &absent) &&
		   !value_holds(COMPARE_LESS, "x", &absent),
	   "what is absent has no value to compare");
}

static void test_revisions(void)
{
	ok(number_holds(PRECONDITION_REVISION, COMPARE_EQUAL, 7, &green) &&
		   !number_holds(PRECONDITION_REVISION, COMPARE_EQUAL, 5, &green),
	   "the revision");
	ok(number_holds(PRECONDITION_CREATE_REVISION, COMPARE_EQUAL, 5, &green) &&
		   !number_holds(PRECONDITION_CREATE_REVISION, COMPARE_EQUAL, 7, &green),
	   "the create revision");
	ok(number_holds(PRECONDITION_REVISION, COMPARE_LESS, 8, &green) &&
		   number_holds(PRECONDITION_REVISION, COMPARE_GREATER, 6, &green) &&
		   number_holds(PRECONDITION_REVISION, COMPARE_NOT_EQUAL, UINT64_MAX, &green) &&
		   !number_holds(PRECONDITION_REVISION, COMPARE_GREATER, UINT64_MAX, &green),
	   "its comparisons");
	ok(number_holds(PRECONDITION_REVISION, COMPARE_EQUAL, 0, &absent) &&
		   number_holds(PRECONDITION_CREATE_REVISION, COMPARE_LESS, 1, &absent),
	   "0 where the key is absent");
}

static void test_branches(void)
{
	struct operation operation = {.kind = OPERATION_PUT};

	ok(operation_is_done(&operation, true) && !operation_is_done(&operation, false),
	   "always: if it succeeds");
	operation.branch = BRANCH_THEN;
	ok(operation_is_done(&operation, true) && !operation_is_done(&operation, false), "then");
	operation.branch = BRANCH_ELSE;
	ok(!operation_is_done(&operation, true) && operation_is_done(&operation, false), "else");
	operation = check(PRECONDITION_EXISTS, NULL, 0);
	ok(!operation_is_done(&operation, true) && !operation_is_done(&operation, false), "a check does nothing");
}

static enum decode_result checked(struct operation operation)
{
	static uint8_t bytes[512];
	struct paxos_entry entry = {bytes, (uint32_t) command_size(0, &operation, 1)};
	const char *what;

	command_encode(bytes, 1, 0, 0, NULL, 0, &operation, 1);
	return entry_check(&entry, &what);
}

static void test_format(void)
{
	static const char number[PRECONDITION_NUMBER_BYTES] = {COMPARE_EQUAL};
	struct operation clear = {.kind = OPERATION_CLEAR, .precondition = PRECONDITION_EXISTS};
	struct operation get = {.kind = OPERATION_GET};
	struct operation branch = check(PRECONDITION_EXISTS, NULL, 0);

	is_u64(checked(check(PRECONDITION_EXISTS, NULL, 0)), DECODE_OK, "a check that a key exists");
	is_u64(checked(check(PRECONDITION_VALUE, number, 1)), DECODE_OK, "one of an empty value");
	is_u64(checked(check(PRECONDITION_REVISION, number, 9)), DECODE_OK, "one of a revision");
	is_u64(checked(get), DECODE_OK, "a get");
	is_u64(checked(check(PRECONDITION_NONE, NULL, 0)), DECODE_MALFORMED, "a check of nothing");
	is_u64(checked(check(PRECONDITION_EXISTS, number, 1)), DECODE_MALFORMED, "an operand too many");
	is_u64(checked(check(PRECONDITION_VALUE, NULL, 0)), DECODE_MALFORMED, "no operand");
	is_u64(checked(check(PRECONDITION_REVISION, number, 8)), DECODE_MALFORMED, "a number cut short");
	is_u64(checked(check(PRECONDITION_VALUE, "\5", 1)), DECODE_UNKNOWN, "a later comparison");
	is_u64(checked(check(PRECONDITION_VALUE, "\0", 1)), DECODE_UNKNOWN, "no comparison");
	is_u64(checked(check(6, number, 9)), DECODE_UNKNOWN, "a later precondition");
	is_u64(checked(clear), DECODE_MALFORMED, "a precondition without a key");
	get.value_kind = VALUE_TEXT;
	is_u64(checked(get), DECODE_MALFORMED, "a get with a value");
	get = (struct operation){.kind = OPERATION_GET, .branch = 3};
	is_u64(checked(get), DECODE_UNKNOWN, "a later branch");
	branch.branch = BRANCH_THEN;
	is_u64(checked(branch), DECODE_MALFORMED, "a precondition inside a branch");
}

int main(void)
{
	test_presence();
	test_values();
	test_revisions();
	test_branches();
	test_format();
	return done();
}
