package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it); got:\n%s", file, got)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		says string // empty: accepted
	}{
		"nothing":             {nil, ""},
		"for":                 {[]string{"-for", "20s", "-latency", "1s", "-v"}, ""},
		"simulators":          {[]string{"-simulators", "-factor", "300", "-o", "yaml", "-latency", "1m", "-seed", "7"}, ""},
		"IPv6":                {[]string{"-listen", "::1"}, ""},
		"localhost":           {[]string{"-listen", "localhost"}, ""},
		"127.0.0.2":           {[]string{"-listen", "127.0.0.2"}, ""},
		"everywhere":          {[]string{"-listen", "0.0.0.0"}, "can be reached from the network"},
		"the network":         {[]string{"-listen", "192.168.1.2"}, "can be reached from the network"},
		"IPv6 everywhere":     {[]string{"-simulators", "-listen", "::"}, "can be reached from the network"},
		"a name":              {[]string{"-listen", "example.com"}, "not an IP address"},
		"a port":              {[]string{"-listen", "127.0.0.1:8080"}, "takes no port"},
		"no time":             {[]string{"-for", "0s"}, "above zero"},
		"negative time":       {[]string{"-for", "-1s"}, "above zero"},
		"negative latency":    {[]string{"-latency", "-1s"}, "not be negative"},
		"too slow":            {[]string{"-latency", "2s"}, "at most 1s"},
		"factor in the demo":  {[]string{"-factor", "3"}, "-factor is for -simulators"},
		"for with simulators": {[]string{"-simulators", "-for", "3s"}, "-for is for the demo"},
		"too slow a factor":   {[]string{"-simulators", "-factor", "0.5"}, "from 1 to"},
		"not a number":        {[]string{"-simulators", "-factor", "NaN"}, "from 1 to"},
		"too fast":            {[]string{"-simulators", "-factor", "1e9"}, "to 600"},
		"unknown form":        {[]string{"-simulators", "-o", "xml"}, "none of vault, refresher, yaml"},
		"unknown flag":        {[]string{"-bogus"}, "-bogus"},
		"argument":            {[]string{"20s"}, "not a flag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseOptions(tc.args, &bytes.Buffer{})
			switch {
			case tc.says == "" && err != nil:
				t.Error(err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("says %v, want %q", err, tc.says)
			}
		})
	}
}

func TestHelpAndUsage(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"-help"}, &out, &errOut); code != exitOK || errOut.Len() > 0 {
		t.Errorf("-help ends with %d and says %s", code, &errOut)
	}
	for _, part := range []string{"-simulators", "-factor", "Examples:", "-for 20s"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the help has no %q", part)
		}
	}
	out.Reset()
	if code := run(t.Context(), []string{"-bogus"}, &out, &errOut); code != exitUsage || out.Len() > 0 || !strings.Contains(errOut.String(), "-help") {
		t.Errorf("a wrong flag ends with %d and says %s%s", code, &out, &errOut)
	}
}

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// TestOutputGone wants the demo to end, and to clean up, when nobody reads its
// output or the disk is full; only that is a failure.
func TestOutputGone(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for err, want := range map[error]int{syscall.EPIPE: exitOK, syscall.ENOSPC: exitError} {
		var errOut bytes.Buffer
		if code := run(t.Context(), nil, brokenWriter{err}, &errOut); code != want || (errOut.Len() > 0) != (want != exitOK) {
			t.Errorf("%v: ends with %d and says %s", err, code, &errOut)
		}
	}
	left, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNoTemporaryDirectory(t *testing.T) {
	t.Setenv("TMPDIR", "/nonexistent")
	var errOut bytes.Buffer
	if code := run(t.Context(), nil, &bytes.Buffer{}, &errOut); code != exitError || !strings.Contains(errOut.String(), "TMPDIR") {
		t.Errorf("ends with %d and says %s", code, &errOut)
	}
}
