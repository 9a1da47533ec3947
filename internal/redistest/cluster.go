package redistest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"refresher/internal/testport"
)

// slots is how many hash slots a Redis Cluster has.
const slots = 16384

// Cluster is a Redis Cluster of three masters without replicas.
type Cluster struct {
	Servers []*Server
}

// StartCluster starts a Cluster and returns when each of its nodes knows all of
// it and takes writes, which takes Redis two to three seconds.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	const masters = 3
	c := &Cluster{}
	buses := make([]int, masters)
	for i := range masters {
		bus, err := testport.Free()
		if err != nil {
			tb.Fatal(err)
		}
		buses[i] = bus
		c.Servers = append(c.Servers, start(tb,
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--cluster-node-timeout", "5000"))
	}
	for i, s := range c.Servers {
		node := s.Client(tb)
		must(tb, node.ClusterAddSlotsRange(tb.Context(), i*slots/masters, (i+1)*slots/masters-1).Err())
		// Different epochs from the start spare the nodes an argument about them.
		must(tb, node.Do(tb.Context(), "cluster", "set-config-epoch", i+1).Err())
	}
	first := c.Servers[0].Client(tb)
	for i, s := range c.Servers[1:] {
		must(tb, first.Do(tb.Context(), "cluster", "meet", "127.0.0.1", s.Port(), buses[i+1]).Err())
	}
	for _, s := range c.Servers {
		node := s.Client(tb)
		Eventually(tb, "a cluster that is ready", func() bool {
			info, err := node.ClusterInfo(tb.Context()).Result()
			return err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(masters))
		})
	}
	return c
}

// Client returns a client of the whole Cluster, closed at the test's cleanup.
func (c *Cluster) Client(tb testing.TB) *redis.ClusterClient {
	tb.Helper()
	options := &redis.ClusterOptions{MaxRetries: -1, ContextTimeoutEnabled: true}
	for _, s := range c.Servers {
		options.Addrs = append(options.Addrs, s.Addr)
	}
	client := redis.NewClusterClient(options)
	tb.Cleanup(func() { _ = client.Close() })
	return client
}

// MonitorCommands runs do and returns what clients asked of all nodes meanwhile,
// node by node; see Server.MonitorCommands.
func (c *Cluster) MonitorCommands(tb testing.TB, do func()) []string {
	tb.Helper()
	var sent []string
	watched := do
	for _, s := range c.Servers {
		inner := watched
		watched = func() { sent = append(sent, s.MonitorCommands(tb, inner)...) }
	}
	watched()
	return sent
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
