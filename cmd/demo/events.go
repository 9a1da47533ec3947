package main

import (
	"fmt"
	"time"
)

// tone is how an event sounds.
type tone int

const (
	toneGood tone = iota // a token came or lives on
	toneQuiet
	toneStory // what people do
	toneWarn  // mends itself
	toneHelp  // needs a person
	toneBad   // should not have happened
)

// event is something that happened, in words.
type event struct {
	at   time.Duration // since the start
	id   string        // tenant/name; empty for a story
	verb string
	text string
	tone tone
}

// change is what one look at a credential found: two looks at its token
// document, one after the other.
type change struct {
	before, after published
	now           time.Time
}

// words says what a change means, as an event without time and ID; false if there
// is nothing to say.
func (c change) words() (event, bool) {
	switch {
	case c.after.Status == statusActive && c.after.Generation > c.before.Generation:
		return c.newToken(), true
	case c.after.Status != c.before.Status || c.asks() && c.after.Message != c.before.Message:
		return c.newStatus(), true
	case c.after.ExpiresAt.After(c.before.ExpiresAt):
		return event{verb: "kept alive", text: "the session is good for another " + left(c.after.ExpiresAt, c.now), tone: toneGood}, true
	default:
		return event{}, false
	}
}

// asks reports whether the document asks a person for something.
func (c change) asks() bool { return asksPerson(c.after.Status) }

func asksPerson(status string) bool {
	return status == statusNeedsAuthorization || status == statusMisconfigured
}

func (c change) newToken() event {
	e := event{verb: "renewed", tone: toneGood}
	switch {
	case asksPerson(c.before.Status):
		e.verb = "ALIVE AGAIN"
	case c.before.Generation == 0:
		e.verb = "first token"
	}
	if c.after.ExpiresAt.IsZero() {
		e.text = fmt.Sprintf("%s %s: the key works, and does not expire", c.after.Provider, c.after.Auth)
		return e
	}
	e.text = fmt.Sprintf("%s %s, generation %d, good for %s", c.after.Provider, c.after.Auth, c.after.Generation, left(c.after.ExpiresAt, c.now))
	return e
}

func (c change) newStatus() event {
	switch c.after.Status {
	case statusActive:
		return event{verb: "active again", text: "the token was good all along", tone: toneGood}
	case statusNeedsAuthorization, statusMisconfigured:
		return event{verb: "NEEDS A PERSON", text: c.after.Status + ": " + c.after.Message, tone: toneHelp}
	case statusRetrying, statusPending:
		return event{verb: c.after.Status, text: c.after.Message, tone: toneWarn}
	case statusExpired:
		return event{verb: c.after.Status, text: c.after.Message, tone: toneBad}
	default:
		return event{verb: c.after.Status, text: c.after.Message, tone: toneQuiet}
	}
}

// left says how long a token lives, in whole seconds.
func left(expires, now time.Time) string {
	d := expires.Sub(now)
	switch {
	case expires.IsZero():
		return "-"
	case d <= 0:
		return "0s"
	case d < 100*time.Second:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < 100*time.Minute:
		return fmt.Sprintf("%.0fm", d.Minutes())
	default:
		return fmt.Sprintf("%.0fh", d.Hours())
	}
}

// since says how long ago the demo began.
func since(d time.Duration) string {
	if d < 100*time.Second {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
}
