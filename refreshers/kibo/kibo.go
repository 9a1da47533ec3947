// Package kibo mints access tokens for Kibo's order management, formerly
// Shopatron, from an API key and its secret.
//
// Its facts are from Kibo's "OMS Documentation: Authentication".
package kibo

import (
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Provider is the name by which stored documents call Kibo.
const Provider = "kibo"

// The OAuth servers of the three environments ("Request the Token").
const (
	LiveURL        = "https://auth.shopatron.com"
	StagingURL     = "https://authstaging.cloudatron.com"
	DevelopmentURL = "https://authdev.cloudatron.com"
)

// LiveAPIURL is what readers of a live token call ("Invoke a REST API"). No
// other environment's API host is documented.
const LiveAPIURL = "https://integration.shopatron.com"

// Settings are the windows of Kibo's method.
type Settings struct {
	// TokenLifetime is the longest that an access token is taken to live. Default
	// 1 hour ("normally 1 hour").
	TokenLifetime time.Duration
}

// DefaultSettings returns the settings that the documentation asks for.
func DefaultSettings() Settings { return Settings{TokenLifetime: time.Hour} }

// Methods returns Kibo's one method, client_credentials.
func Methods(s Settings) []refreshers.Method {
	return []refreshers.Method{{
		Provider: Provider,
		Auth:     "client_credentials",
		Upkeep:   refreshers.Minted,
		Fields: []refreshers.Field{
			{Name: "client_id", Required: true, Secret: true, Doc: "API key", Check: refreshers.CheckUser},
			{Name: "client_secret", Required: true, Secret: true, Doc: "client secret key", Check: refreshers.CheckKey},
			{Name: "environment", Doc: "live (default), staging or development", Check: refreshers.CheckOneOf("live", "staging", "development")},
			{Name: "probe_url", URL: true, Doc: "API URL that each new token is tried on; costs one call of the quota"},
		},
		Hosts:          []string{"*.shopatron.com", "*.cloudatron.com"},
		DefaultBaseURL: baseURL,
		DefaultAPIURL:  apiURL,
		// "Each set of these keys is allotted a certain number of API calls."
		BudgetKey: func(c credential.Credential) string { return c.Fields["client_id"].Hash() },
		Interval:  refreshers.Every(0),
		Refresher: clientCredentials{settings: s},
	}}
}

func baseURL(c credential.Credential) string {
	switch c.Field("environment") {
	case "staging":
		return StagingURL
	case "development":
		return DevelopmentURL
	default:
		return LiveURL
	}
}

func apiURL(c credential.Credential) string {
	if environment := c.Field("environment"); environment == "" || environment == "live" {
		return LiveAPIURL
	}
	return ""
}
