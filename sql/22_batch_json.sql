-- The members of a JSON object in one step: paxos_batch_json().

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;

-- A string is stored as its text, anything else as its JSON.
SELECT paxos_batch_json('{"text": "it''s", "number": 1.50, "yes": true, "list": [1, "two"],
	"object": {"b": 1,  "a": "x"}, "empty": "", "escaped": "a\n\"\\\u00e9\ud83c\udf4f"}'::jsonb) AS revision \gset
SELECT key, value, revision = :revision AND create_revision = :revision AS one_step FROM paxos_range();
-- the value of a string is its text, of others its JSON: they can be told apart no more
SELECT paxos_batch_json('{"a": "1", "b": 1, "c": "null", "d": "[]", "e": []}'::jsonb, 'alike') > 0 AS put;
SELECT key, value FROM paxos_range(partition => 'alike');
-- null is no value, as it is none in paxos_batch(): the key can be left out
SELECT paxos_batch_json('{"f": 1, "nothing": null}', 'alike');
SELECT paxos_batch_json('{"f": 1, "nothing": null}'::jsonb, 'alike');
SELECT paxos_batch_json(jsonb_strip_nulls('{"f": 1, "nothing": null}'), partition => 'alike') > 0 AS put;
SELECT key FROM paxos_range('f', partition => 'alike');

-- jsonb is stored as jsonb prints it; json and text as they are written, but for the blanks around a value
SELECT paxos_batch_json('{"v": {"b":1.0,   "a":[ 1e2 ], "a":2}}'::jsonb, 'jsonb') > 0 AS put;
SELECT paxos_batch_json('{"v": {"b":1.0,   "a":[ 1e2 ], "a":2}}'::json, 'json') > 0 AS put;
SELECT paxos_batch_json('  {"v" :  {"b":1.0,   "a":[ 1e2 ], "a":2} } ', 'text') > 0 AS put;
SELECT partition, value FROM paxoskv.kv WHERE key = 'v' ORDER BY partition;
SELECT paxos_batch_json('{"n": 1e2, "m": -0.10}'::jsonb, 'jsonb') > 0 AS put;
SELECT paxos_batch_json('{"n": 1e2, "m": -0.10}'::json, 'json') > 0 AS put;
SELECT partition, key, value FROM paxoskv.kv WHERE key IN ('n', 'm') ORDER BY partition, key;

-- the last of a repeated key wins, however it is written
SELECT paxos_batch_json('{"k": 1, "other": 0, "k": 2, "\u006b": "last"}'::json, 'twice') > 0 AS put;
SELECT key, value FROM paxos_range(partition => 'twice');
SELECT paxos_batch_json('{"k": 1, "k": 3}'::jsonb, 'twice') > 0 AS put;
SELECT paxos_get('k', 'twice');

-- no members: nothing to write, no revision
SELECT paxos_batch_json('{}') IS NULL AS nothing, paxos_batch_json('{}'::json) IS NULL AS json,
	paxos_batch_json('{}'::jsonb) IS NULL AS jsonb;

-- rows of a table, and back
SELECT paxos_batch_json(jsonb_object_agg(name, setting), 'settings') > 0 AS put
FROM pg_settings WHERE name IN ('port', 'block_size', 'server_encoding');
SELECT jsonb_object_agg(key, value) - 'port' AS settings FROM paxos_range(partition => 'settings');
-- many
SELECT paxos_batch_json(jsonb_object_agg(i::text, i), 'many') > 0 AS put FROM generate_series(1, 30000) AS i;
SELECT count(*), count(DISTINCT revision) AS revisions, bool_and(value = key) AS right FROM paxos_range(partition => 'many');
-- a literal or a parameter of no type is text; so is one that a driver sends as text
PREPARE put AS SELECT paxos_batch_json($1, 'prepared') > 0 AS put;
EXECUTE put ('{"a": 1}');
DEALLOCATE put;
SELECT paxos_batch_json(pairs => '{"b": "named"}', partition => 'prepared', request_id => NULL) > 0 AS put;
SELECT key, value FROM paxos_range(partition => 'prepared');

-- what is refused, and nothing of it written
DO $$
DECLARE
	command text;
	message text;
	detail text;
BEGIN
	FOREACH command IN ARRAY ARRAY[
		$q$NULL$q$, $q$NULL::jsonb$q$, $q$NULL::json$q$, $q$'{"a": 1}', NULL$q$, $q$'{"a": 1}'::jsonb, ''$q$,
		$q$'{"a": 1}'::json, request_id => 's1-2'$q$,
		$q$'[{"a": 1}]'$q$, $q$'[]'::jsonb$q$, $q$'"a"'::json$q$, $q$'1'::jsonb$q$, $q$'null'::jsonb$q$, $q$'true'$q$,
		$q$'{"a": 1'$q$, $q$''$q$, $q$'{a: 1}'$q$, $q$'{"a": 1} {"b": 2}'$q$, $q$'{"a": "\u0000"}'$q$,
		$q$'{"\u0000": 1}'::json$q$, $q$'{"a": ["\u0000"]}'::json$q$, $q$'{"a": "\ud83c"}'$q$,
		$q$'{"good": 1, "": 2}'$q$, $q$('{"good": 1, "' || repeat('k', 1018) || '": 2}')::jsonb$q$,
		$q$jsonb_build_object('good', repeat('x', 5000000))$q$,
		$q$(SELECT jsonb_object_agg(i::text, '') FROM generate_series(1, 65536) AS i)$q$]
	LOOP
		BEGIN
			EXECUTE 'SELECT paxos_batch_json(' || command || ')';
			RAISE INFO '% was done', command;
		EXCEPTION WHEN OTHERS THEN
			GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
			RAISE INFO '%', concat_ws(' | ', command, SQLSTATE, message, NULLIF(detail, ''));
		END;
	END LOOP;
END
$$;
SELECT paxos_get('good') IS NULL AS absent;
BEGIN READ ONLY;
SELECT paxos_batch_json('{"a": 1}'::jsonb);
ROLLBACK;
