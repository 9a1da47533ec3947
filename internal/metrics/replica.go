package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Replica is where the gauges of this process are read when they are asked for.
// The functions must not block.
type Replica struct {
	// Answers returns how many sealed answers stand in the spool, and since when
	// the oldest does.
	Answers func() (n int, oldest time.Time)
	// Disk returns the free bytes and the size of the spool's disk; both 0 if
	// they are not known.
	Disk func() (free, size uint64)
	// Workers is how many tenants may be worked on at once, and Busy how many are.
	Workers  int
	Busy     func() int
	LastTick func() time.Time
	// FromMemory reports whether Redis is away and the process works without it.
	FromMemory func() bool
	VaultUp    func() bool
	// RedisUp is nil if no Redis is configured.
	RedisUp func() bool
	// Breakers returns how many hosts of each provider are not called at the moment.
	Breakers func() map[string]int
	// ConfigHash is the same for the same configuration; 53 bits of it are exported.
	ConfigHash uint64
}

// replica is the collector of a Replica's gauges.
type replica struct {
	Replica
	providers map[string]bool

	answers, oldest, free, size, workers, busy, tick, memory, vault, redis, breakers, hash *prometheus.Desc
}

// Watch exports the gauges of this process. Call it once.
func (m *Metrics) Watch(r Replica) {
	m.section = "This replica"
	m.registry.MustRegister(&replica{
		Replica: r, providers: m.providers,
		answers:  m.desc("escrow_waiting", "Sealed answers in this replica's spool that are not in Vault yet."),
		oldest:   m.desc("escrow_oldest_seconds", "Age of the oldest of them; 0 if there is none."),
		free:     m.desc("escrow_disk_free_bytes", "What may still be written to the spool's disk."),
		size:     m.desc("escrow_disk_size_bytes", "The size of the spool's disk."),
		workers:  m.desc("workers", "Tenants that this replica works on at once at most."),
		busy:     m.desc("workers_busy", "Tenants that this replica is working on."),
		tick:     m.desc("last_tick_timestamp_seconds", "When this replica's loop last showed that it lives."),
		memory:   m.desc("working_from_memory", "1 while Redis is away and this replica renews from memory what is about to expire."),
		vault:    m.desc("vault_up", "1 if the login to Vault holds and the last request reached it."),
		redis:    m.desc("redis_up", "1 if the last look at the queue reached Redis; absent without Redis."),
		breakers: m.desc("breakers_open", "Hosts of a provider that are not called because they did not answer.", "provider"),
		hash:     m.desc("config_hash", "The same on all replicas that have the same configuration; secrets are left out of it."),
	})
}

// Describe implements prometheus.Collector.
func (r *replica) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		r.answers, r.oldest, r.free, r.size, r.workers, r.busy, r.tick, r.memory, r.vault, r.redis, r.breakers, r.hash,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (r *replica) Collect(ch chan<- prometheus.Metric) {
	gauge := gauges(ch)
	answers, oldest := r.Answers()
	gauge(r.answers, float64(answers))
	gauge(r.oldest, ageOf(oldest, time.Now()).Seconds())
	if free, size := r.Disk(); size > 0 {
		gauge(r.free, float64(free))
		gauge(r.size, float64(size))
	}
	gauge(r.workers, float64(r.Workers))
	gauge(r.busy, float64(r.Busy()))
	gauge(r.tick, float64(r.LastTick().Unix()))
	gauge(r.memory, oneIf(r.FromMemory()))
	gauge(r.vault, oneIf(r.VaultUp()))
	if r.RedisUp != nil {
		gauge(r.redis, oneIf(r.RedisUp()))
	}
	open := r.Breakers()
	for provider := range r.providers {
		gauge(r.breakers, float64(open[provider]), provider)
	}
	gauge(r.hash, float64(r.ConfigHash>>11))
}

// gauges returns a function that exports a gauge's value.
func gauges(ch chan<- prometheus.Metric) func(d *prometheus.Desc, value float64, labels ...string) {
	return func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// ageOf returns how long ago a time was; 0 if it is zero or to come.
func ageOf(since, now time.Time) time.Duration {
	if since.IsZero() {
		return 0
	}
	return max(now.Sub(since), 0)
}
