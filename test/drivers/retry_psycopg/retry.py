"""retry.py KEY VALUE NODE...: a put that is tried on one node after the other until one answers."""

import sys, time, uuid
import psycopg

def put(nodes, key, value):
    request_id = str(uuid.uuid4())
    for attempt in range(30):
        try:
            with psycopg.connect(nodes[attempt % len(nodes)], autocommit=True) as node:
                put = "SELECT paxos_put(%s, %s, request_id => %s)"
                return node.execute(put, (key, value, request_id)).fetchone()[0]
        except psycopg.Error as error:      # sqlstate None: no connection, or it was lost; 57P..: the server ends
            if error.sqlstate not in (None, "40003", "53000", "57P01", "57P02") or attempt == 29:
                raise                       # paxos_outcome(request_id, give_up => true) settles what became of it
            time.sleep(0.3)

print(put(sys.argv[3:], sys.argv[1], sys.argv[2]))
