package setup_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/vaulttest"
	"refresher/vault"
	"refresher/vault/setup"
)

// rig is a real Vault, and an administrator's client of it.
type rig struct {
	*vaulttest.Server
	t     *testing.T
	admin *vault.Client
}

func newRig(t *testing.T) *rig {
	t.Helper()
	server := vaulttest.Start(t)
	return &rig{Server: server, t: t, admin: open(t, server, server.RootToken)}
}

func open(t *testing.T, server *vaulttest.Server, token string) *vault.Client {
	t.Helper()
	return login(t, vault.Settings{Address: server.Address, Mount: store, Auth: vault.Auth{Token: credential.Secret(token)}})
}

func login(t *testing.T, settings vault.Settings) *vault.Client {
	t.Helper()
	client, err := vault.Open(t.Context(), settings, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// store is a mount that is not there yet.
const store = "kv/tenants"

func options() setup.Options {
	return setup.Options{
		Settings:  vault.Settings{Mount: store},
		EscrowKey: vault.EscrowKey{ID: "1", Private: "cHJpdmF0ZTE=", Public: "cHVibGljMQ==", CreatedAt: time.Now()},
	}
}

// apply applies the options and returns the state of each thing.
func (r *rig) apply(v setup.Vault, o setup.Options) (map[string]setup.Result, error) {
	r.t.Helper()
	plan, err := setup.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	results := map[string]setup.Result{}
	err = plan.Apply(r.t.Context(), v, func(result setup.Result) { results[result.What] = result })
	return results, err
}

func (r *rig) mustApply(o setup.Options) map[string]setup.Result {
	r.t.Helper()
	results, err := r.apply(r.admin, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return results
}

// states wants certain states, and "unchanged" of all others.
func states(t *testing.T, got map[string]setup.Result, want map[string]setup.State) {
	t.Helper()
	for what := range want {
		if _, there := got[what]; !there {
			t.Errorf("nothing is said of %s in %v", what, got)
		}
	}
	for what, result := range got {
		state, named := want[what]
		if !named {
			state = setup.Unchanged
		}
		if result.State != state {
			t.Errorf("%s is %s, want %s", what, result, state)
		}
	}
}

// TestAppRole goes from a Vault with nothing to a login that may do all it must.
func TestAppRole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := options()
	o.Login, o.SecretIDFile = setup.LoginAppRole, filepath.Join(t.TempDir(), "secret-id")
	first := r.mustApply(o)
	states(t, first, map[string]setup.State{
		"store kv/tenants/": setup.Created, "settings of kv/tenants/": setup.Changed, "policy refresher": setup.Created,
		"policy refresher-reader": setup.Created, "policy refresher-onboarding": setup.Created, "policy refresher-recovery": setup.Created,
		"login method auth/approle": setup.Created, "role auth/approle/role/refresher": setup.Created,
		"secret ID in " + o.SecretIDFile: setup.Created, "escrow key": setup.Created,
	})
	info, err := os.Stat(o.SecretIDFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret ID's file: %v, %v, want mode 0600", info, err)
	}
	service := login(t, vault.Settings{Address: r.Address, Mount: store, Auth: vault.Auth{
		Method: vault.MethodAppRole, AppRole: vault.AppRole{RoleID: first["role ID"].Detail, SecretIDFile: o.SecretIDFile},
	}})
	if problems := service.Check(t.Context()); len(problems) > 0 {
		t.Errorf("problems: %+v, want none", problems)
	}
	if lives := time.Until(service.TokenExpiry()); lives > time.Hour || lives < 50*time.Minute {
		t.Errorf("the login lives %s, want the period of an hour", lives)
	}
	if keys, err := service.EscrowKeys(t.Context()); err != nil || len(keys) != 1 || keys["1"].Private != o.EscrowKey.Private {
		t.Errorf("escrow keys = %v, %v, want the one of the plan", keys, err)
	}

	secret, err := os.ReadFile(o.SecretIDFile)
	if err != nil {
		t.Fatal(err)
	}
	again := r.mustApply(o)
	states(t, again, nil)
	if now, err := os.ReadFile(o.SecretIDFile); err != nil || string(now) != string(secret) {
		t.Errorf("the second run made another secret ID (%v)", err)
	}
	for _, results := range []map[string]setup.Result{first, again} {
		for _, result := range results {
			if strings.Contains(fmt.Sprintf("%+v", result), strings.TrimSpace(string(secret))) {
				t.Errorf("%s shows the secret ID", result.What)
			}
		}
	}
}

// What somebody changed meanwhile is put right, and a raised limit stays.
func TestDriftIsRepaired(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	o := options()
	o.Login = setup.LoginAppRole
	r.mustApply(o)
	r.Policy("refresher", `path "*" { capabilities = ["read"] }`)
	r.Delete("sys/policies/acl/refresher-reader")
	r.Write("auth/approle/role/refresher", map[string]any{"token_policies": "default", "token_period": "10m"})
	r.Write(store+"/config", map[string]any{"max_versions": 3})
	results := r.mustApply(o)
	states(t, results, map[string]setup.State{
		"policy refresher": setup.Changed, "policy refresher-reader": setup.Created,
		"role auth/approle/role/refresher": setup.Changed, "settings of kv/tenants/": setup.Changed,
	})
	if got := results["role auth/approle/role/refresher"].String(); got != "changed    role auth/approle/role/refresher: token_period, token_policies" {
		t.Errorf("the line is %q", got)
	}
	r.Write(store+"/config", map[string]any{"max_versions": 50})
	states(t, r.mustApply(o), nil)
}

// A version that Vault deletes by itself is a lost grant, but others may want that.
func TestDeleteVersionAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mustApply(options())
	r.Write(store+"/config", map[string]any{"delete_version_after": "24h"})
	results, err := r.apply(r.admin, options())
	problems, ok := errors.AsType[setup.Problems](err)
	if !ok || len(problems) != 1 || !strings.Contains(err.Error(), "delete_version_after is 24h") {
		t.Errorf("error = %v, want the one problem", err)
	}
	if results["escrow key"].State != setup.Unchanged {
		t.Error("the rest of the plan was not looked at")
	}
	o := options()
	o.ChangeShared = true
	states(t, r.mustApply(o), map[string]setup.State{"settings of kv/tenants/": setup.Changed})
	states(t, r.mustApply(options()), nil)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.MountKV("old", 1)
	r.Write("sys/mounts/crypt", map[string]any{"type": "transit"})
	r.EnableAuth("approle", "jwt")
	for name, test := range map[string]struct {
		change func(*setup.Options)
		says   string
	}{
		"version 1":     {func(o *setup.Options) { o.Settings.Mount = "old" }, "KV store of version 1"},
		"another store": {func(o *setup.Options) { o.Settings.Mount = "crypt" }, "of type transit: set vault.mount"},
		"another login": {func(o *setup.Options) { o.Login = setup.LoginAppRole }, "of type jwt, not approle"},
		"no file for the secret ID": {func(o *setup.Options) {
			o.Login, o.Settings.Auth.AppRole.Mount = setup.LoginAppRole, "roles"
			o.SecretIDFile = filepath.Join("nowhere", "secret-id")
		}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			test.change(&o)
			if _, err := r.apply(r.admin, o); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error = %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*setup.Options){
		"mount":            func(o *setup.Options) { o.Settings.Mount = "a b" },
		"name":             func(o *setup.Options) { o.Name = "Refresher" },
		"login":            func(o *setup.Options) { o.Login = "jwt" },
		"period":           func(o *setup.Options) { o.Period = time.Second },
		"secret ID":        func(o *setup.Options) { o.SecretIDFile = "x" },
		"host":             func(o *setup.Options) { o.Login, o.Kubernetes.Host = setup.LoginKubernetes, "kubernetes" },
		"any namespace":    func(o *setup.Options) { o.Login, o.Kubernetes.Namespaces = setup.LoginKubernetes, []string{"*"} },
		"CA is missing":    func(o *setup.Options) { o.Login, o.Kubernetes.CAFile = setup.LoginKubernetes, "nowhere" },
		"empty token file": func(o *setup.Options) { o.Login, o.Kubernetes.ReviewerTokenFile = setup.LoginKubernetes, os.DevNull },
	} {
		o := options()
		change(&o)
		if _, err := setup.New(o); err == nil {
			t.Errorf("%s: the options passed", name)
		}
	}
}

// The administrator's policy is enough for all of it, and without a rule the
// error names what is missing.
func TestAdministratorsPolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	settings := vault.Settings{Mount: store}
	policies := settings.Policies(credential.ID{})
	at := slices.IndexFunc(policies, func(p vault.Policy) bool { return p.Name == vault.PolicyAdministrator })
	o := options()
	o.Login, o.SecretIDFile = setup.LoginAppRole, filepath.Join(t.TempDir(), "secret-id")
	for _, rule := range policies[at].Rules {
		if strings.Contains(rule.Path, "kubernetes") {
			continue
		}
		lacking := policies[at]
		lacking.Rules = slices.DeleteFunc(slices.Clone(lacking.Rules), func(other vault.Rule) bool { return other.Path == rule.Path })
		err := r.applyWith(lacking, o)
		prefix := strings.TrimSuffix(rule.Path, "*")
		if e, ok := errors.AsType[*vault.Error](err); !ok || e.Status != http.StatusForbidden || !strings.HasPrefix(e.Path+"/", prefix) {
			t.Errorf("without %s: %v, want it to be denied", rule.Path, err)
		}
		r.undo()
	}
	if err := r.applyWith(policies[at], o); err != nil {
		t.Errorf("with all of it: %v", err)
	}
	kubernetes := options()
	kubernetes.Login = setup.LoginKubernetes
	host, ca := cluster(t, "")
	kubernetes.Kubernetes = setup.Kubernetes{Host: host, CAFile: ca, ReviewerTokenFile: file(t, "reviewer", "reviewer")}
	if err := r.applyWith(policies[at], kubernetes); err != nil {
		t.Errorf("kubernetes: %v", err)
	}
}

func (r *rig) applyWith(policy vault.Policy, o setup.Options) error {
	r.t.Helper()
	r.Policy("admin", policy.String())
	_, err := r.apply(open(r.t, r.Server, r.Token(vaulttest.TokenOptions{Policies: []string{"admin"}})), o)
	return err
}

// undo takes away what a plan has made in Vault.
func (r *rig) undo() {
	r.t.Helper()
	r.Delete("sys/mounts/" + store)
	r.Delete("sys/auth/approle")
}

// cluster is a stand-in for a cluster's API that vouches for one service account.
func cluster(t *testing.T, jwt string) (host, caFile string) {
	t.Helper()
	api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer reviewer" {
			t.Errorf("the review is asked for with another token than the reviewer's")
		}
		writeReview(t, w, r, jwt)
	}))
	t.Cleanup(api.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	return api.URL, file(t, "ca.pem", string(ca))
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestKubernetes goes to a login with a service account's token, and leaves alone
// what somebody else's logins need.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	jwt := serviceAccountToken("apps", "refresher")
	host, ca := cluster(t, jwt)
	o := options()
	o.Login, o.Settings.Auth.Kubernetes.Mount = setup.LoginKubernetes, "k8s"
	o.Kubernetes = setup.Kubernetes{Host: host, CAFile: ca, ReviewerTokenFile: file(t, "reviewer", "reviewer\n"), Namespaces: []string{"apps", "tools"}}
	r.mustApply(o)
	states(t, r.mustApply(o), nil)
	settings := vault.Settings{Address: r.Address, Mount: store, Auth: vault.Auth{
		Method: vault.MethodKubernetes, Kubernetes: vault.Kubernetes{Mount: "k8s", Role: "refresher", JWTFile: file(t, "jwt", jwt)},
	}}
	if problems := login(t, settings).Check(t.Context()); len(problems) > 0 {
		t.Errorf("problems: %+v, want none", problems)
	}
	settings.Auth.Kubernetes.JWTFile = file(t, "other", serviceAccountToken("apps", "other"))
	if _, err := vault.Open(context.WithoutCancel(t.Context()), settings, vault.Hooks{}); vault.Reason(err) != "denied" {
		t.Errorf("another service account's login = %v, want it denied", err)
	}

	elsewhere := o
	elsewhere.Kubernetes.Host = "https://elsewhere.example"
	if _, err := r.apply(r.admin, elsewhere); err == nil || !strings.Contains(err.Error(), "it differs in kubernetes_host") {
		t.Errorf("another cluster: %v, want it left alone", err)
	}
	states(t, r.mustApply(o), nil)
	elsewhere.ChangeShared = true
	states(t, r.mustApply(elsewhere), map[string]setup.State{"cluster that auth/k8s trusts": setup.Changed})
}
