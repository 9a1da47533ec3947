package refresherstest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// maxBody is how much of a body a Doer reads.
const maxBody = 1 << 20

// HTTPDoer returns a Doer over a client, for tests against a server: a
// simulator, or a handler of net/http/httptest. It follows no redirect, and makes
// a connection for each request, so that none is left when a test is over. It is
// no model for the service's own, which guards what is dialled and spent.
func HTTPDoer(client *http.Client) refreshers.Doer {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return httpDoer{client: &own}
}

type httpDoer struct {
	client *http.Client
}

// Do implements refreshers.Doer.
func (d httpDoer) Do(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected.Store(true) },
	})
	req = req.WithContext(ctx)
	req.Close = true // a connection of its own, so that one left over cannot pass for one that was made
	started := time.Now()
	resp, err := d.client.Do(req)
	if err != nil {
		failure := &credential.Error{Kind: credential.KindAmbiguous, Code: "no_answer", Err: errors.New("no answer came")}
		if !connected.Load() {
			failure.Kind, failure.Code = credential.KindTransient, credential.CodeNotConnected
		}
		if ctx.Err() != nil {
			failure.Err = ctx.Err()
		}
		return refreshers.Answer{}, failure
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	return refreshers.Answer{
		StartedAt: started,
		Status:    resp.StatusCode,
		Header:    resp.Header,
		Body:      body[:min(len(body), maxBody)],
		Truncated: err != nil || len(body) > maxBody,
	}, nil
}
