package providersim

import "time"

// Options says how the simulators behave. The zero value is the documented behaviour in real time.
type Options struct {
	// Factor is how many times as fast as ours the provider's time passes; every lifetime is divided by it. Zero means 1.
	Factor float64
	// Now is the clock; nil means time.Now. It is called from many goroutines.
	Now func() time.Time
	// Latency is waited for before every request has its effect. It is real time, not scaled by Factor.
	Latency time.Duration
	// Seed makes the faults that fire with a probability repeatable, as far as the order of requests is.
	Seed uint64

	// CheckfrontAccess is how long an access token lives, in provider time. Default 14,000 s.
	CheckfrontAccess time.Duration
	// CheckfrontGrant is how long a refresh token lives from its issue, in provider time. Default 14 days.
	CheckfrontGrant time.Duration
	// CheckfrontCode is how long an authorization code may be exchanged, in provider time. Default 60 s.
	CheckfrontCode time.Duration
	// ClicRDVIdle is how long a session lives without being touched, in provider time. Default 1 hour.
	ClicRDVIdle time.Duration
	// AnkorLifetime is how long an access token lives, in provider time. Default 1 hour.
	AnkorLifetime time.Duration
	// KiboLifetime is how long an access token lives, in provider time. Default 1 hour.
	KiboLifetime time.Duration
}

func (o Options) withDefaults() Options {
	if o.Factor <= 0 {
		o.Factor = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	orDefault(&o.CheckfrontAccess, 14000*time.Second)
	orDefault(&o.CheckfrontGrant, 14*24*time.Hour)
	orDefault(&o.CheckfrontCode, time.Minute)
	orDefault(&o.ClicRDVIdle, time.Hour)
	orDefault(&o.AnkorLifetime, time.Hour)
	orDefault(&o.KiboLifetime, time.Hour)
	return o
}

func orDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// scaled turns provider time into ours.
func (o Options) scaled(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)/o.Factor), 1)
}

// announced is scaled, in the whole seconds that an answer can say.
func (o Options) announced(d time.Duration) time.Duration {
	return max(o.scaled(d).Truncate(time.Second), time.Second)
}
