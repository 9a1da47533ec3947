package refresherstest

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"refresher/refreshers"
)

// class says what a bad answer is about, which is what its kind of error follows
// from.
type class int

const (
	throttle class = iota // the provider asks to slow down
	outage                // the provider is in trouble
	garbage               // a 200 that is not what is documented
	redirect              // the provider wants to send us elsewhere
	refusal               // the provider refuses something, in words that are nobody's
)

// bad is a bad answer.
type bad struct {
	name   string
	class  class
	answer refreshers.Answer
	// wait is the Retry-After that the error must carry.
	wait time.Duration
}

// badAnswers returns every kind of bad answer; success is a good one, to be
// spoiled.
func badAnswers(success refreshers.Answer) []bad {
	const page = "<!DOCTYPE html><html><title>" + marker + "</title></html>"
	html := func(status int) refreshers.Answer {
		a := JSON(status, page)
		a.Header = http.Header{"Content-Type": {"text/html"}, "X-Marker": {marker}}
		return a
	}
	later := func(a refreshers.Answer, value string) refreshers.Answer { return With(a, "Retry-After", value) }
	date := Start().Add(90 * time.Second).Format(http.TimeFormat)
	object := `{"error":"` + marker + `","error_description":"` + marker + `","message":"` + marker + `"}`
	to := func(status int) refreshers.Answer {
		return With(html(status), "Location", "https://elsewhere.example/?secret="+marker)
	}
	return []bad{
		{"429", throttle, html(429), 0},
		{"429 in JSON", throttle, JSON(429, object), 0},
		{"429 with seconds", throttle, later(html(429), "120"), 2 * time.Minute},
		{"429 with a date", throttle, later(html(429), date), 90 * time.Second},
		{"429 with an absurd wait", throttle, later(html(429), "99999999999999999999"), refreshers.MaxRetryAfter},
		{"429 with a wait below zero", throttle, later(html(429), "-5"), 0},
		{"429 with no wait that can be read", throttle, later(html(429), marker), 0},
		{"500", outage, html(500), 0},
		{"500 in JSON", outage, JSON(500, object), 0},
		{"502", outage, html(502), 0},
		{"503", outage, html(503), 0},
		{"503 with seconds", outage, later(html(503), "30"), 30 * time.Second},
		{"503 with a date", outage, later(html(503), date), 90 * time.Second},
		{"504", outage, html(504), 0},
		{"200 in HTML", garbage, html(200), 0},
		{"200 empty", garbage, JSON(200, ""), 0},
		{"204", garbage, JSON(204, ""), 0},
		{"200 null", garbage, JSON(200, "null"), 0},
		{"200 with a list", garbage, JSON(200, `["`+marker+`"]`), 0},
		{"200 with text", garbage, JSON(200, `"`+marker+`"`), 0},
		{"200 cut off", garbage, cut(success), 0},
		{"200 with something behind", garbage, followed(success), 0},
		{"200 too large", garbage, padded(success), 0},
		{"301", redirect, to(301), 0},
		{"302", redirect, to(302), 0},
		{"307", redirect, to(307), 0},
		{"200 with an error", refusal, JSON(200, object), 0},
		{"400", refusal, JSON(400, object), 0},
		{"400 in HTML", refusal, html(400), 0},
		{"401", refusal, JSON(401, object), 0},
		{"401 in HTML", refusal, html(401), 0},
		{"403", refusal, JSON(403, object), 0},
		{"403 in HTML", refusal, html(403), 0},
		{"404", refusal, html(404), 0},
		{"418", refusal, JSON(418, object), 0},
	}
}

// cut returns the answer without its second half.
func cut(a refreshers.Answer) refreshers.Answer {
	a.Body, a.Truncated = a.Body[:len(a.Body)/2], true
	return a
}

// followed returns the answer with something behind its object.
func followed(a refreshers.Answer) refreshers.Answer {
	a.Body = append(bytes.Clone(a.Body), `<!-- `+marker+` -->`...)
	return a
}

// padded returns the answer with more in it than is ever parsed.
func padded(a refreshers.Answer) refreshers.Answer {
	padding := `{"padding":"` + strings.Repeat("x", refreshers.MaxParse) + `",`
	a.Body = append([]byte(padding), bytes.TrimPrefix(bytes.TrimSpace(a.Body), []byte("{"))...)
	return a
}
