# All nodes die at once while clients write; started again, nothing that was acknowledged is lost.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Writers;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;
my @all_writers;

for my $round (1 .. 3)
{
	my $writers = PaxosKV::Writers->new($cluster, clients => 4);
	$writers->run_until_acknowledged(@ids);
	ok($writers->run($cluster->patience, sub { $writers->acknowledged > 10 }), "round $round: more than ten puts are acknowledged");
	$writers->run(0.3);
	my @pids = map { $cluster->pids($_) } @ids;
	CORE::kill('KILL', @pids);
	$cluster->after_kill($_) for @ids;
	ok($writers->finish, "round $round: every client noticed");
	push @all_writers, $writers;

	# another one first each time, the last alone for a moment
	$cluster->start($_) for map { $ids[ ($_ + $round) % @ids ] } 0 .. $#ids;
	$cluster->wait_until_formed;
	for my $id (@ids)
	{
		is_deeply([ $writers->mistakes($id) ], [], "round $round: what was said is what is there, on node $id");
	}
	$cluster->put($_, "round $round on $_", "done $round") for @ids;
	is($cluster->get($ids[ $_ % @ids ], "round $round on $_"), "done $round", "round $round: a new put on node $_") for @ids;
	$cluster->wait_until_equal;
}
is_deeply([ map { $_->mistakes(2) } @all_writers ], [], 'at the end all of all rounds is there');

done_testing();
