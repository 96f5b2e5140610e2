/*
 * client_command.c - a backend's half of a command: encode it, submit it, take what came of it.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "paxos/bytes.h"
#include "worker/client.h"
#include "worker/client_memory.h"
#include "worker/client_request.h"
#include "worker/settings.h"

/* ---------------------------------------------------------------- cancelled too late */

/* The last command of this session that was applied, and how many there were. */
static struct
{
	uint64 count;
	uint64 session;
	uint64 number;
	uint64 slot;
} applied;

static void note_applied(const Request *request)
{
	applied.count++;
	applied.session = request->session;
	applied.number = request->number;
	applied.slot = request->slot;
}

/* A command that an earlier call, perhaps of another session, had applied: its name is not kept. */
static void note_remembered(uint64 slot)
{
	applied.count++;
	applied.session = applied.number = 0;
	applied.slot = slot;
}

uint64 client_commands_applied(void)
{
	return applied.count;
}

void client_raise_cancelled_late(MemoryContext context)
{
	char why[256];

	error_as_sentence(context, why, sizeof(why));
	raise_cancelled_late(applied.session, applied.number, applied.slot, why);
}

/* ---------------------------------------------------------------- commands */

static void check_write_allowed(void)
{
	PreventCommandIfReadOnly("a paxoskv write");
	PreventCommandIfParallelMode("a paxoskv write");
	PreventCommandDuringRecovery("a paxoskv write");
	if (paxoskv_in_transaction == IN_TRANSACTION_ERROR && IsTransactionBlock())
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("a paxoskv write cannot run inside a transaction block"),
						errdetail("It would take effect at once, whatever became of the transaction, and "
								  "paxoskv.in_transaction is \"error\"."),
						errhint("Call it outside of a transaction block.")));
}

/* Whether the slot alone says all that the command's caller is told. */
static bool slot_is_the_result(const struct operation *operations, uint32 n_operations)
{
	for (uint32 i = 0; i < n_operations; i++)
		if (operations[i].kind != OPERATION_PUT || operations[i].precondition != PRECONDITION_NONE ||
			operations[i].branch != BRANCH_ALWAYS)
			return false;
	return true;
}

/* A command, or a fence. */
typedef struct Submission
{
	const struct operation *operations;
	uint32 n_operations;
	const char *request_id;
	uint32 request_id_length;  /* 0: none */
	uint64 stamp;              /* O3 */
	const struct fence *fence; /* NULL: a command */
} Submission;

static uint32 checked_size(const Submission *submission)
{
	size_t size;

	if (submission->fence != NULL)
		return (uint32) fence_size(submission->fence->request_id_length);
	size = command_size(submission->request_id_length, submission->operations, submission->n_operations);
	if (size == 0 || size > (size_t) paxoskv_max_command_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the command is too large"),
				 size == 0 ? errdetail("It exceeds what a command can hold.")
						   : errdetail("It has %zu bytes, paxoskv.max_command_size is %d.", size,
									   paxoskv_max_command_size),
				 errhint("Divide it, or set paxoskv.max_command_size higher, up to 8 MB, and restart the "
						 "server.")));
	return (uint32) size;
}

static void encode(const Submission *submission, uint8 *bytes)
{
	int64 now_us = GetCurrentTimestamp() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	if (submission->fence != NULL)
		fence_encode(bytes, (uint32) paxoskv_node_id, now_us, submission->fence);
	else
		command_encode(bytes, (uint32) paxoskv_node_id, submission->stamp, now_us, submission->request_id,
					   submission->request_id_length, submission->operations, submission->n_operations);
}

/* Copies what lies in a segment; false: it cannot be had. */
static bool copy_segment(dsm_handle handle, char *to, uint32 length)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool copied = false;

	PG_TRY();
	{
		dsm_segment *segment = dsm_attach(handle);

		if (segment != NULL)
		{
			memcpy(to, dsm_segment_address(segment), length);
			dsm_detach(segment);
			copied = true;
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return copied;
}

/* Copies the details into the caller's memory.  Without them, the caller is told that the command is applied. */
static void take_details(const Request *request, ClientResult *result)
{
	uint32 length = request->details_length;
	bool taken;
	char *copy;

	if (length == 0)
		return;
	copy = MemoryContextAllocExtended(CurrentMemoryContext, length, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	taken = copy != NULL;
	if (taken && request->details_segment != DSM_HANDLE_INVALID)
		taken = copy_segment(request->details_segment, copy, length);
	else if (taken)
		memcpy(copy, request->details, length);
	if (!taken)
		raise_result_lost(request->session, request->number, request->slot,
						  "there is no memory for what its operations read");
	result->details = copy;
	result->details_length = length;
}

bool client_next_detail(const ClientResult *result, uint32 *at, ClientDetail *detail)
{
	const uint8 *p = (const uint8 *) result->details + *at;

	if (*at >= result->details_length)
		return false;
	detail->kind = p[0];
	detail->count = get_u64(p + 1);
	detail->revision = get_u64(p + 9);
	detail->create_revision = get_u64(p + 17);
	detail->written_at_us = (int64) get_u64(p + 25);
	detail->value_length = get_u32(p + 33);
	detail->value = (const char *) p + CLIENT_DETAIL_BYTES;
	*at += CLIENT_DETAIL_BYTES + detail->value_length;
	return true;
}

/*
 * O2, O3: looks the request id up.  True: its command is applied here, *result is its first result.  False: nothing is
 * remembered of it here, the submission has its stamp.
 */
static bool is_remembered(Submission *submission, uint32 size, ClientResult *result)
{
	const char *id = submission->request_id;
	uint32 length = submission->request_id_length;
	struct remembered remembered;
	struct paxos_entry entry;
	enum request_verdict verdict;
	uint8 *bytes;

	if (!client_look_up_request(id, length, &remembered, &submission->stamp))
		return false;
	bytes = MemoryContextAllocHuge(CurrentMemoryContext, size);
	encode(submission, bytes);
	entry = (struct paxos_entry){bytes, size};
	verdict = request_judge(&remembered, command_digest(&entry), 0, 0);
	pfree(bytes);
	if (verdict == REQUEST_GIVEN_UP)
		raise_given_up();
	if (verdict == REQUEST_CONFLICT)
		raise_conflict(id, length);
	note_remembered(remembered.slot);
	if (remembered.details_lost)
		raise_result_forgotten(remembered.slot);
	result->revision = remembered.slot;
	result->rows_removed = (int64) remembered.rows_removed;
	result->succeeded = remembered.succeeded;
	result->details = remembered.details;
	result->details_length = remembered.details_length;
	return true;
}

/* Applied, but its result is not there: an error unless the slot says it all. */
static void check_result(const Submission *submission, const Request *request)
{
	if (request->outcome != OUTCOME_RESULT_LOST || submission->fence != NULL)
		return;
	if (!request->details_lost && slot_is_the_result(submission->operations, submission->n_operations))
		return;
	raise_result_lost(request->session, request->number, request->slot,
					  request->details_lost ? "what its operations read is too large to be handed over"
											: "the apply worker ended before it could say what it did");
}

static ClientResult submit(const Submission *submission, uint32 size)
{
	uint64 deadline = request_deadline();
	bool has_request_id = submission->request_id_length > 0;
	Request *request = request_allocate(REQUEST_COMMAND, has_request_id, size, deadline);
	ClientResult result = {0};

	PG_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
	{
		encode(submission, shmem_request_data(request));
		request_run(request, deadline);
		note_applied(request);
		check_result(submission, request);
		result.revision = request->slot;
		result.rows_removed = request->rows_removed;
		result.succeeded = request->succeeded;
		take_details(request, &result);
	}
	PG_END_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
	request_release(0, PointerGetDatum(request));
	return result;
}

ClientResult client_submit(const struct operation *operations, uint32 n_operations, const char *request_id,
						   uint32 request_id_length)
{
	Submission submission = {.operations = operations,
							 .n_operations = n_operations,
							 .request_id = request_id,
							 .request_id_length = request_id_length};
	ClientResult result = {0};
	uint32 size;

	require_preloaded();
	check_write_allowed();
	client_require_database();
	size = checked_size(&submission);
	request_check_not_diverged(REQUEST_COMMAND, request_id_length > 0);
	if (request_id_length > 0 && is_remembered(&submission, size, &result))
		return result;
	request_check_admission(REQUEST_COMMAND, request_id_length > 0);
	return submit(&submission, size);
}

void client_give_up(const struct fence *fence)
{
	Submission submission = {.fence = fence};

	require_preloaded();
	check_write_allowed();
	client_require_database();
	request_check_admission(REQUEST_COMMAND, false);
	(void) submit(&submission, checked_size(&submission));
}
