package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// secretSearch finds secrets in what should hold none. It may be used from several
// goroutines.
type secretSearch struct {
	mu       sync.Mutex
	evidence *bufio.Writer // a file with all that passes by, and would be gone at the end
	file     *os.File
	found    []string // what was found where, with the start of the secret alone
	known    []string // secrets that are not the simulators'
	bytes    int64
}

func newSecretSearch(evidence string) (*secretSearch, error) {
	file, err := os.OpenFile(evidence, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &secretSearch{file: file, evidence: bufio.NewWriterSize(file, 1<<16)}, nil
}

// handedOut takes down a secret that is not one of the simulators'.
func (s *secretSearch) handedOut(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = append(s.known, secret)
}

// keep takes down what passes by: a command to Redis, or a file in a spool. It is
// searched at the end, when all secrets are known.
func (s *secretSearch) keep(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.evidence.Write(data) // an error stays, and is that of Flush
}

// window is how much of a form is looked up; what is shorter is not searched for.
const window = 12

// forms are the ways in which a secret could be written: as it is (the simulators'
// list has it escaped for a URL, too), and within base64, which has three alignments.
func forms(secret string) [][]byte {
	all := [][]byte{[]byte(secret)}
	for shift := range 3 {
		text := base64.StdEncoding.EncodeToString(append(make([]byte, shift), secret...))
		// The ends depend on what stands around.
		from, to := (8*shift+5)/6, (8*(shift+len(secret)))/6
		all = append(all, []byte(text[from:to]))
	}
	return all
}

// searcher finds many texts at once, by their first bytes.
type searcher map[[window]byte][][]byte

func newSearcher(secrets []string) searcher {
	s := searcher{}
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			if len(form) >= window {
				key := [window]byte(form)
				s[key] = append(s[key], form)
			}
		}
	}
	return s
}

// in returns the first text that the data hold, nil if there is none.
func (s searcher) in(data []byte) []byte {
	for i := 0; i+window <= len(data); i++ {
		for _, form := range s[[window]byte(data[i:])] {
			if bytes.HasPrefix(data[i:], form) {
				return form
			}
		}
	}
	return nil
}

// finish searches files and folders for the secrets, and what had passed by.
func (s *secretSearch) finish(secrets []string, paths ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.evidence.Flush(), s.file.Close()); err != nil {
		return fmt.Errorf("search for secrets: %w", err)
	}
	all := newSearcher(append(s.known, secrets...))
	for _, path := range append(paths, s.file.Name()) {
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(name)
			s.bytes += int64(len(data))
			s.check(all, name, data)
			return err
		})
		if err != nil {
			return fmt.Errorf("search for secrets: %w", err)
		}
	}
	return nil
}

func (s *secretSearch) check(all searcher, where string, data []byte) {
	if form := all.in(data); form != nil {
		s.found = append(s.found, fmt.Sprintf("%s shows a secret (%.10s…)", where, form))
	}
}
