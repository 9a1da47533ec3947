package providersim_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"refresher/internal/providersim"
)

// writeLedger has an exchange, an API call, a refused one and a check entered.
func writeLedger() (b checkfrontBench, exchanged reply) {
	b = newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	exchanged = b.refresh(b.app.RefreshToken)
	b.account(exchanged.text("access_token"))
	b.account("sim-unknown")
	get(b.sim, accountPath, withBearer(exchanged.text("access_token")), withHeader("X-Sim-Peek", "1"))
	return b, exchanged
}

func TestLedgerCounts(t *testing.T) {
	t.Parallel()
	b, got := writeLedger()
	ledger := b.sim.Ledger()
	if n := ledger.Calls(); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
	if n := ledger.Count(providersim.Match{}); n != 4 {
		t.Errorf("%d events, want 4", n)
	}
	for name, tt := range map[string]struct {
		match providersim.Match
		want  int
	}{
		"kind":              {providersim.Match{Kind: providersim.KindAPI}, 2},
		"kind and result":   {providersim.Match{Kind: providersim.KindAPI, Result: providersim.ResultRefused}, 1},
		"endpoint":          {providersim.Match{Endpoint: providersim.EndpointAPI}, 3},
		"account":           {providersim.Match{Account: b.app.ClientID}, 3},
		"token":             {providersim.Match{TokenHash: providersim.Hash(got.text("access_token"))}, 2},
		"grant":             {providersim.Match{Grant: "grant-1"}, 3},
		"nothing of a sort": {providersim.Match{Kind: providersim.KindLogin}, 0},
	} {
		if n := ledger.Count(tt.match); n != tt.want {
			t.Errorf("%s: %d events, want %d", name, n, tt.want)
		}
	}
}

func TestLedgerReads(t *testing.T) {
	t.Parallel()
	b, _ := writeLedger()
	ledger := b.sim.Ledger()
	if rest := ledger.From(3); len(rest) != 1 || rest[0].Kind != providersim.KindCheck || rest[0].Generation != 2 {
		t.Errorf("from 3 on: %+v", rest)
	}
	if len(ledger.From(4)) != 0 || len(ledger.From(99)) != 0 || len(ledger.From(-1)) != 4 {
		t.Error("From goes past the ends")
	}
	if e := ledger.Events()[0]; e.Provider != "checkfront" || e.Method != http.MethodPost || e.Path != tokenPath {
		t.Errorf("event %+v", e)
	}
	ledger.Events()[0].Provider = "changed"
	if ledger.Events()[0].Provider != "checkfront" {
		t.Error("a caller could change the ledger")
	}
}

func TestLedgerNeverHoldsAQuery(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{})
	b.groups()
	if e := b.sim.Ledger().Events()[0]; strings.Contains(e.Path, "?") || e.Path != "/api/v1/groups.json" {
		t.Errorf("path is %q", e.Path)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	r := start(t, providersim.Options{})
	app := r.Checkfront.AddApp(providersim.AppSpec{})
	pair := r.Checkfront.AddTokenPair("acme")
	key := r.Bookeo.AddKey(providersim.KeySpec{AccountID: "acc-1"})
	user := r.ClicRDV.AddUser(providersim.UserSpec{Email: "user@clicrdv.test"})
	company := r.Ankor.AddCompany(providersim.CompanySpec{URI: companyURI})
	client := r.Kibo.AddClient(providersim.ClientSpec{})
	clicrdv := clicrdvBench{sim: r.ClicRDV, user: user}
	ankor := ankorBench{clock: newClock(), sim: r.Ankor, company: company}
	kibo := kiboBench{sim: r.Kibo, client: client}
	assertion := signAssertion(t, company, ankor.claims())
	ankor.present(assertion)

	basic := func(user, password string) string {
		return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	secrets := r.Secrets()
	for name, secret := range map[string]string{
		"consumer secret": app.ClientSecret, "refresh token": app.RefreshToken, "access token": app.AccessToken,
		"consumer Basic": basic(app.ClientID, app.ClientSecret),
		"pair key":       pair.APIKey, "pair secret": pair.APISecret, "pair Basic": basic(pair.APIKey, pair.APISecret),
		"new refresh token": r.Checkfront.LivingRefreshToken(app.ClientID),
		"bookeo key":        key.APIKey, "bookeo secret": key.SecretKey,
		"clicrdv key": user.APIKey, "password": user.Password, "hash": user.PasswordSHA1, "session": clicrdv.login(t),
		"user Basic": basic(user.Email, user.Password),
		"assertion":  assertion, "PEM line": strings.Split(company.PrivateKeyPEM, "\n")[9],
		"kibo key": client.ClientID, "kibo key in a URL": url.QueryEscape(client.ClientID), "kibo secret": client.ClientSecret,
		"kibo token": kibo.mint().text("access_token"),
	} {
		if secret == "" || !slices.Contains(r.Secrets(), secret) {
			t.Errorf("the %s is not among the secrets", name)
		}
	}
	for _, public := range []string{app.ClientID, user.Email, companyURI, company.KeyID, "acc-1"} {
		if slices.Contains(secrets, public) {
			t.Errorf("%q is no secret", public)
		}
	}
	for _, s := range secrets {
		if len(s) < 20 {
			t.Errorf("%q is so short that searching for it means nothing", s)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	p := providersim.New(providersim.Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			app := p.Checkfront.AddApp(providersim.AppSpec{})
			b := checkfrontBench{sim: p.Checkfront, app: app}
			remove := p.Checkfront.Inject(providersim.Fault{Account: app.ClientID, On: providersim.EndpointAPI, Status: 500})
			for range 20 {
				b.refresh(p.Checkfront.LivingRefreshToken(app.ClientID))
				b.account(app.AccessToken)
			}
			remove()
			p.Secrets()
			p.Checkfront.Ledger().Events()
		})
	}
	wg.Wait()
	if n := p.Checkfront.Ledger().Count(providersim.Match{Kind: providersim.KindExchange, Result: providersim.ResultOK}); n != 160 {
		t.Errorf("%d exchanges, want 160", n)
	}
	if n := p.Checkfront.Ledger().Count(providersim.Match{Kind: providersim.KindAPI, Result: providersim.ResultFault}); n != 160 {
		t.Errorf("%d faults, want 160", n)
	}
}
