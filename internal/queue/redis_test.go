package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/redistest"
)

var prefixes atomic.Int64

// newPrefix keeps tests on one server apart.
func newPrefix() string { return fmt.Sprintf("t%d", prefixes.Add(1)) }

// TestIdleTickCostsOneCommand is the promise that nothing due costs nothing.
func TestIdleTickCostsOneCommand(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	cluster := redistest.StartCluster(t)
	for name, test := range map[string]struct {
		client  redis.UniversalClient
		monitor func(testing.TB, func()) []string
		shards  int
	}{
		"single server":     {server.Client(t), server.MonitorCommands, 1},
		"four shards":       {server.Client(t), server.MonitorCommands, 4},
		"cluster":           {cluster.Client(t), cluster.MonitorCommands, 1},
		"cluster, 4 shards": {cluster.Client(t), cluster.MonitorCommands, 4},
	} {
		t.Run(name, func(t *testing.T) {
			q := probe{index: queue.NewRedis(test.client, newPrefix(), test.shards), t: t}
			all := fleet(10_000)
			q.add(len(all), all...)
			q.check(q.MarkBuilt(t.Context(), "me"))
			q.claimNone(base.Add(-time.Second))

			for range 3 {
				sent := test.monitor(t, func() { q.claimNone(base.Add(-time.Second)) })
				if len(sent) != test.shards {
					t.Fatalf("an idle tick cost %d commands, want exactly %d: %q", len(sent), test.shards, sent)
				}
			}
			// A tick that finds something costs no more.
			sent := test.monitor(t, func() { q.claim(base.Add(time.Minute), 100) })
			if len(sent) != test.shards {
				t.Fatalf("a busy tick cost %d commands, want exactly %d: %q", len(sent), test.shards, sent)
			}
		})
	}
}

func TestScheduleIsOneCommand(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	q := probe{index: queue.NewRedis(server.Client(t), "q", 1), t: t}
	q.add(1, entry("a", "x", base))
	e := entry("a", "x", base)
	q.check(q.Schedule(t.Context(), e, base))
	if sent := server.MonitorCommands(t, func() { q.check(q.Schedule(t.Context(), e, base)) }); len(sent) != 1 {
		t.Fatalf("sent %q", sent)
	}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	q := probe{index: queue.NewRedis(client, "refresher", 4), t: t}
	q.add(100, fleet(100)...)
	q.check(q.MarkBuilt(t.Context(), "me"))

	got := client.Keys(t.Context(), "*").Val()
	slices.Sort(got)
	var want []string
	for n := range 4 {
		for _, part := range []string{"built", "due", "memo"} {
			want = append(want, fmt.Sprintf("refresher:{q%d}:%s", n, part))
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("keys %q, want %q", got, want)
	}
	home := map[string]int{}
	for n := range 4 {
		for _, member := range client.ZRange(t.Context(), fmt.Sprintf("refresher:{q%d}:due", n), 0, -1).Val() {
			tenant, _, _ := strings.Cut(member, "/")
			if other, ok := home[tenant]; ok && other != n {
				t.Fatalf("%s has entries in shards %d and %d", tenant, other, n)
			}
			home[tenant] = n
		}
	}
	if len(home) != 10 {
		t.Fatalf("%d tenants, want 10", len(home))
	}
}

func TestLostIndex(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	q := probe{index: queue.NewRedis(client, "q", 4), t: t}
	built := func() bool {
		t.Helper()
		c, err := q.Claim(t.Context(), base, 10, visibility)
		q.check(err)
		return c.Built
	}
	q.check(q.MarkBuilt(t.Context(), "me"))
	if !built() {
		t.Fatal("not built")
	}
	q.check(client.Del(t.Context(), "q:{q2}:built").Err())
	if built() {
		t.Fatal("built, though one shard lost its marker")
	}
	q.check(q.MarkBuilt(t.Context(), "me"))
	server.Restart(t)
	redistest.Eventually(t, "a server", func() bool { return client.Ping(t.Context()).Err() == nil })
	if built() {
		t.Fatal("built, though Redis began empty")
	}
}

// TestForgot: every process is told once that Redis has lost everything, whoever built the index
// again meanwhile, and not that it was scanned once more.
func TestForgot(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t)
	a := probe{index: queue.NewRedis(client, "q", 1), t: t}
	b := probe{index: queue.NewRedis(client, "q", 1), t: t}
	forgot := func(what string, p probe, want bool) {
		t.Helper()
		c, err := p.Claim(t.Context(), base, 10, visibility)
		p.check(err)
		if c.Forgot != want {
			t.Errorf("%s: forgot is %t, want %t", what, c.Forgot, want)
		}
	}
	a.check(a.MarkBuilt(t.Context(), "a 1"))
	forgot("a process that has just begun", a, true)
	forgot("the same again", a, false)
	forgot("another one", b, true)
	b.check(b.MarkBuilt(t.Context(), "b 2"))
	forgot("after another scan", a, false)
	a.check(client.FlushAll(t.Context()).Err())
	b.check(b.MarkBuilt(t.Context(), "b 3"))
	forgot("built again before it looked", a, true)
	forgot("once", a, false)
	a.check(client.FlushAll(t.Context()).Err())
	forgot("not built yet", a, true)
	forgot("still not", a, false)
	a.check(a.MarkBuilt(t.Context(), "a 4"))
	forgot("it may have been lost once more", a, true)
	c, err := a.Claim(t.Context(), base, 10, visibility)
	a.check(err)
	if c.Forgot || c.BuiltBy != "a 4" {
		t.Errorf("forgot is %t, built by %q", c.Forgot, c.BuiltBy)
	}
}

// TestLostOrder: Redis has thrown away when what is due, as it does with large keys first when it has
// no memory left, and neither the memos nor the marker. The index is to be built anew, once.
func TestLostOrder(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	q := probe{index: queue.NewRedis(client, "q", 1), t: t}
	built := func() bool {
		t.Helper()
		c, err := q.Claim(t.Context(), base.Add(-time.Second), 10, visibility)
		q.check(err)
		return c.Built
	}
	all := fleet(10)
	q.add(len(all), all...)
	q.check(q.MarkBuilt(t.Context(), "me"))
	if !built() {
		t.Fatal("not built")
	}
	q.check(client.Del(t.Context(), "q:{q0}:due").Err())
	if built() {
		t.Fatal("built, though nothing is in order any more")
	}
	// The fleet may have become empty meanwhile.
	q.check(q.MarkBuilt(t.Context(), "me"))
	if !built() {
		t.Fatal("not built, though a scan has found nothing to add")
	}
	q.add(len(all), all...)
	q.check(client.Del(t.Context(), "q:{q0}:memo").Err())
	if !built() {
		t.Fatal("not built, though all that is due is in order")
	}
}

func TestMembersThatDoNotBelong(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	// Four shards first, then one: what was in the first of four stays where it
	// is found, and belongs there. Then back to four.
	one := probe{index: queue.NewRedis(client, "q", 1), t: t}
	four := probe{index: queue.NewRedis(client, "q", 4), t: t}
	all := fleet(100)
	one.add(len(all), all...)
	for _, member := range []string{"no-slash", "UPPER/case", "a/b/c", "", "../x"} {
		one.check(client.ZAdd(t.Context(), "q:{q0}:due", redis.Z{Member: member}).Err())
		one.check(client.HSet(t.Context(), "q:{q0}:memo", member, "{}").Err())
	}

	listed, err := one.Entries(t.Context())
	one.check(err)
	if len(listed) != len(all) {
		t.Fatalf("listed %d entries, want %d", len(listed), len(all))
	}
	listed, err = four.Entries(t.Context())
	one.check(err)
	ours := len(four.claim(base.Add(time.Hour), 1000))
	if len(listed) != ours {
		t.Fatalf("listed %d entries, claimed %d", len(listed), ours)
	}
	if ours == 0 || ours == len(all) {
		t.Fatalf("the first of four shards claimed %d of %d entries", ours, len(all))
	}
	if n, err := one.Len(t.Context()); err != nil || n != ours {
		t.Fatalf("%d members left, %v, want the %d that belong there", n, err, ours)
	}
	if n := client.HLen(t.Context(), "q:{q0}:memo").Val(); int(n) != ours {
		t.Fatalf("%d memos left, want %d", n, ours)
	}
	four.add(len(all)-ours, all...)
}

func TestMemoThatCannotBeRead(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	for i, text := range []string{"", "}{", "null", "5", `"text"`, `{"f":"many"}`, `[1]`} {
		prefix := newPrefix()
		q := probe{index: queue.NewRedis(client, prefix, 1), t: t}
		x := id("a", "x")
		q.add(1, entry("a", "x", base))
		key := prefix + ":{q0}:memo"
		q.check(client.HSet(t.Context(), key, x.String(), text).Err())
		if got := q.claimOne(base, x); got.Memo != (credential.Memo{}) {
			t.Fatalf("case %d: memo %+v", i, got.Memo)
		}
		q.check(client.HSet(t.Context(), key, x.String(), text).Err())
		q.check(q.Schedule(t.Context(), entry("a", "x", base.Add(time.Hour)), base.Add(time.Hour)))
		q.check(client.HSet(t.Context(), key, x.String(), text).Err())
		q.check(q.Expedite(t.Context(), x, base, true))
		if got := q.claimOne(base.Add(2*visibility), x); !got.Memo.Forced {
			t.Fatalf("case %d: memo %+v", i, got.Memo)
		}
	}
}

func TestNoShardStarves(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	q := probe{index: queue.NewRedis(client, "q", 4), t: t}
	all := fleet(400)
	q.add(len(all), all...)
	seen := map[string]bool{}
	for range 40 {
		// No visibility: what was claimed is due again, and the backlog never ends.
		c, err := q.Claim(t.Context(), base.Add(time.Hour), 1, -2*time.Hour)
		q.check(err)
		if len(c.Entries) != 1 {
			t.Fatalf("claimed %v with a limit of 1", ids(c.Entries))
		}
		seen[c.Entries[0].ID.Tenant] = true
	}
	if len(seen) != 4 {
		t.Fatalf("claimed from %d shards, want all 4", len(seen))
	}
}

func TestOneShardFails(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	q := probe{index: queue.NewRedis(client, "q", 4), t: t}
	all := fleet(400)
	q.add(len(all), all...)
	lost := int(client.ZCard(t.Context(), "q:{q1}:due").Val())
	q.check(client.Set(t.Context(), "q:{q1}:due", "not a set", 0).Err())
	c, err := q.Claim(t.Context(), base.Add(time.Hour), 1000, visibility)
	if err == nil || !strings.Contains(err.Error(), "shard 1") {
		t.Fatalf("the error is %v", err)
	}
	if len(c.Entries) != len(all)-lost {
		t.Fatalf("claimed %d, want the %d of the other shards", len(c.Entries), len(all)-lost)
	}
}

func TestErrorsWhenRedisIsGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	client := server.Client(t, func(o *redis.Options) { o.DialerRetries = 1 })
	server.Stop(t)
	q := queue.NewRedis(client, "q", 1)
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"claim":    func() error { _, err := q.Claim(ctx, base, 1, visibility); return err },
		"schedule": func() error { return q.Schedule(ctx, entry("a", "x", base), base) },
		"add":      func() error { _, err := q.Add(ctx, entry("a", "x", base)); return err },
		"expedite": func() error { return q.Expedite(ctx, id("a", "x"), base, true) },
		"remove":   func() error { return q.Remove(ctx, id("a", "x")) },
		"entries":  func() error { _, err := q.Entries(ctx); return err },
		"len":      func() error { _, err := q.Len(ctx); return err },
		"mark":     func() error { return q.MarkBuilt(ctx, "me") },
	} {
		if call() == nil {
			t.Errorf("%s without Redis is no error", name)
		}
	}
}

func TestForgottenScripts(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	q := probe{index: queue.NewRedis(client, "q", 1), t: t}
	q.add(1, entry("a", "x", base))
	q.claimOne(base, id("a", "x"))
	q.check(client.ScriptFlush(t.Context()).Err())
	q.claimOne(base.Add(visibility), id("a", "x"))
}

// TestLostAnswerIsNotRepeated: go-redis sends a command again if its answer was
// lost, which would claim a second entry while nobody works on the first.
func TestLostAnswerIsNotRepeated(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := server.Proxy(t)
	single := server.Client(t, func(o *redis.Options) { o.Addr, o.MaxRetries = proxy.Addr, 3 })

	cluster := redistest.StartCluster(t)
	proxies := map[string]*redistest.Proxy{}
	addrs := make([]string, 0, len(cluster.Servers))
	for _, s := range cluster.Servers {
		proxies[s.Addr] = s.Proxy(t)
		addrs = append(addrs, s.Addr)
	}
	clustered := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, proxies[addr].Addr)
		},
	})
	t.Cleanup(func() { _ = clustered.Close() })

	for name, test := range map[string]struct {
		client redis.UniversalClient
		lose   func(n int)
	}{
		"single server": {single, func(n int) { proxy.LoseReply("evalsha", n) }},
		"cluster": {clustered, func(n int) {
			for _, p := range proxies {
				p.LoseReply("evalsha", n)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			q := probe{index: queue.NewRedis(test.client, "q", 1), t: t}
			q.add(3, entry("a", "x", base), entry("a", "y", base), entry("a", "z", base))
			if got := ids(q.claim(base, 1)); !slices.Equal(got, []string{"a/x"}) {
				t.Fatalf("claimed %q", got)
			}

			test.lose(1)
			if c, err := q.Claim(t.Context(), base, 1, visibility); err == nil {
				t.Fatalf("claimed %v, though the answer was lost", ids(c.Entries))
			}
			test.lose(0)
			if got := ids(q.claim(base, 100)); !slices.Equal(got, []string{"a/z"}) {
				t.Fatalf("claimed %q, want what the lost claim did not take", got)
			}
		})
	}
}

// TestRedisAndMemoryAgree does the same at random in both.
func TestRedisAndMemoryAgree(t *testing.T) {
	t.Parallel()
	client := redistest.Start(t).Client(t)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		a := probe{index: queue.NewMemory(), t: t}
		b := probe{index: queue.NewRedis(client, newPrefix(), 1), t: t}
		now := base
		var claimed []queue.Claimed
		for step := range 200 {
			e := entry(fmt.Sprintf("t%d", r.IntN(3)), fmt.Sprintf("c%d", r.IntN(4)), now.Add(time.Duration(r.IntN(600)-60)*time.Second))
			e.Memo.Failures, e.Memo.Forced = r.IntN(3), r.IntN(4) == 0
			now = now.Add(time.Duration(r.IntN(90_000)) * time.Millisecond)
			op, forced, limit := r.IntN(6), r.IntN(2) == 0, r.IntN(5)
			var until time.Time
			if len(claimed) > 0 && r.IntN(3) > 0 {
				c := claimed[r.IntN(len(claimed))]
				e.ID, until = c.ID, c.Until
			}
			var got [2][]queue.Claimed
			for i, q := range []probe{a, b} {
				switch op {
				case 0:
					_, err := q.Add(t.Context(), e)
					q.check(err)
				case 1:
					q.check(q.Expedite(t.Context(), e.ID, now, forced))
				case 2:
					q.check(q.Remove(t.Context(), e.ID))
				case 3:
					q.check(q.Schedule(t.Context(), e, until))
				default:
					got[i] = q.claim(now, limit)
				}
			}
			if !slices.Equal(got[0], got[1]) {
				t.Fatalf("seed %d, step %d: memory claimed %v, Redis %v", seed, step, got[0], got[1])
			}
			claimed = append(claimed, got[0]...)
			if left, right := sorted(a), sorted(b); !slices.Equal(left, right) {
				t.Fatalf("seed %d, step %d, operation %d: memory has %v, Redis %v", seed, step, op, left, right)
			}
		}
	}
}

func sorted(p probe) []credential.Entry {
	p.t.Helper()
	all, err := p.Entries(p.t.Context())
	p.check(err)
	slices.SortFunc(all, func(a, b credential.Entry) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return all
}

func BenchmarkClaimNothingDue(b *testing.B) {
	client := redistest.Start(b).Client(b)
	for name, q := range map[string]index{
		"memory":       queue.NewMemory(),
		"redis":        queue.NewRedis(client, "one", 1),
		"redis-shards": queue.NewRedis(client, "four", 4),
	} {
		b.Run(name, func(b *testing.B) {
			if n, _ := q.Len(b.Context()); n == 0 {
				if n, err := q.Add(b.Context(), fleet(100_000)...); err != nil || n != 100_000 {
					b.Fatal(n, err)
				}
			}
			for b.Loop() {
				c, err := q.Claim(b.Context(), base.Add(-time.Second), 100, visibility)
				if err != nil || len(c.Entries) != 0 {
					b.Fatal(len(c.Entries), err)
				}
			}
		})
	}
}

func BenchmarkEntries(b *testing.B) {
	q := queue.NewRedis(redistest.Start(b).Client(b), "q", 1)
	if _, err := q.Add(b.Context(), fleet(100_000)...); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if all, err := q.Entries(b.Context()); err != nil || len(all) != 100_000 {
			b.Fatal(len(all), err)
		}
	}
}
