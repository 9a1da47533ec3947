package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// masterName is what the Sentinel calls the master that it watches.
const masterName = "main"

// Sentinel is a master with one replica, watched by one Sentinel that promotes
// the replica when the master has been silent for a second.
type Sentinel struct {
	Master, Replica, Watcher *Server
}

// StartSentinel starts the three and returns when the replica is in step and the
// Sentinel knows it.
func StartSentinel(tb testing.TB) *Sentinel {
	tb.Helper()
	s := &Sentinel{Master: start(tb, "--repl-diskless-sync-delay", "0")}
	s.Replica = start(tb, "--replicaof", "127.0.0.1", s.Master.Port())
	replica := s.Replica.Client(tb)
	Eventually(tb, "a replica in step", func() bool {
		info, err := replica.Info(tb.Context(), "replication").Result()
		return err == nil && strings.Contains(info, "master_link_status:up")
	})

	// The Sentinel rewrites its file, so it needs one.
	file := filepath.Join(tb.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 1\n"+
		"sentinel down-after-milliseconds %[1]s 1000\nsentinel failover-timeout %[1]s 5000\n", masterName, s.Master.Port())
	must(tb, os.WriteFile(file, []byte(text), 0o600))
	s.Watcher = start(tb, file, "--sentinel")
	watcher := redis.NewSentinelClient(&redis.Options{Addr: s.Watcher.Addr})
	tb.Cleanup(func() { _ = watcher.Close() })
	Eventually(tb, "a Sentinel that knows the replica", func() bool {
		replicas, err := watcher.Replicas(tb.Context(), masterName).Result()
		return err == nil && len(replicas) == 1
	})
	return s
}

// Client returns a client that asks the Sentinel for the master, closed at the
// test's cleanup.
func (s *Sentinel) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: masterName, SentinelAddrs: []string{s.Watcher.Addr}, MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	tb.Cleanup(func() { _ = client.Close() })
	return client
}
