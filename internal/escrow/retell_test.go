package escrow_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"refresher/internal/escrow"
	"refresher/internal/redistest"
)

// heardNow returns what the place was told since it was last asked.
func (c *copies) heardNow() (kept []string, marks map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	marks = map[string]string{}
	for _, told := range c.heard {
		for _, k := range told.Kept {
			kept = append(kept, k.Ref.Attempt)
		}
		for _, m := range told.Marks {
			marks[m.Hash] = m.Mark
		}
	}
	c.heard = nil
	return kept, marks
}

// TestRedisIsToldAgain what the spool knows once it has forgotten all, and only then. What is
// not the last word on a token, or keeps it from nothing, is not worth telling.
func TestRedisIsToldAgain(t *testing.T) {
	t.Parallel()
	r, now := newRig(t), time.Now()
	keeps(t, r.Escrow, ref(1), 1, "answer")
	sealed(t, r.Escrow, ref(2), "waits")
	must(t, r.Present(t.Context(), "sent", false))
	must(t, r.Present(t.Context(), "rotated", false))
	must(t, r.Rotated(t.Context(), "rotated"))
	must(t, r.Present(t.Context(), "unspent", false))
	must(t, r.Unspent(t.Context(), "unspent"))
	r.CopyAgain(t.Context(), now)
	kept, marks := r.copies.heardNow()
	equal(t, "told for nothing", len(kept)+len(marks), 0)

	r.RedisForgot()
	r.copies.set(func(c *copies) { clear(c.data) })
	r.CopyAgain(t.Context(), now.Add(time.Second))
	kept, marks = r.copies.heardNow()
	equalAll(t, "kept", kept, []string{ref(1).Attempt})
	equal(t, "marks", fmt.Sprint(marks), "map[rotated:rotated sent:sent]")
	equal(t, "what waits is copied at once", r.copies.has(ref(2).Attempt), true)

	r.RedisForgot()
	r.copies.set(func(c *copies) { c.down = errors.New("redis is away") })
	r.CopyAgain(t.Context(), now.Add(2*time.Second))
	r.copies.set(func(c *copies) { c.down = nil })
	r.CopyAgain(t.Context(), now.Add(3*time.Second))
	kept, marks = r.copies.heardNow()
	equal(t, "told when it is back", len(kept)+len(marks), 3)

	r.CopyAgain(t.Context(), now.Add(4*time.Second))
	kept, marks = r.copies.heardNow()
	equal(t, "told twice", len(kept)+len(marks), 0)
	r.RedisForgot()
	r.CopyAgain(t.Context(), now.Add(keep+time.Hour))
	_, marks = r.copies.heardNow()
	equal(t, "marks that are too old", len(marks), 0)
}

// TestRedisIsToldInParts: a long list takes several ticks, none of them long, and all of it is
// told though its file is replaced in the middle.
func TestRedisIsToldInParts(t *testing.T) {
	t.Parallel()
	for name, replaced := range map[string]bool{"as it is": false, "replaced in the middle": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const tokens, lines = 4000, 8
			r, now := newRig(t), time.Now()
			hash := func(n int) string { return fmt.Sprintf("%x", sha256.Sum256([]byte{byte(n), byte(n >> 8)})) }
			var list bytes.Buffer
			for n := range tokens * lines {
				fmt.Fprintf(&list, "%d sent %s\n", now.Unix(), hash(n/lines))
			}
			write(t, filepath.Join(r.dir, "spent"), list.Bytes())
			r.reopen(t)
			told := map[string]string{}
			tick := func() int {
				r.CopyAgain(t.Context(), now)
				_, marks := r.copies.heardNow()
				maps.Copy(told, marks)
				return len(marks)
			}
			r.RedisForgot()
			equal(t, "not all at once", tick() < tokens/2, true)
			equal(t, "the newest first", told[hash(tokens-1)], "sent")
			if replaced {
				must(t, r.Present(t.Context(), "another", false))
				equal(t, "replaced", len(read(t, filepath.Join(r.dir, "spent"))) < list.Len()/2, true)
			}
			for parts := 1; tick() > 0; parts++ {
				if parts > lines {
					t.Fatal("it does not end")
				}
			}
			for n := range tokens {
				if told[hash(n)] != "sent" {
					t.Fatalf("token %d of %d was not told", n, tokens)
				}
			}
		})
	}
}

// TestRedisKnowsBetter than a spool that tells it again: later answers and later marks stay.
func TestRedisKnowsBetter(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	c, id := escrow.NewRedisCopies(client, "prefix", keep), ref(1).ID
	early, late := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	kept := func(seed string, rotation int, at time.Time) escrow.Kept {
		line := fmt.Appendf(nil, `{"seed":%q,"rotation":%d,"sealed_at":%q}`+"\n\x00\xff", seed, rotation, at.Format(time.RFC3339Nano))
		return escrow.Kept{Ref: escrow.Ref{ID: id}, Of: escrow.Lineage{Seed: seed, Rotation: rotation}, SealedAt: at, Sealed: line}
	}
	for _, step := range []struct {
		what string
		kept escrow.Kept
		wins bool
	}{
		{"into an empty one", kept("s1", 9, early), true},
		{"a later rotation", kept("s1", 10, early), true},
		{"an earlier one", kept("s1", 9, late), false},
		{"another authorization, sealed before", kept("s0", 99, early.Add(-time.Hour)), false},
		{"another one, sealed after", kept("s2", 1, late.Add(time.Hour)), true},
	} {
		must(t, c.Tell(t.Context(), escrow.Told{Kept: []escrow.Kept{step.kept}}))
		all, err := c.All(t.Context(), id)
		must(t, err)
		equal(t, step.what, len(all) == 1 && bytes.Equal(all[0], step.kept.Sealed), step.wins)
	}
	must(t, client.HSet(t.Context(), "prefix:escrow:acme/bookings", "kept", "damaged").Err())
	must(t, c.Tell(t.Context(), escrow.Told{Kept: []escrow.Kept{kept("s1", 1, early)}}))
	all, err := c.All(t.Context(), id)
	must(t, err)
	equal(t, "over a damaged one", bytes.HasPrefix(all[0], []byte(`{"seed":"s1"`)), true)
	ttl := client.PTTL(t.Context(), "prefix:escrow:acme/bookings").Val()
	equal(t, "it is forgotten some day", ttl > keep-time.Minute && ttl <= keep, true)

	for _, step := range []struct{ known, told, want string }{
		{"", "sent", "sent"},
		{"", "rotated", "rotated"},
		{"sent abc", "rotated", "rotated"},
		{"sent abc", "sent", "sent abc"},
		{"rotated", "sent", "rotated"},
		{"unspent", "sent", "unspent"},
		{"unspent", "rotated", "unspent"},
	} {
		must(t, client.Del(t.Context(), "prefix:spent:h").Err())
		if step.known != "" {
			must(t, c.Mark(t.Context(), "h", step.known))
		}
		must(t, c.Tell(t.Context(), escrow.Told{Marks: []escrow.Mark{{Hash: "h", Mark: step.told, Left: time.Hour}}}))
		equal(t, step.told+" over "+step.known, client.Get(t.Context(), "prefix:spent:h").Val(), step.want)
	}
	must(t, client.Del(t.Context(), "prefix:spent:h").Err())
	must(t, c.Tell(t.Context(), escrow.Told{Marks: []escrow.Mark{{Hash: "h", Mark: "sent", Left: time.Hour}}}))
	ttl = client.PTTL(t.Context(), "prefix:spent:h").Val()
	equal(t, "for as long as is left", ttl > 59*time.Minute && ttl <= time.Hour, true)
	equal(t, "no first presentation", errors.Is(c.Present(t.Context(), "h", false, 0), escrow.ErrSpent), true)
	equal(t, "a probe", c.Present(t.Context(), "h", true, time.Minute), nil)
}
