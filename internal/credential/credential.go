package credential

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Credential is one document below credentials/: what a person, an onboarding
// service or Terraform stored. Refresher only reads it.
type Credential struct {
	ID       ID
	Provider string
	// Auth is the method at the provider; empty means the provider's first.
	Auth string
	// BaseURL is where the provider is called; empty means the method's default.
	BaseURL string
	// APIURL is what readers are told to call, when it differs from BaseURL.
	APIURL string
	// Paused means that the provider is not called until a person resumes it.
	Paused bool
	// Fields are all other fields of the document, by name.
	Fields map[string]Secret
	// Version is the document's version in Vault's KV store.
	Version int
	// StoredAt is when Vault stored that version.
	StoredAt time.Time
}

// Field returns the field's text, empty if it is not there.
func (c Credential) Field(name string) string { return c.Fields[name].Reveal() }

// Has reports whether the field is there and not empty.
func (c Credential) Has(name string) bool { return c.Fields[name] != "" }

// Parse makes a Credential of a document as Vault returns it. A document that
// is not flat strings, names no provider, or pauses with a word that is neither
// true nor false is KindMisconfigured, and the error names the field.
func Parse(id ID, data map[string]any) (Credential, error) {
	c := Credential{ID: id, Fields: make(map[string]Secret, len(data))}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		text, ok := data[name].(string)
		if !ok {
			return Credential{}, Misconfigured(c.Provider, "not_flat", fmt.Errorf("field %q holds %s: every field must be a string", name, jsonType(data[name])))
		}
		c.set(name, text)
	}
	switch paused := c.Fields["paused"]; {
	case c.Provider == "":
		return Credential{}, Misconfigured("", "missing_field", errors.New(`field "provider" is missing`))
	case paused == "true":
		c.Paused = true
	case paused != "" && paused != "false":
		return Credential{}, Misconfigured(c.Provider, "bad_field", errors.New(`field "paused" must be "true" or "false"`))
	}
	delete(c.Fields, "paused")
	return c, nil
}

func (c *Credential) set(name, text string) {
	switch name {
	case "provider":
		c.Provider = text
	case "auth":
		c.Auth = text
	case "base_url":
		c.BaseURL = text
	case "api_url":
		c.APIURL = text
	default:
		c.Fields[name] = Secret(text)
	}
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	default:
		return "a number"
	}
}
