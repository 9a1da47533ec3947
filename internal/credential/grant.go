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
	Generation int
	// Rotation is how often the refresh token was replaced since the last seed: the place
	// of RefreshToken in the life of its authorization.
	Rotation    int
	AccessToken Secret
	TokenType   string
	// IssuedAt and ExpiresAt are the access token's.
	IssuedAt  time.Time
	ExpiresAt time.Time
	// Intent is the open intent while State is GrantIntent.
	Intent *Intent
	// Seeds are the hashes of the seeds seen so far; the last one is that of the
	// authorization that RefreshToken comes from.
	Seeds []string
	// Former are short hashes of the refresh tokens that the grant held before,
	// the latest of them, oldest first. A copy of one is no new authorization.
	Former []string
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

const (
	// formerKept is more than are rotated while a refresh token lives: at the
	// default pace, of 27 days.
	formerKept = 256
	// formerSize is enough of a hash to tell a thousand tokens apart.
	formerSize = 16
)

// Replace puts another refresh token into the grant, and remembers the one that
// was there. The same one again changes nothing.
func (g *Grant) Replace(token Secret) {
	if g.RefreshToken != "" && g.RefreshToken != token {
		g.Former = append(slices.Clone(g.Former), g.RefreshToken.Hash()[:formerSize])
		g.Former = g.Former[max(0, len(g.Former)-formerKept):]
	}
	g.RefreshToken = token
}

// Held reports whether a token is, or was, the grant's own.
func (g Grant) Held(token Secret) bool {
	return token == g.RefreshToken || slices.Contains(g.Former, token.Hash()[:formerSize])
}

// Remember takes a seed down as seen that is not adopted. The last seed stays the
// last one.
func (g *Grant) Remember(seed Secret) {
	g.Seeds = slices.Insert(slices.Clone(g.Seeds), max(0, len(g.Seeds)-1), seed.Hash())
}

// Adopted reports whether a seed was adopted before, now or long ago.
func (g Grant) Adopted(seed Secret) bool { return slices.Contains(g.Seeds, seed.Hash()) }

// Clone returns a copy that shares nothing with g.
func (g Grant) Clone() Grant {
	g.Seeds, g.Former = slices.Clone(g.Seeds), slices.Clone(g.Former)
	if g.Intent != nil {
		intent := *g.Intent
		intent.Earlier = slices.Clone(intent.Earlier)
		g.Intent = &intent
	}
	return g
}
