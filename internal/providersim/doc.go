// Package providersim simulates the five providers whose credentials the service keeps alive: Checkfront, Bookeo, ClicRDV,
// Ankor and Kibo. Each simulator is an http.Handler that behaves as the provider's document says, serves many accounts,
// and keeps a ledger of everything that was asked of it. The package imports nothing else of this project, so that a
// mistake in the service cannot hide in its simulator.
//
//	p := providersim.New(providersim.Options{Factor: 1000})
//	servers, err := p.Start("127.0.0.1")
//	app := p.Checkfront.AddApp(providersim.AppSpec{})
//	p.Checkfront.Inject(providersim.Fault{On: providersim.EndpointToken, Times: 1, LoseAnswer: true})
//	... let the service work on servers.URL("checkfront") with app.ClientID and app.RefreshToken ...
//	n := p.Checkfront.Ledger().Count(providersim.Match{Kind: providersim.KindExchange, Result: providersim.ResultReuse})
//
// # Time
//
// Options.Factor makes the provider's time pass faster: every lifetime, kept or handed out, is divided by it. A lifetime
// that is handed out is a whole number of seconds, at least one, and is kept just so: what is announced is what holds.
// Two things are never scaled: the iat and exp of an Ankor assertion, and the delays of a Fault.
//
// # The way of a request
//
//	read -> describe -> fault picked -> latency, DelayBefore -> [cut, or an answer without effect]
//	     -> effect and ledger entry, in one critical section -> DelayAfter -> answer, whole, cut, replaced or lost
//
// The order of a ledger is therefore the order in which effects happened. A request that a fault kept from having an effect is in the
// ledger too, with ResultFault, because the token that it carried was presented all the same.
//
// # Checks
//
// Servers.Check proves that a published token works, without being seen: it carries the header X-Sim-Peek, meets neither
// faults nor latency, touches no session, costs no quota, and is entered with KindCheck.
//
// Everything is safe for concurrent use. Secrets are random and contain "sim", so that nobody takes them for real ones.
package providersim
