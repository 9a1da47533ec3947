package vaultsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"refresher/internal/vaultsim"
)

// How the stand-in answers package vault is tested there, side by side with a
// real Vault. Here is what only the stand-in can do.

// call sends a request and returns its status and answer; status 0 means that
// the connection was cut.
func call(t *testing.T, sim http.Handler, token, method, path, body string) (int, map[string]any) {
	t.Helper()
	server := httptest.NewServer(sim)
	defer server.Close()
	request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Vault-Token", token)
	response, err := server.Client().Do(request)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	var answer map[string]any
	text, err := io.ReadAll(response.Body)
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &answer)
	}
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, answer
}

const document = "secret/data/a/b"

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault   vaultsim.Fault
		status  int
		written bool
	}{
		"none":        {vaultsim.None, http.StatusOK, true},
		"drop before": {vaultsim.DropBefore, 0, false},
		"drop after":  {vaultsim.DropAfter, 0, true},
		"fail before": {vaultsim.FailBefore, http.StatusInternalServerError, false},
		"fail after":  {vaultsim.FailAfter, http.StatusInternalServerError, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim := vaultsim.New("root")
			sim.Intercept(func(r *http.Request) vaultsim.Fault {
				if r.Method == http.MethodPost {
					return test.fault
				}
				return vaultsim.None
			})
			if status, _ := call(t, sim, "root", http.MethodPost, document, `{"data":{"k":"v"}}`); status != test.status {
				t.Errorf("status = %d, want %d", status, test.status)
			}
			status, _ := call(t, sim, "root", http.MethodGet, document, "")
			if written := status == http.StatusOK; written != test.written {
				t.Errorf("written = %t, want %t", written, test.written)
			}
			if got := sim.Requests(); len(got) != 2 || sim.Count() != 2 || got[0] != (vaultsim.Request{Method: http.MethodPost, Path: document}) {
				t.Errorf("requests = %v, want the write and the read", got)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	sim := vaultsim.New("root")
	for range 12 {
		call(t, sim, "root", http.MethodPost, document, `{"data":{"k":"v"}}`)
	}
	for version, want := range map[string]int{"": 200, "?version=12": 200, "?version=3": 200, "?version=2": 404, "?version=13": 404} {
		if status, _ := call(t, sim, "root", http.MethodGet, document+version, ""); status != want {
			t.Errorf("reading %q: status %d, want %d", version, status, want)
		}
	}
	call(t, sim, "root", http.MethodDelete, document, "")
	if status, answer := call(t, sim, "root", http.MethodGet, document, ""); status != 404 || answer["data"] == nil {
		t.Errorf("after delete: %d %v, want 404 with metadata", status, answer)
	}
	call(t, sim, "root", http.MethodPost, "secret/undelete/a/b", `{"versions":[12]}`)
	if status, _ := call(t, sim, "root", http.MethodGet, document, ""); status != 200 {
		t.Errorf("after undelete: %d, want 200", status)
	}
	_, answer := call(t, sim, "root", http.MethodGet, "secret/metadata/a/b", "")
	data, _ := answer["data"].(map[string]any)
	if versions, _ := data["versions"].(map[string]any); data["current_version"] != 12.0 || len(versions) != 10 {
		t.Errorf("metadata = %v, want version 12 and 10 kept", data)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	sim := vaultsim.New("root")
	sim.AddToken("reader", 0, vaultsim.Rule{Path: "secret/data/*", Capabilities: []string{"read"}}, vaultsim.Rule{Path: document, Capabilities: []string{"create"}})
	sim.AddToken("short", time.Nanosecond)
	status := func(token, method, path string) int {
		t.Helper()
		got, _ := call(t, sim, token, method, path, `{"data":{}}`)
		return got
	}
	for _, test := range []struct {
		token, method, path string
		want                int
	}{
		{"reader", http.MethodPost, document, 200},
		{"reader", http.MethodPost, document, 403}, // it may create, and not update
		{"reader", http.MethodGet, document, 403},
		{"reader", http.MethodGet, "secret/data/x", 404},
		{"reader", "LIST", "secret/metadata/", 403},
		{"reader", http.MethodGet, "auth/token/lookup-self", 200},
		{"short", http.MethodGet, "auth/token/lookup-self", 403},
		{"", http.MethodGet, "auth/token/lookup-self", 403},
		{"", http.MethodGet, "sys/seal-status", 200},
		{"root", http.MethodGet, "elsewhere/x", 404},
		{"root", http.MethodPatch, document, 405},
	} {
		if got := status(test.token, test.method, test.path); got != test.want {
			t.Errorf("%s %s by %q: status %d, want %d", test.method, test.path, test.token, got, test.want)
		}
	}
	sim.Revoke("reader")
	if got := status("reader", http.MethodGet, "auth/token/lookup-self"); got != 403 {
		t.Errorf("a revoked token: status %d, want 403", got)
	}
	sim.AddToken("lasting", time.Hour)
	_, answer := call(t, sim, "lasting", http.MethodPost, "auth/token/renew-self", "")
	if auth, _ := answer["auth"].(map[string]any); auth["lease_duration"] != 3600.0 || auth["client_token"] != "lasting" {
		t.Errorf("renewal = %v, want an hour more", answer)
	}
}

func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	sim := vaultsim.New("root")
	for range 10_000 {
		sim.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/sys/health", nil))
	}
	if kept := len(sim.Requests()); sim.Count() != 10_000 || kept > 4096 || kept < 1000 {
		t.Errorf("%d requests counted and %d kept", sim.Count(), kept)
	}
}
