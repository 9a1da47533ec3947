package vault_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/vault"
)

// TestServersThatServeNobody: what a server answers that is sealed, a standby or a secondary,
// or has had too many requests, to whatever it is asked. It says why, nothing of a document,
// and that it will pass.
func TestServersThatServeNobody(t *testing.T) {
	t.Parallel()
	for status, test := range map[int]struct{ said, reason, words string }{
		http.StatusTooManyRequests:    {"request path: rate limit quota exceeded", "rate_limited", "rate limit quota exceeded"},
		472:                           {"path disabled in replication DR secondary mode", "standby", "disaster recovery secondary"},
		473:                           {"performance standby", "standby", "performance standby"},
		http.StatusServiceUnavailable: {"Vault is sealed", "sealed", "Vault is sealed"},
	} {
		for name, body := range map[string]string{"in Vault's words": fmt.Sprintf(`{"errors":[%q]}`, test.said), "without a word": ""} {
			if body == "" && test.reason != "standby" {
				continue // of the others, the words are all there is
			}
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				t.Parallel()
				address := handle(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == lookupPath {
						answerLookup(w)
						return
					}
					w.WriteHeader(status)
					_, _ = io.WriteString(w, body)
				})
				var told sync.Map
				client, err := vault.Open(t.Context(), vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}}, vault.Hooks{
					OnRequest: func(op string, _ time.Duration, err error) { told.Store(op, vault.Reason(err)) },
				})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(client.Close)
				all := everyRequest(t.Context(), client)
				delete(all, "health") // it asks how such a server is, and is told
				for what, err := range all {
					switch {
					case err == nil, errors.Is(err, credential.ErrConflict), errors.Is(err, credential.ErrNotFound):
						t.Errorf("%s: error = %v, want one that leaves the outcome open", what, err)
					case credential.KindOf(err) != credential.KindTransient, vault.Reason(err) != test.reason:
						t.Errorf("%s: error = %v, kind %s, reason %s, want a transient one, %s", what, err, credential.KindOf(err), vault.Reason(err), test.reason)
					case !strings.Contains(err.Error(), fmt.Sprint(status)) || !strings.Contains(err.Error(), test.words):
						t.Errorf("%s: error = %v, want it to say %d and %q", what, err, status, test.words)
					}
				}
				for _, op := range []string{"credential.read", "grant.read", "grant.require_cas", "token.write", "tenants.list"} {
					if reason, _ := told.Load(op); reason != test.reason {
						t.Errorf("of %s the hook was told %v, want %s", op, reason, test.reason)
					}
				}
				if err := vault.CheckError(client.Check(t.Context())); vault.Reason(err) != test.reason {
					t.Errorf("check = %v (%s), want %s", err, vault.Reason(err), test.reason)
				}
			})
		}
	}
}
