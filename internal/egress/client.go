package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"refresher/refreshers"
)

var _ refreshers.Doer = (*Client)(nil)

// Do sends one request over a connection that may have been used before, and
// returns the answer, whatever its status. It blocks for Settings.CallTimeout at
// the most, or until ctx is done, and may be called from several goroutines at once.
//
// A GET may be repeated by itself if a connection from the pool turns out to be
// dead; a request with a body, or of another method, never is. Errors are as
// refreshers.Doer says: KindTransient with credential.CodeNotConnected, whose
// cause begins with what went wrong (request, guard, dns, refused, connect, proxy,
// tls, timeout, canceled), or KindAmbiguous with one of this package's codes.
func (c *Client) Do(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	startedAt := time.Now()
	answer, err := c.send(ctx, req, startedAt)
	c.report(req, startedAt, err)
	return answer, err
}

func (c *Client) send(ctx context.Context, req *http.Request, startedAt time.Time) (refreshers.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.callTimeout)
	defer cancel()
	trace := new(sendTrace)
	out, _, err := c.prepare(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: trace.gotConn}), req)
	if err != nil {
		closeBody(req)
		return refreshers.Answer{}, notSent(err)
	}
	resp, err := c.transport.RoundTrip(out)
	if err != nil {
		if trace.abort() {
			if ctx.Err() != nil {
				err = ctx.Err() // rather than its cause, whose words are its owner's
			}
			return refreshers.Answer{}, unanswered(err)
		}
		return refreshers.Answer{}, notSent(unsentInPool(ctx, err))
	}
	defer resp.Body.Close()
	return readAnswer(resp, startedAt, c.maxBody), nil
}

// unsentInPool says why the pool did not send a request. What is neither the
// dialer's word nor the context's may quote the request.
func unsentInPool(ctx context.Context, err error) error {
	if _, ok := errors.AsType[*unsentError](err); ok {
		return err
	}
	if ctx.Err() != nil {
		return unsentAt(ctx, stageTimeout, fmt.Errorf("no connection in time: %w", ctx.Err()))
	}
	return &unsentError{stageConnect, errors.New("lost before the request was sent")}
}

// prepare returns the request as it goes out, and where to. It is a copy that
// cannot be rewound, so that no layer below can send its body again, and
// that does not wait for "100 Continue".
func (c *Client) prepare(ctx context.Context, req *http.Request) (*http.Request, target, error) {
	if req.URL == nil {
		return nil, target{}, &unsentError{stageRequest, errors.New("no URL")}
	}
	t, err := targetOf(req.URL)
	if err != nil {
		return nil, target{}, &unsentError{stageRequest, fmt.Errorf("URL %w", err)}
	}
	if t.scheme != "https" && !c.allow.host(t.host, t.port) {
		return nil, target{}, &unsentError{stageGuard, refusal(fmt.Sprintf("plain http to %s is not allowed", clip(t.host)))}
	}
	if err := checkHeader(req.Header); err != nil {
		return nil, target{}, &unsentError{stageRequest, err}
	}
	out := req.Clone(ctx)
	out.GetBody = nil
	if out.Header == nil {
		out.Header = make(http.Header)
	}
	out.Header.Del("Expect")
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", c.userAgent)
	}
	return out, t, nil
}

func checkHeader(header http.Header) error {
	for name, values := range header {
		for _, value := range values {
			if !sendable(value) {
				return fmt.Errorf("header %q holds a character that cannot be sent", clip(name))
			}
		}
	}
	return nil
}

// report tells the hook that a call is over.
func (c *Client) report(req *http.Request, startedAt time.Time, err error) {
	if c.onCall == nil {
		return
	}
	var host string
	if req.URL != nil {
		host = strings.ToLower(req.URL.Hostname())
	}
	c.onCall(host, time.Since(startedAt), err)
}

// readAnswer reads the body as far as it may be read, and as far as it comes.
func readAnswer(resp *http.Response, startedAt time.Time, maxBody int64) refreshers.Answer {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	truncated := err != nil
	if int64(len(body)) > maxBody {
		body, truncated = body[:maxBody], true
	}
	return refreshers.Answer{
		StartedAt: startedAt,
		Status:    resp.StatusCode,
		Header:    resp.Header,
		Body:      body,
		Truncated: truncated,
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// errAborted is what the transport reads when it writes to a connection whose
// request was given up.
var errAborted = errors.New("the request was given up")

// trackedConn is a pooled connection that knows whether anything of the request
// that it carries was handed to it.
type trackedConn struct {
	net.Conn
	mu      sync.Mutex
	written bool
	aborted bool
}

// Write counts as sending even if it fails: a byte may have left before that.
func (c *trackedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.aborted {
		c.mu.Unlock()
		return 0, errAborted
	}
	c.written = true
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// begin starts another request.
func (c *trackedConn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = false
}

// abort reports whether anything of the request was written, and if not, sees to
// it that nothing ever will be: the transport writes in a goroutine of its own,
// which may come to it after the call has failed.
func (c *trackedConn) abort() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aborted = true
	return c.written
}

// sendTrace follows one request through the connections that it is tried on.
type sendTrace struct {
	mu   sync.Mutex
	conn *trackedConn
	sent bool
}

// gotConn is httptrace's: the request is about to be written to this connection.
func (t *sendTrace) gotConn(info httptrace.GotConnInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	if conn, ok := info.Conn.(*trackedConn); ok {
		conn.begin()
		t.conn = conn
		return
	}
	t.sent = true // not one of ours: nothing is known, so it counts as sent
}

// abort gives the request up and reports whether any of it was sent.
func (t *sendTrace) abort() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	return t.sent
}

func (t *sendTrace) settle() {
	if t.conn != nil && t.conn.abort() {
		t.sent = true
	}
	t.conn = nil
}
