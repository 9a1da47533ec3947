package main

import (
	"maps"
	"strings"

	"refresher/internal/providersim"
)

// part is what a credential plays in the demo.
type part int

const (
	// steady credentials must be alive at all times.
	steady part = iota
	// unlucky loses its authorization, and gets it back.
	unlucky
	// mistyped has a typing error, which whoever watches may mend.
	mistyped
)

// stored is one credential as a person would store it.
type stored struct {
	id       string // tenant/name
	provider string
	auth     string
	part     part
	// account is how the provider's ledger names it.
	account string
	fields  map[string]string
	// mended are the fields without the typing error.
	mended map[string]string
}

// document is what is stored in the Vault.
func (s stored) document(fields map[string]string) map[string]string {
	d := map[string]string{"provider": s.provider, "auth": s.auth}
	maps.Copy(d, fields)
	return d
}

// fleet registers the demo's tenants at the simulators and returns their
// credentials: all seven methods of the five providers.
func fleet(p *providersim.Providers, servers *providersim.Servers) []stored {
	all := append(checkfrontFleet(p.Checkfront), bookeoFleet(p.Bookeo)...)
	all = append(all, clicrdvFleet(p.ClicRDV)...)
	all = append(all, ankorFleet(p.Ankor)...)
	all = append(all, kiboFleet(p.Kibo)...)
	for i := range all {
		url := servers.URL(all[i].provider)
		for _, fields := range []map[string]string{all[i].fields, all[i].mended} {
			if fields == nil {
				continue
			}
			fields["base_url"] = url
			if all[i].provider == "kibo" {
				fields["api_url"] = url // else readers are sent to Kibo's own
			}
		}
	}
	return all
}

func checkfrontFleet(c *providersim.Checkfront) []stored {
	var all []stored
	for _, one := range []struct {
		id   string
		part part
		spec providersim.AppSpec
	}{
		{"harbour-tours/online", steady, providersim.AppSpec{}},
		{"alpine-rides/online", steady, providersim.AppSpec{Errors: providersim.ErrorAt200}},
		// A hash of the ID places the first renewal. This one's comes after the
		// authorization is gone, which keeps the story short.
		{"ghost-walks/tickets", unlucky, providersim.AppSpec{Errors: providersim.ErrorObject}},
	} {
		app := c.AddApp(one.spec)
		all = append(all, stored{
			id: one.id, provider: "checkfront", auth: "oauth2", part: one.part, account: app.ClientID,
			fields: map[string]string{"client_id": app.ClientID, "client_secret": app.ClientSecret, "refresh_token": app.RefreshToken},
		})
	}
	pair := c.AddTokenPair("harbour-tours")
	return append(all, stored{
		id: "harbour-tours/kiosk", provider: "checkfront", auth: "token_pair", account: "harbour-tours",
		fields: map[string]string{"api_key": pair.APIKey, "api_secret": pair.APISecret},
	})
}

func bookeoFleet(b *providersim.Bookeo) []stored {
	var all []stored
	for _, one := range []struct{ id, account, permissions, required string }{
		{"river-kayaks/tours", "sim-account-kayaks", "bookings_rw_all,customers_r_all", "bookings_r_own"},
		{"lantern-club/seats", "sim-account-lantern", "bookings_r_all", ""},
	} {
		key := b.AddKey(providersim.KeySpec{
			AccountID: one.account, Permissions: strings.Split(one.permissions, ","), PermissionsAsString: one.required == "",
		})
		fields := map[string]string{"api_key": key.APIKey, "secret_key": key.SecretKey, "account_id": one.account}
		if one.required != "" {
			fields["required_permissions"] = one.required
		}
		all = append(all, stored{id: one.id, provider: "bookeo", auth: "api_key", account: one.account, fields: fields})
	}
	return all
}

func clicrdvFleet(c *providersim.ClicRDV) []stored {
	agenda := c.AddUser(providersim.UserSpec{Email: "agenda@salon-lune.example", Type: "pro"})
	booking := c.AddUser(providersim.UserSpec{
		Email: "clients@salon-lune.example", Type: "account", Anonymous: providersim.AnonymousHTML, ReissueEvery: 4,
	})
	clinic := c.AddUser(providersim.UserSpec{Email: "accueil@clinique-lac.example", Anonymous: providersim.AnonymousJSON})
	return []stored{
		{
			id: "salon-lune/agenda", provider: "clicrdv", auth: "session", account: agenda.Email,
			fields: map[string]string{"api_key": agenda.APIKey, "email": agenda.Email, "password": agenda.Password, "user_type": agenda.Type},
		},
		{
			id: "salon-lune/clients", provider: "clicrdv", auth: "session", account: booking.Email,
			fields: map[string]string{"api_key": booking.APIKey, "email": booking.Email, "password_sha1": booking.PasswordSHA1, "user_type": booking.Type},
		},
		{
			id: "clinique-lac/agenda", provider: "clicrdv", auth: "basic", account: clinic.Email,
			fields: map[string]string{"api_key": clinic.APIKey, "email": clinic.Email, "password": clinic.Password},
		},
	}
}

func ankorFleet(a *providersim.Ankor) []stored {
	var all []stored
	for _, one := range []struct {
		id, scopes string
		spec       providersim.CompanySpec
	}{
		{"azure-yachts/website", "", providersim.CompanySpec{URI: "https://api.ankor.example/companies/azure-yachts", PKCS1: true}},
		{"blue-lagoon/central", "entity:*", providersim.CompanySpec{URI: "https://api.ankor.example/companies/blue-lagoon", Expires: providersim.ExpiresEpochMillis}},
	} {
		company := a.AddCompany(one.spec)
		fields := map[string]string{
			"company_uri": company.URI, "key_id": company.KeyID,
			// In one line, as it travels through shells and JSON files.
			"private_key": strings.ReplaceAll(company.PrivateKeyPEM, "\n", `\n`),
		}
		if one.scopes != "" {
			fields["scopes"] = one.scopes
		}
		all = append(all, stored{id: one.id, provider: "ankor", auth: "jwt_bearer", account: company.URI, fields: fields})
	}
	return all
}

func kiboFleet(k *providersim.Kibo) []stored {
	var all []stored
	for _, one := range []struct {
		id, environment string
		part            part
	}{
		{"corner-shop/orders", "", steady},
		{"paper-crane/orders", "staging", mistyped},
	} {
		client := k.AddClient(providersim.ClientSpec{})
		fields := map[string]string{"client_id": client.ClientID, "client_secret": client.ClientSecret}
		if one.environment != "" {
			fields["environment"] = one.environment
		}
		s := stored{id: one.id, provider: "kibo", auth: "client_credentials", part: one.part, account: client.ClientID, fields: fields}
		if one.part == mistyped {
			s.mended = maps.Clone(fields)
			s.fields["client_secret"] = strings.TrimSuffix(client.ClientSecret, "b") // the last letter was not copied
		}
		all = append(all, s)
	}
	return all
}

// correct returns the fields as they should be.
func (s stored) correct() map[string]string {
	if s.mended != nil {
		return s.mended
	}
	return s.fields
}

// method is the provider and its method in two words.
func (s stored) method() string { return s.provider + " " + s.auth }

// tenant is the first half of the ID.
func (s stored) tenant() string {
	tenant, _, _ := strings.Cut(s.id, "/")
	return tenant
}
