package vault_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/vault"
)

// TestClockOfVault: an answer's Date tells how far apart the clocks are.
func TestClockOfVault(t *testing.T) {
	t.Parallel()
	var behind atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/auth/token/lookup-self" {
			_, _ = w.Write([]byte(`{"data":{"ttl":0,"renewable":false}}`))
			return
		}
		w.Header().Set("Date", time.Now().Add(-time.Duration(behind.Load())).UTC().Format(http.TimeFormat))
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[]}`))
	}))
	t.Cleanup(server.Close)
	var ahead time.Duration
	client, err := vault.Open(t.Context(), vault.Settings{Address: server.URL, Auth: vault.Auth{Token: "stand-in"}},
		vault.Hooks{OnClock: func(d time.Duration) { ahead = d }})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []time.Duration{0, 90 * time.Second, -time.Hour} {
		behind.Store(int64(want))
		if _, _, err := client.Grant(t.Context(), credential.ID{Tenant: "acme", Name: "main"}); err != nil {
			t.Fatal(err)
		}
		if off := ahead - want; off < -time.Second || off > time.Second {
			t.Errorf("the clock is ahead by %s, want %s to a second", ahead, want)
		}
	}
}
