package metrics

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:generate sh -c "cat metrics.md >../../docs/metrics.md && go run ./reference >>../../docs/metrics.md"

// Info describes one metric.
type Info struct {
	// Section is what the metric is about.
	Section string
	Name    string
	// Kind is counter, gauge or histogram.
	Kind   string
	Help   string
	Labels []string
}

// Reference returns all metrics, section by section.
func Reference() []Info {
	m := New(Settings{})
	m.Watch(Replica{})
	return slices.SortedStableFunc(slices.Values(m.reference), func(a, b Info) int {
		return cmp.Compare(slices.Index(sections, a.Section), slices.Index(sections, b.Section))
	})
}

// sections are in the order in which a reader wants them.
var sections = []string{"The fleet", "Renewals", "Scans", "Vault, Redis and the clock", "This replica"}

// WriteReference writes all metrics as tables in Markdown.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	section := ""
	for _, info := range Reference() {
		if info.Section != section {
			section = info.Section
			fmt.Fprintf(&b, "\n## %s\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n", section)
		}
		labels := ""
		if len(info.Labels) > 0 {
			labels = "`" + strings.Join(info.Labels, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", info.Name, info.Kind, labels, info.Help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
