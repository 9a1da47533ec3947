package simulation

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/refreshers"
)

// scene is a made-up course of events, for the judge: one replica, which is never started,
// and one credential.
type scene struct {
	*world
	s       *subject
	p       *process
	seed    string // the hash of its seed
	attempt string
}

func newScene(t *testing.T, dir string) *scene {
	w := newWorld(t, dir, 1)
	w.timeline, w.subjects = nil, w.subjects[:1]
	seat := w.seats[0]
	p := &process{world: w, seat: seat, spool: seat.spool}
	seat.process, seat.spool.user, seat.spool.owner = p, p, "owner"
	if err := os.MkdirAll(filepath.Join(seat.spool.dir, "answers"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := w.subjects[0]
	s.seeds, s.waiting, s.patient, s.dormant = s.given, false, false, false
	w.put(s, 0)
	return &scene{world: w, s: s, p: p, seed: credential.Secret(s.app.RefreshToken).Hash()}
}

// write has Vault accept a grant.
func (c *scene) write(change func(g *credential.Grant), over ...blind) {
	before := c.vault.grants[c.s.id].data
	if before.State == "" {
		before.State, before.RefreshToken, before.RefreshTokenIssuedAt = credential.GrantIdle, credential.Secret(c.s.app.RefreshToken), time.Now()
	}
	g := before.Clone()
	change(&g)
	c.vault.grants[c.s.id] = document[credential.Grant]{version: 1, data: g}
	c.book.grantWritten(c.p, c.s.id, before, g, append(over, blind{})[0])
	c.lags.look()
}

func (c *scene) publish(generation int, status credential.Status) {
	before := c.vault.tokens[c.s.id].data
	t := credential.Token{Generation: generation, Status: status, ExpiresAt: time.Now().Add(accessLifetime)}
	c.vault.tokens[c.s.id] = document[credential.Token]{version: 1, data: t}
	c.book.tokenWritten(c.s.id, before, t)
	c.lags.look()
}

// know has the queue know what a visit has seen.
func (c *scene) know(memo credential.Memo) {
	c.redis.queue = newRedis(odds{}).queue
	_, _ = c.redis.queue.Add(c.t.Context(), credential.Entry{ID: c.s.id, Due: time.Now(), Memo: memo})
	c.lags.lookAtQueue()
}

// intend makes room for an answer and writes the intent.
func (c *scene) intend(change ...func(*credential.Intent)) {
	c.attempt = "attempt" + string(rune('a'+len(c.book.intents)))
	c.file(c.p.spool, "")
	i := &credential.Intent{Attempt: c.attempt, Owner: c.p.spool.owner, BeganAt: time.Now()}
	for _, f := range change {
		f(i)
	}
	c.write(func(g *credential.Grant) { g.State, g.Intent = credential.GrantIntent, i })
}

// file is the last attempt's in a spool.
func (c *scene) file(s *spool, answer string) {
	if err := os.WriteFile(filepath.Join(s.dir, "answers", c.attempt), []byte(answer), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func probe(i *credential.Intent) { i.Probe = true }

// send has the document's token presented.
func (c *scene) send() *presentation { return c.book.sent(c.p, c.s.host, c.seed) }

// rotate has it presented under an intent and rotated; nobody hears of that yet.
func (c *scene) rotate(to string) *presentation {
	c.intend()
	sent := c.send()
	c.book.arrived(sent, providersim.Event{Result: providersim.ResultOK, IssuedHash: credential.Secret(to).Hash()})
	return sent
}

// home has the answer of the last attempt come home, to the spool.
func (c *scene) home(sent *presentation) {
	c.book.returned(sent, refreshers.Answer{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"access_token":"a"}`),
	})
	sent.over = true
	c.file(sent.spool, "an answer")
	c.lags.look()
}

// commit brings a token to Vault.
func (c *scene) commit(token string) {
	c.write(func(g *credential.Grant) {
		g.State, g.Intent, g.RefreshToken, g.Generation = credential.GrantIdle, nil, credential.Secret(token), g.Generation+1
		g.AccessToken = "access"
	})
}

// die has the grant written off, and the reuse before that, of which the provider ended it.
func (c *scene) die(events ...string) {
	c.intend(probe)
	sent := c.send()
	c.book.arrived(sent, providersim.Event{Result: providersim.ResultReuse})
	c.writeOff(events...)
}

func (c *scene) writeOff(events ...string) {
	for _, event := range events {
		eventsOf{c.p}.Event(event, "checkfront")
	}
	c.write(func(g *credential.Grant) { g.State, g.Intent = credential.GrantDead, nil })
}

// living is what the queue knows of a grant in good health.
func living() credential.Memo {
	return credential.Memo{Status: credential.StatusActive, GrantExpiresAt: time.Now().Add(grantLife)}
}

// after lets time pass in which nothing goes wrong, and looks at the end of it.
func (c *scene) after(d time.Duration) {
	<-time.After(d)
	c.lags.disturb("", func() {})
}

// TestJudge: what must not be is found, each by its invariant, and what may be is not.
func TestJudge(t *testing.T) {
	t.Parallel()
	cases := slices.Concat(wellCases(), presentationCases(), answerCases(), lossCases(), publicationCases(), knowledgeCases(), secretCases())
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				c := newScene(t, dir)
				tc.play(c)
				c.judgeAnswers()
				c.judgeSecrets()
				var found []string
				for _, wrong := range c.wrongs {
					label, _, _ := strings.Cut(wrong, ":")
					found = append(found, label)
				}
				slices.Sort(found)
				if got := strings.Join(slices.Compact(found), " "); got != tc.want {
					t.Errorf("found %q, want %q:\n%s", got, tc.want, strings.Join(c.wrongs, "\n"))
				}
			})
		})
	}
}

// judged is a course of events and what the judge is to find in it: the invariants that do
// not hold.
type judged struct {
	name, want string
	play       func(*scene)
}
