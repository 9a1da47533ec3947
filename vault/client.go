package vault

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"refresher/internal/credential"
)

// Hooks are told what the client does. Each may be nil, and is called from
// several goroutines at once; it must not block.
type Hooks struct {
	// OnRequest is called after each request with the operation ("grant.write",
	// "tenants.list", …), how long it took, and nil if Vault did what was asked or
	// said that there is no such document. Pass the error to Reason for a label.
	OnRequest func(op string, took time.Duration, err error)
	// OnLogin is called after each login: with the time at which the new token
	// expires (zero if never), or with why there is none.
	OnLogin func(expires time.Time, err error)
	// OnClock is called after an answer that bears a time, with how far this
	// machine's clock is ahead of Vault's, to about a second.
	OnClock func(ahead time.Duration)
}

// Client reads and writes Refresher's documents.
type Client struct {
	settings Settings
	hooks    Hooks
	api      *api.Client
	http     *http.Client
	session  *session
}

// Open connects to Vault and logs in once. It asks nothing else, so it does not
// know whether the login may do its work: that is Check's. Call Run to keep the
// login alive.
func Open(ctx context.Context, settings Settings, hooks Hooks) (*Client, error) {
	settings = settings.withDefaults()
	if err := settings.validate(); err != nil {
		return nil, err
	}
	client, transport, err := newAPI(settings)
	if err != nil {
		return nil, err
	}
	if hooks.OnRequest == nil {
		hooks.OnRequest = func(string, time.Duration, error) {}
	}
	if hooks.OnLogin == nil {
		hooks.OnLogin = func(time.Time, error) {}
	}
	if hooks.OnClock == nil {
		hooks.OnClock = func(time.Duration) {}
	}
	if settings.Auth.Token == "" {
		settings.Auth.Token = credential.Secret(client.Token())
	}
	c := &Client{settings: settings, hooks: hooks, api: client, http: transport, session: newSession()}
	if err := c.login(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the connections that wait for the next request. The client may
// still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// reply is an answer to a read or a list.
type reply struct {
	status int
	header http.Header
	// found is false if Vault said that there is nothing.
	found bool
	Data  map[string]any `json:"data"`
	// Errors is not nil if the answer has that field at all.
	Errors []string `json:"errors"`
}

// do runs one request within the time limit, tells the hook, and makes an Error
// of what went wrong.
func (c *Client) do(ctx context.Context, op, path string, send func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.settings.Timeout)
	defer cancel()
	began := time.Now()
	err := send(ctx)
	if err != nil {
		e := failure(op, path, err)
		if e.Status == http.StatusForbidden && !strings.HasPrefix(op, "auth.") {
			c.session.suspect()
		}
		err = e
	}
	c.hooks.OnRequest(op, time.Since(began), err)
	return err
}

// as returns a copy of the library's client that uses another token (none if it
// is empty) on the same connections.
func (c *Client) as(token string) *api.Client {
	other := c.api.WithNamespace(c.api.Namespace())
	other.SetToken(token)
	return other
}

// get reads or lists a path. That there is nothing is no error, but found is
// then false; Vault sends the metadata of a deleted document all the same.
func (c *Client) get(ctx context.Context, op, path string, query url.Values) (reply, error) {
	return c.getAs(ctx, c.api, op, path, query)
}

func (c *Client) getAs(ctx context.Context, client *api.Client, op, path string, query url.Values) (reply, error) {
	var r reply
	err := c.do(ctx, op, path, func(ctx context.Context) error {
		sent := time.Now()
		answer, err := client.Logical().ReadRawWithDataWithContext(ctx, path, query)
		if answer == nil {
			return err
		}
		defer func() { _ = answer.Body.Close() }()
		c.compareClocks(sent, time.Now(), answer.Header)
		r.status, r.header = answer.StatusCode, answer.Header
		if err != nil && r.status != http.StatusNotFound {
			return err
		}
		if broken := answer.DecodeJSON(&r); broken != nil {
			return errors.Join(err, ctx.Err(), errNotJSON)
		}
		// Only an empty list of errors, or metadata, says that there is no such
		// document. A mount or namespace that does not exist has something to say.
		absent := r.status == http.StatusNotFound && (r.Data != nil || r.Errors != nil && len(r.Errors) == 0)
		r.found = r.status == http.StatusOK
		if r.found || absent {
			return nil
		}
		return errors.Join(err, errUnexpected)
	})
	return r, err
}

// compareClocks tells the hook what an answer's Date says of the two clocks. A date
// has whole seconds; its half and that of the way there and back are the best guess.
func (c *Client) compareClocks(sent, received time.Time, header http.Header) {
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return
	}
	answered := sent.Add(received.Sub(sent) / 2)
	c.hooks.OnClock(answered.Sub(date.Add(time.Second / 2)))
}

var (
	errNotJSON    = errors.New("the answer could not be read as JSON")
	errUnexpected = errors.New("unexpected answer")
)

// write sends a body to a path and returns the data of the answer, which may be
// nil. The request is sent once.
func (c *Client) write(ctx context.Context, op, path string, body map[string]any) (*api.Secret, error) {
	return c.writeAs(ctx, c.api, op, path, body)
}

func (c *Client) writeAs(ctx context.Context, client *api.Client, op, path string, body map[string]any) (*api.Secret, error) {
	var secret *api.Secret
	err := c.do(ctx, op, path, func(ctx context.Context) error {
		var err error
		// WriteWithContext keeps the object beside its bytes. WriteBytes and
		// WriteRaw do not, and send "null" when a standby redirects them.
		secret, err = client.Logical().WriteWithContext(ctx, path, body)
		return err
	})
	return secret, err
}

// number returns an answer's number; ok is false if it is none.
func number(v any) (n int, ok bool) {
	text, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	n64, err := text.Int64()
	return int(n64), err == nil
}
