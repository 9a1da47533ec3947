package main

import (
	"fmt"
	"strings"
	"time"
)

// plan is how much of everything is shown, from plenty of room to little.
type plan struct {
	events, help         int
	repair, space, brief bool
}

// wholeHelp shows all of what a person is asked.
const wholeHelp = 4

// plans are tried one after the other until the screen holds one.
func plans() []plan {
	return []plan{
		{events: 12, help: wholeHelp, repair: true, space: true},
		{events: 8, help: 2, repair: true, space: true},
		{events: 5, help: 2, repair: true, space: true},
		{events: 4, help: 2, repair: true},
		{events: 3, help: 2, brief: true},
		{events: 3, help: 1, brief: true},
		{events: 1, help: 1, brief: true},
	}
}

// render draws a whole screen, a string a line. It is a pure function.
func render(v view, g guide, f frame) []string {
	var lines []line
	for _, p := range plans() {
		if lines = compose(v, g, f, p); len(lines) <= f.height {
			break
		}
	}
	lines = lines[:min(len(lines), f.height)]
	painted := make([]string, len(lines))
	for i, l := range lines {
		painted[i] = l.paint(f)
	}
	return painted
}

func compose(v view, g guide, f frame, p plan) []line {
	space := func(lines []line) []line {
		if p.space {
			return append(lines, line{})
		}
		return lines
	}
	lines := space(headline(v, g, f))
	lines = space(append(lines, table(v, f, p.help)...))
	lines = space(append(lines, lastEvents(v, p.events)...))
	return append(lines, footer(v, g, p)...)
}

func headline(v view, g guide, f frame) []line {
	title := fmt.Sprintf("Refresher keeps %d credentials alive at 5 providers", len(v.rows))
	right := since(v.elapsed) + g.length + "   Ctrl-C stops"
	lines := []line{{
		{title, bold},
		{padLeft(right, max(f.width-len(title), len(right)+2)), dim},
	}}
	t := v.totals()
	separator := " | "
	if f.unicode {
		separator = " · "
	}
	for _, text := range flow([]string{
		fmt.Sprintf("renewed %d", t.renewed), fmt.Sprintf("kept %d", t.kept), fmt.Sprintf("verified %d", t.verified),
		fmt.Sprintf("calls %d", v.calls), fmt.Sprintf("tokens tried %d, refused %d", t.accepted+t.refused, t.refused),
	}, separator, f.width) {
		lines = append(lines, line{{text, plain}})
	}
	return lines
}

// columns are the widths of the table.
type columns struct{ id, method, status int }

func columnsOf(v view) columns {
	c := columns{id: len("CREDENTIAL"), method: len("PROVIDER, METHOD"), status: len("x " + statusNeedsAuthorization)}
	for i := range v.rows {
		c.id = max(c.id, len(v.rows[i].id))
		c.method = max(c.method, len(v.rows[i].method()))
	}
	return c
}

// The heads of the columns with numbers: what is left of a token's life, and how
// often the credential was renewed, kept alive or verified.
const (
	leftHead = "  LEFT"
	doneHead = "  DONE"
)

// barWidth is how many places the rest of a lifetime has.
const barWidth = 6

// table draws a row a credential, with what a person is asked below it.
func table(v view, f frame, help int) []line {
	c := columnsOf(v)
	head := pad("CREDENTIAL", c.id) + " " + pad("PROVIDER, METHOD", c.method) + " " + pad("STATUS", c.status) + leftHead
	bar := f.width >= len(head+doneHead)+barWidth+3 // and the mark
	if bar {
		head += strings.Repeat(" ", barWidth+1)
	}
	lines := []line{{{head + doneHead, dim}}}
	for i := range v.rows {
		r := &v.rows[i]
		lines = append(lines, r.line(v.now, f, c, bar))
		if r.token.Status == statusActive || r.token.Message == "" {
			continue
		}
		for j, text := range wrap(r.token.Message, f.width-6, help) {
			lead := "    "
			if j == 0 {
				lead = "  > "
				if f.unicode {
					lead = "  ↳ "
				}
			}
			lines = append(lines, line{{lead, dim}, {text, styleOf(r.token.Status)}})
		}
	}
	return lines
}

func (r *row) line(now time.Time, f frame, c columns, bar bool) line {
	status := r.token.Status
	if status == "" {
		status = "waiting"
	}
	expires := left(r.token.ExpiresAt, now)
	if r.published && r.token.ExpiresAt.IsZero() && r.token.serves() {
		expires = "never"
	}
	l := line{
		{pad(r.id, c.id) + " ", plain},
		{pad(r.method(), c.method) + " ", dim},
		{pad(sign(status, f)+" "+status, c.status), styleOf(status)},
		{padLeft(expires, len(leftHead)), plain},
	}
	if bar {
		l = append(l, span{" " + r.bar(now, f), styleOf(status)})
	}
	count := span{padLeft(fmt.Sprint(r.renewed+r.kept+r.verified), len(doneHead)), plain}
	if !r.fresh.IsZero() && now.Sub(r.fresh) < justNow {
		count.style = cyan
		count.text += " <"
		if f.unicode {
			count.text = strings.TrimSuffix(count.text, "<") + "◂"
		}
	}
	return append(l, count)
}

// bar draws how much of its lifetime a token has left.
func (r *row) bar(now time.Time, f frame) string {
	if r.lifetime <= 0 || r.token.ExpiresAt.IsZero() {
		return strings.Repeat(" ", barWidth)
	}
	rest := float64(r.token.ExpiresAt.Sub(now)) / float64(r.lifetime)
	n := min(max(int(rest*barWidth+0.99), 0), barWidth)
	full, empty := "#", "."
	if f.unicode {
		full, empty = "▰", "▱"
	}
	return strings.Repeat(full, n) + strings.Repeat(empty, barWidth-n)
}

// sign is a status in one character.
func sign(status string, f frame) string {
	ascii, sign := "-", "○"
	switch status {
	case statusActive:
		ascii, sign = "+", "●"
	case statusRetrying:
		ascii, sign = "~", "◐"
	case statusExpired, statusNeedsAuthorization, statusMisconfigured:
		ascii, sign = "!", "✖"
	}
	if f.unicode {
		return sign
	}
	return ascii
}

func styleOf(status string) string {
	switch status {
	case statusActive:
		return green
	case statusRetrying:
		return yellow
	case statusNeedsAuthorization, statusMisconfigured:
		return magenta
	case statusExpired:
		return redBold
	default:
		return dim
	}
}

// lastEvents shows what happened last, oldest first. The place for them does not
// grow or shrink.
func lastEvents(v view, n int) []line {
	shown := v.events[max(len(v.events)-n, 0):]
	lines := make([]line, 0, n)
	for _, e := range shown {
		lines = append(lines, line{{plainLine(e), toneStyle(e.tone)}})
	}
	for len(lines) < n {
		lines = append(lines, line{})
	}
	return lines
}

func toneStyle(t tone) string {
	switch t {
	case toneStory:
		return bold
	case toneWarn:
		return yellow
	case toneHelp:
		return magenta
	case toneBad:
		return redBold
	case toneQuiet:
		return dim
	default:
		return plain
	}
}

// footer says what a newcomer can do in another window.
func footer(v view, g guide, p plan) []line {
	// Broken so that each line fits, and can be pasted all the same.
	command := func(what string, parts []string) []line {
		var lines []line
		for i, part := range parts {
			if i < len(parts)-1 {
				part += ` \`
			}
			lines = append(lines, line{{what, dim}, {part, plain}})
			what = "  "
		}
		return lines
	}
	lines := command("Read a token: ", g.read)
	if p.repair && v.mistypedWaits() {
		lines = append(lines, command("Mend the typing error: ", g.repair)...)
	}
	lines = append(lines, line{{"Status: ", dim}, {g.status, plain}})
	if p.brief {
		return lines
	}
	lines = append(lines, line{{"Vault: ", dim}, {g.vault, plain}})
	if g.log != "" {
		lines = append(lines, line{{"Log: ", dim}, {g.log, plain}})
	}
	return lines
}

// mistypedWaits reports whether the typing error is still there.
func (v view) mistypedWaits() bool {
	for i := range v.rows {
		if v.rows[i].part == mistyped {
			return v.rows[i].token.Status == statusMisconfigured
		}
	}
	return false
}
