# The old part of a log is read again now and then: rot that nobody has met is found and mended while the others still
# have a copy, and paxoskv.stat_log says when that was last done.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.segment_size = '1MB'\n");
$cluster->wait_until_formed;

for my $i (1 .. 40)
{
	$cluster->query(1, "SELECT paxos_put('key $i', repeat('$i', 50000))");
}
$cluster->wait_until_equal;

sub scrubbed_at { my ($id) = @_; return $cluster->query($id, 'SELECT last_scrub_at FROM paxoskv.stat_log'); }

is($cluster->query(1, 'SELECT first_slot, log_bytes > 1000000, scrub_slot, last_scrub_at <= now() FROM paxoskv.stat_log'),
	'1|t||t', 'a start has read the log');
my %before = map { $_ => scrubbed_at($_) } $cluster->ids;

# A bit of an old record, in the oldest segment of a running node.
my $directory = $cluster->node(2)->data_dir . '/paxoskv/pgsql_tmp_log';
my ($file) = sort glob("$directory/segment.*");
open(my $handle, '+<:raw', $file) or die "$file: $!";
seek($handle, 300_000, 0);
read($handle, my $byte, 1);
seek($handle, 300_000, 0);
print $handle chr(ord($byte) ^ 1);
close($handle) or die "$file: $!";

my $from = -s $cluster->node(2)->logfile;
my $run = $cluster->status(2, 'run');
for my $id ($cluster->ids)
{
	$cluster->node($id)->append_conf('postgresql.conf', "paxoskv.verify_interval = '1s'\n");
	$cluster->node($id)->reload;
}
$cluster->wait_for('the rot to be mended',
	sub { slurp_file($cluster->node(2)->logfile, $from) =~ /paxoskv log is whole again/ });
my $said = slurp_file($cluster->node(2)->logfile, $from);
like($said, qr/paxoskv log failed: the record of slot \d+ in file "\S+segment\.\w+", offset \d+, is damaged/, 'it is found, file and slot named');
cmp_ok($cluster->status(2, 'run'), '>', $run, '... the worker began a new life');
for my $id ($cluster->ids)
{
	$cluster->wait_for("node $id to have read its log again", sub { scrubbed_at($id) gt $before{$id} });
	pass("node $id says when it has read its log again");
	is($cluster->query($id, "SELECT count(*) FROM generate_series(1, 40) AS i WHERE paxos_get('key ' || i) = repeat(i::text, 50000)"),
		'40', '... and has all that was acknowledged');
}
unlike(slurp_file($cluster->node($_)->logfile), qr/log failed/, "node $_ had nothing to mend") for 1, 3;
$cluster->put(2, 'more', 'of it');
is($cluster->get(3, 'more'), 'of it', 'all go on');

done_testing();
