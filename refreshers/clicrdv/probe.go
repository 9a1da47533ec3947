package clicrdv

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"refresher/internal/credential"
	"refresher/refreshers"
)

// groupsPath is what a session is touched with unless the credential has a
// probe_path ("GET /api/v1/groups").
const groupsPath = "/api/v1/groups.json"

// withKey returns a URL of the credential's environment with the apikey in its
// query, where alone ClicRDV accepts it ("Important: Le paramètre apikey …").
func withKey(c credential.Credential, path string) string {
	separator := "?"
	if strings.Contains(path, "?") {
		separator = "&"
	}
	return c.BaseURL + path + separator + "apikey=" + url.QueryEscape(c.Field("api_key"))
}

// published returns the query that readers put on every call.
func published(c credential.Credential) map[string]credential.Secret {
	return map[string]credential.Secret{"apikey": c.Fields["api_key"]}
}

// probe asks for what only a logged-in user is answered; headers log in, or are
// empty for an anonymous call.
func probe(ctx context.Context, call refreshers.Call, headers map[string]credential.Secret) (refreshers.Answer, error) {
	path := call.Credential.Field("probe_path")
	if path == "" {
		path = groupsPath
	}
	req, err := refreshers.Get(ctx, Provider, withKey(call.Credential, path))
	if err != nil {
		return refreshers.Answer{}, err
	}
	refreshers.SetHeaders(req, headers)
	return call.Send(ctx, req)
}

// standing is what an answer to a probe says of who asked.
type standing int

const (
	// unclear: the answer says nothing, such as a 500 or a page in HTML.
	unclear standing = iota
	// anonymous: the provider did not take us for anybody.
	anonymous
	// loggedIn: the answer holds what only a user is answered.
	loggedIn
)

// standingOf judges the answer to a probe. ClicRDV sends no challenge when a
// login is missing, so an answer counts as a user's only for what it holds: the
// list of records or, on a probe_path of which nobody knows what it answers, an
// object without an error. Whether that suffices is what distinct finds out.
func standingOf(c credential.Credential, a refreshers.Answer) standing {
	if a.Unauthorized() {
		return anonymous
	}
	o, ok := a.Object()
	switch {
	case a.Status != http.StatusOK || !ok:
		return unclear
	case o.HasError():
		return anonymous
	case o.List("records") || c.Has("probe_path"):
		return loggedIn
	default:
		return anonymous
	}
}

// distinct makes sure, with one anonymous probe, that the probe can tell a user
// from nobody: else a session could end unnoticed.
func distinct(ctx context.Context, call refreshers.Call) error {
	a, err := probe(ctx, call, nil)
	if err != nil {
		return err
	}
	if a.WantsWait() || a.Status >= http.StatusInternalServerError {
		return refreshers.Undecided(Provider, a)
	}
	if standingOf(call.Credential, a) == loggedIn {
		return indistinct("an anonymous call is answered like the user's: it must be a path that only a logged-in user is answered")
	}
	return nil
}

// indistinct is the error for a probe that proves nothing.
func indistinct(text string) error {
	return refreshers.WrongFields(Provider, "probe_indistinct", text, "probe_path")
}
