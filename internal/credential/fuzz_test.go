package credential_test

import (
	"strings"
	"testing"

	"refresher/internal/credential"
)

// FuzzID: what is taken for an ID is written as it was read, and is safe in a path
// of Vault's and a key of Redis's.
func FuzzID(f *testing.F) {
	for _, text := range []string{"acme/main", "a/b/c", "../x", "acme/", "/", "acme/main\n", "ACME/main", "a_-/0", "acme/é", "acme/%2e%2e"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := credential.ParseID(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error has several lines: %q", err)
			}
			return
		}
		if id.String() != text || len(text) > 2*63+1 || strings.Count(text, "/") != 1 || strings.ContainsAny(text, ".%{}:\r\n \\") {
			t.Errorf("%q is taken for %+v", text, id)
		}
	})
}
