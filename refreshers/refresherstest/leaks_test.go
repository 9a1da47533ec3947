package refresherstest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// recorder is a testing.TB that remembers that it was failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

const secret = "very|secret+key/%2b 0123456789"

func TestCheckErrorFindsLeaks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want bool
	}{
		"nothing":      {"the provider answered 500", false},
		"as it is":     {"key " + secret, true},
		"in a URL":     {"Get https://x/?k=" + url.QueryEscape(secret), true},
		"in a path":    {"Get https://x/" + url.PathEscape(secret), true},
		"in base64":    {base64.StdEncoding.EncodeToString([]byte(secret)), true},
		"a piece":      {"key …" + secret[5:22] + "…", true},
		"a short one":  {"key " + secret[:8], false},
		"in its quote": {fmt.Sprintf("%q", secret), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for where, err := range map[string]error{
				"the error": errors.New(tc.text),
				"a cause":   &credential.Error{Provider: "acme", Err: fmt.Errorf("wrapped: %w", errors.New(tc.text))},
				"the code":  &credential.Error{Code: tc.text},
			} {
				r := &recorder{TB: t}
				CheckError(r, err, secret)
				if r.failed != tc.want {
					t.Errorf("in %s: found %v", where, r.failed)
				}
			}
		})
	}
}

func TestCheckResultFindsLeaks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		r    refreshers.Result
		want bool
	}{
		"as it should be": {refreshers.Result{AccessToken: secret, Headers: map[string]credential.Secret{"Authorization": secret}, Warnings: []string{"odd"}}, false},
		"its own token":   {refreshers.Result{AccessToken: "another-token-0123456789", Warnings: []string{"odd: another-token-0123456789"}}, true},
		"in a warning":    {refreshers.Result{Warnings: []string{"odd", secret}}, true},
		"in the clear":    {refreshers.Result{TokenType: secret}, true},
		"a refresh token": {refreshers.Result{RefreshToken: "another-token-0123456789", TokenType: "another-token-0123456789"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			CheckResult(r, tc.r, secret)
			if r.failed != tc.want {
				t.Errorf("found %v", r.failed)
			}
		})
	}
}
