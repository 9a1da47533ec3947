package providersim

import (
	"net/http"
	"net/url"
	"time"
)

const (
	checkfrontTokenPath     = "/oauth/token/"
	checkfrontAuthorizePath = "/oauth/"
)

// exchange serves the token endpoint.
func (c *Checkfront) exchange(r *request, e *Event) answer {
	if r.Method != http.MethodPost {
		e.Result = ResultInvalidRequest
		return oauthError(http.StatusMethodNotAllowed, "invalid_request", "POST only")
	}
	id, secret, ok := r.BasicAuth()
	app := c.apps[id]
	if !ok || app == nil || app.secret != secret {
		e.Result = ResultInvalidClient
		return c.refuse(app, http.StatusUnauthorized, "invalid_client")
	}
	if r.form == nil || len(r.query) != 0 {
		e.Result = ResultInvalidRequest
		return c.refuse(app, http.StatusBadRequest, "invalid_request")
	}
	switch r.form.Get("grant_type") {
	case "refresh_token":
		return c.exchangeRefresh(app, r, e)
	case "authorization_code":
		return c.exchangeCode(app, r, e)
	default:
		e.Result = ResultUnsupported
		return c.refuse(app, http.StatusBadRequest, "unsupported_grant_type")
	}
}

func (c *Checkfront) exchangeRefresh(app *checkfrontApp, r *request, e *Event) answer {
	if !only(r.form, "grant_type", "refresh_token") {
		e.Result = ResultInvalidRequest
		return c.refuse(app, http.StatusBadRequest, "invalid_request")
	}
	ref := c.refresh[r.form.Get("refresh_token")]
	e.Result = ref.judge(app, r.now)
	if e.Result == ResultReuse {
		ref.grant.revoked = true
	}
	if e.Result != ResultOK {
		return c.refuse(app, http.StatusBadRequest, "invalid_grant")
	}
	g := ref.grant
	if r.keepToken {
		c.newAccess(g, r.now)
		e.IssuedHash = Hash(g.AccessToken)
		return tokenAnswer(map[string]any{"access_token": g.AccessToken, "expires_in": seconds(g.AccessExpires.Sub(r.now))})
	}
	c.rotate(g, r.now)
	return g.pairAnswer(r.now, e)
}

// judge says what presenting a refresh token means. A spent one is a reuse whatever else is wrong with it.
func (t tokenRef) judge(app *checkfrontApp, now time.Time) string {
	switch g := t.grant; {
	case g == nil || g.app != app:
		return ResultInvalidGrant
	case t.generation != g.Generation:
		return ResultReuse
	case g.revoked:
		return ResultInvalidGrant
	case !now.Before(g.RefreshExpires):
		return ResultExpired
	case app.spec.RefreshAfterExpiryOnly && now.Before(g.AccessExpires):
		return ResultTooEarly
	default:
		return ResultOK
	}
}

func (c *Checkfront) exchangeCode(app *checkfrontApp, r *request, e *Event) answer {
	if !only(r.form, "grant_type", "code", "redirect_uri") {
		e.Result = ResultInvalidRequest
		return c.refuse(app, http.StatusBadRequest, "invalid_request")
	}
	code := c.codes[r.form.Get("code")]
	e.Result = code.judge(app, r.form.Get("redirect_uri"), r.now)
	if e.Result == ResultReuse {
		code.grant.revoked = true // RFC 6749, section 4.1.2
	}
	if e.Result != ResultOK {
		return c.refuse(app, http.StatusBadRequest, "invalid_grant")
	}
	code.grant = c.newGrant(app, r.now)
	e.Grant = code.grant.ID
	return code.grant.pairAnswer(r.now, e)
}

func (k *checkfrontCode) judge(app *checkfrontApp, redirectURI string, now time.Time) string {
	switch {
	case k == nil || k.app != app || k.redirectURI != redirectURI:
		return ResultInvalidGrant
	case k.grant != nil:
		return ResultReuse
	case !now.Before(k.expires):
		return ResultExpired
	default:
		return ResultOK
	}
}

func (g *checkfrontGrant) pairAnswer(now time.Time, e *Event) answer {
	e.IssuedHash = Hash(g.RefreshToken)
	return tokenAnswer(map[string]any{
		"access_token":  g.AccessToken,
		"expires_in":    seconds(g.AccessExpires.Sub(now)),
		"refresh_token": g.RefreshToken,
	})
}

// refuse answers an error in the application's style. The application is nil if the client is unknown.
func (c *Checkfront) refuse(app *checkfrontApp, status int, code string) answer {
	style := ErrorString
	if app != nil {
		style = app.spec.Errors
	}
	switch style {
	case ErrorObject:
		return jsonAnswer(status, map[string]any{"error": map[string]any{"code": code, "title": "refused"}})
	case ErrorAt200:
		return jsonAnswer(http.StatusOK, map[string]any{"error": code})
	default:
		return jsonAnswer(status, map[string]any{"error": code})
	}
}

// authorize serves the page that a person is sent to, who approves at once.
func (c *Checkfront) authorize(r *request, e *Event) answer {
	app := c.apps[r.query.Get("client_id")]
	if app == nil {
		e.Result = ResultInvalidClient
		return htmlAnswer(http.StatusBadRequest, "Unknown application")
	}
	redirectURI := r.query.Get("redirect_uri")
	target, err := url.Parse(redirectURI)
	bad := err != nil || !target.IsAbs() || target.Host == "" || app.spec.RedirectURI != "" && app.spec.RedirectURI != redirectURI
	if bad || r.Method != http.MethodGet || r.query.Get("response_type") != "code" {
		e.Result = ResultInvalidRequest
		return htmlAnswer(http.StatusBadRequest, "Bad request")
	}
	code := c.secrets.mint("code")
	c.codes[code] = &checkfrontCode{
		app:         app,
		redirectURI: redirectURI,
		expires:     r.now.Add(c.opts.scaled(c.opts.CheckfrontCode)),
	}
	query := target.Query()
	query.Set("code", code)
	if state := r.query.Get("state"); state != "" && !app.spec.DropState {
		query.Set("state", state)
	}
	target.RawQuery = query.Encode()
	e.Result = ResultOK
	e.IssuedHash = Hash(code)
	return redirectAnswer(http.StatusFound, target.String())
}

// only tells whether the form has each of the fields once, not empty, and no other.
func only(form url.Values, fields ...string) bool {
	for _, f := range fields {
		if len(form[f]) != 1 || form.Get(f) == "" {
			return false
		}
	}
	return len(form) == len(fields)
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }
