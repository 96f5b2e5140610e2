/*
 * protect.h - which tables are protected, and the errors for touching them.
 *
 *	 protect.c				which tables these are, and the errors
 *	 protect_utility.c		commands, judged before they run
 *	 protect_definition.c	what a command did to a definition, judged while it runs
 *
 * Protected are the extension's tables in schema paxoskv, with their indexes and TOAST relations: their rows
 * must follow from the log alone.  Not bound by it are the apply worker, the extension's own scripts and its
 * DROP EXTENSION.
 */
#ifndef PAXOSKV_SQL_PROTECT_H
#define PAXOSKV_SQL_PROTECT_H

#include "postgres.h"

#include "pg_compat.h"

#include "catalog/objectaccess.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/* Whether the relation, or the table it belongs to, is protected from what runs now.  False for InvalidOid. */
extern bool is_protected(Oid relation);

/* The protected tables of this database, as a list of OIDs. */
extern List *protected_tables(void);

/* All 42501. */
pg_noreturn extern void refuse_rows(Oid relation);
pg_noreturn extern void refuse_copy(Oid relation);
pg_noreturn extern void refuse_row_locks(Oid relation);
pg_noreturn extern void refuse_definition(Oid relation);
pg_noreturn extern void refuse_drop(Oid relation);
pg_noreturn extern void refuse_table_lock(Oid relation, const char *command);

/* ---- protect_utility.c */

/* Checks a utility command before it runs. */
extern void check_utility(PlannedStmt *statement, bool is_top_level);

/* Whether it is CREATE or ALTER SUBSCRIPTION: which tables it takes is known only when it has run. */
extern bool changes_subscription(PlannedStmt *statement);

/* Refuses (42501) a subscription of this database that has a protected table. */
extern void check_subscriptions(void);

/* Whether it is DROP EXTENSION of paxoskv, which check_utility() has let pass. */
extern bool drops_extension(const Node *command);

/* ---- protect_definition.c */

/*
 * What a command may do to a protected definition after all.  A command that runs inside of it (an event
 * trigger's, say) has its own.
 */
typedef struct Waiver
{
	bool drop;             /* DROP EXTENSION of a server that is no member */
	const char *adjusting; /* the command's name; NULL: it may not */
	bool in_block;
} Waiver;

/* Whether ALTER TABLE or ALTER INDEX changes nothing but where and how the rows are kept, and whose they are. */
extern bool only_adjusts(const AlterTableStmt *alter);

/* Says what the checked command that is about to run may do; returns what the one around it may. */
extern Waiver begin_waiver(PlannedStmt *statement, bool is_top_level);
extern void end_waiver(Waiver outer);

/* Refuses (42501) what the object access hook reports, where it touches a protected table. */
extern void check_definition(ObjectAccessType access, Oid catalog, Oid object, int column, void *argument);

#endif /* PAXOSKV_SQL_PROTECT_H */
