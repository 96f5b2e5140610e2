-- paxos_txn: checks of several keys and partitions, then one of two lists, all in one slot.

SELECT paxos_batch('{from,to}', '{100,20}', 'money') > 0 AS put;

-- all checks hold: then_do
SELECT t ->> 'succeeded' AS succeeded, t -> 'results' AS results
FROM paxos_txn(
	'[{"partition": "money", "key": "from", "value": "100"}, {"partition": "money", "key": "to", "value": "20"}]',
	'[{"op": "put", "partition": "money", "key": "from", "value": "70"},
	  {"op": "put", "partition": "money", "key": "to", "value": "50"}]',
	'[]') AS t;
SELECT key, value, revision = max(revision) OVER () AS together FROM paxoskv.kv WHERE partition = 'money' ORDER BY key;

-- one does not: else_do, which may read
SELECT t ->> 'succeeded' AS succeeded, jsonb_array_length(t -> 'results') AS results,
	t -> 'results' -> 0 ->> 'value' AS value, t -> 'results' -> 0 ->> 'exists' AS "exists"
FROM paxos_txn(
	'[{"partition": "money", "key": "from", "value": "100"}, {"partition": "money", "key": "to", "value": "50"}]',
	'[{"op": "put", "partition": "money", "key": "from", "value": "0"}]',
	'[{"op": "get", "partition": "money", "key": "from"}]') AS t;

-- reads inside see the slot as it is by then: what stands before them in the list, and no more
SELECT r ->> 'op' AS op, r ->> 'key' AS key, r ->> 'exists' AS "exists", r ->> 'value' AS value, r ->> 'deleted' AS deleted
FROM paxos_txn('[]',
	'[{"op": "get", "key": "t1"}, {"op": "put", "key": "t1", "value": "a"}, {"op": "get", "key": "t1"},
	  {"op": "put", "key": "t1", "value": "b"}, {"op": "delete", "key": "t1"}, {"op": "delete", "key": "t1"},
	  {"op": "get", "key": "t1"}]', '[]') AS t, jsonb_array_elements(t -> 'results') AS r;

-- the checks look at the rows before the first operation
SELECT t ->> 'succeeded' AS succeeded
FROM paxos_txn('[{"key": "t2", "exists": false}]', '[{"op": "put", "key": "t2", "value": "1"}]', '[]') AS t;
SELECT t ->> 'succeeded' AS succeeded
FROM paxos_txn('[{"key": "t2", "exists": false}]', '[{"op": "put", "key": "t2", "value": "2"}]', '[]') AS t;
SELECT paxos_get('t2');

-- every kind of check
SELECT revision AS r, create_revision AS c FROM paxos_get_row('to', 'money') \gset
SELECT "check" ->> 'compare' AS compare, ("check" - 'key' - 'partition' - 'compare') - 'revision' - 'create_revision' AS test,
	paxos_txn(jsonb_build_array("check" || '{"partition": "money"}'), '[]', '[]') ->> 'succeeded' AS succeeded
FROM (VALUES
	(1, '{"key": "to", "exists": true}'::jsonb), (2, '{"key": "nobody", "exists": true}'), (3, '{"key": "nobody", "exists": false}'),
	(4, '{"key": "to", "value": "50"}'), (5, '{"key": "to", "value": "5", "compare": "="}'),
	(6, '{"key": "to", "value": "5", "compare": "!="}'), (7, '{"key": "to", "value": "6", "compare": "<"}'),
	(8, '{"key": "to", "value": "5", "compare": ">"}'), (9, '{"key": "nobody", "value": "5", "compare": "!="}'),
	(10, jsonb_build_object('key', 'to', 'revision', :r)), (11, jsonb_build_object('key', 'to', 'revision', :r, 'compare', '!=')),
	(12, jsonb_build_object('key', 'to', 'revision', :r + 1, 'compare', '<')),
	(13, jsonb_build_object('key', 'to', 'create_revision', :c)), (14, jsonb_build_object('key', 'to', 'create_revision', :c, 'compare', '>')),
	(15, '{"key": "nobody", "revision": 0}')) AS checks (place, "check")
ORDER BY place;

-- checks alone answer, without an operation
SELECT paxos_txn('[{"key": "t2", "value": "1"}]', '[]', '[]') - 'revision' AS result;

-- a value that is no string is stored as its JSON, and compared so
SELECT paxos_txn('[]', '[{"op": "put", "key": "t3", "value": {"b": [1, 2.50, true, null], "a": "x"}}]', '[]') ->> 'succeeded' AS succeeded;
SELECT paxos_get('t3');
SELECT paxos_txn('[{"key": "t3", "value": {"a": "x", "b": [1, 2.50, true, null]}}]', '[]', '[]') ->> 'succeeded' AS succeeded;
SELECT paxos_txn('[]', '[{"op": "put", "key": "t3", "value": 7}, {"op": "get", "key": "t3"}]', '[]') -> 'results' -> 1 ->> 'value' AS value;

-- a result of two megabytes, and quotes, backslashes and line ends in keys and values
SELECT paxos_put('t4', repeat('x', 1000000)) > 0 AS put;
SELECT length(r ->> 'value') AS length
FROM paxos_txn('[]', '[{"op": "get", "key": "t4"}, {"op": "get", "key": "t4"}]', '[]') AS t, jsonb_array_elements(t -> 'results') AS r;
SELECT r ->> 'key' = E'a"b\\c\nd' AS key, r ->> 'value' = E'''"\\\t' AS value
FROM paxos_txn('[]', jsonb_build_array(jsonb_build_object('op', 'put', 'key', E'a"b\\c\nd', 'value', E'''"\\\t'),
	jsonb_build_object('op', 'get', 'key', E'a"b\\c\nd')), '[]') AS t, jsonb_array_elements(t -> 'results') AS r WHERE r ->> 'op' = 'get';

-- the result of the first operation's list only; in its order; with the revision of the whole
SELECT (t ->> 'revision')::bigint = (SELECT revision FROM paxos_get_row('t5')) AS revision
FROM paxos_txn('[]', '[{"op": "put", "key": "t5", "value": "x"}]', '[]') AS t;

-- what is wrong is said with its place, before anything is proposed
SELECT revision AS before FROM paxos_get_row('t5') \gset
SELECT paxos_txn('{}', '[]', '[]');
SELECT paxos_txn('"x"', '[]', '[]');
SELECT paxos_txn('[1]', '[]', '[]');
SELECT paxos_txn('[{}]', '[]', '[]');
SELECT paxos_txn('[{"key": 1, "exists": true}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a"}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "exists": "yes"}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "exists": true, "compare": "="}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "exists": true, "revision": 1}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "value": null}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "value": "x", "compare": "<="}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "revision": 1.5}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "revision": -1}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "revision": 9223372036854775808}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "version": 1}]', '[]', '[]');
SELECT paxos_txn('[{"key": "a", "exists": true, "op": "get"}]', '[]', '[]');
SELECT paxos_txn('[]', '[{"op": "get", "key": "a"}, {"key": "a"}]', '[]');
SELECT paxos_txn('[]', '[{"op": "increment", "key": "a"}]', '[]');
SELECT paxos_txn('[]', '[{"op": "put", "key": "a"}]', '[]');
SELECT paxos_txn('[]', '[{"op": "get", "key": "a", "value": "x"}]', '[]');
SELECT paxos_txn('[]', '[{"op": "put", "key": "a", "value": "x", "revision": 1}]', '[]');
SELECT paxos_txn('[]', '[]', '[{"op": "put", "key": "", "value": "x"}]');
SELECT paxos_txn('[]', '[]', '[{"op": "put", "key": "a", "partition": "", "value": "x"}]');
SELECT paxos_txn('[]', '[]', jsonb_build_array(jsonb_build_object('op', 'get', 'key', repeat('k', 1025))));
SELECT paxos_txn('[]', '[]', '[]');
SELECT paxos_txn(NULL, '[]', '[]');
SELECT paxos_txn('[]', '[]', NULL);
SELECT revision = :before AS nothing_happened FROM paxos_get_row('t5');

-- a result that is too large to be handed over: the command is applied, and the error says so
\set VERBOSITY terse
SELECT paxos_txn('[]', (SELECT jsonb_agg('{"op": "get", "key": "t4"}'::jsonb) FROM generate_series(1, 70)) ||
	'{"op": "put", "key": "t5", "value": "applied"}', '[]');
\set VERBOSITY default
SELECT paxos_get('t5');
