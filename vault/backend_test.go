package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/vaultsim"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backend is a Vault to test against: the real one, or its stand-in.
type backend struct {
	address string
	root    string
	// token makes a token with rules: capabilities by path.
	token func(t *testing.T, rules map[string][]string) string
	seal  func(t *testing.T, sealed bool)
}

func realBackend(t *testing.T) backend {
	t.Helper()
	server := vaulttest.Start(t)
	return backend{
		address: server.Address,
		root:    server.RootToken,
		token: func(t *testing.T, rules map[string][]string) string {
			t.Helper()
			var policy strings.Builder
			for path, capabilities := range rules {
				fmt.Fprintf(&policy, "path %q { capabilities = [\"%s\"] }\n", path, strings.Join(capabilities, `", "`))
			}
			name := strings.ToLower(strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()))
			server.Policy(name, policy.String())
			return server.Token(vaulttest.TokenOptions{Policies: []string{name}})
		},
		seal: func(t *testing.T, sealed bool) {
			t.Helper()
			if sealed {
				server.Seal()
			} else {
				server.Unseal()
			}
		},
	}
}

func simBackend(t *testing.T) backend {
	t.Helper()
	sim, address := startSim(t)
	return backend{
		address: address,
		root:    "root",
		token: func(t *testing.T, rules map[string][]string) string {
			t.Helper()
			var all []vaultsim.Rule
			for path, capabilities := range rules {
				all = append(all, vaultsim.Rule{Path: path, Capabilities: capabilities})
			}
			id := "token-of-" + t.Name()
			sim.AddToken(id, 0, all...)
			return id
		},
		seal: func(_ *testing.T, sealed bool) { sim.Seal(sealed) },
	}
}

// startSim serves a stand-in until the test ends.
func startSim(t *testing.T) (*vaultsim.Server, string) {
	t.Helper()
	sim := vaultsim.New("root")
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return sim, server.URL
}

// open opens a client with the root token at a prefix of the test's own.
func (b backend) open(t *testing.T) (*vault.Client, vault.Settings) {
	t.Helper()
	settings := vault.Settings{
		Address: b.address,
		Prefix:  "p/" + strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()),
		Timeout: 30 * time.Second,
		Auth:    vault.Auth{Token: credential.Secret(b.root)},
	}
	return mustOpen(t, settings), settings
}

func mustOpen(t *testing.T, settings vault.Settings) *vault.Client {
	t.Helper()
	client, err := vault.Open(t.Context(), settings, vault.Hooks{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// raw writes and deletes past the client, as a person with the vault command does.
type raw struct {
	t      *testing.T
	client *api.Client
	prefix string
}

func (b backend) raw(t *testing.T, prefix string) raw {
	t.Helper()
	config := api.DefaultConfig()
	config.Address, config.MaxRetries = b.address, 0
	client, err := api.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	client.SetToken(b.root)
	t.Cleanup(config.HttpClient.CloseIdleConnections)
	return raw{t: t, client: client, prefix: prefix}
}

// put stores a document at a path below the prefix.
func (r raw) put(path string, data map[string]any) {
	r.t.Helper()
	_, err := r.client.Logical().WriteWithContext(r.t.Context(), "secret/data/"+r.prefix+"/"+path, map[string]any{"data": data})
	if err != nil {
		r.t.Fatal(err)
	}
}

// get returns a document below the prefix.
func (r raw) get(path string) map[string]any {
	r.t.Helper()
	secret, err := r.client.Logical().ReadWithContext(r.t.Context(), "secret/data/"+r.prefix+"/"+path)
	if err != nil || secret == nil {
		r.t.Fatalf("read %s: %v, %v", path, secret, err)
	}
	data, _ := secret.Data["data"].(map[string]any)
	return data
}

// delete deletes a document below the prefix: its last version if area is
// "data", all of it if it is "metadata".
func (r raw) delete(area, path string) {
	r.t.Helper()
	if _, err := r.client.Logical().DeleteWithContext(r.t.Context(), "secret/"+area+"/"+r.prefix+"/"+path); err != nil {
		r.t.Fatal(err)
	}
}

// destroy destroys version 1 of a document below the prefix.
func (r raw) destroy(path string) {
	r.t.Helper()
	_, err := r.client.Logical().WriteWithContext(r.t.Context(), "secret/destroy/"+r.prefix+"/"+path, map[string]any{"versions": []int{1}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// handle serves one function until the test ends and returns its address.
func handle(t *testing.T, f http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return server.URL
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
			t.Fatalf("%s did not happen", what)
		}
	}
}
