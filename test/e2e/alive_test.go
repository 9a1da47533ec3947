package e2e

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
)

// spedUp makes 14,000 seconds pass in 14, and gives the hourly ones some 11.
var spedUp = providersim.Options{
	Factor: 1000, ClicRDVIdle: 3 * time.Hour, AnkorLifetime: 3 * time.Hour, KiboLifetime: 3 * time.Hour,
}

// atThatSpeed tells the service of it.
var atThatSpeed = []string{
	"REFRESHER_PROVIDERS_CLICRDV_IDLE_WINDOW=10s", "REFRESHER_PROVIDERS_CLICRDV_TOUCH_EVERY=3s",
	"REFRESHER_PROVIDERS_CLICRDV_LATEST_TOUCH=8s", "REFRESHER_PROVIDERS_BOOKEO_VERIFY_EVERY=5s",
	"REFRESHER_PROVIDERS_CLICRDV_VERIFY_EVERY=5s", "REFRESHER_PROVIDERS_CHECKFRONT_VERIFY_EVERY=5s",
	"REFRESHER_PROVIDERS_CHECKFRONT_ACCESS_LIFETIME=14s", "REFRESHER_PROVIDERS_CHECKFRONT_GRANT_LIFETIME=1209s",
	"REFRESHER_PROVIDERS_CHECKFRONT_DORMANT_INTERVAL=864s",
}

// fleet stores n credentials of each method.
func (s *stage) fleet(n int) []credential.ID {
	var ids []credential.ID
	for i := range n {
		tenant := fmt.Sprintf("tenant-%02d/", i)
		cf := s.sims.Checkfront.AddApp(providersim.AppSpec{})
		pair := s.sims.Checkfront.AddTokenPair(tenant)
		bk := s.sims.Bookeo.AddKey(providersim.KeySpec{AccountID: "A1", Permissions: []string{"bookings_rw_all"}})
		pro := s.sims.ClicRDV.AddUser(providersim.UserSpec{Email: fmt.Sprintf("pro%d@example.com", i), Type: "pro"})
		basic := s.sims.ClicRDV.AddUser(providersim.UserSpec{Email: fmt.Sprintf("basic%d@example.com", i), Type: "pro"})
		ank := s.sims.Ankor.AddCompany(providersim.CompanySpec{URI: fmt.Sprintf("https://company%d.example.com", i)})
		kibo := s.sims.Kibo.AddClient(providersim.ClientSpec{})
		ids = append(ids,
			s.put(tenant+"checkfront", map[string]string{
				"provider": "checkfront", "base_url": s.servers.URL("checkfront"), "client_id": cf.ClientID,
				"client_secret": cf.ClientSecret, "refresh_token": cf.RefreshToken,
			}),
			s.put(tenant+"pair", map[string]string{
				"provider": "checkfront", "auth": "token_pair", "base_url": s.servers.URL("checkfront"),
				"api_key": pair.APIKey, "api_secret": pair.APISecret,
			}),
			s.put(tenant+"bookeo", map[string]string{
				"provider": "bookeo", "base_url": s.servers.URL("bookeo"), "api_key": bk.APIKey, "secret_key": bk.SecretKey,
			}),
			s.put(tenant+"session", map[string]string{
				"provider": "clicrdv", "base_url": s.servers.URL("clicrdv"), "api_key": pro.APIKey, "email": pro.Email,
				"password_sha1": pro.PasswordSHA1, "user_type": "pro",
			}),
			s.put(tenant+"basic", map[string]string{
				"provider": "clicrdv", "auth": "basic", "base_url": s.servers.URL("clicrdv"), "api_key": basic.APIKey,
				"email": basic.Email, "password": basic.Password,
			}),
			s.put(tenant+"ankor", map[string]string{
				"provider": "ankor", "base_url": s.servers.URL("ankor"), "company_uri": ank.URI, "key_id": ank.KeyID,
				"private_key": ank.PrivateKeyPEM,
			}),
			s.put(tenant+"kibo", map[string]string{
				"provider": "kibo", "base_url": s.servers.URL("kibo"), "api_url": s.servers.URL("kibo"),
				"client_id": kibo.ClientID, "client_secret": kibo.ClientSecret,
			}),
		)
	}
	return ids
}

// watch uses a published token again and again, as a reader would, and returns
// the longest time for which it was not accepted.
func (s *stage) watch(id credential.ID, until <-chan struct{}) (worst time.Duration, why string, checks int) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var since time.Time
	for {
		select {
		case <-until:
			return worst, why, checks
		case <-tick.C:
		}
		checks++
		matter := s.serves(id)
		switch {
		case matter == "":
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		}
		if !since.IsZero() && time.Since(since) >= worst {
			worst, why = time.Since(since), matter
		}
	}
}

// TestKeptAlive runs two replicas for several lifetimes of every token. One is
// stopped and started again in between. Every published token is accepted by its
// simulator at every moment, but for at most 2 s between a rotation's answer and its
// publication.
func TestKeptAlive(t *testing.T) {
	s := newStage(t, spedUp)
	ids := s.fleet(2)
	dirs := []string{t.TempDir(), t.TempDir()}
	first := s.run(dirs[0], atThatSpeed...)
	second := s.run(dirs[1], atThatSpeed...)
	for _, id := range ids {
		redistest.Eventually(t, id.String()+" is alive", func() bool { return s.serves(id) == "" })
	}
	began := map[credential.ID]int{}
	for _, id := range ids {
		began[id] = s.published(id).Generation
	}

	over := make(chan struct{})
	var watchers sync.WaitGroup
	for _, id := range ids {
		watchers.Go(func() {
			worst, why, checks := s.watch(id, over)
			if worst > 2*time.Second {
				t.Errorf("%s was not accepted for %s: %s", id, worst, why)
			}
			if checks < 100 {
				t.Errorf("%s was checked %d times only", id, checks)
			}
		})
	}
	time.AfterFunc(50*time.Second, func() { close(over) })
	halfway := time.After(20 * time.Second)
	<-halfway
	first.stop()
	again := s.run(dirs[0], atThatSpeed...)
	watchers.Wait()

	for _, id := range ids {
		tok := s.published(id)
		if grew := tok.Generation - began[id]; !tok.ExpiresAt.IsZero() && tok.Provider != "clicrdv" && grew < 3 {
			t.Errorf("%s: %d new tokens in 50 s, want several lifetimes' worth", id, grew)
		}
	}
	for hash, n := range s.sims.Checkfront.Ledger().Presentations() {
		if n > 1 {
			t.Errorf("a refresh token (%.8s) was presented %d times", hash, n)
		}
	}
	for _, p := range []*process{first, second, again} {
		s.noSecrets("the log", p.out.String())
	}
	second.stop()
	again.stop()
}

// TestIdleTickCostsOneRedisCommand and no request to Vault, however many
// credentials there are.
func TestIdleTickCostsOneRedisCommand(t *testing.T) {
	s := newStage(t, providersim.Options{})
	ids := s.fleet(3)
	p := s.run(t.TempDir())
	for _, id := range ids {
		redistest.Eventually(t, id.String()+" is alive", func() bool { return s.serves(id) == "" })
	}
	settle := time.NewTimer(3 * time.Second) // workers release their leases
	<-settle.C
	window := time.NewTimer(10 * time.Second)
	vaultBefore := s.metric(p, "refresher_vault_requests_total")
	commands := s.redis.MonitorCommands(t, func() { <-window.C })
	vaultAfter := s.metric(p, "refresher_vault_requests_total")
	if n := len(commands); n < 9 || n > 11 {
		t.Errorf("%d Redis commands in 10 ticks, want one each: %v", n, commands)
	}
	if vaultAfter != vaultBefore {
		t.Errorf("%v requests to Vault with nothing due", vaultAfter-vaultBefore)
	}
	s.noSecrets("the metrics", s.scrape(p))
	p.stop()
}
