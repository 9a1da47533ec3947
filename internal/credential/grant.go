package credential

import (
	"slices"
	"time"
)

// GrantState says where a rotating grant stands.
type GrantState string

// The states of a grant. Only a check-and-set write moves a grant from one to
// another.
const (
	// GrantIdle: the refresh token is known to be unspent.
	GrantIdle GrantState = "idle"
	// GrantIntent: a worker said that it would present the refresh token, and
	// has not said what came of it.
	GrantIntent GrantState = "intent"
	// GrantDead: the provider refused the refresh token for good. A new seed
	// brings the grant back to life.
	GrantDead GrantState = "dead"
)

// Grant is one document below grants/: the living refresh token of a rotating
// method, and what is being done with it. Refresher alone reads and writes it.
type Grant struct {
	State        GrantState
	RefreshToken Secret
	// RefreshTokenIssuedAt is when the provider issued the refresh token; its
	// lifetime counts from there.
	RefreshTokenIssuedAt time.Time
	// Generation is the number of the access token below; it grows by one with
	// every rotation, across seeds.
	Generation  int
	AccessToken Secret
	TokenType   string
	// IssuedAt and ExpiresAt are the access token's.
	IssuedAt  time.Time
	ExpiresAt time.Time
	// Intent is the open intent while State is GrantIntent.
	Intent *Intent
	// Seeds are the hashes of the seeds adopted so far, oldest first.
	Seeds []string
}

// Intent is a worker's word, written before the refresh token is presented.
type Intent struct {
	// Attempt is the random ID of this presentation; its sealed answer is kept under it.
	Attempt string
	// Owner is the identity of the spool that the answer will go to.
	Owner   string
	BeganAt time.Time
	// Probe says that the token may have been presented before, and that this
	// presentation is a recorded exception.
	Probe bool
	// NotBefore, if set, keeps the next probe back until then: the provider
	// refused the token before the access token had expired.
	NotBefore time.Time
	// Claim says that another owner announced itself and has not presented the
	// token yet.
	Claim bool
	// Foreign says that another owner presented the token before, and may hold an answer.
	Foreign bool
	// Earlier are the attempts that presented the same token before and whose
	// answers may still turn up, oldest first.
	Earlier []string
}

// Adopted reports whether a seed was adopted before, now or long ago.
func (g Grant) Adopted(seed Secret) bool { return slices.Contains(g.Seeds, seed.Hash()) }

// Clone returns a copy that shares nothing with g.
func (g Grant) Clone() Grant {
	g.Seeds = slices.Clone(g.Seeds)
	if g.Intent != nil {
		intent := *g.Intent
		intent.Earlier = slices.Clone(intent.Earlier)
		g.Intent = &intent
	}
	return g
}
