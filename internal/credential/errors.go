package credential

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what a failed renewal means for what happens next.
type Kind int

// The kinds of failure. KindTransient is the zero value, because whatever is
// unknown is worth another try.
const (
	// KindTransient: nothing was decided; try again after a backoff.
	KindTransient Kind = iota
	// KindRateLimited: the provider asks to slow down; RetryAfter may say for how long.
	KindRateLimited
	// KindAmbiguous: the request was sent and no usable answer came. Whether
	// the provider acted on it is unknown.
	KindAmbiguous
	// KindRejected: the provider refused the grant or key itself; a person must
	// authorize again.
	KindRejected
	// KindMisconfigured: a person must correct a field.
	KindMisconfigured
)

// String returns the kind as it stands in metrics and logs.
func (k Kind) String() string {
	switch k {
	case KindRateLimited:
		return "rate_limited"
	case KindAmbiguous:
		return "ambiguous"
	case KindRejected:
		return "rejected"
	case KindMisconfigured:
		return "misconfigured"
	default:
		return "transient"
	}
}

// CodeNotConnected is the Code of a request of which no byte was sent.
const CodeNotConnected = "not_connected"

// Error is the one type of failure that a provider or the way to it returns.
// It never holds a response body, a URL's query or a secret.
type Error struct {
	Kind     Kind
	Provider string
	// Code is a short word for metrics and logs, such as "invalid_grant" or
	// "http_503". It comes from a fixed set, never from what a provider sent.
	Code string
	// RetryAfter is how long the provider asked to wait, zero if it did not say.
	RetryAfter time.Duration
	Err        error
}

// Error says provider, code and cause, as far as they are known.
func (e *Error) Error() string {
	parts := make([]string, 0, 3)
	for _, s := range []string{e.Provider, e.Code} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Misconfigured returns a KindMisconfigured error.
func Misconfigured(provider, code string, err error) error {
	return &Error{Kind: KindMisconfigured, Provider: provider, Code: code, Err: err}
}

// KindOf returns the kind of err; KindTransient if it does not say.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindTransient
}

// CodeOf returns the code of err, or "unknown" if it has none.
func CodeOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok && e.Code != "" {
		return e.Code
	}
	return "unknown"
}

// RetryAfterOf returns how long err asks to wait, zero if it does not.
func RetryAfterOf(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// What the stores say, in words that those who use them share.
var (
	// ErrConflict: a check-and-set write found another version than it expected.
	ErrConflict = errors.New("the document changed in the meantime")
	// ErrNotFound: there is no such document.
	ErrNotFound = errors.New("not found")
	// ErrDeleted: the document was deleted, and Vault still says so. It is an ErrNotFound.
	ErrDeleted = fmt.Errorf("deleted: %w", ErrNotFound)
	// ErrLeaseHeld: another worker holds the tenant's lease.
	ErrLeaseHeld = errors.New("another worker holds the lease")
)
