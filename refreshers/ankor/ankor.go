// Package ankor mints Ankor access tokens: it signs an assertion with a
// company's private key and exchanges it for a token.
//
// Its facts are from Ankor's "Getting started with API Integration -
// Authentication process".
package ankor

import (
	"errors"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// Provider is the name by which stored documents call Ankor.
const Provider = "ankor"

// BaseURL is where Ankor is called unless a credential says otherwise.
const BaseURL = "https://api.ankor.io"

// DefaultScopes are what an assertion asks for unless the credential says
// otherwise: what retail agents use ("Scopes").
const DefaultScopes = "website:read:*"

// Settings are the windows of Ankor's method.
type Settings struct {
	// TokenLifetime is the longest that an access token is taken to live. Default
	// 1 hour ("Access tokens have limited lifetimes, 1 hour at most").
	TokenLifetime time.Duration
	// AssertionLifetime is the time from an assertion's iat to its exp. Default 55
	// minutes; it "must be less than 1 hour from issued at".
	AssertionLifetime time.Duration
	// ClockSkew is how far iat is set back, in case the provider's clock is behind.
	// Default 30 s.
	ClockSkew time.Duration
	// Now is the clock for iat; answers are judged without it. Nil means time.Now.
	Now func() time.Time
}

// DefaultSettings returns the settings that the documentation asks for.
func DefaultSettings() Settings {
	return Settings{TokenLifetime: time.Hour, AssertionLifetime: 55 * time.Minute, ClockSkew: 30 * time.Second}
}

// Methods returns Ankor's one method, jwt_bearer.
func Methods(s Settings) []refreshers.Method {
	if s.Now == nil {
		s.Now = time.Now
	}
	return []refreshers.Method{{
		Provider: Provider,
		Auth:     "jwt_bearer",
		Upkeep:   refreshers.Minted,
		Fields: []refreshers.Field{
			{Name: "company_uri", Required: true, Doc: "Company URL from the settings page, to the letter", Check: refreshers.CheckKey},
			{Name: "key_id", Required: true, Doc: "Key ID (KID) of the key pair", Check: refreshers.CheckKey},
			{Name: "private_key", Required: true, Secret: true, Doc: "private key of the pair, in PEM", Check: checkPrivateKey},
			{Name: "scopes", Doc: "scopes to ask for, separated by spaces; default " + DefaultScopes, Check: checkScopes},
		},
		Hosts:          []string{"*.ankor.io"},
		DefaultBaseURL: func(credential.Credential) string { return BaseURL },
		Interval:       refreshers.Every(0),
		Refresher:      jwtBearer{settings: s},
	}}
}

func checkPrivateKey(value string) error {
	_, err := parsePrivateKey(value)
	return err
}

// checkScopes is a Field.Check for scopes as RFC 6749, section 3.3, spells them.
func checkScopes(value string) error {
	scopes := strings.Fields(value)
	if len(scopes) == 0 {
		return errors.New("holds no scope")
	}
	for _, scope := range scopes {
		if !refreshers.Printable(scope) || strings.ContainsAny(scope, `",;\`) {
			return errors.New("must hold scopes such as website:read:*, separated by spaces")
		}
	}
	return nil
}
