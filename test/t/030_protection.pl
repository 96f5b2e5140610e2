# Protection that one regression database can't show: before a node has formed and after it has left, pipelines, dumps,
# publications, prepared transactions, and an owner who is no superuser any more.

use strict;
use warnings;

use File::Path qw(rmtree);
use PaxosKV::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $cluster = PaxosKV::Cluster->new(
	nodes => 1, start => 0, secret => 0, conf => "wal_level = logical\nmax_wal_senders = 5\nmax_prepared_transactions = 5\npaxoskv.commit_timeout = '60s'\n");
my $node = $cluster->node(1);

sub refused { my ($statement, $state, $what, %options) = @_; return is($cluster->try(1, $statement, %options)->{state}, $state, $what); }
sub works { my ($statement, $what, %options) = @_; return refused($statement, '00000', $what, %options); }

# ---------------------------------------------------------------- before the node has formed

$cluster->start(1);
works('CREATE TABLE public.kv (key text)', 'a table of that name');
refused(<<'SQL', '42501', 'a statement prepared for it, when the extension\'s table comes before it');
SET search_path = paxoskv, public;
PREPARE change AS DELETE FROM kv;
EXECUTE change;
CREATE EXTENSION paxoskv SCHEMA public;
EXECUTE change;
SQL
$cluster->wait_for('an unformed node', sub { $cluster->status(1, 'role') eq 'unformed' });
works('DELETE FROM public.kv; DROP TABLE public.kv; DROP EXTENSION paxoskv', '... its own table goes, and the extension');
works('CREATE EXTENSION paxoskv', 'CREATE EXTENSION');
refused("INSERT INTO paxoskv.kv VALUES ('default', 'k', 'v', 1, 1, 1, now(), '')", '42501', 'an INSERT is refused already');
refused('ALTER TABLE paxoskv.kv ADD COLUMN more text', '42501', '... and ALTER TABLE');
refused('DROP TABLE paxoskv.kv', '42501', '... and DROP TABLE');
my $copied = $node->data_dir . '/copied';
append_to_file($copied, join("\t", 'default', 'k', 'v', 1, 1, 1, '2024-02-03 04:05:06Z', '\\\\x' . '00' x 16) . "\n");
works("COPY paxoskv.kv FROM '$copied'", 'a superuser may COPY rows in');
works('CREATE ROLE loader LOGIN; GRANT pg_read_server_files TO loader; GRANT ALL ON paxoskv.kv TO loader;'
	  . ' GRANT USAGE ON SCHEMA paxoskv TO loader', 'another role with all rights');
refused("SET ROLE loader; COPY paxoskv.kv FROM '$copied'", '42501', '... may not');
works('CREATE TABLE store_view AS SELECT key FROM paxoskv.kv', 'a table made of it');
refused('DROP OWNED BY CURRENT_USER CASCADE', '2BP01', 'DROP OWNED takes nothing of the bootstrap superuser');
works('REVOKE ALL ON paxoskv.kv FROM loader; REVOKE ALL ON SCHEMA paxoskv FROM loader; DROP EXTENSION paxoskv',
	'DROP EXTENSION, as the node is no member');
works('CREATE TABLE gone (key text)', '... and the database goes on');

# ---------------------------------------------------------------- an owner who was a superuser when he created it

works('CREATE ROLE boss SUPERUSER; GRANT CREATE ON DATABASE postgres TO boss; GRANT CREATE ON SCHEMA public TO boss',
	'a role that is a superuser');
works(<<'SQL', '... with generous default privileges and traps in the schema');
ALTER DEFAULT PRIVILEGES FOR ROLE boss GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE boss GRANT ALL ON FUNCTIONS TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE boss GRANT ALL ON SCHEMAS TO PUBLIC;
CREATE FUNCTION public.trap(text, text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'trapped'; END$$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.trap);
CREATE DOMAIN public.text AS pg_catalog.text CHECK (VALUE IS NULL);
SQL
works('SET ROLE boss; SET search_path = public, pg_catalog; CREATE EXTENSION paxoskv', '... creates the extension');
is($cluster->query(1, <<'SQL'), '0|0|0', '... of which others get nothing');
SELECT count(*) FILTER (WHERE classid = 'pg_proc'::regclass AND has_function_privilege('loader', objid, 'EXECUTE')),
	count(*) FILTER (WHERE classid = 'pg_class'::regclass AND has_any_column_privilege('loader', objid, 'SELECT, INSERT, UPDATE')),
	count(*) FILTER (WHERE classid = 'pg_namespace'::regclass AND has_schema_privilege('loader', objid, 'USAGE, CREATE'))
FROM pg_depend WHERE deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'paxoskv')
SQL
is($cluster->query(1, 'SELECT count(*) FROM paxoskv.data'), 0, '... and it falls into no trap');
works('DROP OPERATOR public.= (pg_catalog.text, pg_catalog.text); DROP DOMAIN public.text; DROP FUNCTION public.trap;'
	  . ' ALTER DEFAULT PRIVILEGES FOR ROLE boss REVOKE ALL ON TABLES FROM PUBLIC;'
	  . ' ALTER DEFAULT PRIVILEGES FOR ROLE boss REVOKE ALL ON SCHEMAS FROM PUBLIC', '... which go');
works('ALTER ROLE boss NOSUPERUSER', '... and is a superuser no more');
$cluster->query(1, "SELECT paxos_put('a', '1')");
is($cluster->status(1, 'role'), 'leader', 'the first put forms the cluster');
my $as_boss = 'SET SESSION AUTHORIZATION boss;';
works("$as_boss SELECT paxos_put('a', '2')", 'the owner writes by the functions');
refused("$as_boss $_", '42501', "the owner's $_")
  for 'DELETE FROM paxoskv.kv', 'TRUNCATE paxoskv.state', 'ALTER TABLE paxoskv.kv DISABLE TRIGGER ALL', 'DROP TABLE paxoskv.kv',
  'SELECT FROM paxoskv.kv FOR UPDATE', 'BEGIN; LOCK TABLE paxoskv.data', 'BEGIN; CLUSTER paxoskv.kv USING kv_key',
  'DROP OWNED BY boss CASCADE', 'ALTER SCHEMA paxoskv RENAME TO other';
refused("$as_boss DROP EXTENSION paxoskv", '55006', "the owner's DROP EXTENSION");
works("$as_boss $_", "the owner's $_") for 'VACUUM FULL paxoskv.kv', 'REINDEX TABLE paxoskv.kv', 'ANALYZE paxoskv.kv',
  'CLUSTER paxoskv.kv USING kv_key', 'ALTER TABLE paxoskv.kv SET (autovacuum_vacuum_threshold = 10)';
refused("COPY paxoskv.kv FROM '$copied'", '42501', 'of a member a superuser changes nothing by COPY');
works('CREATE ROLE heir; REASSIGN OWNED BY boss TO heir; DROP OWNED BY boss', 'he leaves');
works("SELECT paxos_put('a', '3')", '... and the store goes on');

# ---------------------------------------------------------------- one transaction by a client's pipeline

# A write waits for the apply worker, which must not have to wait for the transaction that the write is in.
for my $first ('REINDEX TABLE paxoskv.kv', 'CLUSTER paxoskv.kv USING kv_key', 'ALTER TABLE paxoskv.kv SET (fillfactor = 80)',
	'ALTER TABLE paxoskv.kv OWNER TO heir', 'REASSIGN OWNED BY heir TO CURRENT_USER')
{
	my $script = $node->data_dir . '/pipeline.sql';
	unlink $script;
	append_to_file($script, "\\startpipeline\n$first;\nSELECT paxos_put('pipelined', 'write');\n\\endpipeline\n");
	$node->command_ok([ 'pgbench', '-n', '-M', 'extended', '-t', 1, '-f', $script, 'postgres' ], "a put behind $first in a pipeline");
}

# ---------------------------------------------------------------- prepared transactions

works("BEGIN; SELECT count(*) FROM paxoskv.kv; LOCK TABLE paxoskv.kv IN SHARE UPDATE EXCLUSIVE MODE; SELECT paxos_put('b', '1');"
	  . " PREPARE TRANSACTION 'p'", 'a transaction with a put is prepared');
works("SELECT paxos_put('c', '1')", '... what it holds is in nobody\'s way');
works("ROLLBACK PREPARED 'p'", '... and rolled back');
is($cluster->get(1, 'b'), '1', '... its put stays');

# ---------------------------------------------------------------- event triggers

works(<<'SQL', 'an event trigger that refuses all commands');
CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;
CREATE EVENT TRIGGER refuse ON ddl_command_start EXECUTE FUNCTION refuse();
SQL
CORE::kill('TERM', $cluster->worker_pid(1, 'apply'));
works("SELECT paxos_put('d', '1')", '... does not concern the apply worker');
works("SELECT paxos_clear('none')", '... whatever it does');
works('DROP EVENT TRIGGER refuse; DROP FUNCTION refuse', '... and goes');

# ---------------------------------------------------------------- a dump, restored elsewhere; a publication

$cluster->query(1, 'CREATE TABLE orders (flag text); INSERT INTO orders VALUES (\'a\');'
	  . ' CREATE VIEW flagged AS SELECT flag, value FROM orders JOIN paxoskv.data ON key = flag');
my $dump = $node->data_dir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $dump, 'postgres' ], 'pg_dump');
like(slurp_file($dump), qr/^CREATE EXTENSION IF NOT EXISTS paxoskv/m, '... has the extension');
unlike(slurp_file($dump), qr/^COPY paxoskv\.(?!kv )|CREATE TABLE paxoskv\./m, '... and neither its tables nor other rows than those of kv');
$node->command_ok([ 'pg_dump', '--data-only', '-t', 'paxoskv.kv', '-f', "$dump.kv", 'postgres' ], 'pg_dump of the table alone');

my $other = PostgreSQL::Test::Cluster->new('other');
$other->init(extra => [ qw(--encoding=UTF8 --no-locale) ]);
$other->append_conf('postgresql.conf', "shared_preload_libraries = 'paxoskv'\npaxoskv.cluster_name = 'other'\n");
$other->start;
$other->safe_psql('postgres', 'CREATE ROLE boss; CREATE ROLE heir; CREATE ROLE loader');
$other->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'postgres' ], 'psql restores it on another server');
is($other->safe_psql('postgres', "SELECT paxos_put('a', 'of the other') > 0"), 't', '... whose store is its own');
is($other->safe_psql('postgres', 'SELECT value FROM flagged'), 'of the other', '... behind the same view');

$other->safe_psql('postgres', 'CREATE DATABASE subscriber');
$other->safe_psql('subscriber', 'CREATE SCHEMA paxoskv; CREATE TABLE paxoskv.kv (partition text, key text, value text,'
	  . ' value_kind smallint, revision bigint, create_revision bigint, written_at timestamptz, hash bytea, PRIMARY KEY (partition, key))');
$cluster->query(1, 'CREATE PUBLICATION kv FOR TABLE paxoskv.kv');
$other->safe_psql('subscriber', "CREATE SUBSCRIPTION kv CONNECTION '" . $node->connstr . " dbname=postgres' PUBLICATION kv");
$cluster->query(1, "SELECT paxos_batch('{p,q}', '{1,2}'), paxos_put('p', repeat('long ', 10000)), paxos_delete('d')");
$cluster->query(1, "SELECT paxos_put('q', '3')");
my $all = "SELECT md5(string_agg(kv::text, ' ' ORDER BY partition, key)) FROM paxoskv.kv";
$cluster->wait_for('the subscriber', sub { $other->safe_psql('subscriber', $all) eq $cluster->query(1, $all) });
pass('a publication of the table brings its rows to a subscriber');
$cluster->query(1, "SELECT paxos_clear('default')");
$cluster->wait_for('the subscriber', sub { $other->safe_psql('subscriber', 'SELECT count(*) FROM paxoskv.kv') eq '0' });
pass('... a clear, too');
my ($code, undef, $error) = $other->psql('postgres',
	"CREATE SUBSCRIPTION back CONNECTION '" . $node->connstr . " dbname=postgres' PUBLICATION kv WITH (create_slot = false, slot_name = 'none', enabled = false)");
like($error, qr/a subscription cannot write to table "paxoskv.kv"/, 'another store is no subscriber');
$other->safe_psql('subscriber', 'DROP SUBSCRIPTION kv');
$other->stop;

# ---------------------------------------------------------------- after it has left

refused('DROP DATABASE postgres', '55006', 'the database of a member stays', database => 'template1');
$cluster->query(1, "SELECT paxos_put('a', 'last')");
my $rows = "SELECT md5(string_agg(hash::text, ' ' ORDER BY partition, key)) FROM paxoskv.kv";
my $before = $cluster->query(1, $rows);
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
works("DELETE FROM paxoskv.kv WHERE key = 'none'", 'without the library nothing is refused');
works('CREATE DATABASE copy TEMPLATE postgres', '... so the database can be copied', database => 'template1');
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'paxoskv'\n");
$node->restart;
$cluster->wait_for('the leader', sub { $cluster->status(1, 'role') eq 'leader' });
refused('DELETE FROM paxoskv.kv', '42501', 'in the copy its table is protected as well', database => 'copy');
works('DROP EXTENSION paxoskv CASCADE', '... but can be dropped with the extension', database => 'copy');
is($cluster->query(1, $rows), $before, 'the store itself is as it was');
refused('DROP EXTENSION paxoskv CASCADE', '55006', '... and stays');

# a server that has not read its log yet, here because it can start no workers, may be a member
$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$node->restart;
is($cluster->status(1, 'role'), 'starting', 'without workers it is starting forever');
refused('DROP EXTENSION paxoskv CASCADE', '55006', '... and the extension stays');
like($cluster->try(1, 'DROP EXTENSION paxoskv')->{err}, qr/paxoskv is starting/, '... for that reason');
refused('DROP DATABASE postgres', '55006', '... as does the database', database => 'template1');
refused("COPY paxoskv.kv FROM '$copied'", '42501', '... and the rows are as they are');
$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");

# without its log it is no member; its rows are not to be mixed with others, but may go
$node->stop;
rmtree($node->data_dir . '/paxoskv');
$node->start;
$cluster->wait_for('a server without its log', sub { $cluster->status(1, 'role') !~ /starting|leader/ });
refused("COPY paxoskv.kv FROM '$copied'", '42501', 'without its log, rows that apply has written are not added to');
refused('DELETE FROM paxoskv.kv', '42501', '... nor deleted');
works('DROP EXTENSION paxoskv CASCADE', '... but the extension can be dropped');
works('CREATE EXTENSION paxoskv', '... and created anew');
$node->restart;
$cluster->wait_for('a new store', sub { $cluster->try(1, "SELECT paxos_put('a', 'anew')")->{ok} });
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
works('DROP EXTENSION paxoskv CASCADE', 'without the library, the extension can be dropped');

done_testing();
