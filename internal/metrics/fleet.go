package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"refresher/internal/credential"
)

// fleet exports what the scanner knows of all credentials. Only the replica that
// scanned last has anything to say, so that replicas do not double it; the times
// that are left are worked out anew at each collection.
type fleet struct {
	mu        sync.Mutex
	entries   []credential.Entry
	providers func(string) string

	credentials, grants, queue, intents, oldestIntent *prometheus.Desc
}

func newFleet() *fleet {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
	}
	return &fleet{
		credentials:  desc("credentials", "Credentials by provider and published status, from the scanner.", "provider", "status"),
		grants:       desc("grants", "Rotating grants by the time that their refresh token has left, from the scanner; each is in one class.", "left"),
		queue:        desc("queue_entries", "Entries in the queue by when they are due, from the scanner: now, within the hour, later.", "due"),
		intents:      desc("open_intents", "Rotating grants whose last answer is not known, from the scanner."),
		oldestIntent: desc("open_intent_oldest_seconds", "Age of the oldest open intent, from the scanner; 0 if there is none."),
	}
}

// Describe implements prometheus.Collector.
func (f *fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{f.credentials, f.grants, f.queue, f.intents, f.oldestIntent} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *fleet) Collect(ch chan<- prometheus.Metric) {
	f.mu.Lock()
	entries, label := f.entries, f.providers
	f.mu.Unlock()
	if label == nil {
		return
	}
	now := time.Now()
	type key struct{ provider, status string }
	credentials, grants, queue := map[key]int{}, map[string]int{}, map[string]int{"now": 0, "hour": 0, "later": 0}
	for _, class := range leftClasses {
		grants[class.name] = 0
	}
	intents, oldest := 0, time.Duration(0)
	for _, e := range entries {
		status := e.Memo.Status
		if status == "" {
			status = credential.StatusPending
		}
		credentials[key{label(e.Memo.Provider), string(status)}]++
		queue[dueClass(e.Due.Sub(now))]++
		if !e.Memo.GrantExpiresAt.IsZero() {
			grants[leftClass(e.Memo.GrantExpiresAt.Sub(now))]++
		}
		if !e.Memo.IntentSince.IsZero() {
			intents++
			oldest = max(oldest, now.Sub(e.Memo.IntentSince))
		}
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for k, n := range credentials {
		gauge(f.credentials, float64(n), k.provider, k.status)
	}
	for class, n := range grants {
		gauge(f.grants, float64(n), class)
	}
	for class, n := range queue {
		gauge(f.queue, float64(n), class)
	}
	gauge(f.intents, float64(intents))
	gauge(f.oldestIntent, oldest.Seconds())
}

var leftClasses = []struct {
	name string
	left time.Duration
}{
	{"none", 0},
	{"1h", time.Hour},
	{"1d", 24 * time.Hour},
	{"2d", 48 * time.Hour},
	{"7d", 7 * 24 * time.Hour},
	{"14d", 14 * 24 * time.Hour},
	{"more", 1 << 62},
}

func leftClass(left time.Duration) string {
	for _, class := range leftClasses {
		if left <= class.left {
			return class.name
		}
	}
	return "more"
}

func dueClass(in time.Duration) string {
	switch {
	case in <= 0:
		return "now"
	case in <= time.Hour:
		return "hour"
	default:
		return "later"
	}
}

// Scan is what a scan found, as far as metrics go.
type Scan struct {
	Entries          []credential.Entry
	Invalid, Missing int
	Took             time.Duration
	Err              error
}

// Scanned notes the result of a scan by this replica.
func (m *Metrics) Scanned(s Scan) {
	m.scans.WithLabelValues(okOrError(s.Err)).Inc()
	m.scanSeconds.Set(s.Took.Seconds())
	m.missing.Set(float64(s.Missing))
	if s.Err != nil {
		return
	}
	m.lastScan.SetToCurrentTime()
	m.invalidNames.Set(float64(s.Invalid))
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.fleet.entries, m.fleet.providers = s.Entries, m.provider
}

// Retired ends the export of the fleet: another replica has scanned since.
func (m *Metrics) Retired() {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.fleet.entries, m.fleet.providers = nil, nil
}
