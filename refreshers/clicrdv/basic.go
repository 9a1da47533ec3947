package clicrdv

import (
	"context"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// basic verifies an e-mail address and password ("HTTP Basic").
type basic struct{}

// Renew implements refreshers.Refresher. The header is sent without waiting for a
// challenge, because none ever comes.
func (basic) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	c := call.Credential
	headers := map[string]credential.Secret{"Authorization": refreshers.Basic(c.Field("email"), c.Field("password"))}
	answer, err := probe(ctx, call, headers)
	if err != nil {
		return refreshers.Result{}, err
	}
	switch standingOf(c, answer) {
	case unclear:
		return refreshers.Result{}, refreshers.Undecided(Provider, answer)
	case anonymous:
		return refreshers.Result{}, refusedBasic(answer)
	}
	if call.Current.Generation == 0 {
		if err := distinct(ctx, call); err != nil {
			return refreshers.Result{}, err
		}
	}
	return refreshers.Result{Headers: headers, Query: published(c)}, nil
}

// refusedBasic is the error for an answer that takes the user for nobody, be it
// with 401 or 403, or with a 200 that lacks what a user is answered.
func refusedBasic(a refreshers.Answer) error {
	if a.Unauthorized() {
		return refreshers.Refused(Provider, a)
	}
	return a.Fail(credential.KindRejected, Provider, "not_logged_in", "the provider answers as if nobody had logged in")
}
