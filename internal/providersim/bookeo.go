package providersim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// KeySpec describes an installation of the application in a Bookeo account.
type KeySpec struct {
	AccountID   string
	Permissions []string
	// PermissionsAsString makes the API tell them comma-separated in a string, as some of its answers do, not in an array.
	PermissionsAsString bool
	// SecretKey is the application's secret key; empty means Bookeo.SecretKey.
	SecretKey string
	// RefuseStatus is how the key is refused once revoked: 401 or 403. Default 403.
	RefuseStatus int
}

// Key is what is needed to call Bookeo for one account.
type Key struct {
	APIKey    string
	SecretKey string
}

// Bookeo simulates Bookeo's API. All accounts use one application, unless they say otherwise.
type Bookeo struct {
	*Simulator
	secretKey string
	keys      map[string]*bookeoKey // also revoked ones
}

type bookeoKey struct {
	spec    KeySpec
	created time.Time
	revoked bool
}

const (
	bookeoBase     = "/v2"
	bookeoInfoPath = bookeoBase + "/settings/apikeyinfo"
)

func newBookeo(opts Options, secrets *secretBook) *Bookeo {
	b := &Bookeo{
		Simulator: newSimulator("bookeo", opts, secrets),
		secretKey: secrets.mint("app-secret"),
		keys:      map[string]*bookeoKey{},
	}
	b.provider = b
	return b
}

// SecretKey returns the secret key of the application that all accounts share by default.
func (b *Bookeo) SecretKey() string { return b.secretKey }

// AddKey installs the application in an account.
func (b *Bookeo) AddKey(spec KeySpec) Key {
	b.mu.Lock()
	defer b.mu.Unlock()
	if spec.SecretKey == "" {
		spec.SecretKey = b.secretKey
	}
	if spec.RefuseStatus == 0 {
		spec.RefuseStatus = http.StatusForbidden
	}
	spec.Permissions = slices.Clone(spec.Permissions)
	b.secrets.add(spec.SecretKey)
	k := Key{APIKey: b.secrets.mint("key"), SecretKey: spec.SecretKey}
	b.keys[k.APIKey] = &bookeoKey{spec: spec, created: b.opts.Now()}
	return k
}

// RevokeKey makes an API key invalid, as when the owner removes the application. The error is ErrUnknownAccount.
func (b *Bookeo) RevokeKey(apiKey string) error {
	return b.change(apiKey, func(k *bookeoKey) { k.revoked = true })
}

// SetPermissions changes what an API key may do. The error is ErrUnknownAccount.
func (b *Bookeo) SetPermissions(apiKey string, permissions ...string) error {
	return b.change(apiKey, func(k *bookeoKey) { k.spec.Permissions = slices.Clone(permissions) })
}

// SetAccount makes an API key belong to another account. The error is ErrUnknownAccount.
func (b *Bookeo) SetAccount(apiKey, accountID string) error {
	return b.change(apiKey, func(k *bookeoKey) { k.spec.AccountID = accountID })
}

func (b *Bookeo) change(apiKey string, f func(*bookeoKey)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.keys[apiKey]
	if k == nil {
		return ErrUnknownAccount
	}
	f(k)
	return nil
}

// bookeoCredentials come as headers or, as documented, in the query.
func bookeoCredentials(r *request) (apiKey, secretKey string) {
	apiKey, secretKey = r.Header.Get("X-Bookeo-Apikey"), r.Header.Get("X-Bookeo-Secretkey")
	if apiKey == "" {
		apiKey = r.query.Get("apiKey")
	}
	if secretKey == "" {
		secretKey = r.query.Get("secretKey")
	}
	return apiKey, secretKey
}

func (b *Bookeo) describe(r *request) Event {
	if !strings.HasPrefix(r.URL.Path, bookeoBase+"/") {
		return Event{Endpoint: EndpointOther, Kind: KindOther}
	}
	apiKey, _ := bookeoCredentials(r)
	e := Event{Endpoint: EndpointAPI, Kind: KindAPI, TokenHash: Hash(apiKey)}
	if r.URL.Path == bookeoInfoPath {
		e.Kind = KindVerify
	}
	if k := b.keys[apiKey]; k != nil {
		e.Account = k.spec.AccountID
	}
	return e
}

func (b *Bookeo) serve(r *request, e *Event) answer {
	if e.Endpoint == EndpointOther {
		e.Result = ResultNotFound
		return bookeoError(http.StatusNotFound, "not found")
	}
	apiKey, secretKey := bookeoCredentials(r)
	k := b.keys[apiKey]
	switch {
	case apiKey == "" || secretKey == "":
		e.Result = ResultAnonymous
		return bookeoError(http.StatusUnauthorized, "missing keys")
	case k == nil:
		e.Result = ResultRefused
		return bookeoError(http.StatusForbidden, "invalid api key")
	case k.spec.SecretKey != secretKey:
		e.Result = ResultRefused
		return bookeoError(http.StatusUnauthorized, "invalid secret key")
	case k.revoked:
		e.Result = ResultRefused
		return bookeoError(k.spec.RefuseStatus, "invalid api key")
	case r.Method != http.MethodGet:
		e.Result = ResultInvalidRequest
		return bookeoError(http.StatusMethodNotAllowed, "simulated for reading only")
	}
	e.Result = ResultOK
	if r.URL.Path != bookeoInfoPath {
		return jsonAnswer(http.StatusOK, map[string]any{"data": []any{}})
	}
	return k.info()
}

func (k *bookeoKey) info() answer {
	var permissions any = append([]string{}, k.spec.Permissions...)
	if k.spec.PermissionsAsString {
		permissions = strings.Join(k.spec.Permissions, ",")
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"accountId":    k.spec.AccountID,
		"permissions":  permissions,
		"creationTime": k.created.UTC().Format(time.RFC3339),
	})
}

func bookeoError(status int, message string) answer {
	return jsonAnswer(status, map[string]any{"httpStatus": status, "message": message, "errorId": "sim-error"})
}
