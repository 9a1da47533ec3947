package kibo

import (
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

// sim is a simulated Kibo and the way to it.
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

func (s *sim) mint(t *testing.T, client providersim.Client, probed bool) (refreshers.Result, error) {
	t.Helper()
	c := credential.Credential{Provider: Provider, BaseURL: s.servers.URL(Provider), Fields: map[string]credential.Secret{
		"client_id": credential.Secret(client.ClientID), "client_secret": credential.Secret(client.ClientSecret),
	}}
	if probed {
		c.Fields["probe_url"] = credential.Secret(s.servers.URL(Provider) + "/api/v2/location/17")
	}
	m, c := refresherstest.Resolve(t, Methods(DefaultSettings()), c)
	r, err := m.Refresher.Renew(t.Context(), refreshers.Call{Credential: c, HTTP: s.doer})
	if err != nil {
		refresherstest.CheckError(t, err, s.Secrets()...)
		return r, err
	}
	refresherstest.CheckResult(t, r, s.Secrets()...)
	if err := s.servers.Check(t.Context(), Provider, "client_credentials", "", refresherstest.Reveal(r.Headers), nil); err != nil {
		t.Error(err)
	}
	return r, nil
}

func TestSimulatedMint(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	client := s.Kibo.AddClient(providersim.ClientSpec{})
	r, err := s.mint(t, client, true)
	if err != nil {
		t.Fatal(err)
	}
	if lives := time.Until(r.ExpiresAt); lives < 55*time.Minute || lives > time.Hour || len(r.Warnings) > 0 {
		t.Errorf("lives %v, warnings %q", lives, r.Warnings)
	}
	if err := s.Kibo.RevokeClient(client.ClientID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.mint(t, client, true); credential.KindOf(err) != credential.KindMisconfigured {
		t.Errorf("revoked keys: %v: %v", credential.KindOf(err), err)
	}
}

func TestSimulatedQuota(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	client := s.Kibo.AddClient(providersim.ClientSpec{Quota: 1})
	for i, warnings := range []int{0, 1} { // the second probe is over the quota
		r, err := s.mint(t, client, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Warnings) != warnings {
			t.Errorf("mint %d: warnings are %q", i+1, r.Warnings)
		}
	}
}

func TestSimulatedPermission(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	client := s.Kibo.AddClient(providersim.ClientSpec{})
	s.Kibo.Inject(providersim.Fault{On: providersim.EndpointAPI, Status: 403, Times: 1})
	if _, err := s.mint(t, client, true); credential.KindOf(err) != credential.KindRejected || credential.CodeOf(err) != "token_refused" {
		t.Errorf("a token that the API refuses: %v", err)
	}
}

func TestSimulatedTrouble(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault providersim.Fault
		kind  credential.Kind
	}{
		"lost answer": {providersim.Fault{LoseAnswer: true}, credential.KindAmbiguous},
		"truncated":   {providersim.Fault{Truncate: true}, credential.KindTransient},
		"HTML":        {providersim.Fault{Body: providersim.BodyHTML}, credential.KindTransient},
		"too much":    {providersim.Fault{Body: providersim.BodyOversized, AfterEffect: true}, credential.KindTransient},
		"503":         {providersim.Fault{Status: 503, RetryAfter: "60"}, credential.KindTransient},
		"429":         {providersim.Fault{Status: 429, RetryAfter: "60"}, credential.KindRateLimited},
		"no lifetime": {providersim.Fault{ExpiresIn: "-5"}, credential.KindTransient},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSim(t)
			s.Kibo.Inject(tc.fault)
			if _, err := s.mint(t, s.Kibo.AddClient(providersim.ClientSpec{}), false); err == nil || credential.KindOf(err) != tc.kind {
				t.Errorf("%v: %v, want %v", credential.KindOf(err), err, tc.kind)
			}
		})
	}
}
