package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// event is one thing that the rig saw or did. It holds hashes, never a secret.
type event struct {
	At      time.Duration `json:"at"` // since the rig began
	Replica int           `json:"replica,omitempty"`
	ID      string        `json:"id,omitempty"`
	What    string        `json:"what"`
}

// story is everything that happened, in order. It may be written to from several
// goroutines.
type story struct {
	began time.Time
	mu    sync.Mutex
	out   io.Writer // one line of JSON an event
	byID  map[string][]event
	whole []event // what concerned everybody: servers and replicas
}

func newStory(out io.Writer) *story {
	return &story{began: time.Now(), out: out, byID: map[string][]event{}}
}

// tell writes down what happened. An empty id stands for all credentials, replica 0
// for none.
func (s *story) tell(replica int, id, format string, args ...any) {
	e := event{At: time.Since(s.began), Replica: replica, ID: id, What: fmt.Sprintf(format, args...)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" {
		s.whole = append(s.whole, e)
	} else {
		s.byID[id] = append(s.byID[id], e)
	}
	if line, err := json.Marshal(e); err == nil {
		_, _ = s.out.Write(append(line, '\n'))
	}
}

// of returns the story of one credential, with what concerned everybody woven in
// from shortly before it on.
func (s *story) of(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.byID[id]
	var b strings.Builder
	i := 0
	for _, e := range own[max(0, len(own)-told):] {
		for ; i < len(s.whole) && s.whole[i].At <= e.At; i++ {
			if s.whole[i].At > e.At-around {
				s.whole[i].tell(&b)
			}
		}
		e.tell(&b)
	}
	return b.String()
}

const (
	// told is how many of a credential's events are printed, the last ones.
	told = 120
	// around is how long before one of them what concerned everybody is of interest.
	around = 5 * time.Second
)

func (e event) tell(b *strings.Builder) {
	who := ""
	if e.Replica > 0 {
		who = fmt.Sprintf("replica %d", e.Replica)
	}
	fmt.Fprintf(b, "  %10.3f s  %-9s  %s\n", e.At.Seconds(), who, e.What)
}

// short is enough of a hash to recognise it by.
func short(hash string) string { return hash[:min(8, len(hash))] }
