package vault

import (
	"context"
	"errors"
	"fmt"

	"refresher/internal/credential"
)

// Grant returns a grant and its document's version, for the next PutGrant. If
// there is none the grant is the zero Grant, and the version is 0, or the number
// of the deleted version. A document that somebody broke by hand is
// credential.KindMisconfigured, and the error names the field.
func (c *Client) Grant(ctx context.Context, id credential.ID) (credential.Grant, int, error) {
	path, err := c.documentPath(folderGrants, id)
	if err != nil {
		return credential.Grant{}, 0, err
	}
	doc, err := c.read(ctx, "grant.read", path)
	if err != nil || doc.data == nil {
		return credential.Grant{}, doc.version, err
	}
	grant, err := decodeGrant(doc.data)
	if err != nil {
		return credential.Grant{}, doc.version, malformed(path, err)
	}
	return grant, doc.version, nil
}

// PutGrant writes a grant if the document's version is still cas, and returns
// the new version. credential.ErrConflict means that it is another one and
// nothing was written; after any other error the outcome is unknown. A grant that
// could not be read back (no refresh token, an intent without its attempt) is
// refused before anything is sent.
//
// Before a grant's first write (cas is 0) Vault is told to take writes of this
// document with check-and-set alone, whoever sends them. A login that may not tell
// it so is no error: Check warns of it.
func (c *Client) PutGrant(ctx context.Context, id credential.ID, grant credential.Grant, cas int) (int, error) {
	path, err := c.documentPath(folderGrants, id)
	if err != nil {
		return 0, err
	}
	if err := checkGrant(grant); err != nil {
		return 0, fmt.Errorf("vault: %s: not written: %w", path, err)
	}
	if cas == 0 {
		if err := c.requireCAS(ctx, id); err != nil && !isDenied(err) {
			return 0, err
		}
	}
	return c.put(ctx, "grant.write", path, encodeGrant(grant), &cas)
}

// requireCAS has Vault refuse writes of a grant that name no version. It can be
// said of a document that is not there yet; for a folder there is no such setting.
func (c *Client) requireCAS(ctx context.Context, id credential.ID) error {
	_, err := c.write(ctx, "grant.require_cas", c.settings.at("metadata", folderGrants+"/"+id.String()), map[string]any{"cas_required": true})
	return err
}

func encodeGrant(g credential.Grant) map[string]any {
	f := fields{data: map[string]any{"state": string(g.State), "generation": g.Generation}}
	f.setSecret("refresh_token", g.RefreshToken)
	f.setTime("refresh_token_issued_at", g.RefreshTokenIssuedAt)
	f.setSecret("access_token", g.AccessToken)
	f.setText("token_type", g.TokenType)
	f.setTime("issued_at", g.IssuedAt)
	f.setTime("expires_at", g.ExpiresAt)
	f.setTexts("seeds", g.Seeds)
	f.setTexts("former", g.Former)
	if g.Rotation > 0 {
		f.data["rotation"] = g.Rotation
	}
	if g.State == credential.GrantIntent {
		f.data["intent"] = encodeIntent(*g.Intent)
	}
	return f.data
}

func encodeIntent(i credential.Intent) map[string]any {
	f := fields{data: map[string]any{"probe": i.Probe, "claim": i.Claim, "foreign": i.Foreign}}
	f.setText("attempt", i.Attempt)
	f.setText("owner", i.Owner)
	f.setTime("began_at", i.BeganAt)
	f.setTime("not_before", i.NotBefore)
	f.setTexts("earlier", i.Earlier)
	return f.data
}

func decodeGrant(data map[string]any) (credential.Grant, error) {
	f := &fields{data: data}
	g := credential.Grant{
		State:                credential.GrantState(f.text("state")),
		RefreshToken:         f.secret("refresh_token"),
		RefreshTokenIssuedAt: f.when("refresh_token_issued_at"),
		Generation:           f.count("generation"),
		Rotation:             f.countOrNone("rotation"),
		AccessToken:          f.secret("access_token"),
		TokenType:            f.text("token_type"),
		IssuedAt:             f.when("issued_at"),
		ExpiresAt:            f.when("expires_at"),
		Seeds:                f.texts("seeds"),
		Former:               f.texts("former"),
	}
	// An intent that a person left behind when putting the state back to idle
	// means nothing.
	if inner, ok := f.object("intent"); ok && g.State == credential.GrantIntent {
		g.Intent = decodeIntent(inner)
		f.take(inner)
	}
	if f.err != nil {
		return credential.Grant{}, f.err
	}
	return g, checkGrant(g)
}

func decodeIntent(f *fields) *credential.Intent {
	return &credential.Intent{
		Attempt:   f.text("attempt"),
		Owner:     f.text("owner"),
		BeganAt:   f.when("began_at"),
		NotBefore: f.when("not_before"),
		Probe:     f.flag("probe"),
		Claim:     f.flag("claim"),
		Foreign:   f.flag("foreign"),
		Earlier:   f.texts("earlier"),
	}
}

// checkGrant reports what a grant lacks to be acted on.
func checkGrant(g credential.Grant) error {
	switch g.State {
	case credential.GrantDead:
		return nil
	case credential.GrantIdle, credential.GrantIntent:
	default:
		return errors.New(`field "state" must be idle, intent or dead`)
	}
	if g.RefreshToken == "" {
		return errors.New(`field "refresh_token" is missing`)
	}
	if g.State == credential.GrantIdle {
		return nil
	}
	switch {
	case g.Intent == nil:
		return errors.New(`field "intent" is missing, though the state is intent`)
	case g.Intent.Attempt == "":
		return errors.New(`field "intent.attempt" is missing`)
	case g.Intent.Owner == "":
		return errors.New(`field "intent.owner" is missing`)
	case g.Intent.BeganAt.IsZero():
		return errors.New(`field "intent.began_at" is missing`)
	}
	return nil
}
