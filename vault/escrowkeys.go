package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refresher/internal/credential"
)

// EscrowKey is a key pair that sealed answers are opened with. Its texts are
// what the escrow put there; this package does not look into them.
type EscrowKey struct {
	ID        string
	Private   credential.Secret
	Public    string
	CreatedAt time.Time
}

// EscrowKeys returns all escrow keys by their ID. Those that could be read are
// returned even with an error, so that one broken document does not keep the
// others from opening what was sealed to them.
func (c *Client) EscrowKeys(ctx context.Context) (map[string]EscrowKey, error) {
	names, err := c.EscrowKeyIDs(ctx)
	keys := make(map[string]EscrowKey, len(names))
	for _, name := range names {
		key, there, problem := c.escrowKey(ctx, name)
		switch {
		case problem != nil:
			err = errors.Join(err, problem)
		case there:
			keys[name] = key
		}
	}
	return keys, err
}

// EscrowKeyIDs returns the IDs of all escrow keys, deleted ones among them,
// without reading any.
func (c *Client) EscrowKeyIDs(ctx context.Context) ([]string, error) {
	return c.list(ctx, "escrow_keys.list", c.listPath(folderEscrowKeys))
}

// escrowKey returns one key; there is false if it was deleted.
func (c *Client) escrowKey(ctx context.Context, id string) (key EscrowKey, there bool, err error) {
	path, err := c.escrowKeyPath(id)
	if err != nil {
		return EscrowKey{}, false, err
	}
	doc, err := c.read(ctx, "escrow_key.read", path)
	if err != nil || doc.data == nil {
		return EscrowKey{}, false, err
	}
	f := &fields{data: doc.data}
	key = EscrowKey{ID: id, Private: f.secret("private_key"), Public: f.text("public_key"), CreatedAt: f.when("created_at")}
	switch {
	case f.err != nil:
		return EscrowKey{}, false, malformed(path, f.err)
	case key.Private == "" || key.Public == "":
		return EscrowKey{}, false, malformed(path, errors.New(`field "private_key" or "public_key" is missing`))
	}
	return key, true, nil
}

// CreateEscrowKey stores a new key. It is credential.ErrConflict if there is
// one of that ID, even a deleted one; other errors are those of PutGrant.
func (c *Client) CreateEscrowKey(ctx context.Context, id string, key EscrowKey) error {
	path, err := c.escrowKeyPath(id)
	if err != nil {
		return err
	}
	f := fields{data: map[string]any{}}
	f.setSecret("private_key", key.Private)
	f.setText("public_key", key.Public)
	f.setTime("created_at", key.CreatedAt)
	var never int
	_, err = c.put(ctx, "escrow_key.write", path, f.data, &never)
	return err
}

func (c *Client) escrowKeyPath(id string) (string, error) {
	if err := credential.CheckName("escrow key", id); err != nil {
		return "", fmt.Errorf("vault: %w", err)
	}
	return c.dataPath(folderEscrowKeys, id), nil
}
