package clicrdv

import (
	"context"
	"crypto/sha1" //nolint:gosec // what the provider takes for a password
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// loginRequest builds the login ("Sessions"). The document's example has the
// parameters in the URL; a form keeps them out of logs, and is taken as well.
func loginRequest(ctx context.Context, c credential.Credential) (*http.Request, error) {
	userType := c.Field("user_type")
	return refreshers.PostForm(ctx, Provider, withKey(c, "/api/v1/sessions/login.json"), url.Values{
		userType + "[email]":    {c.Field("email")},
		userType + "[password]": {hashedPassword(c)},
	})
}

// hashedPassword returns the password as the login wants it: the lowercase hex of
// its SHA-1 ("le mot de passe doit être encodé en SHA1").
func hashedPassword(c credential.Credential) string {
	if c.Has("password_sha1") {
		return c.Field("password_sha1")
	}
	sum := sha1.Sum([]byte(c.Field("password"))) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

// judgeLogin returns the new session's cookie. A login succeeded only if all hold:
// status 200, a user object, no error, and a cookie.
func judgeLogin(c credential.Credential, a refreshers.Answer) (string, error) {
	o, readable := a.Object()
	if a.Unauthorized() || readable && o.Has("error") && refusing(a.Status) {
		return "", refusedLogin(c, a)
	}
	_, pro := o.Object("pro")
	_, account := o.Object("account")
	cookie, state := sessionCookie(a)
	switch {
	case a.Status != http.StatusOK || !readable:
		return "", refreshers.Undecided(Provider, a)
	case !pro && !account || state != cookieIssued:
		return "", a.Fail(credential.KindTransient, Provider, "no_session", "the login was answered without an error, and without a user or a session")
	}
	return cookie, nil
}

// refusing reports whether an error in an answer of this status is about the
// login, and not about a provider in trouble.
func refusing(status int) bool {
	return slices.Contains([]int{http.StatusOK, http.StatusBadRequest, http.StatusUnprocessableEntity}, status)
}

// refusedLogin names the fields that a person has to look at.
func refusedLogin(c credential.Credential, a refreshers.Answer) error {
	password := "password"
	if c.Has("password_sha1") {
		password = "password_sha1"
	}
	code := "login_refused"
	if a.Unauthorized() {
		code = refreshers.HTTPCode(a.Status)
	}
	return refreshers.WrongFields(Provider, code, "the provider refuses the login", "email", password, "user_type", "api_key")
}
