/*
 * hooks.h - the hooks that keep users, superusers included, from changing the replicated table.
 */
#ifndef PAXOSKV_SQL_HOOKS_H
#define PAXOSKV_SQL_HOOKS_H

/* Installs them before those that are there, which go on to be called; in _PG_init, while preloading. */
extern void sql_install_hooks(void);

#endif /* PAXOSKV_SQL_HOOKS_H */
