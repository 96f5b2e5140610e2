/*
 * consensus_scrub.c - the old part of the log is read again, a little at a time, once in paxoskv.verify_interval: rot is
 * found while other nodes still have a copy (D7).  A start reads all of it, too.
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "worker/consensus.h"
#include "worker/settings.h"

/* 1.3 MB a second. */
#define PIECE_BYTES (64 * 1024)
#define PIECE_MS 50

static struct
{
	uint64 slot; /* the next to be read; 0: nothing is under way */
	uint64 due_ms;
	uint64 finished_ms;
	TimestampTz finished_at;
} local;

static void finish(void)
{
	local.slot = 0;
	local.finished_ms = consensus.now_ms;
	local.finished_at = GetCurrentTimestamp();
	consensus.status_due = true;
}

void scrub_start(void)
{
	finish();
}

/* Nothing is read again from a log that is being mended or replaced. */
static bool is_possible(void)
{
	return consensus.core != NULL && paxoskv_verify_interval > 0 && !consensus.status.damage.damaged &&
		   plog_restoring(consensus.log) == 0;
}

static uint64 interval_ms(void)
{
	return (uint64) paxoskv_verify_interval * 1000;
}

void scrub_step(void)
{
	struct plog_error error;
	enum plog_code code;

	if (!is_possible())
	{
		local.slot = 0;
		return;
	}
	if (local.slot == 0)
	{
		if (consensus.now_ms < local.finished_ms + interval_ms())
			return;
		local.slot = consensus.status.first_slot;
	}
	if (consensus.now_ms < local.due_ms)
		return;
	local.due_ms = consensus.now_ms + PIECE_MS;
	code = plog_scrub(consensus.log, &local.slot, PIECE_BYTES, &error);
	if (code == PLOG_CORRUPT)
		consensus_log_rotted(&error);
	if (code != PLOG_OK)
		consensus_log_failed(&error);
	if (local.slot == 0)
		finish();
}

uint64 scrub_next_deadline(void)
{
	if (!is_possible())
		return UINT64_MAX;
	return local.slot != 0 ? local.due_ms : local.finished_ms + interval_ms();
}

void scrub_describe(ClientStatus *status)
{
	status->scrub_slot = local.slot;
	status->scrubbed_at = local.finished_at;
}
