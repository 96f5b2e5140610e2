/*
 * settings.c - the paxoskv.* settings: definitions, checks of one value, checks of all together.
 */
#include "postgres.h"

#include <ctype.h>
#include <limits.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "transport/transport.h"
#include "worker/client.h"
#include "worker/settings.h"

/*
 * Every node accepts entries of PAXOS_MAX_ENTRY_BYTES, but the consensus worker writes and syncs an entry in
 * one go: larger commands would keep it from its heartbeats for longer than a round.
 */
#define MAX_COMMAND_SIZE_MAX (8 * 1024 * 1024)

int paxoskv_node_id = 1;
char *paxoskv_peers = NULL;
char *paxoskv_listen = NULL;
char *paxoskv_cluster_name = NULL;
char *paxoskv_database = NULL;
char *paxoskv_secret_file = NULL;
char *paxoskv_log_directory = NULL;
int paxoskv_heartbeat_interval = 100;
int paxoskv_election_timeout = 1000;
int paxoskv_max_command_size = 4 * 1024 * 1024;
int paxoskv_queue_size = 1024;
int paxoskv_segment_size = 16 * 1024 * 1024;
int paxoskv_priority = 0;
int paxoskv_commit_timeout = 5000;
int paxoskv_verify_interval = 24 * 60 * 60;
int paxoskv_log_retention = 1024;
int paxoskv_read_consistency = READ_LINEARIZABLE;
int paxoskv_in_transaction = IN_TRANSACTION_ALLOW;
double paxoskv_fail_rate = 0;
double paxoskv_drop_rate = 0;
int paxoskv_delay = 0;

static const struct config_enum_entry read_consistency_options[] = {
	{"linearizable", READ_LINEARIZABLE, false},
	{"leader", READ_LEADER, false},
	{"local", READ_LOCAL, false},
	{NULL, 0, false},
};

static const struct config_enum_entry in_transaction_options[] = {
	{"allow", IN_TRANSACTION_ALLOW, false},
	{"error", IN_TRANSACTION_ERROR, false},
	{NULL, 0, false},
};

/* ---------------------------------------------------------------- parsing */

/* Takes the next item of a comma-separated list, without the blanks around it.  False: no more. */
static bool next_item(const char **list, char *item, size_t size)
{
	const char *p = *list;
	const char *end;
	size_t length;

	while (isspace((unsigned char) *p) || *p == ',')
		p++;
	if (*p == '\0')
		return false;
	end = strchr(p, ',');
	if (end == NULL)
		end = p + strlen(p);
	*list = end;
	while (end > p && isspace((unsigned char) end[-1]))
		end--;
	length = Min((size_t) (end - p), size - 1);
	memcpy(item, p, length);
	item[length] = '\0';
	return true;
}

/* Parses "id=host:port"; NULL: fine, else what is wrong with it. */
static const char *parse_peer(const char *item, struct formation_peer *peer)
{
	char *end;
	unsigned long id;

	errno = 0;
	id = strtoul(item, &end, 10);
	if (!isdigit((unsigned char) item[0]) || errno != 0 || *end != '=' || id < 1 || id > INT_MAX)
		return "it does not begin with a node id and \"=\"";
	end++;
	if (strlen(end) > PAXOS_ADDRESS_MAX)
		return "its address is too long";
	if (!transport_address_valid(end, false))
		return "its address is not of the form host:port";
	peer->node_id = (uint32_t) id;
	strlcpy(peer->address, end, sizeof(peer->address));
	return NULL;
}

/* Puts a peer into its place by node id.  False: that id is there already. */
static bool insert_peer(struct formation_peer *peers, int n, const struct formation_peer *peer)
{
	int place = n;

	while (place > 0 && peers[place - 1].node_id > peer->node_id)
		place--;
	if (place > 0 && peers[place - 1].node_id == peer->node_id)
		return false;
	memmove(&peers[place + 1], &peers[place], (n - place) * sizeof(peers[0]));
	peers[place] = *peer;
	return true;
}

/* Parses the whole list; -1: *item and *why say what is wrong. */
static int parse_peers(const char *list, struct formation_peer *peers, char *item, size_t item_size,
					   const char **why)
{
	int n = 0;

	while (next_item(&list, item, item_size))
	{
		struct formation_peer peer = {0};

		*why = parse_peer(item, &peer);
		if (*why == NULL && n == PAXOS_MAX_MEMBERS)
			*why = "there are too many nodes";
		if (*why == NULL && !insert_peer(peers, n, &peer))
			*why = "its node id is named twice";
		if (*why != NULL)
			return -1;
		n++;
	}
	return n;
}

int paxoskv_settings_peers(struct formation_peer peers[PAXOS_MAX_MEMBERS])
{
	char item[PAXOS_ADDRESS_MAX + 32];
	const char *why = NULL;
	int n = parse_peers(paxoskv_peers, peers, item, sizeof(item), &why);

	if (n > 0)
		return n;
	memset(&peers[0], 0, sizeof(peers[0]));
	peers[0].node_id = (uint32_t) paxoskv_node_id;
	return 1;
}

int paxoskv_settings_listen(char addresses[][PAXOS_ADDRESS_MAX + 1], int max)
{
	const char *list = paxoskv_listen;
	struct formation_peer peers[PAXOS_MAX_MEMBERS];
	int n = 0;
	int n_peers;

	while (n < max && next_item(&list, addresses[n], PAXOS_ADDRESS_MAX + 1))
		n++;
	if (n > 0)
		return n;
	n_peers = paxoskv_settings_peers(peers);
	for (int i = 0; i < n_peers; i++)
		if (peers[i].node_id == (uint32_t) paxoskv_node_id && peers[i].address[0] != '\0')
			strlcpy(addresses[n++], peers[i].address, PAXOS_ADDRESS_MAX + 1);
	return n;
}

/* ---------------------------------------------------------------- checks of one value */

static bool check_peers(char **newval, void **extra, GucSource source)
{
	struct formation_peer peers[PAXOS_MAX_MEMBERS];
	char item[PAXOS_ADDRESS_MAX + 32];
	const char *why = NULL;

	if (parse_peers(*newval, peers, item, sizeof(item), &why) >= 0)
		return true;
	GUC_check_errdetail("Item \"%s\": %s.", item, why);
	GUC_check_errhint("Write it as '1=host:port,2=host:port,3=host:port', at most %d nodes.",
					  PAXOS_MAX_MEMBERS);
	return false;
}

static bool check_listen(char **newval, void **extra, GucSource source)
{
	const char *list = *newval;
	char item[PAXOS_ADDRESS_MAX + 32];
	int n = 0;

	while (next_item(&list, item, sizeof(item)))
	{
		if (++n > TRANSPORT_MAX_LISTEN)
		{
			GUC_check_errdetail("At most %d addresses can be listened on.", TRANSPORT_MAX_LISTEN);
			return false;
		}
		if (strlen(item) > PAXOS_ADDRESS_MAX || !transport_address_valid(item, true))
		{
			GUC_check_errdetail("\"%s\" is not of the form host:port, [ipv6]:port or *:port.", item);
			return false;
		}
	}
	return true;
}

static bool check_cluster_name(char **newval, void **extra, GucSource source)
{
	size_t length = strlen(*newval);

	if (length == 0 || length > 63)
	{
		GUC_check_errdetail("A cluster's name has 1 to 63 bytes.");
		return false;
	}
	return true;
}

static bool check_database(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] == '\0' || strlen(*newval) >= NAMEDATALEN)
	{
		GUC_check_errdetail("A database's name has 1 to %d bytes.", NAMEDATALEN - 1);
		return false;
	}
	return true;
}

/* ---------------------------------------------------------------- definitions */

/*
 * A value in the configuration file that a setting does not take would only be warned of, and the default
 * used: a node that starts under another id, or alone.  So it ends the server's start.
 */
static void require_taken(const char *name, const char *given, bool taken)
{
	if (given != NULL && !taken)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for parameter \"%s\": \"%s\"", name, given),
						errhint("The line before says what is wrong with it.")));
}

/* What the configuration file says, before the setting is defined; NULL: nothing.  palloc'd. */
static char *given_value(const char *name)
{
	const char *given = GetConfigOption(name, true, false);

	return given == NULL ? NULL : pstrdup(given);
}

static void define_string(const char *name, const char *text, char **variable, const char *value, int flags,
						  GucStringCheckHook check)
{
	char *given = given_value(name);

	DefineCustomStringVariable(name, text, NULL, variable, value, PGC_POSTMASTER, flags, check, NULL, NULL);
	require_taken(name, given, given != NULL && strcmp(given, *variable) == 0);
}

static void define_int(const char *name, const char *text, int *variable, int value, int low, int high,
					   GucContext context, int flags)
{
	char *given = given_value(name);
	int parsed;

	DefineCustomIntVariable(name, text, NULL, variable, value, low, high, context, flags, NULL, NULL, NULL);
	require_taken(name, given,
				  given != NULL && parse_int(given, &parsed, flags, NULL) && parsed == *variable);
}

static void define_enum(const char *name, const char *text, const char *more, int *variable, int value,
						const struct config_enum_entry *options, GucContext context)
{
	char *given = given_value(name);

	DefineCustomEnumVariable(name, text, more, variable, value, options, context, 0, NULL, NULL, NULL);
	require_taken(name, given,
				  given != NULL && pg_strcasecmp(given, GetConfigOption(name, false, false)) == 0);
}

/* A share, from 0 to 1. */
static void define_rate(const char *name, const char *text, double *variable)
{
	char *given = given_value(name);
	double parsed;

	DefineCustomRealVariable(name, text, NULL, variable, 0, 0, 1, PGC_SIGHUP, GUC_NOT_IN_SAMPLE, NULL, NULL,
							 NULL);
	require_taken(name, given, given != NULL && parse_real(given, &parsed, 0, NULL) && parsed == *variable);
}

static void define_cluster_settings(void)
{
	define_int("paxoskv.node_id", "This node's number in the cluster.", &paxoskv_node_id, 1, 1, INT_MAX,
			   PGC_POSTMASTER, 0);
	define_string("paxoskv.peers", "The nodes of the first configuration: '1=host:port,2=host:port,...'.",
				  &paxoskv_peers, "", 0, check_peers);
	define_string("paxoskv.listen",
				  "Where other nodes reach this one; empty: its own entry in paxoskv.peers.", &paxoskv_listen,
				  "", 0, check_listen);
	define_string("paxoskv.cluster_name", "The cluster's name, the same on all nodes.", &paxoskv_cluster_name,
				  "paxoskv", 0, check_cluster_name);
	define_string("paxoskv.database", "The database that holds the store.", &paxoskv_database, "postgres", 0,
				  check_database);
	define_string("paxoskv.secret_file", "File with the secret that the nodes share.", &paxoskv_secret_file,
				  "", GUC_SUPERUSER_ONLY, NULL);
	define_string("paxoskv.log_directory",
				  "Directory of the log; empty: paxoskv/pgsql_tmp_log in the data directory.",
				  &paxoskv_log_directory, "", GUC_SUPERUSER_ONLY, NULL);
	define_int("paxoskv.priority", "Which node leads, if several could: the highest.", &paxoskv_priority, 0,
			   0, 1000, PGC_POSTMASTER, 0);
}

static void define_size_and_time_settings(void)
{
	define_int("paxoskv.heartbeat_interval", "Time between the leader's heartbeats.",
			   &paxoskv_heartbeat_interval, 100, 5, 60000, PGC_POSTMASTER, GUC_UNIT_MS);
	define_int("paxoskv.election_timeout", "Time without a leader after which another one takes over.",
			   &paxoskv_election_timeout, 1000, 50, 600000, PGC_POSTMASTER, GUC_UNIT_MS);
	define_int("paxoskv.max_command_size", "The largest command that this node's clients may submit.",
			   &paxoskv_max_command_size, 4 * 1024 * 1024, 8 * 1024, MAX_COMMAND_SIZE_MAX, PGC_POSTMASTER,
			   GUC_UNIT_BYTE);
	define_int("paxoskv.queue_size", "Commands and reads that can be under way at once.", &paxoskv_queue_size,
			   1024, 16, 65536, PGC_POSTMASTER, 0);
	define_int("paxoskv.segment_size", "Size of a segment file of the log.", &paxoskv_segment_size,
			   16 * 1024 * 1024, 1024 * 1024, 1024 * 1024 * 1024, PGC_POSTMASTER, GUC_UNIT_BYTE);
	define_int("paxoskv.log_retention", "How much of the log is kept for nodes that were away.",
			   &paxoskv_log_retention, 1024, 16, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB);
	define_int("paxoskv.verify_interval",
			   "Time between two recounts of this node's rows, and two readings of its old log; 0: none.",
			   &paxoskv_verify_interval, 24 * 60 * 60, 0, 365 * 24 * 60 * 60, PGC_SIGHUP, GUC_UNIT_S);
	define_int("paxoskv.commit_timeout", "How long a command or read waits for its outcome.",
			   &paxoskv_commit_timeout, 5000, 1, INT_MAX, PGC_USERSET, GUC_UNIT_MS);
}

void paxoskv_settings_define(void)
{
	define_cluster_settings();
	define_size_and_time_settings();
	define_enum("paxoskv.read_consistency", "What a read sees, if its call does not say.", NULL,
				&paxoskv_read_consistency, READ_LINEARIZABLE, read_consistency_options, PGC_USERSET);
	define_enum("paxoskv.in_transaction", "Whether a write may be called in a transaction block.",
				"A write takes effect when it returns, whatever becomes of the transaction.",
				&paxoskv_in_transaction, IN_TRANSACTION_ALLOW, in_transaction_options, PGC_SUSET);
	define_rate("paxoskv.fail_rate", "For tests: share of requests that this acceptor ignores.",
				&paxoskv_fail_rate);
	define_rate("paxoskv.drop_rate", "For tests: share of messages to other nodes that vanish.",
				&paxoskv_drop_rate);
	define_int("paxoskv.delay", "For tests: how late messages to other nodes leave.", &paxoskv_delay, 0, 0,
			   60000, PGC_SIGHUP, GUC_UNIT_MS | GUC_NOT_IN_SAMPLE);
	MarkGUCPrefixReserved("paxoskv");
}

/* ---------------------------------------------------------------- checks of all together */

void paxoskv_settings_check(void)
{
	struct formation_peer peers[PAXOS_MAX_MEMBERS];
	char listen[TRANSPORT_MAX_LISTEN][PAXOS_ADDRESS_MAX + 1];
	int n_peers = paxoskv_settings_peers(peers);
	int n_listen = paxoskv_settings_listen(listen, TRANSPORT_MAX_LISTEN);
	bool named = false;

	for (int i = 0; i < n_peers; i++)
		named |= peers[i].node_id == (uint32_t) paxoskv_node_id;
	if (!named)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("paxoskv.peers does not name this node"),
				 errdetail("paxoskv.node_id is %d, paxoskv.peers is \"%s\".", paxoskv_node_id, paxoskv_peers),
				 errhint("Give paxoskv.node_id its own number on each node, and paxoskv.peers the same list "
						 "on all of them.")));
	if (paxoskv_heartbeat_interval > paxoskv_election_timeout / 2)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIG_FILE_ERROR),
				 errmsg("paxoskv.heartbeat_interval must be at most half of paxoskv.election_timeout"),
				 errhint("Set paxoskv.heartbeat_interval lower, or paxoskv.election_timeout higher.")));
	if (paxoskv_secret_file[0] != '\0')
		return;
	for (int i = 0; i < n_listen; i++)
		if (!transport_is_loopback(listen[i]))
			ereport(ERROR,
					(errcode(ERRCODE_CONFIG_FILE_ERROR),
					 errmsg("paxoskv does not listen on \"%s\" without a secret", listen[i]),
					 errdetail("Whoever reaches that address could take part in the cluster."),
					 errhint("Set paxoskv.secret_file to a file with the same secret on all nodes, readable "
							 "by the server's user alone.")));
}
