# A damaged log may be whole up to a slot only that the others have trimmed long since, while its node's own table holds
# more.  Nobody's log brings it on from there, and no rows are missing: it begins anew behind the table (D7, T2).

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my $leader = $cluster->wait_until_formed;
my ($id) = grep { $_ != $leader } $cluster->ids;

$cluster->put($leader, "key $_", "value $_") for 1 .. 20;
# Again where a new leader had an entry of its own meanwhile, which the table does not hold.
$cluster->wait_for('the others\' logs to begin where the table ends', sub {
		$cluster->wait_until_equal;
		my $held = $cluster->status($id, 'applied_slot');
		my $begins = 0;
		$cluster->stop($id);
		for my $other ($cluster->up_ids)
		{
			$cluster->wait_for("the log of node $other to be trimmed", sub {
					my $first = $cluster->query($other, 'SELECT paxos_trim()');
					$begins = $first if $first > $begins;
					return $first > 20 && $first > $held;
				});
		}
		return 1 if $begins == $held + 1;
		$cluster->start($id);
		return 0;
	});
pass('the logs of the others are trimmed');
$cluster->put($leader, 'meanwhile', 'something');
my $from = -s $cluster->node($id)->logfile;

# Both copies of each header, in the first two blocks.
for my $file (glob $cluster->node($id)->data_dir . '/paxoskv/pgsql_tmp_log/segment.*')
{
	open my $handle, '+<:raw', $file or die "$file: $!";
	for my $offset (0, 4096)
	{
		seek $handle, $offset, 0;
		print $handle 'rotten';
	}
	close $handle or die "$file: $!";
}
$cluster->start($id);
$cluster->wait_for("node $id to be healed", sub { $cluster->status($id, 'role') =~ /^(leader|follower)$/ });
$cluster->wait_until_equal;
$cluster->put($id, 'afterwards', 'goes on');
is($cluster->get($id, 'meanwhile'), 'something', 'a log of which nothing is whole begins behind what the table holds');
my $said = PostgreSQL::Test::Utils::slurp_file($cluster->node($id)->logfile, $from);
like($said, qr/paxoskv log begins behind slot \d+ now/, '... which the node says');
unlike($said, qr/has loaded the rows of node/, '... and no rows are fetched for that');

done_testing();
