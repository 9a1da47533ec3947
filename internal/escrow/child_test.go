package escrow_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"refresher/internal/escrow"
)

// A test that needs another process starts this binary again, with a role and a
// spool directory in its environment.
const (
	roleEnv = "ESCROW_TEST_ROLE"
	dirEnv  = "ESCROW_TEST_DIR"
)

// play plays a role on dir, if it is one, and returns its exit code.
func play(role, dir string) (code int, ok bool) {
	switch role {
	case "open":
		return openAndLeave(dir), true
	case "hold":
		return openAndHold(dir), true
	default:
		return playOnDisk(role, dir)
	}
}

// child returns a process that plays a role on dir.
func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), roleEnv+"="+role, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// openAndLeave opens a spool and says how that went.
func openAndLeave(dir string) int {
	e, err := escrow.Open(escrow.Settings{Dir: dir, Keep: keep, Keys: &keys{}})
	if err != nil {
		fmt.Fprint(os.Stdout, err)
		return 1
	}
	return exit(e.Close())
}

// openAndHold opens a spool, leaves an answer and an empty room in it, says so,
// and keeps it until somebody closes its input or kills it.
func openAndHold(dir string) int {
	e, err := escrow.Open(escrow.Settings{Dir: dir, Keep: keep, Keys: &keys{}})
	if err != nil {
		return exit(err)
	}
	slot, err := e.Room(context.Background(), ref(1), escrow.Lineage{})
	if err == nil {
		err = slot.Seal(context.Background(), []byte("from the other process"))
	}
	if err == nil {
		_, err = e.Room(context.Background(), ref(2), escrow.Lineage{})
	}
	if err != nil {
		return exit(err)
	}
	fmt.Fprintln(os.Stdout, "held")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return exit(e.Close())
}

// holding starts a process that holds dir, and returns when it does. Killing it
// is left to the test; its cleanup does it at the latest.
func holding(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := child(t, "hold", dir)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the other process said %q, %v", line, err)
	}
	return cmd
}

func exit(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
