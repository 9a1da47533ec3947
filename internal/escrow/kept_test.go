package escrow_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/redistest"
)

// keeps seals an answer of a generation, and has it kept as one that was committed.
func keeps(t *testing.T, e *escrow.Escrow, ref escrow.Ref, rotation int, answer string) {
	t.Helper()
	slot, err := e.Room(t.Context(), ref, escrow.Lineage{Seed: "seed", Rotation: rotation})
	must(t, err)
	must(t, slot.Seal(t.Context(), []byte(answer)))
	slot.Release()
	must(t, e.Keep(t.Context(), ref))
}

// kept returns the last answers that the places have, sorted.
func kept(t *testing.T, e *escrow.Escrow, id credential.ID) []string {
	t.Helper()
	all, err := e.After(t.Context(), id, escrow.Lineage{Seed: "seed"})
	must(t, err)
	var answers []string
	for _, k := range all {
		answers = append(answers, string(k.Plain))
	}
	slices.Sort(answers)
	return answers
}

// TestKeep: of the answers that were committed each place has the last, of each credential.
func TestKeep(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	id, other := ref(1).ID, escrow.Ref{ID: credential.ID{Tenant: "acme", Name: "other"}, Attempt: "attempt9", Presented: "hash"}
	equalAll(t, "at first", kept(t, r.Escrow, id), nil)
	keeps(t, r.Escrow, ref(1), 1, "first")
	keeps(t, r.Escrow, ref(2), 2, "second")
	keeps(t, r.Escrow, other, 1, "another's")
	equalAll(t, "kept", kept(t, r.Escrow, id), []string{"second", "second"})
	equalAll(t, "kept", kept(t, r.Escrow, other.ID), []string{"another's", "another's"})
	equalAll(t, "waiting", r.Waiting(), nil)
	equal(t, "copies", len(r.copies.data), 0)

	r.reopen(t)
	keeps(t, r.Escrow, ref(3), 1, "late")
	equalAll(t, "a late one came after", kept(t, r.Escrow, id), []string{"late", "second"}) // the copies here take what comes
	r.copies.set(func(c *copies) { clear(c.kept) })
	equalAll(t, "the spool alone", kept(t, r.Escrow, id), []string{"second"})
	equalAll(t, "waiting", r.Waiting(), nil)
	must(t, r.Keep(t.Context(), ref(3)))
	equalAll(t, "kept again", kept(t, r.Escrow, id), []string{"second"})

	slot, err := r.Room(t.Context(), ref(4), escrow.Lineage{Seed: "another", Rotation: 1})
	must(t, err)
	must(t, slot.Seal(t.Context(), []byte("of a new authorization")))
	slot.Release()
	must(t, r.Keep(t.Context(), ref(4)))
	r.copies.set(func(c *copies) { clear(c.kept) })
	equalAll(t, "of the old authorization", kept(t, r.Escrow, id), nil)
	all, err := r.After(t.Context(), id, escrow.Lineage{Seed: "another"})
	must(t, err)
	equal(t, "of the new one", len(all), 1)
	all, err = r.After(t.Context(), id, escrow.Lineage{Seed: "another", Rotation: 1})
	must(t, err)
	equal(t, "after that", len(all), 0)
}

// TestKeepWithoutRedis: the spool has it; whether Redis has another cannot be known.
func TestKeepWithoutRedis(t *testing.T) {
	t.Parallel()
	r, away := newRig(t), errors.New("redis is away")
	sealed(t, r.Escrow, ref(1), "answer")
	r.copies.set(func(c *copies) { c.down = away })
	must(t, r.Keep(t.Context(), ref(1)))
	equalAll(t, "told", r.told(), []string{"sealed copy in redis"})
	here, err := r.After(t.Context(), ref(1).ID, escrow.Lineage{Seed: "seed"})
	equal(t, "the error is that", errors.Is(err, away), true)
	equal(t, "and the spool has one", len(here), 1)
	r.copies.set(func(c *copies) { c.down = nil })
	equalAll(t, "kept", kept(t, r.Escrow, ref(1).ID), []string{"answer"})
}

// TestKeepAnothersAnswer: it was committed from the copy in Redis, and stays there alone.
func TestKeepAnothersAnswer(t *testing.T) {
	t.Parallel()
	owner, r := newRig(t), newRig(t)
	sealed(t, owner.Escrow, ref(1), "answer")
	r.keys, r.copies = owner.keys, owner.copies
	r.reopen(t)
	must(t, r.Keep(t.Context(), ref(1)))
	equalAll(t, "kept", kept(t, r.Escrow, ref(1).ID), []string{"answer"})
	equal(t, "copies", len(r.copies.data), 0)
	must(t, r.Keep(t.Context(), ref(2)))
	equalAll(t, "of one that is nowhere", kept(t, r.Escrow, ref(1).ID), []string{"answer"})
}

// TestKeptWillNotOpen: a damaged one, or one whose key is gone, is as good as none, and
// does not hide the other.
func TestKeptWillNotOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	keeps(t, r.Escrow, ref(1), 1, "answer")
	file := filepath.Join(r.dir, "kept", r.files(t, "kept")[0])
	write(t, file, append(read(t, file)[:100], "damaged"...))
	equalAll(t, "damaged on disk", kept(t, r.Escrow, ref(1).ID), []string{"answer"})
	r.copies.set(func(c *copies) { c.kept[ref(1).ID] = []byte("damaged") })
	equalAll(t, "damaged everywhere", kept(t, r.Escrow, ref(1).ID), nil)
	keeps(t, r.Escrow, ref(2), 2, "answer")
	equalAll(t, "kept over a damaged one", kept(t, r.Escrow, ref(1).ID), []string{"answer", "answer"})

	r.copies.set(func(c *copies) { c.kept[ref(1).ID] = nil })
	keeps(t, r.Escrow, ref(3), 3, "later")
	r.copies.set(func(c *copies) {
		c.kept[ref(1).ID] = bytes.Replace(c.kept[ref(1).ID], []byte(`"v":1`), []byte(`"v":2`), 1)
		c.kept[ref(1).ID] = bytes.Replace(c.kept[ref(1).ID], []byte(`"rotation":3`), []byte(`"rotation":2`), 1)
	})
	equalAll(t, "one before it will not open", kept(t, r.Escrow, ref(1).ID), []string{"later"})
	must(t, os.Remove(file))
	keeps(t, r.Escrow, ref(4), 2, "answer")
	waits := func(what string, ref escrow.Ref, says string) {
		t.Helper()
		_, err := r.After(t.Context(), ref.ID, escrow.Lineage{Seed: "seed", Rotation: 1})
		equal(t, what, err != nil && strings.Contains(err.Error(), says), true)
		none, err := r.After(t.Context(), ref.ID, escrow.Lineage{Seed: "seed", Rotation: 2})
		equal(t, what+", and too old to matter", len(none) == 0 && err == nil, true)
	}
	r.keys.set(func(k *keys) { k.listErr = errors.New("vault is away") })
	r.keys.set(func(k *keys) { k.stored = nil })
	waits("without Vault", ref(1), "vault is away")
	another, err := escrow.NewKey("2", time.Now())
	must(t, err)
	r.keys.set(func(k *keys) { k.stored, k.listErr = []escrow.Key{another}, nil })
	waits("its key is gone", ref(1), `escrow key "1"`)
	write(t, file, bytes.Replace(read(t, file), []byte(`"v":1`), []byte(`"v":2`), 1))
	waits("another version's", ref(1), "format 2")
}

// TestKeptIsSwept when no refresh token can live any more that stands in it.
func TestKeptIsSwept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	keeps(t, r.Escrow, ref(1), 1, "answer")
	file := filepath.Join(r.dir, "kept", r.files(t, "kept")[0])
	for age, want := range map[time.Duration]int{keep - time.Minute: 1, keep + time.Minute: 0} {
		keeps(t, r.Escrow, ref(1), 1, "answer")
		then := time.Now().Add(-age)
		must(t, os.Chtimes(file, then, then))
		r.reopen(t)
		equal(t, "kept for "+age.String(), len(r.files(t, "kept")), want)
	}
}

// TestRedisKeeps the answer of the latest generation, for as long as a refresh token lives,
// and deletes the copy under the attempt.
func TestRedisKeeps(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	c, id := escrow.NewRedisCopies(client, "prefix", keep), ref(1).ID
	one := func() string {
		t.Helper()
		all, err := c.All(t.Context(), id)
		must(t, err)
		return string(bytes.Join(all, []byte("|")))
	}
	equal(t, "at first", one(), "")
	line := func(seed string, rotation int, answer string) []byte {
		return fmt.Appendf(nil, `{"seed":%q,"rotation":%d}`+"\n%s\x00\xff", seed, rotation, answer)
	}
	for _, step := range []struct {
		seed     string
		rotation int
		answer   string
		kept     bool
	}{
		{"s1", 9, "ninth", true},
		{"s1", 10, "tenth", true},
		{"s1", 9, "late", false},
		{"s1", 10, "again", true},
		{"s2", 1, "a new authorization", true},
		{"s2", 1 << 40, "far", true},
		{"", 0, "of an older version", true},
	} {
		before, sealed := one(), line(step.seed, step.rotation, step.answer)
		must(t, c.Put(t.Context(), ref(1), sealed))
		must(t, c.Keep(t.Context(), ref(1), escrow.Lineage{Seed: step.seed, Rotation: step.rotation}, sealed))
		want := before
		if step.kept {
			want = string(sealed)
		}
		equal(t, "kept after "+step.answer, one(), want)
	}
	key := "prefix:escrow:acme/bookings"
	must(t, client.Del(t.Context(), key).Err())
	for n, sealed := range [][]byte{line("s1", 3, "left"), line("s1", 4, "left"), []byte("unreadable"), line("s1", 5, "under way"), line("s2", 1, "another's")} {
		must(t, c.Put(t.Context(), ref(n), sealed))
	}
	must(t, c.Keep(t.Context(), ref(1), escrow.Lineage{Seed: "s1", Rotation: 4}, line("s1", 4, "committed")))
	left, err := client.HKeys(t.Context(), key).Result()
	must(t, err)
	slices.Sort(left)
	equalAll(t, "left", left, []string{"attempt2", "attempt3", "attempt4", "kept"})
	must(t, client.Del(t.Context(), key).Err())
	must(t, c.Keep(t.Context(), ref(1), escrow.Lineage{Seed: "s1", Rotation: 4}, line("s1", 4, "committed")))
	must(t, c.Put(t.Context(), ref(2), []byte("waits")))
	all, err := c.All(t.Context(), id)
	must(t, err)
	equal(t, "and what waits", len(all), 2)
	names, err := client.Keys(t.Context(), "*").Result()
	must(t, err)
	equalAll(t, "keys", names, []string{"prefix:escrow:acme/bookings"})
	if ttl := client.TTL(t.Context(), names[0]).Val(); ttl > keep || ttl < keep-time.Minute {
		t.Errorf("it stays for %s, want %s", ttl, keep)
	}
	server.Stop(t)
	_, err = c.All(t.Context(), id)
	equal(t, "an outage is an error", err != nil && c.Keep(t.Context(), ref(1), escrow.Lineage{}, nil) != nil, true)
}
