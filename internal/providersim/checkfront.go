package providersim

import (
	"fmt"
	"slices"
	"time"
)

// ErrorStyle is how Checkfront's token endpoint says that something is wrong, which its document leaves open.
type ErrorStyle int

// The error styles met in the wild.
const (
	ErrorString ErrorStyle = iota // status 400 or 401, "error" a string
	ErrorObject                   // status 400 or 401, "error" an object with "code"
	ErrorAt200                    // status 200, "error" a string
)

// AppSpec describes an application registered in a Checkfront account.
type AppSpec struct {
	// RedirectURI is the only one that the authorize page accepts; empty means any.
	RedirectURI string
	// DropState makes the authorize page forget the state, which the document does not promise to echo.
	DropState bool
	// RefreshAfterExpiryOnly refuses a refresh token, unspent, as long as its access token lives, as the document may be read.
	RefreshAfterExpiryOnly bool
	// Errors is how the token endpoint tells errors.
	Errors ErrorStyle
}

// App is a registered application with a first grant, as an operator would store it.
type App struct {
	ClientID     string // the consumer key
	ClientSecret string // the consumer secret
	RefreshToken string // the seed
	AccessToken  string
	IssuedAt     time.Time // of both tokens
}

// Pair is an API key and secret for Checkfront's token authentication.
type Pair struct {
	APIKey    string
	APISecret string
}

// Grant is what Checkfront knows of one authorization.
type Grant struct {
	ID             string
	Generation     int // of the pair, from 1
	RefreshToken   string
	AccessToken    string
	RefreshExpires time.Time
	AccessExpires  time.Time
}

// Checkfront simulates Checkfront's OAuth2 server and API for many accounts on one host, which their consumer keys tell
// apart. Rotation is strict: an exchange kills the whole old pair at once, and presenting a spent refresh token kills its
// grant.
type Checkfront struct {
	*Simulator
	apps    map[string]*checkfrontApp
	pairs   map[string]checkfrontPair
	refresh map[string]tokenRef // every refresh token ever issued
	access  map[string]tokenRef // every access token ever issued
	codes   map[string]*checkfrontCode
	grants  int
}

type checkfrontApp struct {
	id, secret string
	spec       AppSpec
	grants     []*checkfrontGrant
}

type checkfrontGrant struct {
	Grant
	app     *checkfrontApp
	revoked bool
}

// tokenRef is a token's place in its grant.
type tokenRef struct {
	grant      *checkfrontGrant
	generation int
}

type checkfrontPair struct{ name, secret string }

type checkfrontCode struct {
	app         *checkfrontApp
	redirectURI string
	expires     time.Time
	grant       *checkfrontGrant // what it was exchanged for
}

func newCheckfront(opts Options, secrets *secretBook) *Checkfront {
	c := &Checkfront{
		Simulator: newSimulator("checkfront", opts, secrets),
		apps:      map[string]*checkfrontApp{},
		pairs:     map[string]checkfrontPair{},
		refresh:   map[string]tokenRef{},
		access:    map[string]tokenRef{},
		codes:     map[string]*checkfrontCode{},
	}
	c.provider = c
	return c
}

// AddApp registers an application and authorizes it once.
func (c *Checkfront) AddApp(spec AppSpec) App {
	c.mu.Lock()
	defer c.mu.Unlock()
	app := &checkfrontApp{id: "sim-ck-" + randomHex(), secret: c.secrets.mint("cs"), spec: spec}
	c.secrets.addBasic(app.id, app.secret)
	c.apps[app.id] = app
	now := c.opts.Now()
	g := c.newGrant(app, now)
	return App{
		ClientID:     app.id,
		ClientSecret: app.secret,
		RefreshToken: g.RefreshToken,
		AccessToken:  g.AccessToken,
		IssuedAt:     now,
	}
}

// Authorize makes a new grant, as when a person authorizes again, and returns its refresh token. Older grants of the
// account live on. The error is ErrUnknownAccount.
func (c *Checkfront) Authorize(clientID string) (refreshToken string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	app := c.apps[clientID]
	if app == nil {
		return "", ErrUnknownAccount
	}
	return c.newGrant(app, c.opts.Now()).RefreshToken, nil
}

// RevokeGrant kills all grants of the account, as when a person removes the application. The error is ErrUnknownAccount.
func (c *Checkfront) RevokeGrant(clientID string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	app := c.apps[clientID]
	if app == nil {
		return ErrUnknownAccount
	}
	for _, g := range app.grants {
		g.revoked = true
	}
	return nil
}

// AddTokenPair registers an API key and secret. The name is the account in the ledger.
func (c *Checkfront) AddTokenPair(name string) Pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := Pair{APIKey: c.secrets.mint("key"), APISecret: c.secrets.mint("secret")}
	c.secrets.addBasic(p.APIKey, p.APISecret)
	c.pairs[p.APIKey] = checkfrontPair{name: name, secret: p.APISecret}
	return p
}

// RevokeTokenPair makes an API key and its secret invalid. It may be repeated.
func (c *Checkfront) RevokeTokenPair(apiKey string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pairs, apiKey)
}

// Living returns the account's newest grant that still has a usable refresh token, and false if none has.
func (c *Checkfront) Living(clientID string) (Grant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	app := c.apps[clientID]
	if app == nil {
		return Grant{}, false
	}
	for _, v := range slices.Backward(app.grants) {
		if g := v; g.alive(c.opts.Now()) {
			return g.Grant, true
		}
	}
	return Grant{}, false
}

// LivingRefreshToken returns the refresh token that the account's newest living grant would accept, or "".
func (c *Checkfront) LivingRefreshToken(clientID string) string {
	g, _ := c.Living(clientID)
	return g.RefreshToken
}

// GrantAlive tells whether the grant that a refresh token of any generation belongs to can still be refreshed by someone.
func (c *Checkfront) GrantAlive(refreshToken string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	ref, known := c.refresh[refreshToken]
	return known && ref.grant.alive(c.opts.Now())
}

func (g *checkfrontGrant) alive(now time.Time) bool {
	return !g.revoked && now.Before(g.RefreshExpires)
}

func (c *Checkfront) newGrant(app *checkfrontApp, now time.Time) *checkfrontGrant {
	c.grants++
	g := &checkfrontGrant{Grant: Grant{ID: fmt.Sprintf("grant-%d", c.grants)}, app: app}
	app.grants = append(app.grants, g)
	c.rotate(g, now)
	return g
}

// rotate replaces the pair of a grant. The old tokens stay known, as spent.
func (c *Checkfront) rotate(g *checkfrontGrant, now time.Time) {
	g.Generation++
	g.RefreshToken = c.secrets.mint("rt")
	g.RefreshExpires = now.Add(c.opts.scaled(c.opts.CheckfrontGrant))
	c.refresh[g.RefreshToken] = tokenRef{grant: g, generation: g.Generation}
	c.newAccess(g, now)
}

func (c *Checkfront) newAccess(g *checkfrontGrant, now time.Time) {
	g.AccessToken = c.secrets.mint("at")
	g.AccessExpires = now.Add(c.opts.announced(c.opts.CheckfrontAccess))
	c.access[g.AccessToken] = tokenRef{grant: g, generation: g.Generation}
}
