package leases

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"refresher/internal/credential"
)

// Settings are how long things last. The zero value is ready to use.
type Settings struct {
	// TTL is how long a lease lasts that nobody extends; 60 seconds if zero.
	// Leases are extended at every third of it. It has a resolution of one
	// millisecond.
	TTL time.Duration
	// Timeout is how long one request to Redis may take; 5 seconds if zero, and
	// at most a third of the TTL.
	Timeout time.Duration
	// OnLost, if not nil, is called once for each lease that ended before it was
	// released. It runs on the goroutine of that lease and may be called for
	// several at once.
	OnLost func(key string)
}

func (s Settings) withDefaults() Settings {
	if s.TTL <= 0 {
		s.TTL = time.Minute
	}
	if s.Timeout <= 0 {
		s.Timeout = 5 * time.Second
	}
	s.Timeout = min(s.Timeout, s.TTL/3)
	return s
}

// trust is until when a lease can be trusted that was extended by a request sent
// at that time.
func (s Settings) trust(sent time.Time) time.Time { return sent.Add(s.TTL - s.TTL/50) }

// errLate is the error of a lease that was acquired too late to be of use.
var errLate = errors.New("the answer took longer than the lease lasts")

// Redis keeps leases in Redis, for all replicas of the service.
type Redis struct {
	store    store
	settings Settings
}

// NewRedis returns leases below a prefix of keys. The client must have been made
// with ContextTimeoutEnabled, or its own time limits hold instead of Settings.Timeout.
func NewRedis(client redis.UniversalClient, prefix string, settings Settings) *Redis {
	return &Redis{store: redisStore{client: client, prefix: prefix}, settings: settings.withDefaults()}
}

// Acquire takes the lease of key, or returns credential.ErrLeaseHeld if another
// has it; after any other error it is unknown whether it was taken, and if it was
// it expires by itself. The lease does not end with ctx, only with its Release.
// Acquire may be called at once from several goroutines, for the same key too.
func (r *Redis) Acquire(ctx context.Context, key string) (credential.Lease, error) {
	l := &lease{store: r.store, settings: r.settings, key: key, owner: rand.Text()}
	l.until = r.settings.trust(time.Now())
	call, cancel := context.WithTimeout(ctx, r.settings.Timeout)
	defer cancel()
	ours, err := r.store.acquire(call, key, l.owner, r.settings.TTL)
	if err != nil {
		return nil, fmt.Errorf("acquire the lease %s: %w", key, err)
	}
	if !ours {
		return nil, fmt.Errorf("acquire the lease %s: %w", key, credential.ErrLeaseHeld)
	}
	var keeping context.Context
	keeping, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	if !l.Held() {
		l.Release(ctx)
		return nil, fmt.Errorf("acquire the lease %s: %w", key, errLate)
	}
	go l.keep(keeping)
	return l, nil
}

var (
	// acquireScript also says yes if the value is ours already: then it is the
	// same request once more, because its first answer was lost.
	acquireScript = redis.NewScript(`
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return 1
end
return 0`)

	extendScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0`)

	releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0`)
)

// redisStore implements store. Each of its methods may be repeated by the client.
type redisStore struct {
	client redis.UniversalClient
	prefix string
}

func (s redisStore) acquire(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	return acquireScript.Run(ctx, s.client, s.keys(key), owner, ttl.Milliseconds()).Bool()
}

func (s redisStore) extend(ctx context.Context, key, owner string, ttl time.Duration) (bool, error) {
	return extendScript.Run(ctx, s.client, s.keys(key), owner, ttl.Milliseconds()).Bool()
}

func (s redisStore) release(ctx context.Context, key, owner string) error {
	return releaseScript.Run(ctx, s.client, s.keys(key), owner).Err()
}

func (s redisStore) keys(key string) []string { return []string{s.prefix + ":lease:" + key} }
