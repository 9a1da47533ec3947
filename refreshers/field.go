package refreshers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"refresher/internal/credential"
)

// CheckKey is a Field.Check for a key or token: it refuses spaces around it and
// control characters, which are what a copy from a file or a terminal leaves. It
// repeats nothing of the value.
func CheckKey(value string) error {
	if strings.TrimSpace(value) != value {
		return errors.New("has a space or a line break at its beginning or end")
	}
	return CheckPassword(value)
}

// CheckPassword is a Field.Check for what a person chose: it refuses control
// characters, which neither a header nor HTTP Basic can carry (RFC 7617,
// section 2). It repeats nothing of the value.
func CheckPassword(value string) error {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return errors.New("has a line break or another control character in it")
	}
	return nil
}

// CheckUser is a Field.Check for the first half of HTTP Basic, which cannot hold
// a colon (RFC 7617, section 2). It repeats nothing of the value.
func CheckUser(value string) error {
	if strings.Contains(value, ":") {
		return errors.New("has a colon in it, which HTTP Basic cannot carry")
	}
	return CheckKey(value)
}

// CheckOneOf returns a Field.Check that accepts the given words alone.
func CheckOneOf(words ...string) func(string) error {
	return func(value string) error {
		if slices.Contains(words, value) {
			return nil
		}
		return fmt.Errorf("must be one of %s", strings.Join(words, ", "))
	}
}

// CheckTime is a Field.Check for a time as RFC 3339 writes it.
func CheckTime(value string) error {
	if _, err := time.Parse(time.RFC3339, value); err != nil {
		return errors.New("must be a time such as 2026-01-31T12:00:00Z")
	}
	return nil
}

// Every returns a Method.Interval that is the same for every credential.
func Every(d time.Duration) func(credential.Credential) time.Duration {
	return func(credential.Credential) time.Duration { return d }
}
