package refreshers

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that a Retry-After is taken at its word for:
// the longest period that a documented quota has (kibo.txt: "per hour or per day").
const MaxRetryAfter = 24 * time.Hour

// Oddity says what is wrong with a lifetime in an answer. It is a sentence's
// end, fit for a warning, and quotes nothing.
type Oddity string

// What can be wrong with a lifetime.
const (
	// OddNothing: it is as documented.
	OddNothing Oddity = ""
	// OddMissing: the answer has none.
	OddMissing Oddity = "is missing"
	// OddNumber: it is neither a number nor a string that holds one.
	OddNumber Oddity = "is not a number"
	// OddNotPositive: it is zero or negative.
	OddNotPositive Oddity = "is zero or negative"
	// OddTooLong: it is longer than the documented maximum.
	OddTooLong Oddity = "is longer than the documented maximum"
)

// Number returns a field that is a JSON number, or a string that holds one. It
// returns false if the field is there but anything else; a number too large for
// a float64 is +Inf or -Inf.
func (o Object) Number(name string) (float64, bool) {
	text, ok := o.Text(name)
	if !ok {
		text = string(o[name])
	}
	text = strings.TrimSpace(text)
	// ParseFloat knows more than numbers, such as "Inf" and "0x1p-2".
	if text == "" || !strings.ContainsRune("-0123456789", rune(text[0])) || !json.Valid([]byte(text)) {
		return 0, false
	}
	n, _ := strconv.ParseFloat(text, 64) // out of range is infinite, which is right
	return n, true
}

// Lifetime returns a lifetime in seconds, at most limit. An Oddity but
// OddNothing comes with limit, but for OddNotPositive, which comes with zero;
// whether an odd lifetime is refused, or limit is used, is the method's choice.
func (o Object) Lifetime(name string, limit time.Duration) (time.Duration, Oddity) {
	if !o.Has(name) {
		return limit, OddMissing
	}
	n, ok := o.Number(name)
	if !ok {
		return limit, OddNumber
	}
	if n > limit.Seconds() {
		return limit, OddTooLong
	}
	d := time.Duration(max(n, 0) * float64(time.Second))
	if d == 0 { // less than a nanosecond is nothing, too
		return 0, OddNotPositive
	}
	return d, OddNothing
}

// RetryAfter returns how long the answer asks to wait (RFC 9110, section
// 10.2.3), at most MaxRetryAfter, or zero if it does not ask. A date counts from
// when the request was started, since an answer is judged without a clock.
func (a Answer) RetryAfter() time.Duration {
	text := strings.TrimSpace(a.Header.Get("Retry-After"))
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) { // out of range is the nearest that is in it
		seconds = min(max(seconds, 0), int64(MaxRetryAfter/time.Second))
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return a.Until(date)
}

// Until returns the time from the start of the request to t, between zero and
// MaxRetryAfter.
func (a Answer) Until(t time.Time) time.Duration {
	return min(max(t.Sub(a.StartedAt), 0), MaxRetryAfter)
}
