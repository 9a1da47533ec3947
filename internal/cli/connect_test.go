package cli

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"refresher/internal/vaultsim"
)

func TestNoVault(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		env  []string
		want []string
	}{
		{"no address", []string{"VAULT_TOKEN=" + marker}, []string{"it is not known where Vault is", "→ set VAULT_ADDR"}},
		{"no token", []string{"VAULT_ADDR=http://127.0.0.1:1"}, []string{"no token: set VAULT_TOKEN or run `vault login`"}},
		{"nobody there", []string{"VAULT_ADDR=http://127.0.0.1:1", "VAULT_TOKEN=" + marker}, []string{"connection refused", "→ does Vault run", "http://127.0.0.1:1"}},
		{"bad configuration", []string{"VAULT_ADDR=nonsense"}, []string{"configuration: env VAULT_ADDR: vault.address"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, env: tc.env}
			for _, args := range [][]string{
				{"list"},
				{"show", "acme/main"},
				{"put", "acme/main", "provider=kibo"},
				{"delete", "-y", "acme/main"},
				{"pause", "acme/main"},
				{"resume", "acme/main"},
				{"renew", "acme/main"},
			} {
				contains(t, w.must(ExitFailed, append([]string{"credentials"}, args...)...).err, tc.want...)
			}
		})
	}
}

func TestTokenIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t).with("VAULT_TOKEN=" + marker + "-old")
	contains(t, w.must(ExitFailed, "credentials", "list").err, "403", "→ the login is not valid, or no longer")
}

func TestVaultIsSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sim.Seal(true)
	contains(t, w.must(ExitFailed, "credentials", "list").err, "Vault is sealed", "→ unseal Vault")
}

func TestVaultIsASecondary(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(472) }))
	t.Cleanup(server.Close)
	w := newWorld(t).with("VAULT_ADDR=" + server.URL)
	contains(t, w.must(ExitFailed, "credentials", "list").err, "472", "disaster recovery secondary", "→ it serves nobody", server.URL)
	contains(t, w.must(ExitFailed, "doctor", "--offline").out, "disaster recovery secondary", "→ it serves nobody")
}

func TestPlainServerAskedForTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w = w.with("VAULT_ADDR=https" + w.url[len("http"):])
	contains(t, w.must(ExitFailed, "credentials", "list").err, "→ the server speaks plain http")
}

// TestSilentVault has a server that takes connections and never answers.
func TestSilentVault(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &world{t: t, env: []string{"VAULT_ADDR=http://" + l.Addr().String(), "VAULT_TOKEN=" + marker}}
	r := w.must(ExitFailed, "credentials", "list", "--set", "renewal.vault_timeout=50ms")
	contains(t, r.err, "→ does Vault run, and is its address right?")
}

// TestTokenOfTheService sees that a token in a configuration file, which is the
// service's, is not used for a person's commands.
func TestTokenOfTheService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	config := file(t, "refresher.yaml", "vault:\n  address: "+w.url+"\n  token: "+rootToken+"\n")
	w.env = nil
	contains(t, w.must(ExitFailed, "credentials", "list", "--config", config).err, "no token: set VAULT_TOKEN")
	w.env = []string{"REFRESHER_VAULT_TOKEN=" + rootToken}
	contains(t, w.must(ExitFailed, "credentials", "list", "--config", config).err, "no token: set VAULT_TOKEN")
	w.must(ExitOK, "credentials", "list", "--config", config, "--set", "vault.token="+rootToken)
	w.env = []string{"VAULT_TOKEN=" + rootToken, "REFRESHER_VAULT_TOKEN=" + marker + "-of-the-service"}
	w.must(ExitOK, "credentials", "list", "--config", config)
}

// TestTokenHelper uses the token that "vault login" left. It changes HOME, so it
// does not run beside others.
func TestTokenHelper(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	w := newWorld(t)
	w.env = []string{"VAULT_ADDR=" + w.url}
	if err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(rootToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.must(ExitOK, "credentials", "list")
}

// TestAnotherKindOfStore has a mount at which a write would go astray.
func TestAnotherKindOfStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/sys/internal/ui/mounts/") {
			_, _ = rw.Write([]byte(`{"data":{"type":"kv","options":{"version":"1"}}}`))
			return
		}
		w.sim.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	r := w.with("VAULT_ADDR="+server.URL).must(ExitFailed, args("acme/main", kibo())...)
	contains(t, r.err, "secret/ is no KV version 2 store", "→ set REFRESHER_VAULT_MOUNT")
	if w.fields("acme/main") != nil {
		t.Error("it was stored all the same")
	}
}

// TestInterrupted ends the context while Vault is asked.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", kibo())
	for _, args := range [][]string{{"list"}, {"show", "acme/main"}, {"pause", "acme/main"}} {
		code, errs := w.interrupted(append([]string{"credentials"}, args...)...)
		if code != ExitFailed || errs != "refresher: interrupted\n" {
			t.Errorf("%v: %d %q", args, code, errs)
		}
	}
}

func TestExpiredToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sim.AddToken(marker+"-short", time.Nanosecond, vaultsim.Rule{Path: "secret/*", Capabilities: []string{"read"}})
	contains(t, w.with("VAULT_TOKEN="+marker+"-short").must(ExitFailed, "credentials", "list").err, "403")
}
