package credential

import (
	"fmt"
	"regexp"
	"strings"
)

// part is what a tenant and a name look like. Both become part of a path in
// Vault and of a key in Redis, so nothing else ever gets near one.
var part = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ID names one stored credential: whose it is, and which of theirs.
type ID struct {
	Tenant string
	Name   string
}

// NewID returns the ID of a tenant's credential, or an error that says which
// part is not a valid name.
func NewID(tenant, name string) (ID, error) {
	if err := CheckName("tenant", tenant); err != nil {
		return ID{}, err
	}
	if err := CheckName("name", name); err != nil {
		return ID{}, err
	}
	return ID{Tenant: tenant, Name: name}, nil
}

// ParseID reads "tenant/name", the form that String writes.
func ParseID(s string) (ID, error) {
	tenant, name, ok := strings.Cut(s, "/")
	if !ok {
		return ID{}, fmt.Errorf("%q is not a credential: want tenant/name", s)
	}
	return NewID(tenant, name)
}

// CheckName reports whether value can be a tenant or a name; what says which,
// for the error.
func CheckName(what, value string) error {
	if part.MatchString(value) {
		return nil
	}
	return fmt.Errorf("%s %q is not valid: use 1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit", what, value)
}

// String returns "tenant/name".
func (id ID) String() string { return id.Tenant + "/" + id.Name }
