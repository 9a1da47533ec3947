package refreshers

import (
	"bytes"
	"encoding/json"
	"strings"
)

// MaxParse is how much of an answer's body is parsed, in bytes. What is longer
// is no answer that one of these providers gives, and is not looked at.
const MaxParse = 64 << 10

// Object is a JSON object that a provider answered with; its values are parsed
// when they are asked for.
type Object map[string]json.RawMessage

// Object parses the body as one JSON object. It reports false if the body is
// anything else: empty, broken off, longer than MaxParse, HTML, a list, or an
// object that something follows. An object that is whole counts though the
// connection broke behind it: it may hold the only copy of a refresh token.
func (a Answer) Object() (Object, bool) {
	if len(a.Body) > MaxParse {
		return nil, false
	}
	// Some servers put a byte order mark in front, which is no JSON.
	body := bytes.TrimPrefix(a.Body, []byte("\xef\xbb\xbf"))
	var o Object
	if err := json.Unmarshal(body, &o); err != nil || o == nil {
		return nil, false
	}
	return o, true
}

// Has reports whether the field is there and not null.
func (o Object) Has(name string) bool {
	raw, ok := o[name]
	return ok && string(raw) != "null"
}

// Text returns a field that is a string. It returns false if the field is not
// there or is anything else.
func (o Object) Text(name string) (string, bool) {
	var s string
	if !o.Has(name) || json.Unmarshal(o[name], &s) != nil {
		return "", false
	}
	return s, true
}

// List reports whether the field is a JSON array, of whatever.
func (o Object) List(name string) bool {
	return bytes.HasPrefix(o[name], []byte("["))
}

// Object returns a field that is itself an object. It returns false if the field
// is not there or is anything else.
func (o Object) Object(name string) (Object, bool) {
	var inner Object
	if json.Unmarshal(o[name], &inner) != nil || inner == nil {
		return nil, false
	}
	return inner, true
}

// HasError reports whether the field "error" says that something went wrong: it
// is there, and neither null nor one of the ways to write "none".
func (o Object) HasError() bool {
	switch string(o["error"]) {
	case "", "null", "false", "0", `""`, "[]", "{}":
		return false
	}
	return true
}

// Bearer reports whether the answer's token_type is "bearer" in any case (RFC
// 6749, section 7.1), or is left out, as some providers do.
func (o Object) Bearer() bool {
	if !o.Has("token_type") {
		return true
	}
	t, ok := o.Text("token_type")
	return ok && strings.EqualFold(t, "bearer")
}

// The OAuth error codes that methods decide by.
const (
	CodeInvalidGrant       = "invalid_grant"
	CodeInvalidClient      = "invalid_client"
	CodeUnauthorizedClient = "unauthorized_client"
	CodeInvalidScope       = "invalid_scope"
)

// OAuthCode returns the error code of an answer (RFC 6749, section 5.2), or ""
// if it has none or one that is not known: what is returned is safe to log, for
// it comes from a fixed set. The code may stand in "error" itself or, in what
// providers make of it, in "code", "error" or "type" of an object there.
func (o Object) OAuthCode() string {
	text, ok := o.Text("error")
	if ok {
		return knownCode(text)
	}
	inner, _ := o.Object("error")
	for _, name := range []string{"code", "error", "type"} {
		if text, ok := inner.Text(name); ok {
			if code := knownCode(text); code != "" {
				return code
			}
		}
	}
	return ""
}

// knownCode returns the constant that text spells, or "".
func knownCode(text string) string {
	for _, code := range []string{
		CodeInvalidGrant, CodeInvalidClient, CodeUnauthorizedClient, CodeInvalidScope,
		"invalid_request", "unsupported_grant_type", "access_denied", "server_error", "temporarily_unavailable",
	} {
		if strings.EqualFold(strings.TrimSpace(text), code) {
			return code
		}
	}
	return ""
}

// Printable reports whether a token can stand in a header: visible ASCII
// throughout (RFC 6749, appendix A.12, without the space, which no bearer token has).
func Printable(token string) bool {
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return false
		}
	}
	return token != ""
}
