package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// asCommand in the environment makes this test binary the command itself, so that a test can kill it as a process.
const asCommand = "VAULT_DEV_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestKVRoundTripWithCheckAndSet(t *testing.T) {
	t.Parallel()
	c := startInProcess(t, "")

	c.call(http.MethodPut, "secret/data/a", `{"data":{"token":"one"},"options":{"cas":0}}`, http.StatusOK)
	conflict := c.call(http.MethodPut, "secret/data/a",
		`{"data":{"token":"two"},"options":{"cas":0}}`, http.StatusBadRequest)
	if got := conflict.text("errors", 0); !strings.Contains(got, "check-and-set") {
		t.Errorf("error of a stale write = %q, want one about check-and-set", got)
	}
	c.call(http.MethodPut, "secret/data/a", `{"data":{"token":"three"},"options":{"cas":1}}`, http.StatusOK)

	read := c.call(http.MethodGet, "secret/data/a", "", http.StatusOK)
	if got := read.text("data", "data", "token"); got != "three" {
		t.Errorf("read token %q, want the last accepted write, three", got)
	}
	if got := c.call("LIST", "secret/metadata/", "", http.StatusOK).text("data", "keys", 0); got != "a" {
		t.Errorf("first listed key = %q, want a", got)
	}
}

func TestSealAndUnsealOverHTTP(t *testing.T) {
	t.Parallel()
	c := startInProcess(t, "")
	c.call(http.MethodPut, "secret/data/a", `{"data":{"token":"kept"}}`, http.StatusOK)

	c.call(http.MethodPut, "sys/seal", "", http.StatusNoContent)
	c.call(http.MethodGet, "sys/health", "", http.StatusServiceUnavailable)
	c.call(http.MethodGet, "secret/data/a", "", http.StatusServiceUnavailable)

	c.call(http.MethodPut, "sys/unseal", `{"key":"`+c.unsealKey+`"}`, http.StatusOK)
	c.call(http.MethodGet, "sys/health", "", http.StatusOK)
	if got := c.call(http.MethodGet, "secret/data/a", "", http.StatusOK).text("data", "data", "token"); got != "kept" {
		t.Errorf("read token %q after unsealing, want kept", got)
	}
}

func TestAppRoleLogin(t *testing.T) {
	t.Parallel()
	c := startInProcess(t, "")
	c.call(http.MethodPost, "sys/auth/approle", `{"type":"approle"}`, http.StatusNoContent)
	c.call(http.MethodPut, "sys/policies/acl/reader",
		`{"policy":"path \"secret/data/a\" { capabilities = [\"read\"] }"}`, http.StatusNoContent)
	c.call(http.MethodPost, "auth/approle/role/r", `{"token_policies":"reader","token_ttl":"1m"}`, http.StatusNoContent)
	c.call(http.MethodPut, "secret/data/a", `{"data":{"token":"mine"}}`, http.StatusOK)
	roleID := c.call(http.MethodGet, "auth/approle/role/r/role-id", "", http.StatusOK).text("data", "role_id")
	secretID := c.call(http.MethodPost, "auth/approle/role/r/secret-id", "", http.StatusOK).text("data", "secret_id")
	login := `{"role_id":"` + roleID + `","secret_id":"` + secretID + `"}`

	c.token = ""
	c.call(http.MethodPost, "auth/approle/login", `{"role_id":"x","secret_id":"y"}`, http.StatusBadRequest)
	c.token = c.call(http.MethodPost, "auth/approle/login", login, http.StatusOK).text("auth", "client_token")

	c.call(http.MethodGet, "secret/data/a", "", http.StatusOK)
	c.call(http.MethodPut, "secret/data/a", `{"data":{"token":"theirs"}}`, http.StatusForbidden)
	c.call(http.MethodPost, "auth/token/renew-self", "", http.StatusOK)
}

func TestOtherPluginsMount(t *testing.T) {
	t.Parallel()
	c := startInProcess(t, "")
	c.call(http.MethodPost, "sys/auth/kubernetes", `{"type":"kubernetes"}`, http.StatusNoContent)
	c.call(http.MethodPost, "auth/kubernetes/config",
		`{"kubernetes_host":"http://127.0.0.1:1","disable_local_ca_jwt":true}`, http.StatusNoContent)
	c.call(http.MethodPost, "sys/auth/jwt", `{"type":"jwt"}`, http.StatusNoContent)
	c.call(http.MethodPost, "auth/jwt/role/r",
		`{"role_type":"jwt","user_claim":"sub","bound_audiences":"refresher"}`, http.StatusNoContent)
	c.call(http.MethodPost, "sys/mounts/transit", `{"type":"transit"}`, http.StatusNoContent)
	c.call(http.MethodPost, "transit/keys/k", "", http.StatusOK)
	sealed := c.call(http.MethodPost, "transit/encrypt/k", `{"plaintext":"aGk="}`, http.StatusOK).text("data", "ciphertext")
	opened := c.call(http.MethodPost, "transit/decrypt/k", `{"ciphertext":"`+sealed+`"}`, http.StatusOK)
	if got := opened.text("data", "plaintext"); got != "aGk=" {
		t.Errorf("transit gave back %q, want aGk=", got)
	}
	c.call(http.MethodGet, "sys/metrics", "", http.StatusOK)
}

func TestFileStorageKeepsDataOverRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startInProcess(t, dir)
	first.call(http.MethodPut, "secret/data/folder/a", `{"data":{"token":"kept"}}`, http.StatusOK)

	if _, err := startServer(t.Context(), testConfig(dir)); err == nil || !strings.Contains(err.Error(), "another -storage") {
		t.Fatalf("a second server on the same storage started with error %v, want a refusal", err)
	}
	first.stop()

	again := startInProcess(t, dir)
	if again.unsealKey != first.unsealKey {
		t.Error("the unseal key has changed over a restart")
	}
	read := again.call(http.MethodGet, "secret/data/folder/a", "", http.StatusOK)
	if got := read.text("data", "data", "token"); got != "kept" {
		t.Errorf("read token %q after a restart, want kept", got)
	}
}

func TestStartAfterOneBrokenOffWhileInitialising(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startInProcess(t, dir).stop()
	if err := os.Remove(filepath.Join(dir, secretsFile)); err != nil { // what a kill before it was written leaves
		t.Fatal(err)
	}

	c := startInProcess(t, dir)
	c.call(http.MethodPut, "secret/data/a", `{"data":{"token":"new"}}`, http.StatusOK)
}

func TestStorageInADirectoryOfOtherThings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	others := []string{"data", "tmp"}
	for _, other := range others {
		if err := os.WriteFile(filepath.Join(dir, other), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	startInProcess(t, dir).stop()
	for _, other := range others {
		if _, err := os.Stat(filepath.Join(dir, other)); err != nil {
			t.Errorf("a start has touched what it does not own: %v", err)
		}
	}
}

func TestCommandSurvivesKillAndStopsOnSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()

	killed, c := startCommand(t, dir)
	c.call(http.MethodPut, "secret/data/a", `{"data":{"token":"kept"}}`, http.StatusOK)
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // says that it was killed

	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		cmd, c := startCommand(t, dir)
		if got := c.call(http.MethodGet, "secret/data/a", "", http.StatusOK).text("data", "data", "token"); got != "kept" {
			t.Errorf("read token %q after kill -9, want kept", got)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("after %v the command ended with %v, want exit status 0", signal, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"all interfaces":   {[]string{"-listen", "0.0.0.0:0"}, 1, "loopback"},
		"no host":          {[]string{"-listen", ":0"}, 1, "loopback"},
		"other host":       {[]string{"-listen", "192.0.2.1:0"}, 1, "loopback"},
		"no port":          {[]string{"-listen", "127.0.0.1"}, 1, "host:port"},
		"no root token":    {[]string{"-listen", "127.0.0.1:0", "-root-token", ""}, 1, "-root-token"},
		"reserved token":   {[]string{"-listen", "127.0.0.1:0", "-root-token", "s.x"}, 1, "-root-token"},
		"log level":        {[]string{"-listen", "127.0.0.1:0", "-log-level", "loud"}, 1, "loud"},
		"unknown flag":     {[]string{"-tls"}, 2, "-tls"},
		"stray argument":   {[]string{"serve"}, 2, "serve"},
		"unwritable place": {[]string{"-listen", "127.0.0.1:0", "-storage", "/dev/null/x"}, 1, "-storage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			if got := run(t.Context(), test.args, &stdout, &stderr); got != test.status {
				t.Errorf("exit status = %d, want %d", got, test.status)
			}
			if !strings.Contains(stderr.String(), test.says) {
				t.Errorf("standard error %q does not say %q", stderr.String(), test.says)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output = %q, want none from a server that never got ready", stdout.String())
			}
		})
	}
}

// client talks to one server over HTTP with the token it holds at the time of the call.
type client struct {
	t                         *testing.T
	address, token, unsealKey string
	stop                      func() // ends the server; may be repeated
}

func testConfig(storage string) config {
	return config{listen: "127.0.0.1:0", rootToken: "root", storage: storage, logLevel: "warn", logOutput: os.Stderr}
}

// startInProcess starts a server inside the test; it is stopped at the test's end at the latest.
func startInProcess(t *testing.T, storage string) *client {
	t.Helper()
	s, err := startServer(t.Context(), testConfig(storage))
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
		defer cancel()
		if err := s.stop(ctx); err != nil {
			t.Errorf("stop the server: %v", err)
		}
	}
	t.Cleanup(stop)
	return &client{t: t, address: s.address, token: s.rootToken, unsealKey: s.unsealKey, stop: stop}
}

// startCommand starts the command as a process of its own and reads its announcement, whose form it checks.
func startCommand(t *testing.T, storage string) (*exec.Cmd, *client) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-listen", "127.0.0.1:0", "-storage", storage)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	var values []string
	for _, prefix := range []string{"unseal key: ", "root token: ", "address: ", "ready"} {
		if !lines.Scan() {
			t.Fatalf("standard output ended before the line %q: %v", prefix, lines.Err())
		}
		value, ok := strings.CutPrefix(lines.Text(), prefix)
		if !ok {
			t.Fatalf("standard output has %q, want a line %q", lines.Text(), prefix)
		}
		values = append(values, value)
	}
	return cmd, &client{t: t, unsealKey: values[0], token: values[1], address: values[2]}
}

// call sends one request below /v1/, ends the test unless the answer has the status wanted, and returns the answer.
func (c *client) call(method, path, body string, want int) *answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.address+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("X-Vault-Token", c.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	a := &answer{t: c.t, call: method + " " + path}
	if resp.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(resp.Body).Decode(&a.body); err != nil {
			c.t.Fatalf("%s: status %d with a body that is no JSON: %v", a.call, resp.StatusCode, err)
		}
	}
	if resp.StatusCode != want {
		c.t.Fatalf("%s: status %d %v, want %d", a.call, resp.StatusCode, a.body, want)
	}
	return a
}

// answer is one decoded JSON body.
type answer struct {
	t    *testing.T
	call string
	body any
}

// text returns the string that the path of object names and array indexes leads to; without one it ends the test.
func (a *answer) text(path ...any) string {
	a.t.Helper()
	at := a.body
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := at.(map[string]any)
			at = object[step]
		case int:
			array, _ := at.([]any)
			if step >= len(array) {
				a.t.Fatalf("%s: nothing at %v in %v", a.call, path, a.body)
			}
			at = array[step]
		}
	}
	text, ok := at.(string)
	if !ok {
		a.t.Fatalf("%s: no string at %v in %v", a.call, path, a.body)
	}
	return text
}
