# Tables on their way (T5), and processes that end at the worst moment: what is loaded is what apply goes on with, and no
# worker that waits keeps the others waiting.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, faults => [3], conf => "autovacuum = off\n");

sub phase
{
	my ($id, $role) = @_;
	return $cluster->query($id, "SELECT phase FROM paxoskv.snapshot_progress WHERE role = '$role'");
}

sub all_agree
{
	my ($what) = @_;
	$cluster->wait_until_equal;
	is($cluster->agreeing(1), 3, "$what: all nodes agree");
	return;
}

sub log_lines
{
	my ($id, $pattern) = @_;
	my @lines = grep { /$pattern/ } split /\n/, slurp_file($cluster->node($id)->logfile);
	return scalar @lines;
}

sub is_gone { my ($pid) = @_; return !kill 0, $pid; }

$cluster->query(1, q{SELECT paxos_batch(array_agg('k' || i), array_agg('old'::text)) FROM generate_series(1, 500) AS i});
$cluster->wait_until_equal;

# ---------------------------------------------------------------- the consensus worker ends while a loader commits

# The commit takes long, and more is chosen than node 3 had applied when it began to stand still.
my $apply = $cluster->worker_pid(3, 'apply');
my $consensus = $cluster->worker_pid(3, 'consensus');
kill STOP => $apply;
$cluster->put(1, "k$_", "new $_") for 1 .. 20;
$cluster->wait_for('node 3 to have them chosen', sub { $cluster->status(3, 'chosen_slot') == $cluster->status(1, 'chosen_slot') });
my $client = $cluster->client(3);
$client->send('SELECT paxos_resync()');
$cluster->wait_for('it to be asked for', sub { $cluster->query(3, q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND query LIKE '%paxos_resync%' AND pid <> pg_backend_pid()}) > 0 });
$cluster->fault(3, 'sync 8000 pg_wal');
kill CONT => $apply;
$cluster->wait_for('the loader to commit', sub { phase(3, 'receiving') eq 'committing' });
kill TERM => $consensus;
$cluster->wait_for('another consensus worker', sub { my $now = $cluster->worker_pid(3, 'consensus'); $now && $now != $consensus });
$cluster->fault(3);
my ($answer) = $cluster->answers_of($client);
is($answer->{state}, '00000', 'paxos_resync() is answered by the next life');
$cluster->wait_for('it to find what was committed', sub { log_lines(3, q(finished loading another node's rows)) == 1 });
$cluster->wait_until_formed;
$cluster->put(3, 'after', 'yes');
all_agree('a consensus worker ended while a table was committed');

# ---------------------------------------------------------------- the apply worker ends before it has seen it

# Rows that are wrong, and known to be.
$cluster->node(3)->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$cluster->stop(3);
$cluster->start(3);
$cluster->node(3)->safe_psql('postgres', q{UPDATE paxoskv.kv SET value = 'forged' WHERE key = 'k7'});
$cluster->node(3)->append_conf('postgresql.conf', "shared_preload_libraries = 'paxoskv'\n");
$cluster->stop(3);
$cluster->start(3);
$cluster->wait_until_formed;
$cluster->wait_for('node 3 to stop', sub {
		$cluster->query(1, 'SELECT count(*) FROM paxos_verify()');
		return $cluster->try(3, q{SELECT paxos_get('k7')})->{state} eq '55000';
	});
$cluster->wait_until_connected(3);
$apply = $cluster->worker_pid(3, 'apply');
my $loaded = 'paxoskv has loaded the rows of node';
my $loads = log_lines(3, $loaded);
$cluster->fault(3, 'sync 8000 pg_wal');
$client = $cluster->client(3);
$client->send('SELECT paxos_resync()');
$cluster->wait_for('the loader to commit', sub { phase(3, 'receiving') eq 'committing' });
kill STOP => $apply;
$cluster->fault(3);
$cluster->wait_for('the rows to be loaded', sub { log_lines(3, $loaded) > $loads });
kill TERM => $apply;
kill CONT => $apply;
($answer) = $cluster->answers_of($client);
is($answer->{state}, '00000', 'paxos_resync() returns though the apply worker ended');
$cluster->wait_for('another apply worker', sub { my $now = $cluster->worker_pid(3, 'apply'); $now && $now != $apply });
my $healed = eval { $cluster->wait_for('node 3 to serve', sub { $cluster->try(3, q{SELECT paxos_get('k7')})->{ok} }) };
ok($healed, 'the node serves again: its rows are the cluster\'s') or diag($cluster->try(3, q{SELECT paxos_get('k7')})->{err});
$cluster->query(3, 'SELECT paxos_resync()') unless $healed;
all_agree('an apply worker ended after a table was loaded');

# ---------------------------------------------------------------- a worker that waits for a lock

# A sender waits behind a VACUUM FULL, which waits for a reader, for as long as that likes; on whichever of the two the rows
# come from.
my %release = map { $_ => $cluster->hold_table($_, 'paxoskv.requests') } 1, 2;
$client = $cluster->client(3);
$client->send('SELECT paxos_resync()');
my $waiting = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'paxoskv snapshot sender' AND wait_event_type = 'Lock'};
my ($source, $sender);
$cluster->wait_for('a sender to wait', sub {
		for my $id (1, 2)
		{
			$sender = $cluster->query($id, $waiting) or next;
			return $source = $id;
		}
		return;
	});
$consensus = $cluster->worker_pid($source, 'consensus');
kill TERM => $consensus;
my $served = eval { $cluster->wait_for('the source to serve', sub { my $now = $cluster->worker_pid($source, 'consensus'); $now && $now != $consensus && $cluster->try($source, 'SELECT paxos_sync()')->{ok} }) };
ok($served, 'the consensus worker of a source does not wait for its sender');
$cluster->wait_for('the sender to be gone', sub { is_gone($sender) }) if $served;
$release{ 3 - $source }->();
($answer) = $cluster->answers_of($client);
is($answer->{state}, '00000', '... and the rows come from another node, or from there in the end') or diag($answer->{err} // $answer->{message} // '');
$release{$source}->();
all_agree('after that');

# ---------------------------------------------------------------- no worker at all

$cluster->stop(3);
$cluster->node(3)->append_conf('postgresql.conf', "max_worker_processes = 0\npaxoskv.commit_timeout = '1s'\n");
$cluster->start(3);
$answer = $cluster->try(3, 'SELECT paxos_resync()');
is($answer->{state}, '55000', 'where the consensus worker never runs nobody waits for ever');
like($answer->{err}, qr/The consensus worker is not running/i, '... and is told why');

done_testing();
