package cli

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/redistest"
	"refresher/internal/testport"
	"refresher/internal/vaultsim"
	"refresher/vault"
)

// policy makes a token that has the service's policy, less what is left out.
func (w *world) policy(token string, ttl time.Duration, without string) string {
	var rules []vaultsim.Rule
	for _, rule := range (vault.Settings{}).Policies(credential.ID{})[0].Rules {
		if without == "" || !strings.Contains(rule.Path, without) {
			rules = append(rules, vaultsim.Rule{Path: rule.Path, Capabilities: rule.Capabilities})
		}
	}
	w.sim.AddToken(token, ttl, rules...)
	return "VAULT_TOKEN=" + token
}

// lines are what the doctor found, in JSON, by level.
func lines(t *testing.T, r result) map[string][]finding {
	t.Helper()
	var answer struct {
		OK       bool
		Findings []finding
	}
	if err := json.Unmarshal([]byte(r.out), &answer); err != nil {
		t.Fatalf("%v:\n%s", err, r.out)
	}
	byLevel := map[string][]finding{}
	for _, f := range answer.Findings {
		byLevel[f.Level] = append(byLevel[f.Level], f)
	}
	if answer.OK != (len(byLevel[levelFail]) == 0) || answer.OK != (r.code == ExitOK) {
		t.Errorf("ok is %v, the exit code %d, and %d checks failed", answer.OK, r.code, len(byLevel[levelFail]))
	}
	return byLevel
}

// has fails the test unless a finding says this.
func has(t *testing.T, found []finding, detail, fix string) {
	t.Helper()
	if !slices.ContainsFunc(found, func(f finding) bool {
		return strings.Contains(f.Check+": "+f.Detail, detail) && strings.Contains(f.Fix, fix)
	}) {
		t.Errorf("nothing says %q → %q in:\n%s", detail, fix, joinFindings(found))
	}
}

func joinFindings(found []finding) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString(f.String() + "\n")
	}
	return b.String()
}

func TestDoctorAllIsWell(t *testing.T) {
	t.Parallel()
	w := service(t)
	server := redistest.Start(t)
	client := server.Client(t)
	if err := client.ConfigSet(t.Context(), "appendonly", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	w = w.with(w.policy(marker+"-service", 0, ""), "REDIS_URL=redis://"+server.Addr)
	r := w.must(ExitOK, "doctor", "--offline")
	// Where tests keep their files may be a container's own layer, or in memory.
	volatile := regexp.MustCompile(`(?m)^warn  spool: .*\n.*\n`).ReplaceAllString(r.out, "")
	masked := regexp.MustCompile(`127\.0\.0\.1:\d+|/\S*/spool|\d+ MiB|version [0-9.]+`).ReplaceAllString(volatile, "…")
	golden(t, "doctor", masked)
	if r.err != "" {
		t.Error(r.err)
	}
	found := lines(t, w.must(ExitOK, "doctor", "--offline", "-o", "json"))
	for _, f := range found[levelWarn] {
		if f.Check != "spool" {
			t.Errorf("%s", f)
		}
	}
}

func TestDoctorFindsTheConfigurationWrong(t *testing.T) {
	t.Parallel()
	w := service(t)
	r := w.must(ExitFailed, "doctor", "--set", "log.level=loud", "--set", "redis.shards=0")
	contains(t, r.out, "FAIL  configuration: flag --set: log.level", "FAIL  configuration: flag --set: redis.shards")
	contains(t, r.err, "refresher: 2 checks failed")
	lacks(t, r.out, "vault:")

	found := lines(t, w.must(ExitFailed, "doctor", "--offline", "-o", "json", "--set", "vault.address=", "--set", "renewal.shutdown_grace=1s"))
	has(t, found[levelWarn], "configuration: ", "")
	has(t, found[levelOK], "valid, from the environment and --set", "")

	bare := (&world{t: t}).with("REFRESHER_ESCROW_DIR=" + t.TempDir())
	found = lines(t, bare.must(ExitFailed, "doctor", "--offline", "-o", "json"))
	has(t, found[levelFail], "vault.address: must be set", "")
	has(t, found[levelFail], "there is no way to log in to Vault", "")
	has(t, found[levelWarn], "redis: none is configured", "REDIS_URL")
}

func TestDoctorLooksAtVault(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		env         func(*world) string
		level       string
		detail, fix string
	}{
		{"root", func(*world) string { return "" }, levelWarn, "the login is root's", `path "secret/data/refresher/grants/*"`},
		{"wrong token", func(*world) string { return "VAULT_TOKEN=" + marker }, levelFail, "no login by token", "the token is not valid"},
		{"nobody there", func(*world) string { return "VAULT_ADDR=http://127.0.0.1:1" }, levelFail, "connection refused", "does Vault run"},
		{"sealed", func(w *world) string { w.sim.Seal(true); return "" }, levelFail, "sealed", "unseal"},
		{"short token", func(w *world) string { return w.policy(marker+"-short", time.Hour, "") }, levelWarn, "nobody replaces it", "AppRole"},
		{"no grants", func(w *world) string { return w.policy(marker+"-some", 0, "grants") }, levelFail, "the login may not create, read, update on secret/data/refresher/grants/*", "give it this policy"},
		{"no config", func(w *world) string { return w.policy(marker+"-some", 0, "secret/config") }, levelWarn, "secret/config cannot be read", "read"},
		{"mount", func(*world) string { return "REFRESHER_VAULT_MOUNT=other" }, levelFail, "other", ""},
		{
			"role", func(*world) string {
				return "REFRESHER_VAULT_AUTH_METHOD=kubernetes"
			}, levelFail, "vault.auth.kubernetes.role", "",
		},
		{
			"broken escrow key", func(w *world) string {
				w.raw(http.MethodPost, "secret/data/refresher/escrow-keys/1", map[string]any{"data": map[string]any{"private_key": marker}})
				return ""
			}, levelFail, "the keys that open sealed answers cannot all be read", "restore the document",
		},
		{
			"escrow key", func(w *world) string {
				w.raw(http.MethodPost, "secret/data/refresher/escrow-keys/1", map[string]any{"data": map[string]any{"private_key": marker, "public_key": "p"}})
				return ""
			}, levelOK, "1 key to open sealed answers", "",
		},
		{
			"health fails", func(w *world) string {
				w.sim.Intercept(func(r *http.Request) vaultsim.Fault {
					if strings.HasSuffix(r.URL.Path, "sys/health") {
						return vaultsim.DropBefore
					}
					return vaultsim.None
				})
				return ""
			}, levelFail, "vault: vault: health sys/health", "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := service(t)
			w = w.with(tc.env(w))
			found := lines(t, w.run("doctor", "--offline", "-o", "json"))
			has(t, found[tc.level], tc.detail, tc.fix)
		})
	}
}

func TestDoctorComparesClocks(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		ahead time.Duration
		want  string
	}{
		{time.Second, "ok    clock: redis's clock agrees with this machine's"},
		{-4 * time.Second, "ok    clock: redis's clock agrees with this machine's"},
		{10 * time.Second, "warn  clock: redis's clock is 10s ahead of this machine's"},
		{-2 * time.Minute, "FAIL  clock: redis's clock is 2m behind this machine's, more than renewal.clock_skew_allowance (1m)"},
	} {
		d := &doctor{program: &program{}, config: config.Default()}
		d.compareClocks("redis", tc.ahead)
		contains(t, d.findings[0].String(), tc.want)
	}
}

func TestDoctorLooksAtRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	w := service(t).with("REDIS_URL=redis://" + server.Addr)
	found := lines(t, w.must(ExitOK, "doctor", "--offline", "-o", "json"))
	has(t, found[levelWarn], "the append-only file is off", "appendonly yes")
	has(t, found[levelOK], "noeviction", "")
	has(t, found[levelOK], "the queue holds 0 credentials", "")

	client := server.Client(t)
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	found = lines(t, w.must(ExitOK, "doctor", "--offline", "-o", "json"))
	has(t, found[levelWarn], "maxmemory-policy is allkeys-lru", "noeviction")

	for name, value := range map[string]string{"requirepass": marker, "maxmemory-policy": "noeviction"} {
		if err := client.ConfigSet(t.Context(), name, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	found = lines(t, w.must(ExitFailed, "doctor", "--offline", "-o", "json"))
	has(t, found[levelFail], "NOAUTH", "give the right user and password")
	wrong := w.with("REDIS_URL=", "REFRESHER_REDIS_URL=redis://:"+marker+"-wrong@"+server.Addr)
	has(t, lines(t, wrong.must(ExitFailed, "doctor", "--offline", "-o", "json"))[levelFail], "WRONGPASS", "give the right user and password")

	cluster := w.with("REDIS_URL=", "REFRESHER_REDIS_ADDRESSES="+server.Addr, "REFRESHER_REDIS_PASSWORD="+marker, "REFRESHER_REDIS_MODE=cluster")
	has(t, lines(t, cluster.must(ExitFailed, "doctor", "--offline", "-o", "json"))[levelFail], "cluster support disabled", "set redis.mode to standalone")

	server.Stop(t)
	has(t, lines(t, w.must(ExitFailed, "doctor", "--offline", "-o", "json"))[levelFail], "connection refused", "does Redis run")
	tls := w.with("REFRESHER_REDIS_TLS_ENABLED=true", "REFRESHER_REDIS_TLS_CA_CERT=/nonexistent")
	has(t, lines(t, tls.must(ExitFailed, "doctor", "--offline", "-o", "json"))[levelFail], "redis.tls.ca_cert", "")
}

// TestDoctorAndTheKindsOfRedis looks at a real Cluster, a Sentinel and a replica,
// with the right mode and with the wrong one.
func TestDoctorAndTheKindsOfRedis(t *testing.T) {
	t.Parallel()
	w := service(t)
	at := func(mode, addr string, more ...string) map[string][]finding {
		w := w.with("REFRESHER_REDIS_MODE="+mode, "REFRESHER_REDIS_ADDRESSES="+addr).with(more...)
		return lines(t, w.run("doctor", "--offline", "-o", "json"))
	}
	cluster := redistest.StartCluster(t)
	found := at("cluster", cluster.Servers[0].Addr)
	has(t, found[levelOK], "reached as cluster", "")
	has(t, found[levelOK], "the queue holds 0 credentials", "")
	if len(found[levelFail]) > 0 {
		t.Errorf("%+v", found[levelFail])
	}
	has(t, at("standalone", cluster.Servers[0].Addr)[levelFail], "this is a Redis Cluster, and redis.mode is standalone", "cluster")

	sentinel := redistest.StartSentinel(t)
	found = at("sentinel", sentinel.Watcher.Addr, "REFRESHER_REDIS_MASTER_NAME=main")
	has(t, found[levelOK], "reached as sentinel", "")
	if len(found[levelFail]) > 0 {
		t.Errorf("%+v", found[levelFail])
	}
	has(t, at("sentinel", sentinel.Watcher.Addr, "REFRESHER_REDIS_MASTER_NAME=other")[levelFail], "redis: ", "redis.master_name other")
	has(t, at("standalone", sentinel.Watcher.Addr)[levelFail], "this is a Sentinel, and redis.mode is standalone", "redis.master_name")
	has(t, at("standalone", sentinel.Replica.Addr)[levelFail], "this is a replica, which takes no writes", "master")
}

func TestDoctorJudgesRedis(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, mode, info, level, detail, fix string }{
		{"a cluster", "standalone", "cluster_enabled:1\r\n", levelFail, "this is a Redis Cluster, and redis.mode is standalone", "cluster"},
		{"the right cluster", "cluster", "cluster_enabled:1\r\naof_enabled:1\r\n", levelOK, "append-only", ""},
		{"a replica", "standalone", "role:slave\r\n", levelFail, "this is a replica", "master"},
		{"volatile", "standalone", "maxmemory_policy:volatile-ttl\r\n", levelWarn, "maxmemory-policy is volatile-ttl", "noeviction"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &doctor{program: &program{}, config: config.Default()}
			d.config.Redis.Mode = tc.mode
			d.judgeRedis(parseInfo("# Server\r\n" + tc.info))
			has(t, d.findings, tc.detail, tc.fix)
			if d.findings[0].Level != tc.level || len(d.findings) != 1 {
				t.Errorf("%+v", d.findings)
			}
		})
	}
}

func TestDoctorLooksAtTheSpool(t *testing.T) {
	t.Parallel()
	w := service(t)
	at := func(dir string) map[string][]finding {
		return lines(t, w.with("REFRESHER_ESCROW_DIR="+dir).run("doctor", "--offline", "-o", "json"))
	}
	dir := t.TempDir()
	spool := filepath.Join(dir, "spool")
	has(t, at(filepath.Join(spool, "deep"))[levelOK], "deep does not exist yet; the service makes it", "")
	if _, err := os.Stat(spool); err == nil {
		t.Error("the doctor made the directory")
	}
	plain := file(t, "plain", "")
	has(t, at(plain)[levelFail], "is no directory", "REFRESHER_ESCROW_DIR")
	has(t, at(filepath.Join(plain, "below"))[levelFail], "not a directory", "REFRESHER_ESCROW_DIR")
	has(t, at("/proc/self")[levelFail], "cannot be written", "REFRESHER_ESCROW_DIR")

	for _, d := range []string{"answers", "aside"} {
		if err := os.MkdirAll(filepath.Join(spool, d), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(spool, d, "attempt"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found := at(spool)
	has(t, found[levelOK], "can be written", "")
	has(t, found[levelOK], "no service that can be seen from here runs on it", "")
	has(t, found[levelWarn], "1 answer not in Vault yet", "start the service")
	has(t, found[levelWarn], "1 answer set aside", "look into the log")
	if left, err := os.ReadDir(spool); err != nil || len(left) != 2 {
		t.Errorf("the doctor left something behind: %v %v", left, err)
	}

	lock, err := os.Create(filepath.Join(spool, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	has(t, at(spool)[levelOK], "no service that can be seen from here runs on it", "")
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	found = at(spool)
	has(t, found[levelOK], "a service runs on it (process ", "")
	for _, f := range found[levelWarn] {
		lacks(t, f.Detail, "not in Vault yet") // whoever works on it sees to that
	}
	if err := os.Chmod(spool, 0o777); err != nil {
		t.Fatal(err)
	}
	has(t, at(spool)[levelWarn], "others may write", "chmod")
}

func TestDoctorJudgesTheDisk(t *testing.T) {
	t.Parallel()
	const plenty = 1 << 40
	for _, tc := range []struct {
		name          string
		space         escrow.Disk
		level, detail string
	}{
		{"plenty", escrow.Disk{FreeBytes: plenty, FreeFiles: plenty}, levelOK, "MiB free"},
		{"full", escrow.Disk{FreeBytes: 1 << 20, FreeFiles: plenty}, levelFail, "the disk is full (1 MiB free)"},
		{"no inodes", escrow.Disk{FreeBytes: plenty}, levelFail, "room for 0 more files"},
		{"little", escrow.Disk{FreeBytes: 30 << 20, FreeFiles: plenty}, levelWarn, "30 MiB free: too little for 32 answers at once"},
		{"few inodes", escrow.Disk{FreeBytes: plenty, FreeFiles: 3}, levelWarn, "room for 3 more files"},
		{"memory", escrow.Disk{FreeBytes: plenty, FreeFiles: plenty, Volatile: "in memory (tmpfs)"}, levelWarn, "/spool is in memory (tmpfs)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &doctor{program: &program{}, config: config.Default()}
			d.judgeDisk("/spool", tc.space)
			if f := d.findings[0]; f.Level != tc.level || !strings.Contains(f.Detail, tc.detail) {
				t.Errorf("%s", f)
			}
		})
	}
}

func TestDoctorReachesProviders(t *testing.T) {
	t.Parallel()
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.URL.String() != "/" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(answers.Close)
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(silent.Close)
	untrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	c := config.Default()
	c.Egress.Allow = []string{"127.0.0.1"}
	client, err := app.Egress(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	for _, tc := range []struct{ name, url, level, detail, fix string }{
		{"answers", answers.URL + "/a/path", levelOK, "bookeo at 127.0.0.1:", ""},
		{"silent", silent.URL, levelWarn, "can be connected to, and does not answer", ""},
		{"refused", "http://127.0.0.1:1", levelFail, "cannot be reached: refused", "port 443"},
		{"untrusted", untrusted.URL, levelFail, "cannot be reached: tls", "egress.ca_cert"},
		{"query", answers.URL + "?key=" + marker, levelFail, "--url: must not hold a query", "base_url"},
		{"user", "https://user:" + marker + "@acme.checkfront.com", levelFail, "--url: must not hold a user name", "base_url"},
		{"elsewhere", "https://example.com", levelFail, `host "example.com" is not allowed`, "REFRESHER_EGRESS_ALLOW"},
		{"private", "https://localhost.bookeo.com.:1", levelFail, "must not end with a dot", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &doctor{program: &program{}, config: c}
			f := d.reach(t.Context(), client, destination{"bookeo", tc.url, []string{"*.bookeo.com"}})
			if f.Level != tc.level || !strings.Contains(f.Detail, tc.detail) || !strings.Contains(f.Fix, tc.fix) {
				t.Errorf("%s", f)
			}
			lacks(t, f.String(), marker)
		})
	}
}

// TestDoctorGoesThroughTheProxy looks at all providers, and none is called: the
// proxy is a port at which nobody listens, and then one that refuses.
func TestDoctorGoesThroughTheProxy(t *testing.T) {
	t.Parallel()
	w := service(t).with("REFRESHER_EGRESS_PROXY=http://user:" + marker + "@" + testport.Address(t))
	found := lines(t, w.must(ExitFailed, "doctor", "-o", "json", "--url", "https://acme.checkfront.com"))
	for _, name := range []string{"bookeo at api.bookeo.com", "clicrdv at www.clicrdv.com", "ankor at api.ankor.io", "kibo at auth.shopatron.com", "acme.checkfront.com"} {
		has(t, found[levelFail], name+" cannot be reached", "see that the proxy runs and lets this host through")
	}
	has(t, found[levelOK], "checkfront: each company has a host of its own", "")

	refuses := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refuses.Close)
	w = w.with("REFRESHER_EGRESS_PROXY=" + refuses.URL)
	has(t, lines(t, w.must(ExitFailed, "doctor", "-o", "json"))[levelFail], "cannot be reached: proxy: it answered 404", "see that the proxy runs")

	w = w.with("REFRESHER_EGRESS_CA_CERT=/nonexistent")
	has(t, lines(t, w.must(ExitFailed, "doctor", "-o", "json"))[levelFail], "egress: CA file", "see egress")
}

func TestDoctorInterrupted(t *testing.T) {
	t.Parallel()
	w := service(t)
	if code, errs := w.interrupted("doctor", "--offline"); code != ExitFailed || errs != "refresher: interrupted\n" {
		t.Errorf("%d %q", code, errs)
	}
}
