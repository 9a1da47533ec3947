package cli

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// clean makes what others wrote fit for one line of a terminal.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return '?'
		}
	}, text)
}

// plainName shows a name that should have been a plain one.
func plainName(name string) string {
	if clean(name) == name && name != "" && strings.TrimSpace(name) == name {
		return name
	}
	return fmt.Sprintf("%q", name)
}

// indent puts a prefix before every line but the first.
func indent(text, prefix string) string {
	return strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+prefix)
}

func joinOr(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// count is "1 field", "2 fields".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// human writes a duration as a person says it, in its two largest units.
func human(d time.Duration) string {
	d = max(d, -d)
	two := func(a time.Duration, an string, b time.Duration, bn string) string {
		if b == 0 {
			return fmt.Sprintf("%d%s", a, an)
		}
		return fmt.Sprintf("%d%s%d%s", a, an, b, bn)
	}
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return two(d/time.Minute, "m", d%time.Minute/time.Second, "s")
	case d < day:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "m")
	default:
		return two(d/day, "d", d%day/time.Hour, "h")
	}
}

// fromNow writes a time as "in 5m" or "5m ago".
func fromNow(t, now time.Time) string {
	if t.After(now) {
		return "in " + human(t.Sub(now))
	}
	return human(now.Sub(t)) + " ago"
}

// when writes a time in full and from now; "-" if it is zero.
func when(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339) + " (" + fromNow(t, now) + ")"
}

// orDash returns the text, or a dash for an empty one.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// didYouMean is the end of a message; empty if there is nothing to suggest.
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", name)
}

// nearest returns the candidate that is most like what was written; empty if
// none is near. The first of equals wins.
func nearest(written string, candidates []string) string {
	if len(written) > 100 {
		return ""
	}
	best, limit := "", max(1, len(fold(written))/3)
	for _, candidate := range candidates {
		if d := distance(fold(written), fold(candidate)); d <= limit {
			best, limit = candidate, d-1
		}
	}
	return best
}

// fold makes apiKey, api-key and API_KEY the same.
func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// distance is the number of letters to insert, delete, change or swap with
// their neighbour to make a into b.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
