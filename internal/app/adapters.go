package app

import (
	"context"
	"time"

	"refresher/internal/credential"
	"refresher/internal/egress"
	"refresher/internal/escrow"
	"refresher/internal/metrics"
	"refresher/internal/renewal"
	"refresher/refreshers"
	"refresher/scheduler"
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

// observer is metrics as the scheduler wants them.
type observer struct{ *metrics.Metrics }

// Renewed implements scheduler.Observer.
func (o observer) Renewed(_ credential.Entry, outcome renewal.Outcome, took, late time.Duration) {
	reason := ""
	if outcome.Err != nil {
		if reason = credential.CodeOf(outcome.Err); reason == "unknown" {
			reason = vault.Reason(outcome.Err)
		}
	}
	o.Renewal(outcome.Memo.Provider, outcome.Memo.Auth, outcome.Result, reason, took, late)
}

// Scanned implements scheduler.Observer.
func (o observer) Scanned(r scheduler.Report, err error) {
	o.Metrics.Scanned(metrics.Scan{Entries: r.Entries, Invalid: len(r.Invalid), Missing: r.Missing, Took: r.Took, Err: err})
}

// vaultHooks tells the metrics what the Vault client does.
func vaultHooks(m *metrics.Metrics) vault.Hooks {
	return vault.Hooks{
		OnRequest: func(op string, took time.Duration, err error) { m.VaultRequest(op, vault.Reason(err), took) },
		OnLogin: func(expires time.Time, err error) {
			if err == nil {
				m.VaultLogin(expires)
			}
		},
	}
}
