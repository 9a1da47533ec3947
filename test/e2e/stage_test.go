package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
	"refresher/internal/testport"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// stage is a real Vault, a real Redis, and the simulators.
type stage struct {
	t       *testing.T
	vault   *vaulttest.Server
	redis   *redistest.Server
	client  *vault.Client
	sims    *providersim.Providers
	servers *providersim.Servers
	token   string
}

// servicePolicy is what the service may do in Vault, and no more.
var servicePolicy = vault.Settings{}.Policy()

func newStage(t *testing.T, options providersim.Options) *stage {
	t.Helper()
	s := &stage{t: t, vault: vaulttest.Start(t), redis: redistest.Start(t), sims: providersim.New(options)}
	s.vault.Policy("refresher", servicePolicy)
	s.token = s.vault.Token(vaulttest.TokenOptions{Policies: []string{"refresher"}})
	servers, err := s.sims.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	s.servers = servers
	s.client, err = vault.Open(t.Context(), vault.Settings{
		Address: s.vault.Address, Auth: vault.Auth{Token: credential.Secret(s.vault.RootToken)},
	}, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	return s
}

// put stores a credential as a person would.
func (s *stage) put(path string, data map[string]string) credential.ID {
	s.t.Helper()
	id, err := credential.ParseID(path)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.client.PutCredential(s.t.Context(), id, data, nil); err != nil {
		s.t.Fatal(err)
	}
	return id
}

// published reads a token as a reader would.
func (s *stage) published(id credential.ID) credential.Token {
	s.t.Helper()
	tok, _, err := s.client.Token(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return tok
}

// serves returns what is wrong with a published token, "" if its provider takes it.
func (s *stage) serves(id credential.ID) string {
	tok, _, err := s.client.Token(s.t.Context(), id)
	if err != nil {
		return err.Error()
	}
	if tok.Status != credential.StatusActive {
		return fmt.Sprintf("%s is %s: %s", id, tok.Status, tok.Message)
	}
	if err := s.servers.Check(s.t.Context(), tok.Provider, tok.Auth, tok.BaseURL, reveal(tok.Headers), reveal(tok.Query)); err != nil {
		return fmt.Sprintf("%s, generation %d, expires %s: %v", id, tok.Generation, tok.ExpiresAt, err)
	}
	return ""
}

func reveal(m map[string]credential.Secret) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = v.Reveal()
	}
	return out
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

// process is one running replica.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	out     *lockedBuffer
	Address string
	done    chan error
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// environ is the environment of a replica whose spool is dir.
func (s *stage) environ(dir string, env ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"VAULT_ADDR=" + s.vault.Address, "VAULT_TOKEN=" + s.token, "REDIS_URL=redis://" + s.redis.Addr,
		"REFRESHER_ESCROW_DIR=" + dir, "REFRESHER_EGRESS_ALLOW=127.0.0.1", "REFRESHER_LOG_LEVEL=debug",
	}, env...)
}

// run starts a replica and waits until it is ready.
func (s *stage) run(dir string, env ...string) *process {
	s.t.Helper()
	address := testport.Address(s.t)
	p := &process{t: s.t, out: &lockedBuffer{}, Address: "http://" + address, done: make(chan error, 1)}
	p.cmd = exec.Command(binary(s.t), "run")
	p.cmd.Env = append(s.environ(dir, env...), "REFRESHER_HTTP_LISTEN="+address)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if err := <-p.done; err != nil {
			s.t.Logf("a replica ended with: %v", err)
		}
		if s.t.Failed() {
			s.t.Logf("log of a replica, its end:\n%s", tail(p.out.String(), 6000))
		}
	})
	redistest.Eventually(s.t, "the replica is ready", func() bool { return get(p.Address+"/readyz") == http.StatusOK })
	return p
}

// stop sends SIGTERM and wants a clean end.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Errorf("stopped with %v", err)
		}
		p.done <- err
	case <-time.After(30 * time.Second):
		p.t.Fatal("did not stop within 30 s")
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

func get(url string) int {
	client := http.Client{Timeout: 2 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// noSecrets searches a text for everything that the simulators ever handed out.
func (s *stage) noSecrets(what, text string) {
	s.t.Helper()
	for _, secret := range append(s.sims.Secrets(), s.token) {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s shows a secret (%.8s…)", what, secret)
			return
		}
	}
}
