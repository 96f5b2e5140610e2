/*
 * settings.h - the paxoskv.* settings, as variables.
 *
 * Defined only where the library is preloaded (paxoskv_settings_define()); elsewhere they keep the values
 * that settings.c gives them and mean nothing.
 */
#ifndef PAXOSKV_SETTINGS_H
#define PAXOSKV_SETTINGS_H

#include "postgres.h"

#include "paxos/formation.h"

typedef enum InTransaction
{
	IN_TRANSACTION_ALLOW,
	IN_TRANSACTION_ERROR
} InTransaction;

/* Fixed while the server runs. */
extern int paxoskv_node_id;
extern char *paxoskv_peers;
extern char *paxoskv_listen;
extern char *paxoskv_cluster_name;
extern char *paxoskv_database;
extern char *paxoskv_secret_file;
extern char *paxoskv_log_directory;
extern int paxoskv_heartbeat_interval; /* ms */
extern int paxoskv_election_timeout;   /* ms */
extern int paxoskv_max_command_size;   /* bytes */
extern int paxoskv_queue_size;         /* requests */
extern int paxoskv_segment_size;       /* bytes */
extern int paxoskv_priority;

/* A session's own. */
extern int paxoskv_commit_timeout;   /* ms */
extern int paxoskv_read_consistency; /* a ReadLevel */
extern int paxoskv_in_transaction;   /* an InTransaction */

/* With a reload. */
extern int paxoskv_verify_interval; /* s */
extern int paxoskv_log_retention;   /* MB */

/* For tests and demonstrations; with a reload. */
extern double paxoskv_fail_rate;
extern double paxoskv_drop_rate;
extern int paxoskv_delay; /* ms */

/* Defines all of them; in _PG_init while preloading. */
extern void paxoskv_settings_define(void);

/* Raises an error where settings don't fit together: it ends the server's start. */
extern void paxoskv_settings_check(void);

/*
 * The nodes that paxoskv.peers names, by rising node id; without peers this node alone.  Returns their
 * number.
 */
extern int paxoskv_settings_peers(struct formation_peer peers[PAXOS_MAX_MEMBERS]);

/* Addresses to listen on, comma-separated in the setting.  Returns their number; 0: nothing listens. */
extern int paxoskv_settings_listen(char addresses[][PAXOS_ADDRESS_MAX + 1], int max);

#endif /* PAXOSKV_SETTINGS_H */
