/*
 * client_memory.h - what a backend looks up of request ids and numbers.
 */
#ifndef PAXOSKV_CLIENT_MEMORY_H
#define PAXOSKV_CLIENT_MEMORY_H

#include "postgres.h"

#include "paxos/outcome.h"
#include "worker/client.h"

/*
 * O3: what is remembered of an id here (details palloc'd, the id itself not filled in), and the slot applied by then: the
 * stamp of a command that is made after it.  False: nothing is remembered.
 */
extern bool client_look_up_request(const char *request_id, uint32 length, struct remembered *remembered,
								   uint64 *applied);

#endif /* PAXOSKV_CLIENT_MEMORY_H */
