package vaultsim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Mount is where the store is mounted.
const Mount = "secret"

// Fault is what happens to a request instead of an orderly answer.
type Fault int

// The faults.
const (
	// None lets the request be answered.
	None Fault = iota
	// DropBefore cuts the connection; nothing was done.
	DropBefore
	// DropAfter does what was asked and cuts the connection without an answer.
	DropAfter
	// FailBefore answers 500; nothing was done.
	FailBefore
	// FailAfter does what was asked and answers 500.
	FailAfter
)

// Request is one request that came in.
type Request struct {
	Method string
	// Path is the URL's path without /v1/.
	Path string
}

// keptRequests bounds how many requests are remembered.
const keptRequests = 4096

// Server is one stand-in. It may be used from several goroutines at once.
type Server struct {
	mu        sync.Mutex
	sealed    bool
	intercept func(*http.Request) Fault
	requests  []Request
	count     int
	tokens    map[string]*token
	store     store
}

// New returns a stand-in that is unsealed, empty, and knows one token, which may
// do everything.
func New(rootToken string) *Server {
	return &Server{
		tokens: map[string]*token{rootToken: {root: true}},
		store:  store{documents: map[string]*document{}},
	}
}

// Seal seals or unseals: while sealed, everything but sys/health and
// sys/seal-status answers 503.
func (s *Server) Seal(sealed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = sealed
}

// Intercept has f decide about each request that comes from now on; nil ends
// that. It is called from several goroutines at once, and may block.
func (s *Server) Intercept(f func(*http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = f
}

// Requests returns the last requests (4096 at the most), oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count returns how many requests there have been.
func (s *Server) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// ServeHTTP answers one request as Vault would.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		answer{status: http.StatusNotFound, errors: []string{}}.write(w)
		return
	}
	fault := s.note(r, path)
	switch fault {
	case DropBefore:
		panic(http.ErrAbortHandler)
	case FailBefore:
		internalError().write(w)
		return
	}
	result := s.act(r, path)
	switch fault {
	case DropAfter:
		panic(http.ErrAbortHandler)
	case FailAfter:
		result = internalError()
	}
	result.write(w)
}

// note remembers a request and asks what shall become of it.
func (s *Server) note(r *http.Request, path string) Fault {
	s.mu.Lock()
	s.count++
	if len(s.requests) == keptRequests {
		s.requests = slices.Delete(s.requests, 0, keptRequests/2)
	}
	s.requests = append(s.requests, Request{Method: r.Method, Path: path})
	intercept := s.intercept
	s.mu.Unlock()
	if intercept == nil {
		return None
	}
	return intercept(r)
}

// act does what a request asks for.
func (s *Server) act(r *http.Request, path string) answer {
	body := map[string]any{}
	if r.Body != nil {
		decoder := json.NewDecoder(r.Body)
		decoder.UseNumber()
		// A body that is no JSON is treated like none; what needs one says so.
		_ = decoder.Decode(&body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case path == "sys/health":
		return s.health(r)
	case path == "sys/seal-status":
		return s.sealStatus()
	case s.sealed:
		return failed(http.StatusServiceUnavailable, "Vault is sealed")
	}
	op := operation(r)
	t, denied := s.authorize(r.Header.Get("X-Vault-Token"), op, path)
	if denied != nil {
		return *denied
	}
	return s.route(op, path, t, r, body)
}

// operation names a request as policies do. A write is "update", whether or not
// there is a document yet.
func operation(r *http.Request) string {
	switch r.Method {
	case "LIST":
		return "list"
	case http.MethodGet:
		if r.URL.Query().Get("list") == "true" {
			return "list"
		}
		return "read"
	case http.MethodDelete:
		return "delete"
	case http.MethodPost, http.MethodPut:
		return "update"
	default:
		return r.Method
	}
}

// answer is what is sent back.
type answer struct {
	status int
	// data is the answer's data, if it has any.
	data any
	// errors is not nil for an answer that says only what is wrong.
	errors []string
	// bare means that data stands for itself, as that of some sys paths does.
	bare bool
}

func failed(status int, message string) answer {
	return answer{status: status, errors: []string{message}}
}

func internalError() answer { return failed(http.StatusInternalServerError, "internal error") }

// absent is how Vault says that there is nothing.
func absent() answer { return answer{status: http.StatusNotFound, errors: []string{}} }

func (a answer) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(a.status)
	var body any
	switch {
	case a.status == http.StatusNoContent:
		return
	case a.errors != nil:
		body = map[string]any{"errors": a.errors}
	case a.bare:
		body = a.data
	default:
		body = map[string]any{
			"request_id": "00000000-0000-0000-0000-000000000000", "lease_id": "", "renewable": false, "lease_duration": 0,
			"data": a.data, "wrap_info": nil, "warnings": nil, "auth": nil,
		}
		if auth, ok := a.data.(authData); ok {
			body.(map[string]any)["data"], body.(map[string]any)["auth"] = nil, auth
		}
	}
	// Whoever asked is gone if this fails.
	_ = json.NewEncoder(w).Encode(body)
}
