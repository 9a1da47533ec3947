package refresherstest

import (
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// testLifetimes gives lifetimes of all kinds, as the raw JSON that an answer has.
func (s Subject) testLifetimes(t *testing.T) {
	if s.WithLifetime == nil {
		return // nothing in the method's answers is a lifetime
	}
	for _, raw := range []string{"60", `"60"`, `" 60 "`, "60.0", "6e1"} {
		t.Run("a minute as "+raw, func(t *testing.T) {
			t.Parallel()
			s.testMinute(t, raw)
		})
	}
	for _, raw := range []string{
		"0", `"0"`, "-1", `"-60"`, "1e-300", "-1e999", // over at once
		"null", `""`, `"soon"`, "true", "[60]", `{"s":60}`, `"Infinity"`, `"NaN"`, `"0x3c"`, // no number
	} {
		t.Run("odd as "+raw, func(t *testing.T) {
			t.Parallel()
			if warnings := s.testOdd(t, raw); warnings == 0 {
				t.Error("nobody is warned")
			}
		})
	}
	for _, raw := range []string{"1e300", "1e999", "99999999999999999999", `"99999999999999999999"`} {
		t.Run("endless as "+raw, func(t *testing.T) {
			t.Parallel()
			s.testOdd(t, raw) // no warning is needed: the limit is as good an answer
		})
	}
}

func (s Subject) testMinute(t *testing.T, raw string) {
	r, _, err := s.renew(t, Answers(s.WithLifetime(raw)...)...)
	if err != nil {
		t.Fatal(err)
	}
	s.checkResult(t, r)
	if want := Start().Add(time.Minute); !r.ExpiresAt.Equal(want) || len(r.Warnings) > 0 {
		t.Errorf("expires at %v, want %v; warnings are %q", r.ExpiresAt, want, r.Warnings)
	}
}

// testOdd checks that a lifetime is clamped or, where another call costs nothing,
// refused. It returns the number of warnings; an error counts as one.
func (s Subject) testOdd(t *testing.T, raw string) int {
	t.Helper()
	r, _, err := s.renew(t, Answers(s.WithLifetime(raw)...)...)
	if err == nil {
		s.checkResult(t, r)
		return len(r.Warnings)
	}
	if s.Method.Upkeep == refreshers.Rotating || credential.KindOf(err) != credential.KindTransient {
		t.Errorf("%v (%v)", err, credential.KindOf(err))
	}
	return 1
}
