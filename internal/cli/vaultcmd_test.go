package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// realVault is a world with a real Vault, which has no more than its store.
func realVault(t *testing.T) (*world, *vaulttest.Server) {
	t.Helper()
	server := vaulttest.Start(t)
	return &world{t: t, url: server.Address, env: []string{"VAULT_ADDR=" + server.Address, "VAULT_TOKEN=" + server.RootToken}}, server
}

// From a Vault with nothing to a doctor who is content with the service's own login.
func TestVaultSetupToDoctor(t *testing.T) {
	t.Parallel()
	w, server := realVault(t)
	secretID := filepath.Join(t.TempDir(), "secret-id")
	setup := []string{"vault", "setup", "--auth", "approle", "--secret-id-file", secretID}
	first := w.must(ExitOK, setup...)
	roleID := regexp.MustCompile(`role ID: (\S+)`).FindStringSubmatch(first.out)
	if roleID == nil || first.err != "" {
		t.Fatalf("no role ID is said:\n%s%s", first.out, first.err)
	}
	content, err := os.ReadFile(secretID)
	if err != nil {
		t.Fatal(err)
	}
	lacks(t, first.out, strings.TrimSpace(string(content)))
	golden(t, "vault-setup", strings.NewReplacer(roleID[1], "…", secretID, "/etc/refresher/secret-id").Replace(first.out))

	again := w.must(ExitOK, setup...)
	lacks(t, again.out, "created", "changed   ")
	contains(t, again.out, "unchanged  policy refresher\n", "next: ")

	service := &world{t: t, env: []string{
		"VAULT_ADDR=" + server.Address, "REFRESHER_ESCROW_DIR=" + t.TempDir(),
		"REFRESHER_VAULT_AUTH_APPROLE_ROLE_ID=" + roleID[1], "REFRESHER_VAULT_AUTH_APPROLE_SECRET_ID_FILE=" + secretID,
	}}
	found := lines(t, service.must(ExitOK, "doctor", "--offline", "-o", "json"))
	has(t, found[levelOK], "vault: logged in", "")
	has(t, found[levelOK], "the login may do all it must", "")
	has(t, found[levelOK], "escrow: 1 key to open", "")
	for _, f := range found[levelWarn] {
		if f.Check == "vault" {
			t.Errorf("%s", f)
		}
	}

	// A further key does not replace the first.
	contains(t, w.must(ExitOK, "vault", "escrow-key").out, "escrow key 20260131-120000 is there")
	w.must(ExitFailed, "vault", "escrow-key")
	found = lines(t, service.must(ExitOK, "doctor", "--offline", "-o", "json"))
	has(t, found[levelOK], "escrow: 2 keys to open", "")
}

func TestVaultSetupComplains(t *testing.T) {
	t.Parallel()
	w, server := realVault(t)
	server.Policy("weak", `path "sys/mounts" { capabilities = ["read"] }`)
	weak := file(t, "token", server.Token(vaulttest.TokenOptions{Policies: []string{"weak"}})+"\n")
	r := w.must(ExitFailed, "vault", "setup", "--token-file", weak)
	contains(t, r.out, "unchanged  store secret/")
	contains(t, r.err, "settings of secret/: vault: setup.read secret/config: 403", "the token needs read on secret/config", "policy administrator")

	contains(t, w.must(ExitFailed, "vault", "setup", "--auth", "kubernetes").err, "give --kubernetes-ca-file")
	server.Write("secret/config", map[string]any{"delete_version_after": "24h"})
	r = w.must(ExitFailed, "vault", "setup")
	contains(t, r.err, "delete_version_after is 24h", "--change-shared")
	lacks(t, r.out, "next:")
	contains(t, w.must(ExitOK, "vault", "setup", "--change-shared").out, "changed    settings of secret/")

	contains(t, w.must(ExitFailed, "vault", "setup", "--token-file", os.DevNull).err, "is empty")
	contains(t, w.must(ExitFailed, "vault", "escrow-key", "--token-file", filepath.Join(t.TempDir(), "none")).err, "no such file")
	contains(t, w.must(ExitFailed, "vault", "escrow-key", "--token-file", weak).err, "the token needs create and update on secret/data/refresher/escrow-keys/*")
}

// --print needs neither Vault nor a login.
func TestVaultSetupPrint(t *testing.T) {
	t.Parallel()
	nobody := &world{t: t}
	r := nobody.must(ExitOK, "vault", "setup", "--auth", "approle", "--print", "--set", "vault.prefix=apps/refresher")
	contains(t, r.out, "vault secrets enable -path=secret -version=2 kv", "vault policy write refresher-reader - <<'EOF'",
		`path "secret/data/apps/refresher/tokens/*"`, "vault auth enable -path=approle approle")
	lacks(t, r.out, "private_key")
}

func TestVaultPolicy(t *testing.T) {
	t.Parallel()
	nobody := &world{t: t}
	all := nobody.must(ExitOK, "vault", "policy").out
	dir := t.TempDir()
	nobody.must(ExitOK, "vault", "policy", "--dir", dir, "--id", "zeta/shop")
	for _, policy := range (vault.Settings{}).Policies(credential.ID{Tenant: "zeta", Name: "shop"}) {
		contains(t, all, policy.Name)
		one := nobody.must(ExitOK, "vault", "policy", policy.Name, "--id", "zeta/shop").out
		content, err := os.ReadFile(filepath.Join(dir, policy.Name+".hcl"))
		if err != nil || string(content) != one || one != policy.String() {
			t.Errorf("%s: %v\n%s\nin the file:\n%s", policy.Name, err, one, content)
		}
	}
}
