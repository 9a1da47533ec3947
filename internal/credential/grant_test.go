package credential_test

import (
	"fmt"
	"testing"
	"time"

	"refresher/internal/credential"
)

func TestGrantKnowsItsTokens(t *testing.T) {
	t.Parallel()
	var g credential.Grant
	token := func(n int) credential.Secret { return credential.Secret(fmt.Sprintf("token-%d", n)) }
	for n := range 300 {
		g.Replace(token(n))
		g.Replace(token(n)) // the same again
	}
	if g.RefreshToken != token(299) || len(g.Former) != 256 {
		t.Errorf("it holds %d former tokens", len(g.Former))
	}
	for n, held := range map[int]bool{299: true, 298: true, 43: true, 42: false, 300: false} {
		if g.Held(token(n)) != held {
			t.Errorf("token %d: held %v, want %v", n, !held, held)
		}
	}
	if new(credential.Grant).Held("a-seed") {
		t.Error("a grant that is not there yet has held a token")
	}
}

// TestRememberedSeedIsNotTheLast: the last seed says whose authorization the living
// token comes from.
func TestRememberedSeedIsNotTheLast(t *testing.T) {
	t.Parallel()
	g := credential.Grant{Seeds: []string{"first", "newest"}}
	g.Remember("a-copy")
	if len(g.Seeds) != 3 || g.Seeds[2] != "newest" || !g.Adopted("a-copy") {
		t.Errorf("seeds %v", g.Seeds)
	}
	g = credential.Grant{}
	g.Remember("a-copy")
	if !g.Adopted("a-copy") {
		t.Error("the first seed is not remembered")
	}
}

// TestEdited: version numbers begin anew after "metadata delete" and go back when
// Vault is restored, so the time counts too, where it is known.
func TestEdited(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	seen := credential.Memo{CredentialVersion: 3, CredentialStoredAt: at}
	for name, tc := range map[string]struct {
		memo   credential.Memo
		cred   credential.Credential
		edited bool
	}{
		"the same":                   {seen, credential.Credential{Version: 3, StoredAt: at}, false},
		"another version":            {seen, credential.Credential{Version: 4, StoredAt: at}, true},
		"the same number, anew":      {seen, credential.Credential{Version: 3, StoredAt: at.Add(time.Second)}, true},
		"never acted on":             {credential.Memo{}, credential.Credential{Version: 3, StoredAt: at}, false},
		"by a version without times": {credential.Memo{CredentialVersion: 3}, credential.Credential{Version: 3, StoredAt: at}, false},
	} {
		if tc.memo.Edited(tc.cred) != tc.edited {
			t.Errorf("%s: edited %v, want %v", name, !tc.edited, tc.edited)
		}
	}
}
