package app_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/redistest"
	"refresher/internal/vaultsim"
)

// scrape returns the lines of the service's metrics.
func scrape(t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// lacks returns which of the lines a page does not have, each given by its beginning.
func lacks(page string, lines ...string) string {
	var missing []string
	for _, line := range lines {
		if !strings.Contains("\n"+page, "\n"+line) {
			missing = append(missing, line)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return "the metrics lack " + strings.Join(missing, ", ")
}

// TestMetricsOfAFleet looks at what Prometheus would see of a service at work with a
// real Redis.
func TestMetricsOfAFleet(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ids := s.fleet()
	redis := redistest.Start(t)
	address := s.start(s.config("redis.url=redis://"+redis.Addr, "scheduler.scan=@every 1s", "metrics.per_credential=true"), zerolog.Nop())
	for _, id := range ids {
		eventually(t, 15*time.Second, func() string { return s.serves(id) })
	}
	eventually(t, 15*time.Second, func() string {
		return lacks(scrape(t, address),
			`refresher_credentials{provider="checkfront",status="active"} 2`,
			`refresher_credentials{provider="clicrdv",status="active"} 2`,
			`refresher_credential_status{credential="kibo",provider="kibo",status="active",tenant="gamma"} 1`,
			`refresher_grants{left="14d",status="active"} 1`, `refresher_open_intents 0`, `refresher_escrow_waiting 0`, `refresher_escrow_disk_free_bytes `,
			`refresher_protocol_events_total{event="answer_lost",provider="checkfront"} 0`,
			`refresher_redis_commands_total{command="evalsha",result="ok"} `,
			`refresher_vault_up 1`, `refresher_redis_up 1`, `refresher_working_from_memory 0`, `refresher_breakers_open{provider="kibo"} 0`,
			`refresher_clock_skew_seconds{peer="vault"} `, `refresher_vault_logins_total{result="ok"} 1`, `refresher_config_hash `,
			`refresher_build_info{commit="",goversion="go`,
		)
	})
	if page := scrape(t, address); strings.Contains(page, `command="evalsha",result="error"`) {
		t.Error("a script that is sent in full counts as a failure of Redis")
	}

	s.vault.Config.Handler.(*vaultsim.Server).Seal(true)
	eventually(t, 15*time.Second, func() string { return lacks(scrape(t, address), `refresher_vault_up 0`) })
	redis.Stop(t)
	eventually(t, 15*time.Second, func() string { return lacks(scrape(t, address), `refresher_redis_up 0`) })
	if missing := lacks(scrape(t, address), `refresher_credentials{provider="checkfront",status="active"} 2`); missing != "" {
		t.Error("while Redis is away: " + missing)
	}
}
