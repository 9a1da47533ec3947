package vaulttest

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	if _, err := find("vault-dev"); err != nil {
		t.Error(err)
	}
	if _, err := find("nothing"); err == nil || !strings.Contains(err.Error(), "run make tools") {
		t.Errorf("error = %v, want it to say what to run", err)
	}
	root := t.TempDir()
	inner := filepath.Join(root, "bin")
	// Another module inside does not end the search.
	for name, content := range map[string]string{"go.mod": "module refresher\n\ngo 1.26.0\n", "bin/go.mod": "module refresher/bin\n", "bin/vault-dev": ""} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(inner)
	if got, err := find("vault-dev"); err != nil || filepath.Base(got) != "vault-dev" || !strings.HasPrefix(got, root) {
		t.Errorf("found %q, %v, want the one in %s", got, err, inner)
	}
	t.Chdir(filepath.Dir(root))
	if _, err := find("vault-dev"); err == nil {
		t.Error("a program was found outside the repository")
	}
}

func TestRestartKeepsData(t *testing.T) {
	t.Parallel()
	server := Start(t, WithStorage(t.TempDir()))
	address := server.Address
	server.Write("secret/data/a", map[string]any{"data": map[string]any{"k": "v"}})
	server.Kill()
	server.Kill()
	server.Restart()
	secret, err := server.Client().Logical().ReadWithContext(t.Context(), "secret/data/a")
	if err != nil || secret == nil || server.Address != address {
		t.Errorf("after a restart at %s (was %s): %v, %v", server.Address, address, secret, err)
	}
	server.Delete("secret/data/a")
}

// TestServerOutlivesTheThreadsOfTheTest: only the end of the thread that started the
// server may end it, and no goroutine of a test's can make that happen.
func TestServerOutlivesTheThreadsOfTheTest(t *testing.T) {
	t.Parallel()
	server := Start(t)
	for range 50 {
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runtime.LockOSThread() // the thread ends with the goroutine
		}()
		<-ended
	}
	if _, err := server.Client().Sys().Health(); err != nil {
		t.Fatalf("the server is gone: %v", err)
	}
}
