package limits_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"refresher/internal/limits"
	"refresher/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// limiter is what both implementations offer.
type limiter interface {
	Take(ctx context.Context, key string, b limits.Budget, now, slot time.Time) (limits.Turn, error)
}

var (
	_ limiter = (*limits.Redis)(nil)
	_ limiter = (*limits.Memory)(nil)
)

var (
	base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	none time.Time

	prefixes atomic.Int64
)

// newPrefix keeps tests on one server apart.
func newPrefix() string { return fmt.Sprintf("t%d", prefixes.Add(1)) }

// at is the time so many seconds after base.
func at(seconds float64) time.Time { return base.Add(time.Duration(seconds * float64(time.Second))) }

// probe wraps a limiter so that each step of a test is one line.
type probe struct {
	limiter
	t *testing.T
	b limits.Budget
}

func (p probe) take(now, slot time.Time) limits.Turn {
	p.t.Helper()
	turn, err := p.Take(p.t.Context(), "kibo", p.b, now, slot)
	if err != nil {
		p.t.Fatal(err)
	}
	if turn.OK != turn.SlotAt.IsZero() || turn.Release == nil {
		p.t.Fatalf("a turn that contradicts itself: %+v", turn)
	}
	return turn
}

func (p probe) ok(now, slot time.Time) limits.Turn {
	p.t.Helper()
	turn := p.take(now, slot)
	if !turn.OK {
		p.t.Fatalf("sent away at %s until %s, want a turn", now.Sub(base), turn.SlotAt.Sub(base))
	}
	return turn
}

// place wants to be sent away until just that time, and returns it.
func (p probe) place(now, slot, want time.Time) time.Time {
	p.t.Helper()
	turn := p.take(now, slot)
	if turn.OK || !turn.SlotAt.Equal(want) {
		p.t.Fatalf("at %s: turn %t, place %s, want the place %s", now.Sub(base), turn.OK, turn.SlotAt.Sub(base), want.Sub(base))
	}
	turn.Release(p.t.Context())
	return turn.SlotAt
}

// soon wants to be sent away for a moment, and returns until when.
func (p probe) soon(now, slot time.Time) time.Time {
	p.t.Helper()
	turn := p.take(now, slot)
	if turn.OK || !turn.SlotAt.After(now) || turn.SlotAt.After(now.Add(time.Second+time.Millisecond)) {
		p.t.Fatalf("at %s: turn %t, place %s, want one within a second", now.Sub(base), turn.OK, turn.SlotAt.Sub(base))
	}
	turn.Release(p.t.Context())
	return turn.SlotAt
}

func TestMemory(t *testing.T) {
	t.Parallel()
	conformance(t, func() limiter { return limits.NewMemory() })
}

func TestRedis(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	conformance(t, func() limiter { return limits.NewRedis(client, newPrefix()) })
}

func TestCluster(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t).Client(t)
	conformance(t, func() limiter { return limits.NewRedis(client, newPrefix()) })
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	client := redistest.StartSentinel(t).Client(t)
	conformance(t, func() limiter { return limits.NewRedis(client, newPrefix()) })
}

// conformance is what every limiter must do; unused makes one of which nothing is used.
func conformance(t *testing.T, unused func() limiter) {
	rate := limits.Budget{Rate: 1, Burst: 3}
	few := limits.Budget{Concurrency: 2, Hold: time.Minute}
	for name, test := range map[string]struct {
		budget limits.Budget
		run    func(probe)
	}{
		"nothing limited":                      {limits.Budget{Burst: 1, Hold: time.Second}, nothingLimited},
		"a burst, then places":                 {rate, burstThenPlaces},
		"a burst of zero is one":               {limits.Budget{Rate: 2}, zeroBurst},
		"what is not used comes back":          {rate, refill},
		"a place is not charged again":         {rate, placeIsPaid},
		"a place is kept for a minute":         {rate, placeIsKept},
		"too early, the place stands":          {rate, placeStands},
		"a place nobody gave":                  {rate, placeNobodyGave},
		"places are whole milliseconds":        {limits.Budget{Rate: 3}, wholeMilliseconds},
		"a rate far below one":                 {limits.Budget{Rate: 1.0 / 3600}, hourly},
		"as many as may at once":               {few, concurrency},
		"who vanished counts for a while":      {few, vanished},
		"a short hold asks again sooner":       {limits.Budget{Concurrency: 1, Hold: time.Second}, shortHold},
		"waiting for others costs one place":   {limits.Budget{Rate: 1, Burst: 1, Concurrency: 1}, both},
		"keys do not concern others":           {rate, keysApart},
		"a crowd comes in order at the rate":   {limits.Budget{Rate: 10, Burst: 5, Concurrency: 3}, crowd},
		"at once, no more than burst":          {limits.Budget{Rate: 1, Burst: 5}, atOnce},
		"at once, no more than the concurrent": {limits.Budget{Concurrency: 5}, atOnce},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.run(probe{limiter: unused(), t: t, b: test.budget})
		})
	}
}

func nothingLimited(p probe) {
	for range 100 {
		p.ok(base, none).Release(p.t.Context())
	}
}

func burstThenPlaces(p probe) {
	for range 3 {
		p.ok(base, none)
	}
	for n := range 5 {
		p.place(at(0.25), none, at(float64(n+1)))
	}
}

func zeroBurst(p probe) {
	p.ok(base, none)
	p.place(base, none, at(0.5))
	p.place(base, none, at(1))
}

func refill(p probe) {
	for range 3 {
		p.ok(base, none)
	}
	p.ok(at(1), none)
	p.ok(at(2.5), none)
	p.place(at(2.5), none, at(3))
	for range 3 {
		p.ok(at(1000), none)
	}
	p.place(at(1000), none, at(1001))
}

func placeIsPaid(p probe) {
	for range 3 {
		p.ok(base, none)
	}
	first, second := p.place(base, none, at(1)), p.place(base, none, at(2))
	p.ok(at(1), first)
	p.place(at(1), none, at(3))
	p.ok(at(2.5), second)
	p.place(at(2.5), none, at(4))
}

func placeIsKept(p probe) {
	for range 3 {
		p.ok(base, none)
	}
	first, second := p.place(base, none, at(1)), p.place(base, none, at(2))
	for range 3 {
		p.ok(at(60.9), none)
	}
	p.ok(at(60.999), first) // though whoever came later used everything up again
	p.place(at(60.999), none, at(61.9))
	p.place(at(62), second, at(62.9)) // a minute late: charged as if new
}

func placeStands(p probe) {
	for range 3 {
		p.ok(base, none)
	}
	first := p.place(base, none, at(1))
	p.place(at(0.9), first, first)
	p.place(at(0.999), first, first)
	p.place(at(0.9), none, at(2)) // and was not charged for
	p.ok(at(1), first)
}

func placeNobodyGave(p probe) {
	// Redis lost what it knew: a place far ahead means nothing any more.
	p.ok(base, at(3600))
	p.ok(base, none)
	p.ok(base, none)
	p.place(base, at(3600), at(1))
}

func wholeMilliseconds(p probe) {
	now := base.Add(123_456 * time.Nanosecond)
	p.ok(now, none)
	for n := range 10 {
		turn := p.take(now, none)
		exact := now.Add(time.Duration(n+1) * time.Second / 3)
		if turn.SlotAt != turn.SlotAt.Truncate(time.Millisecond) || turn.SlotAt.Before(exact) || turn.SlotAt.Sub(exact) > 2*time.Millisecond {
			p.t.Fatalf("place %s, want the first whole millisecond after %s", turn.SlotAt, exact)
		}
		p.ok(turn.SlotAt, turn.SlotAt)
	}
}

func hourly(p probe) {
	p.ok(base, none)
	p.place(at(1), none, at(3600))
	place := p.place(at(1800), none, at(7200))
	p.ok(at(7200), place)
	p.place(at(7201), none, at(3*3600))
}

func concurrency(p probe) {
	first, second := p.ok(base, none), p.ok(base, none)
	p.soon(base, none)
	ctx, cancel := context.WithCancel(p.t.Context())
	cancel()
	first.Release(ctx)
	first.Release(ctx)
	third := p.ok(at(1), none)
	first.Release(ctx)
	p.soon(at(1), none)
	second.Release(ctx)
	third.Release(ctx)
	for range 2 {
		p.ok(at(2), none)
	}
	p.soon(at(2), none)
}

func vanished(p probe) {
	p.ok(base, none)
	last := p.ok(at(30), none)
	p.soon(at(59.999), none)
	p.ok(at(60), none)
	p.soon(at(60), none)
	p.ok(at(90), none)
	last.Release(p.t.Context()) // counts no more, and takes nobody's share
	p.soon(at(90), none)
}

func shortHold(p probe) {
	p.ok(base, none)
	turn := p.take(base, none)
	if wait := turn.SlotAt.Sub(base); wait < 50*time.Millisecond || wait > 101*time.Millisecond {
		p.t.Fatalf("asks again in %s, want about a tenth of the hold", wait)
	}
}

func both(p probe) {
	first := p.ok(base, none)
	// At work: the place is paid and kept for as long as that takes.
	place := p.place(at(0.5), none, at(1))
	now := place
	for range 200 {
		place = p.soon(now, place)
		p.place(now, place, place) // too early: it stands
		now = place
	}
	if now.Before(at(60)) {
		p.t.Fatalf("that was only %s", now.Sub(base))
	}
	first.Release(p.t.Context())
	second := p.ok(now, place)
	second.Release(p.t.Context())
	// So the rate was charged twice by now, and long ago.
	p.ok(now, none).Release(p.t.Context())
	p.place(now, none, now.Add(time.Second))
}

func keysApart(p probe) {
	for _, key := range []string{"kibo", "kibo:a", "ankor"} {
		for range 3 {
			if turn, err := p.Take(p.t.Context(), key, p.b, base, none); err != nil || !turn.OK {
				p.t.Fatalf("%s: %+v, %v", key, turn, err)
			}
		}
	}
	p.place(base, none, at(1))
}

// crowd is a hundred who come at once and come back when they are told to. Each
// call takes 200 ms.
func crowd(p probe) {
	const n = 100
	type waiter struct {
		due, slot time.Time
		ends      time.Time
		turn      limits.Turn
		served    bool
	}
	waiters := make([]waiter, n)
	for i := range waiters {
		waiters[i].due = base
	}
	var served []time.Time
	atWork := 0
	for now := base; len(served) < n && now.Before(at(60)); now = now.Add(10 * time.Millisecond) {
		for i := range waiters {
			w := &waiters[i]
			if w.served && !w.ends.IsZero() && !now.Before(w.ends) {
				w.turn.Release(p.t.Context())
				w.ends, atWork = time.Time{}, atWork-1
			}
			if w.served || now.Before(w.due) {
				continue
			}
			turn := p.take(now, w.slot)
			if !turn.OK {
				w.due, w.slot = turn.SlotAt, turn.SlotAt
				continue
			}
			w.served, w.turn, w.ends = true, turn, now.Add(200*time.Millisecond)
			served = append(served, now)
			if atWork++; atWork > 3 {
				p.t.Fatalf("%d at work at once", atWork)
			}
		}
	}
	if len(served) != n {
		p.t.Fatalf("%d of %d were served in a minute", len(served), n)
	}
	// Five at once and ten a second are over within 9.5 s, of which waiting for
	// others may take a second more.
	if took := served[n-1].Sub(base); took < 9*time.Second || took > 11*time.Second {
		p.t.Fatalf("it took %s", took)
	}
}

func atOnce(p probe) {
	var wait sync.WaitGroup
	var ok atomic.Int64
	for range 50 {
		wait.Go(func() {
			if turn, err := p.Take(p.t.Context(), "kibo", p.b, base, none); err == nil && turn.OK {
				ok.Add(1)
			}
		})
	}
	wait.Wait()
	if ok.Load() != 5 {
		p.t.Fatalf("%d had a turn at once, want 5", ok.Load())
	}
}
