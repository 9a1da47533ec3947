package refresherstest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// marker stands in the body and headers of every bad answer, so that one that
// finds its way into an error is found.
const marker = "MARKER-of-an-answer"

// window is the length of a piece of a secret that is a leak by itself.
const window = 16

// forms returns the ways in which a secret could show: as it is, encoded as in
// a URL, a header or a JSON text, and each piece of it.
func forms(secret string) []string {
	quoted, _ := json.Marshal(secret) // a string always marshals
	all := []string{
		secret,
		url.QueryEscape(secret), url.PathEscape(secret),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.URLEncoding.EncodeToString([]byte(secret)),
		base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		hex.EncodeToString([]byte(secret)),
		strings.Trim(string(quoted), `"`),
	}
	for i := 0; i+window < len(secret); i++ {
		all = append(all, secret[i:i+window])
	}
	return all
}

// leaked returns one of the secrets that text holds in any form, shortened so
// that a failing test is no leak either, or "".
func leaked(text string, secrets []string) string {
	for _, s := range secrets {
		for _, form := range forms(s) {
			if strings.Contains(text, form) {
				return s[:4] + "…"
			}
		}
	}
	return ""
}

// CheckError fails the test if an error, however it is printed, shows one of the
// secrets.
func CheckError(t testing.TB, err error, secrets ...string) {
	t.Helper()
	texts := []string{credential.CodeOf(err)}
	for e := err; e != nil; e = errors.Unwrap(e) {
		texts = append(texts, fmt.Sprintf("%v|%+v|%#v|%q", e, e, e, e))
	}
	check(t, "the error", texts, secrets)
}

// CheckResult fails the test if a result, printed or marshalled, shows one of
// the secrets, or one of its own.
func CheckResult(t testing.TB, r refreshers.Result, secrets ...string) {
	t.Helper()
	for _, own := range []credential.Secret{r.AccessToken, r.RefreshToken} {
		if own != "" {
			secrets = append(secrets, own.Reveal())
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Errorf("the result does not marshal: %v", err)
	}
	check(t, "the result", append([]string{fmt.Sprintf("%v|%+v|%#v", r, r, r), string(text)}, r.Warnings...), secrets)
}

func check(t testing.TB, what string, texts, secrets []string) {
	t.Helper()
	if s := leaked(strings.Join(texts, "\n"), secrets); s != "" {
		t.Errorf("%s shows the secret, or the text of an answer, that begins with %q", what, s)
	}
}
