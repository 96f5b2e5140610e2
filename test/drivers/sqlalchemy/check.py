"""What a program in Python does with SQLAlchemy: see README.md here for what is checked."""

import os

from sqlalchemy import create_engine, exc, func, select, text


def ok(condition, what):
    print(("ok " if condition else "not ok ") + what, flush=True)


def engine(port):
    return create_engine("postgresql+psycopg://", connect_args={"port": port}, pool_size=2)


here = engine(os.environ["PGPORT"])
there = engine(os.environ["OTHER_PORT"])
P = "sqlalchemy"


def one(on, expression):
    with on.connect() as connection:
        return connection.scalar(select(expression))  # a ROLLBACK follows, as nobody commits


def sqlstate(on, expression):
    try:
        one(on, expression)
    except exc.DBAPIError as error:
        return error.orig.sqlstate
    return "00000"


revision = one(here, func.paxos_put("apple", "green", P))
ok(isinstance(revision, int) and revision > 0, "put gives an int, the revision")
ok(one(there, func.paxos_get("apple", P)) == "green", "get on another node, though no session committed")
ok(one(here, func.paxos_put("count", 7, P)) > revision and one(there, func.paxos_get("count", P)) == "7",
   "put of an int is its text")

ok(one(here, func.paxos_batch(["a", "b"], ["1", "2"], P)) > 0, "batch of two lists")
with there.connect() as connection:
    rows = connection.execute(text("SELECT key, value FROM paxos_get_many(:keys, :p)"), {"keys": ["b", "a"], "p": P}).all()
ok([tuple(row) for row in rows] == [("a", "1"), ("b", "2")], "get_many gives rows")

ok(one(there, func.paxos_get("absent", P)) is None, "an absent key is None")
ok(sqlstate(here, func.paxos_put("apple", None, P)) == "22004", "a value None is 22004")
ok(sqlstate(here, func.paxos_put(None, "x", P)) == "22004", "a key None is 22004")

for what, key in (("unicode", "ключ 🍐 ä"), ("quotes", "it's \"so\" \\ :p %s")):
    one(here, func.paxos_put(key, key, P))
    ok(one(there, func.paxos_get(key, P)) == key, what + " in key and value")

with here.connect() as connection:
    with connection.begin() as transaction:
        connection.scalar(select(func.paxos_put("in transaction", "there", P)))
        ok(one(there, func.paxos_get("in transaction", P)) == "there", "seen elsewhere before COMMIT")
        transaction.rollback()
ok(one(there, func.paxos_get("in transaction", P)) == "there", "and after ROLLBACK")

# paxos_sync() fixes the snapshot of a REPEATABLE READ transaction: it has to come before
strict = there.execution_options(isolation_level="REPEATABLE READ")
ok(sqlstate(strict, func.paxos_sync()) == "25001", "paxos_sync() under REPEATABLE READ is 25001")

first = one(here, func.paxos_put("retried", "once", P, "sqlalchemy-1"))
one(here, func.paxos_put("retried", "changed since", P))
ok(one(there, func.paxos_put("retried", "once", P, "sqlalchemy-1")) == first, "a retry elsewhere gives the same revision")
ok(one(here, func.paxos_get("retried", P)) == "changed since", "... and has no second effect")
ok(sqlstate(here, func.paxos_put("retried", "other", P, "sqlalchemy-1")) == "22023", "another command with that id is 22023")
