package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"refresher/internal/providersim"
)

// TestTry uses tokens at a simulator: good ones, one that is replaced as it is
// refused, and one that stays refused.
func TestTry(t *testing.T) {
	t.Parallel()
	providers := providersim.New(providersim.Options{})
	servers, err := providers.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(servers.Close)
	key := providers.Bookeo.AddKey(providersim.KeySpec{AccountID: "made-up"})
	token := func(apiKey string) published {
		return published{
			Provider: "bookeo", Auth: "api_key", Status: statusActive, Generation: 1,
			Headers: map[string]string{"X-Bookeo-apiKey": apiKey, "X-Bookeo-secretKey": key.SecretKey},
		}
	}
	good, bad := token(key.APIKey), token("made-up")
	expired := bad
	expired.Status = statusExpired

	for name, tc := range map[string]struct {
		tried, stored                published
		accepted, overtaken, refused int
		quick                        bool // does not wait for the window to close
		cut                          bool
		problems                     int
	}{
		"good":                  {good, good, 1, 0, 0, true, false, 0},
		"replaced":              {bad, good, 1, 1, 0, true, false, 0},
		"refused":               {bad, bad, 0, 0, 1, false, false, 1},
		"says that it is over":  {bad, expired, 0, 0, 1, true, false, 1},
		"refused, and expected": {bad, expired, 0, 0, 1, true, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var reads atomic.Int32
			vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Vault-Token") != vaultToken || !strings.HasSuffix(r.URL.Path, "/tokens/some/one") {
					t.Errorf("asked for %s", r.URL.Path)
				}
				reads.Add(1)
				_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"data": tc.stored}})
			}))
			defer vault.Close()
			b := newBoard(time.Now(), []stored{{id: "some/one", provider: "bookeo", auth: "api_key"}}, func(event) {})
			b.cut("some/one", tc.cut)
			c := &checker{door: &vaultDoor{address: vault.URL, client: vault.Client()}, servers: servers, board: b}
			began := time.Now()
			c.try(t.Context(), "some/one", tc.tried)
			r := b.view().rows[0]
			if r.accepted != tc.accepted || r.overtaken != tc.overtaken || r.refused != tc.refused || len(r.problems) != tc.problems {
				t.Errorf("got %+v", r)
			}
			if took := time.Since(began); !tc.quick && took < window {
				t.Errorf("gave up after %s", took)
			}
			if tc.tried.Headers["X-Bookeo-apiKey"] == key.APIKey && reads.Load() > 0 {
				t.Error("read again without need")
			}
		})
	}
}

func TestUsable(t *testing.T) {
	t.Parallel()
	now := time.Now()
	use := map[string]string{"Authorization": "made-up"}
	for name, tc := range map[string]struct {
		token published
		want  bool
	}{
		"active":              {published{Status: statusActive, Headers: use, ExpiresAt: now.Add(time.Second)}, true},
		"a key":               {published{Status: statusActive, Query: use}, true},
		"retrying":            {published{Status: statusRetrying, Headers: use, ExpiresAt: now.Add(time.Second)}, true},
		"expired":             {published{Status: statusActive, Headers: use, ExpiresAt: now.Add(-time.Second)}, false},
		"needs authorization": {published{Status: statusNeedsAuthorization, Headers: use}, false},
		"nothing to send":     {published{Status: statusActive}, false},
	} {
		if got := usable(tc.token, now); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestVaultDoor wants the door to say what is wrong with a Vault.
func TestVaultDoor(t *testing.T) {
	t.Parallel()
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/absent"):
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(r.URL.Path, "/garbled"):
			_, _ = w.Write([]byte("<html>"))
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer vault.Close()
	door := &vaultDoor{address: vault.URL, client: vault.Client()}
	if _, there, err := door.token(t.Context(), "some/absent"); there || err != nil {
		t.Errorf("absent: %v, %v", there, err)
	}
	for _, id := range []string{"some/garbled", "some/sealed"} {
		if _, there, err := door.token(t.Context(), id); there || err == nil {
			t.Errorf("%s: %v, %v", id, there, err)
		}
	}
	if err := door.store(t.Context(), "some/sealed", nil); err == nil {
		t.Error("stored in a sealed Vault")
	}
}

// TestJudgement wants the board to notice what must not be.
func TestJudgement(t *testing.T) {
	t.Parallel()
	now := time.Now()
	use := map[string]string{"Authorization": "made-up"}
	for name, tc := range map[string]struct {
		part  part
		token published
		want  string // in the problem; empty: none
	}{
		"alive":              {steady, published{Status: statusActive, Generation: 1, Headers: use, ExpiresAt: now.Add(time.Hour)}, ""},
		"expired":            {steady, published{Status: statusActive, Generation: 1, Headers: use, ExpiresAt: now.Add(-time.Hour)}, "not renewed in time"},
		"a person was asked": {steady, published{Status: statusMisconfigured, Generation: 1, Headers: use}, "without need"},
		"not started":        {steady, published{Status: statusPending}, ""},
		"part of the play":   {unlucky, published{Status: statusNeedsAuthorization, Generation: 1, ExpiresAt: now.Add(-time.Hour)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []event
			b := newBoard(now, []stored{{id: "some/one", part: tc.part}}, func(e event) { told = append(told, e) })
			for range 3 { // said once
				b.saw("some/one", tc.token, now)
			}
			problems := b.view().rows[0].problems
			if tc.want == "" && len(problems) > 0 || tc.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], tc.want)) {
				t.Errorf("got %q, want %q", problems, tc.want)
			}
			said := 0
			for _, e := range told {
				if e.tone == toneBad {
					said++
				}
			}
			if said != len(problems) {
				t.Errorf("said %d times: %+v", said, told)
			}
		})
	}
}
