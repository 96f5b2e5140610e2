/*
 * client_errors.h - the errors of DESIGN section 5, raised in a backend.
 *
 * "Refused" always means: certainly not applied, which is said of this attempt.  "Unknown" (40003) always means: it
 * may have been, or may yet be.
 */
#ifndef PAXOSKV_CLIENT_ERRORS_H
#define PAXOSKV_CLIENT_ERRORS_H

#include "postgres.h"

#include "pg_compat.h"

#include "worker/shmem.h"

typedef enum Refused
{
	REFUSED_READ,    /* or a look at the log */
	REFUSED_TRIM,    /* of the log */
	REFUSED_COMMAND, /* or a fence */
	REFUSED_ATTEMPT  /* a command with a request id: an earlier attempt may have been applied */
} Refused;

/* 55000 unless the library was preloaded; in another database; on a standby. */
extern void require_preloaded(void);
extern void client_require_database(void);
extern void client_require_primary(void);

/* 53000, 53100 or 55000, as the state of affairs has it. */
pg_noreturn extern void refuse(Refused refused, Admission admission);

/* The deadline passed and the request was withdrawn. */
pg_noreturn extern void refuse_late(Refused refused);

/* 53000: no free place in the queue, or (for_bytes) no memory for a large command, before the deadline. */
pg_noreturn extern void refuse_queue_full(Refused refused, bool for_bytes);

/* 40003 for a numbered command; why: a sentence. */
pg_noreturn extern void raise_unknown(Request *request, const char *why);

/* 40003: applied, but what it did is not known any more (X6). */
pg_noreturn extern void raise_result_lost(uint64 session, uint64 number, uint64 slot, const char *why);

/* 40003: likewise, of a repeated request id. */
pg_noreturn extern void raise_result_forgotten(uint64 slot);

/* O1, 22023: the id belongs to another command.  O4, 55000: given up.  O3, 40003: it came too late. */
pg_noreturn extern void raise_conflict(const char *request_id, uint32 length);
pg_noreturn extern void raise_given_up(void);
pg_noreturn extern void raise_too_old(Request *request);

/* The request id in a command's bytes. */
extern const char *request_id_of(Request *request);
extern uint32 request_id_length_of(Request *request);

/* The error that is being handled in a PG_CATCH block, as a sentence; it is over then.  context: one that outlives the
 * block. */
extern void error_as_sentence(MemoryContext context, char *why, size_t size);

/* 40003: the statement was cancelled when its command was applied already; why: a sentence. */
pg_noreturn extern void raise_cancelled_late(uint64 session, uint64 number, uint64 slot, const char *why);

/* 53000: a read or wait that has not applied far enough. */
pg_noreturn extern void refuse_not_applied(uint64 slot);

#endif /* PAXOSKV_CLIENT_ERRORS_H */
