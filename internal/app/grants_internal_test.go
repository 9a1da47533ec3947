package app

import (
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/credential"
)

func TestGrantsThatRunOutAreAnnounced(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Now()
	for name, tc := range map[string]struct {
		expires time.Time
		status  credential.Status
		level   string
	}{
		"no grant":               {time.Time{}, credential.StatusPaused, ""},
		"young":                  {now.Add(8 * day), credential.StatusPaused, ""},
		"a week left":            {now.Add(7*day - 1), credential.StatusPaused, "warn"},
		"a week left, active":    {now.Add(7*day - 1), credential.StatusActive, ""},
		"two days left":          {now.Add(2 * day), credential.StatusRetrying, "warn"},
		"less than that":         {now.Add(2*day - 1), credential.StatusRetrying, "error"},
		"less than that, active": {now.Add(2*day - 1), credential.StatusActive, "error"},
		"over":                   {now.Add(-day), credential.StatusExpired, "error"},
	} {
		var out strings.Builder
		entry := credential.Entry{ID: credential.ID{Tenant: "acme", Name: "main"}, Memo: credential.Memo{GrantExpiresAt: tc.expires, Status: tc.status}}
		warnOfGrants(zerolog.New(&out), []credential.Entry{entry}, now, 7*day, 2*day)
		if tc.level == "" && out.Len() > 0 || tc.level != "" && !strings.Contains(out.String(), `"level":"`+tc.level+`","tenant":"acme","credential":"main"`) {
			t.Errorf("%s: %q, want level %q", name, out.String(), tc.level)
		}
	}
}
