package vault

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/hashicorp/vault/api"

	"refresher/internal/credential"
)

// Error is a request to Vault that did not succeed.
//
// errors.Is finds credential.ErrConflict, credential.ErrNotFound, or the cause
// (such as context.DeadlineExceeded) of a request that was not answered.
type Error struct {
	// Op is the operation as it stands in metrics, such as "grant.write".
	Op string
	// Path is the API path, without /v1/.
	Path string
	// Status is the HTTP status of the answer; 0 if there was none.
	Status int
	// Messages are what Vault said.
	Messages []string
	Err      error
}

// Error says operation, path, status and what Vault said, in one line.
func (e *Error) Error() string {
	parts := []string{"vault: " + e.Op + " " + e.Path}
	if e.Status != 0 {
		parts = append(parts, strconv.Itoa(e.Status))
	}
	parts = append(parts, e.Messages...)
	if e.Err != nil {
		// The library makes a plain error of what an answer to a write says beside its
		// data, and joined errors have a line each.
		parts = append(parts, oneLine(e.Err.Error()))
	}
	return strings.Join(parts, ": ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Reason returns a short word for metrics that says why a request failed:
// "conflict", "not_found", "malformed", "denied", "sealed", "rate_limited",
// "standby" (a standby or a secondary, which serves nobody itself), "timeout",
// "canceled", "unreachable", "refused" (another 4xx), "failed" (another 5xx), or
// "other". It is "ok" for nil.
func Reason(err error) string {
	e, isAnswer := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, credential.ErrConflict):
		return "conflict"
	case errors.Is(err, credential.ErrNotFound):
		return "not_found"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case credential.KindOf(err) == credential.KindMisconfigured:
		return "malformed"
	case !isAnswer:
		return "other"
	}
	return e.reason()
}

func (e *Error) reason() string {
	switch {
	case e.Status == 0:
		return "unreachable"
	case e.Status == http.StatusForbidden:
		return "denied"
	case e.Status == http.StatusServiceUnavailable && strings.Contains(strings.Join(e.Messages, " "), "sealed"):
		return "sealed"
	case e.Status == http.StatusTooManyRequests:
		return "rate_limited"
	case standbys[e.Status] != "":
		return "standby"
	case e.Status >= 500:
		return "failed"
	case e.Status >= 400:
		return "refused"
	default:
		return "other"
	}
}

// standbys are what a server is that answers so: it serves nobody until it is the active
// one, or passes requests on again.
var standbys = map[int]string{
	472: "this Vault is a disaster recovery secondary",
	473: "this Vault is a performance standby",
}

// casMismatch is how KV version 2 says that a check-and-set found another version.
const casMismatch = "check-and-set parameter did not match"

// maxMessage bounds what of Vault's words gets into an error.
const maxMessage = 300

// failure turns what the library returned into an Error. It drops the body of an
// answer that is not Vault's own JSON: it may come from anything in between.
func failure(op, path string, err error) *Error {
	e := &Error{Op: op, Path: path}
	answer, ok := errors.AsType[*api.ResponseError](err)
	if !ok {
		e.Err = withoutURL(err)
		return e
	}
	e.Status = answer.StatusCode
	if standby := standbys[e.Status]; standby != "" {
		e.Messages = append(e.Messages, standby)
	}
	if answer.RawError {
		e.Messages = append(e.Messages, "the answer is not Vault's")
		return e
	}
	for _, m := range answer.Errors {
		if strings.Contains(m, casMismatch) && e.Status == http.StatusBadRequest {
			e.Err = credential.ErrConflict
		}
		e.Messages = append(e.Messages, oneLine(m))
	}
	return e
}

// oneLine makes a line of Vault's "2 errors occurred:\n\t* permission denied\n…".
func oneLine(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

// withoutURL returns the cause of an error of net/url or net/http, which would
// show the address, and with it perhaps a password.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
