package bookeo

import (
	"slices"
	"strings"
)

// split returns the permissions of a list, separated by commas or white space, in
// lower case.
func split(list string) []string {
	return strings.FieldsFunc(strings.ToLower(list), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}

// missing returns those of the wanted permissions that the held ones neither are
// nor imply, in the order in which they were wanted.
func missing(wanted, held []string) []string {
	return slices.DeleteFunc(slices.Clone(wanted), func(w string) bool {
		return slices.ContainsFunc(held, func(h string) bool { return implies(h, w) })
	})
}

// implies reports whether who holds one permission may do all that the other
// allows. The document says so of "all" and "own"; that a wider right includes
// the narrower one ("rwd" reads, too) follows from what it says the rights are.
func implies(held, wanted string) bool {
	if held == wanted {
		return true
	}
	h, ok := parse(held)
	if !ok {
		return false
	}
	w, ok := parse(wanted)
	if !ok || h.subject != w.subject || !strings.HasPrefix(h.rights, w.rights) {
		return false
	}
	return h.scope == w.scope || h.scope == "all" && w.scope == "own"
}

// permission is one such as bookings_rw_all in its parts.
type permission struct {
	subject string // bookings
	rights  string // r, rw or rwd
	scope   string // all, own, or nothing, as in availability_r
}

// parse takes a permission apart; it reports false for a name of another shape,
// which then equals itself and nothing else.
func parse(name string) (permission, bool) {
	subject, rest, ok := strings.Cut(name, "_")
	if !ok || subject == "" {
		return permission{}, false
	}
	rights, scope, _ := strings.Cut(rest, "_")
	if !slices.Contains([]string{"r", "rw", "rwd"}, rights) || !slices.Contains([]string{"", "own", "all"}, scope) {
		return permission{}, false
	}
	return permission{subject: subject, rights: rights, scope: scope}, true
}
