package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"refresher/internal/credential"
	"refresher/vault"
)

// listReaders bounds how many requests a list has open at Vault.
const listReaders = 16

// rows reads what a list shows. What could not be read is among the failures,
// and does not keep the rest from being shown.
func (s *session) rows(ctx context.Context, filter listFilter) ([]row, failures, error) {
	ids, rows, failed, err := s.names(ctx, filter.tenants)
	if err != nil {
		return nil, nil, err
	}
	due := s.dueTimes(ctx)
	read, errs := make([]row, len(ids)), make([]error, len(ids))
	inParallel(ctx, len(ids), listReaders, func(i int) {
		f := s.find(ctx, ids[i])
		read[i], errs[i] = makeRow(ids[i], f, due[ids[i]], s.Now()), f.unreadable()
	})
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	for i, err := range errs {
		if err != nil {
			failed = append(failed, explain(fmt.Errorf("%s: %w", ids[i], err), s.config))
		}
	}
	rows = slices.DeleteFunc(append(rows, read...), func(r row) bool { return !filter.shows(r) })
	slices.SortFunc(rows, func(a, b row) int {
		return slices.Compare([]string{a.Tenant, a.Name}, []string{b.Tenant, b.Name})
	})
	if rows == nil {
		rows = []row{} // an empty list in JSON, not null
	}
	return rows, failed, nil
}

// find reads what Vault has on one credential.
func (s *session) find(ctx context.Context, id credential.ID) found {
	var f found
	f.cred, f.credErr = s.vault.Credential(ctx, id)
	f.token, _, f.tokenErr = s.vault.Token(ctx, id)
	if f.credErr == nil && f.token.Status == "" {
		// Where URLs may lead is the service's configuration, which may be another one here.
		anywhere := func(string, []string) error { return nil }
		_, _, f.wrong = s.methods.Resolve(f.cred, anywhere)
	}
	return f
}

// makeRow says how one credential fares.
func makeRow(id credential.ID, f found, entry credential.Entry, now time.Time) row {
	r := row{
		Tenant: id.Tenant, Name: id.Name, Provider: shownMethod(f.cred.Provider), Auth: shownMethod(f.cred.Auth),
		Generation: f.token.Generation, ExpiresAt: f.token.ExpiresAt,
		NextAt: entry.Due, Failures: entry.Memo.Failures, serves: f.token.Serves(), gone: f.gone(),
	}
	if r.Provider == "" {
		r.Provider = f.token.Provider
	}
	if r.Auth == "" && r.Provider == f.token.Provider {
		r.Auth = f.token.Auth
	}
	r.Status, r.LastError = f.standing(now)
	if !r.ExpiresAt.IsZero() {
		left := int64(r.ExpiresAt.Sub(now) / time.Second)
		r.ExpiresIn = &left
	}
	switch credential.Status(r.Status) {
	case credential.StatusPaused, credential.StatusRemoved, statusDeleted:
		r.NextAt = time.Time{}
	case credential.StatusActive, credential.StatusRetrying, credential.StatusExpired:
		if r.NextAt.IsZero() {
			r.NextAt = f.token.RenewAt
		}
	}
	return r
}

// names lists what is stored: the IDs of credentials, and a row for each name
// that no credential can have.
func (s *session) names(ctx context.Context, tenants []string) (ids []credential.ID, invalid []row, failed failures, err error) {
	if len(tenants) == 0 {
		if tenants, err = s.vault.Tenants(ctx); err != nil {
			return nil, nil, nil, explain(err, s.config)
		}
	}
	var valid []string
	for _, tenant := range tenants {
		if credential.CheckName("tenant", tenant) != nil {
			invalid = append(invalid, invalidTenant(tenant))
			continue
		}
		valid = append(valid, tenant)
	}
	names, errs := make([][]string, len(valid)), make([]error, len(valid))
	inParallel(ctx, len(valid), listReaders, func(i int) { names[i], errs[i] = s.vault.Names(ctx, valid[i]) })
	for i, tenant := range valid {
		if errs[i] != nil {
			failed = append(failed, explain(fmt.Errorf("tenant %s: %w", tenant, errs[i]), s.config))
		}
		for _, name := range names[i] {
			id, err := credential.NewID(tenant, name)
			if err != nil {
				invalid = append(invalid, invalidName(tenant, name))
				continue
			}
			ids = append(ids, id)
		}
	}
	return ids, invalid, failed, ctx.Err()
}

const storeAgain = "no credential can have this name (1 to 63 of a-z, 0-9, '-' and '_', beginning with a letter or digit): store it again under another"

func invalidTenant(tenant string) row {
	r := row{Tenant: tenant, Status: statusInvalidName, LastError: storeAgain}
	if name, ok := strings.CutSuffix(tenant, vault.NotAFolder); ok {
		r.Tenant = name
		r.LastError = "a document lies where a tenant's folder should be: store it again as credentials/TENANT/NAME"
	}
	return r
}

func invalidName(tenant, name string) row {
	r := row{Tenant: tenant, Name: name, Status: statusInvalidName, LastError: storeAgain}
	if strings.HasSuffix(name, "/") {
		r.LastError = "a folder lies where a credential should be: store what is in it again as credentials/TENANT/NAME"
	}
	return r
}

// queuePatience is how long the queue may take to be read.
const queuePatience = 30 * time.Second

// dueTimes returns what the service's queue knows; nothing if it cannot be asked.
func (s *session) dueTimes(ctx context.Context) map[credential.ID]credential.Entry {
	index, done, err := s.index()
	if errors.Is(err, errNoRedis) {
		return nil
	}
	var entries []credential.Entry
	if err == nil {
		defer done()
		ctx, cancel := context.WithTimeout(ctx, queuePatience)
		defer cancel()
		entries, err = index.Entries(ctx)
	}
	if err != nil {
		s.warn("the queue cannot be read, so the next renewals are those that were published: %s", clean(err.Error()))
	}
	due := make(map[credential.ID]credential.Entry, len(entries))
	for _, entry := range entries {
		due[entry.ID] = entry
	}
	return due
}
