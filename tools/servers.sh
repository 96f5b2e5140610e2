# shellcheck shell=bash disable=SC2034,SC2154
# Servers in a directory of their own: make, start, stop, kill and find them.  Source it after common.sh.
# A server is named by its data directory; its log is that path with .log behind it.

# The programs that servers are started with: use_tree sets it.
pg_bin=

# can_enter DIRECTORY: the servers' user can read the programs there
can_enter() { as_server test -x "$1/bin/postgres" 2>/dev/null; }

# use_tree DIRECTORY: build the extension and a server tree that the servers' user can run: build/pg, or where that
# user can't enter the clone, a copy in DIRECTORY
use_tree()
{
	local tree=$build/pg
	"$top/tools/pgtree" || return 1
	if ! can_enter "$tree"; then
		tree=$1/pg
		"$top/tools/pgtree" "$tree" || return 1
		can_enter "$tree" || die "user $server_user can't run the programs in $tree"
	fi
	pg_bin=$tree/bin
}

# server_init DATA PASSWORD_FILE: an empty database cluster.  Through the socket (in a directory that only its owner
# enters) everybody is trusted, over TCP the password is needed.
server_init()
{
	as_server "$pg_bin/initdb" -D "$1" -U postgres --encoding=UTF8 --no-locale --no-sync --auth-local=trust \
		--auth-host=scram-sha-256 --pwfile="$2" >"$1.initdb" 2>&1 && rm -f "$1.initdb" || {
		tail -n 10 "$1.initdb" >&2
		die "initdb failed in $1"
	}
}

# server_settings DATA: append the lines on standard input to its configuration
server_settings() { cat >>"$1/postgresql.conf"; }

# server_common_settings PORT SOCKET_DIRECTORY: what every server here has.  DSM in files, because files in /dev/shm
# would outlive a kill -9.
server_common_settings()
{
	cat <<-SETTINGS

		listen_addresses = '127.0.0.1'
		port = $1
		unix_socket_directories = '$2'
		dynamic_shared_memory_type = mmap
		log_line_prefix = '%m [%p] %b '
		jit = off
	SETTINGS
}

# is_zombie PID: it has ended, but its parent (in a container often one that never looks) has not collected it
is_zombie() { grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

# server_start DATA [SECONDS]: start it and wait until it takes connections.  A killed postmaster that stays a zombie
# would pass for a living one, so its lock files go first.
server_start()
{
	local postmaster=''
	[ ! -r "$1/postmaster.pid" ] || read -r postmaster <"$1/postmaster.pid"
	if [ -n "$postmaster" ] && is_zombie "$postmaster" && ! server_is_up "$1"; then
		server_forget "$1"
		# the fourth and fifth line are the port and the directory of the socket
		rm -f "$(sed -n 5p "$1/postmaster.pid")/.s.PGSQL.$(sed -n 4p "$1/postmaster.pid").lock" "$1/postmaster.pid"
	fi
	as_server "$pg_bin/pg_ctl" -D "$1" -l "$1.log" -w -t "${2:-60}" -s start </dev/null >/dev/null 2>&1 || {
		say "the last lines of $1.log:" >&2
		tail -n 8 "$1.log" | sed 's/^/  /' >&2
		return 1
	}
}

# server_pids DATA: all processes of that server, the postmaster first.  Each has the data directory as its working
# directory, orphans of a killed postmaster too.
server_pids()
{
	local postmaster=''
	[ ! -r "$1/postmaster.pid" ] || read -r postmaster <"$1/postmaster.pid"
	find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$1" 2>/dev/null |
		awk -F/ -v first="$postmaster" '$3 == first { print; next } { rest = rest $0 "\n" } END { printf "%s", rest }' |
		cut -d/ -f3
}

server_is_up() { [ -n "$(server_pids "$1")" ]; }

# server_is_paused DATA: its first process is stopped
server_is_paused()
{
	local pid
	pid=$(server_pids "$1" | head -n 1)
	[ -n "$pid" ] && grep -q '^State:[[:space:]]*T' "/proc/$pid/status" 2>/dev/null
}

# server_signal DATA SIGNAL: to all of its processes at once; new ones that appear meanwhile get it too
server_signal()
{
	local pids seen='' again=1
	while [ $again -lt 5 ]; do
		pids=$(server_pids "$1" | sort -n | tr '\n' ' ')
		[ "$pids" != "$seen" ] && [ -n "$pids" ] || return 0
		# shellcheck disable=SC2086
		kill -s "$2" $pids 2>/dev/null
		seen=$pids
		again=$((again + 1))
	done
}

# server_kill DATA: kill -9, and wait until the last of its processes is gone
server_kill()
{
	local tries=0
	while server_is_up "$1" && [ $tries -lt 200 ]; do
		server_signal "$1" KILL
		sleep 0.02
		tries=$((tries + 1))
	done
	! server_is_up "$1"
}

# server_stop DATA MODE: as pg_ctl does (fast or immediate), killed if that takes longer than half a minute
server_stop()
{
	server_is_up "$1" || return 0
	! server_is_paused "$1" || server_signal "$1" CONT
	as_server "$pg_bin/pg_ctl" -D "$1" -m "$2" -w -t 30 -s stop </dev/null >/dev/null 2>&1
	server_kill "$1"
}

# server_forget DATA: give back the System V segment that a killed server left
server_forget()
{
	local key id
	[ -r "$1/postmaster.pid" ] && ! server_is_up "$1" || return 0
	read -r key id < <(sed -n 7p "$1/postmaster.pid") || return 0
	[ -n "$id" ] || return 0
	awk -v id="$id" '$2 == id && $7 == 0 { found = 1 } END { exit !found }' /proc/sysvipc/shm 2>/dev/null &&
		ipcrm -m "$id" 2>/dev/null
	return 0
}

# kill_under DIRECTORY: kill -9 for whatever has its working directory below it, servers with all that they hold
kill_under()
{
	local pids data
	pids=$(find /proc -maxdepth 2 -path '/proc/[0-9]*/cwd' -lname "$1/*" 2>/dev/null | cut -d/ -f3)
	# shellcheck disable=SC2086
	[ -z "$pids" ] || kill -9 $pids 2>/dev/null
	find "$1" -name postmaster.pid -printf '%h\n' 2>/dev/null | while IFS= read -r data; do
		server_kill "$data"
		server_forget "$data"
	done
}
