package alerts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
	"refresher/internal/testport"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// stage is a real Vault and a real Redis, simulated providers, one replica, and a
// Prometheus and an Alertmanager that watch it.
type stage struct {
	t       *testing.T
	sims    *providersim.Providers
	servers *providersim.Servers
	vault   *vault.Client
	token   string
	hook    *webhook
	// prometheus is its URL.
	prometheus string
}

// speed makes an access token of Checkfront's last 14 seconds, and the service
// know of it; what waits for that is as much faster.
var speed = struct {
	options providersim.Options
	env     []string
}{
	providersim.Options{Factor: 1000},
	[]string{
		"REFRESHER_PROVIDERS_CHECKFRONT_ACCESS_LIFETIME=14s", "REFRESHER_PROVIDERS_CHECKFRONT_GRANT_LIFETIME=1209s",
		"REFRESHER_PROVIDERS_CHECKFRONT_DORMANT_INTERVAL=864s", "REFRESHER_RENEWAL_SEND_DEADLINE=1s",
		"REFRESHER_RENEWAL_VAULT_TIMEOUT=500ms", "REFRESHER_RENEWAL_ROTATION_TIMEOUT=2s", "REFRESHER_RENEWAL_IN_FLIGHT_BOUND=4s",
		"REFRESHER_RENEWAL_CLOCK_SKEW_ALLOWANCE=0s",
		"REFRESHER_SCHEDULER_SCAN=@every 1s",
	},
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, sims: providersim.New(speed.options), hook: listen(t)}
	server, redis := vaulttest.Start(t), redistest.Start(t)
	server.Policy("refresher", vault.Settings{}.Policy())
	s.token = server.Token(vaulttest.TokenOptions{Policies: []string{"refresher"}})
	var err error
	if s.servers, err = s.sims.Start("127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.servers.Close)
	s.vault, err = vault.Open(t.Context(), vault.Settings{
		Address: server.Address, Auth: vault.Auth{Token: credential.Secret(server.RootToken)},
	}, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.vault.Close)

	dir, address := t.TempDir(), testport.Address(t)
	start(t, dir, append([]string{
		"VAULT_ADDR=" + server.Address, "VAULT_TOKEN=" + s.token, "REDIS_URL=redis://" + redis.Addr,
		"REFRESHER_ESCROW_DIR=" + filepath.Join(dir, "spool"), "REFRESHER_EGRESS_ALLOW=127.0.0.1", "REFRESHER_HTTP_LISTEN=" + address,
	}, speed.env...), binary(t), "run")
	awaitOK(t, "http://"+address+"/readyz")
	s.watch(address)
	return s
}

// watch starts Alertmanager and Prometheus.
func (s *stage) watch(target string) {
	s.t.Helper()
	dir := s.t.TempDir()
	alertmanager, prometheus := testport.Address(s.t), testport.Address(s.t)
	write(s.t, dir, "alertmanager.yaml", map[string]any{
		"route":     map[string]any{"receiver": "hook", "group_by": []string{"alertname"}, "group_wait": "0s", "group_interval": "1s"},
		"receivers": []any{map[string]any{"name": "hook", "webhook_configs": []any{map[string]any{"url": s.hook.url, "send_resolved": true}}}},
	})
	start(s.t, dir, nil, program(s.t, "prometheus-alertmanager", "prometheus-alertmanager"),
		"--config.file=alertmanager.yaml", "--storage.path=alertmanager", "--web.listen-address="+alertmanager, "--cluster.listen-address=")
	awaitOK(s.t, "http://"+alertmanager+"/-/ready")
	write(s.t, dir, "rules.yaml", rules{quick(load[rules](s.t, rulesFile).Groups)})
	static := func(address string) []any { return []any{map[string]any{"targets": []string{address}}} }
	write(s.t, dir, "prometheus.yaml", map[string]any{
		"global":         map[string]any{"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
		"rule_files":     []string{"rules.yaml"},
		"alerting":       map[string]any{"alertmanagers": []any{map[string]any{"static_configs": static(alertmanager)}}},
		"scrape_configs": []any{map[string]any{"job_name": "refresher", "static_configs": static(target)}},
	})
	start(s.t, dir, nil, program(s.t, "prometheus", "prometheus"),
		"--config.file=prometheus.yaml", "--storage.tsdb.path=prometheus", "--web.listen-address="+prometheus)
	s.prometheus = "http://" + prometheus
	awaitOK(s.t, s.prometheus+"/-/ready")
}

// series asks Prometheus how many series a query has now.
func (s *stage) series(query string) int {
	s.t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(s.prometheus + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return len(answer.Data.Result)
}

// quick has the rules evaluated every second, and those that look back over a
// change of the scanner look back less far. Nothing else about them is changed: the time
// that an alert waits before it fires least of all.
func quick(groups []group) []group {
	for i := range groups {
		groups[i].Interval = "1s"
		for j, r := range groups[i].Rules {
			if r.Record != "" {
				groups[i].Rules[j].Expr = strings.ReplaceAll(r.Expr, "[5m]", "[5s]")
			}
		}
	}
	return groups
}

// put stores a credential as a person would.
func (s *stage) put(id credential.ID, app providersim.App, refreshToken string) {
	s.t.Helper()
	_, err := s.vault.PutCredential(s.t.Context(), id, map[string]string{
		"provider": "checkfront", "base_url": s.servers.URL("checkfront"),
		"client_id": app.ClientID, "client_secret": app.ClientSecret, "refresh_token": refreshToken,
	}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
}

// authorized stores a credential that works, and waits until it does.
func (s *stage) authorized(path string) (credential.ID, providersim.App) {
	s.t.Helper()
	id, err := credential.ParseID(path)
	if err != nil {
		s.t.Fatal(err)
	}
	app := s.sims.Checkfront.AddApp(providersim.AppSpec{})
	s.put(id, app, app.RefreshToken)
	s.await(id, credential.StatusActive)
	return id, app
}

func (s *stage) await(id credential.ID, status credential.Status) {
	s.t.Helper()
	redistest.Eventually(s.t, fmt.Sprintf("%s is %s", id, status), func() bool {
		token, _, err := s.vault.Token(s.t.Context(), id)
		return err == nil && token.Status == status
	})
}

// binary is the program under test.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../bin/refresher")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: run make build", err)
	}
	return path
}

// output is what a program says. It may be written and read at once.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) end() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.text.String()
	return text[max(0, len(text)-4000):]
}

// start starts a program in a folder, with nothing in its environment but what is
// given, and ends it with the test.
func start(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	said := &output{}
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, append([]string{"HOME=" + dir}, env...), said, said, childOfTest()
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		// The thread that starts the program must live as long as the program.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the end of what %s said:\n%s", filepath.Base(name), said.end())
		}
	})
}

func awaitOK(t *testing.T, url string) {
	t.Helper()
	client := http.Client{Timeout: time.Second}
	redistest.Eventually(t, url+" answers 200", func() bool {
		res, err := client.Get(url)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
}
