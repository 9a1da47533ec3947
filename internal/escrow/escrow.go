package escrow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// ErrUnreadable means that a sealed answer cannot be opened with any key, now or
// later: it was torn, or tampered with.
var ErrUnreadable = errors.New("the sealed answer cannot be read")

// ErrCopiesUnread means that this spool has no such answer, and Redis could not
// be asked.
var ErrCopiesUnread = errors.New("redis could not be asked for a sealed answer")

// Settings say where escrow keeps things.
type Settings struct {
	// Dir is the spool directory.
	Dir string
	// Keep is how long the spent list remembers: at least a refresh token's life.
	Keep time.Duration
	Keys KeyStore
	// Copies is the second place; nil if there is none.
	Copies Copies
	// Degraded is told when the second place fails and the first stands alone; may be nil.
	Degraded func(what string, err error)
}

// Escrow is this process's spool, its view of the copies in Redis, and the
// spent list.
type Escrow struct {
	keys     keyring
	spool    *spool
	spent    *spentLog
	copies   Copies
	degraded func(what string, err error)
}

// Open locks the spool directory and reads what an earlier process left there.
// It returns ErrSpoolInUse if another process has it.
func Open(s Settings) (*Escrow, error) {
	sp, err := openSpool(s.Dir)
	if err != nil {
		return nil, err
	}
	spent, err := openSpentLog(s.Dir, s.Keep, time.Now())
	if err != nil {
		return nil, errors.Join(err, sp.close())
	}
	e := &Escrow{keys: keyring{store: s.Keys}, spool: sp, spent: spent, copies: s.Copies, degraded: s.Degraded}
	if e.copies == nil {
		e.copies = noCopies{}
	}
	if e.degraded == nil {
		e.degraded = func(string, error) {}
	}
	return e, nil
}

// Close gives the directory free for another process.
func (e *Escrow) Close() error { return errors.Join(e.spent.file.Close(), e.spool.close()) }

// Owner returns the identity that the directory carries.
func (e *Escrow) Owner() string { return e.spool.owner }

// Ready makes sure that an answer could be sealed: that there is a key.
func (e *Escrow) Ready(ctx context.Context) error {
	_, _, err := e.keys.sealing(ctx)
	return err
}

// Slot is the room of one attempt's answer.
type Slot struct {
	escrow *Escrow
	ref    Ref
	file   *os.File
}

// Room makes room for the answer of an attempt, on disk and durable, with the
// key at hand that will seal it. While it fails, nothing may be presented. The
// attempt counts as held by this process until Release.
func (e *Escrow) Room(ctx context.Context, ref Ref) (*Slot, error) {
	if err := e.Ready(ctx); err != nil {
		return nil, err
	}
	file, err := e.spool.room(ref.Attempt)
	if err != nil {
		return nil, err
	}
	return &Slot{escrow: e, ref: ref, file: file}, nil
}

// Seal keeps the answer: on disk first, then in Redis. It fails only if neither
// place has it.
func (s *Slot) Seal(ctx context.Context, plain []byte) error {
	e := s.escrow
	id, public, err := e.keys.sealing(ctx)
	if err != nil {
		return err
	}
	sealed, err := seal(public, id, s.ref, plain, time.Now())
	if err != nil {
		return err
	}
	diskErr := e.spool.keep(s.file, s.ref, sealed)
	copyErr := e.copies.Put(ctx, s.ref.Attempt, sealed)
	if copyErr != nil {
		e.degraded("sealed copy in redis", copyErr)
	}
	if diskErr == nil {
		return nil
	}
	if _, alone := e.copies.(noCopies); alone || copyErr != nil {
		return errors.Join(diskErr, copyErr)
	}
	e.degraded("sealed answer on disk", diskErr)
	return nil
}

// Release says that this process no longer works on the attempt. A room that no
// answer came to is swept; a sealed answer stays until Delete.
func (s *Slot) Release() {
	_ = s.file.Close()
	s.escrow.spool.release(s.ref.Attempt)
}

// Held reports whether this process still works on the attempt.
func (e *Escrow) Held(attempt string) bool { return e.spool.isHeld(attempt) }

// Waiting returns the sealed answers in this spool that nobody works on.
func (e *Escrow) Waiting() []Ref { return e.spool.waiting() }

// Read opens the sealed answer of one attempt, from this spool or else from
// Redis. It returns nil and no error only if both were asked and have none.
// ErrUnreadable means that it is there and will never be readable.
func (e *Escrow) Read(ctx context.Context, ref Ref) ([]byte, error) {
	sealed, err := os.ReadFile(e.spool.path(ref.Attempt))
	if err != nil || len(sealed) == 0 || sealed[0] == 0 {
		if sealed, err = e.copies.Get(ctx, ref.Attempt); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCopiesUnread, err)
		}
	}
	if len(sealed) == 0 {
		return nil, nil
	}
	found, plain, err := e.keys.open(ctx, sealed)
	switch {
	case errors.Is(err, errTorn):
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	case err != nil:
		return nil, err
	case found != ref:
		return nil, nil // an answer to another token
	}
	return plain, nil
}

// Delete removes an answer that is in Vault, or that is no rotation.
func (e *Escrow) Delete(ctx context.Context, ref Ref) error {
	if err := e.copies.Delete(ctx, ref.Attempt); err != nil {
		e.degraded("sealed copy in redis", err)
	}
	return e.spool.remove(ref.Attempt)
}

// SetAside puts an answer that no longer fits out of the way, for a person to
// look at: into the folder "aside" of this spool, from here or from Redis.
func (e *Escrow) SetAside(ctx context.Context, ref Ref) error {
	moved, err := e.spool.setAside(ref.Attempt)
	if err != nil {
		return err
	}
	if !moved {
		sealed, err := e.copies.Get(ctx, ref.Attempt)
		if err != nil || len(sealed) == 0 {
			return err
		}
		if err := e.spool.putAside(ref.Attempt, sealed); err != nil {
			return err
		}
	}
	if err := e.copies.Delete(ctx, ref.Attempt); err != nil {
		e.degraded("sealed copy in redis", err)
	}
	return nil
}
