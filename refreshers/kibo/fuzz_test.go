package kibo

import (
	"net/http"
	"testing"
	"time"

	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

// FuzzPlan reads the X-Plan headers of any answer: numbers are counts or unknown,
// and a wait is never longer than one that is believed.
func FuzzPlan(f *testing.F) {
	f.Add("20", "3", "50000", "50000", "Friday, January 29, 2016 7:00:00 PM GMT", "")
	f.Add("-7", "", "99999999999999999999", " 7 ", "Friday, January 29, 2016 7:00:00 PM EST", "120")
	f.Add("0", "0", "0", "0", "Sunday, January 1, 9999 0:00:00 AM UTC", "Thu, 04 Mar 2021 05:07:07 GMT")
	f.Fuzz(func(t *testing.T, qps, qpsNow, quota, quotaNow, reset, retryAfter string) {
		header := http.Header{}
		for name, value := range map[string]string{
			"X-Plan-Qps-Allotted": qps, "X-Plan-Qps-Current": qpsNow, "X-Plan-Quota-Allotted": quota,
			"X-Plan-Quota-Current": quotaNow, "X-Plan-Quota-Reset": reset, "Retry-After": retryAfter,
		} {
			header[name] = []string{value}
		}
		plan := ParsePlan(header)
		for _, n := range []int{plan.QPSAllotted, plan.QPSCurrent, plan.QuotaAllotted, plan.QuotaCurrent} {
			if n < -1 {
				t.Errorf("%d calls", n)
			}
		}
		if _, offset := plan.QuotaReset.Zone(); offset != 0 {
			t.Errorf("a reset at %s", plan.QuotaReset)
		}
		if plan.OverQuota() && plan.QuotaAllotted < 0 {
			t.Error("over a quota that nobody named")
		}
		a := refresherstest.JSON(http.StatusTooManyRequests, "")
		a.Header = header
		if d := wait(a); d < 0 || d > refreshers.MaxRetryAfter || !throttled(a) {
			t.Errorf("to wait %s", d)
		}
		if d := wait(a); d > 0 && retryAfter == "" && plan.QuotaReset.Before(a.StartedAt.Add(d-time.Second)) {
			t.Errorf("to wait %s for a reset at %s", d, plan.QuotaReset)
		}
	})
}
