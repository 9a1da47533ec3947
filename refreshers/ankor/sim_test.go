package ankor

import (
	"net/http"
	"testing"
	"time"

	"refresher/internal/credential"
	"refresher/internal/providersim"
	"refresher/refreshers"
	"refresher/refreshers/refresherstest"
)

func TestSimulated(t *testing.T) {
	t.Parallel()
	p := providersim.New(providersim.Options{AnkorLifetime: 20 * time.Minute})
	servers, err := p.Start("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer servers.Close()
	doer := refresherstest.HTTPDoer(http.DefaultClient)

	mint := func(company providersim.Company, scopes string) (refreshers.Result, error) {
		t.Helper()
		m, c := refresherstest.Resolve(t, Methods(DefaultSettings()), credential.Credential{
			Provider: Provider, BaseURL: servers.URL(Provider),
			Fields: map[string]credential.Secret{
				"company_uri": credential.Secret(company.URI), "key_id": credential.Secret(company.KeyID),
				"private_key": credential.Secret(company.PrivateKeyPEM), "scopes": credential.Secret(scopes),
			},
		})
		r, err := m.Refresher.Renew(t.Context(), refreshers.Call{Credential: c, Attempt: "attempt", HTTP: doer})
		if err != nil {
			refresherstest.CheckError(t, err, p.Secrets()...)
			return r, err
		}
		refresherstest.CheckResult(t, r, p.Secrets()...)
		return r, nil
	}

	for name, style := range map[string]providersim.ExpiresStyle{
		"expires_in": providersim.ExpiresInSeconds, "text": providersim.ExpiresInText, "expires": providersim.ExpiresSeconds,
		"epoch": providersim.ExpiresEpoch, "milliseconds": providersim.ExpiresEpochMillis,
	} {
		company := p.Ankor.AddCompany(providersim.CompanySpec{URI: "https://ankor.example/" + name, PKCS1: name == "epoch", Expires: style})
		for range 2 { // the second assertion must be a new one
			r, err := mint(company, "entity:* website:read:*")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := servers.Check(t.Context(), Provider, "jwt_bearer", "", refresherstest.Reveal(r.Headers), nil); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if lives := time.Until(r.ExpiresAt); lives < 18*time.Minute || lives > 20*time.Minute {
				t.Errorf("%s: lives %v", name, lives)
			}
		}
	}

	company := p.Ankor.AddCompany(providersim.CompanySpec{URI: "https://ankor.example/acme"})
	if _, err := mint(company, "payments:*"); credential.KindOf(err) != credential.KindMisconfigured || credential.CodeOf(err) != "invalid_scope" {
		t.Errorf("a scope that is not the company's: %v", err)
	}
	if err := p.Ankor.RevokeKey(company.KeyID); err != nil {
		t.Fatal(err)
	}
	if _, err := mint(company, ""); credential.KindOf(err) != credential.KindRejected || credential.CodeOf(err) != "invalid_grant" {
		t.Errorf("a revoked key: %v", err)
	}
	if err := servers.Down(Provider); err != nil {
		t.Fatal(err)
	}
	if _, err := mint(company, ""); credential.CodeOf(err) != credential.CodeNotConnected {
		t.Errorf("with nobody there: %v", err)
	}
}
