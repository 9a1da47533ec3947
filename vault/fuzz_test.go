package vault_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"refresher/internal/credential"
	"refresher/vault"
)

// canned is a server that gives the same answer to everything but a login.
type canned struct {
	mu     sync.Mutex
	status int
	date   string
	body   []byte
}

func (c *canned) set(status int, date string, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status, c.date, c.body = status, date, body
}

// ServeHTTP implements http.Handler.
func (c *canned) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/auth/token/lookup-self" {
		_, _ = w.Write([]byte(`{"data":{"ttl":0,"renewable":false}}`))
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header()["Date"] = []string{c.date}
	w.WriteHeader(c.status)
	_, _ = w.Write(c.body)
}

// FuzzReply has the client read any answer as each kind of document. What it takes
// is whole; what it refuses it says in one line, without what a document holds; and
// only Vault's own words mean that there is nothing.
func FuzzReply(f *testing.F) {
	const date = "Thu, 04 Mar 2021 05:07:07 GMT"
	f.Add(200, date, []byte(`{"data":{"data":{"provider":"kibo","client_id":"a"},"metadata":{"version":3,"created_time":"2026-07-01T12:00:00.5Z"}}}`))
	f.Add(200, date, []byte(`{"data":{"data":{"state":"idle","generation":1,"refresh_token":"r"},"metadata":{"version":1}}}`))
	f.Add(200, date, []byte(`{"data":{"data":{"status":"active","generation":1,"headers":{"a":"b"}},"metadata":{"version":1}}}`))
	f.Add(200, date, []byte(`{"data":{"keys":["acme/","loose","../"]}}`))
	f.Add(200, date, []byte(`{"data":{"keys":[1]}}`))
	f.Add(200, date, []byte(`{"data":{"version":4},"wrap_info":null,"warnings":["x"]}`))
	f.Add(200, "soon", []byte(`{"data":{"data":null,"metadata":{"version":1e400}}}`))
	f.Add(404, date, []byte(`{"errors":[]}`))
	f.Add(404, date, []byte(`{"data":{"data":null,"metadata":{"version":2,"deletion_time":"2026-07-01T12:00:00Z"}}}`))
	f.Add(404, date, []byte(`{"errors":["no handler for route"]}`))
	f.Add(400, date, []byte(`{"errors":["check-and-set parameter did not match the current version"]}`))
	f.Add(403, date, []byte(`{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`))
	f.Add(503, date, []byte(`{"errors":["Vault is sealed"]}`))
	f.Add(502, date, []byte(`<html>Bad Gateway</html>`))
	f.Add(200, date, []byte(`{"data":`))
	f.Add(204, date, []byte{})
	replies := &canned{}
	server := httptest.NewServer(replies)
	f.Cleanup(server.Close)
	// No machine is so busy that it takes a minute.
	settings := vault.Settings{Address: server.URL, Auth: vault.Auth{Token: "stand-in"}, Timeout: time.Minute}
	client, err := vault.Open(f.Context(), settings, vault.Hooks{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(client.Close)
	id := credential.ID{Tenant: "acme", Name: "main"}
	f.Fuzz(func(t *testing.T, status int, date string, body []byte) {
		// Go's client follows redirects, and waits after 1xx, 412, 429 and 5xx of Vault's.
		if status < 200 || status > 599 || status >= 300 && status < 400 || !plainHeader(date) {
			return
		}
		replies.set(status, date, body)
		cred, credErr := client.Credential(t.Context(), id)
		grant, _, grantErr := client.Grant(t.Context(), id)
		token, version, tokenErr := client.Token(t.Context(), id)
		_, namesErr := client.Names(t.Context(), id.Tenant)
		_, putErr := client.PutToken(t.Context(), id, credential.Token{Status: credential.StatusPending}, 0)
		for _, err := range []error{credErr, grantErr, tokenErr, namesErr, putErr} {
			checkRefusal(t, err, body)
		}
		if credErr == nil && (cred.Provider == "" || cred.Version <= 0 || status != 200) {
			t.Errorf("%d brought the credential %+v", status, cred)
		}
		if grantErr == nil && grant.State == credential.GrantIntent && (grant.Intent == nil || grant.Intent.Attempt == "") {
			t.Error("an intent without its attempt")
		}
		if tokenErr == nil && token.Status != "" && (version <= 0 || token.Generation < 0) {
			t.Errorf("version %d brought generation %d", version, token.Generation)
		}
	})
}

// checkRefusal looks for what an error must not show.
func checkRefusal(t *testing.T, err error, body []byte) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	if strings.ContainsAny(text, "\r\n") || !utf8.ValidString(text) {
		t.Errorf("not one line of text: %q", text)
	}
	var doc struct {
		Data struct {
			Data map[string]any `json:"data"`
		} `json:"data"`
	}
	if json.NewDecoder(bytes.NewReader(body)).Decode(&doc) != nil {
		if len(body) >= 16 && strings.Contains(text, string(body)) {
			t.Errorf("the error shows an answer that is not Vault's: %s", text)
		}
		return
	}
	for _, value := range doc.Data.Data {
		s, ok := value.(string)
		if !ok || len(s) < 16 || strings.Contains(s, " ") || bytes.Count(body, []byte(s)) > 1 {
			continue // what stands there twice may be in Vault's words, too, or a field's name
		}
		if strings.Contains(text, s) {
			t.Errorf("the error shows a value: %s", text)
		}
	}
}

// plainHeader reports whether a server can send this as a header.
func plainHeader(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
