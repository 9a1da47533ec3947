package escrow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrUnreadable means that a sealed answer will never open, whatever comes back:
// it was torn, or tampered with.
var ErrUnreadable = errors.New("the sealed answer cannot be read")

// ErrRedis means that Redis could not be asked, and what it may have counts.
var ErrRedis = errors.New("redis could not be asked")

// ErrCopiesUnread means that this spool has no such answer, and Redis could not
// be asked. It is an ErrRedis.
var ErrCopiesUnread = fmt.Errorf("%w for a sealed answer", ErrRedis)

// ErrSpool means that the spool's folder or disk does not do its part.
var ErrSpool = errors.New("the spool cannot be used")

// ErrSpoolFull is the ErrSpool of a disk on which there is no room.
var ErrSpoolFull = fmt.Errorf("%w: its disk has no room", ErrSpool)

// ErrKeys means that the escrow keys in Vault are missing, broken, or could not be read.
var ErrKeys = errors.New("the escrow keys cannot be used")

// ErrOtherVersion means that an answer was sealed in a form that this version does not know.
var ErrOtherVersion = errors.New("it was sealed by another version of Refresher")

// spoolFailed says what could not be done with the spool.
func spoolFailed(what string, err error) error {
	kind := ErrSpool
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		kind = ErrSpoolFull
	}
	return fmt.Errorf("%s: %w: %w", what, kind, err)
}

// Settings say where escrow keeps things.
type Settings struct {
	// Dir is the spool directory.
	Dir string
	// Keep is how long the spent list remembers: at least a refresh token's life.
	Keep time.Duration
	// ProbesApart is how long after a presentation the same token may go out as a probe.
	ProbesApart time.Duration
	Keys        KeyStore
	// Copies is the second place; nil if there is none.
	Copies Copies
	// Degraded is told when one place failed and the other stands alone; may be nil.
	Degraded func(what string, err error)
}

// What Degraded is told about.
const (
	answerOnDisk  = "sealed answer on disk"
	answerInRedis = "sealed copy in redis"
	spentInRedis  = "spent list in redis"
)

// Places are all that Degraded is told about, for those who declare metrics.
func Places() []string { return []string{answerOnDisk, answerInRedis, spentInRedis} }

// Escrow is this process's spool, its view of the copies in Redis, and the
// spent list.
type Escrow struct {
	keys     keyring
	spool    *spool
	spent    *spentLog
	copies   Copies
	degraded func(what string, err error)

	probesApart time.Duration

	// copiedAt belongs to CopyAgain, of which there is one call at a time, as does all of
	// retelling that is not under its lock.
	copiedAt  time.Time
	retelling retelling
}

// Open locks the spool directory and reads what an earlier process left there.
// It returns ErrSpoolInUse if another process has it. A torn answer among the
// files is moved aside, and Degraded is told.
func Open(s Settings) (*Escrow, error) {
	sp, err := openSpool(s.Dir)
	if err != nil {
		return nil, err
	}
	spent, err := openSpentLog(s.Dir, s.Keep, time.Now())
	if err != nil {
		return nil, errors.Join(err, sp.close())
	}
	e := &Escrow{keys: keyring{store: s.Keys}, spool: sp, spent: spent, copies: s.Copies, degraded: s.Degraded, probesApart: s.ProbesApart}
	if e.copies == nil {
		e.copies = noCopies{}
	}
	if e.degraded == nil {
		e.degraded = func(string, error) {}
	}
	if err := sp.sweepKept(time.Now().Add(-s.Keep)); err != nil {
		e.degraded(answerOnDisk, err)
	}
	for _, attempt := range sp.torn {
		e.degraded(answerOnDisk, fmt.Errorf("attempt %s: %w; it is in the folder aside now", attempt, ErrUnreadable))
	}
	return e, nil
}

// Close gives the directory free for another process.
func (e *Escrow) Close() error { return errors.Join(e.spent.file.Close(), e.spool.close()) }

// Owner returns the identity that the directory carries.
func (e *Escrow) Owner() string { return e.spool.owner }

// Ready makes sure that an answer could be sealed: that there is a key.
func (e *Escrow) Ready(ctx context.Context) error {
	_, err := e.keys.sealing(ctx)
	return err
}

// Slot is the room of one attempt's answer.
type Slot struct {
	escrow *Escrow
	ref    Ref
	key    sealingKey
	file   *os.File
	of     Lineage
}

// Room makes room for the answer of an attempt, on disk and durable, with the
// key at hand that will seal it. While it fails, nothing may be presented. The
// attempt counts as held by this process until Release.
func (e *Escrow) Room(ctx context.Context, ref Ref, of Lineage) (*Slot, error) {
	key, err := e.keys.sealing(ctx)
	if err != nil {
		return nil, err
	}
	file, err := e.spool.room(ref.Attempt)
	if err != nil {
		return nil, err
	}
	return &Slot{escrow: e, ref: ref, key: key, file: file, of: of}, nil
}

// Seal keeps the answer: on disk first, then in Redis. It fails only if neither
// place has it. It needs nothing of Vault.
func (s *Slot) Seal(ctx context.Context, plain []byte) error {
	e := s.escrow
	sealed, err := seal(s.key, s.ref, s.of, plain, time.Now())
	if err != nil {
		return err
	}
	diskErr := e.spool.keep(s.file, s.ref, sealed)
	copyErr := e.copies.Put(ctx, s.ref, sealed)
	if copyErr != nil {
		e.degraded(answerInRedis, copyErr)
	}
	if diskErr == nil {
		return nil
	}
	if _, alone := e.copies.(noCopies); alone || copyErr != nil {
		return errors.Join(diskErr, copyErr)
	}
	e.degraded(answerOnDisk, diskErr)
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

// Standing returns how many sealed answers are in this spool because they are not
// in Vault yet, whether somebody works on them or not, and when the oldest of them
// was sealed: the zero time if there is none.
func (e *Escrow) Standing() (answers int, oldest time.Time) { return e.spool.standing() }

// Read opens the sealed answer of one attempt, from this spool or else from
// Redis. It returns nil and no error only if both were asked and have none.
// ErrUnreadable means that it is there and will never be readable, in either
// place; after any other error it may be there.
func (e *Escrow) Read(ctx context.Context, ref Ref) ([]byte, error) {
	var plain []byte
	sealed, err := e.spool.read(ref.Attempt)
	if err == nil {
		plain, err = e.unseal(ctx, ref, sealed)
		if plain != nil || err != nil && !errors.Is(err, ErrUnreadable) {
			return plain, err
		}
	}
	sealed, copyErr := e.copies.Get(ctx, ref)
	switch {
	case copyErr != nil && err == nil:
		return nil, fmt.Errorf("%w: %w", ErrCopiesUnread, copyErr)
	case copyErr != nil: // not ErrUnreadable: a good copy may be there
		return nil, fmt.Errorf("%w for its copy of a damaged answer: %w", ErrRedis, copyErr)
	}
	plain, copyErr = e.unseal(ctx, ref, sealed)
	if plain == nil && err != nil && (copyErr == nil || errors.Is(copyErr, ErrUnreadable)) {
		return nil, err
	}
	return plain, copyErr
}

// unseal returns nil if there is nothing, or an answer to another token.
func (e *Escrow) unseal(ctx context.Context, ref Ref, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	found, plain, err := e.keys.open(ctx, sealed)
	if err != nil || found != ref {
		return nil, err
	}
	return plain, nil
}

// copyEvery is how often the answers that wait for Vault are copied to Redis again.
const copyEvery = 10 * time.Second

// CopyAgain puts the answers that this spool still holds into Redis again, which may have
// lost what it was given since: at the first call and every ten seconds. It costs nothing
// while there are none. After RedisForgot it tells Redis all that this spool knows. Call it at
// every tick, one call at a time.
func (e *Escrow) CopyAgain(ctx context.Context, now time.Time) {
	if e.retelling.begins() {
		e.copiedAt = time.Time{}
		e.retelling.kept = e.spool.keptPaths()
		e.retelling.marks, e.retelling.rewrites = e.spent.end()
	}
	e.copyWaiting(ctx, now)
	e.tellAgain(ctx, now)
}

func (e *Escrow) copyWaiting(ctx context.Context, now time.Time) {
	if now.Sub(e.copiedAt) < copyEvery {
		return
	}
	refs := e.spool.sealedBefore(e.copiedAt)
	e.copiedAt = now
	for _, ref := range refs {
		sealed, err := e.spool.read(ref.Attempt)
		if sealed == nil || err != nil {
			continue // committed meanwhile, or Read will tell
		}
		if err := e.copies.Put(ctx, ref, sealed); err != nil {
			e.degraded(answerInRedis, err)
			return
		}
		if e.spool.has(ref.Attempt) {
			continue
		}
		if err := e.copies.Delete(ctx, ref); err != nil { // it was committed meanwhile
			e.degraded(answerInRedis, err)
		}
	}
}

// Delete removes an answer that nobody needs any more: it is no rotation, or was committed and
// has been followed by others.
func (e *Escrow) Delete(ctx context.Context, ref Ref) error {
	if err := e.copies.Delete(ctx, ref); err != nil {
		e.degraded(answerInRedis, err)
	}
	return e.spool.remove(ref.Attempt)
}

// SetAside puts an answer that no longer fits out of the way, for a person to
// look at: into the folder "aside" of this spool, from here and, if the copy
// there says something else, from Redis.
func (e *Escrow) SetAside(ctx context.Context, ref Ref) error {
	here, err := e.spool.setAside(ref.Attempt)
	if err != nil {
		return err
	}
	sealed, err := e.copies.Get(ctx, ref)
	switch {
	case err != nil && here == nil:
		return fmt.Errorf("set the answer aside: %w", err)
	case err != nil:
		e.degraded(answerInRedis, err)
		return nil
	case len(sealed) == 0:
		return nil
	case !bytes.Equal(sealed, here):
		if err := e.spool.putAside(ref.Attempt, sealed); err != nil {
			return err
		}
	}
	if err := e.copies.Delete(ctx, ref); err != nil {
		e.degraded(answerInRedis, err)
	}
	return nil
}
