-- Locks: the apply worker must never wait for a transaction that may wait for it.
\set VERBOSITY terse
SELECT paxos_put('safe', 'value') > 0 AS put;
\getenv directory PG_ABS_SRCDIR
\set common :directory '/sql/protect.psql'
\i :common
CREATE VIEW over AS SELECT 1 AS one WHERE EXISTS (SELECT FROM paxoskv.data);
CREATE VIEW over_with AS WITH inner_rows AS (SELECT * FROM paxoskv.kv) SELECT count(*) FROM inner_rows;
CREATE VIEW locking AS SELECT * FROM paxoskv.kv FOR UPDATE;
CREATE FUNCTION locking() RETURNS SETOF paxoskv.kv LANGUAGE sql AS 'SELECT * FROM paxoskv.kv FOR UPDATE';
CREATE TABLE own (key text PRIMARY KEY);
INSERT INTO own VALUES ('safe');
GRANT ALL ON over, over_with, locking, own TO regress_paxoskv_owner;

-- of rows
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	'SELECT * FROM paxoskv.kv FOR UPDATE',
	'SELECT * FROM paxoskv.kv FOR NO KEY UPDATE',
	'SELECT * FROM paxoskv.kv FOR SHARE',
	'SELECT * FROM paxoskv.kv FOR KEY SHARE',
	'SELECT * FROM paxoskv.kv FOR UPDATE NOWAIT',
	'SELECT * FROM paxoskv.kv FOR UPDATE SKIP LOCKED',
	'SELECT * FROM paxoskv.kv LIMIT 0 FOR UPDATE',
	'SELECT * FROM paxoskv.state FOR SHARE',
	'SELECT * FROM paxoskv.data FOR UPDATE',
	'SELECT * FROM own JOIN paxoskv.kv USING (key) FOR UPDATE',
	'SELECT * FROM own JOIN paxoskv.kv USING (key) FOR SHARE OF kv',
	'SELECT * FROM (SELECT * FROM paxoskv.kv FOR UPDATE) AS inner_rows',
	'SELECT EXISTS (SELECT FROM paxoskv.kv FOR KEY SHARE)',
	'WITH inner_rows AS (SELECT * FROM paxoskv.kv FOR UPDATE) SELECT count(*) FROM inner_rows',
	'INSERT INTO own SELECT key FROM paxoskv.kv FOR UPDATE',
	'CREATE TABLE copied AS SELECT * FROM paxoskv.kv FOR UPDATE',
	'DECLARE locked CURSOR FOR SELECT * FROM paxoskv.kv FOR UPDATE',
	'SELECT * FROM locking',
	'SELECT * FROM locking()']) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- of one's own rows, in a join with the replicated ones: as ever
SELECT key, value FROM own JOIN paxoskv.kv USING (key) FOR UPDATE OF own;
SELECT own.key FROM own, paxoskv.data WHERE data.key = own.key FOR SHARE OF own SKIP LOCKED;
BEGIN;
UPDATE own SET key = kv.key FROM paxoskv.kv WHERE kv.key = own.key RETURNING own.key;
DELETE FROM own USING paxoskv.data WHERE data.key = own.key RETURNING own.key;
ROLLBACK;

-- of the table: what apply's own lock (ROW EXCLUSIVE) conflicts with
SELECT statement, pg_temp.tried(:'USER', statement) AS superuser, pg_temp.tried('regress_paxoskv_owner', statement) AS owner
FROM unnest(ARRAY[
	'LOCK paxoskv.kv',
	'LOCK TABLE ONLY paxoskv.kv IN ACCESS EXCLUSIVE MODE NOWAIT',
	'LOCK TABLE paxoskv.kv IN EXCLUSIVE MODE',
	'LOCK TABLE paxoskv.kv IN SHARE ROW EXCLUSIVE MODE',
	'LOCK TABLE paxoskv.kv IN SHARE MODE',
	'LOCK TABLE own, paxoskv.state IN SHARE MODE',
	'LOCK TABLE paxoskv.data IN SHARE MODE',
	'LOCK TABLE over IN SHARE MODE',
	'LOCK TABLE over_with IN EXCLUSIVE MODE',
	'LOCK TABLE paxoskv.kv IN SHARE UPDATE EXCLUSIVE MODE',
	'LOCK TABLE paxoskv.kv IN ROW EXCLUSIVE MODE',
	'LOCK TABLE paxoskv.kv IN ROW SHARE MODE',
	'LOCK TABLE paxoskv.data IN ACCESS SHARE MODE']) WITH ORDINALITY AS t (statement, n) ORDER BY n;

-- while the weaker ones are held, writes go through
BEGIN;
LOCK TABLE paxoskv.kv IN SHARE UPDATE EXCLUSIVE MODE;
LOCK TABLE paxoskv.data IN ROW EXCLUSIVE MODE;
SELECT count(*) > 0 AS some FROM paxoskv.kv;
SELECT paxos_put('locked', 'weakly') > 0 AS put;
COMMIT;

-- commands that lock the table are for themselves: not in a block, a function, or with others in one message
BEGIN;
REINDEX TABLE paxoskv.kv;
ROLLBACK;
BEGIN;
REINDEX INDEX paxoskv.kv_key;
ROLLBACK;
BEGIN;
CLUSTER paxoskv.kv USING kv_key;
ROLLBACK;
BEGIN;
VACUUM FULL paxoskv.kv;
ROLLBACK;
BEGIN;
ALTER TABLE paxoskv.kv SET (fillfactor = 70);
ROLLBACK;
BEGIN;
SAVEPOINT s;
REINDEX TABLE paxoskv.state;
ROLLBACK;
REINDEX TABLE paxoskv.kv \; SELECT 1 AS one;
DO $$BEGIN REINDEX TABLE paxoskv.kv; END$$;
DO $$BEGIN COMMIT; CLUSTER paxoskv.kv USING kv_key; END$$;
-- nor the table of its long values
SELECT reltoastrelid::regclass AS toast FROM pg_class WHERE oid = 'paxoskv.kv'::regclass \gset
SELECT indexrelid::regclass AS toast_index, relname AS toast_index_name
	FROM pg_index, pg_class WHERE indrelid = :'toast'::regclass AND oid = indexrelid \gset
BEGIN;
REINDEX TABLE :toast;
ROLLBACK;
BEGIN;
REINDEX INDEX :toast_index;
ROLLBACK;
BEGIN;
CLUSTER :toast USING :toast_index_name;
ROLLBACK;
-- of other tables they are nobody's business
BEGIN;
REINDEX TABLE own;
LOCK TABLE own;
SELECT paxos_put('locked', 'another') > 0 AS put;
COMMIT;

-- by themselves they run, by the owner too
SET ROLE regress_paxoskv_owner;
VACUUM paxoskv.kv;
VACUUM (FULL, ANALYZE) paxoskv.kv;
ANALYZE paxoskv.kv, paxoskv.state;
REINDEX TABLE paxoskv.kv;
REINDEX TABLE CONCURRENTLY paxoskv.kv;
REINDEX INDEX CONCURRENTLY paxoskv.kv_key;
CLUSTER paxoskv.kv USING kv_key;
VACUUM FULL paxoskv.state;
CLUSTER paxoskv.state USING state_pkey;
REINDEX TABLE CONCURRENTLY paxoskv.state;
RESET ROLE;
REINDEX SCHEMA paxoskv;
REINDEX TABLE :toast;
VACUUM FULL :toast;
BEGIN;
ANALYZE paxoskv.kv;
SELECT paxos_put('after', 'all this') > 0 AS put;
COMMIT;
SELECT key, value FROM paxoskv.data WHERE key IN ('after', 'locked') ORDER BY key;
SELECT indexrelid::regclass, indisunique, indisvalid, indisreplident FROM pg_index
	WHERE indrelid IN ('paxoskv.kv'::regclass, 'paxoskv.state'::regclass) ORDER BY 1;

DROP VIEW over, over_with, locking;
DROP FUNCTION locking();
DROP TABLE own;
ALTER TABLE paxoskv.kv OWNER TO CURRENT_USER;
ALTER TABLE paxoskv.state OWNER TO CURRENT_USER;
ALTER VIEW paxoskv.data OWNER TO CURRENT_USER;
DROP OWNED BY regress_paxoskv_owner;
DROP ROLE regress_paxoskv_owner;
