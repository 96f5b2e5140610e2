# A disk that is full.  The log's: the node accepts nothing, leads no more and says 53100; the others go on.  The database's:
# apply waits at its slot and skips nothing, its clients get 40003 with the slot.  With space again the node goes on by
# itself, whatever happened to it meanwhile.

use strict;
use warnings;

use PaxosKV::Cluster;
use PaxosKV::Disk;
use PaxosKV::Writers;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes ();

my ($log_disk, $table_disk) = map { PaxosKV::Disk->new($_) } 1, 2;
my $cluster = PaxosKV::Cluster->new(nodes => 3, faults => [1], start => 0,
	conf => "paxoskv.commit_timeout = '2s'\npaxoskv.segment_size = '1MB'\n",
	node_conf => { 1 => "paxoskv.log_directory = '@{[ $log_disk->path ]}/log'\n" });
$_->attach($cluster, 1) for $log_disk, $table_disk;
my @ids = $cluster->ids;
$cluster->start($_) for @ids;
mkdir $table_disk->path . '/space' or die $table_disk->path . "/space: $!";
$cluster->query(1, "CREATE TABLESPACE small LOCATION '@{[ $table_disk->path ]}/space'");
$cluster->query(1, 'SET default_tablespace = small; CREATE EXTENSION paxoskv');
$cluster->create_extension($_) for 2, 3;
$cluster->wait_until_formed;
my $writers = PaxosKV::Writers->new($cluster, clients => 1);
$writers->run_until_acknowledged(@ids);

sub log_of { my ($id) = @_; return slurp_file($cluster->node($id)->logfile); }

# Of its processor time, a node's consensus worker has had so many ticks.
sub ticks
{
	my ($id) = @_;
	my ($stat) = slurp_file('/proc/' . $cluster->worker_pid($id, 'consensus') . '/stat') =~ /^.*\) (.*)/;
	my @fields = split / /, $stat;
	return $fields[11] + $fields[12];
}

# The part of a processor that it takes, over two seconds.
sub share_of_processor
{
	my ($id) = @_;
	my ($begun, $before) = (Time::HiRes::time, ticks($id));
	sleep 2;
	return (ticks($id) - $before) / (Time::HiRes::time - $begun) / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# Values that fill what is left of a disk, through another node, until something has happened.
my $large = 0;
sub put_large_until
{
	my ($what, $condition) = @_;
	for (1 .. 400)
	{
		return if $condition->();
		$cluster->query(2, "SELECT paxos_put('large ' || @{[ ++$large % 50 ]}, repeat('x', 200000) || $large)");
	}
	die "$what did not happen\n" . $cluster->describe;
}

sub goes_on
{
	my ($what) = @_;
	ok($writers->run_until_acknowledged(@ids), "$what: it goes on by itself");
	$cluster->wait_until_formed;
	$cluster->wait_for('nothing to be left of it in the status', sub { $cluster->status(1, 'detail') eq '' });
	$cluster->wait_until_equal;
	return;
}

# ---------------------------------------------------------------- the log's disk, on the leader

# who is ended may be the one that leads next, too
$cluster->wait_for('node 1 to lead', sub {
		my $leader = $cluster->wait_for_leader;
		return 1 if $leader == 1;
		CORE::kill('TERM', $cluster->worker_pid($leader, 'consensus'));
		sleep 1;
		return 0;
	});
$log_disk->fill;
put_large_until('the log to be full', sub { log_of(1) =~ /paxoskv log has no space/ });
pass('the log of the leader is full');
my $put;
$cluster->wait_for('53100', sub { ($put = $cluster->try(1, "SELECT paxos_put('full', 'no')"))->{state} eq '53100' });
like($put->{err}, qr/the disk of this node's paxoskv log is full.*not applied and will not be.*HINT:  Free space on it/s,
	'a put there is refused: 53100');
$cluster->wait_for('another leader', sub { grep { $cluster->status($_, 'role') eq 'leader' } 2, 3 });
ok($writers->run_until_acknowledged(2, 3), '... another one leads, puts through the others go on');
$cluster->wait_for('this one to lead no more, and to say why',
	sub { $cluster->status(1, "role || ' ' || detail") =~ /^(?!leader).* The log's disk is full\.$/ });
pass('... this one does not, and says why in its status');
cmp_ok(share_of_processor(1), '<', 0.4, '... does not go round and round');
is($cluster->get(1, 'large 1', 'local') =~ /^x+\d+$/, 1, '... and reads locally');
my %states = %{ $writers->states(1) };
is_deeply([ grep { !/^(00000|40003|53000|53100)$/ } keys %states ], [], "... its clients were told honestly: @{[ %states ]}");
$log_disk->empty;
goes_on('space on the log again');
like(log_of(1), qr/paxoskv log has space again/, '... says so');
is($cluster->get(2, 'full'), '', '... what it refused is nowhere');

# ---------------------------------------------------------------- killed and started while the log's disk is full

my $said = () = log_of(1) =~ /paxoskv log has no space/g;
$log_disk->fill;
put_large_until('the log to be full again', sub { (() = log_of(1) =~ /paxoskv log has no space/g) > $said });
$cluster->kill(1);
ok($writers->run_until_acknowledged(2, 3), 'killed while its disk is full: the others go on');
$cluster->start(1);
$cluster->wait_for('53100 after the start', sub { $cluster->try(1, "SELECT paxos_put('full', 'no')")->{state} eq '53100' });
pass('... started, it refuses puts: 53100');
ok($cluster->try(1, "SELECT paxos_get('large 1', consistency => 'local')")->{ok}, '... reads locally');
$log_disk->empty;
goes_on('... with space again');
is($cluster->get(2, 'full'), '', '... and what it refused is nowhere');

# ---------------------------------------------------------------- the database's disk

my ($client, $slot) = $cluster->client(1);
$table_disk->fill;
my $why = '';
put_large_until('apply to wait', sub { ($why = $cluster->status(1, 'detail')) =~ /^Apply waits at slot \d+: could not extend file/ });
like($why, qr/No space left on device/, "the database's disk is full: apply waits, and says why");
# refused where the majority was out of reach for a moment
$cluster->wait_for('a put that is taken',
	sub { ($put = $cluster->try(1, "SET paxoskv.commit_timeout = '10s'; SELECT paxos_put('chosen', 'yes')"))->{state} ne '53000' });
is($put->{state}, '40003', '... a put there is chosen and not applied');
like($put->{err}, qr/DETAIL:  Command s\d+-\d+ was chosen in slot \d+ and will be applied\./, '... says in which slot');
is($cluster->get(2, 'chosen'), 'yes', '... and is applied on the others');
is($cluster->try(1, "SELECT paxos_get('chosen')")->{state}, '53000', '... a linearizable read there is refused');
isnt($cluster->get(1, 'large 1', 'local'), '', '... a local one works');
ok($writers->run_until_acknowledged(2, 3), '... the others go on');
ok($cluster->query(1, 'SELECT chosen_slot > applied_slot FROM paxos_status()') eq 't', '... its log goes on, too');
like(log_of(1), qr/paxoskv cannot apply slot \d+ now and tries again: could not extend file/, '... its log says so');
$cluster->query(2, "SELECT paxos_put('large ' || i % 50, repeat('y', 200000) || i) FROM generate_series(1, 60) AS i");
sub next_transaction { return $cluster->query(1, 'SELECT pg_snapshot_xmax(pg_current_snapshot())'); }
my $begun = next_transaction();
sleep 2;
cmp_ok(next_transaction() - $begun, '<', 100, '... and does not try again and again without a pause, though more is chosen than it can take of the log');
$table_disk->empty;
goes_on('space for the table again');
is($cluster->get(1, 'chosen'), 'yes', '... and has applied what was chosen');

ok($writers->finish, 'every client was answered');
is_deeply([ $writers->mistakes($_) ], [], "node $_ has all that was acknowledged, nothing refused") for @ids;
is($cluster->agreeing(1), 3, 'the tables are equal, row by row');

# the disks are taken away when the test has ended
$cluster->stop($_) for @ids;
done_testing();
