package renewal_test

import (
	"fmt"
	"testing"

	"refresher/internal/renewal"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// TestMetadataDeletedDuringARotation: between the intent and the commit somebody deletes the
// documents of a grant with all their versions, as "vault kv metadata delete" does, so that
// the numbers start over. The answer comes to Vault all the same, whether its worker lives
// to commit it or the next process finds it in the spool, and what is published next is
// newer than all that was published before.
func TestMetadataDeletedDuringARotation(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	for what, folders := range map[string][]string{
		"the grant": {"grants"}, "the token": {"tokens"}, "both": {"grants", "tokens"},
	} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprint(what, ", its worker dies ", dies), func(t *testing.T) {
				t.Parallel()
				w := inVault(t, server, server.Address, vault.Hooks{})
				app, dir := w.checkfrontApp(), t.TempDir()
				r := w.replica(dir)
				answers := 0
				engine := w.engine(r, func() {
					if answers++; answers < 3 {
						return
					}
					for _, folder := range folders {
						w.server.Delete(fmt.Sprintf("secret/metadata/%s/%s/%s", w.prefix, folder, acme))
					}
				})
				engine.Renew(t.Context(), entry(acme))
				engine.Renew(t.Context(), forced(acme))
				if dies {
					w.dieOfTheAnswer(engine)
					want(t, "waiting", len(r.escrow.Waiting()), 1)
					want(t, "drained", len(engine.Drain(t.Context())), 1)
				} else {
					want(t, "result", engine.Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
				}
				grant, token, _ := w.stored()
				want(t, "living token", grant.RefreshToken.Reveal(), w.sims.Checkfront.LivingRefreshToken(app.ClientID))
				want(t, "generation", grant.Generation, 3)
				want(t, "published generation", token.Generation, 3)
				want(t, "published token", token.AccessToken, grant.AccessToken)
				want(t, "waiting", len(r.escrow.Waiting()), 0)

				want(t, "the next one", w.engine(r, func() {}).Renew(t.Context(), forced(acme)).Result, renewal.ResultRenewed)
				_, token, _ = w.stored()
				want(t, "published generation", token.Generation, 4)
				noReuse(t, w.world)
			})
		}
	}
}

// dieOfTheAnswer lets a worker rotate and die as soon as the answer is sealed.
func (w *realVault) dieOfTheAnswer(engine *renewal.Engine) {
	parts := engine.Parts
	parts.Methods = mortal()
	died := make(chan struct{})
	go func() {
		defer close(died)
		renewal.New(parts, timing(), limits()).Renew(w.t.Context(), forced(acme))
		w.t.Error("the worker lives")
	}()
	<-died
}
