package providersim_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"refresher/internal/providersim"
)

type kiboBench struct {
	clock  *clock
	sim    *providersim.Kibo
	client providersim.Client
}

func newKiboBench(opts providersim.Options, spec providersim.ClientSpec) kiboBench {
	c := newClock()
	opts.Now = c.Now
	sim := providersim.New(opts).Kibo
	return kiboBench{clock: c, sim: sim, client: sim.AddClient(spec)}
}

func (b kiboBench) mint(options ...option) reply {
	options = append([]option{withBasic(b.client.ClientID, b.client.ClientSecret)}, options...)
	return call(b.sim, http.MethodPost, "/oauthserver/oauth2/token", form("grant_type", "client_credentials"), options...)
}

func (b kiboBench) location(token string, options ...option) reply {
	options = append([]option{withBearer(token), withHeader("API-Key", b.client.ClientID)}, options...)
	return get(b.sim, "/api/v2/location/7", options...)
}

func TestKiboMint(t *testing.T) {
	t.Parallel()
	b := newKiboBench(providersim.Options{}, providersim.ClientSpec{})
	if !strings.Contains(b.client.ClientID, "|") || !strings.Contains(b.client.ClientID, "%2b") {
		t.Errorf("%q has not the awkward characters of a Kibo key", b.client.ClientID)
	}
	first := b.mint()
	wantStatus(t, first, http.StatusOK)
	if first.number("expires_in") != 3600 || first.text("token_type") != "bearer" || first.doc["scope"] != "" {
		t.Errorf("body %s", first.body)
	}
	if e := wantLast(t, b.sim.Simulator, providersim.KindMint, providersim.ResultOK); e.Account != b.client.ClientID {
		t.Errorf("account is %q", e.Account)
	}
	b.clock.advance(30 * time.Minute)
	second := b.mint()
	wantStatus(t, b.location(first.text("access_token")), http.StatusOK)
	b.clock.advance(30 * time.Minute)
	wantStatus(t, b.location(first.text("access_token")), http.StatusUnauthorized)
	wantLast(t, b.sim.Simulator, providersim.KindAPI, providersim.ResultExpired)
	wantStatus(t, b.location(second.text("access_token")), http.StatusOK)
}

func TestKiboFactor(t *testing.T) {
	t.Parallel()
	b := newKiboBench(providersim.Options{Factor: 60}, providersim.ClientSpec{})
	got := b.mint()
	if got.number("expires_in") != 60 {
		t.Errorf("expires_in is %v", got.doc["expires_in"])
	}
	b.clock.advance(time.Minute)
	wantStatus(t, b.location(got.text("access_token")), http.StatusUnauthorized)
}

func TestKiboClientAuthentication(t *testing.T) {
	t.Parallel()
	b := newKiboBench(providersim.Options{}, providersim.ClientSpec{})
	id, secret := b.client.ClientID, b.client.ClientSecret
	wrapped := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	tests := []struct {
		name   string
		header string
		status int
	}{
		{"raw", "Basic " + wrapped, 200},
		{"scheme in lower case", "basic " + wrapped, 200},
		{"escaped first, as golang.org/x/oauth2 does", "Basic " +
			base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret))), 401},
		{"percent decoded", "Basic " + base64.StdEncoding.EncodeToString([]byte(strings.ReplaceAll(id+":"+secret, "%2b", "+"))), 401},
		{"without padding", "Basic " + strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(id+":"+secret+"x")), "="), 401},
		{"no base64", "Basic " + id, 401},
		{"nothing", "", 401},
	}
	for _, tt := range tests { // not parallel: each looks at the last event
		t.Run(tt.name, func(t *testing.T) {
			wantStatus(t, b.mint(withHeader("Authorization", tt.header)), tt.status)
			if tt.status == http.StatusUnauthorized {
				wantLast(t, b.sim.Simulator, providersim.KindMint, providersim.ResultInvalidClient)
			}
		})
	}
	if err := b.sim.RevokeClient(id); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.mint(), http.StatusUnauthorized)
	if b.sim.RevokeClient("nobody") == nil {
		t.Error("an unknown client could be revoked")
	}
}

func TestKiboRequests(t *testing.T) {
	t.Parallel()
	b := newKiboBench(providersim.Options{}, providersim.ClientSpec{})
	const path = "/oauthserver/oauth2/token"
	basic := withBasic(b.client.ClientID, b.client.ClientSecret)
	wantStatus(t, get(b.sim, path, basic), http.StatusBadRequest)
	wantStatus(t, call(b.sim, http.MethodPost, path, form("grant_type", "password"), basic), http.StatusBadRequest)
	wantLast(t, b.sim.Simulator, providersim.KindMint, providersim.ResultUnsupported)
	wantStatus(t, get(b.sim, "/elsewhere"), http.StatusNotFound)
}

func TestKiboAPIRefusals(t *testing.T) {
	t.Parallel()
	b := newKiboBench(providersim.Options{}, providersim.ClientSpec{RefuseStatus: http.StatusForbidden})
	token := b.mint().text("access_token")
	other := b.sim.AddClient(providersim.ClientSpec{})
	tests := []struct {
		name   string
		token  string
		key    string
		status int
		result string
	}{
		{"good", token, b.client.ClientID, 200, "ok"},
		{"no API-Key", token, "", 403, "unknown_key"},
		{"another's API-Key", token, other.ClientID, 401, "refused"},
		{"unknown token", "sim-unknown", b.client.ClientID, 403, "refused"},
	}
	for _, tt := range tests { // not parallel: each looks at the last event
		t.Run(tt.name, func(t *testing.T) {
			wantStatus(t, b.location(tt.token, withHeader("API-Key", tt.key)), tt.status)
			wantLast(t, b.sim.Simulator, providersim.KindAPI, tt.result)
		})
	}
	if n := b.sim.RevokeTokens(b.client.ClientID); n != 1 {
		t.Errorf("%d tokens revoked, want 1", n)
	}
	wantStatus(t, b.location(token), http.StatusForbidden)
	wantStatus(t, get(b.sim, "/api/v2/location/", withBearer(b.mint().text("access_token")), withHeader("API-Key", b.client.ClientID)), 404)
	anonymous := get(b.sim, "/api/v2/location/7", withHeader("API-Key", b.client.ClientID))
	wantStatus(t, anonymous, http.StatusForbidden)
	wantLast(t, b.sim.Simulator, providersim.KindAPI, providersim.ResultAnonymous)
}

func TestKiboPlan(t *testing.T) {
	t.Parallel()
	b := newKiboBench(providersim.Options{}, providersim.ClientSpec{QPS: 2, Quota: 3})
	token := b.mint().text("access_token")
	type want struct {
		status     int
		code       string
		qps, quota string
	}
	step := func(name string, w want) {
		t.Helper()
		got := b.location(token)
		seen := want{
			got.status, got.header.Get("X-Mashery-Error-Code"),
			got.header.Get("X-Plan-QPS-Current"), got.header.Get("X-Plan-Quota-Current"),
		}
		if seen != w {
			t.Errorf("%s: %+v, want %+v", name, seen, w)
		}
		if got.header.Get("X-Plan-QPS-Allotted") != "2" || got.header.Get("X-Plan-Quota-Allotted") != "3" {
			t.Errorf("%s: headers %v", name, got.header)
		}
		nextHour := b.clock.Now().Truncate(time.Hour).Add(time.Hour)
		if reset := got.header.Get("X-Plan-Quota-Reset"); reset != nextHour.Format("Monday, January 2, 2006 3:04:05 PM GMT") {
			t.Errorf("%s: reset is %q", name, reset)
		}
	}
	step("first", want{200, "", "1", "1"})
	step("second", want{200, "", "2", "2"})
	step("third in a second", want{403, "ERR_403_DEVELOPER_OVER_QPS", "2", "2"})
	wantLast(t, b.sim.Simulator, providersim.KindAPI, providersim.ResultThrottled)
	b.clock.advance(time.Second)
	wantStatus(t, b.location(token, withHeader("X-Sim-Peek", "1")), http.StatusOK)
	step("next second", want{200, "", "1", "3"})
	step("over the quota", want{403, "ERR_403_DEVELOPER_OVER_RATE", "1", "3"})
	wantStatus(t, b.location(token, withHeader("X-Sim-Peek", "1")), http.StatusOK)
	b.clock.advance(time.Hour)
	token = b.mint().text("access_token")
	step("next hour", want{200, "", "1", "1"})
}

func TestKiboPlanIsForAKeySet(t *testing.T) {
	t.Parallel()
	b := newKiboBench(providersim.Options{}, providersim.ClientSpec{QPS: 1})
	other := kiboBench{clock: b.clock, sim: b.sim, client: b.sim.AddClient(providersim.ClientSpec{QPS: 1})}
	first, second := b.mint().text("access_token"), b.mint().text("access_token")
	wantStatus(t, b.location(first), http.StatusOK)
	wantStatus(t, b.location(second), http.StatusForbidden)
	wantStatus(t, other.location(other.mint().text("access_token")), http.StatusOK)
}
