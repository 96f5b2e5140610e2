-- Arguments that are refused, each with its SQLSTATE.
CREATE FUNCTION outcome(command text) RETURNS TABLE (code text, message text, detail text, hint text)
LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		EXECUTE command;
		RETURN QUERY SELECT 'done', NULL, NULL, NULL;
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
			detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
		RETURN NEXT;
	END;
END
$$;
\x on

-- null is never taken for a value
SELECT c AS command, o.code, o.message
FROM unnest(ARRAY[
	$$SELECT paxos_put(NULL, 'v')$$,
	$$SELECT paxos_put('k', NULL)$$,
	$$SELECT paxos_put('k', NULL::text)$$,
	$$SELECT paxos_put('k', NULL::integer)$$,
	$$SELECT paxos_put('k', NULL::jsonb)$$,
	$$SELECT paxos_put('k', 'v', NULL)$$,
	$$SELECT paxos_put('k', 1, NULL)$$,
	$$SELECT paxos_put(NULL, 1)$$,
	$$SELECT paxos_get(NULL)$$,
	$$SELECT paxos_get('k', NULL)$$,
	$$SELECT * FROM paxos_get_row(NULL)$$,
	$$SELECT * FROM paxos_get_row('k', NULL)$$,
	$$SELECT paxos_delete(NULL)$$,
	$$SELECT paxos_delete('k', NULL)$$,
	$$SELECT paxos_clear(NULL)$$,
	$$SELECT paxos_clear_all(NULL)$$,
	$$SELECT paxos_batch(NULL, NULL)$$
]) AS c, outcome(c) AS o;

-- empty names
SELECT c AS command, o.*
FROM unnest(ARRAY[
	$$SELECT paxos_put('', 'v')$$,
	$$SELECT paxos_put('k', 'v', '')$$,
	$$SELECT paxos_get('')$$,
	$$SELECT paxos_delete('k', '')$$
]) AS c, outcome(c) AS o;

-- names that are too long, in bytes
SELECT c AS command, o.*
FROM unnest(ARRAY[
	$$SELECT paxos_put(repeat('k', 1018), 'v')$$,
	$$SELECT paxos_put(repeat('é', 509), 'v')$$,
	$$SELECT paxos_put('k', 'v', repeat('p', 1024))$$,
	$$SELECT paxos_get(repeat('k', 1018))$$,
	$$SELECT paxos_delete('kk', repeat('p', 1023))$$,
	$$SELECT paxos_clear(repeat('p', 2000))$$,
	$$SELECT paxos_batch(ARRAY[repeat('k', 1018)], '{v}')$$
]) AS c, outcome(c) AS o;

-- commands that are too large
SHOW paxoskv.max_command_size;
SELECT o.code, o.message FROM outcome($$SELECT paxos_put('k', repeat('v', 5000000))$$) AS o;
SELECT o.code, o.message
FROM outcome($$SELECT paxos_batch('{a,b}', ARRAY[repeat('v', 2500000), repeat('w', 2500000)])$$) AS o;

-- request ids: not empty, not too long, not like the names of commands
SELECT left(c, 60) AS command, o.*
FROM unnest(ARRAY[
	$$SELECT paxos_batch('{k}', '{v}', request_id => '')$$,
	$$SELECT paxos_put('k', 'v', request_id => repeat('r', 256))$$,
	$$SELECT paxos_delete('k', request_id => 's12-34')$$,
	$$SELECT paxos_outcome(NULL)$$,
	$$SELECT paxos_outcome('')$$,
	$$SELECT paxos_outcome('r', NULL)$$
]) AS c, outcome(c) AS o;

-- levels, limits
SELECT c AS command, o.*
FROM unnest(ARRAY[
	$$SELECT paxos_get('k', consistency => 'weak')$$,
	$$SELECT * FROM paxos_log(0)$$,
	$$SELECT * FROM paxos_log(-5, 10)$$,
	$$SELECT * FROM paxos_log(1, 0)$$,
	$$SELECT paxos_clear_all('wrong')$$,
	$$SELECT paxos_batch('{a,b}', '{1}')$$,
	$$SELECT paxos_batch('{{a},{b}}', '{1,2}')$$
]) AS c, outcome(c) AS o;
\x off

-- an unknown literal is text, not ambiguous
SELECT paxos_put('unknown', 'literal') > 0 AS put;

-- nothing of all that was written
SELECT count(*) FROM paxoskv.kv WHERE key = 'k';
DROP FUNCTION outcome(text);
