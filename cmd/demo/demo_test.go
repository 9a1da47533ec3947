package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// quick has people act at once. Tokens live as long as in the demo, so that a
// busy machine has time to renew them.
func quick(o *options) {
	o.pace.verify = 3 * time.Second
	o.cues = cues{leave: 500 * time.Millisecond, comeBack: 100 * time.Millisecond, encore: time.Hour}
}

// stage collects what the demo writes, and tells whoever waits for a text.
type stage struct {
	mu      sync.Mutex
	text    bytes.Buffer
	waiting map[*regexp.Regexp]chan []string
}

// Write implements io.Writer.
func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.text.Write(p)
	s.look()
	return n, err
}

func (s *stage) look() {
	for pattern, found := range s.waiting {
		if m := pattern.FindStringSubmatch(s.text.String()); m != nil {
			found <- m
			delete(s.waiting, pattern)
		}
	}
}

// see waits until a pattern is written.
func (s *stage) see(t *testing.T, pattern string) []string {
	t.Helper()
	found := make(chan []string, 1)
	s.mu.Lock()
	if s.waiting == nil {
		s.waiting = map[*regexp.Regexp]chan []string{}
	}
	s.waiting[regexp.MustCompile(pattern)] = found
	s.look()
	s.mu.Unlock()
	select {
	case m := <-found:
		return m
	case <-time.After(time.Minute):
		t.Errorf("%q was never written; this was:\n%s", pattern, s.String())
		return nil
	}
}

func (s *stage) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// TestPlay is the whole demo: all five providers stay alive, the tenant that took
// its authorization back is reported and heals, and so does the typing error
// once somebody runs the printed command.
func TestPlay(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	quick(&o)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, ended := &stage{}, make(chan error, 1)
	go func() { ended <- demo(ctx, o, out, io.Discard) }()

	out.see(t, `paper-crane/orders +NEEDS A PERSON +misconfigured: .*client_secret`)
	mend(t, out.see(t, `Repair one +curl -s -H 'X-Vault-Token: demo' -d @(\S+) (\S+)`))
	status(t, out.see(t, `Status +curl -s (\S+)`))
	out.see(t, `paper-crane/orders +ALIVE AGAIN`)
	out.see(t, `ghost-walks/tickets +NEEDS A PERSON +needs_authorization: .*authorize the application again`)
	out.see(t, `ghost-walks/tickets +ALIVE AGAIN`)
	// Each of the others has been renewed, kept alive or verified by then.
	for _, id := range []string{
		"harbour-tours/online", "alpine-rides/online", "harbour-tours/kiosk", "river-kayaks/tours", "lantern-club/seats",
		"salon-lune/agenda", "salon-lune/clients", "clinique-lac/agenda", "azure-yachts/website", "blue-lagoon/central", "corner-shop/orders",
	} {
		out.see(t, id+` +(renewed|kept alive|verified)`)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the demo says %v:\n%s", err, out)
	}
	said := out.String()
	for _, want := range []string{
		"it was alive again", "somebody mended it", "rightly: the tenant had taken our access away", "Whatever could be kept alive was alive",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("the summary has no %q:\n%s", want, said)
		}
	}
	if regexp.MustCompile(`sim-(at|rt|cs|key|pw)`).MatchString(said) {
		t.Error("a secret is shown")
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// mend runs the printed command: the file and the URL are its arguments.
func mend(t *testing.T, command []string) {
	t.Helper()
	if command == nil {
		return
	}
	body, err := os.ReadFile(command[1])
	if err != nil {
		t.Error(err)
		return
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, command[2], bytes.NewReader(body))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("X-Vault-Token", "demo")
	fetch(t, req)
}

// status asks the service whether it is ready.
func status(t *testing.T, command []string) {
	t.Helper()
	if command == nil {
		return
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, command[1], nil)
	if err != nil {
		t.Error(err)
		return
	}
	fetch(t, req)
}

func fetch(t *testing.T, req *http.Request) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s is answered %d", req.URL.Path, resp.StatusCode)
	}
}

// TestEndsByItself wants -for to end the demo, and a table to be cleared away.
func TestEndsByItself(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"-for", "1ms", "-v"}, &out, &errOut); code != exitOK {
		t.Errorf("ends with %d and says %s", code, &errOut)
	}
	if !strings.Contains(out.String(), "Too short to see") || !strings.Contains(errOut.String(), "refresher is running") {
		t.Errorf("says\n%s\n%s", &out, &errOut)
	}
	b := newBoard(time.Now(), nil, func(event) {})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	out.Reset()
	s := &tableShow{terminal: terminal{out: &out, fd: -1}, guide: sampleGuide()}
	s.run(ctx, b)
	if said := out.String(); !strings.HasPrefix(said, enterScreen) || !strings.HasSuffix(said, leaveScreen) {
		t.Errorf("the screen is not left as it was: %q", said)
	}
	s.end(sample())
	if !strings.Contains(out.String(), "harbour-tours/online") {
		t.Error("the last table is gone")
	}
}

// TestServiceEnds wants a failure if the service ends before its time.
func TestServiceEnds(t *testing.T) {
	t.Parallel()
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(t.Context(), o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()
	b := newBoard(time.Now(), w.fleet, func(event) {})
	ran := perform(t.Context(), w, b, &lineShow{out: io.Discard})
	if err := w.close(); err != nil {
		t.Error(err)
	}
	r := judge(b.view(), ran)
	if said := fmt.Sprint(r.problems); !strings.Contains(said, "ended by itself") {
		t.Errorf("the problems are %s", said)
	}
}
