-- Names that a caller puts in the way: his search_path, operators, casts, types and functions change nothing.
\set VERBOSITY terse
SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;

-- a schema full of traps: each of these raises an error when it is used
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap() RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.trap(pg_catalog.text, pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.trap(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR hostile.= (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = hostile.trap);
CREATE OPERATOR hostile.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = hostile.trap);
CREATE OPERATOR hostile.~<~ (LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text, FUNCTION = hostile.trap);
CREATE FUNCTION hostile.now() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE FUNCTION hostile.extension_created() RETURNS void LANGUAGE sql AS 'SELECT hostile.trap()';
CREATE FUNCTION hostile.read_nodes() RETURNS void LANGUAGE sql AS 'SELECT hostile.trap()';
CREATE DOMAIN hostile.text AS pg_catalog.text CHECK (VALUE IS NULL);
CREATE DOMAIN hostile.int8 AS pg_catalog.int8 CHECK (VALUE IS NULL);
CREATE TYPE hostile.key_value AS (nothing integer);
CREATE TABLE hostile.kv (partition pg_catalog.text, key pg_catalog.text, value pg_catalog.text);
CREATE TABLE hostile.state (applied_slot bigint);
CREATE VIEW hostile.data AS SELECT 'false'::pg_catalog.text AS value;
SELECT 'a'::pg_catalog.text OPERATOR(hostile.=) 'a'::pg_catalog.text;

-- all of it in front
SET search_path = hostile, pg_temp, public, pg_catalog;
SELECT 'a'::pg_catalog.text = 'a'::pg_catalog.text;
SELECT pg_catalog.count(*) FROM kv;
SELECT paxos_put('k', 'v') OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_put('n', 12.50) OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_put('d', pg_catalog.date '2024-02-03') OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_batch('{b,c}', '{1,2}', 'other') OPERATOR(pg_catalog.>) 0 AS put;
SELECT paxos_get('k'), paxos_get('n'), paxos_get('d'), paxos_get('c', 'other');
SELECT partition, key, value FROM paxos_get_row('k');
SELECT paxos_get('k', consistency => 'leader'), paxos_get('k', consistency => 'local');
SELECT key, value FROM paxoskv.data ORDER BY value;
SELECT node_id, leader FROM paxoskv.nodes;
SELECT role FROM paxos_status();
SELECT kind, key FROM paxos_log(max_rows => 1000000) AS log WHERE key LIKE 'k' ORDER BY slot DESC LIMIT 1;
SELECT paxos_delete('k');
SELECT paxos_clear('other');
SELECT paxos_sync() OPERATOR(pg_catalog.>) 0 AS synced;
-- and the protection looks at tables, not at names
DELETE FROM paxoskv.kv;
DELETE FROM kv;
RESET search_path;

-- temporary tables come before all others, unless a name says where
CREATE TEMP TABLE kv (key pg_catalog.text);
CREATE TEMP VIEW data AS SELECT 'false' AS value;
SELECT paxos_put('k', 'v') > 0 AS put;
SELECT paxos_get('k');
SELECT value FROM paxoskv.data WHERE key = 'k';
DROP VIEW pg_temp.data;
DROP TABLE pg_temp.kv;

-- a value's text is what its type says, not what a cast of the caller's makes of it
CREATE TYPE hostile.pair AS (a integer, b integer);
CREATE FUNCTION hostile.pair_text(hostile.pair) RETURNS pg_catalog.text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE CAST (hostile.pair AS pg_catalog.text) WITH FUNCTION hostile.pair_text(hostile.pair) AS ASSIGNMENT;
SELECT paxos_put('pair', ROW(1, 2)::hostile.pair) > 0 AS put;
SELECT paxos_get('pair');

-- no search_path at all
SET search_path = '';
SELECT public.paxos_put('k', 'without a path') OPERATOR(pg_catalog.>) 0 AS put;
SELECT public.paxos_get('k');
SELECT value FROM paxoskv.data WHERE key OPERATOR(pg_catalog.=) 'k';
RESET search_path;

-- a function with its owner's rights, called with the caller's path
CREATE ROLE regress_paxoskv_caller;
CREATE ROLE regress_paxoskv_app;
GRANT EXECUTE ON FUNCTION paxos_put(text, text, text, text), paxos_get(text, text, text) TO regress_paxoskv_app;
GRANT CREATE ON SCHEMA public TO regress_paxoskv_app;
GRANT USAGE ON SCHEMA hostile TO regress_paxoskv_caller;
SET ROLE regress_paxoskv_app;
CREATE FUNCTION public.set_flag(flag text, value text) RETURNS boolean LANGUAGE sql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp
	AS $$SELECT public.paxos_put(flag, value, 'flags') > 0$$;
SET ROLE regress_paxoskv_caller;
SET search_path = hostile, public, pg_catalog;
SELECT public.set_flag('f', 'on');
SELECT public.paxos_put('f', 'off', 'flags');
RESET search_path;
RESET ROLE;
SELECT paxos_get('f', 'flags');
-- one with the rights of a superuser changes no more than he could
CREATE FUNCTION public.as_superuser() RETURNS void LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM paxoskv.kv';
GRANT EXECUTE ON FUNCTION public.as_superuser() TO regress_paxoskv_caller;
SET ROLE regress_paxoskv_caller;
SELECT public.as_superuser();
RESET ROLE;

-- where a trap comes first under a function's own name, only the caller who leaves out the schema falls into it
CREATE FUNCTION hostile.paxos_get(key pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql AS $$SELECT 'false'$$;
SET search_path = hostile, public;
SELECT paxos_get('k'), public.paxos_get('k');
RESET search_path;

SET client_min_messages = warning;
DROP FUNCTION public.set_flag(text, text), public.as_superuser();
DROP SCHEMA hostile CASCADE;
RESET client_min_messages;
DROP OWNED BY regress_paxoskv_app, regress_paxoskv_caller;
DROP ROLE regress_paxoskv_app, regress_paxoskv_caller;
