package soak

import (
	"bufio"
	"io/fs"
	"math"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// reading is what one replica exports: the value of each series.
type reading map[string]float64

// parse reads Prometheus's text format.
func parse(text string) reading {
	r := reading{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if value, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			r[line[:at]] = value
		}
	}
	return r
}

// sum adds up the series of a name whose labels contain all that is given.
func (r reading) sum(name string, labels ...string) float64 {
	total := 0.0
	for series, value := range r {
		rest, ok := strings.CutPrefix(series, name)
		if !ok || rest != "" && rest[0] != '{' {
			continue
		}
		for _, label := range labels {
			ok = ok && strings.Contains(rest, label)
		}
		if ok {
			total += value
		}
	}
	return total
}

// sample is one look at everything.
type sample struct {
	at       time.Duration // since the beginning
	readings []reading     // one a replica; nil if one of them did not answer
	memory   float64       // of Redis, in bytes; NaN while it is away
	spooled  stock         // what lies in the spools
}

// stock is what lies in folders, and in those below them.
type stock struct{ files, bytes float64 }

// add takes in a folder. What is deleted while it looks does not count.
func (s *stock) add(folder string) {
	_ = fs.WalkDir(os.DirFS(folder), ".", func(_ string, entry fs.DirEntry, gone error) error {
		if gone == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				s.files, s.bytes = s.files+1, s.bytes+float64(info.Size())
			}
		}
		return nil
	})
}

// total adds up a metric of all replicas.
func (x sample) total(name string, labels ...string) float64 {
	total := 0.0
	for _, r := range x.readings {
		total += r.sum(name, labels...)
	}
	return total
}

// worst is the replica's that has the most.
func (x sample) worst(name string) float64 {
	worst := 0.0
	for _, r := range x.readings {
		worst = max(worst, r.sum(name))
	}
	return worst
}

// look takes a sample.
func (s *stage) look(began time.Time) sample {
	x := sample{at: time.Since(began), memory: s.redisMemory()}
	for _, r := range s.running {
		text, err := fetch(r.url + "/metrics")
		if err != nil {
			x.readings = nil
			break
		}
		x.readings = append(x.readings, parse(text))
		x.spooled.add(r.spool)
	}
	return x
}

// redisMemory asks Redis itself, past the proxy, how many bytes it uses.
func (s *stage) redisMemory() float64 {
	conn, err := net.DialTimeout("tcp", s.redis.Addr, time.Second)
	if err != nil {
		return math.NaN()
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("INFO memory\r\n")); err != nil {
		return math.NaN()
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "used_memory:"); ok {
			if bytes, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
				return bytes
			}
		}
	}
	return math.NaN()
}

// watcher takes samples until it is finished.
type watcher struct {
	began   time.Time
	samples []sample
	missed  int
	done    sync.WaitGroup
}

// looks is how many samples a run takes, within reason.
const looks = 160

// watch begins to take samples, for so long.
func (s *stage) watch(d time.Duration) *watcher {
	w := &watcher{began: time.Now()}
	w.done.Go(func() {
		every := time.NewTicker(max(d/looks, 250*time.Millisecond))
		defer every.Stop()
		for over := time.After(d); ; {
			x := s.look(w.began)
			if x.readings == nil {
				w.missed++
			} else {
				w.samples = append(w.samples, x)
			}
			select {
			case <-over:
				return
			case <-s.t.Context().Done():
				return
			case <-every.C:
			}
		}
	})
	return w
}

// finish waits for the last sample. missed are those that could not be had.
func (w *watcher) finish() (samples []sample, missed int) {
	w.done.Wait()
	return w.samples, w.missed
}
