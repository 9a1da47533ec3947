package simulation

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
	// blinded is when a credential's grant was last written over blindly, by a write that was under way.
	blinded map[credential.ID]time.Time
	// waiting is what came home last for a credential and is not in Vault yet.
	waiting map[credential.ID]*presentation
	adopted map[credential.ID]time.Time
	told    map[*process][]telling
}

// telling is an event that a process counted.
type telling struct {
	event string
	at    time.Time
}

// intent is one that Vault accepted.
type intent struct {
	id    credential.ID
	token string
	probe bool
	claim bool
	owner string
	at    time.Time
	// room: its answer had a file to go to when Vault accepted it.
	room bool
	sent *presentation
}

// presentation is one time that a refresh token was sent to the provider.
type presentation struct {
	id      credential.ID
	token   string
	process *process
	spool   *spool
	at      time.Time
	intent  *intent
	attempt string
	// over: its sender waits no more.
	over bool
	// arrived: it has had its effect, or never will.
	arrived bool
	issued  string // the new refresh token
	// refreshed: the provider took the token and let it live.
	refreshed bool
	// heard: the answer came back and can be read.
	heard bool
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
	// revoked: a person took it away.
	revoked bool
}

func newBook(w *world) *book {
	return &book{
		world: w, names: map[string]string{}, owners: map[string]*spool{}, intents: map[string]*intent{},
		sends: map[string][]*presentation{}, tokens: map[string]*grant{},
		stored: map[string]bool{}, takenBack: map[string]bool{}, blinded: map[credential.ID]time.Time{},
		waiting: map[credential.ID]*presentation{},
		adopted: map[credential.ID]time.Time{}, told: map[*process][]telling{},
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

// eventsOf are the events that one process counts.
type eventsOf struct{ *process }

// Event implements renewal.Observer.
func (p eventsOf) Event(event, _ string) {
	b := p.world.book
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	b.told[p.process] = append(b.told[p.process], telling{event, time.Now()})
}

// tells takes one event out of those that a process has counted since a time, and reports
// whether there was one.
func (b *book) tells(p *process, since time.Time, events ...string) bool {
	b.world.mu.Lock()
	defer b.world.mu.Unlock()
	i := slices.IndexFunc(b.told[p], func(t telling) bool { return !t.at.Before(since) && slices.Contains(events, t.event) })
	if i >= 0 {
		b.told[p] = slices.Delete(b.told[p], i, i+1)
	}
	return i >= 0
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
		if b.blinded[id] = time.Now(); over.age > sendDeadline {
			b.world.wrong("I3: %s is written over by one who had read another document under that version, %v before", id, over.age)
		}
	}
	b.stored[hash] = true
	if s := b.waiting[id]; s != nil && s.issued == hash {
		delete(b.waiting, id)
	}
	if len(g.Seeds) > len(before.Seeds) {
		b.adopted[id] = time.Now()
		delete(b.waiting, id) // it is overtaken
	}
	if i := g.Intent; i != nil && b.intents[i.Attempt] == nil {
		b.intents[i.Attempt] = &intent{id: id, token: hash, probe: i.Probe, claim: i.Claim, owner: i.Owner, at: time.Now(), room: hasRoom(p.spool, i.Attempt)}
	}
	if i, open := g.Intent, before.Intent; i != nil && i.Claim && open != nil && open.Owner != i.Owner && time.Now().Before(open.NotBefore.Add(inFlightBound)) {
		b.world.wrong("I9: the intent of %s is taken over in its owner's time", id)
	}
	if g.Generation < before.Generation && !over.other {
		b.world.wrong("I4: the generation of %s goes back from %d to %d", id, before.Generation, g.Generation)
	}
	if published := b.world.vault.tokens[id].data.Generation; before.AccessToken != "" && g.Generation > before.Generation && before.Generation > published {
		b.world.wrong("I4: %s comes to generation %d before %d is published, which is at %d", id, g.Generation, before.Generation, published)
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
	case g == nil || g.revoked:
		return
	case g.dead: // of a reuse, which was judged when it happened
		b.announced(p, id, token)
	case g.living == token && b.refreshedUnseen(token):
		return // how long its access token lives is not known
	case g.living == token:
		b.world.wrong("I5: %s is written off, and its token lives", id)
	case b.takenBack[g.living] && g.by != nil && b.kept(p, g.by):
		b.world.wrong("I5: %s is written off, and the answer with its living token is kept", id)
	default:
		b.mayLose(p, g, "I5: "+id.String()+" is written off")
		b.announced(p, id, token)
	}
}

// refreshedUnseen reports whether the provider has given out another access token for a refresh
// token that it let live, and Vault knows nothing of that: nobody heard the answer, or Vault
// was put back to before it. While that lives, some refuse to refresh.
func (b *book) refreshedUnseen(token string) bool {
	return slices.ContainsFunc(b.sends[token], func(s *presentation) bool {
		unseen := !s.heard || !s.at.After(b.world.restoredAt)
		return s.refreshed && unseen && time.Since(s.at) < accessLifetime+2*rotationTimeout && b.world.subject(s.id).patient
	})
}

// announced judges whether a lost grant was counted as that by who writes it off (I3): the
// token was rotated, and the answer came to nobody. What Vault had and lost by being put back is
// told by the status alone, as is a token that was presented before Vault forgot it.
func (b *book) announced(p *process, id credential.ID, token string) {
	var last time.Time
	rotated := false
	for _, s := range b.sends[token] {
		if s.process == p {
			last = s.at
		}
		if s.issued == "" {
			continue
		}
		if b.stored[s.issued] || !s.at.After(b.world.restoredAt) {
			return
		}
		rotated = true
	}
	if rotated && !b.tells(p, last, renewal.EventAnswerLost, renewal.EventSpentRefused) {
		b.world.wrong("I3: %s is written off for an answer that was lost, and that is not counted", id)
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
	s := &presentation{token: token, process: p, spool: p.spool, at: time.Now(), id: b.world.hosts[host]}
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
	if !s.intent.room || !hasRoom(p.spool, s.attempt) {
		b.world.wrong("I6: the token of %s is presented, and there is no room for the answer", s.id)
	}
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
		s.refreshed = s.issued == ""
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
	s.heard = a.Status == http.StatusOK && !a.Truncated && readable(a)
	s.home = s.issued != "" && s.heard
	if s.home && !b.stored[s.issued] && !b.overtaken(s) {
		b.waiting[s.id] = s
	}
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
	case b.takenBack[g.living] && !b.kept(p, g.by), !b.blinded[g.by.id].Before(g.by.at):
		return // Vault had it, and lost it, and so did whoever kept the last answer
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

// overtaken reports whether a new authorization was adopted since a presentation, or its grant
// was written over blindly.
func (b *book) overtaken(s *presentation) bool {
	return b.adopted[s.id].After(s.at) || !b.blinded[s.id].Before(s.at)
}

// waitsInUse reports whether an answer for a credential waits in the spool of a process that
// runs, or stands still.
func (b *book) waitsInUse(id credential.ID) bool {
	s := b.waiting[id]
	return s != nil && !s.spool.destroyed && s.spool.user != nil
}

// hasRoom reports whether a spool has a file for an attempt's answer.
func hasRoom(s *spool, attempt string) bool {
	_, err := os.Stat(filepath.Join(s.dir, "answers", attempt))
	return err == nil
}

// stopped judges a process that has stopped by itself: it has waited for what it sent (I6),
// unless it stood still meanwhile.
func (b *book) stopped(p *process) {
	for _, sends := range b.sends {
		for _, s := range sends {
			if s.process == p && !s.over && p.pausedAt.Before(s.at) {
				b.world.wrong("I6: %s stops, and its request for %s is under way", p.seat.name, s.id)
			}
		}
	}
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

var _ renewal.Observer = eventsOf{}

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
func (b *book) revoked(seed string) {
	g := b.tokens[credential.Secret(seed).Hash()]
	g.dead, g.revoked = true, true
}
