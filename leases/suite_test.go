package leases_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/redistest"
	"refresher/leases"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// leaser is what both implementations offer.
type leaser interface {
	Acquire(ctx context.Context, key string) (credential.Lease, error)
}

var (
	_ leaser = (*leases.Redis)(nil)
	_ leaser = (*leases.Memory)(nil)
)

const key = "tenant:acme"

var prefixes atomic.Int64

// newPrefix keeps tests on one server apart.
func newPrefix() string { return fmt.Sprintf("t%d", prefixes.Add(1)) }

func TestMemory(t *testing.T) {
	t.Parallel()
	conformance(t, func() leaser { return leases.NewMemory() })
}

func TestRedis(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	conformance(t, func() leaser { return leases.NewRedis(client, newPrefix(), leases.Settings{}) })
}

func TestCluster(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t).Client(t)
	conformance(t, func() leaser { return leases.NewRedis(client, newPrefix(), leases.Settings{}) })
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	client := redistest.StartSentinel(t).Client(t)
	conformance(t, func() leaser { return leases.NewRedis(client, newPrefix(), leases.Settings{}) })
}

// conformance is what all leases must do; free makes some of which none is held.
func conformance(t *testing.T, free func() leaser) {
	for name, test := range map[string]func(*testing.T, leaser){
		"one holder at a time":       oneHolder,
		"keys do not concern others": keysApart,
		"release is idempotent":      releaseTwice,
		"release outlives a context": releaseAfterCancel,
		"acquire with an ended ctx":  acquireCancelled,
		"one of many gets it":        oneOfMany,
		"many releases at once":      manyReleases,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, free())
		})
	}
}

func acquire(t *testing.T, l leaser, key string) credential.Lease {
	t.Helper()
	lease, err := l.Acquire(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if !lease.Held() {
		t.Fatal("acquired and not held")
	}
	return lease
}

func wantTaken(t *testing.T, l leaser, key string) {
	t.Helper()
	if lease, err := l.Acquire(t.Context(), key); !errors.Is(err, credential.ErrLeaseHeld) || lease != nil {
		t.Fatalf("got %v, %v, want ErrLeaseHeld", lease, err)
	}
}

func oneHolder(t *testing.T, l leaser) {
	first := acquire(t, l, key)
	wantTaken(t, l, key)
	first.Release(t.Context())
	if first.Held() {
		t.Fatal("released and still held")
	}
	acquire(t, l, key).Release(t.Context())
}

func keysApart(t *testing.T, l leaser) {
	a, b := acquire(t, l, "tenant:acme"), acquire(t, l, "scan")
	a.Release(t.Context())
	if !b.Held() {
		t.Fatal("the release of one key ended another")
	}
	wantTaken(t, l, "scan")
	b.Release(t.Context())
}

func releaseTwice(t *testing.T, l leaser) {
	first := acquire(t, l, key)
	first.Release(t.Context())
	second := acquire(t, l, key)
	first.Release(t.Context())
	wantTaken(t, l, key)
	if first.Held() || !second.Held() {
		t.Fatal("the second holder's lease went to the first")
	}
	second.Release(t.Context())
}

func releaseAfterCancel(t *testing.T, l leaser) {
	ctx, cancel := context.WithCancel(t.Context())
	lease, err := l.Acquire(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if !lease.Held() {
		t.Fatal("the lease ended with the context of its Acquire")
	}
	lease.Release(ctx)
	acquire(t, l, key).Release(t.Context())
}

func acquireCancelled(t *testing.T, l leaser) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if lease, err := l.Acquire(ctx, key); !errors.Is(err, context.Canceled) || lease != nil {
		t.Fatalf("got %v, %v", lease, err)
	}
	acquire(t, l, key).Release(t.Context())
}

func oneOfMany(t *testing.T, l leaser) {
	var wait sync.WaitGroup
	var got, held atomic.Int64
	release := make(chan struct{})
	for range 16 {
		wait.Go(func() {
			lease, err := l.Acquire(t.Context(), key)
			if err == nil {
				got.Add(1)
				<-release
				lease.Release(t.Context())
			} else if errors.Is(err, credential.ErrLeaseHeld) && held.Add(1) == 15 {
				close(release)
			}
		})
	}
	wait.Wait()
	if got.Load() != 1 || held.Load() != 15 {
		t.Fatalf("%d of 16 got the lease, %d were told that it is held", got.Load(), held.Load())
	}
}

func manyReleases(t *testing.T, l leaser) {
	lease := acquire(t, l, key)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() { lease.Release(t.Context()) })
	}
	wait.Wait()
	acquire(t, l, key).Release(t.Context())
}

func TestLayout(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	l := leases.NewRedis(client, "refresher", leases.Settings{TTL: time.Hour})
	lease := acquire(t, l, key)
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 1 || keys[0] != "refresher:lease:tenant:acme" {
		t.Fatalf("keys %q", keys)
	}
	if ttl := client.PTTL(t.Context(), "refresher:lease:tenant:acme").Val(); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Fatalf("it expires in %s", ttl)
	}
	lease.Release(t.Context())
	if keys := client.Keys(t.Context(), "*").Val(); len(keys) != 0 {
		t.Fatalf("keys %q", keys)
	}
}

func TestExtendedBeyondTheTTL(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	const ttl = 2 * time.Second
	l := leases.NewRedis(client, "p", leases.Settings{TTL: ttl})
	lease := acquire(t, l, key)
	began := time.Now()
	redistest.Eventually(t, "twice the TTL", func() bool {
		if !lease.Held() {
			t.Fatalf("lost after %s", time.Since(began))
		}
		wantTaken(t, l, key)
		return time.Since(began) > 2*ttl
	})
	lease.Release(t.Context())
}

// TestPausedHolder is a holder that hears nothing of Redis for longer than the
// lease lasts, and wakes up when another has it.
func TestPausedHolder(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := server.Proxy(t)
	lost := make(chan string, 1)
	cut := leases.NewRedis(server.Client(t, func(o *redis.Options) { o.Addr, o.DialerRetries = proxy.Addr, 1 }), "p",
		leases.Settings{TTL: 1500 * time.Millisecond, OnLost: func(key string) { lost <- key }})
	others := leases.NewRedis(server.Client(t), "p", leases.Settings{})

	first := acquire(t, cut, key)
	proxy.Cut()
	var second credential.Lease
	redistest.Eventually(t, "the end of the lease", func() bool {
		held := first.Held()
		lease, err := others.Acquire(t.Context(), key)
		if err == nil && held && first.Held() {
			t.Error("two hold the lease")
		}
		second = lease
		return err == nil
	})
	redistest.Eventually(t, "word of the loss", func() bool { return len(lost) == 1 })
	proxy.Heal()
	if first.Held() {
		t.Fatal("a lost lease came back")
	}
	first.Release(t.Context())
	wantTaken(t, others, key)
	if !second.Held() {
		t.Fatal("the first holder took the second one's lease with it")
	}
	second.Release(t.Context())
}

// TestKeyIsNoLongerOurs is a Redis that forgot the lease, and may have given it to
// another since: the holder must notice, and leave the key alone.
func TestKeyIsNoLongerOurs(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	for name, theirs := range map[string]time.Duration{"gone": 0, "another's": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lost := make(chan string, 2)
			prefix := newPrefix()
			l := leases.NewRedis(client, prefix, leases.Settings{TTL: 3 * time.Second, OnLost: func(key string) { lost <- key }})
			lease := acquire(t, l, key)
			inRedis := prefix + ":lease:" + key
			client.Del(t.Context(), inRedis)
			if theirs > 0 {
				client.Set(t.Context(), inRedis, "theirs", theirs)
			}

			redistest.Eventually(t, "the loss", func() bool { return !lease.Held() && len(lost) == 1 })
			lease.Release(t.Context())
			if left := client.PTTL(t.Context(), inRedis).Val(); (left > theirs/2) != (theirs > 0) {
				t.Fatalf("the key expires in %s", left)
			}
			if len(lost) != 1 {
				t.Fatal("lost twice")
			}
		})
	}
}

// TestLostAnswer is an answer to SET NX that does not arrive: the key is set, and
// nobody holds the lease.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := server.Proxy(t)
	through := func(retries int) leaser {
		client := server.Client(t, func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr, retries })
		return leases.NewRedis(client, "p", leases.Settings{TTL: 1500 * time.Millisecond})
	}
	others := leases.NewRedis(server.Client(t), "p", leases.Settings{})
	acquire(t, others, "warm").Release(t.Context()) // so that the script is known

	proxy.LoseReply("evalsha", 1)
	lease, err := through(-1).Acquire(t.Context(), key)
	if err == nil || errors.Is(err, credential.ErrLeaseHeld) || lease != nil {
		t.Fatalf("got %v, %v, want an error that is not ErrLeaseHeld", lease, err)
	}
	wantTaken(t, others, key)
	redistest.Eventually(t, "the end of the lease that nobody has", func() bool {
		lease, err := others.Acquire(t.Context(), key)
		if err == nil {
			lease.Release(t.Context())
		}
		return err == nil
	})

	// A client that repeats the request is told that the lease is its own.
	proxy.LoseReply("evalsha", 1)
	lease = acquire(t, through(3), key)
	if proxy.Pending() != 0 {
		t.Fatal("no answer was lost")
	}
	wantTaken(t, others, key)
	lease.Release(t.Context())
}

func TestAcquireIsOneCommand(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := leases.NewRedis(server.Client(t), "p", leases.Settings{})
	acquire(t, l, key).Release(t.Context())
	sent := server.MonitorCommands(t, func() { acquire(t, l, key).Release(t.Context()) })
	if len(sent) != 2 {
		t.Fatalf("sent %q, want one command to acquire and one to release", sent)
	}
}
