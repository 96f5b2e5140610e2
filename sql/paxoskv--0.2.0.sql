-- paxoskv 0.2.0
--
-- Functions that users call are in the extension's schema; tables, views and what they need are in schema
-- paxoskv.  Nobody but a superuser may use any of it until he grants it (README).

\echo Use "CREATE EXTENSION paxoskv" to load this file. \quit

CREATE SCHEMA paxoskv;

COMMENT ON SCHEMA paxoskv IS 'paxoskv: the replicated table and the views of its cluster';

-- ---------------------------------------------------------------- tables

-- Keys are compared bytewise on all nodes alike, whatever the database's collation: see the operator classes.
CREATE TABLE paxoskv.kv (
	partition text NOT NULL,
	key text NOT NULL,
	value text,
	value_kind smallint NOT NULL,
	revision bigint NOT NULL,
	create_revision bigint NOT NULL,
	written_at timestamptz NOT NULL,
	hash bytea NOT NULL
) WITH (
	fillfactor = 80,
	vacuum_truncate = off,
	autovacuum_vacuum_scale_factor = 0.01,
	autovacuum_vacuum_insert_scale_factor = 0.05,
	autovacuum_analyze_scale_factor = 0.05
);

ALTER TABLE paxoskv.kv ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE UNIQUE INDEX kv_key ON paxoskv.kv
	USING btree (partition pg_catalog.text_pattern_ops, key pg_catalog.text_pattern_ops);

ALTER TABLE paxoskv.kv REPLICA IDENTITY USING INDEX kv_key;

COMMENT ON TABLE paxoskv.kv IS 'the replicated rows of all partitions; only the apply worker writes here';
COMMENT ON COLUMN paxoskv.kv.partition IS 'the keyspace that the key belongs to';
COMMENT ON COLUMN paxoskv.kv.key IS 'unique in its partition; compared bytewise, whatever the database''s collation';
COMMENT ON COLUMN paxoskv.kv.value IS 'what was last put there';
COMMENT ON COLUMN paxoskv.kv.value_kind IS '1: text';
COMMENT ON COLUMN paxoskv.kv.revision IS 'slot of the command that last changed the key';
COMMENT ON COLUMN paxoskv.kv.create_revision IS 'slot of the command that created the key';
COMMENT ON COLUMN paxoskv.kv.written_at IS 'clock of the node that the last change came from';
COMMENT ON COLUMN paxoskv.kv.hash IS 'hash of the row, a part of the state hash';

-- What pg_dump takes along: the rows, and nothing of what makes this server a node of its cluster.
SELECT pg_catalog.pg_extension_config_dump('paxoskv.kv', '');

-- No row until the apply worker writes it.
CREATE TABLE paxoskv.state (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	store_id bytea NOT NULL,
	applied_slot bigint NOT NULL,
	state_hash bytea NOT NULL,
	row_count bigint NOT NULL,
	config bytea NOT NULL,
	sessions bytea NOT NULL,
	request_count bigint NOT NULL,
	newest_dropped bigint NOT NULL,
	diverged text
) WITH (
	fillfactor = 10,
	vacuum_truncate = off
);

COMMENT ON TABLE paxoskv.state IS 'how far the log is applied here; changed with the rows, in one transaction';

COMMENT ON COLUMN paxoskv.state.only_row IS 'true: there is one row at most';
COMMENT ON COLUMN paxoskv.state.store_id IS 'the log directory that this database follows; another one''s log is refused';
COMMENT ON COLUMN paxoskv.state.applied_slot IS 'through which slot the log is applied';
COMMENT ON COLUMN paxoskv.state.state_hash IS 'hash of all replicated rows: equal on all nodes at an equal slot';
COMMENT ON COLUMN paxoskv.state.row_count IS 'number of replicated rows';
COMMENT ON COLUMN paxoskv.state.config IS 'the cluster''s members, encoded';
COMMENT ON COLUMN paxoskv.state.sessions IS 'sessions that are open and what was applied of each, encoded';
COMMENT ON COLUMN paxoskv.state.request_count IS 'how many request ids are remembered';
COMMENT ON COLUMN paxoskv.state.newest_dropped IS 'slot of the newest request id that was forgotten';
COMMENT ON COLUMN paxoskv.state.diverged IS 'why this node applies nothing more: its rows are not the cluster''s';

-- What is remembered of request ids, given-up numbers and closed sessions; replicated, as the rows are.
CREATE TABLE paxoskv.requests (
	request_id text COLLATE "C" PRIMARY KEY,
	kind smallint NOT NULL,
	slot bigint NOT NULL UNIQUE,
	digest bytea NOT NULL,
	succeeded boolean NOT NULL,
	rows_removed bigint NOT NULL,
	details bytea,
	details_lost boolean NOT NULL,
	hash bytea NOT NULL
) WITH (
	vacuum_truncate = off,
	autovacuum_vacuum_scale_factor = 0.05
);

CREATE TABLE paxoskv.void_numbers (
	session bigint NOT NULL,
	number bigint NOT NULL,
	PRIMARY KEY (session, number)
);

CREATE TABLE paxoskv.closed_sessions (
	session bigint PRIMARY KEY,
	node_id integer NOT NULL,
	last_number bigint NOT NULL
);

COMMENT ON TABLE paxoskv.requests IS 'the last request ids with their first results: ask paxos_outcome()';
COMMENT ON COLUMN paxoskv.requests.request_id IS 'as the caller gave it';
COMMENT ON COLUMN paxoskv.requests.kind IS '1: applied, 2: given up, 3: given up when older ids had been forgotten';
COMMENT ON COLUMN paxoskv.requests.slot IS 'slot of the command, or of the fence that gave it up';
COMMENT ON COLUMN paxoskv.requests.digest IS 'of the command: another one under the same id is refused';
COMMENT ON COLUMN paxoskv.requests.succeeded IS 'whether the command''s condition held';
COMMENT ON COLUMN paxoskv.requests.rows_removed IS 'how many rows it removed';
COMMENT ON COLUMN paxoskv.requests.details IS 'what its operations gave, encoded';
COMMENT ON COLUMN paxoskv.requests.details_lost IS 'they were too large to be remembered';
COMMENT ON COLUMN paxoskv.requests.hash IS 'hash of the row, a part of the state hash';
COMMENT ON TABLE paxoskv.void_numbers IS 'numbers of commands that have no effect and never will';
COMMENT ON COLUMN paxoskv.void_numbers.session IS 'slot of the session''s beginning';
COMMENT ON COLUMN paxoskv.void_numbers.number IS 'the command''s number in its session';
COMMENT ON TABLE paxoskv.closed_sessions IS 'the last number that took effect in sessions that have ended';
COMMENT ON COLUMN paxoskv.closed_sessions.session IS 'slot of the session''s beginning';
COMMENT ON COLUMN paxoskv.closed_sessions.node_id IS 'the node whose session it was';
COMMENT ON COLUMN paxoskv.closed_sessions.last_number IS 'the last number that took effect';

-- ---------------------------------------------------------------- the type of a row

CREATE TYPE paxoskv.key_value AS (
	partition text,
	key text,
	value text,
	revision bigint,
	create_revision bigint,
	written_at timestamptz
);

COMMENT ON TYPE paxoskv.key_value IS 'one key with its value and revisions';
COMMENT ON COLUMN paxoskv.key_value.partition IS 'the keyspace that the key belongs to';
COMMENT ON COLUMN paxoskv.key_value.key IS 'unique in its partition';
COMMENT ON COLUMN paxoskv.key_value.value IS 'what was last put there';
COMMENT ON COLUMN paxoskv.key_value.revision IS 'slot of the command that last changed the key';
COMMENT ON COLUMN paxoskv.key_value.create_revision IS 'slot of the command that created the key';
COMMENT ON COLUMN paxoskv.key_value.written_at IS 'clock of the node that the last change came from: for people to read';

-- ---------------------------------------------------------------- writes

CREATE FUNCTION @extschema@.paxos_put(
	key text, value text, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_put'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_put(
	key text, value anyelement, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_put_any'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_delete(
	key text, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'paxos_delete'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_clear(partition text, request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_clear'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_clear_all(cluster_name text, request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_clear_all'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_batch(
	keys text[], vals text[], partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_batch'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_batch_json(
	pairs jsonb, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_batch_json_jsonb'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_batch_json(
	pairs json, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_batch_json_json'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_batch_json(
	pairs text, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_batch_json_text'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_insert(
	key text, value text, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'paxos_insert'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_update(
	key text, value text, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'paxos_update'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_cas(
	key text, expected text, value text, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'paxos_cas'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_cas_revision(
	key text, expected bigint, value text, partition text DEFAULT 'default', request_id text DEFAULT NULL)
RETURNS boolean
AS 'MODULE_PATHNAME', 'paxos_cas_revision'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_txn(
	checks jsonb, then_do jsonb, else_do jsonb, request_id text DEFAULT NULL)
RETURNS jsonb
AS 'MODULE_PATHNAME', 'paxos_txn'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_outcome(
	request_id text, give_up boolean DEFAULT false, OUT outcome text, OUT revision bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'paxos_outcome'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION @extschema@.paxos_put(text, text, text, text) IS
	'sets a key on all nodes and returns its revision; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_put(text, anyelement, text, text) IS
	'sets a key to the text of any value; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_delete(text, text, text) IS
	'deletes a key, true if it was there; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_clear(text, text) IS
	'deletes all keys of a partition and returns how many; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_clear_all(text, text) IS
	'deletes all keys of the cluster named so and returns how many; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_batch(text[], text[], text, text) IS
	'sets many keys in one step, all or nothing, and returns their revision; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_batch_json(jsonb, text, text) IS
	'sets the keys of a JSON object to its values in one step, all or nothing, and returns their revision; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_batch_json(json, text, text) IS
	'sets the keys of a JSON object to its values in one step, all or nothing, and returns their revision; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_batch_json(text, text, text) IS
	'sets the keys of a JSON object to its values in one step, all or nothing, and returns their revision; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_insert(text, text, text, text) IS
	'sets a key that is absent, true if it was; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_update(text, text, text, text) IS
	'sets a key that is there, true if it was; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_cas(text, text, text, text, text) IS
	'sets a key whose value is as expected (NULL: absent), true if it was; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_cas_revision(text, bigint, text, text, text) IS
	'sets a key whose revision is as expected (0: absent), true if it was; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_txn(jsonb, jsonb, jsonb, text) IS
	'checks several keys and does one of two lists of operations, all in one step; takes effect when it returns, whatever the transaction does';
COMMENT ON FUNCTION @extschema@.paxos_outcome(text, boolean) IS
	'what became of a request id or a command''s name: applied, not applied or unknown; give_up settles it';

-- ---------------------------------------------------------------- reads

CREATE FUNCTION @extschema@.paxos_get(
	key text, partition text DEFAULT 'default', consistency text DEFAULT NULL)
RETURNS text
AS 'MODULE_PATHNAME', 'paxos_get'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_get_row(
	key text, partition text DEFAULT 'default', consistency text DEFAULT NULL)
RETURNS SETOF paxoskv.key_value
AS 'MODULE_PATHNAME', 'paxos_get_row'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

CREATE FUNCTION @extschema@.paxos_get_many(
	keys text[], partition text DEFAULT 'default', consistency text DEFAULT NULL)
RETURNS SETOF paxoskv.key_value
AS 'MODULE_PATHNAME', 'paxos_get_many'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

CREATE FUNCTION @extschema@.paxos_range(
	start_key text DEFAULT NULL, end_key text DEFAULT NULL, max_rows bigint DEFAULT NULL,
	partition text DEFAULT 'default', consistency text DEFAULT NULL)
RETURNS SETOF paxoskv.key_value
AS 'MODULE_PATHNAME', 'paxos_range'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_prefix(
	prefix text, max_rows bigint DEFAULT NULL, partition text DEFAULT 'default', consistency text DEFAULT NULL)
RETURNS SETOF paxoskv.key_value
AS 'MODULE_PATHNAME', 'paxos_prefix'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_sync(consistency text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_sync'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_wait(revision bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_wait'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION @extschema@.paxos_get(text, text, text) IS
	'the value of a key, NULL if it is absent; sees what other sessions wrote up to now, whatever the transaction''s snapshot';
COMMENT ON FUNCTION @extschema@.paxos_get_row(text, text, text) IS
	'the row of a key, none if it is absent; sees what other sessions wrote up to now, whatever the transaction''s snapshot';
COMMENT ON FUNCTION @extschema@.paxos_get_many(text[], text, text) IS
	'the rows of some keys in bytewise key order, absent ones left out; sees what other sessions wrote up to now, whatever the transaction''s snapshot';
COMMENT ON FUNCTION @extschema@.paxos_range(text, text, bigint, text, text) IS
	'the rows from start_key on and before end_key in bytewise key order, as they are when it begins, whatever the transaction''s snapshot';
COMMENT ON FUNCTION @extschema@.paxos_prefix(text, bigint, text, text) IS
	'the rows whose keys begin with prefix in bytewise key order, as they are when it begins, whatever the transaction''s snapshot';
COMMENT ON FUNCTION @extschema@.paxos_sync(text) IS
	'waits until plain queries here see all that was written before, and returns the slot reached';
COMMENT ON FUNCTION @extschema@.paxos_wait(bigint) IS
	'waits until plain queries here see the write of that revision, made on any node, and returns the slot reached';

-- ---------------------------------------------------------------- status

CREATE FUNCTION @extschema@.paxos_status(
	OUT node_id integer,
	OUT role text,
	OUT leader_id integer,
	OUT ballot text,
	OUT epoch bigint,
	OUT first_slot bigint,
	OUT last_slot bigint,
	OUT chosen_slot bigint,
	OUT applied_slot bigint,
	OUT log_bytes bigint,
	OUT state_hash text,
	OUT row_count bigint,
	OUT cluster_name text,
	OUT cluster_id text,
	OUT store_id text,
	OUT quorum boolean,
	OUT session bigint,
	OUT run bigint,
	OUT elections bigint,
	OUT commands bigint,
	OUT syncs bigint,
	OUT detail text)
RETURNS record
AS 'MODULE_PATHNAME', 'paxos_status_sql'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION @extschema@.paxos_log(
	first_slot bigint DEFAULT NULL,
	max_rows bigint DEFAULT 100,
	OUT slot bigint,
	OUT epoch bigint,
	OUT ballot text,
	OUT kind text,
	OUT node_id integer,
	OUT session bigint,
	OUT number bigint,
	OUT request_id text,
	OUT operation integer,
	OUT partition text,
	OUT key text,
	OUT value text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'paxos_log'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;

CREATE FUNCTION @extschema@.paxos_trim()
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_trim'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION paxoskv.read_nodes(
	OUT node_id integer,
	OUT address text,
	OUT voter boolean,
	OUT leader boolean,
	OUT connected boolean,
	OUT self boolean,
	OUT applied_slot bigint,
	OUT lag_slots bigint,
	OUT lag_bytes bigint,
	OUT last_heard_at timestamptz,
	OUT trouble text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'paxoskv_read_nodes'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 3;

CREATE FUNCTION @extschema@.paxos_verify(
	slot bigint DEFAULT NULL,
	OUT node_id integer,
	OUT slot bigint,
	OUT state_hash text,
	OUT rows bigint,
	OUT agrees boolean)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'paxos_verify'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 3;

CREATE FUNCTION @extschema@.paxos_resync()
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_resync'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION paxoskv.read_stat_log(
	OUT first_slot bigint,
	OUT last_slot bigint,
	OUT log_bytes bigint,
	OUT scrub_slot bigint,
	OUT last_scrub_at timestamptz)
RETURNS record
AS 'MODULE_PATHNAME', 'paxoskv_read_stat_log'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

CREATE FUNCTION paxoskv.read_snapshot_progress(
	OUT pid integer,
	OUT role text,
	OUT node_id integer,
	OUT phase text,
	OUT slot bigint,
	OUT rows_total bigint,
	OUT rows_done bigint,
	OUT bytes_total bigint,
	OUT bytes_done bigint,
	OUT started_at timestamptz)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'paxoskv_read_snapshot_progress'
LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION @extschema@.paxos_status() IS
	'one row: what this node is, who leads, how far it is, and in detail what is wrong, if anything is; works in every state of the node';
COMMENT ON FUNCTION @extschema@.paxos_log(bigint, bigint) IS
	'the chosen entries of this node''s log, one row for each operation';
COMMENT ON FUNCTION @extschema@.paxos_trim() IS
	'has this node''s log begin behind what its table and those of the connected nodes hold, and returns the first slot that it has then';
COMMENT ON FUNCTION @extschema@.paxos_verify(bigint) IS
	'recomputes the state hash from the rows on all nodes and says whose is not the cluster''s: such a node stops applying';
COMMENT ON FUNCTION @extschema@.paxos_resync() IS
	'takes the rows of another node in place of this one''s, where they are not the cluster''s; returns the slot that they are as of';
COMMENT ON FUNCTION paxoskv.read_stat_log() IS 'the row of view paxoskv.stat_log';
COMMENT ON FUNCTION paxoskv.read_snapshot_progress() IS 'the rows of view paxoskv.snapshot_progress';
COMMENT ON FUNCTION paxoskv.read_nodes() IS 'the rows of view paxoskv.nodes';

-- ---------------------------------------------------------------- views

CREATE VIEW paxoskv.data AS
SELECT kv.key, kv.value, kv.revision, kv.create_revision, kv.written_at
FROM paxoskv.kv
WHERE kv.partition OPERATOR(pg_catalog.=) 'default'::pg_catalog.text;

COMMENT ON VIEW paxoskv.data IS
	'the keys of the default partition, as this node has applied them: call paxos_sync() before a query that must see the latest';
COMMENT ON COLUMN paxoskv.data.key IS 'unique; compared bytewise, whatever the database''s collation';
COMMENT ON COLUMN paxoskv.data.value IS 'what was last put there';
COMMENT ON COLUMN paxoskv.data.revision IS 'slot of the command that last changed the key';
COMMENT ON COLUMN paxoskv.data.create_revision IS 'slot of the command that created the key';
COMMENT ON COLUMN paxoskv.data.written_at IS 'clock of the node that the last change came from: for people to read';

CREATE VIEW paxoskv.nodes AS
SELECT n.node_id, n.address, n.voter, n.leader, n.connected, n.self, n.applied_slot, n.lag_slots, n.lag_bytes,
	n.last_heard_at, n.trouble
FROM paxoskv.read_nodes() AS n;

COMMENT ON VIEW paxoskv.nodes IS 'the cluster''s nodes, as this one sees them';
COMMENT ON COLUMN paxoskv.nodes.node_id IS 'its paxoskv.node_id';
COMMENT ON COLUMN paxoskv.nodes.address IS 'where the others reach it';
COMMENT ON COLUMN paxoskv.nodes.voter IS 'whether it counts for a majority';
COMMENT ON COLUMN paxoskv.nodes.leader IS 'whether this node follows it as the leader';
COMMENT ON COLUMN paxoskv.nodes.connected IS 'whether this node can speak with it now';
COMMENT ON COLUMN paxoskv.nodes.self IS 'whether it is this node';
COMMENT ON COLUMN paxoskv.nodes.applied_slot IS 'through which slot its database has the log, as last heard';
COMMENT ON COLUMN paxoskv.nodes.lag_slots IS 'how many chosen slots its database does not have yet; NULL: not known';
COMMENT ON COLUMN paxoskv.nodes.lag_bytes IS 'how many bytes of the log it does not have yet; NULL: not known, only the leader knows';
COMMENT ON COLUMN paxoskv.nodes.last_heard_at IS 'when this node last heard of it';
COMMENT ON COLUMN paxoskv.nodes.trouble IS 'what is wrong with it, or stands in the way of forming the cluster; NULL: nothing';

CREATE VIEW paxoskv.stat_log AS
SELECT s.first_slot, s.last_slot, s.log_bytes, s.scrub_slot, s.last_scrub_at
FROM paxoskv.read_stat_log() AS s;

COMMENT ON VIEW paxoskv.stat_log IS 'this node''s log';
COMMENT ON COLUMN paxoskv.stat_log.first_slot IS 'the first slot that it still has';
COMMENT ON COLUMN paxoskv.stat_log.last_slot IS 'the last one';
COMMENT ON COLUMN paxoskv.stat_log.log_bytes IS 'size of its files, without those kept ready';
COMMENT ON COLUMN paxoskv.stat_log.scrub_slot IS 'it is being read through again, from this slot on; NULL: it is not';
COMMENT ON COLUMN paxoskv.stat_log.last_scrub_at IS 'when it was last read through, by a start or after it, and found whole or mended';

CREATE VIEW paxoskv.snapshot_progress AS
SELECT s.pid, s.role, s.node_id, s.phase, s.slot, s.rows_total, s.rows_done, s.bytes_total, s.bytes_done, s.started_at
FROM paxoskv.read_snapshot_progress() AS s;

COMMENT ON VIEW paxoskv.snapshot_progress IS 'tables on their way from this node to another one, or from another one to it';
COMMENT ON COLUMN paxoskv.snapshot_progress.pid IS 'the process that reads or loads the rows; NULL: not yet, or no longer';
COMMENT ON COLUMN paxoskv.snapshot_progress.role IS 'sending or receiving';
COMMENT ON COLUMN paxoskv.snapshot_progress.node_id IS 'the other node';
COMMENT ON COLUMN paxoskv.snapshot_progress.phase IS 'what it is doing';
COMMENT ON COLUMN paxoskv.snapshot_progress.slot IS 'as of which slot the rows are; NULL: not yet known';
COMMENT ON COLUMN paxoskv.snapshot_progress.rows_total IS 'rows of paxoskv.kv to be sent';
COMMENT ON COLUMN paxoskv.snapshot_progress.rows_done IS 'how many of them were';
COMMENT ON COLUMN paxoskv.snapshot_progress.bytes_total IS 'size of the table on the sender''s disk: an estimate of the bytes to be sent';
COMMENT ON COLUMN paxoskv.snapshot_progress.bytes_done IS 'how many were';
COMMENT ON COLUMN paxoskv.snapshot_progress.started_at IS 'when it began';

-- ---------------------------------------------------------------- rights

REVOKE ALL ON ALL TABLES IN SCHEMA paxoskv FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA paxoskv FROM PUBLIC;
REVOKE ALL ON SCHEMA paxoskv FROM PUBLIC;
REVOKE ALL ON TYPE paxoskv.key_value, paxoskv.kv, paxoskv.state, paxoskv.requests, paxoskv.void_numbers,
	paxoskv.closed_sessions, paxoskv.data, paxoskv.nodes, paxoskv.stat_log, paxoskv.snapshot_progress FROM PUBLIC;

REVOKE ALL ON FUNCTION
	@extschema@.paxos_put(text, text, text, text),
	@extschema@.paxos_put(text, anyelement, text, text),
	@extschema@.paxos_delete(text, text, text),
	@extschema@.paxos_clear(text, text),
	@extschema@.paxos_clear_all(text, text),
	@extschema@.paxos_batch(text[], text[], text, text),
	@extschema@.paxos_batch_json(jsonb, text, text),
	@extschema@.paxos_batch_json(json, text, text),
	@extschema@.paxos_batch_json(text, text, text),
	@extschema@.paxos_insert(text, text, text, text),
	@extschema@.paxos_update(text, text, text, text),
	@extschema@.paxos_cas(text, text, text, text, text),
	@extschema@.paxos_cas_revision(text, bigint, text, text, text),
	@extschema@.paxos_txn(jsonb, jsonb, jsonb, text),
	@extschema@.paxos_outcome(text, boolean),
	@extschema@.paxos_get(text, text, text),
	@extschema@.paxos_get_row(text, text, text),
	@extschema@.paxos_get_many(text[], text, text),
	@extschema@.paxos_range(text, text, bigint, text, text),
	@extschema@.paxos_prefix(text, bigint, text, text),
	@extschema@.paxos_sync(text),
	@extschema@.paxos_wait(bigint),
	@extschema@.paxos_status(),
	@extschema@.paxos_log(bigint, bigint),
	@extschema@.paxos_verify(bigint),
	@extschema@.paxos_trim(),
	@extschema@.paxos_resync()
FROM PUBLIC;

GRANT USAGE ON SCHEMA paxoskv TO pg_monitor;
GRANT SELECT ON paxoskv.nodes, paxoskv.stat_log, paxoskv.snapshot_progress TO pg_monitor;
GRANT EXECUTE ON FUNCTION paxoskv.read_nodes(), paxoskv.read_stat_log(), paxoskv.read_snapshot_progress(), @extschema@.paxos_status() TO pg_monitor;

-- ---------------------------------------------------------------- last

-- Refuses a database that is not the one that the apply worker writes to, and wakes that worker at COMMIT.
CREATE FUNCTION paxoskv.extension_created()
RETURNS void
AS 'MODULE_PATHNAME', 'paxoskv_extension_created'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

REVOKE ALL ON FUNCTION paxoskv.extension_created() FROM PUBLIC;

COMMENT ON FUNCTION paxoskv.extension_created() IS 'called once, by the install script';

SELECT paxoskv.extension_created();
