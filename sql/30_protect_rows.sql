-- Changing rows of the replicated table: every way that there is, tried by a superuser and by the table's owner.
\set VERBOSITY terse
SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_put('safe', 'value') > 0 AS put;
\getenv directory PG_ABS_SRCDIR
\set common :directory '/sql/protect.psql'
\i :common
SELECT pg_temp.everything() AS before \gset

-- each by itself
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$INSERT INTO paxoskv.kv VALUES ('default', 'k', 'v', 1, 1, 1, now(), '')$$,
	$$INSERT INTO paxoskv.kv SELECT * FROM paxoskv.kv ON CONFLICT DO NOTHING$$,
	$$INSERT INTO paxoskv.kv SELECT * FROM paxoskv.kv ON CONFLICT (partition, key) DO UPDATE SET value = 'x'$$,
	$$UPDATE paxoskv.kv SET value = 'x'$$,
	$$UPDATE ONLY paxoskv.kv SET value = 'x' WHERE false$$,
	$$DELETE FROM paxoskv.kv$$,
	$$MERGE INTO paxoskv.kv USING (VALUES ('safe')) AS s (key) ON s.key = kv.key WHEN MATCHED THEN DELETE$$,
	$$MERGE INTO paxoskv.kv USING (VALUES ('safe')) AS s (key) ON s.key = kv.key WHEN MATCHED THEN DO NOTHING$$,
	$$TRUNCATE paxoskv.kv$$,
	$$TRUNCATE paxoskv.kv, paxoskv.state RESTART IDENTITY CASCADE$$,
	$$COPY paxoskv.kv FROM '/dev/null'$$,
	$$COPY paxoskv.kv (partition, key) FROM '/dev/null' WITH (FREEZE)$$,
	$$COPY (DELETE FROM paxoskv.kv RETURNING key) TO '/dev/null'$$,
	$$EXPLAIN ANALYZE DELETE FROM paxoskv.kv$$,
	$$WITH gone AS (DELETE FROM paxoskv.kv RETURNING key) SELECT * FROM gone$$,
	$$CREATE TABLE gone AS WITH gone AS (DELETE FROM paxoskv.kv RETURNING key) SELECT * FROM gone$$,
	$$INSERT INTO paxoskv.state (applied_slot) VALUES (0)$$,
	$$UPDATE paxoskv.state SET applied_slot = 0$$,
	$$DELETE FROM paxoskv.state$$,
	$$TRUNCATE paxoskv.state$$,
	$$COPY paxoskv.state FROM '/dev/null'$$,
	$$INSERT INTO paxoskv.data (key, value) VALUES ('k', 'v')$$,
	$$UPDATE paxoskv.data SET value = 'x'$$,
	$$DELETE FROM paxoskv.data$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- of every table that the extension has
SELECT bool_and(pg_temp.tried(:'USER', format('DELETE FROM %s', oid::regclass)) LIKE '42501 cannot change rows of %') AS refused
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'paxoskv'::regnamespace;

-- from somewhere else: views, rules, triggers and functions of one's own
SET ROLE regress_paxoskv_owner;
CREATE TABLE mine (key text, value text);
INSERT INTO mine VALUES ('safe', 'mine');
CREATE VIEW over AS SELECT * FROM paxoskv.data WHERE value <> '' WITH CHECK OPTION;
CREATE TABLE ruled (key text);
CREATE RULE also AS ON INSERT TO ruled DO ALSO UPDATE paxoskv.kv SET value = NEW.key;
CREATE TABLE triggered (key text);
CREATE FUNCTION change_kv() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE paxoskv.kv SET value = 'x';
	RETURN NEW;
END
$$;
CREATE TRIGGER change BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION change_kv();
CREATE VIEW instead AS SELECT 1 AS one;
CREATE TRIGGER change INSTEAD OF INSERT ON instead FOR EACH ROW EXECUTE FUNCTION change_kv();
CREATE TABLE tree (key text) PARTITION BY LIST (key);
CREATE TABLE leaf PARTITION OF tree DEFAULT;
CREATE TRIGGER change BEFORE INSERT ON tree FOR EACH ROW EXECUTE FUNCTION change_kv();
CREATE FUNCTION change_by_sql() RETURNS void LANGUAGE sql AS 'DELETE FROM paxoskv.kv';
CREATE FUNCTION change_as_owner() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM paxoskv.kv';
CREATE FUNCTION change_by_cursor() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	kv record;
BEGIN
	FOR kv IN SELECT ctid FROM paxoskv.kv LOOP
		DELETE FROM paxoskv.kv AS k WHERE k.ctid = kv.ctid;
	END LOOP;
END
$$;
CREATE FUNCTION change_where_current() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	place CURSOR FOR SELECT * FROM paxoskv.kv;
BEGIN
	OPEN place;
	MOVE place;
	DELETE FROM paxoskv.kv WHERE CURRENT OF place;
END
$$;
CREATE FUNCTION change_by_execute() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'UPDATE paxoskv.kv SET value = $1' USING 'x';
END
$$;
CREATE PROCEDURE change_by_procedure() LANGUAGE sql BEGIN ATOMIC DELETE FROM paxoskv.kv; END;
RESET ROLE;
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$UPDATE over SET value = 'x'$$,
	$$MERGE INTO mine USING over ON mine.key = over.key WHEN MATCHED THEN UPDATE SET value = 'read only'$$,
	$$INSERT INTO ruled VALUES ('safe')$$,
	$$INSERT INTO triggered VALUES ('safe')$$,
	$$COPY triggered FROM PROGRAM 'echo safe'$$,
	$$INSERT INTO instead VALUES (1)$$,
	$$INSERT INTO tree VALUES ('safe')$$,
	$$SELECT change_by_sql()$$,
	$$SELECT change_as_owner()$$,
	$$SELECT change_by_cursor()$$,
	$$SELECT change_where_current()$$,
	$$SELECT change_by_execute()$$,
	$$CALL change_by_procedure()$$,
	$$DO 'BEGIN DELETE FROM paxoskv.kv; END'$$,
	$$SELECT query_to_xml_and_xmlschema('SELECT change_by_sql()', true, true, '')$$,
	$$SELECT * FROM ts_stat('WITH x AS (SELECT change_by_sql()) SELECT NULL::tsvector FROM x')$$])
	WITH ORDINALITY AS t (statement, n) ORDER BY n;
SELECT * FROM mine;

-- a cursor's row; a statement prepared before, whose plan is kept
BEGIN;
DECLARE place CURSOR FOR SELECT key FROM paxoskv.kv;
FETCH place;
UPDATE paxoskv.kv SET value = 'x' WHERE CURRENT OF place;
ROLLBACK;
SET plan_cache_mode = force_generic_plan;
PREPARE change (text) AS UPDATE paxoskv.kv SET value = $1;
EXECUTE change ('x');
EXECUTE change ('x');
DEALLOCATE change;
RESET plan_cache_mode;

-- a table that had the name first; then the name leads to the protected one
CREATE TABLE public.kv (LIKE paxoskv.kv);
SET search_path = public, paxoskv;
PREPARE change AS DELETE FROM kv;
EXECUTE change;
DROP TABLE public.kv;
EXECUTE change;
DEALLOCATE change;
RESET search_path;

-- settings that switch off triggers, rules and the protection of system tables change nothing
SET session_replication_role = replica;
DELETE FROM paxoskv.kv;
RESET session_replication_role;
SET allow_system_table_mods = on;
DELETE FROM paxoskv.kv;
SELECT reltoastrelid::regclass AS toast FROM pg_class WHERE oid = 'paxoskv.kv'::regclass \gset
DELETE FROM :toast;
TRUNCATE :toast;
RESET allow_system_table_mods;
SET row_security = off;
DELETE FROM paxoskv.kv;
RESET row_security;

-- with all rights on the table, somebody else gets no further
CREATE ROLE regress_paxoskv_other;
GRANT USAGE ON SCHEMA paxoskv TO regress_paxoskv_other;
GRANT ALL ON paxoskv.kv TO regress_paxoskv_other;
SET ROLE regress_paxoskv_other;
INSERT INTO paxoskv.kv SELECT * FROM paxoskv.kv;
DELETE FROM paxoskv.kv;
TRUNCATE paxoskv.kv;
RESET ROLE;
DROP OWNED BY regress_paxoskv_other;
DROP ROLE regress_paxoskv_other;

-- nothing has changed, and the store works
SELECT pg_temp.everything() = :'before' AS unchanged;
SELECT paxos_put('safe', 'still') > 0 AS put;
SET client_min_messages = warning;
DROP TABLE mine, ruled, triggered, tree;
DROP VIEW over, instead;
DROP FUNCTION change_kv, change_by_sql, change_as_owner, change_by_cursor, change_where_current, change_by_execute;
DROP PROCEDURE change_by_procedure;
RESET client_min_messages;
ALTER TABLE paxoskv.kv OWNER TO CURRENT_USER;
ALTER TABLE paxoskv.state OWNER TO CURRENT_USER;
ALTER VIEW paxoskv.data OWNER TO CURRENT_USER;
DROP OWNED BY regress_paxoskv_owner;
DROP ROLE regress_paxoskv_owner;
