package checkfront

import (
	"context"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// tokenPair verifies a static key pair ("Authenticating with Token Pairs").
type tokenPair struct{}

// Renew implements refreshers.Refresher. It asks for the account, since "ping"
// answers without credentials too, and so proves nothing.
func (tokenPair) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	c := call.Credential
	headers := authorization(refreshers.Basic(c.Field("api_key"), c.Field("api_secret")))
	req, err := refreshers.Get(ctx, Provider, c.BaseURL+"/api/3.0/account")
	if err != nil {
		return refreshers.Result{}, err
	}
	refreshers.SetHeaders(req, headers)
	answer, err := call.Send(ctx, req)
	if err != nil {
		return refreshers.Result{}, err
	}
	if err := verified(answer); err != nil {
		return refreshers.Result{}, err
	}
	return refreshers.Result{Headers: headers}, nil
}

// verified returns nil if the answer proves that the key pair works: an account
// in JSON. A page in HTML proves nothing, whatever its status.
func verified(a refreshers.Answer) error {
	if a.Unauthorized() {
		return refreshers.Refused(Provider, a)
	}
	o, ok := a.Object()
	if !ok || !a.Successful() {
		return refreshers.Undecided(Provider, a)
	}
	if o.HasError() {
		return a.Fail(credential.KindTransient, Provider, "error_in_answer", "the answer holds an error in the place of the account")
	}
	return nil
}
