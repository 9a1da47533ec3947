package simulation

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/refreshers"
)

// egressOf is the way from one process to the provider. It keeps the promises of
// package egress: what fails before the first byte says so, the gate and the send
// deadline are asked on the open connection, and from the first byte on only the
// time limit ends the exchange.
type egressOf struct{ *process }

// Guard implements renewal.Provider.
func (egressOf) Guard(string, []string) error { return nil }

// Do implements refreshers.Doer. No rotation may come this way.
func (egressOf) Do(context.Context, *http.Request) (refreshers.Answer, error) {
	panic("a call that is not made once")
}

// Once implements renewal.Provider.
func (e egressOf) Once(sendBy time.Time, timeout time.Duration, gate func(context.Context) error) refreshers.Doer {
	return &once{process: e.process, sendBy: sendBy, timeout: timeout, gate: gate}
}

type once struct {
	*process
	sendBy  time.Time
	timeout time.Duration
	gate    func(context.Context) error
}

// Do implements refreshers.Doer.
func (o *once) Do(ctx context.Context, req *http.Request) (refreshers.Answer, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return refreshers.Answer{}, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return refreshers.Answer{}, err
	}
	if err := o.connect(ctx, req.URL.Host); err != nil {
		return refreshers.Answer{}, err
	}
	host := req.URL.Host
	key := o.seat.name + " " + actorOf(ctx) + " send " + host
	s := &step{key: key, n: o.world.gate.number(key)}
	sent := o.world.book.sent(o.process, host, credential.Secret(form.Get("refresh_token")).Hash())
	answered := make(chan refreshers.Answer, 1)
	o.travel(s, req, string(body), sent, answered)
	timer := time.NewTimer(o.timeout)
	defer timer.Stop()
	var answer refreshers.Answer
	err = &credential.Error{Kind: credential.KindAmbiguous, Code: "no_answer", Err: errLost}
	select {
	case answer = <-answered:
		if answer.Status != 0 {
			err = nil
		}
	case <-timer.C:
	}
	sent.over = true
	o.world.lags.called(sent.id, time.Since(sent.at))
	answer.StartedAt = sent.at
	if err := o.after(ctx, s, err); err != nil {
		return refreshers.Answer{}, err
	}
	o.world.book.returned(sent, answer)
	o.world.lags.look()
	return answer, nil
}

// connect opens the connection and asks whoever may still stop the request.
func (o *once) connect(ctx context.Context, host string) error {
	at := &place{name: "provider", timeout: sendDeadline, fail: o.world.plan.odds.dial}
	err := o.effect(ctx, at, "dial", host, func() error { return nil })
	if err == nil {
		inTime, cancel := context.WithDeadline(ctx, o.sendBy)
		defer cancel()
		err = o.gate(inTime)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil && !time.Now().Before(o.sendBy) {
		err = errors.New("send deadline passed")
	}
	if err != nil {
		return &credential.Error{Kind: credential.KindTransient, Code: credential.CodeNotConnected, Err: err}
	}
	return nil
}

// travel sends the request on its way. It arrives, whatever becomes of its sender;
// at the latest when the time limit has passed twice.
func (o *once) travel(s *step, req *http.Request, body string, sent *presentation, answered chan<- refreshers.Answer) {
	w := o.world
	fault := w.weather(s)
	delay := time.Duration(0)
	switch {
	case fault.late:
		delay = w.plan.stretch(o.timeout, 2*o.timeout, "lateness", s.key, s.n)
	case w.chaos.Load() && w.plan.roll("slow", s.key, s.n) < w.plan.odds.slow:
		delay = w.plan.stretch(0, o.timeout*9/10, "slowness", s.key, s.n)
	}
	w.gate.put(&step{key: s.key + " arrives", n: s.n, at: time.Now().Add(delay), errand: func() {
		again, err := http.NewRequest(req.Method, req.URL.String(), strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		again.Header = req.Header.Clone()
		answered <- w.serve(again, fault.Fault, sent)
	}})
}

// weatherFault is what a request meets on its way.
type weatherFault struct {
	providersim.Fault
	late bool
}

// weather decides what goes wrong with a request to the provider.
func (w *world) weather(s *step) weatherFault {
	if !w.chaos.Load() {
		return weatherFault{}
	}
	o := w.plan.odds
	x := w.plan.roll("weather", s.key, s.n)
	for _, f := range []struct {
		odds float64
		weatherFault
	}{
		{o.cut, weatherFault{Fault: providersim.Fault{CutBefore: true}}},
		{o.lost, weatherFault{Fault: providersim.Fault{LoseAnswer: true}}},
		{o.late, weatherFault{late: true}},
		{o.busy, weatherFault{Fault: providersim.Fault{Status: http.StatusTooManyRequests}}},
		{o.sick, weatherFault{Fault: providersim.Fault{Status: http.StatusServiceUnavailable}}},
		{o.sick / 4, weatherFault{Fault: providersim.Fault{Status: http.StatusBadGateway, AfterEffect: true}}},
		{o.garble / 2, weatherFault{Fault: providersim.Fault{Body: providersim.BodyGarbage, AfterEffect: true}}},
		{o.garble / 2, weatherFault{Fault: providersim.Fault{Truncate: true}}},
		{o.noRotation, weatherFault{Fault: providersim.Fault{NoRotation: true}}},
	} {
		if x -= f.odds; x < 0 {
			return f.weatherFault
		}
	}
	return weatherFault{}
}

// serve lets the request have its effect at the provider, and returns the answer;
// its status is 0 if none came back.
func (w *world) serve(req *http.Request, fault providersim.Fault, sent *presentation) (answer refreshers.Answer) {
	sim := w.sims.Checkfront
	if (fault != providersim.Fault{}) {
		fault.Times = 1
		defer sim.Inject(fault)()
	}
	recorder := httptest.NewRecorder()
	cut := func() (cut bool) {
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					panic(p)
				}
				cut = true
			}
		}()
		sim.ServeHTTP(recorder, req)
		return false
	}()
	events := sim.Ledger().From(w.ledger)
	w.ledger += len(events)
	w.book.arrived(sent, events[len(events)-1])
	if cut && recorder.Body.Len() == 0 {
		return refreshers.Answer{}
	}
	return refreshers.Answer{
		Status: recorder.Code, Header: recorder.Header(), Body: recorder.Body.Bytes(), Truncated: cut,
	}
}

// works reports whether the provider takes what is published.
func (w *world) works(t credential.Token) bool {
	req, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(t.BaseURL, "/")+"/api/3.0/account", http.NoBody)
	if err != nil {
		return false
	}
	for name, value := range t.Headers {
		req.Header.Set(name, value.Reveal())
	}
	req.Header.Set("X-Sim-Peek", "1")
	recorder := httptest.NewRecorder()
	w.sims.Checkfront.ServeHTTP(recorder, req)
	w.ledger++
	return recorder.Code == http.StatusOK
}
