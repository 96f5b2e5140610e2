/*
 * client_request.h - a backend's requests: what client.h's functions are made of.
 *
 *	 request = request_allocate(kind, ...);
 *	 PG_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
 *	 { fill it; request_run(request, deadline); take its answer }
 *	 PG_END_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
 *	 request_release(0, PointerGetDatum(request));
 */
#ifndef PAXOSKV_CLIENT_REQUEST_H
#define PAXOSKV_CLIENT_REQUEST_H

#include "postgres.h"

#include "worker/client_errors.h"
#include "worker/shmem.h"

/* Refuses what is known to be refused, before anything is allocated. */
extern void request_check_admission(RequestKind kind, bool has_request_id);
/* T3: what a node has applied is not to be relied on where its rows are known to be wrong. */
extern void request_check_not_diverged(RequestKind kind, bool has_request_id);
/* Refuses where nobody would answer; what refuses a write and leaves this node's workers to work is no reason. */
extern void request_check_answered(Refused refused);

/* paxoskv.commit_timeout from now, by a clock that nobody sets; and the milliseconds left until then, 0: none. */
extern uint64 request_deadline(void);
extern long request_time_left(uint64 deadline);

/* Waits for a place; length: of its data.  53000 at the deadline. */
extern Request *request_allocate(RequestKind kind, bool has_request_id, uint32 length, uint64 deadline);
/* Submits it and waits until it is done; raises what was refused or is unknown. */
extern void request_run(Request *request, uint64 deadline);
/* Lets go of it in any state; after an ERROR or FATAL too. */
extern void request_release(int code, Datum arg);

/* A read or a trim, whole; returns the slot that it is answered with. */
extern uint64 request_slot(RequestKind kind, bool leader_only, uint64 deadline);

#endif /* PAXOSKV_CLIENT_REQUEST_H */
