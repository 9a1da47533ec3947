package bookeo

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"refresher/internal/credential"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

func stored() credential.Credential {
	return credential.Credential{
		ID: credential.ID{Tenant: "acme", Name: "bookeo"}, Provider: Provider,
		Fields: map[string]credential.Secret{
			"api_key":              "made-up-api-key-AXYZ41565",
			"secret_key":           "made-up-secret-key|%2b",
			"account_id":           "41565MADEUP8147",
			"required_permissions": "bookings_rw_own, customers_r_all",
		},
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, fixture := range []string{"apikeyinfo.json", "apikeyinfo_array.json"} {
		t.Run(fixture, func(t *testing.T) {
			t.Parallel()
			refresherstest.Run(t, refresherstest.Subject{
				Method:     Methods(DefaultSettings())[0],
				Credential: stored(),
				Success:    []refreshers.Answer{refresherstest.Fixture(t, 200, "testdata/"+fixture)},
				Headers:    []string{"X-Bookeo-apiKey", "X-Bookeo-secretKey", "Content-Type"},
			})
		})
	}
}

func renew(t *testing.T, c credential.Credential, a refreshers.Answer) (refreshers.Result, refresherstest.Request, error) {
	t.Helper()
	m := Methods(DefaultSettings())[0]
	c.BaseURL = m.DefaultBaseURL(c)
	script := refresherstest.NewScript(refresherstest.Answers(a)...)
	r, err := m.Refresher.Renew(t.Context(), refreshers.Call{Credential: c, HTTP: script})
	return r, script.Requests()[0], err
}

func TestRequest(t *testing.T) {
	t.Parallel()
	r, req, err := renew(t, stored(), refresherstest.Fixture(t, 200, "testdata/apikeyinfo.json"))
	if err != nil {
		t.Fatal(err)
	}
	if req.Method != "GET" || req.URL != "https://api.bookeo.com/v2/settings/apikeyinfo" {
		t.Errorf("asked for %s %s", req.Method, req.URL)
	}
	for name, want := range map[string]string{
		"X-Bookeo-apiKey": "made-up-api-key-AXYZ41565", "X-Bookeo-secretKey": "made-up-secret-key|%2b", "Content-Type": "application/json",
	} {
		if req.Header.Get(name) != want || r.Headers[name].Reveal() != want {
			t.Errorf("%s is not what it should be", name)
		}
	}
}

func TestComparison(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body    string
		kind    credential.Kind
		code    string // empty: no error
		text    string // in the error, or else in the warnings
		account string
		require string
	}{
		"another account": {
			body: `{"accountId":"ANOTHER-ONE","permissions":"bookings_r_all"}`, account: "MINE",
			kind: credential.KindMisconfigured, code: "another_account", text: `"account_id"`,
		},
		"another account with less": {
			body: `{"accountId":"ANOTHER-ONE","permissions":""}`, account: "MINE", require: "bookings_r_all",
			kind: credential.KindMisconfigured, code: "another_account",
		},
		"any account": {body: `{"accountId":"ANOTHER-ONE"}`},
		"fewer permissions": {
			body: `{"accountId":"MINE","permissions":"bookings_rw_own"}`, require: "bookings_rw_own,bookings_rwd_own customers_r_all",
			kind: credential.KindRejected, code: "missing_permissions", text: "bookings_rwd_own, customers_r_all",
		},
		"no permissions at all": {
			body: `{"accountId":"MINE","permissions":[]}`, require: "availability_r",
			kind: credential.KindRejected, code: "missing_permissions", text: "availability_r",
		},
		"no account said":       {body: `{"permissions":"availability_r"}`, account: "MINE", text: "names no account"},
		"no permissions said":   {body: `{"accountId":"MINE"}`, account: "MINE", require: "availability_r", text: "names no permissions"},
		"permissions of a kind": {body: `{"accountId":"MINE","permissions":[{"name":"availability_r"}]}`, require: "availability_r", text: "names no permissions"},
		"another document":      {body: `{"status":"ok"}`, kind: credential.KindTransient, code: "unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := stored()
			c.Fields["account_id"], c.Fields["required_permissions"] = credential.Secret(tc.account), credential.Secret(tc.require)
			r, _, err := renew(t, c, refresherstest.JSON(200, tc.body))
			said := strings.Join(r.Warnings, "\n")
			if tc.code != "" {
				if credential.KindOf(err) != tc.kind || credential.CodeOf(err) != tc.code {
					t.Fatalf("%v: %v", credential.KindOf(err), err)
				}
				said = err.Error()
			} else if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(said, tc.text) || strings.Contains(said, "ANOTHER-ONE") {
				t.Errorf("said %q, want %q", said, tc.text)
			}
			if tc.code == "" && (tc.text == "") != (said == "") {
				t.Errorf("warned of %q", said)
			}
		})
	}
}

func TestImplies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		held, wanted string
		want         bool
	}{
		{"bookings_rw_all", "bookings_rw_all", true},
		{"bookings_rw_all", "bookings_rw_own", true}, // the document's own example
		{"bookings_rwd_all", "bookings_r_all", true},
		{"bookings_rwd_all", "bookings_rw_own", true},
		{"bookings_rwd_own", "bookings_rw_own", true},
		{"bookings_rw_own", "bookings_rw_all", false},
		{"bookings_rw_all", "bookings_rwd_own", false},
		{"bookings_r_all", "bookings_rw_own", false},
		{"bookings_rwd_all", "customers_r_all", false},
		{"availability_r", "availability_r", true},
		{"subaccounts_rw", "subaccounts_r", true},
		{"availability_r", "availability_rw", false},
		{"availability_all", "availability_own", false},
		{"something-new", "something-new", true},
		{"something-new", "something", false},
		{"bookings_r_all_x", "bookings_r_all", false},
	} {
		if got := implies(tc.held, tc.wanted); got != tc.want {
			t.Errorf("%s implies %s: %v", tc.held, tc.wanted, got)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	wanted := split("Payments_rw_all, bookings_rw_own\tblocks_r_all")
	got := missing(wanted, split("bookings_rwd_all blocks_r_own"))
	if want := []string{"payments_rw_all", "blocks_r_all"}; !slices.Equal(got, want) {
		t.Errorf("missing are %q, want %q", got, want)
	}
}

func TestRequiredPermissionsField(t *testing.T) {
	t.Parallel()
	for value, ok := range map[string]bool{"bookings_rw_all": true, "a_r,b_r c_r": true, " , ": false, "bookings:all": false, "réservations": false} {
		if err := checkPermissions(value); (err == nil) != ok {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func FuzzInfo(f *testing.F) {
	f.Add(200, `{"accountId":"MINE","permissions":"bookings_rw_all"}`)
	f.Add(200, `{"accountId":"MINE","permissions":["bookings_rw_all","availability_r"]}`)
	f.Add(403, `{}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		a := refresherstest.JSON(status, body)
		i, err := parseInfo(a)
		if err == nil {
			_, err = i.compare(a, "MINE", []string{"bookings_rw_own"})
		}
		if err == nil && status/100 != 2 {
			t.Errorf("%d is taken for success", status)
		}
		if kind := credential.KindOf(err); err != nil && kind == credential.KindAmbiguous {
			t.Errorf("%v", kind)
		}
		if _, ok := parse(body); ok && !implies(body, body) {
			t.Error("a permission does not imply itself")
		}
		_ = fmt.Sprint(err)
	})
}
