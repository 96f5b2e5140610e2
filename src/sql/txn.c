/*
 * txn.c - paxos_txn(): a transaction of several keys in one slot, as etcd's Txn: checks, then one of two lists.
 *
 * Its JSON is checked in full before anything is proposed; what is wrong is named by its path.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "sql/arguments.h"

PG_FUNCTION_INFO_V1(paxos_txn);

/* The lists of a transaction, in the order of its operations. */
enum
{
	LIST_CHECKS,
	LIST_THEN,
	LIST_ELSE,
	N_LISTS
};

static const char *const list_names[N_LISTS] = {"checks", "then_do", "else_do"};

typedef enum Member
{
	MEMBER_OP,
	MEMBER_KEY,
	MEMBER_PARTITION,
	MEMBER_VALUE,
	MEMBER_REVISION,
	MEMBER_CREATE_REVISION,
	MEMBER_EXISTS,
	MEMBER_COMPARE,
	N_MEMBERS
} Member;

static const char *const member_names[N_MEMBERS] = {
	"op", "key", "partition", "value", "revision", "create_revision", "exists", "compare"};

/* One object of a list; jbvNull in "type" and absent are told apart by "given". */
typedef struct Element
{
	int list;
	int place;
	bool given[N_MEMBERS];
	JsonbValue members[N_MEMBERS];
} Element;

typedef struct Transaction
{
	struct operation *operations;
	uint32 n;
	uint32 room;
} Transaction;

/* ---------------------------------------------------------------- what is wrong, and where */

/* "checks[2].key"; member NULL: the element itself. */
static const char *path_of(const Element *element, const char *member)
{
	return psprintf("%s[%d]%s%s", list_names[element->list], element->place, member != NULL ? "." : "",
					member != NULL ? member : "");
}

pg_noreturn static void invalid(const char *path, const char *detail);

static void invalid(const char *path, const char *detail)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid transaction at \"%s\"", path),
		 errdetail("%s", detail),
		 errhint("A check is like {\"key\": \"a\", \"value\": \"1\"}, an operation like {\"op\": \"put\", "
				 "\"key\": \"a\", \"value\": \"2\"}.")));
}

/* Errors of checks that do not know of JSON say in which element they met what they refuse. */
static void element_context(void *argument)
{
	errcontext("transaction at \"%s\"", path_of(argument, NULL));
}

/* ---------------------------------------------------------------- reading an element */

static Member member_of(const Element *element, const JsonbValue *name)
{
	for (int i = 0; i < N_MEMBERS; i++)
		if ((int) strlen(member_names[i]) == name->val.string.len &&
			memcmp(member_names[i], name->val.string.val, name->val.string.len) == 0)
			return (Member) i;
	invalid(
		path_of(element, pnstrdup(name->val.string.val, name->val.string.len)),
		element->list == LIST_CHECKS
			? "A check has \"key\", \"partition\", one of \"value\", \"revision\", \"create_revision\" and "
			  "\"exists\", and \"compare\"."
			: "An operation has \"op\", \"key\", \"partition\" and \"value\".");
}

static void read_element(Element *element, JsonbValue *json)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue name;

	if (json->type != jbvBinary || !JsonContainerIsObject(json->val.binary.data))
		invalid(path_of(element, NULL), "It must be an object.");
	iterator = JsonbIteratorInit(json->val.binary.data);
	(void) JsonbIteratorNext(&iterator, &name, false);
	while ((token = JsonbIteratorNext(&iterator, &name, true)) == WJB_KEY)
	{
		Member member = member_of(element, &name);

		(void) JsonbIteratorNext(&iterator, &element->members[member], true);
		element->given[member] = true;
	}
}

static void refuse_members(const Element *element, Member first, Member last, const char *detail)
{
	for (int member = first; member <= (int) last; member++)
		if (element->given[member])
			invalid(path_of(element, member_names[member]), detail);
}

static TextArgument string_member(const Element *element, Member member)
{
	const JsonbValue *value = &element->members[member];

	if (value->type != jbvString)
		invalid(path_of(element, member_names[member]), "It must be a string.");
	return (TextArgument){value->val.string.val, (uint32) value->val.string.len};
}

/* A JSON string is its text, anything else its JSON; null would be neither. */
static TextArgument value_member(const Element *element)
{
	const JsonbValue *value = &element->members[MEMBER_VALUE];
	const char *text;

	if (value->type == jbvString)
		return string_member(element, MEMBER_VALUE);
	if (value->type == jbvNull)
		invalid(path_of(element, "value"),
				"It must not be null; a key without a value is one that does not exist.");
	if (value->type == jbvBinary)
		text = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
	else if (value->type == jbvNumeric)
		text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	else
		text = value->val.boolean ? "true" : "false";
	return (TextArgument){text, (uint32) strlen(text)};
}

static uint64 revision_member(const Element *element, Member member)
{
	const JsonbValue *value = &element->members[member];
	char *text = "";
	char *end;
	int64 number;

	if (value->type == jbvNumeric)
		text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
	errno = 0;
	number = strtoi64(text, &end, 10);
	if (value->type != jbvNumeric || *end != '\0' || errno != 0 || number < 0)
		invalid(path_of(element, member_names[member]),
				"It must be a whole number from 0 to 9223372036854775807.");
	return (uint64) number;
}

static enum operation_comparison comparison_member(const Element *element)
{
	static const struct
	{
		const char *name;
		enum operation_comparison comparison;
	} comparisons[] = {
		{"=", COMPARE_EQUAL}, {"!=", COMPARE_NOT_EQUAL}, {"<", COMPARE_LESS}, {">", COMPARE_GREATER}};
	TextArgument name;

	if (!element->given[MEMBER_COMPARE])
		return COMPARE_EQUAL;
	name = string_member(element, MEMBER_COMPARE);
	for (int i = 0; i < (int) lengthof(comparisons); i++)
		if (strlen(comparisons[i].name) == name.length &&
			memcmp(comparisons[i].name, name.data, name.length) == 0)
			return comparisons[i].comparison;
	invalid(path_of(element, "compare"), "It must be \"=\", \"!=\", \"<\" or \">\".");
}

/* ---------------------------------------------------------------- elements to operations */

static void set_names(struct operation *operation, Element *element)
{
	ErrorContextCallback context = {error_context_stack, element_context, element};
	TextArgument partition = {"default", strlen("default")};
	TextArgument key;

	if (!element->given[MEMBER_KEY])
		invalid(path_of(element, NULL), "It has no \"key\".");
	key = string_member(element, MEMBER_KEY);
	if (element->given[MEMBER_PARTITION])
		partition = string_member(element, MEMBER_PARTITION);
	error_context_stack = &context;
	check_key(partition, key);
	error_context_stack = context.previous;
	operation_set_partition(operation, partition);
	operation_set_key(operation, key);
}

static void set_precondition(struct operation *operation, const Element *element, Member member)
{
	if (member == MEMBER_EXISTS)
	{
		const JsonbValue *value = &element->members[MEMBER_EXISTS];

		if (value->type != jbvBool)
			invalid(path_of(element, "exists"), "It must be true or false.");
		refuse_members(element, MEMBER_COMPARE, MEMBER_COMPARE, "\"exists\" is not compared.");
		operation->precondition = value->val.boolean ? PRECONDITION_EXISTS : PRECONDITION_ABSENT;
	}
	else if (member == MEMBER_VALUE)
	{
		TextArgument value = value_member(element);
		char *operand = MemoryContextAllocHuge(CurrentMemoryContext, (Size) value.length + 1);

		condition_set_value(operation, comparison_member(element), value.data, value.length, operand);
	}
	else
		condition_set_number(
			operation, member == MEMBER_REVISION ? PRECONDITION_REVISION : PRECONDITION_CREATE_REVISION,
			comparison_member(element), revision_member(element, member), palloc(PRECONDITION_NUMBER_BYTES));
}

static void set_check(struct operation *operation, Element *element)
{
	int tested = -1;

	refuse_members(element, MEMBER_OP, MEMBER_OP, "A check is no operation.");
	operation->kind = OPERATION_CHECK;
	set_names(operation, element);
	for (int member = MEMBER_VALUE; member <= MEMBER_EXISTS; member++)
	{
		if (!element->given[member])
			continue;
		if (tested >= 0)
			invalid(path_of(element, NULL), "It tests more than one thing; write a check for each.");
		tested = member;
	}
	if (tested < 0)
		invalid(path_of(element, NULL),
				"It has none of \"value\", \"revision\", \"create_revision\" and \"exists\".");
	set_precondition(operation, element, (Member) tested);
}

static void set_operation(struct operation *operation, Element *element)
{
	TextArgument op;

	if (!element->given[MEMBER_OP])
		invalid(path_of(element, NULL), "It has no \"op\".");
	op = string_member(element, MEMBER_OP);
	if (op.length == 3 && memcmp(op.data, "put", 3) == 0)
		operation->kind = OPERATION_PUT;
	else if (op.length == 3 && memcmp(op.data, "get", 3) == 0)
		operation->kind = OPERATION_GET;
	else if (op.length == 6 && memcmp(op.data, "delete", 6) == 0)
		operation->kind = OPERATION_DELETE;
	else
		invalid(path_of(element, "op"), "It must be \"put\", \"delete\" or \"get\".");
	refuse_members(element, MEMBER_REVISION, MEMBER_COMPARE, "Conditions stand in \"checks\".");
	operation->branch = element->list == LIST_THEN ? BRANCH_THEN : BRANCH_ELSE;
	set_names(operation, element);
	if (operation->kind != OPERATION_PUT)
		refuse_members(element, MEMBER_VALUE, MEMBER_VALUE, "Only a put has a value.");
	else if (!element->given[MEMBER_VALUE])
		invalid(path_of(element, NULL), "A put has a \"value\".");
	else
		operation_set_value(operation, value_member(element));
}

static void add_list(Transaction *transaction, int list, Jsonb *json)
{
	uint32 count = JB_ROOT_COUNT(json);

	if (!JB_ROOT_IS_ARRAY(json) || JB_ROOT_IS_SCALAR(json))
		invalid(list_names[list], "It must be an array.");
	for (uint32 i = 0; i < count; i++)
	{
		Element *element = palloc0(sizeof(Element));
		struct operation *operation;

		if (transaction->n == COMMAND_OPERATIONS_MAX)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("too many operations in one transaction"),
							errdetail("The limit is %d, checks included.", COMMAND_OPERATIONS_MAX),
							errhint("Do it in several; paxos_batch() puts many keys in one step.")));
		operation = &transaction->operations[transaction->n++];
		element->list = list;
		element->place = (int) i;
		read_element(element, getIthJsonbValueFromContainer(&json->root, i));
		if (list == LIST_CHECKS)
			set_check(operation, element);
		else
			set_operation(operation, element);
	}
}

/* ---------------------------------------------------------------- the result */

static void push_key(JsonbParseState **state, const char *name)
{
	JsonbValue key = {.type = jbvString, .val.string = {(int) strlen(name), unconstify(char *, name)}};

	pushJsonbValue(state, WJB_KEY, &key);
}

static void push_text(JsonbParseState **state, const char *name, const char *bytes, uint32 length)
{
	JsonbValue value = {.type = jbvString, .val.string = {(int) length, unconstify(char *, bytes)}};

	push_key(state, name);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void push_number(JsonbParseState **state, const char *name, uint64 number)
{
	JsonbValue value = {.type = jbvNumeric, .val.numeric = int64_to_numeric((int64) number)};

	push_key(state, name);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void push_bool(JsonbParseState **state, const char *name, bool boolean)
{
	JsonbValue value = {.type = jbvBool, .val.boolean = boolean};

	push_key(state, name);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void push_row(JsonbParseState **state, const ClientDetail *detail)
{
	char written_at[MAXDATELEN + 1];
	TimestampTz time = detail->written_at_us - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	JsonEncodeDateTime(written_at, TimestampTzGetDatum(time), TIMESTAMPTZOID, NULL);
	push_text(state, "value", detail->value, detail->value_length);
	push_number(state, "revision", detail->revision);
	push_number(state, "create_revision", detail->create_revision);
	push_text(state, "written_at", written_at, (uint32) strlen(written_at));
}

static void push_result(JsonbParseState **state, const struct operation *operation,
						const ClientDetail *detail)
{
	static const char *const names[] = {
		[OPERATION_PUT] = "put", [OPERATION_DELETE] = "delete", [OPERATION_GET] = "get"};
	const char *name = names[operation->kind];

	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	push_text(state, "op", name, (uint32) strlen(name));
	push_text(state, "key", operation->key, operation->key_length);
	push_text(state, "partition", operation->partition, operation->partition_length);
	if (operation->kind == OPERATION_DELETE)
		push_bool(state, "deleted", detail->count > 0);
	if (operation->kind == OPERATION_GET)
		push_bool(state, "exists", detail->count > 0);
	if (operation->kind == OPERATION_GET && detail->count > 0)
		push_row(state, detail);
	pushJsonbValue(state, WJB_END_OBJECT, NULL);
}

static Jsonb *result_of(const Transaction *transaction, const ClientResult *result)
{
	JsonbParseState *state = NULL;
	ClientDetail detail;
	uint32 at = 0;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_bool(&state, "succeeded", result->succeeded);
	push_number(&state, "revision", result->revision);
	push_key(&state, "results");
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; i < transaction->n; i++)
		if (operation_is_done(&transaction->operations[i], result->succeeded) &&
			client_next_detail(result, &at, &detail))
			push_result(&state, &transaction->operations[i], &detail);
	pushJsonbValue(&state, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* ---------------------------------------------------------------- the function */

Datum paxos_txn(PG_FUNCTION_ARGS)
{
	Transaction transaction = {0};
	TextArgument request_id;
	ClientResult result;
	Jsonb *lists[N_LISTS];

	check_may_write("paxos_txn()");
	for (int i = 0; i < N_LISTS; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("parameter \"%s\" must not be null", list_names[i]),
							errhint("Pass '[]' for none.")));
		lists[i] = PG_GETARG_JSONB_P(i);
		transaction.room += JB_ROOT_COUNT(lists[i]);
	}
	request_id = request_id_argument(fcinfo, N_LISTS);
	transaction.operations = MemoryContextAllocExtended(
		CurrentMemoryContext,
		sizeof(struct operation) * ((Size) Min(transaction.room, COMMAND_OPERATIONS_MAX) + 1),
		MCXT_ALLOC_ZERO | MCXT_ALLOC_HUGE);
	for (int i = 0; i < N_LISTS; i++)
		add_list(&transaction, i, lists[i]);
	if (transaction.n == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the transaction is empty"),
						errhint("Name at least one check or operation.")));
	result = submit_operations(transaction.operations, transaction.n, request_id);
	PG_RETURN_JSONB_P(result_of(&transaction, &result));
}
