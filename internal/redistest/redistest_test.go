package redistest_test

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"refresher/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := s.Client(t)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}

	s.Stop(t)
	if err := client.Get(t.Context(), "k").Err(); err == nil {
		t.Fatal("a stopped server answered")
	}
	s.Stop(t)

	s.Restart(t)
	redistest.Eventually(t, "an answer after the restart", func() bool {
		return client.Get(t.Context(), "k").Err() == redis.Nil
	})
}

func TestMonitorCommands(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := s.Client(t)

	sent := s.MonitorCommands(t, func() {
		client.Set(t.Context(), "k", `a "quoted" value`, 0)
		client.Eval(t.Context(), "return redis.call('GET', KEYS[1])", []string{"k"})
		client.Ping(t.Context())
	})

	if len(sent) != 2 || !strings.HasPrefix(sent[0], "set k ") || !strings.HasPrefix(sent[1], "eval ") {
		t.Fatalf("sent %q, want one SET and one EVAL, without the GET inside it", sent)
	}
	if sent := s.MonitorCommands(t, func() {}); len(sent) != 0 {
		t.Fatalf("sent %q, want nothing", sent)
	}
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	client := c.Client(t)
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	sent := c.MonitorCommands(t, func() {
		for _, k := range keys {
			if err := client.Set(t.Context(), k, "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if len(sent) != len(keys) {
		t.Fatalf("sent %q, want one SET for each of %q", sent, keys)
	}
	var nodes []string
	err := client.ForEachMaster(t.Context(), func(ctx context.Context, node *redis.Client) error {
		return node.Ping(ctx).Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Servers {
		n, err := s.Client(t).DBSize(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			nodes = append(nodes, s.Addr)
		}
	}
	if len(nodes) != len(c.Servers) {
		t.Fatalf("only %q hold keys", nodes)
	}
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	client := s.Client(t)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	replica := s.Replica.Client(t)
	redistest.Eventually(t, "the replica's copy", func() bool {
		v, err := replica.Get(t.Context(), "k").Result()
		return err == nil && v == "v"
	})

	s.Master.Stop(t)
	redistest.Eventually(t, "the replica in the master's place", func() bool {
		return client.Set(t.Context(), "k", "w", 0).Err() == nil
	})
	if v, err := replica.Get(t.Context(), "k").Result(); err != nil || v != "w" {
		t.Fatalf("the replica holds %q, %v", v, err)
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := s.Proxy(t)
	through := s.Client(t, func(o *redis.Options) { o.Addr = p.Addr })
	direct := s.Client(t)

	if err := through.Set(t.Context(), "k", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}

	p.LoseReply("incr", 1)
	if err := through.Incr(t.Context(), "k").Err(); err == nil {
		t.Fatal("the lost reply arrived")
	}
	if v := direct.Get(t.Context(), "k").Val(); v != "2" {
		t.Fatalf("k is %q: the request whose reply was lost must have its effect, once", v)
	}
	if p.Pending() != 0 {
		t.Fatalf("%d replies still to be lost", p.Pending())
	}

	p.Cut()
	if err := through.Incr(t.Context(), "k").Err(); err == nil {
		t.Fatal("a cut proxy let a request through")
	}
	p.Heal()
	redistest.Eventually(t, "a request after Heal", func() bool { return through.Incr(t.Context(), "k").Err() == nil })
	if v := direct.Get(t.Context(), "k").Val(); v != "3" {
		t.Fatalf("k is %q, want 3", v)
	}
}
