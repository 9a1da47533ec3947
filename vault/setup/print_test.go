package setup_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

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

// vaultStandIn takes down, as a shell would pass them on, the arguments of each
// vault command and what it reads from standard input.
const vaultStandIn = `#!/bin/sh
input=
case "$*" in *" -") input=$(cat; echo .) ;; esac
{ for word; do printf '%s\0' "$word"; done; printf 'stdin:%s\0\0' "${input%.}"; } >>"$COMMANDS"
`

// TestPrintDoesWhatApplyDoes runs the printed script in a real shell, with a
// stand-in for the vault program, makes API calls of what that was given as the
// program would, and compares the two Vaults.
func TestPrintDoesWhatApplyDoes(t *testing.T) {
	t.Parallel()
	host, ca := cluster(t, serviceAccountToken("apps", "refresher"))
	approle := options()
	approle.Login, approle.SecretIDFile = setup.LoginAppRole, filepath.Join(t.TempDir(), "it's the secret")
	kubernetes := options()
	kubernetes.Login, kubernetes.ChangeShared = setup.LoginKubernetes, true
	kubernetes.Kubernetes = setup.Kubernetes{
		Host: host, CAFile: ca, ReviewerTokenFile: file(t, "reviewer", "reviewer"), ServiceAccounts: []string{"b", "a"}, Namespaces: []string{"apps"},
	}
	for name, o := range map[string]setup.Options{"approle": approle, "kubernetes": kubernetes} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			applied, printed := newRig(t), newRig(t)
			for _, command := range commands(t, o) {
				printed.execute(command)
			}
			if o.SecretIDFile != "" {
				remove(t, o.SecretIDFile)
			}
			applied.mustApply(o)
			for _, path := range []string{
				store + "/config", "sys/policies/acl/refresher", "sys/policies/acl/refresher-reader", "sys/policies/acl/refresher-onboarding",
				"sys/policies/acl/refresher-recovery", "auth/" + name + "/role/refresher",
			} {
				if want, got := applied.state(path), printed.state(path); !reflect.DeepEqual(got, want) {
					t.Errorf("%s after the commands:\n%v\nwant:\n%v", path, got, want)
				}
			}
			// To the plan there is nothing left to do, but for the key that the service makes.
			states(t, printed.mustApply(o), map[string]setup.State{"escrow key": setup.Created})
		})
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

// commands runs a printed plan and returns the words of each vault command, the
// last of which is what it read.
func commands(t *testing.T, o setup.Options) [][]string {
	t.Helper()
	plan, err := setup.New(o)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	if err := plan.Print(&script); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(script.String(), o.EscrowKey.Private.Reveal()) {
		t.Error("the commands show a private key")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "vault"), []byte(vaultStandIn), 0o700); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(dir, "commands")
	shell := exec.CommandContext(t.Context(), "sh")
	shell.Stdin = strings.NewReader(script.String())
	shell.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "COMMANDS=" + log}
	if said, err := shell.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for command := range strings.SplitSeq(strings.TrimSuffix(string(content), "\x00\x00"), "\x00\x00") {
		all = append(all, strings.Split(command, "\x00"))
	}
	return all
}

// execute makes the API call of a command of the vault program's.
func (r *rig) execute(words []string) {
	r.t.Helper()
	input := strings.TrimPrefix(words[len(words)-1], "stdin:")
	flags := map[string]string{}
	var plain []string
	for _, word := range words[:len(words)-1] {
		name, value, _ := strings.Cut(word, "=")
		if strings.HasPrefix(word, "-") && word != "-" {
			flags[name] = value
		} else {
			plain = append(plain, word)
		}
	}
	switch strings.Join(plain[:min(2, len(plain))], " ") {
	case "secrets enable":
		r.Write("sys/mounts/"+flags["-path"], map[string]any{"type": plain[2], "options": map[string]any{"version": flags["-version"]}})
		r.await(flags["-path"] + "/config")
	case "auth enable":
		r.EnableAuth(flags["-path"], plain[2])
	case "policy write":
		r.Policy(plain[2], input)
	default:
		switch plain[0] {
		case "write":
			r.Write(plain[1], pairs(r.t, plain[2:]))
		case "read":
			r.state(plain[1])
		default:
			r.t.Fatalf("the vault program has no command %q", plain)
		}
	}
}

// pairs are the fields of a `vault write`: all are strings, and '@' names a file.
func pairs(t *testing.T, words []string) map[string]any {
	t.Helper()
	fields := map[string]any{}
	for _, word := range words {
		name, value, found := strings.Cut(word, "=")
		if file, ok := strings.CutPrefix(value, "@"); ok {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			value = string(content)
		}
		if !found {
			t.Fatalf("%q is not FIELD=VALUE", word)
		}
		fields[name] = value
	}
	return fields
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

// await waits until a new store answers.
func (r *rig) await(path string) {
	r.t.Helper()
	eventually(r.t, "a store that answers", func() bool {
		_, err := r.admin.ReadPath(r.t.Context(), path)
		return err == nil
	})
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for !condition() {
		select {
		case <-poll.C:
		case <-ctx.Done():
			t.Fatalf("there is no %s", what)
		}
	}
}
