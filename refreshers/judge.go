package refreshers

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"refresher/internal/credential"
)

// The codes of errors that answers are given here, beside "http_<status>" and
// the OAuth codes.
const (
	// CodeUnreadable: a body that is not the JSON that was expected.
	CodeUnreadable = "unreadable"
	// CodeNoToken: a success in which no token was found, and which is no page for a
	// browser. A rotated token may be in it, cut short or in a form that is not known yet.
	CodeNoToken = "no_token"
	// CodeRedirect: the provider wants to send us elsewhere; nobody follows.
	CodeRedirect = "redirect"
	// CodeBadLifetime: a token whose lifetime is over as it is handed out.
	CodeBadLifetime = "bad_lifetime"
	// CodeBadToken: a token that cannot be put in a header, or of another type
	// than bearer.
	CodeBadToken = "bad_token"
)

// HTTPCode returns the error code for a status, such as "http_503".
func HTTPCode(status int) string {
	if status < 100 || status > 999 {
		return "http_unknown"
	}
	return fmt.Sprintf("http_%d", status)
}

// Fail returns an error of the given kind for this answer, with the wait that
// the answer asks for. The text must be the program's own: nothing of the answer.
func (a Answer) Fail(kind credential.Kind, provider, code, text string) error {
	return &credential.Error{Kind: kind, Provider: provider, Code: code, RetryAfter: a.RetryAfter(), Err: errors.New(text)}
}

// Successful reports whether the status is one of 2xx.
func (a Answer) Successful() bool { return a.Status >= 200 && a.Status < 300 }

// Empty reports whether there is nothing in the body, or only a page for a browser.
func (a Answer) Empty() bool {
	body := bytes.TrimSpace(a.Body)
	return len(body) == 0 || body[0] == '<'
}

// Unauthorized reports whether the status is 401 or 403.
func (a Answer) Unauthorized() bool {
	return a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden
}

// Undecided returns the error for an answer that says nothing about the
// credential: KindRateLimited for 429, else KindTransient. It is for methods
// that can simply call again, never for a rotation, and it is the last resort:
// whatever an answer does say about the credential is for the method to find first.
func Undecided(provider string, a Answer) error {
	switch {
	case a.Status == http.StatusTooManyRequests:
		return a.Fail(credential.KindRateLimited, provider, HTTPCode(a.Status), "the provider asks to slow down")
	case a.Successful():
		return a.Fail(credential.KindTransient, provider, CodeUnreadable, "the answer is not what the provider documents")
	case a.Status >= 300 && a.Status < 400:
		return a.Fail(credential.KindTransient, provider, CodeRedirect, "the answer is a redirect, which is never followed")
	}
	code := HTTPCode(a.Status)
	if o, ok := a.Object(); ok && a.Status < 500 {
		if oauth := o.OAuthCode(); oauth != "" {
			code = oauth
		}
	}
	return a.Fail(credential.KindTransient, provider, code, fmt.Sprintf("the provider answered %d", a.Status))
}

// WantsWait reports whether the answer asks not to be called for a while: 429, or
// a 5xx with Retry-After. Another call at once would be rude.
func (a Answer) WantsWait() bool {
	return a.Status == http.StatusTooManyRequests || a.Status >= 500 && a.RetryAfter() > 0
}

// Refused returns the KindRejected error for an answer in which a provider
// refuses a key with 401 or 403.
func Refused(provider string, a Answer) error {
	return a.Fail(credential.KindRejected, provider, HTTPCode(a.Status), "the provider refuses the credentials")
}

// WrongFields returns a KindMisconfigured error that names fields of the stored
// credential. The text says what is wrong with them and nothing that is secret.
func WrongFields(provider, code, text string, fields ...string) error {
	quoted := make([]string, len(fields))
	for i, f := range fields {
		quoted[i] = fmt.Sprintf("%q", f)
	}
	word := "field "
	if len(fields) > 1 {
		word = "fields "
	}
	return credential.Misconfigured(provider, code, errors.New(word+strings.Join(quoted, ", ")+": "+text))
}

// MintedToken returns the access token of a 2xx answer to a method that mints.
// A token of another type than bearer (RFC 6749, section 7.1) or one that no
// header can hold is an error, as is an answer without one: minting again costs
// one call, publishing what no reader can use costs an outage.
func MintedToken(provider string, a Answer) (Object, credential.Secret, error) {
	o, ok := a.Object()
	if !ok || !a.Successful() {
		return nil, "", Undecided(provider, a)
	}
	token, ok := o.Text("access_token")
	if !ok {
		return nil, "", Undecided(provider, a)
	}
	if !Printable(token) || !o.Bearer() {
		return nil, "", a.Fail(credential.KindTransient, provider, CodeBadToken, "the token is not one that a bearer header can hold")
	}
	return o, credential.Secret(token), nil
}
