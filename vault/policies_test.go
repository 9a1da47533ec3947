package vault_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"

	"refresher/internal/credential"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// The files of deploy/vault are what the policies here say; `make generate` writes them.
func TestPolicyFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join("..", "deploy", "vault")
	var want []string
	for _, policy := range (vault.Settings{}).Policies(credential.ID{Tenant: "acme", Name: "main"}) {
		name := filepath.Join(dir, policy.Name+".hcl")
		want = append(want, name)
		if got, err := os.ReadFile(name); err != nil || string(got) != policy.String() {
			t.Errorf("%s is not what the policy says (%v): run make generate", name, err)
		}
	}
	got, err := filepath.Glob(filepath.Join(dir, "*.hcl"))
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
}

// act is something that somebody tries to do.
type act struct {
	what   string
	method string
	path   string
	body   map[string]any
	// may are the policies that let it; none for nobody.
	may []string
}

const (
	data, meta, undelete, destroy = "secret/data/refresher/", "secret/metadata/refresher/", "secret/undelete/refresher/", "secret/destroy/refresher/"

	service, reader, tenantReader, tokenReader = "refresher", "reader", "reader-tenant", "reader-token"
	onboarding, recovery, administrator        = "onboarding", "recovery", "administrator"
)

var (
	document   = map[string]any{"data": map[string]any{"field": "value"}}
	first      = map[string]any{"data": map[string]any{"field": "value"}, "options": map[string]any{"cas": 0}}
	noRules    = map[string]any{"policy": "# nothing"}
	oneVersion = map[string]any{"versions": []int{1}}
)

// policyActs are what each policy must, and must not, allow.
var policyActs = []act{
	{what: "read a credential", method: "GET", path: data + "credentials/acme/main", may: []string{service, onboarding}},
	{what: "list tenants", method: "LIST", path: meta + "credentials", may: []string{service, onboarding}},
	{what: "list credentials", method: "LIST", path: meta + "credentials/acme", may: []string{service, onboarding}},
	{what: "store a credential", method: "PUT", path: data + "credentials/acme/main", body: document, may: []string{onboarding}},
	{what: "store a new credential", method: "PUT", path: data + "credentials/acme/NEW", body: document, may: []string{onboarding}},
	{what: "delete a credential", method: "DELETE", path: data + "credentials/acme/gone", may: []string{onboarding}},
	{what: "undelete a credential", method: "PUT", path: undelete + "credentials/acme/gone", body: oneVersion, may: []string{onboarding}},
	{what: "destroy a credential", method: "PUT", path: destroy + "credentials/acme/main", body: oneVersion},
	{what: "delete a credential's metadata", method: "DELETE", path: meta + "credentials/acme/main"},
	{what: "read a credential's metadata", method: "GET", path: meta + "credentials/acme/main"},
	{what: "have credentials deleted", method: "PUT", path: meta + "credentials/acme/main", body: map[string]any{"delete_version_after": "1h"}},

	{what: "read a grant", method: "GET", path: data + "grants/acme/main", may: []string{service, recovery}},
	{what: "read an older grant", method: "GET", path: data + "grants/acme/main?version=1", may: []string{service, recovery}},
	{what: "write a grant", method: "PUT", path: data + "grants/acme/main", body: document, may: nil}, // without check-and-set
	{what: "write a grant with check-and-set", method: "PUT", path: data + "grants/acme/CAS", may: []string{service, recovery}},
	{what: "write a new grant", method: "PUT", path: data + "grants/acme/NEW", body: first, may: []string{service}},
	{what: "delete a grant", method: "DELETE", path: data + "grants/acme/main"},
	{what: "destroy a grant", method: "PUT", path: destroy + "grants/acme/main", body: oneVersion},
	{what: "delete a grant's metadata", method: "DELETE", path: meta + "grants/acme/main"},
	{what: "undelete a grant", method: "PUT", path: undelete + "grants/acme/main", body: oneVersion, may: []string{recovery}},
	{what: "read a grant's metadata", method: "GET", path: meta + "grants/acme/main", may: []string{recovery}},
	{what: "list grants", method: "LIST", path: meta + "grants/acme", may: []string{recovery}},
	{what: "require check-and-set", method: "PUT", path: meta + "grants/acme/main", body: map[string]any{"cas_required": true}, may: []string{service}},
	{what: "drop check-and-set", method: "PUT", path: meta + "grants/acme/main", body: map[string]any{"cas_required": false}},
	{what: "keep one version", method: "PUT", path: meta + "grants/acme/main", body: map[string]any{"max_versions": 1}},
	{what: "have grants deleted", method: "PUT", path: meta + "grants/acme/main", body: map[string]any{"delete_version_after": "1h"}},
	{
		what: "have grants deleted on the side", method: "PUT", path: meta + "grants/acme/main",
		body: map[string]any{"cas_required": true, "delete_version_after": "1h"},
	},

	{what: "read a token", method: "GET", path: data + "tokens/acme/main", may: []string{service, reader, tenantReader, tokenReader}},
	{what: "read the tenant's other token", method: "GET", path: data + "tokens/acme/other", may: []string{service, reader, tenantReader}},
	{what: "read another tenant's token", method: "GET", path: data + "tokens/zeta/main", may: []string{service, reader}},
	{what: "list tenants with tokens", method: "LIST", path: meta + "tokens", may: []string{reader}},
	{what: "list a tenant's tokens", method: "LIST", path: meta + "tokens/acme", may: []string{reader, tenantReader}},
	{what: "list another tenant's tokens", method: "LIST", path: meta + "tokens/zeta", may: []string{reader}},
	{what: "write a token", method: "PUT", path: data + "tokens/acme/main", body: document, may: []string{service}},
	{what: "write a new token", method: "PUT", path: data + "tokens/acme/NEW", body: document, may: []string{service}},
	{what: "delete a token", method: "DELETE", path: data + "tokens/acme/main"},
	{what: "delete a token's metadata", method: "DELETE", path: meta + "tokens/acme/main"},

	{what: "read an escrow key", method: "GET", path: data + "escrow-keys/1", may: []string{service}},
	{what: "list escrow keys", method: "LIST", path: meta + "escrow-keys", may: []string{service, recovery, administrator}},
	{what: "make an escrow key", method: "PUT", path: data + "escrow-keys/NEW", body: first, may: []string{service, recovery, administrator}},
	{what: "overwrite an escrow key", method: "PUT", path: data + "escrow-keys/1", body: document},
	{what: "delete an escrow key", method: "DELETE", path: data + "escrow-keys/1"},
	{what: "undelete an escrow key", method: "PUT", path: undelete + "escrow-keys/1", body: oneVersion, may: []string{recovery}},
	{what: "delete an escrow key's metadata", method: "DELETE", path: meta + "escrow-keys/1"},

	{what: "read the store's settings", method: "GET", path: "secret/config", may: []string{service, administrator}},
	{what: "write the store's settings", method: "PUT", path: "secret/config", body: map[string]any{"max_versions": 10}, may: []string{administrator}},
	{what: "read outside of the prefix", method: "GET", path: "secret/data/elsewhere"},
	{
		what: "write a policy of the service", method: "PUT", path: "sys/policies/acl/refresher-x",
		body: noRules, may: []string{administrator},
	},
	{what: "write another policy", method: "PUT", path: "sys/policies/acl/other", body: noRules},
}

// TestPolicies tries every act with every policy against the real Vault.
func TestPolicies(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	for _, path := range []string{
		"credentials/acme/main", "credentials/acme/gone", "grants/acme/main", "grants/acme/CAS",
		"tokens/acme/main", "tokens/acme/other", "tokens/zeta/main", "escrow-keys/1",
	} {
		server.Write(data+path, document)
	}
	server.Write("secret/data/elsewhere", document)
	server.Write(meta+"grants/acme/main", map[string]any{"cas_required": true})
	for _, policy := range (vault.Settings{}).Policies(credential.ID{Tenant: "acme", Name: "main"}) {
		server.Policy(policy.Name, policy.String())
		somebody := clientOf(t, server, policy.Name)
		for n, a := range policyActs {
			err := a.try(t, server, somebody, fmt.Sprintf("new-%s-%d", policy.Name, n))
			if may := slices.Contains(a.may, policy.Name); may != (err == nil) {
				t.Errorf("%s may %s: %t, want %t: %v", policy.Name, a.what, err == nil, may, err)
			}
			if err != nil && !isForbidden(err) {
				t.Errorf("%s fails to %s for another reason: %v", policy.Name, a.what, err)
			}
		}
	}
	// What nobody may do was forbidden to them: it is not wrong in itself.
	for _, a := range policyActs {
		if err := a.try(t, server, server.Client(), "new-root"); len(a.may) == 0 && err != nil && !isForbidden(err) {
			t.Errorf("root cannot %s: %v", a.what, err)
		}
	}
}

// isForbidden reports whether Vault refused for lack of a permission or of a check-and-set.
func isForbidden(err error) bool {
	answer, ok := errors.AsType[*api.ResponseError](err)
	return ok && (answer.StatusCode == http.StatusForbidden || strings.Contains(err.Error(), "check-and-set parameter required"))
}

// try does the act; NEW in its path is a name of its own, and CAS asks for the
// right version.
func (a act) try(t *testing.T, server *vaulttest.Server, somebody *api.Client, fresh string) error {
	t.Helper()
	path, body := strings.Replace(a.path, "NEW", fresh, 1), a.body
	if strings.HasSuffix(path, "/CAS") {
		now, err := server.Client().Logical().ReadWithContext(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		version := now.Data["metadata"].(map[string]any)["version"]
		body = map[string]any{"data": map[string]any{"field": "value"}, "options": map[string]any{"cas": version}}
	}
	logical := somebody.Logical()
	var err error
	switch a.method {
	case "LIST":
		_, err = logical.ListWithContext(t.Context(), path)
	case http.MethodGet:
		bare, version, _ := strings.Cut(path, "?version=")
		query := url.Values{}
		if version != "" {
			query.Set("version", version)
		}
		_, err = logical.ReadWithDataWithContext(t.Context(), bare, query)
	case http.MethodDelete:
		_, err = logical.DeleteWithContext(t.Context(), path)
	default:
		_, err = logical.WriteWithContext(t.Context(), path, body)
	}
	return err
}

// clientOf returns a client whose token has one policy.
func clientOf(t *testing.T, server *vaulttest.Server, policy string) *api.Client {
	t.Helper()
	somebody, err := server.Client().Clone()
	if err != nil {
		t.Fatal(err)
	}
	somebody.SetToken(server.Token(vaulttest.TokenOptions{Policies: []string{policy}}))
	return somebody
}

// The service works in a store that requires check-and-set throughout, and with
// the policy of a release that did not ask for it.
func TestOtherWaysToRequireCheckAndSet(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	settings := vault.Settings{Address: server.Address}
	server.Policy("service", settings.Policy())
	settings.Auth.Token = credential.Secret(server.Token(vaulttest.TokenOptions{Policies: []string{"service"}}))
	client := mustOpen(t, settings)
	server.Write("secret/config", map[string]any{"cas_required": true})
	next := credential.ID{Tenant: "acme", Name: "next"}
	_, grantErr := client.PutGrant(t.Context(), next, fullGrant(), 0)
	_, tokenErr := client.PutToken(t.Context(), next, fullToken(), 0)
	keyErr := client.CreateEscrowKey(t.Context(), "k1", vault.EscrowKey{Private: "cHJpdmF0ZTE=", Public: "cHVibGljMQ=="})
	if err := errors.Join(grantErr, tokenErr, keyErr); err != nil {
		t.Errorf("in a store that requires check-and-set: %v", err)
	}

	// A login with an older policy goes on, and is warned of.
	rules := strings.Replace((vault.Settings{}).Policy(), "metadata/refresher/grants", "metadata/refresher/elsewhere", 1)
	server.Policy("older", rules)
	settings.Auth.Token = credential.Secret(server.Token(vaulttest.TokenOptions{Policies: []string{"older"}}))
	client = mustOpen(t, settings)
	expectProblem(t, client.Check(t.Context()), "check-and-set alone", false)
	other := credential.ID{Tenant: "acme", Name: "other"}
	if version, err := client.PutGrant(t.Context(), other, fullGrant(), 0); err != nil || version != 1 {
		t.Errorf("written as version %d, %v, want 1", version, err)
	}
}
