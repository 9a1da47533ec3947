package providersim_test

import (
	"net/http"
	"testing"
	"time"

	"refresher/internal/providersim"
)

const infoPath = "/v2/settings/apikeyinfo"

func withKeys(apiKey, secretKey string) option {
	return func(r *http.Request) {
		r.Header.Set("X-Bookeo-apiKey", apiKey)
		r.Header.Set("X-Bookeo-secretKey", secretKey)
	}
}

func TestBookeoKeyInfo(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := providersim.New(providersim.Options{Now: c.Now}).Bookeo
	asArray := b.AddKey(providersim.KeySpec{AccountID: "acc-1", Permissions: []string{"bookings_r_all", "availability_r"}})
	asText := b.AddKey(providersim.KeySpec{
		AccountID: "acc-2", Permissions: []string{"bookings_r_all", "availability_r"}, PermissionsAsString: true,
	})

	got := get(b, infoPath, withKeys(asArray.APIKey, asArray.SecretKey))
	wantStatus(t, got, http.StatusOK)
	if got.text("accountId") != "acc-1" || got.text("creationTime") != c.Now().Format(time.RFC3339) {
		t.Errorf("body %s", got.body)
	}
	if list, _ := got.doc["permissions"].([]any); len(list) != 2 || list[1] != "availability_r" {
		t.Errorf("permissions are %v", got.doc["permissions"])
	}
	if e := wantLast(t, b.Simulator, providersim.KindVerify, providersim.ResultOK); e.Account != "acc-1" {
		t.Errorf("account is %q", e.Account)
	}
	got = get(b, infoPath+"?apiKey="+asText.APIKey+"&secretKey="+b.SecretKey())
	if got.text("permissions") != "bookings_r_all,availability_r" {
		t.Errorf("permissions are %v", got.doc["permissions"])
	}
}

func TestBookeoRefusals(t *testing.T) {
	t.Parallel()
	b := providersim.New(providersim.Options{}).Bookeo
	key := b.AddKey(providersim.KeySpec{AccountID: "acc-1"})
	dead403 := b.AddKey(providersim.KeySpec{AccountID: "acc-2"})
	dead401 := b.AddKey(providersim.KeySpec{AccountID: "acc-3", RefuseStatus: http.StatusUnauthorized})
	own := b.AddKey(providersim.KeySpec{AccountID: "acc-4", SecretKey: "sim-own"})
	for _, k := range []providersim.Key{dead403, dead401} {
		if err := b.RevokeKey(k.APIKey); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name   string
		method string
		path   string
		key    providersim.Key
		status int
		result string
	}{
		{"good", http.MethodGet, infoPath, key, 200, "ok"},
		{"another call", http.MethodGet, "/v2/bookings", key, 200, "ok"},
		{"own secret", http.MethodGet, infoPath, own, 200, "ok"},
		{"own secret, the shared one", http.MethodGet, infoPath, providersim.Key{APIKey: own.APIKey, SecretKey: b.SecretKey()}, 401, "refused"},
		{"no secret", http.MethodGet, infoPath, providersim.Key{APIKey: key.APIKey}, 401, "anonymous"},
		{"no key", http.MethodGet, infoPath, providersim.Key{SecretKey: key.SecretKey}, 401, "anonymous"},
		{"unknown key", http.MethodGet, infoPath, providersim.Key{APIKey: "sim-x", SecretKey: key.SecretKey}, 403, "refused"},
		{"revoked", http.MethodGet, infoPath, dead403, 403, "refused"},
		{"revoked, told by 401", http.MethodGet, infoPath, dead401, 401, "refused"},
		{"writing", http.MethodPost, "/v2/subaccounts", key, 405, "invalid_request"},
		{"outside of the API", http.MethodGet, "/settings/apikeyinfo", key, 404, "not_found"},
	}
	for _, tt := range tests { // not parallel: each looks at the last event
		t.Run(tt.name, func(t *testing.T) {
			wantStatus(t, call(b, tt.method, tt.path, nil, withKeys(tt.key.APIKey, tt.key.SecretKey)), tt.status)
			events := b.Ledger().Events()
			if last := events[len(events)-1]; last.Result != tt.result {
				t.Errorf("result is %s, want %s", last.Result, tt.result)
			}
		})
	}
}

func TestBookeoChanges(t *testing.T) {
	t.Parallel()
	b := providersim.New(providersim.Options{}).Bookeo
	key := b.AddKey(providersim.KeySpec{AccountID: "acc-1", Permissions: []string{"bookings_r_all"}})
	if err := b.SetPermissions(key.APIKey); err != nil {
		t.Fatal(err)
	}
	if err := b.SetAccount(key.APIKey, "acc-2"); err != nil {
		t.Fatal(err)
	}
	got := get(b, infoPath, withKeys(key.APIKey, key.SecretKey))
	if list, ok := got.doc["permissions"].([]any); !ok || len(list) != 0 || got.text("accountId") != "acc-2" {
		t.Errorf("body %s", got.body)
	}
	if b.SetAccount("sim-x", "acc") == nil {
		t.Error("an unknown key could be changed")
	}
}
