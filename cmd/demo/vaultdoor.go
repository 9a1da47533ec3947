package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// vaultToken opens the stand-in for Vault.
const vaultToken = "demo"

// published is a token document, as every reader of tokens/ sees it.
type published struct {
	Provider   string            `json:"provider"`
	Auth       string            `json:"auth"`
	BaseURL    string            `json:"base_url"`
	Status     string            `json:"status"`
	Generation int               `json:"generation"`
	ExpiresAt  time.Time         `json:"expires_at,omitzero"`
	Headers    map[string]string `json:"headers"`
	Query      map[string]string `json:"query"`
	Message    string            `json:"message"`
}

// serves reports whether there is anything to put on a call.
func (p published) serves() bool { return len(p.Headers) > 0 || len(p.Query) > 0 }

// The statuses of a token document.
const (
	statusPending            = "pending"
	statusActive             = "active"
	statusRetrying           = "retrying"
	statusExpired            = "expired"
	statusNeedsAuthorization = "needs_authorization"
	statusMisconfigured      = "misconfigured"
)

// vaultDoor speaks to the Vault as people and readers do, in plain HTTP and
// without the service's own client, so that both cannot be wrong in the same way.
type vaultDoor struct {
	address string
	client  *http.Client
}

func (v *vaultDoor) credentialURL(id string) string {
	return v.address + "/v1/secret/data/refresher/credentials/" + id
}

func (v *vaultDoor) tokenURL(id string) string {
	return v.address + "/v1/secret/data/refresher/tokens/" + id
}

// store writes a credential, as "vault kv put" does.
func (v *vaultDoor) store(ctx context.Context, id string, document map[string]string) error {
	status, _, err := v.call(ctx, http.MethodPost, v.credentialURL(id), putBody(document))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the Vault answered %d", status)
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", id, err)
	}
	return nil
}

// putBody is what is sent to write a document.
func putBody(document map[string]string) []byte {
	body, err := json.Marshal(map[string]any{"data": document})
	if err != nil {
		panic(err) // strings always marshal
	}
	return body
}

// token reads what is published; false if nothing is yet.
func (v *vaultDoor) token(ctx context.Context, id string) (published, bool, error) {
	status, body, err := v.call(ctx, http.MethodGet, v.tokenURL(id), nil)
	switch {
	case err != nil:
		return published{}, false, fmt.Errorf("read the token of %s: %w", id, err)
	case status == http.StatusNotFound:
		return published{}, false, nil
	case status != http.StatusOK:
		return published{}, false, fmt.Errorf("read the token of %s: the Vault answered %d", id, status)
	}
	var answer struct {
		Data struct {
			Data published `json:"data"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return published{}, false, fmt.Errorf("read the token of %s: %w", id, err)
	}
	return answer.Data.Data, true, nil
}

// maxDocument bounds what is read of an answer.
const maxDocument = 1 << 20

func (v *vaultDoor) call(ctx context.Context, method, url string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Token", vaultToken)
	resp, err := v.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	return resp.StatusCode, answer, err
}
