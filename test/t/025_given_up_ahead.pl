# A number that is given up before its command is chosen: the command has no effect, and nobody is told that it will.
# One further ahead than any that a node can have handed out stays as it is: void numbers are replicated state.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '3s'\n");
my ($id, $other) = $cluster->ids;
$cluster->wait_until_formed;

$cluster->put($id, 'key', 'first');
my $session = $cluster->query($id, 'SELECT session FROM paxos_status()');
my $next = 1 + $cluster->query($id, "SELECT max(number) FROM paxos_log(max_rows => NULL) WHERE session = $session");

# The node's own apply worker stands still: its client is told what is known of a command that is chosen.
my $apply = $cluster->worker_pid($id, 'apply');
kill STOP => $apply;
is($cluster->query($other, "SELECT outcome FROM paxos_outcome('s$session-$next', give_up => true)"), 'not applied',
	'a number is given up before its command comes');
my $put;
$cluster->wait_for('a put that is taken', sub { ($put = $cluster->try($id, "SELECT paxos_put('key', 'second')"))->{state} ne '53000' });
is($put->{state}, '40003', 'the command of that number, chosen and not yet applied here: unknown');
like($put->{err}, qr/Command s$session-$next may be applied or not\./, '... as it is');
unlike($put->{err}, qr/will be applied/, '... and not promised');
kill CONT => $apply;
is($cluster->get($id, 'key'), 'first', 'it had no effect');
is($cluster->query($id, "SELECT outcome FROM paxos_outcome('s$session-$next')"), 'not applied', '... as was said');
$cluster->put($id, 'key', 'third');

# The last number is one behind the next one's, and each call is a command of the node that is asked: the other's.
my $unresolved = 16386;
$next = 1 + $cluster->query($id, "SELECT max(number) FROM paxos_log(max_rows => NULL) WHERE session = $session");
my $reached = $next - 1 + $unresolved;
my $voids = "SELECT count(*) FROM paxoskv.void_numbers WHERE session = $session";
my $before = $cluster->query($other, $voids);
for my $number ($reached + 1, 9223372036854775807)
{
	is($cluster->query($other, "SELECT outcome FROM paxos_outcome('s$session-$number', give_up => true)"), 'unknown',
		"$number is too far ahead to be given up");
}
is($cluster->query($other, $voids), $before, '... and nothing is remembered of it');
is($cluster->query($other, "SELECT outcome FROM paxos_outcome('s$session-$reached', give_up => true)"), 'not applied',
	'the last number that can have been handed out can be given up');
is($cluster->query($other, $voids), $before + 1, '... and that is remembered');
$cluster->put($id, 'key', 'fourth');
for my $node ($cluster->ids)
{
	is($cluster->query($node, "SELECT outcome FROM paxos_outcome('s$session-@{[$reached + 1]}')"), 'unknown',
		"node $node says so, too");
}
$cluster->wait_until_equal;

done_testing();
