package app

import (
	"context"
	"time"

	"refresher/internal/egress"
	"refresher/internal/escrow"
	"refresher/refreshers"
	"refresher/vault"
)

// wayOut is egress as the renewal protocol wants it.
type wayOut struct{ *egress.Client }

// Once implements renewal.Provider.
func (w wayOut) Once(sendBy time.Time, timeout time.Duration, gate func(context.Context) error) refreshers.Doer {
	return w.Client.Once(egress.OnceOptions{SendBy: sendBy, Timeout: timeout, Gate: gate})
}

// escrowKeys is Vault as escrow wants it.
type escrowKeys struct{ vault *vault.Client }

// Keys implements escrow.KeyStore.
func (k escrowKeys) Keys(ctx context.Context) ([]escrow.Key, error) {
	// One broken key keeps the others from nothing.
	stored, err := k.vault.EscrowKeys(ctx)
	keys := make([]escrow.Key, 0, len(stored))
	for id, key := range stored {
		keys = append(keys, escrow.Key{ID: id, Private: key.Private, CreatedAt: key.CreatedAt})
	}
	return keys, err
}

// CreateKey implements escrow.KeyStore.
func (k escrowKeys) CreateKey(ctx context.Context, key escrow.Key) error {
	return k.vault.CreateEscrowKey(ctx, key.ID, vault.EscrowKey{
		ID: key.ID, Private: key.Private, Public: key.Public, CreatedAt: key.CreatedAt,
	})
}
