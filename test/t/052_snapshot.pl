# Snapshots (T5): a node that was away for longer than the logs reach back gets the table from another one, while puts go
# on and its readers see the old rows or the new ones; whoever dies on the way, it begins anew; what is remembered comes
# with the rows.  The same for a database that is older than its log, or empty, and for rows that were changed behind the
# log's back: paxos_resync().

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Writers;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.log_retention = '32MB'\nautovacuum = off\n");

# Statements in a server that does not know of paxoskv's protection.
sub behind_its_back
{
	my ($id, @statements) = @_;
	my $node = $cluster->node($id);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
	$node->restart;
	$node->safe_psql('postgres', $_) for @statements;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'paxoskv'\n");
	$node->restart;
	return;
}

sub progress
{
	my ($id, $columns, $role) = @_;
	return $cluster->query($id, "SELECT $columns FROM paxoskv.snapshot_progress WHERE role = '$role'");
}

sub log_lines
{
	my ($id, $pattern) = @_;
	my @lines = grep { /$pattern/ } split /\n/, slurp_file($cluster->node($id)->logfile);
	return scalar @lines;
}

my $loaded = 'paxoskv has loaded the rows of node \d as of slot';

sub wait_for_load
{
	my ($id, $times) = @_;
	$cluster->wait_for("node $id to have loaded a table", sub { log_lines($id, $loaded) >= $times });
	return;
}

# All rows of a kind are changed at once, so that any mixture of two moments shows.
sub put_generation
{
	my ($id, $generation) = @_;
	return $cluster->query($id, "SELECT paxos_batch(array_agg('g' || i), array_agg('$generation'::text)) FROM generate_series(1, 2000) AS i");
}

# Reads a node's table again and again until it has that generation; an error where it is not of one.
sub watch_generations
{
	my ($id, $last) = @_;
	my $client = $cluster->client($id);
	$client->send(<<SQL);
DO \$\$
DECLARE n bigint; total bigint; generation text;
BEGIN
	LOOP
		SELECT count(DISTINCT value), count(*), min(value) INTO n, total, generation FROM paxoskv.kv WHERE key LIKE 'g%';
		IF n <> 1 OR total <> 2000 THEN RAISE 'half of it: % generations in % rows', n, total; END IF;
		EXIT WHEN generation = '$last';
	END LOOP;
END \$\$
SQL
	return $client;
}

sub all_agree
{
	my ($what) = @_;
	$cluster->wait_until_equal;
	is($cluster->agreeing(1), 3, "$what: all nodes agree");
	return;
}

# Node 3 is down, the others have written so much, and their logs begin behind what it has.
sub leave_behind
{
	my ($generation) = @_;
	put_generation(1, $generation);
	for my $id (1, 2)
	{
		$cluster->wait_until_equal(1, 2);
		$cluster->wait_for("the log of node $id to begin behind what node 3 has",
			sub { $cluster->query($id, 'SELECT paxos_trim()') > $cluster->{left_at} + 1 });
	}
	return;
}

# Both of those that are up are not to serve before the test says so.
sub is_half_way
{
	my ($id) = @_;
	my ($done, $total) = split /\|/, progress($id, 'rows_done, rows_total', 'receiving') || '0|0';
	return ($total || 0) > 2000 && $done >= 2000;
}

# ---------------------------------------------------------------- what there is

put_generation(1, 'old');
my $large = 4 * 1024 * 1024 - 1000;
$cluster->query(1, "SELECT paxos_put('large $_', repeat('$_', $large))") for 1 .. 3;
is($cluster->query(3, q{SELECT paxos_insert('once', 'yes', request_id => 'r1')}), 't', 'a command with a request id');
$cluster->wait_until_equal;
$cluster->{left_at} = $cluster->status(3, 'last_slot');

# ---------------------------------------------------------------- away for too long

$cluster->stop(3);
is($cluster->query(1, q{SELECT paxos_insert('once more', 'yes', request_id => 'r2')}), 't', 'another, while node 3 is away');
$cluster->query(1, q{SELECT paxos_delete('large 2'), paxos_put('large 4', repeat('4', 4194304 - 1000))});
leave_behind('new');
# A sender gets through paxoskv.kv and then waits for the next table.
my %release = map { $_ => $cluster->hold_table($_, 'paxoskv.requests') } 1, 2;
my $writers = PaxosKV::Writers->new($cluster, nodes => [ 1, 2 ], clients => 1);
$cluster->start(3);
my $watch = watch_generations(3, 'new');
my $source;
# Mostly from one that does not lead; but from the leader, where it was the first to be connected.
$cluster->wait_for('both ends to show it', sub {
		return 0 if !is_half_way(3);
		$source = progress(3, 'node_id', 'receiving');
		return 0 if $source !~ /^[12]$/;
		return progress($source, "role || ' ' || node_id || ' ' || (pid IS NOT NULL) || ' ' || (bytes_done > 0) || ' ' || phase", 'sending') eq
		  'sending 3 true true copying rows'
		  && progress(3, "role || ' ' || (pid IS NOT NULL) || ' ' || (bytes_done > 0) || ' ' || phase || ' ' || (started_at < now())", 'receiving') eq
		  'receiving true true copying rows true';
	});
pass("half way, both ends show it: the source, node $source, and node 3");
is($cluster->get(3, 'g1', 'local'), 'old', 'its readers see the old rows');
is($cluster->get(3, 'large 2', 'local') =~ /^2+$/, 1, '... large ones too');
my $refused = $cluster->try(3, q{SELECT paxos_put('a', 'b')});
is($refused->{state}, '53000', 'a put there is refused');
$writers->run_until_acknowledged(1, 2);
pass('puts go on, on the others');

# ---------------------------------------------------------------- its worker is ended half way

$cluster->query(3, q{SELECT pg_terminate_backend(pid) FROM paxoskv.snapshot_progress});
$cluster->wait_for('it to be noticed', sub { log_lines(3, 'could not load the rows of node \d: the worker that loaded them was ended') });
$cluster->wait_for('the sender to end, though it waits for a lock', sub { progress($source, 'pid IS NULL', 'sending') ne 'f' });
$cluster->wait_for('node 3 to begin anew by itself', sub { is_half_way(3) });
is($cluster->get(3, 'g1', 'local'), 'old', 'when its worker was ended half way it has the old rows, and begins anew');
my $pid = progress(3, 'pid', 'receiving');
CORE::kill('TERM', $cluster->worker_pid(3, 'consensus'));
$cluster->wait_for('node 3 to begin anew with another consensus worker', sub { is_half_way(3) && progress(3, 'pid', 'receiving') ne $pid });
is($cluster->get(3, 'g1', 'local'), 'old', '... and so when the consensus worker was ended');

# ---------------------------------------------------------------- the receiver dies half way

$cluster->kill(3);
$cluster->start(3);
$watch = watch_generations(3, 'new');
is($cluster->get(3, 'g1', 'local'), 'old', 'killed half way it has the old rows');
# the first source's sender may still wait for its lock
$cluster->wait_for('node 3 to be half way again', sub { is_half_way(3) });
$source = progress(3, 'node_id', 'receiving');
my $again = $cluster->client(3);
$again->send('SELECT paxos_resync()');

# ---------------------------------------------------------------- the source dies half way

$cluster->kill($source);
my ($left) = grep { $_ != $source } 1, 2;
$release{$left}->();
wait_for_load(3, 1);
$cluster->start($source);
$cluster->wait_until_formed;
my ($seen) = $cluster->answers_of($watch);
is($seen->{state}, '00000', 'its readers saw the old rows or the new ones, all along');
my ($resynced) = $cluster->answers_of($again);
is($resynced->{state}, '00000', 'who asks for a table in the middle of one gets it, too');
is($cluster->get(3, 'g2000'), 'new', 'it has the new ones');
is($cluster->get(3, 'large 2'), '', '... not what was deleted');
is($cluster->query(3, q{SELECT md5(paxos_get('large 4')) = md5(repeat('4', 4194304 - 1000))}), 't', '... and large ones');
is($cluster->query(3, q{SELECT paxos_insert('once', 'yes', request_id => 'r1')}), 't', 'a retry of what came before it gets the first result');
is($cluster->query(3, q{SELECT paxos_insert('once more', 'yes', request_id => 'r2')}), 't', '... also of what it has from the snapshot alone');
is($cluster->query(3, q{SELECT outcome FROM paxos_outcome('r2')}), 'applied', 'as paxos_outcome() says');
$writers->run_until_acknowledged(1, 2);
$writers->finish;
is_deeply([ $writers->mistakes(3) ], [], 'all that was acknowledged is there');
$cluster->wait_for('nothing to be under way any more', sub { progress(3, 'count(*)', 'receiving') == 0 });
all_agree('after that');
cmp_ok($cluster->status(3, 'first_slot'), '>', $cluster->{left_at}, 'its log begins behind the snapshot');
$cluster->put(3, 'from here', 'yes');
is($cluster->get(1, 'from here'), 'yes', 'and it writes');
$cluster->kill(3);
$cluster->start(3);
$cluster->wait_until_formed;
is($cluster->get(3, 'g2000', 'local'), 'new', 'killed afterwards it has them still');

# ---------------------------------------------------------------- paxos_resync()

behind_its_back(2, q{UPDATE paxoskv.kv SET value = 'forged' WHERE key = 'g7'}, q{DELETE FROM paxoskv.kv WHERE key = 'g8'},
	q{INSERT INTO paxoskv.kv SELECT partition, 'g8x', value, value_kind, revision, create_revision, written_at, hash FROM paxoskv.kv WHERE key = 'g9'},
	q{DELETE FROM paxoskv.requests WHERE request_id = 'r1'});
$cluster->wait_until_formed;
$cluster->wait_for('node 2 to stop', sub {
		$cluster->query(1, 'SELECT count(*) FROM paxos_verify()');
		return $cluster->try(2, q{SELECT paxos_get('g7')})->{state} eq '55000';
	});
my $stopped = $cluster->try(2, q{SELECT paxos_get('g7')});
like($stopped->{err}, qr/HINT:  .*paxos_resync\(\)/, 'a node with other rows says what to do');
$cluster->stop(2);
$cluster->start(2);
$cluster->put(1, 'meanwhile', 'one');
$cluster->wait_until_connected(2);
my $written = $cluster->query(2, q{SELECT ctid FROM paxoskv.kv WHERE key = 'g6'});
my $inside = $cluster->try(2, 'BEGIN; SELECT paxos_resync(); ROLLBACK');
is($inside->{state}, '25001', 'paxos_resync() in a transaction, which may have locked what it waits for: refused');
my $slot = $cluster->query(2, 'SELECT paxos_resync()');
is($cluster->query(2, "SELECT applied_slot >= $slot FROM paxos_status()"), 't', 'paxos_resync() gives the slot');
is($cluster->get(2, 'g7'), 'new', 'a changed row is as the cluster has it');
is($cluster->get(2, 'g8'), 'new', '... one that was deleted is there');
is($cluster->get(2, 'g8x'), '', '... one that was added is not');
is($cluster->get(2, 'meanwhile'), 'one', '... and what was written meanwhile is there');
is($cluster->query(2, q{SELECT ctid FROM paxoskv.kv WHERE key = 'g6'}), $written, 'a row that was right was not written again');
is($cluster->query(2, q{SELECT paxos_insert('once', 'yes', request_id => 'r1')}), 't', 'what is remembered is healed, too');
all_agree('after paxos_resync()');

behind_its_back(2, q{UPDATE pg_index SET indisready = false WHERE indexrelid = 'paxoskv.kv_key'::regclass},
	q{INSERT INTO paxoskv.kv SELECT partition, 'hidden', value, value_kind, revision, create_revision, written_at, hash FROM paxoskv.kv WHERE key = 'g9'},
	q{UPDATE pg_index SET indisready = true WHERE indexrelid = 'paxoskv.kv_key'::regclass});
$cluster->wait_until_formed;
$cluster->wait_until_connected(2);
is($cluster->query(2, q{SELECT paxos_resync() > 0}), 't', 'a row that no index leads to');
is(log_lines(2, 'could not load .*: the table that came has not the state hash'), 1, '... is found before anything counts');
all_agree('and gone in the end');

is($cluster->query(2, q{SELECT paxos_resync() > 0}), 't', 'where nothing is wrong it does no harm');
$cluster->put(2, 'more', 'x');
all_agree('after another');

# ---------------------------------------------------------------- the database is older than its log

my $rows = $cluster->query(2, 'SELECT count(*) FROM paxoskv.kv');
my $loads = log_lines(2, $loaded);
behind_its_back(2, 'DROP EXTENSION paxoskv');
cmp_ok($cluster->status(1, 'last_slot'), '>', 1, 'the others go on');
$cluster->create_extension(2);
wait_for_load(2, $loads + 1);
$cluster->wait_until_formed;
is($cluster->query(2, 'SELECT count(*) FROM paxoskv.kv'), $rows, 'a database made anew gets its rows again');
is(log_lines(2, 'the database is older than the log|log begins behind'), 0, 'without being refused');
all_agree('after that');

# ---------------------------------------------------------------- where nobody can

# The server's own launcher and the two workers leave no place for another one.
$cluster->node(2)->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$cluster->node(2)->restart;
$cluster->wait_until_formed;
$cluster->wait_until_connected(2);
my $full = $cluster->try(2, 'SELECT paxos_resync()');
is($full->{state}, '55000', 'without a place for a worker');
like($full->{err}, qr/DETAIL:  Node \d: all background workers are in use on this node\./, '... it is said');
cmp_ok(log_lines(2, q(paxoskv cannot load another node's rows now: all background workers are in use)), '<=', 2, '... once in the log');
$cluster->put(2, 'full', 'x');
is($cluster->get(2, 'full'), 'x', '... and the node goes on as before');

$cluster->stop($_) for 1, 3;
$cluster->wait_for('node 2 to know', sub { $cluster->refuses(2) });
my $nobody = $cluster->try(2, 'SELECT paxos_resync()');
is($nobody->{state}, '55000', 'without another node there is none to take rows from');
like($nobody->{err}, qr/DETAIL:  No other node is connected/, '... as it says');
is($cluster->get(2, 'g7', 'local'), 'new', '... and the rows stay');

my $alone = PaxosKV::Cluster->new(nodes => 1);
$alone->put(1, 'a', 'b');
my $refusal = $alone->try(1, 'SELECT paxos_resync()');
is($refusal->{state}, '55000', 'nor in a cluster of one');
like($refusal->{err}, qr/DETAIL:  This cluster has no other node\./, '... as it says');

done_testing();
