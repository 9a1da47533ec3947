package credential

import "time"

// Memo is what the queue remembers of a credential between two renewals. It is
// kept in Redis, so it holds no secret, and it may be lost at any time: all of
// it can be found again in Vault, but for the counts, which then start anew.
type Memo struct {
	Provider string `json:"p,omitempty"`
	Auth     string `json:"a,omitempty"`
	Status   Status `json:"s,omitempty"`
	// Failures counts the failed attempts since the last success, for the backoff.
	Failures int `json:"f,omitempty"`
	// Refusals counts the spaced refusals of a static credential.
	Refusals int `json:"r,omitempty"`
	// CredentialVersion is the version of the stored document that was last
	// acted on; another one means that a person edited it.
	CredentialVersion int `json:"v,omitempty"`
	// CredentialStoredAt is when Vault stored that version: the numbers begin anew when a
	// document's metadata is deleted, and go back when Vault is restored.
	CredentialStoredAt time.Time `json:"t,omitzero"`
	// ExpiresAt is the published token's expiry, zero if it has none.
	ExpiresAt time.Time `json:"e,omitzero"`
	// Dormant: only the grant is kept alive, and nobody uses the access token, so that
	// it is let expire between two rotations.
	Dormant bool `json:"d,omitempty"`
	// GrantExpiresAt is when a rotating grant's refresh token dies, zero if there is none.
	GrantExpiresAt time.Time `json:"g,omitzero"`
	// IntentSince is when the open intent of a rotating grant began, zero if there is none.
	IntentSince time.Time `json:"i,omitzero"`
	// SlotAt is the place that the rate limit gave to a renewal that had to
	// wait for it, zero if it has none.
	SlotAt time.Time `json:"l,omitzero"`
	// Forced asks for a renewal that is not due yet: a person or a reader asked.
	Forced bool `json:"n,omitempty"`
}

// ForgetGrant forgets what is remembered of a rotating grant.
func (m *Memo) ForgetGrant() { m.GrantExpiresAt, m.IntentSince = time.Time{}, time.Time{} }

// Expired reports whether the published token is past its expiry, and missed.
func (m Memo) Expired(now time.Time) bool {
	return !m.Dormant && !m.ExpiresAt.IsZero() && !m.ExpiresAt.After(now)
}

// Entry is one credential's place in the queue.
type Entry struct {
	ID ID
	// Due is when the credential next needs attention.
	Due  time.Time
	Memo Memo
}

// VersionGone is the CredentialVersion of a credential that was visited when Vault had no
// trace of it: whatever is stored there later is new.
const VersionGone = -1

// Edited reports whether a stored document is another than the one that was last
// acted on. One that was never acted on has its turn coming anyway.
func (m Memo) Edited(c Credential) bool {
	if m.CredentialVersion == 0 {
		return false
	}
	return c.Version != m.CredentialVersion || !m.CredentialStoredAt.IsZero() && !m.CredentialStoredAt.Equal(c.StoredAt)
}
