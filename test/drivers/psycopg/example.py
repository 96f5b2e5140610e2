import uuid

import psycopg

with psycopg.connect(autocommit=True) as connection:
    request_id = str(uuid.uuid4())  # the same one again, after an error 40003, has no second effect
    (revision,) = connection.execute(
        "SELECT paxos_put(%s, %s, request_id => %s)", ("apple", "green", request_id)).fetchone()
    (value,) = connection.execute("SELECT paxos_get(%s)", ("apple",)).fetchone()
    print(value, revision > 0)
