package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"time"
)

// The bounds of a delay.
const shortestDelay, longestDelay = 200 * time.Millisecond, 2500 * time.Millisecond

// strike carries a fault out. It returns when it has taken hold, and says what
// becomes of the connection.
func (r *rig) strike(f *Fault) fate {
	if f == nil {
		return fate{}
	}
	defer func() { f.Held = time.Since(f.At) }()
	switch f.Kind {
	case Cut:
		return fate{cut: true}
	case Truncate:
		return fate{truncate: true, half: f.Chance < 0.5}
	case Refuse:
		return fate{status: f.refusal()}
	case Delay:
		r.wait(f.span(shortestDelay, longestDelay))
	case Kill, Wipe, Away:
		r.kill(r.replicas[f.Replica-1], f)
		return fate{cut: true}
	default:
		r.strikeOthers(f)
	}
	return fate{}
}

// strikeOthers carries out what leaves the connection as it is.
func (r *rig) strikeOthers(f *Fault) {
	switch f.Kind {
	case Stop:
		r.stop(r.replicas[f.Replica-1], f)
	case Pause:
		r.pause(r.replicas[f.Replica-1], f)
	case Disk:
		r.strikeDisk(r.replicas[f.Replica-1], f)
	case Person:
		r.person.authorize(f.ID, "anew, in the middle")
	case Reapply:
		r.person.reapply(f.ID)
	case Delete:
		r.person.remove(f)
	case Revoke:
		login := r.replicas[f.Replica-1].vault.login()
		r.note("the process's token for Vault is revoked", r.vault.insist(r.ctx, http.MethodPost, "auth/token/revoke", map[string]any{"token": login}, nil))
		r.vault.release()
	case Key:
		r.strikeKeys(f)
	case Seal, VaultDie, SetBack:
		r.strikeVault(f)
	default:
		r.strikeRedis(f)
	}
}

// eviction is what Redis does when it has no memory left.
func (f *Fault) eviction() string {
	policies := []string{"allkeys-random", "volatile-random", "noeviction"}
	return policies[int(f.Chance*float64(len(policies)))]
}

// refusal is the status of an answer that says no.
func (f *Fault) refusal() int {
	statuses := []int{429, 472, 473, 500, 502, 503} // a rate limit, Vault's standbys, a server or gateway in trouble, sealed
	if f.Boundary == Request {                      // of these only 429 is proof that nothing was spent
		statuses = []int{429, 429, 429, 503}
	}
	return statuses[int(f.Chance*float64(len(statuses)))]
}

// kill ends a process and looks into its spool; it is started again later.
func (r *rig) kill(rep *replica, f *Fault) {
	if !rep.kill() {
		return // another fault was faster
	}
	r.story.tell(rep.n, "", "killed")
	r.inspect(rep, f)
	down := f.span(100*time.Millisecond, 2*time.Second)
	switch f.Kind {
	case Away:
		down = takeoverAfter + inFlightBound + f.span(time.Second, accessLifetime)
	case Wipe:
		rep.spool.wipe()
		r.story.tell(rep.n, "", "the spool is gone")
	}
	r.later(down, func() {
		r.over(f)
		r.start(rep)
	})
}

// inspect looks into the spool of a dead process. If that is about to be destroyed, or held
// back, it also looks whether Redis has copies.
func (r *rig) inspect(rep *replica, f *Fault) {
	found := rep.spool.answers()
	r.story.tell(rep.n, "", "%d whole answers in the spool of the dead process", len(found))
	for _, answer := range found {
		r.spooled(rep, answer, "found in the spool of the dead process")
		if f.Kind == Wipe || f.Kind == Away {
			copied := r.redis.master().says("HEXISTS "+answersOf+answer.Tenant+"/"+answer.Name+" "+answer.Attempt, ":1")
			r.seen.note(r.seen.attempt(answer.Attempt), func(a *attempt) { a.Taken = append(a.Taken, taking{f, copied}) })
		}
	}
}

// pause stops a process past its lease, now and then past the in-flight bound.
func (r *rig) pause(rep *replica, f *Fault) {
	if !rep.freeze() {
		return
	}
	length := f.span(leaseTTL, 2*leaseTTL)
	if f.Chance > 0.9 {
		length = inFlightBound + leaseTTL
	}
	r.later(length, func() {
		r.over(f)
		rep.thaw()
		r.story.tell(rep.n, "", "goes on after a pause of %s", length.Round(time.Millisecond))
	})
}

// strikeDisk leaves no room on the disk of a spool, or every other time makes it read-only: what
// is open can still be written then.
func (r *rig) strikeDisk(rep *replica, f *Fault) {
	mend := rep.spool.unfill
	if f.readOnly() {
		r.note(fmt.Sprintf("the spool's disk of replica %d takes no new files", rep.n), rep.spool.protect())
		mend = rep.spool.unprotect
	} else {
		rep.spool.fill()
	}
	r.later(f.span(500*time.Millisecond, 4*time.Second), func() {
		r.note(fmt.Sprintf("the spool's disk of replica %d is well again", rep.n), mend())
		r.over(f)
		rep.spool.release()
	})
}

// readOnly reports whether it is the other way in which a disk fails.
func (f *Fault) readOnly() bool { return f.Kind == Disk && int(f.Chance*1000)%2 == 0 }

// strikeVault seals Vault, kills it, or puts its storage back. Whoever is asked
// while it is away waits for nothing.
func (r *rig) strikeVault(f *Fault) {
	down := f.span(300*time.Millisecond, 2500*time.Millisecond)
	mend := func() error { return r.vault.start(r.ctx) }
	switch f.Kind {
	case Seal:
		r.note("Vault is sealed", r.vault.seal(r.ctx))
		mend = func() error { return r.vault.unseal(r.ctx) }
	case VaultDie:
		r.vault.kill()
		r.story.tell(0, "", "Vault is killed")
	default:
		began := time.Now()
		copied, err := r.vault.copyStorage()
		r.note("Vault's storage is copied", err)
		r.beginSetBack(f, began)
		mend = func() error { return r.putBack(copied, began) }
	}
	r.later(down, func() {
		r.note("Vault is back", mend())
		r.over(f)
		r.vault.release()
		if f.Kind == SetBack {
			r.person.lookAround()
		}
	})
}

// putBack replaces Vault's storage by an older copy, which was begun at a time.
func (r *rig) putBack(copied string, began time.Time) error {
	r.vault.kill()
	if err := r.vault.replaceStorage(copied); err != nil {
		return err
	}
	r.seen.setBack(began)
	r.story.tell(0, "", "Vault's storage is put back to an older copy")
	return r.vault.start(r.ctx)
}

// strikeKeys makes a newer escrow key, as an administrator would, or deletes all of them
// for a while.
func (r *rig) strikeKeys(f *Fault) {
	if !f.deletesKeys() {
		r.note("there is a newer escrow key", r.administrate("vault", "escrow-key"))
		r.vault.release()
		return
	}
	r.note("the escrow keys are deleted", r.vault.eachEscrowKey(r.ctx, http.MethodDelete, "secret/data/", nil))
	r.later(f.span(0, 4*time.Second), func() {
		r.note("the escrow keys are undeleted", r.vault.eachEscrowKey(r.ctx, http.MethodPost, "secret/undelete/", map[string]any{"versions": []int{1}}))
		r.over(f)
		r.vault.release()
	})
}

func (f *Fault) deletesKeys() bool { return f.Chance >= 0.5 }

// administrate runs the service's own command with an administrator's token, until it
// succeeds: Vault may just be slow.
func (r *rig) administrate(args ...string) error {
	var said []byte
	var err error
	eventually(patience, func() bool {
		cmd := exec.CommandContext(r.ctx, r.options.refresher, args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "VAULT_ADDR=" + r.vault.address, "VAULT_TOKEN=" + rootToken}
		said, err = cmd.CombinedOutput()
		return err == nil || r.ctx.Err() != nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

func (r *rig) strikeRedis(f *Fault) {
	if f.Kind != Evict || f.eviction() != "noeviction" {
		r.redis.loses()
	}
	switch f.Kind {
	case Evict:
		r.note("Redis has no memory left: "+f.eviction(), r.redis.master().starve(f.eviction()))
		r.later(f.span(300*time.Millisecond, 4*time.Second), func() {
			r.note("Redis has memory again", r.redis.master().feed())
			if f.eviction() != "noeviction" {
				r.redis.loses()
			}
			r.over(f)
			r.redis.release()
		})
		return
	case Flush:
		r.note("Redis is flushed", r.redis.flush())
		r.redis.release()
		return
	case Failover:
		r.note("Redis fails over to its replica", r.redis.failover())
	default:
		r.redis.killMaster()
		r.story.tell(0, "", "Redis is killed")
	}
	for _, rep := range r.replicas {
		rep.redis.cut()
	}
	r.later(f.span(300*time.Millisecond, 2500*time.Millisecond), func() {
		r.note("Redis is whole again", r.redis.restore(r.ctx))
		r.over(f)
		r.redis.release()
	})
}
