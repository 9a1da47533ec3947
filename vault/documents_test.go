package vault_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/vault"
)

var (
	noon     = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	fraction = noon.Add(123456789 * time.Nanosecond)
)

func fullGrant() credential.Grant {
	return credential.Grant{
		State: credential.GrantIntent, RefreshToken: "rt-1", RefreshTokenIssuedAt: fraction, Generation: 12, Rotation: 7,
		AccessToken: "at-1", TokenType: "Bearer", IssuedAt: noon, ExpiresAt: noon.Add(time.Hour),
		Intent: &credential.Intent{
			Attempt: "a1", Owner: "o1", BeganAt: fraction, NotBefore: fraction, Probe: true, Claim: true, Foreign: true, Earlier: []string{"a0", "a00"},
		},
		Seeds: []string{"h1", "h2"}, Former: []string{"f1"},
	}
}

func fullToken() credential.Token {
	return credential.Token{
		Provider: "checkfront", Auth: "oauth2", BaseURL: "https://acme.checkfront.example", Status: credential.StatusRetrying,
		Headers: map[string]credential.Secret{"Authorization": "BEARER at-1"}, Query: map[string]credential.Secret{"apikey": "k"},
		AccessToken: "at-1", TokenType: "Bearer", IssuedAt: noon, ExpiresAt: noon.Add(time.Hour), RenewAt: fraction,
		Generation: 12, Message: "the provider is down",
	}
}

func testGrantRoundTrips(t *testing.T, b backend) {
	client, _ := b.open(t)
	probe := fullGrant()
	probe.Intent.Claim, probe.Intent.Earlier = false, nil
	elsewhere := credential.Grant{State: credential.GrantIdle, RefreshToken: "rt", IssuedAt: noon.In(time.FixedZone("x", 7200))}
	version := 0
	for name, want := range map[string]credential.Grant{
		"smallest":       {State: credential.GrantIdle, RefreshToken: "rt"},
		"full":           fullGrant(),
		"probe":          probe,
		"dead":           {State: credential.GrantDead, Generation: 3, Seeds: []string{"h"}},
		"odd characters": {State: credential.GrantIdle, RefreshToken: "\"<&>\\\u2028é\x01", TokenType: " "},
		"another zone":   elsewhere,
	} {
		next, err := client.PutGrant(t.Context(), acme, want, version)
		if err != nil || next != version+1 {
			t.Fatalf("%s: written as version %d, %v, want %d", name, next, err, version+1)
		}
		version = next
		want.IssuedAt = want.IssuedAt.UTC()
		expectGrant(t, client, name, want, version)
	}
}

// expectGrant reads a grant, which must be this one, of this version.
func expectGrant(t *testing.T, client *vault.Client, when string, want credential.Grant, version int) {
	t.Helper()
	got, read, err := client.Grant(t.Context(), acme)
	if err != nil || read != version || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: read %#v of version %d, %v, want %#v of version %d", when, got, read, err, want, version)
	}
}

// expectToken reads a token, which must be this one, of this version.
func expectToken(t *testing.T, client *vault.Client, when string, want credential.Token, version int) {
	t.Helper()
	got, read, err := client.Token(t.Context(), acme)
	if err != nil || read != version || !reflect.DeepEqual(got, want) {
		t.Errorf("%s: read %#v of version %d, %v, want %#v of version %d", when, got, read, err, want, version)
	}
}

func testGrantCheckAndSet(t *testing.T, b backend) {
	client, _ := b.open(t)
	grant := credential.Grant{State: credential.GrantIdle, RefreshToken: "rt-0"}
	expectGrant(t, client, "before the first write", credential.Grant{}, 0)
	if _, err := client.PutGrant(t.Context(), acme, grant, 1); !errors.Is(err, credential.ErrConflict) {
		t.Errorf("writing version 2 before there is one: %v, want ErrConflict", err)
	}
	for cas := range 2 {
		if version, err := client.PutGrant(t.Context(), acme, grant, cas); err != nil || version != cas+1 {
			t.Fatalf("writing over version %d: %d, %v", cas, version, err)
		}
	}
	stale := grant
	stale.RefreshToken = "rt-stale"
	for _, cas := range []int{0, 1, 3, -1, -2} {
		version, err := client.PutGrant(t.Context(), acme, stale, cas)
		if !errors.Is(err, credential.ErrConflict) || version != 0 {
			t.Errorf("writing over version %d of 2: %d, %v, want ErrConflict", cas, version, err)
		}
	}
	expectGrant(t, client, "after the conflicts", grant, 2)
}

// From its first write on, nobody writes a grant without check-and-set, not even root.
func testGrantGuarded(t *testing.T, b backend) {
	client, settings := b.open(t)
	root := b.raw(t, settings.Prefix)
	path := "secret/data/" + settings.Prefix + "/grants/" + acme.String()
	for version := range 2 {
		if written, err := client.PutGrant(t.Context(), acme, fullGrant(), version); err != nil || written != version+1 {
			t.Fatalf("written as version %d, %v, want %d", written, err, version+1)
		}
		_, err := root.client.Logical().WriteWithContext(t.Context(), path, map[string]any{"data": map[string]any{"state": "idle"}})
		if err == nil || !strings.Contains(err.Error(), "check-and-set parameter required") {
			t.Errorf("a write without check-and-set after version %d: %v, want it refused", version+1, err)
		}
	}
}

func testGrantDeleted(t *testing.T, b backend) {
	client, settings := b.open(t)
	raw := b.raw(t, settings.Prefix)
	grant := credential.Grant{State: credential.GrantIdle, RefreshToken: "rt-0"}
	put := func(cas int) {
		t.Helper()
		if version, err := client.PutGrant(t.Context(), acme, grant, cas); err != nil || version != cas+1 {
			t.Fatalf("writing over version %d: %d, %v", cas, version, err)
		}
	}
	absent := func(when string, version int) {
		t.Helper()
		expectGrant(t, client, when, credential.Grant{}, version)
	}
	put(0)
	raw.destroy("grants/acme/shop")
	absent("destroyed", 1)
	put(1)
	raw.delete("data", "grants/acme/shop")
	absent("deleted", 2)
	if _, err := client.PutGrant(t.Context(), acme, grant, 0); !errors.Is(err, credential.ErrConflict) {
		t.Errorf("writing over a deleted version as if there were none: %v, want ErrConflict", err)
	}
	put(2)
	raw.delete("metadata", "grants/acme/shop")
	absent("with its metadata deleted", 0)
	put(0)
}

func testTokenRoundTrips(t *testing.T, b backend) {
	client, settings := b.open(t)
	expectToken(t, client, "before the first write", credential.Token{}, 0)
	version := 0
	for _, status := range credential.Statuses() {
		for _, want := range []credential.Token{{Status: status}, fullToken()} {
			want.Status = status
			next, err := client.PutToken(t.Context(), acme, want, version)
			if err != nil || next != version+1 {
				t.Fatalf("%s: written as version %d, %v, want %d", status, next, err, version+1)
			}
			version = next
			expectToken(t, client, string(status), want, version)
		}
	}
	if _, err := client.PutToken(t.Context(), acme, fullToken(), 0); !errors.Is(err, credential.ErrConflict) {
		t.Errorf("writing over a token with check-and-set 0: %v, want ErrConflict", err)
	}
	b.raw(t, settings.Prefix).delete("data", "tokens/acme/shop")
	expectToken(t, client, "deleted", credential.Token{}, version)
}

// The documents' form is a promise to those who read them.
func testTokenDocument(t *testing.T, b backend) {
	client, settings := b.open(t)
	for i, test := range []struct {
		token credential.Token
		want  string
	}{
		{fullToken(), `{"access_token":"at-1","auth":"oauth2","base_url":"https://acme.checkfront.example","expires_at":"2026-07-01T13:00:00Z",` +
			`"generation":12,"headers":{"Authorization":"BEARER at-1"},"issued_at":"2026-07-01T12:00:00Z","message":"the provider is down",` +
			`"provider":"checkfront","query":{"apikey":"k"},"renew_at":"2026-07-01T12:00:00.123456789Z","status":"retrying","token_type":"Bearer"}`},
		{credential.Token{Provider: "bookeo", Status: credential.StatusPending}, `{"generation":0,"headers":{},"provider":"bookeo","query":{},"status":"pending"}`},
	} {
		if _, err := client.PutToken(t.Context(), acme, test.token, i); err != nil {
			t.Fatal(err)
		}
		expectDocument(t, b.raw(t, settings.Prefix).get("tokens/acme/shop"), test.want)
	}
}

func testGrantDocument(t *testing.T, b backend) {
	client, settings := b.open(t)
	for i, test := range []struct {
		grant credential.Grant
		want  string
	}{
		{fullGrant(), `{"access_token":"at-1","expires_at":"2026-07-01T13:00:00Z","former":["f1"],"generation":12,` +
			`"intent":{"attempt":"a1","began_at":"2026-07-01T12:00:00.123456789Z","claim":true,"earlier":["a0","a00"],"foreign":true,"not_before":"2026-07-01T12:00:00.123456789Z","owner":"o1","probe":true},` +
			`"issued_at":"2026-07-01T12:00:00Z","refresh_token":"rt-1","refresh_token_issued_at":"2026-07-01T12:00:00.123456789Z",` +
			`"rotation":7,"seeds":["h1","h2"],"state":"intent","token_type":"Bearer"}`},
		{credential.Grant{State: credential.GrantIdle, RefreshToken: "rt"}, `{"generation":0,"refresh_token":"rt","state":"idle"}`},
	} {
		if _, err := client.PutGrant(t.Context(), acme, test.grant, i); err != nil {
			t.Fatal(err)
		}
		expectDocument(t, b.raw(t, settings.Prefix).get("grants/acme/shop"), test.want)
	}
}

func expectDocument(t *testing.T, got map[string]any, want string) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil || string(text) != want {
		t.Errorf("stored as\n%s\nwant\n%s", text, want)
	}
}

func testBrokenDocuments(t *testing.T, b backend) {
	client, settings := b.open(t)
	raw := b.raw(t, settings.Prefix)
	grant := func(change string, value any) map[string]any {
		data := map[string]any{"state": "idle", "generation": 1, "refresh_token": "s3cret"}
		data[change] = value
		return data
	}
	intent := map[string]any{"attempt": "a", "owner": "o", "began_at": "2026-07-01T12:00:00Z"}
	bad := func(change string, value any) map[string]any {
		inner := maps.Clone(intent)
		inner[change] = value
		return map[string]any{"state": "intent", "generation": 1, "refresh_token": "s3cret", "intent": inner}
	}
	for field, data := range map[string]map[string]any{
		"state": grant("state", "s3cret"), "generation": grant("generation", "4711"), "refresh_token": grant("refresh_token", 4711),
		"refresh_token_issued_at": grant("refresh_token_issued_at", "s3cret"), "expires_at": grant("expires_at", 4711), "rotation": grant("rotation", "s3cret"), "access_token": grant("access_token", []any{"s3cret"}),
		"seeds": grant("seeds", "s3cret"), "intent": {"state": "intent", "generation": 1, "refresh_token": "s3cret", "intent": "s3cret"},
		"intent.attempt": bad("attempt", ""), "intent.began_at": bad("began_at", "s3cret"), "intent.probe": bad("probe", "s3cret"), "intent.earlier": bad("earlier", []any{4711}),
	} {
		raw.put("grants/acme/shop", data)
		_, version, err := client.Grant(t.Context(), acme)
		expectMalformed(t, err, "grants/acme/shop", field)
		if version == 0 {
			t.Errorf("a broken grant's version was not returned")
		}
	}
	for field, data := range map[string]map[string]any{
		"status": {"status": "s3cret", "generation": 1}, "generation": {"status": "active"}, "headers": {"status": "active", "generation": 1, "headers": "s3cret"},
		"query.a": {"status": "active", "generation": 1, "query": map[string]any{"a": 4711}}, "renew_at": {"status": "active", "generation": 1, "renew_at": "s3cret"},
	} {
		raw.put("tokens/acme/shop", data)
		_, version, err := client.Token(t.Context(), acme)
		expectMalformed(t, err, "tokens/acme/shop", field)
		if version == 0 {
			t.Errorf("a broken token's version was not returned")
		}
	}
}

func expectMalformed(t *testing.T, err error, path, field string) {
	t.Helper()
	if credential.KindOf(err) != credential.KindMisconfigured {
		t.Errorf("%s, field %s: error = %v, want one that a person must correct", path, field, err)
		return
	}
	text := err.Error()
	if !strings.Contains(text, path) || !strings.Contains(text, `"`+field+`"`) || strings.Contains(text, "s3cret") || strings.Contains(text, "4711") {
		t.Errorf("error = %q, want it to name %s and field %q and no content", text, path, field)
	}
}
