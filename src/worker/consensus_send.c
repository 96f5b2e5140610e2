/*
 * consensus_send.c - T5 in the consensus worker: this node's table for another one that asks for it over a stream.
 */
#include "postgres.h"

#include "worker/consensus_snapshot.h"
#include "worker/snapshot_format.h"

/* A receiver that takes nothing for so long is dropped: it may wait for a lock, or for its disk. */
#define STALL_MS 300000
/* In one turn of the loop. */
#define PIECES_PER_TURN 4

typedef enum Sending
{
	SEND_IDLE,
	SEND_ASKED,   /* a stream is open, what it wants will come */
	SEND_READING, /* a worker reads the table */
	SEND_LAST     /* all is in the ring or beyond; the receiver ends it */
} Sending;

static struct
{
	Sending step;
	uint32 receiver;
	uint64 progress_ms;
	BackgroundWorkerHandle *worker;
	bool busy; /* there is more to move at once */
	bool ends; /* when what is queued is sent */
	struct log_limit troubles;
} sender;

/* ---------------------------------------------------------------- sending */

static void end_sending(void)
{
	transport_stream_close(consensus.transport, STREAM_ACCEPTED);
	snapshot_end_job(side_of(SNAPSHOT_SENDING));
	sender.step = SEND_IDLE;
	sender.ends = sender.busy = false;
}

static void say_trouble(const char *reason)
{
	if (log_limit_pass(&sender.troubles, consensus.now_ms, NULL))
		ereport(LOG, (errmsg("paxoskv could not send its rows to node %u: %s", sender.receiver, reason)));
}

/* Tells the receiver why, before anything else was said. */
static void refuse_sending(const char *reason)
{
	uint8 bytes[SNAPSHOT_CHUNK_HEADER_BYTES + SNAPSHOT_TEXT_MAX];
	uint32 length = (uint32) Min(strlen(reason), SNAPSHOT_TEXT_MAX);

	snapshot_put_chunk(bytes, CHUNK_ERROR, 0, reason, length);
	memcpy(bytes + SNAPSHOT_CHUNK_HEADER_BYTES, reason, length);
	(void) transport_stream_send(consensus.transport, STREAM_ACCEPTED, bytes,
								 SNAPSHOT_CHUNK_HEADER_BYTES + length);
	sender.step = SEND_LAST;
	sender.ends = true;
	sender.progress_ms = consensus.now_ms;
}

static void take_request(const uint8 *bytes, uint32 length)
{
	uint64 slot;

	if (!snapshot_get_request(bytes, length, &slot))
		refuse_sending("what it was asked is not known to this version");
	else if (pg_atomic_read_u32(&paxos_shared->state.diverged) != 0)
		refuse_sending("its rows are not the cluster's");
	else if (!snapshot_database_is_ready() || pg_atomic_read_u32(&shared_snapshot()->hold) != 0 ||
			 pg_atomic_read_u64(&paxos_shared->applied_slot) < slot)
		refuse_sending("it has not applied as much");
	else if (!snapshot_start_worker(SNAPSHOT_SENDING, &sender.worker))
		refuse_sending("all its background workers are in use");
	else
	{
		sender.step = SEND_READING;
		sender.progress_ms = consensus.now_ms;
		ereport(LOG, (errmsg("paxoskv sends its rows to node %u", sender.receiver)));
	}
}

/* From the ring to the socket. */
static void pump_sending(SnapshotSide *side)
{
	static uint8 piece[TRANSPORT_STREAM_PIECE];
	int n = 0;

	while (n < PIECES_PER_TURN && snapshot_ring_filled(&side->ring) > 0 &&
		   transport_stream_has_room(consensus.transport, STREAM_ACCEPTED))
	{
		uint64 length = snapshot_ring_get(&side->ring, piece, sizeof(piece));

		if (!transport_stream_send(consensus.transport, STREAM_ACCEPTED, piece, (uint32) length))
		{
			say_trouble("out of memory");
			end_sending();
			return;
		}
		n++;
	}
	if (n == 0)
		return;
	sender.progress_ms = consensus.now_ms;
	snapshot_wake_worker(side);
	transport_flush(consensus.transport);
	sender.busy = snapshot_ring_filled(&side->ring) > 0 &&
				  transport_stream_has_room(consensus.transport, STREAM_ACCEPTED);
}

void send_step(void)
{
	SnapshotSide *side = side_of(SNAPSHOT_SENDING);
	bool stopped;

	sender.busy = false;
	if (sender.step == SEND_IDLE)
		return;
	stopped = sender.step == SEND_READING && snapshot_has_stopped(sender.worker);
	if (sender.step == SEND_READING && step_of(side) == STEP_FAILED)
	{
		say_trouble(side->error);
		end_sending();
		return;
	}
	if (sender.step == SEND_READING && step_of(side) == STEP_SENT)
		sender.step = SEND_LAST;
	else if (stopped)
	{
		say_trouble("the worker that read them was ended");
		end_sending();
		return;
	}
	if (!sender.ends)
		pump_sending(side);
	if (sender.step != SEND_IDLE &&
		(sender.ends ? transport_stream_is_sent(consensus.transport, STREAM_ACCEPTED)
					 : consensus.now_ms >= sender.progress_ms + STALL_MS))
		end_sending();
}

/* ---------------------------------------------------------------- the stream */

void send_stream_open(uint32 node_id)
{
	if (sender.step != SEND_IDLE || !snapshot_is_free(SNAPSHOT_SENDING, &sender.worker))
	{
		transport_stream_close(consensus.transport, STREAM_ACCEPTED);
		return;
	}
	sender.receiver = node_id;
	sender.step = SEND_ASKED;
	sender.progress_ms = consensus.now_ms;
	snapshot_begin_job(side_of(SNAPSHOT_SENDING), node_id, SNAPSHOT_STARTING);
}

void send_stream_bytes(const uint8 *bytes, uint32 length)
{
	if (sender.step == SEND_ASKED)
		take_request(bytes, length);
}

void send_stream_end(const char *reason)
{
	if (sender.step == SEND_READING && step_of(side_of(SNAPSHOT_SENDING)) != STEP_SENT)
		say_trouble(reason);
	if (sender.step != SEND_IDLE)
		end_sending();
}

/* ---------------------------------------------------------------- the loop */

void send_start(void)
{
	memset(&sender, 0, sizeof(sender));
}

uint64 send_next_deadline(void)
{
	if (sender.busy)
		return 0;
	return sender.step != SEND_IDLE ? consensus.now_ms + SNAPSHOT_POLL_MS : UINT64_MAX;
}
