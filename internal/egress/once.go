package egress

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// OnceOptions say under which conditions the one request of Client.Once is sent.
type OnceOptions struct {
	// SendBy is when the first byte must have been sent; zero means any time. It
	// counts on the monotonic clock, if it has a reading of it, and on the wall
	// clock too, which goes on while a virtual machine is suspended.
	SendBy time.Time
	// Timeout limits the exchange, counted from the first byte; zero or less
	// means DefaultRotationTimeout.
	Timeout time.Duration
	// Gate has the last word before SendBy: it is called on the open connection, and
	// if it returns an error, nothing is sent. Its context ends at SendBy. Nil
	// means that there is nothing to ask.
	Gate func(ctx context.Context) error
}

// Once returns a Doer for one request that must not be sent twice: a rotation.
// Its Do dials a fresh connection that no other request uses, asks Gate, checks
// the context and then SendBy, and sends the request as a whole, followed by nothing.
//
// Until the first byte, ctx and SendBy cancel it, and the error is KindTransient
// with credential.CodeNotConnected, whose cause begins as those of Client.Do, or
// with gate or deadline (ErrSendDeadline). An error of Gate's is wrapped so, unless
// it is a *credential.Error, which is returned as it is.
// From the first byte on nothing cancels it but Timeout, and a tenth of that for a
// last look at what has arrived: neither ctx, nor Client.Close. If no answer came by
// then, the error is KindAmbiguous.
//
// A second Do sends nothing and fails with KindAmbiguous and CodeSecondCall,
// since its caller cannot take it as proof that the request was not sent.
func (c *Client) Once(opts OnceOptions) refreshers.Doer {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultRotationTimeout
	}
	return &once{client: c, opts: opts}
}

type once struct {
	client *Client
	opts   OnceOptions
	used   atomic.Bool
}

// Do implements refreshers.Doer.
func (o *once) Do(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	if o.used.Swap(true) {
		closeBody(req)
		return refreshers.Answer{}, &credential.Error{
			Kind: credential.KindAmbiguous,
			Code: CodeSecondCall,
			Err:  errors.New("a call that may be made once was made again; nothing was sent this time"),
		}
	}
	began := time.Now()
	answer, err := o.send(ctx, req)
	o.client.report(req, began, err)
	return answer, err
}

func (o *once) send(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	wire, to, err := o.client.wire(req)
	if err != nil {
		return refreshers.Answer{}, notSent(err)
	}
	untilSendBy := ctx
	if !o.opts.SendBy.IsZero() {
		var cancel context.CancelFunc
		untilSendBy, cancel = context.WithDeadline(ctx, o.opts.SendBy)
		defer cancel()
	}
	conn, err := o.client.dialer.dial(untilSendBy, to.scheme == "https", to.addr())
	if err != nil {
		if ctx.Err() == nil && o.late(time.Now()) {
			err = &unsentError{stageDeadline, fmt.Errorf("%w while connecting: %w", ErrSendDeadline, err)}
		}
		return refreshers.Answer{}, notSent(err)
	}
	defer conn.Close()
	startedAt, err := o.permit(ctx, untilSendBy)
	if err != nil {
		return refreshers.Answer{}, err
	}
	if err := conn.SetDeadline(startedAt.Add(o.opts.Timeout)); err != nil {
		return refreshers.Answer{}, notSent(unsentAt(ctx, stageConnect, err))
	}
	return exchange(&lastLook{Conn: conn, takes: o.opts.Timeout / 10}, wire, req.Method, startedAt, o.client.maxBody)
}

// permit asks everyone who may still stop the request, SendBy last because the
// gate takes time, and returns when it starts.
func (o *once) permit(ctx, untilSendBy context.Context) (time.Time, error) {
	if o.opts.Gate != nil {
		if err := o.opts.Gate(untilSendBy); err != nil {
			if _, ok := errors.AsType[*credential.Error](err); ok {
				return time.Time{}, err
			}
			return time.Time{}, notSent(&unsentError{stageGate, err})
		}
	}
	if err := ctx.Err(); err != nil {
		return time.Time{}, notSent(unsentAt(ctx, stageCanceled, err))
	}
	now := time.Now()
	if o.late(now) {
		return time.Time{}, notSent(&unsentError{stageDeadline, ErrSendDeadline})
	}
	return now, nil
}

// late reports whether SendBy has passed, on either clock.
func (o *once) late(now time.Time) bool {
	by := o.opts.SendBy
	return !by.IsZero() && (!now.Before(by) || !now.Round(0).Before(by.Round(0)))
}

// wire returns all bytes of the request, so that whatever can fail about it fails
// before the first of them is sent. It closes the request's body.
func (c *Client) wire(req *http.Request) ([]byte, target, error) {
	defer closeBody(req)
	out, to, err := c.prepare(context.Background(), req)
	if err != nil {
		return nil, target{}, err
	}
	out.Header.Del("Connection")
	out.Close = true // sends "Connection: close"
	out.TransferEncoding = nil
	if out.Body != nil {
		body, err := io.ReadAll(out.Body)
		if err != nil {
			return nil, target{}, &unsentError{stageRequest, errors.New("its body cannot be read")}
		}
		out.Body = io.NopCloser(bytes.NewReader(body))
		out.ContentLength = int64(len(body))
		if len(body) == 0 {
			out.Body = http.NoBody
		}
	}
	var buf bytes.Buffer
	if err := out.Write(&buf); err != nil {
		return nil, target{}, &unsentError{stageRequest, errors.New("it cannot be written")}
	}
	return buf.Bytes(), to, nil
}

// exchange sends the request and reads the answer; conn's deadline limits both.
// A failed write does not end it: a server may answer and close before it has
// read everything, and such an answer counts.
func exchange(conn net.Conn, wire []byte, method string, startedAt time.Time, maxBody int64) (refreshers.Answer, error) {
	_, writeErr := conn.Write(wire)
	in := &headReader{r: conn, left: maxHead}
	resp, err := readHead(bufio.NewReader(in), method) //nolint:bodyclose // closing it would read all of it; the connection ends here anyway
	if err != nil {
		if writeErr != nil {
			err = writeErr
		}
		return refreshers.Answer{}, unanswered(err)
	}
	in.left = -1
	return readAnswer(resp, startedAt, maxBody), nil
}

// readHead reads the head of the final answer, past interim ones (RFC 9110, 15.2).
// Their number is bounded by the size that all heads share.
func readHead(br *bufio.Reader, method string) (*http.Response, error) {
	if _, err := br.Peek(1); err != nil {
		return nil, err // tells an end before the answer from one within it
	}
	for {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
}

// lastLook reads once more when its time is up. A process or machine that was
// paused for longer wakes up to a deadline that has passed and an answer that lies in
// the socket, and Go then looks at the deadline alone: the answer would be lost.
type lastLook struct {
	net.Conn
	takes  time.Duration // for all that is still to be read
	looked bool
}

// Read implements io.Reader.
func (l *lastLook) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 || l.looked || !isTimeout(err) {
		return n, err
	}
	l.looked = true
	if err := l.SetReadDeadline(time.Now().Add(l.takes)); err != nil {
		return 0, err
	}
	return l.Conn.Read(p)
}

// headReader reads no more than left bytes from r, unless left is negative.
type headReader struct {
	r    io.Reader
	left int
}

// Read implements io.Reader.
func (h *headReader) Read(p []byte) (int, error) {
	if h.left == 0 {
		return 0, errHeadTooLarge
	}
	if h.left < 0 {
		return h.r.Read(p)
	}
	n, err := h.r.Read(p[:min(len(p), h.left)])
	h.left -= n
	return n, err
}
