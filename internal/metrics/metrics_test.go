package metrics_test

import (
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/metrics"
)

var update = flag.Bool("update", false, "write the golden file anew")

func page(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, err := io.ReadAll(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func filled() *metrics.Metrics {
	m := metrics.New([]string{"kibo", "checkfront"}, "v1")
	now := time.Now()
	m.Renewal("kibo", "client_credentials", "renewed", "", time.Second, time.Second)
	m.Renewal("stored-provider", "stored-auth", "failed", "unknown_provider", time.Second, -time.Second)
	m.Event("probe", "checkfront")
	m.Tick(3, nil)
	m.Tick(0, io.EOF)
	m.LeaseHeld()
	m.LeaseLost()
	m.Deferred("kibo", "breaker")
	m.Degraded("sealed copy in redis")
	m.VaultRequest("grant.write", "ok", time.Second)
	m.VaultLogin(now)
	m.GaugeFunc("workers_busy", "Busy.", func() float64 { return 2 })
	m.Scanned(metrics.Scan{Took: time.Second, Invalid: 1, Entries: []credential.Entry{
		{Due: now.Add(-time.Second), Memo: credential.Memo{Provider: "kibo", Status: credential.StatusActive}},
		{Due: now.Add(time.Minute), Memo: credential.Memo{Provider: "stored-other"}},
		{Due: now.Add(24 * time.Hour), Memo: credential.Memo{
			Provider: "checkfront", Status: credential.StatusRetrying, GrantExpiresAt: now.Add(36 * time.Hour), IntentSince: now.Add(-time.Minute),
		}},
	}})
	return m
}

// TestNames holds the names and labels that alerts and dashboards rest on.
func TestNames(t *testing.T) {
	t.Parallel()
	var names []string
	for line := range strings.SplitSeq(page(t, filled()), "\n") {
		if strings.HasPrefix(line, "# HELP refresher_") {
			names = append(names, strings.TrimPrefix(line, "# HELP "))
		}
	}
	slices.Sort(names)
	got := strings.Join(names, "\n") + "\n"
	const golden = "testdata/names.golden"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the metrics have changed (go test -update writes them); got:\n%s", got)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	m := filled()
	got := page(t, m)
	for _, line := range []string{
		`refresher_renewals_total{auth="client_credentials",provider="kibo",reason="",result="renewed"} 1`,
		`refresher_renewals_total{auth="",provider="unknown",reason="unknown_provider",result="failed"} 1`,
		`refresher_credentials{provider="kibo",status="active"} 1`,
		`refresher_credentials{provider="unknown",status="pending"} 1`,
		`refresher_queue_entries{due="now"} 1`, `refresher_queue_entries{due="hour"} 1`, `refresher_queue_entries{due="later"} 1`,
		`refresher_grants{left="2d"} 1`, `refresher_grants{left="1h"} 0`, `refresher_open_intents 1`,
		`refresher_ticks_total{result="error"} 1`, `refresher_invalid_names 1`, `refresher_build_info{version="v1"} 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(got, "stored-") {
		t.Error("what was stored became a label")
	}
	m.Retired()
	if after := page(t, m); strings.Contains(after, "refresher_credentials{") {
		t.Error("a replica that another took over from goes on exporting the fleet")
	}
}
