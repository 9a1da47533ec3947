package simulation

import (
	"context"
	"slices"
	"strings"
	"time"

	"refresher/internal/credential"
)

// calm ends everything that goes wrong, at once, and brings everybody back.
func (w *world) calm() {
	w.note("calm")
	w.chaos.Store(false)
	w.endOutage(&w.vault.place)
	w.endOutage(&w.redis.place)
	for i, h := range w.timeline {
		if soon := time.Now().Add(time.Duration(i) * time.Second); soon.Before(h.at) && !h.fixed {
			h.at = soon
		}
	}
	w.sortTimeline()
	for _, s := range w.seats {
		if s.process != nil {
			w.lags.disturb("", func() { s.process.pausedUntil.Store(nil) })
		}
	}
	for _, s := range w.subjects {
		s.paused, s.wrong = false, false
		w.put(s, 0)
	}
	w.attend()
}

// settled reports whether there is nothing left to do: each credential is
// served, no intent is open, no answer waits, and everybody is at work.
func (w *world) settled() bool {
	for _, s := range w.subjects {
		if w.unsettled(s) != "" {
			return false
		}
	}
	for _, s := range w.seats {
		if s.process == nil {
			return false
		}
		if answers, _ := s.process.escrow.Standing(); answers > 0 {
			return false
		}
	}
	return true
}

// unsettled says what is still amiss with a credential.
func (w *world) unsettled(s *subject) string {
	g, t := w.vault.grants[s.id].data, w.vault.tokens[s.id].data
	switch {
	case s.waiting:
		return "nobody has stored its new seed yet"
	case !g.Adopted(credential.Secret(s.seeds[len(s.seeds)-1])):
		return "its newest seed is not adopted"
	case s.patient && g.Intent != nil && !g.Intent.NotBefore.IsZero() && time.Since(g.Intent.BeganAt) < accessLifetime:
		return "" // it is refused while its access token lives, and tried again then
	case g.Intent != nil:
		return "I9: its intent is open"
	case g.State != credential.GrantIdle:
		return "I5: its grant is " + string(g.State)
	case t.Generation != g.Generation:
		return "I4: what is published is behind"
	case t.Status != credential.StatusActive:
		return "it is " + string(t.Status)
	case t.Expired(time.Now()) && !s.dormant:
		return "its token has expired"
	default:
		return ""
	}
}

// quiet lets the world come to rest, then proves that every grant lives by having
// each renewed once more.
func (w *world) quiet() {
	w.calm()
	w.run(time.Now().Add(2*accessLifetime+2*takeoverDormant+4*inFlightBound), w.settled)
	w.mustBeSettled("after the chaos")
	generations := map[credential.ID]int{}
	for _, s := range w.subjects {
		generations[s.id] = w.vault.grants[s.id].data.Generation
		_ = w.redis.queue.Expedite(context.Background(), s.id, time.Now(), true)
	}
	renewed := func() bool {
		for _, s := range w.subjects {
			if w.vault.grants[s.id].data.Generation <= generations[s.id] {
				return false
			}
		}
		return w.settled()
	}
	w.run(time.Now().Add(2*accessLifetime+4*inFlightBound), renewed)
	w.mustBeSettled("after one more renewal")
	for _, s := range w.subjects {
		if g := w.vault.grants[s.id].data.Generation; g <= generations[s.id] {
			w.wrong("%s cannot be renewed any more: generation %d", s.id, g)
		}
		if waits := s.patient && w.vault.grants[s.id].data.Intent != nil; !s.dormant && !waits && !w.works(w.vault.tokens[s.id].data) {
			w.wrong("the published token of %s does not serve", s.id)
		}
	}
	w.judgeQueue()
	w.judgeAnswers()
}

func (w *world) mustBeSettled(when string) {
	for _, s := range w.subjects {
		if amiss := w.unsettled(s); amiss != "" {
			w.wrong("%s, %s: %s", when, s.id, amiss)
		}
	}
	for _, s := range w.seats {
		if s.process == nil {
			w.wrong("%s, nobody runs on %s", when, s.name)
		} else if answers, _ := s.process.escrow.Standing(); answers > 0 {
			w.wrong("I2: %s, %d answers wait in spool %s", when, answers, s.spool.name)
		}
	}
}

// judgeQueue: everybody has a place in the queue, and the end of their grant is
// known there (I7).
func (w *world) judgeQueue() {
	entries, _ := w.redis.queue.Entries(context.Background())
	for _, s := range w.subjects {
		i := slices.IndexFunc(entries, func(e credential.Entry) bool { return e.ID == s.id })
		if i < 0 {
			w.wrong("I7: %s is not in the queue", s.id)
			continue
		}
		ends := w.vault.grants[s.id].data.RefreshTokenIssuedAt.Add(14 * 24 * time.Hour)
		if got := entries[i].Memo.GrantExpiresAt; got.Sub(ends).Abs() > time.Second {
			w.wrong("I7: the queue has %v for the end of %s, not %v", got, s.id, ends)
		}
	}
}

// judgeAnswers: every answer that reached a spool has reached Vault (I2), unless
// it was overtaken by a new authorization, or both its places were lost (I3).
func (w *world) judgeAnswers() {
	for _, sends := range w.book.sends {
		for _, s := range sends {
			if !s.home || w.book.stored[s.issued] || w.book.overtaken(s) {
				continue
			}
			if s.spool.destroyed && !w.redis.told[s.attempt] {
				continue
			}
			w.wrong("I2: an answer for %s of %.3f reached spool %s and never Vault", s.id, s.at.Sub(w.began).Seconds(), s.spool.name)
		}
	}
}

// stop ends all processes in good order.
func (w *world) stop() {
	w.over = true
	for _, s := range w.seats {
		if s.process != nil {
			w.tellToStop(s.process)
		}
	}
	w.run(time.Now().Add(2*grace), func() bool {
		return !slices.ContainsFunc(w.seats, func(s *seat) bool { return s.process != nil })
	})
	for _, s := range w.seats {
		if s.process != nil {
			w.wrong("%s does not stop", s.name)
			w.kill(s.process)
		}
	}
	w.gate.close()
	w.judgeSecrets()
}

func (w *world) report() string { return strings.Join(w.story, "\n") }
