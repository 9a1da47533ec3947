package providersim_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"refresher/internal/providersim"
)

const (
	tokenPath   = "/oauth/token/"
	accountPath = "/api/3.0/account"
)

type checkfrontBench struct {
	clock *clock
	sim   *providersim.Checkfront
	app   providersim.App
}

func newCheckfrontBench(opts providersim.Options, spec providersim.AppSpec) checkfrontBench {
	c := newClock()
	opts.Now = c.Now
	sim := providersim.New(opts).Checkfront
	return checkfrontBench{clock: c, sim: sim, app: sim.AddApp(spec)}
}

func (b checkfrontBench) refresh(token string) reply {
	return call(b.sim, http.MethodPost, tokenPath, form("grant_type", "refresh_token", "refresh_token", token),
		withBasic(b.app.ClientID, b.app.ClientSecret))
}

func (b checkfrontBench) account(access string) int {
	return get(b.sim, accountPath, withHeader("Authorization", "BEARER "+access)).status
}

func TestCheckfrontRotation(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})

	got := b.refresh(b.app.RefreshToken)
	wantStatus(t, got, http.StatusOK)
	if got.number("expires_in") != 14000 {
		t.Errorf("expires_in is %v, want 14000", got.doc["expires_in"])
	}
	e := wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultOK)
	if e.TokenHash != providersim.Hash(b.app.RefreshToken) || e.IssuedHash != providersim.Hash(got.text("refresh_token")) {
		t.Error("the event does not tell which token became which")
	}
	if e.Account != b.app.ClientID || e.Grant != "grant-1" || e.Generation != 1 || e.Status != http.StatusOK || !e.At.Equal(b.clock.Now()) {
		t.Errorf("event %+v", e)
	}
}

func TestCheckfrontRotationReplacesBothTokens(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	got := b.refresh(b.app.RefreshToken)
	if b.account(b.app.AccessToken) != http.StatusUnauthorized {
		t.Error("the old access token still works")
	}
	if b.account(got.text("access_token")) != http.StatusOK {
		t.Error("the new access token does not work")
	}
	if living := b.sim.LivingRefreshToken(b.app.ClientID); living != got.text("refresh_token") {
		t.Errorf("living refresh token is %q", living)
	}
	wantStatus(t, b.refresh(got.text("refresh_token")), http.StatusOK)
}

func TestCheckfrontReuseKillsTheGrant(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	second := b.refresh(b.app.RefreshToken)

	again := b.refresh(b.app.RefreshToken)
	wantStatus(t, again, http.StatusBadRequest)
	if again.text("error") != "invalid_grant" {
		t.Errorf("error is %v", again.doc["error"])
	}
	wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultReuse)
	if b.account(second.text("access_token")) != http.StatusUnauthorized {
		t.Error("the grant's access token survived")
	}
	wantStatus(t, b.refresh(second.text("refresh_token")), http.StatusBadRequest)
	wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultInvalidGrant)
	if b.sim.GrantAlive(b.app.RefreshToken) || b.sim.LivingRefreshToken(b.app.ClientID) != "" {
		t.Error("the grant is said to live")
	}
	if n := b.sim.Ledger().Presentations()[providersim.Hash(b.app.RefreshToken)]; n != 2 {
		t.Errorf("the first token was presented %d times, want 2", n)
	}

	renewed, err := b.sim.Authorize(b.app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.refresh(renewed), http.StatusOK)
	if e := wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultOK); e.Grant != "grant-2" {
		t.Errorf("grant is %s, want a new one", e.Grant)
	}
}

func TestCheckfrontOnlyOneOfManyAtOnceWins(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { b.refresh(b.app.RefreshToken) })
	}
	wg.Wait()
	ok := b.sim.Ledger().Count(providersim.Match{Result: providersim.ResultOK})
	reuse := b.sim.Ledger().Count(providersim.Match{Result: providersim.ResultReuse})
	if ok != 1 || reuse != 15 {
		t.Errorf("%d exchanges and %d reuses, want 1 and 15", ok, reuse)
	}
}

func TestCheckfrontLifetimes(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	tests := []struct {
		name          string
		opts          providersim.Options
		after         time.Duration
		access, fresh int
	}{
		{"access lives", providersim.Options{}, 13999 * time.Second, 200, 200},
		{"access expired, grant lives", providersim.Options{}, 14000 * time.Second, 401, 200},
		{"grant lives to the last", providersim.Options{}, 14*day - time.Second, 401, 200},
		{"grant expired", providersim.Options{}, 14 * day, 401, 400},
		{"a thousand times as fast, lives", providersim.Options{Factor: 1000}, 13 * time.Second, 200, 200},
		{"a thousand times as fast, access expired", providersim.Options{Factor: 1000}, 14 * time.Second, 401, 200},
		{"a thousand times as fast, grant expired", providersim.Options{Factor: 1000}, 14 * day / 1000, 401, 400},
		{"own lifetimes", providersim.Options{CheckfrontAccess: time.Minute, CheckfrontGrant: time.Hour}, time.Minute, 401, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newCheckfrontBench(tt.opts, providersim.AppSpec{})
			b.clock.advance(tt.after)
			if got := b.account(b.app.AccessToken); got != tt.access {
				t.Errorf("the access token is answered %d, want %d", got, tt.access)
			}
			wantStatus(t, b.refresh(b.app.RefreshToken), tt.fresh)
		})
	}
}

func TestFactorScalesWhatIsAnnounced(t *testing.T) {
	t.Parallel()
	for factor, want := range map[float64]float64{1: 14000, 0.5: 28000, 1000: 14, 3: 4666, 1e6: 1} {
		b := newCheckfrontBench(providersim.Options{Factor: factor}, providersim.AppSpec{})
		if got := b.refresh(b.app.RefreshToken).number("expires_in"); got != want {
			t.Errorf("factor %v: expires_in is %v, want %v", factor, got, want)
		}
	}
}

func TestCheckfrontExpiredIsToldInTheLedger(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	b.clock.advance(15 * 24 * time.Hour)
	b.refresh(b.app.RefreshToken)
	wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultExpired)
	if b.sim.GrantAlive(b.app.RefreshToken) {
		t.Error("an expired grant is said to live")
	}
}

func TestCheckfrontTokenEndpointRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		path   string
		change func(*http.Request)
		extra  []string
		status int
		result string
	}{
		{"without the slash", http.MethodPost, "/oauth/token", nil, nil, 301, providersim.ResultRedirect},
		{"GET", http.MethodGet, tokenPath, nil, nil, 405, providersim.ResultInvalidRequest},
		{"no client", http.MethodPost, tokenPath, func(r *http.Request) { r.Header.Del("Authorization") }, nil, 401, providersim.ResultInvalidClient},
		{"wrong secret", http.MethodPost, tokenPath, withBasic("sim-x", "sim-y"), nil, 401, providersim.ResultInvalidClient},
		{"client in the body", http.MethodPost, tokenPath, nil, []string{"client_id", "x"}, 400, providersim.ResultInvalidRequest},
		{"a scope", http.MethodPost, tokenPath, nil, []string{"scope", "x"}, 400, providersim.ResultInvalidRequest},
		{"two tokens", http.MethodPost, tokenPath, nil, []string{"refresh_token", "x"}, 400, providersim.ResultInvalidRequest},
		{"in the query", http.MethodPost, tokenPath + "?a=b", nil, nil, 400, providersim.ResultInvalidRequest},
		{"JSON", http.MethodPost, tokenPath, withHeader("Content-Type", "application/json"), nil, 400, providersim.ResultInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
			options := []option{withBasic(b.app.ClientID, b.app.ClientSecret)}
			if tt.change != nil {
				options = append(options, tt.change)
			}
			fields := append([]string{"grant_type", "refresh_token", "refresh_token", b.app.RefreshToken}, tt.extra...)
			wantStatus(t, call(b.sim, tt.method, tt.path, form(fields...), options...), tt.status)
			wantLast(t, b.sim.Simulator, providersim.KindExchange, tt.result)
			if b.sim.LivingRefreshToken(b.app.ClientID) != b.app.RefreshToken {
				t.Error("the refusal had an effect on the grant")
			}
		})
	}
}

func TestCheckfrontOthersToken(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	other := b.sim.AddApp(providersim.AppSpec{})
	wantStatus(t, b.refresh(other.RefreshToken), http.StatusBadRequest)
	wantStatus(t, b.refresh("sim-unknown"), http.StatusBadRequest)
	if !b.sim.GrantAlive(other.RefreshToken) {
		t.Error("a stranger could kill a grant")
	}
	got := call(b.sim, http.MethodPost, tokenPath, form("grant_type", "password"), withBasic(b.app.ClientID, b.app.ClientSecret))
	if got.text("error") != "unsupported_grant_type" {
		t.Errorf("error is %v", got.doc["error"])
	}
}

func TestCheckfrontErrorStyles(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		style  providersim.ErrorStyle
		status int
		code   func(reply) string
	}{
		{"string", providersim.ErrorString, 400, func(r reply) string { return r.text("error") }},
		{"object", providersim.ErrorObject, 400, func(r reply) string {
			object, _ := r.doc["error"].(map[string]any)
			code, _ := object["code"].(string)
			return code
		}},
		{"at 200", providersim.ErrorAt200, 200, func(r reply) string { return r.text("error") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{Errors: tt.style})
			got := b.refresh("sim-unknown")
			wantStatus(t, got, tt.status)
			if tt.code(got) != "invalid_grant" {
				t.Errorf("body %s", got.body)
			}
		})
	}
}

func TestCheckfrontRefreshAfterExpiryOnly(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{RefreshAfterExpiryOnly: true})
	wantStatus(t, b.refresh(b.app.RefreshToken), http.StatusBadRequest)
	wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultTooEarly)
	b.clock.advance(14000 * time.Second)
	wantStatus(t, b.refresh(b.app.RefreshToken), http.StatusOK)
}

func TestCheckfrontRevokeGrant(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	if err := b.sim.RevokeGrant(b.app.ClientID); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.refresh(b.app.RefreshToken), http.StatusBadRequest)
	wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultInvalidGrant)
	if b.account(b.app.AccessToken) != http.StatusUnauthorized {
		t.Error("the access token outlived its grant")
	}
	if b.sim.RevokeGrant("nobody") == nil {
		t.Error("an unknown account could be revoked")
	}
	if _, err := b.sim.Authorize("nobody"); err == nil {
		t.Error("an unknown account could be authorized")
	}
	if _, alive := b.sim.Living("nobody"); alive {
		t.Error("an unknown account has a living grant")
	}
}

func TestCheckfrontAPICredentials(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	pair := b.sim.AddTokenPair("acme")
	revoked := b.sim.AddTokenPair("gone")
	b.sim.RevokeTokenPair(revoked.APIKey)
	tests := []struct {
		name    string
		target  string
		options []option
		status  int
		kind    string
		result  string
	}{
		{"bearer", accountPath, []option{withHeader("Authorization", "bearer "+b.app.AccessToken)}, 200, "api", "ok"},
		{"query", accountPath + "?access_token=" + b.app.AccessToken, nil, 200, "api", "ok"},
		{"nothing", accountPath, nil, 401, "api", "anonymous"},
		{"unknown", accountPath, []option{withBearer("sim-unknown")}, 401, "api", "refused"},
		{"a refresh token", accountPath, []option{withBearer(b.app.RefreshToken)}, 401, "api", "refused"},
		{"pair", accountPath, []option{withBasic(pair.APIKey, pair.APISecret)}, 200, "verify", "ok"},
		{"pair, wrong secret", accountPath, []option{withBasic(pair.APIKey, "sim-wrong")}, 401, "verify", "refused"},
		{"pair, revoked", accountPath, []option{withBasic(revoked.APIKey, revoked.APISecret)}, 401, "verify", "refused"},
		{"consumer key", accountPath, []option{withBasic(b.app.ClientID, b.app.ClientSecret)}, 401, "verify", "refused"},
		{"ping", "/api/3.0/ping", nil, 200, "ping", "ok"},
		{"elsewhere", "/elsewhere", nil, 404, "other", "not_found"},
	}
	for _, tt := range tests { // not parallel: each looks at the last event
		t.Run(tt.name, func(t *testing.T) {
			wantStatus(t, get(b.sim, tt.target, tt.options...), tt.status)
			wantLast(t, b.sim.Simulator, tt.kind, tt.result)
		})
	}
}

func (b checkfrontBench) authorize(t *testing.T, query string) url.Values {
	t.Helper()
	got := get(b.sim, "/oauth/?"+query)
	wantStatus(t, got, http.StatusFound)
	location, err := url.Parse(got.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return location.Query()
}

func (b checkfrontBench) redeem(code, redirectURI string) reply {
	return call(b.sim, http.MethodPost, tokenPath, form("grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI),
		withBasic(b.app.ClientID, b.app.ClientSecret))
}

func TestCheckfrontAuthorizationCode(t *testing.T) {
	t.Parallel()
	const callback = "https://refresher.test/callback?a=b"
	tests := []struct {
		name     string
		after    time.Duration
		redirect string
		status   int
		result   string
	}{
		{"in time", 59 * time.Second, callback, 200, providersim.ResultOK},
		{"too late", time.Minute, callback, 400, providersim.ResultExpired},
		{"another redirect_uri", 0, "https://refresher.test/other", 400, providersim.ResultInvalidGrant},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{RedirectURI: callback})
			query := b.authorize(t, "response_type=code&state=sim-state&client_id="+b.app.ClientID+"&redirect_uri="+url.QueryEscape(callback))
			if query.Get("state") != "sim-state" || query.Get("a") != "b" {
				t.Errorf("came back with %v", query)
			}
			b.clock.advance(tt.after)
			wantStatus(t, b.redeem(query.Get("code"), tt.redirect), tt.status)
			wantLast(t, b.sim.Simulator, providersim.KindCode, tt.result)
		})
	}
}

func TestCheckfrontCodeIsForOnce(t *testing.T) {
	t.Parallel()
	const callback = "https://refresher.test/"
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{DropState: true})
	query := b.authorize(t, "response_type=code&state=sim-state&client_id="+b.app.ClientID+"&redirect_uri="+callback)
	if query.Has("state") {
		t.Error("the state was to be dropped")
	}
	first := b.redeem(query.Get("code"), callback)
	wantStatus(t, first, http.StatusOK)
	wantStatus(t, b.redeem(query.Get("code"), callback), http.StatusBadRequest)
	wantLast(t, b.sim.Simulator, providersim.KindCode, providersim.ResultReuse)
	if b.sim.GrantAlive(first.text("refresh_token")) {
		t.Error("a code used twice left its grant alive")
	}
	if !b.sim.GrantAlive(b.app.RefreshToken) {
		t.Error("the other grant died too")
	}
}

func TestPeekingIsForTheAPIOnly(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	call(b.sim, http.MethodPost, tokenPath, form("grant_type", "refresh_token", "refresh_token", b.app.RefreshToken),
		withBasic(b.app.ClientID, b.app.ClientSecret), withHeader("X-Sim-Peek", "1"))
	wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultOK)
}

func TestCheckfrontAuthorizePageRefusals(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{RedirectURI: "https://refresher.test/"})
	for name, target := range map[string]string{
		"unknown client":       "/oauth/?response_type=code&client_id=x&redirect_uri=https://refresher.test/",
		"another redirect_uri": "/oauth/?response_type=code&client_id=" + b.app.ClientID + "&redirect_uri=https://evil.test/",
		"no redirect_uri":      "/oauth/?response_type=code&client_id=" + b.app.ClientID,
		"another type":         "/oauth/?response_type=token&client_id=" + b.app.ClientID + "&redirect_uri=https://refresher.test/",
	} {
		if got := get(b.sim, target); got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", name, got.status)
		}
	}
	wantStatus(t, get(b.sim, "/oauth?x=y"), http.StatusMovedPermanently)
}
