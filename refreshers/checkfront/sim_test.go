package checkfront

import (
	"fmt"
	"net/http"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

// sim is a simulated Checkfront and the way to it.
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

// rotate presents a refresh token.
func (s *sim) rotate(t *testing.T, app providersim.App, token credential.Secret) (refreshers.Result, error) {
	t.Helper()
	return s.renew(t, token, map[string]string{"client_id": app.ClientID, "client_secret": app.ClientSecret, "refresh_token": "seed"}, "oauth2")
}

func (s *sim) renew(t *testing.T, token credential.Secret, fields map[string]string, auth string) (refreshers.Result, error) {
	t.Helper()
	c := credential.Credential{Provider: Provider, Auth: auth, BaseURL: s.servers.URL(Provider), Fields: map[string]credential.Secret{}}
	for name, value := range fields {
		c.Fields[name] = credential.Secret(value)
	}
	m, c := refresherstest.Resolve(t, Methods(DefaultSettings()), c)
	r, err := m.Refresher.Renew(t.Context(), refreshers.Call{Credential: c, RefreshToken: token, Attempt: "attempt", HTTP: s.doer})
	if err != nil {
		refresherstest.CheckError(t, err, s.Secrets()...)
		return r, err
	}
	refresherstest.CheckResult(t, r, s.Secrets()...)
	return r, nil
}

func (s *sim) works(t *testing.T, auth string, r refreshers.Result) error {
	t.Helper()
	return s.servers.Check(t.Context(), Provider, auth, "", refresherstest.Reveal(r.Headers), refresherstest.Reveal(r.Query))
}

func TestSimulatedRotations(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	app := s.Checkfront.AddApp(providersim.AppSpec{})
	token := credential.Secret(app.RefreshToken)
	for range 3 {
		before, err := s.rotate(t, app, token)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.works(t, "oauth2", before); err != nil {
			t.Fatal(err)
		}
		token = before.RefreshToken
		if token.Reveal() != s.Checkfront.LivingRefreshToken(app.ClientID) {
			t.Fatal("the refresh token in the result is not the living one")
		}
	}
	for _, n := range s.Checkfront.Ledger().Presentations() {
		if n != 1 {
			t.Errorf("a refresh token was presented %d times", n)
		}
	}
}

func TestSimulatedRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for name, style := range map[string]providersim.ErrorStyle{
		"a string": providersim.ErrorString, "an object": providersim.ErrorObject, "at 200": providersim.ErrorAt200,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := s.Checkfront.AddApp(providersim.AppSpec{Errors: style})
			stranger := app
			stranger.ClientSecret = "not-the-secret"
			if _, err := s.rotate(t, stranger, credential.Secret(app.RefreshToken)); credential.KindOf(err) != credential.KindMisconfigured {
				// An unknown client has no style of its own, but a wrong secret does.
				t.Errorf("a wrong secret: %v: %v", credential.KindOf(err), err)
			}
			if err := s.Checkfront.RevokeGrant(app.ClientID); err != nil {
				t.Fatal(err)
			}
			if _, err := s.rotate(t, app, credential.Secret(app.RefreshToken)); credential.KindOf(err) != credential.KindRejected {
				t.Errorf("a revoked grant: %v: %v", credential.KindOf(err), err)
			}
		})
	}
}

func TestSimulatedTrouble(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault providersim.Fault
		kind  credential.Kind
	}{
		"lost answer":             {providersim.Fault{LoseAnswer: true}, credential.KindAmbiguous},
		"cut":                     {providersim.Fault{CutBefore: true}, credential.KindAmbiguous},
		"truncated":               {providersim.Fault{Truncate: true}, credential.KindAmbiguous},
		"a page after the effect": {providersim.Fault{Body: providersim.BodyHTML, AfterEffect: true}, credential.KindAmbiguous},
		"garbage":                 {providersim.Fault{Body: providersim.BodyGarbage}, credential.KindAmbiguous},
		"too much":                {providersim.Fault{Body: providersim.BodyOversized, AfterEffect: true}, credential.KindAmbiguous},
		"502 after the effect":    {providersim.Fault{Status: 502, AfterEffect: true}, credential.KindAmbiguous},
		"503":                     {providersim.Fault{Status: 503, RetryAfter: "60"}, credential.KindAmbiguous},
		"redirect":                {providersim.Fault{Redirect: "https://elsewhere.example/"}, credential.KindAmbiguous},
		"429":                     {providersim.Fault{Status: 429, RetryAfter: "60"}, credential.KindRateLimited},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			app := s.Checkfront.AddApp(providersim.AppSpec{})
			s.Checkfront.Inject(tc.fault)
			_, err := s.rotate(t, app, credential.Secret(app.RefreshToken))
			if err == nil || credential.KindOf(err) != tc.kind {
				t.Errorf("%v: %v, want %v", credential.KindOf(err), err, tc.kind)
			}
			if n := s.Checkfront.Ledger().Calls(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestSimulatedOutage(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	app := s.Checkfront.AddApp(providersim.AppSpec{})
	if err := s.servers.Down(Provider); err != nil {
		t.Fatal(err)
	}
	_, err := s.rotate(t, app, credential.Secret(app.RefreshToken))
	if credential.KindOf(err) != credential.KindTransient || credential.CodeOf(err) != credential.CodeNotConnected {
		t.Errorf("%v: %v", credential.KindOf(err), err)
	}
}

func TestSimulatedOddities(t *testing.T) {
	t.Parallel()
	faults := []providersim.Fault{{NoRotation: true}}
	for _, raw := range []string{`"14000"`, "0", "-5", "1e300", `"soon"`} {
		faults = append(faults, providersim.Fault{ExpiresIn: raw})
	}
	for _, fault := range faults {
		t.Run(fmt.Sprint(fault.NoRotation, fault.ExpiresIn), func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			app := s.Checkfront.AddApp(providersim.AppSpec{})
			s.Checkfront.Inject(fault)
			r, err := s.rotate(t, app, credential.Secret(app.RefreshToken))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.works(t, "oauth2", r); err != nil {
				t.Error(err)
			}
			if kept := r.RefreshToken == ""; kept != fault.NoRotation {
				t.Errorf("kept the presented refresh token: %v", kept)
			}
		})
	}
}

func TestSimulatedPair(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	pair := s.Checkfront.AddTokenPair("acme")
	fields := map[string]string{"api_key": pair.APIKey, "api_secret": pair.APISecret}
	r, err := s.renew(t, "", fields, "token_pair")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.works(t, "token_pair", r); err != nil {
		t.Error(err)
	}
	s.Checkfront.RevokeTokenPair(pair.APIKey)
	if _, err := s.renew(t, "", fields, "token_pair"); credential.KindOf(err) != credential.KindRejected {
		t.Errorf("a revoked pair: %v: %v", credential.KindOf(err), err)
	}
}
