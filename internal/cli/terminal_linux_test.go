package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// pty opens a pseudo terminal: what is written to the keyboard is read from the screen's side.
func pty(t *testing.T) (keyboard, tty *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = keyboard.Close() })
	fd := int(keyboard.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tty.Close() })
	return keyboard, tty
}

func echoes(t *testing.T, tty *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// until waits for a condition of the terminal.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	limit := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-poll.C:
		case <-limit:
			t.Fatal("waited in vain: " + what)
		}
	}
}

func TestTerminalAsks(t *testing.T) {
	t.Parallel()
	keyboard, tty := pty(t)
	var out bytes.Buffer
	person := Terminal(tty, &out)
	if person == nil || !term.IsTerminal(int(tty.Fd())) {
		t.Fatal("it is no terminal")
	}
	for text, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "yesterday\n": false} {
		if _, err := keyboard.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if sure, err := person.Confirm(t.Context(), "Sure?"); err != nil || sure != want {
			t.Errorf("%q is %v, %v", text, sure, err)
		}
	}
	contains(t, out.String(), "Sure? [y/N] ")

	typed := make(chan error, 1)
	go func() {
		until(t, "the echo to end", func() bool { return !echoes(t, tty) })
		_, err := keyboard.WriteString(marker + "\n")
		typed <- err
	}()
	secret, err := person.Secret(t.Context(), "client_secret")
	if err != nil || secret != marker || <-typed != nil {
		t.Errorf("%q %v", secret, err)
	}
	if !echoes(t, tty) {
		t.Error("the echo is not back")
	}
	shown := make([]byte, 4096)
	n, err := bufio.NewReader(keyboard).Read(shown)
	if err != nil || strings.Contains(string(shown[:n]), marker) || strings.Contains(out.String(), marker) {
		t.Errorf("%q %q %v", shown[:n], out.String(), err)
	}
}

// TestTerminalInterrupted ends the context while a secret is typed: the echo must
// come back.
func TestTerminalInterrupted(t *testing.T) {
	t.Parallel()
	keyboard, tty := pty(t)
	person := Terminal(tty, &bytes.Buffer{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		until(t, "the echo to end", func() bool { return !echoes(t, tty) })
	}()
	if _, err := person.Secret(ctx, "client_secret"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if !echoes(t, tty) {
		t.Error("the echo is not back")
	}
	// The read that was left behind ends with the terminal's next line, and puts
	// the echo back too. Until then its file must stay open: another file with the
	// same number would be read in its place.
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err == nil {
		state.Lflag &^= unix.ECHO
		err = unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, state)
	}
	if err == nil {
		_, err = keyboard.WriteString("\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the read that was left behind to end", func() bool { return echoes(t, tty) })
}

func TestNoTerminal(t *testing.T) {
	t.Parallel()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if Terminal(f, nil) != nil {
		t.Error("a file is taken for a terminal")
	}
}
