package renewal_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/renewal"
	"refresher/internal/vaulttest"
	"refresher/vault"
)

// balancer is what stands in front of Vault. It leads to a server that serves nobody for as
// long as refuse says so, and to the active one else.
type balancer struct {
	address string

	mu     sync.Mutex
	refuse func(r *http.Request) (status int)
	// grants are the requests for grants that came in, in order: "read" or "write".
	grants []string
	// told are the client's operations and how they went.
	told map[string]int
}

// balance puts a balancer in front of a server.
func balance(t *testing.T, server *vaulttest.Server) *balancer {
	t.Helper()
	target, err := url.Parse(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{refuse: func(*http.Request) int { return 0 }, told: map[string]int{}}
	way := &http.Transport{}
	active := &httputil.ReverseProxy{Transport: way, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status := b.meet(r); status != 0 {
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"errors":[%q]}`, map[int]string{503: "Vault is sealed"}[status])
			return
		}
		active.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.Close()
		way.CloseIdleConnections()
	})
	b.address = front.URL
	return b
}

func (b *balancer) meet(r *http.Request) (status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if aboutGrants(r) {
		b.grants = append(b.grants, map[bool]string{true: "read", false: "write"}[r.Method == http.MethodGet])
	}
	return b.refuse(r)
}

func aboutGrants(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/data/") && strings.Contains(r.URL.Path, "/grants/")
}

// hooks take down how requests went, as the service's metrics do.
func (b *balancer) hooks() vault.Hooks {
	return vault.Hooks{OnRequest: func(op string, _ time.Duration, err error) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.told[op+" "+vault.Reason(err)]++
	}}
}

// on has the next n requests that fit refused.
func (b *balancer) on(status, n int, fits func(*http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.grants = nil
	b.refuse = func(r *http.Request) int {
		if n == 0 || !fits(r) {
			return 0
		}
		n--
		return status
	}
}

func (b *balancer) seen(op, reason string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told[op+" "+reason]
}

// TestStandby: the way to Vault leads to a server that is sealed, a standby or a secondary, or
// has had too many requests, when a grant is read, when the intent is written, and when the answer
// is committed. Nothing goes out without an intent, an answer comes to Vault as soon as Vault
// takes it, and each document is written once.
func TestStandby(t *testing.T) {
	t.Parallel()
	server := vaulttest.Start(t)
	for status, reason := range map[int]string{429: "rate_limited", 472: "standby", 473: "standby", 503: "sealed"} {
		for name, test := range map[string]func(*testing.T, *standby){
			"the reading": whileReading, "the intent": whileTheIntentIsWritten,
			"the intent and its reading back": whileTheIntentIsWrittenAndRead, "the commit": whileCommitting,
		} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				t.Parallel()
				b := balance(t, server)
				w := inVault(t, server, b.address, b.hooks())
				w.checkfrontApp()
				s := &standby{realVault: w, balancer: b, replica: w.replica(t.TempDir()), status: status, reason: reason}
				test(t, s)
				want(t, "calls", w.sims.Checkfront.Ledger().Calls(), 1)
				grant, token, version := w.stored()
				want(t, "state", grant.State, credential.GrantIdle)
				want(t, "versions of the grant", version, 2)
				want(t, "published", token.AccessToken, grant.AccessToken)
				want(t, "waiting", len(s.replica.escrow.Waiting()), 0)
				noReuse(t, w.world)
			})
		}
	}
}

// standby is a world in which Vault refuses.
type standby struct {
	*realVault
	balancer *balancer
	replica  *replica
	status   int
	reason   string
}

// refused visits, and wants a failure that will pass, before anything was sent.
func (s *standby) refused(op string) {
	s.t.Helper()
	out := s.engine(s.replica, func() {}).Renew(s.t.Context(), entry(acme))
	want(s.t, "result", out.Result, renewal.ResultFailed)
	want(s.t, "kind", credential.KindOf(out.Err), credential.KindTransient)
	want(s.t, "reason", vault.Reason(out.Err), s.reason)
	want(s.t, "names the status", strings.Contains(fmt.Sprint(out.Err), fmt.Sprint(s.status)), true)
	want(s.t, "counted as a failure of the credential's", out.Memo.Failures, 0)
	want(s.t, "in the metric", s.balancer.seen(op, s.reason) > 0, true)
	want(s.t, "calls", s.sims.Checkfront.Ledger().Calls(), 0)
}

func (s *standby) renewed(answered func()) {
	s.t.Helper()
	want(s.t, "result", s.engine(s.replica, answered).Renew(s.t.Context(), entry(acme)).Result, renewal.ResultRenewed)
}

func whileReading(_ *testing.T, s *standby) {
	s.balancer.on(s.status, 1, aboutGrants)
	s.refused("grant.read")
	s.renewed(func() {})
}

func whileTheIntentIsWritten(t *testing.T, s *standby) {
	s.balancer.on(s.status, 1, func(r *http.Request) bool { return aboutGrants(r) && r.Method != http.MethodGet })
	s.refused("grant.write")
	want(t, "what it did", fmt.Sprint(s.balancer.grants), "[read write read]")
	grant, _, _ := s.stored()
	want(t, "state", grant.State, "")
	s.renewed(func() {})
}

// whileTheIntentIsWrittenAndRead: not even the reading back gets through. The intent may be there or not.
func whileTheIntentIsWrittenAndRead(t *testing.T, s *standby) {
	began := false
	s.balancer.on(s.status, 2, func(r *http.Request) bool {
		began = began || aboutGrants(r) && r.Method != http.MethodGet
		return began
	})
	s.refused("grant.read")
	want(t, "what it did", fmt.Sprint(s.balancer.grants), "[read write read]")
	s.renewed(func() {})
}

func whileCommitting(t *testing.T, s *standby) {
	const refusals = 5
	s.renewed(func() { s.balancer.on(s.status, refusals, aboutGrants) })
	want(t, "what it did", fmt.Sprint(s.balancer.grants), "[write read write read write read write]")
	want(t, "writes in the metric", s.balancer.seen("grant.write", s.reason), 3)
	want(t, "reads in the metric", s.balancer.seen("grant.read", s.reason), 2)
	want(t, "tries counted", s.replica.events.count(renewal.EventCommitConflict), 3)
}
