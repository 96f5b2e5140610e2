-- What protection must not be in the way of.
\set VERBOSITY terse
SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_batch('{a,b,c}', '{1,2,3}') > 0 AS put;

-- queries of all kinds
SELECT key, value FROM paxoskv.kv ORDER BY key;
SELECT key FROM paxoskv.data WHERE key ~>=~ 'b' ORDER BY key USING ~<~;
WITH rows AS MATERIALIZED (SELECT * FROM paxoskv.kv) SELECT count(*) FROM rows;
BEGIN;
DECLARE place SCROLL CURSOR WITH HOLD FOR SELECT key FROM paxoskv.kv ORDER BY key;
FETCH 2 FROM place;
COMMIT;
FETCH BACKWARD 1 FROM place;
CLOSE place;
COPY (SELECT key, value FROM paxoskv.kv ORDER BY key) TO STDOUT;
COPY paxoskv.kv (partition, key, value) TO STDOUT;
EXPLAIN (COSTS OFF) UPDATE paxoskv.kv SET value = 'x';
SELECT count(*) FROM paxoskv.kv TABLESAMPLE SYSTEM (100);

-- tables, views and materialized views made of it
CREATE TABLE copied AS SELECT key, value FROM paxoskv.kv;
SELECT key, value INTO copied_too FROM paxoskv.data;
CREATE TABLE alike (LIKE paxoskv.kv INCLUDING ALL);
INSERT INTO alike SELECT * FROM paxoskv.kv;
UPDATE alike SET value = 'alike';
CREATE TABLE typed OF paxoskv.key_value;
INSERT INTO typed SELECT * FROM paxos_get_row('a');
CREATE TABLE has_row (kv paxoskv.kv);
INSERT INTO has_row SELECT kv FROM paxoskv.kv;
CREATE VIEW seen AS SELECT key, value FROM paxoskv.kv WHERE partition = 'default';
CREATE MATERIALIZED VIEW kept AS SELECT key, value FROM paxoskv.kv;
CREATE UNIQUE INDEX ON kept (key);
SELECT paxos_put('d', '4') > 0 AS put;
REFRESH MATERIALIZED VIEW kept;
SELECT paxos_delete('d');
REFRESH MATERIALIZED VIEW CONCURRENTLY kept;
SELECT (SELECT count(*) FROM copied) AS copied, (SELECT count(*) FROM alike WHERE value = 'alike') AS alike,
	(SELECT count(*) FROM typed) AS typed, (SELECT count((kv).key) FROM has_row) AS has_row,
	(SELECT count(*) FROM seen) AS seen, (SELECT count(*) FROM kept) AS kept;
BEGIN;
LOCK TABLE copied;
TRUNCATE alike;
CLUSTER alike USING alike_partition_key_idx;
ALTER TABLE alike ADD COLUMN more text;
ROLLBACK;

-- a subject table with triggers that write to the store by its functions
CREATE FUNCTION to_store() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM paxos_put(NEW.key, NEW.value, 'copied');
	RETURN NEW;
END
$$;
CREATE TRIGGER to_store AFTER INSERT ON copied FOR EACH ROW EXECUTE FUNCTION to_store();
INSERT INTO copied VALUES ('triggered', 'yes');
SELECT paxos_get('triggered', 'copied');
CREATE RULE to_store AS ON DELETE TO copied DO ALSO SELECT paxos_delete(OLD.key, 'copied');
DELETE FROM copied WHERE key = 'triggered';
SELECT paxos_get('triggered', 'copied');
-- a view of one's own can be made to take writes
CREATE FUNCTION to_view() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM paxos_put(NEW.key, NEW.value);
	RETURN NEW;
END
$$;
CREATE TRIGGER to_view INSTEAD OF INSERT OR UPDATE ON seen FOR EACH ROW EXECUTE FUNCTION to_view();
UPDATE seen SET value = value || '!' WHERE key = 'a';
COPY seen FROM STDIN;
e	by copy
\.
SELECT key, value FROM seen ORDER BY key;

-- publications, rights, comments
SET client_min_messages = error;
CREATE PUBLICATION p FOR TABLE paxoskv.kv;
ALTER PUBLICATION p SET TABLE paxoskv.kv (partition, key, value) WHERE (partition = 'default');
ALTER PUBLICATION p DROP TABLE paxoskv.kv;
ALTER PUBLICATION p ADD TABLES IN SCHEMA paxoskv;
RESET client_min_messages;
DROP PUBLICATION p;
GRANT SELECT (key, value) ON paxoskv.kv TO pg_monitor;
REVOKE SELECT (key, value) ON paxoskv.kv FROM pg_monitor;
COMMENT ON TABLE paxoskv.kv IS 'the replicated rows of all partitions; only the apply worker writes here';


-- tables of the same name elsewhere are nobody's business
CREATE TABLE kv (partition text, key text, value text);
CREATE TEMP TABLE state (only_row boolean);
CREATE TEMP TABLE kv (partition text PRIMARY KEY, key text);
INSERT INTO kv VALUES ('default', 'temporary');
UPDATE kv SET key = 'still' RETURNING *;
SELECT * FROM kv FOR UPDATE;
DROP TABLE pg_temp.kv, state;
CREATE SCHEMA own CREATE TABLE kv (key text PRIMARY KEY, value text) CREATE INDEX ON kv (value);
INSERT INTO own.kv VALUES ('k', 'v');
CREATE TABLE refers (key text REFERENCES own.kv ON DELETE CASCADE);
INSERT INTO refers VALUES ('k');
DELETE FROM own.kv;
SELECT count(*) FROM refers;
ALTER TABLE own.kv RENAME TO state;
INSERT INTO public.kv VALUES ('default', 'safe', 'mine');
TRUNCATE public.kv;
BEGIN;
LOCK TABLE public.kv, own.state;
REINDEX TABLE own.state;
SELECT paxos_put('f', 'meanwhile') > 0 AS put;
COMMIT;
DROP TABLE public.kv;
-- nor is a table of one's own in the extension's schema
CREATE TABLE paxoskv.mine (key text);
INSERT INTO paxoskv.mine VALUES ('m');
ALTER TABLE paxoskv.mine ADD COLUMN value text;
DROP TABLE paxoskv.mine;

SET client_min_messages = warning;
DROP SCHEMA own CASCADE;
DROP TABLE copied, copied_too, alike, typed, has_row, refers;
DROP VIEW seen;
DROP MATERIALIZED VIEW kept;
DROP FUNCTION to_store(), to_view();
RESET client_min_messages;
SELECT partition, key, value FROM paxoskv.kv ORDER BY key;
