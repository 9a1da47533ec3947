package providersim

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	ankorAudience  = "ankor.io"
	// ankorLeeway is how far ahead of ours the clock of a client may be.
	ankorLeeway = 5 * time.Second
	// ankorMaxAge is what exp less iat must be less than.
	ankorMaxAge = time.Hour
)

// refusal is why an assertion is refused: what the ledger says, what the answer says, and a word for a person.
type refusal struct{ result, code, why string }

func (a *Ankor) mint(r *request, e *Event) answer {
	switch {
	case r.Method != http.MethodPost:
		e.Result = ResultInvalidRequest
		return oauthError(http.StatusMethodNotAllowed, "invalid_request", "POST only")
	case r.form == nil || len(r.form["assertion"]) != 1:
		e.Result = ResultInvalidRequest
		return oauthError(http.StatusBadRequest, "invalid_request", "one assertion in a form is needed")
	case r.form.Get("grant_type") != jwtBearerGrant:
		e.Result = ResultUnsupported
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "only "+jwtBearerGrant)
	}
	assertion := r.form.Get("assertion")
	company, no := a.judge(assertion, r.now)
	if no != nil {
		e.Result = no.result
		return oauthError(http.StatusBadRequest, no.code, no.why)
	}
	lifetime := a.opts.announced(a.opts.AnkorLifetime)
	token := a.secrets.mint("at")
	a.tokens[token] = ankorToken{uri: company.spec.URI, expires: r.now.Add(lifetime)}
	e.Result, e.IssuedHash = ResultOK, Hash(token)
	doc := map[string]any{"access_token": token, "token_type": "Bearer"}
	company.spec.Expires.tell(doc, r.now, lifetime)
	return tokenAnswer(doc)
}

func (s ExpiresStyle) tell(doc map[string]any, now time.Time, lifetime time.Duration) {
	switch s {
	case ExpiresInText:
		doc["expires_in"] = strconv.FormatInt(seconds(lifetime), 10)
	case ExpiresSeconds:
		doc["expires"] = seconds(lifetime)
	case ExpiresEpoch:
		doc["expires"] = now.Add(lifetime).Unix()
	case ExpiresEpochMillis:
		doc["expires"] = now.Add(lifetime).UnixMilli()
	default:
		doc["expires_in"] = seconds(lifetime)
	}
}

// claimedIssuer reads who an assertion says it is from, for the ledger.
func claimedIssuer(assertion string) string {
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(assertion, claims); err != nil {
		return ""
	}
	iss, _ := claims["iss"].(string)
	return iss
}

// judge accepts an assertion once, and returns whose it is or why it is refused.
func (a *Ankor) judge(assertion string, now time.Time) (*ankorCompany, *refusal) {
	var company *ankorCompany
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation())
	_, err := parser.ParseWithClaims(assertion, claims, func(t *jwt.Token) (any, error) {
		keyID, _ := t.Header["kid"].(string)
		company = a.companies[keyID]
		if company == nil || company.revoked {
			return nil, errors.New("unknown kid")
		}
		return company.key, nil
	})
	if err != nil {
		return nil, &refusal{ResultInvalidGrant, "invalid_grant", "the signature cannot be verified"}
	}
	for _, judge := range []func(jwt.MapClaims, time.Time) *refusal{company.judgeNames, judgeTimes, company.judgeScopes} {
		if no := judge(claims, now); no != nil {
			return nil, no
		}
	}
	if jti, _ := claims["jti"].(string); jti != "" {
		key := company.spec.URI + " " + jti
		if _, used := a.seen[key]; used {
			return nil, &refusal{ResultReplay, "invalid_grant", "jti was used before"}
		}
		a.seen[key] = struct{}{}
	}
	return company, nil
}

// judgeNames wants the company as issuer and subject, and the audience as a string, which an array is not.
func (c *ankorCompany) judgeNames(claims jwt.MapClaims, _ time.Time) *refusal {
	for _, want := range [][2]string{{"iss", c.spec.URI}, {"sub", c.spec.URI}, {"aud", ankorAudience}} {
		if got, ok := claims[want[0]].(string); !ok || got != want[1] {
			return &refusal{ResultInvalidGrant, "invalid_grant", want[0] + " is wrong"}
		}
	}
	return nil
}

// judgeTimes compares with real time: assertions know nothing of Options.Factor.
func judgeTimes(claims jwt.MapClaims, now time.Time) *refusal {
	iat, hasIat := claims["iat"].(float64)
	exp, hasExp := claims["exp"].(float64)
	clock := float64(now.UnixMilli()) / 1000
	switch {
	case !hasIat || !hasExp:
		return &refusal{ResultInvalidGrant, "invalid_grant", "iat and exp are needed"}
	case iat > clock+ankorLeeway.Seconds():
		return &refusal{ResultInvalidGrant, "invalid_grant", "iat is in the future"}
	case exp-iat >= ankorMaxAge.Seconds():
		return &refusal{ResultInvalidGrant, "invalid_grant", "exp must be less than one hour after iat"}
	case exp <= clock:
		return &refusal{ResultExpired, "invalid_grant", "expired"}
	}
	return nil
}

func (c *ankorCompany) judgeScopes(claims jwt.MapClaims, _ time.Time) *refusal {
	scopes, ok := claims["scopes"].([]any)
	if !ok || len(scopes) == 0 {
		return &refusal{ResultInvalidScope, "invalid_scope", "scopes must be an array"}
	}
	for _, s := range scopes {
		if name, _ := s.(string); !slices.Contains(c.spec.Scopes, name) {
			return &refusal{ResultInvalidScope, "invalid_scope", "not a scope of this company"}
		}
	}
	return nil
}
