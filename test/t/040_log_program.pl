# paxoskv-log lists, verifies and explains a log directory without changing it, whole or damaged, of a server that runs or
# of one that does not; and what it says of damage is what the next start says.

use strict;
use warnings;

use Digest::SHA;
use File::Copy qw(copy);
use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
$cluster->wait_until_formed;
my $node = $cluster->node(2);
my $log = $node->data_dir . '/paxoskv/pgsql_tmp_log';
my $program = $node->config_data('--bindir') . '/paxoskv-log';

# run COMMAND ARGUMENTS...: (exit status, output, errors)
sub run
{
	my ($stdout, $stderr);
	IPC::Run::run([ $program, @_ ], '>', \$stdout, '2>', \$stderr);
	return ($? >> 8, $stdout, $stderr);
}

# Every name with its bytes.
sub digests
{
	opendir(my $directory, $log) or die "$log: $!";
	my %digests = map { $_ => Digest::SHA->new(256)->addfile("$log/$_", 'b')->hexdigest } grep { -f "$log/$_" } readdir($directory);
	return \%digests;
}

$cluster->put(1, 'apple', "gr\tee\"n");
my $slot = $cluster->query(1, "SELECT revision FROM paxos_get_row('apple')");
$cluster->query(2, "SELECT paxos_put('flag', 'on', 'p', 'request 7')");
$cluster->query(2, "SELECT paxos_outcome('never used', true)");
$cluster->put(2, "pear $_", 'x' x 2000) for 1 .. 20;
$cluster->wait_until_equal;

my ($status, $out, $err) = run('list', $log);
is($status, 0, 'list');
like($err, qr/a server has this log open/, '... says that the server runs');
like($out, qr/copy 1 good, copy 2 good/, '... the metadata');
like($out, qr/node 3 +[0-9a-f]{32} /, '... the members');
like($out, qr/^0{15}1 .* 1 to \d+$/m, '... the segments');

$cluster->stop(2);
my $before = digests();
($status, $out, $err) = run('verify', $log);
is("$status $err", '0 ', 'verify');
like($out, qr/^slots +1 to \d+, accepted ballot .*^the log is whole$/ms, '... all of it is whole');
my ($end) = $out =~ /^slots +1 to (\d+)/m;
($status, $out) = run('show', $log, $slot);
like($out, qr/^segment\.0{15}1:\d+ +slot $slot, .* command s\d+-\d+: put "default" \/ "apple" = "gr\\x09ee\\"n"$/m, 'show of one slot');
is(($out =~ tr/\n//), 1, '... and of no other');
($status, $out) = run('show', $log);
like($out, qr/request "request 7": put "p" \/ "flag" = "on"/, 'show: a request id');
like($out, qr/fence s\d+-\d+: gives up request "never used"/, '... a fence');
like($out, qr/opens a session of node 2, run 1/, '... a session');
like($out, qr/x"\.\.\. \(2000 bytes\)/, '... a long value is cut');
is_deeply(digests(), $before, 'nothing in the directory has changed');

# One byte of the value of "apple": acknowledged long ago, so this is damage and no torn tail.
my ($place) = $out =~ /^segment\.0{15}1:(\d+) +slot $slot,/m;
my $file = "$log/segment.0000000000000001";
copy($file, "$log/../kept") or die $!;
open(my $handle, '+<:raw', $file) or die "$file: $!";
seek($handle, $place + 100, 0);
print $handle '#';
close($handle);
my $damaged = digests();
($status, $out) = run('verify', $log);
is($status, 1, 'a flipped byte: exit status 1');
my ($listed, $list) = run('list', $log);
like("$listed $list", qr/^1 .*^0{15}1 .*; a record is bad$/ms, '... of list, too, which says where');
my ($shown, $show) = run('show', $log);
like("$shown $show", qr/^1 .*^segment\.0{15}1:$place +a record is bad$/ms, '... and of show');
my $whole = $slot - 1;
like($out, qr/^DAMAGED: .*segment\.0{15}1.*$place.*, whole through slot $whole; .*up to slot $end at ballot/m, '... names file, offset and slots');
like($out, qr/^the log is damaged$/m, '... and the verdict');
is_deeply(digests(), $damaged, '... and changes nothing');
$cluster->start(2);
$cluster->wait_for('the others to heal it', sub { slurp_file($node->logfile) =~ /paxoskv log is whole again through slot \d+/ });
my ($said) = slurp_file($node->logfile) =~ /^(.*log is damaged.*\n.*)/m;
like($said, qr/segment\.0{15}1.*$place.*\n.*the first in slot $slot, .*whole through slot $end\./, 'the start says the same');
like($out, qr/^lost +slots $slot to $slot /m, '... which slot can be put back');
$cluster->wait_until_equal;
$cluster->stop(2);
is((run('verify', $log))[0], 0, '... and its log is whole again');

# While a server writes, a look that takes in half of a sync is not called damage.
my @load = map { $cluster->client(1) } 1 .. 4;
my $log_of_one = $cluster->node(1)->data_dir . '/paxoskv/pgsql_tmp_log';
$_->send(q{SELECT count(paxos_put('load ' || i % 50, repeat('x', i % 3000))) FROM generate_series(1, 2000) AS i}) for @load;
my %verdicts;
$verdicts{ (run('verify', $log_of_one))[0] }++ for 1 .. 100;
is(join(' ', keys %verdicts), '0', 'verify of a log that is written to: whole, again and again');
$cluster->answers_of(@load);

is((run('verify', $node->data_dir))[0], 2, 'a directory without a log: exit status 2');
is((run('verify', "$log/nowhere"))[0], 2, 'no directory: exit status 2');
chmod 0, "$log/metadata.1";
is((run('list', $log))[0], $> == 0 ? 0 : 2, 'metadata that may not be read is not called missing: exit status 2');
chmod 0600, "$log/metadata.1";
ok(!-e "$log/nowhere", '... and none is made');
is((run('show', $log, 'x'))[0], 2, 'no slot: exit status 2');
is((run('mend', $log))[0], 2, 'no such command: exit status 2');
like((run('--help'))[1], qr/^Usage:/m, '--help');

$cluster->start(2);
done_testing();
