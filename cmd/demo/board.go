package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// board keeps what was seen. It may be used from several goroutines.
type board struct {
	start time.Time
	// tell is given each event, in order. It must not call the board.
	tell func(event)

	mu     sync.Mutex
	rows   []*row
	calls  int
	story  story
	events []event // the last ones
}

// row is one credential, as far as it was seen.
type row struct {
	stored
	token     published
	published bool
	// fresh is when it last got or kept a token.
	fresh time.Time
	// lifetime is how long the last token was to live when it was first seen.
	lifetime time.Duration

	renewed, kept, verified int

	accepted, refused int
	// rightly counts the refusals that were to be expected.
	rightly int
	// overtaken counts the tokens that had just been replaced, and were
	// accepted when the document was read again.
	overtaken int
	// refusing: the last try was refused.
	refusing bool
	// cut: the tenant took our access away, so that a refusal is right.
	cut bool
	// asked is what a person was asked to do, the last time.
	asked string
	// problems are what should not have happened.
	problems []string
}

// story is how the unlucky tenant fared, as times since the start; zero for
// what has not come yet. Only the first time counts.
type story struct {
	revoked, asked, returned, healed time.Duration
}

// keptEvents is how many events a screen can show at most.
const keptEvents = 20

func newBoard(start time.Time, all []stored, tell func(event)) *board {
	b := &board{start: start, tell: tell}
	for _, s := range all {
		b.rows = append(b.rows, &row{stored: s})
	}
	return b
}

func (b *board) row(id string) *row {
	i := slices.IndexFunc(b.rows, func(r *row) bool { return r.id == id })
	return b.rows[i]
}

// say adds an event. The lock is held.
func (b *board) say(now time.Time, e event) {
	e.at = now.Sub(b.start)
	if len(b.events) == keptEvents {
		b.events = slices.Delete(b.events, 0, 1)
	}
	b.events = append(b.events, e)
	b.tell(e)
}

// narrate adds what people do.
func (b *board) narrate(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.say(time.Now(), event{text: fmt.Sprintf(format, args...), tone: toneStory})
}

// problem adds what should not have happened to a credential; only its first
// words are said each time.
func (b *board) problem(id, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong(b.row(id), time.Now(), fmt.Sprintf(format, args...))
}

func (b *board) wrong(r *row, now time.Time, text string) {
	if slices.Contains(r.problems, text) {
		return
	}
	r.problems = append(r.problems, text)
	b.say(now, event{id: r.id, verb: "WRONG", text: text, tone: toneBad})
}

// saw takes down a look at a token document.
func (b *board) saw(id string, token published, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.row(id)
	c := change{before: r.token, after: token, now: now}
	r.count(c)
	r.token, r.published = token, true
	if e, ok := c.words(); ok {
		e.id = id
		b.say(now, e)
	}
	if asksPerson(token.Status) {
		r.asked = token.Status + ": " + token.Message
	}
	if r.part == unlucky {
		b.follow(token.Status, now)
	}
	b.judge(r, now)
}

// follow notes how the unlucky tenant fares.
func (b *board) follow(status string, now time.Time) {
	s, at := &b.story, now.Sub(b.start)
	switch {
	case status == statusNeedsAuthorization && s.asked == 0:
		s.asked = at
	case status == statusActive && s.returned > 0 && s.healed == 0:
		s.healed = at
	}
}

// count adds up what a change brought.
func (r *row) count(c change) {
	isNew := c.after.Generation > c.before.Generation
	switch {
	case isNew && c.after.Status == statusActive:
		r.renewed++
	case c.after.Generation == c.before.Generation && c.after.ExpiresAt.After(c.before.ExpiresAt):
		r.kept++
	default:
		return
	}
	r.fresh = c.now
	if !c.after.ExpiresAt.IsZero() {
		r.lifetime = c.after.ExpiresAt.Sub(c.now)
	}
}

// judge notes what must not be with a credential that should be alive.
func (b *board) judge(r *row, now time.Time) {
	if r.part != steady || r.token.Generation == 0 {
		return
	}
	if !r.token.ExpiresAt.IsZero() && now.After(r.token.ExpiresAt) {
		b.wrong(r, now, "its token expired and was not renewed in time")
	}
	if asksPerson(r.token.Status) {
		b.wrong(r, now, "a person was asked for help without need: "+r.token.Status)
	}
}

// tried takes down that a token was used at its provider.
func (b *board) tried(id string, result verdict) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, now := b.row(id), time.Now()
	if result != refused {
		r.accepted++
		r.refusing = false
		if result == overtaken {
			r.overtaken++
		}
		return
	}
	r.refused++
	if r.cut {
		r.rightly++
	}
	if r.refusing {
		return
	}
	r.refusing = true
	if r.cut {
		b.say(now, event{id: id, verb: "refused", text: r.provider + " refuses its token, because the access was taken away", tone: toneWarn})
		return
	}
	b.wrong(r, now, r.provider+" refuses the published token")
}

// ledger takes down what the simulators met: how many calls, and which keys
// they found to be good.
func (b *board) ledger(calls int, verified []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls += calls
	for _, id := range verified {
		now := time.Now()
		if r := b.row(id); r.renewed > 0 && now.Sub(r.fresh) > justNow { // else it was for the first token
			r.verified++
			r.fresh = now
			b.say(now, event{id: id, verb: "verified", text: r.method() + ": the key still works", tone: toneQuiet})
		}
	}
}

// justNow is for how long something counts as new.
const justNow = 1200 * time.Millisecond

// who returns the credentials of an account at a provider that are verified.
func (b *board) who(provider, account string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for _, r := range b.rows {
		if r.provider == provider && r.account == account {
			ids = append(ids, r.id)
		}
	}
	return ids
}

// cut notes that a tenant takes away, or gives back, our access.
func (b *board) cut(id string, away bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row(id).cut = away
}

// mark sets a time of the story, once.
func (b *board) mark(at func(*story) *time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := at(&b.story); *t == 0 {
		*t = time.Since(b.start)
	}
}

// status returns what is published about a credential, "" for nothing.
func (b *board) status(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.row(id).token.Status
}

// view is a copy of the board for those who show it.
type view struct {
	elapsed time.Duration
	now     time.Time
	rows    []row
	calls   int
	story   story
	events  []event
}

func (b *board) view() view {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	v := view{elapsed: now.Sub(b.start), now: now, calls: b.calls, story: b.story, events: slices.Clone(b.events)}
	for _, r := range b.rows {
		one := *r
		one.problems = slices.Clone(r.problems)
		v.rows = append(v.rows, one)
	}
	return v
}

// totals are the sums over all rows.
type totals struct {
	renewed, kept, verified, accepted, refused, rightly, overtaken int
}

func (v view) totals() totals {
	var t totals
	for i := range v.rows {
		r := &v.rows[i]
		t.renewed += r.renewed
		t.kept += r.kept
		t.verified += r.verified
		t.accepted += r.accepted
		t.refused += r.refused
		t.rightly += r.rightly
		t.overtaken += r.overtaken
	}
	return t
}
