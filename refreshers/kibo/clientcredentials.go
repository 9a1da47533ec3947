package kibo

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// clientCredentials exchanges an API key and its secret for an access token.
type clientCredentials struct {
	settings Settings
}

// Renew implements refreshers.Refresher: one call, and one more to the
// credential's probe_url if it has one.
func (m clientCredentials) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	c := call.Credential
	req, err := refreshers.PostForm(ctx, Provider, c.BaseURL+"/oauthserver/oauth2/token", url.Values{"grant_type": {"client_credentials"}})
	if err != nil {
		return refreshers.Result{}, err
	}
	req.Header.Set("Authorization", refreshers.Basic(c.Field("client_id"), c.Field("client_secret")).Reveal())
	answer, err := call.Send(ctx, req)
	if err != nil {
		return refreshers.Result{}, err
	}
	r, err := m.judge(answer)
	if err != nil {
		return refreshers.Result{}, err
	}
	r.Headers = map[string]credential.Secret{
		"Authorization": "Bearer " + r.AccessToken,
		"API-Key":       c.Fields["client_id"],
	}
	if c.Has("probe_url") {
		return probe(ctx, call, r)
	}
	return r, nil
}

// judge says what an answer of the token URL means ("A successful response").
func (m clientCredentials) judge(a refreshers.Answer) (refreshers.Result, error) {
	if err := refused(a); err != nil {
		return refreshers.Result{}, err
	}
	o, token, err := refreshers.MintedToken(Provider, a)
	if err != nil {
		return refreshers.Result{}, err
	}
	lifetime, odd := o.Lifetime("expires_in", m.settings.TokenLifetime)
	if odd == refreshers.OddNotPositive {
		return refreshers.Result{}, a.Fail(credential.KindTransient, Provider, refreshers.CodeBadLifetime, "the token is over as it is handed out")
	}
	r := refreshers.Result{Renewed: true, AccessToken: token, TokenType: "Bearer", ExpiresAt: a.StartedAt.Add(lifetime)}
	if odd != refreshers.OddNothing {
		r.Warnings = append(r.Warnings, fmt.Sprintf("expires_in %s; taken for %v", odd, lifetime))
	}
	return r, nil
}

// refused returns the error for an answer that throttles or refuses the key, and
// nil for any other.
func refused(a refreshers.Answer) error {
	if throttled(a) {
		return &credential.Error{
			Kind: credential.KindRateLimited, Provider: Provider, Code: refreshers.HTTPCode(a.Status), RetryAfter: wait(a),
			Err: errors.New("the plan's limit is reached"),
		}
	}
	o, _ := a.Object()
	if a.Successful() && o.Has("access_token") {
		return nil
	}
	code := o.OAuthCode()
	switch {
	case code == refreshers.CodeInvalidClient, code == refreshers.CodeUnauthorizedClient:
	case a.Status == http.StatusUnauthorized:
		code = refreshers.HTTPCode(a.Status)
	default:
		return nil
	}
	return refreshers.WrongFields(Provider, code, "the provider refuses them", "client_id", "client_secret")
}

// probe tries a new token. A token that is refused right after it was minted
// lacks a permission, and another one would lack it too. Whatever else goes
// wrong with the probe says nothing about the token, which is then published.
func probe(ctx context.Context, call refreshers.Call, r refreshers.Result) (refreshers.Result, error) {
	req, err := refreshers.Get(ctx, Provider, call.Credential.Field("probe_url"))
	if err != nil {
		return refreshers.Result{}, refreshers.WrongFields(Provider, "bad_field", "no request can be made of it", "probe_url")
	}
	refreshers.SetHeaders(req, r.Headers)
	answer, err := call.Send(ctx, req)
	switch {
	case err != nil:
		r.Warnings = append(r.Warnings, "the new token could not be tried: the probe got no answer")
	case throttled(answer):
		r.Warnings = append(r.Warnings, "the new token could not be tried: the plan's limit is reached")
	case answer.Unauthorized():
		return refreshers.Result{}, answer.Fail(credential.KindRejected, Provider, "token_refused", "the API refuses a token that was just minted: the key lacks a permission")
	case !answer.Successful():
		r.Warnings = append(r.Warnings, fmt.Sprintf("the new token could not be tried: the probe was answered %d", answer.Status))
	}
	return r, nil
}
