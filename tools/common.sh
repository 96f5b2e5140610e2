# shellcheck shell=bash disable=SC2034
# Shared by the scripts in tools/, bench/ and .ci/: where things are, which PostgreSQL, who runs the servers.
# Source it; it sets the variables below and starts nothing.
#
#   top           the clone                       pg_major      the PostgreSQL major (PAXOSKV_PG_MAJOR overrides)
#   build         build/ in it                    pg_system     that major's bin directory in the system
#   server_user   runs the servers: never root    server_group  its group

set -u
export LC_ALL=C

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build

say() { printf '%s\n' "$*"; }

# die MESSAGE [HINT...]: one line each to standard error
die()
{
	printf '%s: %s\n' "${program:-${0##*/}}" "$1" >&2
	shift
	local hint
	for hint in "$@"; do printf '  %s\n' "$hint" >&2; done
	exit 1
}

# The Debian or Ubuntu release's own major, so that an added repository with newer ones changes nothing.
release_pg_major()
{
	local id='' version=''
	# shellcheck disable=SC1091
	if [ -r /etc/os-release ]; then
		id=$(. /etc/os-release && printf %s "${ID:-}")
		version=$(. /etc/os-release && printf %s "${VERSION_ID:-}")
	fi
	case "$id:$version" in
		debian:12) echo 15 ;;
		debian:13) echo 17 ;;
		ubuntu:24.*) echo 16 ;;
		ubuntu:25.*) echo 17 ;;
		*) apt-cache policy postgresql 2>/dev/null | sed -n 's/^ *Candidate: \([0-9][0-9]*\)[+-].*/\1/p' ;;
	esac
}

pg_major=${PAXOSKV_PG_MAJOR:-$(release_pg_major)}
pg_system=/usr/lib/postgresql/${pg_major:-none}/bin

if [ "$(id -u)" -ne 0 ]; then
	server_user=$(id -un)
elif getent passwd "${PAXOSKV_USER:-postgres}" >/dev/null; then
	server_user=${PAXOSKV_USER:-postgres}
else
	server_user=nobody
fi
server_group=$(id -gn "$server_user")

export PGCLIENTENCODING=UTF8

# The flags of a make that called us are not meant for those that we call.
unset MAKEFLAGS MFLAGS MAKELEVEL

# as_server COMMAND...: run it as the servers' user, in a directory that this user can enter.  The command
# replaces the subshell, so that a signal meant for it reaches it.
as_server()
{
	(
		cd "${server_cwd:-/}" || exit 1
		if [ "$(id -u)" -eq 0 ]; then
			exec setpriv --reuid "$server_user" --regid "$server_group" --init-groups \
				env HOME=/tmp USER="$server_user" LOGNAME="$server_user" "$@"
		fi
		exec "$@"
	)
}

# server_dir TEMPLATE: make a directory that the servers' user owns, outside of the clone (which that user may not
# be able to enter), on a disk rather than in memory; prints its path.  Short: a socket's path has 107 bytes.
server_dir()
{
	local dir
	dir=$(mktemp -d "${PAXOSKV_TMPDIR:-/var/tmp}/$1") || die "can't make a directory in ${PAXOSKV_TMPDIR:-/var/tmp}" \
		"PAXOSKV_TMPDIR names another place for the servers' files."
	chmod 755 "$dir"
	[ "$(id -u)" -ne 0 ] || chown "$server_user:$server_group" "$dir"
	printf '%s\n' "$dir"
}

# seconds_since START, both as EPOCHREALTIME gives it (microseconds): prints seconds with one decimal
seconds_since()
{
	local us=$((${EPOCHREALTIME/./} - $1))
	printf '%d.%d' $((us / 1000000)) $((us % 1000000 / 100000))
}
now_us() { printf '%s' "${EPOCHREALTIME/./}"; }

# port_is_free PORT: nobody listens there on the loopback address
port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_base FIRST OFFSET...: the first of FIRST, FIRST+1000, ... for which all base+offset are free
free_base()
{
	local base=$1 tries offset
	shift
	for tries in 1 2 3 4 5 6; do
		for offset in "$@"; do
			port_is_free $((base + offset)) && continue
			base=$((base + 1000))
			continue 2
		done
		break
	done
	printf '%s' "$base"
}

# kill_tree PID: that process and all that it started, children first
kill_tree()
{
	local child
	for child in $(grep -s "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | cut -d/ -f3); do kill_tree "$child"; done
	kill "$1" 2>/dev/null
}

# attended COMMAND...: run it in the background and wait, so that a trap acts at once and not when it has ended;
# attended_pid is what a trap has to end.
attended_pid=''
attended()
{
	"$@" &
	attended_pid=$!
	wait "$attended_pid"
	local result=$?
	attended_pid=''
	return $result
}
