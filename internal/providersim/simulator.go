package providersim

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// peekHeader marks a request of Servers.Check.
const peekHeader = "X-Sim-Peek"

// maxRequestBody bounds what a simulator reads of a request.
const maxRequestBody = 1 << 20

// ErrUnknownAccount says that a simulator has no such account.
var ErrUnknownAccount = errors.New("providersim: no such account")

// Simulator is what the five simulators have in common: the way of a request, the faults and the ledger.
type Simulator struct {
	name    string
	opts    Options
	secrets *secretBook
	ledger  Ledger
	faults  faults

	mu       sync.Mutex // guards the state of the provider, and makes effect and ledger entry one step
	provider provider
}

// provider is what one simulator adds. Both methods are called with Simulator.mu held.
type provider interface {
	// describe says what a request is, before anything happens: Endpoint, Kind, Account and TokenHash.
	describe(r *request) Event
	// serve does what is asked, completes the event and returns the answer. It changes nothing if r.peek is set.
	serve(r *request, e *Event) answer
}

func newSimulator(name string, opts Options, secrets *secretBook) *Simulator {
	h := fnv.New64a()
	_, _ = io.WriteString(h, name)
	return &Simulator{
		name:    name,
		opts:    opts,
		secrets: secrets,
		faults:  faults{rng: rand.New(rand.NewPCG(opts.Seed, h.Sum64()))},
	}
}

// Name returns the provider's name as credentials spell it, such as "checkfront".
func (s *Simulator) Name() string { return s.name }

// Ledger returns the list of everything that the simulator met.
func (s *Simulator) Ledger() *Ledger { return &s.ledger }

// Inject adds a fault behind those already there and returns a function that removes it. It panics at a fault that could
// never do anything.
func (s *Simulator) Inject(f Fault) (remove func()) { return s.faults.add(f) }

// ClearFaults removes all faults. Requests already delayed by one stay so.
func (s *Simulator) ClearFaults() { s.faults.clear() }

// request is a request whose body has been read.
type request struct {
	*http.Request
	now       time.Time
	query     url.Values
	form      url.Values // of the body alone; nil if that is no form
	peek      bool
	keepToken bool // Fault.NoRotation
}

// ServeHTTP answers one request as the provider would, or as an injected fault says. A fault that cuts the connection
// panics with http.ErrAbortHandler, which a server takes for just that.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req, err := read(r)
	event := s.describe(req)
	if err != nil {
		s.recordWithout(event, ResultGone, 0)
		panic(http.ErrAbortHandler)
	}
	var fault Fault
	if !req.peek {
		fault = s.faults.pick(event.Endpoint, event.Account)
		event.Fault = fault.name()
		if !wait(r.Context(), s.opts.Latency+fault.DelayBefore, fault.EvenIfGone) {
			s.recordWithout(event, ResultGone, 0)
			panic(http.ErrAbortHandler)
		}
	}
	var a answer
	if fault.prevents() {
		a = fault.replace(answer{})
		if fault.CutBefore {
			a.status = 0
		}
		s.recordWithout(event, ResultFault, a.status)
	} else {
		req.keepToken = fault.NoRotation
		a = s.perform(req, event)
	}
	if !wait(r.Context(), fault.DelayAfter, false) {
		panic(http.ErrAbortHandler)
	}
	fault.send(w, a)
}

// describe fills in what is the same for every provider.
func (s *Simulator) describe(r *request) Event {
	s.mu.Lock()
	e := s.provider.describe(r)
	s.mu.Unlock()
	e.Provider, e.Method, e.Path = s.name, r.Method, r.URL.Path
	if r.peek = r.peek && e.Endpoint == EndpointAPI; r.peek {
		e.Kind = KindCheck
	}
	return e
}

// perform lets the request have its effect and enters it in the ledger, in one step.
func (s *Simulator) perform(r *request, e Event) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.now = s.opts.Now()
	e.At = r.now
	a := s.provider.serve(r, &e)
	e.Status = a.status
	s.ledger.append(e)
	return a
}

// recordWithout enters a request that had no effect.
func (s *Simulator) recordWithout(e Event, result string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.At, e.Result, e.Status = s.opts.Now(), result, status
	s.ledger.append(e)
}

func read(r *http.Request) (*request, error) {
	req := &request{Request: r, query: r.URL.Query(), peek: r.Header.Get(peekHeader) == "1"}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBody))
	if err != nil {
		return req, err
	}
	mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if mediaType == "application/x-www-form-urlencoded" {
		if form, err := url.ParseQuery(string(body)); err == nil {
			req.form = form
		}
	}
	return req, nil
}

// bearer returns the bearer token of the request. The scheme is compared without regard to case.
func (r *request) bearer() (token string, ok bool) {
	scheme, token, found := strings.Cut(r.Header.Get("Authorization"), " ")
	if !found || !strings.EqualFold(scheme, "bearer") || token == "" {
		return "", false
	}
	return token, true
}

type servingKey struct{}

// wait pauses for d and tells whether it could: it ends early when the client goes away or, if evenIfGone, only when the
// servers are closed.
func wait(ctx context.Context, d time.Duration, evenIfGone bool) bool {
	if d <= 0 {
		return true
	}
	if evenIfGone {
		serving, ok := ctx.Value(servingKey{}).(context.Context)
		if !ok {
			serving = context.WithoutCancel(ctx)
		}
		ctx = serving
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
