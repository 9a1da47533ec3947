package bookeo

import (
	"net/http"
	"testing"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

func TestSimulated(t *testing.T) {
	t.Parallel()
	for name, spec := range map[string]providersim.KeySpec{
		"an array, refused with 403": {AccountID: "MINE", Permissions: []string{"bookings_rwd_all", "availability_r"}, RefuseStatus: 403},
		"a string, refused with 401": {AccountID: "MINE", Permissions: []string{"bookings_rwd_all", "availability_r"}, PermissionsAsString: true, RefuseStatus: 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			simulate(t, spec)
		})
	}
}

func simulate(t *testing.T, spec providersim.KeySpec) {
	p := providersim.New(providersim.Options{})
	servers, err := p.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	doer := refresherstest.HTTPDoer(http.DefaultClient)
	key := p.Bookeo.AddKey(spec)
	m, c := refresherstest.Resolve(t, Methods(DefaultSettings()), credential.Credential{
		Provider: Provider, BaseURL: servers.URL(Provider),
		Fields: map[string]credential.Secret{
			"api_key": credential.Secret(key.APIKey), "secret_key": credential.Secret(key.SecretKey),
			"account_id": "MINE", "required_permissions": "bookings_rw_own availability_r",
		},
	})
	verify := func(kind credential.Kind, code string) {
		t.Helper()
		_, err := m.Refresher.Renew(t.Context(), refreshers.Call{Credential: c, HTTP: doer})
		refresherstest.CheckError(t, err, p.Secrets()...)
		if err == nil || credential.KindOf(err) != kind || credential.CodeOf(err) != code {
			t.Errorf("%v: %v; want %v, %s", credential.KindOf(err), err, kind, code)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	r, err := m.Refresher.Renew(t.Context(), refreshers.Call{Credential: c, HTTP: doer})
	must(err)
	must(servers.Check(t.Context(), Provider, "api_key", "", refresherstest.Reveal(r.Headers), refresherstest.Reveal(r.Query)))

	must(p.Bookeo.SetPermissions(key.APIKey, "bookings_rw_own"))
	verify(credential.KindRejected, "missing_permissions")
	must(p.Bookeo.SetAccount(key.APIKey, "ANOTHER"))
	verify(credential.KindMisconfigured, "another_account")
	must(p.Bookeo.RevokeKey(key.APIKey))
	verify(credential.KindRejected, refreshers.HTTPCode(spec.RefuseStatus))
	must(servers.Down(Provider))
	verify(credential.KindTransient, credential.CodeNotConnected)
}
