package vault

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"refresher/internal/credential"
)

// The folders below the prefix.
const (
	folderCredentials = "credentials"
	folderGrants      = "grants"
	folderTokens      = "tokens"
	folderEscrowKeys  = "escrow-keys"
)

// document is a document as Vault stores it.
type document struct {
	path string
	// data is nil if the document is absent or deleted.
	data map[string]any
	// version is the number for the next check-and-set: 0 if there never was a
	// document, and a deleted version's number if it is deleted.
	version int
	stored  time.Time
}

// dataPath is where a document is read and written.
func (c *Client) dataPath(folder, name string) string {
	return c.settings.Mount + "/data/" + c.settings.Prefix + "/" + folder + "/" + name
}

// listPath is where the names in a folder are listed.
func (c *Client) listPath(folder string) string {
	return c.settings.Mount + "/metadata/" + c.settings.Prefix + "/" + folder
}

// documentPath is dataPath of an ID, which it checks: no other text gets into a path.
func (c *Client) documentPath(folder string, id credential.ID) (string, error) {
	if _, err := credential.NewID(id.Tenant, id.Name); err != nil {
		return "", fmt.Errorf("vault: %w", err)
	}
	return c.dataPath(folder, id.String()), nil
}

// read returns the last version of a document, without data if it is absent or deleted.
func (c *Client) read(ctx context.Context, op, path string) (document, error) {
	doc := document{path: path}
	r, err := c.get(ctx, op, path, nil)
	if err != nil {
		return doc, err
	}
	if meta, ok := r.Data["metadata"].(map[string]any); ok {
		doc.version, _ = number(meta["version"])
		created, _ := meta["created_time"].(string)
		doc.stored, _ = time.Parse(time.RFC3339Nano, created)
	}
	if !r.found {
		return doc, nil
	}
	data, ok := r.Data["data"].(map[string]any)
	if !ok || doc.version <= 0 {
		return doc, &Error{Op: op, Path: path, Status: r.status, Err: errors.New("the answer is not a KV version 2 document")}
	}
	doc.data = data
	return doc, nil
}

// put writes a document, with check-and-set unless cas is nil, and returns its
// new version.
func (c *Client) put(ctx context.Context, op, path string, data map[string]any, cas *int) (int, error) {
	body := map[string]any{"data": data}
	if cas != nil {
		body["options"] = map[string]any{"cas": *cas}
	}
	secret, err := c.write(ctx, op, path, body)
	if err != nil {
		return 0, err
	}
	if secret != nil {
		if version, ok := number(secret.Data["version"]); ok && version > 0 {
			return version, nil
		}
	}
	return 0, &Error{Op: op, Path: path, Err: errors.New("the answer does not say which version was written")}
}

// list returns the names in a folder as Vault sends them, those of folders with
// a slash at their end. An empty folder, and one that does not exist, have none.
func (c *Client) list(ctx context.Context, op, path string) ([]string, error) {
	r, err := c.get(ctx, op, path, url.Values{"list": {"true"}})
	if err != nil || !r.found {
		return nil, err
	}
	keys, ok := r.Data["keys"].([]any)
	if !ok {
		return nil, &Error{Op: op, Path: path, Status: r.status, Err: errors.New("the answer is not a list")}
	}
	names := make([]string, 0, len(keys))
	for _, key := range keys {
		name, ok := key.(string)
		if !ok {
			return nil, &Error{Op: op, Path: path, Status: r.status, Err: errors.New("the list holds something that is not a name")}
		}
		names = append(names, name)
	}
	return names, nil
}

// malformed says that a stored document cannot be understood. It names path and
// field, never the content.
func malformed(path string, err error) error {
	return credential.Misconfigured("", "malformed_document", fmt.Errorf("vault: %s: %w", path, err))
}
