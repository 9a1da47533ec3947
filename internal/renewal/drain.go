package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/refreshers"
)

// Drain commits the sealed answers that wait in this process's own spool. It
// needs no lease, since check-and-set decides, and costs nothing while the spool is empty. Call
// it at start and at every tick, one call at a time. It returns what was found to be
// in need of attention, by credential, so that the queue can be told.
func (e *Engine) Drain(ctx context.Context) []credential.ID {
	var touched []credential.ID
	for _, ref := range e.Escrow.Waiting() {
		if ctx.Err() != nil {
			break
		}
		if time.Now().Before(e.drainAfter[ref.Attempt]) {
			continue
		}
		if err := e.drainOne(ctx, ref); err != nil {
			e.drainAfter[ref.Attempt] = time.Now().Add(e.limits.StoreRetry)
			e.Log.Warn().Err(err).Str("tenant", ref.ID.Tenant).Str("credential", ref.ID.Name).Str("attempt", ref.Attempt).
				Msg("a sealed answer waits in the spool")
			continue
		}
		delete(e.drainAfter, ref.Attempt)
		touched = append(touched, ref.ID)
	}
	return touched
}

func (e *Engine) drainOne(ctx context.Context, ref escrow.Ref) error {
	v := e.newVisit(credential.Entry{ID: ref.ID})
	doc, version, err := e.Grants.Grant(ctx, ref.ID)
	if err != nil {
		return err
	}
	t := &turn{visit: v, grant: doc, version: version, leave: ctx.Done()}
	plain, err := e.Escrow.Read(ctx, ref)
	switch {
	case errors.Is(err, escrow.ErrUnreadable):
		e.setAside(ctx, v, ref, err)
		return nil
	case err != nil:
		return err
	case plain == nil:
		return nil // another goroutine has just dealt with it
	}
	v.cred, err = e.Credentials.Credential(ctx, ref.ID)
	if errors.Is(err, credential.ErrNotFound) {
		e.setAside(ctx, v, ref, err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the credential that a sealed answer belongs to: %w", err)
	}
	if v.method, v.cred, err = e.Methods.Resolve(v.cred, e.Provider.Guard); err != nil || v.method.Upkeep != refreshers.Rotating {
		return fmt.Errorf("the credential that a sealed answer belongs to cannot be used: %w", err)
	}
	if v.token, _, err = e.Tokens.Token(ctx, ref.ID); err != nil {
		return err
	}
	return e.drainInto(ctx, t, ref, plain)
}

// drainInto brings a sealed answer to the document that it belongs to.
func (e *Engine) drainInto(ctx context.Context, t *turn, ref escrow.Ref, plain []byte) error {
	result, startedAt, err := e.judge(ctx, t, plain)
	switch {
	case errors.Is(err, escrow.ErrUnreadable):
		e.setAside(ctx, t.visit, ref, err)
		return nil
	case err != nil: // no rotation
		return e.Escrow.Delete(ctx, ref)
	case t.grant.AccessToken == result.AccessToken:
		if err := e.publishGrant(ctx, t); err != nil { // committed; perhaps not published
			return err
		}
		return e.Escrow.Delete(ctx, ref)
	case t.grant.RefreshToken.Hash() != ref.Presented:
		e.setAside(ctx, t.visit, ref, errOvertaken)
		return nil
	}
	e.Observer.Event(EventRecovered, t.cred.Provider)
	t.log.Info().Str("attempt", ref.Attempt).Msg("a sealed answer is committed from the spool")
	outcome := e.keep(context.WithoutCancel(ctx), t, ref, result, startedAt, ResultRecovered)
	return outcome.Err
}
