# Nodes whose databases have different locales hold the same store: equality, order, ranges, prefixes and pages are those
# of the bytes on all of them, and plain queries use the index everywhere.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;

# As far apart as ICU has them: node 2 takes digits as numbers and puts upper case first, node 3 is Swedish, with å, ä
# and ö behind z.
my %init = (
	2 => [ qw(--locale=C --locale-provider=icu --icu-locale=en-u-kn-true-kf-upper) ],
	3 => [ qw(--locale=C --locale-provider=icu --icu-locale=sv) ]);
my $cluster = eval { PaxosKV::Cluster->new(nodes => 3, node_init => \%init) };
plan skip_all => 'this PostgreSQL knows no ICU' if !$cluster && `initdb --help` !~ /icu-locale/;
die $@ if !$cluster;
my @ids = $cluster->ids;

sub on_all
{
	my ($query) = @_;
	return map { $cluster->query($_, $query) } @ids;
}

sub same_on_all
{
	my ($query, $expected, $name) = @_;
	my @answers = on_all($query);
	$expected //= $answers[0];
	is_deeply(\@answers, [ ($expected) x @ids ], $name);
	return;
}

# Each part is written through another node.
my $letters = q{ARRAY['a', 'A', 'b', 'B', 'z', 'Z', 'ä', 'å', 'ö', 'Ö', 'é', U&'e\0301', 'e', 'ss', 'ß', 'ﬁ', 'fi', '🍏', chr(1),
	chr(127), ' ', '-', '_', '/', '0', chr(65533), chr(65535), chr(1114111)]};
my @parts = (
	"SELECT x FROM unnest($letters) AS x",
	"SELECT x || y FROM unnest($letters) AS x, unnest($letters) AS y",
	"SELECT 'key' || x || i FROM generate_series(1, 120) AS i, unnest(ARRAY['', '0', '-', ' ', '/']) AS x");
for my $i (0 .. $#parts)
{
	$cluster->query($ids[$i], "SELECT paxos_batch(array_agg(x), array_agg('of ' || x)) FROM ($parts[$i]) AS keys (x)");
}
$cluster->wait_until_equal;
my $count = $cluster->query(1, 'SELECT count(*) FROM (' . join(' UNION ', @parts) . ') AS keys');
same_on_all('SELECT count(*) FROM paxoskv.data', $count, "$count keys on all nodes");

# ---------------------------------------------------------------- the databases do differ

my %orders = map { $_ => 1 } on_all('SELECT md5(string_agg(key, E\'\n\' ORDER BY key)) FROM paxoskv.data');
is(keys %orders, 3, 'ORDER BY key: three nodes, three orders, as their locales have it');
is_deeply([ on_all(q{SELECT 'ö' < 'z', 'key10' < 'key9', 'a' < 'A'}) ], [ 'f|t|f', 't|f|f', 'f|t|t' ], '... and < as well');

# ---------------------------------------------------------------- the functions do not

my $bytewise = $cluster->query(1, q{SELECT md5(string_agg(key, E'\n' ORDER BY key COLLATE "C")) FROM paxoskv.data});
my $in_order = q{SELECT md5(string_agg(key, E'\n' ORDER BY n)) FROM %s WITH ORDINALITY AS r (p, key, v, r, c, w, n)};
my $listed = q{SELECT md5(string_agg(key, E'\n')) FROM (SELECT key FROM %s) AS r};
for my $query ($in_order, $listed)
{
	same_on_all(sprintf($query, 'paxos_range()'), $bytewise, 'paxos_range(): bytewise on all nodes');
	same_on_all(sprintf($query, q{paxos_prefix('')}), $bytewise, q{... paxos_prefix('') too});
	same_on_all(sprintf($query, 'paxos_get_many(ARRAY(SELECT key FROM paxoskv.data))'), $bytewise, '... and paxos_get_many()');
}
same_on_all(sprintf($listed, '(SELECT (paxos_range()).*) AS s'), $bytewise, '... in a SELECT list, too');
same_on_all("SELECT md5(string_agg(x || '<' || y || ':' || (SELECT count(*) FROM paxos_range(x, y)), ','
		ORDER BY x COLLATE \"C\", y COLLATE \"C\")) FROM unnest($letters) AS x, unnest($letters) AS y",
	$cluster->query(1, "SELECT md5(string_agg(x || '<' || y || ':' || (SELECT count(*) FROM paxoskv.data
		WHERE key COLLATE \"C\" >= x AND key COLLATE \"C\" < y), ',' ORDER BY x COLLATE \"C\", y COLLATE \"C\"))
		FROM unnest($letters) AS x, unnest($letters) AS y"),
	'every range between two letters has the same keys');
same_on_all("SELECT md5(string_agg(x || ':' || ARRAY(SELECT key FROM paxos_prefix(x))::text, ',' ORDER BY x COLLATE \"C\"))
	FROM unnest($letters) AS x", undef, 'every letter begins the same keys');
same_on_all(q{SELECT count(*) FROM paxos_prefix('e')}, $cluster->query(1,
		q{SELECT count(*) FROM paxoskv.data WHERE starts_with(key, 'e')}), '... e without é');
same_on_all(q{SELECT string_agg(key, ' ') FROM (SELECT key FROM paxos_range('key1', 'key2', max_rows => 3)) AS r},
	'key1 key10 key100', 'digits are characters');
same_on_all(q{SELECT value FROM paxos_get_many(ARRAY['é', 'É'])}, 'of é', 'a letter is not its capital');
same_on_all(q{SELECT value = U&'of e\0301', octet_length(value) FROM paxos_get_row(U&'e\0301')}, 't|6', '... nor its other form');

# A page from each node in turn: no key is missing, none comes twice.
my (@paged, $next);
for my $page (0 .. $count)
{
	my $start = defined $next ? "convert_from(decode('$next', 'hex'), 'UTF8') || chr(1)" : 'NULL';
	my @keys = split /\n/, $cluster->query($ids[ $page % @ids ],
		"SELECT encode(convert_to(key, 'UTF8'), 'hex') FROM paxos_range($start, max_rows => 100)");
	push @paged, @keys;
	last if @keys < 100;
	$next = $keys[-1];
}
is(scalar @paged, $count, 'pages from one node after another hold all keys');
is_deeply(\@paged, [ sort @paged ], '... in the order of their bytes');
my %once = map { $_ => 1 } @paged;
is(keys %once, $count, '... each once');

# ---------------------------------------------------------------- nor do plain queries, asked for bytes

same_on_all(q{SELECT md5(string_agg(key, E'\n' ORDER BY key USING ~<~)) FROM paxoskv.data}, $bytewise, 'ORDER BY key USING ~<~');
same_on_all(q{SELECT md5(string_agg(key, E'\n' ORDER BY key USING ~<~)) FROM paxoskv.data WHERE key ~>=~ 'a' AND key ~<~ 'ö'},
	undef, 'key ~>=~ and ~<~');
same_on_all(q{SELECT count(*) FROM paxoskv.data WHERE key = 'é'}, 1, 'equality is that of the bytes');
for my $id (@ids)
{
	my $off = join ' ', map { "SET enable_$_ = off;" } qw(seqscan bitmapscan hashjoin mergejoin material memoize);
	for my $query (q{SELECT value FROM paxoskv.data WHERE key = 'é'},
		q{SELECT key FROM paxoskv.data WHERE key ~>=~ 'a' AND key ~<~ 'b' ORDER BY key USING ~<~},
		q{SELECT value FROM (VALUES ('a'), ('é')) AS mine (name) JOIN paxoskv.data ON data.key = mine.name})
	{
		my $plan = $cluster->query($id, "$off EXPLAIN (COSTS OFF) $query");
		like($plan, qr/Index (?:Only )?Scan using kv_key on kv\n.*Index Cond: .*key /, "node $id finds rows by the index");
		unlike($plan, qr/Sort/, '... and sorts nothing');
	}
}

# ---------------------------------------------------------------- writes through any of them

$cluster->query(2, q{SELECT paxos_batch(ARRAY['ä', 'A', U&'a\0308'], ARRAY['one', 'two', 'three'])});
is($cluster->query(3, q{SELECT paxos_delete('ä')}), 't', 'a delete through another node takes that key');
same_on_all(q{SELECT string_agg(value, ' ') FROM (SELECT value FROM paxos_get_many(ARRAY['ä', U&'a\0308', 'a', 'A'])) AS r},
	'two of a three', '... and none that its locale takes for a like one');
is($cluster->query(3, q{SELECT paxos_insert('ä', 'again')}), 't', 'an insert finds it absent');
is($cluster->query(2, q{SELECT paxos_cas('A', 'two', 'II')}), 't', 'a value is compared by its bytes');
is($cluster->query(2, q{SELECT paxos_cas('A', 'ii', 'no')}), 'f', '... too');
ok($cluster->wait_until_equal, 'one state hash on all nodes');

done_testing();
