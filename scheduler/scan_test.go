package scheduler

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"refresher/internal/credential"
	"refresher/internal/queue"
	"refresher/internal/renewal"
)

func (b *bench) scanNowT(t *testing.T) (Report, error) {
	t.Helper()
	return b.scanner.scan(t.Context(), b.queue)
}

func (b *bench) known(t *testing.T) int {
	t.Helper()
	entries, err := b.queue.Entries(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestScanFindsTheFleet(t *testing.T) {
	t.Parallel()
	b := newBench(t, 7, 0, nil)
	b.vault.odd["tenant-000"] = []string{"..", "with space", "50%"}
	b.vault.odd["Bad Tenant"] = []string{"x"}
	soon := time.Now().Add(time.Hour)
	b.vault.tokens[id(3)] = credential.Token{Status: credential.StatusActive, RenewAt: soon, Provider: "kibo"}
	report, err := b.scanNowT(t)
	if err != nil || report.Listed != 7 || report.Added != 7 || len(report.Invalid) != 4 {
		t.Errorf("report %+v, %v; want 7 listed and added and 4 invalid names", report, err)
	}
	for _, e := range report.Entries {
		due := e.Due.After(time.Now())
		if (e.ID == id(3)) != due {
			t.Errorf("%s is due %s", e.ID, e.Due)
		}
	}
	again, err := b.scanNowT(t)
	if err != nil || again.Added != 0 || again.Dropped != 0 {
		t.Errorf("second scan %+v, %v; want nothing to do", again, err)
	}
}

// TestScanRecallsGrants: a queue that lost its memory knows the grants' ages again
// after a scan, and one that cannot be read leaves the index unbuilt.
func TestScanRecallsGrants(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, 0, nil)
	b.vault.tokens[id(1)] = credential.Token{Status: credential.StatusActive, RenewAt: time.Now().Add(time.Hour), Provider: "rotating"}
	b.worker.grantEnds, b.worker.recallErr = time.Now().Add(48*time.Hour), errors.New("vault is away")
	if report, err := b.scanNowT(t); err == nil || report.Added != 2 {
		t.Errorf("report %+v, %v; want the others added, and an error", report, err)
	}
	b.worker.recallErr = nil
	report, err := b.scanNowT(t)
	if err != nil || report.Added != 1 {
		t.Fatalf("report %+v, %v; want the third added", report, err)
	}
	for _, e := range report.Entries {
		if known := !e.Memo.GrantExpiresAt.IsZero(); known != (e.ID == id(1)) {
			t.Errorf("%s: the end of its grant is known: %v", e.ID, known)
		}
	}
}

// TestScanKnowsDormantGrants: of a token that is renewed after its expiry only the
// grant is kept alive, whatever the queue has forgotten.
func TestScanKnowsDormantGrants(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tc := range map[string]struct {
		expiresAt, renewAt time.Time
		dormant            bool
	}{
		"renewed before its end": {now.Add(2 * time.Hour), now.Add(time.Hour), false},
		"left to expire":         {now.Add(time.Hour), now.Add(10 * 24 * time.Hour), true},
		"long expired":           {now.Add(-9 * 24 * time.Hour), now.Add(24 * time.Hour), true},
		"never expires":          {time.Time{}, now.Add(time.Hour), false},
		"never renewed":          {time.Time{}, time.Time{}, false},
	} {
		token := credential.Token{Status: credential.StatusActive, Provider: "rotating", ExpiresAt: tc.expiresAt, RenewAt: tc.renewAt}
		if e := entryOf(id(1), token, now); e.Memo.Dormant != tc.dormant {
			t.Errorf("%s: dormant is %v", name, e.Memo.Dormant)
		}
	}
}

// TestShrunkenListingDropsNobody: an empty or much shorter listing is not believed.
func TestShrunkenListingDropsNobody(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]int{"all": 40, "half": 20, "an eighth": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 40, 0, nil)
			if _, err := b.scanNowT(t); err != nil {
				t.Fatal(err)
			}
			for i := range gone {
				delete(b.vault.creds, id(i))
			}
			report, err := b.scanNowT(t)
			if !errors.Is(err, ErrShrunken) {
				t.Errorf("got %v, want ErrShrunken", err)
			}
			if report.Listed != 40-gone || report.Missing != gone {
				t.Errorf("%d listed and %d missing of 40", report.Listed, report.Missing)
			}
			if n := b.known(t); n != 40 || len(b.worker.removed) > 0 {
				t.Errorf("%d known, %d removed; want all 40 kept", n, len(b.worker.removed))
			}
		})
	}
}

func TestAFewMissingAreConfirmedAndDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t, 40, 0, nil)
	if _, err := b.scanNowT(t); err != nil {
		t.Fatal(err)
	}
	delete(b.vault.creds, id(1))
	delete(b.vault.creds, id(2))
	report, err := b.scanNowT(t)
	if err != nil || report.Dropped != 2 || b.known(t) != 38 || len(b.worker.removed) != 2 {
		t.Errorf("report %+v, %v, %d known; want 2 dropped", report, err, b.known(t))
	}
}

// TestHiddenFromTheListingIsKept: the listing leaves one out, a read finds it.
func TestHiddenFromTheListingIsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, 40, 0, nil)
	if _, err := b.queue.Add(t.Context(), credential.Entry{ID: credential.ID{Tenant: "ghost", Name: "one"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.scanNowT(t); err != nil {
		t.Fatal(err)
	}
	if b.known(t) != 40 {
		t.Fatalf("%d known; want the ghost dropped, it is not in Vault at all", b.known(t))
	}
	reader := &hiding{vault: b.vault, hide: id(0)}
	s := newScanner(reader, b.worker, ScanSettings{Budget: 10, Rate: 1000, MaxMissing: .1}, b.Log)
	report, err := s.scan(t.Context(), b.queue)
	if err != nil || report.Missing != 1 || report.Dropped != 0 || b.known(t) != 40 {
		t.Errorf("report %+v, %v; want the hidden one kept", report, err)
	}
}

// hiding leaves one credential out of its listings.
type hiding struct {
	*vault
	hide credential.ID
}

func (h *hiding) Names(ctx contextT, tenant string) ([]string, error) {
	names, err := h.vault.Names(ctx, tenant)
	var kept []string
	for _, n := range names {
		if tenant != h.hide.Tenant || n != h.hide.Name {
			kept = append(kept, n)
		}
	}
	return kept, err
}

// TestForgottenRequestIsNoticed: Vault was put back to before a person was asked to authorize. The
// queue alone remembers that, and would leave the credential alone for a day.
func TestForgottenRequestIsNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 3, 0, nil)
	if _, err := b.scanNowT(t); err != nil {
		t.Fatal(err)
	}
	for i, stored := range []credential.Status{credential.StatusExpired, credential.StatusNeedsAuthorization, credential.StatusActive} {
		memo := credential.Memo{CredentialVersion: 1, Status: credential.StatusNeedsAuthorization}
		if stored == credential.StatusActive {
			memo.Status = credential.StatusRetrying // it has its turn soon
		}
		b.vault.tokens[id(i)] = credential.Token{Status: stored}
		if err := b.queue.Schedule(t.Context(), credential.Entry{ID: id(i), Due: time.Now().Add(time.Hour), Memo: memo}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	report, err := b.scanNowT(t)
	if err != nil || report.Edited != 1 {
		t.Fatalf("report %+v, %v; want one noticed", report, err)
	}
	claim, err := b.queue.Claim(t.Context(), time.Now(), 10, time.Minute)
	if err != nil || len(claim.Entries) != 1 || claim.Entries[0].ID != id(0) {
		t.Errorf("due now: %+v, %v; want the one that was forgotten", claim.Entries, err)
	}
}

// TestEditIsNoticed: a rolling part is read again each time, and all come round.
func TestEditIsNoticed(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, 0, func(_ *Parts, s *Settings) { s.Scans.Budget = 4 })
	if _, err := b.scanNowT(t); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	for i := range 10 {
		e := credential.Entry{ID: id(i), Due: later, Memo: credential.Memo{CredentialVersion: 1, Failures: 9}}
		if err := b.queue.Schedule(t.Context(), e, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	c := b.vault.creds[id(6)]
	c.Version = 2
	b.vault.creds[id(6)] = c
	edited := 0
	for range 3 {
		report, err := b.scanNowT(t)
		if err != nil || report.Read != 4 {
			t.Fatalf("report %+v, %v; want 4 read", report, err)
		}
		edited += report.Edited
	}
	if edited == 0 {
		t.Error("the edit was not noticed in three rounds of 4 of 10")
	}
	claim, err := b.queue.Claim(t.Context(), time.Now(), 10, time.Minute)
	if err != nil || len(claim.Entries) != 1 || claim.Entries[0].ID != id(6) {
		t.Errorf("due now: %+v, %v; want the edited one alone", claim.Entries, err)
	}
}

// TestLostIndexIsRebuilt: the tick notices that the queue is gone, and a scan
// builds it anew.
func TestLostIndexIsRebuilt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := &forgetful{Memory: queue.NewMemory()}
		b := newBench(t, 6, 0, func(p *Parts, _ *Settings) { p.Queue = lost })
		b.worker.outcome = func(e credential.Entry) renewal.Outcome {
			return renewal.Outcome{Result: renewal.ResultRenewed, Due: time.Now().Add(time.Minute), Memo: e.Memo}
		}
		go func() {
			<-time.After(30 * time.Second)
			lost.forget()
		}()
		b.run(t, 45*time.Second)
		if n := b.worker.count(); n != 12 {
			t.Errorf("%d visits, want 6 before the loss and 6 after it", n)
		}
		if b.worker.forgot != 1 {
			t.Errorf("the protocol was told %d times that Redis has forgotten all, want once", b.worker.forgot)
		}
	})
}

func TestScanFailsAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3, 0, nil)
		b.vault.fail = errors.New("sealed")
		go func() {
			<-time.After(20 * time.Second)
			b.vault.mu.Lock()
			defer b.vault.mu.Unlock()
			b.vault.fail = nil
		}()
		b.run(t, 40*time.Second)
		if n := b.worker.count(); n != 3 {
			t.Errorf("%d visits, want 3", n)
		}
		if n := len(b.seen.scans); n > 9 {
			t.Errorf("%d scans in 40 s; a failing one must not be repeated at every tick", n)
		}
	})
}

func TestIdleTicksReadNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 100, 0, nil)
		ready := make(chan int)
		go func() {
			<-time.After(20 * time.Second)
			b.vault.mu.Lock()
			n := b.vault.reads
			b.vault.mu.Unlock()
			ready <- n
		}()
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.run(t, 8*time.Minute)
		}()
		before := <-ready
		<-done
		if b.vault.reads != before {
			t.Errorf("%d reads of Vault with nothing due", b.vault.reads-before)
		}
	})
}

func TestSpareEntry(t *testing.T) {
	t.Parallel()
	now := time.Now()
	if _, ok := spareEntry(id(0), credential.Token{Status: credential.StatusActive}, now, .5); ok {
		t.Error("what does not expire need not be renewed from memory")
	}
	tok := credential.Token{Status: credential.StatusActive, RenewAt: now.Add(10 * time.Minute), ExpiresAt: now.Add(20 * time.Minute)}
	for _, random := range []float64{0, .5, .999} {
		e, ok := spareEntry(id(0), tok, now, random)
		if !ok || e.Due.Before(tok.RenewAt) || !e.Due.Before(tok.ExpiresAt) {
			t.Errorf("due %s, want between %s and %s", e.Due, tok.RenewAt, tok.ExpiresAt)
		}
	}
}

// TestOneBrokenTokenHoldsUpNobody: a published token that somebody broke by hand,
// and one that cannot be read at all.
func TestOneBrokenTokenHoldsUpNobody(t *testing.T) {
	t.Parallel()
	b := newBench(t, 40, 0, nil)
	b.vault.bad = map[credential.ID]error{id(3): credential.Misconfigured("", "malformed_document", errors.New("generation"))}
	if _, err := b.scanNowT(t); err != nil || b.known(t) != 40 {
		t.Errorf("%v, %d known; want all 40", err, b.known(t))
	}
	b = newBench(t, 40, 0, nil)
	b.vault.bad = map[credential.ID]error{id(3): errors.New("permission denied")}
	if _, err := b.scanNowT(t); err == nil || b.known(t) != 39 {
		t.Errorf("%v, %d known; want 39 and an error", err, b.known(t))
	}
}

// TestEditIsNoticedInAShrunkenListing: what is listed is looked after all the same.
func TestEditIsNoticedInAShrunkenListing(t *testing.T) {
	t.Parallel()
	b := newBench(t, 10, 0, nil)
	if _, err := b.scanNowT(t); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		e := credential.Entry{ID: id(i), Due: time.Now().Add(time.Hour), Memo: credential.Memo{CredentialVersion: 1}}
		if err := b.queue.Schedule(t.Context(), e, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	delete(b.vault.creds, id(1))
	delete(b.vault.creds, id(2))
	b.vault.creds[id(5)] = credential.Credential{ID: id(5), Version: 2}
	report, err := b.scanNowT(t)
	if !errors.Is(err, ErrShrunken) || report.Edited != 1 {
		t.Errorf("%v, %d edits noticed; want ErrShrunken and 1", err, report.Edited)
	}
}

// TestFailedScanIsRepeated: Vault is away at a scan; the next one does not wait for
// its own time, so that what Vault says is known soon after it is back.
func TestFailedScanIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3, 0, nil)
		b.vault.tokens[id(0)] = credential.Token{Status: credential.StatusActive, RenewAt: time.Now().Add(24 * time.Hour)}
		go func() {
			<-time.After(9 * time.Minute)
			b.vault.set(errors.New("vault is away"))
			<-time.After(3 * time.Minute) // over the scan at ten minutes
			b.vault.set(nil)
			before := b.vault.readsSoFar()
			<-time.After(10 * time.Second)
			if b.vault.readsSoFar() == before {
				t.Error("ten seconds after Vault is back nothing was scanned")
			}
		}()
		b.run(t, 13*time.Minute)
	})
}
