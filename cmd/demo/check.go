package main

import (
	"context"
	"errors"
	"maps"
	"time"

	"refresher/internal/providersim"
)

// verdict is what became of a token that was used at its provider.
type verdict int

const (
	accepted verdict = iota
	// overtaken: it had just been replaced, and the new one was accepted.
	overtaken
	refused
)

const (
	// lookEvery is how often a token document is read.
	lookEvery = 200 * time.Millisecond
	// tryEvery is how often its token is used at the provider, beside at once when it is new.
	tryEvery = 500 * time.Millisecond
	// window is how long after a rotation's answer the new token may take to be
	// published; until then the provider refuses the old one.
	window = 2 * time.Second
	// againEvery is how often a refused token's document is read again.
	againEvery = 50 * time.Millisecond
)

// errRefused says that a token was refused and no other came in time.
var errRefused = errors.New("the token is refused")

// checker plays all the services that use the tokens: it reads each document as
// they would, and uses the token, all the time.
type checker struct {
	door    *vaultDoor
	servers *providersim.Servers
	board   *board
}

// watch looks after one credential until ctx ends.
func (c *checker) watch(ctx context.Context, id string) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var last published
	var triedAt time.Time
	for {
		token, there, err := c.door.token(ctx, id)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.board.problem(id, "its token cannot be read: %v", err)
		case there:
			c.board.saw(id, token, time.Now())
			if !usable(token, time.Now()) || same(last, token) && time.Since(triedAt) < tryEvery {
				break
			}
			c.try(ctx, id, token)
			last, triedAt = token, time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// usable reports whether a reader would use the token: its document says that it
// serves, and it has not expired.
func usable(t published, now time.Time) bool {
	return t.serves() && (t.Status == statusActive || t.Status == statusRetrying) &&
		(t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// same reports whether two documents put the same on a call.
func same(a, b published) bool {
	return maps.Equal(a.Headers, b.Headers) && maps.Equal(a.Query, b.Query)
}

// try uses a token. After a refusal it does what every reader should: it reads
// the document again. It gives the service the window to publish a new token.
func (c *checker) try(ctx context.Context, id string, token published) {
	began := time.Now()
	result := accepted
	for {
		err := c.servers.Check(ctx, token.Provider, token.Auth, token.BaseURL, token.Headers, token.Query)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			c.board.tried(id, result)
			return
		}
		token, err = c.newer(ctx, id, token, began.Add(window))
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			c.board.tried(id, refused)
			return
		}
		result = overtaken
	}
}

// newer waits for another token than the refused one.
func (c *checker) newer(ctx context.Context, id string, old published, until time.Time) (published, error) {
	ticker := time.NewTicker(againEvery)
	defer ticker.Stop()
	for time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return old, ctx.Err()
		case <-ticker.C:
		}
		token, there, err := c.door.token(ctx, id)
		if err != nil || !there {
			continue
		}
		c.board.saw(id, token, time.Now())
		if !same(old, token) {
			return token, nil
		}
		if !usable(token, time.Now()) {
			break // it says itself that it no longer serves
		}
	}
	return old, errRefused
}

// ledgers reads the simulators' ledgers as they grow, until ctx ends.
func (c *checker) ledgers(ctx context.Context, p *providersim.Providers) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	read := map[string]int{}
	for {
		for _, sim := range p.All() {
			events := sim.Ledger().From(read[sim.Name()])
			read[sim.Name()] += len(events)
			c.board.ledger(count(events), c.verified(sim.Name(), events))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// count returns how many calls were the service's.
func count(events []providersim.Event) int {
	n := 0
	for _, e := range events {
		if e.Kind != providersim.KindCheck {
			n++
		}
	}
	return n
}

// verified returns the credentials whose keys a provider found to be good.
func (c *checker) verified(provider string, events []providersim.Event) []string {
	var ids []string
	for _, e := range events {
		if e.Kind != providersim.KindVerify || e.Result != providersim.ResultOK {
			continue
		}
		ids = append(ids, c.board.who(provider, e.Account)...)
	}
	return ids
}
