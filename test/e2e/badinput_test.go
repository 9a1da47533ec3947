package e2e

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/redistest"
)

// scrape returns the metrics page.
func (s *stage) scrape(p *process) string {
	s.t.Helper()
	res, err := http.Get(p.Address + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(page)
}

// metric adds up all series of one name, with the given text in their labels.
func (s *stage) metric(p *process, name string, with ...string) float64 {
	s.t.Helper()
	sum := 0.0
	for lines := bufio.NewScanner(strings.NewReader(s.scrape(p))); lines.Scan(); {
		line := lines.Text()
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		fits := true
		for _, w := range with {
			fits = fits && strings.Contains(line, w)
		}
		if value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64); fits && err == nil {
			sum += value
		}
	}
	return sum
}

// TestBadInput: 200 broken credentials among 1,000 good ones. Each gets a message
// that names the field, and the good ones do not notice.
func TestBadInput(t *testing.T) {
	s := newStage(t, providersim.Options{})
	good := make([]credential.ID, 0, 1000)
	client := s.sims.Kibo.AddClient(providersim.ClientSpec{})
	kibo := func(change map[string]string) map[string]string {
		data := map[string]string{
			"provider": "kibo", "base_url": s.servers.URL("kibo"), "client_id": client.ClientID, "client_secret": client.ClientSecret,
		}
		maps.Copy(data, change)
		return data
	}
	for i := range 1000 {
		good = append(good, s.put(fmt.Sprintf("good-%03d/kibo", i/2)+strconv.Itoa(i%2), kibo(nil)))
	}
	kinds := []struct {
		data map[string]string
		says string
	}{
		{map[string]string{"provider": "nobody"}, `"provider"`},
		{kibo(map[string]string{"client_secret": ""}), `"client_secret"`},
		{map[string]string{"provider": "ankor", "company_uri": "u", "key_id": "k", "private_key": "-----BEGIN broken"}, `"private_key"`},
		{kibo(map[string]string{"base_url": "https://kibo.example.com"}), `"base_url"`},
		{kibo(map[string]string{"base_url": "http://auth.shopatron.com"}), "https"},
	}
	bad := map[credential.ID]string{}
	for i := range 200 {
		kind := kinds[i%len(kinds)]
		bad[s.put(fmt.Sprintf("bad-%03d/one", i), kind.data)] = kind.says
	}
	s.vault.Write("secret/data/refresher/credentials/odd/nested", map[string]any{"data": map[string]any{"provider": "kibo", "client_id": map[string]any{"a": 1}}})
	s.vault.Write("secret/data/refresher/credentials/odd/with space", map[string]any{"data": map[string]any{"provider": "kibo"}})
	s.vault.Write("secret/data/refresher/credentials/Odd Tenant/one", map[string]any{"data": map[string]any{"provider": "kibo"}})
	s.vault.Write("secret/data/refresher/credentials/odd/50%", map[string]any{"data": map[string]any{"provider": "kibo"}})

	p := s.run(t.TempDir(), "REFRESHER_PROVIDERS_KIBO_RATE=10000", "REFRESHER_PROVIDERS_KIBO_BURST=10000",
		"REFRESHER_PROVIDERS_KIBO_CONCURRENCY=64", "REFRESHER_SCHEDULER_SCAN_RATE=5000")
	for _, id := range good {
		within(t, 90*time.Second, id.String()+" is alive", func() bool { return s.published(id).Status == credential.StatusActive })
	}
	for id, says := range bad {
		within(t, 30*time.Second, id.String()+" is reported", func() bool { return s.published(id).Status == credential.StatusMisconfigured })
		if message := s.published(id).Message; !strings.Contains(message, says) {
			t.Errorf("%s: message %q does not name %s", id, message, says)
		}
	}
	nested := s.published(credential.ID{Tenant: "odd", Name: "nested"})
	if nested.Status != credential.StatusMisconfigured || !strings.Contains(nested.Message, `"client_id"`) {
		t.Errorf("a nested document is %s: %q", nested.Status, nested.Message)
	}
	if n := s.metric(p, "refresher_invalid_names"); n != 3 {
		t.Errorf("%v invalid names, want 3", n)
	}
	if n := s.metric(p, "refresher_renewals_total", `reason="bad_field"`); n < 160 {
		t.Errorf("%v misconfigured in the metric, want at least 160", n)
	}
	if log := p.out.String(); !strings.Contains(log, "with space") || !strings.Contains(log, "Odd Tenant") {
		t.Error("the log does not name the invalid names")
	}
	s.noSecrets("the log", p.out.String())
	p.stop()
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("after %s still not: %s", limit, what)
		case <-poll.C:
		}
	}
}

// TestReplicasShareTheWork: with many due at once, both replicas do some, and
// nothing is done twice.
func TestReplicasShareTheWork(t *testing.T) {
	s := newStage(t, providersim.Options{Latency: 20 * time.Millisecond})
	ids := make([]credential.ID, 0, 200)
	for i := range 200 {
		app := s.sims.Checkfront.AddApp(providersim.AppSpec{})
		ids = append(ids, s.put(fmt.Sprintf("tenant-%03d/checkfront", i), map[string]string{
			"provider": "checkfront", "base_url": s.servers.URL("checkfront"), "client_id": app.ClientID,
			"client_secret": app.ClientSecret, "refresh_token": app.RefreshToken,
		}))
	}
	env := []string{
		"REFRESHER_PROVIDERS_CHECKFRONT_RATE=1000", "REFRESHER_PROVIDERS_CHECKFRONT_BURST=1000",
		"REFRESHER_PROVIDERS_CHECKFRONT_CONCURRENCY=64", "REFRESHER_SCHEDULER_WORKERS=4",
	}
	a, b := s.run(t.TempDir(), env...), s.run(t.TempDir(), env...)
	for _, id := range ids {
		within(t, 60*time.Second, id.String()+" is alive", func() bool { return s.published(id).Status == credential.StatusActive })
	}
	for _, p := range []*process{a, b} {
		if n := s.metric(p, "refresher_renewals_total", `result="renewed"`); n < 20 {
			t.Errorf("a replica did %v of 200 renewals", n)
		}
	}
	if n := s.sims.Checkfront.Ledger().Count(providersim.Match{Endpoint: providersim.EndpointToken}); n != 200 {
		t.Errorf("%d calls for 200 renewals", n)
	}
	redistest.Eventually(t, "every lease is released", func() bool {
		keys, err := s.redis.Client(t).Keys(t.Context(), "refresher:lease:tenant:*").Result()
		return err == nil && len(keys) == 0
	})
	a.stop()
	b.stop()
}
