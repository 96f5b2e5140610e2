/*
 * consensus.h - the consensus worker's own state, shared by its files and by nobody else.
 *
 *	 consensus_worker.c	   life: start, loop, waiting
 *	 consensus_host.c	   the core's host: writes, messages, events, sync
 *	 consensus_formation.c from an empty log to a core (PROTOCOL F), and its checks
 *	 consensus_requests.c  what backends asked for
 *	 consensus_state.c	   state hashes, told and compared (T3)
 *	 consensus_trim.c	   old segments of the log (T2)
 *	 consensus_scrub.c	   the same, read again now and then
 *	 consensus_snapshot.c  tables sent to others and got from them (T5; consensus_snapshot.h)
 *	 consensus_status.c	   what everybody else may see
 *	 consensus_report.c	   what the server's log is told of the cluster
 */
#ifndef PAXOSKV_CONSENSUS_H
#define PAXOSKV_CONSENSUS_H

#include "postgres.h"

#include "pg_compat.h"

#include "log/log.h"
#include "paxos/formation.h"
#include "paxos/paxos.h"
#include "transport/log_limit.h"
#include "transport/transport.h"
#include "worker/feed.h"
#include "worker/shmem.h"

/* A read or an un-numbered command that waits in the worker, by request index. */
typedef struct RequestQueue
{
	uint32 *items; /* ring of n_requests + 1 */
	uint32 head;
	uint32 tail;
	uint32 size;
} RequestQueue;

typedef struct ConsensusWorker
{
	uint64 now_ms;
	struct plog *log;
	struct plog_options log_options;
	struct plog_state state;
	char log_directory[MAXPGPATH];
	uint64 nonce;
	uint64 seed;
	struct transport *transport; /* NULL: no peers */
	struct formation formation;
	struct paxos *core; /* NULL: not formed */
	struct paxos_config config;
	struct paxos_status status; /* as of the last status_refresh() */
	uint64 chosen;              /* last PAXOS_EVENT_CHOSEN */
	uint64 applied;             /* last told to the core */
	FeedWriter feed;

	/* requests */
	RequestQueue commands;
	RequestQueue reads;       /* not yet asked of the core */
	RequestQueue logs;        /* log requests, answered a few at a time */
	RequestQueue trims;       /* answered by trim_step() */
	uint64 *read_tokens;      /* by request index: the token that answers it */
	bool *queued;             /* by request index: it is in one of the queues */
	RequestQueue asked_reads; /* in order of their tokens */
	uint64 last_number;
	uint64 session;
	uint64 ask_reads_again_ms; /* after a read that was not confirmed; 0: now */

	/* the log */
	bool accepting;
	bool log_full;
	uint64 retry_sync_ms;
	uint64 awaited_slot;  /* clients of this node wait until apply has reached it */
	uint64 wake_apply_ms; /* when to wake apply for entries that none of them waits for; 0: there are none */
	uint64 completion_ms; /* D5: when to say that the last sync completed; 0: nothing to say */

	/* status */
	bool status_due;
	uint64 status_published_ms;
	uint64 no_quorum_since_ms; /* 0: there is one */
	uint64 admission_checked_ms;
	bool damage_reported;         /* and not yet that it is healed */
	bool refresh_skipped;         /* since then something may have changed */
	struct log_limit slow_rounds; /* E1: warnings of them */
	struct log_limit slow_syncs;  /* and of these */
	Admission admission;
	char detail[512];

	/* the last inputs, for the report of a failed assertion */
	const char *last_inputs[8];
	uint32 n_inputs;
} ConsensusWorker;

extern ConsensusWorker consensus;

/* ---- consensus_worker.c */

/* Stays, answering everybody with "detail", until the server restarts.  role: for paxos_status(). */
pg_noreturn extern void consensus_stay_dormant(const char *role, Admission admission, int sqlstate,
											   const char *message, const char *detail, const char *hint);
/* Ends this life because the log failed, or has a record that can't be read: counted, exit 1. */
pg_noreturn extern void consensus_log_failed(const struct plog_error *error);
/* The same for rot in an old record, which is no failure of this life: not counted. */
pg_noreturn extern void consensus_log_rotted(const struct plog_error *error);
/* Reads paxoskv.secret_file; dormant if it can't be used.  Returns the secret's length; 0: no file is set. */
extern uint32 consensus_read_secret(char secret[TRANSPORT_SECRET_MAX + 1]);
extern void consensus_random(void *bytes, size_t length);

/* ---- consensus_host.c */

/* applied: through which slot the database holds everything. */
extern void host_create_core(uint64 applied);
/* Of the log: says which condition does not hold, ends this life; counted, exit 1. */
pg_noreturn extern void host_assert_failed(const char *condition, const char *file, int line);
extern void host_note_input(const char *name);
/* Hands the core's writes to the log; after each input. */
extern void host_pump_writes(void);
extern void host_pump_messages(void);
extern void host_pump_events(void);
/* Syncs what was written and tells the core. */
extern void host_sync(void);
extern void host_complete_sync_when_idle(void);
/* Streams chosen entries to the apply worker. */
extern void host_pump_feed(void);
/* T5: the core hears that the database holds another's table, and the log begins behind it. */
extern void host_restored(const struct paxos_restored *restored);
/* T5: the log says no more that one is being installed: it did not commit. */
extern void host_give_up_restore(void);
extern const struct transport_callbacks host_transport_callbacks;

/* ---- consensus_formation.c */

extern void formation_start(void);
extern void formation_step(void);
/* D3: what the apply worker says of the database must fit the log; goes dormant where it does not. */
extern void formation_check_database(void);
/* Why this node is not formed, in words; "" if it is. */
extern void formation_describe(char *text, size_t size);
/* What stands in the way of the peer with that index; "" if nothing does. */
extern void formation_describe_peer(char *text, size_t size, uint32 index);
/* Whether it is a cluster of one, formed or to be. */
extern bool formation_alone(void);

/* ---- consensus_requests.c */

extern void requests_start(void);
/* Takes what backends submitted. */
extern void requests_take(void);
/* Numbers commands and asks for reads, as far as the core lets them. */
extern void requests_advance(void);
extern void requests_resolved(uint64 number, uint64 slot, bool ok, bool may_be_void);
extern void requests_read_answered(uint64 token, bool ok, uint64 slot);
/* Answers those that wait and are not numbered, if the present admission refuses them; drops withdrawn ones. */
extern void requests_refuse_waiting(void);
/* Answers all numbered ones with "unknown" (X6). */
extern void requests_give_up_numbered(void);
extern bool requests_commands_wait(void);
/* Of paxos_trim(). */
extern uint32 requests_trims_waiting(void);
/* The first n of them: the log begins at first_slot now. */
extern void requests_answer_trims(uint32 n, uint64 first_slot);
/* When there is more to do for reads or log requests, whatever comes; UINT64_MAX: never. */
extern uint64 requests_next_deadline(void);

/* ---- consensus_state.c */

extern void state_start(void);
/* What is due: comparing, telling, recounting. */
extern void state_step(void);
extern uint64 state_next_deadline(void);
extern void state_heard(const struct state_message *message);
/* Whether that node said that its state is not the cluster's. */
extern bool state_diverged(uint32 node_id);
/* The tables are others now: what is being counted in the old ones says nothing of them. */
extern void state_forget_recount(void);

/* ---- consensus_snapshot.c */

/* Ends what an earlier life of this worker left; after it the apply worker says what is committed. */
extern void snapshot_start(void);
/* Ends what is under way; the apply worker goes on. */
extern void snapshot_abandon(void);
extern void snapshot_step(void);
extern uint64 snapshot_next_deadline(void);
/* Whether a table is being loaded here, so that nothing is applied. */
extern bool snapshot_loads(void);
/* What of it is worth a word; "" if nothing. */
extern void snapshot_describe(char *text, size_t size);
extern void snapshot_stream_open(enum transport_stream which, uint32 node_id);
extern bool snapshot_stream_bytes(enum transport_stream which, const uint8 *bytes, uint32 length);
extern void snapshot_stream_end(enum transport_stream which, const char *reason);

/* ---- consensus_trim.c */

/* Trims what is due, and as paxos_trim() asks. */
extern void trim_step(void);
extern uint64 trim_next_deadline(void);

/* ---- consensus_scrub.c */

extern void scrub_start(void);
/* Reads a little of the old log again, when that is due; ends this life at a damaged record. */
extern void scrub_step(void);
extern uint64 scrub_next_deadline(void);
/* How far it is, and when it last finished. */
extern void scrub_describe(ClientStatus *status);
/* Whether the log is too long and nothing may go, because fsync is off. */
extern bool trim_is_prevented(void);

/* ---- consensus_status.c */

/* Computes status and admission anew, at most every 20 ms unless "now". */
extern void status_refresh(bool now);
/* Publishes, at most every 100 ms unless "now". */
extern void status_publish(bool now);

/* ---- consensus_report.c */

/* After each status_refresh(): says what is new. */
extern void report_cluster(bool majority_lost);
/* Once, when the core is there. */
extern void report_member(void);

#endif /* PAXOSKV_CONSENSUS_H */
