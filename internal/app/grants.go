package app

import (
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/credential"
)

// warnOfGrants says which rotating grants will run out, each time the fleet was
// scanned: a grant lives on only if it is rotated, so one that comes so close to
// its end is in trouble, or paused.
func warnOfGrants(log zerolog.Logger, entries []credential.Entry, now time.Time, warning, critical time.Duration) {
	for _, entry := range entries {
		level := grantLevel(entry.Memo, now, warning, critical)
		if level == zerolog.NoLevel {
			continue
		}
		log.WithLevel(level).Str("tenant", entry.ID.Tenant).Str("credential", entry.ID.Name).
			Str("status", string(entry.Memo.Status)).Time("grant_expires_at", entry.Memo.GrantExpiresAt).
			Msg("the refresh token runs out; if it does, a person must authorize again")
	}
}

// grantLevel says how loudly a grant's end is to be announced; zerolog.NoLevel
// if not at all. An active one comes up at its own time, late as that may be.
func grantLevel(memo credential.Memo, now time.Time, warning, critical time.Duration) zerolog.Level {
	left := memo.GrantExpiresAt.Sub(now)
	if memo.Status == credential.StatusActive {
		warning = critical
	}
	switch {
	case memo.GrantExpiresAt.IsZero() || left >= warning:
		return zerolog.NoLevel
	case left >= critical:
		return zerolog.WarnLevel
	default:
		return zerolog.ErrorLevel
	}
}
