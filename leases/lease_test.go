package leases

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"refresher/internal/credential"
)

var errGone = errors.New("no answer")

// fakeStore is a store of one key, with a clock that agrees with ours. As in
// go-redis, a request that is under way ends at its deadline and is not cancelled.
type fakeStore struct {
	mu       sync.Mutex
	owner    string
	expires  time.Time
	delay    time.Duration // how long each request takes
	broken   bool          // requests arrive, but are not answered
	extended []time.Duration
	released int
	began    time.Time
}

func (s *fakeStore) answer(ctx context.Context) error {
	s.mu.Lock()
	delay, broken := s.delay, s.broken
	s.mu.Unlock()
	deadline, _ := ctx.Deadline()
	if left := time.Until(deadline); broken || delay > left {
		time.Sleep(left)
		return errGone
	}
	time.Sleep(delay)
	return nil
}

func (s *fakeStore) ours(owner string) bool { return s.owner == owner && time.Now().Before(s.expires) }

func (s *fakeStore) acquire(ctx context.Context, _, owner string, ttl time.Duration) (bool, error) {
	if err := s.answer(ctx); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owner != "" && time.Now().Before(s.expires) {
		return false, nil
	}
	s.owner, s.expires, s.began = owner, time.Now().Add(ttl), time.Now()
	return true, nil
}

func (s *fakeStore) extend(ctx context.Context, _, owner string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	s.extended = append(s.extended, time.Since(s.began))
	s.mu.Unlock()
	if err := s.answer(ctx); err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ours(owner) {
		return false, nil
	}
	s.expires = time.Now().Add(ttl)
	return true, nil
}

func (s *fakeStore) release(ctx context.Context, _, owner string) error {
	s.mu.Lock()
	s.released++
	s.mu.Unlock()
	if err := s.answer(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ours(owner) {
		s.owner = ""
	}
	return nil
}

func (s *fakeStore) set(change func(*fakeStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// log returns what happened so far: the owner now, when it was extended since it
// was acquired, and how often it was to be released.
func (s *fakeStore) log() (owner string, extended []time.Duration, released int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner, slices.Clone(s.extended), s.released
}

// losses counts the calls of OnLost.
type losses struct {
	mu   sync.Mutex
	keys []string
}

func (l *losses) lost(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = append(l.keys, key)
}

func (l *losses) want(t *testing.T, keys ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.keys, keys) {
		t.Fatalf("lost %q, want %q", l.keys, keys)
	}
}

// inBubble runs a test on a fake store within a synctest bubble, where time
// passes when everybody waits, and which fails if a goroutine does not end.
func inBubble(t *testing.T, test func(t *testing.T, s *fakeStore, r *Redis, lost *losses)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, lost := &fakeStore{}, &losses{}
		test(t, s, &Redis{store: s, settings: Settings{OnLost: lost.lost}.withDefaults()}, lost)
	})
}

func acquire(t *testing.T, r *Redis) credential.Lease {
	t.Helper()
	l, err := r.Acquire(t.Context(), "tenant:acme")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// pass lets time pass, and everything happen that happens in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func seconds(n ...int) []time.Duration {
	out := make([]time.Duration, len(n))
	for i := range n {
		out[i] = time.Duration(n[i]) * time.Second
	}
	return out
}

func wantHeld(t *testing.T, l credential.Lease, want bool) {
	t.Helper()
	if l.Held() != want {
		t.Fatalf("held is %t, want %t", l.Held(), want)
	}
}

func TestExtendedAtEachThirdOfTheTTL(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, lost *losses) {
		l := acquire(t, r)
		pass(2*time.Minute + time.Second)
		wantHeld(t, l, true)
		want := seconds(20, 40, 60, 80, 100, 120)
		if _, extended, _ := s.log(); !slices.Equal(extended, want) {
			t.Fatalf("extended at %v, want %v", extended, want)
		}

		l.Release(t.Context())
		wantHeld(t, l, false)
		l.Release(t.Context())
		pass(time.Hour)
		if owner, extended, released := s.log(); owner != "" || released != 1 || len(extended) != len(want) {
			t.Fatalf("released %d times, extended at %v, owner %q", released, extended, owner)
		}
		lost.want(t)
	})
}

func TestTrustCountsFromBeforeTheRequest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, lost *losses) {
		s.delay = 4 * time.Second
		l := acquire(t, r)
		s.set(func(s *fakeStore) { s.broken = true })
		// 60 s less a fiftieth, of which the request took 4.
		pass(60*time.Second - 1200*time.Millisecond - 4*time.Second - time.Nanosecond)
		wantHeld(t, l, true)
		pass(time.Nanosecond)
		wantHeld(t, l, false)
		lost.want(t, "tenant:acme")
		l.Release(t.Context())
	})
}

func TestTrustCountsFromBeforeTheExtension(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, _ *losses) {
		l := acquire(t, r)
		s.set(func(s *fakeStore) { s.delay = 4 * time.Second })
		pass(25 * time.Second) // extended at 20, answered at 24
		s.set(func(s *fakeStore) { s.broken = true })
		pass(20*time.Second + 60*time.Second - 1200*time.Millisecond - 25*time.Second - time.Nanosecond)
		wantHeld(t, l, true)
		pass(time.Nanosecond)
		wantHeld(t, l, false)
		l.Release(t.Context())
	})
}

func TestLostOnceIsLostForEver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, lost *losses) {
		l := acquire(t, r)
		s.set(func(s *fakeStore) { s.owner = "somebody else" })
		pass(19 * time.Second)
		wantHeld(t, l, true)
		pass(time.Second)
		wantHeld(t, l, false)
		lost.want(t, "tenant:acme")

		s.set(func(s *fakeStore) { s.owner = l.(*lease).owner })
		pass(time.Hour)
		wantHeld(t, l, false)
		s.set(func(s *fakeStore) { s.owner, s.expires = "somebody else", time.Now().Add(time.Hour) })
		l.Release(t.Context())
		lost.want(t, "tenant:acme")
		if owner, _, _ := s.log(); owner != "somebody else" {
			t.Fatal("the release deleted another's lease")
		}
	})
}

func TestOutlastsASilence(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, lost *losses) {
		l := acquire(t, r)
		s.set(func(s *fakeStore) { s.broken = true })
		pass(50 * time.Second)
		wantHeld(t, l, true)
		s.set(func(s *fakeStore) { s.broken = false })
		pass(10 * time.Second)
		wantHeld(t, l, true)
		// 5 s each until there was no answer, then again 4 s later.
		want := seconds(20, 29, 38, 47, 56)
		if _, extended, _ := s.log(); !slices.Equal(extended, want) {
			t.Fatalf("extended at %v, want %v", extended, want)
		}
		pass(time.Hour)
		wantHeld(t, l, true)
		l.Release(t.Context())
		lost.want(t)
	})
}

func TestReleaseWhileExtending(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, lost *losses) {
		l := acquire(t, r)
		s.set(func(s *fakeStore) { s.delay = 3 * time.Second })
		pass(21 * time.Second)
		s.set(func(s *fakeStore) { s.delay = 0 })
		l.Release(t.Context()) // reaches the store first: the extension finds nothing
		wantHeld(t, l, false)
		pass(time.Hour)
		lost.want(t)
		if owner, _, _ := s.log(); owner != "" {
			t.Fatal("not released")
		}
	})
}

func TestReleaseAfterTheContextEnded(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, lost *losses) {
		ctx, cancel := context.WithCancel(t.Context())
		l, err := r.Acquire(ctx, "tenant:acme")
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		pass(time.Hour)
		wantHeld(t, l, true)
		l.Release(ctx)
		if owner, _, _ := s.log(); owner != "" {
			t.Fatal("not released")
		}
		lost.want(t)
	})
}

func TestReleaseWithoutAnAnswerEnds(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, _ *losses) {
		l := acquire(t, r)
		s.set(func(s *fakeStore) { s.broken = true })
		began := time.Now()
		l.Release(t.Context())
		if took := time.Since(began); took != 5*time.Second {
			t.Fatalf("took %s, want the time limit of one request", took)
		}
		wantHeld(t, l, false)
	})
}

func TestAcquireTooLate(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *fakeStore, r *Redis, lost *losses) {
		// A pause between the request and the look at its answer.
		r.store = pausedStore{fakeStore: s, pause: time.Minute}
		l, err := r.Acquire(t.Context(), "tenant:acme")
		if l != nil || !errors.Is(err, errLate) {
			t.Fatalf("got %v, %v, want an error", l, err)
		}
		if _, _, released := s.log(); released != 1 {
			t.Fatal("not released")
		}
		pass(time.Hour)
		lost.want(t)
	})
}

// pausedStore lets time pass after a lease was acquired.
type pausedStore struct {
	*fakeStore
	pause time.Duration
}

func (s pausedStore) acquire(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	ok, err := s.fakeStore.acquire(ctx, key, owner, ttl)
	time.Sleep(s.pause)
	return ok, err
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name         string
		in           Settings
		ttl, timeout time.Duration
	}{
		{"none", Settings{}, time.Minute, 5 * time.Second},
		{"a short TTL bounds a request", Settings{TTL: 3 * time.Second}, 3 * time.Second, time.Second},
		{"both", Settings{TTL: time.Hour, Timeout: time.Second}, time.Hour, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := test.in.withDefaults(); got.TTL != test.ttl || got.Timeout != test.timeout {
				t.Fatalf("got %s and %s, want %s and %s", got.TTL, got.Timeout, test.ttl, test.timeout)
			}
		})
	}
}
