# What users lock, apply waits for, and never for ever: their clients get 40003 with the slot in which the command was
# chosen, other nodes go on, and nothing is skipped.  LOCK TABLE in a mode that would stop apply is refused.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

# A busy machine must not cost an election by itself, where a test counts them.
my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '2s'\npaxoskv.election_timeout = '10s'\n");
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my ($id, $other) = grep { $_ != $leader } @ids;
my $elections = join ' ', map { $cluster->status($_, 'elections') } @ids;

# A lock that nobody can take by SQL, as a rewrite of the table holds it: VACUUM FULL stands still in the middle.
sub hold_by_vacuum_full
{
	my ($node_id, $holder, $blocker) = @_;
	$blocker->ask($_) for 'BEGIN', 'SELECT count(*) FROM paxoskv.kv';
	my $pid = $holder->ask('SELECT pg_backend_pid()')->{value};
	$holder->send('VACUUM FULL paxoskv.kv');
	$cluster->wait_for('VACUUM FULL to queue for its lock', sub {
			$cluster->query($node_id, "SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0;
		});
	return;
}

$cluster->put($id, 'key', 'first');

# ---------------------------------------------------------------- a reader that never ends stops nothing by itself

my $reader = $cluster->client($id);
is($reader->ask($_)->{state}, '00000', "a long transaction: $_")
  for 'BEGIN', "SELECT value FROM paxoskv.data WHERE key = 'key'";
$cluster->put($id, 'key', 'second');
is($cluster->get($id, 'key'), 'second', 'idle in transaction with the table open: puts on that node go on');
is($reader->ask("SELECT value FROM paxoskv.data WHERE key = 'key'")->{value}, 'second',
	'... which its next query sees under READ COMMITTED');
$reader->ask('COMMIT');

# ---------------------------------------------------------------- VACUUM FULL that waits behind such a reader

my ($blocker, $holder) = map { $cluster->client($id) } 1, 2;
hold_by_vacuum_full($id, $holder, $blocker);
# long enough to be chosen in
my $put = $cluster->try($id, "SET paxoskv.commit_timeout = '10s'; SELECT paxos_put('key', 'third')");
is($put->{state}, '40003', 'apply waits: a put on this node is 40003');
like($put->{err}, qr/the command is chosen and not yet applied on this node/, '... as one that is chosen');
my ($slot) = $put->{err} =~ /DETAIL:  Command s\d+-\d+ was chosen in slot (\d+) and will be applied\./;
ok(defined $slot, '... with its slot in the detail: ' . ($slot // ''));
like($put->{err}, qr/HINT:  Do not repeat it\. It is applied here once applied_slot .* has reached slot \d+\./, '... and what not to do');
cmp_ok($put->{seconds}, '>', 9.5, '... not before its deadline');

my $get = $cluster->try($id, "SET paxoskv.commit_timeout = '10s'; SELECT paxos_get('key')");
is($get->{state}, '53000', 'a linearizable read there is refused');
like($get->{err}, qr/slot \d+ was not applied on this node .*safe to try again/s, '... and can be repeated');
is($cluster->get($other, 'key'), 'third', 'another node has applied the put');
$cluster->put($other, 'elsewhere', 'goes on');
is($cluster->get($leader, 'elsewhere'), 'goes on', '... and takes others');
cmp_ok($cluster->status($id, 'applied_slot'), '<', $slot, '... while this one waits at its slot');

my $client = $cluster->client($id);
$client->ask("SET paxoskv.commit_timeout = '1h'");
my $pid = $client->ask('SELECT pg_backend_pid()')->{value};
$client->send("SELECT paxos_put('key', 'fourth')");
$cluster->wait_for('the put to be chosen', sub { $cluster->get($other, 'key') eq 'fourth' });
my $chosen = $cluster->query($other, "SELECT revision FROM paxos_get_row('key')");
$cluster->wait_for('this node to know it', sub { $cluster->status($id, 'chosen_slot') >= $chosen });
$cluster->query($id, "SELECT pg_cancel_backend($pid)");
my $answer = $client->await($cluster->patience);
is($answer->{state}, '40003', 'cancelled while it waits to be applied: 40003');
like("@{ $answer->{rows} }", qr/was chosen in slot \d+ and will be applied\. Canceling statement due to user request/,
	'... chosen, with its slot');

# Patient clients get their result when the lock goes.
my $patient = $cluster->client($id);
$patient->ask("SET paxoskv.commit_timeout = '1h'");
$patient->send("SELECT paxos_put('key', 'fifth')");
$cluster->wait_for('the put to be chosen', sub { $cluster->get($other, 'key') eq 'fifth' });
is($blocker->ask('COMMIT')->{state}, '00000', 'the reader ends');
is($holder->await($cluster->patience)->{state}, '00000', '... VACUUM FULL gets through');
is($patient->await($cluster->patience)->{state}, '00000', '... a patient put gets its revision');
is($cluster->get($id, 'key'), 'fifth', '... and this node has applied all');
is($cluster->query($id, "SELECT string_agg(value, ' ' ORDER BY slot) FROM paxos_log(max_rows => NULL) WHERE key = 'key'"),
	'first second third fourth fifth', '... each once, in order');
$cluster->wait_until_equal;

# ---------------------------------------------------------------- LOCK TABLE, and rewrites

for my $mode ('SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE')
{
	my $lock = $cluster->try($id, "BEGIN; LOCK TABLE paxoskv.kv IN $mode MODE");
	is($lock->{state}, '42501', "LOCK TABLE IN $mode MODE is refused");
}
is($cluster->try($id, 'BEGIN; LOCK TABLE paxoskv.data')->{state}, '42501', '... through the view too');
is($cluster->try($id, 'BEGIN; LOCK TABLE paxoskv.kv IN ACCESS SHARE MODE; COMMIT')->{state}, '00000',
	'... a lock that stops nothing is not');
for my $command ('VACUUM FULL paxoskv.kv', 'REINDEX TABLE paxoskv.kv', 'CLUSTER paxoskv.kv USING kv_key',
	'VACUUM (ANALYZE) paxoskv.kv')
{
	is($cluster->try($id, $command)->{state}, '00000', "$command as a command of its own");
	$cluster->put($id, 'after', $command);
	is($cluster->get($other, 'after'), $command, '... and puts go on');
}
is($cluster->try($id, "BEGIN; $_")->{state}, '42501', "$_ in a transaction block is refused")
  for 'REINDEX TABLE paxoskv.kv', 'CLUSTER paxoskv.kv USING kv_key';

# Many commands while VACUUM FULL runs again and again.
my $busy = $cluster->patient_client($leader);
$busy->send("SELECT count(paxos_put('busy ' || i, 'value ' || i)) FROM generate_series(1, 200) i");
my $vacuums = 0;
while (!($answer = $busy->await(0.01)))
{
	$cluster->query($leader, 'VACUUM FULL paxoskv.kv');
	$vacuums++;
}
is($answer->{value}, 200, "200 puts on the leader between $vacuums rewrites of its table");
is($cluster->query($other, "SELECT paxos_sync() > 0; SELECT count(*) FROM paxoskv.data WHERE key LIKE 'busy %'"
	. " AND value = 'value ' || substr(key, 6)"), "t\n200", '... each has its value');
$cluster->wait_until_equal;
is(join(' ', map { $cluster->status($_, 'elections') } @ids), $elections, 'none of it cost an election');

done_testing();
