-- Nobody but the apply worker changes the replicated table, superusers included.

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_put('safe', 'value') > 0 AS put;
SELECT current_setting('is_superuser') AS superuser;
-- DETAIL and HINT once, with the SQLSTATE
DO $$
DECLARE
	detail text;
	hint text;
BEGIN
	DELETE FROM paxoskv.kv;
EXCEPTION WHEN insufficient_privilege THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RAISE NOTICE E'% %\nDETAIL %\nHINT %', SQLSTATE, SQLERRM, detail, hint;
END
$$;
\set VERBOSITY terse

-- rows
INSERT INTO paxoskv.kv VALUES ('default', 'k', 'v', 1, 1, 1, now(), '');
UPDATE paxoskv.kv SET value = 'changed';
DELETE FROM paxoskv.kv;
DELETE FROM paxoskv.kv WHERE false;
TRUNCATE paxoskv.kv;
TRUNCATE paxoskv.state;
UPDATE paxoskv.state SET applied_slot = 0;
DELETE FROM paxoskv.state;
INSERT INTO paxoskv.kv VALUES ('default', 'safe', 'v', 1, 1, 1, now(), '')
	ON CONFLICT (partition, key) DO UPDATE SET value = 'upserted';
MERGE INTO paxoskv.kv USING (VALUES ('safe')) AS s (key) ON s.key = kv.key WHEN MATCHED THEN DELETE;
WITH gone AS (DELETE FROM paxoskv.kv RETURNING key) SELECT * FROM gone;
COPY paxoskv.kv FROM '/dev/null';
-- through the view, a rule, a function, a prepared statement
INSERT INTO paxoskv.data (key, value) VALUES ('k', 'v');
UPDATE paxoskv.data SET value = 'changed';
DELETE FROM paxoskv.data;
CREATE TABLE mine (key text, value text);
CREATE RULE into_kv AS ON INSERT TO mine DO INSTEAD UPDATE paxoskv.kv SET value = NEW.value;
INSERT INTO mine VALUES ('safe', 'by a rule');
DROP RULE into_kv ON mine;
CREATE FUNCTION change() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM paxoskv.kv';
SELECT change();
DROP FUNCTION change();
PREPARE change AS UPDATE paxoskv.kv SET value = $1;
EXECUTE change('x');
DEALLOCATE change;
SET session_replication_role = replica;
DELETE FROM paxoskv.kv;
RESET session_replication_role;
SET allow_system_table_mods = on;
DELETE FROM paxoskv.kv;
RESET allow_system_table_mods;
-- row locks, which would hold up the apply worker
SELECT * FROM paxoskv.kv FOR UPDATE;
SELECT * FROM paxoskv.kv FOR NO KEY UPDATE;
SELECT * FROM paxoskv.kv FOR SHARE;
SELECT * FROM paxoskv.data FOR KEY SHARE;

-- definition
ALTER TABLE paxoskv.kv ADD COLUMN more text;
ALTER TABLE paxoskv.kv DROP COLUMN value;
ALTER TABLE paxoskv.kv ALTER COLUMN value SET NOT NULL;
ALTER TABLE paxoskv.kv RENAME TO other;
ALTER TABLE paxoskv.kv RENAME COLUMN value TO v;
ALTER TABLE paxoskv.kv SET SCHEMA public;
ALTER TABLE paxoskv.kv SET (fillfactor = 50);
ALTER TABLE paxoskv.kv SET UNLOGGED;
ALTER TABLE paxoskv.kv REPLICA IDENTITY FULL;
ALTER TABLE paxoskv.kv ENABLE ROW LEVEL SECURITY;
ALTER TABLE paxoskv.kv DISABLE TRIGGER ALL;
ALTER TABLE paxoskv.kv OWNER TO pg_monitor;
ALTER TABLE paxoskv.kv ADD CONSTRAINT c CHECK (value <> '');
ALTER TABLE paxoskv.state DROP CONSTRAINT state_pkey;
ALTER INDEX paxoskv.kv_key SET (fillfactor = 50);
ALTER INDEX paxoskv.kv_key RENAME TO other;
CREATE INDEX ON paxoskv.kv (value);
CREATE TRIGGER t BEFORE INSERT ON paxoskv.kv FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE RULE r AS ON DELETE TO paxoskv.kv DO INSTEAD NOTHING;
CREATE POLICY p ON paxoskv.kv;
CREATE TABLE child () INHERITS (paxoskv.kv);
CREATE TABLE parent (LIKE paxoskv.kv);
ALTER TABLE paxoskv.kv INHERIT parent;
CREATE TABLE partitioned (LIKE paxoskv.kv) PARTITION BY LIST (partition);
ALTER TABLE partitioned ATTACH PARTITION paxoskv.kv FOR VALUES IN ('default');
ALTER TABLE mine ADD COLUMN partition text, ADD FOREIGN KEY (partition, key) REFERENCES paxoskv.kv (partition, key);
DROP TABLE mine, parent, partitioned;
DROP TABLE paxoskv.kv;
DROP TABLE paxoskv.kv CASCADE;
DROP TABLE IF EXISTS paxoskv.state;
DROP INDEX paxoskv.kv_key;
DROP SCHEMA paxoskv CASCADE;
SET client_min_messages = warning;
DROP SCHEMA public CASCADE;
RESET client_min_messages;
ALTER SCHEMA paxoskv RENAME TO other;
ALTER EXTENSION paxoskv DROP TABLE paxoskv.kv;
ALTER EXTENSION paxoskv DROP VIEW paxoskv.data;

-- locks that would stop the apply worker, also through views
BEGIN;
LOCK TABLE paxoskv.kv;
ROLLBACK;
BEGIN;
LOCK TABLE paxoskv.kv IN SHARE MODE;
ROLLBACK;
BEGIN;
LOCK TABLE paxoskv.data IN EXCLUSIVE MODE;
ROLLBACK;
CREATE VIEW over AS SELECT 1 AS one WHERE EXISTS (SELECT FROM paxoskv.data);
BEGIN;
LOCK TABLE over IN SHARE ROW EXCLUSIVE MODE;
ROLLBACK;
DROP VIEW over;
BEGIN;
LOCK TABLE paxoskv.kv IN ACCESS SHARE MODE;
LOCK TABLE paxoskv.data IN ROW EXCLUSIVE MODE;
LOCK TABLE paxoskv.kv IN SHARE UPDATE EXCLUSIVE MODE;
-- and a write goes through meanwhile
SELECT paxos_put('locked', 'weakly') > 0 AS put;
COMMIT;
BEGIN;
REINDEX TABLE paxoskv.kv;
ROLLBACK;
BEGIN;
REINDEX INDEX paxoskv.kv_key;
ROLLBACK;
BEGIN;
CLUSTER paxoskv.kv USING kv_key;
ROLLBACK;
DO $$BEGIN EXECUTE 'REINDEX TABLE paxoskv.kv'; END$$;

-- what is allowed: maintenance, publications, rights, comments, views
VACUUM paxoskv.kv;
VACUUM FULL paxoskv.kv;
ANALYZE paxoskv.kv;
REINDEX TABLE paxoskv.kv;
REINDEX TABLE CONCURRENTLY paxoskv.kv;
CLUSTER paxoskv.kv USING kv_key;
SELECT indisreplident, indisunique FROM pg_index WHERE indexrelid = 'paxoskv.kv_key'::regclass;
SET client_min_messages = error;
CREATE PUBLICATION p FOR TABLE paxoskv.kv;
RESET client_min_messages;
DROP PUBLICATION p;
GRANT SELECT ON paxoskv.kv TO pg_monitor;
REVOKE SELECT ON paxoskv.kv FROM pg_monitor;
EXPLAIN (COSTS OFF) DELETE FROM paxoskv.kv;
CREATE TABLE copied AS SELECT key, value FROM paxoskv.data;
SELECT * FROM copied ORDER BY key;
DROP TABLE copied;

-- leaving is done in another way
\set VERBOSITY default
DROP EXTENSION paxoskv;
\set VERBOSITY terse
DROP EXTENSION IF EXISTS paxoskv CASCADE;
\set database :DBNAME
\c postgres
DROP DATABASE :database;
DROP DATABASE :database WITH (FORCE);
ALTER DATABASE :database RENAME TO other;
\c :database

-- a subscription would write past all this; which tables it takes is up to its publisher
\c postgres
CREATE SCHEMA paxoskv;
CREATE TABLE paxoskv.kv (partition text, key text, value text);
CREATE TABLE harmless (id int);
SET client_min_messages = error;
CREATE PUBLICATION changes FOR TABLE paxoskv.kv;
CREATE PUBLICATION harmless FOR TABLE harmless;
RESET client_min_messages;
SELECT format('host=%s port=%s dbname=postgres', split_part(current_setting('unix_socket_directories'), ',', 1),
	current_setting('port')) AS publisher \gset
\c :database
CREATE TABLE harmless (id int);
SET client_min_messages = error;
CREATE SUBSCRIPTION s CONNECTION :'publisher' PUBLICATION changes
	WITH (create_slot = false, enabled = false, slot_name = NONE);
SELECT count(*) FROM pg_subscription;
CREATE SUBSCRIPTION s CONNECTION :'publisher' PUBLICATION harmless
	WITH (create_slot = false, enabled = false, slot_name = NONE);
ALTER SUBSCRIPTION s SET PUBLICATION harmless, changes WITH (refresh = false);
DROP SUBSCRIPTION s;
RESET client_min_messages;
DROP TABLE harmless;
\c postgres
DROP PUBLICATION changes, harmless;
DROP TABLE paxoskv.kv, harmless;
DROP SCHEMA paxoskv;
\c :database

-- tables of the same name elsewhere are nobody's business
CREATE TABLE kv (partition text, key text, value text);
INSERT INTO kv VALUES ('default', 'safe', 'mine');
UPDATE kv SET value = 'still mine';
TRUNCATE kv;
DROP TABLE kv;

-- all is as it was, and works
SELECT paxos_put('after', 'all this') > 0 AS put;
SELECT key, value FROM paxoskv.data ORDER BY key;
