-- A command takes effect when it returns, whatever becomes of the transaction around it.

BEGIN;
SELECT paxos_put('rolled', 'back') > 0 AS put;
-- seen at once, by the functions and by plain queries
SELECT paxos_get('rolled');
SELECT value FROM paxoskv.data WHERE key = 'rolled';
ROLLBACK;
SELECT paxos_get('rolled');

BEGIN;
SAVEPOINT s;
SELECT paxos_delete('rolled');
ROLLBACK TO s;
SELECT paxos_get('rolled') IS NULL AS absent;
SELECT 1 / 0;
ROLLBACK;
SELECT paxos_get('rolled') IS NULL AS absent;

-- where a snapshot is kept, the functions see what is new and plain queries don't
SELECT paxos_put('snapshot', 'before') > 0 AS put;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT value FROM paxoskv.data WHERE key = 'snapshot';
SELECT paxos_put('snapshot', 'after') > 0 AS put;
SELECT value FROM paxoskv.data WHERE key = 'snapshot';
SELECT paxos_get('snapshot');
SELECT value FROM paxos_get_row('snapshot', consistency => 'local');
COMMIT;
SELECT value FROM paxoskv.data WHERE key = 'snapshot';
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT paxos_put('snapshot', 'serializable') > 0 AS put;
SELECT paxos_get('snapshot');
ROLLBACK;
SELECT paxos_get('snapshot');

-- in functions, DO blocks and exception blocks
DO $$
BEGIN
	PERFORM paxos_put('do', 'first');
	BEGIN
		PERFORM paxos_put('do', 'second');
		RAISE EXCEPTION 'undo it';
	EXCEPTION WHEN raise_exception THEN
		RAISE NOTICE 'still %', paxos_get('do');
	END;
END
$$;
CREATE FUNCTION next_number(name text) RETURNS bigint LANGUAGE sql AS
	$$SELECT paxos_put(name, COALESCE(paxos_get(name)::bigint, 0) + 1)$$;
SELECT count(next_number('counter')) FROM generate_series(1, 5);
SELECT paxos_get('counter');
DROP FUNCTION next_number(text);

-- in a trigger
CREATE TABLE source (id text, content text);
CREATE FUNCTION publish() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN PERFORM paxos_put(NEW.id, NEW.content, 'published'); RETURN NEW; END$$;
CREATE TRIGGER publish BEFORE INSERT ON source FOR EACH ROW EXECUTE FUNCTION publish();
INSERT INTO source VALUES ('x', 'one'), ('y', 'two');
SELECT key, value FROM paxoskv.kv WHERE partition = 'published' ORDER BY key;
DROP TABLE source;
DROP FUNCTION publish();

-- not in a read-only transaction
BEGIN READ ONLY;
SELECT paxos_put('a', '1');
ROLLBACK;
BEGIN READ ONLY;
SELECT paxos_put('a', 1);
ROLLBACK;
BEGIN READ ONLY;
SELECT paxos_delete('a');
ROLLBACK;
BEGIN READ ONLY;
SELECT paxos_clear('a');
ROLLBACK;
BEGIN READ ONLY;
SELECT paxos_clear_all('paxoskv');
ROLLBACK;
BEGIN READ ONLY;
SELECT paxos_batch('{a}', '{1}');
ROLLBACK;
SET default_transaction_read_only = on;
SELECT paxos_put('a', '1');
RESET default_transaction_read_only;
SELECT paxos_get('a') IS NULL AS absent;

-- a site can forbid writes in transaction blocks
SHOW paxoskv.in_transaction;
SET paxoskv.in_transaction = error;
SELECT paxos_put('alone', 'allowed') > 0 AS put;
BEGIN;
SELECT paxos_get('alone');
SELECT paxos_put('alone', 'not here') > 0 AS put;
ROLLBACK;
SELECT paxos_get('alone');
RESET paxoskv.in_transaction;

-- in a cursor
BEGIN;
DECLARE c CURSOR FOR SELECT paxos_get(key) FROM paxoskv.data WHERE key IN ('alone', 'do') ORDER BY key;
FETCH 1 FROM c;
SELECT paxos_put('do', 'changed') > 0 AS put;
FETCH 1 FROM c;
COMMIT;

-- a cancel before the command is handed off, and a time-out, leave nothing behind
SET statement_timeout = '100ms';
SELECT pg_sleep(10), paxos_put('never', 'written');
RESET statement_timeout;
SELECT paxos_get('never') IS NULL AS absent;
