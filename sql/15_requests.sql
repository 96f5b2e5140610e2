-- A request id: the same command again gives the first result and has no second effect.

-- put: the first revision, whatever came in between
SELECT paxos_put('apple', 'green', 'ids', 'put 1') AS first \gset
SELECT paxos_put('apple', 'red', 'ids') > :first AS later;
SELECT paxos_put('apple', 'green', 'ids', 'put 1') = :first AS same;
SELECT paxos_put('apple', 'green', 'ids', request_id => 'put 1') = :first AS same;
SELECT paxos_get('apple', 'ids');

-- another command under it is refused, and says so
SELECT paxos_put('apple', 'blue', 'ids', 'put 1');
SELECT paxos_put('pear', 'green', 'ids', 'put 1');
SELECT paxos_delete('apple', 'ids', 'put 1');
SELECT paxos_get('apple', 'ids');

-- values of other types, text that needs quoting, an id of 255 bytes
SELECT paxos_put('seven', 7, 'ids', 'it''s "7"') = paxos_put('seven', 7, 'ids', 'it''s "7"') AS same;
SELECT paxos_put('long', 'x', 'ids', repeat('é', 127) || 'x') = paxos_put('long', 'x', 'ids', repeat('é', 127) || 'x') AS same;
-- ids are told apart bytewise
SELECT paxos_put('case', '1', 'ids', 'Case') <> paxos_put('case', '1', 'ids', 'case') AS two;

-- delete and clear: what they removed the first time
SELECT paxos_delete('apple', 'ids', 'delete 1') AS deleted;
SELECT paxos_put('apple', 'again', 'ids') > 0 AS put;
SELECT paxos_delete('apple', 'ids', 'delete 1') AS deleted, paxos_get('apple', 'ids');
SELECT paxos_clear('ids', 'clear 1') AS removed;
SELECT paxos_put('apple', 'still there', 'ids') > 0 AS put;
SELECT paxos_clear('ids', 'clear 1') AS removed, paxos_get('apple', 'ids');

-- batch; in another order it is another command
SELECT paxos_batch('{a,b}', '{1,2}', 'ids', 'batch 1') AS first \gset
SELECT paxos_batch('{a,b}', '{1,2}', 'ids', 'batch 1') = :first AS same;
SELECT paxos_batch('{b,a}', '{2,1}', 'ids', 'batch 1') = :first AS same;
SELECT paxos_batch_json('{"x": 1}', 'ids', 'json 1') = paxos_batch_json('{"x": 1}', 'ids', 'json 1') AS same;

-- conditional writes: the first verdict, though it would be another one by now
SELECT paxos_insert('new', '1', 'ids', 'insert 1') AS done;
SELECT paxos_insert('new', '1', 'ids', 'insert 1') AS done, paxos_insert('new', '1', 'ids', 'insert 2') AS done;
SELECT paxos_cas('new', '1', '2', 'ids', 'cas 1') AS done, paxos_cas('new', '1', '2', 'ids', 'cas 1') AS done;
SELECT paxos_cas('new', '1', '2', 'ids', 'cas 2') AS done;
SELECT paxos_delete('new', 'ids') AS deleted;
SELECT paxos_update('new', '3', 'ids', 'update 1') AS done;
SELECT paxos_put('new', '4', 'ids') > 0 AS put;
SELECT paxos_update('new', '3', 'ids', 'update 1') AS done, paxos_get('new', 'ids');

-- transactions: the first answer whole, with what was read then
SELECT paxos_txn('[]', '[{"op": "get", "key": "new", "partition": "ids"}, {"op": "put", "key": "new", "partition": "ids", "value": "5"}]',
	'[]', 'txn 1') AS answer \gset
SELECT paxos_put('new', '6', 'ids') > 0 AS put;
SELECT t = :'answer'::jsonb AS same, t -> 'results' -> 0 ->> 'value' AS value
FROM paxos_txn('[]', '[{"op": "get", "key": "new", "partition": "ids"}, {"op": "put", "key": "new", "partition": "ids", "value": "5"}]',
	'[]', 'txn 1') AS t;
SELECT paxos_get('new', 'ids');

-- what was read is remembered up to 8 kB; beyond that the repeated call says that it was applied
SELECT paxos_put('big', repeat('x', 9000), 'ids') > 0 AS put;
SELECT length(t -> 'results' -> 0 ->> 'value') FROM paxos_txn('[]', '[{"op": "get", "key": "big", "partition": "ids"}]', '[]', 'txn 2') AS t;
\set VERBOSITY terse
SELECT paxos_txn('[]', '[{"op": "get", "key": "big", "partition": "ids"}]', '[]', 'txn 2');
\set VERBOSITY default

-- what became of a command: by its id ...
SELECT outcome, revision = :first AS revision FROM paxos_outcome('batch 1');
SELECT * FROM paxos_outcome('never used');
-- ... or by its name, as an error 40003 or the log gives it
SELECT format('s%s-%s', session, number) AS name, session, number FROM paxos_log(:first, 1) \gset
SELECT * FROM paxos_outcome(:'name');
SELECT * FROM paxos_outcome(format('s%s-%s', :session, :number + 1000000));
SELECT * FROM paxos_outcome('s999999999-1');

-- giving up: what was applied stays applied, what was not never will be
SELECT outcome FROM paxos_outcome('batch 1', give_up => true);
SELECT * FROM paxos_outcome('later', true);
SELECT * FROM paxos_outcome('later');
SELECT paxos_put('apple', 'too late', 'ids', 'later');
SELECT paxos_get('apple', 'ids');
SELECT * FROM paxos_outcome('later', true);
SELECT * FROM paxos_outcome(:'name', true);

-- a number that is given up before its command comes: that command has no effect, the next one has
SELECT session, max(number) + 2 AS next FROM paxos_log(:first, NULL) WHERE session = :session GROUP BY session \gset
SELECT * FROM paxos_outcome(format('s%s-%s', :session, :next), true);
SELECT paxos_put('apple', 'void', 'ids');
SELECT paxos_put('apple', 'after', 'ids') > 0 AS put;
SELECT paxos_get('apple', 'ids');
SELECT * FROM paxos_outcome(format('s%s-%s', :session, :next));

-- all of it is part of the state and of its hash
SELECT count(*) AS remembered, count(*) FILTER (WHERE kind = 2) AS given_up FROM paxoskv.requests;
SELECT count(*) AS void_numbers FROM paxoskv.void_numbers WHERE session = :session;
SELECT request_count = (SELECT count(*) FROM paxoskv.requests) AS counted, newest_dropped FROM paxoskv.state;

-- give_up writes; a read-only transaction may only ask
BEGIN READ ONLY;
SELECT outcome FROM paxos_outcome('batch 1');
SELECT outcome FROM paxos_outcome('batch 1', true);
ROLLBACK;

-- cancelled after it turned out to be applied by an earlier call: not as if it had been refused
\set VERBOSITY sqlstate
SET statement_timeout = '1s';
SELECT paxos_put('apple', 'green', 'ids', 'put 1') > 0 AS put, pg_sleep(10);
SELECT paxos_put('apple', 'other', 'ids', 'put 1') > 0 AS put, pg_sleep(10);
RESET statement_timeout;
\set VERBOSITY default
