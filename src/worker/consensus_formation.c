/*
 * consensus_formation.c - from an empty log to a core: formation (PROTOCOL F), what its messages and its
 * blob need of the host, and whether log and database belong together (D3, D6).
 */
#include "postgres.h"

#include "worker/consensus.h"
#include "worker/settings.h"

/* X7: every kind and feature of this version. */
#define NODE_FEATURES 0

/* How often a member that was not heard is asked again. */
#define FORMATION_RETRY_MS 250

/* ---------------------------------------------------------------- transport */

static void log_transport(void *context, enum transport_level level, const char *text)
{
	if (level == TRANSPORT_WARNING)
		ereport(WARNING, (errmsg("paxoskv: %s", text)));
	else
		ereport(level == TRANSPORT_LOG ? LOG : DEBUG1, (errmsg("paxoskv: %s", text)));
}

/* Where to listen: the setting, or the address under which the others know this node. */
static void set_listen(struct transport_options *options)
{
	const struct paxos_config *config = formation_activated(&consensus.formation);

	options->n_listen = (uint32_t) paxoskv_settings_listen(options->listen, TRANSPORT_MAX_LISTEN);
	if (options->n_listen > 0 || config == NULL)
		return;
	for (uint32 i = 0; i < config->n_members; i++)
		if (config->members[i].node_id == (uint32_t) paxoskv_node_id && config->members[i].address[0] != '\0')
			strlcpy(options->listen[options->n_listen++], config->members[i].address, PAXOS_ADDRESS_MAX + 1);
}

static void create_transport(const struct formation_options *formation)
{
	struct transport_options options = {
		.node_id = formation->node_id,
		.store_id = formation->store_id,
		.run = consensus.state.run,
		.nonce = consensus.nonce,
		.seed = consensus.seed,
		.faults = {.drop_rate = paxoskv_drop_rate,
				   .fail_rate = paxoskv_fail_rate,
				   .delay_ms = (uint32_t) paxoskv_delay},
		.log = log_transport,
	};
	char error[TRANSPORT_ERROR_MAX];
	char secret[TRANSPORT_SECRET_MAX + 1];

	strlcpy(options.cluster_name, formation->cluster_name, sizeof(options.cluster_name));
	options.n_peers = formation->n_peers;
	for (uint32 i = 0; i < formation->n_peers; i++)
	{
		options.peers[i].node_id = formation->peers[i].node_id;
		strlcpy(options.peers[i].address, formation->peers[i].address, sizeof(options.peers[i].address));
	}
	set_listen(&options);
	options.secret_length = consensus_read_secret(secret);
	options.secret = options.secret_length > 0 ? (uint8_t *) secret : NULL;
	consensus.transport = transport_create(&options, error);
	explicit_bzero(secret, sizeof(secret));
	if (consensus.transport == NULL)
		consensus_stay_dormant("dormant", ADMIT_DORMANT, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
							   "cannot reach other nodes", error, NULL);
}

/* ---------------------------------------------------------------- start */

bool formation_alone(void)
{
	const struct paxos_config *config = formation_activated(&consensus.formation);

	return config != NULL ? config->n_members == 1 : consensus.formation.options.n_peers == 1;
}

/*
 * F3, F5: this node has agreed and not written it down yet: from now on nothing is loaded any more.  False: something was
 * since it looked.
 */
static bool settle_base(void)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->agreed = shared->agreed || shared->report.has_state || shared->report.base_loads == shared->loads;
	LWLockRelease(shared->status_lock);
	return shared->agreed;
}

/* F5: tells the formation what the apply worker found in the table. */
static void take_base(void)
{
	PaxosShared *shared = paxos_shared;
	struct paxos_base base;
	bool known;

	LWLockAcquire(shared->status_lock, LW_SHARED);
	known = shared->report.database == DATABASE_READY && shared->report.base_known &&
			shared->report.base_loads == shared->loads;
	base = shared->report.base;
	LWLockRelease(shared->status_lock);
	if (known != consensus.formation.base_known || (known && !base_same(&base, &consensus.formation.base)))
		formation_set_base(&consensus.formation, known ? &base : NULL);
}

/* Through which slot the database holds everything; what its cluster began with counts before the first command. */
static uint64 database_applied(void)
{
	const struct paxos_config *config = formation_activated(&consensus.formation);
	ApplyReport *report = &paxos_shared->report;
	uint64 applied = pg_atomic_read_u64(&paxos_shared->applied_slot);

	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	if (config != NULL && !report->has_state && report->base_known && base_same(&report->base, &config->base))
		applied = Max(applied, config->base.slot);
	LWLockRelease(paxos_shared->status_lock);
	return applied;
}

static void publish_config(const struct paxos_config *config)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->config_length = config_encode(config, shared->config, sizeof(shared->config));
	shared->member = true;
	LWLockRelease(shared->status_lock);
	shmem_wake_apply();
}

static void refuse_peers_of_one(void)
{
	struct formation_peer peers[PAXOS_MAX_MEMBERS];
	char detail[200];

	if (formation_activated(&consensus.formation) == NULL || !formation_alone() ||
		paxoskv_settings_peers(peers) == 1)
		return;
	snprintf(detail, sizeof(detail), "Node %d has formed a cluster of one; paxoskv.peers now names others.",
			 paxoskv_node_id);
	consensus_stay_dormant(
		"dormant", ADMIT_DORMANT, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		"paxoskv.peers cannot widen a cluster that has formed", detail,
		"Unset paxoskv.peers to go on alone. To start anew as one of several nodes, stop the "
		"server and remove its log directory; start it, drop and create the extension, and restart it.");
}

void formation_start(void)
{
	struct formation_options options = {
		.node_id = (uint32_t) paxoskv_node_id,
		.store_id = consensus.state.store_id,
		.features = NODE_FEATURES,
		.retry_ms = FORMATION_RETRY_MS,
	};

	strlcpy(options.cluster_name, paxoskv_cluster_name, sizeof(options.cluster_name));
	options.n_peers = (uint32_t) paxoskv_settings_peers(options.peers);
	consensus_random(&options.new_cluster_id, sizeof(options.new_cluster_id));
	if (!formation_init(&consensus.formation, &options, consensus.state.config, consensus.state.config_length,
						consensus.now_ms))
		consensus_stay_dormant("dormant", ADMIT_DORMANT, ERRCODE_DATA_CORRUPTED,
							   "the configuration in the log's metadata cannot be read",
							   "It was written by a later version, or it is damaged.",
							   "Start the version that wrote it, or replace this node under a new id.");
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	paxos_shared->agreed = consensus.formation.have_proposal;
	LWLockRelease(paxos_shared->status_lock);
	take_base();
	if (formation_activated(&consensus.formation) != NULL)
		publish_config(formation_activated(&consensus.formation));
	refuse_peers_of_one();
	if (!formation_alone())
		create_transport(&options);
}

/* ---------------------------------------------------------------- step */

/* F5: the cluster has formed, perhaps in a life that ended there: the log does not say yet where it begins. */
static bool log_is_to_begin(const struct paxos_config *config)
{
	const struct paxos_durable_state *state = &consensus.state.paxos;

	return config != NULL && config->base.slot > 0 && state->first_slot <= 1 && state->end == 0;
}

/* F5: the new log's first slot is the one behind what the cluster begins with.  False: no space, now. */
static bool begin_behind_base(const struct paxos_config *config)
{
	struct paxos_durable_state *state = &consensus.state.paxos;
	struct plog_error error;
	enum plog_code code;

	if (!log_is_to_begin(config))
		return true;
	code = plog_trim(consensus.log, config->base.slot + 1, &error);
	if (code == PLOG_NO_SPACE)
		return false;
	if (code != PLOG_OK)
		consensus_log_failed(&error);
	state->first_slot = config->base.slot + 1;
	state->end = config->base.slot;
	return true;
}

static void activate(void)
{
	const struct paxos_config *config = formation_activated(&consensus.formation);

	if (consensus.core != NULL || config == NULL || !begin_behind_base(config))
		return;
	consensus.config = *config;
	publish_config(config);
	host_create_core(database_applied());
	report_member();
	status_refresh(true);
	status_publish(true);
}

/* What was agreed to was neither written down nor sent. */
static void begin_formation_again(void)
{
	struct formation_options options = consensus.formation.options;
	bool first_command = consensus.formation.first_command;

	(void) formation_init(&consensus.formation, &options, NULL, 0, consensus.now_ms);
	take_base();
	if (first_command)
		formation_first_command(&consensus.formation);
}

void formation_step(void)
{
	struct formation *formation = &consensus.formation;
	struct formation_message message;
	uint8_t blob[FORMATION_BLOB_MAX];
	struct plog_error error;

	if (consensus.core == NULL)
		take_base();
	formation_tick(formation, consensus.now_ms);
	/* What is said of the other members changes by time and by their messages. */
	if (consensus.core == NULL && !formation_alone())
		consensus.status_due = true;
	if (formation_dirty(formation))
	{
		uint32 length = formation_blob(formation, blob);

		if (!settle_base())
		{
			begin_formation_again();
			return;
		}
		if (plog_set_config(consensus.log, blob, length, &error) != PLOG_OK)
			consensus_log_failed(&error);
		formation_durable(formation);
		consensus.status_due = true;
	}
	while (formation_next_message(formation, &message))
		if (consensus.transport != NULL)
			transport_send_formation(consensus.transport, &message);
	activate();
}

/* ---------------------------------------------------------------- words */

static const char *formation_trouble_text(enum formation_trouble trouble)
{
	switch (trouble)
	{
		case FORMATION_FINE:
			return "";
		case FORMATION_NOT_HEARD:
			return "not heard of yet";
		case FORMATION_LISTS_DIFFER:
			return "its paxoskv.peers differs";
		case FORMATION_OTHER_STORE:
			return "its cluster knows this node id with another log directory";
		case FORMATION_ACKNOWLEDGED_ANOTHER:
			return "it has agreed to another cluster";
		case FORMATION_OTHER_CLUSTER:
			return "it belongs to a cluster that does not know this node";
		case FORMATION_NOT_READY:
			return "its database is not ready";
		case FORMATION_BASES_DIFFER:
			return "its rows are not the same as here";
	}
	return "unknown trouble";
}

/* How their list differs from ours, for the first difference found. */
static void describe_difference(char *text, size_t size, uint32 index)
{
	const struct formation_options *ours = &consensus.formation.options;
	const struct formation_peer *theirs = consensus.formation.peers[index].their_peers;
	uint32 n_theirs = consensus.formation.peers[index].n_their_peers;

	for (uint32 i = 0; i < Max(ours->n_peers, n_theirs); i++)
	{
		const char *we = i < ours->n_peers ? ours->peers[i].address : "nothing";
		const char *they = i < n_theirs ? theirs[i].address : "nothing";
		uint32 our_id = i < ours->n_peers ? ours->peers[i].node_id : 0;
		uint32 their_id = i < n_theirs ? theirs[i].node_id : 0;

		if (our_id == their_id && strcmp(we, they) == 0)
			continue;
		snprintf(text, size, " (entry %u: here %u=%s, there %u=%s)", i + 1, our_id, we, their_id, they);
		return;
	}
}

/* F5: what each would begin with. */
static void describe_bases(char *text, size_t size, uint32 index)
{
	uint64 ours = consensus.formation.base.slot;
	uint64 theirs = consensus.formation.peers[index].base.slot;

	if (ours == theirs)
		snprintf(text, size, " (both up to revision %llu)", (unsigned long long) ours);
	else if (ours == 0 || theirs == 0)
		snprintf(text, size, " (%s none, %s up to revision %llu)", ours == 0 ? "here" : "there",
				 ours == 0 ? "there" : "here", (unsigned long long) Max(ours, theirs));
	else
		snprintf(text, size, " (here up to revision %llu, there up to revision %llu)",
				 (unsigned long long) ours, (unsigned long long) theirs);
}

/* What stands between this node and one that was not heard, if the transport knows. */
static void describe_connection(char *text, size_t size, uint32 node_id)
{
	char error[TRANSPORT_ERROR_MAX];

	if (consensus.transport != NULL && transport_peer_error(consensus.transport, node_id, error))
		snprintf(text, size, " (%s)", error);
}

void formation_describe_peer(char *text, size_t size, uint32 index)
{
	const struct formation *formation = &consensus.formation;
	enum formation_trouble trouble = formation->peers[index].trouble;
	char more[Max(2 * PAXOS_ADDRESS_MAX + 80, TRANSPORT_ERROR_MAX + 4)] = "";

	if (trouble == FORMATION_LISTS_DIFFER)
		describe_difference(more, sizeof(more), index);
	else if (trouble == FORMATION_BASES_DIFFER)
		describe_bases(more, sizeof(more), index);
	else if (trouble == FORMATION_NOT_HEARD)
		describe_connection(more, sizeof(more), formation->options.peers[index].node_id);
	snprintf(text, size, "%s%s", formation_trouble_text(trouble), more);
}

void formation_describe(char *text, size_t size)
{
	const struct formation *formation = &consensus.formation;
	size_t used = 0;

	text[0] = '\0';
	if (formation->state == FORMATION_ACTIVATED)
		return;
	if (formation->state == FORMATION_OUTSIDER)
	{
		strlcpy(text, "The cluster has formed with another log directory under this node's id.", size);
		return;
	}
	for (uint32 i = 0; i < formation->options.n_peers; i++)
	{
		char trouble[512];

		if (formation->options.peers[i].node_id == formation->options.node_id ||
			formation->peers[i].trouble == FORMATION_FINE)
			continue;
		formation_describe_peer(trouble, sizeof(trouble), i);
		used += snprintf(text + used, size - used, "%sNode %u at %s: %s", used > 0 ? "; " : "",
						 formation->options.peers[i].node_id, formation->options.peers[i].address, trouble);
		if (used >= size)
			return;
	}
	if (used > 0 && used + 1 < size)
		strlcat(text, ".", size);
}

/* ---------------------------------------------------------------- log and database */

static void refuse_foreign_database(void)
{
	consensus_stay_dormant(
		"outsider", ADMIT_OUTSIDER, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		"the database follows another log directory",
		"The log directory is new, or from another server; what this node promised is not in it, "
		"so it must not vote.",
		"Put the old log directory back (paxoskv.log_directory), or let this server join as a "
		"new node, under a new paxoskv.node_id.");
}

static void refuse_database_ahead(uint64 applied)
{
	char detail[200];

	snprintf(detail, sizeof(detail), "The database has applied slot %llu, the log ends at slot %llu.",
			 (unsigned long long) applied, (unsigned long long) consensus.state.paxos.end);
	consensus_stay_dormant(
		"damaged", ADMIT_DORMANT, ERRCODE_DATA_CORRUPTED, "the log ends before what the database has applied",
		detail,
		"The log directory is an old copy, or it has lost its end. Put the right one back, or let "
		"this server join as a new node, under a new paxoskv.node_id.");
}

static void refuse_log_ahead(uint64 applied, uint64 first_slot)
{
	char detail[200];

	snprintf(detail, sizeof(detail), "The database has applied slot %llu, the log begins at slot %llu.",
			 (unsigned long long) applied, (unsigned long long) first_slot);
	consensus_stay_dormant("dormant", ADMIT_DORMANT, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						   "the log begins behind what the database has applied", detail,
						   "Let this server join as a new node, under a new paxoskv.node_id.");
}

/* T5: the database holds the table that the log said was being installed; what was left to do is done. */
static void finish_restore(uint64 slot)
{
	struct paxos_restored restored = {.slot = slot}; /* this run has no session in it */
	struct plog_error error;
	enum plog_code code;

	if (consensus.core != NULL)
		host_pump_writes();
	/* Without space the record waits: nothing that is accepted before it becomes durable does either. */
	code = plog_trim(consensus.log, slot + 1, &error);
	if (code != PLOG_OK && code != PLOG_NO_SPACE)
		consensus_log_failed(&error);
	ereport(LOG, (errmsg("paxoskv has finished loading another node's rows as of slot %llu",
						 (unsigned long long) slot)));
	plog_refresh_state(consensus.log, &consensus.state);
	if (consensus.core == NULL)
		return;
	host_restored(&restored);
	status_refresh(true);
}

/* Its transaction never committed: the database is what it was before. */
static void forget_restore(void)
{
	host_give_up_restore();
	consensus.state.restoring = 0;
}

/* Older than the log: another node's table is needed, if there is one. */
static void check_older_database(uint64 applied)
{
	uint64 first_slot = consensus.state.paxos.first_slot;

	if (formation_alone())
		refuse_log_ahead(applied, first_slot);
	ereport(LOG, (errmsg("paxoskv: the database is older than the log: it gets its rows from another node"),
				  errdetail("It has applied slot %llu, the log begins at slot %llu.",
							(unsigned long long) applied, (unsigned long long) first_slot)));
}

void formation_check_database(void)
{
	PaxosShared *shared = paxos_shared;
	ApplyReport *report = &shared->report;
	bool foreign;
	bool ready;
	uint64 applied = database_applied();
	uint64 end;
	struct paxos_status status;

	LWLockAcquire(shared->status_lock, LW_SHARED);
	ready = report->database == DATABASE_READY;
	foreign = ready && report->has_state &&
			  memcmp(&report->store_id, &consensus.state.store_id, sizeof(report->store_id)) != 0;
	LWLockRelease(shared->status_lock);
	if (foreign)
		refuse_foreign_database();
	if (ready && consensus.state.restoring != 0)
	{
		if (applied == consensus.state.restoring)
			finish_restore(applied);
		else
			forget_restore();
	}
	if (consensus.core != NULL)
	{
		paxos_status(consensus.core, &status);
		end = status.end;
	}
	else if (log_is_to_begin(formation_activated(&consensus.formation)))
		end = formation_activated(&consensus.formation)->base.slot;
	else
		end = consensus.state.paxos.end;
	if (applied > end && applied != consensus.state.restoring && !consensus.state.paxos.damage.damaged)
		refuse_database_ahead(applied);
	if (ready && (consensus.core == NULL || formation_alone()) &&
		applied + 1 < consensus.state.paxos.first_slot)
		check_older_database(applied);
}
