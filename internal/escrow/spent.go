package escrow

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// ErrSpent means that the token was presented before, and must not be again.
var ErrSpent = errors.New("this refresh token was already presented")

// ErrSpentElsewhere is ErrSpent for what another replica presented: its answer went to a
// spool that is not this one.
var ErrSpentElsewhere = fmt.Errorf("%w, by another replica", ErrSpent)

// ErrTooSoon means that a probe must wait: the token was presented so short a time ago that the
// provider may still be at work on it.
var ErrTooSoon = errors.New("this refresh token was presented a moment ago")

// The marks that the spent list keeps against a token's hash.
const (
	// markSent: presented, and nothing is known of the answer.
	markSent = "sent"
	// markRotated: the provider answered with its successor.
	markRotated = "rotated"
	// markUnspent: presented, with proof that it was not spent.
	markUnspent = "unspent"
	// markUnknown stands for what a later version may have written.
	markUnknown = "unknown"
)

// mayPresent decides whether a token with this mark may go out. A probe may
// repeat a presentation of unknown outcome, never one that is known to have
// rotated.
func mayPresent(mark string, probe bool) bool {
	switch mark {
	case "", markUnspent:
		return true
	case markSent:
		return probe
	default:
		return false
	}
}

// spentLog is the spent list on this machine's disk: one line a change, the last
// one counts.
type spentLog struct {
	path string
	keep time.Duration

	mu    sync.Mutex
	file  *os.File
	size  int64 // of the whole lines; the next one goes there
	lines int
	// rewriteAt is how many lines are too many, rewrites how often the file was replaced.
	rewriteAt, rewrites int
	marks               map[spentKey]spentMark
}

// spentKey stands for a token's hash. A busy fleet has a million of them, so what is
// kept of each in memory is small and holds on to nothing that was read.
type spentKey [16]byte

func keyOf(hash []byte) spentKey {
	sum := sha256.Sum256(hash)
	return spentKey(sum[:])
}

type spentMark struct {
	mark string // one of the constants
	unix int64
	line int // the mark's line in the file; an earlier one for the same token counts no more
}

// rewriteSlack is how many lines more than twice the marks the file may hold.
const rewriteSlack = 1000

// openSpentLog reads the list as far as it is not older than keep. It needs no
// space on the disk, so that a full one can still be drained.
func openSpentLog(dir string, keep time.Duration, now time.Time) (*spentLog, error) {
	path := filepath.Join(dir, "spent")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the spent list: %w", err)
	}
	l := &spentLog{path: path, keep: keep, file: file, marks: map[spentKey]spentMark{}}
	err = l.read(file)
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the spent list: %w", err), file.Close())
	}
	l.forget(now)
	return l, nil
}

// read fills the marks from the whole lines.
func (l *spentLog) read(r io.Reader) error {
	return eachLine(r, func(line []byte) error {
		l.lines++
		l.size += int64(len(line))
		if key, m, ok := parseSpent(line); ok {
			m.line = l.lines
			l.marks[key] = m
		}
		return nil
	})
}

// eachLine calls do for every whole line. The rest of one was written before its
// token went out, so nothing is lost with it.
func eachLine(r io.Reader, do func(line []byte) error) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(line)
		}
		if err != nil {
			return err
		}
	}
}

// parseSpent reads a line; ok is false if a spent list has no such line.
func parseSpent(line []byte) (key spentKey, m spentMark, ok bool) {
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return spentKey{}, spentMark{}, false
	}
	unix, err := strconv.ParseInt(string(fields[0]), 10, 64)
	if err != nil {
		return spentKey{}, spentMark{}, false
	}
	m = spentMark{mark: markUnknown, unix: unix}
	for _, known := range []string{markSent, markRotated, markUnspent} {
		if string(fields[1]) == known {
			m.mark = known
		}
	}
	return keyOf(fields[2]), m, true
}

// forget drops the marks that are older than keep.
func (l *spentLog) forget(now time.Time) {
	oldest := now.Add(-l.keep).Unix()
	maps.DeleteFunc(l.marks, func(_ spentKey, m spentMark) bool { return m.unix < oldest })
	l.rewriteAt = 2*len(l.marks) + rewriteSlack
}

// rewrite replaces the file by one that has the line of each mark, and no other.
func (l *spentLog) rewrite() error {
	var kept []spentKey
	size, read := int64(0), 0
	file, err := replace(l.path, func(w io.Writer) error {
		out := bufio.NewWriter(w)
		err := eachLine(io.NewSectionReader(l.file, 0, l.size), func(line []byte) error {
			read++
			key, _, ok := parseSpent(line)
			if !ok || l.marks[key].line != read {
				return nil
			}
			kept = append(kept, key)
			size += int64(len(line))
			_, err := out.Write(line)
			return err
		})
		return errors.Join(err, out.Flush())
	})
	if file == nil {
		l.rewriteAt = l.lines + rewriteSlack // not at once again
		return err
	}
	closeErr := l.file.Close()
	l.file, l.size, l.lines = file, size, len(kept)
	l.rewrites++
	for i, key := range kept {
		m := l.marks[key]
		m.line = i + 1
		l.marks[key] = m
	}
	return errors.Join(err, closeErr)
}

const spentLine = "%d %s %s\n"

func (l *spentLog) mark(hash string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marks[keyOf([]byte(hash))].mark
}

// check returns nil, ErrSpent or ErrTooSoon.
func (l *spentLog) check(hash string, probe bool, apart time.Duration, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checkLocked(hash, probe, apart, now)
}

func (l *spentLog) checkLocked(hash string, probe bool, apart time.Duration, now time.Time) error {
	m := l.marks[keyOf([]byte(hash))]
	ago := now.Sub(time.Unix(m.unix, 0))
	switch {
	case !mayPresent(m.mark, probe):
		return ErrSpent
	case m.mark == markSent && ago >= 0 && ago < apart:
		return ErrTooSoon
	default:
		return nil
	}
}

// present checks and marks in one step, durably.
func (l *spentLog) present(hash string, probe bool, apart time.Duration, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.checkLocked(hash, probe, apart, now); err != nil {
		return err
	}
	return l.append(hash, markSent, now)
}

func (l *spentLog) set(hash, mark string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marks[keyOf([]byte(hash))].mark == mark {
		return nil
	}
	return l.append(hash, mark, now)
}

// append writes behind the last durable line, over what a failed write may have
// left there.
func (l *spentLog) append(hash, mark string, now time.Time) error {
	if l.lines >= l.rewriteAt {
		l.forget(now)
		_ = l.rewrite() // if the disk is full, the old file goes on
	}
	line := fmt.Appendf(nil, spentLine, now.Unix(), mark, hash)
	_, err := l.file.WriteAt(line, l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return spoolFailed("write the spent list", err)
	}
	l.size += int64(len(line))
	l.lines++
	l.marks[keyOf([]byte(hash))] = spentMark{mark: mark, unix: now.Unix(), line: l.lines}
	return nil
}

// Present records that the token with this hash is about to go out, and returns
// ErrSpent, or ErrSpentElsewhere, if it must not: it was presented before, and this is no recorded
// probe; or it is known to have been rotated. A probe gets ErrTooSoon if the token went out less
// than Settings.ProbesApart ago. The disk is asked first and always
// written; Redis adds what other replicas know, and if it cannot be reached the
// disk's word stands. After any other error the token must not go out, and either
// list may hold it all the same: that is for Unspent to undo.
func (e *Escrow) Present(ctx context.Context, hash string, probe bool) error {
	now := time.Now()
	if err := e.spent.check(hash, probe, e.probesApart, now); err != nil {
		return err
	}
	switch err := e.copies.Present(ctx, hash, probe, e.probesApart); {
	case errors.Is(err, ErrRotated):
		// Redis may be away the next time, and must not be needed to know it.
		return errors.Join(ErrSpentElsewhere, e.spent.set(hash, markRotated, now))
	case errors.Is(err, ErrSpent), errors.Is(err, ErrTooSoon):
		return err
	case err != nil:
		e.degraded(spentInRedis, err)
	}
	return e.spent.present(hash, probe, e.probesApart, now)
}

// Unspent records the proof that a presented token was not spent. If it fails
// the token must be treated as possibly spent, since another replica may go by
// the list in Redis.
func (e *Escrow) Unspent(ctx context.Context, hash string) error {
	err := e.copies.Mark(ctx, hash, markUnspent)
	if err != nil {
		err = fmt.Errorf("clear the spent list in redis: %w", err)
	}
	return errors.Join(err, e.spent.set(hash, markUnspent, time.Now()))
}

// Rotated records that the provider answered the token with its successor: from
// now on not even a probe may present it.
func (e *Escrow) Rotated(ctx context.Context, hash string) error {
	err := e.spent.set(hash, markRotated, time.Now())
	if copyErr := e.copies.Mark(ctx, hash, markRotated); copyErr != nil {
		e.degraded(spentInRedis, copyErr)
	}
	return err
}

// Spent reports whether a token with this hash was presented, and not proven
// unspent since. An error means that this spool knows nothing of it, and Redis
// could not be asked.
func (e *Escrow) Spent(ctx context.Context, hash string) (bool, error) {
	if !mayPresent(e.spent.mark(hash), false) {
		return true, nil
	}
	spent, err := e.copies.Spent(ctx, hash)
	if err != nil {
		return false, fmt.Errorf("ask redis for the spent list: %w", err)
	}
	return spent, nil
}
