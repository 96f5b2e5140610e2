/*
 * client_log.c - a backend's half of what concerns the log itself: reads its entries, has it trimmed.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "worker/client.h"
#include "worker/client_request.h"

/* The consensus worker copies so much of a log entry at a time. */
#define LOG_PIECE_BYTES (64u * 1024)

/* ---------------------------------------------------------------- reading */

/* One piece of an entry, from offset on; grows entry->entry.bytes.  False: nothing is chosen there. */
static bool read_log_piece(uint64 slot, uint64 offset, ClientLogEntry *entry, uint64 *total)
{
	uint64 deadline = request_deadline();
	Request *request = request_allocate(REQUEST_LOG, false, LOG_PIECE_BYTES, deadline);
	bool found = false;

	PG_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
	{
		request->log_slot = slot;
		request->log_offset = offset;
		request_run(request, deadline);
		found = request->outcome == OUTCOME_OK;
		if (found)
		{
			uint8 *bytes = unconstify(uint8_t *, entry->entry.bytes);
			uint64 n = Min(request->log_total - offset, LOG_PIECE_BYTES);

			entry->slot = request->slot;
			entry->epoch = request->log_epoch;
			entry->ballot = request->log_ballot;
			*total = request->log_total;
			if (offset == 0)
				bytes = MemoryContextAllocHuge(CurrentMemoryContext, Max(*total, 1));
			memcpy(bytes + offset, shmem_request_data(request), n);
			entry->entry.bytes = bytes;
			entry->entry.length = (uint32_t) (offset + n);
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
	request_release(0, PointerGetDatum(request));
	return found;
}

bool client_read_log(uint64 slot, ClientLogEntry *entry)
{
	uint64 total = 0;

	require_preloaded();
	client_require_database();
	client_require_primary();
	memset(entry, 0, sizeof(*entry));
	if (!read_log_piece(slot, 0, entry, &total))
		return false;
	while (entry->entry.length < total)
	{
		uint64 same = entry->slot;

		if (!read_log_piece(same, entry->entry.length, entry, &total))
			return false;
		if (entry->slot != same) /* it was trimmed in the middle */
			return client_read_log(entry->slot, entry);
	}
	return true;
}

/* ---------------------------------------------------------------- trimming */

static void check_trimming(void)
{
	ClientStatus status;

	request_check_answered(REFUSED_TRIM);
	request_check_not_diverged(REQUEST_TRIM, false);
	if (!enableFsync || pg_atomic_read_u32(&paxos_shared->fsync_was_off) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the log cannot be trimmed, because fsync is or was off"),
						errdetail("The database may lose in a crash what it has applied, and the log alone "
								  "would have it."),
						errhint("Turn fsync on and restart the server.")));
	client_status(&status);
	if (strcmp(status.role, "damaged") == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the log cannot be trimmed, because it is damaged"),
						errdetail("What is left of it stays as it is until the other nodes have healed it."),
						errhint("paxos_status() shows role \"damaged\" until then; try again later.")));
}

uint64 client_trim(void)
{
	require_preloaded();
	client_require_database();
	PreventCommandDuringRecovery("paxos_trim()");
	check_trimming();
	return request_slot(REQUEST_TRIM, false, request_deadline());
}
