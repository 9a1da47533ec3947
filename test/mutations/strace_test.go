package mutations

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// TestOrderOfSystemCalls: the program does with the disk and the network what it
// promises, in that order, and a power cut finds either the token or its successor.
func TestOrderOfSystemCalls(t *testing.T) {
	if wrong := traced(t, ""); wrong != "" {
		t.Error(wrong)
	}
}

// traced builds the program, lets it rotate one token against a real Vault, a real
// Redis and a simulated provider, and returns what is wrong with the order of its
// system calls, "" if nothing is.
func traced(t *testing.T, overlay string) string {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatalf("%v: install strace (Debian: apt-get install strace)", err)
	}
	binary, spool, trace := filepath.Join(t.TempDir(), "refresher"), t.TempDir(), filepath.Join(t.TempDir(), "trace")
	build := goTool(t.Context(), root(t), overlay, "build", "-trimpath", "-buildvcs=false", "-o", binary, "./cmd/refresher")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, build.Stderr)
	}
	server, redis := vaulttest.Start(t), redistest.Start(t)
	server.Policy("refresher", vault.Settings{}.Policy())
	sims := providersim.New(providersim.Options{})
	servers, err := sims.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	client := stored(t, server, sims, servers)

	// -D leaves the program our own child. strace keeps its output open until it has
	// written everything.
	cmd := exec.Command("strace", "-D", "-f", "-yy", "-s200", "-o", trace,
		"-e", "trace=openat,fallocate,fsync,pwrite64,ftruncate,read,write,rename,renameat,renameat2", binary, "run")
	cmd.Env = []string{
		"HOME=" + spool, "VAULT_ADDR=" + server.Address, "REDIS_URL=redis://" + redis.Addr,
		"VAULT_TOKEN=" + server.Token(vaulttest.TokenOptions{Policies: []string{"refresher"}}),
		"REFRESHER_ESCROW_DIR=" + spool, "REFRESHER_EGRESS_ALLOW=127.0.0.1", "REFRESHER_HTTP_LISTEN=127.0.0.1:0",
	}
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-ended; err != nil {
			t.Errorf("the traced program ended with %v:\n%s", err, log.String())
		}
	}()
	redistest.Eventually(t, "the token is published and the spool cleared", func() bool {
		token, _, err := client.Token(t.Context(), acme)
		left, _ := filepath.Glob(filepath.Join(spool, "answers", "*"))
		return err == nil && token.Status == credential.StatusActive && len(left) == 0
	})
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	where := rotation{spool: spool, provider: host(t, servers.URL("checkfront")), vault: host(t, server.Address), redis: redis.Addr}
	return where.disorder(parseTrace(string(text)))
}

var acme = credential.ID{Tenant: "acme", Name: "checkfront"}

// stored stores a credential as a person would, and returns the client that did.
func stored(t *testing.T, server *vaulttest.Server, sims *providersim.Providers, servers *providersim.Servers) *vault.Client {
	t.Helper()
	client, err := vault.Open(t.Context(), vault.Settings{
		Address: server.Address, Auth: vault.Auth{Token: credential.Secret(server.RootToken)},
	}, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	app := sims.Checkfront.AddApp(providersim.AppSpec{})
	if _, err := client.PutCredential(t.Context(), acme, map[string]string{
		"provider": "checkfront", "base_url": servers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
	}, nil); err != nil {
		t.Fatal(err)
	}
	return client
}

// host returns the address in a URL.
func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
