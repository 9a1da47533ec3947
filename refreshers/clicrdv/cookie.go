package clicrdv

import (
	"net/http"
	"strings"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// cookieName is the session's cookie ("Set-Cookie: _session_id=…").
const cookieName = "_session_id"

// cookieState says what an answer did to the session's cookie.
type cookieState int

const (
	cookieUntouched cookieState = iota
	cookieIssued
	cookieDeleted
)

// sessionCookie returns the session's cookie of an answer, as name=value. Of
// several, the last one counts, as in a browser.
func sessionCookie(a refreshers.Answer) (string, cookieState) {
	found, state := "", cookieUntouched
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.Name != cookieName {
			continue
		}
		gone := c.Value == "" || c.MaxAge < 0 || c.MaxAge == 0 && !c.Expires.IsZero() && !c.Expires.After(a.StartedAt)
		if gone {
			found, state = "", cookieDeleted
			continue
		}
		sent := http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted}
		found, state = sent.String(), cookieIssued
	}
	return found, state
}

// cookieHeader returns the published headers of a session.
func cookieHeader(cookie string) map[string]credential.Secret {
	return map[string]credential.Secret{"Cookie": credential.Secret(cookie)}
}

// publishedCookie returns the cookie that cookieHeader published, if there is one.
func publishedCookie(headers map[string]credential.Secret) (string, bool) {
	cookie := headers["Cookie"].Reveal()
	value, ok := strings.CutPrefix(cookie, cookieName+"=")
	return cookie, ok && value != ""
}
