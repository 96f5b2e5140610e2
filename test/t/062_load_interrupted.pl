# kill -9 around the commit of a table that was loaded (T5): between "installing" in the log and the commit, of the loader
# and of the whole server; and between the commit and the log that begins behind it.  Its rows are the old ones or the new
# ones, and the node goes on by itself.  So it does when its disk was full meanwhile.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Disk;
use PostgreSQL::Test::Utils;
use Test::More;

my $disk = PaxosKV::Disk->new(4);
my $cluster = PaxosKV::Cluster->new(nodes => 3, faults => [3], start => 0, conf => "autovacuum = off\n");
$disk->attach($cluster, 3);
$cluster->start($_) for $cluster->ids;
mkdir $disk->path . '/space' or die $disk->path . "/space: $!";
$cluster->query(3, "CREATE TABLESPACE small LOCATION '@{[ $disk->path ]}/space'");
$cluster->query(3, 'SET default_tablespace = small; CREATE EXTENSION paxoskv');
$cluster->create_extension($_) for 1, 2;
$cluster->wait_until_formed;
my $generation = 0;

sub log_lines
{
	my ($pattern) = @_;
	my @lines = grep { /$pattern/ } split /\n/, slurp_file($cluster->node(3)->logfile);
	return scalar @lines;
}

sub put_next
{
	my $next = ++$generation;
	$cluster->query(1, "SELECT paxos_batch(array_agg('k' || i), array_agg('$next'::text)) FROM generate_series(1, 500) AS i");
	return;
}

# Of which generation node 3's rows are.
sub rows { return $cluster->query(3, q{SELECT string_agg(DISTINCT value, ' and ') || ', ' || count(*) FROM paxoskv.kv WHERE key LIKE 'k%'}); }

# Senders wait in front of the last table: behind a VACUUM FULL of it, which waits for a reader.
my %held;
sub hold_senders
{
	for my $id (1, 2)
	{
		my ($reader, $vacuum) = map { $cluster->client($id) } 1, 2;
		$reader->ask($_) for 'BEGIN', 'SELECT count(*) FROM paxoskv.closed_sessions';
		my $pid = $vacuum->ask('SELECT pg_backend_pid()')->{value};
		$vacuum->send('VACUUM FULL paxoskv.closed_sessions');
		$cluster->wait_for('VACUUM FULL to queue for its lock', sub { $cluster->query($id, "SELECT count(*) FROM pg_locks WHERE pid = $pid AND NOT granted") > 0 });
		$held{$id} = [ $reader, $vacuum ];
	}
	return;
}

sub release_senders
{
	for my $id (1, 2)
	{
		my ($reader, $vacuum) = @{ delete $held{$id} };
		$reader->ask('COMMIT');
		$cluster->answers_of($vacuum);
	}
	return;
}

sub loader { return $cluster->query(3, q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'paxoskv snapshot receiver'}); }

# Node 3 is down, and lacks what the others' logs no longer hold.
sub leave_behind
{
	my $left_at = $cluster->status(3, 'last_slot');
	$cluster->stop(3);
	put_next();
	$cluster->wait_until_equal(1, 2);
	for my $id (1, 2)
	{
		$cluster->wait_for("the log of node $id to begin behind what node 3 has",
			sub { $cluster->query($id, 'SELECT paxos_trim()') > $left_at + 1 });
	}
	return;
}

# Then it has loaded the rows of another one but for the commit, whose writing to the WAL is held: its log says
# "installing".  The loader's process id.
sub bring_to_commit
{
	leave_behind();
	hold_senders();
	$cluster->start(3);
	$cluster->wait_for('rows to come', sub { ($cluster->query(3, q{SELECT rows_done FROM paxoskv.snapshot_progress WHERE role = 'receiving'}) || 0) >= 500 });
	$cluster->fault(3, 'write hold /pg_wal/');
	release_senders();
	$cluster->wait_for('the loader to commit', sub {
			$cluster->query(3, q{SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'paxoskv snapshot receiver'}) eq 'WALWrite';
		});
	is($cluster->query(3, q{SELECT phase FROM paxoskv.snapshot_progress WHERE role = 'receiving'}), 'committing', 'all is there but the commit');
	is(rows(), $generation - 1 . ', 500', '... readers see the old rows');
	return loader();
}

sub goes_on
{
	my ($what) = @_;
	$cluster->wait_until_formed;
	$cluster->wait_until_equal;
	is(rows(), "$generation, 500", "$what: it has the new rows in the end, by itself");
	is($cluster->agreeing(1), 3, '... all nodes agree');
	$cluster->put(3, 'from here', $what);
	is($cluster->get(1, 'from here'), $what, '... and it writes');
	return;
}

put_next();
$cluster->wait_until_equal;

# ---------------------------------------------------------------- before the commit

my $pid = bring_to_commit();
hold_senders();
CORE::kill('KILL', $pid);
# the walwriter may be at that write, too, and is to end before it does it
$cluster->wait_for('the end of all processes', sub { log_lines('all server processes terminated; reinitializing') == 1 });
$cluster->fault(3);
$cluster->wait_for('the server to be up again', sub { $cluster->try(3, 'SELECT 1')->{ok} });
is(rows(), $generation - 1 . ', 500', 'its loader killed before the commit, it has the old rows');
release_senders();
goes_on('a loader killed before the commit');

bring_to_commit();
hold_senders();
$cluster->kill(3);
$cluster->fault(3);
$cluster->start(3);
is(rows(), $generation - 1 . ', 500', 'killed before the commit it has the old rows');
release_senders();
goes_on('a server killed before the commit');

# ---------------------------------------------------------------- after the commit

my $finished = q(paxoskv has finished loading another node's rows);
is(log_lines($finished), 0, 'until here nothing was left to be finished');
bring_to_commit();
CORE::kill('STOP', $cluster->worker_pid(3, 'consensus'));
$cluster->fault(3);
$cluster->wait_for('the rows to be there', sub { rows() eq "$generation, 500" });
$cluster->kill(3);
$cluster->start(3);
is(rows(), "$generation, 500", 'killed after the commit it has the new rows');
$cluster->wait_for('it to finish what was left to do', sub { log_lines($finished) == 1 });
goes_on('a server killed after the commit');

# ---------------------------------------------------------------- its disk is full

sub loads_begun { return scalar(() = map { slurp_file($cluster->node($_)->logfile) =~ /paxoskv sends its rows to node 3/g } 1, 2); }

leave_behind();
# more than the old files have room for
$cluster->query(1, "SELECT paxos_put('large', repeat('x', 2000000))");
my ($begun, $failed) = (loads_begun(), log_lines('could not load the rows of node \d'));
$disk->fill;
$cluster->start(3);
$cluster->wait_for('several attempts', sub { loads_begun() >= $begun + 3 });
is(rows(), $generation - 1 . ', 500', "where the database's disk is full it has the old rows");
$cluster->wait_for('it to say why',
	sub { log_lines('could not load the rows of node \d: could not extend file .*: No space left on device') >= 1 });
cmp_ok(log_lines('could not load the rows of node \d') - $failed, '<=', 2, '... once, or again after a minute');
is($cluster->try(3, q{SELECT paxos_put('a', 'b')})->{state}, '53000', '... its clients are refused');
ok($cluster->put(1, 'meanwhile', 'yes'), '... the others go on');
$disk->empty;
goes_on('space again');

# the disk is taken away when the test has ended
$cluster->stop($_) for $cluster->ids;
done_testing();
