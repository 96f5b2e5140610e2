-- The functions in every place where PostgreSQL takes a function, and the table beside tables of one's own.
SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;

-- a default: a write for each row
CREATE TABLE orders (id int, revision bigint DEFAULT paxos_put('ordered', 'now'));
INSERT INTO orders (id) VALUES (1), (2), (3);
SELECT count(DISTINCT revision) AS writes, max(revision) = (SELECT revision FROM paxos_get_row('ordered')) AS last_is_there
FROM orders;

-- a constraint that asks the store
SELECT paxos_put('colors/green', '') > 0 AS put;
CREATE TABLE fruits (color text CHECK (paxos_get('colors/' || color) IS NOT NULL));
INSERT INTO fruits VALUES ('green');
INSERT INTO fruits VALUES ('blue');

-- a trigger that fires at COMMIT, which then writes; nothing undoes it where COMMIT fails behind it
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM paxos_put('noted', NEW.id::text);
	IF NEW.id < 0 THEN
		RAISE 'no such order';
	END IF;
	RETURN NEW;
END
$$;
CREATE CONSTRAINT TRIGGER note AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
BEGIN;
INSERT INTO orders VALUES (4, 0);
SELECT paxos_get('noted');
COMMIT;
SELECT paxos_get('noted');
BEGIN;
INSERT INTO orders VALUES (-1, 0);
COMMIT;
SELECT paxos_get('noted'), (SELECT count(*) FROM orders WHERE id = -1) AS orders;

-- a procedure that commits in between
CREATE PROCEDURE count_up() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		PERFORM paxos_put('counted', i::text);
		COMMIT;
		PERFORM paxos_sync();
		ROLLBACK;
	END LOOP;
END
$$;
CALL count_up();
SELECT paxos_get('counted');

-- statements that make a table, a file, rows
CREATE TABLE made AS SELECT paxos_put('made', 'by CREATE TABLE AS') AS revision;
COPY (SELECT paxos_put('copied', 'by COPY') > 0) TO STDOUT;
SELECT * FROM (VALUES (paxos_put('value', 'of VALUES') > 0)) AS v (put);
SELECT revision = (SELECT revision FROM paxos_get_row('made')) AS same FROM made;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM paxos_range();
SELECT paxos_put('later', '') > 0 AS put;
SELECT count(*) FROM kept;
REFRESH MATERIALIZED VIEW kept;
SELECT count(*) FROM kept;

-- a write is called where PostgreSQL calls it: once for a query WITH, for each row of a join, not for a branch not
-- taken, nor for what it has no need to compute
WITH once AS MATERIALIZED (SELECT paxos_insert('once', 'x') AS done) SELECT count(*) FILTER (WHERE done) AS done FROM once, generate_series(1, 3);
WITH unused AS (SELECT paxos_put('unused', 'x')) SELECT 1 AS one;
SELECT CASE WHEN paxos_get('once') IS NULL THEN paxos_put('branch', 'x') END AS branch;
SELECT 1 AS one WHERE EXISTS (SELECT paxos_put('exists', 'x'));
SELECT count(DISTINCT revision) FROM generate_series(1, 5) AS i, LATERAL (SELECT paxos_put('each', i::text) AS revision) AS s;
SELECT paxos_get('unused') IS NULL AND paxos_get('branch') IS NULL AND paxos_get('exists') IS NULL AS not_called;

-- the rows beside those of a table of one's own, which can be changed and locked
SELECT paxos_batch('{1,2,9}', '{one,two,nine}', 'orders') > 0 AS put;
CREATE TABLE own (id text PRIMARY KEY, name text);
INSERT INTO own VALUES ('1'), ('2'), ('3');
UPDATE own SET name = kv.value FROM paxoskv.kv WHERE kv.partition = 'orders' AND kv.key = own.id AND own.id = '1';
DELETE FROM own USING paxoskv.kv WHERE kv.partition = 'orders' AND kv.key = own.id AND own.id = '2';
MERGE INTO own USING (SELECT key, value FROM paxoskv.kv WHERE partition = 'orders') AS kv ON kv.key = own.id
	WHEN MATCHED THEN UPDATE SET name = upper(kv.value) WHEN NOT MATCHED THEN INSERT VALUES (kv.key, kv.value);
INSERT INTO own SELECT key, value FROM paxos_range(partition => 'orders') ON CONFLICT (id) DO UPDATE SET name = own.name || '!';
SELECT * FROM own ORDER BY id;
BEGIN;
SELECT own.id FROM own JOIN paxoskv.kv ON kv.key = own.id AND kv.partition = 'orders' ORDER BY 1 FOR UPDATE OF own;
COMMIT;

-- a call for each of many rows takes no memory from row to row
CREATE FUNCTION memory() RETURNS bigint LANGUAGE sql AS 'SELECT sum(used_bytes) FROM pg_backend_memory_contexts';
CREATE TABLE many AS SELECT i % 5 AS i FROM generate_series(1, 20000) AS i;
SELECT count(paxos_get(i::text, 'orders', 'local')) FROM many WHERE i = 1;
SELECT memory() AS before \gset
SELECT count(paxos_get(i::text, 'orders', 'local')) AS found,
	memory() - :before < 1000000 AS flat FROM many;
CREATE FUNCTION per_row() RETURNS TABLE (rows bigint, grown bigint) LANGUAGE plpgsql AS $$
DECLARE
	called record;
	first bigint;
BEGIN
	rows := 0;
	FOR called IN SELECT paxos_get(i::text, 'orders', 'local'), (SELECT count(*) FROM paxos_range(i::text, partition => 'orders',
		consistency => 'local')) FROM many LOOP
		rows := rows + 1;
		first := coalesce(first, CASE WHEN rows > 1000 THEN memory() END);
	END LOOP;
	grown := memory() - first;
	RETURN NEXT;
END
$$;
SELECT rows, grown < 500000 AS flat FROM per_row();

DROP TABLE orders, fruits, made, own, many;
DROP MATERIALIZED VIEW kept;
DROP FUNCTION note(), per_row(), memory();
DROP PROCEDURE count_up();
