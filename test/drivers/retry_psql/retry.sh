#!/usr/bin/env bash
# retry.sh KEY VALUE NODE...: a put that is tried on one node after the other until one answers; each node is a
# connection string, such as 'host=db1 dbname=postgres'.
key=$1 value=$2 id=$(cat /proc/sys/kernel/random/uuid); shift 2
for _ in {1..30}; do
    answer=$(psql -X -A -t -q -v ON_ERROR_STOP=1 -v VERBOSITY=sqlstate -v key="$key" -v value="$value" -v id="$id" "$1" \
        <<<"SELECT paxos_put(:'key', :'value', request_id => :'id');" 2>&1) && echo "$answer" && exit
    [ $? = 2 ] || [[ $answer =~ (40003|53000)$ ]] || break        # 2: no connection, or it was lost
    set -- "${@:2}" "$1"; sleep 0.3                               # the next node
done
echo "$answer" >&2
psql -X -c "SELECT * FROM paxos_outcome('$id', give_up => true)" "$1" >&2     # settles what became of it
exit 1
