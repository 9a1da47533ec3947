package config

import (
	"reflect"
	"time"
)

// Scheduler says when work is looked for, and how much of it is done at once.
type Scheduler struct {
	Renew             string        `yaml:"renew" default:"@every 1s" check:"cron,filled" doc:"When due credentials are claimed, as a cron expression."`
	Scan              string        `yaml:"scan" default:"@every 10m" check:"cron,filled" doc:"When Vault is compared with the queue, as a cron expression."`
	Workers           int           `yaml:"workers" default:"32" min:"1" max:"4096" doc:"Renewals that this replica runs at once."`
	VisibilityTimeout time.Duration `yaml:"visibility_timeout" default:"0s" min:"0s" doc:"After how long what a dead replica had claimed comes back. 0: renewal.lease_ttl, since the lease guards a tenant that is still being worked on."`
	ScanBudget        int           `yaml:"scan_budget" default:"2000" min:"1" max:"1000000" doc:"Vault requests that one scan may spend on reading again what it knows."`
	ScanRate          float64       `yaml:"scan_rate" default:"200" min:"0.001" max:"100000" doc:"Vault requests per second of a scan."`
	ScanMaxMissing    Fraction      `yaml:"scan_max_missing" default:"10%" doc:"The part of the fleet that may be missing in a listing; more stops the scan and alerts."`
	RedisOutageAfter  time.Duration `yaml:"redis_outage_after" default:"30s" doc:"How long Redis must be unreachable before this replica renews from memory what is about to expire."`
}

// Renewal holds the limits of the protocol, the intervals and the waits.
type Renewal struct {
	VaultTimeout         time.Duration   `yaml:"vault_timeout" default:"5s" doc:"Limit of one Vault request. An intent with its read-back takes two."`
	SendDeadline         time.Duration   `yaml:"send_deadline" default:"15s" doc:"From before an intent is written to the first byte of the call. Later than that it is not sent."`
	RotationTimeout      time.Duration   `yaml:"rotation_timeout" default:"120s" doc:"Limit of a call that spends a refresh token. Longer than common gateways': every time-out risks a grant."`
	CallTimeout          time.Duration   `yaml:"call_timeout" default:"20s" doc:"Limit of any other call to a provider."`
	InFlightBound        time.Duration   `yaml:"in_flight_bound" default:"10m" doc:"After how long a call that was sent can no longer have an effect; every replica must have the same."`
	TakeoverAfter        time.Duration   `yaml:"takeover_after" default:"60m" doc:"After how long someone else's open intent may be taken over, once the access token has expired too."`
	TakeoverAfterDormant time.Duration   `yaml:"takeover_after_dormant" default:"24h" doc:"The same for grants of which nobody uses the access token (keep = grant)."`
	LeaseTTL             time.Duration   `yaml:"lease_ttl" default:"60s" min:"1s" doc:"How long a tenant's lease lives without being extended, which happens at a third of it."`
	CommitRetryMax       time.Duration   `yaml:"commit_retry_max" default:"30s" doc:"Longest wait between two tries to commit an answer to Vault."`
	ShutdownGrace        time.Duration   `yaml:"shutdown_grace" default:"150s" doc:"How long a stop waits for calls that were sent. Keep the pod's termination grace above it."`
	FirstIntervalMin     Fraction        `yaml:"first_interval_min" default:"5%" doc:"Earliest first renewal, as a part of the token's lifetime."`
	FirstIntervalMax     Fraction        `yaml:"first_interval_max" default:"65%" doc:"Latest first renewal. Between the two a hash of the ID spreads what was imported together."`
	Interval             Fraction        `yaml:"interval" default:"65%" min:"1%" doc:"When a token is renewed, as a part of its lifetime."`
	IntervalJitter       Fraction        `yaml:"interval_jitter" default:"2%" doc:"How far a renewal may be off that, as a part of the lifetime, either way."`
	BackoffMin           time.Duration   `yaml:"backoff_min" default:"5s" doc:"Wait after the first failure, before jitter. It doubles with each."`
	BackoffMax           time.Duration   `yaml:"backoff_max" default:"10m" doc:"Longest wait after a failure."`
	ClockSkewAllowance   time.Duration   `yaml:"clock_skew_allowance" default:"60s" min:"0s" doc:"How far the clocks of replicas and providers may be apart."`
	GrantWarning         time.Duration   `yaml:"grant_warning" default:"7d" doc:"A rotating grant with less than this left that is not active is a warning in the log, at each scan."`
	GrantCritical        time.Duration   `yaml:"grant_critical" default:"2d" doc:"A rotating grant with less than this left is an error in the log, at each scan."`
	ConfirmRefusals      []time.Duration `yaml:"confirm_refusals" default:"1m,5m" check:",filled" doc:"Waits after which a refused static key is tried again; after a refusal at each it is dead."`
	SpentRetention       time.Duration   `yaml:"spent_retention" default:"15d" doc:"How long hashes of presented refresh tokens are remembered; at least as long as a token lives."`
}

// Providers holds what is known of each provider.
type Providers struct {
	Checkfront Checkfront `yaml:"checkfront" doc:"Checkfront."`
	Bookeo     Bookeo     `yaml:"bookeo" doc:"Bookeo."`
	ClicRDV    ClicRDV    `yaml:"clicrdv" doc:"ClicRDV."`
	Ankor      Ankor      `yaml:"ankor" doc:"Ankor."`
	Kibo       Kibo       `yaml:"kibo" doc:"Kibo."`
	Breaker    Breaker    `yaml:"breaker" doc:"When a host that fails is left alone."`
}

// Limits returns how hard each provider may be called, by the provider's name.
func (p Providers) Limits() map[string]Limits {
	limits := make(map[string]Limits)
	v := reflect.ValueOf(p)
	for i := range v.NumField() {
		if embedded := v.Field(i).FieldByName("Limits"); embedded.IsValid() {
			name, _ := yamlName(v.Type().Field(i))
			limits[name], _ = reflect.TypeAssert[Limits](embedded)
		}
	}
	return limits
}

// Limits says how hard a provider may be called, by all replicas together.
type Limits struct {
	Rate        float64 `yaml:"rate" default:"50" min:"0.001" max:"100000" doc:"Calls per second."`
	Burst       int     `yaml:"burst" default:"100" min:"1" max:"100000" doc:"Calls that may come at once after a quiet time."`
	Concurrency int     `yaml:"concurrency" default:"16" min:"1" max:"4096" doc:"Calls that may be open at once."`
}

// Checkfront is what is known of Checkfront.
type Checkfront struct {
	Limits          `yaml:",inline"`
	AccessLifetime  time.Duration `yaml:"access_lifetime" default:"14000s" doc:"How long an access token lives if the answer does not say, and the most that is believed."`
	GrantLifetime   time.Duration `yaml:"grant_lifetime" default:"14d" doc:"How long a refresh token lives from its issue."`
	DormantInterval time.Duration `yaml:"dormant_interval" default:"10d" doc:"Time between two rotations where only the grant is kept alive (keep = grant)."`
	VerifyEvery     time.Duration `yaml:"verify_every" default:"6h" doc:"How often an API key and secret (token_pair) are verified."`
}

// Bookeo is what is known of Bookeo.
type Bookeo struct {
	Limits      `yaml:",inline"`
	VerifyEvery time.Duration `yaml:"verify_every" default:"6h" doc:"How often a key is verified."`
}

// ClicRDV is what is known of ClicRDV.
type ClicRDV struct {
	Limits      `yaml:",inline"`
	IdleWindow  time.Duration `yaml:"idle_window" default:"1h" doc:"After how long without activity a session ends."`
	TouchEvery  time.Duration `yaml:"touch_every" default:"20m" doc:"How often a session is touched."`
	LatestTouch time.Duration `yaml:"latest_touch" default:"50m" doc:"A session that was not touched for this long is taken for ended."`
	VerifyEvery time.Duration `yaml:"verify_every" default:"6h" doc:"How often e-mail and password (basic) are verified."`
}

// Ankor is what is known of Ankor.
type Ankor struct {
	Limits            `yaml:",inline"`
	AssertionLifetime time.Duration `yaml:"assertion_lifetime" default:"55m" doc:"How long a signed assertion is valid from now."`
	ClockSkew         time.Duration `yaml:"clock_skew" default:"30s" min:"0s" doc:"How far an assertion's iat is set back."`
	MaxLifetime       time.Duration `yaml:"max_lifetime" default:"1h" doc:"The longest that Ankor accepts of an assertion, and the most that is believed of a token."`
}

// Kibo is what is known of Kibo. Its limits are per key set, as Kibo counts; the
// document's example allows one 20 calls a second.
type Kibo struct {
	Limits      `yaml:",inline" defaults:"rate=10 burst=20 concurrency=4"`
	MaxLifetime time.Duration `yaml:"max_lifetime" default:"1h" doc:"The most that is believed of a token's lifetime."`
	TLSCompat   bool          `yaml:"tls_compat" default:"false" doc:"Offer ECDHE-RSA-AES128-CBC-SHA256 to Kibo's API host, which spoke nothing newer in 2016."`
}

// Breaker says when a host that fails is left alone.
type Breaker struct {
	Failures   int           `yaml:"failures" default:"5" min:"1" max:"1000" doc:"Failures in a row that open the breaker."`
	OpenFor    time.Duration `yaml:"open_for" default:"30s" doc:"How long it stays open before the first probe. It doubles with each that fails."`
	OpenForMax time.Duration `yaml:"open_for_max" default:"5m" doc:"The longest that it stays open between two probes."`
}
