package kibo

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"refresher/refreshers"
)

// Plan is what an API answer says of the budget of a key set ("Rates & Limits").
// A number that the answer does not have is -1, and so is one that is none.
type Plan struct {
	// QPSAllotted and QPSCurrent are calls per second.
	QPSAllotted, QPSCurrent int
	// QuotaAllotted and QuotaCurrent are calls per hour or per day.
	QuotaAllotted, QuotaCurrent int
	// QuotaReset is when the quota begins anew, zero if the answer does not say.
	QuotaReset time.Time
}

// resetLayout is how the documentation writes the reset, which is no HTTP date:
// "Friday, January 29, 2016 7:00:00 PM GMT".
const resetLayout = "Monday, January 2, 2006 3:04:05 PM MST"

// ParsePlan reads the X-Plan headers of an answer.
func ParsePlan(h http.Header) Plan {
	return Plan{
		QPSAllotted:   count(h.Get("X-Plan-QPS-Allotted")),
		QPSCurrent:    count(h.Get("X-Plan-QPS-Current")),
		QuotaAllotted: count(h.Get("X-Plan-Quota-Allotted")),
		QuotaCurrent:  count(h.Get("X-Plan-Quota-Current")),
		QuotaReset:    resetTime(h.Get("X-Plan-Quota-Reset")),
	}
}

func count(text string) int {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// resetTime parses a reset. Only GMT and UTC are taken: the name of any other
// zone does not say how far it is from them, and is read as if it were.
func resetTime(text string) time.Time {
	t, err := time.ParseInLocation(resetLayout, strings.TrimSpace(text), time.UTC)
	if err != nil {
		return time.Time{}
	}
	if zone, _ := t.Zone(); zone != "GMT" && zone != "UTC" {
		return time.Time{}
	}
	return t.UTC()
}

// OverQuota reports whether the plan's quota is used up.
func (p Plan) OverQuota() bool { return p.QuotaAllotted >= 0 && p.QuotaCurrent >= p.QuotaAllotted }

// throttled reports whether an answer is about the plan's limits and not about
// the credentials: 429, or a 403 that says so in a header of the gateway's.
func throttled(a refreshers.Answer) bool {
	if a.Status == http.StatusTooManyRequests {
		return true
	}
	code := strings.ToUpper(a.Header.Get("X-Mashery-Error-Code"))
	return a.Status == http.StatusForbidden && (strings.Contains(code, "_OVER_QPS") || strings.Contains(code, "_OVER_RATE"))
}

// wait returns how long a throttled answer asks to wait: what its Retry-After
// says, else until the quota begins anew if it is used up, else zero.
func wait(a refreshers.Answer) time.Duration {
	if d := a.RetryAfter(); d > 0 {
		return d
	}
	if plan := ParsePlan(a.Header); plan.OverQuota() && !plan.QuotaReset.IsZero() {
		return a.Until(plan.QuotaReset)
	}
	return 0
}
