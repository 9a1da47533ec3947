package providersim

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// ClientSpec describes a set of Kibo keys and its plan.
type ClientSpec struct {
	// QPS is how many API calls are allowed in a second of provider time. Default 20.
	QPS int
	// Quota is how many API calls are allowed in a period. Default 5000.
	Quota int
	// Period is the quota's, in provider time: an hour or a day. Default an hour.
	Period time.Duration
	// RefuseStatus is how the API refuses a token: 401 or 403, both are documented. Default 401.
	RefuseStatus int
}

// Client is a set of Kibo keys.
type Client struct {
	ClientID     string // the API key
	ClientSecret string
}

// Kibo simulates Kibo's OAuth server and API for many sets of keys, with the plan of each. Old tokens stay valid until
// they expire.
type Kibo struct {
	*Simulator
	clients map[string]*kiboClient
	tokens  map[string]kiboToken
}

type kiboClient struct {
	secret  string
	spec    ClientSpec
	plan    kiboPlan
	revoked bool
}

type kiboToken struct {
	client  *kiboClient
	id      string
	expires time.Time
}

const (
	kiboTokenPath    = "/oauthserver/oauth2/token"
	kiboAPIPath      = "/api/v2/"
	kiboLocationPath = kiboAPIPath + "location/"
)

func newKibo(opts Options, secrets *secretBook) *Kibo {
	k := &Kibo{
		Simulator: newSimulator("kibo", opts, secrets),
		clients:   map[string]*kiboClient{},
		tokens:    map[string]kiboToken{},
	}
	k.provider = k
	return k
}

// AddClient registers a set of keys, which hold `|` and a literal `%2b` as Kibo's do.
func (k *Kibo) AddClient(spec ClientSpec) Client {
	k.mu.Lock()
	defer k.mu.Unlock()
	if spec.QPS <= 0 {
		spec.QPS = 20
	}
	if spec.Quota <= 0 {
		spec.Quota = 5000
	}
	orDefault(&spec.Period, time.Hour)
	if spec.RefuseStatus == 0 {
		spec.RefuseStatus = http.StatusUnauthorized
	}
	c := Client{ClientID: "sim-key|" + randomHex() + "%2bgyr", ClientSecret: "sim-secret|" + randomHex() + "%2b"}
	k.secrets.add(c.ClientID)
	k.secrets.addBasic(c.ClientID, c.ClientSecret)
	k.clients[c.ClientID] = &kiboClient{secret: c.ClientSecret, spec: spec, plan: newKiboPlan(spec, k.opts)}
	return c
}

// RevokeTokens makes all access tokens of a set of keys invalid and returns how many there were.
func (k *Kibo) RevokeTokens(clientID string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for token, t := range k.tokens {
		if t.id == clientID {
			delete(k.tokens, token)
			n++
		}
	}
	return n
}

// RevokeClient makes a set of keys invalid; its tokens live on. The error is ErrUnknownAccount.
func (k *Kibo) RevokeClient(clientID string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.clients[clientID]
	if c == nil {
		return ErrUnknownAccount
	}
	c.revoked = true
	return nil
}

func (k *Kibo) describe(r *request) Event {
	switch path := r.URL.Path; {
	case path == kiboTokenPath:
		id, _, _ := rawBasic(r)
		return Event{Endpoint: EndpointToken, Kind: KindMint, Account: id}
	case strings.HasPrefix(path, kiboAPIPath):
		token, _ := r.bearer()
		return Event{Endpoint: EndpointAPI, Kind: KindAPI, TokenHash: Hash(token), Account: r.Header.Get("Api-Key")}
	default:
		return Event{Endpoint: EndpointOther, Kind: KindOther}
	}
}

func (k *Kibo) serve(r *request, e *Event) answer {
	switch e.Endpoint {
	case EndpointToken:
		return k.mint(r, e)
	case EndpointAPI:
		return k.api(r, e)
	default:
		e.Result = ResultNotFound
		return kiboError(http.StatusNotFound, "not found")
	}
}

// rawBasic decodes Basic credentials to bytes that nothing else is done to: `%2b` stays `%2b`.
func rawBasic(r *request) (user, password string, ok bool) {
	scheme, encoded, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}

func (k *Kibo) mint(r *request, e *Event) answer {
	if r.Method != http.MethodPost || r.form == nil {
		e.Result = ResultInvalidRequest
		return oauthError(http.StatusBadRequest, "invalid_request", "POST a form")
	}
	id, secret, ok := rawBasic(r)
	c := k.clients[id]
	if !ok || c == nil || c.secret != secret || c.revoked {
		e.Result = ResultInvalidClient
		return oauthError(http.StatusUnauthorized, "invalid_client", "unknown keys")
	}
	if r.form.Get("grant_type") != "client_credentials" {
		e.Result = ResultUnsupported
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "only client_credentials")
	}
	lifetime := k.opts.announced(k.opts.KiboLifetime)
	token := k.secrets.mint("at")
	k.tokens[token] = kiboToken{client: c, id: id, expires: r.now.Add(lifetime)}
	e.Result, e.IssuedHash = ResultOK, Hash(token)
	return tokenAnswer(map[string]any{
		"scope":        "",
		"access_token": token,
		"token_type":   "bearer",
		"expires_in":   seconds(lifetime),
	})
}

func kiboError(status int, message string) answer {
	return jsonAnswer(status, map[string]any{"message": message})
}
