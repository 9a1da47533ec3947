package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Build says which build a program is. What is empty is filled in from what the
// Go tool recorded in the program.
type Build struct {
	Version string
	Commit  string
	Date    string
}

// described is a Build as it is printed.
type described struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Date     string `json:"date,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func (b Build) describe(info *debug.BuildInfo) described {
	d := described{Version: b.Version, Commit: b.Commit, Date: b.Date, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info == nil {
		info = &debug.BuildInfo{}
	}
	if info.Main.Version != "(devel)" {
		d.Version = cmp.Or(d.Version, info.Main.Version)
	}
	d.Version = cmp.Or(d.Version, "dev")
	if d.Commit != "" { // what was recorded might be of another tree
		return d
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			d.Commit = s.Value
		case "vcs.time":
			d.Date = cmp.Or(d.Date, s.Value)
		case "vcs.modified":
			d.Modified = s.Value == "true"
		}
	}
	return d
}

// build returns what is known of this program.
func (p *program) build() described {
	info, _ := debug.ReadBuildInfo()
	return p.Build.describe(info)
}

// String returns the description in one line.
func (d described) String() string {
	text := "refresher " + d.Version
	if d.Commit != "" {
		text += " (" + d.Commit
		if d.Modified {
			text += ", modified"
		}
		text += ")"
	}
	if d.Date != "" {
		text += " of " + d.Date
	}
	return text + ", " + d.Go + " " + d.Platform
}

func (p *program) versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show the version",
		Example: "  refresher version\n  refresher version -o json",
		Args:    noArgs,
	}
	output := outputFlag(cmd, "text")
	cmd.RunE = func(*cobra.Command, []string) error {
		if output.word == "json" {
			return writeJSON(p.Stdout, p.build())
		}
		p.say("%s", p.build())
		return nil
	}
	return cmd
}

// writeJSON writes v for people and programs.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
