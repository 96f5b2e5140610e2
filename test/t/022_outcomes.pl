# Request ids and outcomes in a cluster: the same id again gives the first result at any node, after restarts and leader
# changes; paxos_outcome() tells what became of a command whose answer was lost, and settles it.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;
use Time::HiRes qw(sleep);

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '3s'\npaxoskv.election_timeout = '5s'\n");
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;

# ---------------------------------------------------------------- the same id at any node

my $put = "SELECT paxos_put('apple', 'green', request_id => 'put 1')";
my $first = $cluster->query(1, $put);
$cluster->put(2, 'apple', 'red');
is($cluster->query($_, $put), $first, "node $_ answers the same id with the first revision") for @ids;
is($cluster->get(3, 'apple'), 'red', '... without a second effect');
is($cluster->answer(2, "SELECT paxos_put('apple', 'blue', request_id => 'put 1')")->{state}, '22023',
	'another command under it is refused at another node');

# Six copies at once, through all nodes: the look-up of most finds nothing yet, the log decides.
for my $round (1 .. 10)
{
	my $txn = qq{SELECT paxos_txn('[]', '[{"op": "get", "key": "n"}, {"op": "put", "key": "n", "value": "$round"}]', '[]', 'round $round')};
	my %answers = map { $_->{state} . ' ' . ($_->{value} // '') => 1 } $cluster->at_once(($txn) x 6);
	is(scalar keys %answers, 1, "six copies at once have one answer, round $round") or diag join "\n", sort keys %answers;
}
my $counts = $cluster->query(1, q{SELECT count(DISTINCT request_id), bool_and(executed = 1) FROM
	(SELECT request_id, count(*) FILTER (WHERE slot = (SELECT r.slot FROM paxoskv.requests r WHERE r.request_id = l.request_id)) / 2
		AS executed FROM paxos_log(1, NULL) l WHERE request_id LIKE 'round %' GROUP BY request_id) s});
is($counts, '10|t', '... each was executed in one slot');

# ---------------------------------------------------------------- leader changes and restarts

$cluster->kill($leader);
my $next = $cluster->wait_for_leader(not => $leader);
is($cluster->query($next, $put), $first, 'after the leader was killed the id is still known');
$cluster->start($leader);
$cluster->wait_until_formed;
$cluster->kill($_) for @ids;
$cluster->start($_) for @ids;
$cluster->wait_until_formed;
is($cluster->query($_, $put), $first, "... and after all were killed, at node $_") for @ids;

# ---------------------------------------------------------------- an answer that is lost

# A put through a node that is cut off from the others is taken and not answered; unless the node has come to know that it
# is alone, and refuses it.
my ($alone, $release, @others);

sub lose
{
	my ($put) = @_;
	return $cluster->wait_for('a put that is taken and not answered', sub {
			($alone, undef, $release) = $cluster->hold_others('leader', sub { });
			@others = grep { $_ != $alone } @ids;
			my $lost = $cluster->try($alone, $put);
			return $lost if $lost->{state} ne '53000';
			$release->();
			return;
		});
}
my $lost = lose("SELECT paxos_put('pear', 'yellow', request_id => 'lost 1')");
is($lost->{state}, '40003', 'a put that nobody else takes: unknown') or diag $lost->{err};
like($lost->{err}, qr/Command s\d+-\d+ \(request id "lost 1"\) may be applied or not\./, '... named by number and id');
like($lost->{err}, qr/SELECT \* FROM paxos_outcome\('lost 1'\)/, '... with what to ask');
$cluster->wait_for('the node to know that it is alone', sub { $cluster->refuses($alone) });
my $repeated = $cluster->try($alone, "SELECT paxos_put('pear', 'yellow', request_id => 'lost 1')");
is($repeated->{state}, '53000', 'a repeated call is refused once the node knows that it is alone');
like($repeated->{err}, qr/DETAIL:  This attempt was not applied and will not be; an earlier one with its request id may have been\./,
	'... which it says of itself, not of the first one');
my ($name) = $lost->{err} =~ /Command (s\d+-\d+) /;
is($cluster->try($alone, "SELECT * FROM paxos_outcome('lost 1')")->{state}, '53000', 'without a quorum nobody can tell');
$release->();
$cluster->wait_until_formed;

my $outcome = $cluster->query($others[0], "SELECT outcome FROM paxos_outcome('lost 1', give_up => true)");
like($outcome, qr/^(?:applied|not applied)$/, "given up at another node: $outcome");
is($cluster->query($_, "SELECT outcome FROM paxos_outcome('lost 1')"), $outcome, "... node $_ says the same") for @ids;
# one that was given up is void when the command has come
my $by_number;
$cluster->wait_for('the number to be known',
	sub { ($by_number = $cluster->query(1, "SELECT outcome FROM paxos_outcome('$name')")) ne 'unknown' });
is($by_number, $outcome, '... of the number too');
is($cluster->get($_, 'pear'), $outcome eq 'applied' ? 'yellow' : '', "... and node $_ has it so") for @ids;
my $again = $cluster->answer($others[1], "SELECT paxos_put('pear', 'yellow', request_id => 'lost 1')");
is($again->{state}, $outcome eq 'applied' ? '00000' : '55000', '... a copy that comes later changes nothing');

# By number, of a command without an id.
$lost = lose("SELECT paxos_put('plum', 'blue')");
is($lost->{state}, '40003', 'a put without an id: unknown');
($name) = $lost->{err} =~ /paxos_outcome\('(s\d+-\d+)'\)/;
ok($name, '... the hint asks by its number') or diag $lost->{err};
$release->();
$cluster->wait_until_formed;
$outcome = $cluster->query($others[0], "SELECT outcome FROM paxos_outcome('$name', true)");
like($outcome, qr/^(?:applied|not applied)$/, "settled by number: $outcome");
is($cluster->get($_, 'plum'), $outcome eq 'applied' ? 'blue' : '', "... and node $_ has it so") for @ids;

# The session that ends leaves its outcomes behind.
$cluster->kill($alone);
$cluster->start($alone);
$cluster->wait_until_formed;
$cluster->put($_, "after $_", 'restart') for @ids;
is($cluster->query($others[0], "SELECT outcome FROM paxos_outcome('$name')"), $outcome,
	'the outcome is known after its session has ended');
my ($session) = $name =~ /^s(\d+)/;
is($cluster->query($others[0], "SELECT outcome FROM paxos_outcome('s$session-1000000')"), 'not applied',
	'... and what it never did is not applied');

$cluster->wait_until_equal;
done_testing();
