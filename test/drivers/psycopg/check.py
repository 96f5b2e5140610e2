"""What a program in Python does with psycopg 3: see README.md here for what is checked."""

import os

import psycopg
from psycopg import errors


def ok(condition, what):
    print(("ok " if condition else "not ok ") + what, flush=True)


def one(connection, statement, *parameters):
    return connection.execute(statement, parameters).fetchone()[0]


def sqlstate(connection, statement, *parameters):
    try:
        connection.execute(statement, parameters)
    except psycopg.Error as error:
        return error.sqlstate
    return "00000"


here = psycopg.connect(autocommit=True)
there = psycopg.connect(autocommit=True, port=os.environ["OTHER_PORT"])
P = "psycopg"

revision = one(here, "SELECT paxos_put(%s, %s, %s)", "apple", "green", P)
ok(isinstance(revision, int) and revision > 0, "put gives an int, the revision")
ok(one(there, "SELECT paxos_get(%s, %s)", "apple", P) == "green", "get on another node")
ok(one(here, "SELECT paxos_put(%s, %s, %s)", "count", 7, P) > revision, "put of an int")
ok(one(there, "SELECT paxos_get(%s, %s)", "count", P) == "7", "... is its text")

ok(one(here, "SELECT paxos_batch(%s, %s, %s)", ["a", "b"], ["1", "2"], P) > 0, "batch of two lists")
rows = there.execute("SELECT key, value FROM paxos_get_many(%s, %s)", (["b", "a", "none"], P)).fetchall()
ok(rows == [("a", "1"), ("b", "2")], "get_many gives tuples")

ok(one(there, "SELECT paxos_get(%s, %s)", "absent", P) is None, "an absent key is None")
ok(sqlstate(here, "SELECT paxos_put(%s, %s, %s)", "apple", None, P) == "22004", "a value None is 22004")
try:
    one(here, "SELECT paxos_put(%s, %s, %s)", None, "x", P)
    ok(False, "a key None is an exception of its own class")
except errors.NullValueNotAllowed as error:
    ok(error.diag.message_primary is not None, "a key None is an exception of its own class")

for what, key in (("unicode", "ключ 🍐 ä"), ("quotes", "it's \"so\" \\ %s")):
    one(here, "SELECT paxos_put(%s, %s, %s)", key, key, P)
    ok(one(there, "SELECT paxos_get(%s, %s)", key, P) == key, what + " in key and value")

# psycopg opens a transaction unless autocommit is on
with psycopg.connect() as connection:
    one(connection, "SELECT paxos_put(%s, %s, %s)", "in transaction", "there", P)
    ok(one(there, "SELECT paxos_get(%s, %s)", "in transaction", P) == "there", "seen elsewhere before COMMIT")
    connection.rollback()
ok(one(there, "SELECT paxos_get(%s, %s)", "in transaction", P) == "there", "and after ROLLBACK")

put = "SELECT paxos_put(%s, %s, %s, %s)"
first = one(here, put, "retried", "once", P, "psycopg-1")
one(here, "SELECT paxos_put(%s, %s, %s)", "retried", "changed since", P)
ok(one(there, put, "retried", "once", P, "psycopg-1") == first, "a retry elsewhere gives the same revision")
ok(one(here, "SELECT paxos_get(%s, %s)", "retried", P) == "changed since", "... and has no second effect")
ok(sqlstate(here, put, "retried", "other", P, "psycopg-1") == "22023", "another command with that id is 22023")
