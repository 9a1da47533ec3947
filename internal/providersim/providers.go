package providersim

// Providers are the five simulators, which share a clock and a list of secrets.
type Providers struct {
	Checkfront *Checkfront
	Bookeo     *Bookeo
	ClicRDV    *ClicRDV
	Ankor      *Ankor
	Kibo       *Kibo

	secrets *secretBook
}

// New makes five simulators without accounts. They need no closing; each is an http.Handler, and Start serves them all.
func New(opts Options) *Providers {
	opts = opts.withDefaults()
	secrets := newSecretBook()
	return &Providers{
		Checkfront: newCheckfront(opts, secrets),
		Bookeo:     newBookeo(opts, secrets),
		ClicRDV:    newClicRDV(opts, secrets),
		Ankor:      newAnkor(opts, secrets),
		Kibo:       newKibo(opts, secrets),
		secrets:    secrets,
	}
}

// All returns the five simulators in the order checkfront, bookeo, clicrdv, ankor, kibo.
func (p *Providers) All() []*Simulator {
	return []*Simulator{p.Checkfront.Simulator, p.Bookeo.Simulator, p.ClicRDV.Simulator, p.Ankor.Simulator, p.Kibo.Simulator}
}

// Secrets returns every secret that was ever registered at or handed out by any of the five, and every assertion presented, in
// the forms in which it could leak: as it is, escaped as in a URL, and within an encoded Basic header; a private key line by
// line. Consumer keys, key IDs, e-mail addresses and URIs are not among them, but API keys are.
func (p *Providers) Secrets() []string { return p.secrets.all() }
