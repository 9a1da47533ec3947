package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"unicode"

	"refresher/internal/credential"
)

// Codes of the KindAmbiguous errors of this package.
const (
	// CodeNoAnswer: the connection ended, or the caller gave up, before an
	// answer began, or what came is no HTTP.
	CodeNoAnswer = "no_answer"
	// CodeTimeout: the time limit passed before the head of an answer was complete.
	CodeTimeout = "timeout"
	// CodeCut: the connection broke before the head of an answer was complete.
	CodeCut = "cut"
	// CodeSecondCall: the Doer of one call was used again; nothing was sent the
	// second time, but what the first time did is not known here.
	CodeSecondCall = "second_call"
)

var (
	// ErrGuard is in every error of a request that was not allowed to go where
	// it wanted to go.
	ErrGuard = errors.New("the way there is not allowed")
	// ErrSendDeadline is in every error of a request that was not sent because
	// OnceOptions.SendBy had passed.
	ErrSendDeadline = errors.New("send deadline passed")

	errHeadTooLarge = errors.New("the head of the answer is too large")
)

// refusal is an ErrGuard with its own words.
type refusal string

func (r refusal) Error() string        { return string(r) }
func (r refusal) Is(target error) bool { return target == ErrGuard }

// stage is where a request was stopped before any of it was sent. It begins the
// text of the cause.
type stage string

const (
	stageRequest  stage = "request"
	stageGuard    stage = "guard"
	stageDNS      stage = "dns"
	stageRefused  stage = "refused"
	stageConnect  stage = "connect"
	stageProxy    stage = "proxy"
	stageTLS      stage = "tls"
	stageTimeout  stage = "timeout"
	stageCanceled stage = "canceled"
	stageGate     stage = "gate"
	stageDeadline stage = "deadline"
)

// unsentError is why nothing was sent.
type unsentError struct {
	stage stage
	err   error
}

func (e *unsentError) Error() string { return string(e.stage) + ": " + clip(e.err.Error()) }
func (e *unsentError) Unwrap() error { return e.err }

// unsentAt returns err with its stage: its own if it has one, else the one that
// ctx or the kind of error tells, else fallback.
func unsentAt(ctx context.Context, fallback stage, err error) error {
	if _, ok := errors.AsType[*unsentError](err); ok {
		return err
	}
	if r, ok := errors.AsType[refusal](err); ok {
		err = r // without the dialer's words around it
	}
	return &unsentError{stageOf(ctx, fallback, err), err}
}

func stageOf(ctx context.Context, fallback stage, err error) stage {
	if errors.Is(err, ErrGuard) {
		return stageGuard
	}
	if errors.Is(err, context.Canceled) || errors.Is(ctx.Err(), context.Canceled) {
		return stageCanceled
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return stageDNS
	}
	if isTimeout(err) || ctx.Err() != nil {
		return stageTimeout
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return stageRefused
	}
	return fallback
}

// notSent returns the error of a request of which no byte was sent. The cause's
// text must be fit to be shown.
func notSent(cause error) error {
	return &credential.Error{Kind: credential.KindTransient, Code: credential.CodeNotConnected, Err: cause}
}

// unanswered returns the error of a request of which something was sent, or may
// have been, and to which no answer came.
func unanswered(err error) error {
	code, cause := explain(err)
	return &credential.Error{Kind: credential.KindAmbiguous, Code: code, Err: cause}
}

// explain passes on only errors whose text is known to come from the network
// layer: those of HTTP parsers quote what the provider sent.
func explain(err error) (code string, cause error) {
	if isTimeout(err) {
		return CodeTimeout, errors.New("sent, and no answer within the time limit")
	}
	if errors.Is(err, context.Canceled) {
		return CodeNoAnswer, fmt.Errorf("sent, and given up before an answer: %w", context.Canceled)
	}
	if errors.Is(err, errHeadTooLarge) {
		return CodeNoAnswer, fmt.Errorf("sent, and %w", errHeadTooLarge)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return CodeCut, fmt.Errorf("sent, and no answer: %w", e)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return CodeCut, errors.New("sent, and the answer broke off in its head")
	}
	if errors.Is(err, io.EOF) {
		return CodeNoAnswer, errors.New("sent, and the connection was closed without an answer")
	}
	return CodeNoAnswer, errors.New("sent, and no answer that is HTTP")
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// clip makes text that others wrote fit for one line of a message.
func clip(text string) string {
	const most = 240
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
