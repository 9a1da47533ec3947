package egress

import (
	"errors"
	"net"
	"net/http/httptrace"
	"testing"
	"time"
)

// TestSendTrace drives the order of events that the transport's goroutines can
// bring about, which a real connection shows only by chance.
func TestSendTrace(t *testing.T) {
	t.Parallel()
	write := func(conn net.Conn) error {
		_, err := conn.Write([]byte("x"))
		return err
	}
	tests := map[string]struct {
		events func(trace *sendTrace, first, second *trackedConn)
		sent   bool
		late   error // of a write to the last connection after the call has failed
	}{
		"no connection": {func(*sendTrace, *trackedConn, *trackedConn) {}, false, nil},
		"nothing written yet": {func(trace *sendTrace, first, _ *trackedConn) {
			trace.gotConn(httptrace.GotConnInfo{Conn: first})
		}, false, errAborted},
		"written": {func(trace *sendTrace, first, _ *trackedConn) {
			trace.gotConn(httptrace.GotConnInfo{Conn: first})
			_ = write(first)
		}, true, errAborted},
		"written, but failed": {func(trace *sendTrace, first, _ *trackedConn) {
			trace.gotConn(httptrace.GotConnInfo{Conn: first})
			_ = first.Close()
			_ = write(first)
		}, true, errAborted},
		"only an earlier request was written": {func(trace *sendTrace, first, _ *trackedConn) {
			_ = write(first)
			trace.gotConn(httptrace.GotConnInfo{Conn: first})
		}, false, errAborted},
		"written, then tried elsewhere": {func(trace *sendTrace, first, second *trackedConn) {
			trace.gotConn(httptrace.GotConnInfo{Conn: first})
			_ = write(first)
			trace.gotConn(httptrace.GotConnInfo{Conn: second})
		}, true, errAborted},
		"a connection that is not ours": {func(trace *sendTrace, first, _ *trackedConn) {
			trace.gotConn(httptrace.GotConnInfo{Conn: first.Conn})
		}, true, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			trace, first, second := new(sendTrace), pipe(t), pipe(t)
			tt.events(trace, first, second)
			if sent := trace.abort(); sent != tt.sent {
				t.Errorf("sent = %v, want %v", sent, tt.sent)
			}
			if err := write(first); !errors.Is(err, tt.late) {
				t.Errorf("a late write brings %v, want %v", err, tt.late)
			}
			if trace.abort() != tt.sent {
				t.Error("asked again, it says otherwise")
			}
		})
	}
}

// pipe returns a connection whose other end takes everything.
func pipe(t *testing.T) *trackedConn {
	t.Helper()
	here, there := net.Pipe()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		buf := make([]byte, 16)
		for {
			if _, err := there.Read(buf); err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = here.Close()
		<-drained
	})
	return &trackedConn{Conn: here}
}

// TestLate looks at deadlines with and without a reading of the monotonic clock.
func TestLate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	wall := now.Round(0)
	tests := map[string]struct {
		sendBy time.Time
		late   bool
	}{
		"no deadline":   {time.Time{}, false},
		"to come":       {now.Add(time.Second), false},
		"now":           {now, true},
		"past":          {now.Add(-time.Second), true},
		"wall, to come": {wall.Add(time.Second), false},
		"wall, now":     {wall, true},
		"wall, past":    {wall.Add(-time.Second), true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := (&once{opts: OnceOptions{SendBy: tt.sendBy}}).late(now); got != tt.late {
				t.Errorf("late = %v, want %v", got, tt.late)
			}
		})
	}
}
