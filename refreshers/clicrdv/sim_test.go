package clicrdv

import (
	"net/http"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

// sim is a simulated ClicRDV and the way to it.
type sim struct {
	*providersim.Providers
	servers *providersim.Servers
	doer    refreshers.Doer
}

func newSim(t *testing.T) *sim {
	t.Helper()
	p := providersim.New(providersim.Options{})
	servers, err := p.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	return &sim{Providers: p, servers: servers, doer: refresherstest.HTTPDoer(http.DefaultClient)}
}

// user is one stored credential and what is published of it.
type user struct {
	sim     *sim
	method  refreshers.Method
	stored  credential.Credential
	current credential.Token
}

func (s *sim) user(t *testing.T, auth string, u providersim.User, more ...string) *user {
	t.Helper()
	c := credential.Credential{Provider: Provider, Auth: auth, BaseURL: s.servers.URL(Provider), Fields: map[string]credential.Secret{
		"api_key": credential.Secret(u.APIKey), "email": credential.Secret(u.Email), "password": credential.Secret(u.Password), "user_type": credential.Secret(u.Type),
	}}
	m, c := refresherstest.Resolve(t, Methods(DefaultSettings()), with(c, more...))
	return &user{sim: s, method: m, stored: c}
}

// renew renews, checks what is published with the simulator, and publishes it.
func (u *user) renew(t *testing.T) (refreshers.Result, error) {
	t.Helper()
	r, err := u.method.Refresher.Renew(t.Context(), refreshers.Call{Credential: u.stored, Current: u.current, HTTP: u.sim.doer})
	if err != nil {
		refresherstest.CheckError(t, err, u.sim.Secrets()...)
		return r, err
	}
	refresherstest.CheckResult(t, r, u.sim.Secrets()...)
	if err := u.sim.servers.Check(t.Context(), Provider, u.method.Auth, "", refresherstest.Reveal(r.Headers), refresherstest.Reveal(r.Query)); err != nil {
		t.Error(err)
	}
	u.current.Headers, u.current.Query, u.current.ExpiresAt, u.current.BaseURL = r.Headers, r.Query, r.ExpiresAt, u.stored.BaseURL
	if r.Renewed || u.current.Generation == 0 {
		u.current.Generation++
	}
	return r, nil
}

// kinds returns what the simulator was asked so far, in order.
func (u *user) kinds() string {
	var kinds []string
	for _, e := range u.sim.ClicRDV.Ledger().Events() {
		if e.Kind != providersim.KindCheck {
			kinds = append(kinds, e.Kind+":"+e.Result)
		}
	}
	return strings.Join(kinds, " ")
}

func TestSimulatedSessions(t *testing.T) {
	t.Parallel()
	for name, style := range map[string]providersim.AnonymousAnswer{
		"403": providersim.Anonymous403, "401": providersim.Anonymous401, "302": providersim.AnonymousRedirect,
		"HTML": providersim.AnonymousHTML, "JSON": providersim.AnonymousJSON,
	} {
		for _, userType := range []string{"pro", "account"} {
			t.Run(name+" "+userType, func(t *testing.T) {
				t.Parallel()
				s := newSim(t)
				account := s.ClicRDV.AddUser(providersim.UserSpec{Email: "usager@example.fr", Type: userType, Anonymous: style})
				u := s.user(t, "session", account)
				for want := range 3 { // a login, a touch, and a login because the session ended
					if want == 2 {
						s.ClicRDV.ExpireSession("usager@example.fr")
					}
					r, err := u.renew(t)
					if err != nil {
						t.Fatal(err)
					}
					if r.Renewed != (want != 1) {
						t.Errorf("renewal %d: renewed %v", want+1, r.Renewed)
					}
				}
				if got, want := u.kinds(), "login:ok touch:ok touch:anonymous touch:ok touch:refused login:ok"; got != want {
					t.Errorf("asked %s, want %s", got, want)
				}
			})
		}
	}
}

func TestSimulatedPublicGroups(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	account := s.ClicRDV.AddUser(providersim.UserSpec{Email: "usager@example.fr", Anonymous: providersim.AnonymousPublic})
	for _, auth := range []string{"session", "basic"} {
		_, err := s.user(t, auth, account).renew(t)
		if credential.KindOf(err) != credential.KindMisconfigured || !strings.Contains(err.Error(), "probe_path") {
			t.Errorf("%s: a probe that proves nothing: %v", auth, err)
		}
		if _, err := s.user(t, auth, account, "probe_path", "/api/v1/calendars.json").renew(t); err != nil {
			t.Errorf("%s: a probe that does: %v", auth, err)
		}
	}
}

func TestSimulatedReissue(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	account := s.ClicRDV.AddUser(providersim.UserSpec{Email: "usager@example.fr", ReissueEvery: 1})
	u := s.user(t, "session", account, "password", "", "password_sha1", account.PasswordSHA1)
	for range 3 {
		before := u.current.Headers["Cookie"]
		r, err := u.renew(t)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Renewed || r.Headers["Cookie"] == before {
			t.Error("the new cookie was not adopted")
		}
	}
	if n := s.ClicRDV.Ledger().Count(providersim.Match{Kind: providersim.KindLogin}); n != 1 {
		t.Errorf("logged in %d times", n)
	}
}

func TestSimulatedWrongPassword(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	account := s.ClicRDV.AddUser(providersim.UserSpec{Email: "usager@example.fr"})
	_, err := s.user(t, "session", account, "password", "not-the-password").renew(t)
	if credential.KindOf(err) != credential.KindMisconfigured || !strings.Contains(err.Error(), `"password"`) {
		t.Errorf("session: %v: %v", credential.KindOf(err), err)
	}
	_, err = s.user(t, "basic", account, "password", "not-the-password").renew(t)
	if credential.KindOf(err) != credential.KindRejected {
		t.Errorf("basic: %v: %v", credential.KindOf(err), err)
	}
}

func TestSimulatedBasic(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user(t, "basic", s.ClicRDV.AddUser(providersim.UserSpec{Email: "usager@example.fr"}))
	for range 2 {
		if _, err := u.renew(t); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := u.kinds(), "verify:ok touch:anonymous verify:ok"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	if err := s.servers.Down(Provider); err != nil {
		t.Fatal(err)
	}
	if _, err := u.renew(t); credential.CodeOf(err) != credential.CodeNotConnected {
		t.Errorf("with nobody there: %v", err)
	}
}
