package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"refresher/internal/testport"
)

// The sped-up time of the rig. What the protocol's safety rests on keeps its
// proportions (docs/architecture.md): the in-flight bound is twice the send
// deadline, the call and the provider's tail.
const (
	accessLifetime  = 14 * time.Second
	vaultTimeout    = 500 * time.Millisecond
	sendDeadline    = time.Second
	rotationTimeout = time.Second
	inFlightBound   = 6 * time.Second
	takeoverAfter   = 20 * time.Second
	leaseTTL        = 2 * time.Second
	shutdownGrace   = 5 * time.Second
	// speed is how many times as fast as ours the providers' time passes.
	speed = 1000
)

// settings is the configuration of a replica, as its environment.
func settings() []string {
	var env []string
	for key, value := range map[string]any{
		"RENEWAL_VAULT_TIMEOUT": vaultTimeout, "RENEWAL_SEND_DEADLINE": sendDeadline, "RENEWAL_ROTATION_TIMEOUT": rotationTimeout,
		"RENEWAL_IN_FLIGHT_BOUND": inFlightBound, "RENEWAL_TAKEOVER_AFTER": takeoverAfter, "RENEWAL_LEASE_TTL": leaseTTL,
		"RENEWAL_COMMIT_RETRY_MAX": "1s", "RENEWAL_CLOCK_SKEW_ALLOWANCE": "0s", "RENEWAL_BACKOFF_MIN": "500ms", "RENEWAL_BACKOFF_MAX": "5s",
		"RENEWAL_SPENT_RETENTION": "30m", "RENEWAL_CONFIRM_REFUSALS": "2s,4s", "RENEWAL_SHUTDOWN_GRACE": shutdownGrace,
		"RENEWAL_GRANT_WARNING": "5m", "RENEWAL_GRANT_CRITICAL": "2m",
		"PROVIDERS_CHECKFRONT_ACCESS_LIFETIME": accessLifetime, "PROVIDERS_CHECKFRONT_GRANT_LIFETIME": "1209s",
		"PROVIDERS_CHECKFRONT_DORMANT_INTERVAL": "864s", "PROVIDERS_CHECKFRONT_VERIFY_EVERY": "5s",
		"PROVIDERS_CHECKFRONT_RATE": 1000, "PROVIDERS_CHECKFRONT_BURST": 1000, "PROVIDERS_CHECKFRONT_CONCURRENCY": 256,
		"PROVIDERS_BOOKEO_VERIFY_EVERY": "5s", "PROVIDERS_CLICRDV_IDLE_WINDOW": "10s", "PROVIDERS_CLICRDV_TOUCH_EVERY": "3s",
		"PROVIDERS_CLICRDV_LATEST_TOUCH": "8s", "PROVIDERS_CLICRDV_VERIFY_EVERY": "5s",
		"PROVIDERS_BREAKER_OPEN_FOR": "1s", "PROVIDERS_BREAKER_OPEN_FOR_MAX": "3s",
		"SCHEDULER_SCAN": "@every 5s", "SCHEDULER_SCAN_RATE": 500, "SCHEDULER_REDIS_OUTAGE_AFTER": "2s",
		"REDIS_TIMEOUT": "500ms", "EGRESS_ALLOW": "*" + hostSuffix, "LOG_LEVEL": "debug",
	} {
		env = append(env, fmt.Sprintf("REFRESHER_%s=%v", key, value))
	}
	return env
}

// replica is one `refresher run` with its ways to the world and its spool.
type replica struct {
	n        int
	program  string
	log      string
	env      []string
	vault    *vaultProxy
	redis    *redisProxy
	provider *providerProxy
	spool    *spoolDir
	address  string // of its own HTTP server
	metrics  string // the file with what it exported at the end

	mu       sync.Mutex
	process  *process
	frozen   bool // by SIGSTOP
	stopping bool // by SIGTERM
	unwatch  func()
}

// newReplica makes the surroundings of a replica; it does not run yet.
func newReplica(r *rig, n int) (*replica, error) {
	rep := &replica{n: n, program: r.options.refresher, log: filepath.Join(r.dir, fmt.Sprintf("replica-%d.log", n)), unwatch: func() {}}
	var err error
	if rep.spool, err = newSpoolDir(filepath.Join(r.dir, fmt.Sprintf("disk-%d", n)), r.secrets.keep); err != nil {
		return nil, err
	}
	if rep.vault, err = newVaultProxy(r, n); err != nil {
		return nil, err
	}
	if rep.redis, err = newRedisProxy(r, n); err != nil {
		return nil, err
	}
	if rep.provider, err = newProviderProxy(r, n); err != nil {
		return nil, err
	}
	port, err := testport.Free()
	if err != nil {
		return nil, err
	}
	rep.address = fmt.Sprintf("127.0.0.1:%d", port)
	rep.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "VAULT_ADDR=" + rep.vault.address,
		"REFRESHER_VAULT_AUTH_APPROLE_ROLE_ID=" + r.roleID, "REFRESHER_VAULT_AUTH_APPROLE_SECRET_ID=" + r.secretID,
		"REDIS_URL=" + rep.redis.url(), "REFRESHER_EGRESS_PROXY=" + rep.provider.url(), "REFRESHER_ESCROW_DIR=" + rep.spool.dir,
		"REFRESHER_HTTP_LISTEN=" + rep.address, clockVariable + "=" + clockOf(n).String(),
	}, settings()...)
	return rep, nil
}

// start runs the process. One that ends by itself, as it may when Vault or the disk
// is away at its start, is started again after a second, as a supervisor does.
func (r *rig) start(rep *replica) {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if r.ending.Load() {
		return
	}
	rep.unwatch()
	rep.unwatch = func() {}
	stop, err := rep.spool.watch(func(found spooledAnswer) {
		a := r.seen.attempt(found.Attempt)
		r.spooled(rep, found, inSpool)
		if a != nil {
			Step{Boundary: Spool, Replica: rep.n, ID: a.ID, Attempt: a}.meet(r, After)
		}
	})
	if err != nil {
		r.broken(err)
		return
	}
	rep.unwatch = stop
	p, err := spawn(rep.log, rep.env, rep.program, "run")
	if err != nil {
		r.broken(err)
		return
	}
	rep.process, rep.frozen, rep.stopping = p, false, false
	r.story.tell(rep.n, "", "started")
	go r.supervise(rep, p)
}

// supervise starts a process again that ended though nobody killed it.
func (r *rig) supervise(rep *replica, p *process) {
	<-p.done
	rep.mu.Lock()
	own := rep.process == p && !rep.stopping
	if own {
		rep.process = nil
	}
	rep.mu.Unlock()
	if !own || r.ending.Load() {
		return
	}
	r.ended(rep, p, nil)
	r.later(time.Second, func() { r.start(rep) })
}

// running reports whether the process is there, and at work.
func (rep *replica) running() bool {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	return rep.process != nil && !rep.frozen && !rep.stopping
}

// there reports whether the process is there and can act, even if it has been told to stop.
func (rep *replica) there() bool {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	return rep.process != nil && !rep.frozen
}

// takes reports whether a kind of fault can happen to the process as it is. One that is stopping is
// left to itself, and its connections are not.
func (rep *replica) takes(k Kind) bool { return rep.running() || k.ofConnection() && rep.there() }

// kill ends the process at once and returns when it is gone; false if there is none.
func (rep *replica) kill() bool {
	rep.mu.Lock()
	p := rep.process
	if rep.stopping {
		p = nil // it ends by itself
	} else {
		rep.process = nil
	}
	rep.mu.Unlock()
	if p == nil {
		return false
	}
	p.kill()
	return true
}

// freeze sends SIGSTOP; false if the process is not at work.
func (rep *replica) freeze() bool {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if rep.process == nil || rep.frozen || rep.stopping {
		return false
	}
	rep.frozen = true
	return rep.process.cmd.Process.Signal(syscall.SIGSTOP) == nil
}

// thaw sends SIGCONT to a process that was frozen.
func (rep *replica) thaw() {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if rep.process != nil && rep.frozen {
		_ = rep.process.cmd.Process.Signal(syscall.SIGCONT)
	}
	rep.frozen = false
}

// ask sends SIGTERM, and returns the process that was told; nil if none is at work. It is
// left alone from then on.
func (rep *replica) ask() *process {
	rep.mu.Lock()
	defer rep.mu.Unlock()
	if rep.process == nil || rep.frozen || rep.stopping || rep.process.cmd.Process.Signal(syscall.SIGTERM) != nil {
		return nil
	}
	rep.stopping = true
	return rep.process
}

// terminate asks the process to stop, as a deployment does, and waits until it has.
// What it exports is written down before.
func (rep *replica) terminate() error {
	rep.mu.Lock()
	p := rep.process
	rep.process = nil
	rep.mu.Unlock()
	if p == nil {
		return fmt.Errorf("replica %d does not run at the end", rep.n)
	}
	if err := rep.scrape(p.done); err != nil {
		p.kill()
		return err
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("replica %d did not stop within %s", rep.n, patience)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("replica %d stopped with %s", rep.n, p.cmd.ProcessState)
	}
	return nil
}

// scrape writes down what the process exports. One that was just started may not listen yet.
func (rep *replica) scrape(ended <-chan struct{}) error {
	client := http.Client{Timeout: 5 * time.Second}
	late := time.After(patience)
	resp, err := client.Get("http://" + rep.address + "/metrics")
	for err != nil {
		select {
		case <-ended:
			return err
		case <-late:
			return err
		case <-time.After(50 * time.Millisecond):
			resp, err = client.Get("http://" + rep.address + "/metrics")
		}
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	rep.metrics = strings.TrimSuffix(rep.log, ".log") + ".metrics"
	return os.WriteFile(rep.metrics, text, 0o600)
}

// close ends the process and all that belongs to it. The spool is kept as files.
func (rep *replica) close(keep string) error {
	rep.kill()
	rep.unwatch()
	rep.vault.close()
	rep.redis.close()
	rep.provider.close()
	err := rep.spool.keep(keep)
	if unmountErr := rep.spool.unmount(); err == nil {
		err = unmountErr
	}
	return err
}
