package cluster

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"refresher/internal/vaulttest"
	"refresher/vault"
)

// reviewer makes a service account that may ask the API server about tokens, and
// returns a token of it: what Vault presents to have others' checked.
func (ns *tenancy) reviewer() string {
	ns.t.Helper()
	ns.kubectl("create", "serviceaccount", "vault")
	ns.kubectl("create", "clusterrolebinding", ns.name+"-reviewer", "--clusterrole=system:auth-delegator", "--serviceaccount="+ns.name+":vault")
	return ns.token("vault", "")
}

// token is a token of a service account, for an audience or for the API server itself.
func (ns *tenancy) token(account, audience string) string {
	ns.t.Helper()
	token, err := kube.api.requestToken(ns.t.Context(), ns.name, account, 3600, audience, nil)
	if err != nil {
		ns.t.Fatal(err)
	}
	return token
}

// setUpVault runs "refresher vault setup" for a Vault outside of the cluster, with more
// arguments.
func setUpVault(server *vaulttest.Server, ns *tenancy, args ...string) {
	ns.t.Helper()
	token := filepath.Join(ns.t.TempDir(), "reviewer")
	if err := os.WriteFile(token, []byte(ns.reviewer()), 0o600); err != nil {
		ns.t.Fatal(err)
	}
	args = append(args, "--kubernetes-host", kube.url, "--kubernetes-ca-file", kube.caFile, "--kubernetes-reviewer-token-file", token)
	cmd := exec.CommandContext(ns.t.Context(), tool("refresher"), args...)
	cmd.Env = []string{"VAULT_ADDR=" + server.Address, "VAULT_TOKEN=" + server.RootToken, "HOME=" + ns.t.TempDir()}
	if out, err := cmd.CombinedOutput(); err != nil {
		ns.t.Fatalf("refresher %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestLoginToVault: the API server's token of the chart's service account opens Vault
// with the service's policy; no other token does.
func TestLoginToVault(t *testing.T) {
	t.Parallel()
	ns, elsewhere := newTenancy(t), newTenancy(t)
	server := startVault(t)
	for _, place := range []*tenancy{ns, elsewhere} {
		place.kubectl("create", "serviceaccount", "refresher")
		place.kubectl("create", "serviceaccount", "another")
	}
	setUpVault(server, ns, "vault", "setup", "--auth", "kubernetes", "--kubernetes-namespace", ns.name)

	for _, tc := range []struct {
		name, token, refused string
	}{
		{"the service's account", ns.token("refresher", "vault"), ""},
		{"another account", ns.token("another", "vault"), "service account name not authorized"},
		{"the same name in another namespace", elsewhere.token("refresher", "vault"), "namespace not authorized"},
		{"for the API server, as mounted by default", ns.token("refresher", ""), "audience"},
		{"another audience", ns.token("refresher", "https://elsewhere.example.com"), "audience"},
		{"forged", forged(t, ns.token("another", "vault"), "another", "refresher"), "permission denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, err := logIn(t, server.Address, tc.token)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Fatalf("the login ends with %v, want a refusal: %s", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, problem := range client.Check(t.Context()) {
				t.Errorf("the login cannot do the service's work: %s", problem.What)
			}
		})
	}
}

// logIn logs in as the service does, with a token in a file.
func logIn(t *testing.T, address, token string) (*vault.Client, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := vault.Open(t.Context(), vault.Settings{Address: address, Auth: vault.Auth{
		Method: vault.MethodKubernetes, Kubernetes: vault.Kubernetes{Role: "refresher", JWTFile: file},
	}}, vault.Hooks{})
	if err == nil {
		t.Cleanup(client.Close)
	}
	return client, err
}

// forged is a token with a word changed in what it claims, under the old signature.
func forged(t *testing.T, token, word, with string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || !strings.Contains(string(claims), word) {
		t.Fatalf("the token's claims do not hold %q: %v", word, err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(string(claims), word, with)))
	return strings.Join(parts, ".")
}
