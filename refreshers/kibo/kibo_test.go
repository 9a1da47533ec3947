package kibo

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

const probeURL = "https://integration.shopatron.com/api/v2/location/17"

func stored(fields ...string) credential.Credential {
	c := credential.Credential{
		ID: credential.ID{Tenant: "acme", Name: "orders"}, Provider: Provider, BaseURL: LiveURL,
		Fields: map[string]credential.Secret{
			"client_id":     "made-up-key|n4n%2bgyr9",
			"client_secret": "made-up|secret%2b+/=",
		},
	}
	for i := 0; i < len(fields); i += 2 {
		c.Fields[fields[i]] = credential.Secret(fields[i+1])
	}
	return c
}

func tokenAnswer(t testing.TB) refreshers.Answer {
	return refresherstest.Fixture(t, 200, "testdata/token.json")
}

func TestConformance(t *testing.T) {
	t.Parallel()
	location := refresherstest.Fixture(t, 200, "testdata/location.json")
	for name, s := range map[string]refresherstest.Subject{
		"without a probe": {Credential: stored(), Success: []refreshers.Answer{tokenAnswer(t)}},
		"with a probe":    {Credential: stored("probe_url", probeURL), Success: []refreshers.Answer{tokenAnswer(t), location}},
	} {
		s.Method = Methods(DefaultSettings())[0]
		s.MaxLifetime, s.Renewed, s.Headers = time.Hour, true, []string{"Authorization", "API-Key"}
		probed := s.Success[1:]
		s.WithLifetime = func(raw string) []refreshers.Answer {
			minted := refresherstest.JSON(200, fmt.Sprintf(`{"access_token":"made-up-token","token_type":"Bearer","expires_in":%s}`, raw))
			return append([]refreshers.Answer{minted}, probed...)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refresherstest.Run(t, s)
		})
	}
}

func mint(t *testing.T, c credential.Credential, steps ...refresherstest.Step) (refreshers.Result, []refresherstest.Request, error) {
	t.Helper()
	script := refresherstest.NewScript(steps...)
	r, err := Methods(DefaultSettings())[0].Refresher.Renew(t.Context(), refreshers.Call{Credential: c, HTTP: script})
	return r, script.Requests(), err
}

func TestRequest(t *testing.T) {
	t.Parallel()
	r, requests, err := mint(t, stored(), refresherstest.Answers(tokenAnswer(t))...)
	if err != nil {
		t.Fatal(err)
	}
	req := requests[0]
	if req.Method != "POST" || req.URL != "https://auth.shopatron.com/oauthserver/oauth2/token" || req.Body != "grant_type=client_credentials" {
		t.Errorf("asked for %s %s with %s", req.Method, req.URL, req.Body)
	}
	// base64 of `made-up-key|n4n%2bgyr9:made-up|secret%2b+/=`, made with coreutils.
	const basic = "Basic bWFkZS11cC1rZXl8bjRuJTJiZ3lyOTptYWRlLXVwfHNlY3JldCUyYisvPQ=="
	for name, want := range map[string]string{
		"Authorization": basic, "Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded",
	} {
		if got := req.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if r.Headers["Authorization"] != "Bearer made-up-a2853b04d0ff4b29990739389" || r.Headers["API-Key"] != "made-up-key|n4n%2bgyr9" {
		t.Error("readers are not given what the document asks for")
	}
}

func TestEnvironments(t *testing.T) {
	t.Parallel()
	m := Methods(DefaultSettings())[0]
	for environment, want := range map[string][2]string{
		"":            {LiveURL, LiveAPIURL},
		"live":        {LiveURL, LiveAPIURL},
		"staging":     {StagingURL, StagingURL},
		"development": {DevelopmentURL, DevelopmentURL},
	} {
		c := stored("environment", environment)
		c.BaseURL = ""
		_, c, err := refreshers.NewRegistry([]refreshers.Method{m}).Resolve(c, func(string, []string) error { return nil })
		if err != nil || c.BaseURL != want[0] || m.APIURL(c) != want[1] {
			t.Errorf("%q: %s, read at %s: %v", environment, c.BaseURL, m.APIURL(c), err)
		}
	}
}

func TestBudgetKey(t *testing.T) {
	t.Parallel()
	key := Methods(DefaultSettings())[0].BudgetKey
	one, same, other := stored(), stored("client_secret", "another"), stored("client_id", "another")
	if key(one) != key(same) || key(one) == key(other) {
		t.Error("the budget does not follow the API key alone")
	}
	if strings.Contains(key(one), "made-up") {
		t.Error("the budget's key shows the API key")
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		status  int
		body    string
		mashery string
		kind    credential.Kind
		code    string
		text    string
	}{
		{401, `{"error":"invalid_client"}`, "", credential.KindMisconfigured, "invalid_client", `"client_id", "client_secret"`},
		{400, `{"error":"invalid_client"}`, "", credential.KindMisconfigured, "invalid_client", `"client_secret"`},
		{401, `<html>`, "", credential.KindMisconfigured, "http_401", `"client_secret"`},
		{400, `{"error":"unauthorized_client"}`, "", credential.KindMisconfigured, "unauthorized_client", ""},
		{403, `<h1>Developer Over Qps</h1>`, "ERR_403_DEVELOPER_OVER_QPS", credential.KindRateLimited, "http_403", ""},
		{403, `<h1>Developer Over Rate</h1>`, "ERR_403_DEVELOPER_OVER_RATE", credential.KindRateLimited, "http_403", ""},
		{403, `<h1>Not Authorized</h1>`, "ERR_403_NOT_AUTHORIZED", credential.KindTransient, "http_403", ""},
		{403, `<h1>Forbidden</h1>`, "", credential.KindTransient, "http_403", ""},
		{200, `{"access_token":"ab","token_type":"mac","expires_in":60}`, "", credential.KindTransient, "bad_token", ""},
		{200, `{"access_token":"ab","token_type":"bearer","expires_in":-60}`, "", credential.KindTransient, "bad_lifetime", ""},
	} {
		a := refresherstest.JSON(tc.status, tc.body)
		if tc.mashery != "" {
			a = refresherstest.With(a, "X-Mashery-Error-Code", tc.mashery)
		}
		_, _, err := mint(t, stored(), refresherstest.Answers(a)...)
		if credential.KindOf(err) != tc.kind || credential.CodeOf(err) != tc.code || !strings.Contains(fmt.Sprint(err), tc.text) {
			t.Errorf("%d %s: %v: %v; want %v, %s", tc.status, tc.body, credential.KindOf(err), err, tc.kind, tc.code)
		}
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	minted := refresherstest.Step{Answer: tokenAnswer(t)}
	over := refresherstest.With(refresherstest.JSON(403, ""), "X-Mashery-Error-Code", "ERR_403_DEVELOPER_OVER_RATE")
	for name, tc := range map[string]struct {
		probe refresherstest.Step
		code  string // of the error; empty: published
		warns string
	}{
		"accepted":  {refresherstest.Step{Answer: refresherstest.Fixture(t, 200, "testdata/location.json")}, "", ""},
		"401":       {refresherstest.Step{Answer: refresherstest.JSON(401, "")}, "token_refused", ""},
		"403":       {refresherstest.Step{Answer: refresherstest.JSON(403, "")}, "token_refused", ""},
		"over rate": {refresherstest.Step{Answer: over}, "", "limit is reached"},
		"429":       {refresherstest.Step{Answer: refresherstest.JSON(429, "")}, "", "limit is reached"},
		"500":       {refresherstest.Step{Answer: refresherstest.JSON(500, "")}, "", "answered 500"},
		"302":       {refresherstest.Step{Answer: refresherstest.JSON(302, "")}, "", "answered 302"},
		"404":       {refresherstest.Step{Answer: refresherstest.JSON(404, "")}, "", "answered 404"},
		"no answer": {refresherstest.Step{Err: errors.New("lost")}, "", "got no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, requests, err := mint(t, stored("probe_url", probeURL), minted, tc.probe)
			if probe := requests[1]; probe.Method != "GET" || probe.URL != probeURL || probe.Header.Get("API-Key") != "made-up-key|n4n%2bgyr9" ||
				probe.Header.Get("Authorization") != "Bearer made-up-a2853b04d0ff4b29990739389" {
				t.Error("the probe is not the documented call")
			}
			if tc.code != "" {
				if credential.KindOf(err) != credential.KindRejected || credential.CodeOf(err) != tc.code {
					t.Errorf("%v: %v", credential.KindOf(err), err)
				}
				return
			}
			if err != nil || r.AccessToken == "" {
				t.Fatalf("the new token is lost: %v", err)
			}
			if got := strings.Join(r.Warnings, "\n"); !strings.Contains(got, tc.warns) || (got == "") != (tc.warns == "") {
				t.Errorf("warnings are %q", got)
			}
		})
	}
}

func TestStoredFieldsAreNotShared(t *testing.T) {
	t.Parallel()
	c := stored()
	before := maps.Clone(c.Fields)
	r, _, err := mint(t, c, refresherstest.Answers(tokenAnswer(t))...)
	if err != nil {
		t.Fatal(err)
	}
	r.Headers["API-Key"] = "changed"
	if !maps.Equal(before, c.Fields) {
		t.Error("a change to the result changes the credential")
	}
}
