package credential

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/rs/zerolog"
)

const redacted = "[redacted]"

// Secret is text that must never be shown. However it is printed, logged or
// marshalled it shows as "[redacted]"; only Reveal gives it away.
type Secret string

// Reveal returns the secret itself, for the one place that needs it: a request
// to its provider, or a document in Vault.
func (s Secret) Reveal() string { return string(s) }

// Hash returns the SHA-256 of the secret in hex, by which it can be recognised
// without being known. It suits secrets too long to guess: tokens, not passwords.
func (s Secret) Hash() string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// String implements fmt.Stringer without giving the secret away.
func (s Secret) String() string { return redacted }

// Format implements fmt.Formatter, so that no verb prints the secret.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalJSON implements json.Marshaler without giving the secret away.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler without giving the secret away.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML redacts the secret in YAML output.
func (s Secret) MarshalYAML() (any, error) { return redacted, nil }

// MarshalZerologObject implements zerolog.LogObjectMarshaler without giving the
// secret away.
func (s Secret) MarshalZerologObject(e *zerolog.Event) { e.Bool("redacted", true) }
