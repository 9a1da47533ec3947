package escrow

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// roomSize is the space kept for one answer: the largest body that is read from
// a provider (1 MiB), and its envelope.
const roomSize = 1<<20 + 64<<10

// attemptName is what an attempt's ID looks like; it becomes a file's name.
var attemptName = regexp.MustCompile(`^[a-z0-9]{8,64}$`)

// ErrSpoolInUse means that another process works in the same directory.
var ErrSpoolInUse = errors.New("another process is using this spool directory")

// spool is the directory on this machine's disk.
type spool struct {
	dir   string
	lock  *os.File
	owner string

	torn []string // answers that a crash cut off, set aside when the spool was opened

	mu     sync.Mutex
	held   map[string]bool   // attempts whose answer this process is waiting for, or working on
	sealed map[string]onDisk // whole answers on disk, by attempt
}

// onDisk is a whole answer that waits on disk.
type onDisk struct {
	ref Ref
	at  time.Time
}

// openSpool locks the directory, reads or makes its identity, sweeps rooms that
// a crash left empty, and lists the sealed answers.
func openSpool(dir string) (*spool, error) {
	for _, d := range []string{dir, filepath.Join(dir, "answers"), filepath.Join(dir, "aside"), filepath.Join(dir, "kept")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the spool directory (escrow.dir): %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the spool directory (escrow.dir): %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s: give each replica a directory of its own (escrow.dir)", ErrSpoolInUse, dir)
		}
		return nil, fmt.Errorf("lock the spool directory (escrow.dir) %s, which must be on a disk that can: %w", dir, err)
	}
	s := &spool{dir: dir, lock: lock, held: map[string]bool{}, sealed: map[string]onDisk{}}
	if s.owner, err = s.identity(); err == nil {
		err = s.load()
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// identity reads the owner's identity, or makes one that survives a crash.
func (s *spool) identity() (string, error) {
	path := filepath.Join(s.dir, "owner")
	data, err := os.ReadFile(path)
	if err == nil && attemptName.MatchString(strings.TrimSpace(string(data))) {
		return strings.TrimSpace(string(data)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read the spool's identity: %w", err)
	}
	raw := make([]byte, 16)
	_, _ = rand.Read(raw)
	owner := hex.EncodeToString(raw)
	if err := writeDurably(path, []byte(owner+"\n")); err != nil {
		return "", fmt.Errorf("write the spool's identity: %w", err)
	}
	return owner, nil
}

// load takes stock of the answers. What was not put there by a spool is left alone.
func (s *spool) load() error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "answers"))
	if err != nil {
		return fmt.Errorf("list the spool: %w", err)
	}
	for _, entry := range entries {
		attempt := entry.Name()
		if !entry.Type().IsRegular() || !attemptName.MatchString(attempt) {
			continue
		}
		data, err := os.ReadFile(s.path(attempt))
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		e, _, torn := parseEnvelope(data)
		switch {
		case len(data) == 0 || data[0] == 0:
			err = os.Remove(s.path(attempt)) // room that no answer came to
		case torn != nil || e.Attempt != attempt:
			s.torn = append(s.torn, attempt)
			err = s.moveAside(attempt)
		default:
			s.sealed[attempt] = onDisk{e.ref(), e.SealedAt}
		}
		if err != nil {
			return fmt.Errorf("sweep the spool: %w", err)
		}
	}
	return nil
}

// room makes the file that an attempt's answer goes to, with its space reserved,
// and makes both durable.
func (s *spool) room(attempt string) (*os.File, error) {
	if !attemptName.MatchString(attempt) {
		return nil, fmt.Errorf("%q is no attempt", attempt)
	}
	path := s.path(attempt)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, spoolFailed("make room in the spool (escrow.dir)", err)
	}
	err = reserve(f, roomSize)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, spoolFailed("make room in the spool (escrow.dir)", err)
	}
	s.mu.Lock()
	s.held[attempt] = true
	s.mu.Unlock()
	return f, nil
}

// keep writes a sealed answer into its room and makes it durable.
func (s *spool) keep(f *os.File, ref Ref, sealed []byte) error {
	if _, err := f.WriteAt(sealed, 0); err != nil {
		return fmt.Errorf("write the answer to the spool: %w", err)
	}
	if err := f.Truncate(int64(len(sealed))); err != nil {
		return fmt.Errorf("write the answer to the spool: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write the answer to the spool: %w", err)
	}
	s.mu.Lock()
	s.sealed[ref.Attempt] = onDisk{ref, time.Now()}
	s.mu.Unlock()
	return nil
}

// read returns the sealed bytes of a whole answer, nil if there is none.
func (s *spool) read(attempt string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sealed[attempt]; !ok {
		return nil, nil
	}
	data, err := os.ReadFile(s.path(attempt))
	if errors.Is(err, fs.ErrNotExist) { // somebody took it away by hand
		delete(s.sealed, attempt)
		return nil, nil
	}
	if err != nil {
		return nil, spoolFailed("read the spool", err)
	}
	return data, nil
}

// release says that nobody in this process waits for the attempt's answer any
// more, and sweeps its room if no answer came.
func (s *spool) release(attempt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, attempt)
	if _, ok := s.sealed[attempt]; !ok {
		_ = os.Remove(s.path(attempt))
	}
}

func (s *spool) remove(attempt string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.removeLocked(attempt)
}

func (s *spool) removeLocked(attempt string) error {
	if err := os.Remove(s.path(attempt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return spoolFailed("clear the spool", err)
	}
	delete(s.sealed, attempt)
	return nil
}

// setAside moves a sealed answer of this spool aside and returns its bytes, nil
// if there was none.
func (s *spool) setAside(attempt string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sealed[attempt]; !ok {
		return nil, nil
	}
	data, err := os.ReadFile(s.path(attempt))
	if err == nil {
		err = s.moveAside(attempt)
	}
	if err != nil {
		return nil, fmt.Errorf("set the answer aside: %w", err)
	}
	delete(s.sealed, attempt)
	return data, nil
}

func (s *spool) moveAside(attempt string) error {
	path := s.asidePath(attempt)
	if err := os.Rename(s.path(attempt), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func (s *spool) putAside(attempt string, sealed []byte) error {
	if err := writeDurably(s.asidePath(attempt), sealed); err != nil {
		return fmt.Errorf("set the answer aside: %w", err)
	}
	return nil
}

// asidePath returns where an answer can be set aside without taking the place of another.
func (s *spool) asidePath(attempt string) string {
	path := filepath.Join(s.dir, "aside", attempt)
	for n := 2; ; n++ {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
		path = filepath.Join(s.dir, "aside", fmt.Sprintf("%s.%d", attempt, n))
	}
}

func (s *spool) isHeld(attempt string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[attempt]
}

// waiting returns the answers on disk that nobody in this process works on, the
// oldest first.
func (s *spool) waiting() []Ref {
	return s.list(func(attempt string, _ onDisk) bool { return !s.held[attempt] })
}

func (s *spool) list(such func(attempt string, answer onDisk) bool) []Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	var idle []onDisk
	for attempt, answer := range s.sealed {
		if such(attempt, answer) {
			idle = append(idle, answer)
		}
	}
	slices.SortFunc(idle, func(a, b onDisk) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.ref.ID.String(), b.ref.ID.String()), cmp.Compare(a.ref.Attempt, b.ref.Attempt))
	})
	refs := make([]Ref, len(idle))
	for i, answer := range idle {
		refs[i] = answer.ref
	}
	return refs
}

// sealedBefore returns the answers that were on disk at a time already, worked on or not, the
// oldest first; all of them if it is the zero time.
func (s *spool) sealedBefore(at time.Time) []Ref {
	return s.list(func(_ string, answer onDisk) bool { return at.IsZero() || answer.at.Before(at) })
}

func (s *spool) has(attempt string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.sealed[attempt]
	return ok
}

// standing returns how many answers are on disk, worked on or not, and when the
// oldest was sealed.
func (s *spool) standing() (answers int, oldest time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, answer := range s.sealed {
		if oldest.IsZero() || answer.at.Before(oldest) {
			oldest = answer.at
		}
	}
	return len(s.sealed), oldest
}

func (s *spool) path(attempt string) string { return filepath.Join(s.dir, "answers", attempt) }

// close frees the directory at once, even if a child process that is just being
// started has inherited the lock's file.
func (s *spool) close() error {
	return errors.Join(syscall.Flock(int(s.lock.Fd()), syscall.LOCK_UN), s.lock.Close())
}

// writeDurably replaces a file so that after a crash there is either the old one
// or the new one.
func writeDurably(path string, data []byte) error {
	f, err := replace(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if f != nil {
		err = errors.Join(err, f.Close())
	}
	return err
}

// replace is writeDurably that leaves the new file open for reading and writing. Once it has
// taken the old one's place it is returned, even with an error.
func replace(path string, write func(io.Writer) error) (*os.File, error) {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
