package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Health is what Vault says of itself.
type Health struct {
	Initialized bool
	Sealed      bool
	Standby     bool
	Version     string
	// ServerTime is the Date of the answer, in whole seconds; zero if it had none.
	ServerTime time.Time
	// Skew is how far Vault's clock is ahead of this machine's, to about a second
	// and half the time that the request took.
	Skew time.Duration
}

// Health asks Vault how it is. It needs no login, and an answer that Vault is
// sealed or a standby is no error.
func (c *Client) Health(ctx context.Context) (Health, error) {
	// The path exists in the root namespace only.
	client := c.as("").WithNamespace("")
	query := url.Values{}
	for _, state := range []string{
		"uninitcode", "sealedcode", "standbycode", "performancestandbycode",
		"drsecondarycode", "removedcode", "haunhealthycode",
	} {
		query.Set(state, "200")
	}
	var said struct {
		Initialized bool   `json:"initialized"`
		Sealed      bool   `json:"sealed"`
		Standby     bool   `json:"standby"`
		Version     string `json:"version"`
	}
	var header http.Header
	began := time.Now()
	err := c.do(ctx, "health", "sys/health", func(ctx context.Context) error {
		answer, err := client.Logical().ReadRawWithDataWithContext(ctx, "sys/health", query)
		if answer != nil {
			defer func() { _ = answer.Body.Close() }()
		}
		if err != nil {
			return err
		}
		header = answer.Header
		if answer.DecodeJSON(&said) != nil {
			return errors.Join(ctx.Err(), errNotJSON)
		}
		return nil
	})
	if err != nil {
		return Health{}, err
	}
	h := Health{Initialized: said.Initialized, Sealed: said.Sealed, Standby: said.Standby, Version: said.Version}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		h.ServerTime, h.Skew = date, skew(date, began, time.Now())
	}
	return h, nil
}

// skew returns how far a clock that showed the second date, at some time between
// two times of ours, is ahead of ours.
func skew(date, began, ended time.Time) time.Duration {
	middle := began.Add(ended.Sub(began) / 2)
	return date.Add(time.Second / 2).Sub(middle)
}

// KVSettings are the settings of the mount that matter to documents.
type KVSettings struct {
	// Type is the kind of store: "kv".
	Type string
	// Version is that of the KV store: 1 or 2; 0 if the mount is something else.
	Version int
	// ConfigKnown is false if the policy does not let the rest be read.
	ConfigKnown bool
	// MaxVersions is how many versions a document keeps.
	MaxVersions int
	// DeleteVersionAfter is when Vault deletes a version by itself; zero if never.
	DeleteVersionAfter time.Duration
	// CASRequired means that Vault refuses writes without check-and-set.
	CASRequired bool
}

// vaultMaxVersions is what Vault keeps where max_versions is 0.
const vaultMaxVersions = 10

// KVSettings asks for the mount's settings. It needs no permission of its own to
// learn the store's version, but read on <mount>/config for the rest.
func (c *Client) KVSettings(ctx context.Context) (KVSettings, error) {
	r, err := c.get(ctx, "kv.mount", "sys/internal/ui/mounts/"+c.settings.Mount, nil)
	if err != nil {
		return KVSettings{}, err
	}
	kv := KVSettings{}
	kv.Type, _ = r.Data["type"].(string)
	options, _ := r.Data["options"].(map[string]any)
	switch {
	case kv.Type != "kv" && kv.Type != "generic":
		return kv, nil
	case options["version"] == "2":
		kv.Version = 2
	default:
		kv.Version = 1
		return kv, nil
	}
	err = c.readConfig(ctx, &kv)
	return kv, err
}

// readConfig fills in what only the mount's configuration says; a login that may
// not read it is no error.
func (c *Client) readConfig(ctx context.Context, kv *KVSettings) error {
	const op = "kv.config"
	path := c.settings.Mount + "/config"
	r, err := c.get(ctx, op, path, nil)
	if isDenied(err) {
		return nil
	}
	if err != nil {
		return err
	}
	kv.MaxVersions, _ = number(r.Data["max_versions"])
	if kv.MaxVersions == 0 {
		kv.MaxVersions = vaultMaxVersions
	}
	kv.CASRequired, _ = r.Data["cas_required"].(bool)
	text, _ := r.Data["delete_version_after"].(string)
	after, err := time.ParseDuration(text)
	if err != nil && text != "" {
		return &Error{Op: op, Path: path, Err: errors.New("delete_version_after is not a duration")}
	}
	// Negative means that the mount switched it off for all documents.
	kv.DeleteVersionAfter = max(after, 0)
	kv.ConfigKnown = true
	return nil
}

// Capabilities returns what the login may do on each API path, in Vault's words
// ("create", "read", …; "root" for everything, "deny" for nothing).
func (c *Client) Capabilities(ctx context.Context, paths ...string) (map[string][]string, error) {
	const op, path = "capabilities", "sys/capabilities-self"
	secret, err := c.write(ctx, op, path, map[string]any{"paths": paths})
	if err != nil {
		return nil, err
	}
	all := make(map[string][]string, len(paths))
	for _, p := range paths {
		if secret == nil {
			return nil, &Error{Op: op, Path: path, Err: errUnexpected}
		}
		f := fields{data: secret.Data}
		all[p] = f.texts(p)
		if f.err != nil || len(all[p]) == 0 {
			return nil, &Error{Op: op, Path: path, Err: fmt.Errorf("the answer does not speak of %s", p)}
		}
	}
	return all, nil
}
