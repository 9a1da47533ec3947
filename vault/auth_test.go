package vault_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// logins counts what Hooks.OnLogin tells.
type logins struct {
	mu       sync.Mutex
	good     int
	failures []error
}

func (l *logins) hook(_ time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.good++
	} else {
		l.failures = append(l.failures, err)
	}
}

func (l *logins) counts() (good, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.good, len(l.failures)
}

// run opens a client and runs it until the test ends.
func run(t *testing.T, settings vault.Settings) (*vault.Client, *logins) {
	t.Helper()
	seen := &logins{}
	client, err := vault.Open(t.Context(), settings, vault.Hooks{OnLogin: seen.hook})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v, want nil", err)
		}
		client.Close()
	})
	return client, seen
}

// works reports whether a request is permitted now.
func works(client *vault.Client) func() bool {
	return func() bool {
		_, err := client.Tenants(context.Background())
		return err == nil
	}
}

const allPolicy = `path "secret/*" { capabilities = ["create", "read", "update", "list"] }`

// TestLogins shares one real Vault among all that only log in.
func TestLogins(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	server.Policy("all", allPolicy)
	server.EnableAuth("approle", "approle")
	server.EnableAuth("approle2", "approle")
	t.Run("approle renews and logs in again", func(t *testing.T) { t.Parallel(); testAppRole(t, server) })
	t.Run("approle after revocation", func(t *testing.T) { t.Parallel(); testRevoked(t, server) })
	t.Run("approle refused", func(t *testing.T) { t.Parallel(); testAppRoleRefused(t, server) })
	t.Run("token file", func(t *testing.T) { t.Parallel(); testTokenFile(t, server) })
	t.Run("token file after revocation", func(t *testing.T) { t.Parallel(); testTokenFileRevoked(t, server) })
	t.Run("token runs out", func(t *testing.T) { t.Parallel(); testTokenRunsOut(t, server) })
	t.Run("periodic token", func(t *testing.T) { t.Parallel(); testPeriodic(t, server) })
	t.Run("kubernetes", func(t *testing.T) { t.Parallel(); testKubernetes(t, server) })
}

func testAppRole(t *testing.T, server *vaulttest.Server) {
	roleID, secretID := server.AppRole("short", vaulttest.TokenOptions{Policies: []string{"all"}, TTL: 3 * time.Second, MaxTTL: 7 * time.Second})
	file := filepath.Join(t.TempDir(), "secret-id")
	if err := os.WriteFile(file, []byte(secretID+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	client, seen := run(t, vault.Settings{Address: server.Address, Auth: vault.Auth{
		Method: vault.MethodAppRole, AppRole: vault.AppRole{RoleID: roleID, SecretIDFile: file},
	}})
	first := client.TokenExpiry()
	if until := time.Until(first); until > 3*time.Second || until < 0 {
		t.Errorf("the first token expires in %s, want at most its TTL of 3s", until)
	}
	eventually(t, "renewal", func() bool { return client.TokenExpiry().After(first) })
	if good, _ := seen.counts(); good != 1 {
		t.Errorf("%d logins when the token was first extended, want 1: it should be renewed", good)
	}
	eventually(t, "second login after the maximum lifetime", func() bool {
		good, _ := seen.counts()
		if err := client.Healthy(t.Context()); err != nil {
			t.Errorf("unhealthy in between: %v", err)
		}
		if !works(client)() {
			t.Error("a request failed in between")
		}
		return good > 1
	})
	if good, failed := seen.counts(); failed != 0 || good > 6 {
		t.Errorf("%d logins, %d of them failed: want few, and none failed", good, failed)
	}
}

func testRevoked(t *testing.T, server *vaulttest.Server) {
	roleID, secretID := server.AppRole("revoked", vaulttest.TokenOptions{Policies: []string{"all"}, TTL: time.Hour})
	client, seen := run(t, vault.Settings{Address: server.Address, Auth: vault.Auth{
		Method: vault.MethodAppRole, AppRole: vault.AppRole{RoleID: roleID, SecretID: credential.Secret(secretID)},
	}})
	if !works(client)() {
		t.Fatal("a request failed before anything happened")
	}
	// All tokens of the role go at once.
	server.Write("sys/leases/revoke-prefix/auth/approle/login", nil)
	eventually(t, "login after the token was revoked", works(client))
	if good, failed := seen.counts(); good != 2 || failed != 0 {
		t.Errorf("%d logins and %d failed ones, want 2 and none", good, failed)
	}
}

func testAppRoleRefused(t *testing.T, server *vaulttest.Server) {
	auth := vault.Auth{Method: vault.MethodAppRole, AppRole: vault.AppRole{Mount: "approle2", RoleID: "none", SecretID: "s3cret"}}
	_, err := vault.Open(t.Context(), vault.Settings{Address: server.Address, Auth: auth}, vault.Hooks{})
	if err == nil || !strings.Contains(err.Error(), "auth.login auth/approle2/login: 400") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v, want a refused login at auth/approle2 without the secret", err)
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	temporary := name + ".new"
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temporary, name); err != nil {
		t.Fatal(err)
	}
}

// Vault Agent writes a new token before the old one is gone.
func testTokenFile(t *testing.T, server *vaulttest.Server) {
	options := vaulttest.TokenOptions{Policies: []string{"all"}, TTL: time.Hour}
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, server.Token(options)+"\n")
	client, seen := run(t, vault.Settings{Address: server.Address, Auth: vault.Auth{
		Method: vault.MethodTokenFile, TokenFile: file, Reread: 20 * time.Millisecond,
	}})
	if !works(client)() {
		t.Fatal("the first token does not work")
	}
	options.TTL = 2 * time.Hour
	writeFile(t, file, server.Token(options))
	eventually(t, "use of the new token", func() bool { return time.Until(client.TokenExpiry()) > 90*time.Minute })
	if good, failed := seen.counts(); good != 2 || failed != 0 {
		t.Errorf("%d logins and %d failed ones, want 2 and none", good, failed)
	}
	// A file that cannot be read or is empty changes nothing.
	writeFile(t, file, "")
	if err := client.Healthy(t.Context()); err != nil || !works(client)() {
		t.Errorf("with an empty file: %v", err)
	}
}

func testTokenFileRevoked(t *testing.T, server *vaulttest.Server) {
	options := vaulttest.TokenOptions{Policies: []string{"all"}, TTL: time.Hour}
	file := filepath.Join(t.TempDir(), "token")
	old := server.Token(options)
	writeFile(t, file, old)
	client, seen := run(t, vault.Settings{Address: server.Address, Auth: vault.Auth{
		Method: vault.MethodTokenFile, TokenFile: file, Reread: time.Hour,
	}})
	server.Revoke(old)
	eventually(t, "bad health", func() bool { return !works(client)() && client.Healthy(t.Context()) != nil })
	eventually(t, "failed login", func() bool { _, failed := seen.counts(); return failed > 0 })
	if err := client.Healthy(t.Context()); err == nil || strings.Contains(err.Error(), old) {
		t.Errorf("health = %v, want an error without the token", err)
	}
	writeFile(t, file, server.Token(options))
	eventually(t, "use of the new token", func() bool { return works(client)() && client.Healthy(t.Context()) == nil })
}

func testTokenRunsOut(t *testing.T, server *vaulttest.Server) {
	token := server.Token(vaulttest.TokenOptions{Policies: []string{"all"}, TTL: 2 * time.Second, MaxTTL: 2 * time.Second})
	client, seen := run(t, vault.Settings{Address: server.Address, Auth: vault.Auth{Token: credential.Secret(token)}})
	if err := client.Healthy(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bad health", func() bool { return client.Healthy(t.Context()) != nil })
	eventually(t, "failed login", func() bool { _, failed := seen.counts(); return failed > 0 })
	if good, _ := seen.counts(); good > 12 {
		t.Errorf("%d looks at a token that runs out within 2s: that is a loop", good)
	}
}

// A token that is always about to end must not be asked about in a loop.
func TestRunPausesBetweenShortLogins(t *testing.T) {
	t.Parallel()
	address := handle(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == lookupPath {
			_, _ = io.WriteString(w, `{"data":{"ttl":1,"renewable":true,"expire_time":"2026-07-01T12:00:00Z"}}`)
			return
		}
		_, _ = io.WriteString(w, `{"auth":{"client_token":"t","lease_duration":0,"renewable":true}}`)
	})
	began := time.Now()
	_, seen := run(t, vault.Settings{Address: address, Auth: vault.Auth{Token: "t"}})
	eventually(t, "fourth login", func() bool { good, _ := seen.counts(); return good >= 4 })
	if took := time.Since(began); took < 750*time.Millisecond {
		t.Errorf("three more logins took %s, want pauses of at least a quarter of a second", took)
	}
}

func testPeriodic(t *testing.T, server *vaulttest.Server) {
	token := server.Token(vaulttest.TokenOptions{Policies: []string{"all"}, TTL: 2 * time.Second, Periodic: true})
	client, seen := run(t, vault.Settings{Address: server.Address, Auth: vault.Auth{Token: credential.Secret(token)}})
	first := client.TokenExpiry()
	eventually(t, "life beyond two periods", func() bool { return client.TokenExpiry().After(first.Add(4 * time.Second)) })
	if good, failed := seen.counts(); good != 1 || failed != 0 || !works(client)() {
		t.Errorf("%d logins and %d failed ones, want 1 and none", good, failed)
	}
}

// testKubernetes logs in with a service account that a stand-in for the
// cluster's API vouches for.
func testKubernetes(t *testing.T, server *vaulttest.Server) {
	encode := base64.RawURLEncoding.EncodeToString
	jwt := encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(`{"sub":"system:serviceaccount:apps:refresher","iat":1,"nbf":1,"exp":4102444800,`+
		`"kubernetes.io":{"namespace":"apps","serviceaccount":{"name":"refresher","uid":"u1"}}}`)) + "." + encode([]byte("signature"))
	cluster := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review struct{ Spec struct{ Token string } }
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
			t.Errorf("the cluster was asked %s %s: %v", r.Method, r.URL.Path, err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":%t,`+
			`"user":{"username":"system:serviceaccount:apps:refresher","uid":"u1","groups":["system:serviceaccounts"]}}}`, review.Spec.Token == jwt)
	}))
	defer cluster.Close()
	server.EnableAuth("k8s", "kubernetes")
	server.Write("auth/k8s/config", map[string]any{
		"kubernetes_host": cluster.URL, "disable_local_ca_jwt": true, "disable_iss_validation": true, "token_reviewer_jwt": jwt,
	})
	server.Write("auth/k8s/role/refresher", map[string]any{
		"bound_service_account_names": "refresher", "bound_service_account_namespaces": "apps", "token_policies": "all", "token_ttl": "1h",
	})
	file := filepath.Join(t.TempDir(), "jwt")
	writeFile(t, file, jwt+"\n")
	settings := vault.Settings{Address: server.Address, Auth: vault.Auth{
		Method: vault.MethodKubernetes, Kubernetes: vault.Kubernetes{Mount: "k8s", Role: "refresher", JWTFile: file},
	}}
	client := mustOpen(t, settings)
	if !works(client)() || time.Until(client.TokenExpiry()) > time.Hour {
		t.Errorf("the login does not work as it should: expires %s", client.TokenExpiry())
	}
	settings.Auth.Kubernetes.Role = "another"
	if _, err := vault.Open(t.Context(), settings, vault.Hooks{}); err == nil || strings.Contains(err.Error(), jwt) {
		t.Errorf("login with another role = %v, want an error without the token", err)
	}
}

// A Vault that was restarted or sealed meanwhile is no reason to give up.
func TestRunOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t, vaulttest.WithStorage(t.TempDir()))
	server.Policy("all", allPolicy)
	server.EnableAuth("approle", "approle")
	roleID, secretID := server.AppRole("r", vaulttest.TokenOptions{Policies: []string{"all"}, TTL: 2 * time.Second})
	client, seen := run(t, vault.Settings{Address: server.Address, Auth: vault.Auth{
		Method: vault.MethodAppRole, AppRole: vault.AppRole{RoleID: roleID, SecretID: credential.Secret(secretID)},
	}})
	server.Kill()
	if _, err := client.Tenants(t.Context()); vault.Reason(err) != "unreachable" {
		t.Errorf("reason = %s, want unreachable: %v", vault.Reason(err), err)
	}
	eventually(t, "failed login and bad health", func() bool {
		_, failed := seen.counts()
		return failed > 0 && client.Healthy(t.Context()) != nil
	})
	server.Restart()
	eventually(t, "login after the restart", func() bool { return works(client)() && client.Healthy(t.Context()) == nil })
	server.Seal()
	eventually(t, "bad health while sealed", func() bool { return client.Healthy(t.Context()) != nil })
	server.Unseal()
	eventually(t, "login after unsealing", func() bool { return works(client)() && client.Healthy(t.Context()) == nil })
}
