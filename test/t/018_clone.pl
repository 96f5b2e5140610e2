# A member copied as a whole while it was down, and both started: nobody knows which of the two promised what, so the
# others tell both, and neither takes part any more (X1).  The rest of the cluster goes on.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;
my $leader = $cluster->wait_until_formed;
my ($twin, $other) = grep { $_ != $leader } @ids;
$cluster->put($twin, 'before', 'there was one');
$cluster->wait_until_equal;

my $node = $cluster->node($twin);
$cluster->stop($twin);
mkdir $node->backup_dir;
PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $node->data_dir, $node->backup_dir . '/copy');
$cluster->start($twin);
$cluster->wait_until_formed;
$cluster->put($twin, 'original', 'goes on');
is($cluster->get($other, 'original'), 'goes on', 'a member that was copied goes on as long as its copy does not run');
# who leads of the others; or either of them, if the one that was copied does
$leader = $cluster->wait_for_leader;
($leader, $other) = sort { ($b == $leader) <=> ($a == $leader) } grep { $_ != $twin } @ids;

# ---------------------------------------------------------------- the copy starts

my $clone = PostgreSQL::Test::Cluster->new('clone');
$clone->init_from_backup($node, 'copy');
$clone->append_conf('postgresql.conf',
	"paxoskv.listen = '127.0.0.1:" . PostgreSQL::Test::Cluster::get_free_port() . "'\n");
$clone->start;

sub on_clone
{
	my ($statement) = @_;
	my ($code, $out, $err) = $clone->psql('postgres', $statement,
		extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'ON_ERROR_STOP=1' ]);
	return { state => $code == 0 ? '00000' : $err =~ /ERROR:  (\w{5}):/ ? $1 : 'lost', out => $out, err => $err };
}

my %refusals = (
	'the original' => sub { $cluster->try($twin, "SELECT paxos_put('by twin', 'no')") },
	'the copy' => sub { on_clone("SELECT paxos_put('by twin', 'no')") });
for my $who (sort keys %refusals)
{
	my $put = $cluster->wait_for("$who to refuse a put", sub {
			my $try = $refusals{$who}->();
			return $try->{state} eq '55000' && $try->{err} =~ /another run of this node is alive/ ? $try : undef;
		});
	like($put->{err}, qr/DETAIL:  .*not applied and will not be/, "$who is fenced: a put is refused, and not applied");
	like($put->{err}, qr/HINT:  Stop both.* let new nodes with new ids take their place/, '... with the way back in');
}
is($cluster->status($twin, 'role'), 'fenced', '... the original says so in its status');
is(on_clone('SELECT role FROM paxos_status()')->{out}, 'fenced', '... and so does the copy');
is($cluster->get($twin, 'original', 'local'), 'goes on', '... the original reads locally what it had');
is(on_clone("SELECT paxos_get('before', consistency => 'local')")->{out}, 'there was one', '... and so does the copy');
$cluster->wait_for('the others to log what they met', sub {
		grep { slurp_file($cluster->node($_)->logfile) =~ /two copies of its log directory are running/ } $leader, $other;
	});
pass('the others log what they met');

# ---------------------------------------------------------------- the others

sub others_go_on
{
	my ($what) = @_;
	$cluster->wait_for('a put through the others', sub { $cluster->try($other, "SELECT paxos_put('$what', 'fine')")->{ok} });
	is($cluster->get($leader, $what), 'fine', "the others go on $what");
	is($cluster->get($_, 'by twin'), '', "... without anything of either, on node $_") for $leader, $other;
	return;
}
others_go_on('beside the two');
$cluster->wait_until_equal($leader, $other);
$cluster->pause($other);
my $put = $cluster->try($leader, "SET paxoskv.commit_timeout = '1500ms'; SELECT paxos_put('alone', 'no')");
like($put->{state}, qr/^(53000|40003)$/, "neither of the two votes: one node alone is no majority ($put->{state})");
$cluster->resume($other);
$clone->stop;
$cluster->stop($twin);
others_go_on('without them');

done_testing();
