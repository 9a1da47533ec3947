package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"refresher/internal/credential"
)

const (
	// fleetFresh is how old what is known of the fleet may be when it is asked for.
	fleetFresh = 5 * time.Second
	// fleetPatience is how long the answer waits for newer knowledge.
	fleetPatience = 3 * time.Second
)

// Fleet is what is known of all credentials.
type Fleet struct {
	Entries []credential.Entry
	// Partial means that some entries, or some of what is known of them, may be
	// missing: then what was known before stands beside it.
	Partial bool
}

// fleet exports what is known of all credentials. Only the replica that scanned
// last has anything to say. It looks again when it is asked for, so that it costs
// nothing while nobody asks and is never older than a scrape.
type fleet struct {
	providers map[string]bool
	label     func(string) string
	max       int // credentials that are exported one by one

	collecting sync.Mutex
	mu         sync.Mutex
	mine       bool // this replica scanned last
	read       func(context.Context) (Fleet, error)
	entries    []credential.Entry
	at         time.Time

	credentials, grants, queue, oldestDue, intents, oldestIntent *prometheus.Desc
	status, expiry, grantExpiry, unshown                         *prometheus.Desc
}

func (m *Metrics) declareFleet(perCredential int) *fleet {
	m.section = "The fleet"
	f := &fleet{
		providers: m.providers, label: m.provider, max: perCredential,
		credentials:  m.desc("credentials", "Credentials by provider and status; a token past its expiry counts as expired, whatever was published, unless only the grant is kept alive (keep: grant).", "provider", "status"),
		grants:       m.desc("grants", "Rotating grants by the time that their refresh token has left: none, or at most so much. Each is in one class. An active one is rotated at its own time.", "left", "status"),
		queue:        m.desc("queue_entries", "Entries in the queue by when they are due: now, within the hour, later.", "due"),
		oldestDue:    m.desc("queue_oldest_due_seconds", "For how long the entry that is most overdue has waited for a worker; 0 if none has."),
		intents:      m.desc("open_intents", "Rotating grants whose last answer is not known."),
		oldestIntent: m.desc("open_intent_oldest_seconds", "Age of the oldest open intent; 0 if there is none."),
		status:       m.desc("credential_status", "Always 1; the labels say what a credential's status is. Opt-in: metrics.per_credential.", "tenant", "credential", "provider", "status"),
		expiry:       m.desc("credential_expiry_timestamp_seconds", "When a credential's published token expires; absent where only the grant is kept alive. Opt-in: metrics.per_credential.", "tenant", "credential", "provider"),
		grantExpiry:  m.desc("credential_grant_expiry_timestamp_seconds", "When a rotating grant's refresh token expires. Opt-in: metrics.per_credential.", "tenant", "credential", "provider"),
		unshown:      m.desc("credentials_not_shown", "Credentials beyond metrics.per_credential_max, which are not exported one by one: those least in need."),
	}
	m.registry.MustRegister(f)
	return f
}

// Describe implements prometheus.Collector.
func (f *fleet) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		f.credentials, f.grants, f.queue, f.oldestDue, f.intents, f.oldestIntent, f.status, f.expiry, f.grantExpiry, f.unshown,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *fleet) Collect(ch chan<- prometheus.Metric) {
	entries, mine := f.current()
	if !mine {
		return
	}
	gauge, now := gauges(ch), time.Now()
	c := f.count(entries, now)
	for k, n := range c.credentials {
		gauge(f.credentials, float64(n), k.provider, k.status)
	}
	for k, n := range c.grants {
		gauge(f.grants, float64(n), k.left, k.status)
	}
	for class, n := range c.queue {
		gauge(f.queue, float64(n), class)
	}
	gauge(f.oldestDue, c.oldestDue.Seconds())
	gauge(f.intents, float64(c.intents))
	gauge(f.oldestIntent, c.oldestIntent.Seconds())
	if f.max > 0 {
		f.eachCredential(gauge, entries, now)
	}
}

// current returns the fleet, newly read if what is known is old, and whether it
// is this replica's to export.
func (f *fleet) current() ([]credential.Entry, bool) {
	f.collecting.Lock()
	defer f.collecting.Unlock()
	f.mu.Lock()
	entries, mine, read, old := f.entries, f.mine, f.read, time.Since(f.at) > fleetFresh
	f.mu.Unlock()
	if !mine || !old || read == nil {
		return entries, mine
	}
	ctx, cancel := context.WithTimeout(context.Background(), fleetPatience)
	defer cancel()
	known, err := read(ctx)
	if err != nil {
		return entries, mine // what was known last is better than nothing
	}
	if known.Partial {
		known.Entries = overlay(entries, known.Entries)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mine {
		f.entries, f.at = known.Entries, time.Now()
	}
	return f.entries, f.mine
}

// overlay returns the old entries with what is newly known of them.
func overlay(old, fresh []credential.Entry) []credential.Entry {
	byID := make(map[credential.ID]credential.Entry, len(old))
	for _, e := range old {
		byID[e.ID] = e
	}
	for _, e := range fresh {
		if before, ok := byID[e.ID]; ok && e.Memo.CredentialVersion == 0 {
			// Not visited since: of its grant only the old entry tells.
			e.Memo.GrantExpiresAt, e.Memo.IntentSince = before.Memo.GrantExpiresAt, before.Memo.IntentSince
			e.Memo.Dormant = e.Memo.Dormant || before.Memo.Dormant
		}
		byID[e.ID] = e
	}
	all := make([]credential.Entry, 0, len(byID))
	for _, e := range byID {
		all = append(all, e)
	}
	return all
}

type (
	providerStatus struct{ provider, status string }
	leftStatus     struct{ left, status string }
)

// counts is what the fleet comes to.
type counts struct {
	credentials             map[providerStatus]int
	grants                  map[leftStatus]int
	queue                   map[string]int
	intents                 int
	oldestDue, oldestIntent time.Duration
}

func (f *fleet) count(entries []credential.Entry, now time.Time) counts {
	c := counts{
		credentials: map[providerStatus]int{}, grants: map[leftStatus]int{}, queue: map[string]int{"now": 0, "hour": 0, "later": 0},
	}
	// What there is none of is 0, and not absent: an alert ends at once then.
	for _, status := range credential.Statuses() {
		for provider := range f.providers {
			c.credentials[providerStatus{provider, string(status)}] = 0
		}
		for _, class := range leftClasses {
			c.grants[leftStatus{class.name, string(status)}] = 0
		}
	}
	for _, e := range entries {
		status := statusOf(e.Memo, now)
		c.credentials[providerStatus{f.label(e.Memo.Provider), status}]++
		c.queue[dueClass(e.Due.Sub(now))]++
		c.oldestDue = max(c.oldestDue, ageOf(e.Due, now))
		if !e.Memo.GrantExpiresAt.IsZero() {
			c.grants[leftStatus{leftClass(e.Memo.GrantExpiresAt.Sub(now)), status}]++
		}
		if !e.Memo.IntentSince.IsZero() {
			c.intents++
			c.oldestIntent = max(c.oldestIntent, ageOf(e.Memo.IntentSince, now))
		}
	}
	return c
}

// statusOf returns a credential's status as it is now: between two visits a token
// can expire without anybody publishing that. Nobody is cut off by the expiry of a
// dormant one: if that was published, then because its renewal failed.
func statusOf(memo credential.Memo, now time.Time) string {
	switch memo.Status {
	case "":
		return string(credential.StatusPending)
	case credential.StatusActive, credential.StatusRetrying:
		if memo.Expired(now) {
			return string(credential.StatusExpired)
		}
	case credential.StatusExpired:
		if memo.Dormant {
			return string(credential.StatusRetrying)
		}
	}
	return string(memo.Status)
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
	Entries []credential.Entry
	// Listed is how many credentials Vault's listing had, Invalid how many names that
	// none can have, and Missing how many known ones it lacked.
	Listed, Invalid, Missing int
	// Added, Dropped and Edited are what was done about it.
	Added, Dropped, Edited int
	Took                   time.Duration
	Err                    error
}

// Scanned notes the result of a scan by this replica. After a good one this
// replica exports the fleet.
func (m *Metrics) Scanned(s Scan) {
	m.scans.WithLabelValues(okOrError(s.Err)).Inc()
	m.scanSeconds.Set(s.Took.Seconds())
	m.missing.Set(float64(s.Missing))
	if s.Err == nil || s.Listed+s.Missing > 0 { // else it ended before it had a listing
		m.listed.Set(float64(s.Listed))
	}
	for change, n := range map[string]int{"added": s.Added, "dropped": s.Dropped, "edited": s.Edited} {
		m.scanChanges.WithLabelValues(change).Add(float64(n))
	}
	if s.Err != nil {
		return
	}
	m.lastScan.SetToCurrentTime()
	m.invalidNames.Set(float64(s.Invalid))
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.fleet.mine, m.fleet.entries, m.fleet.at = true, s.Entries, time.Now()
}

// FleetFrom says where the fleet is read between two scans; a read must end with
// its context.
func (m *Metrics) FleetFrom(read func(context.Context) (Fleet, error)) {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	m.fleet.read = read
}

// Retired ends the export of what this replica's scans found: another has scanned since.
func (m *Metrics) Retired() {
	m.fleet.mu.Lock()
	defer m.fleet.mu.Unlock()
	if m.fleet.mine {
		m.invalidNames.Set(0)
		m.missing.Set(0)
		m.listed.Set(0)
	}
	m.fleet.mine, m.fleet.entries = false, nil
}
