package checkfront

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// oauth2 exchanges a refresh token for a new pair ("Refresh Token").
type oauth2 struct {
	lifetime time.Duration
}

// Renew implements refreshers.Refresher. It sends one request, which depends on
// the call alone.
func (m oauth2) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	if call.RefreshToken == "" {
		return refreshers.Result{}, refreshers.WrongFields(Provider, "missing_field", "there is no refresh token to present", "refresh_token")
	}
	req, err := exchange(ctx, call)
	if err != nil {
		return refreshers.Result{}, err
	}
	answer, err := call.Send(ctx, req)
	if err != nil {
		return refreshers.Result{}, err
	}
	return m.judge(answer, call.RefreshToken)
}

// exchange builds the request: the two documented parameters, the consumer key
// and secret as HTTP Basic, and the slash at the end of the path, without which
// the server redirects.
func exchange(ctx context.Context, call refreshers.Call) (*http.Request, error) {
	c := call.Credential
	req, err := refreshers.PostForm(ctx, Provider, c.BaseURL+"/oauth/token/", url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {call.RefreshToken.Reveal()},
	})
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", refreshers.Basic(c.Field("client_id"), c.Field("client_secret")).Reveal())
	return req, nil
}

// judge says what an answer means. It knows no clock, since the answer may have
// lain in a spool. Checkfront documents no error at all, so an answer proves
// only what it says outright.
func (m oauth2) judge(a refreshers.Answer, presented credential.Secret) (refreshers.Result, error) {
	o, readable := a.Object()
	if readable && a.Successful() {
		if token, ok := o.Text("access_token"); ok && token != "" {
			return m.rotated(a, o, credential.Secret(token), presented), nil
		}
	}
	if a.Status == http.StatusTooManyRequests {
		return refreshers.Result{}, a.Fail(credential.KindRateLimited, Provider, refreshers.HTTPCode(a.Status), "the provider asks to slow down")
	}
	switch o.OAuthCode() {
	case refreshers.CodeInvalidGrant:
		return refreshers.Result{}, a.Fail(credential.KindRejected, Provider, refreshers.CodeInvalidGrant, "the provider refuses the refresh token")
	case refreshers.CodeInvalidClient:
		return refreshers.Result{}, refreshers.WrongFields(Provider, refreshers.CodeInvalidClient, "the provider refuses the application", "client_id", "client_secret")
	}
	return refreshers.Result{}, a.Fail(credential.KindAmbiguous, Provider, ambiguousCode(a, o), fmt.Sprintf("the provider answered %d and no token that can be read", a.Status))
}

// rotated makes the most of an answer with a new access token. The presented
// refresh token is spent by now, so nothing that is odd may lose the new one.
func (m oauth2) rotated(a refreshers.Answer, o refreshers.Object, token, presented credential.Secret) refreshers.Result {
	r := refreshers.Result{
		Renewed:     true,
		AccessToken: token,
		TokenType:   tokenType,
		Headers:     authorization(tokenType + " " + token),
	}
	warn := func(text string) { r.Warnings = append(r.Warnings, text) }

	lifetime, odd := o.Lifetime("expires_in", m.lifetime)
	if odd != refreshers.OddNothing {
		lifetime = m.lifetime
		warn(fmt.Sprintf("expires_in %s; taken for %v", odd, lifetime))
	}
	r.ExpiresAt = a.StartedAt.Add(lifetime)

	refresh, _ := o.Text("refresh_token")
	switch credential.Secret(refresh) {
	case "":
		warn("the answer has no refresh token; the presented one is kept")
	case presented:
		warn("the answer repeats the presented refresh token; it is kept with its date of issue")
	default:
		r.RefreshToken = credential.Secret(refresh)
	}

	if !refreshers.Printable(token.Reveal()) {
		warn("the access token has characters that a header cannot hold")
	}
	if !o.Bearer() {
		warn("the token is said to be of another type than bearer")
	}
	if o.HasError() {
		warn("the answer has an error beside its token")
	}
	return r
}

// ambiguousCode returns the code of an answer after which nobody knows whether
// the refresh token was spent.
func ambiguousCode(a refreshers.Answer, o refreshers.Object) string {
	if code := o.OAuthCode(); code != "" {
		return code
	}
	switch {
	case a.Successful() && !a.Empty():
		return refreshers.CodeNoToken
	case a.Successful():
		return refreshers.CodeUnreadable
	case a.Status >= 300 && a.Status < 400:
		return refreshers.CodeRedirect
	default:
		return refreshers.HTTPCode(a.Status)
	}
}
