/*
 * arguments.h - what every SQL function checks before it asks the workers for anything.
 *
 * None of the functions is STRICT: a NULL where none makes sense is an error (22004), never a silent NULL.
 */
#ifndef PAXOSKV_SQL_ARGUMENTS_H
#define PAXOSKV_SQL_ARGUMENTS_H

#include "postgres.h"

#include "fmgr.h"

#include "worker/client.h"

/* The bytes of a text argument, detoasted; they live as long as the call. */
typedef struct TextArgument
{
	const char *data;
	uint32 length;
} TextArgument;

/* Refuses (55000) in a database other than paxoskv.database: its table is not the replicated one. */
extern void check_database(void);

/* Refuses writes that could only fail later: read-only transaction, standby, parallel worker (25006, 25000). */
extern void check_may_write(const char *function_name);

/* The text argument at that position; 22004 where it is NULL. */
extern TextArgument text_argument(FunctionCallInfo fcinfo, int position, const char *name);

/* The bytes of a text value. */
extern TextArgument text_of_datum(Datum datum);

/* A palloc'd text of them. */
extern Datum text_datum(TextArgument text);

/* The n elements of a one-dimensional text array without nulls; the texts palloc'd.  22004, 2202E. */
extern TextArgument *text_array_argument(FunctionCallInfo fcinfo, int position, const char *name, int *n);

/* The request id at that position; of length 0 where it is NULL.  22023: empty, too long, a command's name. */
extern TextArgument request_id_argument(FunctionCallInfo fcinfo, int position);

/* client_submit() under a request id, or none. */
extern ClientResult submit_operations(const struct operation *operations, uint32 n_operations,
									  TextArgument request_id);

/* 22023 if either is empty, 54000 if they are longer than COMMAND_KEY_BYTES_MAX together. */
extern void check_partition(TextArgument partition);
extern void check_key(TextArgument partition, TextArgument key);

/* Sets what an operation names; the bytes stay the argument's. */
extern void operation_set_partition(struct operation *operation, TextArgument partition);
extern void operation_set_key(struct operation *operation, TextArgument key);
extern void operation_set_value(struct operation *operation, TextArgument value);

/* The read level that an argument (NULL: the setting paxoskv.read_consistency) names; 22023 for no level. */
extern ReadLevel consistency_argument(FunctionCallInfo fcinfo, int position);

#endif /* PAXOSKV_SQL_ARGUMENTS_H */
