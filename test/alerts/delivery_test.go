package alerts

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/redistest"
)

// webhook is who is told of alerts.
type webhook struct {
	url string

	mu     sync.Mutex
	alerts []notification
}

// notification is an alert as Alertmanager's webhook tells it.
type notification struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func listen(t *testing.T) *webhook {
	t.Helper()
	hook := &webhook{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct {
			Alerts []notification `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			t.Errorf("what Alertmanager sent is no message: %v", err)
		}
		hook.mu.Lock()
		defer hook.mu.Unlock()
		hook.alerts = append(hook.alerts, message.Alerts...)
	}))
	t.Cleanup(server.Close)
	hook.url = server.URL
	return hook
}

func (h *webhook) received() []notification {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.alerts)
}

// await waits for a notification and returns the first.
func (h *webhook) await(t *testing.T, alert, status string) notification {
	t.Helper()
	var found notification
	redistest.Eventually(t, alert+" is "+status, func() bool {
		for _, n := range h.received() {
			if n.Labels["alertname"] == alert && n.Status == status {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

// TestATenantsGrantDies: the provider revokes it, and whoever is on call is told who, what
// and where to read on, and once a person has authorized again, that it is over.
// Nobody is told anything else.
func TestATenantsGrantDies(t *testing.T) {
	const alert = "RefresherNeedsAuthorization"
	s := newStage(t)
	id, app := s.authorized("acme/main")
	s.authorized("other/main")
	if told := s.hook.received(); len(told) > 0 {
		t.Fatalf("with all well, this is told: %v", told)
	}
	if err := s.sims.Checkfront.RevokeGrant(app.ClientID); err != nil {
		t.Fatal(err)
	}
	s.await(id, credential.StatusNeedsAuthorization)
	published := time.Now()
	got := s.hook.await(t, alert, "firing")
	t.Logf("told %s after the status was published", time.Since(published).Round(time.Millisecond))
	for label, want := range map[string]string{"provider": "checkfront", "severity": "warning", "job": "refresher"} {
		if got.Labels[label] != want {
			t.Errorf("%s is %q, want %q", label, got.Labels[label], want)
		}
	}
	for annotation, want := range map[string]string{
		"runbook_url": "docs/runbooks/" + alert + ".md",
		"summary":     "1 checkfront credential(s) need a person to authorize again.",
		"description": "`refresher credentials list --status needs_authorization --provider checkfront`",
	} {
		if !strings.Contains(got.Annotations[annotation], want) {
			t.Errorf("the %s is %q, want %q in it", annotation, got.Annotations[annotation], want)
		}
	}

	again, err := s.sims.Checkfront.Authorize(app.ClientID)
	if err != nil {
		t.Fatal(err)
	}
	s.put(id, app, again)
	s.await(id, credential.StatusActive)
	s.hook.await(t, alert, "resolved")
	for _, n := range s.hook.received() {
		if n.Labels["alertname"] != alert {
			t.Errorf("this is told as well: %v", n)
		}
		s.mustBeDiscreet(n)
	}
	s.mustExport()
}

// mustExport: everything that the rules name is exported by the program as it runs,
// and what they record comes of it. A series that begins with the first failure is not there.
func (s *stage) mustExport() {
	s.t.Helper()
	withTrouble := map[string]bool{"refresher_escrow_degraded_total": true}
	for _, r := range load[rules](s.t, rulesFile).all() {
		names := metricName.FindAllString(r.Expr, -1)
		if r.Record != "" {
			names = append(names, r.Record)
		}
		for _, name := range names {
			if !withTrouble[name] && s.series(name) == 0 {
				s.t.Errorf("%s%s rests on %s, of which Prometheus has nothing", r.Record, r.Alert, name)
			}
		}
	}
	if s.series(`refresher:protocol_events:increase1h{event="answer_lost"} == 0`) == 0 {
		s.t.Error("no answer was lost, and that is not known")
	}
}

// mustBeDiscreet: an alert names no tenant, and shows no secret.
func (s *stage) mustBeDiscreet(n notification) {
	s.t.Helper()
	text, err := json.Marshal(n)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, secret := range append(s.sims.Secrets(), s.token, "acme") {
		if strings.Contains(string(text), secret) {
			s.t.Errorf("%.8s… is told to everybody: %s", secret, text)
		}
	}
}
