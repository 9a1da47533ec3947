package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
)

// twiceAsFast as spedUp: it gives Checkfront's tokens 7 seconds, and the hourly ones some 5.
var twiceAsFast = providersim.Options{Factor: 2000, KiboLifetime: 3 * time.Hour}

// cli runs the program as an operator would, and returns what it prints.
func (s *stage) cli(args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), binary(s.t), args...)
	cmd.Env = append(s.environ(s.t.TempDir()), "VAULT_TOKEN="+s.vault.RootToken)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Errorf("refresher %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// line returns the line of a text that has all the words.
func line(text string, words ...string) string {
	for l := range strings.Lines(text) {
		fits := true
		for _, w := range words {
			fits = fits && strings.Contains(l, w)
		}
		if fits {
			return l
		}
	}
	return ""
}

// TestSpoolUnusable: for a while no answer could be kept. The refresh token stays unspent; readers,
// operators and the metrics learn what is wrong; the tenant that needs no spool does not notice; and
// when the spool is mended all is well, without a hand at the service.
func TestSpoolUnusable(t *testing.T) {
	s := newStage(t, twiceAsFast)
	id, _ := s.checkfront("acme/checkfront")
	kibo := s.sims.Kibo.AddClient(providersim.ClientSpec{})
	other := s.put("brig/kibo", map[string]string{
		"provider": "kibo", "base_url": s.servers.URL("kibo"), "api_url": s.servers.URL("kibo"),
		"client_id": kibo.ClientID, "client_secret": kibo.ClientSecret,
	})
	dir := t.TempDir()
	p := s.run(dir, "REFRESHER_PROVIDERS_CHECKFRONT_ACCESS_LIFETIME=7s", "REFRESHER_PROVIDERS_CHECKFRONT_GRANT_LIFETIME=600s",
		"REFRESHER_PROVIDERS_CHECKFRONT_DORMANT_INTERVAL=400s")
	for _, id := range []credential.ID{id, other} {
		within(t, 20*time.Second, id.String()+" is alive", func() bool { return s.serves(id) == "" })
	}

	answers, away := filepath.Join(dir, "answers"), filepath.Join(dir, "away")
	must(t, os.Rename(answers, away))
	must(t, os.WriteFile(answers, nil, 0o600))
	within(t, 10*time.Second, "the status says retrying", func() bool { return s.published(id).Status == credential.StatusRetrying })
	told := s.published(id)
	if !strings.Contains(told.Message, "spool") || strings.Contains(told.Message, dir) {
		t.Errorf("message %q", told.Message)
	}
	if told.ExpiresAt.Before(time.Now()) || !told.Serves() {
		t.Errorf("it is told when the token serves no more, which expired %s", told.ExpiresAt)
	}
	otherBefore, calls := s.published(other).Generation, s.exchanges(providersim.ResultOK)
	within(t, 15*time.Second, "the status says expired", func() bool { return s.published(id).Status == credential.StatusExpired })
	if now := s.published(id); now.Message != told.Message || now.Generation != told.Generation {
		t.Errorf("generation %d, message %q", now.Generation, now.Message)
	}
	if l := line(s.cli("credentials", "list"), "acme", "checkfront", "expired", told.Message); l == "" {
		t.Error("refresher credentials list does not tell")
	}
	if show := s.cli("credentials", "show", id.String()); line(show, told.Message) == "" || line(show, "expired") == "" {
		t.Errorf("refresher credentials show does not tell:\n%s", show)
	}
	s.metricsTell(p)
	within(t, 10*time.Second, "the other tenant is renewed", func() bool { return s.published(other).Generation > otherBefore && s.serves(other) == "" })
	if n := s.exchanges(providersim.ResultOK); n != calls {
		t.Errorf("%d rotations on a day on which no answer could be kept", n-calls)
	}

	must(t, os.Remove(answers))
	must(t, os.Rename(away, answers))
	within(t, 15*time.Second, "all is active again", func() bool { return s.serves(id) == "" && s.serves(other) == "" })
	if n := s.exchanges(providersim.ResultReuse); n != 0 {
		t.Errorf("%d reuses", n)
	}
	s.noSecrets("the log", p.out.String())
	p.stop()
}

// metricsTell wants the metrics to say that no rotation begins, why, and that a token has expired.
func (s *stage) metricsTell(p *process) {
	s.t.Helper()
	if n := s.metric(p, "refresher_protocol_events_total", `event="no_room"`); n < 1 {
		s.t.Errorf("%v times without room in the metric", n)
	}
	if n := s.metric(p, "refresher_renewals_total", `provider="checkfront"`, `result="failed"`, `reason="spool"`); n < 1 {
		s.t.Errorf("%v failures of the spool in the metric", n)
	}
	within(s.t, 10*time.Second, "the fleet's gauge says expired", func() bool { // it is read every 5 s
		return s.metric(p, "refresher_credentials", `provider="checkfront"`, `status="expired"`) == 1
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
