package cli

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// write writes a view for a person.
func (v view) write(w io.Writer, now time.Time) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer func() { _ = table.Flush() }()
	line := func(name, value string) { fmt.Fprintf(table, "%s\t%s\n", name, clean(value)) }
	section := func(name string) { fmt.Fprintf(table, "\n%s\n", name) }
	below := func(name, value string) {
		if value != "" && value != "-" {
			line("  "+name, value)
		}
	}

	line("credential", v.Tenant+"/"+v.Name)
	line("method", v.method())
	line("status", v.Status)
	below("last error", v.LastError)
	below("problem", v.Problem)
	if v.Version > 0 {
		line("stored", fmt.Sprintf("%s, version %d", when(v.StoredAt, now), v.Version))
	}
	section("fields")
	for _, name := range sortedNames(v.Fields) {
		value := v.Fields[name]
		if slices.Contains(v.Unknown, name) {
			value += " (not known to the method)"
		}
		below(plainName(name), value)
	}
	if v.Token != nil {
		section("token")
		v.Token.write(below, now)
	}
	if v.Grant != nil {
		section("grant")
		v.Grant.write(below, now)
	}
	if v.Queue != nil {
		section("queue")
		below("next renewal", when(v.Queue.NextAt, now))
		below("failures since the last success", strconv.Itoa(v.Queue.Failures))
	}
}

func (v view) method() string {
	switch {
	case v.Provider == "":
		return "-"
	case v.Upkeep == "":
		return v.Provider + " (not known)"
	default:
		return v.Provider + "/" + v.Auth + " (" + v.Upkeep + ")"
	}
}

func (t *tokenView) write(line func(name, value string), now time.Time) {
	line("status", string(t.Status))
	line("message", t.Message)
	line("base_url", t.BaseURL)
	line("generation", strconv.Itoa(t.Generation))
	line("token_type", t.TokenType)
	line("issued", when(t.IssuedAt, now))
	if len(t.HeaderNames)+len(t.QueryNames) > 0 && t.ExpiresAt.IsZero() {
		line("expires", "never")
	}
	line("expires", when(t.ExpiresAt, now))
	line("read again", when(t.RenewAt, now))
	line("headers", strings.Join(t.HeaderNames, ", "))
	line("query", strings.Join(t.QueryNames, ", "))
}

func (g *grantView) write(line func(name, value string), now time.Time) {
	if g.Problem != "" {
		line("not shown", g.Problem)
		return
	}
	line("state", g.State)
	if g.Generation > 0 {
		line("generation", strconv.Itoa(g.Generation))
	}
	line("refresh token issued", when(g.RefreshTokenIssuedAt, now))
	line("refresh token dies", when(g.RefreshTokenDiesAt, now))
	if g.Intent != nil {
		line("open intent", fmt.Sprintf("%s by %s, began %s", g.Intent.Attempt, g.Intent.Owner, when(g.Intent.BeganAt, now)))
	}
}
