package e2e

import (
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
)

// kill ends a replica as a power cut would.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.done <- <-p.done
}

func (s *stage) checkfront(path string) (credential.ID, providersim.App) {
	s.t.Helper()
	app := s.sims.Checkfront.AddApp(providersim.AppSpec{})
	return s.put(path, map[string]string{
		"provider": "checkfront", "base_url": s.servers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
	}), app
}

// exchanges counts what the provider was asked for, by result.
func (s *stage) exchanges(result string) int {
	return s.sims.Checkfront.Ledger().Count(providersim.Match{Endpoint: providersim.EndpointToken, Result: result})
}

// TestKilledBetweenAnswerAndCommit: the provider has rotated the token, Vault is
// sealed, Redis loses everything, and the process is killed. What is left is the
// sealed answer in the spool, and from it the grant comes back.
func TestKilledBetweenAnswerAndCommit(t *testing.T) {
	s := newStage(t, providersim.Options{})
	s.sims.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, DelayAfter: 2 * time.Second})
	id, _ := s.checkfront("acme/checkfront")
	dir := t.TempDir()
	p := s.run(dir)
	s.sealedBeforeTheCommit(p)
	p.kill()
	if err := s.redis.Client(t).FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	s.vault.Unseal()

	again := s.run(dir)
	redistest.Eventually(t, "the token is alive", func() bool { return s.serves(id) == "" })
	s.presentedOnce(1)
	s.recoveredOnce(again)
	s.noSecrets("the log", p.out.String()+again.out.String())
	again.stop()
}

// TestKilledBeforeTheAnswer: the process dies while the provider works. Its
// answer is in nobody's hands, the token is probed, and if the provider had not
// acted the grant lives on.
func TestKilledBeforeTheAnswer(t *testing.T) {
	s := newStage(t, providersim.Options{})
	s.sims.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, DelayBefore: 3 * time.Second})
	id, _ := s.checkfront("acme/checkfront")
	dir := t.TempDir()
	env := []string{
		"REFRESHER_RENEWAL_SEND_DEADLINE=1s", "REFRESHER_RENEWAL_VAULT_TIMEOUT=500ms", "REFRESHER_RENEWAL_ROTATION_TIMEOUT=4s",
		"REFRESHER_RENEWAL_IN_FLIGHT_BOUND=6s", "REFRESHER_RENEWAL_LEASE_TTL=3s",
	}
	p := s.run(dir, env...)
	redistest.Eventually(t, "the intent is open", func() bool {
		g, _, err := s.client.Grant(t.Context(), id)
		return err == nil && g.State == credential.GrantIntent
	})
	settle := time.NewTimer(500 * time.Millisecond) // the request is on its way
	<-settle.C
	p.kill()
	again := s.run(dir, env...)
	within(t, 30*time.Second, "the token is alive", func() bool { return s.serves(id) == "" })
	if n := s.exchanges(providersim.ResultReuse); n != 0 {
		t.Errorf("%d reuses", n)
	}
	again.stop()
}

// TestRedisGone: Redis is away for longer than every token lives. Two replicas
// keep the tokens alive from memory, rotations stay single, and when it returns the
// queue there goes on.
func TestRedisGone(t *testing.T) {
	s := newStage(t, spedUp)
	ids := s.fleet(1)
	env := append([]string{"REFRESHER_SCHEDULER_REDIS_OUTAGE_AFTER=1s", "REFRESHER_REDIS_TIMEOUT=500ms"}, atThatSpeed...)
	a, b := s.run(t.TempDir(), env...), s.run(t.TempDir(), env...)
	for _, id := range ids {
		redistest.Eventually(t, id.String()+" is alive", func() bool { return s.serves(id) == "" })
	}
	s.redis.Stop(t)
	away := time.NewTimer(40 * time.Second)
	<-away.C
	for _, id := range ids {
		if matter := s.serves(id); matter != "" {
			within(t, 5*time.Second, matter, func() bool { return s.serves(id) == "" })
		}
	}
	for hash, n := range s.sims.Checkfront.Ledger().Presentations() {
		if n > 1 {
			t.Errorf("a refresh token (%.8s) was presented %d times", hash, n)
		}
	}
	s.redis.Restart(t)
	redistest.Eventually(t, "the queue is whole again", func() bool {
		n, err := s.redis.Client(t).ZCard(t.Context(), "refresher:{q0}:due").Result()
		return err == nil && n == int64(len(ids))
	})
	for _, id := range ids {
		within(t, 20*time.Second, id.String()+" is alive", func() bool { return s.serves(id) == "" })
	}
	a.stop()
	b.stop()
}
