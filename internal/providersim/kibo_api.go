package providersim

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	masheryError = "X-Mashery-Error-Code"
	overQPS      = "ERR_403_DEVELOPER_OVER_QPS"
	overQuota    = "ERR_403_DEVELOPER_OVER_RATE"
	// quotaResetLayout is the document's, which is no HTTP date.
	quotaResetLayout = "Monday, January 2, 2006 3:04:05 PM MST"
)

// kiboPlan counts the API calls of one set of keys.
type kiboPlan struct {
	spec           ClientSpec
	second, period time.Duration // in our time
	secondBegan    time.Time
	periodBegan    time.Time
	inSecond       int
	inPeriod       int
}

func newKiboPlan(spec ClientSpec, opts Options) kiboPlan {
	return kiboPlan{spec: spec, second: opts.scaled(time.Second), period: opts.scaled(spec.Period)}
}

// take counts a call, and returns "" or the code with which it is refused. A refused call is not counted.
func (p *kiboPlan) take(now time.Time) string {
	p.roll(now)
	switch {
	case p.inSecond >= p.spec.QPS:
		return overQPS
	case p.inPeriod >= p.spec.Quota:
		return overQuota
	}
	p.inSecond++
	p.inPeriod++
	return ""
}

// roll begins a new second and a new period when it is time.
func (p *kiboPlan) roll(now time.Time) {
	if began := now.Truncate(p.second); !began.Equal(p.secondBegan) {
		p.secondBegan, p.inSecond = began, 0
	}
	if began := now.Truncate(p.period); !began.Equal(p.periodBegan) {
		p.periodBegan, p.inPeriod = began, 0
	}
}

// tell writes the plan's headers, which every API answer has.
func (p *kiboPlan) tell(h http.Header) {
	h.Set("X-Plan-Qps-Allotted", strconv.Itoa(p.spec.QPS))
	h.Set("X-Plan-Qps-Current", strconv.Itoa(p.inSecond))
	h.Set("X-Plan-Quota-Allotted", strconv.Itoa(p.spec.Quota))
	h.Set("X-Plan-Quota-Current", strconv.Itoa(p.inPeriod))
	reset := p.periodBegan.Add(p.period).In(time.FixedZone("GMT", 0))
	h.Set("X-Plan-Quota-Reset", reset.Format(quotaResetLayout))
}

// api asks the gateway for the plan first, as Mashery does, and then the API for the token. A check costs nothing.
func (k *Kibo) api(r *request, e *Event) answer {
	c := k.clients[r.Header.Get("Api-Key")]
	if c == nil {
		e.Result = ResultUnknownKey
		a := kiboError(http.StatusForbidden, "unknown API-Key")
		a.header.Set(masheryError, "ERR_403_DEVELOPER_INACTIVE")
		return a
	}
	if !r.peek {
		if code := c.plan.take(r.now); code != "" {
			e.Result = ResultThrottled
			a := kiboError(http.StatusForbidden, "plan exceeded")
			a.header.Set(masheryError, code)
			c.plan.tell(a.header)
			return a
		}
	}
	a := k.location(c, r, e)
	if !r.peek {
		c.plan.tell(a.header)
	}
	return a
}

func (k *Kibo) location(c *kiboClient, r *request, e *Event) answer {
	token, ok := r.bearer()
	t, known := k.tokens[token]
	switch {
	case !ok:
		e.Result = ResultAnonymous
	case !known || t.client != c:
		e.Result = ResultRefused
	case !r.now.Before(t.expires):
		e.Result = ResultExpired
	default:
		e.Result = ResultOK
	}
	if e.Result != ResultOK {
		return kiboError(c.spec.RefuseStatus, "the token is not valid")
	}
	id := strings.TrimPrefix(r.URL.Path, kiboLocationPath)
	if id == r.URL.Path || id == "" || strings.Contains(id, "/") {
		e.Result = ResultNotFound
		return kiboError(http.StatusNotFound, "not found")
	}
	return jsonAnswer(http.StatusOK, map[string]any{"locationID": id, "name": "Simulated location", "active": true})
}
