-- Keys, values and partitions are any text but the empty key and partition, and only bytes tell them apart.

SELECT paxos_clear_all('paxoskv') >= 0 AS cleared;

-- an empty value is a value
SELECT paxos_put('empty', '') > 0 AS put;
SELECT paxos_get('empty') = '' AS empty, paxos_get('absent') IS NULL AS absent;
SELECT key, value = '' AS empty FROM paxos_get_many('{empty,absent}');
SELECT paxos_put('', 'value');

-- every character that text can hold below 256, and some of each length in UTF8, as key, value and partition
CREATE TEMP TABLE letters AS
SELECT chr(code) AS letter, code
FROM (SELECT generate_series(1, 255) AS code
	UNION ALL SELECT unnest(ARRAY[x'07FF'::int, x'0800'::int, x'20AC'::int, x'D7FF'::int, x'E000'::int, x'FEFF'::int,
		x'FFFD'::int, x'FFFF'::int, x'10000'::int, x'1F34F'::int, x'E0001'::int, x'10FFFF'::int])) AS codes;
SELECT count(*) FROM letters;
SELECT paxos_batch(array_agg(letter), array_agg(letter || letter), 'letters') > 0 AS put FROM letters;
SELECT count(*), bool_and(value = key || key) AS same FROM paxos_range(partition => 'letters');
SELECT array_agg(key ORDER BY n) = (SELECT array_agg(letter ORDER BY code) FROM letters) AS in_byte_order
FROM paxos_range(partition => 'letters') WITH ORDINALITY AS r (partition, key, value, revision, created, written, n);
SELECT count(*) AS letters, bool_and(paxos_get(letter, 'letters') = letter || letter) AS found,
	bool_and((SELECT array_agg(key) FROM paxos_prefix(letter, partition => 'letters')) = ARRAY[letter]) AS as_prefix,
	bool_and((SELECT array_agg(key) FROM paxos_range(letter, letter || chr(1), partition => 'letters')) = ARRAY[letter])
		AS as_range
FROM letters;
SELECT count(*) FROM paxos_get_many(ARRAY(SELECT letter FROM letters ORDER BY random()), 'letters');
SELECT count(paxos_put('key', letter, letter)) FROM letters;
SELECT count(*) AS partitions, bool_and(paxos_get('key', letter) = letter) AS same FROM letters;
-- the same by JSON
SELECT paxos_clear('letters');
SELECT paxos_batch_json(jsonb_object_agg(letter, letter || letter), 'letters') > 0 AS put FROM letters;
SELECT count(*), bool_and(value = key || key) AS same FROM paxos_range(partition => 'letters');
SELECT paxos_batch_json(json_object_agg(letter, letter || 'x'), 'letters') > 0 AS put FROM letters;
SELECT count(*), bool_and(value = key || 'x') AS same FROM paxos_range(partition => 'letters');
-- and in the log
SELECT count(*) AS logged, bool_and(key || 'x' = value) AS same
FROM paxos_log((SELECT max(revision) FROM paxos_range(partition => 'letters')), NULL);

-- quotes, backslashes, what is special elsewhere
SELECT paxos_batch(ARRAY['''', '"', '\', '\\', '%', '_', '*', '$1', '--', ';', '{}', 'NULL', E'\r\n', ' ', '  ', '/', '.'],
	ARRAY['''', '"', '\', '\\', '%', '_', '*', '$1', '--', ';', '{}', 'NULL', E'\r\n', ' ', '  ', '/', '.'], 'special') > 0 AS put;
SELECT count(*), bool_and(key = value) AS same, bool_and(paxos_get(key, 'special') = key) AS found
FROM paxos_range(partition => 'special');
SELECT key FROM paxos_prefix('\', partition => 'special');

-- keys that differ only by case, accent, normalization form, width or blanks are different keys
SELECT paxos_batch(keys, keys, 'alike') > 0 AS put
FROM (SELECT ARRAY['resume', 'Resume', 'RESUME', 'résumé', U&'re\0301sume\0301', 'ｒｅｓｕｍｅ', 'resume ', ' resume',
	U&'resume\00AD', U&'resume\200B', 'strasse', 'straße', 'ﬁ', 'fi', 'I', 'ı', 'i', 'İ', U&'i\0307', 'Å', U&'\212B'] AS keys) AS k;
SELECT count(*), bool_and(value = key) AS same, bool_and(paxos_get(key, 'alike') = key) AS found
FROM paxos_range(partition => 'alike');
SELECT key FROM paxos_prefix('resume', partition => 'alike');
SELECT count(*) FROM paxos_get_many(ARRAY['résumé', U&'re\0301sume\0301', 'Resume'], 'alike');
SELECT paxos_delete('résumé', 'alike'), paxos_get(U&'re\0301sume\0301', 'alike') IS NOT NULL AS other_stays;

-- the longest: partition and key have 1,024 bytes together, of whatever characters
SELECT paxos_put(repeat('🍏', 254) || 'x', 'long') > 0 AS put;
SELECT paxos_put(repeat('🍏', 254) || 'xy', 'too long') > 0 AS put;
SELECT paxos_put('k', 'long partition', repeat('é', 511) || 'p') > 0 AS put;
SELECT length(key), octet_length(key), value FROM paxos_prefix(repeat('🍏', 200));
SELECT length(key), value FROM paxos_get_many(ARRAY[repeat('🍏', 254) || 'x']);
SELECT octet_length(partition), key, value FROM paxos_range(partition => repeat('é', 511) || 'p');

-- what is no text of this encoding never gets here
SELECT paxos_put(convert_from('\xff', 'UTF8'), 'v');
SELECT paxos_put(chr(0), 'v');
-- a client with another encoding sees the same keys
SET client_encoding = 'LATIN1';
SELECT paxos_get(convert_from('\x52e973756d65', 'LATIN1')) IS NULL AS absent;
SELECT count(*) FROM paxos_prefix('re', partition => 'alike') WHERE key ~ '^[a-z ]*$';
RESET client_encoding;
