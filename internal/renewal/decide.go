package renewal

import (
	"time"

	"refresher/internal/credential"
)

// step is what to do next about a rotating grant.
type step int

const (
	// stepRest: nothing is due.
	stepRest step = iota
	// stepPresent: present the refresh token for the first time.
	stepPresent
	// stepDead: the grant is dead; only a person can help.
	stepDead
	// stepWait: an intent is open, and it is not time to do anything about it.
	stepWait
	// stepProbe: present the token again as a recorded probe.
	stepProbe
	// stepClaim: announce that someone else's intent will be taken over.
	stepClaim
	// stepWatch: a claim is open, and was not watched for long enough.
	stepWatch
)

// situation is all that the decision rests on.
type situation struct {
	grant credential.Grant
	// owner is this process's identity.
	owner string
	// held: a goroutine of this process works on an attempt of the open intent's.
	held bool
	// watched is for how long this process has seen the open claim, with Vault readable throughout.
	watched time.Duration
	// due is when the grant is to be renewed, forced that someone asked for it now.
	due    time.Time
	forced bool
	// dormant: only the grant is kept alive, and nobody uses the access token.
	dormant bool
	// tokenExpiresAt is the published access token's expiry.
	tokenExpiresAt time.Time
	now            time.Time
}

// decide says what to do about a grant whose seed is adopted and for which no
// sealed answer was found, and, for stepWait and stepRest, until when.
func (l Limits) decide(s situation) (step, time.Time) {
	switch {
	case s.grant.State == credential.GrantDead:
		return stepDead, time.Time{}
	case s.grant.Intent == nil:
		if s.forced || !s.now.Before(s.due) {
			return stepPresent, s.now
		}
		return stepRest, s.due
	case s.grant.Intent.Claim:
		return l.decideClaim(s)
	case s.grant.Intent.Owner == s.owner:
		return l.decideOwn(s)
	default:
		return l.decideOther(s)
	}
}

// decideOwn: the intent is this identity's own. Once no goroutine of ours holds
// the attempt its answer cannot reach us any more; the provider may still be
// working on it until the in-flight bound is over.
func (l Limits) decideOwn(s situation) (step, time.Time) {
	intent := s.grant.Intent
	at := latest(intent.BeganAt.Add(l.InFlightBound), intent.NotBefore)
	switch {
	case s.held:
		return stepWait, s.now.Add(l.recheck())
	case s.now.Before(at):
		return stepWait, at
	default:
		return stepProbe, s.now
	}
}

// decideOther: the intent is someone else's, who alone knows whether an answer
// came. It is left alone for as long as they could come back, and while the
// published token still serves. A probe that was put off is its owner's for one
// in-flight bound from NotBefore on, which nobody moves while the intent is open.
func (l Limits) decideOther(s situation) (step, time.Time) {
	intent, after := s.grant.Intent, l.TakeoverAfter
	if s.dormant {
		after = l.TakeoverAfterDormant
	}
	at := latest(intent.BeganAt.Add(after), s.tokenExpiresAt, intent.NotBefore.Add(l.InFlightBound))
	if s.now.Before(at) {
		// Looked at often: its owner may commit and die before publishing.
		return stepWait, earliest(at, s.now.Add(l.recheck()))
	}
	return stepClaim, s.now
}

// decideClaim: the owner's time is over, as whoever made the claim has found. It leaves
// the owner, if alive, one in-flight bound with Vault readable to commit an answer. Since
// a claim presents nothing, anybody who saw that bound pass may go on, whoever made it:
// its maker may be gone by then, or restarted again and again. What was brought forward
// rests until it is due, or somebody asks for it.
func (l Limits) decideClaim(s situation) (step, time.Time) {
	left, rest := l.InFlightBound-s.watched, earliest(s.grant.Intent.NotBefore, s.due)
	if s.forced {
		rest = s.now
	}
	switch {
	case s.held:
		return stepWait, s.now.Add(l.recheck())
	case s.now.Before(rest.Add(-l.InFlightBound)):
		return stepWait, rest.Add(-l.InFlightBound)
	case left > 0:
		return stepWatch, s.now.Add(min(left, l.recheck()))
	case s.now.Before(rest):
		return stepWait, earliest(rest, s.now.Add(l.recheck()))
	default:
		return stepProbe, s.now
	}
}

// recheck is how often an open intent is looked at while it waits.
func (l Limits) recheck() time.Duration {
	return min(max(l.InFlightBound/20, time.Second), time.Minute)
}

// fits reports whether the document still holds the token that was presented,
// from the same seed, so that its answer belongs there.
func fits(doc credential.Grant, presentedHash string, seed string) bool {
	return doc.RefreshToken.Hash() == presentedHash && lastSeed(doc) == seed
}

func lastSeed(g credential.Grant) string {
	if len(g.Seeds) == 0 {
		return ""
	}
	return g.Seeds[len(g.Seeds)-1]
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
