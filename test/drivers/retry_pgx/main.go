// main KEY VALUE NODE...: a put that is tried on one node after the other until one answers.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func put(ctx context.Context, nodes []string, key, value string) (revision int64, err error) {
	again := map[string]bool{"40003": true, "53000": true, "57P01": true, "57P02": true, "57P03": true}
	for attempt, id := 0, rand.Text(); attempt < 30; attempt++ {
		var node *pgx.Conn
		if node, err = pgx.Connect(ctx, nodes[attempt%len(nodes)]); err == nil {
			put := "SELECT paxos_put($1::text, $2::text, request_id => $3)"
			err = node.QueryRow(ctx, put, key, value, id).Scan(&revision)
			node.Close(ctx)
		}
		var answer *pgconn.PgError // none: no connection, or it was lost
		if err == nil || errors.As(err, &answer) && !again[answer.Code] {
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
	return // paxos_outcome(id, give_up => true) settles what became of it
}

func main() {
	revision, err := put(context.Background(), os.Args[3:], os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(revision)
}
