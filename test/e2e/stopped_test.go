package e2e

import (
	"path/filepath"
	"testing"
	"time"

	"refresher/internal/providersim"
	"refresher/internal/redistest"
)

// TestStoppedDuringTheCommit: the provider has rotated the token, Vault is sealed, and the
// process, which tries to commit the answer, is told to stop. It ends in good order and
// at once: the answer is sealed in the spool, and what comes up on it commits it from there.
func TestStoppedDuringTheCommit(t *testing.T) {
	s := newStage(t, providersim.Options{})
	s.sims.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, DelayAfter: 2 * time.Second})
	id, app := s.checkfront("acme/checkfront")
	dir := t.TempDir()
	p := s.run(dir)
	s.sealedBeforeTheCommit(p)
	p.stop()
	if left := answers(t, dir); len(left) != 1 {
		t.Fatalf("left in the spool: %v, want one answer", left)
	}

	// The spool alone brings it home.
	if err := s.redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.vault.Unseal()
	again := s.run(dir)
	redistest.Eventually(t, "the token is alive", func() bool { return s.serves(id) == "" })
	grant, _, err := s.client.Grant(t.Context(), id)
	if err != nil || grant.RefreshToken.Reveal() != s.sims.Checkfront.LivingRefreshToken(app.ClientID) {
		t.Errorf("the grant does not hold the living token (%v)", err)
	}
	s.presentedOnce(1)
	s.recoveredOnce(again)
	s.noSecrets("the log", p.out.String()+again.out.String())
	again.stop()
}

// answers returns what waits in a spool.
func answers(t *testing.T, dir string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "answers", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// sealedBeforeTheCommit returns when the provider has rotated, Vault is sealed, and a process
// has the answer and has tried to commit it.
func (s *stage) sealedBeforeTheCommit(p *process) {
	s.t.Helper()
	redistest.Eventually(s.t, "the provider has rotated", func() bool { return s.exchanges(providersim.ResultOK) == 1 })
	s.vault.Seal()
	redistest.Eventually(s.t, "the answer is in the spool", func() bool {
		return s.metric(p, "refresher_vault_requests_total", `operation="grant.write"`, `result="sealed"`) > 0
	})
}

// recoveredOnce wants a process to have counted one recovery, which it does when it is done with it.
func (s *stage) recoveredOnce(p *process) {
	s.t.Helper()
	redistest.Eventually(s.t, "one recovery is counted", func() bool {
		return s.metric(p, "refresher_protocol_events_total", `event="recovered"`) == 1
	})
}

// presentedOnce wants so many calls to Checkfront, each with another refresh token.
func (s *stage) presentedOnce(calls int) {
	s.t.Helper()
	if n := s.sims.Checkfront.Ledger().Calls(); n != calls {
		s.t.Errorf("%d calls to the provider, want %d", n, calls)
	}
	for hash, n := range s.sims.Checkfront.Ledger().Presentations() {
		if n > 1 {
			s.t.Errorf("a refresh token (%.8s) was presented %d times", hash, n)
		}
	}
}
