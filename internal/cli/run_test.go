package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/vaultsim"
)

// screen is a writer that several goroutines write to and read from.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// service returns a world in which a service can run: with a spool, and a
// provider at a loopback address.
func service(t *testing.T) *world {
	t.Helper()
	return newWorld(t).with("REFRESHER_ESCROW_DIR="+filepath.Join(t.TempDir(), "spool"),
		"REFRESHER_HTTP_LISTEN=127.0.0.1:0", "REFRESHER_EGRESS_ALLOW=127.0.0.1")
}

// provider is a Kibo that mints tokens, and refuses the key "refused".
func provider(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, _, _ := r.BasicAuth(); strings.HasPrefix(user, "refused") {
			http.Error(w, `{"error":"invalid_client"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":"%s-minted","token_type":"bearer","expires_in":3600}`, marker)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

var listening = regexp.MustCompile(`"listen":"([^"]+)"`)

func TestRun(t *testing.T) {
	t.Parallel()
	w := service(t)
	fields := kibo()
	fields["base_url"] = provider(t)
	w.store("acme/main", fields)
	w = w.with("REFRESHER_RENEWAL_SHUTDOWN_GRACE=1s")
	ctx, stop := context.WithCancel(t.Context())
	var out, errs screen
	ended := make(chan int, 1)
	go func() {
		ended <- Main(ctx, Env{Args: []string{"run"}, Environ: w.env, Stdout: &out, Stderr: &errs})
	}()
	t.Cleanup(stop)
	eventually(t, &errs, `"message":"renewed"`)
	// Each replica has a spool of its own.
	contains(t, w.must(ExitFailed, "once").err, "another process is using this spool directory", "→ if the service runs here")
	address := listening.FindStringSubmatch(errs.String())
	resp, err := http.Get("http://" + address[1] + "/readyz")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	stop()
	if code := <-ended; code != ExitOK {
		t.Errorf("it ended with %d\n%s", code, errs.String())
	}
	contains(t, errs.String(), `"level":"warn"`, "renewal.shutdown_grace", "no Redis is configured", "refresher is running")
	lacks(t, errs.String(), marker)
	if out.String() != "" {
		t.Errorf("%q", out.String())
	}
}

// eventually waits until what is on a screen matches.
func eventually(t *testing.T, s *screen, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(30 * time.Second)
	for !re.MatchString(s.String()) {
		select {
		case <-poll.C:
		case <-limit:
			t.Fatalf("waited in vain for %s in:\n%s", pattern, s)
		}
	}
}

func TestRunInTheConsolesFormat(t *testing.T) {
	t.Parallel()
	w := service(t).with("REFRESHER_LOG_FORMAT=console")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var errs screen
	ended := make(chan int, 1)
	go func() { ended <- Main(ctx, Env{Args: []string{"run"}, Environ: w.env, Stdout: &errs, Stderr: &errs}) }()
	eventually(t, &errs, "INF refresher is running listen=127.0.0.1")
	stop()
	<-ended
	lacks(t, errs.String(), "\x1b[")
}

func TestRunDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for _, tc := range []struct {
		name string
		env  []string
		want []string
	}{
		{"no address", []string{"VAULT_ADDR="}, []string{"vault.address: must be set: in the file, or as VAULT_ADDR"}},
		{"no token", []string{"VAULT_TOKEN="}, []string{"there is no way to log in to Vault"}},
		{"wrong token", []string{"VAULT_TOKEN=" + marker}, []string{"log in to Vault at http://", "403", "→ the token is not valid, or no longer"}},
		{
			"wrong role",
			[]string{"VAULT_TOKEN=", "REFRESHER_VAULT_AUTH_APPROLE_ROLE_ID=r", "REFRESHER_VAULT_AUTH_APPROLE_SECRET_ID=" + marker},
			[]string{"auth/approle/login", "→ see that role ID and secret ID are right"},
		},
		{"spool", []string{"REFRESHER_ESCROW_DIR=/proc/nowhere"}, []string{"make the spool directory", "→ set REFRESHER_ESCROW_DIR (escrow.dir, now /proc/nowhere)"}},
		{"port", []string{"REFRESHER_HTTP_LISTEN=" + taken.Addr().String()}, []string{"address already in use", "→ another process listens on " + taken.Addr().String()}},
		{"mount", []string{"REFRESHER_VAULT_MOUNT=other"}, []string{"vault is not set up for the service", "other/"}},
		{"configuration", []string{"REFRESHER_LOG_LEVEL=loud"}, []string{"configuration: env REFRESHER_LOG_LEVEL"}},
		{"CA", []string{"REFRESHER_EGRESS_CA_CERT=/nonexistent"}, []string{"egress: CA file"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := service(t).with(tc.env...)
			r := w.must(ExitFailed, "run")
			contains(t, r.err, tc.want...)
			if n := strings.Count(r.err, "refresher: "); n != 1 {
				t.Errorf("%d messages, not one clear one:\n%s", n, r.err)
			}
		})
	}
}

// TestRunInterruptedWhileItWaits stops a service that waits for Vault.
func TestRunInterruptedWhileItWaits(t *testing.T) {
	t.Parallel()
	w := service(t)
	w.sim.Seal(true)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var errs screen
	ended := make(chan int, 1)
	go func() { ended <- Main(ctx, Env{Args: []string{"run"}, Environ: w.env, Stdout: &errs, Stderr: &errs}) }()
	eventually(t, &errs, "trying again")
	stop()
	if code := <-ended; code != ExitFailed {
		t.Errorf("it ended with %d", code)
	}
	contains(t, errs.String(), "refresher: interrupted\n")
}

func TestOnce(t *testing.T) {
	t.Parallel()
	w := service(t)
	at := provider(t)
	fields := kibo()
	fields["base_url"] = at
	w.store("acme/main", fields)
	contains(t, w.must(ExitOK, "once").out, "renewed 1, unchanged 0, deferred 0, failed 0\n")
	contains(t, w.must(ExitOK, "credentials", "list").out, "active")
	contains(t, w.must(ExitOK, "once").out, "failed 0\n")

	broken := kibo()
	broken["base_url"], broken["client_id"] = at, "refused-"+marker
	w.store("acme/broken", broken)
	r := w.must(ExitFailed, "once", "--set", "log.level=error")
	contains(t, r.out, "failed 1\n")
	contains(t, r.err, "refresher: 1 credential could not be renewed\n  → see why with: refresher credentials list")
}

// TestOnceRunsOutOfTime has a provider that does not answer in time.
func TestOnceRunsOutOfTime(t *testing.T) {
	t.Parallel()
	w := service(t)
	w.store("acme/main", kibo())
	w.sim.Intercept(func(r *http.Request) vaultsim.Fault {
		if strings.Contains(r.URL.Path, "/credentials/acme") {
			<-r.Context().Done()
		}
		return vaultsim.None
	})
	r := w.must(ExitFailed, "once", "--timeout", "100ms")
	contains(t, r.err, "refresher: not done within 100ms\n  → the rest is due at the next run")
}

func TestFailuresAreErrors(t *testing.T) {
	t.Parallel()
	var none failures
	if none.orNil() != nil {
		t.Error("no failures are an error")
	}
	both := failures{errors.New("a"), errors.New("b")}
	if both.orNil().Error() != "a\nb" {
		t.Error(both)
	}
}
