package vault

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// Bounds of the pace at which the login is looked after.
const (
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = 30 * time.Second
	// shortSession is what a login must last for the next one to follow at once.
	shortSession = time.Second
	// suspectEvery bounds how often answers of 403 make the token be looked up:
	// most mean that a policy lacks something.
	suspectEvery = 10 * time.Second
)

// session is what is known about the login. The zero time means that the token
// never expires.
type session struct {
	mu      sync.Mutex
	expires time.Time
	// secret is the login that Run looks after.
	secret *api.Secret
	// source tells the token file's content from a newer one.
	source string
	// failure is why the last login or look at the token failed.
	failure error
	// dead means that Vault said that the token is no good.
	dead bool
	// suspicion has room for one hint that the token may be dead.
	suspicion chan struct{}
}

func newSession() *session { return &session{suspicion: make(chan struct{}, 1)} }

// suspect asks Run to look whether the token still lives.
func (s *session) suspect() {
	select {
	case s.suspicion <- struct{}{}:
	default:
	}
}

// began records a login.
func (s *session) began(secret *api.Secret, source string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret, s.source, s.expires, s.failure, s.dead = secret, source, expires, nil, false
}

// extended records that the token now lives until then.
func (s *session) extended(expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expires = expires
}

// failed records why a login failed; dead if that says that the token is no good.
func (s *session) failed(err error, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure, s.dead = err, s.dead || dead
}

func (s *session) current() (*api.Secret, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secret, s.source
}

// Healthy reports, without a request, whether the client is logged in: Vault
// did not refuse the token, and it has not expired.
func (c *Client) Healthy(context.Context) error {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	s := c.session
	switch {
	case s.dead:
		return fmt.Errorf("vault: not logged in: %w", s.failure)
	case s.expires.IsZero() || time.Now().Before(s.expires):
		return nil
	case s.failure != nil:
		return fmt.Errorf("vault: the token expired at %s: %w", s.expires.UTC().Format(time.RFC3339), s.failure)
	default:
		return fmt.Errorf("vault: the token expired at %s", s.expires.UTC().Format(time.RFC3339))
	}
}

// TokenExpiry returns when the token expires, as far as is known; zero if it
// never does. It makes no request.
func (c *Client) TokenExpiry() time.Time {
	c.session.mu.Lock()
	defer c.session.mu.Unlock()
	return c.session.expires
}

// Run keeps the login alive until ctx ends, and then returns nil. It renews the
// token, and logs in afresh when the token reaches its maximum lifetime, when
// Vault no longer knows it, and when the token file has a new one. Failed logins
// are repeated with growing pauses; Healthy and Hooks.OnLogin tell of them. Call it
// once; the client goes on working, without renewal, after it has returned.
func (c *Client) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		began := time.Now()
		c.attend(ctx)
		// A token close to its end that cannot be replaced must not be asked about in a loop.
		attempt := 0
		if time.Since(began) < shortSession {
			attempt = 1
		}
		c.loginUntilDone(ctx, attempt)
	}
	return nil
}

// loginUntilDone logs in, as often as it takes, with a pause before the attempt
// unless that is the first (0).
func (c *Client) loginUntilDone(ctx context.Context, attempt int) {
	for ; ctx.Err() == nil; attempt++ {
		if attempt > 0 && !pause(ctx, c.loginPause(attempt-1)) {
			return
		}
		if c.login(ctx) == nil {
			return
		}
	}
}

// loginPause returns how long to wait after so many failed logins. A token file
// may have a good token at any time.
func (c *Client) loginPause(failures int) time.Duration {
	d := backoff(failures, rand.Float64())
	if c.settings.Auth.Method == MethodTokenFile {
		d = min(d, c.settings.Auth.Reread)
	}
	return d
}

// backoff returns the pause after so many failures, of which a random part (0
// to 1) of one half is taken off.
func backoff(failures int, random float64) time.Duration {
	d := lastBackoff
	if failures < 16 {
		d = min(d, firstBackoff<<failures)
	}
	return d - time.Duration(random*float64(d)/2)
}

// pause waits; it returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// attend renews the token until it should be replaced, or ctx ends.
func (c *Client) attend(ctx context.Context) {
	secret, source := c.session.current()
	renewed, over, stop := c.watch(secret)
	defer stop()
	reread := time.NewTicker(c.settings.Auth.Reread)
	defer reread.Stop()
	var lookedUp time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-over:
			return
		case r := <-renewed:
			// Whole seconds: 0 means that less than one is left.
			c.session.extended(expiry(r.RenewedAt, max(1, r.Secret.Auth.LeaseDuration)))
		case <-reread.C:
			if c.fileChanged(source) {
				return
			}
		case <-c.session.suspicion:
			if c.fileChanged(source) {
				return
			}
			if time.Since(lookedUp) < suspectEvery {
				continue
			}
			lookedUp = time.Now()
			if c.tokenIsDead(ctx) {
				return
			}
		}
	}
}

// watch starts renewing a token that ends. The channel over is closed when it
// should be replaced: the library does not say whether that is because of a
// failure or of the maximum lifetime, and it makes no difference. The function
// stop ends the renewal and waits for its last request.
func (c *Client) watch(secret *api.Secret) (renewed <-chan *api.RenewOutput, over <-chan struct{}, stop func()) {
	if secret.Auth.LeaseDuration <= 0 {
		return nil, nil, func() {}
	}
	watcher, err := c.api.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret})
	ended := make(chan struct{})
	if err != nil {
		close(ended)
		return nil, ended, func() {}
	}
	go func() {
		defer close(ended)
		watcher.Start()
	}()
	return watcher.RenewCh(), ended, func() {
		watcher.Stop()
		<-ended
	}
}
