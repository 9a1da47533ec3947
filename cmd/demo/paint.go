package main

import (
	"strings"
	"unicode/utf8"
)

// looks is what a terminal can show.
type looks struct{ color, unicode bool }

// frame is where something is drawn.
type frame struct {
	width, height int
	looks
}

// The styles, as SGR parameters of ECMA-48.
const (
	plain   = ""
	bold    = "1"
	dim     = "2"
	green   = "32"
	yellow  = "33"
	cyan    = "36"
	redBold = "1;31"
	magenta = "1;35"
)

// span is a piece of a line in one style.
type span struct{ text, style string }

// line is one line of the screen. Its characters are all one column wide.
type line []span

// paint returns the line for a terminal, cut to its width.
func (l line) paint(f frame) string {
	var b strings.Builder
	room := f.width
	for _, s := range l {
		text := cut(s.text, room)
		room -= utf8.RuneCountInString(text)
		if !f.color || s.style == plain || text == "" {
			b.WriteString(text)
			continue
		}
		b.WriteString("\x1b[" + s.style + "m" + text + "\x1b[0m")
	}
	return strings.TrimRight(b.String(), " ")
}

// cut returns at most n characters of text.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:max(n, 0)])
}

// pad fills text with spaces up to n characters.
func pad(text string, n int) string {
	return text + strings.Repeat(" ", max(n-utf8.RuneCountInString(text), 0))
}

// padLeft is pad with the spaces in front.
func padLeft(text string, n int) string {
	return strings.Repeat(" ", max(n-utf8.RuneCountInString(text), 0)) + text
}

// wrap breaks a text between its words into at most limit lines of a width;
// what does not fit ends in dots.
func wrap(text string, width, limit int) []string {
	var lines []string
	current := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case current == "":
			current = word
		case utf8.RuneCountInString(current)+1+utf8.RuneCountInString(word) <= width:
			current += " " + word
		default:
			lines = append(lines, current)
			current = word
		}
	}
	lines = append(lines, current)
	if len(lines) > limit {
		lines = lines[:limit]
		last := lines[limit-1]
		lines[limit-1] = strings.TrimRight(cut(last, width-4), " ") + " ..."
	}
	return lines
}

// flow puts parts into lines of a width, with a separator between those in one line.
func flow(parts []string, separator string, width int) []string {
	var lines []string
	current := ""
	for _, p := range parts {
		joined := p
		if current != "" {
			joined = current + separator + p
		}
		if current != "" && utf8.RuneCountInString(joined) > width {
			lines = append(lines, current)
			joined = p
		}
		current = joined
	}
	return append(lines, current)
}
