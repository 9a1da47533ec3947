package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"refresher/internal/credential"
)

// Fraction is a part of a whole, from 0 to 1, written as "65%" or "0.65".
type Fraction float64

const (
	day = 24 * time.Hour
	// maxDays is more than any key means, and little enough that sums do not overflow.
	maxDays = 3650
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	fractionType = reflect.TypeFor[Fraction]()
	secretType   = reflect.TypeFor[credential.Secret]()
)

var days = regexp.MustCompile(`^([0-9]+)d(.*)$`)

// ParseDuration reads a duration in Go's syntax, in which whole days ("d") may
// come first: "14d", "1d12h", "90s". Negative ones and those over ten years are errors.
func ParseDuration(text string) (time.Duration, error) {
	whole, rest := 0, text
	if m := days.FindStringSubmatch(text); m != nil {
		whole, rest = maxDays+1, m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			whole = min(n, maxDays+1)
		}
	}
	total := time.Duration(whole) * day
	if rest != "" || text == "" {
		d, err := time.ParseDuration(rest)
		if err != nil || (rest != text && strings.ContainsAny(rest[:1], "+-")) {
			return 0, durationError(text)
		}
		if d < 0 {
			return 0, errors.New("must not be negative")
		}
		total += min(d, (maxDays+1)*day)
	}
	if total > maxDays*day {
		return 0, errors.New("is too long: ten years at the most")
	}
	return total, nil
}

func durationError(text string) error {
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return fmt.Errorf("has no unit: write %ss, or use m, h or d", text)
	}
	return errors.New("is not a duration such as 90s, 10m, 1h30m or 14d")
}

// FormatDuration writes a duration as ParseDuration reads it, as short as it can be.
func FormatDuration(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	if n := d / day; n > 0 {
		fmt.Fprintf(&b, "%dd", n)
		d %= day
	}
	if d == 0 {
		return b.String()
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return b.String() + text
}

func parseFraction(text string) (Fraction, error) {
	number, percent := strings.CutSuffix(text, "%")
	f, err := parseFloat(strings.TrimSpace(number))
	if err != nil {
		return 0, errors.New("is not a fraction such as 65% or 0.65")
	}
	if percent {
		f /= 100
	}
	if f < 0 || f > 1 {
		return 0, errors.New("must be from 0% to 100%")
	}
	return Fraction(f), nil
}

func formatFraction(f Fraction) string {
	percent := strconv.FormatFloat(math.Round(float64(f)*1e8)/1e6, 'f', -1, 64) + "%"
	if back, err := parseFraction(percent); err != nil || back != f {
		return strconv.FormatFloat(float64(f), 'g', -1, 64)
	}
	return percent
}

func parseFloat(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, errors.New("is not a number")
	}
	return f, nil
}

// parseText reads one value of a type. Its errors say what is wrong with the
// text without repeating it, since it may be a secret.
func parseText(t reflect.Type, text string) (reflect.Value, error) {
	if t.Kind() != reflect.String {
		text = strings.TrimSpace(text)
	}
	var v any
	var err error
	switch {
	case t == durationType:
		v, err = ParseDuration(text)
	case t == fractionType:
		v, err = parseFraction(text)
	case t.Kind() == reflect.String:
		v, err = reflect.ValueOf(text).Convert(t).Interface(), printable(text)
	case t.Kind() == reflect.Bool:
		v = text == "true"
		if text != "true" && text != "false" {
			err = errors.New("is neither true nor false")
		}
	case t.Kind() == reflect.Int:
		if v, err = strconv.Atoi(text); err != nil {
			err = errors.New("is not a whole number")
		}
	default:
		v, err = parseFloat(text)
	}
	return reflect.ValueOf(v), err
}

// printable refuses what is a slip of whoever stored the text, such as the line
// break that `echo` appends to a token.
func printable(text string) error {
	switch {
	case strings.TrimRight(text, "\r\n") != text:
		return errors.New("ends with a line break: remove it")
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }):
		return errors.New("holds a control character")
	}
	return nil
}

// formatText is the inverse of parseText. Secrets come out in the clear.
func formatText(v reflect.Value) string {
	switch {
	case v.Type() == durationType:
		return FormatDuration(time.Duration(v.Int()))
	case v.Type() == fractionType:
		return formatFraction(Fraction(v.Float()))
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.Kind() == reflect.Int:
		return strconv.FormatInt(v.Int(), 10)
	default:
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
}

// formatAll is formatText for a key's value, which may be a list.
func formatAll(v reflect.Value) []string {
	if v.Kind() != reflect.Slice {
		return []string{formatText(v)}
	}
	texts := make([]string, v.Len())
	for i := range texts {
		texts[i] = formatText(v.Index(i))
	}
	return texts
}
