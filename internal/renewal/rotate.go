package renewal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/refreshers"
)

// turn is a visit to a rotating grant: the document, what is known of its version,
// and the token to present.
type turn struct {
	*visit
	grant credential.Grant
	read  reading
	// leave ends the retries of a commit: the process is stopping, and the answer
	// is sealed. It is nil while the answer is nowhere else.
	leave <-chan struct{}
	// adopting: the next intent brings in a new seed.
	adopting bool
}

// rotate keeps a rotating grant alive: steps 2 to 9 of the protocol.
func (e *Engine) rotate(ctx context.Context, v *visit) Outcome {
	grant, read, err := e.readGrant(ctx, v.entry.ID)
	if credential.KindOf(err) == credential.KindMisconfigured {
		return e.failed(ctx, v, err) // someone changed the document by hand
	}
	if err != nil {
		return e.storeFailed(v, err)
	}
	t := &turn{visit: v, grant: grant, read: read}
	noteGrant(&t.memo, t.grant, t.method)
	if grant.Generation > v.token.Generation {
		if err := e.publishGrant(ctx, t); err != nil { // a commit whose worker died before publishing
			return e.storeFailed(v, err)
		}
	}
	fresh, err := e.newAuthorization(ctx, t)
	switch {
	case err != nil:
		return e.storeFailed(v, err)
	case fresh && !v.cred.Paused:
		e.adoptSeed(t)
	}
	if outcome, done := e.recoverSealed(ctx, t); done {
		return outcome
	}
	if t.adopting {
		return e.present(ctx, t, false)
	}
	if v.cred.Paused {
		return e.paused(ctx, v)
	}
	return e.carryOut(ctx, t)
}

// newAuthorization reports whether the stored seed was never used before: a
// person authorized, first or again. A stale one is taken down as seen.
func (e *Engine) newAuthorization(ctx context.Context, t *turn) (bool, error) {
	seed := t.seed()
	if t.grant.Adopted(seed) {
		return false, nil
	}
	stale, err := e.staleSeed(ctx, t, seed)
	switch {
	case err != nil:
		t.log.Warn().Err(err).Msg("whether the stored refresh_token is a new one cannot be known yet; the living grant is kept meanwhile")
		return false, nil
	case stale:
		return false, e.rememberSeed(ctx, t, seed)
	default:
		return true, nil
	}
}

// seed is the refresh token that a person stored.
func (v *visit) seed() credential.Secret { return credential.Secret(v.cred.Field("refresh_token")) }

// staleSeed reports whether a seed that was never adopted is nevertheless no new
// authorization: somebody copied the living token, or an older one of this
// service's own. It must not take a living grant's place, nor be presented again.
func (e *Engine) staleSeed(ctx context.Context, t *turn, seed credential.Secret) (bool, error) {
	if t.grant.Held(seed) {
		return true, nil // whatever the spent list has forgotten
	}
	if t.grant.RefreshToken == "" || t.grant.State == credential.GrantDead {
		return false, nil
	}
	spent, err := e.Escrow.Spent(ctx, seed.Hash())
	if !spent || err != nil {
		return false, err
	}
	continued, err := e.continues(ctx, t, seed)
	return !continued, err
}

// continues reports whether an answer is kept from the life of a seed: it was adopted, and
// Vault was put back to before that.
func (e *Engine) continues(ctx context.Context, t *turn, seed credential.Secret) (bool, error) {
	answers, err := e.Escrow.After(ctx, t.entry.ID, escrow.Lineage{Seed: seed.Hash()})
	return slices.ContainsFunc(answers, func(answer escrow.Answer) bool {
		result, _, err := e.judge(ctx, t, answer.Ref, answer.Plain)
		return err == nil && result.RefreshToken != "" && !t.grant.Held(result.RefreshToken)
	}), err
}

// rememberSeed takes a stale seed down as seen, and changes nothing else.
func (e *Engine) rememberSeed(ctx context.Context, t *turn, seed credential.Secret) error {
	t.log.Warn().Msg("the stored refresh_token is an old one, or a copy of Refresher's own; nothing changes by it")
	next := t.grant.Clone()
	next.Remember(seed)
	return e.putGrant(ctx, t, next)
}

// putGrant writes a grant with check-and-set; on success t holds what is in Vault.
func (e *Engine) putGrant(ctx context.Context, t *turn, next credential.Grant) error {
	read, err := e.writeGrant(ctx, t.entry.ID, next, t.read)
	if err != nil {
		return err
	}
	t.grant, t.read = next, read
	noteGrant(&t.memo, t.grant, t.method)
	return nil
}

// carryOut does what decide says.
func (e *Engine) carryOut(ctx context.Context, t *turn) Outcome {
	next, until := e.limits.decide(e.situation(t))
	switch next {
	case stepPresent:
		return e.present(ctx, t, false)
	case stepProbe:
		return e.probe(ctx, t)
	case stepClaim:
		return e.claim(ctx, t)
	case stepWatch:
		e.watch(t.entry.ID, t.grant.Intent.Attempt, t.now)
		t.memo.Forced = t.entry.Memo.Forced // until it is done
		return e.waitForIntent(ctx, t, until)
	case stepWait:
		return e.waitForIntent(ctx, t, until)
	case stepDead:
		return e.dead(ctx, t)
	default:
		return e.rest(ctx, t, until)
	}
}

func (e *Engine) situation(t *turn) situation {
	s := situation{
		grant: t.grant, owner: e.Escrow.Owner(), now: t.now, forced: t.entry.Memo.Forced,
		due: e.rotationDue(t), dormant: t.dormant(), tokenExpiresAt: t.token.ExpiresAt,
	}
	if intent := t.grant.Intent; intent != nil {
		s.held = e.Escrow.Held(intent.Attempt) || slices.ContainsFunc(intent.Earlier, e.Escrow.Held)
		s.watched = e.watched(intent.Attempt, t.now)
	}
	return s
}

// rotationDue returns when the grant is to be rotated.
func (e *Engine) rotationDue(t *turn) time.Time {
	g := t.grant
	switch {
	case g.AccessToken == "":
		return t.now // adopted, and never rotated
	case t.dormant():
		due := e.timing.after(t.entry.ID, g.Generation, g.RefreshTokenIssuedAt, t.method.DormantInterval)
		// A refresh token that is not replaced keeps its age, and would be due for ever.
		return latest(due, g.IssuedAt.Add(t.method.DormantInterval/10)).UTC()
	default:
		return e.timing.renewAt(t.entry.ID, g.Generation, g.IssuedAt, g.ExpiresAt).UTC()
	}
}

// dormant reports whether only the grant is kept alive.
func (t *turn) dormant() bool { return t.cred.Field("keep") == "grant" }

// adoptSeed starts the grant from a new authorization. It takes effect with the intent that follows, in
// the same write, whatever state the old grant was in.
func (e *Engine) adoptSeed(t *turn) {
	seed, issuedAt := t.seed(), t.cred.StoredAt
	if at, err := time.Parse(time.RFC3339, t.cred.Field("refresh_token_issued_at")); err == nil {
		issuedAt = at
	}
	before := t.grant.Clone()
	before.Replace(seed)
	t.grant = credential.Grant{
		State: credential.GrantIdle, RefreshToken: seed, RefreshTokenIssuedAt: issuedAt.UTC(),
		Generation: max(before.Generation, t.token.Generation), Seeds: append(before.Seeds, seed.Hash()), Former: before.Former,
	}
	t.adopting = true
}

// rest publishes what the grant holds if that is behind, and leaves it at that.
func (e *Engine) rest(ctx context.Context, t *turn, due time.Time) Outcome {
	if err := e.publishGrant(ctx, t); err != nil {
		return e.storeFailed(t.visit, err)
	}
	t.memo.Failures = 0
	return Outcome{Result: ResultUnchanged, Due: due, Memo: t.memo}
}

func (e *Engine) waitForIntent(ctx context.Context, t *turn, until time.Time) Outcome {
	if t.token.Expired(t.now) && !asksPerson(t.token.Status) {
		if err := e.publishStatus(ctx, t.visit, credential.StatusExpired, "the answer to the last renewal is not known yet; Refresher is recovering it"); err != nil {
			return e.storeFailed(t.visit, err)
		}
	}
	t.memo.Status = t.token.Status
	return Outcome{Result: ResultWaiting, Due: t.notPastExpiry(until), Memo: t.memo}
}

// notPastExpiry moves a wait forward to the moment at which the published token
// expires, so that its status is changed then.
func (v *visit) notPastExpiry(until time.Time) time.Time {
	if v.token.ExpiresAt.After(time.Now()) {
		return earliest(until, v.token.ExpiresAt)
	}
	return until
}

// present carries a refresh token to the provider: room, intent, call, seal,
// commit, publish. t.grant is what the intent is to be written over, with a new
// seed adopted if there was one.
func (e *Engine) present(ctx context.Context, t *turn, probe bool) Outcome {
	pass, deferred := e.admit(ctx, t.visit)
	if deferred != nil {
		return *deferred
	}
	defer pass.Done(HostUnknown)
	ref := escrow.Ref{ID: t.entry.ID, Attempt: randomHex(), Presented: t.grant.RefreshToken.Hash()}
	of := escrow.Lineage{Seed: lastSeed(t.grant), Rotation: t.grant.Rotation + 1}
	slot, err := e.Escrow.Room(ctx, ref, of)
	if err != nil {
		e.Observer.Event(EventNoRoom, t.cred.Provider)
		return e.storeFailed(t.visit, fmt.Errorf("no rotation begins, because its answer could not be kept: %w", err))
	}
	defer slot.Release()

	sendBy := time.Now().Add(e.limits.SendDeadline)
	// Written and read back even if the process is told to stop meanwhile: half an
	// intent would have to be recovered. Nothing is sent then, and it is closed again.
	if err := e.writeIntent(context.WithoutCancel(ctx), t, ref, probe); err != nil {
		return e.storeFailed(t.visit, err)
	}
	if probe {
		e.Observer.Event(EventProbe, t.cred.Provider)
	}
	exchange := &exchange{engine: e, provider: t.cred.Provider, ref: ref, of: of, generation: t.nextGeneration(), slot: slot, probe: probe, log: t.log}
	exchange.doer = e.Provider.Once(sendBy, e.limits.RotationTimeout, exchange.gate)
	result, err := t.method.Refresher.Renew(ctx, t.call(ref.Attempt, exchange))
	pass.Done(hostHealth(ctx, err))

	// From here on the work is to bring what is known to where it belongs, and
	// no lost lease is a reason to stop halfway. A shutdown is one only if the
	// answer is sealed, so that recovery will find it.
	if exchange.sealed {
		t.leave = ctx.Done()
	}
	ctx = context.WithoutCancel(ctx)
	if err != nil {
		return e.refused(ctx, t, exchange, err)
	}
	e.warn(t.visit, result.Warnings)
	return e.keep(ctx, t, ref, result, exchange.startedAt, ResultRenewed)
}

func (t *turn) call(attempt string, doer refreshers.Doer) refreshers.Call {
	return refreshers.Call{
		Credential: t.cred, RefreshToken: t.grant.RefreshToken, Current: t.token, Attempt: attempt, HTTP: doer,
	}
}

// writeIntent is step 4: the fence. On success t.grant and t.read are what is
// in Vault now.
func (e *Engine) writeIntent(ctx context.Context, t *turn, ref escrow.Ref, probe bool) error {
	next := t.grant.Clone()
	intent := &credential.Intent{Attempt: ref.Attempt, Owner: e.Escrow.Owner(), BeganAt: time.Now().UTC(), Probe: probe}
	if old := next.Intent; old != nil {
		intent.Earlier, intent.Foreign = presented(old), old.Foreign
		if !brought(old) {
			intent.NotBefore = old.NotBefore
		}
		e.unwatch(old.Attempt)
	}
	next.State, next.Intent = credential.GrantIntent, intent
	read, err := e.writeGrant(ctx, t.entry.ID, next, t.read)
	switch {
	case errors.Is(err, credential.ErrConflict):
		e.Observer.Event(EventIntentConflict, t.cred.Provider)
		return fmt.Errorf("write the intent: %w", err)
	case errors.Is(err, errOldReading):
		return err
	case err != nil:
		if read, err = e.readBackIntent(ctx, t, ref, err); err != nil {
			return err
		}
	}
	t.grant, t.read = next, read
	noteGrant(&t.memo, t.grant, t.method)
	if t.adopting {
		e.Observer.Event(EventSeedAdopted, t.cred.Provider)
		t.log.Info().Msg("a new authorization is adopted")
	}
	return nil
}

// presented returns the attempts that may have carried the token to the provider,
// the latest of many: a claim has not.
func presented(i *credential.Intent) []string {
	attempts := i.Earlier
	if !i.Claim {
		attempts = append(attempts, i.Attempt)
	}
	return attempts[max(0, len(attempts)-rememberedAttempts):]
}

// rememberedAttempts bounds the attempts that an intent remembers. One whose
// answer has not turned up after so many probes is answered by the next.
const rememberedAttempts = 16

// readBackIntent finds out whether an intent's write that failed happened after all.
func (e *Engine) readBackIntent(ctx context.Context, t *turn, ref escrow.Ref, cause error) (reading, error) {
	doc, read, err := e.readGrant(ctx, t.entry.ID)
	if err != nil {
		return reading{}, fmt.Errorf("write the intent: %w", errors.Join(cause, err))
	}
	if doc.Intent == nil || doc.Intent.Attempt != ref.Attempt {
		return reading{}, fmt.Errorf("write the intent: %w", cause)
	}
	return read, nil
}
