package providersim

import (
	"net/http"
	"strings"
	"time"
)

const (
	clicrdvCookie = "_session_id"
	clicrdvBase   = "/api/v1/"
	clicrdvLogin  = clicrdvBase + "sessions/login"
	clicrdvGroups = clicrdvBase + "groups"
)

// clicrdvPath drops the suffix that asks for JSON, which every path may have.
func clicrdvPath(r *request) string { return strings.TrimSuffix(r.URL.Path, ".json") }

func (c *ClicRDV) describe(r *request) Event {
	path := clicrdvPath(r)
	switch {
	case path == clicrdvLogin:
		_, email, password := loginFields(r)
		return Event{Endpoint: EndpointLogin, Kind: KindLogin, Account: email, TokenHash: Hash(password)}
	case !strings.HasPrefix(path, clicrdvBase):
		return Event{Endpoint: EndpointOther, Kind: KindOther}
	}
	e := Event{Endpoint: EndpointAPI, Kind: KindTouch}
	if email, password, ok := r.BasicAuth(); ok {
		e.Kind, e.Account, e.TokenHash = KindVerify, email, Hash(password)
		return e
	}
	if cookie, err := r.Cookie(clicrdvCookie); err == nil {
		e.TokenHash = Hash(cookie.Value)
		if s := c.sessions[cookie.Value]; s != nil {
			e.Account = s.user.Email
		}
	}
	return e
}

func (c *ClicRDV) serve(r *request, e *Event) answer {
	if e.Endpoint == EndpointOther {
		e.Result = ResultNotFound
		return htmlAnswer(http.StatusNotFound, "Not Found")
	}
	apiKey := r.query.Get("apikey") // never in the body
	anonymous, known := c.apiKeys[apiKey]
	if !known {
		e.Result = ResultUnknownKey
		return clicrdvError(http.StatusForbidden, "unknown apikey")
	}
	if e.Endpoint == EndpointLogin {
		return c.login(r, e, apiKey)
	}
	if r.Method != http.MethodGet {
		e.Result = ResultInvalidRequest
		return clicrdvError(http.StatusMethodNotAllowed, "simulated for reading only")
	}
	if email, password, ok := r.BasicAuth(); ok {
		e.Result = c.judgeBasic(apiKey, email, password)
		if e.Result == ResultOK {
			return records()
		}
		return refuseAnonymous(anonymous, r)
	}
	return c.touch(r, e, anonymous)
}

// loginFields returns the user's type, e-mail address and hashed password from the body or the URL; "" if there are none.
func loginFields(r *request) (userType, email, password string) {
	for _, values := range []map[string][]string{r.form, r.query} {
		for _, userType := range []string{"pro", "account"} {
			email, password := values[userType+"[email]"], values[userType+"[password]"]
			if len(email) == 1 && len(password) == 1 {
				return userType, email[0], password[0]
			}
		}
	}
	return "", "", ""
}

func (c *ClicRDV) login(r *request, e *Event, apiKey string) answer {
	userType, email, password := loginFields(r)
	u := c.users[userType+" "+email]
	switch {
	case r.Method != http.MethodPost || userType == "":
		e.Result = ResultInvalidRequest
		return clicrdvError(http.StatusBadRequest, "email and password are needed")
	case u == nil || u.APIKey != apiKey || u.PasswordSHA1 != password:
		e.Result = ResultRefused
		return jsonAnswer(http.StatusOK, map[string]any{userType: nil, "error": "Email ou mot de passe incorrect"})
	}
	id := c.newSession(u, r.now)
	e.Result, e.IssuedHash = ResultOK, Hash(id)
	return withSession(jsonAnswer(http.StatusOK, map[string]any{
		userType: map[string]any{"id": u.id, "email": u.Email, "firstname": "Sim", "lastname": "Ulated"},
		"error":  nil,
	}), id)
}

func (c *ClicRDV) judgeBasic(apiKey, email, password string) string {
	for _, userType := range []string{"pro", "account"} {
		u := c.users[userType+" "+email]
		if u != nil && u.APIKey == apiKey && u.Password == password {
			return ResultOK
		}
	}
	return ResultRefused
}

// touch serves a call with a session, or with nothing. A check is always told the truth and renews nothing.
func (c *ClicRDV) touch(r *request, e *Event, anonymous AnonymousAnswer) answer {
	if r.peek {
		anonymous = Anonymous403
	}
	cookie, err := r.Cookie(clicrdvCookie)
	if err != nil {
		e.Result = ResultAnonymous
		return refuseAnonymous(anonymous, r)
	}
	s := c.sessions[cookie.Value]
	if e.Result = c.judgeSession(s, r.now); e.Result != ResultOK {
		return refuseAnonymous(anonymous, r)
	}
	if r.peek {
		return records()
	}
	s.touched = r.now
	s.touches++
	if n := s.user.reissueEvery; n > 0 && s.touches%n == 0 {
		s.dead = true
		id := c.newSession(s.user, r.now)
		e.IssuedHash = Hash(id)
		return withSession(records(), id)
	}
	return records()
}

func (c *ClicRDV) judgeSession(s *clicrdvSession, now time.Time) string {
	switch {
	case s == nil || s.dead:
		return ResultRefused
	case !c.alive(s, now):
		return ResultExpired
	default:
		return ResultOK
	}
}

func records() answer {
	return jsonAnswer(http.StatusOK, map[string]any{
		"totalRecords": 1,
		"records":      []any{map[string]any{"id": 4, "name": "Simulated group"}},
	})
}

func refuseAnonymous(style AnonymousAnswer, r *request) answer {
	switch style {
	case Anonymous401:
		return clicrdvError(http.StatusUnauthorized, "not logged in")
	case AnonymousRedirect:
		return redirectAnswer(http.StatusFound, "/login")
	case AnonymousHTML:
		return htmlAnswer(http.StatusOK, "Connexion")
	case AnonymousJSON:
		return jsonAnswer(http.StatusOK, map[string]any{"error": nil})
	case AnonymousPublic:
		if clicrdvPath(r) == clicrdvGroups {
			return records()
		}
	}
	return clicrdvError(http.StatusForbidden, "not logged in")
}

func clicrdvError(status int, message string) answer {
	return jsonAnswer(status, map[string]any{"error": message})
}
