package escrow_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"refresher/internal/escrow"
	"refresher/internal/redistest"
)

// TestRedisCopies holds what stands in Redis: its names, its bytes, and how long
// it stays.
func TestRedisCopies(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	c := escrow.NewRedisCopies(client, "prefix", keep)
	answer := []byte("\x00sealed\n\xff")

	must(t, c.Put(t.Context(), ref(1), answer))
	must(t, c.Put(t.Context(), ref(1), []byte("another")))
	got, err := c.Get(t.Context(), ref(1))
	must(t, err)
	equal(t, "the same bytes", bytes.Equal(got, answer), true)
	got, err = c.Get(t.Context(), ref(2))
	equal(t, "no such copy", got == nil && err == nil, true)

	must(t, c.Present(t.Context(), "hash1", false, 0))
	must(t, c.Mark(t.Context(), "hash2", "rotated"))

	names, err := client.Keys(t.Context(), "*").Result()
	must(t, err)
	slices.Sort(names)
	equalAll(t, "keys", names, []string{"prefix:escrow:acme/bookings", "prefix:spent:hash1", "prefix:spent:hash2"})
	for _, name := range names {
		if ttl := client.TTL(t.Context(), name).Val(); ttl > keep || ttl < keep-time.Minute {
			t.Errorf("%s stays for %s, want %s", name, ttl, keep)
		}
	}

	for range 2 {
		must(t, c.Delete(t.Context(), ref(1)))
	}
	got, err = c.Get(t.Context(), ref(1))
	equal(t, "deleted", got == nil && err == nil, true)
}

// TestRedisCopiesOutOfReach: an outage is an error, never an empty answer.
func TestRedisCopiesOutOfReach(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := escrow.NewRedisCopies(server.Client(t), "prefix", keep)
	must(t, c.Put(t.Context(), ref(1), []byte("sealed")))
	server.Stop(t)
	_, getErr := c.Get(t.Context(), ref(1))
	presentErr := c.Present(t.Context(), "hash", false, 0)
	_, spentErr := c.Spent(t.Context(), "hash")
	for name, err := range map[string]error{
		"put": c.Put(t.Context(), ref(1), nil), "get": getErr, "delete": c.Delete(t.Context(), ref(1)),
		"present": presentErr, "spent": spentErr, "mark": c.Mark(t.Context(), "hash", "rotated"),
	} {
		equal(t, name+" fails", err != nil, true)
	}
}
