package providersim_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"refresher/internal/providersim"
)

func TestFaultsThatAnswerHaveNoEffect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  providersim.Fault
		status int
		media  string
		retry  string
		check  func(reply) bool
	}{
		{"status", providersim.Fault{Status: 503, RetryAfter: "7"}, 503, "text/plain; charset=utf-8", "7", nil},
		{"html", providersim.Fault{Status: 502, Body: providersim.BodyHTML}, 502, "text/html; charset=utf-8", "", nil},
		{"html at 200", providersim.Fault{Body: providersim.BodyHTML}, 200, "text/html; charset=utf-8", "", nil},
		{"empty", providersim.Fault{Body: providersim.BodyEmpty}, 200, "application/json", "", func(r reply) bool { return r.body == "" }},
		{
			"garbage",
			providersim.Fault{Body: providersim.BodyGarbage},
			200, "application/json", "",
			func(r reply) bool { return r.doc == nil && r.body != "" },
		},
		{
			"oversized",
			providersim.Fault{Body: providersim.BodyOversized},
			200, "application/json; charset=utf-8", "",
			func(r reply) bool { return len(r.body) > 2<<20 && r.doc != nil },
		},
		{
			"redirect",
			providersim.Fault{Redirect: "https://evil.test/"},
			307, "text/html; charset=utf-8", "",
			func(r reply) bool { return r.header.Get("Location") == "https://evil.test/" },
		},
		{
			"oauth error",
			providersim.Fault{Error: "invalid_client", Status: 401},
			401, "application/json; charset=utf-8", "",
			func(r reply) bool { return r.text("error") == "invalid_client" },
		},
		{"oauth error, default status", providersim.Fault{Error: "temporarily_unavailable"}, 400, "application/json; charset=utf-8", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
			tt.fault.On, tt.fault.Times = providersim.EndpointToken, 1
			b.sim.Inject(tt.fault)
			got := b.refresh(b.app.RefreshToken)
			wantStatus(t, got, tt.status)
			if got.header.Get("Content-Type") != tt.media || got.header.Get("Retry-After") != tt.retry {
				t.Errorf("headers %v", got.header)
			}
			if tt.check != nil && !tt.check(got) {
				t.Errorf("body %.200q", got.body)
			}
			e := wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultFault)
			if e.TokenHash != providersim.Hash(b.app.RefreshToken) || e.Status != tt.status || e.Fault == "" {
				t.Errorf("event %+v", e)
			}
			wantStatus(t, b.refresh(b.app.RefreshToken), http.StatusOK)
		})
	}
}

func TestFaultsAfterTheEffect(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault providersim.Fault
		check func(reply) bool
	}{
		{"status", providersim.Fault{Status: 502, AfterEffect: true}, func(r reply) bool { return r.status == 502 }},
		{"garbage", providersim.Fault{Body: providersim.BodyGarbage, AfterEffect: true}, func(r reply) bool { return r.doc == nil }},
		{
			"oversized",
			providersim.Fault{Body: providersim.BodyOversized, AfterEffect: true},
			func(r reply) bool { return len(r.body) > 2<<20 && r.text("refresh_token") != "" },
		},
		{"lifetime as text", providersim.Fault{ExpiresIn: `"3600"`}, func(r reply) bool { return r.doc["expires_in"] == "3600" }},
		{"lifetime zero", providersim.Fault{ExpiresIn: "0"}, func(r reply) bool { return r.doc["expires_in"] == 0.0 }},
		{"lifetime negative", providersim.Fault{ExpiresIn: "-5"}, func(r reply) bool { return r.doc["expires_in"] == -5.0 }},
		{"lifetime absurd", providersim.Fault{ExpiresIn: "1e300"}, func(r reply) bool { return r.doc["expires_in"] == 1e300 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
			tt.fault.Times = 1
			b.sim.Inject(tt.fault)
			if got := b.refresh(b.app.RefreshToken); !tt.check(got) {
				t.Errorf("answered %d %.200q", got.status, got.body)
			}
			if e := wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultOK); e.Fault == "" {
				t.Error("the ledger does not tell of the fault")
			}
			wantStatus(t, b.refresh(b.app.RefreshToken), http.StatusBadRequest)
			wantLast(t, b.sim.Simulator, providersim.KindExchange, providersim.ResultReuse)
		})
	}
}

func TestFaultNoRotation(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	b.sim.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, NoRotation: true})
	got := b.refresh(b.app.RefreshToken)
	wantStatus(t, got, http.StatusOK)
	if _, has := got.doc["refresh_token"]; has || b.account(got.text("access_token")) != http.StatusOK {
		t.Errorf("body %s", got.body)
	}
	if b.sim.LivingRefreshToken(b.app.ClientID) != b.app.RefreshToken {
		t.Error("the refresh token was rotated")
	}
	wantStatus(t, b.refresh(b.app.RefreshToken), http.StatusOK)
}

func TestFaultSelection(t *testing.T) {
	t.Parallel()
	b := newCheckfrontBench(providersim.Options{}, providersim.AppSpec{})
	ping := func() int { return get(b.sim, "/api/3.0/ping").status }
	want := func(name string, statuses ...int) {
		t.Helper()
		for i, status := range statuses {
			if got := ping(); got != status {
				t.Errorf("%s: call %d answered %d, want %d", name, i+1, got, status)
			}
		}
	}
	b.sim.Inject(providersim.Fault{On: providersim.EndpointToken, Status: 500})
	b.sim.Inject(providersim.Fault{Account: b.app.ClientID, Status: 500})
	want("other endpoint, other account", 200)
	b.sim.Inject(providersim.Fault{On: providersim.EndpointAPI, Times: 1, Status: 501})
	b.sim.Inject(providersim.Fault{On: providersim.EndpointAPI, Times: 2, Status: 502})
	want("one after the other", 501, 502, 502, 200)
	b.sim.Inject(providersim.Fault{Skip: 2, Times: 1, Status: 503})
	want("skipping", 200, 200, 503, 200)
	remove := b.sim.Inject(providersim.Fault{Status: 504})
	want("until removed", 504, 504, 504)
	remove()
	want("removed", 200)
	if b.account(b.app.AccessToken) != http.StatusInternalServerError {
		t.Error("the account's fault does not fire")
	}
	b.sim.ClearFaults()
	if b.account(b.app.AccessToken) != http.StatusOK {
		t.Error("a fault survived ClearFaults")
	}
}

func TestFaultProbabilityRepeatsWithItsSeed(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) (pattern string, faults int) {
		b := newCheckfrontBench(providersim.Options{Seed: seed}, providersim.AppSpec{})
		b.sim.Inject(providersim.Fault{Probability: 0.3, Status: 503})
		for range 400 {
			if get(b.sim, "/api/3.0/ping").status == http.StatusServiceUnavailable {
				pattern += "x"
				faults++
				continue
			}
			pattern += "."
		}
		return pattern, faults
	}
	first, faults := run(1)
	if faults < 80 || faults > 160 {
		t.Errorf("%d of 400 calls failed, want about 120", faults)
	}
	if again, _ := run(1); again != first {
		t.Error("the same seed gives other faults")
	}
	if other, _ := run(2); other == first {
		t.Error("another seed gives the same faults")
	}
}

func TestInjectRefusesWhatProvesNothing(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]providersim.Fault{
		"nothing":      {On: providersim.EndpointToken, Times: 3, AfterEffect: true},
		"endpoint":     {On: "tokens", Status: 500},
		"probability":  {Probability: 2, Status: 500},
		"status":       {Status: 42},
		"body":         {Body: "htm"},
		"no JSON":      {ExpiresIn: "soon"},
		"only if gone": {EvenIfGone: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				if recover() == nil {
					t.Error("taken")
				}
			}()
			providersim.New(providersim.Options{}).Kibo.Inject(f)
		})
	}
}

// serveAborting calls the handler and tells whether it cut the connection.
func serveAborting(h http.Handler, w http.ResponseWriter, r *http.Request) (cut bool) {
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler {
				panic(v)
			}
			cut = true
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

func TestDelaysAndLatency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := providersim.New(providersim.Options{Latency: time.Second})
		app := p.Checkfront.AddApp(providersim.AppSpec{})
		began := time.Now()
		p.Checkfront.Inject(providersim.Fault{DelayBefore: 10 * time.Second, DelayAfter: 5 * time.Second})
		got := call(p.Checkfront, http.MethodPost, tokenPath,
			form("grant_type", "refresh_token", "refresh_token", app.RefreshToken), withBasic(app.ClientID, app.ClientSecret))
		wantStatus(t, got, http.StatusOK)
		if took := time.Since(began); took != 16*time.Second {
			t.Errorf("took %v, want 16 s", took)
		}
		if e := wantLast(t, p.Checkfront.Simulator, providersim.KindExchange, providersim.ResultOK); e.At.Sub(began) != 11*time.Second {
			t.Errorf("the effect came after %v, want 11 s", e.At.Sub(began))
		}
		began = time.Now()
		wantStatus(t, get(p.Checkfront, accountPath, withHeader("X-Sim-Peek", "1"), withBearer(got.text("access_token"))), http.StatusOK)
		if took := time.Since(began); took != 0 {
			t.Errorf("a check was delayed by %v", took)
		}
	})
}

func TestClientThatGoesAway(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fault  providersim.Fault
		result string
		after  time.Duration // when the effect or the giving up is entered
		living bool          // whether the presented token is still the living one
	}{
		{"before the effect", providersim.Fault{DelayBefore: time.Minute}, providersim.ResultGone, time.Second, true},
		{"before, unnoticed", providersim.Fault{DelayBefore: time.Minute, EvenIfGone: true}, providersim.ResultOK, time.Minute, false},
		{"after the effect", providersim.Fault{DelayAfter: time.Minute}, providersim.ResultOK, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := providersim.New(providersim.Options{}).Checkfront
				app := sim.AddApp(providersim.AppSpec{})
				sim.Inject(tt.fault)
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				r := newRequest(http.MethodPost, tokenPath, form("grant_type", "refresh_token", "refresh_token", app.RefreshToken),
					withBasic(app.ClientID, app.ClientSecret))
				serveAborting(sim, httptest.NewRecorder(), r.WithContext(ctx))
				e := wantLast(t, sim.Simulator, providersim.KindExchange, tt.result)
				if e.At.Sub(began) != tt.after {
					t.Errorf("entered after %v, want %v", e.At.Sub(began), tt.after)
				}
				if (sim.LivingRefreshToken(app.ClientID) == app.RefreshToken) != tt.living {
					t.Error("the grant is not in the state that follows")
				}
			})
		})
	}
}
