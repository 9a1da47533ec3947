package providersim

import (
	"crypto/sha1"
	"encoding/hex"
	"net/http"
	"time"
)

// AnonymousAnswer is how ClicRDV answers a call that is not logged in, of which its document only says that no challenge
// is sent.
type AnonymousAnswer int

// The answers to a call that is not logged in. None carries a WWW-Authenticate header.
const (
	Anonymous403      AnonymousAnswer = iota // JSON with an error
	Anonymous401                             // JSON with an error
	AnonymousRedirect                        // 302 to the login page
	AnonymousHTML                            // 200 and the login page
	AnonymousJSON                            // 200 and JSON without records
	AnonymousPublic                          // groups.json is answered as if logged in, everything else with 403
)

// UserSpec describes a user and the API key of the application that works for them.
type UserSpec struct {
	Email string
	// Type is "pro" (agenda API) or "account" (booking API). Default "pro".
	Type string
	// APIKey is that of an application already known, to share it; empty means a new one.
	APIKey string
	// Anonymous is how calls with this user's API key are answered when not logged in. Users who share a key share
	// the answer of the one added last.
	Anonymous AnonymousAnswer
	// ReissueEvery makes every so manieth touch replace the session's cookie; the old one is dead at once. Zero means never.
	ReissueEvery int
}

// User is what is needed to call ClicRDV for one user.
type User struct {
	APIKey       string
	Email        string
	Password     string
	PasswordSHA1 string // lowercase hex, as a login wants it
	Type         string
}

// ClicRDV simulates ClicRDV's API for many users, with sessions that die when idle, and HTTP Basic.
type ClicRDV struct {
	*Simulator
	apiKeys  map[string]AnonymousAnswer
	users    map[string]*clicrdvUser // by type and e-mail address
	sessions map[string]*clicrdvSession
}

type clicrdvUser struct {
	User
	id           int
	reissueEvery int
}

type clicrdvSession struct {
	user    *clicrdvUser
	touched time.Time
	touches int
	dead    bool // ended otherwise than by being idle
}

func newClicRDV(opts Options, secrets *secretBook) *ClicRDV {
	c := &ClicRDV{
		Simulator: newSimulator("clicrdv", opts, secrets),
		apiKeys:   map[string]AnonymousAnswer{},
		users:     map[string]*clicrdvUser{},
		sessions:  map[string]*clicrdvSession{},
	}
	c.provider = c
	return c
}

// AddUser registers a user with a random password. Adding the same e-mail address and type again replaces the password;
// sessions live on.
func (c *ClicRDV) AddUser(spec UserSpec) User {
	c.mu.Lock()
	defer c.mu.Unlock()
	if spec.Type == "" {
		spec.Type = "pro"
	}
	if spec.APIKey == "" {
		spec.APIKey = c.secrets.mint("key")
	}
	c.secrets.add(spec.APIKey)
	c.apiKeys[spec.APIKey] = spec.Anonymous
	u := &clicrdvUser{id: len(c.users) + 1, reissueEvery: spec.ReissueEvery}
	u.User = User{APIKey: spec.APIKey, Email: spec.Email, Type: spec.Type, Password: c.secrets.mint("pw")}
	sum := sha1.Sum([]byte(u.Password))
	u.PasswordSHA1 = hex.EncodeToString(sum[:])
	c.secrets.add(u.PasswordSHA1)
	c.secrets.addBasic(u.Email, u.Password)
	c.users[u.Type+" "+u.Email] = u
	return u.User
}

// ExpireSession ends all sessions of the users with this e-mail address and returns how many that were.
func (c *ClicRDV) ExpireSession(email string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.sessions {
		if s.user.Email == email && c.alive(s, c.opts.Now()) {
			s.dead = true
			n++
		}
	}
	return n
}

// SessionAlive tells whether any session of the users with this e-mail address lives.
func (c *ClicRDV) SessionAlive(email string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if s.user.Email == email && c.alive(s, c.opts.Now()) {
			return true
		}
	}
	return false
}

func (c *ClicRDV) alive(s *clicrdvSession, now time.Time) bool {
	return !s.dead && now.Sub(s.touched) < c.opts.scaled(c.opts.ClicRDVIdle)
}

// newSession returns the cookie's value of a new session.
func (c *ClicRDV) newSession(u *clicrdvUser, now time.Time) string {
	id := c.secrets.mint("session")
	c.sessions[id] = &clicrdvSession{user: u, touched: now}
	return id
}

func withSession(a answer, id string) answer {
	cookie := http.Cookie{Name: clicrdvCookie, Value: id, Path: "/", HttpOnly: true}
	a.header.Set("Set-Cookie", cookie.String())
	return a
}
