# Where backends, workers and the log's files meet: a cancel after a command was applied, a record that rots in the log
# of a running node, a log request whose worker ends before it answers.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my ($follower) = grep { $_ != $leader } @ids;

# ---------------------------------------------------------------- cancelled when it is applied already

# Each puts a key and then sleeps; nothing else is under way when the cancel comes.
my %statements = (
	select => "SELECT paxos_put('KEY', 'applied'), pg_sleep(600)",
	DO => "DO \$\$ BEGIN PERFORM paxos_put('KEY', 'applied'); PERFORM pg_sleep(600); END \$\$",
	'DO with a handler' => "DO \$\$ BEGIN PERFORM paxos_put('KEY', 'applied'); PERFORM pg_sleep(600);"
	  . " EXCEPTION WHEN OTHERS THEN PERFORM pg_sleep(600); END \$\$",
);

sub is_asleep
{
	my ($pid) = @_;
	return $cluster->query($follower, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") eq 'PgSleep';
}

for my $what (sort keys %statements)
{
	for my $how (qw(cancel statement_timeout))
	{
		my $client = $cluster->patient_client($follower);
		my $pid = $client->ask('SELECT pg_backend_pid()')->{value};
		my $key = "late $how of $what";
		# long enough for the put
		$client->ask("SET statement_timeout = '6s'") if $how eq 'statement_timeout';
		$client->send($statements{$what} =~ s/KEY/$key/r);
		$cluster->wait_for('the end of the put', sub { is_asleep($pid) }) if $how eq 'cancel';
		$cluster->query($follower, "SELECT pg_cancel_backend($pid)") if $how eq 'cancel';
		my $answer = $client->await($cluster->patience);
		my $text = "@{ $answer->{rows} }";
		is($answer->{state}, '40003', "$what: $how after the put was applied is not said to be before it");
		my ($slot) = $text =~ /Command s\d+-\d+ was applied in slot (\d+)\. Canceling statement due to/;
		is($slot, $cluster->query($leader, "SELECT revision FROM paxos_get_row('$key')"), '... but names its slot');
		$client->ask('SET statement_timeout = 0');
		$client->send('SELECT pg_sleep(600)');
		$cluster->wait_for('the sleep', sub { is_asleep($pid) });
		$cluster->query($follower, "SELECT pg_cancel_backend($pid)");
		is($client->await($cluster->patience)->{state}, '57014', '... and the next statement, which puts nothing, ends as ever');
	}
}

# ---------------------------------------------------------------- a log request that outlives its worker

# not the ballots, which a new leader may have changed
my $entries = 'SELECT slot, kind, session, number, key, value FROM paxos_log(1, 5)';
my $expected = $cluster->query($follower, $entries);
{
	my $client = $cluster->patient_client($follower);
	$client->ask('SELECT 1');
	my $worker = $cluster->worker_pid($follower, 'consensus');
	CORE::kill('STOP', $worker);
	$client->send($entries);
	$cluster->wait_for('the request to wait',
		sub { $cluster->query($follower, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '$entries%' AND wait_event_type = 'Extension'") == 1 });
	CORE::kill('TERM', $worker);
	CORE::kill('CONT', $worker);
	my $answer = $client->await($cluster->patience);
	is($answer->{state}, '00000', 'a log request is taken up by the next worker');
	is(join("\n", @{ $answer->{rows} }), $expected =~ s/\|/\t/gr, '... which shows what the log holds');
	$cluster->wait_until_formed;
}

# ---------------------------------------------------------------- a rotten record

for my $id ($follower, $leader)
{
	my $needle = "needle of node $id ";
	my $slot = $cluster->put($id, "rots on $id", $needle x 20);
	# More than is kept in memory, so that the record is read from its file.
	$cluster->query($id, "SELECT count(paxos_put('filler', repeat('x', 100000))) FROM generate_series(1, 200)");
	$cluster->wait_until_equal;
	my $directory = $cluster->node($id)->data_dir . '/paxoskv/pgsql_tmp_log';
	my $rotten = 0;
	for my $file (glob "$directory/segment.*")
	{
		open my $handle, '+<:raw', $file or die "$file: $!";
		my $bytes = do { local $/; <$handle> };
		# more than one where a new leader has sent it again
		for (my $at = 0; ($at = index $bytes, $needle x 20, $at) >= 0; $at++)
		{
			seek $handle, $at, 0;
			print $handle 'N';
			$rotten++;
		}
		close $handle or die "$file: $!";
	}
	cmp_ok($rotten, '>=', 1, "a record of node $id is damaged");
	my $run = $cluster->status($id, 'run');
	$cluster->try($id, "SELECT * FROM paxos_log($slot, 1)");
	$cluster->wait_for("node $id to have started anew", sub { $cluster->status($id, 'run') > $run });
	$cluster->wait_for("node $id to be healed", sub { $cluster->status($id, 'role') =~ /^(leader|follower)$/ });
	$cluster->wait_until_formed;
	is($cluster->query($id, "SELECT paxos_sync() > 0"), 't', "node $id serves reads again");
	$cluster->wait_for('the slot in the log again', sub {
			$cluster->query($id, "SELECT value FROM paxos_log($slot, 1)") eq $needle x 20;
		});
	ok(1, '... and has the damaged slot from the other nodes');
	$cluster->put($id, "after rot on $id", 'goes on');
	$cluster->wait_until_equal;
}

done_testing();
