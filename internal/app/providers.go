package app

import (
	"refresher/internal/config"
	"refresher/refreshers"
	"refresher/refreshers/ankor"
	"refresher/refreshers/bookeo"
	"refresher/refreshers/checkfront"
	"refresher/refreshers/clicrdv"
	"refresher/refreshers/kibo"
)

// Methods returns the registry of all providers: a line each.
func Methods(c config.Providers) *refreshers.Registry {
	return refreshers.NewRegistry(
		checkfront.Methods(checkfront.Settings{
			AccessLifetime: c.Checkfront.AccessLifetime, GrantLifetime: c.Checkfront.GrantLifetime,
			DormantInterval: c.Checkfront.DormantInterval, VerifyEvery: c.Checkfront.VerifyEvery,
		}),
		bookeo.Methods(bookeo.Settings{VerifyEvery: c.Bookeo.VerifyEvery}),
		clicrdv.Methods(clicrdv.Settings{
			IdleWindow: c.ClicRDV.IdleWindow, TouchEvery: c.ClicRDV.TouchEvery,
			LatestTouch: c.ClicRDV.LatestTouch, VerifyEvery: c.ClicRDV.VerifyEvery,
		}),
		ankor.Methods(ankor.Settings{
			TokenLifetime: c.Ankor.MaxLifetime, AssertionLifetime: c.Ankor.AssertionLifetime, ClockSkew: c.Ankor.ClockSkew,
		}),
		kibo.Methods(kibo.Settings{TokenLifetime: c.Kibo.MaxLifetime}),
	)
}
