package checkfront

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

const presented = credential.Secret("presented|refresh%2btoken+/=")

func grant() credential.Credential {
	return credential.Credential{
		ID: credential.ID{Tenant: "acme", Name: "bookings"}, Provider: Provider, Auth: "oauth2", BaseURL: "https://acme.checkfront.com/",
		Fields: map[string]credential.Secret{
			"client_id":     "consumer|key%2b",
			"client_secret": "consumer&secret=+%2b|",
			"refresh_token": "seed-refresh-token-7d1f",
		},
	}
}

func pair() credential.Credential {
	return credential.Credential{
		ID: credential.ID{Tenant: "acme", Name: "site"}, Provider: Provider, Auth: "token_pair", BaseURL: "https://acme.checkfront.com",
		Fields: map[string]credential.Secret{"api_key": "pair-key-3be98641f0", "api_secret": "pair+secret%2b4c4d598a5d"},
	}
}

func oauthSubject(t testing.TB) refresherstest.Subject {
	return refresherstest.Subject{
		Method:       Methods(DefaultSettings())[0],
		Credential:   grant(),
		RefreshToken: presented,
		Success:      []refreshers.Answer{refresherstest.Fixture(t, 200, "testdata/rotated.json")},
		WithLifetime: func(raw string) []refreshers.Answer {
			return []refreshers.Answer{refresherstest.JSON(200, fmt.Sprintf(`{"access_token":"made-up-access-1","expires_in":%s,"refresh_token":"made-up-refresh-1"}`, raw))}
		},
		MaxLifetime: 14000 * time.Second,
		Renewed:     true,
		Headers:     []string{"Authorization"},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("oauth2", func(t *testing.T) {
		t.Parallel()
		refresherstest.Run(t, oauthSubject(t))
	})
	t.Run("token_pair", func(t *testing.T) {
		t.Parallel()
		refresherstest.Run(t, refresherstest.Subject{
			Method:     Methods(DefaultSettings())[1],
			Credential: pair(),
			Success:    []refreshers.Answer{refresherstest.Fixture(t, 200, "testdata/account.json")},
			Headers:    []string{"Authorization"},
		})
	})
}

func renew(t *testing.T, m refreshers.Method, c credential.Credential, a refreshers.Answer) (refreshers.Result, refresherstest.Request, error) {
	t.Helper()
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	script := refresherstest.NewScript(refresherstest.Answers(a)...)
	r, err := m.Refresher.Renew(t.Context(), refreshers.Call{Credential: c, RefreshToken: presented, Attempt: "attempt", HTTP: script})
	return r, script.Requests()[0], err
}

func TestExchangeRequest(t *testing.T) {
	t.Parallel()
	m := Methods(DefaultSettings())[0]
	_, req, err := renew(t, m, grant(), refresherstest.Fixture(t, 200, "testdata/rotated.json"))
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != "POST" || req.URL != "https://acme.checkfront.com/oauth/token/" {
		t.Errorf("asked for %s %s", req.Method, req.URL)
	}
	form, err := url.ParseQuery(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(form) != 2 || form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != presented.Reveal() {
		t.Error("the form does not hold the two documented parameters, and nothing else")
	}
	// base64 of `consumer|key%2b:consumer&secret=+%2b|`, made with coreutils.
	const want = "Basic Y29uc3VtZXJ8a2V5JTJiOmNvbnN1bWVyJnNlY3JldD0rJTJifA=="
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("the keys are not sent as the raw bytes that they are: %s", got)
	}
	if got := req.Header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
		t.Errorf("Content-Type is %q", got)
	}
}

func TestRotatedResult(t *testing.T) {
	t.Parallel()
	r, _, err := renew(t, Methods(DefaultSettings())[0], grant(), refresherstest.Fixture(t, 200, "testdata/rotated.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Headers["Authorization"].Reveal(); got != "BEARER made-up-access-f58ef579d0bb" {
		t.Errorf("readers are given %q", got)
	}
	if r.RefreshToken != "made-up-refresh-91c3aa07e2d4" {
		t.Error("the new refresh token is lost")
	}
	if want := refresherstest.Start().Add(14000 * time.Second); !r.ExpiresAt.Equal(want) {
		t.Errorf("expires at %v, want %v", r.ExpiresAt, want)
	}
}

func TestOddRotation(t *testing.T) {
	t.Parallel()
	m := Methods(DefaultSettings())[0]
	for name, tc := range map[string]struct {
		body    string
		refresh credential.Secret
		warning string
	}{
		"no refresh token":       {`{"access_token":"new-access","expires_in":14000}`, "", "no refresh token"},
		"the presented one":      {`{"access_token":"new-access","expires_in":14000,"refresh_token":"` + presented.Reveal() + `"}`, "", "repeats the presented"},
		"a lifetime too long":    {`{"access_token":"new-access","expires_in":86400,"refresh_token":"new-refresh"}`, "new-refresh", "longer than the documented"},
		"no lifetime":            {`{"access_token":"new-access","refresh_token":"new-refresh"}`, "new-refresh", "expires_in is missing"},
		"another type":           {`{"access_token":"new-access","expires_in":14000,"refresh_token":"new-refresh","token_type":"mac"}`, "new-refresh", "another type"},
		"an error beside it":     {`{"access_token":"new-access","expires_in":14000,"refresh_token":"new-refresh","error":{"code":"invalid_grant"}}`, "new-refresh", "an error beside"},
		"no token for a header":  {`{"access_token":"new\naccess","expires_in":14000,"refresh_token":"new-refresh"}`, "new-refresh", "header cannot hold"},
		"type in capitals is ok": {`{"access_token":"new-access","expires_in":14000,"refresh_token":"new-refresh","token_type":"BEARER"}`, "new-refresh", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _, err := renew(t, m, grant(), refresherstest.JSON(200, tc.body))
			if err != nil {
				t.Fatal(err)
			}
			if r.RefreshToken != tc.refresh {
				t.Error("the refresh token is not what it should be")
			}
			if got := strings.Join(r.Warnings, "\n"); !strings.Contains(got, tc.warning) || (tc.warning == "") != (got == "") {
				t.Errorf("warnings are %q, want %q", got, tc.warning)
			}
		})
	}
}

func TestAmbiguousCodes(t *testing.T) {
	t.Parallel()
	m := Methods(DefaultSettings())[0]
	for _, tc := range []struct {
		status int
		body   string
		code   string
	}{
		{200, `{"token":"x"}`, "no_token"},
		{200, `{"access_token":""}`, "no_token"},
		{200, `{"access_token":17}`, "no_token"},
		{201, `{"data":{"access_token":"x","refresh_token":"y"}}`, "no_token"},
		{200, `{"access_token":"x","refresh_to`, "no_token"},
		{200, `access_token=x&refresh_token=y`, "no_token"},
		{200, " \n<!DOCTYPE html>", "unreadable"},
		{200, " \n", "unreadable"},
		{307, ``, "redirect"},
		{400, `{"error":"invalid_request"}`, "invalid_request"},
		{400, `{"error":"expired_token"}`, "http_400"},
		{401, ``, "http_401"},
		{500, `{"access_token":"x","refresh_token":"y"}`, "http_500"},
		{503, ``, "http_503"},
	} {
		t.Run(fmt.Sprint(tc.status, tc.body), func(t *testing.T) {
			t.Parallel()
			_, _, err := renew(t, m, grant(), refresherstest.JSON(tc.status, tc.body))
			if credential.KindOf(err) != credential.KindAmbiguous || credential.CodeOf(err) != tc.code {
				t.Errorf("%v: %v, want code %s", credential.KindOf(err), err, tc.code)
			}
		})
	}
}

func TestNothingToPresent(t *testing.T) {
	t.Parallel()
	script := refresherstest.NewScript(refresherstest.Step{})
	_, err := Methods(DefaultSettings())[0].Refresher.Renew(t.Context(), refreshers.Call{Credential: grant(), HTTP: script})
	if credential.KindOf(err) != credential.KindMisconfigured || len(script.Requests()) != 0 {
		t.Errorf("%v, after %d requests", err, len(script.Requests()))
	}
}

func TestTokenPair(t *testing.T) {
	t.Parallel()
	m := Methods(DefaultSettings())[1]
	r, req, err := renew(t, m, pair(), refresherstest.Fixture(t, 200, "testdata/account.json"))
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != "GET" || req.URL != "https://acme.checkfront.com/api/3.0/account" {
		t.Errorf("asked for %s %s", req.Method, req.URL)
	}
	if got := r.Headers["Authorization"].Reveal(); got != req.Header.Get("Authorization") || !strings.HasPrefix(got, "Basic ") {
		t.Error("readers are not given what was verified")
	}
	for _, tc := range []struct {
		status int
		body   string
		kind   credential.Kind
		code   string
	}{
		{401, ``, credential.KindRejected, "http_401"},
		{403, ``, credential.KindRejected, "http_403"},
		{404, ``, credential.KindTransient, "http_404"},
		{200, `{"error":{"id":"401"}}`, credential.KindTransient, "error_in_answer"},
	} {
		_, _, err := renew(t, m, pair(), refresherstest.JSON(tc.status, tc.body))
		if credential.KindOf(err) != tc.kind || credential.CodeOf(err) != tc.code {
			t.Errorf("%d %s: %v: %v", tc.status, tc.body, credential.KindOf(err), err)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	registry := refreshers.NewRegistry(Methods(DefaultSettings()))
	anyURL := func(string, []string) error { return nil }
	for name, tc := range map[string]struct {
		change func(*credential.Credential)
		want   string
	}{
		"no base_url":  {func(c *credential.Credential) { c.BaseURL = "" }, `field "base_url" is missing`},
		"keep":         {func(c *credential.Credential) { c.Fields["keep"] = "both" }, `field "keep": must be one of access, grant`},
		"date":         {func(c *credential.Credential) { c.Fields["refresh_token_issued_at"] = "yesterday" }, `field "refresh_token_issued_at": must be a time`},
		"colon":        {func(c *credential.Credential) { c.Fields["client_id"] = "a:b" }, `field "client_id": has a colon`},
		"line break":   {func(c *credential.Credential) { c.Fields["refresh_token"] += "\n" }, `field "refresh_token": has a space or a line break`},
		"all in order": {func(c *credential.Credential) { c.Fields["keep"], c.Auth = "grant", "" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := grant()
			tc.change(&c)
			m, c, err := registry.Resolve(c, anyURL)
			if tc.want == "" {
				if err != nil || m.Auth != "oauth2" || c.BaseURL != "https://acme.checkfront.com" {
					t.Errorf("resolved to %s at %s: %v", m.Name(), c.BaseURL, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("the error is %v, want %s", err, tc.want)
			}
		})
	}
}

func FuzzJudge(f *testing.F) {
	f.Add(200, "", []byte(`{"access_token":"a","expires_in":14000,"refresh_token":"r"}`))
	f.Add(400, "", []byte(`{"error":{"code":"invalid_grant"}}`))
	f.Add(401, "", []byte(`{"error":"invalid_client"}`))
	f.Add(503, "120", []byte(`<html>`))
	f.Add(200, "", []byte(`{"access_token":"a","expires_in":"1e400"}`))
	m := oauth2{lifetime: 14000 * time.Second}
	f.Fuzz(func(t *testing.T, status int, retryAfter string, body []byte) {
		a := refresherstest.With(refresherstest.JSON(status, string(body)), "Retry-After", retryAfter)
		r, err := m.judge(a, presented)
		if err == nil {
			lives := r.ExpiresAt.Sub(a.StartedAt)
			if r.AccessToken == "" || status/100 != 2 || lives <= 0 || lives > m.lifetime {
				t.Errorf("a result of %d that lives %v", status, lives)
			}
			return
		}
		switch kind := credential.KindOf(err); kind {
		case credential.KindAmbiguous:
		case credential.KindRateLimited:
			if status != 429 {
				t.Errorf("%d is taken for a rate limit", status)
			}
		case credential.KindRejected, credential.KindMisconfigured:
			if !strings.Contains(strings.ToLower(string(body)), "invalid_") && !strings.Contains(string(body), `\u`) {
				t.Errorf("%v without being told so", kind)
			}
		default:
			t.Errorf("%v claims that the token was not spent", kind)
		}
	})
}
