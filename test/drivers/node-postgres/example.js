const { randomUUID } = require('node:crypto');
const { Client } = require('pg');

async function main() {
  const client = new Client();
  await client.connect();
  const requestId = randomUUID(); // the same one again, after an error 40003, has no second effect
  const put = await client.query(
    'SELECT paxos_put($1, $2, request_id => $3) AS revision', ['pear', 'yellow', requestId]);
  const get = await client.query('SELECT paxos_get($1) AS value', ['pear']);
  console.log(get.rows[0].value, BigInt(put.rows[0].revision) > 0n); // a bigint comes as text
  await client.end();
}

main();
