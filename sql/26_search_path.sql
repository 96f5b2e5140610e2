-- Nothing that a caller puts into his search_path is called in the place of what the functions use.

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;
SELECT paxos_batch('{a,b,B}', '{1,2,3}') > 0 AS put;

-- a schema with traps of the names of all that could matter
CREATE SCHEMA trap;
CREATE FUNCTION trap.spring() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the trap was sprung'; END$$;
CREATE FUNCTION trap.compare(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT trap.spring()';
CREATE OPERATOR trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.compare);
CREATE OPERATOR trap.~>=~ (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.compare);
CREATE OPERATOR trap.~<~ (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.compare);
CREATE OPERATOR trap.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.compare);
CREATE FUNCTION trap.unnest(text[]) RETURNS SETOF text LANGUAGE sql AS $$SELECT trap.spring()::pg_catalog.text$$;
CREATE FUNCTION trap.json_each_text(json) RETURNS TABLE (key text, value text) LANGUAGE sql AS
	$$SELECT trap.spring()::pg_catalog.text, ''$$;
CREATE FUNCTION trap.jsonb_each_text(jsonb) RETURNS TABLE (key text, value text) LANGUAGE sql AS
	$$SELECT trap.spring()::pg_catalog.text, ''$$;
CREATE FUNCTION trap.json_typeof(json) RETURNS text LANGUAGE sql AS 'SELECT trap.spring()::pg_catalog.text';
CREATE FUNCTION trap.jsonb_typeof(jsonb) RETURNS text LANGUAGE sql AS 'SELECT trap.spring()::pg_catalog.text';
CREATE FUNCTION trap.to_text(json) RETURNS text LANGUAGE sql AS 'SELECT trap.spring()::pg_catalog.text';
CREATE CAST (json AS text) WITH FUNCTION trap.to_text(json) AS ASSIGNMENT;
CREATE FUNCTION trap.to_text(jsonb) RETURNS text LANGUAGE sql AS 'SELECT trap.spring()::pg_catalog.text';
CREATE CAST (jsonb AS text) WITH FUNCTION trap.to_text(jsonb) AS ASSIGNMENT;
CREATE FUNCTION trap.texteq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT trap.spring()';
CREATE FUNCTION trap.read_nodes() RETURNS SETOF boolean LANGUAGE sql AS 'SELECT trap.spring()';
CREATE TABLE trap.kv (partition text, key text, value text);
INSERT INTO trap.kv VALUES ('default', 'a', 'trapped');
CREATE TABLE trap.state (applied_slot bigint);
CREATE VIEW trap.data AS SELECT 'a' AS key, 'trapped' AS value;
CREATE TYPE trap.key_value AS (a int);
CREATE DOMAIN trap.text AS pg_catalog.text CHECK (trap.spring());
SET search_path = trap, pg_catalog, public;
-- they work
SELECT 'a'::pg_catalog.text = 'a'::pg_catalog.text;
SELECT * FROM json_each_text('{}');
SELECT '{}'::json::pg_catalog.text;
-- and are not called
SELECT paxos_put('a', 'here') OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_put('n', 4) OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_put('n', '{}'::jsonb) OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_get('a');
SELECT value FROM paxos_get_row('a');
SELECT key, value FROM paxos_get_many('{a,b}');
SELECT key, value FROM paxos_range('a', 'b');
SELECT key, value FROM paxos_prefix('B');
SELECT (paxos_range('a', max_rows => 1)).key;
SELECT paxos_batch('{a,c}', '{again,1}') OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_batch_json('{"a": "by jsonb", "d": 1}'::jsonb) OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_batch_json('{"a": "by json", "d": 1}'::json) OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_batch_json('{"a": "by text", "d": 1}'::pg_catalog.text) OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_get('a');
SELECT paxos_delete('d');
SELECT paxos_sync() OPERATOR(pg_catalog.>) 0 AS reached, paxos_wait(1) OPERATOR(pg_catalog.>) 0 AS waited;
SELECT role FROM paxos_status();
SELECT count(*) FROM paxoskv.nodes;
SELECT count(*) FROM paxoskv.data;
SELECT kind FROM paxos_log(1, 1);
-- also when the server's own functions are looked up last of all
SET search_path = pg_temp, trap, public, pg_catalog;
SELECT key FROM paxos_range();
SELECT paxos_batch_json('{"e": true}'::jsonb) OPERATOR(pg_catalog.>) 0 AS put;
SET search_path = '';
SELECT key FROM public.paxos_range('e');
SELECT public.paxos_batch_json('{"f": []}'::json) > 0 AS put;
SELECT key, value FROM public.paxos_get_many('{e,f}');
RESET search_path;

-- a function of such a name that is not ours stays what it is
CREATE FUNCTION trap.paxos_range(start_key text) RETURNS SETOF paxoskv.key_value LANGUAGE sql AS
	$$SELECT 'p', start_key, 'not ours', 0, 0, now()$$;
EXPLAIN (COSTS OFF) SELECT * FROM trap.paxos_range('x');
SELECT key, value FROM trap.paxos_range('x');

\set VERBOSITY terse
DROP SCHEMA trap CASCADE;

-- Rights: nothing is for PUBLIC, EXECUTE is enough.
CREATE ROLE regress_paxoskv_reader;
SET ROLE regress_paxoskv_reader;
SELECT * FROM paxos_get_many('{a}');
SELECT * FROM paxos_range();
SELECT paxos_range();
SELECT * FROM paxos_prefix('a');
SELECT paxos_wait(1);
SELECT paxos_batch_json('{"a": 1}');
SELECT paxos_batch_json('{"a": 1}'::json);
SELECT paxos_batch_json('{"a": 1}'::jsonb);
RESET ROLE;
GRANT EXECUTE ON FUNCTION paxos_range(text, text, bigint, text, text), paxos_prefix(text, bigint, text, text),
	paxos_get_many(text[], text, text), paxos_wait(bigint) TO regress_paxoskv_reader;
-- a plan that was made by one role is not another one's right
PREPARE range AS SELECT key FROM paxos_range('a', 'b');
EXECUTE range;
SET ROLE regress_paxoskv_reader;
EXECUTE range;
SELECT key FROM paxos_prefix('b');
SELECT key FROM paxos_get_many('{b,c}');
SELECT paxos_wait(1) > 0 AS waited;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION paxos_range(text, text, bigint, text, text) FROM regress_paxoskv_reader;
SET ROLE regress_paxoskv_reader;
EXECUTE range;
RESET ROLE;
DEALLOCATE range;
DROP OWNED BY regress_paxoskv_reader;
DROP ROLE regress_paxoskv_reader;
-- a function altered to run with other rights or settings is called as it says
ALTER FUNCTION paxos_range(text, text, bigint, text, text) SET paxoskv.read_consistency = 'local';
EXPLAIN (COSTS OFF) SELECT key FROM paxos_range('a', 'b');
SELECT key FROM paxos_range('a', 'b');
ALTER FUNCTION paxos_range(text, text, bigint, text, text) RESET ALL;
EXPLAIN (COSTS OFF) SELECT key FROM paxos_range('a', 'b');
