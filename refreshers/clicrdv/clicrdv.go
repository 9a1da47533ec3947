// Package clicrdv keeps ClicRDV credentials alive: a session that is touched
// before it idles out, or a password that is verified.
//
// A session's renewal, step by step:
//
//	published cookie, last touch recent? ── no ──────────────┐
//	          │ yes                                          │
//	        touch ── lives ──> same session, later expiry    │
//	          │ no                                           v
//	          └────────────────────────────────────────>  log in ── refused ──> misconfigured
//	                                                         │
//	                              nothing published before?  │  published before
//	                        ┌────────── yes ─────────────────┴──> new session
//	                        v
//	       probe with the cookie, and without: do they differ? ── no ──> misconfigured: probe_path
//	                        └─ yes ──> new session
//
// Its facts are from ClicRDV's "Authentification API".
package clicrdv

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Provider is the name by which stored documents call ClicRDV.
const Provider = "clicrdv"

// The hosts of the two environments; each has API keys of its own ("Clé
// d'utilisation API").
const (
	ProductionURL = "https://www.clicrdv.com"
	SandboxURL    = "https://sandbox.clicrdv.com"
)

// Settings are the windows and intervals of ClicRDV's methods.
type Settings struct {
	// IdleWindow is how long a session lives without a call. Default 1 hour
	// ("Les sessions expirent au bout d'une heure d'inactivité").
	IdleWindow time.Duration
	// TouchEvery is the time between two touches. Default 20 minutes, so that two may fail.
	TouchEvery time.Duration
	// LatestTouch is how long after the last touch another one is worth trying;
	// then a login comes straight away. Default 50 minutes.
	LatestTouch time.Duration
	// VerifyEvery is the time between two checks of a password. Default 6 hours.
	VerifyEvery time.Duration
	// Now tells how old the last touch is, before anything is sent; answers are
	// judged without it. Nil means time.Now.
	Now func() time.Time
}

// DefaultSettings returns the settings that the documentation asks for.
func DefaultSettings() Settings {
	return Settings{
		IdleWindow:  time.Hour,
		TouchEvery:  20 * time.Minute,
		LatestTouch: 50 * time.Minute,
		VerifyEvery: 6 * time.Hour,
	}
}

// Methods returns ClicRDV's methods, the default one first: session and basic.
func Methods(s Settings) []refreshers.Method {
	if s.Now == nil {
		s.Now = time.Now
	}
	hosts := []string{"*.clicrdv.com"}
	apiKey := refreshers.Field{Name: "api_key", Required: true, Secret: true, Doc: "API key of the application, for this environment", Check: refreshers.CheckKey}
	email := refreshers.Field{Name: "email", Required: true, Doc: "e-mail address that the user logs in with", Check: refreshers.CheckUser}
	environment := refreshers.Field{Name: "environment", Doc: "production (default) or sandbox", Check: refreshers.CheckOneOf("production", "sandbox")}
	probePath := refreshers.Field{Name: "probe_path", Doc: "path, with its query, that only a logged-in user is answered; default /api/v1/groups.json", Check: checkPath}
	return []refreshers.Method{
		{
			Provider: Provider,
			Auth:     "session",
			Upkeep:   refreshers.Session,
			Fields: []refreshers.Field{
				apiKey, email,
				{Name: "password", Secret: true, Doc: "password of the user; or password_sha1", Check: refreshers.CheckPassword},
				{Name: "password_sha1", Secret: true, Doc: "SHA-1 of the password in lowercase hex, in the place of password", Check: checkSHA1},
				{Name: "user_type", Required: true, Doc: "pro for the agenda API, account for the booking API", Check: refreshers.CheckOneOf("pro", "account")},
				environment, probePath,
			},
			Check:          checkOnePassword,
			Hosts:          hosts,
			DefaultBaseURL: baseURL,
			Interval:       refreshers.Every(s.TouchEvery),
			Refresher:      session{settings: s},
		},
		{
			Provider: Provider,
			Auth:     "basic",
			Upkeep:   refreshers.Static,
			Fields: []refreshers.Field{
				apiKey, email,
				{Name: "password", Required: true, Secret: true, Doc: "password of the user", Check: refreshers.CheckPassword},
				environment, probePath,
			},
			Hosts:          hosts,
			DefaultBaseURL: baseURL,
			Interval:       refreshers.Every(s.VerifyEvery),
			Refresher:      basic{},
		},
	}
}

func baseURL(c credential.Credential) string {
	if c.Field("environment") == "sandbox" {
		return SandboxURL
	}
	return ProductionURL
}

// checkPath is a Field.Check for a path on the provider's own host.
func checkPath(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(value, "/") || strings.ContainsAny(value, "#\\ ") {
		return errors.New("must be a path that begins with a slash, such as /api/v1/groups.json")
	}
	if u.Query().Has("apikey") {
		return errors.New("must not hold the apikey, which is added to it")
	}
	return nil
}

var sha1Hex = regexp.MustCompile(`^[0-9a-f]{40}$`)

func checkSHA1(value string) error {
	if !sha1Hex.MatchString(value) {
		return errors.New("must be 40 lowercase hexadecimal digits")
	}
	return nil
}

func checkOnePassword(c credential.Credential) error {
	if c.Has("password") == c.Has("password_sha1") {
		return errors.New(`fields "password" and "password_sha1": store exactly one of them`)
	}
	return nil
}
