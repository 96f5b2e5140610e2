# The queries of docs/operations.md run as they stand there: on a node where all is well what it alerts on has no rows, and the
# first ones have some on a node that is alone.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $document = slurp_file("$ENV{TESTDIR}/docs/operations.md");
my ($monitoring) = $document =~ /^## Monitoring\n(.*?)^## /ms;
my @alerts = $monitoring =~ /^\| `(SELECT .*?)` \|/mg;
my @others = map { s/\s+\\watch 1//r } $document =~ /^    ((?:SELECT|SET) .*?)(?:\\watch|;|$)/mg;
cmp_ok(scalar @alerts, '>=', 8, 'there are queries to alert on');
cmp_ok(scalar @others, '>=', 6, 'and others');

my $cluster = PaxosKV::Cluster->new(nodes => 3);
$cluster->query($_, 'CREATE ROLE monitor LOGIN IN ROLE pg_monitor; GRANT EXECUTE ON FUNCTION paxos_sync TO monitor') for $cluster->ids;

sub rows
{
	my ($id, $query) = @_;
	my $answer = $cluster->try($id, "SET ROLE monitor; $query");
	ok($answer->{ok}, "node $id: $query") or diag $answer->{err};
	return $answer->{out};
}

for my $id ($cluster->ids)
{
	for my $query (@alerts)
	{
		rows($id, $query);
		$cluster->wait_for("node $id to have no rows of: $query", sub {
				my $answer = $cluster->try($id, "SET ROLE monitor; $query");
				return $answer->{ok} && $answer->{out} eq '';
			});
		pass('... has no rows');
	}
}
# The rest is not for pg_monitor alone.
for my $query (grep { !/SELECT partition, / } @others)
{
	my $may = $query !~ /paxos_verify|FROM paxoskv\.data/;
	is($cluster->answer(1, ($may ? 'SET ROLE monitor; ' : '') . $query)->{state}, '00000', ($may ? 'pg_monitor may: ' : 'a superuser may: ') . $query);
}

my ($alone, @gone) = $cluster->ids;
$cluster->stop($_, 'immediate') for @gone;
$cluster->wait_for('it to know that it is alone', sub { $cluster->refuses($alone) });
my ($no_majority) = grep { /quorum/ } @alerts;
my ($lost) = grep { /WHERE NOT connected/ } @alerts;
# what they show may be a second old
$cluster->wait_for('the view to know it, too', sub {
		my $rows = $cluster->query($alone, $lost);
		return $cluster->query($alone, $no_majority) eq $alone && !grep { $rows !~ /^$_\|127\.0\.0\.1:\d+\|\S/m } @gone;
	});
is(rows($alone, $no_majority), $alone, 'alone: the query for the majority has a row');
like(rows($alone, $lost), qr/^$_\|127\.0\.0\.1:\d+\|\S/m, "... and that for nodes which can't be reached names node $_ and why") for @gone;
isnt($cluster->try($alone, "SET paxoskv.commit_timeout = '2s'; SELECT paxos_sync()")->{state}, '00000', '... and the probe fails');

# A role that only monitors can neither read nor write.
is($cluster->try($alone, "SET ROLE monitor; $_")->{state}, '42501', "pg_monitor may not: $_")
  for "SELECT paxos_put('a', 'b')", "SELECT paxos_get('a')", 'SELECT * FROM paxoskv.data', 'SELECT * FROM paxos_log()';

done_testing();
