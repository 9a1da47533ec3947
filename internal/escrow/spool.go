package escrow

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
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

	mu     sync.Mutex
	held   map[string]bool // attempts whose answer this process is waiting for, or working on
	sealed map[string]Ref  // answers on disk
}

// openSpool locks the directory, reads or makes its identity, sweeps rooms that
// a crash left empty, and lists the sealed answers.
func openSpool(dir string) (*spool, error) {
	for _, d := range []string{dir, filepath.Join(dir, "answers"), filepath.Join(dir, "aside")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make the spool directory (escrow.dir): %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the spool's lock: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s: give each replica a directory of its own (escrow.dir)", ErrSpoolInUse, dir)
		}
		return nil, fmt.Errorf("lock the spool: %w", err)
	}
	s := &spool{dir: dir, lock: lock, held: map[string]bool{}, sealed: map[string]Ref{}}
	if s.owner, err = s.identity(); err == nil {
		err = s.load()
	}
	if err != nil {
		_ = lock.Close()
		return nil, err
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

func (s *spool) load() error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "answers"))
	if err != nil {
		return fmt.Errorf("list the spool: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(s.dir, "answers", entry.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read the spool: %w", err)
		}
		e, _, err := parseEnvelope(data)
		switch {
		case len(data) == 0 || data[0] == 0:
			err = os.Remove(path) // room that no answer came to
		case err != nil:
			err = s.moveAside(entry.Name())
		default:
			s.sealed[e.Attempt] = e.ref()
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
		return nil, fmt.Errorf("make room in the spool: %w", err)
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
		return nil, fmt.Errorf("make room in the spool: %w", err)
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
	s.sealed[ref.Attempt] = ref
	s.mu.Unlock()
	return nil
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
	if err := os.Remove(s.path(attempt)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear the spool: %w", err)
	}
	delete(s.sealed, attempt)
	return nil
}

func (s *spool) moveAside(attempt string) error {
	if err := os.Rename(s.path(attempt), filepath.Join(s.dir, "aside", attempt)); err != nil {
		return fmt.Errorf("set the answer aside: %w", err)
	}
	return syncDir(filepath.Join(s.dir, "aside"))
}

// setAside moves a sealed answer of this spool aside; it reports whether there was one.
func (s *spool) setAside(attempt string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sealed[attempt]; !ok {
		return false, nil
	}
	if err := s.moveAside(attempt); err != nil {
		return false, err
	}
	delete(s.sealed, attempt)
	return true, nil
}

func (s *spool) putAside(attempt string, sealed []byte) error {
	if err := writeDurably(filepath.Join(s.dir, "aside", attempt), sealed); err != nil {
		return fmt.Errorf("set the answer aside: %w", err)
	}
	return nil
}

func (s *spool) isHeld(attempt string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[attempt]
}

// waiting returns the answers on disk that nobody in this process works on.
func (s *spool) waiting() []Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refs []Ref
	for attempt, ref := range s.sealed {
		if !s.held[attempt] {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (s *spool) path(attempt string) string { return filepath.Join(s.dir, "answers", attempt) }

func (s *spool) close() error { return s.lock.Close() }

// writeDurably replaces a file so that after a crash there is either the old one
// or the new one.
func writeDurably(path string, data []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
