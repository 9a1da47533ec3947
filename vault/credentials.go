package vault

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"refresher/internal/credential"
)

// Credential returns a stored credential. It is credential.ErrNotFound if there
// is none, and credential.ErrDeleted if its last version was deleted. With an error of credential.Parse (what
// a person must correct), ID, Version and StoredAt are set all the same.
func (c *Client) Credential(ctx context.Context, id credential.ID) (credential.Credential, error) {
	doc, err := c.credentialDocument(ctx, id)
	if err != nil {
		return credential.Credential{ID: id, Version: doc.version}, err
	}
	parsed, err := credential.Parse(id, doc.data)
	parsed.ID, parsed.Version, parsed.StoredAt = id, doc.version, doc.stored
	return parsed, err
}

// CredentialData returns a stored credential's fields as they are, and its
// version. It is credential.ErrNotFound if there is none; the version is then 0,
// or the number of the deleted version.
func (c *Client) CredentialData(ctx context.Context, id credential.ID) (map[string]any, int, error) {
	doc, err := c.credentialDocument(ctx, id)
	return doc.data, doc.version, err
}

func (c *Client) credentialDocument(ctx context.Context, id credential.ID) (document, error) {
	path, err := c.documentPath(folderCredentials, id)
	if err != nil {
		return document{}, err
	}
	doc, err := c.read(ctx, "credential.read", path)
	if err == nil && doc.data == nil {
		cause := credential.ErrNotFound
		if doc.version > 0 {
			cause = credential.ErrDeleted
		}
		err = &Error{Op: "credential.read", Path: path, Status: http.StatusNotFound, Err: cause}
	}
	return doc, err
}

// PutCredential stores a credential for the command line, and returns its new
// version. With cas the document's version must be that one (0: there is none
// yet), else the error is credential.ErrConflict. The service itself only reads
// credentials.
func (c *Client) PutCredential(ctx context.Context, id credential.ID, data map[string]string, cas *int) (int, error) {
	path, err := c.documentPath(folderCredentials, id)
	if err != nil {
		return 0, err
	}
	body := make(map[string]any, len(data))
	for name, value := range data {
		body[name] = value
	}
	return c.put(ctx, "credential.write", path, body, cas)
}

// DeleteCredential deletes the last version of a credential for the command
// line; deleting it again, or one that never was, is no error.
//
// The document's metadata stays. Deleting that too would start its versions anew
// at 1, and a credential stored again under the same name would look like the one
// that was already seen. It also lets a person undelete the version.
func (c *Client) DeleteCredential(ctx context.Context, id credential.ID) error {
	path, err := c.documentPath(folderCredentials, id)
	if err != nil {
		return err
	}
	return c.do(ctx, "credential.delete", path, func(ctx context.Context) error {
		_, err := c.api.Logical().DeleteWithContext(ctx, path)
		return err
	})
}

// NotAFolder ends the name of a document that lies where only tenants' folders should be.
const NotAFolder = " (not a folder)"

// Tenants returns the names of the tenants' folders below credentials/, as they
// are: the caller checks them with credential.CheckName. A document beside the
// folders is returned too, with NotAFolder at its end, which makes its name
// invalid. No tenants at all are no error; neither is a wrong prefix, which Vault
// does not tell apart.
func (c *Client) Tenants(ctx context.Context) ([]string, error) {
	names, err := c.list(ctx, "tenants.list", c.listPath(folderCredentials))
	for i, name := range names {
		folder, ok := strings.CutSuffix(name, "/")
		if ok {
			names[i] = folder
		} else {
			names[i] = name + NotAFolder
		}
	}
	return names, err
}

// Names returns the names of a tenant's credentials, as they are: the caller
// checks them with credential.CheckName. The name of a folder ends with a slash,
// which makes it invalid. Deleted credentials are among them until their metadata
// is deleted; Credential then answers credential.ErrNotFound. A tenant that there
// is not has no names.
func (c *Client) Names(ctx context.Context, tenant string) ([]string, error) {
	if err := credential.CheckName("tenant", tenant); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	return c.list(ctx, "names.list", c.listPath(folderCredentials)+"/"+tenant)
}
