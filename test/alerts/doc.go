// Package alerts tests what watches the service: the Prometheus rules and the
// Grafana dashboard of the chart, and the pages in docs/runbooks. Rules are run by
// Prometheus's own promtool against the series in testdata; one test runs the built
// binary under a real Prometheus and Alertmanager and waits for the alert. It needs
// Debian's packages prometheus and prometheus-alertmanager, and what test/e2e needs.
package alerts
