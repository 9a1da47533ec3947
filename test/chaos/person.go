package main

import (
	"maps"
	"slices"
	"sync"
	"time"

	"refresher/internal/providersim"
)

// person is whoever stores credentials: once for each at the beginning, and anew
// when the service asks for it or when the plan says so.
type person struct {
	rig  *rig
	mu   sync.Mutex
	all  map[string]*account
	rest []string // credentials that do not rotate
}

// account is a rotating credential, as its owner knows it.
type account struct {
	clientID string
	fields   map[string]string
	first    string // the first seed
	asked    bool   // the service has asked for an authorization, and not published a token since
	last     time.Time
	times    []time.Time // of each authorization
	removed  []removal
	gone     bool
}

// removal is a time for which a credential was not stored.
type removal struct{ from, to time.Time }

// rotatingName is the name that each tenant's rotating credential has.
const rotatingName = "main"

// patienceOfService is how long a person waits before authorizing once more.
const patienceOfService = 15 * time.Second

func newPerson(r *rig) *person { return &person{rig: r, all: map[string]*account{}} }

// onboard stores a tenant's rotating credential.
func (p *person) onboard(tenant string) error {
	app := p.rig.sims.Checkfront.AddApp(providersim.AppSpec{})
	a := &account{clientID: app.ClientID, first: app.RefreshToken, fields: map[string]string{
		"provider": "checkfront", "base_url": "http://" + tenant + ".checkfront" + hostSuffix,
		"client_id": app.ClientID, "client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
	}}
	id := tenant + "/" + rotatingName
	p.mu.Lock()
	p.all[id] = a
	p.mu.Unlock()
	return p.rig.vault.store(p.rig.ctx, id, a.fields)
}

// onboardOthers stores one credential of each other method for a tenant.
func (p *person) onboardOthers(tenant string) error {
	s := p.rig.sims
	url := func(provider string) string { return "http://" + tenant + "." + provider + hostSuffix }
	pair := s.Checkfront.AddTokenPair(tenant)
	key := s.Bookeo.AddKey(providersim.KeySpec{AccountID: tenant, Permissions: []string{"bookings_rw_all"}})
	user := s.ClicRDV.AddUser(providersim.UserSpec{Email: tenant + "@example.com", Type: "pro"})
	company := s.Ankor.AddCompany(providersim.CompanySpec{URI: "https://" + tenant + ".example.com"})
	kibo := s.Kibo.AddClient(providersim.ClientSpec{})
	for name, fields := range map[string]map[string]string{
		"pair":    {"provider": "checkfront", "auth": "token_pair", "base_url": url("checkfront"), "api_key": pair.APIKey, "api_secret": pair.APISecret},
		"bookeo":  {"provider": "bookeo", "base_url": url("bookeo") + "/v2", "api_key": key.APIKey, "secret_key": key.SecretKey},
		"session": {"provider": "clicrdv", "base_url": url("clicrdv"), "api_key": user.APIKey, "email": user.Email, "password_sha1": user.PasswordSHA1, "user_type": "pro"},
		"ankor":   {"provider": "ankor", "base_url": url("ankor"), "company_uri": company.URI, "key_id": company.KeyID, "private_key": company.PrivateKeyPEM},
		"kibo":    {"provider": "kibo", "base_url": url("kibo"), "api_url": url("kibo"), "client_id": kibo.ClientID, "client_secret": kibo.ClientSecret},
	} {
		id := tenant + "/" + name
		p.rest = append(p.rest, id)
		if err := p.rig.vault.store(p.rig.ctx, id, fields); err != nil {
			return err
		}
	}
	return nil
}

// reads is told the status of a token that was just published.
func (p *person) reads(id, status string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.all[id]; a != nil {
		a.asked = status == "needs_authorization"
	}
}

// attend does what is asked for, a second later or so, until the rig ends.
func (p *person) attend() {
	for p.rig.ctx.Err() == nil {
		p.rig.wait(time.Second)
		p.mu.Lock()
		var due []string
		for id, a := range p.all {
			if a.asked && time.Since(a.last) > patienceOfService {
				due = append(due, id)
			}
		}
		p.mu.Unlock()
		for _, id := range due {
			p.authorize(id, "again, as asked")
		}
	}
}

// authorize makes a new grant at the provider, and stores its refresh token when
// Vault takes it.
func (p *person) authorize(id, why string) {
	seed, fields, err := p.authorized(id)
	if err != nil {
		p.rig.broken(err)
		return
	}
	p.rig.story.tell(0, id, "a person authorizes %s: seed %s", why, short(hash(seed)))
	p.put(id, fields)
}

// authorized returns the seed of a new grant, and the credential with it.
func (p *person) authorized(id string) (seed string, fields map[string]string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.all[id]
	if seed, err = p.rig.sims.Checkfront.Authorize(a.clientID); err != nil {
		return "", nil, err
	}
	a.last = time.Now()
	a.times = append(a.times, a.last)
	a.fields["refresh_token"] = seed
	return seed, maps.Clone(a.fields), nil
}

// reapply stores the credential as it was at first.
func (p *person) reapply(id string) {
	p.mu.Lock()
	fields, first := maps.Clone(p.all[id].fields), p.all[id].first
	p.mu.Unlock()
	fields["refresh_token"] = first
	p.rig.story.tell(0, id, "the first version of the credential is stored again")
	p.put(id, fields)
}

// begin reserves a credential for its removal; false if that is under way, or if it is
// not a rotating one.
func (p *person) begin(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.all[id]
	if a == nil || a.gone {
		return false
	}
	a.gone = true
	return true
}

// remove deletes a credential, with every trace of it every other time, and stores it
// again after a while: now and then only after a scan has seen it gone.
func (p *person) remove(f *Fault) {
	metadata := int(f.Chance*1000)%2 == 0
	p.rig.story.tell(0, f.ID, "the credential is deleted, its metadata too: %t", metadata)
	p.rig.note("a credential is deleted", p.rig.vault.remove(p.rig.ctx, f.ID, metadata))
	from := time.Now()
	p.rig.later(f.span(200*time.Millisecond, 12*time.Second), func() {
		p.mu.Lock()
		a := p.all[f.ID]
		fields := maps.Clone(a.fields)
		p.mu.Unlock()
		p.rig.note("a credential is stored again", p.rig.vault.store(p.rig.ctx, f.ID, fields))
		p.rig.over(f)
		p.mu.Lock()
		defer p.mu.Unlock()
		a.gone = false
		a.removed = append(a.removed, removal{from, time.Now()})
	})
}

// removedBetween reports whether the credential was not stored in a part of a span of time.
func (p *person) removedBetween(id string, from, to time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.all[id]
	return a != nil && slices.ContainsFunc(a.removed, func(r removal) bool { return r.from.Before(to) && r.to.After(from) })
}

// lookAround is what people do when Vault was put back to an older copy: they see who is
// asked to authorize by now, and store again what is missing.
func (p *person) lookAround() {
	for _, id := range p.ids() {
		token, err := stored[document](p.rig.ctx, p.rig.vault, "tokens", id)
		if err == nil {
			p.reads(id, token.Status)
		}
		p.mu.Lock()
		fields, gone := maps.Clone(p.all[id].fields), p.all[id].gone
		p.mu.Unlock()
		if !gone && p.rig.vault.missing(p.rig.ctx, id) {
			p.rig.story.tell(0, id, "the credential is missing since Vault was put back, and stored again")
			p.put(id, fields)
		}
	}
}

// owns reports whether a credential is a rotating one.
func (p *person) owns(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[id] != nil
}

// put stores a credential, off the way of the step at which it happens.
func (p *person) put(id string, fields map[string]string) {
	p.rig.mending.do(func() {
		if err := p.rig.vault.store(p.rig.ctx, id, fields); err != nil && p.rig.ctx.Err() == nil {
			p.rig.broken(err)
		}
	})
}

// authorizedBetween reports whether a person authorized in a span of time.
func (p *person) authorizedBetween(id string, from, to time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.all[id]
	if a == nil {
		return false
	}
	for _, t := range a.times {
		if t.After(from) && t.Before(to) {
			return true
		}
	}
	return false
}

// ids are the rotating credentials.
func (p *person) ids() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for id := range p.all {
		ids = append(ids, id)
	}
	return ids
}
