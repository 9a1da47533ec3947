package renewal_test

import (
	"os"
	"path/filepath"
	"testing"
)

// breakSpool makes a spool unable to take another answer, for root too, by
// putting a file where its folder is.
func breakSpool(t *testing.T, dir string) (brk, mend func()) {
	t.Helper()
	answers, away := filepath.Join(dir, "answers"), filepath.Join(dir, "away")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
			must(os.Rename(answers, away))
			must(os.WriteFile(answers, nil, 0o600))
		}, func() {
			must(os.Remove(answers))
			must(os.Rename(away, answers))
		}
}
