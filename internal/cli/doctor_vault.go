package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"refresher/internal/app"
	"refresher/internal/config"
	"refresher/vault"
)

// noticeableSkew is the difference of two clocks that Vault's answer, which has
// whole seconds, cannot explain.
const noticeableSkew = 5 * time.Second

func (d *doctor) examineVault(ctx context.Context) {
	if missing, ok := errors.AsType[config.Problems](d.config.RequireVault()); ok {
		for _, problem := range missing {
			d.fail("vault", "", "%s", problem)
		}
		return
	}
	client, err := vault.Open(ctx, app.VaultSettings(d.config), vault.Hooks{})
	if err != nil {
		d.fail("vault", cmp.Or(startHint(err, d.config), "see vault.auth in the configuration"), "no login by %s at %s: %s", d.config.Vault.AuthMethod(), d.config.Vault.Address, err)
		return
	}
	defer client.Close()
	d.examineLogin(ctx, client)
	d.examineVaultHealth(ctx, client)
	problems := client.Check(ctx)
	for _, p := range problems {
		if p.Fatal {
			d.fail("vault", p.Fix, "%s", p.What)
		} else {
			d.warning("vault", p.Fix, "%s", p.What)
		}
	}
	if len(problems) == 0 {
		d.ok("vault", "%s/ is a KV version 2 store that keeps what is written, and the login may do all it must below %s/",
			d.config.Vault.Mount, d.config.Vault.Prefix)
	}
	if !slices.ContainsFunc(problems, func(p vault.Problem) bool { return p.Fatal }) {
		d.examineEscrowKeys(ctx, client)
	}
}

// examineLogin looks at how long the login lives, and whether it is too mighty.
func (d *doctor) examineLogin(ctx context.Context, client *vault.Client) {
	method := d.config.Vault.AuthMethod()
	expires := client.TokenExpiry()
	switch {
	case expires.IsZero():
		d.ok("vault", "logged in at %s by %s; the login does not expire", d.config.Vault.Address, method)
	case method == config.AuthToken:
		d.warning("vault", "unless the token is periodic, let the service log in by itself: AppRole, Kubernetes or a token file (vault.auth)",
			"logged in at %s by %s; the token has %s left, and when it reaches its maximum nobody replaces it",
			d.config.Vault.Address, method, human(expires.Sub(d.Now())))
	default:
		d.ok("vault", "logged in at %s by %s; the login lives %s and is renewed", d.config.Vault.Address, method, human(expires.Sub(d.Now())))
	}
	path := d.config.Vault.Mount + "/config"
	granted, err := client.Capabilities(ctx, path)
	if err == nil && slices.Contains(granted[path], "root") {
		d.warning("vault", "in production give the service a policy of its own:\n"+app.VaultSettings(d.config).Policy(),
			"the login is root's: it may do everything")
	}
}

func (d *doctor) examineVaultHealth(ctx context.Context, client *vault.Client) {
	h, err := client.Health(ctx)
	switch {
	case err != nil:
		d.fail("vault", vaultHint(err, d.config), "%s", err)
		return
	case !h.Initialized:
		d.fail("vault", "initialize it: vault operator init", "it is not initialized")
	case h.Sealed:
		d.fail("vault", "unseal it: vault operator unseal", "it is sealed")
	case h.Standby:
		d.ok("vault", "version %s, a standby, which passes requests on", h.Version)
	default:
		d.ok("vault", "version %s, unsealed", h.Version)
	}
	if !h.ServerTime.IsZero() {
		d.compareClocks("vault", h.Skew)
	}
}

// compareClocks judges how far another clock is ahead of this machine's.
func (d *doctor) compareClocks(whose string, ahead time.Duration) {
	off := max(ahead, -ahead)
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	const fix = "have the machines' clocks set by NTP"
	switch {
	case off > d.config.Renewal.ClockSkewAllowance:
		d.fail("clock", fix, "%s's clock is %s %s this machine's, more than renewal.clock_skew_allowance (%s)",
			whose, human(off), way, config.FormatDuration(d.config.Renewal.ClockSkewAllowance))
	case off > noticeableSkew:
		d.warning("clock", fix, "%s's clock is %s %s this machine's", whose, human(off), way)
	default:
		d.ok("clock", "%s's clock agrees with this machine's", whose)
	}
}

// examineEscrowKeys sees that what was sealed can be opened again.
func (d *doctor) examineEscrowKeys(ctx context.Context, client *vault.Client) {
	keys, err := client.EscrowKeys(ctx)
	switch {
	case err != nil:
		d.fail("escrow", cmp.Or(vaultHint(err, d.config), "restore the document in Vault: answers sealed with that key cannot be opened without it"),
			"the keys that open sealed answers cannot all be read: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	case len(keys) == 0:
		d.ok("escrow", "there is no key yet; the service makes the first one")
	default:
		d.ok("escrow", "%s to open sealed answers", count(len(keys), "key"))
	}
}
