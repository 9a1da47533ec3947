package renewal_test

import (
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// realVault is a world whose documents are in a real Vault, below a prefix of its own.
type realVault struct {
	*world
	server *vaulttest.Server
	prefix string
	client *vault.Client
}

// inVault returns such a world. address is how its replicas reach the server.
func inVault(t *testing.T, server *vaulttest.Server, address string, hooks vault.Hooks) *realVault {
	t.Helper()
	prefix := strings.NewReplacer(" ", "-", ",", "").Replace(t.Name())
	client, err := vault.Open(t.Context(), vault.Settings{
		Address: address, Prefix: prefix, Auth: vault.Auth{Token: credential.Secret(server.RootToken)},
	}, hooks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &realVault{world: newWorld(t), server: server, prefix: prefix, client: client}
}

// checkfrontApp stores a Checkfront credential and returns the app behind it.
func (w *realVault) checkfrontApp() providersim.App {
	w.t.Helper()
	app := w.sims.Checkfront.AddApp(providersim.AppSpec{})
	if _, err := w.client.PutCredential(w.t.Context(), acme, map[string]string{
		"provider": "checkfront", "base_url": w.servers.URL("checkfront"),
		"client_id": app.ClientID, "client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
	}, nil); err != nil {
		w.t.Fatal(err)
	}
	return app
}

// engine is an engine on the spool of r that works in the real Vault. answered happens
// whenever a provider's answer arrives.
func (w *realVault) engine(r *replica, answered func()) *renewal.Engine {
	parts := r.Parts
	parts.Credentials, parts.Grants, parts.Tokens = w.client, w.client, w.client
	parts.Provider = onAnswer{parts.Provider, answered}
	return renewal.New(parts, timing(), limits())
}

// stored reads the grant and the published token, and the version of the grant's document.
func (w *realVault) stored() (credential.Grant, credential.Token, int) {
	w.t.Helper()
	grant, version, err := w.client.Grant(w.t.Context(), acme)
	if err != nil {
		w.t.Fatal(err)
	}
	token, _, err := w.client.Token(w.t.Context(), acme)
	if err != nil {
		w.t.Fatal(err)
	}
	return grant, token, version
}
