package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"refresher/internal/providersim"
	"refresher/vault"
)

// rig is one run: the servers, the replicas, the plan, and what was seen.
type rig struct {
	options options
	dir     string
	ctx     context.Context //nolint:containedctx // the life of the run, which each proxy and each timer shares
	end     context.CancelFunc

	sims     *providersim.Providers
	servers  *providersim.Servers
	vault    *vaultServer
	redis    *redisPair
	replicas []*replica
	person   *person

	plan    *Plan
	seen    *observed
	story   *story
	secrets *secretSearch

	mending *tasks // what undoes faults
	ending  atomic.Bool
	// wantsSetBack: the plan wants Vault put back, as soon as Redis was left alone for a while.
	wantsSetBack atomic.Bool

	mu        sync.Mutex
	faults    []*Fault
	crossings map[Boundary]map[Side]int
	setBacks  []setBack
	defects   []error   // of the rig's own
	wrong     []failure // what a scenario found
	endings   []ending
	settled   time.Duration // until everything was whole, after the last fault
	roleID    string        // the service's, for Vault
	secretID  string
}

// setBack is a time at which Vault's storage was put back.
type setBack struct {
	copied time.Time
	fault  *Fault
}

// newRig starts the servers and makes the replicas, which do not run yet.
func newRig(ctx context.Context, o options, dir string, log io.Writer) (*rig, error) {
	r := &rig{
		options: o, dir: dir, sims: providersim.New(providersim.Options{
			Factor: speed, ClicRDVIdle: 3 * time.Hour, AnkorLifetime: 3 * time.Hour, KiboLifetime: 3 * time.Hour,
		}),
		mending: newTasks(), seen: newObserved(), story: newStory(log), crossings: map[Boundary]map[Side]int{},
	}
	r.plan = newPlan(o.seed, o.every, o.where, o.what, r.leaves)
	r.ctx, r.end = context.WithCancel(ctx)
	for _, b := range boundaries() {
		r.crossings[b] = map[Side]int{}
	}
	r.person = newPerson(r)
	var err error
	if r.secrets, err = newSecretSearch(filepath.Join(dir, "evidence")); err != nil {
		return r, err
	}
	if r.servers, err = r.sims.Start("127.0.0.1"); err != nil {
		return r, err
	}
	if err := r.startStores(); err != nil {
		return r, err
	}
	if err := r.enrol(); err != nil {
		return r, err
	}
	for n := 1; n <= o.replicas; n++ {
		rep, err := newReplica(r, n)
		if err != nil {
			return r, err
		}
		r.replicas = append(r.replicas, rep)
	}
	return r, nil
}

func (r *rig) startStores() error {
	var err error
	if r.redis, err = newRedisPair(r.dir); err == nil {
		err = r.redis.start(r.ctx)
	}
	if err != nil {
		return err
	}
	if r.vault, err = newVault(r.options.vaultDev, filepath.Join(r.dir, "vault")); err == nil {
		err = r.vault.start(r.ctx)
	}
	return err
}

// How long the service's tokens for Vault last: they are renewed, and replaced, all
// the time.
const (
	loginTTL    = 20 * time.Second
	loginMaxTTL = time.Minute
)

// enrol makes the role that the service logs in with. It may do what the service must,
// and no more.
func (r *rig) enrol() error {
	policy := map[string]any{"policy": vault.Settings{}.Policy()}
	role := map[string]any{
		"token_policies": []string{"refresher"}, "token_ttl": loginTTL.String(), "token_max_ttl": loginMaxTTL.String(),
	}
	for _, step := range []struct {
		path string
		body map[string]any
	}{
		{"sys/policies/acl/refresher", policy},
		{"sys/auth/approle", map[string]any{"type": "approle"}},
		{"auth/approle/role/refresher", role},
	} {
		if err := r.vault.insist(r.ctx, http.MethodPost, step.path, step.body, nil); err != nil {
			return err
		}
	}
	var reply struct {
		Data struct {
			RoleID   string `json:"role_id"`
			SecretID string `json:"secret_id"`
		} `json:"data"`
	}
	if err := r.vault.insist(r.ctx, http.MethodGet, "auth/approle/role/refresher/role-id", nil, &reply); err != nil {
		return err
	}
	r.roleID = reply.Data.RoleID
	err := r.vault.insist(r.ctx, http.MethodPost, "auth/approle/role/refresher/secret-id", nil, &reply)
	r.secretID = reply.Data.SecretID
	return err
}

// onboard stores the fleet.
func (r *rig) onboard() error {
	for n := range r.options.tenants {
		tenant := fmt.Sprintf("t-%03d", n+1)
		if err := r.person.onboard(tenant); err != nil {
			return err
		}
		if n < r.options.others {
			if err := r.person.onboardOthers(tenant); err != nil {
				return err
			}
		}
	}
	return nil
}

// close stops what still runs, and keeps the spools as files.
func (r *rig) close() error {
	r.ending.Store(true)
	r.plan.End()
	r.end()
	r.mending.wait()
	var errs []error
	for _, rep := range r.replicas {
		errs = append(errs, rep.close(r.spoolKept(rep)))
	}
	if r.redis != nil {
		r.redis.kill()
	}
	if r.vault != nil && r.vault.process != nil {
		r.vault.kill()
	}
	if r.servers != nil {
		r.servers.Close()
	}
	return errors.Join(errs...)
}

func (r *rig) spoolKept(rep *replica) string {
	return filepath.Join(r.dir, fmt.Sprintf("spool-%d", rep.n))
}

// crossed counts a step.
func (r *rig) crossed(b Boundary, side Side) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.crossings[b][side]++
}

// hits returns how often each side of a boundary was hit.
func (r *rig) hits() map[Boundary]map[Side]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	hits := map[Boundary]map[Side]int{}
	for _, b := range boundaries() {
		hits[b] = map[Side]int{}
	}
	for _, f := range r.faults {
		hits[f.Boundary][f.Side]++
	}
	return hits
}

// least returns the boundary with the fewest hits, and how many those are.
func (r *rig) least() (Boundary, int) {
	hits := r.hits()
	var least Boundary
	fewest := -1
	for _, b := range boundaries() {
		hit := len(r.options.where) == 0 || slices.Contains(r.options.where, b)
		if n := hits[b][Before] + hits[b][After]; hit && (fewest < 0 || n < fewest) {
			least, fewest = b, n
		}
	}
	return least, fewest
}

// beginSetBack takes down that a copy was made, which was begun at a time.
func (r *rig) beginSetBack(f *Fault, copied time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setBacks = append(r.setBacks, setBack{copied: copied, fault: f})
	r.wantsSetBack.Store(false)
}

// settingBack reports whether Vault is being set back, or a grant has not yet got over that.
func (r *rig) settingBack() bool {
	r.mu.Lock()
	under := slices.ContainsFunc(r.setBacks, func(s setBack) bool { return s.fault.Until.IsZero() })
	r.mu.Unlock()
	return under || r.seen.forgetful()
}

// broken takes down a defect of the rig's own; the run fails for it.
func (r *rig) broken(err error) {
	if r.ending.Load() {
		return
	}
	r.story.tell(0, "", "THE RIG: %v", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.defects = append(r.defects, err)
}

// run lets the fleet live under faults until the targets are reached or the time is
// up, then without until it is whole again.
func (r *rig) run(progress io.Writer) error {
	if err := r.onboard(); err != nil {
		return err
	}
	for _, rep := range r.replicas {
		r.start(rep)
	}
	go r.person.attend()
	if r.options.attack != nil {
		r.options.attack(r)
	} else {
		r.underFaults(progress)
	}
	r.plan.End()
	fmt.Fprintf(progress, "chaos: the faults are over; waiting until everything is whole again\n")
	last := time.Now()
	r.mending.wait()
	open := r.awaitRecovery(recoveryLimit, r.everyID())
	r.settled = time.Since(last)
	maps.Copy(open, r.stopAll())
	for id, matter := range open {
		r.wrongly("I9", id, "not whole again: %s", matter)
	}
	return r.ctx.Err()
}

// underFaults waits for the end of the faults.
func (r *rig) underFaults(progress io.Writer) {
	over := time.After(r.options.duration)
	look := time.NewTicker(5 * time.Second)
	defer look.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-over:
			return
		case <-look.C:
		}
		least, fewest := r.least()
		r.mu.Lock()
		faults, defects := len(r.faults), len(r.defects)
		r.mu.Unlock()
		fmt.Fprintf(progress, "chaos: %5.0f s  %d rotations, %d faults, fewest at %s: %d\n",
			time.Since(r.story.began).Seconds(), r.seen.rotations(), faults, least, fewest)
		if defects > 0 || r.seen.rotations() >= r.options.rotations && fewest >= r.options.hits {
			return
		}
	}
}

// recoveryLimit is how long a fleet may take to become whole: a takeover, its bound,
// a probe and a person, and the waits between.
const recoveryLimit = 3 * time.Minute

// openLog opens a file for a story.
func openLog(path string) (*bufio.Writer, func() error, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	w := bufio.NewWriterSize(f, 1<<16)
	return w, func() error { return errors.Join(w.Flush(), f.Close()) }, nil
}
