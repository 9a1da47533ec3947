package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"refresher/internal/config"
)

// The levels of a finding.
const (
	levelOK   = "ok"
	levelWarn = "warn"
	levelFail = "FAIL"
)

// finding is one line of the doctor's.
type finding struct {
	Level string `json:"level"`
	// Check is what was looked at, such as "vault".
	Check  string `json:"check"`
	Detail string `json:"detail"`
	// Fix is what to do; it may have several lines.
	Fix string `json:"fix,omitempty"`
}

// String returns the finding as the doctor prints it.
func (f finding) String() string {
	const column = "      "
	text := fmt.Sprintf("%-6s%s: %s", f.Level, f.Check, indent(cleanLines(f.Detail), column))
	if f.Fix != "" {
		text += "\n" + column + "→ " + indent(cleanLines(f.Fix), column+"  ")
	}
	return text
}

func cleanLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	return strings.Join(lines, "\n")
}

// doctor looks at one thing after the other and says what it finds.
type doctor struct {
	*program
	config  config.Config
	sources config.Sources
	offline bool
	urls    []string

	findings []finding
	// live says that findings are printed as they come.
	live bool
}

func (d *doctor) note(level, check, fix, format string, args ...any) {
	f := finding{Level: level, Check: check, Detail: fmt.Sprintf(format, args...), Fix: fix}
	d.findings = append(d.findings, f)
	if d.live {
		d.say("%s", f)
	}
}

func (d *doctor) ok(check, format string, args ...any) { d.note(levelOK, check, "", format, args...) }

func (d *doctor) warning(check, fix, format string, args ...any) {
	d.note(levelWarn, check, fix, format, args...)
}

func (d *doctor) fail(check, fix, format string, args ...any) {
	d.note(levelFail, check, fix, format, args...)
}

func (d *doctor) failed() int {
	n := 0
	for _, f := range d.findings {
		if f.Level == levelFail {
			n++
		}
	}
	return n
}

const doctorLong = `See whether everything that the service needs is there and set up well, as far as
that can be seen from this machine, with the service's configuration and login:
the configuration, Vault, Redis, the spool directory and the way to the providers.

A line begins with ok, warn (it works, and is unwise) or FAIL, with what to do
below it. No credential is used, nothing is changed, and a service that runs on
the same spool directory is not disturbed. The exit code is 1 if a line says FAIL.`

func (p *program) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "doctor",
		SuggestFor: []string{"check", "diagnose", "verify"},
		Short:      "See whether everything is set up",
		Long:       doctorLong,
		Example: `  refresher doctor
  refresher doctor --offline
  refresher doctor --url https://acme.checkfront.com
  refresher doctor -o json | jq '.findings[] | select(.level != "ok")'`,
		Args: noArgs,
	}
	d := &doctor{program: p}
	cmd.Flags().BoolVar(&d.offline, "offline", false, "do not connect to the providers")
	cmd.Flags().StringArrayVar(&d.urls, "url", nil, "also connect to this `base_url`; may be repeated")
	output := outputFlag(cmd, "text")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		d.live = output.word == "text"
		d.examine(cmd.Context())
		if err := cmd.Context().Err(); err != nil {
			return err
		}
		return d.conclude(output.word)
	}
	return cmd
}

// examine runs all checks. What a check needs and another one found missing is
// left out.
func (d *doctor) examine(ctx context.Context) {
	if !d.examineConfig() {
		return
	}
	d.examineVault(ctx)
	d.examineRedis(ctx)
	d.examineSpool()
	d.examineEgress(ctx)
}

func (d *doctor) conclude(output string) error {
	failed := d.failed()
	if output == "json" {
		answer := struct {
			OK       bool      `json:"ok"`
			Findings []finding `json:"findings"`
		}{failed == 0, d.findings}
		if err := writeJSON(d.Stdout, answer); err != nil {
			return err
		}
	}
	if failed == 0 {
		return nil
	}
	if output == "json" {
		return errSaid
	}
	return errors.New(count(failed, "check") + " failed")
}

func (d *doctor) examineConfig() bool {
	c, sources, err := d.load()
	if err != nil {
		const fix = `correct what it says; "refresher config reference" describes every key`
		problems, ok := errors.AsType[config.Problems](err)
		if !ok {
			d.fail("configuration", fix, "%s", err)
		}
		for _, problem := range problems {
			d.fail("configuration", fix, "%s", problem)
		}
		return false
	}
	d.config, d.sources = c, sources
	for _, warning := range config.Warnings(c, sources) {
		d.warning("configuration", "", "%s", warning)
	}
	set := map[string]bool{}
	for _, source := range sources {
		kind, _, _ := strings.Cut(string(source), " ")
		set[kind] = true
	}
	var from []string
	for _, kind := range []string{"file", "env", "flag"} {
		if set[kind] {
			from = append(from, map[string]string{"file": "a file", "env": "the environment", "flag": "--set"}[kind])
		}
	}
	if len(from) == 0 {
		from = []string{"nothing but defaults"}
	}
	d.ok("configuration", "valid, from %s", strings.Join(from, " and "))
	return true
}
