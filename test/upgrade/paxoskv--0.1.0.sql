-- paxoskv 0.1.0
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
COMMENT ON COLUMN paxoskv.kv.value_kind IS '1: text';
COMMENT ON COLUMN paxoskv.kv.revision IS 'slot of the command that last changed the key';
COMMENT ON COLUMN paxoskv.kv.create_revision IS 'slot of the command that created the key';
COMMENT ON COLUMN paxoskv.kv.written_at IS 'clock of the node that the last change came from';
COMMENT ON COLUMN paxoskv.kv.hash IS 'hash of the row, a part of the state hash';

-- No row until the apply worker writes it.
CREATE TABLE paxoskv.state (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	store_id bytea NOT NULL,
	applied_slot bigint NOT NULL,
	state_hash bytea NOT NULL,
	row_count bigint NOT NULL,
	config bytea NOT NULL,
	sessions bytea NOT NULL
) WITH (
	fillfactor = 10,
	vacuum_truncate = off
);

COMMENT ON TABLE paxoskv.state IS 'how far the log is applied here; changed with the rows, in one transaction';

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

CREATE FUNCTION @extschema@.paxos_sync(consistency text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'paxos_sync'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION @extschema@.paxos_get(text, text, text) IS
	'the value of a key, NULL if it is absent; sees what other sessions wrote up to now, whatever the transaction''s snapshot';
COMMENT ON FUNCTION @extschema@.paxos_get_row(text, text, text) IS
	'the row of a key, none if it is absent; sees what other sessions wrote up to now, whatever the transaction''s snapshot';
COMMENT ON FUNCTION @extschema@.paxos_sync(text) IS
	'waits until plain queries here see all that was written before, and returns the slot reached';

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

COMMENT ON FUNCTION @extschema@.paxos_status() IS 'what this node is, who leads, and how far it is';
COMMENT ON FUNCTION @extschema@.paxos_log(bigint, bigint) IS
	'the chosen entries of this node''s log, one row for each operation';
COMMENT ON FUNCTION paxoskv.read_nodes() IS 'the rows of view paxoskv.nodes';

-- ---------------------------------------------------------------- views

CREATE VIEW paxoskv.data AS
SELECT kv.key, kv.value, kv.revision, kv.create_revision, kv.written_at
FROM paxoskv.kv
WHERE kv.partition OPERATOR(pg_catalog.=) 'default'::pg_catalog.text;

COMMENT ON VIEW paxoskv.data IS 'the keys of the default partition, as this node has applied them';

CREATE VIEW paxoskv.nodes AS
SELECT n.node_id, n.address, n.voter, n.leader, n.connected, n.self, n.applied_slot, n.lag_slots, n.lag_bytes,
	n.last_heard_at, n.trouble
FROM paxoskv.read_nodes() AS n;

COMMENT ON VIEW paxoskv.nodes IS 'the cluster''s nodes, as this one sees them';

-- ---------------------------------------------------------------- rights

REVOKE ALL ON ALL TABLES IN SCHEMA paxoskv FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA paxoskv FROM PUBLIC;
REVOKE ALL ON SCHEMA paxoskv FROM PUBLIC;

REVOKE ALL ON FUNCTION
	@extschema@.paxos_put(text, text, text, text),
	@extschema@.paxos_put(text, anyelement, text, text),
	@extschema@.paxos_delete(text, text, text),
	@extschema@.paxos_clear(text, text),
	@extschema@.paxos_clear_all(text, text),
	@extschema@.paxos_batch(text[], text[], text, text),
	@extschema@.paxos_get(text, text, text),
	@extschema@.paxos_get_row(text, text, text),
	@extschema@.paxos_sync(text),
	@extschema@.paxos_status(),
	@extschema@.paxos_log(bigint, bigint)
FROM PUBLIC;

GRANT USAGE ON SCHEMA paxoskv TO pg_monitor;
GRANT SELECT ON paxoskv.nodes TO pg_monitor;
GRANT EXECUTE ON FUNCTION paxoskv.read_nodes(), @extschema@.paxos_status() TO pg_monitor;

-- ---------------------------------------------------------------- last

-- Refuses a database that is not the one that the apply worker writes to, and wakes that worker at COMMIT.
CREATE FUNCTION paxoskv.extension_created()
RETURNS void
AS 'MODULE_PATHNAME', 'paxoskv_extension_created'
LANGUAGE C VOLATILE PARALLEL UNSAFE;

REVOKE ALL ON FUNCTION paxoskv.extension_created() FROM PUBLIC;

COMMENT ON FUNCTION paxoskv.extension_created() IS 'called once, by the install script';

SELECT paxoskv.extension_created();
