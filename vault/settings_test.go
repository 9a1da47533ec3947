package vault_test

import (
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"refresher/vault"
)

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

func TestSettingsThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings vault.Settings
		says     string
	}{
		"method":           {vault.Settings{Auth: vault.Auth{Method: "ldap"}}, `"ldap" is not known: use token, token_file, approle or kubernetes`},
		"no token file":    {vault.Settings{Auth: vault.Auth{Method: "token_file"}}, "file's name"},
		"no role ID":       {vault.Settings{Auth: vault.Auth{Method: "approle"}}, "role ID"},
		"no role":          {vault.Settings{Auth: vault.Auth{Method: "kubernetes"}}, "needs a role"},
		"mount":            {vault.Settings{Mount: "a/../b"}, "mount"},
		"prefix":           {vault.Settings{Prefix: "a b"}, "prefix"},
		"prefix of a dot":  {vault.Settings{Prefix: "."}, "prefix"},
		"approle mount":    {vault.Settings{Auth: vault.Auth{AppRole: vault.AppRole{Mount: "a?b"}}}, "auth.approle.mount"},
		"negative timeout": {vault.Settings{Timeout: -1}, "negative"},
		"CA that is none":  {vault.Settings{CACert: "/nowhere.pem"}, "TLS"},
		"missing file":     {vault.Settings{Auth: vault.Auth{Method: "token_file", TokenFile: "/nowhere"}}, "/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := vault.Open(t.Context(), test.settings, vault.Hooks{})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error = %v, want one that says %q", err, test.says)
			}
		})
	}
}

// seenHeaders serves a login and remembers the headers of the last request.
func seenHeaders(t *testing.T) (address string, last *http.Header) {
	t.Helper()
	last = &http.Header{}
	return handle(t, func(w http.ResponseWriter, r *http.Request) {
		*last = r.Header
		if strings.HasPrefix(r.URL.Path, "/v1/auth/approle/") {
			_, _ = io.WriteString(w, `{"auth":{"client_token":"from-approle","lease_duration":60,"renewable":true}}`)
			return
		}
		answerLookup(w)
	}), last
}

// expectHeaders opens a client and looks at the last request's headers.
func expectHeaders(t *testing.T, last *http.Header, settings vault.Settings, token, namespace string) *vault.Client {
	t.Helper()
	client := mustOpen(t, settings)
	for name, want := range map[string]string{"X-Vault-Token": token, "X-Vault-Namespace": namespace, "X-Vault-Wrap-TTL": ""} {
		if got := last.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	return client
}

func TestEnvironment(t *testing.T) {
	address, last := seenHeaders(t)
	t.Setenv("VAULT_ADDR", address)
	t.Setenv("VAULT_NAMESPACE", "team")
	t.Setenv("VAULT_WRAP_TTL", "5m")
	t.Setenv("VAULT_TOKEN", "from-environment")
	expectHeaders(t, last, vault.Settings{}, "from-environment", "team")
	expectHeaders(t, last, vault.Settings{Namespace: "other", Auth: vault.Auth{Token: "from-settings"}}, "from-settings", "other")
	approle := vault.Auth{Method: vault.MethodAppRole, AppRole: vault.AppRole{RoleID: "r"}}
	client := expectHeaders(t, last, vault.Settings{Auth: approle}, "", "team")
	_, _ = client.Tenants(t.Context())
	if got := last.Get("X-Vault-Token"); got != "from-approle" {
		t.Errorf("after a login: token %q, want that of the login", got)
	}
	if _, err := client.Health(t.Context()); err != nil || last.Get("X-Vault-Namespace") != "" || last.Get("X-Vault-Token") != "" {
		t.Errorf("health: %v, namespace %q: want neither namespace nor token", err, last.Get("X-Vault-Namespace"))
	}
	t.Setenv("VAULT_AGENT_ADDR", "http://127.0.0.1:1")
	expectHeaders(t, last, vault.Settings{Address: address, Auth: vault.Auth{Token: "t"}}, "t", "team")
}

func TestTokenHelper(t *testing.T) {
	address, last := seenHeaders(t)
	t.Setenv("HOME", t.TempDir())
	t.Setenv("VAULT_TOKEN", "from-environment")
	settings := vault.Settings{Address: address, UseTokenHelper: true}
	helper := filepath.Join(os.Getenv("HOME"), ".vault-token")
	if err := os.WriteFile(helper, []byte("from-helper\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expectHeaders(t, last, settings, "from-environment", "")
	t.Setenv("VAULT_TOKEN", "")
	expectHeaders(t, last, settings, "from-helper", "")
	expectNoToken := func(settings vault.Settings, says string) {
		t.Helper()
		if _, err := vault.Open(t.Context(), settings, vault.Hooks{}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error = %v, want one that says %q", err, says)
		}
	}
	expectNoToken(vault.Settings{Address: address}, "set VAULT_TOKEN")
	if err := os.Remove(helper); err != nil {
		t.Fatal(err)
	}
	expectNoToken(settings, "vault login")
}
