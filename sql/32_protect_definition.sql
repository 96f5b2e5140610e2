-- The definition of the replicated table: what nobody may change, and the little that may be adjusted.
\set VERBOSITY terse
SELECT paxos_put('safe', 'value') > 0 AS put;
\getenv directory PG_ABS_SRCDIR
\set common :directory '/sql/protect.psql'
\i :common
SELECT pg_temp.everything() AS before \gset
SET ROLE regress_paxoskv_owner;
CREATE TABLE mine (partition text, key text);
CREATE TABLE alike (LIKE paxoskv.kv INCLUDING ALL);
CREATE TABLE tree (LIKE paxoskv.kv) PARTITION BY LIST (partition);
CREATE FUNCTION on_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
RESET ROLE;

-- columns, names, constraints, and all else that ALTER knows
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$ALTER TABLE paxoskv.kv ADD COLUMN more text$$,
	$$ALTER TABLE IF EXISTS ONLY paxoskv.kv DROP COLUMN value$$,
	$$ALTER TABLE paxoskv.kv DROP COLUMN none, SET (fillfactor = 50)$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN value TYPE varchar$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN value SET DEFAULT ''$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN value SET NOT NULL$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN key DROP NOT NULL$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN revision ADD GENERATED ALWAYS AS IDENTITY$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN value SET STORAGE PLAIN$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN value SET COMPRESSION pglz$$,
	$$ALTER TABLE paxoskv.kv ADD CONSTRAINT c CHECK (value <> '')$$,
	$$ALTER TABLE paxoskv.kv ADD CONSTRAINT c CHECK (value <> '') NOT VALID$$,
	$$ALTER TABLE paxoskv.kv ADD PRIMARY KEY USING INDEX kv_key$$,
	$$ALTER TABLE paxoskv.kv ADD FOREIGN KEY (key) REFERENCES mine$$,
	$$ALTER TABLE paxoskv.state DROP CONSTRAINT state_pkey$$,
	$$ALTER TABLE paxoskv.state DROP CONSTRAINT state_only_row_check$$,
	$$ALTER TABLE paxoskv.state RENAME CONSTRAINT state_pkey TO other$$,
	$$ALTER TABLE paxoskv.kv RENAME TO other$$,
	$$ALTER TABLE paxoskv.kv RENAME COLUMN value TO other$$,
	$$ALTER VIEW paxoskv.kv RENAME TO other$$,
	$$ALTER INDEX paxoskv.kv RENAME TO other$$,
	$$ALTER TYPE paxoskv.kv RENAME ATTRIBUTE value TO other$$,
	$$ALTER TYPE paxoskv.kv ADD ATTRIBUTE more text$$,
	$$ALTER TABLE paxoskv.kv SET SCHEMA public$$,
	$$ALTER TABLE paxoskv.kv SET UNLOGGED$$,
	$$ALTER TABLE paxoskv.kv SET LOGGED$$,
	$$ALTER TABLE paxoskv.kv SET ACCESS METHOD heap$$,
	$$ALTER TABLE paxoskv.kv REPLICA IDENTITY NOTHING$$,
	$$ALTER TABLE paxoskv.kv ENABLE ROW LEVEL SECURITY$$,
	$$ALTER TABLE paxoskv.kv FORCE ROW LEVEL SECURITY$$,
	$$ALTER TABLE paxoskv.kv DISABLE TRIGGER ALL$$,
	$$ALTER TABLE paxoskv.kv DISABLE RULE r$$,
	$$ALTER TABLE paxoskv.kv OF paxoskv.key_value$$,
	$$ALTER TABLE paxoskv.kv NOT OF$$,
	$$ALTER TABLE paxoskv.kv SET (user_catalog_table = on)$$,
	$$ALTER INDEX paxoskv.kv_key RENAME TO other$$,
	$$ALTER TABLE paxoskv.kv_key RENAME TO other$$,
	$$ALTER INDEX paxoskv.kv_key DEPENDS ON EXTENSION plpgsql$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- what hangs on a table: indexes, triggers, rules, policies, foreign keys
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$CREATE INDEX ON paxoskv.kv (value)$$,
	$$CREATE UNIQUE INDEX CONCURRENTLY ON ONLY paxoskv.kv (value)$$,
	$$CREATE INDEX ON paxoskv.kv (key) WHERE partition = 'default'$$,
	$$CREATE TRIGGER t BEFORE INSERT ON paxoskv.kv FOR EACH ROW EXECUTE FUNCTION on_row()$$,
	$$CREATE TRIGGER t AFTER TRUNCATE ON paxoskv.kv EXECUTE FUNCTION on_row()$$,
	$$CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON paxoskv.kv FOR EACH ROW EXECUTE FUNCTION on_row()$$,
	$$CREATE RULE r AS ON DELETE TO paxoskv.kv DO INSTEAD NOTHING$$,
	$$CREATE RULE r AS ON UPDATE TO paxoskv.kv DO ALSO INSERT INTO mine VALUES (NEW.partition, NEW.key)$$,
	$$CREATE RULE "_RETURN" AS ON SELECT TO paxoskv.kv DO INSTEAD SELECT * FROM alike$$,
	$$CREATE POLICY p ON paxoskv.kv$$,
	$$ALTER TABLE mine ADD FOREIGN KEY (partition, key) REFERENCES paxoskv.kv (partition, key)$$,
	$$ALTER TABLE mine ADD FOREIGN KEY (partition, key) REFERENCES paxoskv.kv (partition, key) ON DELETE CASCADE NOT VALID$$,
	$$CREATE TABLE refers (partition text, key text, FOREIGN KEY (partition, key) REFERENCES paxoskv.kv (partition, key))$$,
	$$CREATE TABLE refers (it boolean REFERENCES paxoskv.state)$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- family: children, parents, partitions, typed tables
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$CREATE TABLE child () INHERITS (paxoskv.kv)$$,
	$$CREATE TEMP TABLE child () INHERITS (paxoskv.kv)$$,
	$$ALTER TABLE alike INHERIT paxoskv.kv$$,
	$$ALTER TABLE paxoskv.kv INHERIT alike$$,
	$$ALTER TABLE paxoskv.kv NO INHERIT alike$$,
	$$ALTER TABLE tree ATTACH PARTITION paxoskv.kv FOR VALUES IN ('default')$$,
	$$ALTER TABLE tree ATTACH PARTITION paxoskv.kv DEFAULT$$,
	$$CREATE TABLE child PARTITION OF paxoskv.kv DEFAULT$$,
	$$ALTER TABLE paxoskv.kv ATTACH PARTITION alike DEFAULT$$,
	$$CREATE TABLE typed OF paxoskv.kv$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- the end of it
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$DROP TABLE paxoskv.kv$$,
	$$DROP TABLE IF EXISTS mine, paxoskv.state CASCADE$$,
	$$DROP INDEX paxoskv.kv_key$$,
	$$DROP INDEX CONCURRENTLY IF EXISTS paxoskv.state_pkey$$,
	$$DROP TYPE paxoskv.kv CASCADE$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- the table of long values, where system tables may be modified
SELECT reltoastrelid::regclass AS toast FROM pg_class WHERE oid = 'paxoskv.kv'::regclass \gset
SELECT indexrelid::regclass AS toast_index FROM pg_index WHERE indrelid = :'toast'::regclass \gset
SET allow_system_table_mods = on;
ALTER TABLE :toast ADD COLUMN more text;
ALTER TABLE :toast RENAME TO other;
ALTER INDEX :toast_index RENAME TO other;
CREATE INDEX ON :toast (chunk_id);
CREATE TRIGGER t BEFORE INSERT ON :toast FOR EACH ROW EXECUTE FUNCTION on_row();
DROP TABLE :toast;
DROP INDEX :toast_index;
RESET allow_system_table_mods;

-- by an event trigger, inside of a command that is allowed
CREATE FUNCTION on_command() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE paxoskv.kv ADD COLUMN more text;
END
$$;
CREATE EVENT TRIGGER on_command ON ddl_command_end EXECUTE FUNCTION on_command();
ALTER TABLE paxoskv.kv SET (autovacuum_vacuum_threshold = 100);
DROP EVENT TRIGGER on_command;
DROP FUNCTION on_command();
SELECT pg_temp.everything() = :'before' AS unchanged;

-- allowed, as commands of their own: how the rows are kept and looked after on this node, and who owns them
SET ROLE regress_paxoskv_owner;
ALTER TABLE paxoskv.kv SET (fillfactor = 75, autovacuum_vacuum_threshold = 100, toast.autovacuum_enabled = on);
ALTER TABLE paxoskv.kv RESET (autovacuum_vacuum_threshold, toast.autovacuum_enabled);
ALTER TABLE paxoskv.kv SET (fillfactor = 80);
ALTER TABLE paxoskv.kv ALTER COLUMN key SET STATISTICS 500, ALTER COLUMN key SET (n_distinct = -1);
ALTER TABLE paxoskv.kv ALTER COLUMN key SET STATISTICS -1, ALTER COLUMN key RESET (n_distinct);
ALTER TABLE paxoskv.kv CLUSTER ON kv_key;
ALTER TABLE paxoskv.kv SET WITHOUT CLUSTER;
ALTER INDEX paxoskv.kv_key SET (fillfactor = 70);
ALTER INDEX paxoskv.kv_key RESET (fillfactor);
ALTER TABLE paxoskv.kv SET TABLESPACE pg_default;
CREATE STATISTICS kv_statistics ON partition, key FROM paxoskv.kv;
ALTER STATISTICS kv_statistics SET STATISTICS 50;
ANALYZE paxoskv.kv;
DROP STATISTICS kv_statistics;
COMMENT ON COLUMN paxoskv.kv.value_kind IS '1: text';
GRANT SELECT ON paxoskv.kv TO pg_monitor;
REVOKE SELECT ON paxoskv.kv FROM pg_monitor;
RESET ROLE;
-- a constraint trigger that names the table is on another one
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON mine FROM paxoskv.kv FOR EACH ROW EXECUTE FUNCTION on_row();
SELECT pg_temp.everything() = :'before' AS unchanged;
SELECT paxos_put('safe', 'still') > 0 AS put;
DROP TABLE mine, alike, tree;
DROP FUNCTION on_row();
ALTER TABLE paxoskv.kv OWNER TO CURRENT_USER;
ALTER TABLE paxoskv.state OWNER TO CURRENT_USER;
ALTER VIEW paxoskv.data OWNER TO CURRENT_USER;
DROP OWNED BY regress_paxoskv_owner;
DROP ROLE regress_paxoskv_owner;
