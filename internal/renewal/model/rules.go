package model

import (
	"strconv"
	"time"

	"refresher/internal/credential"
)

// Time passes in ticks of one in-flight bound; what takes less takes no time. The
// limits stand in the order that docs/architecture.md asks for. An access token
// outlives the takeover time, so that either can be the one that a takeover waits for.
const (
	InFlightBound = 1
	TakeoverAfter = 2
	Lifetime      = 3
	oldest        = Lifetime + InFlightBound // no age is told from a higher one
	Tick          = 10 * time.Minute
)

// Rules are the decisions of the protocol. The tests of package renewal hand in
// the ones that the service itself goes by, so that the model cannot drift from these. What
// carries them out is written down here once more, by hand, and simpler: a probe is put off
// by the expiry alone, without a rotation_timeout on top, and an answer that was committed
// long ago is told by the spent list, where the service looks into the grant's former tokens.
type Rules struct {
	// Decide is what a visit does about a grant for which no sealed answer was found.
	Decide func(Situation) Step
	// ReadBack is what a failed commit finds in the document.
	ReadBack func(doc, next credential.Grant, presentedHash string) Found
	// Presented are the attempts of an open intent that may have carried the token out.
	Presented func(*credential.Intent) []string
}

// Situation is all that Decide rests on.
type Situation struct {
	Grant          credential.Grant
	Owner          string
	Held           bool
	Watched        uint8 // in ticks
	Due            bool
	TokenExpiresAt time.Time
	Now            time.Time
}

// Step is what a visit does next.
type Step int

// What a visit can do next.
const (
	Rest Step = iota
	Present
	Dead
	Wait
	Probe
	Claim
	Watch
)

// Found is what a commit that failed finds when it reads back.
type Found int

// What a commit can find.
const (
	FoundPresented Found = iota
	FoundOurs
	FoundPutBack
	FoundOther
)

// now is when everything happens; only differences count.
var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ago(age uint8) time.Time { return now.Add(-time.Duration(age) * Tick) }

func (s *State) expiry(t token) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return ago(s.tokenAge[t]).Add(Lifetime * Tick)
}

// grant returns a document in the words of the service.
func (s *State) grant(d document) credential.Grant {
	g := credential.Grant{
		State:        [...]credential.GrantState{"", credential.GrantIdle, credential.GrantIntent, credential.GrantDead}[d.state],
		RefreshToken: secret("refresh", d.rt), AccessToken: secret("access", d.at),
		Generation: int(d.gen), Rotation: int(d.rt.index()), ExpiresAt: s.expiry(d.at),
	}
	for seed := token(1); seed < tokens; seed++ {
		if d.adopted(seed) && seed != d.newest {
			g.Seeds = append(g.Seeds, hashes[seed])
		}
	}
	if d.newest != 0 {
		g.Seeds = append(g.Seeds, hashes[d.newest])
	}
	if d.state == intent {
		g.Intent = s.intent(d)
	}
	return g
}

func (s *State) intent(d document) *credential.Intent {
	f := s.facts[d.open]
	i := &credential.Intent{
		Attempt: strconv.Itoa(int(d.open)), Owner: ownerName(f.owner), BeganAt: ago(f.age),
		Probe: f.probe, Claim: f.claim, Foreign: f.foreign,
	}
	if d.later {
		i.NotBefore = s.expiry(d.at)
	}
	for a := attempt(1); a < attempts; a++ {
		if f.earlier>>a&1 == 1 {
			i.Earlier = append(i.Earlier, strconv.Itoa(int(a)))
		}
	}
	return i
}

func secret(kind string, t token) credential.Secret {
	if t == 0 {
		return ""
	}
	return credential.Secret(kind + "-" + strconv.Itoa(int(t)))
}

// hashes are computed once: the search asks for them all the time.
var hashes = func() (all [tokens]string) {
	for t := token(1); t < tokens; t++ {
		all[t] = secret("refresh", t).Hash()
	}
	return all
}()

func ownerName(owner uint8) string { return "owner-" + strconv.Itoa(int(owner)) }

// carried is Rules.Presented in the model's words.
func (m *machine) carried(d document) uint16 {
	if d.state != intent {
		return 0
	}
	var set uint16
	for _, name := range m.rules.Presented(m.s.intent(d)) {
		n, _ := strconv.Atoi(name)
		set |= 1 << n
	}
	return set
}
