package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// sample is a board in the middle of the play.
func sample() view {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	use := map[string]string{"Authorization": "made-up"}
	in := func(d time.Duration) time.Time { return now.Add(d) }
	return view{
		elapsed: 14700 * time.Millisecond, now: now, calls: 38,
		story: story{revoked: 3600 * time.Millisecond, asked: 13 * time.Second},
		rows: []row{
			{
				stored: stored{id: "harbour-tours/online", provider: "checkfront", auth: "oauth2"}, published: true, renewed: 3, accepted: 40, overtaken: 1,
				token: published{Status: statusActive, Generation: 3, ExpiresAt: in(8 * time.Second), Headers: use}, lifetime: 10 * time.Second, fresh: in(-time.Second),
			},
			{
				stored: stored{id: "ghost-walks/tickets", provider: "checkfront", auth: "oauth2", part: unlucky}, published: true, renewed: 1, accepted: 12, refused: 3, rightly: 3,
				token: published{
					Status: statusNeedsAuthorization, Generation: 1, ExpiresAt: in(-time.Second), Headers: use,
					Message: "checkfront no longer takes the refresh token: authorize the application again and store the new one with: refresher credentials put ghost-walks/tickets refresh_token=-",
				},
				asked: "needs_authorization: checkfront no longer takes the refresh token", lifetime: 10 * time.Second, fresh: in(-13 * time.Second),
			},
			{
				stored: stored{id: "river-kayaks/tours", provider: "bookeo", auth: "api_key"}, published: true, renewed: 1, verified: 2, accepted: 30,
				token: published{Status: statusActive, Generation: 1, Headers: use}, fresh: in(-2 * time.Second),
			},
			{
				stored: stored{id: "salon-lune/agenda", provider: "clicrdv", auth: "session"}, published: true, renewed: 1, kept: 3, accepted: 30,
				token: published{Status: statusRetrying, Generation: 1, ExpiresAt: in(2500 * time.Millisecond), Headers: use, Message: "the provider answered 503"}, lifetime: 12 * time.Second,
			},
			{stored: stored{id: "blue-lagoon/central", provider: "ankor", auth: "jwt_bearer"}},
			{
				stored: stored{id: "paper-crane/orders", provider: "kibo", auth: "client_credentials", part: mistyped}, published: true,
				token: published{Status: statusMisconfigured, Message: `kibo: invalid_client: fields "client_id", "client_secret": the provider refuses them`},
				asked: `misconfigured: kibo: invalid_client: fields "client_id", "client_secret": the provider refuses them`,
			},
		},
		events: []event{
			{at: 900 * time.Millisecond, id: "harbour-tours/online", verb: "first token", text: "checkfront oauth2, generation 1, good for 10s", tone: toneGood},
			{at: 3600 * time.Millisecond, text: "Someone at ghost-walks removes our application.", tone: toneStory},
			{at: 4 * time.Second, id: "river-kayaks/tours", verb: "verified", text: "bookeo api_key: the key still works", tone: toneQuiet},
			{at: 13 * time.Second, id: "ghost-walks/tickets", verb: "NEEDS A PERSON", text: "needs_authorization: checkfront no longer takes the refresh token", tone: toneHelp},
			{at: 14 * time.Second, id: "salon-lune/agenda", verb: "retrying", text: "the provider answered 503", tone: toneWarn},
		},
	}
}

func sampleGuide() guide {
	return guide{
		status: "http://127.0.0.1:41085/readyz", vault: "VAULT_ADDR=http://127.0.0.1:35637 VAULT_TOKEN=demo", log: "/tmp/refresher-demo-1/service.log", length: " of 20s",
		read:   []string{"curl -s -H 'X-Vault-Token: demo'", "http://127.0.0.1:35637/v1/secret/data/refresher/tokens/harbour-tours/online"},
		repair: []string{"curl -s -H 'X-Vault-Token: demo'", "-d @/tmp/refresher-demo-1/repair.json", "http://127.0.0.1:35637/v1/secret/data/refresher/credentials/paper-crane/orders"},
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]frame{
		"wide":   {width: 120, height: 50, looks: looks{color: true, unicode: true}},
		"plain":  {width: 80, height: 40},
		"narrow": {width: 80, height: 24, looks: looks{unicode: true}},
		"tiny":   {width: 40, height: 10, looks: looks{unicode: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := render(sample(), sampleGuide(), f)
			if len(lines) > f.height {
				t.Errorf("%d lines do not fit %d", len(lines), f.height)
			}
			for i, l := range lines {
				if n := utf8.RuneCountInString(l); !f.color && n > f.width {
					t.Errorf("line %d has %d characters, more than %d", i+1, n, f.width)
				}
			}
			golden(t, "testdata/table_"+name+".golden", strings.Join(lines, "\n")+"\n")
		})
	}
}

// TestRenderFits draws every size, so that no text is ever cut at a wrong place.
func TestRenderFits(t *testing.T) {
	t.Parallel()
	for width := 0; width < 140; width += 3 {
		for height := 0; height < 60; height += 2 {
			lines := render(sample(), sampleGuide(), frame{width: width, height: height, looks: looks{unicode: true}})
			for _, l := range lines {
				if utf8.RuneCountInString(l) > width || !utf8.ValidString(l) {
					t.Fatalf("%dx%d: %q", width, height, l)
				}
			}
			if len(lines) > height {
				t.Fatalf("%dx%d: %d lines", width, height, len(lines))
			}
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	healed := sample()
	healed.elapsed = 20 * time.Second
	healed.story.returned, healed.story.healed = 16*time.Second, 18*time.Second
	healed.rows[1].token.Status = statusActive
	healed.rows[4].token = published{Status: statusActive, Generation: 2}
	healed.rows[4].accepted = 9
	broken := sample()
	broken.rows[0].problems = []string{"its token expired and was not renewed in time"}
	broken.rows[2].token.Status = statusExpired
	for name, v := range map[string]view{"healed": healed, "broken": broken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := judge(v, nil)
			if len(r.problems) > 0 {
				r.log = []string{`{"level":"warn","message":"made up"}`}
			}
			var out strings.Builder
			if err := r.write(&out, v); err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/summary_"+name+".golden", out.String())
		})
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	good := func() view {
		v := sample()
		v.elapsed = 30 * time.Second
		v.story.returned, v.story.healed = 16*time.Second, 18*time.Second
		v.rows[4].token = published{Status: statusActive, Generation: 1}
		v.rows[4].accepted = 1
		return v
	}
	for name, tc := range map[string]struct {
		spoil func(v *view)
		ended error
		wrong string // in the problems; empty: none
		early string
	}{
		"all well":           {func(*view) {}, nil, "", ""},
		"retrying is alive":  {func(v *view) { v.rows[0].token.Status = statusRetrying }, nil, "", ""},
		"never a token":      {func(v *view) { v.rows[0].token = published{} }, nil, "harbour-tours/online: it got no token", ""},
		"no token yet":       {func(v *view) { v.rows[0].token, v.elapsed = published{}, time.Second }, nil, "", "it got no token yet"},
		"never accepted":     {func(v *view) { v.rows[0].accepted = 0 }, nil, "never accepted", ""},
		"ended badly":        {func(v *view) { v.rows[3].token.Status = statusNeedsAuthorization }, nil, "salon-lune/agenda: it ended as needs_authorization", ""},
		"refused":            {func(v *view) { v.rows[1].problems = []string{"checkfront refuses it"} }, nil, "ghost-walks/tickets: checkfront refuses it", ""},
		"typing error taken": {func(v *view) { v.rows[5].asked = "" }, nil, "nobody was told of the typing error", ""},
		"not asked yet":      {func(v *view) { v.story = story{revoked: time.Second} }, nil, "", "not noticed yet"},
		"not healed yet":     {func(v *view) { v.story.healed = 0 }, nil, "", "did not show yet"},
		"service ended":      {func(*view) {}, fmt.Errorf("the service ended by itself"), "ended by itself", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := good()
			tc.spoil(&v)
			r := judge(v, tc.ended)
			for what, pair := range map[string][2]string{
				"problems": {strings.Join(r.problems, "\n"), tc.wrong}, "early": {strings.Join(r.early, "\n"), tc.early},
			} {
				if got, want := pair[0], pair[1]; !strings.Contains(got, want) || (got == "") != (want == "") {
					t.Errorf("%s are %q, want %q", what, got, want)
				}
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	log := strings.Join([]string{
		`{"level":"info","message":"fine"}`,
		`{"level":"error","tenant":"paper-crane","message":"expected"}`,
		`{"level":"warn","tenant":"harbour-tours","message":"odd"}`,
	}, "\n")
	if got := warnings(log, sample()); len(got) != 1 || !strings.Contains(got[0], "odd") {
		t.Errorf("got %q", got)
	}
	v := sample()
	v.rows[5].problems = []string{"something"}
	if got := warnings(log, v); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}
