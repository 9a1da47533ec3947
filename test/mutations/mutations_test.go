package mutations

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestWhole: what must see the mutations is green without them.
func TestWhole(t *testing.T) {
	tests := map[string][]string{}
	for _, p := range patches(t) {
		for _, w := range p.red {
			tests[w.pkg] = append(tests[w.pkg], w.tests...)
		}
	}
	delete(tests, "") // TestOrderOfSystemCalls sees to those
	for _, pkg := range slices.Sorted(maps.Keys(tests)) {
		names := slices.Compact(slices.Sorted(slices.Values(tests[pkg])))
		got := run(t, witness{pkg, names}, "")
		for _, name := range names {
			if got.results[name] != "pass" {
				t.Errorf("%s %s: got %q without any mutation, want pass\n%s", pkg, name, got.results[name], got.output)
			}
		}
	}
}

// TestMutations: each of them is seen by whom it names.
func TestMutations(t *testing.T) {
	for _, p := range patches(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			overlay := p.apply(t)
			for _, w := range p.red {
				w.mustSee(t, p, overlay)
			}
		})
	}
}

// mustSee fails the test unless w sees the mutation.
func (w witness) mustSee(t *testing.T, p patch, overlay string) {
	t.Helper()
	if w.pkg == "" {
		wrong := traced(t, overlay)
		if wrong == "" {
			t.Errorf("the order of system calls is as it should be, in spite of: %s", p.breaks)
		}
		t.Log(wrong)
		return
	}
	got := run(t, w, overlay)
	for _, name := range w.tests {
		if got.results[name] != "fail" {
			t.Errorf("%s: got %q, want fail, because: %s\n%s", name, got.results[name], p.breaks, got.output)
		}
	}
}

// ran is what became of some tests: "pass" or "fail" by name, nothing for what did not
// run or did not build.
type ran struct {
	results map[string]string
	output  string
}

// run runs tests of the service's module, with an overlay if there is one.
func run(t *testing.T, w witness, overlay string) ran {
	t.Helper()
	cmd := goTool(t.Context(), root(t), overlay, "test",
		"-json", "-count=1", "-vet=off", "-timeout=90s", "-run", "^("+strings.Join(w.tests, "|")+")$", w.pkg)
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, cmd.Stderr)
	}
	return parseRun(out)
}

// goTool returns a call of the Go tool that this test is run by. Each uses one core,
// because as many mutations are tried at once as there are cores.
func goTool(ctx context.Context, dir, overlay, command string, args ...string) *exec.Cmd {
	flags := []string{command, "-p=1"}
	if overlay != "" {
		flags = append(flags, "-overlay="+overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(flags, args...)...)
	cmd.Dir, cmd.Stderr = dir, &bytes.Buffer{}
	return cmd
}

// parseRun reads the events of go test -json.
func parseRun(out []byte) ran {
	r := ran{results: map[string]string{}}
	for line := range bytes.Lines(out) {
		var event struct{ Action, Test, Output string }
		if json.Unmarshal(line, &event) != nil {
			r.output += string(line)
			continue
		}
		r.output += event.Output
		if event.Test != "" && (event.Action == "pass" || event.Action == "fail") {
			r.results[event.Test] = event.Action
		}
	}
	return r
}

// TestParseRun: what does not build is no red test.
func TestParseRun(t *testing.T) {
	t.Parallel()
	got := parseRun([]byte(`{"Action":"build-output","Output":"x.go:1: undefined: y\n"}
{"Action":"build-fail"}
{"Action":"fail","Package":"x"}
`))
	if len(got.results) != 0 || got.output != "x.go:1: undefined: y\n" {
		t.Errorf("what does not build: got %+v", got)
	}
	got = parseRun([]byte(`{"Action":"run","Test":"TestA"}
{"Action":"fail","Test":"TestA","Elapsed":1}
{"Action":"pass","Test":"TestB"}
`))
	if got.results["TestA"] != "fail" || got.results["TestB"] != "pass" {
		t.Errorf("results: got %v", got.results)
	}
}
