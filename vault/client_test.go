package vault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/vaultsim"
	"refresher/vault"
)

const lookupPath = "/v1/auth/token/lookup-self"

// answerLookup answers what Open asks with a token.
func answerLookup(w http.ResponseWriter) {
	_, _ = io.WriteString(w, `{"data":{"ttl":0,"renewable":false,"expire_time":null}}`)
}

// everyRequest calls everything that sends one request, by what it is.
func everyRequest(ctx context.Context, c *vault.Client) map[string]error {
	zero := 0
	data := map[string]string{"provider": "kibo", "api_key": "s3cret"}
	all := map[string]error{"delete credential": c.DeleteCredential(ctx, acme)}
	_, all["put credential"] = c.PutCredential(ctx, acme, data, nil)
	_, all["create credential"] = c.PutCredential(ctx, acme, data, &zero)
	_, all["put grant"] = c.PutGrant(ctx, acme, credential.Grant{State: credential.GrantIdle, RefreshToken: "s3cret"}, 0)
	_, all["put token"] = c.PutToken(ctx, acme, credential.Token{Status: credential.StatusActive, AccessToken: "s3cret"}, 0)
	all["create escrow key"] = c.CreateEscrowKey(ctx, "k1", vault.EscrowKey{Private: "s3cret"})
	_, all["credential"] = c.Credential(ctx, acme)
	_, _, all["grant"] = c.Grant(ctx, acme)
	_, _, all["token"] = c.Token(ctx, acme)
	_, all["tenants"] = c.Tenants(ctx)
	_, all["names"] = c.Names(ctx, "acme")
	_, all["escrow keys"] = c.EscrowKeys(ctx)
	_, all["capabilities"] = c.Capabilities(ctx, "secret/x")
	_, all["health"] = c.Health(ctx)
	return all
}

// Nothing may make the client send a write again: neither the environment, nor
// any status that its library finds worth another try, nor a cut connection.
func TestRequestsAreSentOnce(t *testing.T) {
	t.Setenv("VAULT_MAX_RETRIES", "5")
	for name, fail := range map[string]http.HandlerFunc{
		"500":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"412":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPreconditionFailed) },
		"429":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"472":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(472) },
		"473":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(473) },
		"503":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			var count atomic.Int32
			address := handle(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == lookupPath {
					answerLookup(w)
					return
				}
				count.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				fail(w, r)
			})
			settings := vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}}
			client := mustOpen(t, settings)
			all := everyRequest(t.Context(), client)
			for what, err := range all {
				if err == nil || errors.Is(err, credential.ErrConflict) || errors.Is(err, credential.ErrNotFound) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: error = %v, want one that leaves the outcome open", what, err)
				}
			}
			settings.Auth = vault.Auth{Method: vault.MethodAppRole, AppRole: vault.AppRole{RoleID: "r", SecretID: "s3cret"}}
			if _, err := vault.Open(t.Context(), settings, vault.Hooks{}); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("login: error = %v", err)
			}
			if got := int(count.Load()); got != len(all)+1 {
				t.Errorf("%d requests reached the server, want %d: each once", got, len(all)+1)
			}
		})
	}
}

// A standby may send a client to the active server; what it writes goes along.
func TestRedirectedWriteKeepsItsBody(t *testing.T) {
	t.Parallel()
	sim, active := startSim(t)
	standby := handle(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, active+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
	client := mustOpen(t, vault.Settings{Address: standby, Auth: vault.Auth{Token: "root"}})
	if version, err := client.PutGrant(t.Context(), acme, fullGrant(), 0); err != nil || version != 1 {
		t.Errorf("written as version %d, %v, want 1", version, err)
	}
	if grant, _, err := client.Grant(t.Context(), acme); err != nil || grant.RefreshToken != "rt-1" {
		t.Errorf("read back: %v", err)
	}
	if got := sim.Count(); got != 4 {
		t.Errorf("the active server saw %d requests, want 4: lookup, requiring check-and-set, write, read", got)
	}
}

func TestFaultsOfWrites(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault   vaultsim.Fault
		written bool
	}{
		"cut before": {vaultsim.DropBefore, false}, "cut after": {vaultsim.DropAfter, true},
		"500 before": {vaultsim.FailBefore, false}, "500 after": {vaultsim.FailAfter, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sim, address := startSim(t)
			client := mustOpen(t, vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}})
			sim.Intercept(func(r *http.Request) vaultsim.Fault {
				if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/data/") {
					return test.fault
				}
				return vaultsim.None
			})
			_, err := client.PutGrant(t.Context(), acme, fullGrant(), 0)
			if err == nil || errors.Is(err, credential.ErrConflict) {
				t.Errorf("error = %v, want one that leaves the outcome open", err)
			}
			sim.Intercept(nil)
			if _, version, err := client.Grant(t.Context(), acme); err != nil || (version == 1) != test.written {
				t.Errorf("version %d, %v afterwards, want it written: %t", version, err, test.written)
			}
		})
	}
}

func TestTimeLimit(t *testing.T) {
	t.Parallel()
	address := handle(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == lookupPath {
			answerLookup(w)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if strings.HasSuffix(r.URL.Path, "/acme/shop") && r.Method == http.MethodGet {
			// An answer that begins and does not end.
			_, _ = io.WriteString(w, `{"data":`)
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	client := mustOpen(t, vault.Settings{Address: address, Timeout: 500 * time.Millisecond, Auth: vault.Auth{Token: "root"}})
	for what, err := range everyRequest(t.Context(), client) {
		if !errors.Is(err, context.DeadlineExceeded) || vault.Reason(err) != "timeout" {
			t.Errorf("%s: error = %v (%s), want a time-out", what, err, vault.Reason(err))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for what, err := range everyRequest(ctx, client) {
		if !errors.Is(err, context.Canceled) || vault.Reason(err) != "canceled" {
			t.Errorf("%s: error = %v (%s), want the context's end", what, err, vault.Reason(err))
		}
	}
}

// What stands between may answer anything; none of it may be taken for an empty
// Vault, or shown.
func TestAnswersOfOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
	}{
		"404 in HTML":      {404, "<html>s3cret</html>"},
		"404 of nothing":   {404, ""},
		"404 in JSON":      {404, `{"message":"s3cret"}`},
		"404 with errors":  {404, `{"errors":["no handler for route"]}`},
		"400 of another":   {400, `{"errors":["check-and-set parameter required for this call"]}`},
		"500 of conflict":  {500, `{"errors":["check-and-set parameter did not match the current version"]}`},
		"502 in HTML":      {502, "<html>s3cret</html>"},
		"200 in HTML":      {200, "<html>s3cret</html>"},
		"200 of nothing":   {200, ""},
		"200 without data": {200, `{}`},
		"200 odd data":     {200, `{"data":{"data":"s3cret","keys":"s3cret","metadata":[]}}`},
		"203 of a proxy":   {203, `{"data":{"data":{"provider":"kibo"},"metadata":{"version":3}}}`},
		"302 to nowhere":   {302, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := handle(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == lookupPath {
					answerLookup(w)
					return
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.body)
			})
			client := mustOpen(t, vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}})
			for what, err := range everyRequest(t.Context(), client) {
				if test.status < 300 && (what == "delete credential" || what == "health") {
					continue // what a 2xx says does not matter, or may say nothing
				}
				if err == nil || errors.Is(err, credential.ErrNotFound) || errors.Is(err, credential.ErrConflict) || strings.Contains(err.Error(), "s3cret") {
					t.Errorf("%s: error = %v, want one that says neither absent nor conflict, nor the answer", what, err)
				}
			}
		})
	}
}

func TestErrorsHideTheAddressPassword(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(vaultsim.New("root"))
	address := strings.Replace(server.URL, "http://", "http://user:s3cret@", 1)
	_, refused := vault.Open(t.Context(), vault.Settings{Address: address, Auth: vault.Auth{Token: "wrong"}}, vault.Hooks{})
	client := mustOpen(t, vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}})
	server.Close()
	_, _, unreachable := client.Grant(t.Context(), acme)
	_, malformed := vault.Open(t.Context(), vault.Settings{Address: "http://user:s3cret@\x00", Auth: vault.Auth{Token: "t"}}, vault.Hooks{})
	for what, err := range map[string]error{
		"refused": refused, "unreachable": unreachable, "malformed": malformed, "check": vault.CheckError(client.Check(t.Context())),
	} {
		if err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error = %v, want one without the password", what, err)
		}
	}
}

// Nothing that is not a valid name gets into a path.
func TestInvalidNamesAreNotSent(t *testing.T) {
	t.Parallel()
	sim, address := startSim(t)
	client := mustOpen(t, vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}})
	before := sim.Count()
	for _, bad := range []string{"", "..", "../x", "a/b", "a/", "UPPER", "a b", "a%2fb", "a\n", "x" + vault.NotAFolder, strings.Repeat("a", 64)} {
		for _, id := range []credential.ID{{Tenant: bad, Name: "shop"}, {Tenant: "acme", Name: bad}} {
			_, err1 := client.Credential(t.Context(), id)
			_, _, err2 := client.CredentialData(t.Context(), id)
			_, err3 := client.PutCredential(t.Context(), id, nil, nil)
			err4 := client.DeleteCredential(t.Context(), id)
			_, _, err5 := client.Grant(t.Context(), id)
			_, err6 := client.PutGrant(t.Context(), id, fullGrant(), 0)
			_, _, err7 := client.Token(t.Context(), id)
			_, err8 := client.PutToken(t.Context(), id, fullToken(), 0)
			if slices.Contains([]error{err1, err2, err3, err4, err5, err6, err7, err8}, nil) {
				t.Errorf("%q was accepted", id)
			}
		}
		if _, err := client.Names(t.Context(), bad); err == nil {
			t.Errorf("tenant %q was accepted", bad)
		}
	}
	if got := sim.Count() - before; got != 0 {
		t.Errorf("%d requests were sent, want none: %v", got, sim.Requests())
	}
}

// What could not be read back is not written.
func TestGrantsThatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	sim, address := startSim(t)
	client := mustOpen(t, vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}})
	before := sim.Count()
	noAttempt := fullGrant().Clone()
	noAttempt.Intent.Attempt = ""
	for name, grant := range map[string]credential.Grant{
		"nothing": {}, "odd state": {State: "lost", RefreshToken: "s3cret"}, "no refresh token": {State: credential.GrantIdle},
		"no intent": {State: credential.GrantIntent, RefreshToken: "s3cret"}, "no attempt": noAttempt,
	} {
		if _, err := client.PutGrant(t.Context(), acme, grant, 0); err == nil || !strings.Contains(err.Error(), "not written") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: error = %v, want a refusal", name, err)
		}
	}
	if _, err := client.PutToken(t.Context(), acme, credential.Token{}, 0); err == nil {
		t.Error("a token without a status was accepted")
	}
	if got := sim.Count() - before; got != 0 {
		t.Errorf("%d requests were sent, want none", got)
	}
}

func TestHooksTellOfRequests(t *testing.T) {
	t.Parallel()
	_, address := startSim(t)
	var mu sync.Mutex
	var seen []string
	hooks := vault.Hooks{OnRequest: func(op string, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		if took <= 0 {
			t.Errorf("%s took %s", op, took)
		}
		seen = append(seen, op+" "+vault.Reason(err))
	}}
	client, err := vault.Open(t.Context(), vault.Settings{Address: address, Auth: vault.Auth{Token: "root"}}, hooks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	_, _, _ = client.Grant(t.Context(), acme)
	_, _ = client.PutGrant(t.Context(), acme, fullGrant(), 3)
	_, _ = client.Credential(t.Context(), acme)
	if want := []string{"auth.lookup ok", "grant.read ok", "grant.write conflict", "credential.read ok"}; !slices.Equal(seen, want) {
		t.Errorf("told of %q, want %q", seen, want)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(vaultsim.New("root"))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, certificatePEM(server.Certificate()), 0o600); err != nil {
		t.Fatal(err)
	}
	settings := vault.Settings{Address: server.URL, Auth: vault.Auth{Token: "root"}}
	if _, err := vault.Open(t.Context(), settings, vault.Hooks{}); err == nil {
		t.Error("a certificate that nobody vouches for was accepted")
	}
	for name, change := range map[string]func(*vault.Settings){
		"CA file":      func(s *vault.Settings) { s.CACert = file },
		"CA directory": func(s *vault.Settings) { s.CAPath = filepath.Dir(file) },
		"server name":  func(s *vault.Settings) { s.CACert, s.TLSServerName = file, "example.com" },
		"insecure":     func(s *vault.Settings) { s.Insecure = true },
	} {
		changed := settings
		change(&changed)
		client, err := vault.Open(t.Context(), changed, vault.Hooks{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		client.Close()
	}
	settings.CACert, settings.TLSServerName = file, "elsewhere.example"
	if _, err := vault.Open(t.Context(), settings, vault.Hooks{}); err == nil {
		t.Error("a certificate of another name was accepted")
	}
}
