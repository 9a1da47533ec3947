package escrow_test

import (
	"errors"
	"testing"
	"time"
)

// TestCopyAgain: what waits in the spool is put into Redis again, at the first call and then
// as often as it may.
func TestCopyAgain(t *testing.T) {
	t.Parallel()
	r, forget := newRig(t), func(c *copies) { clear(c.data) }
	sealed(t, r.Escrow, ref(1), "waits")
	now := time.Now()
	r.copies.set(forget)
	r.CopyAgain(t.Context(), now)
	equal(t, "copied at the first call", r.copies.has(ref(1).Attempt), true)
	r.copies.set(forget)
	r.CopyAgain(t.Context(), now.Add(9*time.Second))
	equal(t, "copied again too soon", r.copies.has(ref(1).Attempt), false)
	r.CopyAgain(t.Context(), now.Add(10*time.Second))
	equal(t, "copied again", r.copies.has(ref(1).Attempt), true)
	must(t, r.Delete(t.Context(), ref(1)))
	r.CopyAgain(t.Context(), now.Add(time.Minute))
	equal(t, "copied after it was committed", r.copies.has(ref(1).Attempt), false)

	sealed(t, r.Escrow, ref(2), "sealed just now")
	r.copies.set(forget)
	r.CopyAgain(t.Context(), time.Now().Add(2*time.Minute))
	equal(t, "copied twice within ten seconds", r.copies.has(ref(2).Attempt), true)
	equalAll(t, "told", r.told(), nil)
	r.copies.set(func(c *copies) { c.down = errors.New("redis is away") })
	r.CopyAgain(t.Context(), time.Now().Add(3*time.Minute))
	equalAll(t, "told", r.told(), []string{"sealed copy in redis"})
}

// TestDamagedAnswerIsNotCopied over a good copy.
func TestDamagedAnswerIsNotCopied(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "good")
	damaged := read(t, r.answerFile(ref(1)))
	damaged[len(damaged)-1] ^= 1
	write(t, r.answerFile(ref(1)), damaged)
	r.CopyAgain(t.Context(), time.Now())
	reads(t, r.Escrow, ref(1), "good")
}

// TestCopyOfACommittedAnswer: it was committed by another goroutine while it was copied.
func TestCopyOfACommittedAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sealed(t, r.Escrow, ref(1), "committed meanwhile")
	r.copies.set(func(c *copies) { clear(c.data); c.onPut = func([]byte) { must(t, r.Delete(t.Context(), ref(1))) } })
	r.CopyAgain(t.Context(), time.Now())
	equal(t, "a copy stays", r.copies.has(ref(1).Attempt), false)
}
