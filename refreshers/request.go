package refreshers

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"refresher/internal/credential"
)

// Get returns a GET request for JSON. The error for a URL that is none repeats
// nothing of it, because the URL may hold a key.
func Get(ctx context.Context, provider, rawURL string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, http.NoBody)
	if err != nil {
		return nil, WrongFields(provider, "bad_field", "no request can be made of it", "base_url")
	}
	req.Header.Set("Accept", "application/json")
	return req, nil
}

// PostForm returns a POST request with a form as its body. The body cannot be
// replayed: it has no GetBody, so that net/http never sends it a second time by
// itself. It holds the form's parameters and nothing else, in order of their names.
func PostForm(ctx context.Context, provider, rawURL string, form url.Values) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rawURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, WrongFields(provider, "bad_field", "no request can be made of it", "base_url")
	}
	req.GetBody = nil
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

// Basic returns the value of an Authorization header (RFC 7617) over the raw
// bytes of both parts. They are not URL-encoded first, as RFC 6749, section
// 2.3.1, would have it: no provider here decodes them.
func Basic(user, password string) credential.Secret {
	return credential.Secret("Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// SetHeaders puts published headers on a request.
func SetHeaders(req *http.Request, headers map[string]credential.Secret) {
	for name, value := range headers {
		req.Header.Set(name, value.Reveal())
	}
}

// Send hands the request to the Call's Doer, once, and returns what comes of it.
// An error keeps its kind and code, and gets the credential's provider if it has
// none. An error of another type is KindAmbiguous, because it does not say that
// nothing was sent, and is not repeated but for what the context has to say.
func (c Call) Send(ctx context.Context, req *http.Request) (Answer, error) {
	a, err := c.HTTP.Do(ctx, req)
	if err == nil {
		return a, nil
	}
	known, ok := errors.AsType[*credential.Error](err)
	if !ok {
		return Answer{}, &credential.Error{Kind: credential.KindAmbiguous, Provider: c.Credential.Provider, Code: "send_failed", Err: cause(err)}
	}
	if known.Provider != "" {
		return Answer{}, err
	}
	named := *known
	named.Provider = c.Credential.Provider
	return Answer{}, &named
}

// cause returns what may be shown of an unknown error.
func cause(err error) error {
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("the request failed")
}
