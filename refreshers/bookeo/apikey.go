package bookeo

import (
	"context"
	"encoding/json"
	"strings"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// apiKey verifies a key.
type apiKey struct{}

// Renew implements refreshers.Refresher. Both keys go in headers: Bookeo accepts
// them in the URL, too, but URLs end up in logs.
func (apiKey) Renew(ctx context.Context, call refreshers.Call) (refreshers.Result, error) {
	c := call.Credential
	req, err := refreshers.Get(ctx, Provider, c.BaseURL+"/settings/apikeyinfo")
	if err != nil {
		return refreshers.Result{}, err
	}
	headers := map[string]credential.Secret{
		"X-Bookeo-apiKey":    c.Fields["api_key"],
		"X-Bookeo-secretKey": c.Fields["secret_key"],
		"Content-Type":       "application/json",
	}
	refreshers.SetHeaders(req, headers)
	answer, err := call.Send(ctx, req)
	if err != nil {
		return refreshers.Result{}, err
	}
	info, err := parseInfo(answer)
	if err != nil {
		return refreshers.Result{}, err
	}
	warnings, err := info.compare(answer, c.Field("account_id"), split(c.Field("required_permissions")))
	if err != nil {
		return refreshers.Result{}, err
	}
	return refreshers.Result{Headers: headers, Warnings: warnings}, nil
}

// info is what apikeyinfo says of a key.
type info struct {
	account     string // empty if the answer does not say
	permissions []string
	known       bool // the answer holds permissions, though there may be none
}

// parseInfo reads the answer of apikeyinfo. It needs to hold one of the fields
// that are known of it: any other object is not from Bookeo.
func parseInfo(a refreshers.Answer) (info, error) {
	if a.Unauthorized() {
		return info{}, refreshers.Refused(Provider, a)
	}
	o, ok := a.Object()
	if !ok || !a.Successful() || !o.Has("accountId") && !o.Has("permissions") {
		return info{}, refreshers.Undecided(Provider, a)
	}
	var i info
	i.account, _ = o.Text("accountId")
	i.permissions, i.known = permissionList(o)
	return i, nil
}

// permissionList reads the permissions, which are a string or an array.
func permissionList(o refreshers.Object) ([]string, bool) {
	if text, ok := o.Text("permissions"); ok {
		return split(text), true
	}
	var list []string
	if !o.List("permissions") || json.Unmarshal(o["permissions"], &list) != nil {
		return nil, false
	}
	return split(strings.Join(list, ",")), true
}

// compare holds what the answer says against what is stored. The error names
// what is stored, never what was answered.
func (i info) compare(a refreshers.Answer, account string, required []string) ([]string, error) {
	var warnings []string
	switch {
	case account == "":
	case i.account == "":
		warnings = append(warnings, "the answer names no account, so account_id could not be compared")
	case i.account != account:
		return nil, refreshers.WrongFields(Provider, "another_account", "the key belongs to another account than account_id says", "api_key", "account_id")
	}
	if len(required) == 0 {
		return warnings, nil
	}
	if !i.known {
		return append(warnings, "the answer names no permissions, so required_permissions could not be compared"), nil
	}
	if lacking := missing(required, i.permissions); len(lacking) > 0 {
		return nil, a.Fail(credential.KindRejected, Provider, "missing_permissions",
			"the key lacks required permissions, which need a new authorization: "+strings.Join(lacking, ", "))
	}
	return warnings, nil
}
