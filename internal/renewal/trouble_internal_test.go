package renewal

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/escrow"
)

func TestTroubleOf(t *testing.T) {
	t.Parallel()
	cause := errors.New("the cause")
	wrap := func(kind error) error { return fmt.Errorf("no rotation begins: %w: %w", kind, cause) }
	for name, tc := range map[string]struct {
		err  error
		code string // "" if it is no trouble
	}{
		"a full disk":             {wrap(escrow.ErrSpoolFull), "spool_full"},
		"a spool without folder":  {wrap(escrow.ErrSpool), "spool"},
		"no key":                  {wrap(escrow.ErrKeys), "escrow_key"},
		"no key, and a full disk": {errors.Join(wrap(escrow.ErrSpoolFull), wrap(escrow.ErrKeys)), "escrow_key"},
		"no Redis":                {wrap(escrow.ErrCopiesUnread), "redis"},
		"another version":         {wrap(escrow.ErrOtherVersion), "other_version"},
		"a damaged answer":        {wrap(escrow.ErrUnreadable), ""},
		"a spent token":           {wrap(escrow.ErrSpent), ""},
		"Vault":                   {fmt.Errorf("vault: grant.read: %w", cause), ""},
		"nothing":                 {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := troubleOf(tc.err)
			if got.code != tc.code || ok != (tc.code != "") {
				t.Fatalf("got %q, %v, want %q", got.code, ok, tc.code)
			}
			if !ok {
				return
			}
			if said := plainly(tc.err); !tellsTrouble(said) || strings.Contains(said, cause.Error()) {
				t.Errorf("%q is said of it", said)
			}
		})
	}
}

// TestGateIsNotTheHost: what fails on this side of the connection says nothing of the host.
func TestGateIsNotTheHost(t *testing.T) {
	t.Parallel()
	for want, cause := range map[Health]error{HostUnknown: escrow.ErrSpool, HostDown: errors.New("connection refused")} {
		err := &credential.Error{Code: credential.CodeNotConnected, Err: fmt.Errorf("write the spent list: %w", cause)}
		if got := hostHealth(t.Context(), err); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
}
