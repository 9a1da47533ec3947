package ankor

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// audience is whom an assertion is for ("Audience - ankor.io"). It goes out as a
// string: the document has one, and a library's habit of writing an array of one
// is not taken everywhere.
const audience = "ankor.io"

// maxAssertion is the longest that an assertion may live: "less than 1 hour from
// issued at".
const maxAssertion = time.Hour - time.Second

// assertion signs the JWT that is exchanged for a token ("Pre-requisites for
// constructing the JWT"), and returns it with its exp. The document leaves the
// header's section empty; kid is what every such server finds the key by.
func assertion(c credential.Credential, s Settings, attempt string) (string, time.Time, error) {
	key, err := parsePrivateKey(c.Field("private_key"))
	if err != nil {
		return "", time.Time{}, refreshers.WrongFields(Provider, "bad_field", err.Error(), "private_key")
	}
	scopes := c.Field("scopes")
	if scopes == "" {
		scopes = DefaultScopes
	}
	issued := s.Now().Add(-s.ClockSkew).Truncate(time.Second)
	expires := issued.Add(min(s.AssertionLifetime, maxAssertion)).Truncate(time.Second)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"scopes": strings.Fields(scopes),
		"iss":    c.Field("company_uri"),
		"sub":    c.Field("company_uri"),
		"aud":    audience,
		"iat":    issued.Unix(),
		"exp":    expires.Unix(),
		// The attempt alone would do, were the same Call never made twice.
		"jti": attempt + "-" + rand.Text(),
	})
	token.Header["kid"] = c.Field("key_id")
	signed, err := token.SignedString(key)
	if err != nil {
		return "", time.Time{}, refreshers.WrongFields(Provider, "bad_field", "cannot sign with RS256; is the key shorter than 1024 bits?", "private_key")
	}
	return signed, expires, nil
}
