package simulation

import (
	"fmt"
	"slices"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
)

// subject is a credential, and what people know of it.
type subject struct {
	id   credential.ID
	host string
	app  providersim.App
	// given are the refresh tokens that people were given, and seeds those that
	// they have stored, the last one newest.
	given, seeds []string
	paused       bool
	wrong        bool // its client_secret was mistyped
	dormant      bool
	// patient: the provider refuses to refresh while the access token lives, so people
	// store a seed only when that has expired.
	patient bool
	// waiting: a new seed is not stored yet.
	waiting bool
}

func (w *world) newSubject(i int) {
	s := &subject{id: credential.ID{Tenant: fmt.Sprintf("tenant-%d", i/2), Name: fmt.Sprintf("cred-%d", i)}}
	s.host = fmt.Sprintf("cred-%d.example", i)
	s.dormant = w.plan.rng.Float64() < .15
	s.patient = w.plan.rng.Float64() < .1
	s.app = w.sims.Checkfront.AddApp(providersim.AppSpec{RefreshAfterExpiryOnly: s.patient})
	w.book.authorized(s.app.RefreshToken)
	w.hosts[s.host] = s.id
	w.subjects = append(w.subjects, s)
	w.hand(s, s.app.RefreshToken, w.plan.between(0, 2*time.Minute))
}

func (w *world) subject(id credential.ID) *subject {
	return w.subjects[slices.IndexFunc(w.subjects, func(s *subject) bool { return s.id == id })]
}

// hand gives people a refresh token, which they store after a while.
func (w *world) hand(s *subject, seed string, after time.Duration) {
	s.waiting = true
	s.given = append(s.given, seed)
	if s.patient {
		after += accessLifetime
	}
	w.in(after, func() {
		s.waiting = false
		s.seeds = append(s.seeds, seed)
		w.put(s, 0)
	}).fixed = true
}

// put stores the credential, with the newest seed or, as Terraform might, an older one.
func (w *world) put(s *subject, older int) {
	if len(s.seeds) == 0 {
		return
	}
	fields := map[string]any{
		"provider": "checkfront", "base_url": "https://" + s.host, "client_id": s.app.ClientID,
		"client_secret": s.app.ClientSecret, "refresh_token": s.seeds[max(0, len(s.seeds)-1-older)],
	}
	if s.paused {
		fields["paused"] = "true"
	}
	if s.wrong {
		fields["client_secret"] = "mistyped"
	}
	if s.dormant {
		fields["keep"] = "grant"
	}
	c, err := credential.Parse(s.id, fields)
	if err != nil {
		w.t.Fatal(err)
	}
	w.vault.store(&c)
	w.lags.edited()
}

// authorize is a person who authorizes again and stores the new seed.
func (w *world) authorize(s *subject) {
	if s.waiting {
		return
	}
	seed, err := w.sims.Checkfront.Authorize(s.app.ClientID)
	if err != nil {
		w.t.Fatal(err)
	}
	w.book.authorized(seed)
	w.note("a person authorizes %s again", s.id)
	w.hand(s, seed, 0)
}

// planHappenings draws what happens when.
func (w *world) planHappenings() {
	rng := w.plan.rng
	for range rng.IntN(3) {
		w.outage(&w.vault.place, w.plan.moment(), w.plan.between(30*time.Second, 10*time.Minute))
	}
	for range rng.IntN(3) {
		w.outage(&w.redis.place, w.plan.moment(), w.plan.between(30*time.Second, 15*time.Minute))
	}
	for range rng.IntN(3) {
		w.in(w.plan.moment(), w.flush)
	}
	for range rng.IntN(4) {
		w.in(w.plan.moment(), func() {
			w.note("all leases expire early")
			clear(w.redis.leases)
		})
	}
	for range rng.IntN(3) {
		seat := w.seats[rng.IntN(len(w.seats))]
		w.in(w.plan.moment(), func() {
			if p := seat.process; p != nil {
				w.note("%s is told to stop", seat.name)
				w.tellToStop(p)
			}
		})
	}
	if rng.Float64() < .2 {
		w.planRestore()
	}
	for range rng.IntN(6) {
		w.planPerson(w.subjects[rng.IntN(len(w.subjects))])
	}
}

func (w *world) outage(at *place, begin, length time.Duration) {
	w.in(begin, func() {
		w.note("%s is away for %v", at.name, length)
		w.lags.disturb("", func() { at.down = true })
		w.redisForgot = w.redisForgot || at == &w.redis.place
	})
	w.in(begin+length, func() { w.endOutage(at) })
}

func (w *world) endOutage(at *place) {
	if !at.down {
		return
	}
	w.lags.disturb("", func() {})
	if at.down = false; at == &w.redis.place {
		w.lags.redisLoses()
	}
}

func (w *world) flush() {
	w.note("redis loses everything")
	w.redis.flush()
	w.redisForgot = true
	w.lags.redisLoses()
}

// planRestore has somebody restore Vault from an older copy.
func (w *world) planRestore() {
	var backup documents
	taken := w.plan.moment()
	begun := time.Now()
	w.in(taken, func() { backup = w.vault.documents.clone() })
	w.in(taken+w.plan.between(time.Second, 20*time.Minute), func() {
		if !w.chaos.Load() {
			return
		}
		w.note("vault is restored from a copy of %v", taken)
		w.book.restored(w.vault.documents, backup)
		w.vault.documents, w.restored, w.restoredAt = backup, true, time.Now()
		w.putBack = time.Since(begun) - taken
		w.lags.restored()
	})
}

// planPerson draws what a person does about a credential.
func (w *world) planPerson(s *subject) {
	at, later := w.plan.moment(), w.plan.between(time.Second, 15*time.Minute)
	change := func(what string, field *bool) {
		w.in(at, func() {
			w.note("a person has %s %s", what, s.id)
			*field = true
			w.put(s, 0)
		})
		w.in(at+later, func() {
			*field = false
			w.put(s, 0)
		})
	}
	switch w.plan.rng.IntN(7) {
	case 0, 1:
		w.in(at, func() { w.authorize(s) })
	case 2:
		w.in(at, func() {
			w.note("an older seed of %s is stored again", s.id)
			w.put(s, 1)
		})
		w.in(at+later, func() { w.put(s, 0) })
	case 3:
		change("paused", &s.paused)
	case 4:
		change("mistyped the secret of", &s.wrong)
	case 5:
		metadata := w.plan.rng.Float64() < .5
		w.in(at, func() {
			w.note("%s is deleted, its metadata too: %v", s.id, metadata)
			w.vault.remove(s.id, metadata)
			w.lags.edited()
		})
		w.in(at+later, func() { w.put(s, 0) })
	case 6:
		w.in(at, func() {
			w.note("a person takes the application of %s its authorizations away", s.id)
			if err := w.sims.Checkfront.RevokeGrant(s.app.ClientID); err != nil {
				w.t.Fatal(err)
			}
			for _, seed := range s.given {
				w.book.revoked(seed)
			}
		})
	}
}

// attend is the person who looks after what asks for one, every minute.
func (w *world) attend() {
	for _, s := range w.subjects {
		if w.vault.tokens[s.id].data.Status == credential.StatusNeedsAuthorization {
			w.authorize(s)
		}
	}
	if !w.over {
		w.in(time.Minute, w.attend)
	}
}
