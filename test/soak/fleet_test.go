package soak

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
)

// perTenant is how many credentials a tenant has.
const perTenant = 4

// abreast is how many requests to Vault the test itself sends at once.
const abreast = 16

// store makes a fleet and writes its credentials to Vault.
func (s *stage) store(n int) []credential.ID {
	s.t.Helper()
	var dealt []method
	for _, m := range methods() {
		for range m.share {
			dealt = append(dealt, m)
		}
	}
	ids := make([]credential.ID, n)
	documents := make([]map[string]string, n)
	for i := range n {
		// Seven is prime to twenty: neighbours, and so tenants, have several methods.
		m := dealt[i*7%len(dealt)]
		var err error
		if ids[i], err = credential.NewID(fmt.Sprintf("tenant-%05d", i/perTenant), fmt.Sprintf("%s-%d", m.name, i%perTenant)); err != nil {
			s.t.Fatal(err)
		}
		documents[i] = m.fields(s, i)
	}
	matters := s.each(ids, func(ctx context.Context, i int) string {
		if _, err := s.vault.PutCredential(ctx, ids[i], documents[i], nil); err != nil {
			return err.Error()
		}
		return ""
	})
	for id, matter := range matters {
		s.t.Fatalf("%s cannot be stored: %s", id, matter)
	}
	return ids
}

// each asks what is the matter with each credential, some at once, and returns the
// answers that are not empty.
func (s *stage) each(ids []credential.ID, ask func(ctx context.Context, i int) string) map[credential.ID]string {
	matters := map[credential.ID]string{}
	var workers sync.WaitGroup
	var mu sync.Mutex
	for w := range abreast {
		workers.Go(func() {
			for i := w; i < len(ids); i += abreast {
				if matter := ask(s.t.Context(), i); matter != "" {
					mu.Lock()
					matters[ids[i]] = matter
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	return matters
}

// served waits until each credential has been seen with a token that its provider
// takes. They are not all seen at once: at any moment some token has just been
// replaced, and its successor is on its way to Vault. It returns what is still the
// matter with those that were not seen so in time.
func (s *stage) served(ids []credential.ID) map[credential.ID]string {
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	limit := time.After(s.patience())
	for {
		matters := s.each(ids, func(ctx context.Context, i int) string { return s.matter(ctx, ids[i]) })
		if len(matters) == 0 {
			return nil
		}
		ids = slices.Collect(maps.Keys(matters))
		select {
		case <-poll.C:
		case <-limit:
			return matters
		}
	}
}

// matter says what is wrong with a credential's published token, "" if nothing is.
func (s *stage) matter(ctx context.Context, id credential.ID) string {
	tok, _, err := s.vault.Token(ctx, id)
	switch {
	case err != nil:
		return err.Error()
	case tok.Status != credential.StatusActive:
		return fmt.Sprintf("%s: %s", tok.Status, tok.Message)
	}
	if err := s.servers.Check(ctx, tok.Provider, tok.Auth, tok.BaseURL, reveal(tok.Headers), reveal(tok.Query)); err != nil {
		return fmt.Sprintf("generation %d, expires %s: %v", tok.Generation, tok.ExpiresAt, err)
	}
	return ""
}

func reveal(m map[string]credential.Secret) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = v.Reveal()
	}
	return out
}

func (s *stage) checkfront(int) map[string]string {
	app := s.sims.Checkfront.AddApp(providersim.AppSpec{})
	return map[string]string{
		"provider": "checkfront", "base_url": s.servers.URL("checkfront"), "client_id": app.ClientID,
		"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
	}
}

func (s *stage) pair(n int) map[string]string {
	pair := s.sims.Checkfront.AddTokenPair(fmt.Sprintf("pair-%d", n))
	return map[string]string{
		"provider": "checkfront", "auth": "token_pair", "base_url": s.servers.URL("checkfront"),
		"api_key": pair.APIKey, "api_secret": pair.APISecret,
	}
}

func (s *stage) bookeo(n int) map[string]string {
	key := s.sims.Bookeo.AddKey(providersim.KeySpec{AccountID: fmt.Sprintf("A%d", n), Permissions: []string{"bookings_rw_all"}})
	return map[string]string{
		"provider": "bookeo", "base_url": s.servers.URL("bookeo"), "api_key": key.APIKey, "secret_key": key.SecretKey,
	}
}

func (s *stage) session(n int) map[string]string {
	user := s.sims.ClicRDV.AddUser(providersim.UserSpec{Email: fmt.Sprintf("pro%d@example.com", n), Type: "pro"})
	return map[string]string{
		"provider": "clicrdv", "base_url": s.servers.URL("clicrdv"), "api_key": user.APIKey, "email": user.Email,
		"password_sha1": user.PasswordSHA1, "user_type": "pro",
	}
}

func (s *stage) basic(n int) map[string]string {
	user := s.sims.ClicRDV.AddUser(providersim.UserSpec{Email: fmt.Sprintf("basic%d@example.com", n), Type: "pro"})
	return map[string]string{
		"provider": "clicrdv", "auth": "basic", "base_url": s.servers.URL("clicrdv"), "api_key": user.APIKey,
		"email": user.Email, "password": user.Password,
	}
}

func (s *stage) ankor(n int) map[string]string {
	company := s.sims.Ankor.AddCompany(providersim.CompanySpec{URI: fmt.Sprintf("https://company%d.example.com", n)})
	return map[string]string{
		"provider": "ankor", "base_url": s.servers.URL("ankor"), "company_uri": company.URI, "key_id": company.KeyID,
		"private_key": company.PrivateKeyPEM,
	}
}

func (s *stage) kibo(int) map[string]string {
	client := s.sims.Kibo.AddClient(providersim.ClientSpec{})
	return map[string]string{
		"provider": "kibo", "base_url": s.servers.URL("kibo"), "api_url": s.servers.URL("kibo"),
		"client_id": client.ClientID, "client_secret": client.ClientSecret,
	}
}
