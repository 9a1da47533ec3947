package scheduler

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"refresher/internal/credential"
	"refresher/internal/renewal"
)

// Store is what a scan reads of Vault. Names are as they are found: they may be
// no valid names at all.
type Store interface {
	Tenants(ctx context.Context) ([]string, error)
	Names(ctx context.Context, tenant string) ([]string, error)
	Reader
}

// Reader reads the documents of one credential.
type Reader interface {
	Credential(ctx context.Context, id credential.ID) (credential.Credential, error)
	Token(ctx context.Context, id credential.ID) (credential.Token, int, error)
}

// Custodian is what a scan asks of the renewal protocol.
type Custodian interface {
	// Removed blanks the token of a credential that is gone.
	Removed(ctx context.Context, entry credential.Entry) renewal.Outcome
	// Rotating reports whether there is anything to Recall, which costs a request.
	Rotating(memo credential.Memo) bool
	Recall(ctx context.Context, id credential.ID, memo credential.Memo) (credential.Memo, error)
}

// Index is the part of the queue that a scan keeps in step with Vault.
type Index interface {
	Add(ctx context.Context, entries ...credential.Entry) (int, error)
	Expedite(ctx context.Context, id credential.ID, now time.Time, forced bool) error
	Remove(ctx context.Context, ids ...credential.ID) error
	Entries(ctx context.Context) ([]credential.Entry, error)
	MarkBuilt(ctx context.Context, by string) error
}

// ErrShrunken means that a listing of Vault came back empty or much shorter than
// the fleet. Nobody is dropped on such a listing's word.
var ErrShrunken = errors.New("the listing of Vault is much shorter than the known fleet")

// ScanSettings bound a scan.
type ScanSettings struct {
	// Budget is how many credentials a scan may re-read.
	Budget int
	// Rate is how many requests a second a scan may send to Vault.
	Rate float64
	// MaxMissing is the part of the fleet that may be missing from a listing
	// before it is not believed.
	MaxMissing float64
	// Retry is the wait after a scan that failed.
	Retry time.Duration
}

// Report is what a scan found.
type Report struct {
	// Entries is the fleet as the queue knows it after the scan.
	Entries []credential.Entry
	// Invalid are the names in Vault that no credential can have, as "tenant/name".
	Invalid []string
	// Listed is how many credentials Vault's listing had, and Missing how many known
	// ones it lacked.
	Listed, Missing              int
	Added, Dropped, Edited, Read int
	Took                         time.Duration
}

// scanner keeps the queue in step with Vault. One scan runs at a time.
type scanner struct {
	store    Store
	protocol Custodian
	settings ScanSettings
	pace     *rate.Limiter
	log      zerolog.Logger
	// name tells this process from the others.
	name string
	// next is where the rolling re-read goes on.
	next credential.ID
}

func newScanner(store Store, protocol Custodian, settings ScanSettings, log zerolog.Logger) *scanner {
	return &scanner{
		store: store, protocol: protocol, settings: settings, log: log, name: rand.Text(),
		pace: rate.NewLimiter(rate.Limit(settings.Rate), max(int(settings.Rate), 1)),
	}
}

// scan makes one round. The report says what was done, whatever the error.
func (s *scanner) scan(ctx context.Context, index Index) (Report, error) {
	started := time.Now()
	report, err := s.round(ctx, index)
	report.Took = time.Since(started)
	return report, err
}

func (s *scanner) round(ctx context.Context, index Index) (Report, error) {
	var report Report
	known, err := index.Entries(ctx)
	if err != nil {
		return report, fmt.Errorf("read the queue: %w", err)
	}
	report.Entries = known
	listed, invalid, err := s.list(ctx)
	if err != nil {
		return report, fmt.Errorf("list the credentials: %w", err)
	}
	report.Listed, report.Invalid = len(listed), invalid
	fresh, missing := compare(known, listed)
	report.Missing = len(missing)
	if err := s.add(ctx, index, fresh, &report); err != nil {
		return report, err // the index stays unbuilt, and is tried again soon
	}
	if err := index.MarkBuilt(ctx, s.mark(time.Now())); err != nil {
		return report, fmt.Errorf("mark the queue as built: %w", err)
	}
	// First, so that an edit is noticed whatever becomes of the rest.
	if err := s.reread(ctx, index, known, &report); err != nil {
		return report, err
	}
	if tooMany(len(missing), len(known), len(listed), s.settings.MaxMissing) {
		return report, fmt.Errorf("%w: %d of %d are missing; nothing is dropped (is vault.prefix right? was Vault restored?)", ErrShrunken, len(missing), len(known))
	}
	if err := s.drop(ctx, index, missing, &report); err != nil {
		return report, err
	}
	report.Entries, err = index.Entries(ctx)
	return report, err
}

// list returns all IDs in Vault, sorted, and the names that are none.
func (s *scanner) list(ctx context.Context) (ids []credential.ID, invalid []string, err error) {
	tenants, err := paced(ctx, s.pace, func() ([]string, error) { return s.store.Tenants(ctx) })
	if err != nil {
		return nil, nil, err
	}
	for _, tenant := range tenants {
		if credential.CheckName("tenant", tenant) != nil {
			invalid = append(invalid, tenant)
			continue
		}
		names, err := paced(ctx, s.pace, func() ([]string, error) { return s.store.Names(ctx, tenant) })
		if err != nil {
			return nil, nil, fmt.Errorf("tenant %s: %w", tenant, err)
		}
		for _, name := range names {
			id, err := credential.NewID(tenant, name)
			if err != nil {
				invalid = append(invalid, tenant+"/"+name)
				continue
			}
			ids = append(ids, id)
		}
	}
	for _, name := range invalid {
		s.log.Error().Str("path", name).Msg("a name in Vault cannot be a credential's: use 1 to 63 of a-z, 0-9, '-' and '_'; it is left alone")
	}
	slices.SortFunc(ids, compareIDs)
	return ids, invalid, nil
}

// paced waits for the scan's turn at Vault, then calls.
func paced[T any](ctx context.Context, pace *rate.Limiter, call func() (T, error)) (T, error) {
	if err := pace.Wait(ctx); err != nil {
		var zero T
		return zero, err
	}
	return call()
}

// compare says what is listed and not known, and what is known and not listed.
func compare(known []credential.Entry, listed []credential.ID) (fresh []credential.ID, missing []credential.Entry) {
	inVault := make(map[credential.ID]bool, len(listed))
	for _, id := range listed {
		inVault[id] = true
	}
	inQueue := make(map[credential.ID]bool, len(known))
	for _, entry := range known {
		inQueue[entry.ID] = true
		if !inVault[entry.ID] {
			missing = append(missing, entry)
		}
	}
	for _, id := range listed {
		if !inQueue[id] {
			fresh = append(fresh, id)
		}
	}
	return fresh, missing
}

// tooMany reports whether so many are missing that the listing is not believed:
// all of them, or more than one and more than the given part.
func tooMany(missing, known, listed int, part float64) bool {
	if missing == 0 {
		return false
	}
	return listed == 0 || missing > 1 && float64(missing) > part*float64(known)
}

// add puts new credentials into the queue, each due when its published token
// says. One whose token cannot be read holds up no other.
func (s *scanner) add(ctx context.Context, index Index, fresh []credential.ID, report *Report) error {
	var unread error
	for _, id := range fresh {
		token, err := s.token(ctx, id)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			unread = fmt.Errorf("read the token of %s: %w", id, err)
			continue
		}
		if token.Status == credential.StatusRemoved && s.gone(ctx, id) {
			continue
		}
		entry := entryOf(id, token, time.Now())
		if entry.Memo, err = s.recall(ctx, entry); err != nil {
			unread = fmt.Errorf("read the grant of %s: %w", id, err)
			continue
		}
		added, err := index.Add(ctx, entry)
		if err != nil {
			return fmt.Errorf("add %s to the queue: %w", id, err)
		}
		report.Added += added
	}
	return unread
}

// token reads a published token. One that somebody broke by hand is as good as
// none: the renewal publishes it anew.
func (s *scanner) token(ctx context.Context, id credential.ID) (credential.Token, error) {
	token, err := paced(ctx, s.pace, func() (credential.Token, error) {
		token, _, err := s.store.Token(ctx, id)
		return token, err
	})
	if credential.KindOf(err) == credential.KindMisconfigured {
		return credential.Token{}, nil
	}
	return token, err
}

// recall reads what the queue is to know of a grant that it has forgotten.
func (s *scanner) recall(ctx context.Context, entry credential.Entry) (credential.Memo, error) {
	if !s.protocol.Rotating(entry.Memo) {
		return entry.Memo, nil
	}
	return paced(ctx, s.pace, func() (credential.Memo, error) { return s.protocol.Recall(ctx, entry.ID, entry.Memo) })
}

// entryOf makes a queue entry of what is published. Whatever is not active is
// due at once. A token that is to be renewed after its expiry is one that nobody uses.
func entryOf(id credential.ID, token credential.Token, now time.Time) credential.Entry {
	entry := credential.Entry{ID: id, Due: now, Memo: credential.Memo{
		Provider: token.Provider, Auth: token.Auth, Status: token.Status, ExpiresAt: token.ExpiresAt,
		Dormant: !token.ExpiresAt.IsZero() && token.RenewAt.After(token.ExpiresAt),
	}}
	if token.Status == credential.StatusActive && token.RenewAt.After(now) {
		entry.Due = token.RenewAt
	}
	return entry
}

func (s *scanner) gone(ctx context.Context, id credential.ID) bool {
	_, err := paced(ctx, s.pace, func() (credential.Credential, error) { return s.store.Credential(ctx, id) })
	return errors.Is(err, credential.ErrNotFound)
}

// drop confirms each absence by a read, and lets go of what is really gone.
func (s *scanner) drop(ctx context.Context, index Index, missing []credential.Entry, report *Report) error {
	for _, entry := range missing {
		if !s.gone(ctx, entry.ID) {
			continue
		}
		if outcome := s.protocol.Removed(ctx, entry); outcome.Err != nil {
			return fmt.Errorf("blank the token of %s: %w", entry.ID, outcome.Err)
		}
		if err := index.Remove(ctx, entry.ID); err != nil {
			return fmt.Errorf("drop %s from the queue: %w", entry.ID, err)
		}
		report.Dropped++
		s.log.Info().Str("tenant", entry.ID.Tenant).Str("credential", entry.ID.Name).Msg("the credential is gone from Vault; its token is blanked")
	}
	return nil
}

// reread looks at a rolling part of the fleet for what a person edited or deleted.
func (s *scanner) reread(ctx context.Context, index Index, known []credential.Entry, report *Report) error {
	slices.SortFunc(known, func(a, b credential.Entry) int { return compareIDs(a.ID, b.ID) })
	start, _ := slices.BinarySearchFunc(known, s.next, func(e credential.Entry, id credential.ID) int { return compareIDs(e.ID, id) })
	for i := range min(s.settings.Budget, len(known)) {
		entry := known[(start+i)%len(known)]
		s.next = known[(start+i+1)%len(known)].ID
		report.Read++
		changed, err := s.changed(ctx, entry)
		if err != nil {
			return fmt.Errorf("read %s again: %w", entry.ID, err)
		}
		if !changed {
			continue
		}
		report.Edited++
		if err := index.Expedite(ctx, entry.ID, time.Now(), false); err != nil {
			return fmt.Errorf("bring %s forward in the queue: %w", entry.ID, err)
		}
	}
	return nil
}

// changed reports whether Vault holds something else of a credential than was last acted on: a
// person has edited it or, if its turn comes in a day because a person was asked for, Vault
// was put back to before it asked.
func (s *scanner) changed(ctx context.Context, entry credential.Entry) (bool, error) {
	cred, err := paced(ctx, s.pace, func() (credential.Credential, error) { return s.store.Credential(ctx, entry.ID) })
	changed, err := edited(entry, cred, err)
	if changed || err != nil || entry.Memo.Status != credential.StatusNeedsAuthorization {
		return changed, err
	}
	token, err := s.token(ctx, entry.ID)
	return token.Status != entry.Memo.Status, err
}

// edited reports whether a credential is another than the one last acted on. One
// that was never visited has its turn coming anyway.
func edited(entry credential.Entry, cred credential.Credential, err error) (bool, error) {
	switch {
	case errors.Is(err, credential.ErrDeleted):
		return true, nil
	case errors.Is(err, credential.ErrNotFound):
		return false, nil // the next listing decides
	case err != nil && credential.KindOf(err) != credential.KindMisconfigured:
		return false, err
	}
	return entry.Memo.Edited(cred), nil
}

func compareIDs(a, b credential.ID) int {
	return slices.Compare([]string{a.Tenant, a.Name}, []string{b.Tenant, b.Name})
}
