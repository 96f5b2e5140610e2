# Rows that a superuser copies in before there is a cluster, with hashes that are not theirs: no cluster begins with them,
# and so nothing is acknowledged that a recount would make all nodes disown later.  Dropped, they stand in nobody's way.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 1, conf => "paxoskv.commit_timeout = '2s'\n");
my $node = $cluster->node(1);
my $copied = $node->data_dir . '/copied';

sub copy_in
{
	my (@revisions) = @_;
	unlink $copied;
	append_to_file($copied, join("\t", 'default', 'k', 'v', 1, @revisions, '2024-02-03 04:05:06Z', '\\\\x' . '00' x 16) . "\n");
	$cluster->query(1, "COPY paxoskv.kv FROM '$copied'");
	return;
}

sub refused
{
	my ($why, $what) = @_;
	my $put;
	$cluster->wait_for("a put to be refused: $what", sub {
			$put = $cluster->try(1, "SELECT paxos_put('k', 'new')");
			return $put->{state} eq '55000' && $put->{err} =~ $why;
		});
	like($put->{err}, qr/DETAIL:  It is not known what the cluster is to begin with: .*not applied and will not be/, "$what: a put is refused");
	$cluster->wait_for("the status to say why: $what", sub { $cluster->status(1, 'detail') =~ $why });
	is($cluster->status(1, 'role'), 'unformed', '... no cluster forms');
	return;
}

copy_in(1, 1);
refused(qr/A row of paxoskv\.kv is not as it was written: "default" "k"/, 'a wrong hash');
$cluster->wait_for('the log to have the way out', sub { slurp_file($node->logfile) =~ /HINT:  DROP EXTENSION paxoskv drops these rows/ });
$cluster->query(1, 'DROP EXTENSION paxoskv');
$cluster->create_extension(1);

$cluster->query(1, "COPY paxoskv.closed_sessions FROM PROGRAM 'printf \"7\\t1\\t3\\n\"'");
refused(qr/paxoskv\.closed_sessions is not empty/, "another cluster's sessions");
$cluster->query(1, 'DROP EXTENSION paxoskv');
$cluster->create_extension(1);

# a restore that is still under way when the first command comes, and one that is given up
my $loader = $cluster->client(1);
$loader->ask($_) for 'BEGIN', "COPY paxoskv.kv FROM PROGRAM 'true'";
my $put = $cluster->try(1, "SELECT paxos_put('k', 'early')");
isnt($put->{state}, '00000', "while rows are loaded no put is taken: $put->{state}");
is($cluster->status(1, 'role'), 'unformed', '... and no cluster forms');
$loader->ask('ROLLBACK');
$cluster->wait_for('a put', sub { $cluster->try(1, "SELECT paxos_put('k', 'new')")->{ok} });
is($cluster->get(1, 'k'), 'new', '... when that has ended it forms');
is($cluster->try(1, "COPY paxoskv.kv FROM '/dev/null'")->{state}, '42501', '... and nothing can be loaded any more');
is($cluster->query(1, 'SELECT rows, agrees FROM paxos_verify()'), '1|t', '... and it is whole');

done_testing();
