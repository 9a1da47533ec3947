package cli

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/redistest"
	"refresher/internal/vaultsim"
)

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", kibo())
	w.store("acme/other", bookeo())
	r := w.must(ExitOK, "credentials", "pause", "acme/main", "acme/other", "acme/main")
	contains(t, r.out, "acme/main is paused now; the service notices it at its next scan", "acme/other is paused now")
	if n := strings.Count(r.out, "\n"); n != 2 {
		t.Errorf("one ID given twice is acted on twice:\n%s", r.out)
	}
	paused := kibo()
	paused["paused"] = "true"
	w.same("acme/main", paused)

	contains(t, w.must(ExitOK, "credentials", "pause", "acme/main").out, "acme/main is paused already")
	contains(t, w.must(ExitOK, "credentials", "resume", "acme/main").out, "acme/main is not paused now")
	w.same("acme/main", kibo())
	contains(t, w.must(ExitOK, "credentials", "resume", "acme/main").out, "acme/main is not paused already")
}

// TestChangeGoesOn has one of three IDs fail.
func TestChangeGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/a", kibo())
	w.store("acme/bb", map[string]any{"provider": "kibo", "n": 1})
	w.store("acme/c", kibo())
	r := w.must(ExitFailed, "credentials", "pause", "acme/a", "acme/bb", "acme/nobody", "acme/c")
	contains(t, r.out, "acme/a is paused now", "acme/c is paused now")
	contains(t, r.err, "refresher: acme/bb: the stored document is not made of strings alone: see field n",
		"→ store all of its fields again: refresher credentials put acme/bb --replace", "refresher: there is no credential acme/nobody")
}

func TestPauseMisconfigured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", map[string]any{"provider": "kibo", "paused": "maybe"})
	w.must(ExitOK, "credentials", "pause", "acme/main")
	w.same("acme/main", map[string]any{"provider": "kibo", "paused": "true"})
}

func TestPauseOvertaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", kibo())
	overtaken := false
	w.sim.Intercept(func(r *http.Request) vaultsim.Fault {
		if r.Method == http.MethodPut && !overtaken {
			overtaken = true
			w.store("acme/main", bookeo())
		}
		return vaultsim.None
	})
	contains(t, w.must(ExitFailed, "credentials", "pause", "acme/main").err, "acme/main is not stored: the document changed in the meantime")
	w.same("acme/main", bookeo())
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", kibo())
	w.store("acme/main", kibo())
	r := w.must(ExitOK, "credentials", "delete", "--yes", "acme/main")
	contains(t, r.out, "deleted acme/main; the service notices it at its next scan", "and will blank its token",
		"vault kv undelete -mount=secret -versions=2 refresher/credentials/acme/main")
	if w.fields("acme/main") != nil {
		t.Error("it is still there")
	}
	contains(t, w.must(ExitFailed, "credentials", "delete", "--yes", "acme/main").err, "there is no credential acme/main")
}

func TestDeleteAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", kibo())
	person := &scriptedPerson{}
	w.person = person
	contains(t, w.must(ExitFailed, "credentials", "delete", "acme/main").err, "acme/main is not deleted")
	w.same("acme/main", kibo())
	if len(person.asked) != 1 || !strings.Contains(person.asked[0], "Delete acme/main?") {
		t.Errorf("%q", person.asked)
	}
	person.sure = true
	w.must(ExitOK, "credentials", "rm", "acme/main")
	if w.fields("acme/main") != nil {
		t.Error("it is still there")
	}
}

func TestDeleteDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", kibo())
	w.sim.AddToken(marker+"-reader", 0, vaultsim.Rule{Path: "secret/data/refresher/credentials/*", Capabilities: []string{"read"}})
	r := w.with("VAULT_TOKEN="+marker+"-reader").must(ExitFailed, "credentials", "delete", "-y", "acme/main")
	contains(t, r.err, "acme/main: vault: credential.delete", "→ the token needs delete on secret/data/refresher/credentials/*")
}

// TestTheServiceIsTold looks into the queue after each change.
func TestTheServiceIsTold(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	index := queue.NewRedis(server.Client(t), "refresher", 1)
	w := newWorld(t).with("REDIS_URL=redis://" + server.Addr)
	w.stdin = good
	for _, tc := range []struct {
		name   string
		args   []string
		ids    []string
		forced bool
	}{
		{"put", args("acme/main", kibo()), []string{"acme/main"}, false},
		{"pause", []string{"credentials", "pause", "acme/main"}, []string{"acme/main"}, false},
		{"resume", []string{"credentials", "resume", "acme/main"}, []string{"acme/main"}, false},
		{"renew", []string{"credentials", "renew", "acme/main"}, []string{"acme/main"}, true},
		{"delete", []string{"credentials", "delete", "-y", "acme/main"}, []string{"acme/main"}, false},
		{"import", []string{"credentials", "import", "-"}, []string{"acme/main", "beta/b"}, false},
	} {
		var later []credential.Entry
		for _, id := range tc.ids {
			later = append(later, credential.Entry{ID: mustID(t, id), Due: testNow.Add(time.Hour), Memo: credential.Memo{Failures: 3}})
		}
		if _, err := index.Add(t.Context(), later...); err != nil {
			t.Fatal(err)
		}
		r := w.must(ExitOK, tc.args...)
		if !tc.forced {
			contains(t, r.out, "the service has been told")
		}
		entries, err := index.Entries(t.Context())
		if err != nil || len(entries) != len(tc.ids) {
			t.Fatalf("%s: %d entries, %v", tc.name, len(entries), err)
		}
		for _, e := range entries {
			if !e.Due.Equal(testNow) || e.Memo.Forced != tc.forced || e.Memo.Failures != 0 {
				t.Errorf("%s: %+v", tc.name, e)
			}
			if err := index.Remove(t.Context(), e.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	server.Stop(t)
	r := w.must(ExitOK, "credentials", "pause", "acme/main")
	contains(t, r.err, "warning: redis cannot be told: ")
	contains(t, r.out, "acme/main is paused now; the service notices it at its next scan")
}

func TestRenewRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", kibo())
	paused := kibo()
	paused["paused"] = "true"
	w.store("acme/paused", paused)
	w.store("acme/odd", map[string]any{"provider": "kibo", "n": 1})
	r := w.must(ExitFailed, "credentials", "renew", "acme/main")
	contains(t, r.err, "acme/main is not renewed", "no Redis is configured here", "→ set REDIS_URL", "at its next scan")
	contains(t, w.must(ExitFailed, "credentials", "renew", "acme/paused").err, "acme/paused is paused", "→ resume it first")
	contains(t, w.must(ExitFailed, "credentials", "renew", "acme/odd").err, `acme/odd cannot be renewed: field "n" holds a number`, "→ correct it with: refresher credentials put acme/odd")
	contains(t, w.must(ExitFailed, "credentials", "renew", "acme/nobody").err, "there is no credential acme/nobody")

	dead := w.with("REDIS_URL=redis://user:" + marker + "@127.0.0.1:1")
	contains(t, dead.must(ExitFailed, "credentials", "renew", "acme/main").err, "acme/main: redis cannot be told", "→ is REDIS_URL (or redis.addresses) right")
	broken := w.with("REFRESHER_REDIS_ADDRESSES=127.0.0.1:1", "REFRESHER_REDIS_TLS_ENABLED=true", "REFRESHER_REDIS_TLS_CA_CERT=/nonexistent")
	contains(t, broken.must(ExitFailed, "credentials", "renew", "acme/main").err, "redis.tls.ca_cert")
}
