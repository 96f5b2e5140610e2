# The README's recipes, each by several clients at once through all nodes: of those who ask for one thing one gets it.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 3);
my @ids = $cluster->ids;
$cluster->wait_until_formed;

sub text { return join ', ', map { "$_->{state} @{ $_->{rows} }" } @_; }

sub count { my ($value, @answers) = @_; return scalar grep { ($_->{value} // '') eq $value } @answers; }

# ---------------------------------------------------------------- a lock with an owner

my @answers = $cluster->at_once(map {
		qq{SELECT t ->> 'succeeded', t ->> 'revision' FROM paxos_txn('[{"key": "locks/report", "exists": false}]',
			'[{"op": "put", "key": "locks/report", "value": "worker $_"}]', '[{"op": "get", "key": "locks/report"}]') AS t}
	} 1 .. 6);
my @winners = grep { $answers[ $_ - 1 ]{value} =~ /^true/ } 1 .. 6;
is(scalar @winners, 1, 'of six who want the lock one gets it') or diag text(@answers);
my ($token) = $answers[ $winners[0] - 1 ]{value} =~ /(\d+)$/;
is($cluster->get($_, 'locks/report'), "worker $winners[0]", "... node $_ knows the holder") for @ids;

@answers = $cluster->at_once(map { "SELECT paxos_cas_revision('locks/report', $token, 'thief $_')" } 1 .. 6);
is(count('t', @answers), 1, 'of six who take it over from a dead holder one succeeds') or diag text(@answers);
my $work = qq{SELECT paxos_txn('[{"key": "locks/report", "revision": $token}]',
	'[{"op": "put", "key": "report/state", "value": "by the dead"}, {"op": "delete", "key": "locks/report"}]', '[]') -> 'succeeded'};
is($cluster->query(2, $work), 'false', 'what the old holder writes under its token is refused');
is($cluster->get(1, 'report/state'), '', '... and is not there');
my $new_token = $cluster->query(3, "SELECT revision FROM paxos_get_row('locks/report')");
cmp_ok($new_token, '>', $token, 'the token has risen');
$work =~ s/$token/$new_token/;
is($cluster->query(1, $work), 'true', '... the new holder works under it, and releases the lock');
is($cluster->get(2, 'locks/report'), '', '... which is free');

# ---------------------------------------------------------------- a leader record

@answers = $cluster->at_once(map { "SELECT paxos_insert('leader', 'node $_')" } 1 .. 5);
is(count('t', @answers), 1, 'one of five becomes the first leader');
my $seen = $cluster->query(1, "SELECT revision FROM paxos_get_row('leader')");
is($cluster->query(2, "SELECT paxos_cas_revision('leader', $seen, paxos_get('leader'))"), 't', '... renews its record');
is($cluster->query(3, "SELECT paxos_cas_revision('leader', $seen, 'late')"), 'f', '... and who saw the one before cannot take over');

# ---------------------------------------------------------------- a counter that many increment

my $increment = <<'SQL';
DO $$
DECLARE
	seen paxoskv.key_value;
BEGIN
	FOR i IN 1 .. 20 LOOP
		LOOP
			BEGIN
				SELECT * INTO seen FROM paxos_get_row('counter');
				EXIT WHEN paxos_cas_revision('counter', coalesce(seen.revision, 0), (coalesce(seen.value, '0')::int + 1)::text);
			EXCEPTION WHEN insufficient_resources THEN	-- certainly not applied
			END;
		END LOOP;
	END LOOP;
END $$
SQL
@answers = $cluster->at_once(($increment) x 6);
is(scalar(grep { $_->{state} eq '00000' } @answers), 6, 'six clients increment a counter twenty times each') or diag text(@answers);
is($cluster->get(3, 'counter'), 120, '... and every increment counts');

# ---------------------------------------------------------------- a unique name

@answers = $cluster->at_once(map {
		qq{SELECT paxos_txn('[{"key": "names/alice", "exists": false}]', '[{"op": "put", "key": "names/alice", "value": "$_"},
			{"op": "put", "key": "users/$_", "value": "alice"}]', '[]') -> 'succeeded'}
	} 1 .. 6);
is(count('true', @answers), 1, 'one of six gets the name');
my $owner = $cluster->get(1, 'names/alice');
is($cluster->query(2, "SELECT string_agg(key, ' ') FROM paxoskv.data WHERE key LIKE 'users/%'"), "users/$owner",
	'... and it alone has both keys');

$cluster->wait_until_equal;
done_testing();
