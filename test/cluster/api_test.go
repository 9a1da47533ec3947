package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// apiClient speaks to the API server as the administrator.
type apiClient struct {
	url  string
	http *http.Client
}

// apiError is an answer other than 2xx.
type apiError struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.Code, e.Reason, e.Message) }

// hasCode reports whether the API server answered with a status.
func hasCode(err error, code int) bool {
	refused, ok := errors.AsType[*apiError](err)
	return ok && refused.Code == code
}

func newAPIClient(url string, authority *pki) (*apiClient, error) {
	certificate, err := tls.LoadX509KeyPair(authority.file("admin.crt"), authority.file("admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(authority.file("ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &apiClient{url: url, http: &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}},
			ForceAttemptHTTP2: true,
		},
	}}, nil
}

// get reads an object or a list into out.
func (a *apiClient) get(ctx context.Context, path string, out any) error {
	return a.do(ctx, http.MethodGet, path, nil, out)
}

// post creates an object, and reads what became of it into out.
func (a *apiClient) post(ctx context.Context, path string, in, out any) error {
	return a.do(ctx, http.MethodPost, path, in, out)
}

// patch merges a change into an object.
func (a *apiClient) patch(ctx context.Context, path string, change any) error {
	return a.do(ctx, http.MethodPatch, path, change, nil)
}

// remove deletes an object.
func (a *apiClient) remove(ctx context.Context, path string, options any) error {
	return a.do(ctx, http.MethodDelete, path, options, nil)
}

func (a *apiClient) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/strategic-merge-patch+json")
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		refused := &apiError{Code: res.StatusCode, Message: string(text)}
		_ = json.Unmarshal(text, refused) // the message is then the text itself
		return fmt.Errorf("%s %s: %w", method, path, refused)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}
