-- The replicated table is changed by the apply worker and by nobody else, superusers included.
-- Here is each refusal once, with its remedy; 30 to 34 try every way that there is.
SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_put('safe', 'value') > 0 AS put;
SELECT current_setting('is_superuser') AS superuser;

-- its rows follow from the log
DELETE FROM paxoskv.kv;
UPDATE paxoskv.state SET applied_slot = 0;
-- row locks would hold up the apply worker
SELECT * FROM paxoskv.kv FOR UPDATE;
-- so would locks on the table, for as long as the transaction lasts
BEGIN;
LOCK TABLE paxoskv.kv IN SHARE MODE;
ROLLBACK;
BEGIN;
REINDEX TABLE paxoskv.kv;
ROLLBACK;
-- its definition is the same on all nodes
ALTER TABLE paxoskv.kv ADD COLUMN more text;
CREATE INDEX ON paxoskv.kv (value);
DROP TABLE paxoskv.kv;
-- it is found by its name, in the extension's schema
ALTER SCHEMA paxoskv RENAME TO other;
ALTER EXTENSION paxoskv DROP TABLE paxoskv.kv;
-- it goes with the extension, once the server has left the cluster
DROP EXTENSION paxoskv;

-- the conditions that a program can look at
DO $$
DECLARE
	statement text;
BEGIN
	FOREACH statement IN ARRAY ARRAY['TRUNCATE paxoskv.kv', 'SELECT FROM paxoskv.kv FOR SHARE', 'LOCK paxoskv.kv', 'DROP EXTENSION paxoskv'] LOOP
		BEGIN
			EXECUTE statement;
		EXCEPTION
			WHEN insufficient_privilege THEN RAISE NOTICE '%: insufficient_privilege, %', statement, SQLSTATE;
			WHEN object_in_use THEN RAISE NOTICE '%: object_in_use, %', statement, SQLSTATE;
		END;
	END LOOP;
END
$$;

-- all else goes on as on any table
VACUUM FULL paxoskv.kv;
ANALYZE paxoskv.kv;
SELECT key, value FROM paxoskv.data ORDER BY key;
SELECT paxos_put('safe', 'changed') > 0 AS put;
SELECT key, value FROM paxoskv.kv;
