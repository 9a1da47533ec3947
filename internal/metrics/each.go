package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"refresher/internal/credential"
)

// eachCredential exports those that are most in need one by one: what does not
// serve, then what ends soonest.
func (f *fleet) eachCredential(gauge func(*prometheus.Desc, float64, ...string), entries []credential.Entry, now time.Time) {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b credential.Entry) int {
		aServes, bServes := statusOf(a.Memo, now) == string(credential.StatusActive), statusOf(b.Memo, now) == string(credential.StatusActive)
		switch {
		case aServes != bServes && bServes:
			return -1
		case aServes != bServes:
			return 1
		default:
			return endOf(a.Memo).Compare(endOf(b.Memo))
		}
	})
	shown := entries[:min(f.max, len(entries))]
	for _, e := range shown {
		provider := f.label(e.Memo.Provider)
		gauge(f.status, 1, e.ID.Tenant, e.ID.Name, provider, statusOf(e.Memo, now))
		if !e.Memo.ExpiresAt.IsZero() && !e.Memo.Dormant {
			gauge(f.expiry, float64(e.Memo.ExpiresAt.Unix()), e.ID.Tenant, e.ID.Name, provider)
		}
		if !e.Memo.GrantExpiresAt.IsZero() {
			gauge(f.grantExpiry, float64(e.Memo.GrantExpiresAt.Unix()), e.ID.Tenant, e.ID.Name, provider)
		}
	}
	gauge(f.unshown, float64(len(entries)-len(shown)))
}

// endOf returns when the first of a credential's token and grant ends. Nobody waits
// for a dormant token's end.
func endOf(memo credential.Memo) time.Time {
	end := time.Unix(1<<40, 0)
	if memo.Dormant {
		memo.ExpiresAt = time.Time{}
	}
	for _, t := range []time.Time{memo.ExpiresAt, memo.GrantExpiresAt} {
		if !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	return end
}
