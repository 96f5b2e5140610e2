# ALTER EXTENSION paxoskv UPDATE makes of every earlier version what a fresh install makes, along every path; and a node
# whose library is newer than its extension says what to do, and goes on once it is done.

use strict;
use warnings;

use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(nodes => 1, start => 0, secret => 0);
$cluster->start(1);

# What was made, line by line and without numbers that each install draws anew.
my $objects = <<'QUERY';
WITH members AS (
	SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'paxoskv'),
tables AS (
	SELECT c.* FROM pg_class c WHERE c.relnamespace = 'paxoskv'::regnamespace),
lines (line) AS (
	SELECT 'extension ' || concat_ws(' ', extversion, extrelocatable, extnamespace::regnamespace, extconfig::regclass[], extcondition)
	FROM pg_extension WHERE extname = 'paxoskv'
	UNION ALL SELECT 'member ' || pg_describe_object(classid, objid, 0) FROM members
	UNION ALL SELECT 'function ' || pg_get_functiondef(p.oid) || ' ' || p.proowner::regrole || ' '
		|| coalesce(obj_description(p.oid, 'pg_proc'), 'no comment') FROM pg_proc p JOIN members m ON m.objid = p.oid AND m.classid = 'pg_proc'::regclass
	UNION ALL SELECT 'right ' || concat_ws(' ', pg_describe_object(r.class, r.object, 0), a.grantor::regrole, a.grantee::regrole,
		a.privilege_type, a.is_grantable) FROM (
			SELECT 'pg_proc'::regclass, p.oid, coalesce(proacl, acldefault('f', proowner)) FROM pg_proc p
				JOIN members m ON m.objid = p.oid AND m.classid = 'pg_proc'::regclass
			UNION ALL SELECT 'pg_class'::regclass, oid, coalesce(relacl, acldefault('r', relowner)) FROM tables
			UNION ALL SELECT 'pg_type'::regclass, t.oid, coalesce(typacl, acldefault('T', typowner)) FROM pg_type t
				WHERE t.typnamespace = 'paxoskv'::regnamespace
			UNION ALL SELECT 'pg_namespace'::regclass, oid, coalesce(nspacl, acldefault('n', nspowner)) FROM pg_namespace
				WHERE nspname = 'paxoskv') AS r (class, object, acl), aclexplode(r.acl) AS a
	UNION ALL SELECT 'relation ' || concat_ws(' ', relname, relkind, relpersistence, reloptions, relreplident, relrowsecurity,
		relowner::regrole, relam, reltoastrelid <> 0, coalesce(obj_description(oid, 'pg_class'), 'no comment')) FROM tables
	UNION ALL SELECT 'column ' || concat_ws(' ', c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
		a.attcollation::regcollation, a.attnotnull, a.attstorage, a.attcompression, a.attidentity, a.attgenerated, a.attoptions,
		pg_get_expr(d.adbin, d.adrelid), coalesce(col_description(c.oid, a.attnum), 'no comment'))
		FROM tables c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
		LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
	UNION ALL SELECT 'index ' || concat_ws(' ', pg_get_indexdef(i.indexrelid), i.indisprimary, i.indisunique, i.indisreplident,
		i.indisclustered, i.indisvalid) FROM tables c JOIN pg_index i ON i.indrelid = c.oid
	UNION ALL SELECT 'constraint ' || concat_ws(' ', c.relname, n.conname, n.contype, pg_get_constraintdef(n.oid), n.convalidated,
		coalesce(obj_description(n.oid, 'pg_constraint'), 'no comment'))
		FROM tables c JOIN pg_constraint n ON n.conrelid = c.oid
	UNION ALL SELECT 'view ' || relname || ' ' || pg_get_viewdef(oid) FROM tables WHERE relkind = 'v'
	UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM tables c JOIN pg_trigger t ON t.tgrelid = c.oid
	UNION ALL SELECT 'type ' || concat_ws(' ', typname, typtype, coalesce(obj_description(oid, 'pg_type'), 'no comment'))
		FROM pg_type WHERE typnamespace = 'paxoskv'::regnamespace
	UNION ALL SELECT 'schema ' || concat_ws(' ', nspname, nspowner::regrole, obj_description(oid, 'pg_namespace'))
		FROM pg_namespace WHERE nspname = 'paxoskv'
	UNION ALL SELECT 'dependency ' || concat_ws(' | ', pg_describe_object(d.classid, d.objid, d.objsubid),
		pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), d.deptype)
		FROM pg_depend d JOIN members m ON m.classid IN (d.classid, d.refclassid) AND m.objid IN (d.objid, d.refobjid)
		WHERE d.refclassid <> 0)
SELECT l.line FROM (SELECT regexp_replace(replace(line, E'\n', ' '), '(pg_toast_|pg_attver=)\d+', '\1N', 'g') FROM lines) AS l (line)
ORDER BY l.line COLLATE "C"
QUERY

sub objects { return [ split /\n/, $cluster->query(1, $objects) ]; }

# Until a node knows whether it is a member its extension stays.
sub drop_extension
{
	$cluster->wait_for('the node to have started', sub { $cluster->status(1, 'role') eq 'unformed' });
	$cluster->query(1, 'DROP EXTENSION paxoskv');
	return;
}

sub create_extension
{
	my ($version) = @_;
	$cluster->query(1, 'CREATE EXTENSION paxoskv' . ($version ? " VERSION '$version'" : ''));
	return;
}

# ---------------------------------------------------------------- what there is

my $current = $cluster->query(1, "SELECT default_version FROM pg_available_extensions WHERE name = 'paxoskv'");
# a version that only an upgrade leads to is no beginning
my @earlier = grep { $_ ne $current } split /\n/, $cluster->query(1,
	"SELECT version FROM pg_available_extension_versions WHERE name = 'paxoskv' ORDER BY 1");
@earlier = grep { $cluster->query(1, "SELECT count(*) FROM pg_ls_dir((SELECT setting FROM pg_config WHERE name = 'SHAREDIR')"
		. " || '/extension') AS f WHERE f = 'paxoskv--$_.sql'") } @earlier;
cmp_ok(@earlier, '>', 0, "there are versions before $current: @earlier");
is($cluster->query(1, "SELECT string_agg(source, ' ') FROM pg_extension_update_paths('paxoskv')"
	. " WHERE target = '$current' AND path IS NULL AND source = ANY ('{" . join(',', @earlier) . "}')"), '',
	'a path leads from each of them to the current one');

# ---------------------------------------------------------------- the same objects

create_extension();
my $fresh = objects();
cmp_ok(@$fresh, '>', 300, 'a fresh install: ' . @$fresh . ' lines of the catalog');
drop_extension();
is($cluster->query(1, "SELECT count(*) FROM pg_namespace WHERE nspname = 'paxoskv'"), 0, '... of which DROP leaves nothing');

for my $version (@earlier)
{
	create_extension($version);
	isnt(join("\n", @{ objects() }), join("\n", @$fresh), "$version is another one");
	is($cluster->try(1, 'ALTER EXTENSION paxoskv UPDATE')->{err}, '', "UPDATE from $version says nothing");
	is_deeply(objects(), $fresh, '... and makes the same objects as a fresh install');
	drop_extension();

	# by way of each version between
	for my $between (grep { $_ gt $version } @earlier)
	{
		create_extension($version);
		$cluster->query(1, "ALTER EXTENSION paxoskv UPDATE TO '$between'");
		$cluster->query(1, 'ALTER EXTENSION paxoskv UPDATE');
		is_deeply(objects(), $fresh, "... also from $version by way of $between");
		drop_extension();
	}
}

# ---------------------------------------------------------------- a newer library, with which the server is started

my $oldest = $earlier[0];
create_extension($oldest);
$cluster->stop(1);
$cluster->start(1);
$cluster->wait_for('apply to look at its tables', sub { $cluster->status(1, 'detail') =~ /Apply cannot begin/ });
like($cluster->status(1, 'detail'), qr/run ALTER EXTENSION paxoskv UPDATE/, "with the extension at $oldest the status says what to do");
my $put = $cluster->try(1, "SELECT paxos_put('apple', 'green')");
isnt($put->{state}, '00000', '... a put is refused');
unlike($put->{state}, qr/40003/, '... for certain');
like($put->{err}, qr/run ALTER EXTENSION paxoskv UPDATE/, '... and says what to do');
$put = $cluster->try(1, "SELECT paxos_get('apple')");
like($put->{err}, qr/run ALTER EXTENSION paxoskv UPDATE/, '... a linearizable read as well');
$cluster->query(1, 'ALTER EXTENSION paxoskv UPDATE');
$cluster->wait_for('a put after UPDATE', sub { $cluster->try(1, "SELECT paxos_put('apple', 'green')")->{ok} });
is($cluster->get(1, 'apple'), 'green', '... and after UPDATE it goes on, without a restart');
is($cluster->try(1, "SELECT paxos_insert('pear', 'yellow')")->{out}, 't', '... with what the newer version brought');

# as a member, too
is($cluster->try(1, 'ALTER EXTENSION paxoskv UPDATE')->{state}, '00000', 'a second UPDATE is harmless');
is($cluster->get(1, 'pear'), 'yellow', '... and changes nothing');

done_testing();
