package escrow

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrSpent means that the token was presented before, and must not be again.
var ErrSpent = errors.New("this refresh token was already presented")

// The marks that the spent list keeps against a token's hash.
const (
	// markSent: presented, and nothing is known of the answer.
	markSent = "sent"
	// markRotated: the provider answered with its successor.
	markRotated = "rotated"
	// markUnspent: presented, with proof that it was not spent.
	markUnspent = "unspent"
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
	mu    sync.Mutex
	file  *os.File
	marks map[string]string
}

// openSpentLog reads the list, forgets what is older than keep, and writes the
// rest anew.
func openSpentLog(dir string, keep time.Duration, now time.Time) (*spentLog, error) {
	path := filepath.Join(dir, "spent")
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the spent list: %w", err)
	}
	l := &spentLog{marks: map[string]string{}}
	kept := l.parse(data, now.Add(-keep))
	if err := writeDurably(path, kept); err != nil {
		return nil, fmt.Errorf("write the spent list: %w", err)
	}
	if l.file, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return nil, fmt.Errorf("open the spent list: %w", err)
	}
	return l, nil
}

// parse fills the marks and returns the lines worth keeping. A line that a crash
// cut off is passed over: it was written before its token went out.
func (l *spentLog) parse(data []byte, oldest time.Time) []byte {
	var kept bytes.Buffer
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			continue
		}
		unix, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || time.Unix(unix, 0).Before(oldest) {
			continue
		}
		l.marks[fields[2]] = fields[1]
		fmt.Fprintln(&kept, lines.Text())
	}
	return kept.Bytes()
}

func (l *spentLog) mark(hash string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.marks[hash]
}

// present checks and marks in one step, durably.
func (l *spentLog) present(hash string, probe bool, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !mayPresent(l.marks[hash], probe) {
		return ErrSpent
	}
	return l.append(hash, markSent, now)
}

func (l *spentLog) set(hash, mark string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marks[hash] == mark {
		return nil
	}
	return l.append(hash, mark, now)
}

func (l *spentLog) append(hash, mark string, now time.Time) error {
	if _, err := fmt.Fprintf(l.file, "%d %s %s\n", now.Unix(), mark, hash); err != nil {
		return fmt.Errorf("write the spent list: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("write the spent list: %w", err)
	}
	l.marks[hash] = mark
	return nil
}

// Present records that the token with this hash is about to go out, and returns
// ErrSpent if it must not: it was presented before, and this is no recorded
// probe; or it is known to have been rotated. The disk is asked first and always
// written; Redis adds what other replicas know, and if it cannot be reached the
// disk's word stands.
func (e *Escrow) Present(ctx context.Context, hash string, probe bool) error {
	if !mayPresent(e.spent.mark(hash), probe) {
		return ErrSpent
	}
	ok, err := e.copies.Present(ctx, hash, probe)
	if err != nil {
		e.degraded("spent list in redis", err)
	} else if !ok {
		return ErrSpent
	}
	return e.spent.present(hash, probe, time.Now())
}

// Unspent records the proof that a presented token was not spent. If it fails
// the token must be treated as possibly spent, since another replica may go by
// the list in Redis.
func (e *Escrow) Unspent(ctx context.Context, hash string) error {
	if err := e.copies.Mark(ctx, hash, markUnspent); err != nil {
		return fmt.Errorf("clear the spent list: %w", err)
	}
	return e.spent.set(hash, markUnspent, time.Now())
}

// Rotated records that the provider answered the token with its successor: from
// now on not even a probe may present it.
func (e *Escrow) Rotated(ctx context.Context, hash string) error {
	err := e.spent.set(hash, markRotated, time.Now())
	if copyErr := e.copies.Mark(ctx, hash, markRotated); copyErr != nil {
		e.degraded("spent list in redis", copyErr)
	}
	return err
}
