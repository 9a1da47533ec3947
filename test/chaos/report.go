package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// The generated part of the report stands between these lines.
const (
	reportBegin = "<!-- From here on: written by \"make chaos\". -->"
	reportEnd   = "<!-- Until here. -->"
)

// preface is what a report begins with that is written for the first time.
const preface = "# Reliability\n\n"

// writeReport replaces the generated part of a file; what stands around it stays.
func writeReport(o options, began time.Time, faults, outage *result) error {
	old, err := os.ReadFile(o.report)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	head, rest, found := strings.Cut(string(old), reportBegin)
	if !found {
		head, rest = cmp.Or(string(old), preface), ""
	}
	_, tail, _ := strings.Cut(rest, reportEnd)
	text := strings.TrimRight(head, "\n") + "\n\n" + reportBegin + "\n\n" + generated(o, began, faults, outage) + "\n" + reportEnd + tail
	return os.WriteFile(o.report, []byte(strings.TrimRight(text, "\n")+"\n"), 0o644)
}

// generated is the report of the runs.
func generated(o options, began time.Time, faults, outage *result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "```console\n$ %s\n```\n\n", o.again())
	fmt.Fprintf(&b, "%s, commit %s, %s.\n\n", began.UTC().Format(time.DateOnly), cmp.Or(o.commit, "unknown"), faults.outcome())
	faults.figures(&b)
	faults.losses(&b)
	faults.table(&b)
	if outage != nil {
		outage.outageSection(&b)
	}
	return b.String()
}

// again is the command that makes the same runs.
func (o options) again() string {
	args := fmt.Sprintf("-seed %d -for %s -rotations %d -hits %d -every %d -replicas %d -tenants %d -outage %s",
		o.seed, o.duration, o.rotations, o.hits, o.every, o.replicas, o.tenants, o.outage)
	return "make chaos ARGS='" + args + listed(" -where ", o.where) + listed(" -what ", o.what) + "'"
}

// listed is a flag with its values, empty without any.
func listed[T ~string](flag string, values []T) string {
	if len(values) == 0 {
		return ""
	}
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = string(v)
	}
	return flag + strings.Join(words, ",")
}

func (res *result) outcome() string {
	if !res.ok() {
		return fmt.Sprintf("**%d things that must not be were found**", len(res.Failures))
	}
	text := "nothing that must not be was found"
	o := res.rig.options
	if _, fewest := res.rig.least(); o.attack == nil && (res.Rotations < o.rotations || fewest < o.hits) {
		text += fmt.Sprintf("; **it was over before its %d rotations and %d hits at each boundary were reached**", o.rotations, o.hits)
	}
	return text
}

func (res *result) figures(b *strings.Builder) {
	r := res.rig
	lost := 0
	for _, n := range res.Losses {
		lost += n
	}
	least, fewest := r.least()
	b.WriteString("| | |\n|---|---|\n")
	row := func(what, format string, args ...any) {
		fmt.Fprintf(b, "| %s | %s |\n", what, fmt.Sprintf(format, args...))
	}
	row("time", "%s, with %d replicas and %d rotating credentials", res.took.Round(time.Second), r.options.replicas, r.options.tenants)
	row("rotations carried out by the provider", "%d", res.Rotations)
	row("faults", "%d; the fewest at one boundary: %d (%s)", len(r.faults), fewest, least)
	row("grants lost", "%d, by the causes below; %d faults can lose one", lost, res.Causes)
	row("… of these with an answer that a probe found lost, each counted by the service", "%d", res.Counted)
	row("grants lost that could have been kept", "%d", res.count("I2", "I3", "I5"))
	row("rotations whose answer a fault kept from the process, or from its spool", "%d", res.Withheld)
	row("rotations whose answer the rig saw in a spool", "%d, of which %d came to Vault (and %d that it did not see there came)", res.Inspected, res.Recovered, res.Unseen)
	row("refresh tokens presented", "%d times", res.Presentations)
	row("… of these refused with proof that nothing was spent", "%s", again(res.Told))
	row("… of these already presented before", "%s", again(res.Again))
	row("… of these with neither record nor proof", "%d", res.count("I1"))
	row("presentations without room for the answer in the spool", "%d", res.count("I6"))
	row("published generations that went back, or lagged by more than one commit, or for too long", "%d", res.count("I4"))
	row("worst time from a commit to its publication", "%s", res.WorstBehind)
	row("worst time until a token served again, by itself", "%s; half of %d within %s, 99 %% within %s (a token lives %s, a takeover takes %s)",
		res.WorstAlone, len(res.WorstAlone.all), res.WorstAlone.within(0.5), res.WorstAlone.within(0.99), accessLifetime, takeoverAfter+inFlightBound)
	row("worst time until a token served again, with a person", "%s", res.WorstAsked)
	row("time until everything was whole again, after the last fault", "%s", r.settled.Round(100*time.Millisecond))
	row("processes that were asked to stop", "%d; not in time, or with an error: %d", res.Stopped, res.NotStopped)
	row("processes that ended without being killed", "%s", again(res.Ended))
	row("open intents and waiting answers at the end", "%d", res.count("I9"))
	row("secrets found in clear", "%d (%d secrets, each in five forms, in %.0f MB of logs, metrics, Redis, spools and all commands to Redis)", res.Found, res.Secrets, float64(res.SecretsIn)/1e6)
	b.WriteString("\n")
}

// again lists by what a token was allowed to be presented once more.
func again(by map[string]int) string {
	total := 0
	var parts []string
	for _, why := range slices.Sorted(maps.Keys(by)) {
		total += by[why]
		parts = append(parts, fmt.Sprintf("%d × %s", by[why], why))
	}
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
}

// count returns how many failures concern the invariants.
func (v *verdict) count(invariants ...string) int {
	n := 0
	for _, f := range v.Failures {
		if slices.Contains(invariants, f.Invariant) {
			n++
		}
	}
	return n
}

func (res *result) losses(b *strings.Builder) {
	b.WriteString("Grants lost, by the fault that kept the answer from the spool, destroyed both copies of it, or made Vault forget it. Each lost grant is matched with one, if one can be found:\n\n| cause | grants |\n|---|---|\n")
	causes := slices.Collect(maps.Keys(res.Losses))
	slices.SortFunc(causes, func(x, y string) int { return cmp.Or(res.Losses[y]-res.Losses[x], strings.Compare(x, y)) })
	for _, cause := range causes {
		fmt.Fprintf(b, "| %s | %d |\n", cause, res.Losses[cause])
	}
	b.WriteString("\n")
}

// table is how often each kind of fault hit each boundary.
func (res *result) table(b *strings.Builder) {
	hits := map[Kind]map[Boundary]int{}
	for _, f := range res.rig.faults {
		if hits[f.Kind] == nil {
			hits[f.Kind] = map[Boundary]int{}
		}
		hits[f.Kind][f.Boundary]++
	}
	b.WriteString("Faults by kind and boundary:\n\n| |")
	for _, boundary := range boundaries() {
		fmt.Fprintf(b, " %s |", boundary)
	}
	b.WriteString(" sum |\n|---|" + strings.Repeat("---|", len(boundaries())+1) + "\n")
	for _, k := range kinds() {
		row(b, string(k.Kind), func(boundary Boundary) int { return hits[k.Kind][boundary] })
	}
	sides := res.rig.hits()
	row(b, "**before**", func(boundary Boundary) int { return sides[boundary][Before] })
	row(b, "**after**", func(boundary Boundary) int { return sides[boundary][After] })
	row(b, "crossed", func(boundary Boundary) int { return res.rig.crossings[boundary][After] })
	b.WriteString("\n")
}

func row(b *strings.Builder, name string, count func(Boundary) int) {
	fmt.Fprintf(b, "| %s |", name)
	sum := 0
	for _, boundary := range boundaries() {
		sum += count(boundary)
		fmt.Fprintf(b, " %d |", count(boundary))
	}
	fmt.Fprintf(b, " %d |\n", sum)
}

// outageSection is the report of the scenario without Redis.
func (res *result) outageSection(b *strings.Builder) {
	o := res.rig.options
	b.WriteString("## Without Redis\n\n")
	fmt.Fprintf(b, "Redis gone for %s, with %d replicas and %d rotating credentials whose tokens live %s: %s. %d rotations, %d presentations of a token already presented, worst time until a token served again %s. The queue was whole when Redis was back.\n",
		o.outage, o.replicas, o.tenants, accessLifetime, res.outcome(), res.Rotations, res.Presentations-res.Rotations, res.WorstAlone)
}
