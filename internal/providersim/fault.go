package providersim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Body is what a Fault puts in the place of an answer's body.
type Body string

// The bodies that a Fault can answer with.
const (
	BodyHTML      Body = "html"      // a gateway's error page
	BodyEmpty     Body = "empty"     // nothing
	BodyGarbage   Body = "garbage"   // JSON that ends in the middle, with a whole HTTP answer around it
	BodyOversized Body = "oversized" // valid JSON of 2 MiB; with AfterEffect, the true answer and padding
)

const oversize = 2 << 20

// Fault is something that goes wrong. Its first fields say which requests it meets, the others what happens; those combine.
// Of all faults that a simulator holds, a request meets the first one that fits and fires, in the order of injection: two
// faults with Times 1 hit one request after the other.
type Fault struct {
	// On is the endpoint that the fault is for, such as EndpointToken; empty means every one.
	On string
	// Account is the account that the fault is for, as in Event.Account; empty means every one.
	Account string
	// Skip is how many requests that fit are let pass first.
	Skip int
	// Times is how often the fault fires; zero means until it is removed.
	Times int
	// Probability is the chance that it fires on a request that fits; zero means always.
	Probability float64

	// DelayBefore is waited for before the effect, DelayAfter between the effect and the answer. Both are real time.
	DelayBefore, DelayAfter time.Duration
	// EvenIfGone makes DelayBefore run to its end and the effect happen though the client has gone meanwhile, as at a
	// provider that does not notice. Otherwise a client that goes away during DelayBefore prevents the effect.
	EvenIfGone bool

	// CutBefore closes the connection without answer and without effect.
	CutBefore bool
	// LoseAnswer closes the connection without answer after the effect.
	LoseAnswer bool
	// Truncate cuts the connection in the middle of the answer's body.
	Truncate bool

	// Status, Body, Error and Redirect replace the answer, and what was asked for does not happen unless AfterEffect is set.
	// Status defaults to 200, to 400 with Error and to 307 with Redirect.
	Status int
	// Body replaces the answer's body.
	Body Body
	// Error answers with an OAuth error of this code.
	Error string
	// Redirect is the URL to send the client to.
	Redirect string
	// AfterEffect lets a replaced answer come after what was asked for was done.
	AfterEffect bool

	// RetryAfter is a value for the header of that name, on whatever is answered.
	RetryAfter string
	// ExpiresIn replaces the lifetime in an answer, as raw JSON: `"3600"`, `0`, `-5`, `1e300`.
	ExpiresIn string
	// NoRotation makes Checkfront's exchange hand out an access token only; the refresh token stays valid.
	NoRotation bool
}

// replaces tells whether the fault has an answer of its own.
func (f *Fault) replaces() bool {
	return f.Status != 0 || f.Body != "" || f.Error != "" || f.Redirect != ""
}

// prevents tells whether the fault keeps the request from having an effect.
func (f *Fault) prevents() bool {
	return f.CutBefore || f.replaces() && !f.AfterEffect && !f.LoseAnswer
}

// name describes the fault for the ledger.
func (f *Fault) name() string {
	var parts []string
	for _, p := range []struct {
		on   bool
		name string
	}{
		{f.DelayBefore > 0, "delay_before"},
		{f.DelayAfter > 0, "delay_after"},
		{f.CutBefore, "cut_before"},
		{f.LoseAnswer, "lose_answer"},
		{f.Truncate, "truncate"},
		{f.Status != 0, fmt.Sprintf("status_%d", f.Status)},
		{f.Body != "", "body_" + string(f.Body)},
		{f.Error != "", "error_" + f.Error},
		{f.Redirect != "", "redirect"},
		{f.AfterEffect, "after_effect"},
		{f.ExpiresIn != "", "expires_in"},
		{f.NoRotation, "no_rotation"},
	} {
		if p.on {
			parts = append(parts, p.name)
		}
	}
	return strings.Join(parts, ",")
}

// mustBeUsable panics at a fault that could never fire or do anything, because a test with one proves nothing.
func (f *Fault) mustBeUsable() {
	endpoints := []string{"", EndpointToken, EndpointLogin, EndpointAPI, EndpointAuthorize, EndpointOther}
	bodies := []Body{"", BodyHTML, BodyEmpty, BodyGarbage, BodyOversized}
	switch {
	case !slices.Contains(endpoints, f.On):
		panic("providersim: no endpoint is called " + f.On)
	case !slices.Contains(bodies, f.Body):
		panic("providersim: no body is called " + string(f.Body))
	case f.Probability < 0 || f.Probability > 1:
		panic("providersim: a probability is between 0 and 1")
	case f.Status != 0 && http.StatusText(f.Status) == "":
		panic("providersim: there is no such status")
	case f.ExpiresIn != "" && !json.Valid([]byte(f.ExpiresIn)):
		panic("providersim: ExpiresIn must be JSON")
	case !f.does():
		panic("providersim: this fault does nothing")
	}
}

// does tells whether anything would go wrong.
func (f *Fault) does() bool {
	idle := Fault{
		On: f.On, Account: f.Account, Skip: f.Skip, Times: f.Times, Probability: f.Probability,
		EvenIfGone: f.EvenIfGone, AfterEffect: f.AfterEffect,
	}
	return *f != idle
}

// faults holds what was injected into one simulator.
type faults struct {
	mu   sync.Mutex
	rng  *rand.Rand
	list []*injected
}

type injected struct {
	fault Fault
	skip  int
	left  int // -1: without limit
}

// add returns a function that takes the fault out again.
func (s *faults) add(f Fault) (remove func()) {
	f.mustBeUsable()
	in := &injected{fault: f, skip: f.Skip, left: f.Times}
	if f.Times <= 0 {
		in.left = -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, in)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.list = slices.DeleteFunc(s.list, func(other *injected) bool { return other == in })
	}
}

func (s *faults) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = nil
}

// pick returns the fault that a request to this endpoint of this account meets: the zero Fault if none.
func (s *faults) pick(endpoint, account string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, in := range s.list {
		if in.left == 0 || !in.fits(endpoint, account) {
			continue
		}
		if in.skip > 0 {
			in.skip--
			continue
		}
		if in.fault.Probability > 0 && s.rng.Float64() >= in.fault.Probability {
			continue
		}
		if in.left > 0 {
			in.left--
		}
		return in.fault
	}
	return Fault{}
}

func (in *injected) fits(endpoint, account string) bool {
	return (in.fault.On == "" || in.fault.On == endpoint) && (in.fault.Account == "" || in.fault.Account == account)
}
