package simulation

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// evidence is all that was written to where no secret may be in clear (I8), by place. It is
// searched at the end, when all secrets are known. It may be written from several goroutines.
type evidence struct {
	mu     sync.Mutex
	places map[string]*bytes.Buffer
}

func newEvidence() *evidence { return &evidence{places: map[string]*bytes.Buffer{}} }

// keep takes down what was written to a place.
func (e *evidence) keep(place string, written ...[]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.places[place] == nil {
		e.places[place] = &bytes.Buffer{}
	}
	for _, data := range written {
		e.places[place].Write(append(slices.Clip(data), '\n'))
	}
}

// keepValue takes down a value as it is written in JSON.
func (e *evidence) keepValue(place string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	e.keep(place, data)
}

// keepFiles takes down every file below a folder, if there is one.
func (e *evidence) keepFiles(place, dir string) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		e.keep(place, []byte(entry.Name()), data)
		return err
	})
}

// logOf is the log as one place of the evidence.
type logOf struct{ *evidence }

// Write implements io.Writer.
func (l logOf) Write(line []byte) (int, error) {
	l.keep("the log", line)
	return len(line), nil
}

// judgeSecrets searches for every secret that the provider gave out, and every seed (I8).
func (w *world) judgeSecrets() {
	for _, s := range w.spools {
		if s.destroyed {
			continue
		}
		if err := w.evidence.keepFiles("a spool", s.dir); err != nil {
			w.t.Error(err)
		}
	}
	secrets := newSearcher(w.sims.Secrets())
	for place, written := range w.evidence.places {
		if form := secrets.in(written.Bytes()); form != nil {
			w.wrong("I8: %s shows a secret (%.10s…)", place, form)
		}
	}
}

// window is how much of a form is looked up; what is shorter is not searched for.
const window = 12

// forms are the ways in which a secret could be written: as it is, and within base64, which
// has three alignments.
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
type searcher struct {
	first [1 << 16]bool // pairs of bytes that a form begins with
	forms map[[window]byte][][]byte
}

func newSearcher(secrets []string) *searcher {
	s := &searcher{forms: map[[window]byte][][]byte{}}
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			if len(form) < window {
				continue
			}
			key := [window]byte(form)
			s.forms[key] = append(s.forms[key], form)
			s.first[uint16(form[0])<<8|uint16(form[1])] = true
		}
	}
	return s
}

// in returns the first text that the data hold, nil if there is none.
func (s *searcher) in(data []byte) []byte {
	for i := 0; i+window <= len(data); i++ {
		if !s.first[uint16(data[i])<<8|uint16(data[i+1])] {
			continue
		}
		for _, form := range s.forms[[window]byte(data[i:])] {
			if bytes.HasPrefix(data[i:], form) {
				return form
			}
		}
	}
	return nil
}
