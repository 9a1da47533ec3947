package scheduler

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/internal/queue"
)

// requestScan asks for a scan; several requests are one.
func (s *Scheduler) requestScan() {
	select {
	case s.scanNow <- struct{}{}:
	default:
	}
}

// mark says who scanned, and when.
func (s *scanner) mark(now time.Time) string { return s.name + " " + strconv.FormatInt(now.Unix(), 10) }

// noteScan learns from a claim who scanned last. A lost index is to be built at
// once; and what this replica knows of the fleet is old once another has scanned.
func (s *Scheduler) noteScan(claim queue.Claim) {
	if !claim.Built {
		s.requestScan()
		return
	}
	if claim.BuiltBy == "" {
		return
	}
	s.lastScan.Store(claim.BuiltBy)
	if name, _, _ := strings.Cut(claim.BuiltBy, " "); name != s.scanner.name {
		s.Observer.Retired()
	}
}

// scanInTurn is the cron entry "scan": it leaves the round to the replica that
// scanned last, for as long as that one keeps at it.
func (s *Scheduler) scanInTurn() {
	mark, _ := s.lastScan.Load().(string)
	name, at, _ := strings.Cut(mark, " ")
	if unix, err := strconv.ParseInt(at, 10, 64); err == nil && name != s.scanner.name {
		now := time.Now()
		interval := s.scans.Next(s.scans.Next(now)).Sub(s.scans.Next(now))
		if now.Sub(time.Unix(unix, 0)) < interval+interval/2 {
			return
		}
	}
	s.requestScan()
}

// runScans scans when asked, until ctx ends.
func (s *Scheduler) runScans(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.scanNow:
		}
		err := s.scan(ctx)
		if err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.settings.Scans.Retry):
		}
		// A listing that is not believed is no better in a moment.
		if !errors.Is(err, ErrShrunken) {
			s.requestScan()
		}
	}
}

// scan makes one round if no other replica is at it.
func (s *Scheduler) scan(ctx context.Context) (err error) {
	defer func() {
		if s.defect(recover(), "the scan is tried again") {
			err = errors.New("a defect in Refresher")
		}
	}()
	if s.outage.active() {
		return nil // what is known is enough until Redis is back
	}
	lease, err := s.Leases.Acquire(ctx, "scan")
	if errors.Is(err, credential.ErrLeaseHeld) {
		s.Log.Debug().Msg("another replica is scanning")
		return nil
	}
	if err != nil {
		s.Log.Warn().Err(err).Msg("no scan: its lease cannot be taken")
		return err
	}
	defer lease.Release(context.WithoutCancel(ctx))
	report, err := s.scanner.scan(ctx, s.Queue)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.Observer.Scanned(report, err)
	if err != nil {
		s.Log.Error().Err(err).Int("known", len(report.Entries)).Msg("the scan stopped early")
		return err
	}
	s.Log.Debug().Int("known", len(report.Entries)).Int("added", report.Added).Int("dropped", report.Dropped).
		Int("edited", report.Edited).Int("invalid", len(report.Invalid)).Dur("took_ms", report.Took).Msg("scanned")
	return nil
}

// Once scans, renews what is due now, waits for it, and returns how it went: the
// work of "refresher once". Credentials that a rate limit holds back are waited for
// until ctx ends.
func (s *Scheduler) Once(ctx context.Context) error {
	if err := s.scan(ctx); err != nil {
		return err
	}
	start := time.Now()
	s.tick(ctx)
	for {
		s.workers.Wait()
		next, err := s.nextDue(ctx, start)
		if err != nil || next.IsZero() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(time.Until(next), onceAgain)):
		}
		s.fill(ctx)
	}
}

// onceAgain is the shortest wait between two looks of "once" at the queue.
const onceAgain = 100 * time.Millisecond

// nextDue returns when the next entry comes up that was due at start, or has a
// place reserved by a rate limit; zero if there is none.
func (s *Scheduler) nextDue(ctx context.Context, start time.Time) (time.Time, error) {
	entries, err := s.Queue.Entries(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var next time.Time
	for _, entry := range entries {
		if entry.Due.After(start) && entry.Memo.SlotAt.IsZero() {
			continue
		}
		if next.IsZero() || entry.Due.Before(next) {
			next = entry.Due
		}
	}
	return next, nil
}
