# README.md and docs/sql.md say what is there: every function with its arguments and result, every setting with its default,
# nothing that does not exist; and their examples run as they stand there.

use strict;
use warnings;

use PaxosKV::Cluster;
use Test::More;


my $root = $ENV{TESTDIR};

sub text_of
{
	my ($file) = @_;
	open my $handle, '<', "$root/$file" or die "$file: $!";
	local $/;
	return scalar <$handle>;
}

my %document = map { $_ => text_of($_) } 'README.md', 'docs/sql.md';

# The indented blocks of a text, without their indentation.
sub blocks
{
	my ($text) = @_;
	my @blocks;
	for (split /\n(?=\S)/, $text)
	{
		my ($block) = /((?:^    .*\n?|^\n)+)\z/m or next;
		$block =~ s/^    //mg;
		$block =~ s/\A\n+|\n+\z//g;
		push @blocks, "$block\n" if $block =~ /\S/;
	}
	return @blocks;
}

sub section { my ($document, $title) = @_; my ($section) = $document{$document} =~ /^##+ \Q$title\E\n(.*?)(?=^## |\z)/ms; return $section; }

my $cluster = PaxosKV::Cluster->new(nodes => 3, conf => "paxoskv.commit_timeout = '30s'\n");
$cluster->wait_until_formed;

# ---------------------------------------------------------------- functions

# As the documents write them: name(arguments) → result.
my $catalog = <<'SQL';
SELECT p.proname || '(' || regexp_replace(regexp_replace(pg_get_function_arguments(p.oid), '(, )?OUT .*', ''), '::[a-z]+(\[\])?', '', 'g')
	|| ') → ' || CASE WHEN outs IS NULL THEN replace(pg_get_function_result(p.oid), 'SETOF', 'setof')
		ELSE CASE WHEN p.proretset THEN 'setof ' ELSE '' END || '(' || outs || ')' END
FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND e.extname = 'paxoskv',
LATERAL (SELECT string_agg(p.proargnames[n] || ' ' || format_type(p.proallargtypes[n], NULL), ', ' ORDER BY n)
	FROM generate_subscripts(p.proargmodes, 1) n WHERE p.proargmodes[n] = 'o') AS o (outs)
WHERE p.pronamespace = 'public'::regnamespace ORDER BY 1
SQL
my @functions = split /\n/, $cluster->query(1, $catalog);
cmp_ok(scalar @functions, '>', 20, 'the extension has its functions');

my $signatures = $document{'docs/sql.md'};
$signatures =~ s/\n {5,}/ /g;
my %documented = map { $_ => 1 } $signatures =~ /^    (paxos_\w+\(.*?\) → .*)$/mg;
my ($status) = grep { /^paxos_status\(/ } @functions;
for my $function (grep { $_ ne $status } @functions)
{
	ok(delete $documented{$function}, "docs/sql.md has $function");
}
is(join("\n", sort keys %documented), '', '... and no other');

my ($status_section) = $document{'docs/sql.md'} =~ /(^`paxos_status\(\)` gives.*?)\n\nView/ms;
my %column = map { $_ => 1 } $status_section =~ /^\|.*?\|/mg ? map { /`(\w+)`/g } $status_section =~ /^\|(.*?)\|/mg : ();
is(join(' ', sort keys %column), join(' ', sort $status =~ /(\w+) (?:integer|text|bigint|boolean)/g), 'docs/sql.md has the columns of paxos_status()');

# The README's table: names of arguments, in brackets those that have a default; request_id is said of all writes.
my %overload;
for my $function (@functions)
{
	my ($name, $arguments) = $function =~ /^(\w+)\((.*?)\) →/;
	my @arguments = map { /^(\w+) .*?( DEFAULT|$)/ ? [ $1, $2 ne '' ] : () } split /, /, $arguments;
	pop @arguments if @arguments && $arguments[-1][0] eq 'request_id' && $arguments[-1][1];
	$overload{$name}{ join ', ', map { $_->[1] ? "[$_->[0]]" : $_->[0] } @arguments } = 1;
}
my %in_table;
for my $row (section('README.md', 'Functions') =~ /^\| (`paxos_.*?) \|/mg)
{
	while ($row =~ /`(paxos_\w+)\((.*?)\)`/g)
	{
		my ($name, $arguments) = ($1, $2);
		my $form = join ', ', map {
			my ($optional) = /\[(?!\])/;
			my ($argument) = /^[\[ ,]*(\w+)/;
			$optional ? "[$argument]" : $argument
		} split /,\s*(?=\w)|\s(?=\[)/, $arguments =~ s/\[, /[/gr;
		ok($overload{$name}{$form}, "README has $name($form) as it is") or diag join ' | ', keys %{ $overload{$name} };
		$in_table{$name} = 1;
	}
}
is(join(' ', sort keys %in_table), join(' ', sort keys %overload), 'the README has every function, and no other');

# ---------------------------------------------------------------- settings, and all other names

# "16 MB", "16384kB": one number; what has no unit stays as it is
my %unit = (ms => 1, s => 1000, min => 60_000, d => 86_400_000, B => 1, kB => 1024, MB => 1 << 20, GB => 1 << 30);
sub amount { my ($text) = @_; return $text =~ /^(\d+) ?([a-zA-Z]+)$/ && $unit{$2} ? $1 * $unit{$2} : $text; }

my %setting = map { split /\|/, $_, 2 }
  split /\n/, $cluster->query(1, "SELECT name, boot_val || coalesce(unit, '') FROM pg_settings WHERE name LIKE 'paxoskv.%'");
my %described;
my $settings = section('README.md', 'Settings');
while ($settings =~ /^\| (`paxoskv\..*?) \| (.*?) ?\|/mg)
{
	my ($names, $default) = ($1, $2);
	my @names = map { /^paxoskv\./ ? $_ : "paxoskv.$_" } $names =~ /`([\w.]+)`/g;
	$described{$_} = 1 for @names;
	$default =~ s/`//g;
	next if $default =~ /^(?:in|its) /;    # said in words
	for my $name (@names)
	{
		is(amount($default), amount(($setting{$name} // 'no such setting') =~ s/^0\D*$/0/r), "the README has the default of $name: $default");
	}
}
is(join(' ', sort keys %described), join(' ', sort keys %setting), 'the README has every setting, and no other');

my %exists = ((map { $_ => 1 } keys %setting), map { $_ => 1 } split(/\n/, $cluster->query(1, "SELECT 'paxoskv.' || relname FROM pg_class WHERE relnamespace = 'paxoskv'::regnamespace")));
my %not_sql = map { $_ => 1 } qw(paxoskv.secret);    # a file's name
my %named = (%document, 'docs/operations.md' => text_of('docs/operations.md'));
for my $name (sort keys %named)
{
	my %said = map { $_ => 1 } $named{$name} =~ /\b(paxos_[a-z_]+)\b/g;
	is(join(' ', grep { !$overload{$_} } sort keys %said), '', "$name names no function that does not exist");
	%said = map { $_ => 1 } $named{$name} =~ /\b(paxoskv\.[a-z_]+)\b/g;
	is(join(' ', grep { !$exists{$_} && !$not_sql{$_} } sort keys %said), '', "... and nothing else");
}

# ---------------------------------------------------------------- the loops, word for word

for my $file ('retry_psql/retry.sh', 'retry_psycopg/retry.py', 'retry_pgx/main.go')
{
	my $program = text_of("drivers-source/$file");
	my @found = grep { index($program, $_) >= 0 } blocks(section('README.md', 'Trying again'));
	is(scalar @found, 1, "the README has $file, word for word");
}

# ---------------------------------------------------------------- SQL, as pasted

sub run_block
{
	my ($id, $block, $what) = @_;

	my $try = $cluster->answer($id, $block);
	ok($try->{ok}, $what) or diag "$block\n$try->{err}";
	return;
}

sub first_line { my ($block) = @_; my ($line) = $block =~ /^(.{1,60})/m; return $line; }

$cluster->query($_, 'CREATE TABLE orders (id int PRIMARY KEY, flag_key text); CREATE ROLE app') for $cluster->ids;
for my $name (sort keys %document)
{
	for my $block (grep { /^(?:SELECT|CREATE|GRANT|REVOKE|ALTER|DO|INSERT)\b/ } blocks($document{$name}))
	{
		$block =~ s/\b4711\b(?=\);)/1/g;    # a revision that there is
		run_block(1, $block, "$name: " . first_line($block));
		$cluster->query(1, 'ALTER DATABASE postgres RESET ALL');
	}
}
is($cluster->query(1, "SELECT has_function_privilege('app', 'paxos_put(text, text, text, text)', 'EXECUTE')"), 't', 'the grants were granted');

# ---------------------------------------------------------------- plans

# As they are for a store and a table of some size.
$cluster->query(1, $_) for q{SELECT paxos_batch(array_agg('flags/' || i), array_agg(i::text)) FROM generate_series(1, 20000) AS i},
  q{INSERT INTO orders SELECT i, 'flags/' || i FROM generate_series(1, 1000) AS i}, 'VACUUM ANALYZE paxoskv.kv', 'ANALYZE orders';
my $plans = 0;
for my $example (map { split /\n\n/ } grep { /^EXPLAIN/ } blocks($document{'README.md'}))
{
	my ($statement, $plan) = $example =~ /^(EXPLAIN .*?;)\n(.*?)\n?\z/s;
	is($cluster->query(1, $statement), $plan, "the README's plan of $statement");
	$plans++;
}
is($plans, 3, 'the README has a plan of a join, of a range and of paxos_range()');

# ---------------------------------------------------------------- the five minutes

# "kill 3" and the like of tools/cluster are done to the test's own nodes.
my %action = (
	status => sub { $cluster->query($_, 'SELECT * FROM paxos_status()') for $cluster->up_ids },
	kill => sub { $cluster->kill($_[0]) },
	start => sub { $cluster->start($_) for grep { !$cluster->is_up($_) } $cluster->ids; $cluster->wait_until_formed; $cluster->wait_until_equal },
);
my $commands = 0;
my @lines = map { split /\n/ } blocks(section('README.md', 'Five minutes'));
for my $i (0 .. $#lines)
{
	my ($command, $id, $sql) = $lines[$i] =~ /^\$ tools\/cluster (\w+)(?: (\w+))?(?: -c "(.*?)")?/ or next;
	my ($error) = ($lines[ $i + 1 ] // '') =~ /^ERROR:  (.*)/;    # psql here puts the SQLSTATE before it
	$commands++;
	if ($command ne 'psql')
	{
		$action{$command}->($id);
		pass("$command " . ($id // ''));
		next;
	}
	$cluster->wait_for('it to know that it is alone', sub { $cluster->refuses($id) }) if $error;
	my $try = $error ? $cluster->try($id, $sql) : $cluster->answer($id, $sql);
	like($try->{ok} ? 'done' : $try->{err}, $error ? qr/\Q$error\E/ : qr/^done$/, $sql);
}
cmp_ok($commands, '>', 8, 'the five minutes have their commands');
is($cluster->get(1, 'apple'), 'red', '... with the result that the README leads one to expect');

# ---------------------------------------------------------------- the log stays small

# Each command prints what stands below it; only the slots are others.
my ($demonstration) = blocks(section('README.md', 'The log stays small'));
my @demonstrated = grep { defined $_->[0] } map { [ /^tools\/cluster psql (\d) -At -c "(.*?)"\n(.*)/s ] } split /^\$ /m, $demonstration;

# [ command, what it printed, what it should print ], ...
sub demonstrate
{
	my ($shift, @results);
	my $shifted = sub { return $_[0] =~ s{\b(10[12]\d)\b}{$1 + ($shift // 0)}gre };
	$cluster->query(1, "SELECT count(paxos_delete(key)) FROM paxos_prefix('fruit ')");
	for my $part (@demonstrated)
	{
		my ($id, $sql, $expected) = @$part;
		my $try = $cluster->answer($id, $shifted->($sql));
		$shift //= ($try->{out} =~ /^(\d+)/)[0] - ($expected =~ /^(\d+)/)[0];
		my $notices = join '', map { /(NOTICE|DETAIL):  (?:00000: )?(.*)/ ? "$1:  $2\n" : '' } split /\n/, $try->{err};
		push @results, [ $sql, map { s{\n+\z}{}r } $notices . $try->{out}, $shifted->($expected) ];
	}
	return @results;
}

# A new leader in the middle has entries of its own.
my @results;
for my $attempt (1 .. 3)
{
	@results = demonstrate();
	last if !grep { $_->[1] ne $_->[2] } @results;
}
is($_->[1], $_->[2], $_->[0]) for @results;
is(scalar @results, 8, 'the demonstration of trimming has its commands');

done_testing();
