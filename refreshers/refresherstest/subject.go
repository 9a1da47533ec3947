package refresherstest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Subject is one method in one situation: what it is called with, and how its
// provider answers when all is well. A method with several ways through, such as
// a session to touch or to begin, is several subjects.
type Subject struct {
	Method refreshers.Method
	// Credential is the stored document: valid, with secrets of eight characters
	// or more, and with a value in every secret field that the method reads.
	Credential credential.Credential
	// Current is what is published before; zero if nothing is.
	Current credential.Token
	// RefreshToken is the one to present; Rotating methods only.
	RefreshToken credential.Secret
	// Success are the answers of a provider with which all is well, one for each
	// request, in order.
	Success []refreshers.Answer
	// WithLifetime returns Success with the given raw JSON in the place of the
	// token's lifetime; nil if the answers have none.
	WithLifetime func(raw string) []refreshers.Answer
	// MaxLifetime is the longest that a token may be said to live; zero if the
	// method's tokens never expire.
	MaxLifetime time.Duration
	// Renewed is whether success brings a new token.
	Renewed bool
	// Headers and Query are the names of what success publishes.
	Headers, Query []string
	// InURL are the names of the secret fields that the provider wants in its
	// URLs; any other secret there is a failure.
	InURL []string
	// Secrets are further ones that nothing may show, such as the hash of a
	// password.
	Secrets []string
}

// resolved returns the credential as the protocol passes it on.
func (s Subject) resolved(t testing.TB) credential.Credential {
	t.Helper()
	_, c := Resolve(t, []refreshers.Method{s.Method}, s.Credential)
	return c
}

// anyURL stands in for the guard of URLs, which is not the method's business.
func anyURL(string, []string) error { return nil }

// call returns a Call that the method is tried with, whose maps are its own.
func (s Subject) call(t testing.TB, http refreshers.Doer) refreshers.Call {
	t.Helper()
	c, current := s.resolved(t), s.Current
	c.Fields, current.Headers, current.Query = maps.Clone(c.Fields), maps.Clone(current.Headers), maps.Clone(current.Query)
	return refreshers.Call{
		Credential:   c,
		RefreshToken: s.RefreshToken,
		Current:      current,
		Attempt:      "attempt-0123456789abcdef",
		HTTP:         http,
	}
}

// secrets returns all that the method is entrusted with.
func (s Subject) secrets() []string {
	all := slices.Clone(s.Secrets)
	for _, f := range s.Method.Fields {
		if value := s.Credential.Field(f.Name); f.Secret && value != "" {
			all = append(all, value)
		}
	}
	for _, secret := range append(slices.Collect(maps.Values(s.Current.Headers)), s.RefreshToken, s.Current.AccessToken) {
		if secret != "" {
			all = append(all, secret.Reveal())
		}
	}
	// A key in PEM is as bad to show by its lines.
	for _, secret := range all {
		if lines := strings.Split(secret, "\n"); len(lines) > 1 {
			all = append(all, slices.DeleteFunc(lines, func(l string) bool { return len(l) < window })...)
		}
	}
	return all
}

// hidden returns all that must not be seen: the secrets, what stood in answers,
// and what was sent in headers and bodies.
func (s Subject) hidden(requests []Request) []string {
	all := append(s.secrets(), marker)
	for _, r := range requests {
		for _, name := range []string{"Authorization", "Cookie"} {
			if value := r.Header.Get(name); value != "" {
				all = append(all, value)
			}
		}
		if len(r.Body) > window {
			all = append(all, r.Body)
		}
	}
	return all
}

// expires reports whether the method's tokens die.
func (s Subject) expires() bool { return s.MaxLifetime > 0 }
