package metrics_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
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
	m := metrics.New(metrics.Settings{
		Version: "v1", Providers: []string{"kibo", "checkfront"}, Rotating: []string{"checkfront"}, Events: []string{"answer_lost", "probe"}, PerCredential: 2,
	})
	now := time.Now()
	m.Renewal("kibo", "client_credentials", "renewed", "", time.Second, time.Second)
	m.Renewal("stored-provider", "stored-auth", "failed", "unknown_provider", time.Second, -time.Second)
	m.Event("probe", "checkfront")
	m.Tick(3, nil)
	m.Tick(0, io.EOF)
	m.LeaseHeld()
	m.LeaseLost()
	m.BreakerOpen("kibo")
	m.RateLimited("kibo", time.Second)
	m.Degraded("sealed copy in redis")
	m.VaultRequest("grant.write", "ok", time.Second)
	m.VaultLogin(now, nil)
	m.VaultLogin(time.Time{}, io.EOF)
	m.RedisCommand("evalsha", time.Millisecond, nil)
	m.RedisCommand("set", time.Millisecond, io.EOF)
	m.ClockSkew("vault", -1500*time.Millisecond)
	m.Watch(metrics.Replica{
		Answers: func() (int, time.Time) { return 1, now.Add(-time.Hour) },
		Disk:    func() (free, size uint64) { return 1 << 20, 1 << 30 },
		Workers: 32, Busy: func() int { return 2 }, LastTick: func() time.Time { return now },
		FromMemory: func() bool { return false }, VaultUp: func() bool { return true }, RedisUp: func() bool { return false },
		Breakers: func() map[string]int { return map[string]int{"kibo": 3} }, ConfigHash: 1 << 20,
	})
	m.Scanned(metrics.Scan{Took: time.Second, Invalid: 1, Listed: 4, Added: 3, Edited: 2, Dropped: 1, Entries: fleet(now)})
	return m
}

func fleet(now time.Time) []credential.Entry {
	return []credential.Entry{
		{
			ID: credential.ID{Tenant: "acme", Name: "main"}, Due: now.Add(-time.Minute),
			Memo: credential.Memo{Provider: "kibo", Status: credential.StatusActive, ExpiresAt: now.Add(time.Hour)},
		},
		{
			ID: credential.ID{Tenant: "brig", Name: "main"}, Due: now.Add(time.Minute),
			Memo: credential.Memo{Provider: "stored-other"},
		},
		{
			ID: credential.ID{Tenant: "cove", Name: "main"}, Due: now.Add(24 * time.Hour),
			Memo: credential.Memo{
				Provider: "checkfront", Status: credential.StatusRetrying, ExpiresAt: now.Add(-time.Second),
				GrantExpiresAt: now.Add(36 * time.Hour), IntentSince: now.Add(-time.Minute),
			},
		},
	}
}

// TestNames holds the names and labels that alerts and dashboards rest on.
func TestNames(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	for _, info := range metrics.Reference() {
		fmt.Fprintln(&got, info.Name, info.Kind, strings.Join(info.Labels, ","))
	}
	const golden = "testdata/names.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the metrics have changed (go test -update writes them); got:\n%s", got.String())
	}
}

// TestReferenceIsWhatIsServed compares the list with a page on which every metric
// has a value.
func TestReferenceIsWhatIsServed(t *testing.T) {
	t.Parallel()
	served := map[string]string{}
	for line := range strings.SplitSeq(page(t, filled()), "\n") {
		if words := strings.Fields(line); strings.HasPrefix(line, "# TYPE refresher_") {
			served[words[2]] = words[3]
		}
	}
	for _, info := range metrics.Reference() {
		if served[info.Name] != info.Kind {
			t.Errorf("%s is listed as a %s and served as a %q", info.Name, info.Kind, served[info.Name])
		}
		delete(served, info.Name)
	}
	if len(served) > 0 {
		t.Errorf("served and not listed: %v", served)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	m := filled()
	got := page(t, m)
	for _, line := range []string{
		`refresher_renewals_total{auth="client_credentials",provider="kibo",reason="",result="renewed"} 1`,
		`refresher_renewals_total{auth="",provider="unknown",reason="unknown_provider",result="failed"} 1`,
		`refresher_protocol_events_total{event="probe",provider="checkfront"} 1`,
		`refresher_protocol_events_total{event="answer_lost",provider="checkfront"} 0`,
		`refresher_ticks_total{result="error"} 1`, `refresher_invalid_names 1`,
		`refresher_scan_credentials 4`, `refresher_scan_changes_total{change="added"} 3`, `refresher_scan_changes_total{change="edited"} 2`,
		`refresher_scan_changes_total{change="dropped"} 1`,
		`refresher_admissions_deferred_total{provider="kibo",reason="rate_limit"} 1`, `refresher_rate_limit_wait_seconds_sum{provider="kibo"} 1`,
		`refresher_vault_logins_total{result="error"} 1`, `refresher_redis_commands_total{command="set",result="error"} 1`,
		`refresher_clock_skew_seconds{peer="vault"} -1.5`,
		`refresher_credentials{provider="kibo",status="active"} 1`,
		`refresher_credentials{provider="unknown",status="pending"} 1`,
		`refresher_credentials{provider="checkfront",status="expired"} 1`,
		`refresher_queue_entries{due="now"} 1`, `refresher_queue_entries{due="hour"} 1`, `refresher_queue_entries{due="later"} 1`,
		`refresher_grants{left="2d",status="expired"} 1`, `refresher_grants{left="1h",status="active"} 0`, `refresher_credentials{provider="kibo",status="needs_authorization"} 0`, `refresher_open_intents 1`,
		`refresher_escrow_waiting 1`, `refresher_escrow_disk_free_bytes 1.048576e+06`, `refresher_workers 32`, `refresher_workers_busy 2`,
		`refresher_vault_up 1`, `refresher_redis_up 0`, `refresher_working_from_memory 0`, `refresher_config_hash 512`,
		`refresher_breakers_open{provider="kibo"} 3`, `refresher_breakers_open{provider="checkfront"} 0`,
		// Of three credentials the two most in need are shown.
		`refresher_credential_status{credential="main",provider="checkfront",status="expired",tenant="cove"} 1`,
		`refresher_credential_status{credential="main",provider="unknown",status="pending",tenant="brig"} 1`,
		`refresher_credentials_not_shown 1`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if strings.Contains(got, "stored-") {
		t.Error("what was stored became a label")
	}
	for name, atLeast := range map[string]float64{
		"refresher_queue_oldest_due_seconds": 60, "refresher_open_intent_oldest_seconds": 60, "refresher_escrow_oldest_seconds": 3600,
	} {
		if value := valueOf(t, got, name); value < atLeast || value > atLeast+60 {
			t.Errorf("%s is %v, not a little over %v", name, value, atLeast)
		}
	}
	m.Retired()
	if after := page(t, m); strings.Contains(after, "refresher_credentials{") {
		t.Error("a replica that another took over from goes on exporting the fleet")
	}
}

// TestCountersBeginAtZero: Prometheus sees no step from nothing to 1.
func TestCountersBeginAtZero(t *testing.T) {
	t.Parallel()
	got := page(t, metrics.New(metrics.Settings{}))
	for _, line := range []string{
		`refresher_scans_total{result="error"} 0`, `refresher_scans_total{result="ok"} 0`,
		`refresher_scan_changes_total{change="added"} 0`, `refresher_scan_changes_total{change="edited"} 0`, `refresher_scan_changes_total{change="dropped"} 0`,
		`refresher_ticks_total{result="error"} 0`, `refresher_vault_logins_total{result="error"} 0`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

// TestNobodyMissesADormantToken: where only the grant is kept alive the access token
// has expired most of the time, and that is nothing to be alarmed of.
func TestNobodyMissesADormantToken(t *testing.T) {
	t.Parallel()
	now := time.Now()
	dormant := func(name string, status credential.Status) credential.Entry {
		return credential.Entry{ID: credential.ID{Tenant: "acme", Name: name}, Due: now.Add(5 * 24 * time.Hour), Memo: credential.Memo{
			Provider: "checkfront", Status: status, Dormant: true, ExpiresAt: now.Add(-time.Hour), GrantExpiresAt: now.Add(6 * 24 * time.Hour),
		}}
	}
	serving := credential.Entry{ID: credential.ID{Tenant: "brig", Name: "main"}, Due: now.Add(time.Hour), Memo: credential.Memo{
		Provider: "checkfront", Status: credential.StatusActive, ExpiresAt: now.Add(2 * time.Hour), GrantExpiresAt: now.Add(12 * 24 * time.Hour),
	}}
	for name, tc := range map[string]struct {
		entries []credential.Entry
		want    []string
	}{
		"at rest": {[]credential.Entry{dormant("main", credential.StatusActive), serving}, []string{
			`refresher_credentials{provider="checkfront",status="active"} 2`, `refresher_credentials{provider="checkfront",status="expired"} 0`,
			`refresher_grants{left="7d",status="active"} 1`, `refresher_grants{left="7d",status="expired"} 0`,
			// The one whose token ends soonest is shown, and the dormant one's grant ends later.
			`refresher_credential_status{credential="main",provider="checkfront",status="active",tenant="brig"} 1`,
		}},
		"its renewal fails": {[]credential.Entry{dormant("main", credential.StatusExpired), serving}, []string{
			`refresher_credentials{provider="checkfront",status="retrying"} 1`, `refresher_credentials{provider="checkfront",status="expired"} 0`,
			`refresher_grants{left="7d",status="retrying"} 1`,
			`refresher_credential_status{credential="main",provider="checkfront",status="retrying",tenant="acme"} 1`,
		}},
		"a person is needed": {[]credential.Entry{dormant("main", credential.StatusNeedsAuthorization), serving}, []string{
			`refresher_credentials{provider="checkfront",status="needs_authorization"} 1`,
		}},
	} {
		m := metrics.New(metrics.Settings{Providers: []string{"checkfront"}, PerCredential: 1})
		m.Scanned(metrics.Scan{Entries: tc.entries})
		got := page(t, m)
		for _, line := range tc.want {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%s: missing: %s", name, line)
			}
		}
		if strings.Contains(got, `refresher_credential_expiry_timestamp_seconds{credential="main",provider="checkfront",tenant="acme"}`) {
			t.Errorf("%s: an expiry that nobody waits for is exported", name)
		}
	}
}

// TestSizeOfAListing: a scan that failed before it had a listing says nothing of its
// size, one that is not believed does, and who is no longer the scanner has none.
func TestSizeOfAListing(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Settings{})
	size := func(what, want string) {
		t.Helper()
		if got := page(t, m); !strings.Contains(got, "refresher_scan_credentials "+want+"\n") {
			t.Errorf("%s: the size is not %s", what, want)
		}
	}
	m.Scanned(metrics.Scan{Listed: 400})
	size("listed", "400")
	m.Scanned(metrics.Scan{Err: io.EOF})
	size("not listed", "400")
	m.Scanned(metrics.Scan{Listed: 0, Missing: 400, Err: io.EOF})
	size("an empty listing", "0")
	m.Scanned(metrics.Scan{Listed: 400})
	m.Retired()
	size("retired", "0")
}

// valueOf returns the value of a metric without labels.
func valueOf(t *testing.T, page, name string) float64 {
	t.Helper()
	for line := range strings.SplitSeq(page, "\n") {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			value, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Errorf("%s is missing", name)
	return 0
}

// TestFleetIsReadWhenAskedFor looks at what a scrape shows between two scans.
func TestFleetIsReadWhenAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := filled()
		var reads int
		now := time.Now()
		known := metrics.Fleet{Entries: fleet(now)[:1]}
		var failure error
		m.FleetFrom(func(context.Context) (metrics.Fleet, error) {
			reads++
			return known, failure
		})
		expect := func(what, line string, times int) {
			t.Helper()
			if got := page(t, m); !strings.Contains(got, line+"\n") || reads != times {
				t.Errorf("%s: %d reads, want %d, and on the page: %s\n%s", what, reads, times, line, got)
			}
		}
		expect("just after a scan", `refresher_credentials{provider="unknown",status="pending"} 1`, 0)
		time.Sleep(time.Minute)
		expect("a minute later", `refresher_credentials_not_shown 0`, 1)
		expect("at once again", `refresher_credentials_not_shown 0`, 1)

		time.Sleep(time.Minute)
		failure = io.EOF
		expect("the queue cannot be read", `refresher_credentials{provider="kibo",status="active"} 1`, 2)

		failure = nil
		known = metrics.Fleet{Partial: true, Entries: []credential.Entry{{
			ID: credential.ID{Tenant: "dune", Name: "main"}, Due: now.Add(time.Hour), Memo: credential.Memo{Provider: "kibo", Status: credential.StatusActive},
		}}}
		expect("from memory, what was known stands beside it", `refresher_credentials{provider="kibo",status="active"} 2`, 3)

		// What was read from memory may not know that it is dormant.
		m.Scanned(metrics.Scan{Entries: []credential.Entry{{
			ID: credential.ID{Tenant: "edge", Name: "main"}, Due: now.Add(24 * time.Hour),
			Memo: credential.Memo{Provider: "kibo", Status: credential.StatusActive, ExpiresAt: now, Dormant: true, CredentialVersion: 1},
		}}})
		known = metrics.Fleet{Partial: true, Entries: []credential.Entry{{
			ID: credential.ID{Tenant: "edge", Name: "main"}, Due: now.Add(time.Hour), Memo: credential.Memo{Provider: "kibo", Status: credential.StatusActive, ExpiresAt: now},
		}}}
		time.Sleep(time.Minute)
		expect("from memory, a dormant one stays so", `refresher_credentials{provider="kibo",status="active"} 1`, 4)

		m.Retired()
		time.Sleep(time.Minute)
		if got := page(t, m); strings.Contains(got, "refresher_credentials{") || reads != 4 {
			t.Errorf("retired, and still it reads (%d) or exports", reads)
		}
	})
}
