# Without a majority nothing is written and nobody waits for ever: a write is refused (53000: certainly not applied) or
# unknown (40003), each by its deadline; local reads go on.  With a majority back, so is everything else.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '2s'\n");
my @ids = $cluster->ids;
# whoever waited for that would not come back before the test gives up
my $long = "SET paxoskv.commit_timeout = '1h';";

# Once the leader is what remains, once a follower.
for my $case ('leader', 'follower')
{
	my $leader = $cluster->wait_until_formed;
	my ($survivor) = grep { ($_ == $leader) == ($case eq 'leader') } @ids;
	my @gone = grep { $_ != $survivor } @ids;
	my %said;

	$cluster->put($survivor, "$case before", 'all were there');
	$cluster->kill($_) for @gone;

	my @clients = map { $cluster->client($survivor) } 1 .. 4;
	$clients[$_]->send("SELECT paxos_put('$case early $_', 'value $_')") for 0 .. $#clients;
	for my $i (0 .. $#clients)
	{
		my $answer = $clients[$i]->await($cluster->patience);
		ok($answer, "$case left: a put right after the end of the others comes to an end");
		like($answer->{state}, qr/^(53000|40003)$/, "... refused or unknown ($answer->{state})");
		$said{"$case early $i"} = $answer->{state};
	}

	$cluster->wait_for("node $survivor to know that it is alone",
		sub { $cluster->refuses($survivor) });
	my $put = $cluster->try($survivor, "$long SELECT paxos_put('$case late', 'never')");
	is($put->{state}, '53000', "$case left: once it knows, a put is refused at once");
	like($put->{err}, qr/DETAIL:  The command was not applied and will not be\./, '... and says that it is not applied');
	like($put->{err}, qr/HINT:  View paxoskv\.nodes shows/, '... and where to look');
	my $get = $cluster->try($survivor, "$long SELECT paxos_get('$case before')");
	is($get->{state}, '53000', "$case left: a linearizable read is refused at once");
	like($get->{err}, qr/safe to try again/, '... as one that can be repeated');
	is($cluster->try($survivor, "$long SELECT paxos_sync()")->{state}, '53000', "$case left: so is paxos_sync()");
	is($cluster->try($survivor, "SELECT paxos_get('$case before', consistency => 'local')")->{out}, 'all were there',
		"$case left: a local read works");
	is($cluster->query($survivor, "SELECT value FROM paxoskv.data WHERE key = '$case before'"), 'all were there',
		'... and so does the table');
	ok($cluster->wait_for('it to miss the others', sub {
			$cluster->query($survivor, 'SELECT count(*) FROM paxoskv.nodes WHERE connected AND NOT self') == 0;
		}), '... and paxoskv.nodes shows that nobody is connected');

	$cluster->start($gone[0]);
	$cluster->wait_until_formed;
	$cluster->put($survivor, "$case after", 'two are enough');
	is($cluster->get($gone[0], "$case after"), 'two are enough', "$case left: with one node back, puts work");
	is($cluster->get($gone[0], "$case before"), 'all were there', '... on the state from before');
	is($cluster->get($gone[0], "$case late"), '', '... what was refused is not there');
	for my $i (0 .. $#clients)
	{
		my $value = $cluster->get($gone[0], "$case early $i");
		my @allowed = $said{"$case early $i"} eq '40003' ? ('', "value $i") : ('');
		ok((grep { $_ eq $value } @allowed), "... the put that ended with $said{qq{$case early $i}} left '$value'");
	}
	$cluster->start($gone[1]);
	$cluster->wait_until_formed;
	$cluster->wait_until_equal;
}

done_testing();
