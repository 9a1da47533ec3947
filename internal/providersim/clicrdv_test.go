package providersim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"refresher/internal/providersim"
)

type clicrdvBench struct {
	clock *clock
	sim   *providersim.ClicRDV
	user  providersim.User
}

func newClicrdvBench(opts providersim.Options, spec providersim.UserSpec) clicrdvBench {
	c := newClock()
	opts.Now = c.Now
	sim := providersim.New(opts).ClicRDV
	spec.Email = "user@clicrdv.test"
	return clicrdvBench{clock: c, sim: sim, user: sim.AddUser(spec)}
}

func (b clicrdvBench) loginAs(u providersim.User) reply {
	return call(b.sim, http.MethodPost, "/api/v1/sessions/login.json?apikey="+u.APIKey,
		form(u.Type+"[email]", u.Email, u.Type+"[password]", u.PasswordSHA1))
}

func (b clicrdvBench) login(t *testing.T) (session string) {
	t.Helper()
	got := b.loginAs(b.user)
	wantStatus(t, got, http.StatusOK)
	return cookieOf(t, got)
}

func cookieOf(t *testing.T, r reply) string {
	t.Helper()
	cookie, err := http.ParseSetCookie(r.header.Get("Set-Cookie"))
	if err != nil || cookie.Name != "_session_id" {
		t.Fatalf("no session in %q", r.header.Get("Set-Cookie"))
	}
	return cookie.Value
}

func (b clicrdvBench) groups(options ...option) reply {
	return get(b.sim, "/api/v1/groups.json?apikey="+b.user.APIKey, options...)
}

func TestClicRDVLogin(t *testing.T) {
	t.Parallel()
	for _, userType := range []string{"pro", "account"} {
		t.Run(userType, func(t *testing.T) {
			t.Parallel()
			b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{Type: userType})
			got := b.loginAs(b.user)
			wantStatus(t, got, http.StatusOK)
			if object, _ := got.doc[userType].(map[string]any); object["email"] != b.user.Email {
				t.Errorf("body %s", got.body)
			}
			if e, there := got.doc["error"]; !there || e != nil {
				t.Errorf("error is %v, want null", e)
			}
			e := wantLast(t, b.sim.Simulator, providersim.KindLogin, providersim.ResultOK)
			if e.Account != b.user.Email || e.IssuedHash != providersim.Hash(cookieOf(t, got)) {
				t.Errorf("event %+v", e)
			}
		})
	}
}

func TestClicRDVLoginInTheURL(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{})
	query := form("apikey", b.user.APIKey, "pro[email]", b.user.Email, "pro[password]", b.user.PasswordSHA1)
	got := call(b.sim, http.MethodPost, "/api/v1/sessions/login?"+query.Encode(), nil)
	wantStatus(t, got, http.StatusOK)
	wantStatus(t, b.groups(withCookie(cookieOf(t, got))), http.StatusOK)
}

func TestClicRDVLoginRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*providersim.User)
		status int
		result string
	}{
		{"wrong password", func(u *providersim.User) { u.PasswordSHA1 = "sim-wrong" }, 200, "refused"},
		{"plain password", func(u *providersim.User) { u.PasswordSHA1 = u.Password }, 200, "refused"},
		{"uppercase hash", func(u *providersim.User) { u.PasswordSHA1 = strings.ToUpper(u.PasswordSHA1) }, 200, "refused"},
		{"as another type", func(u *providersim.User) { u.Type = "account" }, 200, "refused"},
		{"unknown user", func(u *providersim.User) { u.Email = "nobody@clicrdv.test" }, 200, "refused"},
		{"unknown apikey", func(u *providersim.User) { u.APIKey = "sim-unknown" }, 403, "unknown_key"},
		{"no apikey", func(u *providersim.User) { u.APIKey = "" }, 403, "unknown_key"},
		{"no such type", func(u *providersim.User) { u.Type = "admin" }, 400, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{})
			u := b.user
			tt.change(&u)
			got := b.loginAs(u)
			wantStatus(t, got, tt.status)
			if got.text("error") == "" || got.header.Get("Set-Cookie") != "" {
				t.Errorf("answered %s with cookie %q", got.body, got.header.Get("Set-Cookie"))
			}
			wantLast(t, b.sim.Simulator, providersim.KindLogin, tt.result)
		})
	}
}

func TestClicRDVAPIKeyInTheBodyIsIgnored(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{})
	fields := form("apikey", b.user.APIKey, "pro[email]", b.user.Email, "pro[password]", b.user.PasswordSHA1)
	wantStatus(t, call(b.sim, http.MethodPost, "/api/v1/sessions/login.json", fields), http.StatusForbidden)
}

func TestClicRDVSessionDiesWhenIdle(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		factor float64
		idle   time.Duration
		status int
	}{
		{"just in time", 1, time.Hour - time.Second, 200},
		{"an hour", 1, time.Hour, 403},
		{"sixty times as fast, in time", 60, 59 * time.Second, 200},
		{"sixty times as fast, a minute", 60, time.Minute, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newClicrdvBench(providersim.Options{Factor: tt.factor}, providersim.UserSpec{})
			session := b.login(t)
			b.clock.advance(tt.idle)
			wantStatus(t, b.groups(withCookie(session)), tt.status)
			if b.sim.SessionAlive(b.user.Email) != (tt.status == 200) {
				t.Error("SessionAlive says otherwise")
			}
		})
	}
}

func TestClicRDVTouchRenewsAndPeekDoesNot(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{ReissueEvery: 1000})
	session := b.login(t)
	for range 5 {
		b.clock.advance(50 * time.Minute)
		got := b.groups(withCookie(session))
		wantStatus(t, got, http.StatusOK)
		if list, _ := got.doc["records"].([]any); len(list) == 0 {
			t.Fatalf("body %s", got.body)
		}
	}
	wantLast(t, b.sim.Simulator, providersim.KindTouch, providersim.ResultOK)

	peek := withHeader("X-Sim-Peek", "1")
	b.clock.advance(50 * time.Minute)
	wantStatus(t, b.groups(withCookie(session), peek), http.StatusOK)
	wantLast(t, b.sim.Simulator, providersim.KindCheck, providersim.ResultOK)
	b.clock.advance(10 * time.Minute)
	wantStatus(t, b.groups(withCookie(session), peek), http.StatusForbidden)
	wantStatus(t, b.groups(withCookie(session)), http.StatusForbidden)
	wantLast(t, b.sim.Simulator, providersim.KindTouch, providersim.ResultExpired)
}

func TestClicRDVReissue(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{ReissueEvery: 2})
	session := b.login(t)
	if got := b.groups(withCookie(session)); got.header.Get("Set-Cookie") != "" {
		t.Error("re-issued at the first touch")
	}
	got := b.groups(withCookie(session))
	wantStatus(t, got, http.StatusOK)
	renewed := cookieOf(t, got)
	wantStatus(t, b.groups(withCookie(session)), http.StatusForbidden)
	wantStatus(t, b.groups(withCookie(renewed)), http.StatusOK)
}

func TestClicRDVExpireSession(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{})
	first, second := b.login(t), b.login(t)
	if n := b.sim.ExpireSession(b.user.Email); n != 2 {
		t.Errorf("%d sessions ended, want 2", n)
	}
	wantStatus(t, b.groups(withCookie(first)), http.StatusForbidden)
	wantStatus(t, b.groups(withCookie(second)), http.StatusForbidden)
	wantStatus(t, b.groups(withCookie(b.login(t))), http.StatusOK)
}

func TestClicRDVBasic(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{})
	wantStatus(t, b.groups(withBasic(b.user.Email, b.user.Password)), http.StatusOK)
	wantLast(t, b.sim.Simulator, providersim.KindVerify, providersim.ResultOK)
	wantStatus(t, b.groups(withBasic(b.user.Email, b.user.PasswordSHA1)), http.StatusForbidden)
	wantLast(t, b.sim.Simulator, providersim.KindVerify, providersim.ResultRefused)
	wantStatus(t, get(b.sim, "/api/v1/groups.json", withBasic(b.user.Email, b.user.Password)), http.StatusForbidden)
	wantLast(t, b.sim.Simulator, providersim.KindVerify, providersim.ResultUnknownKey)
}

func TestClicRDVAnonymousAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		anonymous providersim.AnonymousAnswer
		status    int
		media     string
		records   bool
	}{
		{"403", providersim.Anonymous403, 403, "application/json", false},
		{"401", providersim.Anonymous401, 401, "application/json", false},
		{"redirect", providersim.AnonymousRedirect, 302, "text/html", false},
		{"html", providersim.AnonymousHTML, 200, "text/html", false},
		{"json", providersim.AnonymousJSON, 200, "application/json", false},
		{"public", providersim.AnonymousPublic, 200, "application/json", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{Anonymous: tt.anonymous})
			got := b.groups()
			wantStatus(t, got, tt.status)
			wantLast(t, b.sim.Simulator, providersim.KindTouch, providersim.ResultAnonymous)
			if !strings.HasPrefix(got.header.Get("Content-Type"), tt.media) {
				t.Errorf("Content-Type is %q", got.header.Get("Content-Type"))
			}
			if _, has := got.doc["records"]; has != tt.records {
				t.Errorf("body %s", got.body)
			}
			if got.header.Get("WWW-Authenticate") != "" {
				t.Error("ClicRDV sends no challenge")
			}
			if peek := b.groups(withHeader("X-Sim-Peek", "1")); peek.status != http.StatusForbidden {
				t.Errorf("a check was told %d", peek.status)
			}
			deeper := get(b.sim, "/api/v1/groups/4/calendars.json?"+url.Values{"apikey": {b.user.APIKey}}.Encode())
			if _, has := deeper.doc["records"]; has {
				t.Error("a deeper path is public")
			}
			wantStatus(t, get(b.sim, "/api/v1/groups/4/calendars.json?apikey="+b.user.APIKey, withCookie(b.login(t))), http.StatusOK)
		})
	}
}

func TestClicRDVAnotherApplication(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{})
	u := b.user
	u.APIKey = b.sim.AddUser(providersim.UserSpec{Email: "other@clicrdv.test"}).APIKey
	if got := b.loginAs(u); got.text("error") == "" {
		t.Error("logged in through another application")
	}
	wantStatus(t, get(b.sim, "/api/v1/groups.json?apikey="+u.APIKey, withBasic(u.Email, u.Password)), http.StatusForbidden)
}

func TestClicRDVElsewhere(t *testing.T) {
	t.Parallel()
	b := newClicrdvBench(providersim.Options{}, providersim.UserSpec{APIKey: "sim-shared"})
	other := b.sim.AddUser(providersim.UserSpec{Email: "other@clicrdv.test", APIKey: "sim-shared"})
	wantStatus(t, b.loginAs(other), http.StatusOK)
	wantStatus(t, get(b.sim, "/login"), http.StatusNotFound)
	wantStatus(t, call(b.sim, http.MethodPost, "/api/v1/groups.json?apikey=sim-shared", nil), http.StatusMethodNotAllowed)
}
