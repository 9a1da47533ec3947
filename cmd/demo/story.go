package main

import (
	"context"
	"maps"
	"slices"
	"time"

	"refresher/internal/providersim"
)

// cues say when people enter.
type cues struct {
	// leave is how long the unlucky tenant's token is good before the tenant
	// takes our access away.
	leave time.Duration
	// comeBack is how long they take to answer the call for help.
	comeBack time.Duration
	// encore is how long it takes until it all happens again.
	encore time.Duration
}

func demoCues() cues {
	return cues{leave: 2500 * time.Millisecond, comeBack: 3 * time.Second, encore: 40 * time.Second}
}

// director plays the people: someone takes our access away, and gives it back
// when the service asks for help.
type director struct {
	cues       cues
	pace       pace
	board      *board
	door       *vaultDoor
	checkfront *providersim.Checkfront
	lead       stored
}

// play tells the story, over and over, until ctx ends.
func (d *director) play(ctx context.Context) {
	for d.act(ctx) {
		if !pause(ctx, d.cues.encore) {
			return
		}
	}
}

// act is one round; false if ctx ended before it did.
func (d *director) act(ctx context.Context) bool {
	if !d.await(ctx, statusActive, startLimit, "it got no token") || !pause(ctx, d.cues.leave) {
		return false
	}
	tenant := d.lead.tenant()
	d.board.narrate("Someone at %s removes our application in their Checkfront account. Nobody tells us.", tenant)
	d.board.cut(d.lead.id, true)
	d.board.mark(func(s *story) *time.Duration { return &s.revoked })
	if err := d.checkfront.RevokeGrant(d.lead.account); err != nil {
		d.board.problem(d.lead.id, "the simulator cannot revoke it: %v", err)
		return false
	}
	if !d.await(ctx, statusNeedsAuthorization, d.pace.access+askLimit, "nobody was asked for help in time") {
		return false
	}
	if !pause(ctx, d.cues.comeBack) || !d.comeBack(ctx) {
		return false
	}
	if !d.await(ctx, statusActive, healLimit, "it did not heal in time after the new authorization") {
		return false
	}
	d.board.cut(d.lead.id, false)
	return true
}

// comeBack is a person who authorizes again: all that they do is store the new
// refresh token, as the seed of a new grant.
func (d *director) comeBack(ctx context.Context) bool {
	d.board.narrate("Someone at %s logs in to Checkfront and authorizes us again; the new refresh token is put in the Vault.", d.lead.tenant())
	seed, err := d.checkfront.Authorize(d.lead.account)
	if err == nil {
		fields := maps.Clone(d.lead.fields)
		fields["refresh_token"] = seed
		err = d.door.store(ctx, d.lead.id, d.lead.document(fields))
	}
	if err != nil {
		if ctx.Err() == nil {
			d.board.problem(d.lead.id, "the new authorization cannot be stored: %v", err)
		}
		return false
	}
	d.board.mark(func(s *story) *time.Duration { return &s.returned })
	return true
}

// How long the service may take, beside what the protocol itself waits for.
const (
	startLimit = 10 * time.Second
	askLimit   = 8 * time.Second
	healLimit  = 8 * time.Second
)

// await waits until the lead's token has the status. If that takes longer than
// the limit it says so, and goes on waiting. It returns false if ctx ended.
func (d *director) await(ctx context.Context, status string, limit time.Duration, late string) bool {
	ticker := time.NewTicker(lookEvery / 2)
	defer ticker.Stop()
	for deadline := time.Now().Add(limit); d.board.status(d.lead.id) != status; {
		if time.Now().After(deadline) {
			d.board.problem(d.lead.id, "%s (%s)", late, limit)
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

// pause waits; it returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// playing returns the credential that plays a part.
func playing(all []stored, p part) stored {
	return all[slices.IndexFunc(all, func(s stored) bool { return s.part == p })]
}
