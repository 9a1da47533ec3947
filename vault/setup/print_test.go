package setup_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/vaulttest"
	"refresher/vault"
	"refresher/vault/setup"
)

// serviceAccountToken is a token as a cluster issues it, but for its signature.
func serviceAccountToken(namespace, name string) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"sub":"system:serviceaccount:%[1]s:%[2]s","aud":["vault"],"iat":1,"nbf":1,"exp":4102444800,`+
		`"kubernetes.io":{"namespace":"%[1]s","serviceaccount":{"name":"%[2]s","uid":"u1"}}}`, namespace, name)
	return encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + "." + encode([]byte("signature"))
}

// writeReview answers a TokenReview: the one token is good for the audience "vault".
func writeReview(t *testing.T, w http.ResponseWriter, r *http.Request, jwt string) {
	t.Helper()
	var review struct {
		Spec struct {
			Token     string
			Audiences []string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || r.URL.Path != "/apis/authentication.k8s.io/v1/tokenreviews" {
		t.Errorf("the cluster was asked %s %s: %v", r.Method, r.URL.Path, err)
	}
	if !reflect.DeepEqual(review.Spec.Audiences, []string{"vault"}) {
		t.Errorf("the review is for %v, want the audience vault", review.Spec.Audiences)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = fmt.Fprintf(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":%t,"audiences":["vault"],`+
		`"user":{"username":"system:serviceaccount:apps:refresher","uid":"u1","groups":["system:serviceaccounts"]}}}`, review.Spec.Token == jwt)
}

// TestPrintDoesWhatApplyDoes runs the printed script in a real shell against one
// Vault, applies the plan to another that began the same, and compares the two. What
// the script calls vault is a stand-in: see standIn.
func TestPrintDoesWhatApplyDoes(t *testing.T) {
	t.Parallel()
	host, ca := cluster(t, serviceAccountToken("apps", "refresher"))
	approle := options()
	approle.Login = setup.LoginAppRole
	kubernetes := options()
	kubernetes.Login = setup.LoginKubernetes
	kubernetes.Kubernetes = setup.Kubernetes{
		Host: host, CAFile: ca, ReviewerTokenFile: file(t, "reviewer", "reviewer\n"), ServiceAccounts: []string{"b", "a"}, Namespaces: []string{"apps"},
	}
	shared := kubernetes
	shared.ChangeShared = true
	for name, test := range map[string]struct {
		options setup.Options
		before  func(*rig)
	}{
		"approle, nothing there":    {approle, func(*rig) {}},
		"kubernetes, nothing there": {kubernetes, func(*rig) {}},
		"approle, things there": {approle, func(r *rig) {
			r.MountKV(store, 2)
			r.Write(store+"/config", map[string]any{"max_versions": 50, "delete_version_after": "-1s"})
			r.Policy("refresher", `path "*" { capabilities = ["read"] }`)
			r.EnableAuth("approle", "approle")
			r.Write("auth/approle/role/refresher", map[string]any{"token_policies": "default", "token_period": "10m"})
		}},
		"kubernetes, things there": {kubernetes, func(r *rig) {
			r.MountKV(store, 2)
			r.Write(store+"/config", map[string]any{"max_versions": 3})
			r.EnableAuth("kubernetes", "kubernetes")
		}},
		"kubernetes, what is shared changes": {shared, func(r *rig) {
			r.MountKV(store, 2)
			r.Write(store+"/config", map[string]any{"delete_version_after": "24h"})
			r.EnableAuth("kubernetes", "kubernetes")
			content, err := os.ReadFile(ca)
			if err != nil {
				r.t.Fatal(err)
			}
			r.Write("auth/kubernetes/config", map[string]any{"kubernetes_host": "https://elsewhere.example", "kubernetes_ca_cert": string(content)})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			printed, applied, o := newRig(t), newRig(t), test.options
			if o.Login == setup.LoginAppRole {
				o.SecretIDFile = filepath.Join(t.TempDir(), "it's the secret")
			}
			test.before(printed)
			test.before(applied)
			for _, run := range []string{"first", "second"} {
				if said, err := printed.script(o); err != nil {
					t.Fatalf("the %s run: %v: %s", run, err, said)
				}
				printed.usedOnce(o.SecretIDFile)
			}
			if o.SecretIDFile != "" {
				remove(t, o.SecretIDFile)
			}
			applied.mustApply(o)
			for _, path := range paths(o) {
				if want, got := applied.state(path), printed.state(path); !reflect.DeepEqual(got, want) {
					t.Errorf("%s after the commands:\n%v\nwant:\n%v", path, got, want)
				}
			}
			// To the plan there is nothing left to do, but for the key that the service makes.
			states(t, printed.mustApply(o), map[string]setup.State{"escrow key": setup.Created})
		})
	}
}

// paths are what a plan makes, but for what is different in any two Vaults.
func paths(o setup.Options) []string {
	all := []string{
		store + "/config", "sys/policies/acl/refresher", "sys/policies/acl/refresher-reader", "sys/policies/acl/refresher-onboarding",
		"sys/policies/acl/refresher-recovery", "auth/" + o.Login + "/role/refresher",
	}
	if o.Login == setup.LoginKubernetes {
		all = append(all, "auth/kubernetes/config")
	}
	return all
}

// TestPrintLeavesAlone: what a plan reports and leaves alone, the script does too, and
// it refuses what a plan refuses.
func TestPrintLeavesAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	host, ca := cluster(t, "")
	kubernetes := options()
	kubernetes.Login = setup.LoginKubernetes
	kubernetes.Kubernetes = setup.Kubernetes{Host: host, CAFile: ca, ReviewerTokenFile: file(t, "reviewer", "reviewer")}
	if said, err := r.script(kubernetes); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	r.MountKV("old", 1)
	r.Write("sys/mounts/crypt", map[string]any{"type": "transit", "description": `"type": "kv"`})
	r.EnableAuth("approle", "jwt")
	r.Write(store+"/config", map[string]any{"delete_version_after": "24h"})
	for name, test := range map[string]struct {
		change func(*setup.Options)
		says   string
		path   string
	}{
		"version 1":            {func(o *setup.Options) { o.Settings.Mount = "old" }, "KV store of version 1", "sys/mounts"},
		"another store":        {func(o *setup.Options) { o.Settings.Mount = "crypt" }, "not of type kv", "sys/mounts"},
		"another login":        {func(o *setup.Options) { o.Login = setup.LoginAppRole }, "not of type approle", "sys/auth"},
		"delete_version_after": {func(*setup.Options) {}, "delete_version_after is 24h0m0s", store + "/config"},
		"another cluster":      {func(o *setup.Options) { o.Kubernetes.Host = "https://elsewhere.example" }, "it differs in kubernetes_host.", "auth/kubernetes/config"},
		"another CA": {
			func(o *setup.Options) { o.Kubernetes.CAFile = file(t, "other.pem", "other") }, "it differs in kubernetes_ca_cert.", "auth/kubernetes/config",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := kubernetes
			test.change(&o)
			before := r.state(test.path)
			said, err := r.script(o)
			if _, ended := errors.AsType[*exec.ExitError](err); !ended || !strings.Contains(said, test.says) {
				t.Errorf("it ends with %v, want an error that says %q:\n%s", err, test.says, said)
			}
			if after := r.state(test.path); !reflect.DeepEqual(before, after) {
				t.Errorf("%s was %v, is now %v", test.path, before, after)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		stranger := *r.Server
		stranger.RootToken = r.Token(vaulttest.TokenOptions{Policies: []string{"default"}})
		if said, err := (&rig{Server: &stranger, t: t}).script(kubernetes); err == nil || !strings.Contains(said, "permission denied") {
			t.Errorf("without rights: %v, %s", err, said)
		}
	})
}

// TestAdministratorRunsThePrintedScript: the policy that is enough for the command is
// enough for the script.
func TestAdministratorRunsThePrintedScript(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	policies := options().Settings.Policies(credential.ID{})
	at := slices.IndexFunc(policies, func(p vault.Policy) bool { return p.Name == vault.PolicyAdministrator })
	r.Policy("admin", policies[at].String())
	administrator := *r.Server
	administrator.RootToken = r.Token(vaulttest.TokenOptions{Policies: []string{"admin"}})
	host, ca := cluster(t, "")
	for _, login := range []string{setup.LoginAppRole, setup.LoginKubernetes} {
		o := options()
		if o.Login = login; login == setup.LoginKubernetes {
			o.Kubernetes = setup.Kubernetes{Host: host, CAFile: ca, ReviewerTokenFile: file(t, "reviewer", "reviewer")}
		}
		for range 2 {
			if said, err := (&rig{Server: &administrator, t: t}).script(o); err != nil {
				t.Errorf("%s: %v: %s", login, err, said)
			}
		}
	}
}

// remove removes the file that the shell made, and sees that nobody else could read it.
func remove(t *testing.T, name string) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret ID's file: %v, %v, want mode 0600", info, err)
	}
	if err := os.Remove(name); err != nil {
		t.Error(err)
	}
}

// script runs a printed plan and returns what it says.
func (r *rig) script(o setup.Options) (string, error) {
	r.t.Helper()
	plan, err := setup.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	var script strings.Builder
	if err := plan.Print(&script); err != nil {
		r.t.Fatal(err)
	}
	if strings.Contains(script.String(), o.EscrowKey.Private.Reveal()) {
		r.t.Error("the commands show a private key")
	}
	if !strings.Contains(script.String(), "\n#   refresher vault escrow-key\n") {
		r.t.Error("the commands do not say how an escrow key is made")
	}
	this, err := os.Executable()
	if err != nil {
		r.t.Fatal(err)
	}
	dir := r.t.TempDir()
	if err := os.Symlink(this, filepath.Join(dir, standInName)); err != nil {
		r.t.Fatal(err)
	}
	shell := exec.CommandContext(r.t.Context(), "sh")
	shell.Stdin = strings.NewReader(script.String())
	shell.Env = []string{
		"GORACE=atexit_sleep_ms=0", // else each call of the stand-in lasts a second
		"PATH=" + dir + ":" + os.Getenv("PATH"), "VAULT_ADDR=" + r.Address, "VAULT_TOKEN=" + r.RootToken,
		"VAULT_FORMAT=json", "SLOW_STORE=" + filepath.Join(dir, "slow"),
	}
	said, err := shell.CombinedOutput()
	return string(said), err
}

// usedOnce wants a secret ID in the file with which one can log in.
func (r *rig) usedOnce(name string) {
	r.t.Helper()
	if name == "" {
		return
	}
	secret, err := os.ReadFile(name)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Write("auth/approle/role/refresher/secret-id/lookup", map[string]any{"secret_id": string(secret)})
	listed, err := r.Client().Logical().ListWithContext(r.t.Context(), "auth/approle/role/refresher/secret-id")
	if err != nil || listed == nil {
		r.t.Fatalf("list the secret IDs: %v, %v", listed, err)
	}
	if keys, _ := listed.Data["keys"].([]any); len(keys) != 1 {
		r.t.Errorf("there are %d secret IDs, want one", len(keys))
	}
}

// state reads a path.
func (r *rig) state(path string) map[string]any {
	r.t.Helper()
	data, err := r.admin.ReadPath(r.t.Context(), path)
	if err != nil || data == nil {
		r.t.Fatalf("read %s: %v, %v", path, data, err)
	}
	return data
}
