package main

import (
	"fmt"
	"strings"
	"time"
)

// redisOutage is the scenario of a Redis that is gone for longer than every token
// lives: two replicas go on from memory, and the queue is whole when it is back.
func redisOutage(o options) options {
	o.replicas, o.tenants, o.others = 2, min(o.tenants, 30), min(o.others, 1)
	if o.dir != "" {
		o.dir += "-outage"
	}
	o.attack = func(r *rig) { r.withoutRedis(o.outage) }
	return o
}

// withoutRedis takes Redis away for a time, and brings it back empty.
func (r *rig) withoutRedis(gone time.Duration) {
	r.plan.End()
	if open := r.awaitRecovery(patience, r.everyID()); len(open) > 0 {
		r.broken(fmt.Errorf("the fleet does not come up: %v", open))
		return
	}
	before := r.publishedGenerations()
	r.redis.kill()
	for _, rep := range r.replicas {
		rep.redis.cut()
	}
	r.story.tell(0, "", "Redis is gone")
	r.wait(gone)
	after := r.publishedGenerations()
	least := int(gone / accessLifetime)
	for id, generation := range before {
		if n := after[id] - generation; n < least {
			r.wrongly("Redis away", id, "%d new tokens in %s without Redis, want at least %d", n, gone, least)
		}
	}
	if err := r.redis.restore(r.ctx); err != nil {
		r.broken(err)
		return
	}
	r.story.tell(0, "", "Redis is back, and empty")
	want := len(r.person.ids()) + len(r.person.rest)
	have := ""
	whole := eventually(patience, func() bool {
		have, _ = r.redis.master().do("ZCARD refresher:{q0}:due")
		return have == fmt.Sprintf(":%d", want)
	})
	if !whole {
		r.wrongly("Redis away", "", "the queue has %s entries a minute after Redis came back, want %d", strings.TrimPrefix(have, ":"), want)
	}
}

func (r *rig) wrongly(invariant, id, format string, args ...any) {
	r.wrong = append(r.wrong, failure{invariant, id, fmt.Sprintf(format, args...)})
}

// publishedGenerations returns the newest generation of each rotating credential
// that was published.
func (r *rig) publishedGenerations() map[string]int {
	r.seen.mu.Lock()
	defer r.seen.mu.Unlock()
	newest := map[string]int{}
	for id, all := range r.seen.published {
		if !strings.HasSuffix(id, "/"+rotatingName) {
			continue
		}
		for _, p := range all {
			newest[id] = max(newest[id], p.Generation)
		}
	}
	return newest
}
