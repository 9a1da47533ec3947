package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"refresher/internal/providersim"
)

// failure is something that must not be.
type failure struct {
	Invariant string
	ID        string // empty if it concerns no credential
	What      string
}

// verdict is what a run came to.
type verdict struct {
	Failures []failure

	Rotations     int            // that the provider carried out
	Presentations int            // of refresh tokens
	Again         map[string]int // of tokens already presented, by what allowed it
	Losses        map[string]int // of grants, by cause
	Counted       int            // of these, those of which a log says that an answer was lost
	Causes        int            // faults that can cause a loss
	Withheld      int            // rotations whose answer a fault kept from the process or its spool
	Unseen        int            // rotations that came to Vault, and that the rig saw in no spool
	Inspected     int            // rotations that the rig saw in a spool
	Recovered     int            // of these, those that came to Vault
	WorstAlone    delays         // until a token served again by itself
	WorstAsked    delays         // until one served again for which a person was needed
	WorstBehind   delays         // from a commit to its publication
	Told          map[string]int // presentations refused with proof that nothing was spent, by what came of it
	Stopped       int            // processes that were asked to stop
	NotStopped    int            // of these, those that did not as they should
	Ended         map[string]int // processes that ended of their own accord, by what made them
	SecretsIn     int64          // bytes that were searched
	Secrets       int            // that were searched for
	Found         int
}

func (v *verdict) fail(invariant, id, format string, args ...any) {
	v.Failures = append(v.Failures, failure{invariant, id, fmt.Sprintf(format, args...)})
}

func newVerdict() *verdict {
	return &verdict{Again: map[string]int{}, Losses: map[string]int{}, Ended: map[string]int{}, Told: map[string]int{}}
}

// judge passes the verdict on everything that was seen.
func (r *rig) judge() *verdict {
	v := newVerdict()
	ledger := r.sims.Checkfront.Ledger()
	c := r.circumstances()
	rotations := ledger.Where(providersim.Match{Kind: providersim.KindExchange, Result: providersim.ResultOK})
	v.Rotations = len(rotations)
	for _, err := range r.defects {
		v.fail("the rig", "", "%v", err)
	}
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	v.judgePresentations(r.seen, c)
	v.judgeRotations(rotations, r.seen)
	v.judgeAnswers(r.seen, c)
	v.judgeDeaths(r.seen, c)
	v.judgePublications(r.seen)
	v.judgeLags(r.seen, c, time.Now())
	v.judgeDelays(r.seen, c, rotations)
	v.judgeEndings(r.endings, c)
	return v
}

// circumstances are what the rig did.
func (r *rig) circumstances() circumstances {
	return circumstances{
		faults: r.faults, setBacks: r.setBacks, redisLosses: r.redis.losses, authorizedIn: r.person.authorizedBetween, removedIn: r.person.removedBetween,
		presentations: r.sims.Checkfront.Ledger().Presentations(),
	}
}

// The reasons that allow a token to be presented once more.
const (
	recordedProbe = "recorded probe"
	provenUnspent = "proven-unspent retry"
)

// judgePresentations is I1: each presentation of a token already presented is
// matched with what allows it, and the ledger knows of no other.
func (v *verdict) judgePresentations(o *observed, c circumstances) {
	for _, id := range o.unintended {
		v.fail("I1", id, "a refresh token was presented without an intent of its own")
	}
	for token, attempts := range o.presentations {
		reached := 0
		for i, a := range attempts {
			v.Presentations++
			if a.Forwarded {
				reached++
			}
			if a.Unspent {
				v.Told[whatCame(a, attempts[i+1:])]++
			}
			v.judgePresentation(a, attempts[:i])
			if a.Roomless {
				v.fail("I6", a.ID, "token %s was presented (attempt %s) and there was no room for its answer", short(a.Presented), short(a.Name))
			}
		}
		if known := c.presentations[token]; known != reached {
			v.fail("I1", attempts[0].ID, "token %s reached the provider %d times by its ledger, and %d times by what the rig saw", short(token), known, reached)
		}
	}
	for token, n := range c.presentations {
		if o.presentations[token] == nil {
			v.fail("I1", "", "token %s reached the provider %d times, and the rig saw none of it", short(token), n)
		}
	}
}

// whatCame says how a token was presented next that a refusal proves unspent. By a probe it is
// if the proof could not be written down, or if the next intent was never carried out.
func whatCame(refused *attempt, following []*attempt) string {
	switch {
	case refused.Probe:
		return "of a probe, which says nothing of the presentation before it"
	case len(following) == 0:
		return "not presented again"
	case following[0].Probe:
		return "then " + recordedProbe
	default:
		return "then " + provenUnspent
	}
}

// judgePresentation matches one presentation with its intent and, if there were
// earlier ones of the same token, with what allows it.
func (v *verdict) judgePresentation(a *attempt, earlier []*attempt) {
	if a.Name != "none" && (a.Landed.IsZero() || a.Landed.After(a.SentAt)) {
		v.fail("I1", a.ID, "token %s was presented (attempt %s) before its intent stood in Vault", short(a.Presented), short(a.Name))
	}
	switch {
	case len(earlier) == 0:
	case a.Probe && tooSoon(a, earlier):
		v.fail("I1", a.ID, "token %s was probed (attempt %s) while an earlier presentation of it could still be under way", short(a.Presented), short(a.Name))
	case a.Probe:
		v.Again[recordedProbe]++
	case allUnspent(earlier):
		v.Again[provenUnspent]++
	default:
		v.fail("I1", a.ID, "token %s was presented again (attempt %s) with neither a recorded probe nor proof", short(a.Presented), short(a.Name))
	}
}

// tooSoon reports whether a probe's intent came before the in-flight bound of an earlier
// presentation was over, give or take what the rig's own proxies take to see both.
func tooSoon(probe *attempt, earlier []*attempt) bool {
	const tolerance = 1500 * time.Millisecond
	return slices.ContainsFunc(earlier, func(a *attempt) bool {
		return !a.Unspent && probe.IntentAt.Sub(a.IntentAt) < inFlightBound-tolerance
	})
}

func allUnspent(attempts []*attempt) bool {
	return !slices.ContainsFunc(attempts, func(a *attempt) bool { return !a.Unspent })
}

// judgeRotations: the provider has rotated no token twice.
func (v *verdict) judgeRotations(rotations []providersim.Event, o *observed) {
	once := map[string]bool{}
	for _, e := range rotations {
		if once[e.TokenHash] {
			v.fail("I1", o.owners[e.TokenHash], "token %s was rotated twice", short(e.TokenHash))
		}
		once[e.TokenHash] = true
	}
}

// mostUnseen is the part of the rotations that the rig may have been too slow to see in a
// spool before they were deleted there.
const mostUnseen = 0.02

// judgeAnswers is I2: an answer that reached its process reaches the spool, unless the
// process was killed in between, and one that reached a spool reaches Vault, unless the spool
// was destroyed and with it the only copy, or a new authorization has overtaken it.
func (v *verdict) judgeAnswers(o *observed, c circumstances) {
	for _, a := range o.attempts {
		if a.Unspooled {
			v.fail("I2", a.ID, "the answer to %s went to Redis before it was in the spool", short(a.Name))
		}
		if a.Issued != "" {
			v.judgeAnswer(o, c, a)
		}
	}
	if all := v.Unseen + v.Inspected; float64(v.Unseen) > 5+mostUnseen*float64(all) {
		v.fail("I2", "", "%d of %d rotations came to Vault, and were seen in no spool", v.Unseen, all)
	}
}

// judgeAnswer looks for where the answer to one presentation went.
func (v *verdict) judgeAnswer(o *observed, c circumstances, a *attempt) {
	_, home := o.inVault[a.Issued]
	switch {
	case a.Spooled.IsZero() && home:
		v.Unseen++
		return
	case a.Spooled.IsZero() && a.Delivered && c.keptFromSpool(a) == "":
		v.fail("I2", a.ID, "the answer to %s reached replica %d, and not its spool", short(a.Name), a.Replica)
		return
	case a.Spooled.IsZero() || !a.Delivered: // what was sealed may be cut short, or a gateway's word
		v.Withheld++
		return
	}
	v.Inspected++
	switch {
	case home:
		v.Recovered++
	case c.authorizedIn(a.ID, a.IntentAt, o.diedAt(a)), o.adoptedSince(a):
	case c.destroyed(a, a.SentAt.AddDate(1, 0, 0)) != "", c.heldBack(a, o.diedAt(a)) != "":
	default:
		v.fail("I2", a.ID, "the answer to %s was in the spool of replica %d and never came to Vault", short(a.Name), a.Replica)
	}
}

// adoptedSince reports whether a seed was presented after an attempt began: somebody had
// authorized, perhaps before that, when it could not be known whether the seed was a new one.
func (o *observed) adoptedSince(a *attempt) bool {
	issued := map[string]bool{}
	for _, other := range o.attempts {
		issued[other.Issued] = true
	}
	return slices.ContainsFunc(slices.Collect(maps.Values(o.attempts)), func(other *attempt) bool {
		return other.ID == a.ID && other.IntentAt.After(a.IntentAt) && other.Presented != a.Presented && !issued[other.Presented]
	})
}

// diedAt is when the grant was given up whose token was presented; now if it was not.
func (o *observed) diedAt(a *attempt) time.Time {
	if d := o.deaths[a.ID+" "+a.Presented]; d != nil {
		return d.At
	}
	return time.Now()
}

// judgeDeaths is I3 and I5: a grant is given up only if it is dead, and each that
// is lost is explained by an answer that a fault kept from the spool, by a spool that was
// destroyed with its copy, or by a Vault that was put back, before it was given up. There are
// never more of them than faults that can do so.
func (v *verdict) judgeDeaths(o *observed, c circumstances) {
	for _, d := range o.deaths {
		if d.Alive {
			v.fail("I5", d.ID, "the grant was given up, and the provider would have taken token %s", short(d.Token))
		}
		cause := explain(o, d, c)
		if cause == "" {
			v.fail("I3", d.ID, "the grant was lost (its token was %s), and no fault explains that", short(d.Token))
			cause = "not explained"
		}
		d.Cause = cause
		v.Losses[cause]++
	}
	for _, f := range c.faults {
		if f.canLose() {
			v.Causes++
		}
	}
	if n := len(o.deaths); n > v.Causes {
		v.fail("I3", "", "%d grants were lost, and %d faults can have caused that", n, v.Causes)
	}
	for id, all := range o.published {
		for i, p := range all {
			if p.Status == "needs_authorization" && !c.askedFor(o, id, all[:i], p) {
				v.fail("I5", id, "a person was asked to authorize, and the grant was not dead")
			}
		}
	}
}

func deathsOf(o *observed, id string) []*death {
	var own []*death
	for _, d := range o.deaths {
		if d.ID == id {
			own = append(own, d)
		}
	}
	return own
}

// judgePublications is I4: in the order of Vault's versions a published generation
// never goes back, and it is at most one commit behind. A Vault that was put back
// starts over from there.
func (v *verdict) judgePublications(o *observed) {
	for _, id := range o.behind {
		v.fail("I4", id, "a generation was committed before the one before it was published")
	}
	for id, all := range o.published {
		ordered := slices.Clone(all)
		slices.SortFunc(ordered, func(a, b publication) int {
			return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Version, b.Version))
		})
		for i := 1; i < len(ordered); i++ {
			before, p := ordered[i-1], ordered[i]
			if p.Epoch == before.Epoch && p.Generation < before.Generation {
				v.fail("I4", id, "generation %d was published over %d", p.Generation, before.Generation)
			}
		}
	}
}

// ok reports whether nothing failed.
func (v *verdict) ok() bool { return len(v.Failures) == 0 }

// lines are the failures, each with a line of its own.
func (v *verdict) lines() string {
	var b strings.Builder
	for _, f := range v.Failures {
		fmt.Fprintf(&b, "%s  %s  %s\n", f.Invariant, cmp.Or(f.ID, "-"), f.What)
	}
	return b.String()
}
