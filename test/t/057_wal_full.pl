# The disk of PostgreSQL's own WAL is full: the server itself goes down, as any PostgreSQL does; the others go on.  With
# space again it is started (where it could not restart by itself), replays what its log holds, and has everything.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Disk;
use PaxosKV::Writers;
use PostgreSQL::Test::Utils;
use Test::More;

my $disk = PaxosKV::Disk->new(3);
my $cluster = PaxosKV::Cluster->new(nodes => 3, faults => [1],
	node_conf => { 1 => "min_wal_size = 2MB\nmax_wal_size = 8MB\nwal_recycle = off\n" },
	node_init => { 1 => [ '--no-locale', '--wal-segsize=1', '--waldir=' . $disk->path . '/wal' ] });
$disk->attach($cluster, 1);
my @ids = $cluster->ids;
my $writers = PaxosKV::Writers->new($cluster, clients => 1);
$writers->run_until_acknowledged(@ids);

$disk->fill;
my $panic = qr/PANIC:  could not (?:write to|create) file "pg_wal.*: No space left on device/;
$cluster->wait_for('the server to go down', sub {
		$cluster->query(2, "SELECT paxos_put('large', repeat('x', 200000) || random())");
		$writers->run(0.1);
		return slurp_file($cluster->node(1)->logfile) =~ $panic;
	});
pass('the disk of the WAL is full: PostgreSQL itself panics');
ok($writers->run_until_acknowledged(2, 3), '... the others go on');
$disk->empty;
$cluster->wait_for('node 1 to serve', sub {
		if (!$cluster->is_up(1))
		{
			note 'it did not restart by itself';
			$cluster->node(1)->{_pid} = undef;
			$cluster->start(1);
		}
		return $cluster->try(1, 'SELECT paxos_sync()')->{ok};
	});
$cluster->wait_until_formed;
ok($writers->run_until_acknowledged(@ids), '... with space again it takes part again');
ok($writers->finish, 'every client was answered');
is_deeply([ $writers->mistakes($_) ], [], "node $_ has all that was acknowledged, nothing refused") for @ids;
$cluster->wait_until_equal;
is($cluster->agreeing(1), 3, 'the tables are equal, row by row');

# the disk is taken away when the test has ended
$cluster->stop($_) for @ids;
done_testing();
