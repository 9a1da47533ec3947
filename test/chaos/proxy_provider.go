package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// providerProxy is one replica's way out to the providers: an HTTP proxy, which
// is asked to connect to a host. The host tells the credential, the proxy's port
// the replica. It speaks plain HTTP on both sides, so that it can read along.
type providerProxy struct {
	rig      *rig
	replica  int
	listener net.Listener
	out      *http.Transport
}

// hostSuffix ends the host names of the simulated providers. No such name can be
// resolved, so nothing can leave this machine.
const hostSuffix = ".sim.invalid"

func newProviderProxy(r *rig, replica int) (*providerProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &providerProxy{rig: r, replica: replica, listener: listener, out: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	go p.accept()
	return p, nil
}

func (p *providerProxy) url() string { return "http://" + p.listener.Addr().String() }

func (p *providerProxy) close() {
	_ = p.listener.Close()
	p.out.CloseIdleConnections()
}

func (p *providerProxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(conn)
	}
}

// serve answers CONNECT, and then the requests that come through the tunnel.
func (p *providerProxy) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	connect, err := http.ReadRequest(in)
	if err != nil || connect.Method != http.MethodConnect {
		return
	}
	host, _, _ := net.SplitHostPort(connect.Host)
	if _, err := io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(req.Body)
		if err != nil || !p.request(conn, req, host, body) || req.Close {
			return
		}
	}
}

// target splits a host of the rig's into the provider and the tenant.
func target(host string) (provider, tenant string) {
	tenant, provider, _ = strings.Cut(strings.TrimSuffix(host, hostSuffix), ".")
	return provider, tenant
}

// request passes one request on, and reports whether the connection lives.
func (p *providerProxy) request(conn net.Conn, req *http.Request, host string, body []byte) bool {
	provider, tenant := target(host)
	form, _ := url.ParseQuery(string(body))
	token := form.Get("refresh_token")
	if provider != "checkfront" || token == "" {
		answer, err := p.forward(provider, req, body)
		return err == nil && write(conn, answer, len(answer.body)) == nil
	}
	a := p.rig.seen.present(p.replica, tenant+"/"+rotatingName, token)
	if rep := p.rig.replicas[p.replica-1]; !rep.spool.hasRoom(a.Name) && rep.there() {
		p.rig.seen.note(a, func(a *attempt) { a.Roomless = true })
	}
	p.rig.story.tell(p.replica, a.ID, "presents token %s (attempt %s)", short(a.Presented), short(a.Name))
	step := Step{Boundary: Request, Replica: p.replica, ID: a.ID, Attempt: a}
	switch f := step.meet(p.rig, Before); {
	case f.cut:
		return false
	case f.truncate:
		p.breakOff(provider, req, body, f.half)
		return false
	case f.status != 0:
		return p.refuse(conn, a, f.status)
	}
	p.rig.seen.note(a, func(a *attempt) { a.Forwarded = true })
	// The provider works on it while things go wrong here: it cannot be called back.
	var answer exchanged
	done := make(chan error, 1)
	go func() {
		var err error
		answer, err = p.forward(provider, req, body)
		done <- err
	}()
	after := step.meet(p.rig, After)
	if err := <-done; err != nil || after.cut {
		p.learn(a, answer)
		return false
	}
	p.learn(a, answer)
	return p.answer(conn, a, answer)
}

// breakOff lets a request end in the middle of its body, or before it. The provider has nothing to act on then,
// which its ledger tells, and the process cannot know that.
func (p *providerProxy) breakOff(provider string, req *http.Request, body []byte, half bool) {
	base, err := url.Parse(p.rig.servers.URL(provider))
	if err != nil {
		p.rig.broken(err)
		return
	}
	server, err := net.DialTimeout("tcp", base.Host, time.Second)
	if err != nil {
		p.rig.broken(err)
		return
	}
	defer func() { _ = server.Close() }()
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", req.Method, req.URL.RequestURI(), base.Host, len(body))
	header := req.Header.Clone()
	header.Del("Content-Length")
	_ = header.Write(&b)
	b.WriteString("\r\n")
	if half {
		b.Write(body[:len(body)/2])
	}
	_, _ = server.Write(b.Bytes())
}

// learn takes down what the provider made of a presentation.
func (p *providerProxy) learn(a *attempt, answer exchanged) {
	var pair struct {
		RefreshToken string `json:"refresh_token"`
	}
	_ = json.Unmarshal(answer.body, &pair)
	p.rig.seen.note(a, func(a *attempt) { a.Issued = hash(pair.RefreshToken) })
	p.rig.story.tell(0, a.ID, "the provider answers %d, new token %q", answer.status, short(hash(pair.RefreshToken)))
}

// answer brings the provider's answer back.
func (p *providerProxy) answer(conn net.Conn, a *attempt, answer exchanged) bool {
	step := Step{Boundary: Answer, Replica: p.replica, ID: a.ID, Attempt: a}
	before := step.meet(p.rig, Before)
	switch {
	case before.cut:
		return false
	case before.status != 0:
		// A gateway's word, after the provider has acted.
		return write(conn, exchanged{status: http.StatusBadGateway, body: []byte("bad gateway\n")}, 12) == nil
	}
	f := p.rig.choose(step, After)
	if f != nil && f.Kind == Truncate {
		_ = write(conn, answer, len(answer.body)/2)
		return false
	}
	err := write(conn, answer, len(answer.body))
	p.rig.seen.note(a, func(a *attempt) { a.Delivered, a.Arrived = err == nil, time.Now() })
	return !p.rig.strike(f).cut && err == nil
}

// refuse is a refusal without effect. One with 429 is proof that nothing was spent.
func (p *providerProxy) refuse(conn net.Conn, a *attempt, status int) bool {
	body := []byte("no\n")
	err := write(conn, exchanged{status: status, body: body}, len(body))
	if status == http.StatusTooManyRequests {
		p.rig.seen.note(a, func(a *attempt) { a.Unspent = err == nil })
	}
	return err == nil
}

func (p *providerProxy) forward(provider string, req *http.Request, body []byte) (exchanged, error) {
	base := strings.TrimSuffix(p.rig.servers.URL(provider), "/v2")
	out, err := http.NewRequest(req.Method, base+req.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return exchanged{}, err
	}
	out.Header = req.Header.Clone()
	out.Header.Del("Connection")
	out.GetBody = nil
	resp, err := p.out.RoundTrip(out)
	if err != nil {
		return exchanged{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	return exchanged{resp.StatusCode, resp.Header, answer}, err
}

// write writes an answer's head, and the first bytes of its body.
func write(conn net.Conn, a exchanged, bytesOfBody int) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	header := a.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	header.Del("Transfer-Encoding")
	_ = header.Write(&b)
	b.WriteString("\r\n")
	b.Write(a.body[:max(bytesOfBody, 0)])
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, err := conn.Write(b.Bytes())
	return err
}
