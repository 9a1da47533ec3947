package alerts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// commandLine is an invocation in a console block, in backquotes, or inside a pod.
	commandLine = regexp.MustCompile("(?:\\$ |`|-- /)refresher ([a-z][^`\\n|#)]*)")
	commandWord = regexp.MustCompile(`^[a-z-]+$`)
)

// TestCommandsExist: what a page or a description tells people to run is there, with
// its flags and statuses.
func TestCommandsExist(t *testing.T) {
	texts := map[string]string{}
	for _, r := range load[rules](t, rulesFile).alerts() {
		texts[r.Alert] = r.Annotations["description"]
	}
	files, err := filepath.Glob(runbooks + "/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts[file] = string(page)
	}
	helps, lines := map[string]string{}, 0
	for where, text := range texts {
		for _, line := range commandLine.FindAllStringSubmatch(text, -1) {
			lines++
			words := strings.Fields(line[1])
			path := words
			if end := slices.IndexFunc(words, func(w string) bool { return !commandWord.MatchString(w) || strings.HasPrefix(w, "-") }); end >= 0 {
				path = words[:end]
			}
			help, known := helps[strings.Join(path, " ")]
			if !known {
				help = helpOf(t, path)
				helps[strings.Join(path, " ")] = help
			}
			for _, problem := range checkCommand(help, words[len(path):]) {
				t.Errorf("%s: refresher %s: %s", where, line[1], problem)
			}
		}
	}
	if lines < 50 {
		t.Errorf("only %d command lines were found", lines)
	}
}

// helpOf returns the help of a command, "" if there is none.
func helpOf(t *testing.T, path []string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t), append([]string{"help"}, path...)...)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return string(out)
}

// checkCommand says what the rest of a command line has that its help does not know.
func checkCommand(help string, rest []string) (problems []string) {
	if help == "" {
		return []string{"there is no such command"}
	}
	for i, word := range rest {
		if !strings.HasPrefix(word, "-") || word == "-" {
			continue
		}
		flag, _, _ := strings.Cut(word, "=")
		if !regexp.MustCompile(regexp.QuoteMeta(flag) + `[ ,\n]`).MatchString(help) {
			problems = append(problems, "there is no flag "+flag)
		}
		if flag != "--status" || i+1 >= len(rest) {
			continue
		}
		for status := range strings.SplitSeq(rest[i+1], ",") {
			if !strings.Contains(help, status) {
				problems = append(problems, "there is no status "+status)
			}
		}
	}
	return problems
}

// TestCheckCommand: the check finds what it is there for.
func TestCheckCommand(t *testing.T) {
	for line, want := range map[string]string{
		"credentials list --status expired,retrying -o json": "",
		"credentials list --status dead":                     "there is no status dead",
		"credentials list --state expired":                   "there is no flag --state",
		"credentials heal":                                   "there is no such command",
	} {
		words := strings.Fields(line)
		if got := strings.Join(checkCommand(helpOf(t, words[:2]), words[2:]), "; "); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
