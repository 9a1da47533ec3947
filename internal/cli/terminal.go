package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Person is whoever sits at the terminal.
type Person interface {
	// Secret asks for a value and does not show what is typed.
	Secret(ctx context.Context, prompt string) (string, error)
	// Confirm asks a question to be answered with yes or no; anything but a yes is a no.
	Confirm(ctx context.Context, question string) (bool, error)
}

// Terminal returns the person at a terminal; nil if in is none. Questions are
// written to out.
func Terminal(in *os.File, out io.Writer) Person {
	if !term.IsTerminal(int(in.Fd())) {
		return nil
	}
	return &terminal{in: in, out: out, lines: bufio.NewReader(in)}
}

type terminal struct {
	in    *os.File
	out   io.Writer
	lines *bufio.Reader
}

// Secret implements Person. If ctx ends while it waits, it puts the terminal's
// echo back and leaves the read behind.
func (t *terminal) Secret(ctx context.Context, prompt string) (string, error) {
	fd := int(t.in.Fd())
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("read from the terminal: %w", err)
	}
	fmt.Fprintf(t.out, "%s: ", prompt)
	text, err := interruptible(ctx, func() (string, error) {
		text, err := term.ReadPassword(fd)
		return string(text), err
	})
	fmt.Fprintln(t.out)
	if ctx.Err() != nil {
		_ = term.Restore(fd, before)
	}
	return text, err
}

// Confirm implements Person.
func (t *terminal) Confirm(ctx context.Context, question string) (bool, error) {
	fmt.Fprintf(t.out, "%s [y/N] ", question)
	answer, err := interruptible(ctx, func() (string, error) { return t.lines.ReadString('\n') })
	if err != nil {
		fmt.Fprintln(t.out)
		return false, err
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes", nil
}

// interruptible runs a read that no context ends, and returns when ctx does.
func interruptible(ctx context.Context, read func() (string, error)) (string, error) {
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-done:
		if r.err != nil {
			return "", fmt.Errorf("read from the terminal: %w", r.err)
		}
		return r.text, nil
	}
}
