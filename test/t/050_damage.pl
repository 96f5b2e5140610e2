# D7: acknowledged records that rotted are put back from the other nodes, as long as any of them has a copy, and nothing
# that was acknowledged is lost; the log says which.  One copy of the metadata is enough; without both the node says which
# files are bad (XX001).

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;
my $program = $cluster->node(1)->config_data('--bindir') . '/paxoskv-log';

sub directory { my ($id) = @_; return $cluster->node($id)->data_dir . '/paxoskv/pgsql_tmp_log'; }

# Where a stopped node's log has the record of a slot: file and offset.  Behind a damaged one nothing is found: all first.
my %places;

sub find_place
{
	my ($id, $slot) = @_;
	my ($out, $err);
	IPC::Run::run([ $program, 'show', directory($id), $slot ], '>', \$out, '2>', \$err);
	my ($segment, $offset) = $out =~ /^(segment\.\w+):(\d+) +slot $slot,/m or die "node $id has no record of slot $slot: $out$err";
	$places{$id}{$slot} = [ directory($id) . "/$segment", $offset ];
	return;
}

sub place { my ($id, $slot) = @_; return @{ $places{$id}{$slot} // die "no place of slot $slot on node $id" }; }

# Stops all, and finds the records of these slots.
sub stop_all
{
	my (@slots) = @_;
	$cluster->stop($_) for @ids;
	for my $id (@ids) { find_place($id, $_) for @slots; }
	return;
}

# change(FILE, OFFSET, BYTES); no BYTES: a bit of the first one flips
sub change
{
	my ($file, $offset, $bytes) = @_;
	open(my $handle, '+<:raw', $file) or die "$file: $!";
	seek($handle, $offset, 0);
	if (!defined $bytes)
	{
		read($handle, $bytes, 1);
		$bytes = chr(ord($bytes) ^ 4);
		seek($handle, $offset, 0);
	}
	print $handle $bytes;
	close($handle) or die "$file: $!";
	return;
}

sub flip { my ($id, $slot, $within) = @_; my ($file, $offset) = place($id, $slot); change($file, $offset + $within); return; }

# A sector within the record; all of the record but its last bytes.
sub zero_sector
{
	my ($id, $slot) = @_;
	my ($file, $offset) = place($id, $slot);
	change($file, int(($offset + 511) / 512) * 512, "\0" x 512);
	return;
}

sub zero_record { my ($id, $slot) = @_; my ($file, $offset) = place($id, $slot); change($file, $offset, "\0" x 1500); return; }

# puts WHAT, N: N keys, each acknowledged before the next; returns their slots, the last of which is the log's end
sub puts
{
	my ($what, $n) = @_;
	my @slots = map { $cluster->query(1, "SELECT paxos_put('$what $_', repeat('$what $_', 300))") } 1 .. $n;
	$cluster->wait_until_equal;
	return @slots;
}

sub all_there
{
	my ($what, $n) = @_;
	for my $id (@ids)
	{
		my $right = $cluster->query($id,
			"SELECT count(*) FROM generate_series(1, $n) AS i WHERE paxos_get('$what ' || i) = repeat('$what ' || i, 300)");
		is($right, $n, "$what: everything acknowledged is there on node $id");
	}
	return;
}

# start_all DAMAGED NODES: with what each says
sub start_all
{
	my (@damaged) = @_;
	my %from = map { $_ => -s $cluster->node($_)->logfile } @ids;
	$cluster->start($_) for @ids;
	$cluster->wait_until_formed;
	$cluster->wait_for("node $_ to be whole again",
		sub { slurp_file($cluster->node($_)->logfile, $from{$_}) =~ /paxoskv log is whole again through slot \d+/ })
	  for @damaged;
	return map { $_ => slurp_file($cluster->node($_)->logfile, $from{$_}) } @ids;
}

# Each of these records is intact on one node alone, another one for each.
my @slots = puts('apple', 6);
stop_all(@slots);
flip(1, $slots[0], 8);
zero_record(2, $slots[0]);
zero_sector(1, $slots[1]);
flip(3, $slots[1], 500);
flip(2, $slots[2], 3);
zero_record(3, $slots[2]);
zero_record(1, $slots[5]);    # the log's tail
flip(2, $slots[5], 40);
change(directory(1) . '/metadata.1', 60);
change(directory(2) . '/metadata.2', 4000);
my %said = start_all(@ids);
for my $id (@ids)
{
	my ($first) = (undef, @slots[ 0, 0, 1 ])[$id];
	like($said{$id}, qr/paxoskv log is damaged in segment\.\w+, offset \d+\n.*Entries that cannot be read: [23], the first in slot $first, /,
		"node $id says which of its records are damaged");
}
all_there('apple', 6);
is($cluster->query($_, "SELECT paxos_put('after $_', 'x') > $slots[5]"), 't', "node $_ goes on") for @ids;
$cluster->wait_until_equal;

# What is put back stays, and so does a metadata file that was written again.
stop_all();
unlike(scalar(run_verify($_)), qr/damaged|DAMAGED/i, "the log of node $_ is whole") for @ids;
change(directory(1) . '/metadata.2', 60);
%said = start_all();
unlike($said{$_}, qr/damaged/, "node $_ finds nothing damaged") for @ids;
all_there('apple', 6);

sub run_verify
{
	my ($id) = @_;
	my ($out, $err);
	IPC::Run::run([ $program, 'verify', directory($id) ], '>', \$out, '2>', \$err);
	return $out . $err;
}

# A record that is gone everywhere is in every table: the logs begin behind it.
@slots = puts('pear', 3);
stop_all(@slots);
zero_record($_, $slots[1]) for @ids;
%said = start_all(@ids);
like($said{$_}, qr/paxoskv log begins behind slot $slots[1] now, because no node has a copy of what is damaged/, "node $_ needs it no more")
  for @ids;
all_there('pear', 3);
all_there('apple', 6);

# Both copies of the metadata: the promise is forgotten, and so the node does not start.
$cluster->stop(3);
change(directory(3) . "/metadata.$_", 100) for 1, 2;
my $from = -s $cluster->node(3)->logfile;
$cluster->start(3);
my $detail = $cluster->wait_for('node 3 to say why it does not start',
	sub { my $text = $cluster->status(3, 'detail'); return $text =~ /metadata/ ? $text : undef; });
like($detail, qr{both copies of the metadata, "\S+/metadata\.1" and "\S+/metadata\.2", are damaged}i, 'both metadata files are named');
$cluster->wait_for('the log to name them, too', sub { slurp_file($cluster->node(3)->logfile, $from) =~ /both copies of the metadata/i });
my $put = $cluster->try(3, "SELECT paxos_put('no', 'no')");
is($put->{state}, '55000', 'it refuses writes');
$cluster->wait_for('a write of the others', sub { $cluster->try(1, "SELECT paxos_put('two', 'of three')")->{ok} });
is($cluster->get(2, 'two'), 'of three', 'the others go on');

# A cluster of one has the table alone.
my $one = PaxosKV::Cluster->new(nodes => 1);
$cluster = $one;
@ids = (1);
@slots = puts('plum', 3);
stop_all(@slots);
flip(1, $slots[1], 100);
$from = -s $one->node(1)->logfile;
$one->start(1);
$one->wait_for('the log to begin behind it',
	sub { slurp_file($one->node(1)->logfile, $from) =~ /paxoskv log is whole again/ });
all_there('plum', 3);
$one->put(1, 'more', 'of it');
is($one->get(1, 'more'), 'of it', 'a cluster of one goes on');

done_testing();
