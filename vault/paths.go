package vault

import (
	"context"
	"maps"
	"slices"
)

// ReadPath returns the data at any path of Vault's API; nil if there is none.
// It is for setting Vault up: the service itself knows its documents alone.
func (c *Client) ReadPath(ctx context.Context, path string) (map[string]any, error) {
	r, err := c.get(ctx, "setup.read", path, nil)
	if err != nil || !r.found {
		return nil, err
	}
	return r.Data, nil
}

// WritePath writes to any path of Vault's API, once, and returns the data of the
// answer, which may be nil. It is for setting Vault up.
func (c *Client) WritePath(ctx context.Context, path string, body map[string]any) (map[string]any, error) {
	secret, err := c.write(ctx, "setup.write", path, body)
	if err != nil || secret == nil {
		return nil, err
	}
	return secret.Data, nil
}

// sortedKeys returns a map's keys in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
