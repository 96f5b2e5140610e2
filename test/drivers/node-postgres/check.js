// What a program in JavaScript does with node-postgres: see README.md here for what is checked.

const { isDeepStrictEqual } = require('node:util');
const { Client, Pool } = require('pg');

const P = 'node-postgres';

function ok(condition, what) {
  console.log((condition ? 'ok ' : 'not ok ') + what);
}

async function one(client, statement, ...parameters) {
  const result = await client.query({ text: statement, values: parameters, rowMode: 'array' });
  return result.rows[0][0];
}

async function sqlstate(client, statement, ...parameters) {
  try {
    await client.query(statement, parameters);
  } catch (error) {
    return error.code;
  }
  return '00000';
}

async function values(here, there) {
  const revision = await one(here, 'SELECT paxos_put($1, $2, $3)', 'apple', 'green', P);
  ok(/^[1-9][0-9]*$/.test(revision), 'put gives a bigint, the revision, as text');
  ok((await one(there, 'SELECT paxos_get($1, $2)', 'apple', P)) === 'green', 'get on another node');
  await one(here, 'SELECT paxos_put($1, $2, $3)', 'count', 7, P);
  ok((await one(there, 'SELECT paxos_get($1, $2)', 'count', P)) === '7', 'put of a number is its text');
  ok((await one(here, 'SELECT paxos_batch($1, $2, $3)', ['a', 'b'], ['1', '2'], P)) > 0, 'batch of two arrays');
  const rows = await there.query('SELECT key, value FROM paxos_get_many($1, $2)', [['b', 'a', 'none'], P]);
  ok(isDeepStrictEqual(rows.rows, [{ key: 'a', value: '1' }, { key: 'b', value: '2' }]), 'get_many gives objects');
  for (const [what, key] of [['unicode', 'ключ 🍐 ä'], ['quotes', `it's "so" \\ $1`]]) {
    await one(here, 'SELECT paxos_put($1, $2, $3)', key, key, P);
    ok((await one(there, 'SELECT paxos_get($1, $2)', key, P)) === key, `${what} in key and value`);
  }
}

async function nulls(here, there) {
  ok((await one(there, 'SELECT paxos_get($1, $2)', 'absent', P)) === null, 'an absent key is null');
  ok((await sqlstate(here, 'SELECT paxos_put($1, $2, $3)', 'apple', null, P)) === '22004', 'a value null is 22004');
  ok((await sqlstate(here, 'SELECT paxos_put($1, $2, $3)', undefined, 'x', P)) === '22004', 'a key undefined is 22004');
}

async function transaction(there) {
  const pool = new Pool({ max: 1 });
  const client = await pool.connect();
  await client.query('BEGIN');
  await one(client, 'SELECT paxos_put($1, $2, $3)', 'in transaction', 'there', P);
  ok((await one(there, 'SELECT paxos_get($1, $2)', 'in transaction', P)) === 'there', 'seen elsewhere before COMMIT');
  await client.query('ROLLBACK');
  client.release();
  await pool.end();
  ok((await one(there, 'SELECT paxos_get($1, $2)', 'in transaction', P)) === 'there', 'and after ROLLBACK');
}

async function retry(here, there) {
  const put = 'SELECT paxos_put($1, $2, $3, $4)';
  const first = await one(here, put, 'retried', 'once', P, 'node-postgres-1');
  await one(here, 'SELECT paxos_put($1, $2, $3)', 'retried', 'changed since', P);
  ok((await one(there, put, 'retried', 'once', P, 'node-postgres-1')) === first, 'a retry elsewhere gives the same revision');
  ok((await one(here, 'SELECT paxos_get($1, $2)', 'retried', P)) === 'changed since', '... and has no second effect');
  ok((await sqlstate(here, put, 'retried', 'other', P, 'node-postgres-1')) === '22023', 'another command with that id is 22023');
}

async function main() {
  const here = new Client();
  const there = new Client({ port: Number(process.env.OTHER_PORT) });
  await here.connect();
  await there.connect();
  await values(here, there);
  await nulls(here, there);
  await transaction(there);
  await retry(here, there);
  await here.end();
  await there.end();
}

main();
