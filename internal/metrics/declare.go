package metrics

import "github.com/prometheus/client_golang/prometheus"

// Everything is declared through these, so that Reference knows all of it.

func (m *Metrics) info(kind, name, help string, labels []string) {
	m.reference = append(m.reference, Info{Section: m.section, Name: prometheus.BuildFQName(namespace, "", name), Kind: kind, Help: help, Labels: labels})
}

// desc declares a gauge that a collector of our own exports.
func (m *Metrics) desc(name, help string, labels ...string) *prometheus.Desc {
	m.info("gauge", name, help, labels)
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	return m.counterVec(name, help).WithLabelValues()
}

func (m *Metrics) counterVec(name, help string, labels ...string) *prometheus.CounterVec {
	m.info("counter", name, help, labels)
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	return m.gaugeVec(name, help).WithLabelValues()
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	m.info("gauge", name, help, labels)
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Observer {
	return m.histogramVec(name, help, buckets).WithLabelValues()
}

func (m *Metrics) histogramVec(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	m.info("histogram", name, help, labels)
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(h)
	return h
}
