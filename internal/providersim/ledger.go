package providersim

import (
	"slices"
	"sync"
	"time"
)

// Endpoints, as a Fault names them and an Event records them.
const (
	EndpointToken     = "token"     // the OAuth token endpoints of Checkfront, Ankor and Kibo
	EndpointLogin     = "login"     // ClicRDV's login
	EndpointAPI       = "api"       // everything that a token, a key or a session is for
	EndpointAuthorize = "authorize" // Checkfront's authorize page
	EndpointOther     = "other"     // any path that the provider does not have
)

// Kinds of events: what a request was for.
const (
	KindExchange  = "exchange"  // Checkfront: a refresh token was presented
	KindCode      = "code"      // Checkfront: an authorization code was presented
	KindAuthorize = "authorize" // Checkfront: a person was sent to the authorize page
	KindPing      = "ping"      // Checkfront: a call that needs no credentials
	KindMint      = "mint"      // Ankor, Kibo: an access token was asked for
	KindLogin     = "login"     // ClicRDV: a login
	KindTouch     = "touch"     // ClicRDV: a call with a session, or with nothing
	KindVerify    = "verify"    // a call with a static key pair or password
	KindAPI       = "api"       // a call with an access token
	KindCheck     = "check"     // a call by Servers.Check
	KindOther     = "other"     // any path that the provider does not have
)

// Results of events: what became of a request at the provider, whether or not its answer arrived.
const (
	ResultOK             = "ok"
	ResultInvalidGrant   = "invalid_grant"   // unknown, another client's, of a revoked grant, or a bad assertion
	ResultReuse          = "reuse"           // a spent refresh token or code; its whole grant is dead from now on
	ResultExpired        = "expired"         // token, code, session or assertion past its time
	ResultTooEarly       = "too_early"       // Checkfront, AppSpec.RefreshAfterExpiryOnly: refused, nothing spent
	ResultInvalidClient  = "invalid_client"  // wrong or missing client authentication
	ResultInvalidRequest = "invalid_request" // not the documented method, parameters or encoding
	ResultUnsupported    = "unsupported"     // another grant type
	ResultInvalidScope   = "invalid_scope"   // Ankor: a scope that the company does not have
	ResultReplay         = "replay"          // Ankor: an assertion whose jti was seen before
	ResultRefused        = "refused"         // wrong credentials on the API or at the login
	ResultAnonymous      = "anonymous"       // no credentials where some are needed
	ResultUnknownKey     = "unknown_key"     // no or an unknown application key
	ResultThrottled      = "throttled"       // over the plan's rate or quota
	ResultRedirect       = "redirect"        // sent elsewhere, nothing done
	ResultNotFound       = "not_found"       // no such path
	ResultFault          = "fault"           // an injected fault kept it from having an effect
	ResultGone           = "gone"            // the client went away before the effect
)

// Event is one request that a simulator met.
type Event struct {
	At       time.Time // when it had its effect, by Options.Now
	Provider string
	Endpoint string // EndpointToken and so on
	Method   string // the HTTP method
	Path     string // the path without the query
	// Account is the consumer key at Checkfront (the name of a token pair), the account ID at Bookeo, the e-mail address
	// at ClicRDV, the company URI at Ankor and the API key at Kibo; empty if the request does not tell.
	Account string
	Kind    string
	Result  string
	// TokenHash is Hash of what was presented: refresh token, code, assertion, bearer token, session or API key.
	TokenHash string
	// IssuedHash is Hash of what was handed out: refresh token, access token of a mint, or session.
	IssuedHash string
	Grant      string // the Checkfront grant that the presented token belongs to
	Generation int    // which pair of its grant the presented token is of, from 1
	Status     int    // as answered or, if the answer was lost, meant; 0 if the connection was cut instead
	Fault      string // the injected fault that the request met, if any
}

// Match selects events; an empty field matches everything.
type Match struct {
	Endpoint, Kind, Result, Account, TokenHash, Grant string
}

func (m Match) fits(e *Event) bool {
	for _, pair := range [...][2]string{
		{m.Endpoint, e.Endpoint},
		{m.Kind, e.Kind},
		{m.Result, e.Result},
		{m.Account, e.Account},
		{m.TokenHash, e.TokenHash},
		{m.Grant, e.Grant},
	} {
		if pair[0] != "" && pair[0] != pair[1] {
			return false
		}
	}
	return true
}

// Ledger is the append-only list of what a simulator met, in the order of the effects. It is safe for concurrent use.
type Ledger struct {
	mu     sync.Mutex
	events []Event
}

func (l *Ledger) append(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// Events returns a copy of the whole ledger.
func (l *Ledger) Events() []Event {
	return l.From(0)
}

// From returns a copy of the events from index n on, which is empty if there are fewer. It lets a watcher read a long
// ledger piece by piece.
func (l *Ledger) From(n int) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.events[min(max(n, 0), len(l.events)):])
}

// Where returns the events that fit, oldest first.
func (l *Ledger) Where(m Match) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Event
	for i := range l.events {
		if m.fits(&l.events[i]) {
			found = append(found, l.events[i])
		}
	}
	return found
}

// Count returns how many events fit.
func (l *Ledger) Count(m Match) int {
	return len(l.Where(m))
}

// Calls returns how many requests others made: all events but those of Servers.Check.
func (l *Ledger) Calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for i := range l.events {
		if l.events[i].Kind != KindCheck {
			n++
		}
	}
	return n
}

// Presentations returns how often each refresh token was presented, by its Hash, whether or not that had an effect.
func (l *Ledger) Presentations() map[string]int {
	presented := map[string]int{}
	for _, e := range l.Where(Match{Kind: KindExchange}) {
		if e.TokenHash != "" {
			presented[e.TokenHash]++
		}
	}
	return presented
}
