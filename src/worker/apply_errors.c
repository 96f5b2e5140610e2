/*
 * apply_errors.c - what an error that was met in apply says of another try (T4).
 *
 * Waiting for what never passes looks like patience and is a node that hangs; stopping for what would have passed
 * takes an admin to go on.  So what can be either is tried for a while.
 */
#include "postgres.h"

#include "worker/apply.h"

static bool is_of_class(int sqlstate, const char *class)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == MAKE_SQLSTATE(class[0], class[1], '0', '0', '0');
}

/* Locks, memory, disk, a cancel: somebody or something gives way. */
static bool is_of_surroundings(int sqlstate)
{
	return is_of_class(sqlstate, "53") || is_of_class(sqlstate, "57") || is_of_class(sqlstate, "40") ||
		   sqlstate == ERRCODE_LOCK_NOT_AVAILABLE || sqlstate == ERRCODE_IO_ERROR;
}

/*
 * Files and catalogs that are not as they should be, and whatever PostgreSQL calls internal or corrupt: a definition
 * that changes just now, a device that comes back; or damage.
 */
static bool is_of_either(int sqlstate)
{
	return is_of_class(sqlstate, "XX") || is_of_class(sqlstate, "58") ||
		   sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE || sqlstate == ERRCODE_UNDEFINED_TABLE ||
		   sqlstate == ERRCODE_UNDEFINED_SCHEMA || sqlstate == ERRCODE_UNDEFINED_COLUMN;
}

ApplyErrorKind apply_judge_error(int sqlstate)
{
	if (is_of_surroundings(sqlstate))
		return APPLY_ERROR_PASSES;
	return is_of_either(sqlstate) ? APPLY_ERROR_DOUBTFUL : APPLY_ERROR_STAYS;
}
