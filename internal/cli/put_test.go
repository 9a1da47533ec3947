package cli

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"refresher/internal/vaultsim"
)

// same fails the test unless the document holds exactly these fields.
func (w *world) same(path string, want map[string]any) {
	w.t.Helper()
	if got := w.fields(path); !maps.Equal(got, want) {
		w.t.Errorf("%s holds %v, not %v", path, got, want)
	}
}

func args(id string, fields map[string]any, more ...string) []string {
	all := append([]string{"credentials", "put", id}, more...)
	for name, value := range fields {
		text, _ := value.(string)
		all = append(all, name+"="+text)
	}
	return all
}

func TestPut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.must(ExitOK, args("acme/main", kibo())...)
	contains(t, r.out, "stored acme/main (kibo/client_credentials), version 1; the service notices it at its next scan (scheduler.scan: @every 10m)")
	w.same("acme/main", kibo())

	contains(t, w.must(ExitOK, "credentials", "put", "acme/main", "environment=staging").out, "version 2")
	want := kibo()
	want["environment"] = "staging"
	w.same("acme/main", want)

	contains(t, w.must(ExitOK, "credentials", "put", "acme/main", "environment=staging").out, "stored like that already")
	contains(t, w.must(ExitOK, "credentials", "put", "acme/main", "environment=").out, "version 3")
	w.same("acme/main", kibo())

	contains(t, w.must(ExitOK, args("acme/main", bookeo(), "--replace")...).out, "bookeo/api_key), version 4")
	w.same("acme/main", bookeo())
}

func TestPutAgainAfterDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", bookeo())
	w.must(ExitOK, "credentials", "delete", "-y", "acme/main")
	contains(t, w.must(ExitOK, args("acme/main", kibo())...).out, "version 2")
	w.same("acme/main", kibo())
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		// stored is what is there before; nil for nothing.
		stored map[string]any
		args   []string
		want   []string
		lacks  []string
	}{
		{name: "no provider", args: []string{"client_id=" + marker}, want: []string{`field "provider" is missing; known are checkfront, bookeo, clicrdv, ankor, kibo`}},
		{name: "provider", args: []string{"provider=kybo"}, want: []string{`"kybo" is not known`, "did you mean kibo?"}},
		{name: "method", args: []string{"provider=kibo", "auth=basic"}, want: []string{`field "auth": "basic" is not a method of kibo`}},
		{
			name: "missing", args: []string{"provider=kibo"},
			want: []string{"acme/main is not stored:", `- field "client_id" is missing`, `- field "client_secret" is missing`, "kibo/client_credentials (minted)", "required, secret  client secret key"},
		},
		{
			name: "unknown", args: []string{"provider=kibo", "client_id=" + marker, "client_secrt=" + marker},
			want: []string{`field "client_secrt" is not known to kibo/client_credentials; did you mean client_secret?`, "required, secret"},
		},
		{
			name: "host", args: []string{"provider=kibo", "client_id=" + marker, "client_secret=" + marker, "base_url=https://evil.example"},
			want: []string{`field "base_url": host "evil.example" is not allowed: want *.shopatron.com or *.cloudatron.com`}, lacks: []string{"required, secret"},
		},
		{
			name: "plain http", args: []string{"provider=checkfront", "client_id=a", "client_secret=" + marker, "refresh_token=" + marker, "base_url=http://acme.checkfront.com"},
			want: []string{`field "base_url": must begin with https://`},
		},
		{
			name: "key", args: []string{"provider=ankor", "company_uri=https://a.example", "key_id=k", "private_key=" + marker},
			want: []string{`field "private_key"`},
		},
		{name: "paused", args: []string{"provider=kibo", "client_id=" + marker, "client_secret=" + marker, "paused=" + marker}, want: []string{`field "paused" must be "true" or "false"`}},
		{name: "removal from nothing", args: []string{"provider=kibo", "client_id=" + marker, "client_secret=" + marker, "environment="}, want: []string{"there is no such credential"}},
		{name: "removal of what is needed", stored: kibo(), args: []string{"client_id="}, want: []string{`field "client_id" is missing`}},
		{
			name: "another provider", stored: kibo(), args: []string{"provider=bookeo", "api_key=" + marker, "secret_key=" + marker},
			want: []string{`field "client_id" is not known to bookeo/api_key: remove it with client_id=, or use --replace`},
		},
		{
			name: "not flat", stored: map[string]any{"provider": "kibo", "client_id": []string{marker}, "n": 1}, args: []string{"client_secret=" + marker},
			want: []string{"acme/main is not changed: the stored document is not made of strings alone: see field client_id, n", "→ give all of its fields together with --replace"},
		},
		{name: "no file", args: []string{"provider=kibo", "client_id=@/nonexistent/" + marker}, want: []string{`field "client_id": the file after @ cannot be read: no such file`, `→ write \@`}},
		{name: "a directory", args: []string{"provider=kibo", "client_id=@/"}, want: []string{`field "client_id": the file after @ cannot be read`}},
		{name: "nothing piped", args: []string{"provider=kibo", "client_id=-"}, want: []string{`field "client_id": nothing was given`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if tc.stored != nil {
				w.store("acme/main", tc.stored)
			}
			before := w.fields("acme/main")
			r := w.must(ExitFailed, append([]string{"credentials", "put", "acme/main"}, tc.args...)...)
			contains(t, r.err, tc.want...)
			lacks(t, r.err, tc.lacks...)
			if len(before) != len(w.fields("acme/main")) || r.out != "" {
				t.Errorf("something was stored: %s", r.out)
			}
		})
	}
}

// TestPutLeavesStrangersAlone keeps a field that was stored before and that this
// version does not know.
func TestPutLeavesStrangersAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fields := kibo()
	fields["comment"] = "of a newer version"
	w.store("acme/main", fields)
	r := w.must(ExitOK, "credentials", "put", "acme/main", "environment=live")
	contains(t, r.err, "warning: field comment is not known to kibo/client_credentials, and is kept")
	fields["environment"] = "live"
	w.same("acme/main", fields)
}

func TestPutReplacesWhatIsNotFlat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.store("acme/main", map[string]any{"provider": 1})
	w.must(ExitOK, args("acme/main", kibo(), "--replace")...)
	w.same("acme/main", kibo())
}

func TestPutValues(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stdin = marker + "-piped\r\n"
	name := file(t, "secret", marker+"-client\n\n")
	w.must(ExitOK, "credentials", "put", "acme/main", "provider=kibo", "client_id=-", "client_secret=@"+name)
	w.same("acme/main", map[string]any{"provider": "kibo", "client_id": marker + "-piped", "client_secret": marker + "-client"})

	w.must(ExitOK, "credentials", "put", "acme/main", `client_id=\-`, `client_secret=\@`+marker)
	w.same("acme/main", map[string]any{"provider": "kibo", "client_id": "-", "client_secret": "@" + marker})
	w.must(ExitOK, "credentials", "put", "acme/main", "client_id=a=b=c", `client_secret=\x`)
	w.same("acme/main", map[string]any{"provider": "kibo", "client_id": "a=b=c", "client_secret": `\x`})

	contains(t, w.must(ExitUsage, "credentials", "put", "acme/main", "client_id=-", "client_secret=-").err, "only one field can be read from standard input")
	w.stdin = "\xff\xfe" + marker
	contains(t, w.must(ExitFailed, "credentials", "put", "acme/main", "client_id=-").err, "not text in UTF-8")
	w.stdin = strings.Repeat("x", maxValue+1)
	contains(t, w.must(ExitFailed, "credentials", "put", "acme/main", "client_id=-").err, "more than 1 MiB")
}

func TestPutAsksAPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	person := &scriptedPerson{secrets: map[string]string{"client_id": marker + "-typed", "client_secret": marker + "-hidden"}}
	w.person = person
	w.must(ExitOK, "credentials", "put", "acme/main", "provider=kibo", "client_secret=-", "client_id=-")
	w.same("acme/main", map[string]any{"provider": "kibo", "client_id": marker + "-typed", "client_secret": marker + "-hidden"})
	if got := strings.Join(person.asked, " "); got != "client_secret client_id" {
		t.Errorf("asked for %q", got)
	}
	person.secrets["client_id"] = ""
	contains(t, w.must(ExitFailed, "credentials", "put", "acme/main", "client_id=-").err, "nothing was given")
}

// TestPutOvertaken has somebody else store the document between the read and the
// write.
func TestPutOvertaken(t *testing.T) {
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
	r := w.must(ExitFailed, "credentials", "put", "acme/main", "environment=live")
	contains(t, r.err, "acme/main is not stored: the document changed in the meantime", "→ somebody else changed it just now")
	w.same("acme/main", bookeo())
}

func TestPutDenied(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sim.AddToken(marker+"-reader", 0, vaultsim.Rule{Path: "secret/data/refresher/credentials/*", Capabilities: []string{"read"}})
	r := w.with("VAULT_TOKEN="+marker+"-reader").must(ExitFailed, args("acme/main", kibo())...)
	contains(t, r.err, "acme/main: vault: credential.write", "403", "→ the token needs create and update on secret/data/refresher/credentials/*")
}

// TestPutAllowsWhatTheConfigurationAllows stores a URL of a test's own.
func TestPutAllowsWhatTheConfigurationAllows(t *testing.T) {
	t.Parallel()
	w := newWorld(t).with("REFRESHER_EGRESS_ALLOW=127.0.0.1")
	fields := kibo()
	fields["base_url"] = "http://127.0.0.1:9"
	w.must(ExitOK, args("acme/main", fields)...)
	w.same("acme/main", fields)
}

func TestFields(t *testing.T) {
	t.Parallel()
	w := &world{t: t}
	golden(t, "fields", w.must(ExitOK, "credentials", "fields").out)
	one := w.must(ExitOK, "credentials", "fields", "checkfront", "token_pair").out
	contains(t, one, "checkfront/token_pair (static)", "auth        required          token_pair")
	lacks(t, one, "oauth2")
	contains(t, w.must(ExitOK, "credentials", "fields", "checkfront").out, "oauth2", "token_pair")
}
