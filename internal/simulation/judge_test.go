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
	"refresher/internal/escrow"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
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

func wellCases() []judged {
	return []judged{
		{"a rotation", "", func(c *scene) {
			c.know(living())
			c.home(c.rotate("next"))
			c.commit("next")
			c.publish(1, credential.StatusActive)
			c.after(time.Hour)
		}},
		{"a probe, and a loss that is counted", "", func(c *scene) {
			c.know(living())
			c.rotate("next").over = true
			c.die(renewal.EventAnswerLost)
			c.publish(0, credential.StatusNeedsAuthorization)
			c.know(credential.Memo{Status: credential.StatusNeedsAuthorization})
			c.after(time.Hour)
		}},
		{"a retry after proof", "", func(c *scene) {
			c.intend()
			sent := c.send()
			c.book.arrived(sent, providersim.Event{})
			c.book.returned(sent, refreshers.Answer{Status: http.StatusTooManyRequests})
			c.intend()
			c.send()
		}},
		{"nobody is there to do anything", "", func(c *scene) {
			c.know(living())
			c.commit("next")
			c.lags.disturb("", func() { c.seats[0].process = nil })
			<-time.After(time.Hour)
			c.lags.disturb("", func() { c.seats[0].process = c.p })
			c.after(time.Minute)
		}},
	}
}

func presentationCases() []judged {
	return []judged{
		{"no intent", "I1", func(c *scene) { c.send() }},
		{"a reuse", "I1", func(c *scene) {
			c.rotate("next").over = true
			c.intend()
			c.send()
		}},
		{"another is under way", "I1", func(c *scene) {
			c.intend()
			c.send()
			c.intend(probe)
			c.send()
		}},
		{"no room", "I6", func(c *scene) {
			c.intend()
			if err := os.Remove(filepath.Join(c.p.spool.dir, "answers", c.attempt)); err != nil {
				c.t.Fatal(err)
			}
			c.send()
		}},
		{"room only after the intent", "I6", func(c *scene) {
			c.intend()
			c.book.intents[c.attempt].room = false
			c.send()
		}},
		{"a request is left behind", "I6", func(c *scene) {
			c.rotate("next")
			c.book.stopped(c.p)
		}},
		{"a take-over in its owner's time", "I9", func(c *scene) {
			c.intend(func(i *credential.Intent) { i.Owner, i.NotBefore = "another", time.Now() })
			c.intend(func(i *credential.Intent) { i.Claim = true })
		}},
		{"an intent is open at rest", "I9", func(c *scene) {
			c.intend()
			c.write(func(g *credential.Grant) { g.Seeds = []string{c.seed} })
			c.wrong("%s", c.unsettled(c.s))
		}},
	}
}

func answerCases() []judged {
	destroy := func(c *scene, s *presentation) { c.destroy(s.spool) }
	lose := func(f func(*scene, *presentation)) func(*scene) {
		return func(c *scene) {
			c.know(living())
			sent := c.rotate("next")
			c.home(sent)
			f(c, sent)
		}
	}
	return []judged{
		{"an answer did not come to Vault", "I2", lose(func(*scene, *presentation) {})},
		{"it waited for too long", "I2", lose(func(c *scene, _ *presentation) {
			c.know(credential.Memo{Status: credential.StatusActive, GrantExpiresAt: time.Now().Add(grantLife), IntentSince: time.Now()})
			c.after(3 * time.Minute)
			c.commit("next")
			c.publish(1, credential.StatusActive)
		})},
		{"its process stood still", "", lose(func(c *scene, _ *presentation) {
			c.know(credential.Memo{Status: credential.StatusActive, GrantExpiresAt: time.Now().Add(grantLife), IntentSince: time.Now()})
			until := time.Now().Add(time.Hour)
			c.lags.disturb("", func() { c.p.pausedUntil.Store(&until) })
			c.after(time.Hour + time.Minute)
			c.commit("next")
			c.publish(1, credential.StatusActive)
		})},
		{"it was overtaken", "", lose(func(c *scene, _ *presentation) {
			<-time.After(time.Second)
			c.write(func(g *credential.Grant) { g.Seeds = append(g.Seeds, "another") })
		})},
		{"it went with its spool", "", lose(destroy)},
		{"Redis had a copy", "I2", lose(func(c *scene, s *presentation) {
			c.redis.told[s.attempt] = true
			destroy(c, s)
		})},
		{"Vault was put back, and that is no reason", "I2", lose(func(c *scene, _ *presentation) {
			<-time.After(time.Second)
			c.restored, c.restoredAt = true, time.Now()
		})},
	}
}

func lossCases() []judged {
	return []judged{
		{"a loss that is not counted", "I3", func(c *scene) {
			c.rotate("next").over = true
			c.die()
		}},
		{"two losses that are counted once", "I3", func(c *scene) {
			c.rotate("next").over = true
			c.die(renewal.EventAnswerLost)
			c.write(func(g *credential.Grant) { g.State = credential.GrantIdle })
			c.writeOff()
		}},
		{"the living token was in Redis", "I2 I3", func(c *scene) {
			sent := c.rotate("next")
			c.home(sent)
			c.redis.copies[sent.ref()] = []byte("sealed")
			c.die(renewal.EventAnswerLost)
		}},
		{"the living token was in the spool", "I2 I3", func(c *scene) {
			c.home(c.rotate("next"))
			c.die(renewal.EventAnswerLost)
		}},
		{"the living token was in Vault", "I3", func(c *scene) {
			sent := c.rotate("next")
			c.home(sent)
			c.commit("next")
			c.publish(1, credential.StatusActive)
			c.mayLose(sent)
		}},
		{"the last answer was kept", "I3", func(c *scene) {
			sent := c.rotate("next")
			c.home(sent)
			c.commit("next")
			c.book.takenBack[sent.issued] = true
			c.redis.kept[c.s.id] = keptAnswer{sent.attempt, escrow.Lineage{}, nil}
			c.vault.grants[c.s.id] = document[credential.Grant]{}
			c.mayLose(sent)
		}},
		{"it was kept nowhere", "", func(c *scene) {
			sent := c.rotate("next")
			c.home(sent)
			c.commit("next")
			c.book.takenBack[sent.issued] = true
			c.vault.grants[c.s.id] = document[credential.Grant]{}
			c.mayLose(sent)
		}},
		{"a living grant is written off", "I5", func(c *scene) {
			c.intend()
			c.writeOff()
		}},
		{"it waits for a person in vain", "I5", func(c *scene) {
			c.book.revoked(c.s.app.RefreshToken)
			c.writeOff()
			c.write(func(g *credential.Grant) { g.Seeds = []string{c.seed} })
			c.wrong("%s", c.unsettled(c.s))
		}},
		{"a write on an old reading", "I3", func(c *scene) {
			c.write(func(*credential.Grant) {}, blind{other: true, age: sendDeadline + time.Second})
		}},
	}
}

// mayLose has the grant die of a reuse of the token that was rotated.
func (c *scene) mayLose(sent *presentation) {
	c.book.arrived(&presentation{id: c.s.id, token: sent.token, spool: sent.spool}, providersim.Event{Result: providersim.ResultReuse})
}

func publicationCases() []judged {
	return []judged{
		{"the published generation goes back", "I4", func(c *scene) {
			c.publish(2, credential.StatusActive)
			c.publish(1, credential.StatusActive)
		}},
		{"the generation goes back", "I4", func(c *scene) {
			c.publish(1, credential.StatusActive)
			c.commit("next")
			c.write(func(g *credential.Grant) { g.Generation = 0 })
		}},
		{"two commits without a publication", "I4", func(c *scene) {
			c.commit("next")
			c.commit("next but one")
			c.publish(2, credential.StatusActive)
		}},
		{"late", "I4", func(c *scene) {
			c.know(living())
			c.commit("next")
			c.after(lagBound + time.Second)
			c.publish(1, credential.StatusActive)
		}},
		{"late after a loss of Redis", "I4", func(c *scene) {
			c.know(living())
			c.commit("next")
			c.lags.redisBack = time.Now()
			c.after(redisBound + time.Second)
		}},
		{"just in time", "", func(c *scene) {
			c.know(living())
			c.commit("next")
			c.lags.redisBack = time.Now()
			c.after(redisBound)
			c.publish(1, credential.StatusActive)
		}},
		{"something went wrong again", "", func(c *scene) {
			c.know(living())
			c.commit("next")
			for range 10 {
				c.after(lagBound)
			}
			c.publish(1, credential.StatusActive)
		}},
		{"another's request failed", "I4", func(c *scene) {
			c.know(living())
			c.commit("next")
			for range 10 {
				<-time.After(lagBound)
				c.lags.disturb("another/credential", func() {})
			}
			c.publish(1, credential.StatusActive)
		}},
		{"nobody was there when it began", "", func(c *scene) {
			until := time.Now().Add(takeoverAfter)
			c.know(living())
			c.p.pausedUntil.Store(&until)
			c.commit("next")
			c.after(takeoverAfter + time.Minute)
			c.publish(1, credential.StatusActive)
		}},
		{"its tenant was busy", "", func(c *scene) {
			c.know(living())
			c.commit("next")
			<-time.After(lagBound + rotationTimeout)
			c.lags.called(credential.ID{Tenant: c.s.id.Tenant, Name: "another"}, rotationTimeout)
			c.publish(1, credential.StatusActive)
		}},
		{"it is behind at rest", "I4", func(c *scene) {
			c.commit("next")
			c.write(func(g *credential.Grant) { g.Seeds = []string{c.seed} })
			c.wrong("%s", c.unsettled(c.s))
		}},
	}
}

func knowledgeCases() []judged {
	return []judged{
		{"nobody is asked", "I7", func(c *scene) {
			c.book.revoked(c.s.app.RefreshToken)
			c.write(func(g *credential.Grant) { g.Seeds = []string{c.seed} })
			c.know(living())
			c.writeOff()
			c.after(lossBound + time.Second)
		}},
		{"the queue does not know that somebody is asked", "I7", func(c *scene) {
			c.know(living())
			c.publish(0, credential.StatusNeedsAuthorization)
			c.after(lagBound + time.Second)
		}},
		{"the queue does not know when the grant ends", "I7", func(c *scene) {
			c.know(credential.Memo{Status: credential.StatusActive})
			c.write(func(*credential.Grant) {})
			c.after(lagBound + time.Second)
		}},
		{"the queue believes that it ends later", "I7", func(c *scene) {
			c.know(credential.Memo{Status: credential.StatusActive, GrantExpiresAt: time.Now().Add(grantLife + time.Hour)})
			c.write(func(*credential.Grant) {})
			c.after(lagBound + time.Second)
		}},
		{"the queue does not know of an intent", "I7", func(c *scene) {
			c.know(living())
			c.intend()
			c.after(lagBound + rotationTimeout + time.Second)
		}},
		{"it has no place in the queue at rest", "I7", func(c *scene) { c.judgeQueue() }},
		{"the end in the queue is another at rest", "I7", func(c *scene) {
			c.know(living())
			<-time.After(time.Minute)
			c.write(func(*credential.Grant) {})
			c.judgeQueue()
		}},
	}
}

func secretCases() []judged {
	secret := func(c *scene) string { return c.s.app.RefreshToken }
	return []judged{
		{"a secret in the log", "I8", func(c *scene) { c.log.Info().Str("why", secret(c)).Msg("so") }},
		{"a secret in Redis", "I8", func(c *scene) { c.evidence.keepValue("redis", map[string]string{"memo": secret(c)}) }},
		{"a secret on disk, in base64", "I8", func(c *scene) {
			c.attempt = "attempt"
			c.file(c.p.spool, string(forms("x" + secret(c))[0])+string(forms(secret(c))[2]))
		}},
		{"a secret in a spool that was destroyed", "I8", func(c *scene) {
			c.attempt = "attempt"
			c.file(c.p.spool, secret(c))
			c.destroy(c.p.spool)
		}},
		{"a hash is no secret", "", func(c *scene) { c.evidence.keep("redis", []byte(c.seed)) }},
	}
}
