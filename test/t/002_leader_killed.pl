# The leader dies in several ways while clients write through all nodes: what was acknowledged is there, the others go on,
# and the node is back without help other than its start.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Writers;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;

sub signal_worker
{
	my ($which, $signal) = @_;
	return sub {
		my ($leader) = @_;
		CORE::kill($signal, $cluster->worker_pid($leader, $which));
	};
}

# What is done to the leader; whether the server must be started again; whether its sessions live on.
my @faults = (
	[ 'kill -9 of all processes', sub { $cluster->kill($_[0]) }, 1, 0 ],
	[ 'kill -9 of the postmaster', sub { $cluster->kill_postmaster($_[0]) }, 1, 0 ],
	[ 'kill -9 of the consensus worker', signal_worker('consensus', 'KILL'), 0, 0 ],
	[ 'kill -9 of the apply worker', signal_worker('apply', 'KILL'), 0, 0 ],
	[ 'SIGTERM to the consensus worker', signal_worker('consensus', 'TERM'), 0, 1 ],
	[ 'SIGTERM to the apply worker', signal_worker('apply', 'TERM'), 0, 1 ]);

for my $fault (@faults)
{
	my ($what, $break, $must_start, $sessions_live) = @$fault;
	my $leader = $cluster->wait_until_formed;
	my @others = grep { $_ != $leader } @ids;
	my $writers = PaxosKV::Writers->new($cluster);
	$writers->run_until_acknowledged(@ids);
	$writers->run(0.2);

	my $bystander = $cluster->client($leader);
	is($bystander->ask('SELECT 1')->{value}, 1, "$what: node $leader leads, all nodes take puts");
	$break->($leader);
	ok($writers->run_until_acknowledged(@others), "$what: the others go on");
	$cluster->start($leader) if $must_start;
	$writers->run_until_acknowledged(@ids);
	ok($writers->finish, "$what: every put came to an end, and node $leader takes puts again");
	is($bystander->ask("SELECT 1")->{state}, $sessions_live ? '00000' : 'lost', "$what: a bystander's session "
		. ($sessions_live ? 'lives on' : 'is lost, as in any crash'));

	my %seen = map { %{ $writers->states($_) } } @others;
	is_deeply([ grep { !/^(00000|40003|53000)$/ } keys %seen ], [], "$what: clients of the others heard what they may");
	$cluster->wait_until_equal;
	is_deeply([ $writers->mistakes($_) ], [], "$what: what was said is what is there, on node $_") for @ids;
}

done_testing();
