// What a program in Go does with pgx: see README.md in test/drivers for what is checked.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const partition = "pgx"

var ctx = context.Background()

func ok(condition bool, what string) {
	if condition {
		fmt.Println("ok " + what)
	} else {
		fmt.Println("not ok " + what)
	}
}

func must(err error) {
	if err != nil {
		fmt.Println("not ok", err)
		os.Exit(1)
	}
}

// connect goes to the port given, 0 for that of the environment.
func connect(port uint16) *pgx.Conn {
	config, err := pgx.ParseConfig("")
	must(err)
	if port != 0 {
		config.Port = port
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	must(err)
	return conn
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func revisionOf(conn querier, statement string, parameters ...any) int64 {
	var revision int64
	must(conn.QueryRow(ctx, statement, parameters...).Scan(&revision))
	return revision
}

func put(conn querier, key string, value string) int64 {
	return revisionOf(conn, "SELECT paxos_put($1::text, $2::text, $3)", key, value, partition)
}

func get(conn querier, key string) *string {
	var value *string
	must(conn.QueryRow(ctx, "SELECT paxos_get($1, $2)", key, partition).Scan(&value))
	return value
}

func has(conn querier, key string, value string) bool {
	got := get(conn, key)
	return got != nil && *got == value
}

func sqlstate(conn *pgx.Conn, statement string, parameters ...any) string {
	_, err := conn.Exec(ctx, statement, parameters...)
	var pgError *pgconn.PgError
	if errors.As(err, &pgError) {
		return pgError.Code
	}
	return "00000"
}

func checkValues(here, there *pgx.Conn) {
	revision := put(here, "apple", "green")
	ok(revision > 0, "put gives an int64, the revision")
	ok(has(there, "apple", "green"), "get on another node")
	ok(revisionOf(here, "SELECT paxos_put($1, $2::bigint, $3)", "count", 7, partition) > revision &&
		has(there, "count", "7"), "put of an int64 is its text")
	ok(revisionOf(here, "SELECT paxos_batch($1, $2, $3)", []string{"a", "b"}, []string{"1", "2"}, partition) > 0,
		"batch of two slices")
	rows, err := there.Query(ctx, "SELECT key || value FROM paxos_get_many($1, $2)", []string{"b", "a", "none"}, partition)
	must(err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(err)
	ok(slices.Equal(found, []string{"a1", "b2"}), "get_many gives rows")
	for what, key := range map[string]string{"unicode": "ключ 🍐 ä", "quotes": "it's \"so\" \\ $1"} {
		put(here, key, key)
		ok(has(there, key, key), what+" in key and value")
	}
}

func checkNulls(here, there *pgx.Conn) {
	ok(get(there, "absent") == nil, "an absent key is nil")
	ok(sqlstate(here, "SELECT paxos_put($1::text, $2::text, $3)", "apple", nil, partition) == "22004", "a value nil is 22004")
	ok(sqlstate(here, "SELECT paxos_put($1::text, $2::text, $3)", nil, "x", partition) == "22004", "a key nil is 22004")
}

func checkTransaction(here, there *pgx.Conn) {
	tx, err := here.Begin(ctx)
	must(err)
	put(tx, "in transaction", "there")
	ok(has(there, "in transaction", "there"), "seen elsewhere before COMMIT")
	must(tx.Rollback(ctx))
	ok(has(there, "in transaction", "there"), "and after ROLLBACK")
}

func checkRetry(here, there *pgx.Conn) {
	const statement = "SELECT paxos_put($1::text, $2::text, $3, $4)"
	first := revisionOf(here, statement, "retried", "once", partition, "pgx-1")
	put(here, "retried", "changed since")
	ok(revisionOf(there, statement, "retried", "once", partition, "pgx-1") == first, "a retry elsewhere gives the same revision")
	ok(has(here, "retried", "changed since"), "... and has no second effect")
	ok(sqlstate(here, statement, "retried", "other", partition, "pgx-1") == "22023", "another command with that id is 22023")
}

func main() {
	port, err := strconv.ParseUint(os.Getenv("OTHER_PORT"), 10, 16)
	must(err)
	here, there := connect(0), connect(uint16(port))
	checkValues(here, there)
	checkNulls(here, there)
	checkTransaction(here, there)
	checkRetry(here, there)
	must(here.Close(ctx))
	must(there.Close(ctx))
}
