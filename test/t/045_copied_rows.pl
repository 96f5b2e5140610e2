# Rows that a superuser copies in before there is a cluster, with hashes that are not theirs: nothing is applied over them,
# and so nothing acknowledged that a recount would make all nodes disown later.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 1, conf => "paxoskv.commit_timeout = '2s'\n");
my $node = $cluster->node(1);
my $copied = $node->data_dir . '/copied';
append_to_file($copied, join("\t", 'default', 'k', 'v', 1, 1, 1, '2024-02-03 04:05:06Z', '\\\\x' . '00' x 16) . "\n");
$cluster->query(1, "COPY paxoskv.kv FROM '$copied'");
isnt($cluster->try(1, "SELECT paxos_put('k', 'new')")->{state}, '00000', 'a write over such rows is not acknowledged');
$cluster->wait_for('apply to stop', sub { $cluster->status(1, 'detail') =~ /^Apply has stopped at slot 1: / });
like($cluster->status(1, 'detail'), qr/slot 1: rows were copied in that .*: A row of paxoskv\.kv .*: "default" "k"\.$/,
	'the status names the row');
my $later;
$cluster->wait_for('the consensus worker to know of it',
	sub { ($later = $cluster->try(1, "SELECT paxos_put('other', 'row')"))->{state} eq '55000' });
like($later->{err}, qr/rows were copied in/, 'clients are refused with the reason');

$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
$cluster->query(1, 'DROP EXTENSION paxoskv');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'paxoskv'\n");
$node->restart;
$cluster->create_extension(1);
$cluster->wait_until_formed;
is($cluster->get(1, 'k'), 'new', 'made anew, it goes on from its log');
is($cluster->query(1, 'SELECT rows, agrees FROM paxos_verify()'), '1|t', '... and is whole');

done_testing();
