package renewal

import (
	"context"
	"errors"
	"time"

	"refresher/internal/credential"
)

// reading is what a check-and-set of a grant rests on: the version of its document, and
// since when it is known. A version number alone says nothing after a restore of
// Vault, which takes the numbers back, so that one comes round again to a worker that
// stood still meanwhile. Nothing is therefore written on the strength of an old reading.
type reading struct {
	version int
	// at is when the request was sent that brought the version.
	at time.Time
}

// errOldReading means that nothing was written because the document was read too long ago.
var errOldReading = errors.New("this process stood still, or Vault was slow, since the grant was read; it is read again first")

// old reports whether what was read by a request sent at that time is too old to write on.
func (l Limits) old(at, now time.Time) bool { return age(at, now) > l.SendDeadline }

// age is how long ago something was by the clock that says more: the monotonic one stands
// still while a machine is suspended, and the wall clock may be put back.
func age(at, now time.Time) time.Duration {
	return max(now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

// readGrant reads a grant.
func (e *Engine) readGrant(ctx context.Context, id credential.ID) (credential.Grant, reading, error) {
	at := time.Now()
	grant, version, err := e.Grants.Grant(ctx, id)
	return grant, reading{version, at}, err
}

// writeGrant writes a grant over what was read, with check-and-set. It fails with
// errOldReading, and sends nothing, if that was too long ago.
func (e *Engine) writeGrant(ctx context.Context, id credential.ID, next credential.Grant, over reading) (reading, error) {
	now := time.Now()
	if e.limits.old(over.at, now) {
		return reading{}, errOldReading
	}
	version, err := e.Grants.PutGrant(ctx, id, next, over.version)
	return reading{version, now}, err
}

// readIntentAgain reads the grant once more, and reports whether it still holds the open
// intent that t goes by. An attempt's ID is random, so no other document has it.
func (e *Engine) readIntentAgain(ctx context.Context, t *turn) (credential.Grant, bool, error) {
	doc, read, err := e.readGrant(ctx, t.entry.ID)
	if err != nil || read.version != t.read.version || doc.Intent == nil || doc.Intent.Attempt != t.grant.Intent.Attempt {
		return doc, false, err
	}
	t.read = read
	return doc, true, nil
}
