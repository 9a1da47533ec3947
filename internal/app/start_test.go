package app_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"refresher/internal/app"
	"refresher/internal/vaultsim"
)

// TestStartOutlastsAFailureOfVault: whichever of the requests at a start fails once,
// the service starts.
func TestStartOutlastsAFailureOfVault(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{
		"login": "lookup-self", "mount": "internal/ui/mounts", "capabilities": "capabilities-self", "escrow keys": "escrow-keys",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			var failed atomic.Bool
			s.vault.Config.Handler.(*vaultsim.Server).Intercept(func(r *http.Request) vaultsim.Fault {
				if strings.Contains(r.URL.Path, path) && failed.CompareAndSwap(false, true) {
					return vaultsim.DropBefore
				}
				return vaultsim.None
			})
			s.start(s.config(), zerolog.Nop())
			if !failed.Load() {
				t.Error("nothing failed")
			}
		})
	}
}

// TestStartOutlastsAStandby: whichever of the requests at a start meets a server that serves
// nobody for the moment, as in a failover, the service starts.
func TestStartOutlastsAStandby(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTooManyRequests, 472, 473, http.StatusServiceUnavailable} {
		for name, path := range map[string]string{"login": "lookup-self", "escrow keys": "escrow-keys"} {
			t.Run(fmt.Sprint(status, " ", name), func(t *testing.T) {
				t.Parallel()
				s := newStage(t)
				var refused atomic.Bool
				standby := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.URL.Path, path) && refused.CompareAndSwap(false, true) {
						w.WriteHeader(status)
						return
					}
					s.vault.Config.Handler.ServeHTTP(w, r)
				}))
				t.Cleanup(standby.Close)
				s.start(s.config("vault.address="+standby.URL), zerolog.Nop())
				if !refused.Load() {
					t.Error("nothing was refused")
				}
			})
		}
	}
}

// TestStartSaysAtOnceWhatIsMissing: waiting does not mend a missing permission.
func TestStartSaysAtOnceWhatIsMissing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.vault.Config.Handler.(*vaultsim.Server).AddToken("poor", time.Hour,
		vaultsim.Rule{Path: "secret/data/refresher/credentials/*", Capabilities: []string{"read"}})
	began := time.Now()
	a, err := app.New(t.Context(), s.config("vault.token=poor"), app.Build{}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "grants") {
		t.Errorf("%v, %v; want an error that names what it may not do", a, err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it said so after %s", took)
	}
}
