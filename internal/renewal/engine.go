package renewal

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/refreshers"
)

// Credentials reads what people stored. A missing document is
// credential.ErrNotFound; one that cannot be used is credential.KindMisconfigured and
// comes with its ID and version.
type Credentials interface {
	Credential(ctx context.Context, id credential.ID) (credential.Credential, error)
}

// Grants keeps the documents of rotating methods. A missing document is a zero
// Grant with the version to check and set against. PutGrant sends its write
// once; credential.ErrConflict is Vault's word that it did not happen, any other error
// leaves that open.
type Grants interface {
	Grant(ctx context.Context, id credential.ID) (credential.Grant, int, error)
	PutGrant(ctx context.Context, id credential.ID, g credential.Grant, cas int) (int, error)
}

// Tokens keeps the documents that other services read, under the same rules as Grants.
type Tokens interface {
	Token(ctx context.Context, id credential.ID) (credential.Token, int, error)
	PutToken(ctx context.Context, id credential.ID, t credential.Token, cas int) (int, error)
}

// Provider is the way out to the providers.
type Provider interface {
	refreshers.Doer
	// Once returns a Doer for a single request on a fresh connection. It calls gate on the open
	// connection just before the first byte, which must leave before sendBy;
	// from that byte on only timeout ends the exchange.
	Once(sendBy time.Time, timeout time.Duration, gate func(context.Context) error) refreshers.Doer
	// Guard checks a stored URL against the hosts of its method.
	Guard(rawURL string, hosts []string) error
}

// Admission keeps providers from being overrun.
type Admission interface {
	// Admit asks for leave to call. It does not block.
	Admit(ctx context.Context, ask Ask) Pass
}

// Ask says who wants to call whom.
type Ask struct {
	Provider string
	// Budget is what the rate limit counts by, beside the provider; empty if all share one.
	Budget string
	Host   string
	Slot   time.Time
	// ExpiresAt is when the credential's token dies; the nearest go first.
	ExpiresAt time.Time
}

// Pass is the answer to an Ask.
type Pass struct {
	// OK: call now, and call Done afterwards with what the host showed. Only the
	// first call of Done counts.
	OK   bool
	Done func(Health)
	// At is when to ask again if not OK, and Slot what to bring along then.
	At   time.Time
	Slot time.Time
	// Reason is a word for people: "rate_limit" or "breaker".
	Reason string
}

// Health is what a call showed of the host it went to.
type Health int

// What a call can show.
const (
	// HostUnknown: the host was not called after all.
	HostUnknown Health = iota
	HostUp
	HostDown
)

// Limits are the time limits of the protocol; docs/architecture.md says how they hang together.
type Limits struct {
	SendDeadline    time.Duration
	RotationTimeout time.Duration
	InFlightBound   time.Duration
	TakeoverAfter   time.Duration
	// TakeoverAfterDormant is TakeoverAfter for a grant whose access token nobody uses.
	TakeoverAfterDormant time.Duration
	CommitRetryMax       time.Duration
	// ClockSkew is how far the clocks of two replicas may be apart.
	ClockSkew time.Duration
	// ConfirmRefusals are the waits between the refusals of a static key before
	// it is believed.
	ConfirmRefusals []time.Duration
	// AskPersonEvery is how often a credential that waits for a person is tried again.
	AskPersonEvery time.Duration
	// StoreRetry is the wait after Vault, Redis or the spool failed.
	StoreRetry time.Duration
}

// Observer counts what happens in the protocol. It is called from several goroutines.
type Observer interface {
	// Event counts one of the names in events.go.
	Event(event, provider string)
}

// Parts are what an Engine is made of.
type Parts struct {
	Methods     *refreshers.Registry
	Credentials Credentials
	Grants      Grants
	Tokens      Tokens
	Escrow      *escrow.Escrow
	Provider    Provider
	Admission   Admission
	Observer    Observer
	Log         zerolog.Logger
}

// Engine carries out renewals. It may be used from several goroutines; two at
// once for the same credential are safe and waste a call at most.
type Engine struct {
	Parts
	timing Timing
	limits Limits
	random func() float64

	mu     sync.Mutex
	claims map[string]watchedClaim // by attempt
	// settling are the attempts whose sealed answers are being dealt with.
	settling map[string]bool

	// drained belongs to Drain, of which there is one call at a time. By attempt.
	drained map[string]try
}

// New returns an Engine.
func New(parts Parts, timing Timing, limits Limits) *Engine {
	return &Engine{
		Parts: parts, timing: timing, limits: limits, random: rand.Float64,
		claims: map[string]watchedClaim{}, settling: map[string]bool{}, drained: map[string]try{},
	}
}

// Outcome is what one visit came to.
type Outcome struct {
	// Result is one of the Result constants.
	Result string
	// Due is when the credential next needs attention.
	Due  time.Time
	Memo credential.Memo
	// Err is what went wrong, nil if nothing did. It holds no secret.
	Err error
}

// What a visit can come to.
const (
	ResultRenewed   = "renewed"   // a new token was published
	ResultVerified  = "verified"  // the published one is good, or lives longer
	ResultUnchanged = "unchanged" // nothing was due
	ResultDeferred  = "deferred"  // the provider must not be called just now
	ResultWaiting   = "waiting"   // an open intent is not ripe, or belongs to another
	ResultPaused    = "paused"
	ResultRecovered = "recovered" // a sealed answer was committed
	ResultFailed    = "failed"    // Err says how
	ResultGone      = "gone"      // Vault has no such document, nor any trace of one
	ResultRemoved   = "removed"   // the credential was deleted, and its token blanked
)

// visit is one credential's turn.
type visit struct {
	entry  credential.Entry
	memo   credential.Memo
	cred   credential.Credential
	method refreshers.Method
	token  credential.Token
	// edited: a person changed the credential since it was last acted on.
	edited bool
	now    time.Time
	log    zerolog.Logger
}

// Renew gives one credential what it needs and says when it needs attention
// again. The tenant's lease should be held. It never panics on what others
// stored or sent, and after a refresh token was sent it does not return before
// the answer is safe, whatever becomes of ctx.
func (e *Engine) Renew(ctx context.Context, entry credential.Entry) Outcome {
	v := e.newVisit(entry)
	cred, err := e.Credentials.Credential(ctx, entry.ID)
	switch {
	case errors.Is(err, credential.ErrDeleted):
		return e.Removed(ctx, entry)
	case errors.Is(err, credential.ErrNotFound):
		v.memo.CredentialVersion = credential.VersionGone
		return Outcome{Result: ResultGone, Due: v.now.Add(e.limits.AskPersonEvery), Memo: v.memo, Err: err}
	case err != nil && credential.KindOf(err) != credential.KindMisconfigured:
		return e.storeFailed(v, err)
	}
	v.meet(cred)
	token, _, tokenErr := e.published(ctx, v)
	if tokenErr != nil {
		return e.storeFailed(v, tokenErr)
	}
	v.token, v.memo.ExpiresAt = token, token.ExpiresAt
	if err == nil {
		v.method, v.cred, err = e.Methods.Resolve(cred, e.Provider.Guard)
	}
	v.memo.Provider, v.memo.Auth, v.memo.Dormant = v.cred.Provider, v.cred.Auth, v.cred.Field("keep") == "grant"
	switch {
	case err != nil:
		return e.failed(ctx, v, err)
	case v.method.Upkeep == refreshers.Rotating:
		return e.tellTrouble(ctx, v, e.rotate(ctx, v))
	}
	v.memo.ForgetGrant()
	switch {
	case v.cred.Paused:
		return e.paused(ctx, v)
	default:
		return e.upkeep(ctx, v)
	}
}

func (e *Engine) newVisit(entry credential.Entry) *visit {
	v := &visit{entry: entry, memo: entry.Memo, now: time.Now()}
	v.log = e.Log.With().Str("tenant", entry.ID.Tenant).Str("credential", entry.ID.Name).Logger()
	v.memo.Forced, v.memo.SlotAt = false, time.Time{}
	return v
}

// meet takes in the credential as it is stored now. An edit clears whatever the
// old one had collected.
func (v *visit) meet(cred credential.Credential) {
	if v.memo.Edited(cred) {
		grant := v.memo // until it is read
		v.edited, v.memo = true, credential.Memo{GrantExpiresAt: grant.GrantExpiresAt, IntentSince: grant.IntentSince}
	}
	v.cred, v.memo.CredentialVersion, v.memo.CredentialStoredAt = cred, cred.Version, cred.StoredAt
}

// pausedRecheck is how often a paused credential is looked at; a person who
// resumes it is noticed by the scan, sooner.
const pausedRecheck = 24 * time.Hour

func (e *Engine) paused(ctx context.Context, v *visit) Outcome {
	v.memo.Failures, v.memo.Refusals = 0, 0
	if err := e.publishStatus(ctx, v, credential.StatusPaused, pausedMessage(v.entry.ID)); err != nil {
		return e.storeFailed(v, err)
	}
	return Outcome{Result: ResultPaused, Due: v.now.Add(pausedRecheck), Memo: v.memo}
}

func pausedMessage(id credential.ID) string {
	return "paused by a person; resume it with: refresher credentials resume " + id.String()
}

// storeFailed: Vault, Redis or the spool could not do their part. That is
// nobody's fault at the provider, so no failure is counted.
func (e *Engine) storeFailed(v *visit, err error) Outcome {
	wait := time.Duration(float64(e.limits.StoreRetry) * (0.5 + e.random()))
	if errors.Is(err, errOldReading) {
		wait = 0 // all that it needs is another look
	}
	v.memo.Forced = v.entry.Memo.Forced
	return Outcome{Result: ResultFailed, Due: time.Now().Add(wait), Memo: v.memo, Err: err}
}

// admit asks for leave to call the provider. If it is not given, the second
// result is the visit's outcome.
func (e *Engine) admit(ctx context.Context, v *visit) (Pass, *Outcome) {
	ask := Ask{Provider: v.cred.Provider, Slot: v.entry.Memo.SlotAt, ExpiresAt: v.token.ExpiresAt}
	if u, err := url.Parse(v.cred.BaseURL); err == nil {
		ask.Host = u.Host
	}
	if v.method.BudgetKey != nil {
		ask.Budget = v.method.BudgetKey(v.cred)
	}
	pass := e.Admission.Admit(ctx, ask)
	v.memo.SlotAt = pass.Slot
	if pass.OK {
		return pass, nil
	}
	v.memo.Forced = v.entry.Memo.Forced
	if v.token.Status == credential.StatusActive || v.token.Status == credential.StatusRetrying {
		if v.token.Expired(v.now) {
			if err := e.publishStatus(ctx, v, credential.StatusExpired, "the provider cannot be called at the moment ("+pass.Reason+")"); err != nil {
				v.log.Warn().Err(err).Msg("the token expired, and that could not be published")
			}
		}
	}
	return pass, &Outcome{Result: ResultDeferred, Due: pass.At, Memo: v.memo}
}

// hostHealth says what a call showed of the host: whoever answers is up, unless
// the answer is that something is wrong there.
func hostHealth(ctx context.Context, err error) Health {
	code := credential.CodeOf(err)
	switch {
	case err == nil:
		return HostUp
	case ctx.Err() != nil, errors.Is(err, escrow.ErrSpent), errors.Is(err, escrow.ErrTooSoon), errors.Is(err, escrow.ErrSpool):
		return HostUnknown
	case credential.KindOf(err) == credential.KindAmbiguous, code == credential.CodeNotConnected, strings.HasPrefix(code, "http_5"):
		return HostDown
	default:
		return HostUp
	}
}
