package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"refresher/internal/credential"
)

// Token returns a published token and its document's version, for the next
// PutToken. If there is none the token is the zero Token, and the version is 0, or
// the number of the deleted version. A document that somebody broke by hand is
// credential.KindMisconfigured; its version is returned all the same, so that
// it can be replaced.
func (c *Client) Token(ctx context.Context, id credential.ID) (credential.Token, int, error) {
	path, err := c.documentPath(folderTokens, id)
	if err != nil {
		return credential.Token{}, 0, err
	}
	doc, err := c.read(ctx, "token.read", path)
	if err != nil || doc.data == nil {
		return credential.Token{}, doc.version, err
	}
	token, err := decodeToken(doc.data)
	if err != nil {
		return credential.Token{}, doc.version, malformed(path, err)
	}
	return token, doc.version, nil
}

// PutToken publishes a token if the document's version is still cas, and returns
// the new version. Its errors are those of PutGrant.
func (c *Client) PutToken(ctx context.Context, id credential.ID, token credential.Token, cas int) (int, error) {
	path, err := c.documentPath(folderTokens, id)
	if err != nil {
		return 0, err
	}
	if err := checkToken(token); err != nil {
		return 0, fmt.Errorf("vault: %s: not written: %w", path, err)
	}
	return c.put(ctx, "token.write", path, encodeToken(token), &cas)
}

func encodeToken(t credential.Token) map[string]any {
	f := fields{data: map[string]any{"status": string(t.Status), "generation": t.Generation}}
	f.setText("provider", t.Provider)
	f.setText("auth", t.Auth)
	f.setText("base_url", t.BaseURL)
	f.setSecrets("headers", t.Headers)
	f.setSecrets("query", t.Query)
	f.setSecret("access_token", t.AccessToken)
	f.setText("token_type", t.TokenType)
	f.setTime("issued_at", t.IssuedAt)
	f.setTime("expires_at", t.ExpiresAt)
	f.setTime("renew_at", t.RenewAt)
	f.setText("message", t.Message)
	return f.data
}

func decodeToken(data map[string]any) (credential.Token, error) {
	f := &fields{data: data}
	t := credential.Token{
		Provider:    f.text("provider"),
		Auth:        f.text("auth"),
		BaseURL:     f.text("base_url"),
		Status:      credential.Status(f.text("status")),
		Headers:     f.secrets("headers"),
		Query:       f.secrets("query"),
		AccessToken: f.secret("access_token"),
		TokenType:   f.text("token_type"),
		IssuedAt:    f.when("issued_at"),
		ExpiresAt:   f.when("expires_at"),
		RenewAt:     f.when("renew_at"),
		Generation:  f.count("generation"),
		Message:     f.text("message"),
	}
	if f.err != nil {
		return credential.Token{}, f.err
	}
	return t, checkToken(t)
}

func checkToken(t credential.Token) error {
	if !slices.Contains(credential.Statuses(), t.Status) {
		return errors.New(`field "status" is none of the known ones`)
	}
	return nil
}
