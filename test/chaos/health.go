package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// servable is a published token, as a reader needs it.
type servable struct {
	Provider string            `json:"provider"`
	Auth     string            `json:"auth"`
	Status   string            `json:"status"`
	Message  string            `json:"message"`
	Headers  map[string]string `json:"headers"`
	Query    map[string]string `json:"query"`
}

// unrecovered returns those of the credentials that are not whole, each with what
// is wrong with it.
func (r *rig) unrecovered(ids []string) map[string]string {
	open, waiting := map[string]string{}, r.waiting()
	for _, id := range ids {
		if r.ctx.Err() != nil {
			return open
		}
		matter := waiting[id]
		if matter == "" {
			matter = r.serves(id)
		}
		if matter == "" && strings.HasSuffix(id, "/"+rotatingName) {
			matter = r.rests(id)
		}
		if matter != "" {
			open[id] = matter
		}
	}
	return open
}

// awaitRecovery waits until each of the credentials was whole once, with nothing of it in any
// spool, and returns what those lack that were not. Which are at rest at the same moment says nothing:
// renewals go on.
func (r *rig) awaitRecovery(limit time.Duration, ids []string) map[string]string {
	open := map[string]string{}
	for _, id := range ids {
		open[id] = "not looked at"
	}
	eventually(limit, func() bool {
		open = r.unrecovered(slices.Collect(maps.Keys(open)))
		return len(open) == 0 || r.ctx.Err() != nil
	})
	for id, matter := range open {
		r.story.tell(0, id, "not whole after %s: %s", limit, matter)
	}
	return open
}

// stops is how often the fleet may be stopped until nothing is left undone. On a
// busy machine Vault is too slow for its time limits now and then without any fault, and
// a stop does not wait for a recovery.
const stops = 4

// stopAll stops the fleet, and returns what it leaves undone for good. What a stop
// leaves to recovery must be done after the next start.
func (r *rig) stopAll() map[string]string {
	for stop := 1; ; stop++ {
		for _, rep := range r.replicas {
			if err := rep.terminate(); err != nil {
				r.broken(err)
			}
		}
		left := r.leftovers()
		if len(left) == 0 || stop == stops || r.ctx.Err() != nil {
			return left
		}
		for _, rep := range r.replicas {
			r.start(rep)
		}
		r.awaitRecovery(recoveryLimit, slices.Collect(maps.Keys(left)))
	}
}

func (r *rig) everyID() []string { return append(r.person.ids(), r.person.rest...) }

// leftovers returns what stopped processes have left undone: open intents, and
// answers in a spool.
func (r *rig) leftovers() map[string]string {
	left := r.waiting()
	for _, id := range r.person.ids() {
		if matter := r.rests(id); matter != "" {
			left[id] = matter
		}
	}
	return left
}

// waiting returns the credentials that have an answer in a spool: under way, or left there by
// a process that has been away.
func (r *rig) waiting() map[string]string {
	found := map[string]string{}
	for _, rep := range r.replicas {
		for _, a := range rep.spool.answers() {
			found[a.Tenant+"/"+a.Name] = fmt.Sprintf("the answer to %s waits in the spool of replica %d", short(a.Attempt), rep.n)
		}
	}
	return found
}

// rests returns what is wrong with a grant, "" if it is idle, as it is between two
// renewals.
func (r *rig) rests(id string) (matter string) {
	eventually(2*time.Second, func() bool {
		grant, err := stored[document](r.ctx, r.vault, "grants", id)
		if matter = ""; err != nil {
			matter = err.Error()
		} else if grant.State != "idle" {
			matter = "its grant is " + grant.State
		}
		return matter == "" || r.ctx.Err() != nil
	})
	return matter
}

// serves returns what is wrong with a published token, "" if its provider takes
// it. One that is just being replaced gets a second look.
func (r *rig) serves(id string) (matter string) {
	eventually(2*time.Second, func() bool {
		token, err := stored[servable](r.ctx, r.vault, "tokens", id)
		switch {
		case err != nil:
			matter = err.Error()
		case token.Status != "active":
			matter = "its token is " + token.Status + ": " + token.Message
			return true
		default:
			matter = ""
			if err := r.servers.Check(r.ctx, token.Provider, token.Auth, "", token.Headers, token.Query); err != nil {
				matter = "its token does not serve: " + strings.TrimPrefix(err.Error(), "providersim: ")
			}
		}
		return matter == ""
	})
	return matter
}
