package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
)

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "") // where to: PGHOST, PGPORT, PGUSER, PGDATABASE
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	requestID := rand.Text() // the same one again, after an error 40003, has no second effect
	var revision int64
	err = conn.QueryRow(ctx, "SELECT paxos_put($1::text, $2::text, request_id => $3)",
		"plum", "blue", requestID).Scan(&revision)
	if err != nil {
		log.Fatal(err)
	}
	var value *string // nil where the key is absent
	if err = conn.QueryRow(ctx, "SELECT paxos_get($1)", "plum").Scan(&value); err != nil {
		log.Fatal(err)
	}
	fmt.Println(*value, revision > 0)
}
