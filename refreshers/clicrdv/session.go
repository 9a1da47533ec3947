package clicrdv

import (
	"context"
	"net/http"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// session keeps a session alive ("Sessions").
type session struct {
	settings Settings
}

// Renew implements refreshers.Refresher: a touch if there is a session to touch,
// and a login if there is none or the touch does not prove that it lives.
func (m session) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	cookie, ok := m.touchable(call)
	if !ok {
		return m.login(ctx, call)
	}
	answer, err := probe(ctx, call, cookieHeader(cookie))
	if err != nil {
		return refreshers.Result{}, err
	}
	if r, ok := m.touched(call.Credential, answer, cookie); ok {
		return r, nil
	}
	if answer.WantsWait() {
		return refreshers.Result{}, refreshers.Undecided(Provider, answer)
	}
	r, err := m.login(ctx, call)
	if err == nil {
		r.Warnings = append(r.Warnings, "the session did not answer as one that lives; logged in again")
	}
	return r, err
}

// touchable returns the published cookie if it is worth a touch: it belongs to
// this key at this host, and the last touch is recent.
func (m session) touchable(call refreshers.Call) (string, bool) {
	current, c := call.Current, call.Credential
	cookie, ok := publishedCookie(current.Headers)
	if !ok || current.ExpiresAt.IsZero() || current.Query["apikey"] != c.Fields["api_key"] {
		return "", false
	}
	if current.BaseURL != "" && current.BaseURL != c.BaseURL && current.BaseURL != c.APIURL {
		return "", false
	}
	lastTouch := current.ExpiresAt.Add(-m.settings.IdleWindow)
	return cookie, m.settings.Now().Sub(lastTouch) <= m.settings.LatestTouch
}

// touched judges the answer to a touch; false means that it does not prove that
// the session lives. A cookie that is issued anew replaces the old one, which may
// end any time.
func (m session) touched(c credential.Credential, a refreshers.Answer, cookie string) (refreshers.Result, bool) {
	if standingOf(c, a) != loggedIn {
		return refreshers.Result{}, false
	}
	issued, state := sessionCookie(a)
	switch state {
	case cookieDeleted:
		return refreshers.Result{}, false
	case cookieIssued:
		r := m.result(c, issued, a.StartedAt)
		r.Renewed = issued != cookie
		return r, true
	default:
		return m.result(c, cookie, a.StartedAt), true
	}
}

// result returns what is published of a session that was used at the given time.
func (m session) result(c credential.Credential, cookie string, used time.Time) refreshers.Result {
	return refreshers.Result{
		ExpiresAt: used.Add(m.settings.IdleWindow),
		Headers:   cookieHeader(cookie),
		Query:     published(c),
	}
}

// login begins a new session. The first one of a credential also shows whether
// its probe can be relied on.
func (m session) login(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	req, err := loginRequest(ctx, call.Credential)
	if err != nil {
		return refreshers.Result{}, err
	}
	answer, err := call.Send(ctx, req)
	if err != nil {
		return refreshers.Result{}, err
	}
	cookie, err := judgeLogin(call.Credential, answer)
	if err != nil {
		return refreshers.Result{}, err
	}
	r := m.result(call.Credential, cookie, answer.StartedAt)
	if call.Current.Generation == 0 {
		if r, err = m.first(ctx, call, r, cookie); err != nil {
			return refreshers.Result{}, err
		}
	}
	r.Renewed = true
	return r, nil
}

// first probes a credential's first session, with the cookie and without. It
// returns the session as the probe left it.
func (m session) first(ctx context.Context, call refreshers.Call, r refreshers.Result, cookie string) (refreshers.Result, error) {
	answer, err := probe(ctx, call, cookieHeader(cookie))
	if err != nil {
		return r, err
	}
	after, ok := m.touched(call.Credential, answer, cookie)
	switch {
	case ok:
		return after, distinct(ctx, call)
	case standingOf(call.Credential, answer) == unclear && answer.Status != http.StatusNotFound:
		return r, refreshers.Undecided(Provider, answer)
	default:
		return r, indistinct("the user is answered like nobody, though logged in: it must be a path that this user may read")
	}
}
