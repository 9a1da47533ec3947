package egress

import (
	"net"
	"testing"
	"time"
)

// TestLastLook: whoever was paused past a deadline finds what has arrived meanwhile,
// once, and waits no longer than a last look takes for what has not.
func TestLastLook(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	provider, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = provider.Close() })
	if _, err := provider.Write([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}

	look := &lastLook{Conn: conn, takes: 200 * time.Millisecond}
	buffer := make([]byte, 64)
	if n, err := look.Read(buffer); err != nil || string(buffer[:n]) != "answer" {
		t.Fatalf("read %q, %v; want what had arrived", buffer[:n], err)
	}
	began := time.Now()
	if n, err := look.Read(buffer); n > 0 || !isTimeout(err) {
		t.Errorf("read %q, %v; want a timeout", buffer[:n], err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the last look took %s", took)
	}
}
