package providersim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// proof is the API call that shows whether a credential works.
type proof struct {
	path    string // below the base URL
	methods []string
	accepts func(body []byte) bool // whether a 200 says what it should
}

var proofs = map[string]proof{
	"checkfront": {"/api/3.0/account", []string{"oauth2", "token_pair"}, isJSON},
	"bookeo":     {"/settings/apikeyinfo", []string{"api_key"}, hasField("accountId")},
	"clicrdv":    {"/api/v1/groups.json", []string{"session", "basic"}, hasField("records")},
	"ankor":      {"/api/v1/website", []string{"jwt_bearer"}, isJSON},
	"kibo":       {"/api/v2/location/1", []string{"client_credentials"}, hasField("locationID")},
}

func isJSON(body []byte) bool { return json.Valid(body) }

func hasField(name string) func([]byte) bool {
	return func(body []byte) bool {
		var doc map[string]json.RawMessage
		return json.Unmarshal(body, &doc) == nil && doc[name] != nil
	}
}

// Check makes the API call that proves that what was published works, with the given headers and query, and returns nil if
// it does. An empty baseURL means that of these servers; auth is a method such as "oauth2". It renews no session, costs no
// quota, meets no faults and is entered in the ledger with KindCheck. The errors hold neither query nor headers.
func (s *Servers) Check(ctx context.Context, provider, auth, baseURL string, headers, query map[string]string) error {
	p, known := proofs[provider]
	if !known || !slices.Contains(p.methods, auth) {
		return fmt.Errorf("providersim: no way to check %q with %q", provider, auth)
	}
	if baseURL == "" {
		baseURL = s.URL(provider)
	}
	req, err := newCheck(ctx, strings.TrimSuffix(baseURL, "/")+p.path, headers, query)
	if err != nil {
		return fmt.Errorf("providersim: check %s: %w", provider, withoutURL(err))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("providersim: check %s: %w", provider, withoutURL(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxRequestBody))
	if err != nil {
		return fmt.Errorf("providersim: check %s: %w", provider, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("providersim: check %s: status %d", provider, resp.StatusCode)
	}
	if !p.accepts(body) {
		return fmt.Errorf("providersim: check %s: not the expected answer", provider)
	}
	return nil
}

func newCheck(ctx context.Context, target string, headers, query map[string]string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	values := req.URL.Query()
	for k, v := range query {
		values.Set(k, v)
	}
	req.URL.RawQuery = values.Encode()
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	req.Header.Set(peekHeader, "1")
	return req, nil
}

// withoutURL drops the URL that net/http puts in its errors.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
