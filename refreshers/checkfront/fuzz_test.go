package checkfront

import (
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/refreshers/refresherstest"
)

// FuzzVerified judges answers to a key pair's verification: an object without an
// error and with a 2xx proves it, 401 and 403 refuse it, and nothing else decides.
func FuzzVerified(f *testing.F) {
	f.Add(200, `{"account":{"name":"sim"}}`)
	f.Add(200, `{"error":{"code":"sim-told"}}`)
	f.Add(200, `<html>login</html>`)
	f.Add(403, `{"error":"sim-told"}`)
	f.Add(204, ``)
	f.Add(429, `{}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := refresherstest.JSON(status, body)
		err := verified(a)
		if o, ok := a.Object(); err == nil && (!ok || o.HasError() || status/100 != 2) {
			t.Errorf("%d is taken for a proof", status)
		}
		if refused := credential.KindOf(err) == credential.KindRejected; err != nil && refused != (status == 401 || status == 403) {
			t.Errorf("%d: %v", status, err)
		}
		if err != nil && credential.KindOf(err) == credential.KindAmbiguous {
			t.Error("a verification is never ambiguous")
		}
		if err != nil && len(body) >= 24 && strings.Contains(err.Error(), body) {
			t.Errorf("the error shows the answer: %v", err)
		}
	})
}
