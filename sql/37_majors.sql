-- What newer majors brought that could change the replicated table or lock it.  One that doesn't know a statement says
-- so by 42601 or another SQLSTATE: expected/37_majors.out is 18's, _1 17's, _3 16's, _2 15's.
\set VERBOSITY terse
SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_put('safe', 'value') > 0 AS put;
\getenv directory PG_ABS_SRCDIR
\set common :directory '/sql/protect.psql'
\i :common
SELECT pg_temp.everything() AS before \gset
CREATE VIEW mine AS SELECT key, value FROM paxoskv.kv;
GRANT SELECT, INSERT, UPDATE, DELETE ON mine TO regress_paxoskv_owner;

-- rows: MERGE into views, with RETURNING and by source; old and new in RETURNING; COPY that goes on after errors
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$MERGE INTO mine USING (VALUES ('safe')) AS s (k) ON s.k = mine.key WHEN MATCHED THEN DELETE$$,
	$$MERGE INTO paxoskv.data USING (VALUES ('safe')) AS s (k) ON s.k = data.key WHEN MATCHED THEN UPDATE SET value = 'x'$$,
	$$MERGE INTO paxoskv.kv USING (VALUES ('other')) AS s (k) ON s.k = kv.key WHEN NOT MATCHED BY SOURCE THEN DELETE$$,
	$$WITH gone AS (MERGE INTO paxoskv.kv USING (VALUES ('safe')) AS s (k) ON s.k = kv.key WHEN MATCHED THEN DELETE RETURNING kv.key) SELECT * FROM gone$$,
	$$COPY (MERGE INTO paxoskv.kv USING (VALUES ('safe')) AS s (k) ON s.k = kv.key WHEN MATCHED THEN DELETE RETURNING kv.key) TO '/dev/null'$$,
	$$UPDATE paxoskv.kv SET value = 'x' RETURNING old.value, new.value$$,
	$$COPY paxoskv.kv FROM '/dev/null' WITH (ON_ERROR ignore)$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- definitions: generated columns kept and virtual, constraints with names, access methods
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$ALTER TABLE paxoskv.kv ALTER COLUMN value SET EXPRESSION AS ('x')$$,
	$$ALTER TABLE paxoskv.kv ALTER COLUMN value SET STORAGE DEFAULT$$,
	$$ALTER TABLE paxoskv.kv SET ACCESS METHOD DEFAULT$$,
	$$ALTER TABLE paxoskv.kv ADD COLUMN more text GENERATED ALWAYS AS (key) VIRTUAL$$,
	$$ALTER TABLE paxoskv.kv ADD CONSTRAINT named NOT NULL value$$,
	$$ALTER TABLE paxoskv.kv ADD CONSTRAINT named NOT NULL value NOT VALID$$,
	$$ALTER TABLE paxoskv.kv ADD CONSTRAINT named CHECK (value <> '') NOT ENFORCED$$,
	$$ALTER TABLE paxoskv.kv DROP CONSTRAINT kv_key_not_null$$,
	$$ALTER TABLE paxoskv.kv RENAME CONSTRAINT kv_key_not_null TO named$$,
	$$ALTER TABLE paxoskv.kv ALTER CONSTRAINT kv_key_not_null NO INHERIT$$,
	$$CREATE TABLE refers (partition text, key text, FOREIGN KEY (partition, key) REFERENCES paxoskv.kv (partition, key) NOT ENFORCED)$$,
	$$CREATE INDEX ON ONLY paxoskv.kv (value)$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- who may maintain the table may still not lock it for longer than a command
DO $$
BEGIN
	GRANT MAINTAIN ON paxoskv.kv TO PUBLIC;
	GRANT pg_maintain TO regress_paxoskv_owner;
EXCEPTION WHEN undefined_object OR invalid_parameter_value OR syntax_error THEN
	NULL;
END
$$;
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	$$LOCK TABLE paxoskv.kv IN ACCESS EXCLUSIVE MODE$$,
	$$LOCK TABLE mine$$,
	$$CLUSTER paxoskv.kv USING kv_key$$,
	$$REINDEX TABLE paxoskv.kv$$]) WITH ORDINALITY AS t (statement, n) ORDER BY n;
DO $$
BEGIN
	REVOKE MAINTAIN ON paxoskv.kv FROM PUBLIC;
EXCEPTION WHEN undefined_object OR invalid_parameter_value OR syntax_error THEN
	NULL;
END
$$;

-- statistics that are set by hand only mislead the planner, and ANALYZE puts them right
SELECT pg_temp.tried(:'USER', $$SELECT pg_restore_relation_stats('schemaname', 'paxoskv', 'relname', 'kv', 'reltuples', 1000000::real)$$);
SELECT pg_temp.tried(:'USER', $$SELECT pg_clear_relation_stats('paxoskv', 'kv')$$);
SELECT pg_temp.tried(:'USER', $$SELECT pg_clear_attribute_stats('paxoskv', 'kv', 'key', false)$$);
ANALYZE paxoskv.kv;

-- nothing has changed, and apply goes on
SELECT pg_temp.everything() = :'before' AS unchanged;
SELECT paxos_put('safe', 'other') > 0 AS put;
SELECT paxos_get('safe');

DROP VIEW mine;
ALTER TABLE paxoskv.kv OWNER TO CURRENT_USER;
ALTER TABLE paxoskv.state OWNER TO CURRENT_USER;
ALTER VIEW paxoskv.data OWNER TO CURRENT_USER;
DROP OWNED BY regress_paxoskv_owner;
DROP ROLE regress_paxoskv_owner;
