package renewal

import (
	"flag"
	"slices"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/renewal/model"
)

var modelFaults = flag.Uint("model.faults", 1, "let so many faults of any kind come together in TestModelHolds; 2 takes minutes, and is not for the race detector")

// rules are the decisions of this package, so that the model cannot drift from these.
func rules() model.Rules {
	limits := Limits{InFlightBound: model.InFlightBound * model.Tick, TakeoverAfter: model.TakeoverAfter * model.Tick}
	steps := map[step]model.Step{
		stepRest: model.Rest, stepPresent: model.Present, stepDead: model.Dead,
		stepWait: model.Wait, stepProbe: model.Probe, stepClaim: model.Claim, stepWatch: model.Watch,
	}
	finds := map[found]model.Found{
		foundPresented: model.FoundPresented, foundOurs: model.FoundOurs, foundOther: model.FoundOther,
		foundPutBack: model.FoundPutBack,
	}
	return model.Rules{
		Decide: func(x model.Situation) model.Step {
			due := x.Now.Add(time.Hour)
			if x.Due {
				due = x.Now
			}
			next, _ := limits.decide(situation{
				grant: x.Grant, owner: x.Owner, held: x.Held, watched: model.Tick * time.Duration(x.Watched),
				due: due, tokenExpiresAt: x.TokenExpiresAt, now: x.Now,
			})
			return steps[next]
		},
		ReadBack: func(doc, next credential.Grant, presented string) model.Found {
			return finds[readBack(doc, next, presented)]
		},
		Presented: presented,
	}
}

// each is a budget in which every one of the faults may come so often.
func each(times uint8, kinds ...model.Fault) model.Budget {
	b := model.Budget{}
	for _, f := range kinds {
		b[f] = times
	}
	return b
}

// search looks at all that can happen, and reports how much that was.
func search(t *testing.T, opts model.Options) model.Finding {
	t.Helper()
	began := time.Now()
	got := model.Search(rules(), opts)
	t.Logf("%d states, %d steps between them, the farthest %d away, in %v", got.States, got.Transitions, got.Depth, time.Since(began).Round(time.Millisecond))
	return got
}

// TestModelHolds searches the protocol as it is. Each case has a floor, so that a
// model in which nothing happens any more does not pass.
func TestModelHolds(t *testing.T) {
	t.Parallel()
	all := each(2, model.AllFaults()...)
	for name, tc := range map[string]struct {
		opts  model.Options
		least int
	}{
		"nothing goes wrong":            {model.Options{}, 100},
		"any fault, two replicas":       {model.Options{Faults: uint8(*modelFaults), Budget: all}, 30_000},
		"any fault, one replica's own":  {model.Options{Faults: uint8(*modelFaults), Budget: all, OneProcess: true}, 20_000},
		"answers and requests get lost": {model.Options{Faults: 3, Budget: each(2, model.AnswerLost, model.Delay, model.PushedBack, model.WriteAnswerLost)}, 10_000},
		"a process dies, with its spool and the copy in Redis": {model.Options{
			Faults: 3, Budget: each(1, model.Crash, model.SpoolLost, model.RedisFlush),
		}, 50_000},
		"the owner of a probe that was put off is gone": {model.Options{
			Faults: 3, Budget: each(1, model.AnswerLost, model.Crash, model.SpoolLost),
		}, 20_000},
		"two deaths": {model.Options{Faults: 2, Budget: each(2, model.Crash)}, 100_000},
		"a process stands still, and the lease is lost": {model.Options{Faults: 2, Budget: each(1, model.Pause, model.LeaseLost, model.AnswerLost)}, 35_000},
		"Vault is away past a takeover, and Redis has no copy": {model.Options{
			Faults: 3, Budget: each(1, model.VaultOutage, model.RedisOutage, model.LeaseLost),
		}, 40_000},
		"a claim is left by whoever made it": {model.Options{Faults: 3, Budget: each(2, model.Crash, model.AnswerLost)}, 100_000},
		"Vault's storage is put back": {model.Options{
			Faults: 2, Budget: each(1, model.Backup, model.Restore, model.RedisFlush, model.AnswerLost),
		}, 40_000},
		"Vault's storage is put back, whoever dies besides": {model.Options{
			Faults: 2, Budget: each(1, model.Backup, model.Restore, model.Crash, model.SpoolLost, model.RedisFlush),
		}, 50_000},
		"Vault's storage is put back while a worker stands still": {model.Options{
			Faults: 2, Budget: each(1, model.Backup, model.Restore, model.LeaseLost),
		}, 40_000},
		"a person meets a rotation": {model.Options{
			Faults: 3, Budget: each(1, model.NewSeed, model.SeedAgain, model.LeaseLost, model.WriteAnswerLost),
		}, 40_000},
		"a disk that takes no writes": {model.Options{Faults: 2, Budget: each(2, model.DiskStuck, model.AnswerLost, model.LeaseLost)}, 35_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := search(t, tc.opts)
			if got.Wrong != 0 {
				t.Errorf("%v\n%v", got.Wrong, got.Trace)
			} else if got.States < tc.least {
				t.Errorf("the search saw %d states, want %d or more", got.States, tc.least)
			}
		})
	}
}

// TestModelFindsWhatIsBroken switches parts of the protocol off. A model that does
// not see it proves nothing.
func TestModelFindsWhatIsBroken(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		without model.Break
		faults  uint8
		budget  model.Budget
		want    []model.Wrong
	}{
		"no intent":                    {model.Break{NoIntent: true}, 1, each(1, model.RedisOutage), []model.Wrong{model.AtOnce, model.AgainUnproven}},
		"intent after the call":        {model.Break{IntentAfterCall: true}, 1, each(1, model.RedisOutage), []model.Wrong{model.AtOnce, model.AgainUnproven}},
		"check-and-set at the commit":  {model.Break{OnlyCommitChecks: true}, 1, each(1, model.RedisOutage), []model.Wrong{model.LostAvoidably}},
		"takeover at once":             {model.Break{TakeoverAtOnce: true}, 1, each(1, model.LeaseLost, model.Crash, model.Pause), []model.Wrong{model.DeadTooSoon}},
		"a lost lease cancels":         {model.Break{CancelOnLeaseLost: true}, 1, each(1, model.LeaseLost), []model.Wrong{model.AgainUnproven}},
		"no owner rule":                {model.Break{NoOwnerRule: true}, 1, each(1, model.Crash), []model.Wrong{model.DeadTooSoon}},
		"no spent list":                {model.Break{NoSpentList: true}, 1, each(1, model.Backup, model.Restore), []model.Wrong{model.AgainUnproven}},
		"no reading back":              {model.Break{NoReadBack: true}, 1, each(1, model.AnswerLost, model.Delay, model.Crash), []model.Wrong{model.LostAvoidably}},
		"no room":                      {model.Break{NoRoom: true}, 1, each(1, model.DiskStuck), []model.Wrong{model.NoPlace}},
		"a stale seed is the newest":   {model.Break{StaleSeedLast: true}, 2, each(1, model.LeaseLost, model.SeedAgain), []model.Wrong{model.LostAvoidably}},
		"former tokens are forgotten":  {model.Break{FormerForgotten: true}, 2, each(1, model.RedisOutage, model.SeedAgain), []model.Wrong{model.LostAvoidably}},
		"an old reading is written on": {model.Break{OldReadings: true}, 2, each(1, model.Backup, model.Restore, model.LeaseLost), []model.Wrong{model.Blind}},
		"nothing is kept":              {model.Break{NothingKept: true}, 1, each(1, model.Backup, model.Restore), []model.Wrong{model.LostAvoidably, model.DeadTooSoon}},
		"a dead token is adopted":      {model.Break{DeadCopied: true}, 2, each(1, model.Crash, model.SeedAgain), []model.Wrong{model.LostAvoidably}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := model.Options{Faults: tc.faults, Budget: tc.budget, Break: tc.without}
			got := search(t, opts)
			if !slices.Contains(tc.want, got.Wrong) {
				t.Fatalf("found %v, want one of %v\n%v", got.Wrong, tc.want, got.Trace)
			}
			t.Logf("%v\n%v", got.Wrong, got.Trace)
			opts.Break = model.Break{}
			if whole := search(t, opts); whole.Wrong != 0 {
				t.Errorf("without the break: %v\n%v", whole.Wrong, whole.Trace)
			}
		})
	}
}
