package simulation

import (
	"net/http"
	"os"
	"path/filepath"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/internal/renewal"
	"refresher/refreshers"
)

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
			c.redis.kept[c.s.id] = keptAnswer{attempt: sent.attempt}
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
		{"so is one that was refreshed, of which nobody heard", "", func(c *scene) {
			c.s.patient = true
			c.intend()
			c.book.arrived(c.send(), providersim.Event{Result: providersim.ResultOK})
			c.writeOff()
		}},
		{"and one of which somebody heard", "I5", func(c *scene) {
			c.s.patient = true
			c.intend()
			sent := c.send()
			c.book.arrived(sent, providersim.Event{Result: providersim.ResultOK})
			c.home(sent)
			<-time.After(time.Second)
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
		{"written by one who stood still, and seen at its turn", "", func(c *scene) {
			c.know(living())
			c.lags.dues[c.s.id] = time.Now().Add(time.Hour)
			c.commit("next")
			c.after(time.Hour + lagBound)
			c.publish(1, credential.StatusActive)
		}},
		{"and not even then", "I4", func(c *scene) {
			c.know(living())
			c.lags.dues[c.s.id] = time.Now().Add(time.Hour)
			c.commit("next")
			c.after(time.Hour + lagBound + time.Second)
		}},
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
			c.book.revoked(c.s.app.RefreshToken)
			c.writeOff()
			c.publish(0, credential.StatusNeedsAuthorization)
			c.after(lagBound + time.Second)
		}},
		{"the queue does not know when the grant ends", "I7", func(c *scene) {
			c.know(credential.Memo{Status: credential.StatusActive})
			c.write(func(*credential.Grant) {})
			c.after(lagBound + rotationTimeout + time.Second)
		}},
		{"the queue believes that it ends later", "I7", func(c *scene) {
			c.know(credential.Memo{Status: credential.StatusActive, GrantExpiresAt: time.Now().Add(grantLife + time.Hour)})
			c.write(func(*credential.Grant) {})
			c.after(lagBound + rotationTimeout + time.Second)
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
