package escrow

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// This file deals with a Redis that has lost all that it held. What still waits for Vault is
// copied there again anyway (CopyAgain). The rest would be missed only when Vault is put back to
// an older copy as well: the last committed answers, which bring grants forward, and the
// marks of the spent list, which keep other replicas from presenting what Vault has forgotten.

// Told is a part of what a spool knows, for a Redis that has lost it.
type Told struct {
	// Kept are the last answers of credentials that were committed from this spool.
	Kept []Kept
	// Marks are those of the spent list, at most one for each token.
	Marks []Mark
}

// Kept is the last committed answer of a credential.
type Kept struct {
	Ref      Ref
	Of       Lineage
	SealedAt time.Time
	Sealed   []byte
}

// Mark is what the spent list knows of a token.
type Mark struct {
	Hash, Mark string
	// Left is for how long it is to be remembered.
	Left time.Duration
}

// How much is told at a tick, so that none takes long.
const (
	keptAtOnce = 1000
	markBytes  = 1 << 20
)

// retelling is what Redis is still to be told.
type retelling struct {
	mu     sync.Mutex
	forgot bool     // Redis has lost everything since the telling began
	kept   []string // files
	// marks is where those of the spent list end that are still to be told, in the file as it was
	// replaced so many times.
	marks    int64
	rewrites int
}

// RedisForgot says that Redis has lost all that it held. It does not block: CopyAgain tells it
// again what this spool knows, bit by bit.
func (e *Escrow) RedisForgot() {
	e.retelling.mu.Lock()
	defer e.retelling.mu.Unlock()
	e.retelling.forgot = true
}

// begins reports whether Redis has forgotten all since it was last asked.
func (r *retelling) begins() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	forgot := r.forgot
	r.forgot = false
	return forgot
}

// tellAgain tells Redis the next part of what it has lost. What could not be told is tried
// again at the next tick.
func (e *Escrow) tellAgain(ctx context.Context, now time.Time) {
	r := &e.retelling
	if len(r.kept) == 0 && r.marks == 0 {
		return
	}
	part := min(len(r.kept), keptAtOnce)
	told := Told{Kept: keptAnswers(r.kept[:part])}
	marks, begin, rewrites, err := e.spent.before(r.marks, r.rewrites, now)
	if told.Marks = marks; err == nil && len(told.Kept)+len(told.Marks) > 0 {
		err = e.copies.Tell(ctx, told)
	}
	if err != nil {
		e.degraded(spentInRedis, err)
		return
	}
	r.kept, r.marks, r.rewrites = r.kept[part:], begin, rewrites
}

// keptPaths returns the files of the last committed answers.
func (s *spool) keptPaths() []string {
	paths, _ := filepath.Glob(filepath.Join(s.dir, "kept", "*.*"))
	return paths
}

// keptAnswers reads those that are whole. One that was replaced meanwhile is read as it is now.
func keptAnswers(paths []string) []Kept {
	var answers []Kept
	for _, path := range paths {
		sealed, err := os.ReadFile(path)
		if err != nil {
			continue // a visit that needs it says so
		}
		if e, _, err := parseEnvelope(sealed); err == nil {
			answers = append(answers, Kept{e.ref(), e.Lineage, e.SealedAt, sealed})
		}
	}
	return answers
}

// end returns where the spent list ends, and how often its file was replaced.
func (l *spentLog) end() (at int64, rewrites int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.size, l.rewrites
}

// before returns the marks that stand in the last part of the file before a place, and where
// that part begins: what is newest is told first. If the file was replaced since, it starts over
// from its end.
func (l *spentLog) before(end int64, rewrites int, now time.Time) (marks []Mark, begin int64, current int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rewrites != l.rewrites && end > 0 {
		end = l.size
	}
	begin = max(0, end-markBytes)
	block := make([]byte, end-begin)
	if _, err := l.file.ReadAt(block, begin); err != nil && len(block) > 0 {
		return nil, 0, 0, err
	}
	if cut := bytes.IndexByte(block, '\n') + 1; begin > 0 && cut < len(block) {
		begin, block = begin+int64(cut), block[cut:] // the rest of a line that comes with the next part
	}
	for line := range bytes.Lines(block) {
		if mark, ok := l.telling(line, now); ok {
			marks = append(marks, mark)
		}
	}
	return marks, begin, l.rewrites, nil
}

// telling reads a line that is the last word on its token and keeps it from going out.
func (l *spentLog) telling(line []byte, now time.Time) (Mark, bool) {
	key, m, ok := parseSpent(line)
	last := l.marks[key]
	left := time.Unix(m.unix, 0).Add(l.keep).Sub(now)
	if !ok || last.mark != m.mark || last.unix != m.unix || left <= 0 || m.mark != markSent && m.mark != markRotated {
		return Mark{}, false
	}
	return Mark{Hash: string(bytes.Fields(line)[2]), Mark: m.mark, Left: min(left, l.keep)}, true
}
