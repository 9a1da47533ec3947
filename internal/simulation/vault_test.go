package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"refresher/internal/credential"
	"refresher/internal/escrow"
)

// vault is what KV version 2 keeps: documents with versions, written with
// check-and-set. It is touched by one effect at a time.
type vault struct {
	place
	documents
	keys   []escrow.Key
	writes int // of grants, so that each has a number of its own
}

type documents struct {
	credentials map[credential.ID]document[*credential.Credential]
	grants      map[credential.ID]document[credential.Grant]
	tokens      map[credential.ID]document[credential.Token]
}

// document is one with its version; that of a deleted one stays.
type document[T any] struct {
	version int
	data    T
	// write is the number of the write that it comes from, if it is a grant. Unlike
	// the version, it never comes round again.
	write int
}

func newVault(o odds) *vault {
	v := &vault{place: place{name: "vault", timeout: vaultTimeout, fail: o.vaultFail, lost: o.vaultLost, late: o.vaultLate}}
	v.documents = documents{}.clone()
	return v
}

func (d documents) clone() documents {
	c := documents{
		credentials: maps.Clone(d.credentials), grants: maps.Clone(d.grants), tokens: maps.Clone(d.tokens),
	}
	if c.credentials == nil {
		c.credentials = map[credential.ID]document[*credential.Credential]{}
		c.grants = map[credential.ID]document[credential.Grant]{}
		c.tokens = map[credential.ID]document[credential.Token]{}
	}
	return c
}

// store is what a person does: it needs no check-and-set.
func (v *vault) store(c *credential.Credential) {
	c.Version = v.credentials[c.ID].version + 1
	c.StoredAt = time.Now()
	v.credentials[c.ID] = document[*credential.Credential]{version: c.Version, data: c}
}

// remove deletes a credential's last version or, with its metadata, every trace of it.
func (v *vault) remove(id credential.ID, metadata bool) {
	if metadata {
		delete(v.credentials, id)
		return
	}
	v.credentials[id] = document[*credential.Credential]{version: v.credentials[id].version + 1}
}

func checkAndSet[T any](docs map[credential.ID]document[T], id credential.ID, data T, cas int) (int, error) {
	if docs[id].version != cas {
		return 0, fmt.Errorf("%w: at version %d, not %d", credential.ErrConflict, docs[id].version, cas)
	}
	docs[id] = document[T]{version: cas + 1, data: data}
	return cas + 1, nil
}

// vaultOf is Vault as one process reaches it.
type vaultOf struct{ *process }

func (v vaultOf) do(ctx context.Context, op, about string, work func(*vault) error) error {
	vault := v.world.vault
	return v.effect(ctx, &vault.place, op, about, func() error { return work(vault) })
}

// Credential implements renewal.Credentials.
func (v vaultOf) Credential(ctx context.Context, id credential.ID) (c credential.Credential, err error) {
	c.ID = id
	err = v.do(ctx, "credential.read", id.String(), func(v *vault) error {
		doc := v.credentials[id]
		c.Version = doc.version
		switch {
		case doc.data != nil:
			c = *doc.data
			return nil
		case doc.version > 0:
			return credential.ErrDeleted
		default:
			return credential.ErrNotFound
		}
	})
	return c, err
}

// Grant implements renewal.Grants.
func (v vaultOf) Grant(ctx context.Context, id credential.ID) (g credential.Grant, version int, err error) {
	asked := time.Now()
	err = v.do(ctx, "grant.read", id.String(), func(v *vault) error {
		doc := v.grants[id]
		g, version = doc.data.Clone(), doc.version
		remember(ctx, id, version, reading{doc.write, asked})
		return nil
	})
	return g, version, err
}

// PutGrant implements renewal.Grants.
func (v vaultOf) PutGrant(ctx context.Context, id credential.ID, g credential.Grant, cas int) (version int, err error) {
	g = g.Clone()
	asked, read := time.Now(), remembered(ctx, id, cas)
	err = v.do(ctx, "grant.write", id.String(), func(vault *vault) (err error) {
		before := vault.grants[id]
		if version, err = checkAndSet(vault.grants, id, g, cas); err != nil {
			return err
		}
		vault.writes++
		after := vault.grants[id]
		after.write = vault.writes
		vault.grants[id] = after
		remember(ctx, id, version, reading{after.write, asked})
		v.world.book.grantWritten(v.process, id, before.data, g, blind{before.write != read.write, asked.Sub(read.asked)})
		v.world.lags.look()
		return nil
	})
	return version, err
}

// Token implements renewal.Tokens.
func (v vaultOf) Token(ctx context.Context, id credential.ID) (t credential.Token, version int, err error) {
	err = v.do(ctx, "token.read", id.String(), func(v *vault) error {
		t, version = v.tokens[id].data, v.tokens[id].version
		return nil
	})
	return t, version, err
}

// PutToken implements renewal.Tokens.
func (v vaultOf) PutToken(ctx context.Context, id credential.ID, t credential.Token, cas int) (version int, err error) {
	err = v.do(ctx, "token.write", id.String(), func(vault *vault) (err error) {
		before := vault.tokens[id].data
		if version, err = checkAndSet(vault.tokens, id, t, cas); err == nil {
			v.world.evidence.keep("what people are told", []byte(t.Message))
			v.world.book.tokenWritten(id, before, t)
			v.world.lags.look()
		}
		return err
	})
	return version, err
}

// Tenants implements scheduler.Store.
func (v vaultOf) Tenants(ctx context.Context) (names []string, err error) {
	err = v.do(ctx, "tenants.list", "", func(v *vault) error {
		for id := range v.credentials {
			names = append(names, id.Tenant)
		}
		slices.Sort(names)
		names = slices.Compact(names)
		return nil
	})
	return names, err
}

// Names implements scheduler.Store. Deleted documents are listed as well.
func (v vaultOf) Names(ctx context.Context, tenant string) (names []string, err error) {
	err = v.do(ctx, "names.list", tenant, func(v *vault) error {
		for id := range v.credentials {
			if id.Tenant == tenant {
				names = append(names, id.Name)
			}
		}
		slices.Sort(names)
		return nil
	})
	return names, err
}

// Keys implements escrow.KeyStore.
func (v vaultOf) Keys(ctx context.Context) (keys []escrow.Key, err error) {
	err = v.do(ctx, "key.read", "", func(v *vault) error {
		keys = slices.Clone(v.keys)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// CreateKey implements escrow.KeyStore.
func (v vaultOf) CreateKey(ctx context.Context, key escrow.Key) error {
	return v.do(ctx, "key.write", "", func(v *vault) error {
		if len(v.keys) > 0 {
			return credential.ErrConflict
		}
		v.keys = append(v.keys, key)
		return nil
	})
}
