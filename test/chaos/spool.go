package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
)

// spoolDir is a replica's spool, on a small disk of its own. The rig reads what is
// in it by itself.
type spoolDir struct {
	disk  string       // the mounted tmpfs
	dir   string       // escrow.dir, on it
	small bool         // it is mounted, and can be filled
	mu    sync.Mutex   // of what is mounted over the answers
	bound bool         // something is
	show  func([]byte) // is given every whole answer that is read
	busy  atomic.Bool
}

// diskSize is room for some forty answers under way.
const diskSize = "size=48m"

// newSpoolDir makes a spool, on a small disk if one may be mounted.
func newSpoolDir(at string, show func([]byte)) (*spoolDir, error) {
	s := &spoolDir{disk: at, dir: filepath.Join(at, "spool"), small: smallDisks(), show: show}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return nil, err
	}
	if s.small {
		if err := syscall.Mount("tmpfs", at, "tmpfs", 0, diskSize); err != nil {
			return nil, fmt.Errorf("mount a small disk for a spool: %w", err)
		}
	}
	return s, os.MkdirAll(s.folder(), 0o700)
}

// unmount takes the disk away, and what is on it.
func (s *spoolDir) unmount() error {
	if !s.small {
		return nil
	}
	return syscall.Unmount(s.disk, syscall.MNT_DETACH)
}

// keep copies what is in the spool to where it outlives the disk.
func (s *spoolDir) keep(to string) error { return os.CopyFS(to, os.DirFS(s.dir)) }

// spooledAnswer is the clear first line of a sealed answer.
type spooledAnswer struct {
	Tenant    string `json:"tenant"`
	Name      string `json:"name"`
	Attempt   string `json:"attempt"`
	Presented string `json:"presented"`
	Size      int    `json:"size"`
}

// parseAnswer reads a file of the spool; false if it holds no whole answer: room
// that none came to, or one that is torn.
func parseAnswer(data []byte) (spooledAnswer, bool) {
	head, sealed, ok := bytes.Cut(data, []byte{'\n'})
	var a spooledAnswer
	if !ok || json.Unmarshal(head, &a) != nil {
		return spooledAnswer{}, false
	}
	return a, a.Attempt != "" && a.Size > 0 && a.Size <= len(sealed)
}

// answers returns the whole answers in the spool.
func (s *spoolDir) answers() []spooledAnswer {
	names, _ := filepath.Glob(filepath.Join(s.folder(), "*"))
	var found []spooledAnswer
	for _, name := range names {
		if a, ok := s.answer(name); ok {
			found = append(found, a)
		}
	}
	return found
}

// answerOf returns the answer to an attempt; false if it is not there, or not whole.
func (s *spoolDir) answerOf(attempt string) (spooledAnswer, bool) {
	return s.answer(filepath.Join(s.folder(), attempt))
}

func (s *spoolDir) answer(name string) (spooledAnswer, bool) {
	data, err := os.ReadFile(name)
	if err != nil {
		return spooledAnswer{}, false
	}
	found, whole := parseAnswer(data)
	if whole {
		s.show(data)
	}
	return found, whole
}

// hasRoom reports whether there is a file for the answer to an attempt, and blocks of the disk
// for the longest answer that is read.
func (s *spoolDir) hasRoom(attempt string) bool {
	const longest, block = 1 << 20, 512
	var stat syscall.Stat_t
	err := syscall.Stat(filepath.Join(s.folder(), attempt), &stat)
	return err == nil && stat.Blocks*block >= longest
}

// wipe destroys all that is in the spool. The one that takes its place is on a disk that is well.
func (s *spoolDir) wipe() {
	_ = s.unprotect()
	_ = os.RemoveAll(s.dir)
	_ = os.MkdirAll(s.folder(), 0o700)
}

func (s *spoolDir) reserve() bool { return s.small && s.busy.CompareAndSwap(false, true) }

// fill leaves no byte on the disk.
func (s *spoolDir) fill() {
	f, err := os.Create(s.filler())
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 1<<20); len(block) > 0; {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}

func (s *spoolDir) unfill() error { return os.RemoveAll(s.filler()) }

// release says that the disk is well again.
func (s *spoolDir) release() { s.busy.Store(false) }

// protect lets nobody make or delete a file among the answers. A process that has one open
// goes on writing to it, as it can on a disk of which another mount was made read-only.
func (s *spoolDir) protect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	folder := s.folder()
	if err := syscall.Mount(folder, folder, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("make a spool read-only: %w", err)
	}
	s.bound = true
	var err error
	if !eventually(patience, func() bool { // busy for as long as a file is open there
		err = syscall.Mount("", folder, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, "")
		return !errors.Is(err, syscall.EBUSY)
	}) || err != nil {
		return fmt.Errorf("make a spool read-only: %w", err)
	}
	return nil
}

// unprotect is the way back. It does nothing if a wipe came first.
func (s *spoolDir) unprotect() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bound {
		return nil
	}
	s.bound = false
	return syscall.Unmount(s.folder(), syscall.MNT_DETACH) // somebody may just be reading there
}

func (s *spoolDir) folder() string { return filepath.Join(s.dir, "answers") }

func (s *spoolDir) filler() string { return filepath.Join(s.disk, "filler") }

// watch tells of every answer that appears in the spool, until stop is called. It
// hears of a write when it has happened and holds nothing up. A spool that is
// destroyed is watched no longer.
func (s *spoolDir) watch(tell func(spooledAnswer)) (stop func(), err error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch a spool: %w", err)
	}
	folder := s.folder()
	if _, err := syscall.InotifyAddWatch(fd, folder, syscall.IN_MODIFY); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", folder, err), syscall.Close(fd))
	}
	events := os.NewFile(uintptr(fd), "inotify")
	go func() {
		buffer := make([]byte, 64<<10)
		told := map[string]bool{}
		for {
			n, err := events.Read(buffer)
			if err != nil {
				return
			}
			for _, name := range eventNames(buffer[:n]) {
				if a, ok := s.answer(filepath.Join(folder, name)); ok && !told[name] {
					told[name] = true
					tell(a)
				}
			}
		}
	}()
	return func() { _ = events.Close() }, nil
}

// eventNames reads the names of files from inotify's records: each has a head of 16
// bytes that ends with the length of what follows, a name and zeros.
func eventNames(records []byte) []string {
	var names []string
	for len(records) >= syscall.SizeofInotifyEvent {
		end := syscall.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(records[12:]))
		names = append(names, string(bytes.TrimRight(records[syscall.SizeofInotifyEvent:end], "\x00")))
		records = records[end:]
	}
	return names
}
