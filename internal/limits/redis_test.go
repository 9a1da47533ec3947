package limits_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/limits"
	"refresher/internal/redistest"
)

func TestTakeIsOneCommand(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := probe{limiter: limits.NewRedis(server.Client(t), "p"), t: t, b: limits.Budget{Rate: 1, Burst: 2, Concurrency: 1}}
	p.ok(base, none).Release(t.Context())
	for want, do := range [][]func(){
		{},
		{func() { p.ok(base, none) }},
		{func() { p.soon(at(1), none) }, func() { p.place(at(1), none, at(2)) }},
	} {
		sent := server.MonitorCommands(t, func() {
			for _, f := range do {
				f()
			}
		})
		if len(sent) != want {
			t.Fatalf("sent %q, want %d commands", sent, want)
		}
	}
	p.b = limits.Budget{}
	if sent := server.MonitorCommands(t, func() { p.ok(base, none).Release(t.Context()) }); len(sent) != 0 {
		t.Fatalf("sent %q, though nothing is limited", sent)
	}
}

func TestLayoutAndExpiry(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	p := probe{limiter: limits.NewRedis(client, "refresher"), t: t}
	p.b = limits.Budget{Rate: 0.1, Burst: 1, Concurrency: 2, Hold: 10 * time.Minute}
	p.ok(base, none)
	p.place(base, none, at(10))
	p.b.Hold = time.Minute // a shorter one must not shorten the life of the set
	p.ok(at(20), none)

	keys := client.Keys(t.Context(), "*").Val()
	slices.Sort(keys)
	if want := []string{"refresher:{limit:kibo}:holders", "refresher:{limit:kibo}:rate"}; !slices.Equal(keys, want) {
		t.Fatalf("keys %q, want %q", keys, want)
	}
	for key, want := range map[string]time.Duration{keys[0]: 11 * time.Minute, keys[1]: 70 * time.Second} {
		if ttl := client.PTTL(t.Context(), key).Val(); ttl > want || ttl < want-30*time.Second {
			t.Errorf("%s expires in %s, want %s", key, ttl, want)
		}
	}
}

// TestRepeatedRequest is a client that sends a request again because its answer
// was lost: the holder that the first one made is the same.
func TestRepeatedRequest(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := server.Proxy(t)
	client := server.Client(t, func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr, 3 })
	p := probe{limiter: limits.NewRedis(client, "p"), t: t, b: limits.Budget{Concurrency: 1}}
	p.ok(base, none).Release(t.Context())

	proxy.LoseReply("evalsha", 1)
	turn := p.ok(base, none)
	if proxy.Pending() != 0 {
		t.Fatal("no answer was lost")
	}
	p.soon(base, none)
	turn.Release(t.Context())
	p.ok(base, none)
}

func TestRedisIsGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t, func(o *redis.Options) { o.DialerRetries = 1 })
	l := limits.NewRedis(client, "p")
	held, err := l.Take(t.Context(), "kibo", limits.Budget{Concurrency: 1}, base, none)
	if err != nil {
		t.Fatal(err)
	}
	server.Stop(t)
	turn, err := l.Take(t.Context(), "kibo", limits.Budget{Concurrency: 1}, base, none)
	if err == nil || !strings.Contains(err.Error(), "kibo") || turn.OK || turn.Release == nil {
		t.Fatalf("got %+v, %v", turn, err)
	}
	turn.Release(t.Context())
	held.Release(t.Context())
}

// TestRedisAndMemoryAgree does the same at random in both.
func TestRedisAndMemoryAgree(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 2))
		budget := limits.Budget{
			Rate: []float64{0, 0.7, 3, 50}[r.IntN(4)], Burst: r.IntN(4), Concurrency: r.IntN(4), Hold: time.Duration(1+r.IntN(30)) * time.Second,
		}
		memory := probe{limiter: limits.NewMemory(), t: t, b: budget}
		shared := probe{limiter: limits.NewRedis(client, newPrefix()), t: t, b: budget}
		now := base
		var slots []time.Time
		var held [][2]limits.Turn
		for step := range 150 {
			now = now.Add(time.Duration(r.IntN(1500)) * time.Millisecond * time.Duration(1+r.IntN(2)*r.IntN(40)))
			slot := none
			if len(slots) > 0 && r.IntN(2) == 0 {
				slot = slots[r.IntN(len(slots))]
			}
			a, b := memory.take(now, slot), shared.take(now, slot)
			near := now.Add(time.Second + time.Millisecond) // where chance has a part
			if a.OK != b.OK || (!a.SlotAt.Equal(b.SlotAt) && (a.SlotAt.After(near) || b.SlotAt.After(near))) {
				t.Fatalf("seed %d, step %d, %+v: memory says %t %s, Redis %t %s", seed, step, budget, a.OK, a.SlotAt, b.OK, b.SlotAt)
			}
			if a.OK {
				held = append(held, [2]limits.Turn{a, b})
			} else {
				slots = append(slots, a.SlotAt)
			}
			if len(held) > 0 && r.IntN(2) == 0 {
				i := r.IntN(len(held))
				held[i][0].Release(t.Context())
				held[i][1].Release(t.Context())
			}
		}
	}
}
