/*
 * protect.h - which tables are protected, and the errors for touching them.
 *
 * Protected are the extension's tables in schema paxoskv: their rows must follow from the log alone.  Not
 * bound by it are the apply worker, the extension's own scripts and its DROP EXTENSION.
 */
#ifndef PAXOSKV_SQL_PROTECT_H
#define PAXOSKV_SQL_PROTECT_H

#include "postgres.h"

#include "pg_compat.h"

#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/* Whether the relation, or for an index its table, is protected from what runs now.  False for InvalidOid. */
extern bool is_protected(Oid relation);

/* The protected tables of this database, as a list of OIDs. */
extern List *protected_tables(void);

/* All 42501. */
pg_noreturn extern void refuse_rows(Oid relation);
pg_noreturn extern void refuse_row_locks(Oid relation);
pg_noreturn extern void refuse_definition(Oid relation);
pg_noreturn extern void refuse_table_lock(Oid relation, const char *command);

/* Lets what runs until the matching false drop the extension's tables: DROP EXTENSION of a non-member. */
extern void allow_drop(bool allowed);

/* Checks a utility command before it runs; protect_utility.c. */
extern void check_utility(PlannedStmt *statement, bool is_top_level);

/* Whether it is CREATE or ALTER SUBSCRIPTION: which tables it takes is known only when it has run. */
extern bool changes_subscription(PlannedStmt *statement);

/* Refuses (42501) a subscription of this database that has a protected table. */
extern void check_subscriptions(void);

/* Whether it is DROP EXTENSION of paxoskv, which check_utility() has let pass. */
extern bool drops_extension(PlannedStmt *statement);

#endif /* PAXOSKV_SQL_PROTECT_H */
