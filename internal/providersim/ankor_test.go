package providersim_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"refresher/internal/providersim"
)

const companyURI = "https://company.test/ankor"

type ankorBench struct {
	clock   *clock
	sim     *providersim.Ankor
	company providersim.Company
}

func newAnkorBench(opts providersim.Options, spec providersim.CompanySpec) ankorBench {
	c := newClock()
	opts.Now = c.Now
	sim := providersim.New(opts).Ankor
	spec.URI = companyURI
	return ankorBench{clock: c, sim: sim, company: sim.AddCompany(spec)}
}

func (b ankorBench) claims() jwt.MapClaims {
	now := b.clock.Now()
	return jwt.MapClaims{
		"scopes": []string{"website:read:*"}, "iss": companyURI, "sub": companyURI, "aud": "ankor.io",
		"iat": now.Add(-30 * time.Second).Unix(), "exp": now.Add(55 * time.Minute).Unix(),
	}
}

func signAssertion(t *testing.T, c providersim.Company, claims jwt.MapClaims) string {
	t.Helper()
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(c.PrivateKeyPEM))
	if err != nil {
		t.Fatal(err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = c.KeyID
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (b ankorBench) present(assertion string) reply {
	return call(b.sim, http.MethodPost, "/iam/oauth/token",
		form("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion", assertion))
}

func (b ankorBench) website(options ...option) reply {
	return get(b.sim, "/api/v1/website", options...)
}

func TestAnkorMint(t *testing.T) {
	t.Parallel()
	for name, pkcs1 := range map[string]bool{"PKCS#1": true, "PKCS#8": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newAnkorBench(providersim.Options{}, providersim.CompanySpec{PKCS1: pkcs1})
			assertion := signAssertion(t, b.company, b.claims())
			got := b.present(assertion)
			wantStatus(t, got, http.StatusOK)
			if got.number("expires_in") != 3600 || got.text("token_type") != "Bearer" {
				t.Errorf("body %s", got.body)
			}
			e := wantLast(t, b.sim.Simulator, providersim.KindMint, providersim.ResultOK)
			if e.Account != companyURI || e.TokenHash != providersim.Hash(assertion) {
				t.Errorf("event %+v", e)
			}
			wantStatus(t, b.website(withBearer(got.text("access_token"))), http.StatusOK)
			wantLast(t, b.sim.Simulator, providersim.KindAPI, providersim.ResultOK)
			wantStatus(t, b.website(), http.StatusUnauthorized)
			wantLast(t, b.sim.Simulator, providersim.KindAPI, providersim.ResultAnonymous)
			b.clock.advance(time.Hour)
			wantStatus(t, b.website(withBearer(got.text("access_token"))), http.StatusUnauthorized)
			wantLast(t, b.sim.Simulator, providersim.KindAPI, providersim.ResultExpired)
		})
	}
}

func TestAnkorClaims(t *testing.T) {
	t.Parallel()
	b := newAnkorBench(providersim.Options{}, providersim.CompanySpec{})
	now := b.clock.Now().Unix()
	tests := []struct {
		name   string
		change jwt.MapClaims // nil deletes
		result string
	}{
		{"good", jwt.MapClaims{}, "ok"},
		{"both scopes", jwt.MapClaims{"scopes": []string{"website:read:*", "entity:*"}}, "ok"},
		{"aud is an array", jwt.MapClaims{"aud": []string{"ankor.io"}}, "invalid_grant"},
		{"aud is another", jwt.MapClaims{"aud": "https://ankor.io"}, "invalid_grant"},
		{"iss is another", jwt.MapClaims{"iss": companyURI + "/"}, "invalid_grant"},
		{"sub is another", jwt.MapClaims{"sub": "x"}, "invalid_grant"},
		{"no sub", jwt.MapClaims{"sub": nil}, "invalid_grant"},
		{"iat a bit ahead", jwt.MapClaims{"iat": now + 4}, "ok"},
		{"iat in the future", jwt.MapClaims{"iat": now + 60}, "invalid_grant"},
		{"an hour less a second", jwt.MapClaims{"iat": now, "exp": now + 3599}, "ok"},
		{"an hour", jwt.MapClaims{"iat": now, "exp": now + 3600}, "invalid_grant"},
		{"expired", jwt.MapClaims{"iat": now - 60, "exp": now}, "expired"},
		{"no exp", jwt.MapClaims{"exp": nil}, "invalid_grant"},
		{"exp as text", jwt.MapClaims{"exp": "soon"}, "invalid_grant"},
		{"scopes as text", jwt.MapClaims{"scopes": "website:read:*"}, "invalid_scope"},
		{"no scopes", jwt.MapClaims{"scopes": []string{}}, "invalid_scope"},
		{"unknown scope", jwt.MapClaims{"scopes": []string{"website:write:*"}}, "invalid_scope"},
		{"scope is a number", jwt.MapClaims{"scopes": []int{1}}, "invalid_scope"},
	}
	for _, tt := range tests { // not parallel: each looks at the last event
		t.Run(tt.name, func(t *testing.T) {
			claims := b.claims()
			maps.Copy(claims, tt.change)
			maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
			got := b.present(signAssertion(t, b.company, claims))
			if want := tt.result == "ok"; (got.status == http.StatusOK) != want {
				t.Errorf("status %d", got.status)
			}
			wantLast(t, b.sim.Simulator, providersim.KindMint, tt.result)
		})
	}
}

func TestAnkorSignatures(t *testing.T) {
	t.Parallel()
	b := newAnkorBench(providersim.Options{}, providersim.CompanySpec{})
	other := b.sim.AddCompany(providersim.CompanySpec{URI: "https://other.test/ankor"})
	otherKey := b.company
	otherKey.PrivateKeyPEM = other.PrivateKeyPEM
	noKid := b.company
	noKid.KeyID = ""
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodHS256, b.claims()).SignedString([]byte("sim"))
	if err != nil {
		t.Fatal(err)
	}
	for name, assertion := range map[string]string{
		"another's key":         signAssertion(t, otherKey, b.claims()),
		"another's key and kid": signAssertion(t, other, b.claims()),
		"no kid":                signAssertion(t, noKid, b.claims()),
		"HS256":                 unsigned,
		"no JWT":                "sim-nonsense",
	} {
		got := b.present(assertion)
		if got.status != http.StatusBadRequest || got.text("error") != "invalid_grant" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	wantStatus(t, b.present(signAssertion(t, b.company, b.claims())), http.StatusOK)
	if err := b.sim.RevokeKey(b.company.KeyID); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.present(signAssertion(t, b.company, b.claims())), http.StatusBadRequest)
	if b.sim.RevokeKey("nothing") == nil {
		t.Error("an unknown key could be revoked")
	}
}

func TestAnkorReplay(t *testing.T) {
	t.Parallel()
	b := newAnkorBench(providersim.Options{}, providersim.CompanySpec{})
	claims := b.claims()
	claims["jti"] = "sim-jti-1"
	wantStatus(t, b.present(signAssertion(t, b.company, claims)), http.StatusOK)
	wantStatus(t, b.present(signAssertion(t, b.company, claims)), http.StatusBadRequest)
	wantLast(t, b.sim.Simulator, providersim.KindMint, providersim.ResultReplay)
	claims["jti"] = "sim-jti-2"
	wantStatus(t, b.present(signAssertion(t, b.company, claims)), http.StatusOK)
}

func TestAnkorRequests(t *testing.T) {
	t.Parallel()
	b := newAnkorBench(providersim.Options{}, providersim.CompanySpec{})
	assertion := signAssertion(t, b.company, b.claims())
	const grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	tests := []struct {
		name   string
		method string
		form   url.Values
		status int
		result string
	}{
		{"GET", http.MethodGet, nil, 405, "invalid_request"},
		{"no assertion", http.MethodPost, form("grant_type", grant), 400, "invalid_request"},
		{"another grant", http.MethodPost, form("grant_type", "password", "assertion", assertion), 400, "unsupported"},
	}
	for _, tt := range tests { // not parallel: each looks at the last event
		t.Run(tt.name, func(t *testing.T) {
			wantStatus(t, call(b.sim, tt.method, "/iam/oauth/token", tt.form), tt.status)
			wantLast(t, b.sim.Simulator, providersim.KindMint, tt.result)
		})
	}
	wantStatus(t, get(b.sim, "/elsewhere"), http.StatusNotFound)
}

func TestAnkorExpiresStyles(t *testing.T) {
	t.Parallel()
	now := newClock().Now()
	tests := []struct {
		name  string
		style providersim.ExpiresStyle
		field string
		want  any
	}{
		{"seconds", providersim.ExpiresInSeconds, "expires_in", 360.0},
		{"text", providersim.ExpiresInText, "expires_in", "360"},
		{"expires", providersim.ExpiresSeconds, "expires", 360.0},
		{"epoch", providersim.ExpiresEpoch, "expires", float64(now.Unix() + 360)},
		{"epoch in ms", providersim.ExpiresEpochMillis, "expires", float64(now.UnixMilli() + 360_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newAnkorBench(providersim.Options{Factor: 10}, providersim.CompanySpec{Expires: tt.style})
			got := b.present(signAssertion(t, b.company, b.claims()))
			if got.doc[tt.field] != tt.want {
				t.Errorf("%s is %v, want %v", tt.field, got.doc[tt.field], tt.want)
			}
			b.clock.advance(359 * time.Second)
			wantStatus(t, b.website(withBearer(got.text("access_token"))), http.StatusOK)
			b.clock.advance(time.Second)
			wantStatus(t, b.website(withBearer(got.text("access_token"))), http.StatusUnauthorized)
		})
	}
}

func TestAnkorRevokeTokens(t *testing.T) {
	t.Parallel()
	b := newAnkorBench(providersim.Options{}, providersim.CompanySpec{})
	token := b.present(signAssertion(t, b.company, b.claims())).text("access_token")
	if n := b.sim.RevokeTokens(companyURI); n != 1 {
		t.Errorf("%d tokens revoked, want 1", n)
	}
	wantStatus(t, b.website(withBearer(token)), http.StatusUnauthorized)
	wantLast(t, b.sim.Simulator, providersim.KindAPI, providersim.ResultRefused)
}

func TestAnkorManyCompaniesShareFewKeys(t *testing.T) {
	t.Parallel()
	sim := providersim.New(providersim.Options{}).Ankor
	kids, keys := map[string]bool{}, map[string]bool{}
	for range 6 {
		c := sim.AddCompany(providersim.CompanySpec{URI: companyURI})
		kids[c.KeyID], keys[c.PrivateKeyPEM] = true, true
	}
	if len(kids) != 6 || len(keys) != 4 {
		t.Errorf("%d key IDs and %d keys, want 6 and 4", len(kids), len(keys))
	}
}
