package cli

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/redistest"
	"refresher/internal/vaultsim"
)

// storedAt is when the stand-in stored a document, which is another time at each run.
var storedAt = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z \((in \w+|\w+ ago)\), version`)

// rotating is a Vault with a grant in the middle of a rotation.
func rotating(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	fields := checkfront()
	fields["keep"] = "access"
	fields["comment"] = marker + "-in-an-unknown-field"
	w.store("acme/main", fields)
	w.publish("acme/main", credential.Token{
		Provider: "checkfront", Auth: "oauth2", BaseURL: "https://acme.checkfront.com", Status: credential.StatusRetrying,
		Headers: headers(), Query: map[string]credential.Secret{"apikey": marker + "-query"}, AccessToken: marker + "-access", TokenType: "BEARER",
		IssuedAt: testNow.Add(-time.Hour), ExpiresAt: testNow.Add(3 * time.Hour), RenewAt: testNow.Add(time.Minute),
		Generation: 7, Message: "checkfront: timeout",
	})
	grant := credential.Grant{
		State: credential.GrantIntent, RefreshToken: marker + "-refresh", RefreshTokenIssuedAt: testNow.Add(-24 * time.Hour),
		Generation: 7, AccessToken: marker + "-access", Seeds: []string{"a", "b"},
		Intent: &credential.Intent{Attempt: "attempt1", Owner: "owner1", BeganAt: testNow.Add(-time.Minute), Probe: true},
	}
	if _, err := w.client().PutGrant(t.Context(), mustID(t, "acme/main"), grant, 0); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestShow(t *testing.T) {
	t.Parallel()
	w := rotating(t)
	r := w.must(ExitOK, "credentials", "show", "acme/main")
	golden(t, "show", storedAt.ReplaceAllString(r.out, "TIME, version"))
	if r.err != "" {
		t.Error(r.err)
	}
}

func TestShowJSON(t *testing.T) {
	t.Parallel()
	w := rotating(t)
	r := w.must(ExitOK, "credentials", "show", "acme/main", "-o", "json")
	var v view
	if err := json.Unmarshal([]byte(r.out), &v); err != nil {
		t.Fatal(err)
	}
	if v.Status != "retrying" || v.Token.Generation != 7 || v.Grant.State != "intent" || v.Grant.Intent.Owner != "owner1" ||
		v.Fields["client_secret"] != redacted || v.Fields["comment"] != redacted || v.Fields["client_id"] != "consumer" ||
		v.Fields["base_url"] != "https://acme.checkfront.com" || v.Unknown[0] != "comment" || v.Version != 1 {
		t.Errorf("%+v", v)
	}
}

func TestShowWithoutTheGrant(t *testing.T) {
	t.Parallel()
	w := rotating(t)
	w.sim.AddToken(marker+"-person", 0,
		vaultsim.Rule{Path: "secret/data/refresher/credentials/*", Capabilities: []string{"read"}},
		vaultsim.Rule{Path: "secret/data/refresher/tokens/*", Capabilities: []string{"read"}})
	r := w.with("VAULT_TOKEN="+marker+"-person").must(ExitOK, "credentials", "show", "acme/main")
	contains(t, r.out, "grant\n  not shown  Vault denies reading it")

	w.sim.AddToken(marker+"-reader", 0, vaultsim.Rule{Path: "secret/data/refresher/tokens/*", Capabilities: []string{"read"}})
	r = w.with("VAULT_TOKEN="+marker+"-reader").must(ExitFailed, "credentials", "show", "acme/main")
	contains(t, r.err, "acme/main: vault: credential.read", "the token needs read on secret/data/refresher/credentials/*")
}

func TestShowGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", checkfront())
	contains(t, w.must(ExitOK, "credentials", "show", "acme/main").out, "state  none yet")

	dead := credential.Grant{State: credential.GrantDead, RefreshTokenIssuedAt: testNow, Generation: 2}
	if _, err := w.client().PutGrant(t.Context(), mustID(t, "acme/main"), dead, 0); err != nil {
		t.Fatal(err)
	}
	out := w.must(ExitOK, "credentials", "show", "acme/main").out
	contains(t, out, "dead")
	lacks(t, out, "dies")

	w.raw(http.MethodPost, "secret/data/refresher/grants/acme/main", map[string]any{
		"data": map[string]any{"state": marker}, "options": map[string]any{"cas": 1},
	})
	contains(t, w.must(ExitOK, "credentials", "show", "acme/main").out, "not shown", `field "generation"`)
}

// TestShowHidesWhatIsInTheWrongPlace puts secrets where none should be.
func TestShowHidesWhatIsInTheWrongPlace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change map[string]any
		want   []string
	}{
		{"user in a URL", map[string]any{"base_url": "https://user:" + marker + "@acme.checkfront.com"}, []string{"base_url       [redacted]", "problem"}},
		{"query in a URL", map[string]any{"api_url": "https://acme.checkfront.com?key=" + marker}, []string{"api_url        [redacted]"}},
		{"not a URL", map[string]any{"base_url": "https://acme%zz" + marker}, []string{"base_url       [redacted]"}},
		{"wrong field", map[string]any{"keep": marker}, []string{"keep           [redacted]", "must be one of access, grant"}},
		{"paused", map[string]any{"paused": marker}, []string{"paused         [redacted]", `field "paused" must be`}},
		{"number", map[string]any{"client_secret": 5}, []string{"client_secret  [not a string]", "every field must be a string", "misconfigured"}},
		{"object", map[string]any{"client_secret": map[string]any{"a": marker}}, []string{"[not a string]", "holds an object"}},
		{"control characters", map[string]any{"client_id": "con\x1b[31m\nsumer"}, []string{"client_id      [redacted]"}},
		{"name of a field", map[string]any{"odd\x1b[2J": "x"}, []string{`"odd\x1b[2J"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			fields := checkfront()
			maps.Copy(fields, tc.change)
			w.store("acme/main", fields)
			contains(t, w.must(ExitOK, "credentials", "show", "acme/main").out, tc.want...)
			w.must(ExitOK, "credentials", "show", "acme/main", "-o", "json")
			w.must(ExitOK, "credentials", "list")
		})
	}
}

func TestShowUnknownProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fields := kibo()
	fields["provider"], fields["plain"] = "kibbo", marker
	w.store("acme/main", fields)
	out := w.must(ExitOK, "credentials", "show", "acme/main").out
	contains(t, out, "kibbo (not known)", "plain          [redacted]", "known are checkfront")
}

func TestShowOfDeletedAndAbsent(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	contains(t, w.must(ExitOK, "credentials", "show", "acme/going").out, "deleted", "headers")
	contains(t, w.must(ExitOK, "credentials", "show", "acme/gone").out, "removed")
	contains(t, w.must(ExitFailed, "credentials", "show", "acme/atcive").err, "there is no credential acme/atcive below secret/refresher", "→ did you mean acme/active?")
	contains(t, w.must(ExitFailed, "credentials", "show", "amce/active").err, "→ did you mean acme/active?")
	lacks(t, w.must(ExitFailed, "credentials", "show", "zzz/yyyyyy").err, "did you mean")
	contains(t, w.must(ExitOK, "credentials", "show", "acme/static").out, "expires     never")
	contains(t, w.must(ExitOK, "credentials", "show", "acme/broken-token").out, "unreadable", "delete it")
}

func TestShowKnowsTheQueue(t *testing.T) {
	t.Parallel()
	w := rotating(t)
	server := redistest.Start(t)
	index := queue.NewRedis(server.Client(t), "other", 4)
	entry := credential.Entry{ID: mustID(t, "acme/main"), Due: testNow.Add(5 * time.Minute), Memo: credential.Memo{Failures: 2}}
	if _, err := index.Add(t.Context(), entry); err != nil {
		t.Fatal(err)
	}
	w = w.with("REDIS_URL=redis://"+server.Addr, "REFRESHER_REDIS_KEY_PREFIX=other", "REFRESHER_REDIS_SHARDS=4")
	contains(t, w.must(ExitOK, "credentials", "show", "acme/main").out, "queue\n", "2026-01-31T12:05:00Z (in 5m)", "failures since the last success  2")
	contains(t, w.must(ExitOK, "credentials", "show", "acme/main", "-o", "json").out, `"failures": 2`)
}
