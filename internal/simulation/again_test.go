package simulation

import (
	"fmt"
	"testing"
)

// TestAgain: a seed that is played again takes the same way, to the last effect.
func TestAgain(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3, 5, 7, 11, 13, 17, 20639, 5001} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			first, second := play(t, seed, true), play(t, seed, true)
			sameStory(t, seed, first.story, second.story)
		})
	}
}

// sameStory fails at the first line in which two stories differ.
func sameStory(t *testing.T, seed uint64, first, second []string) {
	t.Helper()
	for i := range min(len(first), len(second)) {
		if first[i] != second[i] {
			t.Errorf("seed %d is told in two ways, from line %d of %d on:\n%s\n%s", seed, i+1, len(first), first[i], second[i])
			return
		}
	}
	if len(first) != len(second) {
		t.Errorf("seed %d is told in %d lines, and in %d", seed, len(first), len(second))
	}
}
