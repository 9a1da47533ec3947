package providersim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"time"
)

// ExpiresStyle is how Ankor's token endpoint tells a lifetime, about which its clients disagree.
type ExpiresStyle int

// The ways to tell a lifetime.
const (
	ExpiresInSeconds   ExpiresStyle = iota // "expires_in": 3600
	ExpiresInText                          // "expires_in": "3600"
	ExpiresSeconds                         // "expires": 3600
	ExpiresEpoch                           // "expires": seconds since 1970
	ExpiresEpochMillis                     // "expires": milliseconds since 1970
)

// CompanySpec describes a company with a generated key.
type CompanySpec struct {
	// URI is the company URI, compared verbatim.
	URI string
	// PKCS1 writes the private key as PKCS#1; otherwise it is PKCS#8.
	PKCS1 bool
	// Scopes are those that the company may ask for. Default website:read:* and entity:*.
	Scopes []string
	// Expires is how the lifetime of its access tokens is told.
	Expires ExpiresStyle
}

// Company is what is needed to mint tokens for one company.
type Company struct {
	URI           string
	KeyID         string
	PrivateKeyPEM string
}

// Ankor simulates Ankor's identity service and API for many companies. Making a key takes long, so that from the fifth
// company on keys are used again, under new key IDs.
type Ankor struct {
	*Simulator
	keyPool   []*rsa.PrivateKey
	companies map[string]*ankorCompany // by key ID
	tokens    map[string]ankorToken
	seen      map[string]struct{} // company URI and jti of used assertions
}

type ankorCompany struct {
	spec    CompanySpec
	key     *rsa.PublicKey
	revoked bool
}

type ankorToken struct {
	uri     string
	expires time.Time
}

const (
	ankorTokenPath = "/iam/oauth/token"
	ankorAPIPath   = "/api/"
	ankorKeys      = 4
)

func newAnkor(opts Options, secrets *secretBook) *Ankor {
	a := &Ankor{
		Simulator: newSimulator("ankor", opts, secrets),
		companies: map[string]*ankorCompany{},
		tokens:    map[string]ankorToken{},
		seen:      map[string]struct{}{},
	}
	a.provider = a
	return a
}

// AddCompany registers a company with a key. A company that is added again has one more key.
func (a *Ankor) AddCompany(spec CompanySpec) Company {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(spec.Scopes) == 0 {
		spec.Scopes = []string{"website:read:*", "entity:*"}
	}
	if len(a.keyPool) < ankorKeys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic("providersim: no key can be made: " + err.Error())
		}
		a.keyPool = append(a.keyPool, key)
	}
	key := a.keyPool[len(a.companies)%len(a.keyPool)]
	c := Company{URI: spec.URI, KeyID: "sim-kid-" + randomHex(), PrivateKeyPEM: encodeKey(key, spec.PKCS1)}
	a.companies[c.KeyID] = &ankorCompany{spec: spec, key: &key.PublicKey}
	for line := range strings.Lines(c.PrivateKeyPEM) {
		if line = strings.TrimSpace(line); len(line) >= 32 && !strings.HasPrefix(line, "-----") {
			a.secrets.add(line)
		}
	}
	return c
}

func encodeKey(key *rsa.PrivateKey, pkcs1 bool) string {
	block := pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if !pkcs1 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			panic("providersim: a key cannot be written: " + err.Error())
		}
		block = pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	return string(pem.EncodeToMemory(&block))
}

// RevokeKey makes assertions signed under a key ID invalid; tokens live on. The error is ErrUnknownAccount.
func (a *Ankor) RevokeKey(keyID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.companies[keyID]
	if c == nil {
		return ErrUnknownAccount
	}
	c.revoked = true
	return nil
}

// RevokeTokens makes all access tokens of a company invalid and returns how many there were.
func (a *Ankor) RevokeTokens(uri string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for token, t := range a.tokens {
		if t.uri == uri {
			delete(a.tokens, token)
			n++
		}
	}
	return n
}

func (a *Ankor) describe(r *request) Event {
	switch path := r.URL.Path; {
	case path == ankorTokenPath:
		assertion := r.form.Get("assertion")
		issuer := claimedIssuer(assertion)
		if issuer != "" {
			a.secrets.add(assertion) // here, because it is one even if a fault keeps it from having an effect
		}
		return Event{Endpoint: EndpointToken, Kind: KindMint, TokenHash: Hash(assertion), Account: issuer}
	case strings.HasPrefix(path, ankorAPIPath):
		token, _ := r.bearer()
		return Event{Endpoint: EndpointAPI, Kind: KindAPI, TokenHash: Hash(token), Account: a.tokens[token].uri}
	default:
		return Event{Endpoint: EndpointOther, Kind: KindOther}
	}
}

func (a *Ankor) serve(r *request, e *Event) answer {
	switch e.Endpoint {
	case EndpointToken:
		return a.mint(r, e)
	case EndpointAPI:
		return a.api(r, e)
	default:
		e.Result = ResultNotFound
		return jsonAnswer(http.StatusNotFound, map[string]any{"message": "not found"})
	}
}

func (a *Ankor) api(r *request, e *Event) answer {
	token, ok := r.bearer()
	t, known := a.tokens[token]
	switch {
	case !ok:
		e.Result = ResultAnonymous
	case !known:
		e.Result = ResultRefused
	case !r.now.Before(t.expires):
		e.Result = ResultExpired
	default:
		e.Result = ResultOK
		return jsonAnswer(http.StatusOK, map[string]any{"data": []any{}})
	}
	return jsonAnswer(http.StatusUnauthorized, map[string]any{"message": "unauthorized"})
}
