package config

import (
	"fmt"
	"strings"
)

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

// unknownKey says that there is no such key below parent, and which might have been meant.
func (s *schema) unknownKey(parent *node, name string) string {
	if strings.Contains(name, ".") && s.byPath[join(parent.path, name)] != nil {
		return "keys are nested in the file: write one part in a line, each below the one before"
	}
	var siblings []string
	for _, c := range parent.children {
		siblings = append(siblings, c.name)
	}
	if sibling := nearest(name, siblings); sibling != "" {
		return "unknown key" + didYouMean(join(parent.path, sibling))
	}
	return s.unknownPath(join(parent.path, name))
}

// unknownPath is unknownKey for a whole path.
func (s *schema) unknownPath(path string) string {
	var all []string
	for _, k := range s.keys {
		if fold(leaf(k.Path)) == fold(leaf(path)) {
			return "unknown key" + didYouMean(k.Path)
		}
		all = append(all, k.Path)
	}
	return "unknown key" + didYouMean(nearest(path, all))
}

// leaf is the last part of a path.
func leaf(path string) string { return path[strings.LastIndex(path, ".")+1:] }

// didYouMean is the end of a message; empty if there is nothing to suggest.
func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", name)
}

// fold makes inFlightBound, in-flight-bound and IN_FLIGHT_BOUND the same.
func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// distance is the number of letters to insert, delete, change or swap with
// their neighbour to make a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
