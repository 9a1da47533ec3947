package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"
)

// vaultProxy is one replica's way to Vault.
type vaultProxy struct {
	rig     *rig
	replica int
	server  *http.Server
	address string
	out     *http.Transport
	token   atomic.Value // a string: the process's, as it was last seen
}

func newVaultProxy(r *rig, replica int) (*vaultProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &vaultProxy{
		rig: r, replica: replica, address: "http://" + listener.Addr().String(),
		out: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true, ResponseHeaderTimeout: 10 * time.Second},
	}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *vaultProxy) close() {
	_ = p.server.Close()
	p.out.CloseIdleConnections()
}

// login returns the process's token for Vault, as it was last seen.
func (p *vaultProxy) login() string {
	token, _ := p.token.Load().(string)
	return token
}

// exchanged is a request's answer, read whole.
type exchanged struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP passes one request on, if the plan lets it. The server would swallow a
// panic of the rig's own.
func (p *vaultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		cause := recover()
		if err, ok := cause.(error); cause != nil && !(ok && errors.Is(err, http.ErrAbortHandler)) {
			p.rig.broken(fmt.Errorf("a panic on the way to Vault: %v\n%s", cause, debug.Stack()))
		}
		if cause != nil {
			panic(http.ErrAbortHandler)
		}
	}()
	p.pass(w, r)
}

func (p *vaultProxy) pass(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if token := r.Header.Get("X-Vault-Token"); token != "" && p.token.Swap(token) != token {
		p.rig.secrets.handedOut(token)
	}
	call, known := readVaultCall(r.Method, r.URL.Path, body)
	step := p.step(call, known)
	if !step.meet(p.rig, Before).pass(w) {
		return
	}
	answer, err := p.forward(r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if known {
		p.watch(call, answer)
	}
	if f := step.meet(p.rig, After); f.pass(w) {
		f.send(w, answer)
	}
}

// step says which step a call is; one without a boundary meets nothing.
func (p *vaultProxy) step(call vaultCall, known bool) Step {
	s := Step{Replica: p.replica}
	if !known {
		return s
	}
	s.ID = call.ID
	s.Boundary = call.boundary(p.rig.seen.generation(call.ID))
	switch s.Boundary {
	case Intent:
		s.Attempt = p.rig.seen.intent(p.replica, call)
		p.rig.story.tell(p.replica, call.ID, "writes the intent %s for token %s (probe %t)", short(s.Attempt.Name), short(s.Attempt.Presented), s.Attempt.Probe)
	case Commit, Publish:
		s.Attempt = p.rig.seen.current(p.replica, call.ID)
	}
	return s
}

func (p *vaultProxy) forward(r *http.Request, body []byte) (exchanged, error) {
	url := p.rig.vault.address + r.URL.RequestURI()
	// What is under way arrives, though its sender may have gone meanwhile.
	out, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, url, bytes.NewReader(body))
	if err != nil {
		return exchanged{}, err
	}
	out.Header = r.Header.Clone()
	out.GetBody = nil // sent once
	resp, err := p.out.RoundTrip(out)
	if err != nil {
		return exchanged{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return exchanged{resp.StatusCode, resp.Header, answer}, err
}

// watch takes down what a call did, or what it showed.
func (p *vaultProxy) watch(call vaultCall, answer exchanged) {
	r := p.rig
	if call.Write && answer.status != http.StatusOK {
		r.story.tell(p.replica, call.ID, "%s of %s is refused by Vault: %d", call.describe(), call.Folder, answer.status)
	}
	if answer.status != http.StatusOK {
		return
	}
	var reply struct {
		Data struct {
			Version int      `json:"version"`
			Data    document `json:"data"`
		} `json:"data"`
	}
	if json.Unmarshal(answer.body, &reply) != nil {
		return
	}
	doc := call.Doc
	if !call.Write {
		doc = reply.Data.Data
	}
	switch {
	case call.Folder == "grants":
		if r.seen.grant(call.ID, doc, call.Write) {
			r.story.tell(p.replica, call.ID, "the grant is given up; its token was %s", short(hash(doc.RefreshToken)))
			r.seen.died(call.ID, doc.RefreshToken, r.sims.Checkfront.GrantAlive(doc.RefreshToken))
		}
		if call.Write {
			r.story.tell(p.replica, call.ID, "grant: %s, generation %d, token %s, version %d",
				doc.State, doc.Generation, short(hash(doc.RefreshToken)), reply.Data.Version)
		}
	case call.Folder == "tokens" && !call.Write:
		r.seen.show(call.ID, doc.Generation)
	case call.Folder == "tokens":
		r.seen.show(call.ID, doc.Generation)
		r.seen.publish(call.ID, reply.Data.Version, doc)
		r.story.tell(p.replica, call.ID, "publishes %s, generation %d", doc.Status, doc.Generation)
		r.person.reads(call.ID, doc.Status)
	}
}

func (c vaultCall) describe() string {
	switch {
	case !c.Write:
		return "the read"
	case c.Doc.State != "":
		return "the write (" + c.Doc.State + ")"
	default:
		return "the write (" + c.Doc.Status + ")"
	}
}

// pass carries out what becomes of a connection, and reports whether the exchange
// goes on.
func (f fate) pass(w http.ResponseWriter) bool {
	switch {
	case f.cut:
		panic(http.ErrAbortHandler)
	case f.status != 0:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.status)
		_, _ = io.WriteString(w, `{"errors":["the chaos rig says no"]}`)
		return false
	default:
		return true
	}
}

// send writes an answer, half of it if it is to break off.
func (f fate) send(w http.ResponseWriter, a exchanged) {
	maps.Copy(w.Header(), a.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if f.truncate && len(a.body) > 1 {
		_, _ = w.Write(a.body[:len(a.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body)
}
