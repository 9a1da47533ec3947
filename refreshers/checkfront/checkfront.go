// Package checkfront keeps Checkfront credentials alive: an OAuth2 grant with a
// refresh token that can be spent once, or a key pair that is verified.
//
// Its facts are from Checkfront's "Connecting to the API"; what that leaves open
// is decided so that no grant is lost.
package checkfront

import (
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Provider is the name by which stored documents call Checkfront.
const Provider = "checkfront"

// Settings are the windows and intervals of Checkfront's methods.
type Settings struct {
	// AccessLifetime is how long an access token lives, and the most that an
	// answer's expires_in is taken for. Default 14,000 s ("Access Token").
	AccessLifetime time.Duration
	// GrantLifetime is how long a refresh token lives from its issue. Default 14
	// days ("Refresh Token").
	GrantLifetime time.Duration
	// DormantInterval is the time between two rotations of a credential that keeps its
	// grant alone. Default 10 days: four before the grant is lost.
	DormantInterval time.Duration
	// VerifyEvery is the time between two checks of a key pair. Default 6 hours.
	VerifyEvery time.Duration
}

// DefaultSettings returns the settings that the documentation asks for.
func DefaultSettings() Settings {
	return Settings{
		AccessLifetime:  14000 * time.Second,
		GrantLifetime:   14 * 24 * time.Hour,
		DormantInterval: 10 * 24 * time.Hour,
		VerifyEvery:     6 * time.Hour,
	}
}

var hosts = []string{"*.checkfront.com"}

// Methods returns Checkfront's methods, the default one first: oauth2 and
// token_pair. Both need a base_url, because each company has a host of its own.
func Methods(s Settings) []refreshers.Method {
	return []refreshers.Method{
		{
			Provider: Provider,
			Auth:     "oauth2",
			Upkeep:   refreshers.Rotating,
			Fields: []refreshers.Field{
				{Name: "client_id", Required: true, Doc: "consumer key of the application", Check: refreshers.CheckUser},
				{Name: "client_secret", Required: true, Secret: true, Doc: "consumer secret of the application", Check: refreshers.CheckKey},
				{Name: "refresh_token", Required: true, Secret: true, Doc: "refresh token from the last authorization", Check: refreshers.CheckKey},
				{Name: "refresh_token_issued_at", Doc: "when it was issued, as RFC 3339; default: when the document was stored", Check: refreshers.CheckTime},
				{Name: "keep", Doc: `"access" (default), or "grant" to keep only the grant alive`, Check: refreshers.CheckOneOf("access", "grant")},
			},
			Hosts:           hosts,
			Interval:        refreshers.Every(0),
			Render:          render,
			GrantLifetime:   s.GrantLifetime,
			DormantInterval: s.DormantInterval,
			Refresher:       oauth2{lifetime: s.AccessLifetime},
		},
		{
			Provider: Provider,
			Auth:     "token_pair",
			Upkeep:   refreshers.Static,
			Fields: []refreshers.Field{
				{Name: "api_key", Required: true, Secret: true, Doc: "API key of the application", Check: refreshers.CheckUser},
				{Name: "api_secret", Required: true, Secret: true, Doc: "API secret of the application", Check: refreshers.CheckKey},
			},
			Hosts:     hosts,
			Interval:  refreshers.Every(s.VerifyEvery),
			Refresher: tokenPair{},
		},
	}
}

// tokenType is the scheme as the document writes it ("Access Token": "BEARER").
const tokenType = "BEARER"

// render returns what readers put on a call with an access token. The consumer
// key and secret are no part of it: an API call that carries them is refused.
func render(_ credential.Credential, accessToken credential.Secret) map[string]credential.Secret {
	return authorization(tokenType + " " + accessToken)
}

func authorization(value credential.Secret) map[string]credential.Secret {
	return map[string]credential.Secret{"Authorization": value}
}
