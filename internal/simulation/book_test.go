package simulation

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
	"refresher/refreshers"
)

// book is what the world saw of the protocol from outside: what was written to
// Vault, what was sent to the provider, and what came of it. It judges as it goes.
type book struct {
	world   *world
	names   map[string]string // of attempts and tokens, in the order in which they turned up
	owners  map[string]*spool
	intents map[string]*intent         // by attempt
	sends   map[string][]*presentation // by token
	tokens  map[string]*grant          // by token
	stored  map[string]bool            // tokens that Vault has held as a grant's
	// takenBack are tokens that Vault held as a grant's and lost by being restored.
	takenBack map[string]bool
	// blinded are the credentials whose grant was written over blindly, by a write that was under way.
	blinded map[credential.ID]bool
	adopted map[credential.ID]time.Time
	counts  map[string]int
	lost    int // grants written off because an answer was lost
}

// intent is one that Vault accepted.
type intent struct {
	id    credential.ID
	token string
	probe bool
	claim bool
	owner string
	at    time.Time
	sent  *presentation
}

// presentation is one time that a refresh token was sent to the provider.
type presentation struct {
	id      credential.ID
	token   string
	spool   *spool
	at      time.Time
	intent  *intent
	attempt string
	// arrived: it has had its effect, or never will.
	arrived bool
	issued  string // the new refresh token
	// home: the answer came back to who asked, and so reached the spool.
	home bool
	// unspent: the answer came back and proves that the token is unspent.
	unspent bool
}

// grant is an authorization at the provider.
type grant struct {
	living string        // its refresh token
	by     *presentation // which brought it, nil if a person did
	dead   bool
}

func newBook(w *world) *book {
	return &book{
		world: w, names: map[string]string{}, owners: map[string]*spool{}, intents: map[string]*intent{},
		sends: map[string][]*presentation{}, tokens: map[string]*grant{},
		stored: map[string]bool{}, takenBack: map[string]bool{}, blinded: map[credential.ID]bool{},
		adopted: map[credential.ID]time.Time{}, counts: map[string]int{},
	}
}

// name gives something random a name that is the same in every run.
func (b *book) name(random string) string {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	if b.names[random] == "" {
		b.names[random] = fmt.Sprintf("#%d", len(b.names)+1)
	}
	return b.names[random]
}

// Event implements renewal.Observer.
func (b *book) Event(event, _ string) {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	b.counts[event]++
}

// blind is how a write stands to what its writer has read.
type blind struct {
	// other: the document is another than the one that the writer has read under that version.
	other bool
	// age is of that reading, when the writer wrote.
	age time.Duration
}

// grantWritten judges a grant that Vault has just accepted.
func (b *book) grantWritten(p *process, id credential.ID, before, g credential.Grant, over blind) {
	hash := g.RefreshToken.Hash()
	if over.other {
		b.world.note("%s writes %s blindly, on a reading that is %v old", p.seat.name, id, over.age)
		if b.blinded[id] = true; over.age > sendDeadline {
			b.world.wrong("%s is written over by one who had read another document under that version, %v before", id, over.age)
		}
	}
	b.stored[hash] = true
	if len(g.Seeds) > len(before.Seeds) {
		b.adopted[id] = time.Now()
	}
	if i := g.Intent; i != nil && b.intents[i.Attempt] == nil {
		b.intents[i.Attempt] = &intent{id: id, token: hash, probe: i.Probe, claim: i.Claim, owner: i.Owner, at: time.Now()}
	}
	if i, open := g.Intent, before.Intent; i != nil && i.Claim && open != nil && open.Owner != i.Owner && time.Now().Before(open.NotBefore.Add(inFlightBound)) {
		b.world.wrong("the intent of %s is taken over in its owner's time", id)
	}
	if g.Generation < before.Generation && !over.other {
		b.world.wrong("I4: the generation of %s goes back from %d to %d", id, before.Generation, g.Generation)
	}
	if published := b.world.vault.tokens[id].data.Generation; g.Generation > published+1 && !b.world.restored {
		b.world.wrong("I4: %s is at generation %d, and %d is published", id, g.Generation, published)
	}
	if g.State == credential.GrantDead && before.State != credential.GrantDead {
		b.world.note("the grant of %s is written off", id)
		b.writtenOff(p, id, g)
	}
}

// writtenOff judges the death of a grant (I3, I5).
func (b *book) writtenOff(p *process, id credential.ID, doc credential.Grant) {
	token := doc.RefreshToken.Hash()
	g := b.tokens[token]
	switch {
	case g == nil || g.dead:
		return
	case g.living == token && doc.AccessToken == "" && b.world.subject(id).patient:
		return // Vault was restored: how long its access token lives is not known
	case g.living == token:
		b.world.wrong("I5: %s is written off, and its token lives", id)
	case b.takenBack[g.living] && g.by != nil && b.kept(p, g.by):
		b.world.wrong("I5: %s is written off, and the answer with its living token is kept", id)
	default:
		b.lost++
		b.mayLose(p, g, "I5: "+id.String()+" is written off")
	}
}

// tokenWritten judges a publication.
func (b *book) tokenWritten(id credential.ID, before, t credential.Token) {
	if t.Generation < before.Generation {
		b.world.wrong("I4: the published generation of %s goes back from %d to %d", id, before.Generation, t.Generation)
	}
	if before.Status != t.Status {
		b.world.note("%s is %s, generation %d", id, t.Status, t.Generation)
	}
}

// sent judges a presentation before it leaves (I1).
func (b *book) sent(p *process, host, token string) *presentation {
	s := &presentation{token: token, spool: p.spool, at: time.Now(), id: b.world.hosts[host]}
	for attempt, i := range b.intents {
		if i.owner == p.spool.owner && i.token == token && i.id == s.id && !i.claim && i.sent == nil && (s.intent == nil || i.at.After(s.intent.at)) {
			s.intent, s.attempt = i, attempt
		}
	}
	earlier := b.sends[token]
	b.sends[token] = append(earlier, s)
	if s.intent == nil {
		b.world.wrong("I1: the token of %s is presented without an intent", s.id)
		return s
	}
	s.intent.sent = s
	b.world.note("%s presents %s for %s, probe %v", p.seat.name, b.name(token), s.id, s.intent.probe)
	for _, e := range earlier {
		switch {
		case !e.arrived:
			b.world.wrong("I1: the token of %s is presented while an earlier request with it is under way", s.id)
		case !e.unspent && !s.intent.probe && !b.forgotten(p, token):
			b.world.wrong("I1: the token of %s is presented again, neither as a probe nor with proof", s.id)
		}
	}
	p.spool.presented[token] = true
	return s
}

// forgotten reports whether nothing that this process could ask knew of an earlier
// presentation: Vault was restored from before it, and Redis has lost its list.
func (b *book) forgotten(p *process, token string) bool {
	return b.world.restored && !p.spool.presented[token] && b.world.redisForgot
}

// arrived takes down what a presentation came to at the provider, and judges a
// reuse, by which a grant dies (I3).
func (b *book) arrived(s *presentation, e providersim.Event) {
	s.arrived = true
	b.world.note("%s arrives: %s %s", b.name(s.token), e.Result, e.Fault)
	g := b.tokens[s.token]
	switch e.Result {
	case providersim.ResultOK:
		if e.IssuedHash != "" && !isNoRotation(e) {
			g.living, g.by, s.issued = e.IssuedHash, s, e.IssuedHash
			b.tokens[e.IssuedHash] = g
		}
	case providersim.ResultReuse:
		if !g.dead {
			g.dead = true
			b.mayLose(s.spool.user, g, fmt.Sprintf("I3: the grant of %s dies of a reuse", s.id))
		}
	}
}

func isNoRotation(e providersim.Event) bool { return e.Fault == "no_rotation" }

// returned takes down that an answer came back to who asked. From here it goes to
// the spool without another effect in between.
func (b *book) returned(s *presentation, a refreshers.Answer) {
	s.home = s.issued != "" && a.Status == http.StatusOK && !a.Truncated && readable(a)
	s.unspent = a.Status == http.StatusTooManyRequests || a.Status == http.StatusUnauthorized
	if s.issued == "" && a.Status == http.StatusOK && readable(a) {
		for _, each := range b.sends[s.token] {
			each.unspent = true // the provider took it and let it live
		}
		s.unspent = true
	}
	if s.unspent {
		delete(s.spool.presented, s.token)
	}
}

func readable(a refreshers.Answer) bool {
	o, ok := a.Object()
	return ok && o.Has("access_token")
}

// mayLose fails unless the living token of a grant that is being lost is out of
// everybody's reach.
func (b *book) mayLose(p *process, g *grant, what string) {
	switch {
	case g.by == nil, !g.by.home:
		return // its answer never reached a spool
	case b.takenBack[g.living], b.blinded[g.by.id]:
		return // Vault had it, and lost it
	}
	where := ""
	for id, doc := range b.world.vault.grants {
		if doc.data.RefreshToken.Hash() == g.living {
			where = "in Vault, for " + id.String()
		}
	}
	s := g.by.spool
	switch {
	case b.world.redis.copies[g.by.ref()] != nil:
		where = "in Redis"
	case !s.destroyed && !b.stored[g.living] && !holds(s, "answers", g.by.attempt) && !holds(s, "aside", g.by.attempt):
		where = "nowhere, though it had reached spool " + s.name
	case s.destroyed && !b.stored[g.living] && b.world.redis.told[g.by.attempt]:
		where = "nowhere, though Redis had a copy when spool " + s.name + " was destroyed"
	case !s.destroyed && holds(s, "answers", g.by.attempt) && (p != nil && p.spool == s || s.idle(time.Now()) < takeoverAfter-inFlightBound):
		where = "in spool " + s.name
	}
	if where != "" {
		b.world.wrong("%s, and its living token was %s", what, where)
	}
}

// kept reports whether Redis or the process's own spool has the last committed answer of a
// presentation.
func (b *book) kept(p *process, by *presentation) bool {
	if b.world.redis.kept[by.id].attempt == by.attempt {
		return true
	}
	if p == nil {
		return false
	}
	sealed, err := os.ReadFile(filepath.Join(p.spool.dir, "kept", by.id.Tenant+"."+by.id.Name))
	return err == nil && bytes.Contains(sealed, []byte(by.attempt))
}

// ref is the name of a presentation's answer.
func (s *presentation) ref() escrow.Ref {
	return escrow.Ref{ID: s.id, Attempt: s.attempt, Presented: s.token}
}

// holds reports whether a folder of a spool has the answer of an attempt.
func holds(s *spool, folder, attempt string) bool {
	info, err := os.Stat(filepath.Join(s.dir, folder, attempt))
	return err == nil && info.Size() > 0
}

var _ renewal.Observer = (*book)(nil)

// authorized takes down a new authorization by a person.
func (b *book) authorized(seed string) {
	hash := credential.Secret(seed).Hash()
	b.tokens[hash] = &grant{living: hash}
}

// restored takes down what Vault loses by being restored to an older copy.
func (b *book) restored(before, copied documents) {
	for id, doc := range before.grants {
		if token := doc.data.RefreshToken; token != copied.grants[id].data.RefreshToken {
			b.takenBack[token.Hash()] = true
		}
	}
}

// revoked takes down that a person took away the authorization that a seed began.
func (b *book) revoked(seed string) { b.tokens[credential.Secret(seed).Hash()].dead = true }
