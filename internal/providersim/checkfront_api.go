package providersim

import (
	"maps"
	"net/http"
	"strings"
)

const checkfrontAPIPath = "/api/"

func (c *Checkfront) describe(r *request) Event {
	switch path := r.URL.Path; {
	case path == checkfrontTokenPath, path+"/" == checkfrontTokenPath:
		return c.describeExchange(r)
	case path == checkfrontAuthorizePath, path+"/" == checkfrontAuthorizePath:
		return Event{Endpoint: EndpointAuthorize, Kind: KindAuthorize, Account: r.query.Get("client_id")}
	case strings.HasPrefix(path, checkfrontAPIPath):
		return c.describeAPI(r)
	default:
		return Event{Endpoint: EndpointOther, Kind: KindOther}
	}
}

func (c *Checkfront) describeExchange(r *request) Event {
	e := Event{Endpoint: EndpointToken, Kind: KindExchange}
	e.Account, _, _ = r.BasicAuth()
	if code := r.form.Get("code"); code != "" {
		e.Kind, e.TokenHash = KindCode, Hash(code)
		return e
	}
	token := r.form.Get("refresh_token")
	e.TokenHash = Hash(token)
	if ref, known := c.refresh[token]; known {
		e.Grant, e.Generation = ref.grant.ID, ref.generation
	}
	return e
}

func (c *Checkfront) describeAPI(r *request) Event {
	e := Event{Endpoint: EndpointAPI, Kind: KindAPI}
	if strings.HasSuffix(r.URL.Path, "/ping") {
		e.Kind = KindPing
		return e
	}
	if user, _, ok := r.BasicAuth(); ok {
		e.Kind, e.TokenHash, e.Account = KindVerify, Hash(user), c.pairs[user].name
		return e
	}
	token := checkfrontBearer(r)
	e.TokenHash = Hash(token)
	if ref, known := c.access[token]; known {
		e.Account, e.Grant, e.Generation = ref.grant.app.id, ref.grant.ID, ref.generation
	}
	return e
}

// checkfrontBearer returns the access token of the header or, as documented, of the query or the body; "" if there is none.
func checkfrontBearer(r *request) string {
	if token, ok := r.bearer(); ok {
		return token
	}
	if token := r.query.Get("access_token"); token != "" {
		return token
	}
	return r.form.Get("access_token")
}

func (c *Checkfront) serve(r *request, e *Event) answer {
	switch path := r.URL.Path; {
	case path == checkfrontTokenPath:
		return c.exchange(r, e)
	case path == checkfrontAuthorizePath:
		return c.authorize(r, e)
	case path+"/" == checkfrontTokenPath, path+"/" == checkfrontAuthorizePath:
		e.Result = ResultRedirect
		location := *r.URL
		location.Path += "/"
		return redirectAnswer(http.StatusMovedPermanently, location.RequestURI())
	case strings.HasPrefix(path, checkfrontAPIPath):
		return c.api(r, e)
	default:
		e.Result = ResultNotFound
		return htmlAnswer(http.StatusNotFound, "Not Found")
	}
}

// api serves everything below /api/: whatever is asked, the answer is about the account.
func (c *Checkfront) api(r *request, e *Event) answer {
	if strings.HasSuffix(r.URL.Path, "/ping") {
		e.Result = ResultOK
		return checkfrontAPIAnswer(http.StatusOK, "OK", nil)
	}
	if e.Result = c.judgeAPI(r); e.Result != ResultOK {
		return checkfrontAPIAnswer(http.StatusUnauthorized, "Unauthorized", nil)
	}
	return checkfrontAPIAnswer(http.StatusOK, "OK", map[string]any{"account": map[string]any{"name": "Simulated Tours"}})
}

// judgeAPI refuses a consumer key and secret like any Basic credentials that are no token pair.
func (c *Checkfront) judgeAPI(r *request) string {
	if user, password, ok := r.BasicAuth(); ok {
		if p, known := c.pairs[user]; known && p.secret == password {
			return ResultOK
		}
		return ResultRefused
	}
	token := checkfrontBearer(r)
	ref, known := c.access[token]
	switch {
	case token == "":
		return ResultAnonymous
	case !known || ref.grant.revoked || ref.grant.AccessToken != token:
		return ResultRefused
	case !r.now.Before(ref.grant.AccessExpires):
		return ResultExpired
	default:
		return ResultOK
	}
}

func checkfrontAPIAnswer(status int, text string, more map[string]any) answer {
	doc := map[string]any{"version": "3.0", "request": map[string]any{"status": text}}
	maps.Copy(doc, more)
	return jsonAnswer(status, doc)
}
