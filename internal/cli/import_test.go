package cli

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"refresher/internal/vaultsim"
)

// good is an import of two that are right.
const good = `credentials:
  - tenant: acme
    name: main
    provider: kibo
    client_id: ` + marker + `-id
    client_secret: ` + marker + `-client
  - {tenant: beta, name: b, provider: bookeo, api_key: ` + marker + `-api, secret_key: ` + marker + `-app}
`

func TestImport(t *testing.T) {
	t.Parallel()
	asJSON := `{
	"credentials": [
		{"tenant": "acme", "name": "main", "provider": "kibo", "client_id": "` + marker + `-id", "client_secret": "` + marker + `-client"},
		{"tenant": "beta", "name": "b", "provider": "bookeo", "api_key": "` + marker + `-api", "secret_key": "` + marker + `-app"}
	]
}`
	list := strings.ReplaceAll(strings.TrimPrefix(good, "credentials:\n"), "\n  ", "\n")[2:]
	for name, content := range map[string]string{"YAML": good, "JSON": asJSON, "a list in YAML": list, "a list in JSON": asJSON[strings.Index(asJSON, "["):strings.LastIndex(asJSON, "}")]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stdin = content
			r := w.must(ExitOK, "credentials", "import", "-", "--dry-run")
			contains(t, r.out, "would store acme/main\nwould store beta/b\n", "nothing is stored: would store 2, would replace 0, unchanged 0, skipped 0")
			if w.fields("acme/main") != nil {
				t.Error("a dry run stores")
			}
			r = w.must(ExitOK, "credentials", "import", "-")
			contains(t, r.out, "stored 2, unchanged 0, skipped 0, failed 0\nthe service notices it at its next scan")
			w.same("acme/main", kibo())
			w.same("beta/b", bookeo())
			contains(t, w.must(ExitOK, "credentials", "import", "-").out, "stored 0, unchanged 2, skipped 0, failed 0\n")
		})
	}
}

func TestImportOverWhatIsThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := kibo()
	other["environment"] = "staging"
	w.store("acme/main", other)
	w.store("beta/b", map[string]any{"odd": 1})
	name := file(t, "good.yaml", good)

	r := w.must(ExitFailed, "credentials", "import", name)
	contains(t, r.err, "nothing is stored: 2 of 2 credentials cannot be",
		"- credentials[0] (line 2) acme/main: is stored already", "- credentials[1] (line 7) beta/b: is stored already", "→ --skip-existing leaves")
	w.same("acme/main", other)

	contains(t, w.must(ExitOK, "credentials", "import", name, "--skip-existing").out, "stored 0, unchanged 0, skipped 2, failed 0\n")
	w.same("acme/main", other)

	contains(t, w.must(ExitOK, "credentials", "import", name, "--replace", "--dry-run").out, "would replace acme/main\nwould replace beta/b\n")
	contains(t, w.must(ExitOK, "credentials", "import", name, "--replace").out, "stored 2, unchanged 0, skipped 0, failed 0")
	w.same("acme/main", kibo())
	w.same("beta/b", bookeo())

	w.must(ExitOK, "credentials", "delete", "-y", "beta/b")
	contains(t, w.must(ExitOK, "credentials", "import", name).out, "stored 1, unchanged 1, skipped 0, failed 0")
	w.same("beta/b", bookeo())
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	name := file(t, "bad.yaml", `credentials:
  - tenant: acme
    name: main
    provider: kibo
    client_id: `+marker+`
    clientsecret: `+marker+`
  - name: x
    provider: kibbo
  - tenant: Acme
    name: a b
    provider: bookeo
    api_key: [`+marker+`]
    secret_key: {a: `+marker+`}
  - just text
  - tenant: acme
    name: main
    provider: bookeo
    api_key: `+marker+`
    api_key: `+marker+`
    secret_key: !!binary aGVsbG8=
  - tenant: acme
    name: last
    provider: bookeo
    api_key:
    secret_key: ""
    "odd key": `+marker+`
`)
	w := newWorld(t)
	r := w.must(ExitFailed, "credentials", "import", name)
	golden(t, "import-refused", r.err)
	if n := w.sim.Count(); n != 0 {
		t.Errorf("%d requests were sent to Vault before everything was right", n)
	}
}

func TestImportOfNoList(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, content, want string }{
		{"empty", "", "the file is empty"},
		{"empty list", "credentials: []\n", "holds no credentials"},
		{"empty object", "{}", "holds no credentials"},
		{"text", marker, "line 1: a list of credentials is expected"},
		{"no list", "credentials: {a: b}\n", "line 1: a list of credentials is expected"},
		{"something beside", "credentials: []\nversion: 1\n", "line 2: a list of credentials is expected"},
		{"twice", "credentials: []\ncredentials: []\n", "line 2: a list of credentials is expected"},
		{"two documents", "- {}\n---\n- {}\n", "line 2: a second document begins here"},
		{"broken second", "- {}\n---\n- {\n", "the file is not YAML or JSON"},
		{"not YAML", "credentials:\n\t- a\n", "line 2: the file is not YAML or JSON: a tab"},
		{"anchor", "- password: *" + marker + "\n", "put it in quotes"},
		{"quoted by the parser", "- a: '" + marker + "\n", "the file is not YAML or JSON"},
		{"half JSON", `[{"tenant": "` + marker + `"`, "the file is not YAML or JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.stdin = tc.content
			contains(t, w.must(ExitFailed, "credentials", "import", "-").err, tc.want)
		})
	}
	w := newWorld(t)
	contains(t, w.must(ExitFailed, "credentials", "import", "/nonexistent.yaml").err, "no such file or directory")
	w.stdin = "- " + strings.Repeat("x", maxImport)
	contains(t, w.must(ExitFailed, "credentials", "import", "-").err, "larger than 64 MiB")
}

// TestImportKeepsTheText sees that nothing is lost of what stands in the file.
func TestImportKeepsTheText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stdin = `- tenant: acme
  name: "1"
  provider: clicrdv
  auth: basic
  api_key: 00123
  email: a@example.com
  password: &p 1e5
  paused: true
- tenant: acme
  name: "2"
  provider: clicrdv
  auth: basic
  api_key: 0x1F
  email: a@example.com
  password: *p
`
	w.must(ExitOK, "credentials", "import", "-")
	one := map[string]any{"provider": "clicrdv", "auth": "basic", "api_key": "00123", "email": "a@example.com", "password": "1e5", "paused": "true"}
	two := map[string]any{"provider": "clicrdv", "auth": "basic", "api_key": "0x1F", "email": "a@example.com", "password": "1e5"}
	w.same("acme/1", one)
	w.same("acme/2", two)

	w.stdin = "[{\"tenant\": \"acme\",\t\"name\": \"3\", \"provider\": \"clicrdv\", \"auth\": \"basic\", \"api_key\": 12,\n" +
		`"email": "a\u0040example.com", "password": "\ud83d\ude00\\ud83d\/\"x"}]`
	w.must(ExitOK, "credentials", "import", "-")
	w.same("acme/3", map[string]any{
		"provider": "clicrdv", "auth": "basic", "api_key": "12", "email": "a@example.com", "password": "😀\\ud83d/\"x",
	})
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- {tenant: acme, name: n%d, provider: bookeo, api_key: %s, secret_key: %s}\n", i, marker, marker)
	}
	return b.String()
}

func TestImportGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stdin = many(40)
	w.sim.Intercept(func(r *http.Request) vaultsim.Fault {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "7") {
			return vaultsim.FailBefore
		}
		return vaultsim.None
	})
	r := w.must(ExitFailed, "credentials", "import", "-")
	contains(t, r.out, "stored 36, unchanged 0, skipped 0, failed 4\nthe service notices it")
	contains(t, r.err, "refresher: acme/n7: vault: credential.write", "refresher: acme/n17: ", "refresher: acme/n27: ")
	w.sim.Intercept(nil)
	contains(t, w.must(ExitOK, "credentials", "import", "-").out, "stored 4, unchanged 36")
}

func TestImportGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stdin = many(200)
	var writes atomic.Int64
	w.sim.Intercept(func(r *http.Request) vaultsim.Fault {
		if r.Method == http.MethodPut {
			writes.Add(1)
			return vaultsim.FailBefore
		}
		return vaultsim.None
	})
	r := w.must(ExitFailed, "credentials", "import", "-")
	contains(t, r.err, "not tried after that")
	lacks(t, r.out, "the service")
	if n := writes.Load(); n > maxFailed+2*importWriters {
		t.Errorf("%d writes were sent", n)
	}
}

func TestImportCannotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.stdin = many(100)
	w.sim.AddToken(marker+"-none", 0, vaultsim.Rule{Path: "secret/data/other", Capabilities: []string{"read"}})
	r := w.with("VAULT_TOKEN="+marker+"-none").must(ExitFailed, "credentials", "import", "-")
	contains(t, r.err, "nothing is stored: credentials[", "403", "→ the token needs read on")
}

// FuzzParseImport sees that no file breaks the parser, and that no message shows
// what stands in it.
func FuzzParseImport(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"credentials":[{"tenant":"a","name":"b","provider":"kibo","x":"` + "\\ud83d\\ude00" + `"}]}`))
	f.Add([]byte("- password: *" + marker + "\n"))
	f.Add([]byte("- a: !" + marker + " b\n"))
	f.Add([]byte("- &a [*a]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := parseImport(data)
		if err != nil {
			if strings.Contains(err.Error(), marker) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, r := range records {
			for _, problem := range r.problems {
				// A tenant, a name and a field's name may be shown.
				if strings.Contains(problem, marker) && !strings.Contains(problem, `"`) {
					t.Errorf("%s", problem)
				}
			}
		}
	})
}
