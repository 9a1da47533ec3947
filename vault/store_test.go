package vault_test

import (
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/vault"
)

var acme = credential.ID{Tenant: "acme", Name: "shop"}

// TestStore is one suite for the real Vault and for its stand-in, which it holds
// to answer like Vault.
func TestStore(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) backend{"vault": realBackend, "vaultsim": simBackend} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			// The inner group ends before Vault is sealed.
			t.Run("unsealed", func(t *testing.T) {
				for name, test := range storeTests {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						test(t, b)
					})
				}
			})
			t.Run("sealed", func(t *testing.T) { testSealed(t, b) })
		})
	}
}

var storeTests = map[string]func(*testing.T, backend){
	"credential":                testCredential,
	"credential that is wrong":  testMalformedCredential,
	"credential that is gone":   testCredentialGone,
	"credential check-and-set":  testCredentialCheckAndSet,
	"grant round trips":         testGrantRoundTrips,
	"grant check-and-set":       testGrantCheckAndSet,
	"grant is guarded":          testGrantGuarded,
	"grant deleted":             testGrantDeleted,
	"token round trips":         testTokenRoundTrips,
	"token as others read it":   testTokenDocument,
	"grant as it is stored":     testGrantDocument,
	"documents broken by hand":  testBrokenDocuments,
	"names":                     testNames,
	"nothing to list":           testEmptyLists,
	"escrow keys":               testEscrowKeys,
	"broken escrow key":         testBrokenEscrowKey,
	"settings and capabilities": testSettings,
	"check":                     testCheck,
	"check of a weak login":     testCheckWeakLogin,
	"wrong token":               testWrongToken,
	"wrong mount":               testWrongMount,
	"health":                    testHealth,
}

func testCredential(t *testing.T, b backend) {
	client, _ := b.open(t)
	before := time.Now().Add(-time.Minute)
	version, err := client.PutCredential(t.Context(), acme, map[string]string{
		"provider": "kibo", "auth": "client_credentials", "base_url": "https://t1.kibo.example", "paused": "true", "client_id": "7", "client_secret": "s3cret",
	}, nil)
	if err != nil || version != 1 {
		t.Fatalf("stored as version %d, %v, want 1", version, err)
	}
	got, err := client.Credential(t.Context(), acme)
	if err != nil {
		t.Fatal(err)
	}
	if got.StoredAt.Before(before) || got.StoredAt.After(time.Now().Add(time.Minute)) {
		t.Errorf("stored at %s, want about now", got.StoredAt)
	}
	got.StoredAt = time.Time{}
	want := credential.Credential{
		ID: acme, Provider: "kibo", Auth: "client_credentials", BaseURL: "https://t1.kibo.example", Paused: true, Version: 1,
		Fields: map[string]credential.Secret{"client_id": "7", "client_secret": "s3cret"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read back something else than was stored: %+v, want %+v", got, want)
	}
	data, version, err := client.CredentialData(t.Context(), acme)
	if err != nil || version != 1 || data["client_secret"] != "s3cret" || len(data) != 6 {
		t.Errorf("the data have %d fields of version %d, %v, want 6 of version 1", len(data), version, err)
	}
}

func testMalformedCredential(t *testing.T, b backend) {
	client, settings := b.open(t)
	raw := b.raw(t, settings.Prefix)
	raw.put("credentials/acme/shop", map[string]any{"provider": "kibo"})
	for name, test := range map[string]struct {
		data  map[string]any
		names string
	}{
		"a number":     {map[string]any{"provider": "kibo", "client_id": 4711}, `field "client_id" holds a number`},
		"an object":    {map[string]any{"provider": "kibo", "nested": map[string]any{"a": "s3cret"}}, `field "nested" holds an object`},
		"no provider":  {map[string]any{"client_id": "s3cret"}, `field "provider" is missing`},
		"nothing":      {map[string]any{}, `field "provider" is missing`},
		"null instead": {map[string]any{"provider": nil}, `field "provider" holds null`},
	} {
		raw.put("credentials/acme/shop", test.data)
		got, err := client.Credential(t.Context(), acme)
		if credential.KindOf(err) != credential.KindMisconfigured || !strings.Contains(err.Error(), test.names) {
			t.Errorf("%s: error = %v, want one that a person must correct, with %s", name, err, test.names)
		}
		if got.ID != acme || got.Version < 2 || got.StoredAt.IsZero() {
			t.Errorf("%s: ID %s, version %d, stored at %s: want them in spite of the error", name, got.ID, got.Version, got.StoredAt)
		}
	}
}

func testCredentialGone(t *testing.T, b backend) {
	client, settings := b.open(t)
	raw := b.raw(t, settings.Prefix)
	expectNoCredential(t, client, "before it was stored", 0)
	put := func() int {
		t.Helper()
		version, err := client.PutCredential(t.Context(), acme, map[string]string{"provider": "kibo"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return version
	}
	remove := func(what string) {
		t.Helper()
		if err := client.DeleteCredential(t.Context(), acme); err != nil {
			t.Errorf("deleting %s: %v", what, err)
		}
	}
	remove("what is not there")
	put()
	remove("a credential")
	remove("it again")
	expectNoCredential(t, client, "after it was deleted", 1)
	if names, err := client.Names(t.Context(), "acme"); err != nil || !slices.Equal(names, []string{"shop"}) {
		t.Errorf("names = %v, %v: a deleted credential is still listed", names, err)
	}
	if version := put(); version != 2 {
		t.Errorf("stored again as version %d, want 2: versions must not start anew", version)
	}
	raw.delete("metadata", "credentials/acme/shop")
	expectNoCredential(t, client, "after its metadata was deleted", 0)
	put()
	raw.destroy("credentials/acme/shop")
	expectNoCredential(t, client, "after its version was destroyed", 1)
}

func expectNoCredential(t *testing.T, client *vault.Client, when string, version int) {
	t.Helper()
	_, err := client.Credential(t.Context(), acme)
	if !errors.Is(err, credential.ErrNotFound) || vault.Reason(err) != "not_found" {
		t.Errorf("%s: error = %v, want ErrNotFound", when, err)
	}
	_, got, err := client.CredentialData(t.Context(), acme)
	if !errors.Is(err, credential.ErrNotFound) || got != version {
		t.Errorf("%s: version %d, %v, want %d and ErrNotFound", when, got, err, version)
	}
}

func testCredentialCheckAndSet(t *testing.T, b backend) {
	client, _ := b.open(t)
	data := map[string]string{"provider": "kibo"}
	zero, one := 0, 1
	if _, err := client.PutCredential(t.Context(), acme, data, &zero); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutCredential(t.Context(), acme, data, &zero); !errors.Is(err, credential.ErrConflict) {
		t.Errorf("storing over a credential with check-and-set 0: %v, want ErrConflict", err)
	}
	if version, err := client.PutCredential(t.Context(), acme, data, &one); err != nil || version != 2 {
		t.Errorf("storing with the right version: %d, %v, want 2", version, err)
	}
}

func testNames(t *testing.T, b backend) {
	client, settings := b.open(t)
	raw := b.raw(t, settings.Prefix)
	for _, path := range []string{
		"acme/shop", "acme/Other Shop", "acme/ünïcode", "acme/.hidden", "acme/deep/er", "acme/deep", "acme/100%", "acme/a?b",
		"UPPER/shop", "plain", "acme", "with space/x",
	} {
		raw.put("credentials/"+path, map[string]any{"provider": "kibo"})
	}
	tenants, err := client.Tenants(t.Context())
	slices.Sort(tenants)
	if want := []string{"UPPER", "acme", "acme (not a folder)", "plain (not a folder)", "with space"}; err != nil || !slices.Equal(tenants, want) {
		t.Errorf("tenants = %q, %v, want %q", tenants, err, want)
	}
	names, err := client.Names(t.Context(), "acme")
	slices.Sort(names)
	if want := []string{".hidden", "100%", "Other Shop", "a?b", "deep", "deep/", "shop", "ünïcode"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("names = %q, %v, want %q", names, err, want)
	}
	valid := slices.DeleteFunc(slices.Concat(tenants, names), func(n string) bool { return credential.CheckName("name", n) != nil })
	if want := []string{"acme", "deep", "shop"}; !slices.Equal(valid, want) {
		t.Errorf("valid among them are %q, want %q", valid, want)
	}
}

func testEmptyLists(t *testing.T, b backend) {
	client, _ := b.open(t)
	if got, err := client.Tenants(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("tenants = %v, %v, want none and no error", got, err)
	}
	if got, err := client.Names(t.Context(), "acme"); err != nil || len(got) != 0 {
		t.Errorf("names = %v, %v, want none and no error", got, err)
	}
	if got, err := client.EscrowKeys(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("escrow keys = %v, %v, want none and no error", got, err)
	}
}

func testEscrowKeys(t *testing.T, b backend) {
	client, settings := b.open(t)
	created := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	keys := map[string]vault.EscrowKey{
		"k1": {ID: "k1", Private: "cHJpdmF0ZTE=", Public: "cHVibGljMQ==", CreatedAt: created},
		"k2": {ID: "k2", Private: "cHJpdmF0ZTI=", Public: "cHVibGljMg==", CreatedAt: created.Add(time.Hour)},
	}
	for id, key := range keys {
		if err := client.CreateEscrowKey(t.Context(), id, key); err != nil {
			t.Fatal(err)
		}
		if err := client.CreateEscrowKey(t.Context(), id, key); !errors.Is(err, credential.ErrConflict) {
			t.Errorf("creating %s again: %v, want ErrConflict", id, err)
		}
	}
	b.raw(t, settings.Prefix).put("escrow-keys/k3", map[string]any{"private_key": "x", "public_key": "y"})
	b.raw(t, settings.Prefix).delete("data", "escrow-keys/k3")
	got, err := client.EscrowKeys(t.Context())
	if err != nil || !reflect.DeepEqual(got, keys) {
		t.Errorf("escrow keys = %v, %v, want %v", got, err, keys)
	}
}

func testBrokenEscrowKey(t *testing.T, b backend) {
	client, settings := b.open(t)
	if err := client.CreateEscrowKey(t.Context(), "k1", vault.EscrowKey{Private: "cHJpdmF0ZTE=", Public: "cHVibGljMQ=="}); err != nil {
		t.Fatal(err)
	}
	raw := b.raw(t, settings.Prefix)
	raw.put("escrow-keys/k2", map[string]any{"private_key": 4711})
	raw.put("escrow-keys/K3", map[string]any{"private_key": "s3cret"})
	got, err := client.EscrowKeys(t.Context())
	if len(got) != 1 || got["k1"].Private != "cHJpdmF0ZTE=" {
		t.Errorf("escrow keys = %v, want k1 in spite of the others", got)
	}
	if err == nil || !strings.Contains(err.Error(), `escrow-keys/k2: field "private_key"`) || !strings.Contains(err.Error(), `"K3"`) ||
		strings.Contains(err.Error(), "4711") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v, want it to name both keys and no content", err)
	}
	for _, id := range []string{"../k", "", "a/b", "K1"} {
		if err := client.CreateEscrowKey(t.Context(), id, vault.EscrowKey{}); err == nil {
			t.Errorf("a key with the ID %q was created", id)
		}
	}
}

func testWrongToken(t *testing.T, b backend) {
	_, settings := b.open(t)
	settings.Auth.Token = "s3cret-wrong"
	_, err := vault.Open(t.Context(), settings, vault.Hooks{})
	if vault.Reason(err) != "denied" || !strings.Contains(err.Error(), "403") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error = %v (%s), want 403, denied, without the token", err, vault.Reason(err))
	}
}

// A mount that is not there must not look like one without documents.
func testWrongMount(t *testing.T, b backend) {
	_, settings := b.open(t)
	settings.Mount = "elsewhere"
	client := mustOpen(t, settings)
	_, _, grantErr := client.Grant(t.Context(), acme)
	_, credentialErr := client.Credential(t.Context(), acme)
	_, tenantsErr := client.Tenants(t.Context())
	_, putErr := client.PutToken(t.Context(), acme, credential.Token{Status: credential.StatusActive}, 0)
	for what, err := range map[string]error{"grant": grantErr, "credential": credentialErr, "tenants": tenantsErr, "put": putErr} {
		var answer *vault.Error
		if !errors.As(err, &answer) || answer.Status != http.StatusNotFound || errors.Is(err, credential.ErrNotFound) {
			t.Errorf("%s: error = %v, want a 404 that is not ErrNotFound", what, err)
		}
	}
}

func testSealed(t *testing.T, b backend) {
	client, settings := b.open(t)
	b.seal(t, true)
	_, _, readErr := client.Grant(t.Context(), acme)
	_, listErr := client.Tenants(t.Context())
	_, writeErr := client.PutToken(t.Context(), acme, credential.Token{Status: credential.StatusActive}, 0)
	_, openErr := vault.Open(t.Context(), settings, vault.Hooks{})
	for what, err := range map[string]error{"read": readErr, "list": listErr, "write": writeErr, "open": openErr} {
		var answer *vault.Error
		if !errors.As(err, &answer) || answer.Status != http.StatusServiceUnavailable || vault.Reason(err) != "sealed" {
			t.Errorf("%s: error = %v (%s), want 503, sealed", what, err, vault.Reason(err))
		}
	}
	if health, err := client.Health(t.Context()); err != nil || !health.Sealed || !health.Initialized {
		t.Errorf("health = %+v, %v, want sealed", health, err)
	}
	if err := vault.CheckError(client.Check(t.Context())); err == nil || !strings.Contains(err.Error(), "unseal") {
		t.Errorf("check = %v, want it to say that Vault must be unsealed", err)
	}
	b.seal(t, false)
	if _, err := client.Tenants(t.Context()); err != nil {
		t.Errorf("after unsealing: %v", err)
	}
}
