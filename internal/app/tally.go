package app

import (
	"sync"
	"time"

	"refresher/internal/credential"
	"refresher/internal/renewal"
	"refresher/scheduler"
)

// tally counts what became of each credential; the last visit counts.
type tally struct {
	mu      sync.Mutex
	results map[credential.ID]string
}

func (t *tally) note(id credential.ID, result string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.results == nil {
		t.results = map[credential.ID]string{}
	}
	t.results[id] = result
}

func (t *tally) summary() Summary {
	t.mu.Lock()
	defer t.mu.Unlock()
	var s Summary
	for _, result := range t.results {
		switch result {
		case renewal.ResultRenewed, renewal.ResultVerified, renewal.ResultRecovered:
			s.Renewed++
		case renewal.ResultFailed, renewal.ResultGone:
			s.Failed++
		case renewal.ResultDeferred, renewal.ResultWaiting:
			s.Deferred++
		default:
			s.Unchanged++
		}
	}
	return s
}

// watching is the observer that also tells the App what it needs to know.
type watching struct {
	observer
	app *App
}

// Renewed implements scheduler.Observer.
func (w watching) Renewed(entry credential.Entry, outcome renewal.Outcome, took, late time.Duration) {
	w.observer.Renewed(entry, outcome, took, late)
	if w.app.once {
		w.app.tally.note(entry.ID, outcome.Result)
	}
}

// Scanned implements scheduler.Observer.
func (w watching) Scanned(r scheduler.Report, err error) {
	w.observer.Scanned(r, err)
	warnOfGrants(w.app.log, r.Entries, time.Now(), w.app.config.Renewal.GrantWarning, w.app.config.Renewal.GrantCritical)
}

// Tick implements scheduler.Observer.
func (w watching) Tick(claimed int, err error) {
	w.observer.Tick(claimed, err)
	w.app.queueUp.Store(err == nil)
}
