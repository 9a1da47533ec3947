package limits_test

import (
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"refresher/internal/limits"
)

const host = "acme.checkfront.com"

// allowed and refused check one answer of a breaker.
func allowed(t *testing.T, b *limits.Breaker, now time.Time) {
	t.Helper()
	if ok, until := b.Allow(host, now); !ok || !until.IsZero() {
		t.Fatalf("at %s: %t, %s, want it allowed", now.Sub(base), ok, until.Sub(base))
	}
}

func refused(t *testing.T, b *limits.Breaker, now, want time.Time) {
	t.Helper()
	if ok, until := b.Allow(host, now); ok || !until.Equal(want) {
		t.Fatalf("at %s: %t, %s, want it refused until %s", now.Sub(base), ok, until.Sub(base), want.Sub(base))
	}
}

func state(t *testing.T, b *limits.Breaker, want limits.State) {
	t.Helper()
	if got := b.States()[host]; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func fail(b *limits.Breaker, n int, now time.Time) {
	for range n {
		b.Failure(host, now)
	}
}

func TestBreakerOpensAfterFailuresInARow(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{})
	fail(b, 4, base)
	allowed(t, b, base)
	b.Success(host, base)
	fail(b, 4, base)
	allowed(t, b, base)
	state(t, b, limits.Closed)
	fail(b, 1, at(1))
	state(t, b, limits.Open)
	refused(t, b, at(1), at(31))
	refused(t, b, at(30.999), at(31))
	// Calls that were under way when it opened change nothing.
	fail(b, 10, at(20))
	refused(t, b, at(30), at(31))
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{})
	fail(b, 5, base)
	allowed(t, b, at(30))
	state(t, b, limits.HalfOpen)
	refused(t, b, at(30), at(33))
	refused(t, b, at(33), at(36))
	b.Success(host, at(34))
	state(t, b, limits.Closed)
	for range 10 {
		allowed(t, b, at(34))
	}
	if len(b.States()) != 0 {
		t.Fatalf("there is %v to remember of a host that works", b.States())
	}
	// What was before is forgotten: it opens for the first period again.
	fail(b, 5, at(40))
	refused(t, b, at(40), at(70))
}

func TestBreakerOpensForLongerEachTime(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{})
	fail(b, 5, base)
	now := base
	for _, seconds := range []float64{30, 60, 120, 240, 300, 300} {
		end := now.Add(time.Duration(seconds) * time.Second)
		refused(t, b, now, end)
		refused(t, b, end.Add(-1), end)
		allowed(t, b, end)
		now = end.Add(time.Second)
		fail(b, 1, now)
		state(t, b, limits.Open)
	}
}

func TestBreakerProbeThatIsNotMade(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{})
	b.Cancel(host)
	state(t, b, limits.Closed)
	fail(b, 5, base)
	b.Cancel(host)
	refused(t, b, at(1), at(30))
	allowed(t, b, at(30))
	b.Cancel(host)
	allowed(t, b, at(30))
	refused(t, b, at(30), at(33))
	fail(b, 1, at(31))
	refused(t, b, at(31), at(91)) // the second time, whatever was cancelled
}

func TestBreakerProbeThatVanished(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{Probe: 10 * time.Second})
	fail(b, 5, base)
	allowed(t, b, at(30))
	refused(t, b, at(39), at(40))
	allowed(t, b, at(40))
	refused(t, b, at(41), at(44))
}

func TestBreakerSettings(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{Failures: 1, OpenFor: 10 * time.Minute, OpenForMax: time.Minute})
	fail(b, 1, base)
	refused(t, b, base, at(600)) // the first period is never cut
	allowed(t, b, at(600))
	fail(b, 1, at(600))
	refused(t, b, at(600), at(1200))
}

func TestBreakerKeepsHostsApart(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{})
	fail(b, 5, base)
	if ok, _ := b.Allow("other.checkfront.com", base); !ok {
		t.Fatal("one host's failures closed the way to another")
	}
	b.Failure("third.checkfront.com", base)
	want := map[string]limits.State{host: limits.Open, "third.checkfront.com": limits.Closed}
	if got := b.States(); !maps.Equal(got, want) {
		t.Fatalf("states %v, want %v", got, want)
	}
}

func TestBreakerAtOnce(t *testing.T) {
	t.Parallel()
	b := limits.NewBreaker(limits.BreakerSettings{})
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() { b.Failure(host, base) })
	}
	wait.Wait()
	var probes atomic.Int64
	for range 50 {
		wait.Go(func() {
			if ok, _ := b.Allow(host, at(30)); ok {
				probes.Add(1)
			}
			b.States()
		})
	}
	wait.Wait()
	if probes.Load() != 1 {
		t.Fatalf("%d probes, want exactly one", probes.Load())
	}
}

func TestStateNames(t *testing.T) {
	t.Parallel()
	for s, want := range map[limits.State]string{limits.Closed: "closed", limits.Open: "open", limits.HalfOpen: "half_open"} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

func TestReleaseAt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		until, now, expires, earliest, latest time.Time
	}{
		"expired comes at once":            {at(30), base, at(10), at(30), at(30)},
		"expires as the host comes back":   {at(30), base, at(30), at(30), at(30)},
		"a minute left":                    {at(30), base, at(90), at(30.1), at(30.2)},
		"an hour left is half way":         {at(30), base, at(3630), at(35), at(35)},
		"a month left":                     {at(30), base, at(30 * 86400), at(39.9), at(40)},
		"never expires comes last":         {at(30), base, none, at(40), at(40)},
		"never in the past":                {at(30), at(50), at(40), at(50), at(50)},
		"never in the past, with an hour":  {at(30), at(50), at(3650), at(55), at(55)},
		"no end known, such as a cancel's": {none, at(50), at(40), at(50), at(50)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := limits.ReleaseAt(test.until, test.now, test.expires)
			if got.Before(test.earliest) || got.After(test.latest) {
				t.Fatalf("%s, want %s to %s", got.Sub(base), test.earliest.Sub(base), test.latest.Sub(base))
			}
		})
	}
	last := at(30)
	for left := time.Second; left < 1000*time.Hour; left *= 2 {
		got := limits.ReleaseAt(at(30), base, at(30).Add(left))
		if !got.After(last) {
			t.Fatalf("with %s left it comes at %s, not after those with half of that", left, got.Sub(base))
		}
		last = got
	}
}
