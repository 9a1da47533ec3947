package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// result is how the demo ended.
type result struct {
	problems []string
	// early is what the demo was too short to show.
	early []string
	// log has the last lines of the service's log, if something went wrong.
	log []string
}

// judge says what was wrong. It is a pure function; ended is why the service
// stopped by itself, nil if it did not.
func judge(v view, ended error) result {
	var r result
	if ended != nil {
		r.problems = append(r.problems, ended.Error())
	}
	for i := range v.rows {
		row := &v.rows[i]
		for _, p := range row.problems {
			r.problems = append(r.problems, row.id+": "+p)
		}
		missing := row.missing()
		switch {
		case missing != "" && v.elapsed < startLimit:
			r.early = append(r.early, row.id+": "+missing+" yet")
		case missing != "":
			r.problems = append(r.problems, row.id+": "+missing)
		case row.part == steady && len(row.problems) == 0 && !slices.Contains([]string{statusActive, statusRetrying}, row.token.Status):
			r.problems = append(r.problems, row.id+": it ended as "+row.token.Status)
		}
	}
	switch s := v.story; {
	case s.asked == 0:
		r.early = append(r.early, "the lost authorization was not noticed yet; about 13 s are enough")
	case s.healed == 0:
		r.early = append(r.early, "the new authorization did not show yet; about 18 s are enough")
	}
	return r
}

// missing says what a credential has not shown at all, "" if it has shown everything.
func (r *row) missing() string {
	switch {
	case r.part == mistyped && r.asked == "":
		return "nobody was told of the typing error"
	case r.part == mistyped:
		return ""
	case r.token.Generation == 0:
		return "it got no token"
	case r.accepted == 0:
		return "its token was never accepted"
	default:
		return ""
	}
}

// write says how it went, in a form that a person enjoys.
func (r result) write(out io.Writer, v view) error {
	var b bytes.Buffer
	t := v.totals()
	fmt.Fprintf(&b, "\nIn %s\n", since(v.elapsed))
	fmt.Fprintf(&b, "  %5d tokens were renewed: %s\n", t.renewed, v.byProvider())
	fmt.Fprintf(&b, "  %5d times a session was kept alive, and %d times a key was verified\n", t.kept, t.verified)
	fmt.Fprintf(&b, "  %5d calls to the providers were all it took\n", v.calls)
	fmt.Fprintf(&b, "  %5d times a published token was used, and %d times it was accepted", t.accepted+t.refused, t.accepted)
	if t.overtaken > 0 {
		fmt.Fprintf(&b, "\n        (%d of them after a second look, as the token had just been replaced)", t.overtaken)
	}
	if t.rightly > 0 {
		fmt.Fprintf(&b, "\n        (%d were refused, and rightly: the tenant had taken our access away)", t.rightly)
	}
	b.WriteString("\n\n")
	v.writeHelp(&b)
	section(&b, "Too short to see:", r.early)
	section(&b, "WRONG:", r.problems)
	section(&b, "From the service's log:", r.log)
	if len(r.problems) == 0 {
		b.WriteString("Whatever could be kept alive was alive, all the time.\n")
	}
	_, err := out.Write(b.Bytes())
	return err
}

func section(b *bytes.Buffer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(b, title)
	for _, l := range lines {
		fmt.Fprintln(b, "  "+l)
	}
	fmt.Fprintln(b)
}

// byProvider counts the renewals of each provider, in the order of the table.
func (v view) byProvider() string {
	var names []string
	counts := map[string]int{}
	for i := range v.rows {
		name := v.rows[i].provider
		if _, known := counts[name]; !known {
			names = append(names, name)
		}
		counts[name] += v.rows[i].renewed
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s %d", name, counts[name])
	}
	return strings.Join(names, ", ")
}

// helpWidth keeps the summary within 80 columns.
const helpWidth = 70

// writeHelp says who was asked for what, and what came of it.
func (v view) writeHelp(b *bytes.Buffer) {
	title := "A person was needed:\n"
	for i := range v.rows {
		r := &v.rows[i]
		if r.asked == "" {
			continue
		}
		fmt.Fprintf(b, "%s  %s\n", title, r.id)
		for _, text := range wrap(r.asked, helpWidth, wholeHelp) {
			fmt.Fprintf(b, "      %s\n", text)
		}
		for j, text := range wrap("-> "+v.outcome(r), helpWidth, wholeHelp) {
			fmt.Fprintf(b, "      %s%s\n", strings.Repeat("   ", min(j, 1)), text)
		}
		title = ""
	}
	if title == "" {
		b.WriteString("\n")
	}
}

// outcome is what came of a call for help.
func (v view) outcome(r *row) string {
	s := v.story
	switch {
	case r.part == unlucky && s.healed > 0:
		return fmt.Sprintf("access was removed at %s, help was asked for at %s, the person came at %s, and it was alive again %s later",
			since(s.revoked), since(s.asked), since(s.returned), since(s.healed-s.returned))
	case r.part == unlucky && s.returned > 0:
		return fmt.Sprintf("the person came at %s", since(s.returned))
	case r.token.Status == statusActive:
		return "somebody mended it, and it came alive by itself"
	default:
		return "it is waiting for somebody"
	}
}

// keptWarnings is how much of the service's log a failure shows.
const keptWarnings = 12

// lastWarnings returns the last warnings and errors of the service's log, but
// for those that belong to the play. With -v they have been seen already.
func (w *world) lastWarnings(v view) []string {
	if w.logFile == nil {
		return nil
	}
	text, err := os.ReadFile(w.logPath())
	if err != nil {
		return []string{err.Error()}
	}
	return warnings(string(text), v)
}

func warnings(log string, v view) []string {
	expected := func(line string) bool {
		for i := range v.rows {
			r := &v.rows[i]
			if r.part != steady && len(r.problems) == 0 && strings.Contains(line, fmt.Sprintf(`"tenant":%q`, r.tenant())) {
				return true
			}
		}
		return false
	}
	var found []string
	for l := range strings.Lines(log) {
		if (strings.Contains(l, `"level":"warn"`) || strings.Contains(l, `"level":"error"`)) && !expected(l) {
			found = append(found, strings.TrimSpace(l))
		}
	}
	return found[max(len(found)-keptWarnings, 0):]
}
