package refreshers

import (
	"time"

	"refresher/internal/credential"
)

// Upkeep says what keeping a credential alive consists of.
type Upkeep int

// The kinds of upkeep.
const (
	// Static: nothing expires; the key is verified now and then.
	Static Upkeep = iota
	// Minted: a new token is had for the asking.
	Minted
	// Session: a login that lives as long as it is used.
	Session
	// Rotating: a refresh token that can be spent once.
	Rotating
)

// String returns the upkeep in lower case.
func (u Upkeep) String() string {
	return [...]string{"static", "minted", "session", "rotating"}[u]
}

// Method is one way to authenticate at one provider.
type Method struct {
	Provider string
	Auth     string
	Upkeep   Upkeep
	// Fields are those that the stored document may have beside the common ones.
	Fields []Field
	// Check looks at fields together, after each was checked by itself; nil if
	// there is nothing to look at.
	Check func(credential.Credential) error
	// Hosts are the names that base_url and probe URLs may have: exact, or "*.example.com" for
	// all below a domain.
	Hosts []string
	// DefaultBaseURL returns the base URL of a credential that has none; nil if base_url is
	// required.
	DefaultBaseURL func(credential.Credential) string
	// DefaultAPIURL returns what readers call when the credential has no api_url; nil, or an
	// empty answer, means the base URL.
	DefaultAPIURL func(credential.Credential) string
	// BudgetKey returns what a rate limit counts by, beside the provider; nil if
	// all credentials of the provider share one. It is shown in no log.
	BudgetKey func(credential.Credential) string
	// Interval is the method's own time between two calls; zero means that it
	// follows from the token's lifetime.
	Interval func(credential.Credential) time.Duration
	// Render returns the headers that a reader puts on a call, for an access token
	// that the protocol finds in Vault; Rotating only.
	Render func(c credential.Credential, accessToken credential.Secret) map[string]credential.Secret
	// GrantLifetime is how long a refresh token lives; Rotating only.
	GrantLifetime time.Duration
	// DormantInterval is the time between two rotations of a credential of which only the
	// grant is kept alive; Rotating only.
	DormantInterval time.Duration
	Refresher       Refresher
}

// Field describes one field of a stored document.
type Field struct {
	Name     string
	Required bool
	// Secret fields are never shown.
	Secret bool
	// URL fields are called, so they are guarded like base_url.
	URL bool
	// Doc says in a few words what to put there.
	Doc string
	// Check returns an error that says what is wrong with a value; it never
	// repeats the value of a secret. Nil accepts anything that is not empty.
	Check func(value string) error
}

// Name returns "provider/auth".
func (m Method) Name() string { return m.Provider + "/" + m.Auth }
