package cli

import (
	"strings"
	"testing"

	"refresher/internal/vaulttest"
)

// TestPoliciesOfTasks: the policies that docs/vault.md names for a task are enough for
// it, and with less it fails, or says what it could not read.
func TestPoliciesOfTasks(t *testing.T) {
	t.Parallel()
	root, server := realVault(t)
	root.must(ExitOK, "vault", "setup")
	root.must(ExitOK, "credentials", "put", "acme/main", "provider=checkfront", "base_url=https://acme.checkfront.com",
		"client_id=id", "client_secret="+marker, "refresh_token="+marker)
	server.Write("secret/metadata/refresher/grants/acme/main", map[string]any{"cas_required": true})
	for version := range 2 {
		server.Write("secret/data/refresher/grants/acme/main", map[string]any{
			"options": map[string]any{"cas": version}, "data": map[string]any{"state": "idle"},
		})
	}
	const onboarding, reader, recovery = "refresher-onboarding", "refresher-reader", "refresher-recovery"
	for _, task := range []struct {
		args     string
		policies []string
	}{
		{"credentials list", []string{onboarding, reader}},
		{"credentials show acme/main", []string{onboarding, reader, recovery}},
		{"credentials pause acme/main", []string{onboarding}},
		{"credentials resume acme/main", []string{onboarding}},
		{"vault escrow-key", []string{recovery}},
		{"credentials delete --yes acme/main", []string{onboarding}},
	} {
		for i := range task.policies {
			less := append(append([]string{"default"}, task.policies[:i]...), task.policies[i+1:]...)
			if r := asHolder(root, server, less...).run(strings.Fields(task.args)...); r.code == ExitOK && !strings.Contains(r.out, "Vault denies reading it") {
				t.Errorf("%s needs no %s:\n%s%s", task.args, task.policies[i], r.out, r.err)
			}
		}
		asHolder(root, server, task.policies...).must(ExitOK, strings.Fields(task.args)...)
	}
}

// asHolder returns a world whose token has certain policies.
func asHolder(w *world, server *vaulttest.Server, policies ...string) *world {
	w.t.Helper()
	return w.with("VAULT_TOKEN=" + server.Token(vaulttest.TokenOptions{Policies: policies}))
}
