package providersim_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"refresher/internal/providersim"
)

// running is five simulators behind real listeners.
type running struct {
	*providersim.Providers
	servers *providersim.Servers
	client  *http.Client
}

func start(t *testing.T, opts providersim.Options) running {
	t.Helper()
	p := providersim.New(opts)
	s, err := p.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return running{Providers: p, servers: s, client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// refresh exchanges a refresh token over the wire and returns the status and the body as far as it came.
func (r running) refresh(ctx context.Context, app providersim.App, token string) (status int, body string, err error) {
	values := form("grant_type", "refresh_token", "refresh_token", token)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.servers.URL("checkfront")+tokenPath, strings.NewReader(values.Encode()))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(app.ClientID, app.ClientSecret)
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestLoseAnswerHasItsEffect(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	r.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, LoseAnswer: true})
	if _, _, err := r.refresh(t.Context(), app, app.RefreshToken); err == nil {
		t.Fatal("the answer was not lost")
	}
	e := wantLast(t, r.Checkfront.Simulator, providersim.KindExchange, providersim.ResultOK)
	if e.Fault != "lose_answer" || e.Status != http.StatusOK {
		t.Errorf("event %+v", e)
	}
	if living := r.Checkfront.LivingRefreshToken(app.ClientID); living == app.RefreshToken || living == "" {
		t.Errorf("the living token is %q, want a new one", living)
	}
	if !r.Checkfront.GrantAlive(app.RefreshToken) {
		t.Error("the grant died of a lost answer")
	}
}

func TestCutBeforeHasNoEffect(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	r.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, CutBefore: true})
	if _, _, err := r.refresh(t.Context(), app, app.RefreshToken); err == nil {
		t.Fatal("the connection was not cut")
	}
	e := wantLast(t, r.Checkfront.Simulator, providersim.KindExchange, providersim.ResultFault)
	if e.Status != 0 || e.Fault != "cut_before" {
		t.Errorf("event %+v", e)
	}
	if status, _, err := r.refresh(t.Context(), app, app.RefreshToken); err != nil || status != http.StatusOK {
		t.Errorf("second try: %d, %v", status, err)
	}
	if n := r.Checkfront.Ledger().Presentations()[providersim.Hash(app.RefreshToken)]; n != 2 {
		t.Errorf("%d presentations, want 2: a request that was cut was presented too", n)
	}
}

func TestTruncateCutsTheBody(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	r.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, Truncate: true})
	status, body, err := r.refresh(t.Context(), app, app.RefreshToken)
	if status != http.StatusOK || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("status %d, error %v, want 200 and an unexpected EOF", status, err)
	}
	if body == "" || json.Valid([]byte(body)) {
		t.Errorf("body %q is not half an answer", body)
	}
	wantLast(t, r.Checkfront.Simulator, providersim.KindExchange, providersim.ResultOK)
}

func TestClientThatHangsUpOverTheWire(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	r.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, DelayBefore: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := r.refresh(ctx, app, app.RefreshToken); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("error %v", err)
	}
	eventually(t, func() bool {
		return r.Checkfront.Ledger().Count(providersim.Match{Result: providersim.ResultGone}) == 1
	})
}

func TestCloseEndsDelays(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	r.Checkfront.Inject(providersim.Fault{DelayBefore: time.Hour, EvenIfGone: true})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, _, err := r.refresh(ctx, app, app.RefreshToken); err == nil {
		t.Fatal("answered")
	}
	if n := r.Checkfront.Ledger().Calls(); n != 0 {
		t.Fatalf("%d calls have ended, want none: the provider does not notice a hang-up", n)
	}
	r.servers.Close()
	eventually(t, func() bool {
		return r.Checkfront.Ledger().Count(providersim.Match{Result: providersim.ResultGone}) == 1
	})
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatal("it did not come about in 10 s")
		}
	}
}

func TestDownAndUp(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	before := r.servers.URL("checkfront")
	twice(t, r.servers.Down, "checkfront")
	if _, _, err := r.refresh(t.Context(), app, app.RefreshToken); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v, want a refused connection", err)
	}
	if r.Checkfront.Ledger().Calls() != 0 {
		t.Error("something arrived")
	}
	twice(t, r.servers.Up, "checkfront")
	if r.servers.URL("checkfront") != before {
		t.Error("the address changed")
	}
	if status, _, err := r.refresh(t.Context(), app, app.RefreshToken); err != nil || status != http.StatusOK {
		t.Errorf("answered %d, %v", status, err)
	}
}

func twice(t *testing.T, do func(string) error, provider string) {
	t.Helper()
	for range 2 {
		if err := do(provider); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnknownProvider(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	if r.servers.Down("nobody") == nil || r.servers.Up("nobody") == nil || r.servers.URL("nobody") != "" {
		t.Error("an unknown provider is known")
	}
}

func TestStartRefusesABadHost(t *testing.T) {
	t.Parallel()
	var opErr *net.OpError
	if _, err := providersim.New(providersim.Options{}).Start("256.0.0.1"); !errors.As(err, &opErr) {
		t.Errorf("error %v", err)
	}
}

// published is what a service would publish for one credential.
type published struct {
	provider, auth string
	headers, query map[string]string
	kill           func()
}

func publishAll(t *testing.T, r running) []published {
	t.Helper()
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	pair := r.Checkfront.AddTokenPair("acme")
	key := r.Bookeo.AddKey(providersim.KeySpec{AccountID: "acc-1"})
	clicrdv := clicrdvBench{sim: r.ClicRDV, user: r.ClicRDV.AddUser(providersim.UserSpec{
		Email: "user@clicrdv.test", Anonymous: providersim.AnonymousPublic, ReissueEvery: 1,
	})}
	session := clicrdv.login(t)
	basic := func(user, password string) map[string]string {
		req := &http.Request{Header: http.Header{}}
		req.SetBasicAuth(user, password)
		return map[string]string{"Authorization": req.Header.Get("Authorization")}
	}
	wall := &clock{now: time.Now()}
	ankor := ankorBench{clock: wall, sim: r.Ankor, company: r.Ankor.AddCompany(providersim.CompanySpec{URI: companyURI})}
	ankorToken := ankor.present(signAssertion(t, ankor.company, ankor.claims())).text("access_token")
	kibo := kiboBench{sim: r.Kibo, client: r.Kibo.AddClient(providersim.ClientSpec{QPS: 1})}
	kiboToken := kibo.mint().text("access_token")
	apikey := map[string]string{"apikey": clicrdv.user.APIKey}
	return []published{
		{
			"checkfront", "oauth2",
			map[string]string{"Authorization": "BEARER " + app.AccessToken},
			nil,
			func() { _ = r.Checkfront.RevokeGrant(app.ClientID) },
		},
		{"checkfront", "token_pair", basic(pair.APIKey, pair.APISecret), nil, func() { r.Checkfront.RevokeTokenPair(pair.APIKey) }},
		{
			"bookeo", "api_key",
			map[string]string{"X-Bookeo-apiKey": key.APIKey, "X-Bookeo-secretKey": key.SecretKey},
			nil,
			func() { _ = r.Bookeo.RevokeKey(key.APIKey) },
		},
		{
			"clicrdv", "session",
			map[string]string{"Cookie": "_session_id=" + session},
			apikey,
			func() { r.ClicRDV.ExpireSession(clicrdv.user.Email) },
		},
		{
			"clicrdv", "basic", basic(clicrdv.user.Email, clicrdv.user.Password), apikey,
			func() {
				r.ClicRDV.AddUser(providersim.UserSpec{Email: clicrdv.user.Email, APIKey: clicrdv.user.APIKey})
			},
		},
		{"ankor", "jwt_bearer", map[string]string{"Authorization": "Bearer " + ankorToken}, nil, func() { r.Ankor.RevokeTokens(companyURI) }},
		{
			"kibo", "client_credentials",
			map[string]string{"Authorization": "Bearer " + kiboToken, "API-Key": kibo.client.ClientID},
			nil,
			func() { r.Kibo.RevokeTokens(kibo.client.ClientID) },
		},
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	for _, c := range publishAll(t, r) { // not parallel: the ledger is counted
		t.Run(c.provider+" "+c.auth, func(t *testing.T) {
			sim := r.byName(c.provider)
			sim.Inject(providersim.Fault{Status: 503})
			defer sim.ClearFaults()
			calls := sim.Ledger().Calls()
			check := func() error {
				return r.servers.Check(t.Context(), c.provider, c.auth, r.servers.URL(c.provider), c.headers, c.query)
			}
			for range 3 {
				if err := check(); err != nil {
					t.Fatalf("a working token is refused: %v", err)
				}
			}
			wantLast(t, sim, providersim.KindCheck, providersim.ResultOK)
			c.kill()
			err := check()
			if err == nil {
				t.Fatal("a dead token is accepted")
			}
			assertNoSecret(t, r.Providers, err.Error())
			if sim.Ledger().Calls() != calls {
				t.Error("checks count as calls")
			}
		})
	}
}

func (r running) byName(name string) *providersim.Simulator {
	for _, sim := range r.All() {
		if sim.Name() == name {
			return sim
		}
	}
	return nil
}

func assertNoSecret(t *testing.T, p *providersim.Providers, text string) {
	t.Helper()
	for _, secret := range p.Secrets() {
		if strings.Contains(text, secret) {
			t.Errorf("%q tells a secret", text)
		}
	}
}

func TestCheckDoesNotKeepASessionAlive(t *testing.T) {
	t.Parallel()
	c := newClock()
	r := start(t, providersim.Options{Now: c.Now})
	b := clicrdvBench{clock: c, sim: r.ClicRDV, user: r.ClicRDV.AddUser(providersim.UserSpec{Email: "user@clicrdv.test"})}
	headers := map[string]string{"Cookie": "_session_id=" + b.login(t)}
	query := map[string]string{"apikey": b.user.APIKey}
	for _, want := range []bool{true, true, false} {
		c.advance(25 * time.Minute)
		if err := r.servers.Check(t.Context(), "clicrdv", "session", "", headers, query); (err == nil) != want {
			t.Errorf("at %s: %v", c.Now().Format(time.TimeOnly), err)
		}
	}
}

func TestCheckErrors(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	key := r.ClicRDV.AddUser(providersim.UserSpec{Email: "user@clicrdv.test"}).APIKey
	for name, err := range map[string]error{
		"unknown provider": r.servers.Check(t.Context(), "nobody", "oauth2", "", nil, nil),
		"another's method": r.servers.Check(t.Context(), "kibo", "oauth2", "", nil, nil),
		"no URL":           r.servers.Check(t.Context(), "clicrdv", "session", "http://%zz", nil, map[string]string{"apikey": key}),
		"nobody there":     r.servers.Check(t.Context(), "clicrdv", "session", "http://127.0.0.1:1", nil, map[string]string{"apikey": key}),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if _, ok := errors.AsType[*url.Error](err); ok {
			t.Errorf("%s: %v holds a URL", name, err)
		}
		assertNoSecret(t, r.Providers, err.Error())
	}
}
