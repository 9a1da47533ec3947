package cli

import (
	"errors"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/vault"
)

// Words beside the statuses of a token that the list shows.
const (
	// statusInvalidName: what is in Vault under this name cannot be a credential.
	statusInvalidName = "invalid_name"
	// statusDeleted: the credential was deleted, and its token is not blanked yet.
	statusDeleted = "deleted"
	// statusUnreadable: Vault did not let it be read.
	statusUnreadable = "unreadable"
)

// statusWords are all words that the list shows.
func statusWords() []string {
	var words []string
	for _, s := range credential.Statuses() {
		words = append(words, string(s))
	}
	return append(words, statusInvalidName, statusDeleted, statusUnreadable)
}

// found is what Vault has on one credential.
type found struct {
	cred credential.Credential
	// credErr is why cred cannot be used; nil if it can.
	credErr  error
	token    credential.Token
	tokenErr error
	// wrong is what the service will find wrong with the fields, if it has not
	// looked at them yet.
	wrong error
}

// unreadable returns the error that kept one of the documents from being read.
func (f found) unreadable() error {
	for _, err := range []error{f.credErr, f.tokenErr} {
		if err != nil && !errors.Is(err, credential.ErrNotFound) && credential.KindOf(err) != credential.KindMisconfigured {
			return err
		}
	}
	return nil
}

// gone reports whether there is nothing left to say: the credential is deleted,
// and its token blanked or never published.
func (f found) gone() bool {
	return errors.Is(f.credErr, credential.ErrNotFound) && f.tokenErr == nil &&
		(f.token.Status == "" || f.token.Status == credential.StatusRemoved)
}

// standing says how a credential fares, and what a person should know. It is
// what the service has published, unless more is known by now, or less because
// the credential itself cannot be read.
func (f found) standing(now time.Time) (status, message string) {
	t := f.token
	unread := f.unreadable()
	switch {
	case unread != nil && t.Status == "":
		return statusUnreadable, shortReason(unread)
	case f.credErr != nil && unread == nil:
		return f.unusable()
	case f.tokenErr != nil:
		return statusUnreadable, "its token document is broken; delete it, and it is published anew (" + sentence(f.tokenErr) + ")"
	case f.cred.Paused:
		return string(credential.StatusPaused), pausedMessage(t)
	case t.Status == "" || t.Status == credential.StatusRemoved:
		return f.unvisited()
	case f.overdue(now):
		return string(credential.StatusExpired), overdueMessage(t)
	default:
		return string(t.Status), t.Message
	}
}

// unusable is the standing of a credential that is deleted or broken.
func (f found) unusable() (status, message string) {
	switch {
	case f.gone():
		return string(credential.StatusRemoved), f.token.Message
	case errors.Is(f.credErr, credential.ErrNotFound):
		return statusDeleted, "its token is blanked at the service's next scan"
	default:
		return string(credential.StatusMisconfigured), sentence(f.credErr)
	}
}

// unvisited is the standing of a credential that the service has not seen.
func (f found) unvisited() (status, message string) {
	if f.wrong != nil {
		return string(credential.StatusMisconfigured), sentence(f.wrong)
	}
	return string(credential.StatusPending), ""
}

// pausedMessage leaves out what was published before the pause, unless it is worse.
func pausedMessage(t credential.Token) string {
	if t.Status == credential.StatusNeedsAuthorization || t.Status == credential.StatusMisconfigured {
		return t.Message
	}
	return ""
}

// overdue reports whether a token expired while the service says that it serves. Nobody uses
// the access token of a dormant grant.
func (f found) overdue(now time.Time) bool {
	serves := f.token.Status == credential.StatusActive && f.cred.Field("keep") != "grant" || f.token.Status == credential.StatusRetrying
	return serves && f.token.Expired(now)
}

func overdueMessage(t credential.Token) string {
	const text = "it expired and nobody has said so: does the service run?"
	if t.Message == "" {
		return text
	}
	return text + " Before that: " + t.Message
}

// sentence is what an error says of a document, without the words around it.
func sentence(err error) string { return strings.Join(problemsOf(err), "; ") }

// shortReason is why Vault did not answer, in a few words.
func shortReason(err error) string {
	switch reason := vault.Reason(err); reason {
	case "denied":
		return "Vault denies reading it"
	case "unreachable", "timeout", "sealed", "standby":
		return "Vault cannot be read: " + reason
	default:
		return "it cannot be read from Vault"
	}
}
