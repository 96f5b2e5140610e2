# A leader that stood still and was replaced does not know it when it wakes: it must not answer a linearizable read from
# what it has.  A read that begins on it after a newer write was acknowledged elsewhere sees that write, or fails.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;

# An answer to a read must be one of these values, or an error that says that nothing was read.
sub check_read
{
	my ($answer, $what, @allowed) = @_;
	ok($answer, "$what: ends") or return;
	my $value = $answer->{state} eq '00000' ? $answer->{value} : "error $answer->{state}";
	ok((grep { $value eq $_ } @allowed, 'error 53000'), "$what: gives '$value', one of: @allowed")
	  or diag(join "\n", @{ $answer->{rows} });
	return;
}

# All of its processes stand still, as in a paused virtual machine.
for my $round (1 .. 3)
{
	my $leader = $cluster->wait_until_formed;
	my ($other) = grep { $_ != $leader } @ids;
	my @before = map { $cluster->client($leader) } 1 .. 5;
	my @during = map { $cluster->client($leader) } 1 .. 5;
	my $writer = $cluster->client($leader);
	$_->ask("SET paxoskv.commit_timeout = '30s'") for @before, @during, $writer;
	$cluster->put($other, 'x', "old $round");
	is($cluster->get($leader, 'x'), "old $round", "round $round: node $leader leads and reads what was put");

	$_->send("SELECT paxos_get('x')") for @before;
	$writer->send("SELECT paxos_put('y$round', 'late')");
	$cluster->pause($leader);
	is($cluster->wait_for_leader(not => $leader) != $leader, 1, "round $round: the others elect another leader");
	$cluster->put($other, 'x', "new $round");
	$_->send("SELECT paxos_get('x')") for @during;
	$cluster->resume($leader);

	check_read($_->await($cluster->patience), "round $round: a read begun before the pause", "old $round", "new $round") for @before;
	check_read($_->await($cluster->patience), "round $round: a read begun after the newer write", "new $round") for @during;
	is($cluster->wait_for('a read on the old leader', sub { $cluster->try($leader, "SELECT paxos_get('x')")->{out} }),
		"new $round", "round $round: the old leader reads the newer value");

	my $answer = $writer->await($cluster->patience);
	ok($answer, "round $round: the put that the pause met ends");
	$cluster->wait_until_formed;
	my $value = $cluster->get($other, "y$round");
	my @allowed = ($answer->{state} eq '00000' ? () : '', $answer->{state} eq '53000' ? () : 'late');
	ok((grep { $_ eq $value } @allowed), "... with $answer->{state}, and what it put is '$value'");
	$cluster->wait_until_equal;
}

# Only its consensus worker stands still: backends go on, and hand it reads that it takes when it wakes.
for my $round (4 .. 5)
{
	my $leader = $cluster->wait_until_formed;
	my ($other) = grep { $_ != $leader } @ids;
	my @readers = map { $cluster->client($leader) } 1 .. 5;
	$_->ask("SET paxoskv.commit_timeout = '30s'") for @readers;
	$cluster->put($other, 'x', "old $round");
	my $worker = $cluster->worker_pid($leader, 'consensus');

	CORE::kill('STOP', $worker);
	$cluster->wait_for('a leader among the others',
		sub { $cluster->try($other, "SELECT paxos_put('x', 'new $round')")->{ok} });
	$_->send("SELECT paxos_get('x')") for @readers;
	$cluster->wait_for('the reads to wait', sub {
			$cluster->query($leader, "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
				. " AND query LIKE 'SELECT paxos_get%' AND wait_event_type IN ('Extension', 'IPC')") == @readers;
		});
	CORE::kill('CONT', $worker);
	check_read($_->await($cluster->patience), "round $round: a read that waited for the worker", "new $round") for @readers;
	$cluster->wait_until_formed;
	$cluster->wait_until_equal;
}

done_testing();
