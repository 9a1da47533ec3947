package main

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// terminal is a screen to draw on.
type terminal struct {
	out   io.Writer
	fd    int
	looks looks
}

// The smallest screen that the table is drawn on.
const (
	minWidth  = 76
	minHeight = 16
)

// openTerminal reports whether out is a terminal that the table can be drawn on.
func openTerminal(out io.Writer) (terminal, bool) {
	under := out
	if w, ok := out.(*lastingWriter); ok {
		under = w.out
	}
	file, ok := under.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return terminal{}, false
	}
	t := terminal{out: out, fd: int(file.Fd()), looks: looksOf(os.Getenv)}
	width, height := t.size()
	return t, width >= minWidth && height >= minHeight
}

// looksOf reads from the environment how things may look: https://no-color.org,
// and whether the locale has more than ASCII.
func looksOf(env func(string) string) looks {
	locale := env("LC_ALL")
	for _, name := range []string{"LC_CTYPE", "LANG"} {
		if locale == "" {
			locale = env(name)
		}
	}
	locale = strings.ToLower(strings.ReplaceAll(locale, "-", ""))
	return looks{color: env("NO_COLOR") == "", unicode: strings.Contains(locale, "utf8")}
}

func (t terminal) size() (width, height int) {
	width, height, err := term.GetSize(t.fd)
	if err != nil {
		return minWidth, minHeight
	}
	return width, height
}

// The escape sequences that are used: a screen of its own that leaves what was
// there before untouched, without cursor and without wrapping.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	eraseLine   = "\x1b[2K"
	eraseBelow  = "\x1b[J"
)

// drawEvery is how often the table is drawn.
const drawEvery = 250 * time.Millisecond

// tableShow draws the table on a terminal.
type tableShow struct {
	terminal terminal
	guide    guide
}

// event implements show: the board has the events.
func (*tableShow) event(event) {}

// run implements show.
func (s *tableShow) run(ctx context.Context, b *board) {
	_, _ = io.WriteString(s.terminal.out, enterScreen)
	defer func() { _, _ = io.WriteString(s.terminal.out, leaveScreen) }()
	ticker := time.NewTicker(drawEvery)
	defer ticker.Stop()
	for {
		width, height := s.terminal.size()
		lines := render(b.view(), s.guide, frame{width: width, height: height, looks: s.terminal.looks})
		_, _ = io.WriteString(s.terminal.out, home+eraseLine+strings.Join(lines, "\n"+eraseLine)+eraseBelow)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// end implements show: the last table stays for the person to look at.
func (s *tableShow) end(v view) {
	width, _ := s.terminal.size()
	f := frame{width: width, height: 1 << 10, looks: s.terminal.looks}
	for _, l := range table(v, f, wholeHelp) {
		_, _ = io.WriteString(s.terminal.out, l.paint(f)+"\n")
	}
}
