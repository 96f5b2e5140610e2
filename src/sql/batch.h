/*
 * batch.h - many puts in one command.
 */
#ifndef PAXOSKV_SQL_BATCH_H
#define PAXOSKV_SQL_BATCH_H

#include "postgres.h"

#include "sql/arguments.h"

/*
 * Puts n keys (at least one) of a partition, the last value of each, and returns the revision.  Checks the keys, and
 * that there are no more than a command holds (54000).
 */
extern uint64 submit_batch(TextArgument partition, const TextArgument *keys, const TextArgument *values,
						   int n, TextArgument request_id);

#endif /* PAXOSKV_SQL_BATCH_H */
