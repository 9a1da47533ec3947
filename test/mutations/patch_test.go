package mutations

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// patch is one mutation.
type patch struct {
	name string
	path string
	// breaks are the first lines: what is removed, and what no longer holds.
	breaks string
	// files are what it changes, from the root of the repository.
	files []string
	red   []witness // each of them must see it
}

// witness is who must see a mutation.
type witness struct {
	// Package and tests of the service's module; empty if it is the order of system calls.
	pkg   string
	tests []string
}

var (
	redLine   = regexp.MustCompile(`(?m)^# Red: (.+)$`)
	fileLine  = regexp.MustCompile(`(?m)^--- a/(.+)$`)
	invariant = regexp.MustCompile(`\bI([1-9]|10)\b`)
)

// parsePatch reads a patch and what it says of itself.
func parsePatch(path string, text string) (patch, error) {
	p := patch{name: strings.TrimSuffix(filepath.Base(path), ".patch"), path: path}
	head, _, _ := strings.Cut(text, "\n#\n")
	p.breaks = strings.Join(strings.Fields(strings.ReplaceAll(head, "#", "")), " ")
	if !strings.HasPrefix(text, "# ") || !invariant.MatchString(p.breaks) {
		return patch{}, errors.New("its first lines must say what it removes and which invariant (I1 to I10) that breaks")
	}
	for _, red := range redLine.FindAllStringSubmatch(text, -1) {
		var w witness
		if words := strings.Fields(red[1]); red[1] != "system calls" {
			w = witness{words[0], words[1:]}
			if !strings.HasPrefix(w.pkg, "./") || len(w.tests) == 0 {
				return patch{}, fmt.Errorf("%q names no package and its tests", red[1])
			}
		}
		p.red = append(p.red, w)
	}
	if len(p.red) == 0 {
		return patch{}, errors.New(`it must say who sees it: "# Red: ./PACKAGE TestNAME..." or "# Red: system calls"`)
	}
	for _, file := range fileLine.FindAllStringSubmatch(text, -1) {
		p.files = append(p.files, file[1])
	}
	if len(p.files) == 0 {
		return patch{}, errors.New("it changes no file")
	}
	return p, nil
}

// patches returns all that there are.
func patches(t *testing.T) []patch {
	t.Helper()
	paths, err := filepath.Glob("*.patch")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no patches here (%v)", err)
	}
	all := make([]patch, 0, len(paths))
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		p, err := parsePatch(path, string(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, p)
	}
	return all
}

// root is the root of the repository, and of the service's module.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// apply patches copies of the files, and returns the overlay that puts them in the
// place of the originals.
func (p patch) apply(t *testing.T) string {
	t.Helper()
	dir, replace := t.TempDir(), map[string]string{}
	for _, file := range p.files {
		original, mutated := filepath.Join(root(t), file), filepath.Join(dir, file)
		text, err := os.ReadFile(original)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(mutated), 0o700)
		}
		if err == nil {
			err = os.WriteFile(mutated, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		replace[original] = mutated
	}
	path, err := filepath.Abs(p.path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "git", "apply", path)
	// In a repository git would leave out, without a word, what is not below its root.
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GIT_DIR=", "GIT_CEILING_DIRECTORIES="+filepath.Dir(dir))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s no longer applies (%v); make it anew, as doc.go says:\n%s", p.path, err, out)
	}
	overlay := filepath.Join(dir, "overlay.json")
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(overlay, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return overlay
}

// TestParsePatch: a patch that does not say what it is for is refused.
func TestParsePatch(t *testing.T) {
	t.Parallel()
	const diff = "\n--- a/x/y.go\n+++ b/x/y.go\n@@ -1 +1 @@\n-a\n+b\n"
	for name, tc := range map[string]struct {
		text string
		want string
	}{
		"tests":                 {"# No fence,\n# I1.\n#\n# Red: ./x TestA TestB\n" + diff, "No fence, I1. | [{./x [TestA TestB]}] [x/y.go] <nil>"},
		"system calls":          {"# No fsync, I2.\n#\n# Red: system calls\n" + diff, "No fsync, I2. | [{ []}] [x/y.go] <nil>"},
		"both":                  {"# No fsync, I2.\n#\n# Red: ./x TestA\n# Red: system calls\n" + diff, "[{./x [TestA]} { []}]"},
		"no invariant":          {"# No fence.\n#\n# Red: ./x TestA\n" + diff, "its first lines must say"},
		"no word":               {"#\n# Red: ./x TestI1\n" + diff, "its first lines must say"},
		"a diff alone":          {diff, "its first lines must say"},
		"nobody sees it":        {"# No fence, I1.\n#\n" + diff, "it must say who sees it"},
		"no test":               {"# No fence, I1.\n#\n# Red: ./x\n" + diff, "names no package and its tests"},
		"no package":            {"# No fence, I1.\n#\n# Red: TestA TestB\n" + diff, "names no package and its tests"},
		"nothing changes in it": {"# No fence, I1.\n#\n# Red: ./x TestA\n", "it changes no file"},
	} {
		p, err := parsePatch("a.patch", tc.text)
		got := fmt.Sprintf("%s | %v %v %v", p.breaks, p.red, p.files, err)
		if !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
}
