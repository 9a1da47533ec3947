package escrow

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"
)

// Copies is the second place for sealed answers and the spent list, which all
// replicas see.
type Copies interface {
	// Put stores a sealed answer. A copy that is there already stays as it is.
	Put(ctx context.Context, attempt string, sealed []byte) error
	// Get returns nil and no error if there is no such copy.
	Get(ctx context.Context, attempt string) ([]byte, error)
	Delete(ctx context.Context, attempt string) error
	// Present marks a token as sent if it may be presented, and reports whether it may.
	Present(ctx context.Context, hash string, probe bool) (bool, error)
	Mark(ctx context.Context, hash, mark string) error
	// Spent reports whether a token was presented, and not proven unspent since.
	Spent(ctx context.Context, hash string) (bool, error)
}

// RedisCopies keeps the copies in Redis, each under a key of its own, for as
// long as a refresh token can live.
type RedisCopies struct {
	client redis.UniversalClient
	prefix string
	keep   time.Duration
}

// NewRedisCopies returns the copies in Redis; keys begin with prefix.
func NewRedisCopies(client redis.UniversalClient, prefix string, keep time.Duration) *RedisCopies {
	return &RedisCopies{client: client, prefix: prefix, keep: keep}
}

func (c *RedisCopies) answerKey(attempt string) string { return c.prefix + ":escrow:" + attempt }
func (c *RedisCopies) spentKey(hash string) string     { return c.prefix + ":spent:" + hash }

// Put stores a sealed answer, unless there is one already.
func (c *RedisCopies) Put(ctx context.Context, attempt string, sealed []byte) error {
	return c.client.SetNX(ctx, c.answerKey(attempt), sealed, c.keep).Err()
}

// Get returns a sealed answer, or nil if there is none.
func (c *RedisCopies) Get(ctx context.Context, attempt string) ([]byte, error) {
	sealed, err := c.client.Get(ctx, c.answerKey(attempt)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	return sealed, err
}

// Delete removes a sealed answer.
func (c *RedisCopies) Delete(ctx context.Context, attempt string) error {
	return c.client.Del(ctx, c.answerKey(attempt)).Err()
}

// presentScript is mayPresent and the mark in one step. A mark that this very
// call has set is no obstacle.
var presentScript = redis.NewScript(`
local mark = redis.call('GET', KEYS[1])
if mark and mark ~= 'unspent' and mark ~= ARGV[1] then
	if ARGV[2] == '0' or string.sub(mark, 1, 4) ~= 'sent' then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1`)

// Present marks a token as sent if it may be presented. The mark is this call's
// own, because the client of a Cluster repeats a command whose reply was lost.
func (c *RedisCopies) Present(ctx context.Context, hash string, probe bool) (bool, error) {
	flag := 0
	if probe {
		flag = 1
	}
	own := markSent + " " + rand.Text()
	return presentScript.Run(ctx, c.client, []string{c.spentKey(hash)}, own, flag, c.keep.Milliseconds()).Bool()
}

// Mark sets what is known of a presented token.
func (c *RedisCopies) Mark(ctx context.Context, hash, mark string) error {
	return c.client.Set(ctx, c.spentKey(hash), mark, c.keep).Err()
}

// Spent reports whether a token was presented, and not proven unspent since.
func (c *RedisCopies) Spent(ctx context.Context, hash string) (bool, error) {
	mark, err := c.client.Get(ctx, c.spentKey(hash)).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return !mayPresent(mark, false), err
}

// noCopies is the second place of a process without Redis: there is none.
type noCopies struct{}

func (noCopies) Put(context.Context, string, []byte) error           { return nil }
func (noCopies) Get(context.Context, string) ([]byte, error)         { return nil, nil }
func (noCopies) Delete(context.Context, string) error                { return nil }
func (noCopies) Present(context.Context, string, bool) (bool, error) { return true, nil }
func (noCopies) Mark(context.Context, string, string) error          { return nil }
func (noCopies) Spent(context.Context, string) (bool, error)         { return false, nil }
