package refreshers

import (
	"context"
	"net/http"
	"time"

	"refresher/internal/credential"
)

// Refresher renews, verifies or keeps alive one credential at its provider.
//
// Renew makes the calls that the method needs through call.HTTP, and nothing
// else with side effects. It may be called at once from several goroutines for
// different credentials, and again for the same one at any time. It returns
// within the limits that the Doer sets.
//
// Errors are *credential.Error, and each kind has a meaning that the protocol
// acts on:
//
//   - KindTransient: nothing was decided, try again.
//   - KindRateLimited: the provider asked to slow down (429, or its own words for it).
//   - KindRejected: the grant, key or login itself was refused.
//   - KindMisconfigured: a person must correct a field; the error names it.
//   - KindAmbiguous: it cannot be known whether the provider acted.
//
// For a Rotating method there is more at stake. Renew calls HTTP.Do exactly once,
// with a request whose content depends on the Call alone, and judges the Answer
// without looking at the clock: it may be handed an answer that is hours old.
// Every kind but KindAmbiguous and KindRejected is taken as *proof* that the
// refresh token was not spent, so 5xx, redirects and unreadable answers are
// KindAmbiguous, and KindRejected is returned on an explicit invalid_grant alone.
// An answer that holds a new token is a Result whatever else is wrong with it.
type Refresher interface {
	Renew(ctx context.Context, call Call) (Result, error)
}

// Call is what a Refresher is given to work with.
type Call struct {
	// Credential is complete: checked against the method's fields, with BaseURL
	// filled in and without a trailing slash.
	Credential credential.Credential
	// RefreshToken is the living refresh token to present; Rotating methods only.
	RefreshToken credential.Secret
	// Current is what is published now; its Generation is zero if nothing is.
	Current credential.Token
	// Attempt is a random ID of this call.
	Attempt string
	// HTTP sends requests.
	HTTP Doer
}

// Doer sends one request to a provider and returns its answer.
//
// It follows no redirect, dials only the addresses that the configuration
// allows, and gives up after the configured time. An answer of any status is no
// error. A failure is a *credential.Error with a cause that shows no URL query:
// KindTransient with credential.CodeNotConnected if no byte was sent, else
// KindAmbiguous.
type Doer interface {
	Do(ctx context.Context, req *http.Request) (Answer, error)
}

// Answer is a provider's answer as it came.
type Answer struct {
	// StartedAt is when the request was started; lifetimes count from there.
	StartedAt time.Time
	Status    int
	Header    http.Header
	// Body holds at most the number of bytes that the Doer reads (1 MiB).
	Body []byte
	// Truncated means that the body was longer than Body, or broke off.
	Truncated bool
}

// Result is what a successful call brought.
type Result struct {
	// Renewed means that the token is a new one; the generation grows. Otherwise
	// the published one was verified, or its life extended.
	Renewed     bool
	AccessToken credential.Secret
	TokenType   string
	// ExpiresAt is when the token dies; zero if it never does.
	ExpiresAt time.Time
	// RefreshToken replaces the presented one; empty if the provider sent none,
	// which means that the presented one lives on.
	RefreshToken credential.Secret
	// Headers and Query are what a reader puts on every call.
	Headers map[string]credential.Secret
	Query   map[string]credential.Secret
	// Warnings are oddities worth a line in the log; never a secret.
	Warnings []string
}
