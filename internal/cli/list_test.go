package cli

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/redistest"
	"refresher/internal/vaultsim"
)

// headers are what a token that serves has.
func headers() map[string]credential.Secret {
	return map[string]credential.Secret{"Authorization": "Bearer " + marker + "-token", "API-Key": marker + "-key"}
}

// fleet fills a Vault with a credential in every condition.
func fleet(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	token := func(status credential.Status, expires time.Duration, message string) credential.Token {
		return credential.Token{
			Provider: "kibo", Auth: "client_credentials", Status: status, Headers: headers(), Generation: 4,
			ExpiresAt: testNow.Add(expires), RenewAt: testNow.Add(expires / 2), Message: message,
		}
	}
	for _, name := range []string{"active", "late", "retry", "gone", "going", "new", "broken-token"} {
		w.store("acme/"+name, kibo())
	}
	w.publish("acme/active", token(credential.StatusActive, 3*time.Hour, ""))
	w.publish("acme/late", token(credential.StatusActive, -5*time.Minute, ""))
	w.publish("acme/retry", token(credential.StatusRetrying, time.Hour, "kibo: http_503: the provider answered 503"))

	w.store("acme/static", bookeo())
	static := token(credential.StatusActive, 0, "")
	static.Provider, static.Auth, static.ExpiresAt, static.RenewAt = "bookeo", "api_key", time.Time{}, testNow.Add(5*time.Hour)
	w.publish("acme/static", static)

	w.store("acme/auth", checkfront())
	dead := token(credential.StatusNeedsAuthorization, -time.Hour, "authorize again")
	dead.Provider, dead.Auth = "checkfront", "oauth2"
	w.publish("acme/auth", dead)

	paused := kibo()
	paused["paused"] = "true"
	w.store("acme/paused", paused)
	w.publish("acme/paused", token(credential.StatusActive, time.Hour, ""))

	for name, status := range map[string]credential.Status{"gone": credential.StatusRemoved, "going": credential.StatusActive} {
		w.publish("acme/"+name, token(status, time.Hour, ""))
		w.raw(http.MethodDelete, "secret/data/refresher/credentials/acme/"+name, nil)
	}
	w.raw(http.MethodPost, "secret/data/refresher/tokens/acme/broken-token", map[string]any{"data": map[string]any{"status": marker}})

	wrong := kibo()
	wrong["provider"] = "kibbo"
	w.store("beta/typo", wrong)
	w.store("beta/object", map[string]any{"provider": "kibo", "client_id": map[string]any{"value": marker}})
	w.store("beta/unfinished", map[string]any{"provider": "kibo", "client_id": marker})
	w.store("beta/escape", kibo())
	w.publish("beta/escape", token(credential.StatusMisconfigured, time.Hour, "line\nbreak \x1b[31m"))
	w.store("Bad Tenant/main", kibo())
	w.store("beta/Bad%Name", kibo())
	w.store("beta/folder/inner", kibo())
	w.store("stray", kibo())
	w.store("evil\x1b[2J/main", kibo())
	return w
}

func TestListTable(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	r := w.must(ExitOK, "credentials", "list")
	golden(t, "list", r.out)
	if r.err != "" {
		t.Errorf("%q", r.err)
	}
	contains(t, w.must(ExitOK, "creds", "ls", "--all").out, "gone ")
}

func TestListJSON(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	r := w.must(ExitOK, "credentials", "list", "-o", "json")
	golden(t, "list-json", r.out)
	var rows []row
	if err := json.Unmarshal([]byte(r.out), &rows); err != nil || len(rows) < 10 {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"status", []string{"--status", "expired"}, "acme/late"},
		{"statuses", []string{"--status", "expired,retrying"}, "acme/late acme/retry"},
		{"repeated", []string{"--status", "expired", "--status", "retrying"}, "acme/late acme/retry"},
		{"provider", []string{"--provider", "bookeo"}, "acme/static"},
		{"tenant", []string{"--tenant", "beta", "--status", "misconfigured"}, "beta/escape beta/object beta/typo beta/unfinished"},
		{"of another tenant", []string{"--tenant", "gamma"}, ""},
		{"removed by its name", []string{"--status", "removed"}, "acme/gone"},
		{"deleted", []string{"--status", "deleted"}, "acme/going"},
		{"names", []string{"--status", "invalid_name"}, "Bad Tenant/ beta/Bad%Name beta/folder/ evil\x1b[2J/ stray/"},
		{"both", []string{"--status", "active", "--provider", "kibo"}, "acme/active"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := w.must(ExitOK, append([]string{"credentials", "list", "-o", "json"}, tc.args...)...)
			var rows []row
			if err := json.Unmarshal([]byte(r.out), &rows); err != nil || rows == nil {
				t.Fatalf("%v: %s", err, r.out)
			}
			var names []string
			for _, r := range rows {
				names = append(names, r.Tenant+"/"+r.Name)
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("%q, not %q", got, tc.want)
			}
		})
	}
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.must(ExitOK, "credentials", "list")
	contains(t, r.err, "There are no credentials below secret/refresher/credentials/.", "refresher credentials put", "REFRESHER_VAULT_PREFIX")
	if r.out != "" {
		t.Errorf("%q", r.out)
	}
	if r := w.must(ExitOK, "credentials", "list", "-o", "json"); r.out != "[]\n" || r.err != "" {
		t.Errorf("%+v", r)
	}
	contains(t, w.must(ExitOK, "credentials", "list", "--provider", "kibo").err, "No credential matches.")
}

// TestListOfWhatCanBeRead gives a token the right to one tenant's documents alone.
func TestListOfWhatCanBeRead(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	const base = "secret/data/refresher/"
	w.sim.AddToken(marker+"-some", 0,
		vaultsim.Rule{Path: "secret/metadata/refresher/credentials/*", Capabilities: []string{"list"}},
		vaultsim.Rule{Path: base + "credentials/acme/*", Capabilities: []string{"read"}},
		vaultsim.Rule{Path: base + "tokens/*", Capabilities: []string{"read"}},
	)
	w = w.with("VAULT_TOKEN=" + marker + "-some")
	r := w.must(ExitFailed, "credentials", "list")
	contains(t, r.out, "active", "unreadable", "Vault denies reading it", "invalid_name")
	contains(t, r.err, "refresher: beta/escape: vault: credential.read", "403", "the token needs read on "+base+"credentials/*")

	w.sim.AddToken(marker+"-no-names", 0,
		vaultsim.Rule{Path: "secret/metadata/refresher/credentials/", Capabilities: []string{"list"}},
		vaultsim.Rule{Path: "secret/metadata/refresher/credentials/acme/", Capabilities: []string{"list"}},
		vaultsim.Rule{Path: "secret/data/*", Capabilities: []string{"read"}},
	)
	r = w.with("VAULT_TOKEN="+marker+"-no-names").must(ExitFailed, "credentials", "list")
	contains(t, r.out, "acme", "active")
	contains(t, r.err, "refresher: tenant beta: vault: names.list")

	w.sim.AddToken(marker+"-tokens", 0,
		vaultsim.Rule{Path: "secret/metadata/refresher/credentials/*", Capabilities: []string{"list"}},
		vaultsim.Rule{Path: base + "tokens/*", Capabilities: []string{"read"}},
	)
	r = w.with("VAULT_TOKEN="+marker+"-tokens").must(ExitFailed, "credentials", "list", "--status", "retrying")
	contains(t, r.out, "kibo: http_503: the provider answered 503")

	w.sim.AddToken(marker+"-none", 0)
	r = w.with("VAULT_TOKEN="+marker+"-none").must(ExitFailed, "credentials", "list")
	contains(t, r.err, "tenants.list", "the token needs list on secret/metadata/refresher/credentials/*")
}

func TestListSummarizesErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		w.store("acme/"+name, kibo())
	}
	w.sim.Intercept(func(r *http.Request) vaultsim.Fault {
		if strings.Contains(r.URL.Path, "/data/refresher/credentials/") {
			return vaultsim.FailBefore
		}
		return vaultsim.None
	})
	r := w.must(ExitFailed, "credentials", "list")
	contains(t, r.err, "refresher: acme/e: ", "refresher: and 3 more like these")
	if n := strings.Count(r.out, "unreadable"); n != 8 {
		t.Errorf("%d rows, not 8:\n%s", n, r.out)
	}
}

func TestListKnowsTheQueue(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	server := redistest.Start(t)
	index := queue.NewRedis(server.Client(t), "refresher", 1)
	for id, due := range map[string]time.Duration{"acme/active": 72 * time.Minute, "acme/new": -10 * time.Second, "acme/retry": -12 * time.Minute} {
		entry := credential.Entry{ID: mustID(t, id), Due: testNow.Add(due), Memo: credential.Memo{Failures: 3}}
		if _, err := index.Add(t.Context(), entry); err != nil {
			t.Fatal(err)
		}
	}
	r := w.with("REDIS_URL=redis://"+server.Addr).must(ExitOK, "credentials", "list", "--tenant", "acme")
	golden(t, "list-queue", r.out)
	r = w.with("REDIS_URL=redis://"+server.Addr).must(ExitOK, "credentials", "list", "--status", "retrying", "-o", "json")
	contains(t, r.out, `"failures": 3`)

	server.Stop(t)
	r = w.with("REDIS_URL=redis://"+server.Addr).must(ExitOK, "credentials", "list", "--tenant", "acme")
	contains(t, r.err, "warning: the queue cannot be read, so the next renewals are those that were published")
	contains(t, r.out, "in 1h30m")
}

func TestStandingOfAPausedCredential(t *testing.T) {
	t.Parallel()
	f := found{cred: credential.Credential{Paused: true}, token: credential.Token{Status: credential.StatusNeedsAuthorization, Message: "authorize again"}}
	if status, message := f.standing(testNow); status != "paused" || message != "authorize again" {
		t.Errorf("%s %s", status, message)
	}
	f.token.Status = credential.StatusRetrying
	if status, message := f.standing(testNow); status != "paused" || message != "" {
		t.Errorf("%s %s", status, message)
	}
}

func TestStandingOfOneStoredAgain(t *testing.T) {
	t.Parallel()
	f := found{token: credential.Token{Status: credential.StatusRemoved, Message: "removed"}}
	if status, message := f.standing(testNow); status != "pending" || message != "" {
		t.Errorf("%s %s", status, message)
	}
}

// TestStandingOfADormantToken: nobody uses the access token of keep: grant, so that it expires
// is no matter.
func TestStandingOfADormantToken(t *testing.T) {
	t.Parallel()
	for keep, want := range map[string]credential.Status{"grant": credential.StatusActive, "access": credential.StatusExpired} {
		f := found{token: credential.Token{Provider: "checkfront", Auth: "oauth2", Status: credential.StatusActive, ExpiresAt: testNow.Add(-time.Hour)}}
		f.cred.Fields = map[string]credential.Secret{"keep": credential.Secret(keep)}
		if status, message := f.standing(testNow); status != string(want) || (message == "") != (keep == "grant") {
			t.Errorf("keep: %s is %s (%s), want %s", keep, status, message, want)
		}
	}
}
