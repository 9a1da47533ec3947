// Package bookeo verifies Bookeo's API keys, which never expire but can be
// revoked by the business that gave them.
//
// Its facts are from Bookeo's "Application authorization" page.
package bookeo

import (
	"errors"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Provider is the name by which stored documents call Bookeo.
const Provider = "bookeo"

// BaseURL is where Bookeo's API is called unless a credential says otherwise.
const BaseURL = "https://api.bookeo.com/v2"

// Settings are the intervals of Bookeo's method.
type Settings struct {
	// VerifyEvery is the time between two checks of a key. Default 6 hours.
	VerifyEvery time.Duration
}

// DefaultSettings returns the settings that suit the documented behaviour.
func DefaultSettings() Settings { return Settings{VerifyEvery: 6 * time.Hour} }

// Methods returns Bookeo's one method, api_key.
func Methods(s Settings) []refreshers.Method {
	return []refreshers.Method{{
		Provider: Provider,
		Auth:     "api_key",
		Upkeep:   refreshers.Static,
		Fields: []refreshers.Field{
			{Name: "api_key", Required: true, Secret: true, Doc: "API key of the account", Check: refreshers.CheckKey},
			{Name: "secret_key", Required: true, Secret: true, Doc: "secret key of the application", Check: refreshers.CheckKey},
			{Name: "account_id", Doc: "account that the key must belong to", Check: refreshers.CheckKey},
			{Name: "required_permissions", Doc: "permissions that the key must have, separated by commas or spaces", Check: checkPermissions},
		},
		Hosts:          []string{"*.bookeo.com"},
		DefaultBaseURL: func(credential.Credential) string { return BaseURL },
		Interval:       refreshers.Every(s.VerifyEvery),
		Refresher:      apiKey{},
	}}
}

// checkPermissions is a Field.Check for a list of permissions.
func checkPermissions(value string) error {
	names := split(value)
	if len(names) == 0 {
		return errors.New("holds no permission")
	}
	for _, name := range names {
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return errors.New("must hold permissions such as bookings_rw_all, separated by commas or spaces")
		}
	}
	return nil
}
