// Package metrics declares the service's Prometheus metrics. Their names begin with "refresher_",
// their units are base units, and their labels come from the program and the
// configuration alone, never from what is stored or sent: no tenant, no host, no
// provider that is not registered.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const namespace = "refresher"

// otherProvider stands for whatever a stored document calls its provider, if
// there is no such provider.
const otherProvider = "unknown"

// Metrics are all metrics of one process. The fields may be used from several
// goroutines.
type Metrics struct {
	registry  *prometheus.Registry
	providers map[string]bool

	renewals       *prometheus.CounterVec
	renewalSeconds *prometheus.HistogramVec
	lateSeconds    prometheus.Histogram
	events         *prometheus.CounterVec
	ticks          *prometheus.CounterVec
	claimed        prometheus.Counter
	leasesHeld     prometheus.Counter
	leasesLost     prometheus.Counter
	admissions     *prometheus.CounterVec
	degraded       *prometheus.CounterVec
	vaultRequests  *prometheus.CounterVec
	vaultSeconds   *prometheus.HistogramVec
	vaultExpiry    prometheus.Gauge
	scans          *prometheus.CounterVec
	scanSeconds    prometheus.Gauge
	lastScan       prometheus.Gauge
	invalidNames   prometheus.Gauge
	missing        prometheus.Gauge
	fleet          *fleet
}

// New returns the metrics of a process that knows these providers.
func New(providers []string, version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), providers: map[string]bool{}}
	for _, p := range providers {
		m.providers[p] = true
	}
	m.declareRenewals()
	m.declareStores()
	m.declareScans()
	build := m.gaugeVec("build_info", "Always 1; the label says which version runs.", "version")
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) declareRenewals() {
	m.renewals = m.counterVec("renewals_total", "Visits to credentials, by what they came to.", "provider", "auth", "result", "reason")
	m.renewalSeconds = m.histogramVec("renewal_duration_seconds", "How long a visit took.", durations, "provider", "result")
	m.lateSeconds = m.histogram("renewal_lateness_seconds", "How long after its due time a credential was visited.", []float64{.5, 1, 2, 5, 15, 60, 300, 1800})
	m.events = m.counterVec("protocol_events_total", "What happened to rotating grants beside the ordinary; docs/architecture.md explains each.", "event", "provider")
	m.ticks = m.counterVec("ticks_total", "Looks at the queue, by how they went.", "result")
	m.claimed = m.counter("claimed_total", "Entries claimed from the queue.")
	m.leasesHeld = m.counter("lease_waits_total", "Times that a tenant's lease was held by another worker.")
	m.leasesLost = m.counter("lease_losses_total", "Leases that ended before their work did.")
	m.admissions = m.counterVec("admissions_deferred_total", "Calls that were put off, by what held them back.", "provider", "reason")
	m.degraded = m.counterVec("escrow_degraded_total", "Times that one of the two places for sealed answers failed and the other stood alone.", "what")
}

func (m *Metrics) declareStores() {
	m.vaultRequests = m.counterVec("vault_requests_total", "Requests to Vault, by operation and how they went.", "operation", "result")
	m.vaultSeconds = m.histogramVec("vault_request_duration_seconds", "How long Vault took to answer.", durations, "operation")
	m.vaultExpiry = m.gauge("vault_token_expiry_timestamp_seconds", "When the service's own Vault token expires; 0 if it does not.")
}

func (m *Metrics) declareScans() {
	m.scans = m.counterVec("scans_total", "Scans of Vault by this replica, by how they went.", "result")
	m.scanSeconds = m.gauge("scan_duration_seconds", "How long this replica's last scan took.")
	m.lastScan = m.gauge("last_scan_timestamp_seconds", "When this replica last completed a scan; 0 if never.")
	m.invalidNames = m.gauge("invalid_names", "Names below credentials/ that no credential can have, as this replica's last scan found.")
	m.missing = m.gauge("scan_missing_credentials", "Known credentials that this replica's last listing of Vault did not have.")
	m.fleet = newFleet()
	m.registry.MustRegister(m.fleet)
}

var durations = []float64{.005, .02, .1, .25, .5, 1, 2.5, 5, 15, 60, 120}

// Handler serves the metrics in Prometheus's formats.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// GaugeFunc registers a gauge that is read when it is asked for.
func (m *Metrics) GaugeFunc(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, read))
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

// Deferred counts a call that was put off.
func (m *Metrics) Deferred(provider, reason string) {
	m.admissions.WithLabelValues(m.provider(provider), reason).Inc()
}

// Degraded counts a failure of one of escrow's two places.
func (m *Metrics) Degraded(what string) { m.degraded.WithLabelValues(what).Inc() }

// VaultRequest counts a request to Vault; result is a word of vault.Reason.
func (m *Metrics) VaultRequest(operation, result string, took time.Duration) {
	m.vaultRequests.WithLabelValues(operation, result).Inc()
	m.vaultSeconds.WithLabelValues(operation).Observe(took.Seconds())
}

// VaultLogin notes when the service's Vault token expires.
func (m *Metrics) VaultLogin(expires time.Time) {
	if expires.IsZero() {
		m.vaultExpiry.Set(0)
		return
	}
	m.vaultExpiry.Set(float64(expires.Unix()))
}

func okOrError(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}
