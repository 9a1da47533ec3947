package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"refresher/internal/credential"
	"refresher/internal/vaultsim"
	"refresher/vault"
)

// marker is in every secret of these tests, so that one that is shown is found.
const marker = "s3cr3t"

const rootToken = marker + "-root"

// testNow is when the tests take place.
var testNow = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) {
	// Whoever runs the tests may be logged in somewhere.
	home, err := os.MkdirTemp("", "cli-home")
	if err != nil {
		panic(err)
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "VAULT_") || strings.HasPrefix(name, "REFRESHER_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("HOME", home)
	redis.SetLogger(silence{})
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(home)
		os.Exit(code)
	}))
}

// silence is what the program makes of go-redis's own log.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// world is a Vault, and a way to run the program against it.
type world struct {
	t      *testing.T
	sim    *vaultsim.Server
	url    string
	env    []string
	stdin  string
	person Person
}

func newWorld(t *testing.T) *world {
	t.Helper()
	sim := vaultsim.New(rootToken)
	server := httptest.NewServer(sim)
	t.Cleanup(server.Close)
	return &world{t: t, sim: sim, url: server.URL, env: []string{"VAULT_ADDR=" + server.URL, "VAULT_TOKEN=" + rootToken}}
}

// with returns a copy with more variables; the last of a name counts.
func (w *world) with(env ...string) *world {
	other := *w
	other.env = append(append([]string{}, w.env...), env...)
	return &other
}

// result is how a run ended.
type result struct {
	code     int
	out, err string
}

// run runs the program and sees that it shows no secret.
func (w *world) run(args ...string) result {
	w.t.Helper()
	var out, errs bytes.Buffer
	code := Main(w.t.Context(), Env{
		Args: args, Environ: w.env, Stdin: strings.NewReader(w.stdin), Stdout: &out, Stderr: &errs,
		Person: w.person, Now: func() time.Time { return testNow },
	})
	r := result{code, out.String(), errs.String()}
	for _, text := range []string{r.out, r.err} {
		if strings.Contains(text, marker) {
			w.t.Errorf("%v shows a secret:\n%s", args, text)
		}
	}
	return r
}

// must runs the program and expects an exit code.
func (w *world) must(code int, args ...string) result {
	w.t.Helper()
	r := w.run(args...)
	if r.code != code {
		w.t.Fatalf("%v ended with %d, not %d\n%s%s", args, r.code, code, r.out, r.err)
	}
	return r
}

// contains fails the test for each text that is not there.
func contains(t *testing.T, where string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(where, text) {
			t.Errorf("%q is missing in:\n%s", text, where)
		}
	}
}

// lacks fails the test for each text that is there.
func lacks(t *testing.T, where string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(where, text) {
			t.Errorf("%q should not be in:\n%s", text, where)
		}
	}
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it); got:\n%s", file, got)
	}
}

// client returns a client of the world's Vault.
func (w *world) client() *vault.Client {
	w.t.Helper()
	c, err := vault.Open(w.t.Context(), vault.Settings{Address: w.url, Auth: vault.Auth{Token: rootToken}}, vault.Hooks{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// raw calls Vault's API and returns its data.
func (w *world) raw(method, path string, body any) map[string]any {
	w.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, w.url+(&url.URL{Path: "/v1/" + path}).EscapedPath(), bytes.NewReader(data))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("X-Vault-Token", rootToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotFound {
		w.t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, text, err)
	}
	var answer struct{ Data map[string]any }
	_ = json.Unmarshal(text, &answer)
	return answer.Data
}

// store stores a document at credentials/<path>, whatever it is.
func (w *world) store(path string, fields map[string]any) {
	w.t.Helper()
	w.raw(http.MethodPost, "secret/data/refresher/credentials/"+path, map[string]any{"data": fields})
}

// fields returns the document at credentials/<path>; nil if there is none.
func (w *world) fields(path string) map[string]any {
	w.t.Helper()
	data, _ := w.raw(http.MethodGet, "secret/data/refresher/credentials/"+path, nil)["data"].(map[string]any)
	return data
}

// publish publishes a token.
func (w *world) publish(id string, token credential.Token) {
	w.t.Helper()
	at := mustID(w.t, id)
	c := w.client()
	_, version, err := c.Token(w.t.Context(), at)
	if err == nil {
		_, err = c.PutToken(w.t.Context(), at, token, version)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func mustID(t *testing.T, text string) credential.ID {
	t.Helper()
	id, err := credential.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// kibo is a document that is right.
func kibo() map[string]any {
	return map[string]any{"provider": "kibo", "client_id": marker + "-id", "client_secret": marker + "-client"}
}

// bookeo is another one.
func bookeo() map[string]any {
	return map[string]any{"provider": "bookeo", "api_key": marker + "-api", "secret_key": marker + "-app"}
}

// checkfront is one of a rotating method.
func checkfront() map[string]any {
	return map[string]any{
		"provider": "checkfront", "base_url": "https://acme.checkfront.com", "client_id": "consumer",
		"client_secret": marker + "-consumer", "refresh_token": marker + "-seed",
	}
}

// file writes a file and returns its name.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// scriptedPerson is somebody who answers from a script.
type scriptedPerson struct {
	secrets map[string]string
	sure    bool
	asked   []string
}

func (p *scriptedPerson) Secret(_ context.Context, prompt string) (string, error) {
	p.asked = append(p.asked, prompt)
	return p.secrets[prompt], nil
}

func (p *scriptedPerson) Confirm(_ context.Context, question string) (bool, error) {
	p.asked = append(p.asked, question)
	return p.sure, nil
}

// interrupted runs the program with a context that ends at the first request for
// a document.
func (w *world) interrupted(args ...string) (code int, errs string) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	w.sim.Intercept(func(r *http.Request) vaultsim.Fault {
		if strings.Contains(r.URL.Path, "/refresher/") {
			cancel()
			<-r.Context().Done()
		}
		return vaultsim.None
	})
	defer w.sim.Intercept(nil)
	var out, stderr bytes.Buffer
	code = Main(ctx, Env{Args: args, Environ: w.env, Stdout: &out, Stderr: &stderr})
	return code, stderr.String()
}
