# What strangers do to the port for other nodes: garbage, frames too large, silence, one byte at a time, many
# connections at once, a wrong secret.  None of it costs the cluster an election, or the consensus worker more than little.

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use PaxosKV::Cluster;
use PaxosKV::Writers;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# A busy machine must not cost an election by itself, where a test counts them.
my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.election_timeout = '10s'\npaxoskv.commit_timeout = '60s'\n");
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my %worker = map { $_ => $cluster->worker_pid($_, 'consensus') } @ids;

# A frame's header: magic, version, flags, zero, length of the payload, checksum.
sub header { my ($flags, $length) = @_; return pack 'CCCCVV', 0xB7, 1, $flags, 0, $length, 0; }

sub connect_to
{
	my ($id) = @_;
	return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $cluster->peer_port($id), Timeout => 5);
}

# Writes what the other side takes; false once it has closed.
sub pour
{
	my ($socket, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	return defined syswrite $socket, $bytes;
}

# Whether the other side ends the connection within so many seconds, whatever it says before.
sub is_closed
{
	my ($socket, $seconds) = @_;
	my $until = time + $seconds;
	my $bytes;
	while (IO::Select->new($socket)->can_read($until > time ? $until - time : 0))
	{
		return 1 if !sysread $socket, $bytes, 4096;
	}
	return 0;
}

sub descriptors { my ($id) = @_; return scalar(() = glob "/proc/$worker{$id}/fd/*"); }

sub resident_kb
{
	my ($id) = @_;
	return slurp_file("/proc/$worker{$id}/status") =~ /^VmRSS:\s+(\d+) kB/m ? $1 : die "no VmRSS of node $id\n";
}

sub leadership
{
	return join ' ', map { $cluster->query($_, 'SELECT leader_id, ballot, elections FROM paxos_status()') } @ids;
}

$cluster->put($_, "before $_", 'all is quiet') for @ids;
my $before = leadership();
my %descriptors = map { $_ => descriptors($_) } @ids;
my %resident_kb = map { $_ => resident_kb($_) } @ids;
my $writers = PaxosKV::Writers->new($cluster, clients => 1);
$writers->run_until_acknowledged(@ids);

# ---------------------------------------------------------------- one at a time

srand 7;
my %sent = (
	'random bytes' => join('', map { chr int rand 256 } 1 .. 4096),
	'zeros' => "\0" x 4096,
	'an HTTP request' => "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
	'a PostgreSQL startup packet' => pack('NN', 8, 80877103) . "\0" x 100,
	'a frame of 4 GB' => header(15, 0xFFFFFFFF) . 'x' x 4096,
	'a frame of 64 KB as a handshake' => header(2 + 4 + 8, 65536) . 'x' x 65536,
	'a message without a handshake' => header(1 + 2 + 4, 100) . 'x' x 100,
	'a ping without a handshake' => header(16, 0),
	'a handshake that is none' => header(2 + 4 + 8, 200) . 'y' x 200,
	'a later version' => pack('CCCCVV', 0xB7, 99, 14, 0, 20, 0) . 'z' x 20);
for my $what (sort keys %sent)
{
	for my $id (@ids)
	{
		my $socket = connect_to($id);
		ok($socket, "$what to node $id") or next;
		pour($socket, $sent{$what});
		ok(is_closed($socket, $cluster->patience), '... ends the connection');
	}
	$writers->run(0.05);
}

# ---------------------------------------------------------------- many, silent, slow

my @silent = grep { defined } map { my $id = $_; map { connect_to($id) } 1 .. 100 } @ids;
my $slow = connect_to($leader);
my $begun = time;
my $handshake = header(14, 200) . 'y' x 200;
while (time - $begun < 2)
{
	pour($slow, substr $handshake, 0, 1, '');
	$writers->run(0.05);
}
cmp_ok(scalar @silent, '>', 0, scalar(@silent) . ' connections that say nothing');
for my $id (@ids)
{
	cmp_ok(descriptors($id) - $descriptors{$id}, '<=', 100, "they take few descriptors of node $id");
	cmp_ok(resident_kb($id) - $resident_kb{$id}, '<', 16 * 1024, '... and little memory');
}
$begun = time;
my $closed = grep { is_closed($_, $cluster->patience) } @silent;
is($closed, scalar @silent, 'silent connections are closed');
ok(is_closed($slow, $cluster->patience), '... and so is the slow one');

for my $round (1 .. 300)
{
	for my $id (@ids)
	{
		my $socket = connect_to($id) or next;
		pour($socket, $sent{'random bytes'});
	}
	$writers->run(0.02) if $round % 10 == 0;
}
$writers->run_until_acknowledged(@ids);
ok($writers->finish, 'all that was put meanwhile ended');
is_deeply({ map { %{ $writers->states($_) } ? (map { $_ => 1 } keys %{ $writers->states($_) }) : () } @ids },
	{ '00000' => 1 }, '... and was acknowledged');
is_deeply([ $writers->mistakes($leader) ], [], '... and is there');
is(leadership(), $before, 'no election came of any of it');
for my $id (@ids)
{
	is($cluster->worker_pid($id, 'consensus'), $worker{$id}, "node $id has the same consensus worker");
	cmp_ok(resident_kb($id) - $resident_kb{$id}, '<', 16 * 1024, '... not much larger than before');
	ok($cluster->wait_for("the descriptors of node $id", sub { descriptors($id) <= $descriptors{$id} + 4 }),
		'... with no more descriptors open');
	my $lines = () = slurp_file($cluster->node($id)->logfile) =~ /LOG:  paxoskv: /g;
	cmp_ok($lines, '<', 100, '... and did not fill its log');
}

# ---------------------------------------------------------------- a wrong secret, and none

my ($odd) = grep { $_ != $leader } @ids;
my $node = $cluster->node($odd);
my $wrong = $cluster->write_secret(PostgreSQL::Test::Utils::tempdir() . '/wrong.secret', 'pear');
my %refusals = (
	"'$wrong'" => qr/has another secret \(paxoskv\.secret_file\)|the secrets differ/,
	# whichever of the two dialled the other says it
	"''" => qr/has (?:no|a) secret, and this node has (?:one|none)|a secret is required|refusing node has no secret/);
for my $file (sort keys %refusals)
{
	my %offset = map { $_ => -s $cluster->node($_)->logfile } @ids;
	$node->append_conf('postgresql.conf', "paxoskv.secret_file = $file");
	$node->restart;
	$cluster->wait_for("a refusal of secret $file",
		sub { grep { slurp_file($cluster->node($_)->logfile, $offset{$_}) =~ $refusals{$file} } @ids });
	pass("secret file $file: the log says what is wrong with it");
	my $put = $cluster->try($odd, "SET paxoskv.commit_timeout = '1s'; SELECT paxos_put('wrong', 'secret')");
	is($put->{state}, '53000', '... this node can write nothing');
	ok($cluster->wait_for('the leader to miss it',
			sub { $cluster->query($leader, "SELECT connected FROM paxoskv.nodes WHERE node_id = $odd") eq 'f' }),
		'... is not connected to the leader');
	is($cluster->get($odd, "before $odd", 'local'), 'all is quiet', '... and reads locally');
	$cluster->put($leader, "with $file", 'two go on');
	is($cluster->status($leader, 'role'), 'leader', '... the others go on');
	my $lines = () = slurp_file($cluster->node($leader)->logfile, $offset{$leader}) =~ /$refusals{$file}/g;
	cmp_ok($lines, '<=', 4, '... without a line for each try');
}

$node->append_conf('postgresql.conf', "paxoskv.secret_file = '$cluster->{secret_file}'");
$node->restart;
$cluster->wait_until_formed;
is($cluster->get($odd, "with ''"), 'two go on', 'with the right secret it is back');
is($cluster->get($odd, 'wrong'), '', '... and what was refused was not written');
$cluster->wait_until_equal;

# Readable by others it is none.
chmod 0644, $wrong;
$node->append_conf('postgresql.conf', "paxoskv.secret_file = '$wrong'");
$node->restart;
my $put = $cluster->wait_for('the refusal of the file',
	sub {
		my $try = $cluster->try($odd, "SET paxoskv.commit_timeout = '1s'; SELECT paxos_put('a', 'b')");
		return $try->{state} eq '55000' ? $try : undef;
	});
like($put->{err}, qr/others than its owner may read or write it/, 'a secret that others may read is not used');

done_testing();
