package simulation

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
	"refresher/internal/queue"
	"refresher/internal/renewal"
	"refresher/leases"
	"refresher/refreshers"
	"refresher/refreshers/checkfront"
	"refresher/scheduler"
)

// seat is a place where one process at a time runs, with its volume.
type seat struct {
	name  string
	spool *spool
	// process is the one that runs, nil while there is none.
	process *process
	spools  int // how many it has had
}

// spool is a volume with a spool directory.
type spool struct {
	name, dir string
	owner     string
	destroyed bool
	// user is the process that has it, nil if none.
	user *process
	// idleSince is when it was last of use to anybody.
	idleSince time.Time
	// presented are the hashes of the tokens that its spent list knows.
	presented map[string]bool
}

// idle is for how long nobody who can work has had the spool.
func (s *spool) idle(now time.Time) time.Duration {
	if s.user == nil {
		return now.Sub(s.idleSince)
	}
	if !s.user.pauseEnd().Before(now) {
		return now.Sub(s.user.pausedAt)
	}
	return 0
}

// process is one run of the service.
type process struct {
	world *world
	seat  *seat
	spool *spool

	escrow    *escrow.Escrow
	scheduler *scheduler.Scheduler
	stop      context.CancelFunc
	stopping  bool // it was told to
	exited    chan struct{}

	// claimed: it has claimed from Redis, which had lost everything so often then.
	claimed bool
	flushes int

	// The conductor alone writes these, while everybody else waits. They are atomic
	// because who waits for the time to pass is not told of it.
	dead        atomic.Bool
	pausedUntil atomic.Pointer[time.Time]
	pausedAt    time.Time
}

// pauseEnd returns when the process goes on; the zero time if it is not paused.
func (p *process) pauseEnd() time.Time {
	if until := p.pausedUntil.Load(); until != nil {
		return *until
	}
	return time.Time{}
}

// newSpool gives the seat an empty volume.
func (w *world) newSpool(s *seat) *spool {
	s.spools++
	name := fmt.Sprintf("%s%d", s.name, s.spools)
	sp := &spool{name: name, dir: filepath.Join(w.dir, name), presented: map[string]bool{}, idleSince: time.Now()}
	w.spools = append(w.spools, sp)
	return sp
}

// start starts a process on the seat's spool.
func (w *world) start(s *seat) {
	p := &process{world: w, seat: s, spool: s.spool, exited: make(chan struct{})}
	var err error
	p.escrow, err = escrow.Open(escrow.Settings{Dir: s.spool.dir, Keep: spentRetention, ProbesApart: inFlightBound - sendDeadline, Keys: vaultOf{p}, Copies: redisOf{p}})
	if err != nil {
		w.t.Fatal(err)
	}
	s.spool.owner = p.escrow.Owner()
	w.book.owners[s.spool.owner] = s.spool
	settings := checkfront.DefaultSettings()
	settings.AccessLifetime, settings.DormantInterval = accessLifetime, dormantInterval
	engine := renewal.New(renewal.Parts{
		Methods: refreshers.NewRegistry(checkfront.Methods(settings)), Credentials: vaultOf{p}, Grants: vaultOf{p}, Tokens: vaultOf{p},
		Escrow: p.escrow, Provider: egressOf{p}, Admission: admitAll{}, Observer: eventsOf{p}, Log: w.log,
	}, renewal.Timing{
		FirstMin: .05, FirstMax: .65, Interval: .65, Jitter: .02, BackoffMin: backoff, BackoffMax: backoff,
	}, renewal.Limits{
		SendDeadline: sendDeadline, RotationTimeout: rotationTimeout, InFlightBound: inFlightBound,
		TakeoverAfter: takeoverAfter, TakeoverAfterDormant: takeoverDormant, CommitRetryMax: 30 * time.Second,
		AskPersonEvery: time.Hour, StoreRetry: storeRetry,
	})
	p.scheduler, err = scheduler.New(scheduler.Parts{
		Queue: queueOf{redisOf{p}}, Leases: leasesOf{redisOf{p}}, Renewer: renewer{engine}, Store: vaultOf{p},
		Spare: func() (scheduler.Queue, scheduler.Leases) {
			return spareQueue{queue.NewMemory(), p}, leases.NewMemory()
		},
		Observer: ignore{}, Log: w.log,
	}, scheduler.Settings{
		Renew: "@every " + tick.String(), Scan: "@every " + scanEvery.String(), Workers: 8, Visibility: leaseTTL, LeaseRetry: leaseRetry,
		OutageAfter: 30 * time.Second, Grace: grace,
		Scans: scheduler.ScanSettings{Budget: 100, Rate: 100, MaxMissing: .5, Retry: scanRetry},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.lags.disturb("", func() { s.process, s.spool.user = p, p })
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	w.note("%s starts on spool %s", s.name, s.spool.name)
	go func() {
		defer close(p.exited)
		_ = p.scheduler.Run(ctx)
	}()
}

// tellToStop has a process end in good order.
func (w *world) tellToStop(p *process) {
	w.lags.disturb("", func() {
		p.stopping = true
		p.stop()
	})
}

// kill ends a process as SIGKILL does: nothing of it has an effect from here on.
// The conductor calls it while everybody waits.
func (w *world) kill(p *process) {
	p.dead.Store(true)
	p.stop()
	w.gate.dismiss(p)
	p.seat.process, p.spool.user, p.spool.idleSince = nil, nil, time.Now()
	_ = p.escrow.Close()
}

// reap ends what is left of the processes that have returned from Run: their
// program ends there.
func (w *world) reap() (reaped bool) {
	for _, s := range w.seats {
		if s.process == nil {
			continue
		}
		select {
		case <-s.process.exited:
			w.note("%s has stopped", s.name)
			w.book.stopped(s.process)
			w.lags.disturb("", func() { w.kill(s.process) })
			reaped = true
			if !w.over {
				w.in(w.plan.stretch(time.Second, 5*time.Minute, "away", s.name, w.gate.number("away "+s.name)), func() { w.restart(s) })
			}
		default:
		}
	}
	return reaped
}

func (w *world) restart(s *seat) {
	if s.process == nil {
		w.start(s)
	}
}

// crash kills a process and decides what becomes of its spool and when the next
// one starts.
func (w *world) crash(p *process) {
	s := p.seat
	w.kill(p)
	n := w.gate.number("crash " + s.name)
	luck := w.plan.roll("spool", s.name, n)
	away := w.plan.stretch(time.Second, 4*time.Minute, "away", s.name, n)
	old := p.spool
	switch {
	case luck < w.plan.odds.loseSpool:
		w.note("%s is killed and its spool %s destroyed", s.name, old.name)
		w.destroy(old)
		s.spool = w.newSpool(s)
	case luck < w.plan.odds.loseSpool+w.plan.odds.holdSpool:
		back := w.plan.stretch(time.Minute, 2*takeoverAfter, "back", s.name, n)
		w.note("%s is killed and its spool %s held back for %v", s.name, old.name, back)
		s.spool = w.newSpool(s)
		w.in(back, func() { w.giveBack(s, old) })
	default:
		w.note("%s is killed", s.name)
	}
	w.in(away, func() { w.restart(s) })
}

func (w *world) destroy(s *spool) {
	s.destroyed = true
	if err := w.evidence.keepFiles("a spool", s.dir); err != nil {
		w.t.Error(err)
	}
	if err := os.RemoveAll(s.dir); err != nil {
		w.t.Error(err)
	}
}

// giveBack attaches a spool that was held back: the process that runs on the seat
// meanwhile is stopped for it.
func (w *world) giveBack(s *seat, old *spool) {
	if p := s.process; p != nil {
		w.lags.disturb("", func() { w.kill(p) })
	}
	w.note("spool %s is back on %s", old.name, s.name)
	// Nobody comes back for the one in between, unless it holds something.
	if between := s.spool; between != old && answersIn(between.dir) > 0 {
		w.in(time.Minute, func() { w.giveBack(s, between) })
	} else if between != old {
		w.destroy(between)
	}
	s.spool = old
	w.start(s)
}

// answersIn counts the files in a spool that hold an answer.
func answersIn(dir string) int {
	n := 0
	entries, _ := os.ReadDir(filepath.Join(dir, "answers"))
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > 0 {
			n++
		}
	}
	return n
}

// renewer names the goroutines of the protocol.
type renewer struct{ *renewal.Engine }

// Renew implements scheduler.Renewer.
func (r renewer) Renew(ctx context.Context, entry credential.Entry) renewal.Outcome {
	return r.Engine.Renew(acting(ctx, "visit"), entry)
}

// Drain implements scheduler.Renewer.
func (r renewer) Drain(ctx context.Context) []credential.ID {
	return r.Engine.Drain(acting(ctx, "drain"))
}

// admitAll lets every call through.
type admitAll struct{}

// Admit implements renewal.Admission.
func (admitAll) Admit(context.Context, renewal.Ask) renewal.Pass {
	return renewal.Pass{OK: true, Done: func(renewal.Health) {}}
}

// ignore implements scheduler.Observer.
type ignore struct{}

func (ignore) Renewed(credential.Entry, renewal.Outcome, time.Duration, time.Duration) {}
func (ignore) Scanned(scheduler.Report, error)                                         {}
func (ignore) Tick(int, error)                                                         {}
func (ignore) LeaseHeld()                                                              {}
func (ignore) Retired()                                                                {}
