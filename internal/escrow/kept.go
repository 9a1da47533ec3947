package escrow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"refresher/internal/credential"
)

// Answer is a sealed answer that was opened.
type Answer struct {
	Ref   Ref
	Plain []byte
}

// Keep takes an answer out of the way whose token is in Vault, step 9 of the protocol. The last
// one of each credential is kept, in this spool and in Redis: Vault can be put back to
// before its commit.
func (e *Escrow) Keep(ctx context.Context, ref Ref) error {
	sealed, err := e.spool.read(ref.Attempt)
	if sealed == nil && err == nil {
		if sealed, err = e.copies.Get(ctx, ref); err != nil { // another replica's
			err = fmt.Errorf("%w for a sealed answer: %w", ErrRedis, err)
		}
	}
	if err != nil || sealed == nil {
		return err
	}
	envelope, _, err := parseEnvelope(sealed)
	if err != nil {
		return e.Delete(ctx, ref)
	}
	if err := e.copies.Keep(ctx, ref, envelope.Lineage, sealed); err != nil {
		e.degraded(answerInRedis, err)
	}
	return e.spool.keepLast(ref, envelope.Lineage)
}

// After returns the answers within reach, in no order, that come after a place in the life of a
// grant: those that wait in this spool or in Redis, and the last one that was committed. An
// error, which comes with them, means that there may be a later one: a place could not be asked,
// or it will not open before a person restores its key, or a version that can read it.
func (e *Escrow) After(ctx context.Context, id credential.ID, place Lineage) ([]Answer, error) {
	sealed, spoolErr := e.spool.all(id)
	copies, copiesErr := e.copies.All(ctx, id)
	if copiesErr != nil {
		copiesErr = fmt.Errorf("%w for what it has of the answers: %w", ErrRedis, copiesErr)
	}
	var answers []Answer
	var closed error
	last := place.Rotation
	for _, each := range append(sealed, copies...) {
		envelope, _, err := parseEnvelope(each)
		if err != nil || envelope.ref().ID != id || !envelope.After(place) {
			continue
		}
		ref, plain, err := e.keys.open(ctx, each)
		switch {
		case errors.Is(err, ErrUnreadable):
			continue
		case err != nil && envelope.Rotation > last:
			closed, last = err, envelope.Rotation
		case err == nil:
			if answers = append(answers, Answer{ref, plain}); envelope.Rotation >= last {
				closed, last = nil, envelope.Rotation
			}
		}
	}
	return answers, errors.Join(spoolErr, copiesErr, closed)
}

// keepLast makes an answer the last of its credential, unless a later one of the same
// authorization is kept.
func (s *spool) keepLast(ref Ref, of Lineage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sealed[ref.Attempt]; !ok {
		return nil
	}
	path := s.keptPath(ref.ID)
	if kept, err := os.ReadFile(path); err == nil {
		if e, _, err := parseEnvelope(kept); err == nil && e.After(of) {
			return s.removeLocked(ref.Attempt)
		}
	}
	if err := os.Rename(s.path(ref.Attempt), path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return spoolFailed("clear the spool", err)
	}
	delete(s.sealed, ref.Attempt)
	return nil
}

// all returns the sealed bytes of the answers of a credential that are on disk.
func (s *spool) all(id credential.ID) ([][]byte, error) {
	paths := []string{s.keptPath(id)}
	for _, ref := range s.list(func(_ string, answer onDisk) bool { return answer.ref.ID == id }) {
		paths = append(paths, s.path(ref.Attempt))
	}
	var all [][]byte
	for _, path := range paths {
		sealed, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return all, spoolFailed("read the spool", err)
		}
		all = append(all, sealed)
	}
	return all, nil
}

// keptPath: neither part of an ID has a point in it.
func (s *spool) keptPath(id credential.ID) string {
	return filepath.Join(s.dir, "kept", id.Tenant+"."+id.Name)
}

// sweepKept removes what was kept for longer than a refresh token lives: its credential is
// gone, or is renewed by other replicas.
func (s *spool) sweepKept(oldest time.Time) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "kept"))
	if err != nil {
		return fmt.Errorf("list the spool: %w", err)
	}
	var failed []error
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.Mode().IsRegular() && info.ModTime().Before(oldest) {
			err = os.Remove(filepath.Join(s.dir, "kept", entry.Name()))
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
