package main

import (
	"testing"
	"time"
)

// TestCanLose: there are no more losses than faults of which each can be the cause of one.
func TestCanLose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fault Fault
		want  bool
	}{
		{Fault{Draw: Draw{Kind: Kill}, Boundary: Lease}, true},
		{Fault{Draw: Draw{Kind: Cut}, Boundary: Request, Side: After}, true},
		{Fault{Draw: Draw{Kind: Truncate}, Boundary: Answer, Side: After}, true},
		{Fault{Draw: Draw{Kind: Pause}, Boundary: Request, Side: Before}, true},
		{Fault{Draw: Draw{Kind: Key}, Boundary: Request, Side: After, Held: 2 * time.Second}, true},
		{Fault{Draw: Draw{Kind: Key}, Boundary: Request, Side: After}, false},
		{Fault{Draw: Draw{Kind: Truncate}, Boundary: Request, Side: Before}, false},
		{Fault{Draw: Draw{Kind: Refuse}, Boundary: Request, Side: Before}, false},
		{Fault{Draw: Draw{Kind: Cut}, Boundary: Commit, Side: After}, false},
		{Fault{Draw: Draw{Kind: Stop}, Boundary: Answer, Side: After}, false},
		{Fault{Draw: Draw{Kind: Flush}, Boundary: Escrow, Side: After}, false},
	} {
		if got := c.fault.canLose(); got != c.want {
			t.Errorf("%s: %t, want %t", &c.fault, got, c.want)
		}
	}
}
