package scheduler

import (
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/credential"
	"refresher/internal/renewal"
)

// report is the one line that the log gets of a visit.
func (s *Scheduler) report(entry credential.Entry, outcome renewal.Outcome, took time.Duration) {
	level, msg := describe(outcome)
	s.Log.WithLevel(level).
		Str("tenant", entry.ID.Tenant).Str("credential", entry.ID.Name).
		Str("provider", outcome.Memo.Provider).Str("auth", outcome.Memo.Auth).
		Str("result", outcome.Result).Str("status", string(outcome.Memo.Status)).
		AnErr("error", outcome.Err).Dur("took_ms", took).Func(func(line *zerolog.Event) {
		if !outcome.Due.IsZero() {
			line.Time("next", outcome.Due)
		}
	}).Msg(msg)
}

// describe picks a level and words. What needs a person is an error, what mends
// itself a warning, and what went well is quiet.
func describe(outcome renewal.Outcome) (zerolog.Level, string) {
	switch outcome.Result {
	case renewal.ResultRenewed:
		return zerolog.InfoLevel, "renewed"
	case renewal.ResultRecovered:
		return zerolog.InfoLevel, "recovered"
	case renewal.ResultRemoved:
		return zerolog.InfoLevel, "removed"
	case renewal.ResultGone:
		return zerolog.WarnLevel, "the credential is not in Vault; the next scan decides"
	case renewal.ResultFailed:
		switch outcome.Memo.Status {
		case credential.StatusNeedsAuthorization:
			return zerolog.ErrorLevel, "a person must authorize again"
		case credential.StatusMisconfigured:
			return zerolog.ErrorLevel, "a person must correct the stored credential"
		case credential.StatusExpired:
			return zerolog.ErrorLevel, "the token has expired and could not be renewed yet"
		}
		return zerolog.WarnLevel, "not renewed; it will be tried again"
	default:
		return zerolog.DebugLevel, outcome.Result
	}
}
