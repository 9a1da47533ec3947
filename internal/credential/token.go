package credential

import (
	"maps"
	"strconv"
	"time"
)

// Status says, to those who wait for a token, how its credential fares.
type Status string

// The statuses of a published token.
const (
	// StatusPending: never renewed yet.
	StatusPending Status = "pending"
	// StatusActive: the token serves.
	StatusActive Status = "active"
	// StatusRetrying: the last attempt failed; the token still serves.
	StatusRetrying Status = "retrying"
	// StatusExpired: the token is past its expiry; Refresher is still trying.
	StatusExpired Status = "expired"
	// StatusNeedsAuthorization: a person must authorize again.
	StatusNeedsAuthorization Status = "needs_authorization"
	// StatusMisconfigured: a person must correct a field.
	StatusMisconfigured Status = "misconfigured"
	// StatusPaused: a person asked that the provider not be called.
	StatusPaused Status = "paused"
	// StatusRemoved: the credential is gone and the token is blanked.
	StatusRemoved Status = "removed"
)

// Statuses are all statuses, in the order of the constants.
func Statuses() []Status {
	return []Status{
		StatusPending, StatusActive, StatusRetrying, StatusExpired,
		StatusNeedsAuthorization, StatusMisconfigured, StatusPaused, StatusRemoved,
	}
}

// Token is one document below tokens/: what other services read.
type Token struct {
	Provider string
	Auth     string
	// BaseURL is where readers call the provider's API.
	BaseURL string
	Status  Status
	// Headers and Query are ready to put on every call to BaseURL.
	Headers     map[string]Secret
	Query       map[string]Secret
	AccessToken Secret
	TokenType   string
	IssuedAt    time.Time
	// ExpiresAt is zero for a credential that never expires.
	ExpiresAt time.Time
	// RenewAt is when the document should be read again.
	RenewAt time.Time
	// Generation grows by one with every new token and never goes back.
	Generation int
	// Message tells a person what to do when Status is not active. Never a secret.
	Message string
}

// Serves reports whether the document holds something that a reader can use.
func (t Token) Serves() bool { return len(t.Headers) > 0 || len(t.Query) > 0 }

// Expired reports whether the token's lifetime is over at now.
func (t Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// Equal reports whether two documents say the same.
func (t Token) Equal(u Token) bool {
	return t.plain() == u.plain() &&
		maps.Equal(t.Headers, u.Headers) && maps.Equal(t.Query, u.Query) &&
		t.IssuedAt.Equal(u.IssuedAt) && t.ExpiresAt.Equal(u.ExpiresAt) && t.RenewAt.Equal(u.RenewAt)
}

// plain is what can be compared with ==.
func (t Token) plain() [8]string {
	return [...]string{
		t.Provider, t.Auth, t.BaseURL, string(t.Status), t.AccessToken.Reveal(), t.TokenType, t.Message, strconv.Itoa(t.Generation),
	}
}
