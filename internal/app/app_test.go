package app_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/vaultsim"
	"refresher/vault"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// stage is the service's surroundings in one process: a stand-in for Vault, and
// the providers' simulators, on loopback.
type stage struct {
	t       *testing.T
	vault   *httptest.Server
	client  *vault.Client
	sims    *providersim.Providers
	servers *providersim.Servers
}

const token = "sim-root"

func newStage(t *testing.T) *stage {
	t.Helper()
	server := httptest.NewServer(vaultsim.New(token))
	t.Cleanup(server.Close)
	sims := providersim.New(providersim.Options{})
	servers, err := sims.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	client, err := vault.Open(t.Context(), vault.Settings{Address: server.URL, Auth: vault.Auth{Token: token}}, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &stage{t: t, vault: server, client: client, sims: sims, servers: servers}
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

// fleet stores one credential of each method.
func (s *stage) fleet() []credential.ID {
	cf := s.sims.Checkfront.AddApp(providersim.AppSpec{})
	pair := s.sims.Checkfront.AddTokenPair("pair")
	bk := s.sims.Bookeo.AddKey(providersim.KeySpec{AccountID: "A1", Permissions: []string{"bookings_rw_all"}})
	pro := s.sims.ClicRDV.AddUser(providersim.UserSpec{Email: "pro@example.com", Type: "pro"})
	basic := s.sims.ClicRDV.AddUser(providersim.UserSpec{Email: "basic@example.com", Type: "pro"})
	ank := s.sims.Ankor.AddCompany(providersim.CompanySpec{URI: "https://acme.example.com"})
	kibo := s.sims.Kibo.AddClient(providersim.ClientSpec{})
	return []credential.ID{
		s.put("acme/checkfront", map[string]string{
			"provider": "checkfront", "base_url": s.servers.URL("checkfront"), "client_id": cf.ClientID,
			"client_secret": cf.ClientSecret, "refresh_token": cf.RefreshToken,
		}),
		s.put("acme/pair", map[string]string{
			"provider": "checkfront", "auth": "token_pair", "base_url": s.servers.URL("checkfront"),
			"api_key": pair.APIKey, "api_secret": pair.APISecret,
		}),
		s.put("acme/bookeo", map[string]string{
			"provider": "bookeo", "base_url": s.servers.URL("bookeo"), "api_key": bk.APIKey, "secret_key": bk.SecretKey,
			"account_id": "A1", "required_permissions": "bookings_rw_own",
		}),
		s.put("beta/clicrdv", map[string]string{
			"provider": "clicrdv", "base_url": s.servers.URL("clicrdv"), "api_key": pro.APIKey, "email": pro.Email,
			"password": pro.Password, "user_type": "pro",
		}),
		s.put("beta/clicrdv-basic", map[string]string{
			"provider": "clicrdv", "auth": "basic", "base_url": s.servers.URL("clicrdv"), "api_key": basic.APIKey,
			"email": basic.Email, "password": basic.Password,
		}),
		s.put("gamma/ankor", map[string]string{
			"provider": "ankor", "base_url": s.servers.URL("ankor"), "company_uri": ank.URI, "key_id": ank.KeyID,
			"private_key": ank.PrivateKeyPEM,
		}),
		s.put("gamma/kibo", map[string]string{
			"provider": "kibo", "base_url": s.servers.URL("kibo"), "api_url": s.servers.URL("kibo"),
			"client_id": kibo.ClientID, "client_secret": kibo.ClientSecret,
		}),
	}
}

// config is the service's configuration on this stage.
func (s *stage) config(sets ...string) config.Config {
	s.t.Helper()
	c, _, err := config.Load(config.Options{
		Env: func(string) (string, bool) { return "", false },
		Sets: append([]string{
			"vault.address=" + s.vault.URL, "vault.token=" + token, "escrow.dir=" + s.t.TempDir(),
			"egress.allow=127.0.0.1", "http.listen=127.0.0.1:0",
		}, sets...),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// start runs the service until the test ends.
func (s *stage) start(c config.Config, log zerolog.Logger) (address string) {
	s.t.Helper()
	a, err := app.New(s.t.Context(), c, app.Build{Version: "test"}, log)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- a.Run(ctx, func(address string) { ready <- address }) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.t.Errorf("the service stopped with %v", err)
		}
		if err := a.Close(); err != nil {
			s.t.Error(err)
		}
	})
	select {
	case address = <-ready:
		return address
	case err := <-done:
		s.t.Fatalf("the service did not start: %v", err)
		return ""
	}
}

func (s *stage) token(id credential.ID) credential.Token {
	s.t.Helper()
	tok, _, err := s.client.Token(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return tok
}

// eventually polls until done, or fails the test with what is the matter.
func eventually(t *testing.T, within time.Duration, what func() string) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		matter := what()
		if matter == "" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatal(matter)
		case <-poll.C:
		}
	}
}

// serves returns what is wrong with a published token, "" if its provider takes it.
func (s *stage) serves(id credential.ID) string {
	tok := s.token(id)
	if tok.Status != credential.StatusActive {
		return id.String() + " is " + string(tok.Status) + ": " + tok.Message
	}
	reveal := func(m map[string]credential.Secret) map[string]string {
		out := map[string]string{}
		for k, v := range m {
			out[k] = v.Reveal()
		}
		return out
	}
	if err := s.servers.Check(s.t.Context(), tok.Provider, tok.Auth, tok.BaseURL, reveal(tok.Headers), reveal(tok.Query)); err != nil {
		return id.String() + ": " + err.Error()
	}
	return ""
}

// lockedLog is a log that is read while the service still writes it.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestAllSevenMethodsComeAlive(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ids := s.fleet()
	var log lockedLog
	s.start(s.config(), zerolog.New(&log))
	for _, id := range ids {
		eventually(t, 15*time.Second, func() string { return s.serves(id) })
	}
	for _, secret := range s.sims.Secrets() {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log shows a secret (%.10s…)", secret)
		}
	}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ids := s.fleet()
	c := s.config()
	once := func() app.Summary {
		t.Helper()
		a, err := app.New(t.Context(), c, app.Build{Version: "test"}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}()
		summary, err := a.Once(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return summary
	}
	if got := once(); got.Renewed != len(ids) || got.Failed != 0 {
		t.Errorf("first: %+v, want %d renewed", got, len(ids))
	}
	for _, id := range ids {
		if matter := s.serves(id); matter != "" {
			t.Error(matter)
		}
	}
	s.put("gamma/broken", map[string]string{"provider": "kibo", "client_id": "sim-id"})
	if got := once(); got.Failed != 1 {
		t.Errorf("second: %+v, want 1 failed", got)
	}
}
