package ankor

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// grantType is that of RFC 7523, section 2.1.
const grantType = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// jwtBearer exchanges an assertion for an access token.
type jwtBearer struct {
	settings Settings
}

// Renew implements refreshers.Refresher. Every call signs an assertion of its
// own ("simply obtain a new token").
func (m jwtBearer) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	signed, expires, err := assertion(call.Credential, m.settings, call.Attempt)
	if err != nil {
		return refreshers.Result{}, err
	}
	req, err := refreshers.PostForm(ctx, Provider, call.Credential.BaseURL+"/iam/oauth/token", url.Values{
		"grant_type": {grantType},
		"assertion":  {signed},
	})
	if err != nil {
		return refreshers.Result{}, err
	}
	answer, err := call.Send(ctx, req)
	if err != nil {
		return refreshers.Result{}, err
	}
	return m.judge(answer, expires)
}

// judge says what an answer to an assertion means. The assertion's own end
// bounds the token's, whatever the answer says.
func (m jwtBearer) judge(a refreshers.Answer, assertionExpires time.Time) (refreshers.Result, error) {
	if err := refused(a); err != nil {
		return refreshers.Result{}, err
	}
	o, token, err := refreshers.MintedToken(Provider, a)
	if err != nil {
		return refreshers.Result{}, err
	}
	limit := a.StartedAt.Add(m.settings.TokenLifetime)
	if assertionExpires.Before(limit) {
		limit = assertionExpires
	}
	expires, odd := expiry(o, a.StartedAt, limit)
	if !expires.After(a.StartedAt) {
		return refreshers.Result{}, a.Fail(credential.KindTransient, Provider, refreshers.CodeBadLifetime, "the token is over as it is handed out")
	}
	r := refreshers.Result{
		Renewed:     true,
		AccessToken: token,
		TokenType:   "Bearer",
		ExpiresAt:   expires,
		Headers:     map[string]credential.Secret{"Authorization": "Bearer " + token},
	}
	if odd != refreshers.OddNothing {
		r.Warnings = append(r.Warnings, fmt.Sprintf("the token's lifetime %s; the assertion's is used", odd))
	}
	return r, nil
}

// refused returns the error for an answer that refuses the assertion or the one
// who made it (RFC 7523, section 3.1), and nil for any other.
func refused(a refreshers.Answer) error {
	if a.Status == http.StatusTooManyRequests {
		return nil
	}
	o, _ := a.Object()
	switch code := o.OAuthCode(); {
	case o.Has("access_token") && a.Successful():
		return nil
	case code == refreshers.CodeInvalidGrant:
		return a.Fail(credential.KindRejected, Provider, code, "the provider refuses the assertion: is the key revoked, or the clock wrong?")
	case code == refreshers.CodeInvalidScope:
		return refreshers.WrongFields(Provider, code, "the company may not ask for them", "scopes")
	case code == refreshers.CodeInvalidClient || code == refreshers.CodeUnauthorizedClient:
		return refreshers.WrongFields(Provider, code, "the provider does not know them", "company_uri", "key_id", "private_key")
	case a.Status == http.StatusUnauthorized:
		return refreshers.Refused(Provider, a)
	}
	return nil
}

// What a number in expires_in or expires stands for follows from its size,
// because clients of Ankor disagree about it.
const (
	maxSeconds      = 86_400 // up to here, seconds from now
	minEpochSeconds = 1e8    // from here, seconds since 1970
	minEpochMillis  = 1e12   // from here, milliseconds since 1970
)

// expiry returns when the token dies: what the answer says, but at most limit.
// It is limit too if the answer does not say or says something odd.
func expiry(o refreshers.Object, started, limit time.Time) (time.Time, refreshers.Oddity) {
	field := "expires_in"
	if !o.Has(field) {
		field = "expires"
	}
	if !o.Has(field) {
		return limit, refreshers.OddMissing
	}
	n, ok := o.Number(field)
	switch {
	case !ok:
		return limit, refreshers.OddNumber
	case n <= maxSeconds:
		return earlier(started.Add(time.Duration(max(n, 0)*float64(time.Second))), limit), refreshers.OddNothing
	case n < minEpochSeconds:
		return limit, refreshers.OddTooLong
	case n < minEpochMillis:
		return epoch(n, limit), refreshers.OddNothing
	default:
		return epoch(n/1000, limit), refreshers.OddNothing
	}
}

// epoch returns the time that epoch seconds stand for, at most limit.
func epoch(seconds float64, limit time.Time) time.Time {
	if seconds > float64(limit.Unix()+1) {
		return limit
	}
	whole, fraction := math.Modf(seconds)
	return earlier(time.Unix(int64(whole), int64(fraction*float64(time.Second))).UTC(), limit)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
