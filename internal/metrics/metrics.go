// Package metrics declares the service's Prometheus metrics; docs/metrics.md lists
// them and is made from what is declared here.
//
// Their names begin with "refresher_", their units are base units, and their labels
// come from the program and the configuration alone, never from what is stored or
// sent: no tenant, no host, no provider that is not registered. The one exception is
// asked for by configuration and bounded: see Settings.PerCredential.
//
// What concerns one replica is exported by each. What concerns the fleet is
// exported by one replica alone, the one that scanned last, so that nothing is
// counted twice.
package metrics

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "refresher"

// otherProvider stands for whatever a stored document calls its provider, if
// there is no such provider.
const otherProvider = "unknown"

// Settings say what a process is and knows.
type Settings struct {
	Version, Commit string
	// Providers are the names that may become labels.
	Providers []string
	// Rotating are the providers that have rotating grants, and Events what can
	// happen to those: each pair is exported from the start, at 0, because the step
	// from nothing to 1 is none that Prometheus can see.
	Rotating, Events []string
	// Degraded are what Degraded is told of, exported from the start as well.
	Degraded []string
	// PerCredential exports each credential's state with its tenant and name as
	// labels, of at most this many credentials; 0: none.
	PerCredential int
}

// Metrics are all metrics of one process. Its methods may be called from several
// goroutines at once, and do not block.
type Metrics struct {
	registry  *prometheus.Registry
	section   string // what is being declared
	reference []Info
	providers map[string]bool

	renewals       *prometheus.CounterVec
	renewalSeconds *prometheus.HistogramVec
	lateSeconds    prometheus.Observer
	events         *prometheus.CounterVec
	ticks          *prometheus.CounterVec
	claimed        prometheus.Counter
	leasesHeld     prometheus.Counter
	leasesLost     prometheus.Counter
	admissions     *prometheus.CounterVec
	waitSeconds    *prometheus.HistogramVec
	degraded       *prometheus.CounterVec
	vaultRequests  *prometheus.CounterVec
	vaultSeconds   *prometheus.HistogramVec
	vaultLogins    *prometheus.CounterVec
	vaultExpiry    prometheus.Gauge
	redisCommands  *prometheus.CounterVec
	redisSeconds   *prometheus.HistogramVec
	clockSkew      *prometheus.GaugeVec
	scans          *prometheus.CounterVec
	scanSeconds    prometheus.Gauge
	lastScan       prometheus.Gauge
	invalidNames   prometheus.Gauge
	missing        prometheus.Gauge
	listed         prometheus.Gauge
	scanChanges    *prometheus.CounterVec
	fleet          *fleet
}

// New returns the metrics of a process.
func New(s Settings) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), providers: map[string]bool{}}
	for _, p := range s.Providers {
		m.providers[p] = true
	}
	m.declareRenewals()
	m.declareStores()
	m.declareScans()
	m.fleet = m.declareFleet(s.PerCredential)
	m.section = "This replica"
	m.gaugeVec("build_info", "Always 1; the labels say which build runs.", "version", "commit", "goversion").
		WithLabelValues(s.Version, s.Commit, runtime.Version()).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.beginAtZero(s)
	return m
}

// beginAtZero exports what is counted before it has happened, wherever the labels'
// values are known: Prometheus sees no step from nothing to 1.
func (m *Metrics) beginAtZero(s Settings) {
	for _, what := range s.Degraded {
		m.degraded.WithLabelValues(what)
	}
	for _, change := range []string{"added", "dropped", "edited"} {
		m.scanChanges.WithLabelValues(change)
	}
	for _, counter := range []*prometheus.CounterVec{m.scans, m.ticks, m.vaultLogins} {
		counter.WithLabelValues("ok")
		counter.WithLabelValues("error")
	}
	for _, provider := range s.Rotating {
		for _, event := range s.Events {
			m.events.WithLabelValues(event, provider)
		}
	}
}

func (m *Metrics) declareRenewals() {
	m.section = "Renewals"
	m.renewals = m.counterVec("renewals_total", "Visits to credentials, by what they came to; reason is the error's code, empty if there was none.", "provider", "auth", "result", "reason")
	m.renewalSeconds = m.histogramVec("renewal_duration_seconds", "How long a visit took.", durations, "provider", "result")
	m.lateSeconds = m.histogram("renewal_lateness_seconds", "How long after its due time a credential was visited.", []float64{.5, 1, 2, 5, 15, 60, 300, 1800})
	m.events = m.counterVec("protocol_events_total", "What happened to rotating grants beside the ordinary; docs/architecture.md explains each.", "event", "provider")
	m.ticks = m.counterVec("ticks_total", "Looks at the queue, by how they went: ok, error.", "result")
	m.claimed = m.counter("claimed_total", "Entries claimed from the queue.")
	m.leasesHeld = m.counter("lease_waits_total", "Times that a tenant's lease was held by another worker.")
	m.leasesLost = m.counter("lease_losses_total", "Leases that ended before their work did.")
	m.admissions = m.counterVec("admissions_deferred_total", "Calls that were put off, by what held them back: breaker, rate_limit.", "provider", "reason")
	m.waitSeconds = m.histogramVec("rate_limit_wait_seconds", "For how long the rate limit put a call off.", []float64{.1, .5, 1, 5, 15, 60, 300, 1800}, "provider")
	m.degraded = m.counterVec("escrow_degraded_total", "Times that one of the two places for sealed answers failed and the other stood alone.", "what")
}

func (m *Metrics) declareStores() {
	m.section = "Vault, Redis and the clock"
	m.vaultRequests = m.counterVec("vault_requests_total", "Requests to Vault, by operation and how they went: ok, or why not.", "operation", "result")
	m.vaultSeconds = m.histogramVec("vault_request_duration_seconds", "How long Vault took to answer.", durations, "operation")
	m.vaultLogins = m.counterVec("vault_logins_total", "Logins to Vault, by how they went: ok, error.", "result")
	m.vaultExpiry = m.gauge("vault_token_expiry_timestamp_seconds", "When the service's own Vault token expires; 0 if it does not.")
	m.redisCommands = m.counterVec("redis_commands_total", "Commands sent to Redis, by how they went: ok, error.", "command", "result")
	m.redisSeconds = m.histogramVec("redis_command_duration_seconds", "How long Redis took to answer.", []float64{.0005, .001, .0025, .005, .01, .025, .1, .5, 2}, "command")
	m.clockSkew = m.gaugeVec("clock_skew_seconds", "How far this machine's clock is ahead of the peer's, to about a second; absent until it is known.", "peer")
}

func (m *Metrics) declareScans() {
	m.section = "Scans"
	m.scans = m.counterVec("scans_total", "Scans of Vault by this replica, by how they went: ok, error.", "result")
	m.scanSeconds = m.gauge("scan_duration_seconds", "How long this replica's last scan took.")
	m.lastScan = m.gauge("last_scan_timestamp_seconds", "When this replica last completed a scan; 0 if never. The newest of all replicas counts.")
	m.invalidNames = m.gauge("invalid_names", "Names below credentials/ that no credential can have, as this replica's last scan found.")
	m.missing = m.gauge("scan_missing_credentials", "Known credentials that this replica's last listing of Vault did not have.")
	m.listed = m.gauge("scan_credentials", "Credentials that this replica's last listing of Vault had; 0 once another replica has scanned.")
	m.scanChanges = m.counterVec("scan_changes_total", "What this replica's scans found changed in Vault: credentials added, edited, dropped because they are gone.", "change")
}

var durations = []float64{.005, .02, .1, .25, .5, 1, 2.5, 5, 15, 60, 120}

// Handler serves the metrics in Prometheus's formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// provider returns the label for a provider's name.
func (m *Metrics) provider(name string) string {
	if m.providers[name] {
		return name
	}
	return otherProvider
}

// Renewal counts a visit. auth and reason come from the program.
func (m *Metrics) Renewal(provider, auth, result, reason string, took, late time.Duration) {
	provider = m.provider(provider)
	if provider == otherProvider {
		auth = ""
	}
	m.renewals.WithLabelValues(provider, auth, result, reason).Inc()
	m.renewalSeconds.WithLabelValues(provider, result).Observe(took.Seconds())
	m.lateSeconds.Observe(max(late, 0).Seconds())
}

// Event counts what happened to a rotating grant.
func (m *Metrics) Event(event, provider string) {
	m.events.WithLabelValues(event, m.provider(provider)).Inc()
}

// Tick counts a look at the queue.
func (m *Metrics) Tick(claimed int, err error) {
	m.ticks.WithLabelValues(okOrError(err)).Inc()
	m.claimed.Add(float64(claimed))
}

// LeaseHeld counts a tenant that another worker has.
func (m *Metrics) LeaseHeld() { m.leasesHeld.Inc() }

// LeaseLost counts a lease that ended before its work did.
func (m *Metrics) LeaseLost() { m.leasesLost.Inc() }

// BreakerOpen counts a call that was put off because its host is down.
func (m *Metrics) BreakerOpen(provider string) {
	m.admissions.WithLabelValues(m.provider(provider), "breaker").Inc()
}

// RateLimited counts a call that the rate limit put off, and for how long.
func (m *Metrics) RateLimited(provider string, wait time.Duration) {
	m.admissions.WithLabelValues(m.provider(provider), "rate_limit").Inc()
	m.waitSeconds.WithLabelValues(m.provider(provider)).Observe(max(wait, 0).Seconds())
}

// Degraded counts a failure of one of escrow's two places.
func (m *Metrics) Degraded(what string) { m.degraded.WithLabelValues(what).Inc() }

// VaultRequest counts a request to Vault; result is a word of vault.Reason.
func (m *Metrics) VaultRequest(operation, result string, took time.Duration) {
	m.vaultRequests.WithLabelValues(operation, result).Inc()
	m.vaultSeconds.WithLabelValues(operation).Observe(took.Seconds())
}

// VaultLogin counts a login, and notes when the new token expires: never, if
// that is the zero time.
func (m *Metrics) VaultLogin(expires time.Time, err error) {
	m.vaultLogins.WithLabelValues(okOrError(err)).Inc()
	if err != nil {
		return
	}
	at := 0.0
	if !expires.IsZero() {
		at = float64(expires.Unix())
	}
	m.vaultExpiry.Set(at)
}

// RedisCommand counts a command; err is nil for an answer that is no failure.
func (m *Metrics) RedisCommand(command string, took time.Duration, err error) {
	m.redisCommands.WithLabelValues(command, okOrError(err)).Inc()
	m.redisSeconds.WithLabelValues(command).Observe(took.Seconds())
}

// ClockSkew notes how far this machine's clock is ahead of a peer's.
func (m *Metrics) ClockSkew(peer string, ahead time.Duration) {
	m.clockSkew.WithLabelValues(peer).Set(ahead.Seconds())
}

func okOrError(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
