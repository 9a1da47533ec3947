package egress

import (
	"context"
	"errors"
	"testing"
	"time"
	"unsafe"
)

// TestSuspendedMachineIsLate: a virtual machine was suspended past the deadline. Its
// monotonic clock stood still meanwhile, and only the wall clock knows.
func TestSuspendedMachineIsLate(t *testing.T) {
	t.Parallel()
	now := time.Now()
	sendBy := now.Add(-time.Minute)
	// The second word of a time with a monotonic reading is that reading. There is no
	// other way to two clocks that disagree, short of suspending this machine.
	(*[2]int64)(unsafe.Pointer(&sendBy))[1] += int64(time.Hour)
	if !now.Before(sendBy) || now.Round(0).Before(sendBy.Round(0)) {
		t.Fatalf("now %v, deadline %v; want one that only the wall clock has passed", now, sendBy)
	}
	if _, err := (&once{opts: OnceOptions{SendBy: sendBy}}).permit(t.Context(), t.Context()); !errors.Is(err, ErrSendDeadline) {
		t.Errorf("permit: got %v, want %v", err, ErrSendDeadline)
	}
}

// TestGateThatTakesTooLong: it agrees when the deadline has passed.
func TestGateThatTakesTooLong(t *testing.T) {
	t.Parallel()
	sendBy := time.Now().Add(20 * time.Millisecond)
	untilSendBy, cancel := context.WithDeadline(t.Context(), sendBy)
	defer cancel()
	late := &once{opts: OnceOptions{SendBy: sendBy, Gate: func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	}}}
	if _, err := late.permit(t.Context(), untilSendBy); !errors.Is(err, ErrSendDeadline) {
		t.Errorf("permit: got %v, want %v", err, ErrSendDeadline)
	}
}
